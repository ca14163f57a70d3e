/* Strings, numbers, dates and keys. The grammar has checked their shape; their meaning is worked
 * out from their text. */
#include "config/toml_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Appends a character as UTF-8; the bytes. */
static size_t put_character(char *to, uint32_t character)
{
	if (character < 0x80) {
		to[0] = (char)character;
		return 1;
	}
	size_t bytes = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = bytes; i-- > 1; character >>= 6)
		to[i] = (char)(0x80 | (character & 0x3f));
	to[0] = (char)(heads[bytes] | character);
	return bytes;
}

/* \uXXXX and \UXXXXXXXX; the bytes taken behind the backslash, or -EINVAL. */
static int unescape_unicode(
	struct toml_parser *parser, struct toml_spot spot, const char *s, char **to)
{
	int digits = *s == 'u' ? 4 : 8;
	uint32_t character = 0;
	for (int i = 1; i <= digits; i++) {
		if (!isxdigit((unsigned char)s[i]))
			return toml_fault(parser, spot.line, spot.column,
				"\\%c needs %d hexadecimal digits", *s, digits);
		unsigned digit = isdigit((unsigned char)s[i])
					 ? (unsigned)(s[i] - '0')
					 : (unsigned)(tolower((unsigned char)s[i]) - 'a') + 10;
		character = character << 4 | digit;
	}
	if (character == 0)
		return toml_fault(parser, spot.line, spot.column,
			"a string of the configuration cannot hold NUL");
	if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
		return toml_fault(parser, spot.line, spot.column,
			"U+%04" PRIX32 " is not a character", character);
	*to += put_character(*to, character);
	return 1 + digits;
}

/* What follows a backslash at s; the bytes taken, or -EINVAL. */
static int unescape(struct toml_parser *parser, struct toml_spot spot, const char *s,
	const char *end, bool may_join, char **to)
{
	static const char letters[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
	const char *letter = *s ? strchr(letters, *s) : NULL;
	if (letter) {
		*(*to)++ = values[letter - letters];
		return 1;
	}
	if (*s == 'u' || *s == 'U')
		return unescape_unicode(parser, spot, s, to);
	/* A line that goes on in the next one: all blanks and lines up to there are dropped. */
	if (may_join && (*s == '\n' || *s == '\r'))
		return (int)strspn(s, " \t\r\n") < end - s ? (int)strspn(s, " \t\r\n")
							   : (int)(end - s);
	return toml_fault(parser, spot.line, spot.column,
		"\\%c is no escape of TOML; a backslash itself is \\\\, or use '...'", *s);
}

/* The text between quotes, both included, of any of the four kinds. */
static char *string_value(
	struct toml_parser *parser, struct toml_spot spot, const char *from, const char *to)
{
	char quote = *from;
	bool is_long = to - from >= 6 && from[1] == quote && from[2] == quote;
	size_t quotes = is_long ? 3 : 1;
	from += quotes;
	to -= quotes;
	if (is_long && *from == '\r' && from[1] == '\n')
		from++;
	if (is_long && from < to && *from == '\n')
		from++;
	char *value = malloc((size_t)(to - from) + 1), *end = value;
	if (!value) {
		toml_out_of_memory(parser);
		return NULL;
	}
	size_t quotes_in_a_row = 0;
	for (const char *s = from; s < to;) {
		if (*s == '\\' && quote == '"') {
			int taken = unescape(parser, spot, s + 1, to, is_long, &end);
			if (taken < 0) {
				free(value);
				return NULL;
			}
			s += 1 + taken;
			quotes_in_a_row = 0;
			continue;
		}
		quotes_in_a_row = *s == quote ? quotes_in_a_row + 1 : 0;
		if (quotes_in_a_row > 2) {
			toml_fault(parser, spot.line, spot.column,
				"three quotes end the string, but there are more");
			free(value);
			return NULL;
		}
		*end++ = *s++;
	}
	*end = '\0';
	return value;
}

char *toml_key_part(struct toml_parser *parser, unsigned line, unsigned column, const char **from,
	const char *to)
{
	const char *s = *from;
	while (s < to && (*s == ' ' || *s == '\t'))
		s++;
	const char *end = s;
	char *part;
	if (*s == '"' || *s == '\'') {
		for (end = s + 1; end < to && *end != *s; end++)
			if (*end == '\\' && *s == '"')
				end++;
		end++;
		part = string_value(parser, (struct toml_spot){line, column}, s, end);
	} else {
		while (end < to && *end != '.' && *end != ' ' && *end != '\t')
			end++;
		part = strndup(s, (size_t)(end - s));
		if (!part)
			toml_out_of_memory(parser);
	}
	while (end < to && (*end == ' ' || *end == '\t'))
		end++;
	*from = end < to ? end + 1 : to;
	return part;
}

/* The digits without underscores; -1: there are more than any number has. */
static int plain_digits(const char *from, size_t length_bytes, char *to, size_t room_bytes)
{
	size_t used = 0;
	for (size_t i = 0; i < length_bytes; i++) {
		if (from[i] == '_')
			continue;
		if (used + 1 >= room_bytes)
			return -1;
		to[used++] = from[i];
	}
	to[used] = '\0';
	return 0;
}

static int parse_integer(struct toml_parser *parser, struct toml_spot spot, const char *text,
	size_t length_bytes, struct toml_value *ret)
{
	char digits[128];
	int base = 10;
	const char *start = digits;
	int r = plain_digits(text, length_bytes, digits, sizeof(digits));
	if (r == 0 && digits[0] == '0' && digits[1]) {
		base = digits[1] == 'x' ? 16 : digits[1] == 'o' ? 8 : 2;
		start += 2;
	}
	char *end = digits;
	errno = 0;
	if (r == 0)
		ret->integer = strtoll(start, &end, base);
	if (r < 0 || errno == ERANGE || *end)
		return toml_fault(
			parser, spot.line, spot.column, "this number does not fit into 64 bits");
	return 0;
}

static int parse_float(struct toml_parser *parser, struct toml_spot spot, const char *text,
	size_t length_bytes, struct toml_value *ret)
{
	char digits[512], *end = digits;
	int r = plain_digits(text, length_bytes, digits, sizeof(digits));
	if (r == 0)
		ret->number = strtod(digits, &end);
	if (r < 0 || end == digits || *end)
		return toml_fault(
			parser, spot.line, spot.column, "this number has too many digits");
	return 0;
}

/* The grammar lets every month have 31 days, and a year any number of digits. */
static bool is_a_day(const char *text)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (strlen(text) > 2 && text[2] == ':')
		return true; /* a time of day */
	if (strspn(text, "0123456789") != 4)
		return false;
	int year = atoi(text), month = atoi(text + 5), day = atoi(text + 8);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return day <= days[month - 1] + (leap && month == 2);
}

