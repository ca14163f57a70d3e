/* The seven namespaces of a box, and what has to be put right inside them. */
#ifndef COFFER_CONFINE_NAMESPACES_H
#define COFFER_CONFINE_NAMESPACES_H

#include "base/error.h"
#include "confine/cgroup.h"
#include "plan/plan.h"

#include <sys/types.h>

/* Makes the child that becomes init: a copy of this process in new user, mount, PID, network, IPC,
 * UTS and cgroup namespaces. With a cgroup the child is in its v2 group from the start, and takes
 * the last step itself: namespaces_enter_cgroup(), before anything else. Returns as fork() does;
 * *ret_pidfd is set in the parent. */
pid_t namespaces_clone(const struct cgroup *cgroup, int *ret_pidfd, struct error *error);
/* Run in the child: enters the v1 groups too, and makes the cgroup namespace, whose root is the
 * group that its maker is in at that moment. */
int namespaces_enter_cgroup(const struct cgroup *cgroup, struct error *error);

/* How ids inside map to ids outside. */
struct id_map {
	uint32_t inside, outside, count;
};

/* Run in the child: an ordinary user may map one id of its own by itself. */
int namespaces_map_self(const struct plan *plan, struct error *error);
/* Run in the parent, as root: maps a range, or the workspace owner's id alone. */
int namespaces_map_child(pid_t child, struct id_map uids, struct id_map gids, struct error *error);
/* Run as root: a user namespace that nobody is in, for mounts whose ids are mapped: what belongs to
 * the inside id on disk is seen as the outside one's. Returns its descriptor. */
int namespaces_make_map(struct id_map uids, struct id_map gids, struct error *error);
/* Run in the child once it is mapped: takes the ids of the command, keeping the capabilities that
 * the rest of the set-up needs. */
int namespaces_take_ids(const struct plan *plan, struct error *error);

/* In the child, with its ids and the host's /proc: what the kernel counts by user gets a limit of
 * the user namespace's own, so that a box cannot use it up for the user outside. */
void namespaces_limit(void);

/* Host name and the loopback interface (ports from 0 open to everyone). */
int namespaces_settle(const struct plan *plan, struct error *error);

#endif
