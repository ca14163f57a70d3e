/* Resource limits of the process itself: what holds without any control group. */
#ifndef COFFER_CONFINE_RLIMITS_H
#define COFFER_CONFINE_RLIMITS_H

#include "base/error.h"
#include "plan/plan.h"

#include <stdint.h>

/* How many processes and threads a box may have when nobody says otherwise. */
enum { RLIMITS_DEFAULT_PIDS = 4096 };

/* Sets every limit of the plan on the calling process, soft and hard; called between clone and
 * exec, after the identity is final (RLIMIT_NPROC is checked at exec too) and before capabilities
 * go. Makes only system calls. A limit that is already lower stays. user_processes: what
 * rlimits_count_user_processes() gave; used in the landlock tier only. */
int rlimits_apply(const struct plan *plan, uint64_t user_processes, struct error *error);

/* The processes and threads of uid, as RLIMIT_NPROC counts them where the box has no user namespace
 * of its own. One pass over /proc (2 us a process). Undumpable processes look like root's and are
 * not counted: the box's limit is tighter by as many. */
uint64_t rlimits_count_user_processes(uid_t uid);

#endif
