/* Two texts that a stranger wrote: applying the hunks to the first gives the second, and the counts say
 * what the hunks hold. The input is two texts with a byte of 0xff between them, behind one byte that
 * says how many lines of context are wanted. */
#include "layer/text_diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	char *data;
	size_t size;
};

static void add(struct text *text, const char *data, size_t size)
{
	memcpy(text->data + text->size, data, size);
	text->size += size;
}

/* Takes a line off the hunks. */
static size_t line_at(const char *s, const char *end)
{
	const char *newline = memchr(s, '\n', (size_t)(end - s));
	return newline ? (size_t)(newline - s) + 1 : (size_t)(end - s);
}

static const char *apply_line(const char *s, const char *end, const char **at,
	const char *before_end, struct text *result, struct text_counts *counts)
{
	size_t length = line_at(s, end);
	char mark = *s;
	const char *text = s + 1, *next = s + length;
	size_t text_bytes = length - 1;
	if (next < end && *next == '\\') {
		text_bytes--;
		next += line_at(next, end);
	}
	if (mark != '+') {
		if ((size_t)(before_end - *at) < text_bytes || memcmp(*at, text, text_bytes) != 0)
			abort();
		*at += text_bytes;
	}
	if (mark != '-')
		add(result, text, text_bytes);
	counts->insertions += mark == '+';
	counts->deletions += mark == '-';
	return next;
}

static void check(const char *before, size_t before_bytes, const char *after, size_t after_bytes,
	const char *hunks, size_t hunks_bytes)
{
	struct text result = {.data = malloc(before_bytes + after_bytes + hunks_bytes + 1)};
	struct text_counts counted, seen = {0};
	const char *at = before, *before_end = before + before_bytes;
	const char *s = hunks, *end = hunks + hunks_bytes;
	unsigned line = 0;
	while (s < end) {
		unsigned first = 0, many = 1, rest;
		if (sscanf(s, "@@ -%u,%u", &first, &many) < 1)
			abort();
		s += line_at(s, end);
		for (unsigned wanted = many ? first - 1 : first; line < wanted; line++) {
			size_t length = line_at(at, before_end);
			add(&result, at, length);
			at += length;
		}
		rest = many;
		while (s < end && *s != '@') {
			rest -= *s != '+';
			line += *s != '+';
			s = apply_line(s, end, &at, before_end, &result, &seen);
		}
		if (rest != 0)
			abort();
	}
	add(&result, at, (size_t)(before_end - at));
	if (result.size != after_bytes || memcmp(result.data, after, after_bytes) != 0)
		abort();
	if (text_diff_count(before, before_bytes, after, after_bytes, &counted) != 0 ||
		counted.insertions != seen.insertions || counted.deletions != seen.deletions)
		abort();
	free(result.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 20)
		return 0;
	unsigned context = data[0] % 8;
	const char *before = (const char *)data + 1, *end = (const char *)data + size;
	const char *middle = memchr(before, 0xff, size - 1);
	const char *after = middle ? middle + 1 : end;
	size_t before_bytes = (size_t)((middle ? middle : end) - before);
	char *hunks = NULL;
	size_t hunks_bytes = 0;
	FILE *to = open_memstream(&hunks, &hunks_bytes);
	if (!to)
		return 0;
	struct error error;
	int r = text_diff(before, before_bytes, after, (size_t)(end - after), context, to, &error);
	fclose(to);
	bool same =
		before_bytes == (size_t)(end - after) && memcmp(before, after, before_bytes) == 0;
	if (r < 0 || (r == 0) != same || (r == 0) != (hunks_bytes == 0))
		abort();
	check(before, before_bytes, after, (size_t)(end - after), hunks, hunks_bytes);
	free(hunks);
	return 0;
}
