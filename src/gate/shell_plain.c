/* Text that is as simple as it looks. Most of what people and agents write is: it needs no second
 * reader, and other shells read it as bash does. */
#include "gate/shell.h"

#include "base/cleanup.h"

#include <string.h>

static bool is_plain_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* At a $: $NAME, ${NAME} or a parameter of one character. The length, or 0. */
static size_t plain_parameter(const char *text, size_t length)
{
	size_t brace = length > 1 && text[1] == '{', n = 1 + brace;
	while (n < length && is_plain_letter(text[n]))
		n++;
	if (n == 1)
		return length > 1 && strchr("?#@*$!-", text[1]) ? 2 : 0;
	if (!brace)
		return n;
	return n > 2 && n < length && text[n] == '}' ? n + 1 : 0;
}

/* At a $: a parameter, or $(words). The length, or 0. */
static size_t plain_dollar(const char *text, size_t length)
{
	if (length < 2 || text[1] != '(')
		return plain_parameter(text, length);
	for (size_t n = 2; n < length;) {
		size_t step = is_plain_letter(text[n]) || strchr(" ./,:@%+-", text[n]);
		if (text[n] == ')')
			return n + 1;
		if (text[n] == '$')
			step = plain_parameter(text + n, length - n);
		if (step == 0)
			return 0;
		n += step;
	}
	return 0;
}

/* At a quote: quotes on one line, without an escape or command in them. The length, or 0. */
static size_t plain_quotes(const char *text, size_t length)
{
	for (size_t n = 1; n < length;) {
		if (text[n] == text[0])
			return n + 1;
		size_t step = 1;
		if (text[n] == '\n' || (text[0] == '"' && (text[n] == '`' || text[n] == '\\')))
			return 0;
		if (text[0] == '"' && text[n] == '$')
			step = plain_dollar(text + n, length - n);
		if (step == 0)
			return 0;
		n += step;
	}
	return 0;
}

/* A sign that joins commands or redirects, but opens nothing. The length, or 0. */
static size_t plain_sign(const char *text, size_t length)
{
	static const char *const signs[] = {
		"&&", "||", ">&1", ">&2", "&>", ">>", ">|", ">", "<", "|", "&", ";"};
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		size_t n = strlen(signs[i]);
		if (n > length || memcmp(text, signs[i], n) != 0)
			continue;
		/* "<<", ";;", "|&", "<&" and the like are not these. */
		bool more = n < length && strchr("<>&|;(", text[n]) != NULL && text[n];
		return more ? 0 : n;
	}
	return 0;
}

bool shell_is_plain(const char *text, size_t length_bytes)
{
	for (size_t i = 0; i < length_bytes;) {
		char c = text[i];
		size_t left = length_bytes - i, step = 0;
		bool word_start = i == 0 || strchr(" \t\n;", text[i - 1]);
		if (is_plain_letter(c) || strchr(" \t\n./,:@%+-=[]*?~^", c)) {
			step = 1;
		} else if (c == '!') {
			step = word_start && left > 1 && text[i + 1] == ' ';
		} else if (c == '#' && word_start) {
			const char *line_end = memchr(text + i, '\n', left);
			step = line_end ? (size_t)(line_end - text) - i : left;
		} else if (c == '$') {
			step = plain_dollar(text + i, left);
		} else if (c == '\'' || c == '"') {
			step = plain_quotes(text + i, left);
		} else {
			step = plain_sign(text + i, left);
		}
		if (step == 0)
			return false;
		i += step;
	}
	return true;
}

/* Words, quotes without an escape in them, and the signs that join commands: what any shell reads
 * alike. */
bool shell_is_plain_everywhere(const char *script, size_t length_bytes)
{
	bool word_start = true, first_word = true;
	for (size_t i = 0; i < length_bytes; i++) {
		char c = script[i];
		if (c == '\'' || c == '"') {
			size_t shut = i + 1;
			while (shut < length_bytes && script[shut] != c)
				if (strchr("$`\\!\n", script[shut++]))
					return false;
			i = shut;
			word_start = false;
		} else if (c == ' ' || c == '\n' || c == ';') {
			first_word = c == ' ' ? first_word && word_start : true;
			word_start = true;
		} else if (is_plain_letter(c) || strchr("./,:@+-_", c) ||
			   (c == '=' && !word_start && !first_word)) {
			word_start = false;
		} else if ((c == '&' || c == '|') && i + 1 < length_bytes && script[i + 1] == c) {
			i++;
			word_start = first_word = true;
		} else if (c == '|') {
			word_start = first_word = true;
		} else {
			return false;
		}
	}
	return true;
}
