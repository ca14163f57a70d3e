#ifndef COFFER_PLAN_OWN_FILES_H
#define COFFER_PLAN_OWN_FILES_H

#include "plan/findings.h"

/* Coffer's own files - configuration, trust records and state, caches - are read-only in every box,
 * whatever its roots are: adds what lies in a writable root, or is led to from one, to the
 * findings' scan. Directories of the user's that a root would let the box make are made first,
 * empty. A root that lies among those files is -EPERM. */
int own_files_find(struct findings *findings, const struct host_facts *facts, enum policy_mode mode,
	struct error *error);

/* The same places as far as a root has a say in them, for whoever writes there what a box wanted;
 * nothing is made. home: NULL: none. */
int own_files_scan(
	const char *home, const char *root, struct scan_result *result, struct error *error);

/* Where layers and tasks are kept, which hold what other boxes wrote: the places of this user's (by
 * variable and by default) and the system's. Each is passed to add(); stops at a failure. */
int own_files_each_store(
	const struct host_facts *facts, int (*add)(const char *path, void *context), void *context);

#endif
