/* git = commit, around a box: private layers for its git directories before, a checked write-back
 * of what is known to be harmless after. */
#ifndef COFFER_RUN_GIT_COMMIT_H
#define COFFER_RUN_GIT_COMMIT_H

#include "base/error.h"
#include "confine/mounts.h"
#include "plan/plan.h"

struct git_commit; /* opaque */

/* Makes one layer directory (upper/ and work/) on disk for each of plan->git_layers. *ret is NULL
 * with 0 returned where there are none. */
int git_commit_prepare(const struct plan *plan, struct git_commit **ret, struct error *error);
/* For launch(): one for each of plan->git_layers. */
const struct mounts_stack *git_commit_stacks(const struct git_commit *git);
/* After the box's end: writes back, by a process with the owner's credentials. Returns a JSON
 * object for the report (caller frees): what was written, what was refused and why. */
char *git_commit_finish(struct git_commit *git, const struct plan *plan);
/* Removes the layers. NULL-safe. */
void git_commit_free(struct git_commit *git, const struct plan *plan);

#endif
