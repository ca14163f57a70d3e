/* Theory of operation. A patch for a person's eyes goes through a stream of its own: whole lines are
 * looked at, so that a hunk's lines are told from headers by the hunk's own count (a removed "-- x"
 * looks like a header), and every byte on which a terminal would act is written as an escape. Names
 * have been quoted before; it is the content that is a stranger's. */
#include "layer/diff_internal.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 32 * 1024 };

struct terminal_stream {
	FILE *to;
	bool color;
	bool inside;              /* the line's beginning has been written */
	unsigned long gone, come; /* lines of the hunk that are still to come */
	size_t length;
	char line[LINE_BYTES + 1];
};

static const char *color_of(struct terminal_stream *stream)
{
	static const struct {
		const char *start, *color;
	} headers[] = {{"diff --git ", "1"}, {"index ", "1"}, {"--- ", "1"}, {"+++ ", "1"},
		{"old mode ", "1"}, {"new mode ", "1"}, {"new file ", "1"}, {"deleted file ", "1"},
		{"similarity ", "1"}, {"rename ", "1"}, {"GIT binary patch", "1"}, {"# ", "33"}};
	unsigned long gone, come;
	char first = stream->line[0];
	if (stream->gone || stream->come) {
		stream->gone -= stream->gone && (first == '-' || first == ' ');
		stream->come -= stream->come && (first == '+' || first == ' ');
		return first == '-' ? "31" : first == '+' ? "32" : NULL;
	}
	if (strncmp(stream->line, "@@ -", 4) == 0) {
		const char *s = stream->line + 4 + strspn(stream->line + 4, "0123456789");
		gone = *s == ',' ? strtoul(s + 1, NULL, 10) : 1;
		s = strchr(s, '+');
		s = s ? s + 1 + strspn(s + 1, "0123456789") : "";
		come = *s == ',' ? strtoul(s + 1, NULL, 10) : 1;
		stream->gone = gone;
		stream->come = come;
		return "36";
	}
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (strncmp(stream->line, headers[i].start, strlen(headers[i].start)) == 0)
			return headers[i].color;
	return NULL;
}

/* Returns how many bytes were written: not the beginning of a character whose end is not there. */
static size_t put_escaped(struct terminal_stream *stream, bool whole)
{
	size_t i = 0;
	while (i < stream->length) {
		const unsigned char *s = (const unsigned char *)stream->line + i;
		size_t length = *s ? utf8_sequence(s) : 0;
		if (length == 0 && *s >= 0xc0 && !whole && stream->length - i < 4)
			break;
		unsigned character = length ? utf8_character(s, length) : *s;
		if (length == 0 ||
			(length == 1 && *s != '\t' && *s != '\n' && utf8_is_control(character)))
			fprintf(stream->to, "\\x%02x", *s);
		else if (length > 1 && utf8_is_control(character))
			fprintf(stream->to, "\\u%04x", character);
		else
			fwrite_unlocked(s, 1, length, stream->to);
		i += length ? length : 1;
	}
	return i;
}

static void flush_line(struct terminal_stream *stream)
{
	bool whole = stream->length > 0 && stream->line[stream->length - 1] == '\n';
	const char *color = NULL;
	stream->line[stream->length] = '\0';
	if (!stream->inside)
		color = color_of(stream);
	if (whole)
		stream->line[--stream->length] = '\0';
	if (color && stream->color)
		fprintf(stream->to, "\033[%sm", color);
	size_t written = put_escaped(stream, whole);
	/* Of a line in pieces only the first is coloured. */
	if (color && stream->color)
		fputs_unlocked("\033[m", stream->to);
	if (whole)
		putc_unlocked('\n', stream->to);
	stream->length -= written;
	memmove(stream->line, stream->line + written, stream->length);
	stream->inside = !whole;
}

static ssize_t terminal_write(void *cookie, const char *data, size_t size)
{
	struct terminal_stream *stream = cookie;
	for (size_t i = 0; i < size; i++) {
		stream->line[stream->length++] = data[i];
		if (data[i] == '\n' || stream->length == LINE_BYTES)
			flush_line(stream);
	}
	return ferror(stream->to) ? 0 : (ssize_t)size;
}

static int terminal_close_stream(void *cookie)
{
	struct terminal_stream *stream = cookie;
	if (stream->length) {
		stream->line[stream->length] = '\0';
		put_escaped(stream, true);
	}
	int r = fflush(stream->to);
	free(stream);
	return r;
}

FILE *diff_terminal(FILE *to, bool color)
{
	struct terminal_stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NULL;
	stream->to = to;
	stream->color = color;
	cookie_io_functions_t functions = {.write = terminal_write, .close = terminal_close_stream};
	FILE *file = fopencookie(stream, "w", functions);
	if (!file)
		free(stream);
	return file;
}
