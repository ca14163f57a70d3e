/* What leaves a box in a stream, made harmless and anonymous: host paths become box paths, secrets
 * are masked, a terminal's control sequences are taken out. Only in text: from the first byte that
 * no text has (a NUL, or what is not UTF-8 within the first 8 KiB and later) a stream is binary and
 * passes as it is, but for secrets. Pieces may be cut anywhere. */
#ifndef COFFER_BASE_SANITIZE_H
#define COFFER_BASE_SANITIZE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sanitize_pair {
	const char *from, *to; /* "/home/kim/project" -> "/workspace" */
};

struct sanitize_secret {
	const char *name; /* masked as [NAME] */
	const char *value;
	size_t length_bytes;
};

struct sanitize_options {
	const struct sanitize_pair *paths; /* longest match wins, at component borders only */
	size_t paths_count;
	const struct sanitize_secret *secrets;
	size_t secrets_count;
	bool recognize; /* also what merely looks like a secret (keys with known prefixes, PEM) */
	bool strip_controls;
};

struct sanitize_counts {
	uint64_t paths, secrets, recognized, controls;
};

struct sanitizer;
int sanitizer_new(const struct sanitize_options *options, struct sanitizer **ret);
void sanitizer_free(struct sanitizer *sanitizer);
/* Appends to `to` what is certain so far; `last`: also what was held back. At most the longest
 * pattern is held back; a terminal's prompt is never held longer than that takes (see
 * sanitizer_flush()). */
void sanitizer_feed(struct sanitizer *sanitizer, const char *data, size_t length_bytes, bool last,
	struct buffer *to);
/* Nothing has come for a while: gives out what is held back, but for what may be a secret's or a
 * path's beginning. */
void sanitizer_flush(struct sanitizer *sanitizer, struct buffer *to);
void sanitizer_counts(const struct sanitizer *sanitizer, struct sanitize_counts *ret);

#endif
