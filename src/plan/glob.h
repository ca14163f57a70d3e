#ifndef COFFER_PLAN_GLOB_H
#define COFFER_PLAN_GLOB_H

#include "base/error.h"
#include "base/strv.h"

/* Adds to ret every path that matches the absolute glob now. Directories that cannot be read are
 * passed over; symlinks are matched but not entered; the walk does not cross into /proc or /sys.
 * Below a directory that itself matches nothing more is listed: hiding it hides all. -E2BIG when
 * the walk passes MAX_SCAN_ENTRIES: a glob that could be expanded only in part would be a lie. */
int glob_expand(const char *glob, struct strv *ret, struct error *error);

#endif
