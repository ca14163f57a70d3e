/* The trace of a command that failed: what it printed and how it ended, see witness/trace.h. */
#ifndef COFFER_RUN_FAILURE_H
#define COFFER_RUN_FAILURE_H

#include "confine/mounts.h"
#include "plan/plan.h"
#include "run/report.h"

struct failure {
	const struct plan *plan;
	enum cause cause;
	int exit_code;
	int signal;           /* CAUSE_SIGNALED */
	const char *limit;    /* CAUSE_LIMIT */
	const char *texts[2]; /* what it printed, or the end of it; NULL: not known */
	size_t lengths_bytes[2];
	const struct mounts_stack *stacks; /* of the plan's layer */
	size_t stacks_count;
	const struct json_t *processes; /* where each stood; or NULL */
};

/* Whether there is anything to tell of. */
bool failure_happened(enum cause cause, int exit_code);
/* JSON text (docs/TRACES.md, "null" where nothing was recognized), which the caller frees; NULL:
 * out of memory, or the text was too much for the process that looks at it. */
char *failure_trace(const struct failure *failure);

#endif
