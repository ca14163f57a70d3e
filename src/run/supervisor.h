/* The process outside that owns a box, from launch to report. */
#ifndef COFFER_RUN_SUPERVISOR_H
#define COFFER_RUN_SUPERVISOR_H

#include "confine/mounts.h"
#include "plan/plan.h"
#include "run/denials.h"
#include "run/egress_process.h"
#include "run/report.h"

struct supervise_options {
	const struct plan *plan;
	int stdio[3]; /* the caller's descriptors for the first command; borrowed */
	struct egress_process *egress;     /* borrowed; NULL: the box has no network */
	bool egress_settled;               /* else it is while the box is being built */
	const struct mounts_stack *stacks; /* of the plan's layer, see confine/mounts.h */
	size_t stacks_count;
	int client; /* libcoffer's socket (see run/protocol.h), or -1 */
};

/* Builds the box, runs the plan's command in it, and returns when everything in it has ended and
 * been cleaned up. This process becomes the box's supervisor: it blocks signals, reaps children and
 * may become a subreaper, so it must have nothing else to do. *ret_report is always filled (to be
 * released); *ret_denials (may be NULL; freed by denials_free()) holds what was refused. Returns 0
 * if the command was started, or -errno with the reason in ret_report->error. */
int supervise(const struct supervise_options *options, struct report *ret_report,
	struct denials **ret_denials);

#endif
