#include "task/words.h"

#include "base/utf8.h"

#include <stddef.h>

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
