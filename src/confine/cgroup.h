/* A box's control group, whatever the host has: v2, v1, hybrid, or none that this user may use. */
#ifndef COFFER_CONFINE_CGROUP_H
#define COFFER_CONFINE_CGROUP_H

#include "base/error.h"
#include "host/facts.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup; /* opaque; one box's directories, open descriptors */

struct cgroup_usage {
	uint64_t memory_peak_bytes; /* 0: not known */
	uint64_t cpu_us;            /* 0: not known */
	uint64_t pids_peak;         /* 0: not known */
	uint64_t io_read_bytes, io_write_bytes;
	bool out_of_memory; /* something in the box was killed for want of memory */
	bool pids_limit_hit;
};

/* Fills the cgroup_* members of facts. Cheap: reads /proc/self/cgroup and, where the hierarchies
 * are not in their usual places, mountinfo; then access(2). */
void cgroup_probe(struct host_facts *facts);

/* Makes the child group "coffer-<supervisor pid>-<random>" with the limits (memory_bytes,
 * cpu_milli, pids; zero: none) and opens what is needed later. Only the controllers that a limit
 * needs are entered on v1 (each costs), plus one hierarchy that can freeze. *ret is NULL with 0
 * returned when no controller is needed or none is usable; *ret_enforced tells which of
 * LIMIT_MEMORY, LIMIT_CPU, LIMIT_PIDS the group now enforces. First sweeps away groups of
 * supervisors that are dead.
 *
 * The group counts as alive while a descriptor of its directory is open in any process (the
 * descriptors carry a lock): the supervisor must not close them, nor init outlive it with them. */
int cgroup_make(const struct host_facts *facts, const struct limits *limits, struct cgroup **ret,
	unsigned *ret_enforced, struct error *error);

/* For CLONE_INTO_CGROUP where that alone puts the child everywhere it has to be (v2): a directory
 * descriptor (borrowed). -1: cgroup_enter() or cgroup_place() is needed. */
int cgroup_clone_fd(const struct cgroup *cgroup);
/* Moves pid into every group, from outside. The kernel waits for an RCU grace period before it
 * moves a process that is not the caller: 2-3 ms, measured. */
int cgroup_place(const struct cgroup *cgroup, pid_t pid, struct error *error);

/* The quick way in on v1 and hybrid hosts (20-35 us), in two halves:
 * - clone3 with CLONE_INTO_CGROUP and cgroup_clone_v2_fd(), unless that is -1 (no v2 group);
 * - the child calls cgroup_enter() as its first step, while it is single-threaded. Safe between
 *   clone and exec: it only writes to inherited descriptors, which were opened with the
 *   supervisor's credentials. cloned_into: the first half was done; else v2 is entered here too. */
int cgroup_clone_v2_fd(const struct cgroup *cgroup);
int cgroup_enter(const struct cgroup *cgroup, bool cloned_into, struct error *error);

bool cgroup_can_freeze(const struct cgroup *cgroup);
/* Waits until it is so, <= 1 s; then -ETIMEDOUT, with the kernel still at it. */
int cgroup_freeze(const struct cgroup *cgroup, bool frozen);
/* SIGKILL to everything inside, frozen or not. Does not wait for the last to be gone. */
int cgroup_kill(const struct cgroup *cgroup);
/* Where the kernel keeps no peak of memory (v2 before 5.19), the peak is that of the calls. */
void cgroup_read_usage(struct cgroup *cgroup, struct cgroup_usage *ret);
/* Removes the directories (retrying <= 200 ms while the last processes go) and frees. Whatever is
 * still inside is killed. NULL-safe. */
void cgroup_free(struct cgroup *cgroup);

#endif
