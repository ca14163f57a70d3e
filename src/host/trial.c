/* Theory of operation. Each group of trials runs in a forked child, because what is tried cannot be
 * taken back (a Landlock domain, a filter) or may hang or kill. The record lies in memory shared
 * with the child and is written step by step: a trial is first noted as ETIMEDOUT, then with its
 * outcome, so that what a child did before it hung is not lost. The children only make system
 * calls; nothing on the host is touched, since all mounts are made in namespaces of their own. */
#include "host/trial.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sys.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Since 6.6. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum { TRIAL_TIME_MS = 2000 };

struct record {
	const struct host_facts *facts;
	struct host_trials trials;
};

static void trial_begin(struct host_trial *trial)
{
	trial->errno_value = ETIMEDOUT;
	trial->made = true;
}

/* result is a system call's: negative means errno. */
static bool trial_end(struct host_trial *trial, long result)
{
	trial->errno_value = result < 0 ? errno : 0;
	return result >= 0;
}

/* --- Namespaces and mounts --- */

static const struct {
	unsigned long flag;
	const char *name;
} namespace_kinds[] = {
	{CLONE_NEWNS, "mount"},
	{CLONE_NEWPID, "pid"},
	{CLONE_NEWNET, "network"},
	{CLONE_NEWIPC, "ipc"},
	{CLONE_NEWUTS, "uts"},
	{CLONE_NEWCGROUP, "cgroup"},
};

/* fork(2) into new namespaces. */
static pid_t clone_into(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Whether such a child can be made at all; it ends at once. */
static bool can_clone(unsigned long flags)
{
	pid_t pid = clone_into(flags);
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid > 0;
}

static void append_name(char *list, size_t list_bytes, const char *name)
{
	size_t used = strlen(list);
	snprintf(list + used, list_bytes - used, "%s%s", used ? ", " : "", name);
}

/* All seven at once failed: finds out whether it is the user namespace or one of the others. */
static void blame_namespaces(struct host_trials *trials)
{
	trial_begin(&trials->user_namespace);
	if (!trial_end(&trials->user_namespace, can_clone(CLONE_NEWUSER) ? 0 : -1))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(namespace_kinds); i++) {
		if (!can_clone(CLONE_NEWUSER | namespace_kinds[i].flag))
			append_name(trials->namespaces_refused, sizeof(trials->namespaces_refused),
				namespace_kinds[i].name);
	}
}

