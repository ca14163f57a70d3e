#include "run/process_tree.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/* The parent of pid, or 0. The name in the second field may hold anything, ")" too. */
static pid_t parent_of(int proc, const char *pid)
{
	char path[32];
	snprintf(path, sizeof(path), "%.20s/stat", pid);
	cleanup_close int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	char text[512];
	ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *after = strrchr(text, ')');
	int parent = 0;
	if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

struct process {
	pid_t pid, parent;
};

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
		table[count].pid = (pid_t)strtol(entry->d_name, NULL, 10);
		table[count].parent = parent_of(dirfd(dir), entry->d_name);
		count++;
	}
	*ret = table;
	return count;
}

static bool descends(const struct process *table, size_t count, pid_t pid, pid_t root)
{
	for (int steps = 0; pid > 1 && steps < 100000; steps++) {
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

enum { TREE_BATCH = 4096 };

void process_tree_signal(pid_t root, int signal)
{
	static pid_t pids[TREE_BATCH];
	size_t count = process_tree_list(root, pids, TREE_BATCH);
	for (size_t i = 0; i < count && i < TREE_BATCH; i++)
		kill(pids[i], signal);
}

/* Until a child has ended, or for a millisecond. */
static void wait_for_a_child(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigtimedwait(&set, NULL, &(struct timespec){.tv_nsec = 1000000});
}

void process_tree_end(pid_t root)
{
	/* Mostly everything is ending by itself already. Then nothing has to be looked for among
	 * all processes of the host: who has no child left has no descendant. */
	for (bool ends_by_itself = true;; ends_by_itself = false) {
		pid_t pid;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return;
		if (!ends_by_itself) {
			process_tree_signal(root, SIGSTOP);
			process_tree_signal(root, SIGKILL);
		}
		wait_for_a_child();
	}
}
