#include "run/process_tree.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/sys.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { TREE_BATCH = 4096, DEPTH_MAX = 100000 };

struct process {
	pid_t pid, parent, group;
};

/* Parent and group of pid; 0 where it is gone. The name in the second field may hold anything, ")"
 * too. */
static struct process read_process(int proc, pid_t pid)
{
	struct process process = {.pid = pid};
	char path[32];
	snprintf(path, sizeof(path), "%d/stat", pid);
	cleanup_close int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return process;
	char text[512];
	ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return process;
	text[n] = '\0';
	const char *after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %*c %d %d", &process.parent, &process.group) != 2)
		process.parent = process.group = 0;
	return process;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t left = ((const struct process *)a)->pid, right = ((const struct process *)b)->pid;
	return (left > right) - (left < right);
}

static size_t read_processes(struct process **ret)
{
	cleanup_closedir DIR *dir = opendir("/proc");
	struct process *table = NULL;
	size_t count = 0, capacity = 0;
	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 256;
			struct process *larger = reallocarray(table, capacity, sizeof(*table));
			if (!larger)
				break;
			table = larger;
		}
		table[count++] = read_process(dirfd(dir), (pid_t)strtol(entry->d_name, NULL, 10));
	}
	*ret = table;
	return count;
}

static bool descends(const struct process *table, size_t count, pid_t pid, pid_t root)
{
	for (int steps = 0; pid > 1 && steps < DEPTH_MAX; steps++) {
		struct process key = {.pid = pid};
		const struct process *found =
			bsearch(&key, table, count, sizeof(*table), compare_pids);
		if (!found)
			return false;
		if (found->parent == root)
			return true;
		pid = found->parent;
	}
	return false;
}

size_t process_tree_list(pid_t root, pid_t *pids, size_t count)
{
	struct process *table = NULL;
	size_t total = read_processes(&table), found = 0;
	if (total)
		qsort(table, total, sizeof(*table), compare_pids);
	for (size_t i = 0; i < total; i++) {
		if (!descends(table, total, table[i].pid, root))
			continue;
		if (found < count)
			pids[found] = table[i].pid;
		found++;
	}
	free(table);
	return found;
}

/* Whether pid descends from root now, asked of it and of those above it alone. */
static bool still_descends(int proc, pid_t pid, pid_t root)
{
	for (int steps = 0; pid > 1 && steps < DEPTH_MAX; steps++) {
		pid = read_process(proc, pid).parent;
		if (pid == root)
			return true;
	}
	return false;
}

void process_tree_signal(pid_t root, int signal)
{
	static pid_t pids[TREE_BATCH];
	cleanup_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t count = process_tree_list(root, pids, TREE_BATCH);
	for (size_t i = 0; i < count && i < TREE_BATCH; i++) {
		/* The number may be another's by now: looked at again once it is held. */
		cleanup_close int pidfd = sys_pidfd_open(pids[i], 0);
		if (pidfd >= 0 && still_descends(proc, pids[i], root))
			sys_pidfd_send_signal(pidfd, signal);
	}
}

/* The groups of the tree: a group is killed in one step, whoever its members are by then; the one
 * that was seen in it may be gone. All are of sessions that began below root, so that nobody else
 * can be in one. */
static void kill_groups(pid_t root)
{
	struct process *table = NULL;
	size_t count = read_processes(&table);
	pid_t own = getpgrp();
	if (count)
		qsort(table, count, sizeof(*table), compare_pids);
	for (size_t i = 0; i < count; i++)
		if (table[i].group > 1 && table[i].group != own &&
			descends(table, count, table[i].pid, root))
			kill(-table[i].group, SIGKILL);
	free(table);
}

/* Until a child has ended, or for a millisecond. */
static void wait_for_a_child(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigtimedwait(&set, NULL, &(struct timespec){.tv_nsec = 1000000});
}

int process_tree_reap(void (*seen)(pid_t pid, int status))
{
	for (int i = 0; i < PROCESS_TREE_REAP; i++) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid < 0)
			return errno == ECHILD ? -ECHILD : 1;
		if (pid == 0)
			return 0;
		if (seen)
			seen(pid, status);
	}
	return 1;
}

void process_tree_end(pid_t root, bool scoped)
{
	/* Mostly everything is ending by itself already. Then nothing has to be looked for among
	 * all processes of the host: who has no child left has no descendant. */
	for (bool ends_by_itself = true;; ends_by_itself = false) {
		int more = process_tree_reap(NULL);
		if (more < 0)
			return;
		if (scoped && !ends_by_itself) {
			kill(-1, SIGKILL);
		} else if (!ends_by_itself) {
			process_tree_signal(root, SIGSTOP);
			kill_groups(root);
			process_tree_signal(root, SIGKILL);
		}
		if (!more)
			wait_for_a_child();
	}
}