/* A new file system, not yet attached anywhere. */
static int mount_detached(const char *type, const char *const options[][2])
{
	cleanup_close int context = fsopen(type, FSOPEN_CLOEXEC);
	if (context < 0)
		return -1;
	for (size_t i = 0; options && options[i][0]; i++) {
		unsigned command = options[i][1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		if (fsconfig(context, command, options[i][0], options[i][1], 0) < 0)
			return -1;
	}
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(context, FSMOUNT_CLOEXEC, 0);
}

/* Mounts a tmpfs over / and makes it the working directory: / is the one directory that every host
 * has, and overlayfs takes its layers only from mounts that are attached. */
static int enter_tmpfs(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	cleanup_close int tmpfs = mount_detached("tmpfs", NULL);
	if (tmpfs < 0 || move_mount(tmpfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -1;
	return fchdir(tmpfs);
}

static int try_overlay(void)
{
	static const char *const options[][2] = {{"lowerdir", "lower"}, {"upperdir", "upper"},
		{"workdir", "work"}, {"userxattr", NULL}, {NULL, NULL}};
	if (mkdir("lower", 0755) < 0 || mkdir("upper", 0755) < 0 || mkdir("work", 0755) < 0 ||
		mkdir("lower/directory", 0755) < 0)
		return -1;
	cleanup_close int overlay = mount_detached("overlay", options);
	if (overlay < 0)
		return -1;
	return mkdirat(overlay, "new", 0755) < 0 ? -1
						 : unlinkat(overlay, "directory", AT_REMOVEDIR);
}

/* PID 1 of the new namespaces. */
static void try_inside(struct host_trials *trials)
{
	trial_begin(&trials->host_name);
	trial_end(&trials->host_name, sethostname("coffer", 6));
	trial_begin(&trials->mount);
	if (!trial_end(&trials->mount, enter_tmpfs()))
		return;
	trial_begin(&trials->proc);
	cleanup_close int proc = mount_detached("proc", NULL);
	trial_end(&trials->proc, proc);
	trial_begin(&trials->tmpfs_xattr);
	trial_end(&trials->tmpfs_xattr, setxattr(".", "user.coffer", "1", 1, 0));
	trial_begin(&trials->overlay);
	trial_end(&trials->overlay, try_overlay());
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, flags | O_CLOEXEC);
}

static int write_of(pid_t pid, const char *name, const char *text)
{
	cleanup_close int fd = open_of(pid, name, O_WRONLY);
	return fd < 0 ? -1 : (int)write(fd, text, strlen(text));
}

/* From outside, as a launch does: under AppArmor's restriction the one inside has no capability. */
static int write_id_maps(pid_t pid, const struct host_facts *facts)
{
	char map[32];
	if (write_of(pid, "setgroups", "deny") < 0)
		return -1;
	snprintf(map, sizeof(map), "0 %u 1\n", facts->uid);
	if (write_of(pid, "uid_map", map) < 0)
		return -1;
	snprintf(map, sizeof(map), "0 %u 1\n", facts->gid);
	return write_of(pid, "gid_map", map);
}

static int try_idmapped_mount(pid_t pid)
{
	cleanup_close int userns = open_of(pid, "ns/user", O_RDONLY);
	if (userns < 0)
		return -1;
	cleanup_close int tree = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -1;
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)userns};
	return mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
}

static void try_namespaces(struct record *record)
{
	struct host_trials *trials = &record->trials;
	unsigned long flags = CLONE_NEWUSER;
	for (size_t i = 0; i < ARRAY_SIZE(namespace_kinds); i++)
		flags |= namespace_kinds[i].flag;
	int gate[2];
	if (pipe2(gate, O_CLOEXEC) < 0)
		return;
	trial_begin(&trials->namespaces);
	pid_t pid = clone_into(flags);
	if (pid == 0) {
		/* The gate opens by one byte; its end without one means that nobody waits for
		 * us. */
		char byte;
		close(gate[1]);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && read(gate[0], &byte, 1) == 1)
			try_inside(trials);
		_exit(0);
	}
	if (!trial_end(&trials->namespaces, pid)) {
		blame_namespaces(trials);
		return;
	}
	trials->user_namespace = trials->namespaces;
	trial_begin(&trials->id_maps);
	if (trial_end(&trials->id_maps, write_id_maps(pid, record->facts))) {
		if (record->facts->root) {
			trial_begin(&trials->idmapped_mount);
			trial_end(&trials->idmapped_mount, try_idmapped_mount(pid));
		}
		if (write(gate[1], "", 1) != 1)
			kill(pid, SIGKILL);
	}
	close(gate[1]);
	waitpid(pid, NULL, 0);
}

/* --- Landlock, seccomp, single calls --- */

static int open_root_directory(void)
{
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Both sides: / can be listed before, and not any more after. */
static int landlock_refuses(void)
{
	struct landlock_ruleset_attr attributes = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE};
	cleanup_close int ruleset = (int)syscall(
		SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0);
	cleanup_close int before = open_root_directory();
	if (ruleset < 0 || before < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return -1;
	cleanup_close int after = open_root_directory();
	if (after < 0 && errno == EACCES)
		return 0;
	errno = ENOTRECOVERABLE; /* it says it restricts, and does not */
	return -1;
}

static void try_landlock(struct record *record)
{
	trial_begin(&record->trials.landlock);
	trial_end(&record->trials.landlock, landlock_refuses());
}

static void try_listener(struct record *record)
{
	struct host_trials *trials = &record->trials;
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return;
	trial_begin(&trials->listener);
	cleanup_close int listener =
		sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (!trial_end(&trials->listener, listener))
		return;
	trial_begin(&trials->sync_wake_up);
	trial_end(&trials->sync_wake_up,
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP));
}

