/* Where each process of a box stands, when its time is up: state, system call, and the stacks. */
#ifndef COFFER_WITNESS_STACKS_H
#define COFFER_WITNESS_STACKS_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

/* The array "processes" of docs/TRACES.md for processes of the host's /proc, at most
 * MAX_STACK_PROCESSES of them. The stacks of user space are read by coffer-stacks, within
 * STACKS_MS, from inside the box; where there are no namespaces, as owner if this process is root;
 * where that program is not installed or may not look, there are none. Everything in it is what
 * the processes say of themselves. NULL: out of memory. */
json_t *stacks_collect(const pid_t *pids, size_t count, uid_t owner_uid, gid_t owner_gid);

#endif
