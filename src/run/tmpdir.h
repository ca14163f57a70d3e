/* The landlock tier has no private /tmp: TMPDIR is a directory made for one box, and removed with
 * it. */
#ifndef COFFER_RUN_TMPDIR_H
#define COFFER_RUN_TMPDIR_H

#include "base/error.h"
#include "plan/plan.h"

/* Makes the directory below /tmp for the plan's owner, grants it, and names it in the environment
 * (unless a person has named another). *ret_path is what tmpdir_remove() takes. */
int tmpdir_make(struct plan *plan, char **ret_path, struct error *error);

/* Removes it with all that is in it, and frees path (may be NULL). Nothing of the box may run any
 * more. No link is followed; what cannot be removed stays. */
void tmpdir_remove(char *path);

#endif