/* Each with arguments that the kernel itself refuses, by expected: any other answer comes from a
 * kernel that is too old or a filter that stands before it. */
static void try_calls(struct record *record)
{
	static const struct {
		const char *name;
		long number;
		long arguments[4];
		int expected;
	} calls[] = {
		{"clone3", SYS_clone3, {0, 0}, EINVAL},                               /* 5.3 */
		{"openat2", SYS_openat2, {-1, 0, 0, 0}, EINVAL},                      /* 5.6 */
		{"open_tree", SYS_open_tree, {-1, 0, -1}, EINVAL},                    /* 5.2 */
		{"mount_setattr", SYS_mount_setattr, {-1, 0, -1}, EINVAL},            /* 5.12 */
		{"pidfd_open", SYS_pidfd_open, {-1, 0}, EINVAL},                      /* 5.3 */
		{"pidfd_getfd", SYS_pidfd_getfd, {-1, -1, -1}, EINVAL},               /* 5.6 */
		{"pidfd_send_signal", SYS_pidfd_send_signal, {-1, 0, 0, -1}, EINVAL}, /* 5.1 */
		{"close_range", SYS_close_range, {1, 0, 0}, EINVAL},                  /* 5.9 */
		{"execveat", SYS_execveat, {-1, 0, 0, 0}, EFAULT},                    /* 3.19 */
	};
	struct host_trials *trials = &record->trials;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const long *arguments = calls[i].arguments;
		long result = syscall(calls[i].number, arguments[0], arguments[1], arguments[2],
			arguments[3], 0L);
		if (result >= 0 || errno != calls[i].expected)
			append_name(trials->calls_refused, sizeof(trials->calls_refused),
				calls[i].name);
	}
}

static void try_kvm(struct record *record)
{
	trial_begin(&record->trials.kvm);
	cleanup_close int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	trial_end(&record->trials.kvm, kvm < 0 ? kvm : ioctl(kvm, KVM_GET_API_VERSION, 0));
}

/* --- Children --- */

/* Runs body in a child and waits until all that it started has ended, or kills it. */
static void run_in_child(void (*body)(struct record *), struct record *record)
{
	int alive[2];
	if (pipe2(alive, O_CLOEXEC) < 0)
		return;
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		/* Death of the parent kills the child, and the child's death what it cloned. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
			body(record);
		_exit(0);
	}
	close(alive[1]);
	if (pid > 0) {
		/* The end of the pipe closes when the last process that holds it is gone. */
		struct pollfd end = {.fd = alive[0], .events = POLLIN};
		uint64_t deadline_us = clock_now_us() + TRIAL_TIME_MS * 1000;
		int ready;
		do {
			uint64_t now_us = clock_now_us();
			ready = now_us >= deadline_us
					? 0
					: poll(&end, 1, (int)((deadline_us - now_us) / 1000) + 1);
		} while (ready < 0 && errno == EINTR);
		if (ready <= 0)
			kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(alive[0]);
}

void trial_make_all(const struct host_facts *facts, struct host_trials *ret)
{
	static void (*const bodies[])(struct record *) = {
		try_namespaces, try_landlock, try_listener, try_calls, try_kvm};
	struct record *record = mmap(
		NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(ret, 0, sizeof(*ret));
	if (record == MAP_FAILED)
		return;
	record->facts = facts;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		run_in_child(bodies[i], record);
	*ret = record->trials;
	munmap(record, sizeof(*record));
}
