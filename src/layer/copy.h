/* A layer where overlays are not to be had: the box works on a copy of the workspace. */
#ifndef COFFER_LAYER_COPY_H
#define COFFER_LAYER_COPY_H

#include "layer/layer.h"

struct layer_copy_cost {
	uint64_t entries;
	uint64_t bytes; /* that the files take */
	uint64_t
		reflinked_bytes; /* of those: shared with the original until one of them is written */
	uint64_t time_us;
};

/* Whether the root's upper is a complete copy, and what was copied is recorded. */
bool layer_copy_is_complete(const struct layer_root *root);
/* Makes it one, of what the base holds now: all of it, or an error and nothing. layer_settle() is to
 * follow, before the first run; a copy without its records is made anew. Files keep modes, times,
 * owners (as root), attributes, holes, and their links among one another. */
int layer_copy_root(
	const struct layer_root *root, struct layer_copy_cost *ret, struct error *error);

#endif
