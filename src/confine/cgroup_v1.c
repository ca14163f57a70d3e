/* The hierarchies of version 1: one or two controllers each. */
#include "confine/cgroup_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { FREEZE_PATIENCE_US = 1000000, KILL_ROUNDS = 100, KILL_ROUNDS_WITHOUT_FORKS = 3 };

static int set_memory(int group_fd, uint64_t bytes, const char **ret_file)
{
	int error = group_write_number(group_fd, *ret_file = "memory.limit_in_bytes", bytes);
	if (error)
		return error;
	/* Memory and swap together; must not be below the memory limit, hence the order. Where swap
	 * is not accounted, the group is at least not swapped while others have what to give. */
	error = group_write_number(group_fd, *ret_file = "memory.memsw.limit_in_bytes", bytes);
	if (error == -ENOENT || error == -EOPNOTSUPP)
		error = fd_write_file(group_fd, *ret_file = "memory.swappiness", "0");
	return error == -ENOENT ? 0 : error;
}

static int set_cpu(int group_fd, uint64_t cpu_milli, const char **ret_file)
{
	struct cpu_bandwidth cpu = cpu_bandwidth(cpu_milli);
	int error = group_write_number(group_fd, *ret_file = "cpu.cfs_period_us", cpu.period_us);
	if (error)
		return error;
	error = group_write_number(group_fd, *ret_file = "cpu.cfs_quota_us", cpu.quota_us);
	/* v1 refuses a share above the parent's; then the parent's, which is smaller, holds. The
	 * numbers themselves are in range (cpu_bandwidth), so EINVAL means nothing else. */
	return error == -EINVAL ? 0 : error;
}

static int v1_set_limits(
	int group_fd, unsigned controllers, const struct limits *limits, const char **ret_file)
{
	int error = 0;
	if (controllers & CONTROLLER_MEMORY)
		error = set_memory(group_fd, limits->memory_bytes, ret_file);
	if (!error && (controllers & CONTROLLER_PIDS))
		error = group_write_number(group_fd, *ret_file = "pids.max", limits->pids);
	if (!error && (controllers & CONTROLLER_CPU))
		error = set_cpu(group_fd, limits->cpu_milli, ret_file);
	return error;
}

static void v1_read_usage(int group_fd, unsigned controllers, struct cgroup_usage *usage)
{
	uint64_t number;
	if (controllers & CONTROLLER_MEMORY) {
		if (group_read_number(group_fd, "memory.max_usage_in_bytes", &number))
			usage->memory_peak_bytes = number;
		/* 4.13. */
		if (group_read_key(group_fd, "memory.oom_control", "oom_kill", &number) &&
			number > 0)
			usage->out_of_memory = true;
	}
	if (controllers & CONTROLLER_PIDS) {
		if (group_read_number(group_fd, "pids.peak", &number))
			usage->pids_peak = number;
		if (group_read_key(group_fd, "pids.events", "max", &number) && number > 0)
			usage->pids_limit_hit = true;
	}
	if ((controllers & CONTROLLER_CPUACCT) &&
		group_read_number(group_fd, "cpuacct.usage", &number))
		usage->cpu_us = number / 1000;
}

static int v1_freeze(int group_fd, bool frozen)
{
	const char *wanted = frozen ? "FROZEN" : "THAWED";
	uint64_t deadline_us = clock_now_us() + FREEZE_PATIENCE_US;
	for (;;) {
		/* Written again each time: a process that forks meanwhile can be missed. */
		int error = fd_write_file(group_fd, "freezer.state", wanted);
		if (error)
			return error;
		char state[32];
		if (!group_read_text(group_fd, "freezer.state", state, sizeof(state)))
			return -EIO;
		if (strncmp(state, wanted, strlen(wanted)) == 0)
			return 0;
		if (clock_now_us() >= deadline_us)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* Here a frozen process does not die until it is thawed: freeze, so that nothing forks while the
 * list is read, signal, thaw. Without a freezer a pids limit of 0 stops the forks, but for those
 * that are half done: hence a few rounds. Without that either, forks are outrun by repeating. */
static int v1_kill(int group_fd, unsigned controllers, const char *name)
{
	bool no_forks =
		(controllers & CONTROLLER_PIDS) && fd_write_file(group_fd, "pids.max", "0") == 0;
	if (controllers & CONTROLLER_FREEZER) {
		int error = v1_freeze(group_fd, true);
		(void)group_kill_members(group_fd, name);
		int thaw_error = v1_freeze(group_fd, false);
		if (!error)
			return thaw_error;
	}
	for (int round = 0; round < (no_forks ? KILL_ROUNDS_WITHOUT_FORKS : KILL_ROUNDS); round++) {
		if (group_kill_members(group_fd, name) == 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return no_forks ? 0 : -EAGAIN;
}

const struct group_operations cgroup_v1_operations = {
	.set_limits = v1_set_limits,
	.read_usage = v1_read_usage,
	.freeze = v1_freeze,
	.kill = v1_kill,
};
