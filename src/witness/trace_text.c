#include "witness/trace_internal.h"

#include <stdlib.h>
#include <string.h>

enum { ESCAPE = 0x1b, BELL = 0x07 };

/* The length of the escape sequence at text[at]: CSI ends with a letter, OSC with BEL or ST, the
 * rest are two bytes. An unfinished one ends at the line's end, so that text behind it is not lost
 * and no byte is looked at twice. */
static size_t escape_length(const char *text, size_t at, size_t length)
{
	size_t i = at + 1;
	if (i >= length)
		return 1;
	if (text[i] == '[') {
		for (i++; i < length && text[i] != '\n'; i++)
			if (text[i] >= '@' && text[i] <= '~')
				return i + 1 - at;
		return i - at;
	}
	if (text[i] == ']') {
		for (i++; i < length && text[i] != '\n'; i++) {
			if (text[i] == BELL)
				return i + 1 - at;
			if (text[i] == ESCAPE)
				return i + (i + 1 < length && text[i + 1] == '\\' ? 2 : 0) - at;
		}
		return i - at;
	}
	return text[i] == '\n' ? 1 : 2;
}

size_t text_clean(char *text, size_t length_bytes)
{
	size_t out = 0;
	for (size_t i = 0; i < length_bytes; i++) {
		if (text[i] == ESCAPE) {
			i += escape_length(text, i, length_bytes) - 1;
			continue;
		}
		/* A lone carriage return begins the line anew, as a progress bar does. */
		if (text[i] == '\r') {
			if (i + 1 < length_bytes && text[i + 1] != '\n')
				text[out++] = '\n';
			continue;
		}
		text[out++] = text[i] ? text[i] : ' ';
	}
	return out;
}

struct slice *text_lines(const char *text, size_t length_bytes, size_t *ret_count)
{
	size_t count = 0, capacity = 0;
	struct slice *lines = NULL;
	const char *end = text + length_bytes;
	for (const char *at = text; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;
		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 256;
			struct slice *larger = reallocarray(lines, capacity, sizeof(*lines));
			if (!larger) {
				free(lines);
				return NULL;
			}
			lines = larger;
		}
		size_t length = (size_t)(stop - at);
		lines[count++] = (struct slice){
			at, length < MAX_TRACE_LINE_BYTES ? length : MAX_TRACE_LINE_BYTES};
		at = stop + 1;
	}
	*ret_count = count;
	return lines ? lines : calloc(1, sizeof(*lines));
}
