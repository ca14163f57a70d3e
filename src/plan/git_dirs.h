/* Where a repository keeps what git reads and runs. */
#ifndef COFFER_PLAN_GIT_DIRS_H
#define COFFER_PLAN_GIT_DIRS_H

#include "base/strv.h"

#include <stdbool.h>
#include <stddef.h>

/* All paths are absolute and clean; git_dir and common_dir are free of symlinks. */
struct git_dirs {
	char *git_dir;     /* what `.git` leads to: HEAD and index are there */
	char *common_dir;  /* objects, refs and config are there; the same in a main worktree */
	char *hooks_dir;   /* where git looks for hooks; may not exist */
	struct strv named; /* other files that its config names and git acts on: included config,
	                    * the program of core.fsmonitor; may not exist */
	bool is_linked_worktree;
	bool is_submodule; /* core.worktree says which directory the git directory belongs to */
	/* The git directory agrees that top is its worktree. Where it does not, a stranger's
	 * `.git` may point at somebody's other repository: nothing must be written there. */
	bool belongs;
	size_t hash_bytes; /* of the object format */
};

/* Looks at top (resolved), which has a `.git`. -ENOENT when that leads to no repository; *ret is
 * zeroed then. Other errors: -errno. */
int git_dirs_find(const char *top, struct git_dirs *ret);
void git_dirs_release(struct git_dirs *dirs);

#define cleanup_git_dirs __attribute__((cleanup(git_dirs_release)))

/* The target of a `.git` file ("gitdir: PATH"): a pointer into data, or NULL if it is none. Ends
 * the line in place. Exposed for its fuzz target. */
const char *git_file_target(char *data, size_t length_bytes);

#endif
