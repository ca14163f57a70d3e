#ifndef COFFER_BASE_SUGGEST_H
#define COFFER_BASE_SUGGEST_H

#include <stddef.h>

/* The nearest of names[0..count) to word by edit distance (transpositions count one), or NULL when
 * none is near enough to be a plausible slip. names is an array of records of stride_bytes whose
 * first member is a `const char *` (so any table keyed by name can be searched as it is). */
const char *suggest_nearest(const char *word, const void *names, size_t count, size_t stride_bytes);

#endif
