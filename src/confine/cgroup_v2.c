/* The unified hierarchy (also the empty one of a hybrid host, which can still freeze and kill). */
#include "confine/cgroup_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

enum { FREEZE_PATIENCE_US = 1000000, KILL_ROUNDS = 3 };

static int set_memory(int group_fd, uint64_t bytes, const char **ret_file)
{
	int error = group_write_number(group_fd, *ret_file = "memory.max", bytes);
	if (error)
		return error;
	/* Swap would let a box hold more than its limit. No such file: swap is not accounted, so
	 * there is none, or the host has given it up. */
	error = fd_write_file(group_fd, *ret_file = "memory.swap.max", "0");
	if (error && error != -ENOENT)
		return error;
	/* One killed process of many leaves a box that hangs: all go, and the cause is plain. */
	return fd_write_file(group_fd, *ret_file = "memory.oom.group", "1");
}

static int v2_set_limits(
	int group_fd, unsigned controllers, const struct limits *limits, const char **ret_file)
{
	int error = 0;
	if (controllers & CONTROLLER_MEMORY)
		error = set_memory(group_fd, limits->memory_bytes, ret_file);
	if (!error && (controllers & CONTROLLER_PIDS))
		error = group_write_number(group_fd, *ret_file = "pids.max", limits->pids);
	if (!error && (controllers & CONTROLLER_CPU)) {
		char text[64];
		struct cpu_bandwidth cpu = cpu_bandwidth(limits->cpu_milli);
		snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, cpu.quota_us, cpu.period_us);
		error = fd_write_file(group_fd, *ret_file = "cpu.max", text);
	}
	return error;
}

/* Lines of io.stat: "8:0 rbytes=1 wbytes=2 rios=3 ...". A disk and what is stacked on it (device
 * mapper) are both listed, so this is what the devices did, not what programs asked for. */
static void read_io(int group_fd, struct cgroup_usage *usage)
{
	char text[8192];
	if (!group_read_text(group_fd, "io.stat", text, sizeof(text)))
		return;
	for (const char *s = text; (s = strstr(s, "bytes=")); s += strlen("bytes=")) {
		uint64_t bytes = strtoull(s + strlen("bytes="), NULL, 10);
		if (s - text >= 2 && s[-1] == 'r' && s[-2] == ' ')
			usage->io_read_bytes += bytes;
		else if (s - text >= 2 && s[-1] == 'w' && s[-2] == ' ')
			usage->io_write_bytes += bytes;
	}
}

static void v2_read_usage(int group_fd, unsigned controllers, struct cgroup_usage *usage)
{
	uint64_t number;
	if (controllers & CONTROLLER_MEMORY) {
		/* memory.peak: 5.19. */
		if (group_read_number(group_fd, "memory.peak", &number) ||
			group_read_number(group_fd, "memory.current", &number))
			usage->memory_peak_bytes = number;
		/* Counts every OOM kill in the group, also one for an ancestor's limit or the
		 * host's: the cause is want of memory all the same. */
		if (group_read_key(group_fd, "memory.events", "oom_kill", &number) && number > 0)
			usage->out_of_memory = true;
	}
	if (controllers & CONTROLLER_PIDS) {
		if (group_read_number(group_fd, "pids.peak", &number))
			usage->pids_peak = number;
		if (group_read_key(group_fd, "pids.events", "max", &number) && number > 0)
			usage->pids_limit_hit = true;
	}
	/* Kept by the core, with or without the cpu controller. */
	if (group_read_key(group_fd, "cpu.stat", "usage_usec", &number))
		usage->cpu_us = number;
	read_io(group_fd, usage);
}

static int v2_freeze(int group_fd, bool frozen)
{
	int error = fd_write_file(group_fd, "cgroup.freeze", frozen ? "1" : "0");
	if (error)
		return error;
	cleanup_close int fd = openat(group_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	uint64_t deadline_us = clock_now_us() + FREEZE_PATIENCE_US;
	for (;;) {
		char text[128] = "";
		uint64_t state;
		ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
		if (length < 0)
			return -errno;
		if (group_text_key(text, "frozen", &state) && (state == 1) == frozen)
			return 0;
		uint64_t now_us = clock_now_us();
		if (now_us >= deadline_us)
			return -ETIMEDOUT;
		struct pollfd changed = {.fd = fd, .events = POLLPRI};
		if (poll(&changed, 1, (int)((deadline_us - now_us) / 1000) + 1) < 0 &&
			errno != EINTR)
			return -errno;
	}
}

static int v2_kill(int group_fd, unsigned controllers, const char *name)
{
	(void)controllers;
	int error = fd_write_file(group_fd, "cgroup.kill", "1"); /* 5.14 */
	if (error != -ENOENT)
		return error;
	/* Frozen first, so that nothing forks behind the list's back; SIGKILL works on the frozen.
	 * One that the kernel holds uninterruptibly keeps the freeze from completing: hence the
	 * rounds. */
	for (int round = 0; round < KILL_ROUNDS; round++) {
		error = v2_freeze(group_fd, true);
		if (group_kill_members(group_fd, name) == 0 || !error)
			return 0;
	}
	return error;
}

const struct group_operations cgroup_v2_operations = {
	.set_limits = v2_set_limits,
	.read_usage = v2_read_usage,
	.freeze = v2_freeze,
	.kill = v2_kill,
};
