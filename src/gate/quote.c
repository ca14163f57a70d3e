/* Words as a line of shell, and back. Only what needs no shell is taken apart: a line that a shell
 * would expand is left to one, so the two can never disagree about what it means. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "gate/show.h"

#include <string.h>

static const char plain[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-";

enum quoting { QUOTE_NONE, QUOTE_SINGLE, QUOTE_ESCAPES };

/* first: the word is the command, where NAME=VALUE would be an assignment. */
static enum quoting quoting_of(const char *word, bool first, bool ascii)
{
	enum quoting quoting = *word ? QUOTE_NONE : QUOTE_SINGLE;
	for (const unsigned char *s = (const unsigned char *)word; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : 0;
		bool blank = *s == '\n' || *s == '\t';
		if (!length || (!blank && !show_is_seen(character)) || (length > 1 && ascii))
			return QUOTE_ESCAPES;
		if (length > 1 || (!strchr(plain, *s) && (first || *s != '=')))
			quoting = QUOTE_SINGLE;
		s += length;
	}
	return quoting;
}

static void quote_escapes(const char *word, bool ascii, struct buffer *out)
{
	buffer_append_string(out, "$'");
	for (const unsigned char *s = (const unsigned char *)word; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : *s;
		if (*s == '\'' || *s == '\\')
			buffer_append_format(out, "\\%c", *s);
		else if (*s == '\n')
			buffer_append_string(out, "\\n");
		else if (*s == '\t')
			buffer_append_string(out, "\\t");
		else if (length && show_is_seen(character) && (length == 1 || !ascii))
			buffer_append(out, s, length);
		else if (length <= 1) /* three octal digits end by themselves */
			buffer_append_format(out, "\\%03o", *s);
		else
			buffer_append_format(out, "\\U%08x", character);
		s += length ? length : 1;
	}
	buffer_append_string(out, "'");
}

static void quote_single(const char *word, struct buffer *out)
{
	buffer_append_string(out, "'");
	for (const char *s = word; *s; s++) {
		if (*s == '\'')
			buffer_append_string(out, "'\\''");
		else
			buffer_append(out, s, 1);
	}
	buffer_append_string(out, "'");
}

void quote_words(char *const argv[], bool ascii, struct buffer *out)
{
	for (size_t i = 0; argv && argv[i]; i++) {
		if (i > 0)
			buffer_append_string(out, " ");
		switch (quoting_of(argv[i], i == 0, ascii)) {
		case QUOTE_NONE:
			buffer_append_string(out, argv[i]);
			break;
		case QUOTE_SINGLE:
			quote_single(argv[i], out);
			break;
		case QUOTE_ESCAPES:
			quote_escapes(argv[i], ascii, out);
			break;
		}
	}
}

const char *quote_script(char *const argv[])
{
	static const char *const shells[] = {"sh", "bash", "dash", "zsh"};
	if (!argv || !argv[0] || !argv[1] || strcmp(argv[1], "-c") != 0 || !argv[2] || argv[3])
		return NULL;
	const char *name = strrchr(argv[0], '/');
	name = name ? name + 1 : argv[0];
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(name, shells[i]) == 0)
			return argv[2];
	return NULL;
}

static bool is_utf8(const char *text)
{
	size_t length = 1;
	for (const unsigned char *s = (const unsigned char *)text; *s && length; s += length)
		length = utf8_sequence(s);
	return length > 0;
}

char *quote_command(char *const argv[])
{
	const char *script = quote_script(argv);
	if (script && is_utf8(script))
		return strdup(script);
	/* A byte becomes at most four, and "$''". */
	cleanup_buffer struct buffer out = BUFFER_INIT(5 * (size_t)MAX_ARGV_BYTES);
	quote_words(argv, false, &out);
	return buffer_error(&out) ? NULL : buffer_steal(&out);
}

/* Each takes what follows its opening quote, and returns what follows the closing one, or NULL with
 * *ret_error set. */
static const char *parse_single(const char *s, struct buffer *word, int *ret_error)
{
	const char *end = strchr(s, '\'');
	*ret_error = -EINVAL;
	if (!end)
		return NULL;
	buffer_append(word, s, (size_t)(end - s));
	return end + 1;
}

