/* Theory of operation. High risk passes only where the user ordered it in their own words. Their
 * prompts also hold what they pasted: logs, web pages, issues, code, which may be addressed to the
 * agent by a stranger. So prompts are read narrowly:
 *
 *   - fenced blocks, quoted, indented and commented lines, blocks between tags and quotations of
 *     several lines are nobody's order;
 *   - words in quotes may name an object, but are never a verb;
 *   - a clause orders something if it begins with the verb, after words of politeness, and states
 *     or asks nothing ("the push failed", "why does git push hang?");
 *   - a condition ("once the tests pass") is at most an implication: nobody here knows whether it
 *     came true;
 *   - a negation holds to the end of its sentence, but for "but" and its like, and forbids what it
 *     names; only a later prompt can lift it.
 *
 * This understands little of English and nothing of other languages. What it does not understand is
 * no authorization, and somebody is asked. */
#include "gate/review_internal.h"
#include "gate/review_words.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <ctype.h>
#include <string.h>

enum {
	TOKENS_MAX = 65536,
	CLAUSES_MAX = 16384,
	PREFIXES_MAX = 16, /* words of politeness before a verb */
	INDENT_OF_CODE = 4,
};

static const char negations[] =
	"don't dont don\xe2\x80\x99t not never no without avoid except cannot can't cant "
	"can\xe2\x80\x99t shouldn't shouldnt mustn't won't refrain nothing neither nor unless "
	"stop skip forbid forbidden isn't";
static const char conditions[] =
	"if when once after before until whenever provided assuming unless in-case maybe "
	"perhaps might later eventually tomorrow";
static const char statements[] =
	"is are was were fails failed failing has had does did seems says said breaks broke "
	"works worked got gets went";
static const char contrasts[] = "but instead then just only rather however";
static const char joints[] = "and or then but plus also";
static const char questions[] = "why what how when where who which should is are does did has";
static const char asking[] = "can could would will please";

/* Before a verb: longest first where one begins another. */
static const char *const prefixes[] = {"please", "kindly", "now", "then", "and", "also", "next",
	"ok", "okay", "yes", "yep", "sure", "great", "good", "perfect", "thanks", "hey", "hi",
	"well", "so", "just", "first", "second", "third", "finally", "lastly", "afterwards", "but",
	"instead", "only", "rather", "to", "do", "let's", "lets", "let us", "go ahead", "you can",
	"you may", "you should", "you must", "you need", "you have to", "you are allowed",
	"you're allowed", "you have permission", "you have my permission", "i authorize you",
	"i allow you", "i permit you", "i approve", "feel free", "i want you", "i need you",
	"i would like you", "i'd like you", "can you", "could you", "would you", "will you",
	"make sure", "be sure", "remember", "try", "again", "-", "*", "+", "\xe2\x80\xa2"};

/* Orders of any kind: that a sentence begins with one says that it goes on to order. */
static const char orders[] =
	"add allow apply ask build bump change check clean clear clone close commit compile "
	"configure connect convert copy create debug delete deploy disable do download drop "
	"edit enable execute export fetch fix format generate get give go implement import "
	"improve install keep launch lint list look make merge migrate move open publish pull "
	"push put read rebase refactor release remove rename replace reset restart restore "
	"revert review rewrite run save search send set show start stop submit tag take test "
	"turn undo uninstall update upgrade upload use verify wipe write";

void user_words_free(struct user_words *words)
{
	if (!words)
		return;
	for (size_t i = 0; i < words->tokens_count; i++)
		free(words->tokens[i].text);
	free(words->tokens);
	free(words->clauses);
	free(words);
}

static bool in(const char *word, const char *list)
{
	return word_in_list(word, list, ' ');
}

static bool grow(void **items, size_t *room, size_t count, size_t size, size_t max)
{
	if (count < *room)
		return true;
	if (count >= max)
		return false;
	size_t next = *room ? *room * 2 : 64;
	void *bigger = reallocarray(*items, next, size);
	if (!bigger)
		return false;
	*items = bigger;
	*room = next;
	return true;
}

