/* Words: where one ends, and what it is once its quotes are removed. A word is known if nothing
 * in it is left for the run to decide: no expansion, no glob, no tilde. */
#include "gate/shell_reader.h"

#include "base/cleanup.h"

#include <string.h>

void shell_word_release(struct shell_word *word)
{
	buffer_release(&word->value);
	buffer_release(&word->quoted);
}

void word_append(struct shell_word *word, const char *text, size_t length_bytes, bool quoted)
{
	static const char marks[2][64] = {
		{0},
		{[0 ... 63] = 1},
	};
	buffer_append(&word->value, text, length_bytes);
	while (length_bytes) {
		size_t n = length_bytes < 64 ? length_bytes : 64;
		buffer_append(&word->quoted, marks[quoted], n);
		length_bytes -= n;
	}
}

/* The value so far is NAME, or NAME+ with an = to follow. */
static size_t name_before(const struct shell_word *word, bool allow_plus)
{
	size_t n = word->value.length_bytes;
	const char *text = word->value.data;
	if (!word->plain || n == 0 || word->name_bytes)
		return 0;
	if (allow_plus && n > 1 && text[n - 1] == '+')
		n--;
	if (!is_name_start(text[0]))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (!is_name_byte(text[i]))
			return 0;
	return n;
}

/* NAME[subscript]: an element, if = or += follows; else it is a glob like any other. */
static bool read_subscript(struct reader *r, struct shell_word *word)
{
	size_t name_bytes = name_before(word, false);
	if (!name_bytes)
		return false;
	reader_bash_only(r);
	size_t start = r->at++;
	read_arithmetic(r, "]");
	if (r->stopped)
		return true;
	if (peek(r, 0) == '=' || (peek(r, 0) == '+' && peek(r, 1) == '=')) {
		r->at += peek(r, 0) == '=' ? 1 : 2;
		word->name_bytes = name_bytes;
		word->element = true;
		word_append(word, r->script + start, r->at - start, true);
		word->value_at = word->value.length_bytes;
	} else {
		word->unknown = true;
		word_append(word, r->script + start, r->at - start, false);
	}
	return true;
}

static void read_single_quotes(struct reader *r, struct shell_word *word)
{
	const char *begin = r->script + r->at + 1;
	const char *close = memchr(begin, '\'', r->end - r->at - 1);
	if (!close)
		return reader_syntax(r, "a ' is not closed");
	word_append(word, begin, (size_t)(close - begin), true);
	r->at = (size_t)(close - r->script) + 1;
}

static void read_escape(struct reader *r, struct shell_word *word)
{
	if (r->at + 1 >= r->end) {
		word_append(word, "\\", 1, true);
		r->at++;
	} else if (peek(r, 1) == '\n') {
		r->at += 2;
		return;
	} else {
		word_append(word, r->script + r->at + 1, 1, true);
		r->at += 2;
	}
	word->plain = false;
}

/* Parentheses inside a pattern or regular expression, with whatever they hold. */
static void read_group(struct reader *r, struct shell_word *word)
{
	if (!reader_enter(r))
		return;
	r->at++;
	while (!r->stopped && peek(r, 0) != ')') {
		char c = peek(r, 0);
		if (r->at >= r->end)
			reader_syntax(r, "a ( in a pattern is not closed");
		else if (c == '(')
			read_group(r, word);
		else if (c == '\'')
			read_single_quotes(r, word);
		else if (c == '"')
			read_double_quotes(r, word);
		else if (c == '$')
			read_dollar(r, word, false);
		else if (c == '`')
			read_backquote(r);
		else if ((c == '<' || c == '>') && peek(r, 1) == '(')
			read_process_substitution(r);
		else
			r->at += c == '\\' && r->at + 1 < r->end ? 2 : 1;
	}
	r->at++;
	word->unknown = true;
	word->plain = false;
	reader_leave(r);
}

/* An ordinary character, and what it can mean where it stands. */
static void read_ordinary(struct reader *r, struct shell_word *word, enum word_place place)
{
	char c = peek(r, 0);
	size_t length = word->value.length_bytes;
	if (c == '=' && place == PLACE_ASSIGNMENT && !word->name_bytes) {
		size_t name_bytes = name_before(word, true);
		if (name_bytes) {
			word->name_bytes = name_bytes;
			word->value_at = length + 1;
			if (word->value.data[length - 1] == '+')
				reader_bash_only(r);
		}
	} else if (c == '*' || c == '?') {
		word->unknown = true;
	} else if (c == '[') { /* alone it is a command */
		word->unknown |= length || !is_meta(peek(r, 1));
	} else if (c == '~') {
		char before = length ? word->value.data[length - 1] : '\0';
		if (!length || ((before == '=' || before == ':') && place != PLACE_PATTERN))
			word->unknown = true;
	}
	word_append(word, &c, 1, false);
	r->at++;
}

