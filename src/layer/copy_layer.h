/* Whole layers, copied: where stacking will not do. */
#ifndef COFFER_LAYER_COPY_LAYER_H
#define COFFER_LAYER_COPY_LAYER_H

#include "layer/layer.h"

/* Fills `to`, which has the roots of `from` and nothing in them, with what those hold: files (shared
 * where the file system can), whiteouts, marks, hard links, records. *ret_bytes: what was copied. */
int copy_layer_content(const struct layer *from, const struct layer *to, uint64_t *ret_bytes,
	struct error *error);

#endif
