/* What leaves a box in a stream, made harmless and anonymous: host paths become box paths, secrets
 * are masked, a terminal's control sequences are taken out. Only in text: from the first byte that
 * no text has (a NUL or another code that is for no terminal either, what is not UTF-8) a stream is
 * binary and passes as it is, but for secrets, which are overwritten. Pieces may be cut anywhere. */
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
	const char *name; /* masked as [NAME]; in binary streams, by as many stars */
	const char *value;
	size_t length_bytes;
};

enum sanitize_controls {
	SANITIZE_KEEP,    /* all pass */
	SANITIZE_DISPLAY, /* those that color, erase and move the cursor pass; none that makes a
	                   * terminal answer, or sets what outlives the program (titles, clipboard) */
	SANITIZE_STRIP,   /* none but tab, line feed, carriage return, form feed, vertical tab */
};

/* All of it is copied. */
struct sanitize_options {
	const struct sanitize_pair *paths; /* longest match wins, at component borders only */
	size_t paths_count;
	const struct sanitize_secret *secrets;
	size_t secrets_count;
	bool recognize; /* also what merely looks like a secret (keys with known prefixes, PEM) */
	bool terminal;  /* it goes to one: nothing is binary; what is not UTF-8 becomes U+FFFD */
	enum sanitize_controls controls;
};

struct sanitize_counts {
	uint64_t paths, secrets, recognized, controls;
};

struct sanitizer;
int sanitizer_new(const struct sanitize_options *options, struct sanitizer **ret);
void sanitizer_free(struct sanitizer *sanitizer);
/* Appends to `to` what is certain so far; `last`: also what was held back, and a new stream may
 * begin. At most the longest pattern is held back, and of a stream's first 8 KiB what follows a
 * control code, since it may turn out to be binary; a terminal's prompt is never held longer than
 * that takes (see sanitizer_flush()). */
void sanitizer_feed(struct sanitizer *sanitizer, const char *data, size_t length_bytes, bool last,
	struct buffer *to);
/* Nothing has come for a while: gives out what is held back, but for what may be a secret's or a
 * path's beginning. To a terminal all of it: what a person types there is shown as it is typed. */
void sanitizer_flush(struct sanitizer *sanitizer, struct buffer *to);
/* Whether sanitizer_flush() would give something out. */
bool sanitizer_holds(const struct sanitizer *sanitizer);
void sanitizer_counts(const struct sanitizer *sanitizer, struct sanitize_counts *ret);

#endif
