/* The inner of the two subreapers of a box without a PID namespace. */
#ifndef COFFER_RUN_KEEPER_H
#define COFFER_RUN_KEEPER_H

#include <stdnoreturn.h>
#include <sys/types.h>

/* Called in the process that the supervisor has started, before anything of the box exists. Forks:
 * returns only in the new child, which goes on to become init, in the v2 group of cgroup_fd (-1:
 * in this process's own). The process itself stays outside of every wall, the box's control group
 * included, as the keeper: when init ends, or the supervisor (the other end of the socket
 * `supervisor` is closed), it kills whatever the box has left and goes. */
void keeper_fork(int supervisor, int cgroup_fd);

#endif
