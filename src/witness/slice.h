/* A piece of somebody else's text: bytes with a length, never a NUL at the end. Nothing here
 * allocates, and everything is linear in the slice. */
#ifndef COFFER_WITNESS_SLICE_H
#define COFFER_WITNESS_SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct slice {
	const char *data;
	size_t length;
};

struct slice slice_of(const char *string);
bool slice_equals(struct slice slice, const char *string);
bool slice_same(struct slice a, struct slice b);
bool slice_starts(struct slice slice, const char *prefix);
bool slice_ends(struct slice slice, const char *suffix);
bool slice_contains(struct slice slice, const char *part);
/* Takes a prefix off: whether it was there. */
bool slice_skip(struct slice *slice, const char *prefix);
/* Takes a decimal number off; what is longer than nine digits is none. */
bool slice_skip_number(struct slice *slice, unsigned *ret);
/* Before and after the first (the last) place of separator. False: it is not there, and neither
 * output is touched. They may be the slice itself. */
bool slice_split(struct slice slice, const char *separator, struct slice *ret_before,
	struct slice *ret_after);
bool slice_split_last(struct slice slice, const char *separator, struct slice *ret_before,
	struct slice *ret_after);
struct slice slice_from(struct slice slice, size_t start);
struct slice slice_until(struct slice slice, size_t end);
struct slice slice_trim(struct slice slice);
/* How many blanks it begins with. */
size_t slice_indent(struct slice slice);
/* The part that consists of c alone: for rulers. */
bool slice_is_ruler(struct slice slice, char c, size_t length_min);
/* One slice over both and whatever stands between them: b comes after a in the same text, or is
 * nothing at all. */
struct slice slice_join(struct slice a, struct slice b);

#endif
