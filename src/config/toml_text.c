/* Theory of operation: what is known of TOML before the grammar sees it is no more than whether a
 * byte stands in a comment, in one of the four kinds of strings or outside, and how many brackets
 * are open. Where the document is valid this is never in doubt; where it is not, the grammar says
 * so afterwards, whatever was concluded here. */
#include "config/toml_internal.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

enum place { OUTSIDE, COMMENT, BASIC, LITERAL, LONG_BASIC, LONG_LITERAL };

/* What a quote at s opens; *ret_bytes is its length. */
static enum place opened(const char *s, size_t *ret_bytes)
{
	char quote = *s;
	bool three = s[1] == quote && s[2] == quote;
	*ret_bytes = three ? 3 : 1;
	if (quote == '"')
		return three ? LONG_BASIC : BASIC;
	return three ? LONG_LITERAL : LITERAL;
}

/* "\" blanks end-of-line -> "\" end-of-line blanks. Returns how many bytes that was, 0: it is not
 * that. */
static size_t move_blanks(char *s)
{
	size_t blanks = strspn(s + 1, " \t");
	const char *end = s + 1 + blanks;
	size_t end_bytes = end[0] == '\n' ? 1 : end[0] == '\r' && end[1] == '\n' ? 2 : 0;
	if (blanks == 0 || end_bytes == 0)
		return 0;
	char ending[2];
	memcpy(ending, end, end_bytes);
	memmove(s + 1 + end_bytes, s + 1, blanks);
	memcpy(s + 1, ending, end_bytes);
	return 1 + end_bytes + blanks;
}

/* One step from s in place; returns the bytes taken. */
static size_t step(char *s, enum place *place)
{
	size_t bytes = 1;
	switch (*place) {
	case OUTSIDE:
		if (*s == '#')
			*place = COMMENT;
		else if (*s == '"' || *s == '\'')
			*place = opened(s, &bytes);
		return bytes;
	case COMMENT:
		if (*s == '\n')
			*place = OUTSIDE;
		return 1;
	case BASIC:
	case LITERAL:
		if (*s == '\\' && *place == BASIC && (s[1] == '"' || s[1] == '\\'))
			return 2;
		if (*s == '\n' || *s == (*place == BASIC ? '"' : '\''))
			*place = OUTSIDE;
		return 1;
	case LONG_BASIC:
	case LONG_LITERAL:
		break;
	}
	char quote = *place == LONG_BASIC ? '"' : '\'';
	if (*s == '\\' && *place == LONG_BASIC) {
		size_t moved = move_blanks(s);
		return moved ? moved : s[1] == '"' || s[1] == '\\' ? 2 : 1;
	}
	if (*s == quote && s[1] == quote && s[2] == quote) {
		*place = OUTSIDE;
		/* Up to two quotes may stand right before the three that close. */
		return s[3] != quote ? 3 : s[4] != quote ? 4 : 5;
	}
	return 1;
}

int toml_text_check(struct toml_parser *parser, const char *text, size_t length_bytes)
{
	unsigned line = 1;
	const char *line_start = text;
	for (const char *s = text; s < text + length_bytes;) {
		unsigned column = (unsigned)(s - line_start) + 1;
		unsigned char c = (unsigned char)*s;
		if (c == '\0')
			return toml_fault(parser, line, column, "there is a NUL byte here");
		size_t bytes = utf8_sequence((const unsigned char *)s);
		if (bytes == 0)
			return toml_fault(
				parser, line, column, "the byte 0x%02x here is not UTF-8", c);
		if ((c < 0x20 && c != '\t' && c != '\n' && !(c == '\r' && s[1] == '\n')) ||
			c == 0x7f)
			return toml_fault(parser, line, column,
				"the control character 0x%02x must be written as \\u%04x", c, c);
		s += bytes;
		if (c == '\n') {
			line++;
			line_start = s;
		}
	}
	return 0;
}

size_t toml_text_piece(char *text, size_t length_bytes)
{
	/* The NUL behind the text ends every look ahead. */
	enum place place = OUTSIDE;
	size_t open = 0, whole = 0;
	for (char *s = text; s < text + length_bytes;) {
		char c = *s;
		bool outside = place == OUTSIDE;
		s += step(s, &place);
		if (outside && (c == '[' || c == '{'))
			open++;
		else if (outside && (c == ']' || c == '}') && open > 0)
			open--;
		size_t taken = (size_t)(s - text);
		if (taken > TOML_PIECE_BYTES)
			return whole;
		if (c == '\n' && place == OUTSIDE && open == 0)
			whole = taken;
	}
	return length_bytes;
}