static bool is_extended_glob(const struct reader *r)
{
	return peek(r, 0) && strchr("?*+@!", peek(r, 0)) && peek(r, 1) == '(';
}

static bool word_ends_here(const struct reader *r, enum word_place place)
{
	char c = peek(r, 0);
	if (!is_meta(c))
		return false;
	if (place == PLACE_REGEX && (c == '|' || c == '(' || c == '<' || c == '>'))
		return false;
	return !((c == '<' || c == '>') && peek(r, 1) == '(');
}

static void read_piece(struct reader *r, struct shell_word *word, enum word_place place)
{
	char c = peek(r, 0);
	if (c != '\\' && (c == '\'' || c == '"' || c == '$' || c == '`'))
		word->plain = false;
	if (c == '\\') {
		read_escape(r, word);
	} else if (c == '\'') {
		read_single_quotes(r, word);
	} else if (c == '"') {
		read_double_quotes(r, word);
	} else if (c == '$') {
		read_dollar(r, word, false);
	} else if (c == '`') {
		word->unknown = true;
		read_backquote(r);
	} else if ((c == '<' || c == '>') && peek(r, 1) == '(') {
		word->unknown = true;
		word->plain = false;
		read_process_substitution(r);
	} else if (c == '[' && place == PLACE_ASSIGNMENT && read_subscript(r, word)) {
		return;
	} else if (c == '(' && place == PLACE_REGEX) {
		read_group(r, word);
	} else if (is_extended_glob(r)) {
		if (place != PLACE_PATTERN && place != PLACE_CONDITION)
			return reader_odd(
				r, "extended globs are read otherwise unless they are on");
		reader_bash_only(r);
		r->at++;
		read_group(r, word);
	} else {
		read_ordinary(r, word, place);
	}
}

bool read_word(struct reader *r, struct shell_word *word, enum word_place place)
{
	*word = (struct shell_word){
		.start = r->at,
		.value = BUFFER_INIT(MAX_SCRIPT_BYTES),
		.quoted = BUFFER_INIT(MAX_SCRIPT_BYTES),
		.plain = true,
	};
	while (!r->stopped && !word_ends_here(r, place))
		read_piece(r, word, place);
	word->end = r->at;
	/* Also what is empty has its byte: nothing below asks whether there is data. */
	buffer_append(&word->value, "", 0);
	buffer_append(&word->quoted, "", 0);
	if (buffer_error(&word->value) || buffer_error(&word->quoted)) {
		analyzer_no_memory(r->a);
		r->stopped = true;
	}
	return !r->stopped && word->end > word->start;
}

bool shell_is_one_word(const char *written)
{
	bool quoted = false;
	for (const char *p = written; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (*p == '\'' && !quoted) {
			p += strcspn(p + 1, "'") + 1;
			if (!*p)
				return false;
		} else if (quoted ? *p == '@' || *p == '(' || *p == '`' || *p == '{'
				  : strchr("$`*?[{<>", *p) != NULL) {
			return false;
		}
	}
	return !quoted;
}

void read_array(struct reader *r)
{
	reader_bash_only(r);
	if (!reader_enter(r))
		return;
	r->at++;
	for (;;) {
		skip_newlines(r);
		if (r->stopped || peek(r, 0) == ')')
			break;
		cleanup_word struct shell_word word = {0};
		if (peek(r, 0) == '[') { /* [subscript]=value */
			r->at++;
			read_arithmetic(r, "]");
		}
		if (!r->stopped && !read_word(r, &word, PLACE_ARGUMENT) && !r->stopped)
			reader_syntax(r, "a list of values ends unexpectedly");
	}
	r->at++;
	reader_leave(r);
}

void add_words(struct reader *r, struct gate_part *part, const struct shell_word *word)
{
	const char *written = r->script + word->start;
	size_t length = word->value.length_bytes;
	bool braces = shell_has_braces(word->value.data, word->quoted.data, length);
	if (braces)
		reader_bash_only(r);
	/* A tilde inside of braces may come to stand first. */
	if (word->unknown || (braces && memchr(word->value.data, '~', length))) {
		char *copy = analyzer_copy(r->a, written, word->end - word->start);
		return part_add_word(r->a, part, copy, false);
	}
	if (!braces)
		return part_add_word(
			r->a, part, analyzer_copy(r->a, word->value.data, length), true);
	struct brace_words made = {0};
	if (shell_expand_braces(word->value.data, word->quoted.data, length, &made) < 0)
		analyzer_no_memory(r->a);
	if (made.too_many) {
		char *copy = analyzer_copy(r->a, written, word->end - word->start);
		part_add_word(r->a, part, copy, false);
	} else {
		for (size_t i = 0; i < made.words.count; i++)
			part_add_word(r->a, part, strdup(made.words.items[i]), true);
	}
	strv_release(&made.words);
}
