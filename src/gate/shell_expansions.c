/* What stands behind a $, between quotes and backquotes. No value is computed but that of
 * $'...': what is wanted are the commands inside, and what an expansion may do beside giving a
 * value. */
#include "gate/shell_reader.h"

#include "base/cleanup.h"

#include <string.h>

/* A command substitution's content: a list of its own, up to what closes it. */
static void read_nested_list(struct reader *r)
{
	size_t heredocs = r->heredocs_count;
	bool background = r->frame.background;
	char *defined = steal_pointer(&r->defined);
	unsigned siblings = r->siblings;
	r->frame.background = false;
	read_list(r);
	r->frame.background = background;
	free(r->defined);
	r->defined = defined;
	r->siblings = siblings;
	/* A line's end inside takes the here-documents that stand before the substitution. */
	if (!r->stopped && r->heredocs_count != heredocs)
		reader_odd(r, "a here-document and a substitution overlap");
}

/* At "$(" or "<(": both two bytes. */
static void read_parentheses(struct reader *r)
{
	if (!reader_enter(r))
		return;
	r->at += 2;
	if (peek(r, 0) == '\\' && peek(r, 1) == '\n') /* "((" may be joined */
		reader_odd(r, "a line is continued behind a parenthesis");
	else
		read_nested_list(r);
	if (!r->stopped && peek(r, 0) != ')')
		reader_syntax(r, "a ( is not closed");
	r->at++;
	reader_leave(r);
}

void read_process_substitution(struct reader *r)
{
	reader_bash_only(r);
	read_parentheses(r);
}

void read_backquote(struct reader *r)
{
	const char *begin = r->script + r->at + 1;
	const char *close = memchr(begin, '`', r->end - r->at - 1);
	if (!close)
		return reader_syntax(r, "a ` is not closed");
	size_t length = (size_t)(close - begin);
	if (memchr(begin, '\\', length))
		return reader_odd(r, "backslashes inside of backquotes");
	if (!reader_enter(r))
		return;
	size_t end = r->end;
	r->at++;
	r->end = r->at + length;
	read_nested_list(r);
	if (!r->stopped && r->at < r->end)
		reader_syntax(r, "there is a closing word or sign too many");
	r->at = r->end + 1;
	r->end = end;
	reader_leave(r);
}

void read_double_quotes(struct reader *r, struct shell_word *word)
{
	r->at++;
	while (!r->stopped && peek(r, 0) != '"') {
		char c = peek(r, 0);
		if (r->at >= r->end) {
			reader_syntax(r, "a \" is not closed");
		} else if (c == '$') {
			read_dollar(r, word, true);
		} else if (c == '`') {
			word->unknown = true;
			read_backquote(r);
		} else if (c == '\\' && peek(r, 1) == '\n') {
			r->at += 2;
		} else if (c == '\\' && peek(r, 1) && strchr("$`\"\\", peek(r, 1))) {
			word_append(word, r->script + r->at + 1, 1, true);
			r->at += 2;
		} else {
			size_t n = 1;
			while (peek(r, n) && !strchr("$`\"\\", peek(r, n)))
				n++;
			word_append(word, r->script + r->at, n, true);
			r->at += n;
		}
	}
	r->at++;
}

/* The bytes of a character, as \u and \U write it. */
static void append_character(struct shell_word *word, unsigned long character)
{
	char bytes[4];
	size_t n;
	if (character < 0x80) {
		bytes[0] = (char)character;
		n = 1;
	} else if (character < 0x800) {
		bytes[0] = (char)(0xc0 | character >> 6);
		n = 2;
	} else if (character < 0x10000) {
		bytes[0] = (char)(0xe0 | character >> 12);
		n = 3;
	} else {
		bytes[0] = (char)(0xf0 | (character >> 18 & 7));
		n = 4;
	}
	for (size_t i = n; i-- > 1; character >>= 6)
		bytes[i] = (char)(0x80 | (character & 0x3f));
	word_append(word, bytes, n, true);
}

