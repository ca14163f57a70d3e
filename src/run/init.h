/* PID 1 of a box: starts commands, reaps, passes signals on, and ends with the supervisor. */
#ifndef COFFER_RUN_INIT_H
#define COFFER_RUN_INIT_H

#include "plan/plan.h"

#include <stdnoreturn.h>

struct init_options {
	const struct plan *plan;
	int signals;     /* a signalfd for SIGCHLD */
	int null;        /* /dev/null: opening it under the filter would be looked at */
	int ruleset;     /* the commands' Landlock ruleset, or -1 */
	int stdio[3];    /* of the first command; -1: the PTY's slave */
	int slave;       /* of the box's PTY, or -1; init is the leader of its session */
	bool foreground; /* the first command has the terminal from the start */
};

/* Runs under the box's own seccomp filter, speaks on CONTROL_FD, never returns. The first command
 * is the plan's; when it has ended (and the box is not kept for more), everything else ends too. */
noreturn void init_run(const struct init_options *options);

#endif
