/* What a secret looks like that nobody has named: keys with prefixes that their makers gave them so
 * that they can be recognized. */
#ifndef COFFER_BASE_SECRET_SHAPES_H
#define COFFER_BASE_SECRET_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret_shape {
	const char *name;
	const char *prefix;
	size_t least_bytes;   /* after it, of */
	const char *others;   /* letters, digits and these; NULL: everything up to `until` */
	const char *until;    /* and then to the end of a line or to five dashes */
};

const struct secret_shape *secret_shapes(size_t *ret_count);
/* Whether the byte can be of the secret, after its prefix. */
bool secret_shape_takes(const struct secret_shape *shape, unsigned char byte);

/* How far the end of one has come. All zero at first. */
struct shape_end {
	size_t matched; /* of `until` */
	unsigned dashes;
	bool found, over;
	uint64_t swallowed;
};
/* How much of data still belongs to it: less than length where it ends. */
size_t secret_shape_swallow(const struct secret_shape *shape, struct shape_end *end,
	const char *data, size_t length_bytes);

#endif
