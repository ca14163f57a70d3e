/* Theory of operation. A box of the container tier is a PID namespace whose init descends from the
 * supervisor. A guard process stops all that is in it with SIGSTOP (which init of a namespace cannot
 * ignore when it comes from outside), until two looks in a row find nothing new and nothing that
 * runs. The guard then waits for its control pipe to close: the kernel closes that whatever becomes
 * of this program, so a kill cannot leave a box stopped. If the guard is killed instead, this program
 * finds its list of the stopped in memory that both share, and goes on from there. */
#include "layer/freeze.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char stage[] = "freeze";

enum {
	PROCESSES_MAX = 65536,
	PATIENCE_US = 5 * 1000 * 1000,
	/* In an uninterruptible call, as a parent that has called vfork() is until its child execs:
	 * it runs no code of its own, and its stop is pending. */
	UNINTERRUPTIBLE_US = 500 * 1000,
};

struct process {
	pid_t pid, parent;
	uint64_t started;
	unsigned levels; /* of PID namespaces that it is in */
	char state;
	bool inside;
};

struct stopped {
	size_t count;
	struct {
		pid_t pid;
		uint64_t started;
	} items[PROCESSES_MAX];
};

/* ---- what there is ---- */

static const char *field(const char *status, const char *name)
{
	const char *at = strstr(status, name);
	return at ? at + strlen(name) : NULL;
}

static int read_process(int proc, const char *name, struct process *ret)
{
	char path[64];
	cleanup_free char *status = NULL, *stat = NULL;
	size_t length;
	snprintf(path, sizeof(path), "%.20s/status", name);
	int r = fd_read_file(proc, path, MAX_PROC_FILE_BYTES, &status, &length);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%.20s/stat", name);
	r = fd_read_file(proc, path, MAX_PROC_FILE_BYTES, &stat, &length);
	if (r < 0)
		return r;
	const char *parent = field(status, "\nPPid:\t"), *levels = field(status, "\nNSpid:\t");
	const char *state = field(status, "\nState:\t"), *end = strrchr(stat, ')');
	if (!parent || !levels || !state || !end)
		return -EBADMSG;
	*ret = (struct process){.pid = atoi(name), .parent = atoi(parent), .state = *state};
	for (const char *s = levels; *s && *s != '\n'; s++)
		ret->levels += s == levels || s[-1] == '\t';
	/* The 22nd field; the second, which may hold anything, ends at the last parenthesis. */
	for (int skip = 0; skip < 20 && end; skip++)
		end = strchr(end + 1, ' ');
	if (!end)
		return -EBADMSG;
	ret->started = strtoull(end, NULL, 10);
	return 0;
}

struct processes {
	struct process *items;
	size_t count, capacity;
};

static int list_processes(struct processes *list)
{
	cleanup_closedir DIR *dir = opendir("/proc");
	if (!dir)
		return -errno;
	list->count = 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (list->count == list->capacity) {
			size_t capacity = list->capacity ? list->capacity * 2 : 512;
			void *items = reallocarray(list->items, capacity, sizeof(*list->items));
			if (!items)
				return -ENOMEM;
			list->items = items;
			list->capacity = capacity;
		}
		/* One that has gone meanwhile is not there. */
		if (read_process(dirfd(dir), entry->d_name, &list->items[list->count]) == 0)
			list->count++;
	}
	return 0;
}

static struct process *find(const struct processes *list, pid_t pid)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].pid == pid)
			return &list->items[i];
	return NULL;
}

/* Marks what is in a PID namespace below the supervisor. Linear in what the box has, times its depth:
 * a parent in the namespace is a short way from its init, because orphans become init's. */
static size_t mark(const struct processes *list, pid_t supervisor)
{
	const struct process *top = find(list, supervisor);
	size_t inside = 0;
	bool more = top != NULL;
	while (more) {
		more = false;
		for (size_t i = 0; i < list->count; i++) {
			struct process *process = &list->items[i];
			if (process->inside || process->levels <= top->levels)
				continue;
			const struct process *parent = find(list, process->parent);
			if (parent && (parent->inside || parent->pid == supervisor ||
					      parent->parent == supervisor)) {
				process->inside = more = true;
				inside++;
			}
		}
	}
	return inside;
}

/* ---- the guard ---- */