static int parse_date(struct toml_parser *parser, struct toml_spot spot, const char *text,
	size_t length_bytes, struct toml_value *ret)
{
	ret->string = strndup(text, length_bytes);
	if (!ret->string)
		return toml_out_of_memory(parser);
	if (!is_a_day(ret->string))
		return toml_fault(
			parser, spot.line, spot.column, "there is no day %.32s", ret->string);
	return 0;
}

static int parse_string(struct toml_parser *parser, struct toml_spot spot, const char *text,
	size_t length_bytes, struct toml_value *ret)
{
	ret->string = string_value(parser, spot, text, text + length_bytes);
	return ret->string ? 0 : -EINVAL;
}

static int parse_boolean(struct toml_parser *parser, struct toml_spot spot, const char *text,
	size_t length_bytes, struct toml_value *ret)
{
	(void)parser, (void)spot;
	ret->boolean = length_bytes == 4 && memcmp(text, "true", 4) == 0;
	return 0;
}

static const struct {
	const char *node;
	enum toml_kind kind;
	int (*parse)(struct toml_parser *parser, struct toml_spot spot, const char *text,
		size_t length_bytes, struct toml_value *ret);
} scalars[] = {
	{"string", TOML_STRING, parse_string},
	{"integer", TOML_INTEGER, parse_integer},
	{"float", TOML_FLOAT, parse_float},
	{"boolean", TOML_BOOLEAN, parse_boolean},
	{"offset_date_time", TOML_DATE, parse_date},
	{"local_date_time", TOML_DATE, parse_date},
	{"local_date", TOML_DATE, parse_date},
	{"local_time", TOML_DATE, parse_date},
};

int toml_scalar(struct toml_parser *parser, TSNode node, struct toml_value *ret)
{
	struct toml_spot spot = toml_spot(parser, node);
	uint32_t from = ts_node_start_byte(node), to = ts_node_end_byte(node);
	const char *type = ts_node_type(node);
	for (size_t i = 0; i < ARRAY_SIZE(scalars); i++) {
		if (strcmp(type, scalars[i].node) != 0)
			continue;
		ret->kind = scalars[i].kind;
		return scalars[i].parse(parser, spot, parser->text + from, to - from, ret);
	}
	return toml_fault(parser, spot.line, spot.column, "this is not a value");
}
