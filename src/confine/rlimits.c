/* Theory of operation: a table of (resource, value), each set soft and hard, and never raised.
 *
 * Memory is not among them: RLIMIT_AS counts address space, of which the JVM, Go, Node and
 * sanitizers reserve gigabytes that they never touch. It is the control group's, or the
 * supervisor's meter's. */
#include "confine/rlimits.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct resource {
	int number;
	const char *name;
	rlim_t value;
};

/* Only ever lower: raising needs privilege that the box must not get by accident. */
static int lower(const struct resource *resource, struct error *error)
{
	struct rlimit limit;
	if (getrlimit(resource->number, &limit) < 0)
		return error_set_errno(error, errno, "rlimits", "cannot read %s", resource->name);
	rlim_t value = resource->value < limit.rlim_max ? resource->value : limit.rlim_max;
	limit.rlim_cur = value;
	limit.rlim_max = value;
	if (setrlimit(resource->number, &limit) < 0)
		return error_set_errno(error, errno, "rlimits", "cannot set %s", resource->name);
	return 0;
}

/* 0: no limit. In a user namespace of its own (5.14) a box's processes are counted by themselves.
 * In the landlock tier they are counted together with all the others of the same user. */
static rlim_t processes_allowed(const struct plan *plan, uint64_t user_processes)
{
	rlim_t pids = plan->limits.pids;
	if (plan->tier == TIER_NONE)
		return pids ? user_processes + pids : 0;
	if (!pids)
		pids = RLIMITS_DEFAULT_PIDS;
	return plan->tier == TIER_CONTAINER ? pids : user_processes + pids;
}

int rlimits_apply(const struct plan *plan, uint64_t user_processes, struct error *error)
{
	/* What the policy sets; 0: no limit. */
	const struct resource asked[] = {
		{RLIMIT_NPROC, "RLIMIT_NPROC", processes_allowed(plan, user_processes)},
		{RLIMIT_NOFILE, "RLIMIT_NOFILE", plan->limits.open_files},
		/* One file cannot be larger than all may be together. */
		{RLIMIT_FSIZE, "RLIMIT_FSIZE", plan->limits.disk_bytes},
	};
	/* What every box has. */
	static const struct resource always[] = {
		/* 1 and not 0: with a core_pattern that is a pipe, the kernel starts the host's
		 * crash handler (as root, outside the box) even at 0, and refuses at 1. */
		{RLIMIT_CORE, "RLIMIT_CORE", 1},
		/* Kernel memory that no meter sees. A large host allows far more of it. */
		{RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", 8 * 1024 * 1024},
		{RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 819200},
		{RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", 8192},
		/* No real-time priority, no negative nice value: neither may starve the host. */
		{RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0},
		{RLIMIT_NICE, "RLIMIT_NICE", 0},
	};
	int result = 0;
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(asked); i++)
		if (asked[i].value)
			result = lower(&asked[i], error);
	if (plan->tier == TIER_NONE) /* full access: nothing but what was asked for */
		return result;
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(always); i++)
		result = lower(&always[i], error);
	return result;
}

uint64_t rlimits_count_user_processes(uid_t uid)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	if (!proc)
		return 0;
	uint64_t count = 0;
	for (struct dirent *entry; (entry = readdir(proc));) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		char path[sizeof(entry->d_name) + sizeof("/task")];
		snprintf(path, sizeof(path), "%s/task", entry->d_name);
		struct stat st;
		/* The link count of the task directory is 2 and one for each thread. */
		if (fstatat(dirfd(proc), path, &st, 0) == 0 && st.st_uid == uid && st.st_nlink > 2)
			count += st.st_nlink - 2;
	}
	return count;
}