static void add_token(struct user_words *words, const char *start, size_t length, bool quoted)
{
	while (length && strchr("([{<\"'`*_,:;!?", start[0])) {
		start++;
		length--;
	}
	while (length && strchr(")]}>\"'`*_,:;!?.", start[length - 1])) {
		if (start[length - 1] == '.' && (length == 1 || start[length - 2] == '.'))
			break; /* "." and ".." are paths */
		length--;
	}
	if (length == 0)
		return;
	char *text = NULL;
	if (!grow((void **)&words->tokens, &words->tokens_room, words->tokens_count,
		    sizeof(*words->tokens), TOKENS_MAX) ||
		!(text = strndup(start, length))) {
		words->overflow = true;
		return;
	}
	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (length > 1 && text[length - 1] == '/')
		text[length - 1] = '\0';
	words->tokens[words->tokens_count++] = (struct token){text, quoted};
	char host[NETWORK_NAME_BYTES];
	if (strstr(text, "://") && review_host_of(text, false, host))
		add_token(words, host, strlen(host), quoted);
}

static struct clause *begin_clause(struct user_words *words, unsigned prompt)
{
	if (!grow((void **)&words->clauses, &words->clauses_room, words->clauses_count,
		    sizeof(*words->clauses), CLAUSES_MAX)) {
		words->overflow = true;
		return NULL;
	}
	struct clause *clause = &words->clauses[words->clauses_count++];
	*clause = (struct clause){.first = words->tokens_count, .prompt = prompt};
	return clause;
}

/* A prompt while it is read: what is not the user's own has become line ends, and what stands in
 * quotes is marked. */
struct page {
	char *text, *quoted; /* as long as one another */
	size_t length;
	bool unclosed; /* a quote without end: nothing here is an order */
};

static void read_clauses(
	struct user_words *words, const struct page *page, size_t from, size_t end, unsigned prompt)
{
	if (!begin_clause(words, prompt))
		return;
	for (size_t i = from; i < end && !words->overflow;) {
		if (isspace((unsigned char)page->text[i])) {
			i++;
			continue;
		}
		size_t start = i;
		while (i < end && !isspace((unsigned char)page->text[i]))
			i++;
		const char *word = page->text + start;
		size_t length = i - start;
		size_t marks = strspn(word, "([{<\"'`*_,:;!?\xe2\x80\x9c");
		bool quoted = page->quoted[start + (marks < length ? marks : 0)];
		char joint[8] = "";
		for (size_t k = 0; !quoted && length < sizeof(joint) && k < length; k++)
			joint[k] = (char)tolower((unsigned char)word[k]);
		if (in(joint, joints) && !begin_clause(words, prompt))
			return;
		add_token(words, word, length, quoted);
		if (!quoted && word[length - 1] == ',' && !begin_clause(words, prompt))
			return;
	}
}

static size_t skip_prefixes(const struct user_words *words, const struct clause *clause)
{
	size_t at = clause->first, end = clause->first + clause->count;
	for (unsigned turns = 0; turns < PREFIXES_MAX; turns++) {
		size_t longest = 0;
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
			const char *s = prefixes[i];
			size_t n = 0;
			while (*s && at + n < end) {
				size_t length = strcspn(s, " ");
				const char *token = words->tokens[at + n].text;
				if (strlen(token) != length || strncmp(token, s, length) != 0)
					break;
				s += length + (s[length] == ' ');
				n++;
			}
			if (!*s && n > longest)
				longest = n;
		}
		const char *token = at < end ? words->tokens[at].text : "";
		if (longest == 0 && strspn(token, "0123456789") == strlen(token) && *token)
			longest = 1; /* of a list */
		if (longest == 0)
			break;
		at += longest;
	}
	return at;
}

bool words_have_any(const struct user_words *words, const struct clause *clause, const char *list)
{
	for (size_t i = 0; i < clause->count; i++) {
		const struct token *token = &words->tokens[clause->first + i];
		if (!token->quoted && in(token->text, list))
			return true;
	}
	return false;
}

