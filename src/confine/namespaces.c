#include "confine/namespaces.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sys.h"
#include "confine/network.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

pid_t namespaces_clone(const struct cgroup *cgroup, int *ret_pidfd, struct error *error)
{
	int pidfd = -1, cgroup_fd = cgroup ? cgroup_clone_v2_fd(cgroup) : -1;
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			 CLONE_NEWUTS | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	/* Made here, its root would be this process's group, and the box's own name be seen. */
	if (!cgroup)
		args.flags |= CLONE_NEWCGROUP;
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return error_set_errno(error, errno, "namespaces", "making them");
	if (pid > 0)
		*ret_pidfd = pidfd;
	return pid;
}

int namespaces_enter_cgroup(const struct cgroup *cgroup, struct error *error)
{
	int r = cgroup_enter(cgroup, cgroup_clone_v2_fd(cgroup) >= 0, error);
	if (r == 0 && unshare(CLONE_NEWCGROUP) < 0)
		r = error_set_errno(error, errno, "namespaces", "making the cgroup namespace");
	return r;
}

static int write_map(const char *path, struct id_map map, struct error *error)
{
	char text[64];
	snprintf(text, sizeof(text), "%u %u %u\n", map.inside, map.outside, map.count);
	int r = fd_write_file(AT_FDCWD, path, text);
	return r < 0 ? error_set_errno(error, -r, "id maps", "%s", path) : 0;
}

int namespaces_map_self(const struct plan *plan, struct error *error)
{
	/* An unprivileged gid map is allowed only once setgroups is denied: else dropping a group
	 * could open what a negative group permission closes. */
	int r = fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return error_set_errno(error, -r, "id maps", "/proc/self/setgroups");
	r = write_map(
		"/proc/self/uid_map", (struct id_map){plan->uid_inside, plan->facts.uid, 1}, error);
	if (r == 0)
		r = write_map("/proc/self/gid_map",
			(struct id_map){plan->gid_inside, plan->facts.gid, 1}, error);
	return r;
}

int namespaces_map_child(pid_t child, struct id_map uids, struct id_map gids, struct error *error)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
	int r = write_map(path, uids, error);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/gid_map", child);
	return write_map(path, gids, error);
}

int namespaces_make_map(struct id_map uids, struct id_map gids, struct error *error)
{
	/* A namespace is made by a process; this one lives until the descriptor is open. */
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return error_set_errno(error, errno, "namespaces", "making one for an id map");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			pause();
	}
	int r = namespaces_map_child(pid, uids, gids, error);
	if (r == 0) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
		r = open(path, O_RDONLY | O_CLOEXEC);
		if (r < 0)
			r = error_set_errno(error, errno, "namespaces", "%s", path);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

int namespaces_take_ids(const struct plan *plan, struct error *error)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "id maps", "keeping capabilities");
	if (setgroups(0, NULL) < 0)
		return error_set_errno(error, errno, "id maps", "leaving all groups");
	if (setresgid(plan->gid_inside, plan->gid_inside, plan->gid_inside) < 0 ||
		setresuid(plan->uid_inside, plan->uid_inside, plan->uid_inside) < 0)
		return error_set_errno(error, errno, "id maps", "becoming %u:%u", plan->uid_inside,
			plan->gid_inside);
	/* The effective set was emptied with the effective id: raise what is still permitted. */
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return error_set_errno(error, errno, "id maps", "reading capabilities");
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		return error_set_errno(error, errno, "id maps", "raising capabilities");
	return 0;
}

void namespaces_limit(void)
{
	/* Half of what a user has by default, /proc/sys/fs/inotify/max_user_instances. Where it
	 * cannot be written (a read-only /proc around us) the user's own limit is the box's. */
	(void)!fd_write_file(AT_FDCWD, "/proc/sys/user/max_inotify_instances", "64");
}

int namespaces_settle(const struct plan *plan, struct error *error)
{
	if (sethostname(plan->host_name, strlen(plan->host_name)) < 0)
		return error_set_errno(error, errno, "host name", "%s", plan->host_name);
	return network_raise_loopback(error);
}
