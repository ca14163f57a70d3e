/* The host's tree under an apply: reached beneath its root only, with its owner's rights. */
#ifndef COFFER_LAYER_APPLY_HOST_H
#define COFFER_LAYER_APPLY_HOST_H

#include "layer/apply_journal.h"

struct apply_host {
	int root;
	struct stat st; /* of the root */
	/* The last directory that was looked into. */
	int parent;
	char *parent_path;
};

/* device, inode 0: whatever is there. -ESTALE: another directory than that one. */
int apply_host_open(
	const char *base, uint64_t device, uint64_t inode, struct apply_host *ret, struct error *error);
void apply_host_close(struct apply_host *host);

/* As root in somebody else's tree, all that follows is done with that one's rights: whoever owns a
 * tree may rearrange it meanwhile, and must gain nothing by it. Files that are read from the layer
 * are opened outside of these. */
void apply_host_enter(const struct apply_host *host);
void apply_host_leave(const struct apply_host *host);

/* The directory that holds path (borrowed, until the next call), reached through no link and in no
 * other file system; *ret_name is in path. -errno. Between enter and leave. */
int apply_host_parent(struct apply_host *host, const char *path, const char **ret_name);

int64_t apply_time_ns(struct timespec time);
struct timespec apply_timespec(int64_t ns);
void apply_identify(const struct stat *st, struct apply_identity *ret);
/* The same inode with the same content; of a directory, the same inode. */
bool apply_is_same(const struct stat *st, const struct apply_identity *identity);

#endif
