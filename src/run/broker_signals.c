/* Signals, limits, priorities and scheduling of other processes, in the landlock tier.
 *
 * Theory of operation. Without a PID namespace the numbers are the host's, and the kernel lets a
 * user's processes do all this to one another. So a number is good here only if it belongs to a
 * descendant of init; init is a subreaper, so whoever lost its parent is still one. Init, the
 * broker and the supervisor are not.
 *
 * What a process does to itself the kernel may run: it is alive while it asks. Anything else is
 * done here. A number can be used again after its process has ended, so the tree is looked at
 * after a pidfd was opened, and signals go through that pidfd. The few calls that take only a
 * number are made in the same breath; the program cannot make this process wait in between.
 *
 * A process group may have strangers in it, and -1 means everybody: both are delivered to those
 * members that are in the tree. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sys.h"
#include "run/broker_internal.h"
#include "run/process_tree.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9 */
#endif

enum {
	TREE_DEPTH_MAX = 4096,    /* a longer chain of parents is refused */
	TREE_MEMBERS_MAX = 16384, /* of one group signal */
	STRUCTURE_BYTES_MAX = 1024,
};

/* One number of the thread pid's status. */
static int status_of(const struct broker *broker, pid_t pid, const char *field, pid_t *ret)
{
	const struct request thread = {.tid = pid};
	long number;
	int r = client_status(broker, &thread, field, 10, 0, &number);
	*ret = r < 0 ? 0 : (pid_t)number;
	return r;
}

static bool chain_leads_to_init(const struct broker *broker, pid_t pid)
{
	for (int depth = 0; depth < TREE_DEPTH_MAX && pid > 1; depth++) {
		if (status_of(broker, pid, "PPid", &pid) < 0)
			return false;
		if (pid == broker->init)
			return true;
	}
	return false;
}

static pid_t group_leader_of(const struct broker *broker, pid_t tid)
{
	pid_t tgid;
	return status_of(broker, tid, "Tgid", &tgid) < 0 ? -1 : tgid;
}

/* A pidfd of pid, a process or thread of the tree: -ESRCH when there is none, -EPERM when it is a
 * stranger's. The tree is asked twice: while the chain was read, a parent in it may have ended and
 * its number gone to somebody in the box. */
static int open_in_tree(const struct broker *broker, pid_t pid, unsigned flags)
{
	cleanup_close int pidfd = sys_pidfd_open(pid, flags);
	if (pidfd < 0 && flags) /* before 6.9: its process stands for it */
		pidfd = sys_pidfd_open(group_leader_of(broker, pid), 0);
	if (pidfd < 0)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	if (!chain_leads_to_init(broker, pid) || !chain_leads_to_init(broker, pid))
		return -EPERM;
	return steal_fd(&pidfd);
}

static int refuse(struct broker *broker, const struct request *request, const char *target)
{
	broker_record(broker, request, "P5", target, EPERM,
		"only processes of the box itself can be reached");
	return -EPERM;
}

static int refuse_pid(struct broker *broker, const struct request *request, pid_t pid)
{
	char target[32];
	snprintf(target, sizeof(target), "process %d", pid);
	return refuse(broker, request, target);
}

static bool is_own_process(const struct broker *broker, const struct request *request, pid_t pid)
{
	return pid == request->tid || pid == group_leader_of(broker, request->tid);
}

static int send_through(int pidfd, int signal, const siginfo_t *info)
{
	long r = syscall(SYS_pidfd_send_signal, pidfd, signal, info, 0);
	return r < 0 ? -errno : 0;
}

/* --- kill and its relatives --- */

static int signal_one(struct broker *broker, const struct request *request, pid_t pid, int signal,
	const siginfo_t *info, unsigned pidfd_flags)
{
	cleanup_close int pidfd = open_in_tree(broker, pid, pidfd_flags);
	if (pidfd == -EPERM)
		return refuse_pid(broker, request, pid);
	return pidfd < 0 ? pidfd : send_through(pidfd, signal, info);
}

/* group 0: everything in the tree but the caller's own process, as kill(-1) has it on Linux. */
static int signal_many(
	struct broker *broker, const struct request *request, pid_t group, int signal)
{
	cleanup_free pid_t *pids = calloc(TREE_MEMBERS_MAX, sizeof(*pids));
	if (!pids)
		return -EAGAIN;
	size_t count = process_tree_list(broker->init, pids, TREE_MEMBERS_MAX);
	count = count < TREE_MEMBERS_MAX ? count : TREE_MEMBERS_MAX;
	pid_t caller = group_leader_of(broker, request->tid);
	size_t reached = 0;
	for (size_t i = 0; i < count; i++) {
		if (group ? getpgid(pids[i]) != group : pids[i] == caller)
			continue;
		cleanup_close int pidfd = open_in_tree(broker, pids[i], 0);
		if (pidfd >= 0 && (!group || getpgid(pids[i]) == group) &&
			send_through(pidfd, signal, NULL) == 0)
			reached++;
	}
	if (reached > 0 || !group)
		return reached > 0 ? 0 : -ESRCH;
	/* Nobody of the box: a stranger's group, or none. */
	if (kill(-group, 0) < 0 && errno == ESRCH)
		return -ESRCH;
	return refuse_pid(broker, request, -group);
}

