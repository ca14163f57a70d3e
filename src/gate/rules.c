#include "gate/rules.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "gate/classify_internal.h"
#include "gate/rules_program.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One way in which a prefix may begin. */
struct rule_entry {
	const char *word;
	size_t rule;
};

struct rule_index {
	struct rule_entry *entries; /* by word, then by rule */
	size_t count;
};

static int compare_entries(const void *a, const void *b)
{
	const struct rule_entry *x = a, *y = b;
	int order = strcmp(x->word, y->word);
	return order ? order : (x->rule > y->rule) - (x->rule < y->rule);
}

/* A prefix's first word may be spelled as a path; it is looked up by its last component. */
int rule_index_new(const struct config *config, struct rule_index **ret)
{
	size_t count = 0;
	for (size_t i = 0; i < config->rules_count; i++)
		count += config->rules[i].prefix[0].any.count;
	struct rule_index *index = calloc(1, sizeof(*index));
	struct rule_entry *entries = calloc(count ? count : 1, sizeof(*entries));
	if (!index || !entries) {
		free(index);
		free(entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->rules_count; i++) {
		const struct strv *any = &config->rules[i].prefix[0].any;
		for (size_t k = 0; k < any->count; k++)
			entries[index->count++] = (struct rule_entry){path_name(any->items[k]), i};
	}
	qsort(entries, index->count, sizeof(*entries), compare_entries);
	index->entries = entries;
	*ret = index;
	return 0;
}

void rule_index_free(struct rule_index *index)
{
	if (index)
		free(index->entries);
	free(index);
}

static bool only_harmless_variables(const struct gate_part *part)
{
	for (size_t i = 0; i < part->assignments.count; i++)
		if (!variable_is_harmless(part->assignments.items[i]))
			return false;
	return true;
}

/* The first word: as it is written; by its name, if it is the right program or need not be. */
static bool first_word_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	const struct strv *any = &rule->prefix[0].any;
	const char *word = part->argv.items[0];
	if (strv_contains(any, word))
		return true;
	const char *name = path_name(word);
	if (name == word || !strv_contains(any, name))
		return false;
	return rule->decision != VERDICT_ALLOW ||
	       program_is_the_usual(word, context->directory, context->path);
}

/* How many words an option takes beside itself; -1: that is not known. */
static int option_takes(const char *specification, const char *word)
{
	char suffix;
	if (strchr(word, '='))
		return 0;
	if (!specification)
		return -1;
	if (word[1] == '-')
		return spec_find(specification, word + 2, strlen(word + 2), true, &suffix)
			       ? suffix == '='
			       : -1;
	for (const char *letter = word + 1; *letter; letter++)
		if (spec_find(specification, letter, 1, false, &suffix) && suffix == '=')
			return letter[1] == '\0';
	return -1;
}

static bool names_an_option(const struct strv *any)
{
	for (size_t i = 0; i < any->count; i++)
		if (any->items[i][0] == '-')
			return true;
	return false;
}

enum fit { FITS_NOT, MAY_FIT, FITS };

/* Looks for one of these words from *at on, past options and their arguments, and past operands if
 * it is an option itself. A word that is not known may be it, and stays where it is: it may be
 * several. Where an option may take the next word, it is taken to do so unless that
 * is the word looked for; but then it is not sure. */
static enum fit find_word(
	const struct strv *any, const struct gate_part *part, const char *specification, size_t *at)
{
	enum fit found = FITS;
	bool option = names_an_option(any);
	while (*at < part->argv.count) {
		const char *word = part->argv.items[*at];
		if (!part->word_known[*at])
			return MAY_FIT;
		++*at;
		if (strv_contains(any, word))
			return found;
		if (word[0] != '-' || !word[1]) {
			if (!option)
				return FITS_NOT;
			continue;
		}
		int takes = strcmp(word, "--") == 0 ? 0 : option_takes(specification, word);
		if (takes == 0 || *at == part->argv.count)
			continue;
		const char *next = part->argv.items[*at];
		if (takes < 0 &&
			(!part->word_known[*at] || next[0] == '-' || strv_contains(any, next)))
			continue;
		found = takes < 0 ? MAY_FIT : found;
		++*at;
	}
	return FITS_NOT;
}

/* The prefix of a rule that restricts: spelled as it may be, since what it is about can be. */
static enum fit restricted_prefix_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	if (!part->word_known[0] || !first_word_fits(rule, part, context))
		return FITS_NOT;
	const char *specification = options_with_arguments(path_name(part->argv.items[0]));
	enum fit whole = FITS;
	size_t at = 1;
	for (size_t i = 1; i < rule->prefix_count; i++) {
		enum fit word = find_word(&rule->prefix[i].any, part, specification, &at);
		if (word == FITS_NOT)
			return FITS_NOT;
		whole = word == MAY_FIT ? MAY_FIT : whole;
	}
	return whole;
}

