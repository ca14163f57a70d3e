/* How a run ended, what was enforced, what it used, what it was refused. */
#ifndef COFFER_RUN_REPORT_H
#define COFFER_RUN_REPORT_H

#include "base/error.h"
#include "base/sanitize.h"
#include "plan/plan.h"
#include "run/denials.h"

#include <stdbool.h>
#include <stdint.h>

enum cause {
	CAUSE_EXITED,
	CAUSE_SIGNALED,
	CAUSE_TIMED_OUT,
	CAUSE_OUT_OF_MEMORY,
	CAUSE_LIMIT,     /* another limit, metered: disk, pids */
	CAUSE_REFUSED,   /* by the gate; or it made a protected name */
	CAUSE_NOT_FOUND, /* there is no such command */
	CAUSE_CANNOT_EXECUTE,
	CAUSE_SETUP_FAILED, /* nothing ran */
	CAUSE_KILLED,       /* the box ended from outside: its init was killed */
};

struct usage {
	uint64_t wall_us, user_us, system_us;
	uint64_t memory_peak_bytes; /* of the box (group, meter), else of its largest process */
	bool memory_peak_is_box;
	uint64_t pids_peak;
	uint64_t io_read_bytes, io_write_bytes;
	uint64_t disk_bytes;      /* how much the writable file systems grew; 0: not known */
	uint64_t overshoot_bytes; /* beyond a metered limit, when it was noticed */
	uint64_t output_bytes[2], dropped_bytes[2];
};

/* What the box's layer holds now, all runs in it together. */
struct report_layer {
	char *id; /* NULL: the box had none */
	char *name;
	uint64_t added, modified, deleted; /* entries, directories included */
	uint64_t bytes;                    /* of files that were added or modified */
};

struct report {
	enum cause cause;
	int exit_code;  /* what coffer exits with */
	int status;     /* the command's wait status, where there is one */
	char limit[16]; /* CAUSE_LIMIT: which */
	struct error error;
	unsigned fallbacks;       /* enum mounts_fallback */
	unsigned cgroup_enforced; /* enum limit_bit */
	bool cgroup;
	unsigned limits_lost; /* enum limit_bit: planned, and then neither enforced nor metered */
	struct usage usage;
	unsigned quarantined; /* things that this box made */
	unsigned recovered;   /* things that a box made whose supervisor was killed */
	char *captured[2];    /* --capture: head and tail with a line between; owned */
	size_t captured_bytes[2];
	struct sanitize_counts sanitized; /* of the output; strict and cloud */
	bool egress_lost;                 /* egress ended before the box did */
	char *egress_note;                /* what it had to say of the host, or NULL */
	struct json_t *accesses;          /* see run/accesses.h; owned; NULL: nobody asked */
	uint64_t accesses_lost;
	struct json_t *traffic; /* see run/traffic.h; owned; NULL: the box had no network */
	char *trace; /* JSON: what went wrong (run/failure.h); owned; NULL: nothing did */
	struct report_layer layer;
	char *git_result; /* JSON object of what a git layer wrote back; owned; or NULL */
};

const char *cause_name(enum cause cause);

/* JSON text with 2-space indentation; caller frees. plan may be NULL when it could not be made;
 * gate is JSON, or NULL where nothing was asked of the gate. */
char *report_to_json(const struct report *report, const struct plan *plan,
	const struct denials *denials, const char *gate);
void report_release(struct report *report);

#endif
