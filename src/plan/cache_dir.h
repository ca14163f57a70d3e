#ifndef COFFER_PLAN_CACHE_DIR_H
#define COFFER_PLAN_CACHE_DIR_H

#include "plan/findings.h"

/* The workspace's own, persistent cache directory below the user's cache directory, made if it is
 * not there: tool caches (npm, pip, cargo, ...) live in it, since the home is read-only in a box.
 * Keyed by the workspace's path, so that one workspace's box cannot poison another's. */
int cache_dir_find(const struct host_facts *facts, const struct found_path *workspace,
	char **ret_path, struct file_id *ret_id);

/* Adds NAME=VALUE for each tool's cache variable to environment. */
int cache_dir_environment(const char *cache, struct strv *environment);

#endif
