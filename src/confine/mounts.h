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

/* The directories of the host that an overlay is made of, beside the one at its bottom, which is
 * the mount's source. */
struct mounts_stack {
	char *top;         /* holds upper/ and work/ */
	struct strv below; /* the uppers of layers below it, the nearest first */
	size_t first_tree; /* of stack_trees: the top's */
	/* What is written need not be on the disk when the box ends: overlayfs would sync the whole
	 * file system. */
	bool is_volatile;
};

/* What the child cannot, or need not, open by itself. */
struct mounts_sources {
	int root_tree; /* the host's / as a prepared tree, or -1: clone it here */
	int *trees;    /* one for each of plan->mounts; -1 likewise */
	const struct mounts_stack *stacks; /* what plan_mount.stack is an index of */
	int *stack_trees; /* of all stacks in order, each with its top first; -1 likewise */
};

/* Whether its source is a path of the host. */
bool mounts_is_from_host(const struct plan_mount *mount);

/* Builds everything and makes it the root of the calling process, which must be alone in a new
 * mount namespace with CAP_SYS_ADMIN over it. The trees are closed. *ret_fallbacks is a set of
 * enum mounts_fallback. */
int mounts_build(const struct plan *plan, struct mounts_sources *sources, unsigned *ret_fallbacks,
	struct error *error);

#endif
