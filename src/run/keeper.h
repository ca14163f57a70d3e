/* The inner of the two subreapers of a box without a PID namespace. */
#ifndef COFFER_RUN_KEEPER_H
#define COFFER_RUN_KEEPER_H

#include "plan/plan.h"

#include <stdbool.h>
#include <sys/types.h>

/* Called in the process that the supervisor has started, before anything of the box exists. Forks:
 * returns only in the new child, which goes on to become init (or the broker above it), dies with
 * the keeper, and is in the v2 group of cgroup_fd (-1: in this process's own). The process itself
 * stays outside of every wall, the box's control group included, as the keeper: when the child
 * ends, on SIGTERM, or when the supervisor is gone (the other end of the socket `supervisor` is
 * closed), it kills whatever the box has left, removes the plan's TMPDIR, and exits as the child
 * did. Returns whether landlock_scope_signals() holds for the keeper, the child and its own. */
bool keeper_fork(const struct plan *plan, int supervisor, int cgroup_fd);

#endif