/* "without the sandbox" orders something, unlike every other "without". */
static bool has_negation(const struct user_words *words, const struct clause *clause)
{
	for (size_t i = 0; i < clause->count; i++) {
		const struct token *token = &words->tokens[clause->first + i];
		if (token->quoted || !in(token->text, negations))
			continue;
		size_t next = i + 1;
		while (next < clause->count && in(token[next - i].text, "the a any your its"))
			next++;
		bool of_box = strcmp(token->text, "without") == 0 && next < clause->count &&
			      in(token[next - i].text, "sandbox sandboxing box coffer isolation");
		if (!of_box)
			return true;
	}
	return false;
}

/* "never mind", "forget it": takes back whatever was said. */
static bool has_cancellation(const struct user_words *words, const struct clause *clause)
{
	static const char *const phrases[][2] = {{"never", "mind"}, {"cancel", "that it this all"},
		{"forget", "that it this all"}, {"scratch", "that it this all"},
		{"ignore", "that it this all"}, {"on", "second"}};
	for (size_t i = 0; i < clause->count; i++) {
		const struct token *token = &words->tokens[clause->first + i];
		if (in(token->text, "nevermind"))
			return true;
		for (size_t k = 0; k < ARRAY_SIZE(phrases) && i + 1 < clause->count; k++)
			if (in(token->text, phrases[k][0]) && in(token[1].text, phrases[k][1]))
				return true;
	}
	return false;
}

/* What the clauses of one sentence are to one another. */
static void settle_sentence(struct user_words *words, size_t from, bool question)
{
	bool negated = false, ordering = false, conditional = false;
	const char *first = NULL;
	for (size_t i = from; i < words->clauses_count; i++) {
		struct clause *clause = &words->clauses[i];
		size_t end = i + 1 < words->clauses_count ? words->clauses[i + 1].first
							  : words->tokens_count;
		clause->count = end - clause->first;
		clause->head = skip_prefixes(words, clause);
		if (clause->count == 0)
			continue;
		const char *opening = words->tokens[clause->first].text;
		first = first ? first : opening;
		if (in(opening, contrasts))
			negated = false;
		negated = negated || has_negation(words, clause);
		clause->cancels = has_cancellation(words, clause);
		conditional = conditional || words_have_any(words, clause, conditions);
		bool has_head = clause->head < end && !words->tokens[clause->head].quoted;
		bool polite = clause->head > clause->first && !in(opening, joints);
		bool may_order = !words_have_any(words, clause, statements) &&
				 (!question || in(first, asking)) && !in(first, questions);
		ordering = may_order &&
			   (ordering || polite || clause->first == words->clauses[from].first ||
				   (has_head && in(words->tokens[clause->head].text, orders)));
		clause->negated = negated;
		clause->ordered = ordering && has_head;
	}
	for (size_t i = from; i < words->clauses_count; i++)
		words->clauses[i].conditional = conditional;
}

static bool ends_sentence(const struct page *page, size_t at)
{
	if (page->text[at] == '\n')
		return true;
	return strchr(".!?;", page->text[at]) && !page->quoted[at] &&
	       (at + 1 >= page->length || isspace((unsigned char)page->text[at + 1]));
}

static void read_sentences(struct user_words *words, const struct page *page, unsigned prompt)
{
	for (size_t from = 0; from < page->length && !words->overflow;) {
		size_t end = from;
		while (end < page->length && !ends_sentence(page, end))
			end++;
		size_t clauses = words->clauses_count;
		read_clauses(words, page, from, end, prompt);
		settle_sentence(words, clauses, end < page->length && page->text[end] == '?');
		for (size_t i = clauses; page->unclosed && i < words->clauses_count; i++)
			words->clauses[i].ordered = false;
		from = end + 1;
	}
}

/* A line that is one tag. Blocks between such lines are pasted. */
static bool is_tag(const char *line, const char *end, bool *ret_closes)
{
	if (end - line < 3 || line[0] != '<' || end[-1] != '>')
		return false;
	*ret_closes = line[1] == '/';
	return isalpha((unsigned char)line[1 + *ret_closes]);
}