static const char *parse_double(const char *s, struct buffer *word, int *ret_error)
{
	for (; *s && *s != '"'; s++) {
		*ret_error = -EOPNOTSUPP;
		if (strchr("$`!", *s) || (*s == '\\' && s[1] == '\n'))
			return NULL;
		if (*s == '\\' && s[1] && strchr("\"\\$`", s[1]))
			s++;
		buffer_append(word, s, 1);
	}
	*ret_error = -EINVAL;
	return *s ? s + 1 : NULL;
}

static void append_utf8(struct buffer *word, unsigned long c)
{
	char bytes[4];
	size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = length; i-- > 1; c >>= 6)
		bytes[i] = (char)(0x80 | (c & 0x3f));
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	bytes[0] = (char)(lead[length] | c);
	buffer_append(word, bytes, length);
}

/* Exactly `digits` digits of the base; they may not come to 0, which no word can hold. */
static bool parse_digits(const char **s, size_t digits, int base, unsigned long *ret)
{
	char text[9], *end;
	size_t length = strnlen(*s, digits);
	if (length < digits)
		return false;
	memcpy(text, *s, digits);
	text[digits] = '\0';
	*ret = strtoul(text, &end, base);
	*s += digits;
	return text[0] >= '0' && !*end && *ret != 0;
}

/* What quote_escapes() writes; other escapes of $'...' are a shell's business. */
static const char *parse_escapes(const char *s, struct buffer *word, int *ret_error)
{
	while (*s && *s != '\'') {
		unsigned long value;
		if (*s != '\\') {
			buffer_append(word, s++, 1);
			continue;
		}
		*ret_error = -EOPNOTSUPP;
		char kind = *++s;
		if (kind == '\\' || kind == '\'') {
			buffer_append(word, s++, 1);
		} else if (kind == 'n' || kind == 't') {
			buffer_append(word, kind == 'n' ? "\n" : "\t", 1);
			s++;
		} else if (kind == 'U') {
			s++;
			if (!parse_digits(&s, 8, 16, &value) || value > 0x10ffff)
				return NULL;
			append_utf8(word, value);
		} else {
			if (!parse_digits(&s, 3, 8, &value) || value > 0xff)
				return NULL;
			buffer_append(word, &(char){(char)value}, 1);
		}
	}
	*ret_error = -EINVAL;
	return *s ? s + 1 : NULL;
}

/* One word up to an unquoted blank. Returns what follows it, or NULL with *ret_error set. */
static const char *parse_word(const char *s, bool first, struct buffer *word, int *ret_error)
{
	/* What makes a shell do more than take words, wherever it stands unquoted. */
	static const char shell_only[] = "|&;<>()$`*?[]{}~#!\n";
	while (s && *s && *s != ' ' && *s != '\t') {
		if (*s == '\'') {
			s = parse_single(s + 1, word, ret_error);
		} else if (*s == '"') {
			s = parse_double(s + 1, word, ret_error);
		} else if (s[0] == '$' && s[1] == '\'') {
			s = parse_escapes(s + 2, word, ret_error);
		} else if (strchr(shell_only, *s) || (first && *s == '=') ||
			   (*s == '\\' && s[1] == '\n')) {
			*ret_error = -EOPNOTSUPP;
			return NULL;
		} else {
			*ret_error = -EINVAL;
			if (*s == '\\' && !*++s)
				return NULL;
			buffer_append(word, s++, 1);
		}
	}
	return s;
}

int quote_parse(const char *line, struct strv *ret)
{
	struct strv words = {0};
	int r = 0;
	for (const char *s = line + strspn(line, " \t"); r == 0 && *s; s += strspn(s, " \t")) {
		cleanup_buffer struct buffer word = BUFFER_INIT(MAX_ARGV_BYTES);
		const char *end = parse_word(s, words.count == 0, &word, &r);
		if (end)
			r = buffer_error(&word);
		if (!end || r < 0)
			break;
		r = strv_add_owned(&words, buffer_steal(&word));
		s = end;
	}
	if (r == 0 && words.count == 0)
		r = -EINVAL;
	if (r < 0)
		strv_release(&words);
	else
		*ret = words;
	return r;
}