static int serve_kill(struct broker *broker, const struct request *request)
{
	pid_t pid = (pid_t)request->args[0];
	int signal = (int)request->args[1];
	if (pid > 0 && is_own_process(broker, request, pid))
		return VERDICT_CONTINUE;
	if (pid > 0)
		return signal_one(broker, request, pid, signal, NULL, 0);
	if (pid == 0)
		return VERDICT_CONTINUE; /* its own group, in a session that init made */
	if (pid == INT32_MIN)
		return -ESRCH;
	return signal_many(broker, request, pid == -1 ? 0 : -pid, signal);
}

static int serve_tkill(struct broker *broker, const struct request *request)
{
	bool with_group = request->nr == SYS_tgkill;
	pid_t tid = (pid_t)request->args[with_group];
	int signal = (int)request->args[1 + with_group];
	pid_t caller = group_leader_of(broker, request->tid);
	if (tid <= 0 || (with_group && (pid_t)request->args[0] <= 0))
		return -EINVAL;
	/* tgkill() within the own process: the kernel checks that the thread is one of it. */
	if (tid == request->tid || (with_group && (pid_t)request->args[0] == caller))
		return VERDICT_CONTINUE;
	if (with_group && group_leader_of(broker, tid) != (pid_t)request->args[0])
		return -ESRCH;
	return signal_one(broker, request, tid, signal, NULL, PIDFD_THREAD);
}

static int serve_sigqueue(struct broker *broker, const struct request *request)
{
	bool with_thread = request->nr == SYS_rt_tgsigqueueinfo;
	pid_t pid = (pid_t)request->args[with_thread];
	int signal = (int)request->args[1 + with_thread];
	siginfo_t info;
	if (is_own_process(broker, request, pid))
		return VERDICT_CONTINUE;
	int r = client_read(broker, request, request->args[2 + with_thread], &info, sizeof(info));
	if (r < 0)
		return r;
	info.si_signo = signal;
	/* The kernel grants more to who queues for itself: here the caller never does. */
	if (info.si_code >= 0 || info.si_code == SI_TKILL)
		return -EPERM;
	if (pid <= 0)
		return -EINVAL;
	return signal_one(broker, request, pid, signal, &info, with_thread ? PIDFD_THREAD : 0);
}

