/* Promise P2, the part that no mount can keep: a protected name that did not exist must not come to
 * stay. Directories, links and renames of such names are refused by the broker; what slips through
 * (a plain file, or a race) is seen here, moved into quarantine, and the run fails. */
#ifndef COFFER_RUN_WATCH_H
#define COFFER_RUN_WATCH_H

#include "base/error.h"
#include "plan/plan.h"
#include "run/denials.h"

#include <stdbool.h>
#include <stdint.h>

struct watch; /* opaque */

/* Looks at each of plan->watches now, remembers what is there, and asks to be told of changes: by
 * SIGIO, which the caller has blocked and waits for. *ret is NULL with 0 returned where the plan
 * has nothing to watch. */
int watch_new(const struct plan *plan, struct watch **ret, struct error *error);

/* Finishes what supervisors that were killed (kill -9) could not: moves into quarantine what their
 * boxes made. To be called before anything is planned, since it changes what is there. Returns how
 * many things that were. */
unsigned watch_recover(void);
/* False where the kernel has no such signal: then the caller checks by the clock. */
bool watch_is_told(const struct watch *watch);

/* Looks. Returns whether a protected name is now in a watched directory that the box may have made:
 * then the box must be stopped and watch_clean() called. *continued is how many calls that make
 * directories or links the broker has let through so far: while that is none, a directory or link
 * that appears was certainly not made by the box; it is reported and left. */
bool watch_check(struct watch *watch, const uint64_t *continued, struct denials *denials);

/* After the last process of the box is gone: moves what it made into quarantine. Returns how many
 * things that were; each is in denials, with where it is now. */
unsigned watch_clean(struct watch *watch, struct denials *denials);
void watch_free(struct watch *watch);

#endif
