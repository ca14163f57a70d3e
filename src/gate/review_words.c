/* Whether the user's words, as they were read (review_words_read.c), order something. */
#include "gate/review_words.h"
#include "gate/review_internal.h"

#include "base/cleanup.h"

#include <string.h>
#include <strings.h>

static const char runs[] = "run execute do use try call invoke type start";

static bool in(const char *word, const char *list)
{
	return word_in_list(word, list, ' ');
}

static bool names_object(const struct user_words *words, const struct clause *clause,
	const struct review_object *object)
{
	for (size_t i = 0; i < clause->count; i++)
		for (size_t k = 0; k < object->spellings.count; k++)
			if (strcasecmp(words->tokens[clause->first + i].text,
				    object->spellings.items[k]) == 0)
				return true;
	return false;
}

static size_t count_named(const struct user_words *words, const struct clause *clause,
	const struct review_claim *claim)
{
	size_t named = 0;
	for (size_t i = 0; i < claim->objects_count; i++)
		named += names_object(words, clause, &claim->objects[i]);
	return named;
}

/* "--force" says "force". */
static bool says_need(
	const struct user_words *words, const struct clause *clause, const char *needs)
{
	if (!needs)
		return true;
	for (size_t i = 0; i < clause->count; i++) {
		const char *text = words->tokens[clause->first + i].text;
		if (in(text + strspn(text, "-"), needs))
			return true;
	}
	return false;
}

/* The command's words, one after the other, from token `at` on. */
static bool says_command(const struct user_words *words, const struct clause *clause, size_t at,
	char *const *command)
{
	size_t n = 0;
	for (; command && command[n]; n++)
		if (at + n >= clause->first + clause->count ||
			strcasecmp(words->tokens[at + n].text, command[n]) != 0)
			return false;
	return n > 0;
}

static bool orders_it(const struct user_words *words, const struct clause *clause,
	const struct review_claim *claim, bool *ret_in_full)
{
	*ret_in_full = false;
	const char *head = words->tokens[clause->head].text;
	size_t end = clause->first + clause->count;
	if (says_command(words, clause, clause->head, claim->command)) {
		*ret_in_full = true;
		return true;
	}
	for (size_t at = clause->head + 1; in(head, runs) && at < end; at++)
		if (says_command(words, clause, at, claim->command)) {
			*ret_in_full = true;
			return true;
		}
	return in(head, claim->verbs);
}

static bool mentions_verb(const struct user_words *words, const struct clause *clause,
	const struct review_claim *claim)
{
	return words_have_any(words, clause, claim->verbs);
}

enum review_authorization user_words_authorize(
	const struct user_words *words, const struct review_claim *claim, bool *ret_narrow)
{
	enum review_authorization found = AUTHORIZATION_NONE;
	unsigned prompt = 0;
	bool forbidden = false;
	*ret_narrow = false;
	if (words->overflow)
		return AUTHORIZATION_NONE;
	for (size_t i = 0; i < words->clauses_count; i++) {
		const struct clause *clause = &words->clauses[i];
		if (clause->count == 0)
			continue;
		if (clause->prompt != prompt)
			forbidden = false; /* a later prompt may lift it */
		prompt = clause->prompt;
		if (clause->cancels) {
			found = AUTHORIZATION_NONE;
			*ret_narrow = false;
		}
		size_t named = count_named(words, clause, claim);
		bool verb = mentions_verb(words, clause, claim);
		if (clause->negated) {
			if (verb || named > 0 ||
				(claim->needs && says_need(words, clause, claim->needs))) {
				forbidden = true;
				found = AUTHORIZATION_NONE;
				*ret_narrow = false;
			}
			continue;
		}
		if (forbidden)
			continue;
		bool in_full = false;
		bool ordered = clause->ordered && orders_it(words, clause, claim, &in_full);
		bool complete = in_full || named == claim->objects_count;
		bool clear = ordered && !clause->conditional &&
			     (in_full || (says_need(words, clause, claim->needs) &&
						 (named > 0 || claim->objects_count == 0)));
		if (clear) {
			found = AUTHORIZATION_CLEAR;
			*ret_narrow = *ret_narrow || complete;
		} else if (found == AUTHORIZATION_NONE &&
			   (ordered || verb || (claim->mention_implies && named > 0))) {
			found = AUTHORIZATION_IMPLIED;
		}
	}
	return found;
}