/* Whom a pidfd stands for; 0: nobody any more. */
static int pid_of_pidfd(const struct broker *broker, int pidfd, pid_t *ret)
{
	char path[48];
	snprintf(path, sizeof(path), "%d/fdinfo/%d", broker->self, pidfd);
	cleanup_close int fd = openat(broker->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	char text[512];
	ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	const char *line = strstr(text, "\nPid:");
	if (!line)
		return -EBADF;
	*ret = (pid_t)strtol(line + 5, NULL, 10);
	return *ret > 0 ? 0 : -ESRCH;
}

static int serve_pidfd_send_signal(struct broker *broker, const struct request *request)
{
	cleanup_client_fd int pidfd = client_get_fd(broker, request, (int)request->args[0]);
	if (pidfd < 0)
		return pidfd;
	if ((unsigned)request->args[3] != 0)
		return -EINVAL; /* 6.9: a thread, a group */
	siginfo_t info;
	pid_t pid = 0;
	int r = pid_of_pidfd(broker, pidfd, &pid);
	if (r == 0 && request->args[2]) {
		r = client_read(broker, request, request->args[2], &info, sizeof(info));
		if (r == 0 && (info.si_code >= 0 || info.si_code == SI_TKILL) &&
			!is_own_process(broker, request, pid))
			r = -EPERM;
		/* Queued for itself, but by the broker: a signal of its own making will do. */
		if (r == 0 && info.si_code >= 0)
			info.si_code = SI_QUEUE;
	}
	if (r < 0)
		return r;
	if (!chain_leads_to_init(broker, pid) || !chain_leads_to_init(broker, pid))
		return refuse_pid(broker, request, pid);
	return send_through(pidfd, (int)request->args[1], request->args[2] ? &info : NULL);
}

/* --- Limits, priorities, scheduling --- */

/* Which argument points to a structure, and how long that is. */
struct process_call {
	int nr;
	int8_t pid, pointer, length; /* argument numbers; length -1: fixed */
	uint16_t fixed_bytes;
};

static const struct process_call process_calls[] = {
	{SYS_sched_setaffinity, 0, 2, 1, 0},
	{SYS_sched_setparam, 0, 1, -1, sizeof(struct sched_param)},
	{SYS_sched_setscheduler, 0, 2, -1, sizeof(struct sched_param)},
	{SYS_prlimit64, 0, 2, -1, sizeof(struct rlimit)},
};

static int run_prlimit(
	const struct broker *broker, const struct request *request, const struct rlimit *limit)
{
	struct rlimit old;
	const uint64_t *args = request->args;
	if (syscall(SYS_prlimit64, (pid_t)args[0], (int)args[1], limit, &old) < 0)
		return -errno;
	return args[3] ? client_write(broker, request, args[3], &old, sizeof(old)) : 0;
}

/* A call that names one process and passes a structure. */
static int serve_process(struct broker *broker, const struct request *request)
{
	const struct process_call *row = process_calls;
	while (row->nr != request->nr)
		row++;
	const uint64_t *args = request->args;
	pid_t pid = (pid_t)args[row->pid];
	if (pid < 0)
		return -ESRCH;
	if (pid == 0 || is_own_process(broker, request, pid))
		return VERDICT_CONTINUE;
	uint8_t data[STRUCTURE_BYTES_MAX];
	size_t bytes = row->length >= 0 ? (unsigned)args[row->length] : row->fixed_bytes;
	bytes = bytes < sizeof(data) ? bytes : sizeof(data);
	bool has_data = args[row->pointer] != 0;
	int r = has_data ? client_read(broker, request, args[row->pointer], data, bytes) : 0;
	if (r < 0)
		return r;
	cleanup_close int pidfd = open_in_tree(broker, pid, PIDFD_THREAD);
	if (pidfd == -EPERM)
		return refuse_pid(broker, request, pid);
	if (pidfd < 0)
		return pidfd;

	void *structure = has_data ? data : NULL;
	switch (request->nr) {
	case SYS_sched_setaffinity:
		return syscall(request->nr, pid, bytes, structure) < 0 ? -errno : 0;
	case SYS_sched_setparam:
		return syscall(request->nr, pid, structure) < 0 ? -errno : 0;
	case SYS_sched_setscheduler:
		return syscall(request->nr, pid, (int)args[1], structure) < 0 ? -errno : 0;
	default:
		return run_prlimit(broker, request, structure);
	}
}

/* struct sched_attr says its own size, in its first word. */
static int serve_sched_setattr(struct broker *broker, const struct request *request)
{
	pid_t pid = (pid_t)request->args[0];
	if (pid < 0)
		return -EINVAL;
	if (pid == 0 || is_own_process(broker, request, pid))
		return VERDICT_CONTINUE;
	union {
		uint32_t size;
		uint8_t bytes[STRUCTURE_BYTES_MAX];
	} attr;
	int r = client_read(broker, request, request->args[1], &attr.size, sizeof(attr.size));
	if (r < 0)
		return r;
	uint32_t size = attr.size;
	if (size < sizeof(size) || size > sizeof(attr))
		return -E2BIG;
	r = client_read(broker, request, request->args[1], attr.bytes, size);
	if (r < 0)
		return r;
	attr.size = size; /* read twice: the first word counts */
	cleanup_close int pidfd = open_in_tree(broker, pid, PIDFD_THREAD);
	if (pidfd == -EPERM)
		return refuse_pid(broker, request, pid);
	if (pidfd < 0)
		return pidfd;
	return syscall(SYS_sched_setattr, pid, &attr, (unsigned)request->args[2]) < 0 ? -errno : 0;
}

/* setpriority() and ioprio_set(): (which, who, value), all in registers. */
static int serve_priority(struct broker *broker, const struct request *request)
{
	int of_process = request->nr == SYS_setpriority ? PRIO_PROCESS : 1 /* IOPRIO_WHO_PROCESS */;
	int which = (int)request->args[0];
	pid_t who = (pid_t)request->args[1];
	if (which != of_process || who < 0)
		return refuse(broker, request, "a process group or everything of the user");
	if (who == 0 || is_own_process(broker, request, who))
		return VERDICT_CONTINUE;
	cleanup_close int pidfd = open_in_tree(broker, who, PIDFD_THREAD);
	if (pidfd == -EPERM)
		return refuse_pid(broker, request, who);
	if (pidfd < 0)
		return pidfd;
	return syscall(request->nr, which, who, (int)request->args[2]) < 0 ? -errno : 0;
}

const struct broker_call broker_signal_calls[] = {
	{SYS_kill, "kill", serve_kill},
	{SYS_tkill, "tkill", serve_tkill},
	{SYS_tgkill, "tgkill", serve_tkill},
	{SYS_rt_sigqueueinfo, "rt_sigqueueinfo", serve_sigqueue},
	{SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", serve_sigqueue},
	{SYS_pidfd_send_signal, "pidfd_send_signal", serve_pidfd_send_signal},
	{SYS_prlimit64, "prlimit64", serve_process},
	{SYS_sched_setaffinity, "sched_setaffinity", serve_process},
	{SYS_sched_setparam, "sched_setparam", serve_process},
	{SYS_sched_setscheduler, "sched_setscheduler", serve_process},
	{SYS_sched_setattr, "sched_setattr", serve_sched_setattr},
	{SYS_setpriority, "setpriority", serve_priority},
	{SYS_ioprio_set, "ioprio_set", serve_priority},
};
const size_t broker_signal_calls_count = ARRAY_SIZE(broker_signal_calls);
