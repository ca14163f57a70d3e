#include "task/words.h"

#include "base/utf8.h"

#include <stdarg.h>

void words_put(FILE *to, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : *s;
		if (*s == '\n' || *s == '\t' || (length && !utf8_is_control(character)))
			fwrite(s, 1, length, to);
		else
			fprintf(to, character < 0x100 ? "\\x%02x" : "\\u%04x", character);
		s += length ? length : 1;
	}
}

void words_complain(const char *format, ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fputs("coffer: ", stderr);
	words_put(stderr, text);
	fputc('\n', stderr);
}

void words_complain_error(const struct error *error)
{
	words_complain("%s", error->message);
	if (!error->hint[0])
		return;
	fputs("  ", stderr);
	words_put(stderr, error->hint);
	fputc('\n', stderr);
}
