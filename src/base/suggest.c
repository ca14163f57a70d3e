#include "base/suggest.h"

#include <string.h>

enum { LONGEST = 64 };

static size_t smallest(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance; words longer than LONGEST are never near. */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	if (la > LONGEST || lb > LONGEST)
		return LONGEST;
	size_t rows[3][LONGEST + 1];
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3],
		       *two_above = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			row[j] = smallest(
				smallest(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = smallest(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}

const char *suggest_nearest(const char *word, const void *names, size_t count, size_t stride_bytes)
{
	const char *best = NULL;
	size_t best_distance = LONGEST;
	for (size_t i = 0; i < count; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride_bytes);
		if (!name)
			continue;
		size_t d = distance(word, name);
		if (d < best_distance) {
			best_distance = d;
			best = name;
		}
	}
	/* A third of the word may be wrong, but never less than one letter nor more than four. */
	size_t allowed = strlen(word) / 3;
	if (allowed < 1)
		allowed = 1;
	if (allowed > 4)
		allowed = 4;
	return best_distance <= allowed ? best : NULL;
}
