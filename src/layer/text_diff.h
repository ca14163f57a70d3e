/* The lines that differ between two texts. */
#ifndef COFFER_LAYER_TEXT_DIFF_H
#define COFFER_LAYER_TEXT_DIFF_H

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>

/* Unified hunks, no header. Linear space; where the shortest script would cost too much a good one is
 * taken. 1: something was written; 0: nothing differs. -E2BIG: more than MAX_TEXT_DIFF_BYTES or
 * MAX_TEXT_DIFF_LINES. */
int text_diff(const char *before, size_t before_bytes, const char *after, size_t after_bytes,
	unsigned context, FILE *to, struct error *error);

struct text_counts {
	uint64_t insertions, deletions;
};
int text_diff_count(const char *before, size_t before_bytes, const char *after, size_t after_bytes,
	struct text_counts *ret);

#endif
