/* Snapshots, forks, and layers on their way elsewhere. */
#ifndef COFFER_LAYER_COPIES_H
#define COFFER_LAYER_COPIES_H

#include "layer/layer.h"

/* Seals what the layer holds now as `snapshot`, and lets the layer go on, empty, on top of it: no
 * file is copied. A layer in which a box runs is frozen meanwhile and its uppers are copied
 * (reflinked where the file system can): *ret_copied_bytes says how much. */
int layer_snapshot(
	const char *which, const char *snapshot, uint64_t *ret_copied_bytes, struct error *error);
/* The layer begins anew on top of the snapshot; what it held is discarded. */
int layer_restore(const char *which, const char *snapshot, struct error *error);
/* Makes the layers names[] (NULL-terminated), each on top of what `which` holds now. */
int layer_fork(const char *which, char *const names[], struct error *error);

/* How many bytes of the disk the layer's own files take. */
int layer_size(const struct layer *layer, uint64_t *ret_bytes, struct error *error);
/* Whether it holds nothing of its own. 1, 0 or -errno. */
int layer_is_empty(const struct layer *layer);

/* One uncompressed tar in the shape of an OCI image layout: blobs/sha256/DIGEST for each layer of
 * the stack (whiteouts as .wh.NAME, extended attributes as pax records) and for a description.
 * The digest of the description names the whole; caller frees. task/import.h reads it. */
int layer_export(const char *which, int fd, char **ret_digest, struct error *error);

struct layer_garbage {
	uint64_t layers, bytes;
};
/* Removes layers without a name that nothing stands on and nobody has open, and what kills left; but
 * not what a person's run has written and nobody has looked at (`coffer discard`). May be killed at
 * any moment. keep: ids that something else refers to; NULL: they are not known, so that layers which
 * a task made stay. */
int layer_collect(char *const keep[], struct layer_garbage *ret, struct error *error);

#endif