static unsigned long read_number(struct reader *r, unsigned base, size_t digits_max)
{
	unsigned long value = 0;
	for (size_t i = 0; i < digits_max; i++, r->at++) {
		char c = peek(r, 0);
		unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
				 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
				 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
							: 99;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	return value;
}

/* One escape of $'...', at the character behind the backslash. */
static void read_c_escape(struct reader *r, struct shell_word *word)
{
	static const char letters[] = "abeEfnrtv\\'\"?";
	static const char meanings[] = "\a\b\033\033\f\n\r\t\v\\'\"?";
	char c = peek(r, 0);
	const char *known = c ? strchr(letters, c) : NULL;
	if (known) {
		word_append(word, &meanings[known - letters], 1, true);
		r->at++;
		return;
	}
	unsigned long value = 0;
	size_t before = r->at;
	if (c >= '0' && c <= '7') {
		value = read_number(r, 8, 3);
	} else if (c == 'x') {
		r->at++;
		value = read_number(r, 16, 2);
	} else if (c == 'u' || c == 'U') {
		r->at++;
		value = read_number(r, 16, c == 'u' ? 4 : 8);
		if (value >= 0x80) /* how it is written depends on the locale */
			word->unknown = true;
	} else {
		reader_hazard(r, "an escape in $'...' that is not followed");
		r->at++;
		return;
	}
	/* "\x" without digits stands for itself, and a NUL ends the text: neither is a program's
	 * honest name. */
	if (value == 0 || r->at == before + (c == 'x' || c == 'u' || c == 'U'))
		reader_hazard(r, "an escape in $'...' that is not followed");
	else if (c == 'u' || c == 'U')
		append_character(word, value & 0x1fffff);
	else
		word_append(word, (const char[]){(char)value}, 1, true);
}

static void read_c_quotes(struct reader *r, struct shell_word *word)
{
	reader_bash_only(r);
	r->at += 2;
	while (!r->stopped && peek(r, 0) != '\'') {
		if (r->at >= r->end) {
			reader_syntax(r, "a $' is not closed");
		} else if (peek(r, 0) == '\\') {
			r->at++;
			read_c_escape(r, word);
		} else {
			word_append(word, r->script + r->at, 1, true);
			r->at++;
		}
	}
	r->at++;
	word->plain = false;
}

/* A variable that arithmetic evaluates, or assigns to. */
static void arithmetic_name(struct reader *r, size_t start, size_t length)
{
	char *name = analyzer_copy(r->a, r->script + start, length);
	if (!name)
		return;
	r->counts = true;
	scope_evaluates(r->a, r->scope, name);
	if (variable_hazard(name, length))
		scope_doom(r->scope, "a variable is set that changes what programs start");
	free(name);
}

/* A $ inside of arithmetic: what its value is gets evaluated again. */
static void arithmetic_dollar(struct reader *r, struct shell_word *scratch)
{
	char next = peek(r, 1);
	size_t name = r->at + (next == '{' ? 2 : 1), end = name;
	while (end < r->end && is_name_byte(r->script[end]))
		end++;
	bool braced = next == '{' && end < r->end && r->script[end] == '}';
	if (end > name && is_name_start(r->script[name]) && (next != '{' || braced)) {
		arithmetic_name(r, name, end - name);
	} else if (next == '(' && peek(r, 2) == '(') {
		return read_dollar(r, scratch, true);
	} else if (!(next == '{' && peek(r, 2) == '#') && !(next && strchr("#?$!", next))) {
		reader_hazard(r, "arithmetic runs what a value may hold");
	}
	read_dollar(r, scratch, true);
}

static bool skip_name(struct reader *r)
{
	if (!is_name_start(peek(r, 0)))
		return false;
	while (is_name_byte(peek(r, 0)))
		r->at++;
	return true;
}

/* One thing inside of arithmetic that is no parenthesis. */
static void read_operand(struct reader *r, struct shell_word *scratch)
{
	char c = peek(r, 0);
	size_t start = r->at;
	if (r->at >= r->end) {
		reader_syntax(r, "arithmetic is not closed");
	} else if (c == '$') {
		arithmetic_dollar(r, scratch);
	} else if (c == '`') {
		reader_hazard(r, "arithmetic runs what a value may hold");
		read_backquote(r);
	} else if (c == '\'' || c == '\\') {
		reader_odd(r, "quotes inside of arithmetic");
	} else if (skip_name(r)) {
		arithmetic_name(r, start, r->at - start);
	} else if (c >= '0' && c <= '9') {
		while (is_name_byte(peek(r, 0)) || peek(r, 0) == '#' || peek(r, 0) == '@')
			r->at++;
	} else { /* a " only groups: what is inside counts the same */
		r->at++;
	}
}

void read_arithmetic(struct reader *r, const char *close)
{
	cleanup_word struct shell_word scratch = {
		.value = BUFFER_INIT(MAX_SCRIPT_BYTES), .quoted = BUFFER_INIT(MAX_SCRIPT_BYTES)};
	if (!reader_enter(r))
		return;
	/* The other kind of bracket may hold what would close this one. */
	char open = close[0] == ']' ? '[' : '(', shut = close[0] == ']' ? ']' : ')';
	size_t length = strlen(close);
	unsigned level = 0;
	while (!r->stopped) {
		char c = peek(r, 0);
		if (level == 0 && r->at + length <= r->end &&
			memcmp(r->script + r->at, close, length) == 0)
			break;
		if (c == shut && level == 0) {
			reader_odd(r, "parentheses that are no arithmetic");
		} else if (c == open || c == shut) {
			level += c == open ? 1 : -1U;
			r->at++;
		} else {
			read_operand(r, &scratch);
		}
	}
	r->at += length;
	reader_leave(r);
}

bool closes_as_arithmetic(const struct reader *r)
{
	unsigned level = 0;
	for (size_t i = r->at; i < r->end; i++) {
		char c = r->script[i];
		if (c == '\'' || c == '"' || c == '\\')
			return false; /* said nowhere else: then nothing is assumed */
		if (c == '(')
			level++;
		else if (c == ')' && --level == 1)
			return i + 1 < r->end && r->script[i + 1] == ')';
	}
	return false;
}

/* The operator of ${name...}, at it. Sets *expression where what follows is arithmetic. */
static void read_operator(struct reader *r, const char *name, bool *expression)
{
	char c = peek(r, 0), next = peek(r, 1);
	bool colon = c == ':' && next && strchr("-=+?", next);
	if (colon)
		c = next;
	if ((c == '/' || c == '^' || c == ',' || c == '@') || (c == ':' && !colon))
		reader_bash_only(r);
	*expression = c == ':' && !colon;
	if (c == '@' && (next == 'P' || peek(r, 2) != '}'))
		reader_hazard(r, "${...@P} runs what a variable holds");
	if (c == '=' && name)
		scope_assign(r->a, r->scope, name, false);
}

/* The word behind the operator, up to the brace. In double quotes, whether a ' quotes depends on
 * the operator: that is not followed. */
static void read_operand_word(struct reader *r, struct shell_word *scratch, bool in_quotes)
{
	while (!r->stopped && peek(r, 0) != '}') {
		char c = peek(r, 0);
		if (r->at >= r->end) {
			reader_syntax(r, "a ${ is not closed");
		} else if (c == '\\') {
			r->at += r->at + 1 < r->end ? 2 : 1;
		} else if (c == '\'' && in_quotes) {
			reader_odd(r, "a ' inside of \"${...}\"");
		} else if (c == '\'') {
			const char *shut = memchr(r->script + r->at + 1, '\'', r->end - r->at - 1);
			if (!shut)
				return reader_syntax(r, "a ' is not closed");
			r->at = (size_t)(shut - r->script) + 1;
		} else if (c == '"') {
			read_double_quotes(r, scratch);
		} else if (c == '$') {
			read_dollar(r, scratch, in_quotes);
		} else if (c == '`') {
			read_backquote(r);
		} else if ((c == '<' || c == '>') && peek(r, 1) == '(' && !in_quotes) {
			read_process_substitution(r);
		} else {
			r->at++;
		}
	}
}

/* name, name[subscript] or a special parameter, with what stands before it. Returns the name, or
 * NULL where it has none that can be assigned to. */
static char *read_parameter(struct reader *r)
{
	bool indirect = peek(r, 0) == '!' && peek(r, 1) != '}';
	r->at += indirect || (peek(r, 0) == '#' && peek(r, 1) != '}' && peek(r, 1) != '#');
	size_t start = r->at;
	bool named = skip_name(r);
	char *name = named ? analyzer_copy(r->a, r->script + start, r->at - start) : NULL;
	if (!named) {
		while (peek(r, 0) >= '0' && peek(r, 0) <= '9')
			r->at++;
		if (r->at == start && peek(r, 0) && strchr("@*#?-$!", peek(r, 0)))
			r->at++;
		else if (r->at == start && peek(r, 0) != ':') /* newer shells: ${ command; } */
			reader_odd(r, "a ${...} without a name");
	}
	if (peek(r, 0) == '[' && named) {
		reader_bash_only(r);
		bool all = (peek(r, 1) == '@' || peek(r, 1) == '*') && peek(r, 2) == ']';
		r->at += all ? 3 : 1;
		if (!all)
			read_arithmetic(r, "]");
		indirect &= !all;
	}
	/* ${!prefix*} and ${!name[@]} list names; every other ${!x} goes where the value says. */
	bool lists = peek(r, 1) == '}' && (peek(r, 0) == '*' || peek(r, 0) == '@');
	if (indirect && !lists)
		reader_hazard(r, "${!...} evaluates what a variable holds");
	if (indirect)
		reader_bash_only(r);
	return name;
}

static void read_braced(struct reader *r, bool in_quotes)
{
	cleanup_word struct shell_word scratch = {
		.value = BUFFER_INIT(MAX_SCRIPT_BYTES), .quoted = BUFFER_INIT(MAX_SCRIPT_BYTES)};
	if (!reader_enter(r))
		return;
	r->at += 2;
	cleanup_free char *name = read_parameter(r);
	bool expression = false;
	if (!r->stopped && peek(r, 0) != '}')
		read_operator(r, name, &expression);
	if (expression) {
		r->at++;
		read_arithmetic(r, "}");
	} else {
		read_operand_word(r, &scratch, in_quotes);
		r->at++;
	}
	reader_leave(r);
}

void read_dollar(struct reader *r, struct shell_word *word, bool in_quotes)
{
	char next = peek(r, 1);
	if (next == '\'' && !in_quotes)
		return read_c_quotes(r, word);
	if (next == '"' && in_quotes) { /* the quotes end here */
		word_append(word, "$", 1, true);
		r->at++;
		return;
	}
	bool unknown = word->unknown;
	word->unknown = true;
	if (next == '(' && peek(r, 2) == '(') {
		r->at++;
		if (!closes_as_arithmetic(r))
			return reader_odd(r, "parentheses that may be no arithmetic");
		r->at += 2;
		read_arithmetic(r, "))");
	} else if (next == '(') {
		read_parentheses(r);
	} else if (next == '{') {
		read_braced(r, in_quotes);
	} else if (next == '[') {
		reader_bash_only(r);
		r->at += 2;
		read_arithmetic(r, "]");
	} else if (next == '"') {
		reader_bash_only(r);
		r->at++;
		read_double_quotes(r, word);
	} else if (is_name_start(next)) {
		r->at++;
		skip_name(r);
	} else if (next && strchr("0123456789@*#?-$!", next)) {
		r->at += 2;
	} else if (next == '\\' && peek(r, 2) == '\n') {
		reader_odd(r, "a line is continued behind a $");
	} else {
		r->at++;
		word->unknown = unknown;
		word_append(word, "$", 1, true);
	}
}
