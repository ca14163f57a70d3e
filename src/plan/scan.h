/* What a writable root holds that needs a wall of its own: protected names, repositories, secrets.
 * One bounded walk per root; never follows symlinks below the root. */
#ifndef COFFER_PLAN_SCAN_H
#define COFFER_PLAN_SCAN_H

#include "base/error.h"
#include "plan/plan.h"

enum scan_kind {
	/* An existing protected name at the root's top or at a repository's top; also the real git
	 * directory and hooks directory of a repository, wherever it is. A link counts as itself
	 * (S_IFLNK): it cannot be mounted over. */
	SCAN_PROTECTED,
	/* A directory where a protected name could appear: the root, repository tops. */
	SCAN_WATCH,
	/* A secret of the workspace: .env, private key, credential file. Always a regular file. */
	SCAN_SECRET,
	/* A path that does not exist and must not come to: the hooks directory, or an included
	 * config file, that a repository's config names; where more of it is missing, the first
	 * part that is. id and mode are those of the directory it would be in. */
	SCAN_MISSING,
	/* A repository's real git directory (common directory for linked worktrees), if it agrees
	 * that the repository is its own. */
	SCAN_GIT_DIR,
	/* The own git directory of a linked worktree, or of a submodule of a repository found. */
	SCAN_GIT_WORKTREE_DIR,
};

struct scan_finding {
	enum scan_kind kind;
	char *path; /* host path, absolute, free of symlinks */
	struct file_id id;
	unsigned mode;    /* st_mode */
	const char *rule; /* the table's entry that matched, e.g. ".env*"; static */
};

struct scan_result {
	struct scan_finding *items;
	size_t count, capacity;
	bool truncated; /* a bound was hit: the caller says so */
};

/* Appends to *result. Unreadable directories are passed over. root is resolved. */
int scan_root(const char *root, struct scan_result *result, struct error *error);
/* Protects what path leads to, as far as a box with that root could have a say in it: what is
 * there, every link on the way, and where it leads to nothing, the first part that is missing. rule
 * is static. */
int scan_named(const char *root, const char *path, const char *rule, struct scan_result *result,
	struct error *error);
void scan_result_release(struct scan_result *result);

#endif
