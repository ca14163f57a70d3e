/* The box's file system: what the plan's mounts say, on a root of its own. */
#ifndef COFFER_CONFINE_MOUNTS_H
#define COFFER_CONFINE_MOUNTS_H

#include "base/error.h"
#include "plan/plan.h"

/* What could not be had and was replaced by something weaker; told in the report. */
enum mounts_fallback {
	MOUNTS_NO_PROC = 1 << 0, /* no own /proc: a few harmless files stand in for it */
};

/* A copy of the tree at mount->source, not attached to anything, with the flags that the plan says.
 * The path is opened without following any symlink, and must be the inode that was planned. With
 * userns >= 0 ids are mapped through that user namespace (needs privileges in the parent one; where
 * the file system cannot, -ENOTSUP). -ENOENT for an optional source that is gone. Returns the
 * tree's descriptor, or -errno with error filled. */
int mounts_clone_tree(const struct plan_mount *mount, int userns, struct error *error);

/* What the child cannot, or need not, open by itself. */
struct mounts_sources {
	int root_tree; /* the host's / as a prepared tree, or -1: clone it here */
	int *trees;    /* one for each of plan->mounts; -1 likewise */
	/* One directory for each of plan->git_layers, holding upper/ and work/, and its tree (-1
	 * likewise). */
	char *const *git_layers;
	int *git_trees;
};

/* Builds everything and makes it the root of the calling process, which must be alone in a new
 * mount namespace with CAP_SYS_ADMIN over it. The trees are closed. *ret_fallbacks is a set of
 * enum mounts_fallback. */
int mounts_build(const struct plan *plan, struct mounts_sources *sources, unsigned *ret_fallbacks,
	struct error *error);

#endif