static void drop_pasted(struct page *page)
{
	bool fenced = false;
	unsigned tags = 0;
	for (char *text = page->text; *text;) {
		char *end = text + strcspn(text, "\n"), *next = end + (*end == '\n');
		char *line = text;
		unsigned indent = 0;
		for (; line < end && isspace((unsigned char)*line); line++)
			indent += *line == '\t' ? INDENT_OF_CODE : 1;
		while (end > line && isspace((unsigned char)end[-1]))
			end--;
		bool closes = false, own = false;
		if (strncmp(line, "```", 3) == 0 || strncmp(line, "~~~", 3) == 0)
			fenced = !fenced;
		else if (!fenced && is_tag(line, end, &closes))
			tags = closes ? tags - (tags > 0) : tags + 1;
		else
			own = !fenced && tags == 0 && indent < INDENT_OF_CODE &&
			      !strchr(">|$#", *line);
		if (!own)
			memset(text, '\n', (size_t)(next - text));
		text = next;
	}
}

/* An apostrophe opens behind a blank and closes before what is no letter: "don't" is no quote. */
static char *closing_apostrophe(char *s)
{
	for (char *at = s + 1; *at && *at != '\n'; at++)
		if (*at == '\'' && !isalnum((unsigned char)at[1]))
			return at;
	return NULL;
}

/* Within a line the words between quotes are marked; a quote of several lines is pasted. */
static void mark_quotes(struct page *page)
{
	static const struct {
		const char *open, *close;
	} marks[] = {{"`", "`"}, {"\"", "\""}, {"\xe2\x80\x9c", "\xe2\x80\x9d"}};
	char *end_of_text = page->text + page->length, *no_apostrophe = page->text;
	for (char *s = page->text; s < end_of_text; s++) {
		char *close = NULL;
		size_t open_bytes = 1, close_bytes = 1;
		for (size_t i = 0; i < ARRAY_SIZE(marks) && !close && !page->unclosed; i++) {
			open_bytes = strlen(marks[i].open);
			close_bytes = strlen(marks[i].close);
			if (strncmp(s, marks[i].open, open_bytes) != 0)
				continue;
			close = strstr(s + open_bytes, marks[i].close);
			page->unclosed = !close;
		}
		bool may_open = *s == '\'' && s >= no_apostrophe &&
				(s == page->text || isspace((unsigned char)s[-1]));
		if (!close && may_open) {
			open_bytes = close_bytes = 1;
			close = closing_apostrophe(s);
			no_apostrophe = close ? close : s + strcspn(s, "\n");
		}
		if (!close)
			continue;
		size_t inside = (size_t)(close - s) - open_bytes;
		if (memchr(s, '\n', (size_t)(close - s)))
			memset(s, '\n', (size_t)(close - s) + close_bytes);
		else
			memset(page->quoted + (s - page->text) + open_bytes, 1, inside);
		s = close + close_bytes - 1;
	}
}

static void read_prompt(struct user_words *words, const char *text, unsigned prompt)
{
	struct page page = {.length = strlen(text)};
	page.text = strdup(text);
	page.quoted = calloc(1, page.length + 1);
	if (page.text && page.quoted) {
		drop_pasted(&page);
		mark_quotes(&page);
		read_sentences(words, &page, prompt);
	} else {
		words->overflow = true;
	}
	free(page.text);
	free(page.quoted);
}

int user_words_parse(const char *const *prompts, struct user_words **ret)
{
	struct user_words *words = calloc(1, sizeof(*words));
	if (!words)
		return -ENOMEM;
	size_t total = 0;
	for (unsigned i = 0; prompts && prompts[i] && !words->overflow; i++) {
		total += strlen(prompts[i]);
		if (total > MAX_USER_WORDS_BYTES)
			words->overflow = true;
		else
			read_prompt(words, prompts[i], i);
	}
	*ret = words;
	return 0;
}