static bool was_stopped(const struct stopped *stopped, const struct process *process)
{
	for (size_t i = 0; i < stopped->count; i++)
		if (stopped->items[i].pid == process->pid &&
			stopped->items[i].started == process->started)
			return true;
	return false;
}

/* Whether all have stopped. */
static int stop_all(const struct processes *list, uint64_t since_us, struct stopped *stopped)
{
	bool still = true;
	for (size_t i = 0; i < list->count; i++) {
		const struct process *process = &list->items[i];
		if (!process->inside || strchr("TtZX", process->state))
			continue;
		bool told = was_stopped(stopped, process);
		if (told && process->state == 'D' && clock_now_us() - since_us > UNINTERRUPTIBLE_US)
			continue;
		still = false;
		if (told)
			continue;
		if (stopped->count == PROCESSES_MAX)
			return -E2BIG;
		/* Written down first: a kill between must not forget it. */
		stopped->items[stopped->count].pid = process->pid;
		stopped->items[stopped->count].started = process->started;
		stopped->count++;
		if (kill(process->pid, SIGSTOP) < 0 && errno != ESRCH)
			return -errno;
	}
	return still;
}

static int stop_box(pid_t supervisor, struct stopped *stopped)
{
	struct processes list = {0};
	uint64_t since_us = clock_now_us();
	size_t before = 0;
	int r = 0;
	for (useconds_t pause_us = 500;; pause_us = pause_us < 20000 ? pause_us * 2 : pause_us) {
		r = list_processes(&list);
		if (r < 0)
			break;
		size_t inside = mark(&list, supervisor);
		r = inside == 0 ? -ESRCH : stop_all(&list, since_us, stopped);
		if (r < 0 || (r == 1 && inside == before))
			break;
		before = inside;
		if (clock_now_us() - since_us > PATIENCE_US) {
			r = -EBUSY;
			break;
		}
		usleep(pause_us);
	}
	free(list.items);
	return r < 0 ? r : 0;
}

static void continue_all(const struct stopped *stopped)
{
	cleanup_closedir DIR *dir = opendir("/proc");
	for (size_t i = 0; dir && i < stopped->count; i++) {
		struct process now;
		char name[24];
		snprintf(name, sizeof(name), "%d", stopped->items[i].pid);
		/* The number may be somebody else's by now. */
		if (read_process(dirfd(dir), name, &now) == 0 &&
			now.started == stopped->items[i].started)
			kill(now.pid, SIGCONT);
	}
}

static _Noreturn void guard(pid_t supervisor, int control, struct stopped *stopped)
{
	setsid(); /* what a terminal sends to this program's group is not for it */
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "coffer-thaw");
	int keep[] = {control};
	fd_close_all_but(keep, 1);
	int r = stop_box(supervisor, stopped);
	if (fd_write_full(control, &r, sizeof(r)) == 0 && r == 0) {
		char byte;
		while (read(control, &byte, 1) < 0 && errno == EINTR)
			continue;
	}
	continue_all(stopped);
	_exit(0);
}

/* ---- this side ---- */

static struct stopped *shared; /* one freeze at a time */

int freeze_box(pid_t supervisor, struct freeze *ret, struct error *error)
{
	int ends[2], r = 0;
	*ret = (struct freeze){.control = -1};
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED)
		return error_set_errno(error, errno, stage, "memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, stage, "a pipe");
	ret->guard = fork();
	if (ret->guard == 0) {
		close(ends[0]);
		guard(supervisor, ends[1], shared);
	}
	close(ends[1]);
	ret->control = ends[0];
	if (ret->guard < 0) {
		close_fd(&ret->control);
		return error_set_errno(error, errno, stage, "a guard process");
	}
	if (fd_read_full(ends[0], &r, sizeof(r)) != sizeof(r))
		r = -ECHILD;
	if (r == 0)
		return 0;
	freeze_thaw(ret);
	if (r == -ESRCH)
		return error_set(error, ESRCH, stage, "process %d has no box", supervisor);
	error_set_errno(error, -r, stage, "a process of the box did not stop");
	return error_hint(error, "nothing was copied, and all of them go on");
}

void freeze_thaw(struct freeze *freeze)
{
	int status;
	close_fd(&freeze->control);
	if (freeze->guard > 0) {
		while (waitpid(freeze->guard, &status, 0) < 0 && errno == EINTR)
			continue;
		if (!WIFEXITED(status))
			continue_all(shared);
	}
	freeze->guard = 0;
	munmap(shared, sizeof(*shared));
}
