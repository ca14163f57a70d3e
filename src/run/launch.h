/* From a plan to a running init: the ordered story of how a box is built. */
#ifndef COFFER_RUN_LAUNCH_H
#define COFFER_RUN_LAUNCH_H

#include "base/error.h"
#include "confine/cgroup.h"
#include "confine/mounts.h"
#include "plan/plan.h"
#include "run/broker.h"

#include <sys/resource.h>
#include <sys/types.h>

struct launch_options {
	const struct plan *plan;
	const struct cgroup *cgroup; /* or NULL */
	int stdio[3];                /* what the first command gets; -1: a PTY of the box's own */
	bool terminal;               /* a PTY is wanted */
	bool foreground;             /* the first command has it from the start */
	struct rlimit open_files;    /* RLIMIT_NOFILE of the caller, for the commands */
	const struct mounts_stack *stacks; /* see confine/mounts.h */
	size_t stacks_count;
	struct denials *denials;   /* for the landlock tier's broker, see run/broker.h */
	struct connects *connects; /* or NULL */
	struct accesses *accesses; /* the same; or NULL */
	int egress;                /* the same broker's end of its socket to egress, or -1 */
	uint64_t *continued;
};

/* A box that is being, or has been, built. Owned by the caller; launched_release() closes it. */
struct launched {
	pid_t init;  /* where there is no PID namespace, its keeper */
	int pidfd;   /* of that */
	int control; /* the supervisor's end */
	int broker;  /* landlock tier: see broker_wake(); else -1 */
	int id_slot; /* as root: the lock on the box's id range, or -1 */
};

/* Starts init. What becomes of it is told over `control` (MESSAGE_READY or MESSAGE_FAILED). */
int launch(const struct launch_options *options, struct launched *ret, struct error *error);
void launched_release(struct launched *launched);

#endif
