/* Theory of operation: one cursor over the bytes, and one scratch block as long as the file, into
 * which section, subsection, name and value are copied one behind the other: no copy can be longer
 * than what it was made from. A NUL in the file ends the parse as an error, as in git. */
#include "plan/git_config.h"

#include "base/cleanup.h"

#include <stdbool.h>
#include <string.h>

struct parser {
	const char *next, *end;
	char *out; /* where the next copy goes, in the scratch block */
};

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

static bool is_key(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-';
}

static char lower(int c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* The character at the cursor, or -1 at the end; CR LF reads as LF. */
static int peek(struct parser *parser)
{
	if (parser->next == parser->end)
		return -1;
	if (parser->next[0] == '\r' && parser->end - parser->next > 1 && parser->next[1] == '\n')
		parser->next++;
	return (unsigned char)*parser->next;
}

static int take(struct parser *parser)
{
	int c = peek(parser);
	if (c >= 0)
		parser->next++;
	return c;
}

static void skip_line(struct parser *parser)
{
	int c;
	while ((c = take(parser)) >= 0 && c != '\n')
		;
}

static void skip_blanks(struct parser *parser)
{
	while (peek(parser) == ' ' || peek(parser) == '\t')
		take(parser);
}

/* Behind the "[": `section]`, `section "subsection"]`, or `section.subsection]`. */
static int parse_section(struct parser *parser, char **ret_section, char **ret_subsection)
{
	*ret_section = parser->out;
	char *dot = NULL;
	while (is_key(peek(parser)) || peek(parser) == '.') {
		int c = take(parser);
		if (c == '.' && !dot) {
			dot = parser->out;
			c = '\0';
		}
		*parser->out++ = lower(c);
	}
	*parser->out++ = '\0';
	*ret_subsection = dot ? dot + 1 : parser->out - 1;
	int c = take(parser);
	if (c == ']')
		return 0;
	if (c != ' ' && c != '\t')
		return -EINVAL;
	skip_blanks(parser);
	if (take(parser) != '"')
		return -EINVAL;
	*ret_subsection = parser->out;
	while ((c = take(parser)) != '"') {
		if (c == '\\')
			c = take(parser);
		if (c <= 0 || c == '\n')
			return -EINVAL;
		*parser->out++ = (char)c;
	}
	*parser->out++ = '\0';
	return take(parser) == ']' ? 0 : -EINVAL;
}

/* One escaped character of a value; the escape's letter was not yet taken. Returns it, 0 for a line
 * that goes on, or -EINVAL. */
static int parse_escape(struct parser *parser)
{
	switch (take(parser)) {
	case '\n':
		return 0;
	case 't':
		return '\t';
	case 'n':
		return '\n';
	case 'b':
		return '\b';
	case '\\':
		return '\\';
	case '"':
		return '"';
	default:
		return -EINVAL;
	}
}

/* Behind the "=". Blanks at the end count only inside quotes. */
static int parse_value(struct parser *parser, char **ret)
{
	char *value = *ret = parser->out;
	char *trimmed = value; /* behind the last character that counts */
	bool quoted = false;
	skip_blanks(parser);
	for (;;) {
		int c = take(parser);
		if (c < 0 || c == '\n')
			break;
		if (c == '\0')
			return -EINVAL;
		if (!quoted && (c == '#' || c == ';')) {
			skip_line(parser);
			break;
		}
		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		bool escaped = c == '\\';
		if (escaped) {
			c = parse_escape(parser);
			if (c < 0)
				return c;
			if (c == 0)
				continue;
		}
		*parser->out++ = (char)c;
		if (quoted || escaped || !is_space(c))
			trimmed = parser->out;
	}
	if (quoted)
		return -EINVAL;
	*trimmed = '\0';
	parser->out = trimmed + 1;
	return 0;
}

/* `name = value` or `name`. */
static int parse_variable(struct parser *parser, char **ret_name, char **ret_value)
{
	*ret_name = parser->out;
	*ret_value = NULL;
	while (is_key(peek(parser)))
		*parser->out++ = lower(take(parser));
	if (parser->out == *ret_name)
		return -EINVAL;
	*parser->out++ = '\0';
	skip_blanks(parser);
	int c = peek(parser);
	if (c == '=') {
		take(parser);
		return parse_value(parser, ret_value);
	}
	if (c >= 0 && c != '\n' && c != '#' && c != ';')
		return -EINVAL;
	skip_line(parser);
	return 0;
}

int git_config_parse(
	const char *data, size_t length_bytes, git_config_handler *handler, void *context)
{
	/* Each of the four copies ends in a NUL that the file need not have had. */
	cleanup_free char *scratch = malloc(length_bytes + 8);
	if (!scratch)
		return -ENOMEM;
	struct parser parser = {.next = data, .end = data + length_bytes, .out = scratch};
	if (length_bytes >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		parser.next += 3;

	char *section = NULL, *subsection = NULL, *behind_section = NULL;
	for (;;) {
		int c = peek(&parser);
		if (c < 0)
			return 0;
		int r = 0;
		if (is_space(c)) {
			take(&parser);
		} else if (c == '#' || c == ';') {
			skip_line(&parser);
		} else if (c == '[') {
			take(&parser);
			parser.out = scratch;
			r = parse_section(&parser, &section, &subsection);
			behind_section = parser.out;
		} else if (!section) {
			r = -EINVAL;
		} else {
			char *name, *value;
			parser.out = behind_section;
			r = parse_variable(&parser, &name, &value);
			if (r == 0)
				r = handler(section, subsection, name, value, context);
		}
		if (r != 0)
			return r;
	}
}
