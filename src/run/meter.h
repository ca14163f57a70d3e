/* The supervisor's own metering of a box, for limits that no control group enforces. What it finds
 * exceeded it only tells: the supervisor ends the box. */
#ifndef COFFER_RUN_METER_H
#define COFFER_RUN_METER_H

#include "plan/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	METER_INTERVAL_MS = 50,
	METER_INTERVAL_MS_MAX = 2000,
};

struct meter; /* opaque */

struct meter_sample {
	/* Anonymous memory, swap, shared memory, memfds and the box's own tmpfs mounts. An upper
	 * bound that counts shared pages once a process, unless memory_exact. Not seen: memfds that
	 * travel in a socket, unattached SysV segments, pipe and socket buffers, page tables. */
	uint64_t memory_bytes;
	bool memory_exact; /* pages shared between processes were counted once */
	uint64_t tasks;    /* processes and threads, init included */
	uint64_t cpu_us;   /* of the living and the reaped; refreshed on every eighth sample */
	/* By how much the file systems of the writable roots have grown since meter_new(): their
	 * own count, so what others write there at the same time is in it. */
	uint64_t disk_bytes, inodes;
	bool truncated; /* more processes than the meter looks at: the rest is not in the sums */
};

/* One limit that is exceeded. seen - allowed is the overshoot for the report. */
struct meter_excess {
	unsigned limit; /* one of enum limit_bit */
	uint64_t allowed, seen;
};

/* Takes the file systems' present fill as the start, so it must come before the command runs.
 * limits_to_meter: of LIMIT_MEMORY, LIMIT_PIDS, LIMIT_DISK, LIMIT_INODES, those that the plan sets
 * and nothing else enforces. LIMIT_CPU cannot be metered: stopping and continuing from outside
 * would be seen by every shell in the box; without a control group it is not enforced. init is the
 * root of the box's process tree, in the caller's PID namespace; 0: told later. 0 or -errno. */
int meter_new(const struct plan *plan, pid_t init, unsigned limits_to_meter, struct meter **ret);

void meter_set_init(struct meter *meter, pid_t init);

/* One look. Costs about 15 us of CPU a process, 35 on every eighth sample, more where memory must
 * be counted exactly; at most a tenth of a core if called as meter_interval_ms() says. -ESRCH once
 * init is gone, or before it is known; -errno. */
int meter_sample(struct meter *meter, struct meter_sample *ret);

/* How long to wait until the next sample: METER_INTERVAL_MS, or ten times what the last one cost,
 * up to METER_INTERVAL_MS_MAX, so that a crowd of processes cannot keep the supervisor busy. */
unsigned meter_interval_ms(const struct meter *meter);

/* Whether the sample exceeds a metered limit, memory before the others. */
bool meter_verdict(
	const struct meter *meter, const struct meter_sample *sample, struct meter_excess *ret);

/* The highest memory_bytes and tasks of all samples. */
uint64_t meter_memory_peak_bytes(const struct meter *meter);
uint64_t meter_tasks_peak(const struct meter *meter);

void meter_free(struct meter *meter); /* NULL-safe */

#endif
