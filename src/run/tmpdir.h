/* The landlock tier has no private /tmp: TMPDIR is a directory made for one box, and removed with
 * it, by whichever of the keeper and the supervisor is left. */
#ifndef COFFER_RUN_TMPDIR_H
#define COFFER_RUN_TMPDIR_H

#include "base/error.h"
#include "plan/plan.h"

/* Chooses a name below /tmp that nobody can guess, grants it, and names it in the environment
 * (unless a person has named another). Nothing is made yet: nothing could be left behind. */
int tmpdir_choose(struct plan *plan, struct error *error);

/* Makes it, for the plan's owner. */
int tmpdir_make(const struct plan *plan, struct error *error);

/* Removes it with all that is in it, where one was chosen and is there. Nothing of the box may run
 * any more. No link is followed; what cannot be removed stays. */
void tmpdir_remove(const struct plan *plan);

#endif