static const char *prefix_misfit(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	if (part->argv.count == 0)
		return "it has no words";
	if (rule->decision != VERDICT_ALLOW) {
		enum fit fit = restricted_prefix_fits(rule, part, context);
		return fit == FITS      ? NULL
		       : fit == MAY_FIT ? "a word that the prefix names is not known before it runs"
					: "it has other words than the prefix";
	}
	if (part->argv.count < rule->prefix_count)
		return "the command has fewer words than the prefix";
	for (size_t i = 0; i < rule->prefix_count; i++)
		if (!part->word_known[i])
			return "a word that the prefix names is not known before it runs";
	if (!first_word_fits(rule, part, context))
		return "it is another program";
	for (size_t i = 1; i < rule->prefix_count; i++)
		if (!strv_contains(&rule->prefix[i].any, part->argv.items[i]))
			return "a word of the prefix differs";
	return NULL;
}

/* Whether a directory is the rule's or below it, whatever links lead there: by its own name, or,
 * for a rule that restricts, by the written one too. */
static bool is_within(const struct config_rule *rule, const char *directory)
{
	char real[PATH_MAX], within[PATH_MAX];
	if (rule->decision != VERDICT_ALLOW && path_is_below(directory, rule->within))
		return true;
	return realpath(directory, real) && realpath(rule->within, within) &&
	       path_is_below(real, within);
}

/* An allowing rule wants all places in which the part may run, a restricting one any of them. */
static enum fit place_fits(const struct config_rule *rule, const struct rule_context *context)
{
	const struct places *places = context->places;
	bool allows = rule->decision == VERDICT_ALLOW;
	if (!rule->within)
		return FITS;
	if (!context->directory)
		return allows ? FITS_NOT : MAY_FIT;
	if (is_within(rule, context->directory) != allows)
		return allows ? FITS_NOT : FITS;
	for (size_t i = 0; places && i < places->count; i++)
		if (is_within(rule, places->directories[i]) != allows)
			return allows ? FITS_NOT : FITS;
	if (places && places->unknown)
		return allows ? FITS_NOT : MAY_FIT;
	return allows ? FITS : FITS_NOT;
}

static bool is_the_program(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	char resolved[PATH_MAX], wanted[PATH_MAX];
	if (!program_resolve(part->argv.items[0], context->directory, context->path, resolved))
		return false;
	const char *program = realpath(rule->program, wanted) ? wanted : rule->program;
	return strcmp(resolved, program) == 0;
}

const char *rule_misfit(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	bool allows = rule->decision == VERDICT_ALLOW;
	const char *misfit = prefix_misfit(rule, part, context);
	if (misfit)
		return misfit;
	if (place_fits(rule, context) != FITS)
		return "the directory is not in the rule's, or it cannot be known";
	/* A rule that restricts is not escaped by a copy of the program elsewhere. */
	if (rule->program && allows && !is_the_program(rule, part, context))
		return "its name leads to another program";
	if (allows && part->undecidable)
		return "it cannot be known what would run, and no rule allows that";
	if (allows && !only_harmless_variables(part))
		return "a variable before it may change what it does";
	return NULL;
}

bool rule_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	return !rule_misfit(rule, part, context);
}

/* A rule that restricts, and of which it cannot be known whether it fits. */
static bool rule_may_fit(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	if (rule->decision == VERDICT_ALLOW)
		return false;
	enum fit prefix = restricted_prefix_fits(rule, part, context);
	enum fit place = prefix == FITS_NOT ? FITS_NOT : place_fits(rule, context);
	return place != FITS_NOT && (prefix == MAY_FIT || place == MAY_FIT);
}

static const struct config_rule *stricter(const struct config_rule *a, const struct config_rule *b)
{
	if (!a || b->decision > a->decision)
		return b;
	return b->decision == a->decision && b->prefix_count > a->prefix_count ? b : a;
}

/* The first entry with the name, or where it would stand. */
static size_t find_entry(const struct rule_index *index, const char *name)
{
	size_t low = 0, high = index->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(index->entries[middle].word, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Every rule about the part's program of which test holds. */
static void each_of_program(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context,
	bool (*test)(const struct config_rule *rule, const struct gate_part *part,
		const struct rule_context *context),
	void (*each)(const struct config_rule *rule, void *data), void *data)
{
	if (part->argv.count == 0)
		return;
	const char *name = path_name(part->argv.items[0]);
	for (size_t i = find_entry(index, name);
		i < index->count && strcmp(index->entries[i].word, name) == 0; i++) {
		const struct config_rule *rule = &config->rules[index->entries[i].rule];
		if (test(rule, part, context))
			each(rule, data);
	}
}

void rules_each(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context,
	void (*each)(const struct config_rule *rule, void *data), void *data)
{
	each_of_program(config, index, part, context, rule_fits, each, data);
}

static void keep_stricter(const struct config_rule *rule, void *data)
{
	const struct config_rule **found = data;
	*found = stricter(*found, rule);
}

const struct config_rule *rules_match(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context)
{
	const struct config_rule *found = NULL;
	rules_each(config, index, part, context, keep_stricter, &found);
	return found;
}

const struct config_rule *rules_may_match(const struct config *config,
	const struct rule_index *index, const struct gate_part *part,
	const struct rule_context *context)
{
	const struct config_rule *found = NULL;
	each_of_program(config, index, part, context, rule_may_fit, keep_stricter, &found);
	return found;
}
