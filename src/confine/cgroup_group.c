/* Work on one group that does not differ between v1 and v2: its small files, its members. */
#include "confine/cgroup_internal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sys.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

bool group_read_text(int group_fd, const char *file, char *text, size_t text_bytes)
{
	cleanup_close int fd = openat(group_fd, file, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : fd_read_full(fd, text, text_bytes - 1);
	if (length < 0)
		return false;
	text[length] = '\0';
	return true;
}

static bool parse_number(const char *text, uint64_t *ret)
{
	if (!isdigit((unsigned char)*text)) /* "max" */
		return false;
	*ret = strtoull(text, NULL, 10);
	return true;
}

bool group_read_number(int group_fd, const char *file, uint64_t *ret)
{
	char text[32];
	return group_read_text(group_fd, file, text, sizeof(text)) && parse_number(text, ret);
}

bool group_text_key(const char *text, const char *key, uint64_t *ret)
{
	size_t length = strlen(key);
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return parse_number(line + length + 1, ret);
	}
	return false;
}

bool group_read_key(int group_fd, const char *file, const char *key, uint64_t *ret)
{
	char text[1024];
	return group_read_text(group_fd, file, text, sizeof(text)) &&
	       group_text_key(text, key, ret);
}

int group_write_number(int group_fd, const char *file, uint64_t number)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, number);
	return fd_write_file(group_fd, file, text);
}

/* A pid read from a list may be another process by the time it is signalled. The pidfd pins one
 * process; if /proc then says that it is in the group, it is that one, or a dead one. */
static bool kill_member(pid_t pid, const char *name)
{
	cleanup_close int pidfd = sys_pidfd_open(pid, 0);
	if (pidfd < 0)
		return false;
	char path[32], groups[4096];
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return group_read_text(AT_FDCWD, path, groups, sizeof(groups)) && strstr(groups, name) &&
	       sys_pidfd_send_signal(pidfd, SIGKILL) == 0;
}

size_t group_kill_members(int group_fd, const char *name)
{
	int fd = openat(group_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	cleanup_fclose FILE *list = fd < 0 ? NULL : fdopen(fd, "r");
	if (!list) {
		close_fd(&fd);
		return 0;
	}
	size_t hit = 0;
	int pid;
	while (fscanf(list, "%d", &pid) == 1)
		/* 0 is a process outside our PID namespace: not one of a box that we made. */
		if (pid > 0 && kill_member(pid, name))
			hit++;
	return hit;
}

struct cpu_bandwidth cpu_bandwidth(uint64_t cpu_milli)
{
	/* The kernel takes quotas of 1 ms at the least and periods of 1 s at the most. Above 64 Ki
	 * CPUs it makes no difference, and its own arithmetic would overflow. */
	const uint64_t most_milli = 65536 * 1000;
	struct cpu_bandwidth ret = {.period_us = cpu_milli < 10 ? 1000000 : 100000};
	if (cpu_milli > most_milli)
		cpu_milli = most_milli;
	ret.quota_us = cpu_milli * ret.period_us / 1000;
	return ret;
}
