/* What the host had, written down when a run in a layer has ended: so that apply and diff can tell
 * "the layer changed it" from "the host has changed it since". */
#ifndef COFFER_LAYER_SETTLE_H
#define COFFER_LAYER_SETTLE_H

#include "layer/changes.h"

/* For each path that the layer has something about and no record says anything of yet: what the base
 * has there now (type, mode, inode, size, mtime, ctime, or that there is nothing), and whether its
 * ctime shows that it changed after the run began. Written beside the root and renamed into place;
 * idempotent, so whoever opens a layer that is not settled settles it first. Needs LAYER_WRITE.
 * Cheap: one lstat() a path. ret_counts (may be NULL): what the layer itself changes of what lies
 * below it. A LAYER_COPY is settled once more before its first run, when the copy is complete: then
 * everything that was copied is recorded. */
int layer_settle(struct layer *layer, struct layer_counts *ret_counts, struct error *error);

/* Once the host has what the layer has at `paths` (below the root; "" is all) and below: what it has
 * there now is recorded instead. Needs LAYER_WRITE. */
int layer_renew(struct layer *layer, const struct layer_root *root, const struct strv *paths,
	struct error *error);

/* What is recorded of one root by the layer and by those that it stands on; where several say
 * something of a path, the lowest has seen it first. */
int layer_records_read(const struct layer *layer, const struct layer_root *root,
	struct layer_records **ret, struct error *error);
void layer_records_free(struct layer_records *records);

enum layer_host_state {
	LAYER_HOST_SAME,    /* as it was when the layer was written */
	LAYER_HOST_CHANGED, /* somebody else changed, made or removed it: a conflict */
};
struct layer_record {
	struct layer_entry base; /* only type, mode, ino, size, mtime, ctime are kept */
	bool changed_in_run;
	bool renewed; /* the host was given what the layer has: counts before what lies below */
};
/* NULL: nothing is recorded for it. What is returned is overwritten by the next call. */
const struct layer_record *layer_records_find(
	const struct layer_records *records, const char *path);
/* Of a directory only its type and mode count: what is in it has records of its own. Where nothing
 * is recorded, something is a change and nothing is none. */
enum layer_host_state layer_host_state(
	const struct layer_records *records, const char *path, const struct layer_entry *now);

#endif
