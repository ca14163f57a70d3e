/* chmod, chown, utime, xattr, truncate, ioctl and their relatives, in the landlock tier: Landlock
 * does not look at them (at truncate only from ABI 3).
 *
 * Theory of operation. What a call is about is held first, by an O_PATH descriptor or by a copy of
 * the program's own; where that is decides (broker_territory.c); then the change is made here, on
 * what is held, under the name that /proc/self/fd gives it. What has no name (a pipe, a memfd, a
 * deleted file) may be changed through a descriptor that the program has; by a path it could be
 * another program's. */
#include "base/cleanup.h"
#include "run/broker_internal.h"
#include "witness/judge.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/xattr.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

enum act {
	ACT_CHMOD,
	ACT_CHOWN,
	ACT_UTIME,
	ACT_UTIMES,
	ACT_UTIMENS,
	ACT_SETXATTR,
	ACT_REMOVEXATTR,
	ACT_TRUNCATE
};

/* Argument numbers; -1: there is none. fd: the call is about a descriptor and has no path. */
struct attribute_call {
	int nr;
	enum act act;
	int8_t dirfd, path, fd;
	int8_t first; /* the first argument of what is to be set */
	int8_t flags; /* AT_* */
	bool no_follow;
};

static const struct attribute_call attribute_calls[] = {
#ifdef SYS_chmod
	{SYS_chmod, ACT_CHMOD, -1, 0, -1, 1, -1, false},
	{SYS_chown, ACT_CHOWN, -1, 0, -1, 1, -1, false},
	{SYS_lchown, ACT_CHOWN, -1, 0, -1, 1, -1, true},
	{SYS_utime, ACT_UTIME, -1, 0, -1, 1, -1, false},
	{SYS_utimes, ACT_UTIMES, -1, 0, -1, 1, -1, false},
	{SYS_futimesat, ACT_UTIMES, 0, 1, -1, 2, -1, false},
#endif
	{SYS_fchmod, ACT_CHMOD, -1, -1, 0, 1, -1, false},
	{SYS_fchmodat, ACT_CHMOD, 0, 1, -1, 2, -1, false},
	{452 /* fchmodat2, 6.6 */, ACT_CHMOD, 0, 1, -1, 2, 3, false},
	{SYS_fchown, ACT_CHOWN, -1, -1, 0, 1, -1, false},
	{SYS_fchownat, ACT_CHOWN, 0, 1, -1, 2, 4, false},
	{SYS_utimensat, ACT_UTIMENS, 0, 1, -1, 2, 3, false},
	{SYS_setxattr, ACT_SETXATTR, -1, 0, -1, 1, -1, false},
	{SYS_lsetxattr, ACT_SETXATTR, -1, 0, -1, 1, -1, true},
	{SYS_fsetxattr, ACT_SETXATTR, -1, -1, 0, 1, -1, false},
	{SYS_removexattr, ACT_REMOVEXATTR, -1, 0, -1, 1, -1, false},
	{SYS_lremovexattr, ACT_REMOVEXATTR, -1, 0, -1, 1, -1, true},
	{SYS_fremovexattr, ACT_REMOVEXATTR, -1, -1, 0, 1, -1, false},
	{SYS_truncate, ACT_TRUNCATE, -1, 0, -1, 1, -1, false},
};

/* --- What is to be set --- */

static int set_times(const struct broker *broker, const struct request *request, enum act act,
	uint64_t address, const char *held)
{
	union {
		struct utimbuf seconds;
		struct timeval micro[2];
		struct timespec nano[2];
	} given;
	struct timespec times[2];
	size_t bytes = act == ACT_UTIME    ? sizeof(given.seconds)
		       : act == ACT_UTIMES ? sizeof(given.micro)
					   : sizeof(given.nano);
	if (!address)
		return utimensat(AT_FDCWD, held, NULL, 0) < 0 ? -errno : 0;
	int r = client_read(broker, request, address, &given, bytes);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		if (act == ACT_UTIME)
			times[i] = (struct timespec){
				.tv_sec = i ? given.seconds.modtime : given.seconds.actime};
		else if (act == ACT_UTIMENS)
			times[i] = given.nano[i];
		else if (given.micro[i].tv_usec < 0 || given.micro[i].tv_usec >= 1000000)
			return -EINVAL;
		else
			times[i] = (struct timespec){.tv_sec = given.micro[i].tv_sec,
				.tv_nsec = given.micro[i].tv_usec * 1000};
	}
	return utimensat(AT_FDCWD, held, times, 0) < 0 ? -errno : 0;
}

static int set_xattr(const struct broker *broker, const struct request *request,
	const uint64_t *args, const char *held)
{
	static char value[XATTR_SIZE_MAX]; /* one call at a time */
	char name[XATTR_NAME_MAX + 1];
	int r = client_read_string(broker, request, args[0], name, sizeof(name));
	if (r < 0)
		return r == -ENAMETOOLONG ? -ERANGE : r;
	if (args[2] > sizeof(value))
		return -E2BIG;
	r = args[2] ? client_read(broker, request, args[1], value, (size_t)args[2]) : 0;
	if (r < 0)
		return r;
	return setxattr(held, name, value, (size_t)args[2], (int)args[3]) < 0 ? -errno : 0;
}

static int remove_xattr(const struct broker *broker, const struct request *request,
	uint64_t address, const char *held)
{
	char name[XATTR_NAME_MAX + 1];
	int r = client_read_string(broker, request, address, name, sizeof(name));
	if (r < 0)
		return r == -ENAMETOOLONG ? -ERANGE : r;
	return removexattr(held, name) < 0 ? -errno : 0;
}

/* held: the name below the working directory, /proc/self/fd, of what is held. It leads there and no
 * further, also where that is a link itself. */
static int apply(const struct broker *broker, const struct request *request,
	const struct attribute_call *row, const char *held)
{
	const uint64_t *args = &request->args[row->first];
	switch (row->act) {
	case ACT_CHMOD:
		return chmod(held, (mode_t)args[0] & 01777) < 0 ? -errno : 0;
	case ACT_CHOWN:
		return chown(held, (uid_t)args[0], (gid_t)args[1]) < 0 ? -errno : 0;
	case ACT_UTIME:
	case ACT_UTIMES:
	case ACT_UTIMENS:
		return set_times(broker, request, row->act, args[0], held);
	case ACT_SETXATTR:
		return set_xattr(broker, request, args, held);
	case ACT_REMOVEXATTR:
		return remove_xattr(broker, request, args[0], held);
	case ACT_TRUNCATE:
		return truncate(held, (off_t)args[0]) < 0 ? -errno : 0;
	}
	return -ENOSYS;
}

/* --- What it is about --- */

static int hold_by_path(struct broker *broker, const struct request *request,
	const struct attribute_call *row, char path[PATH_MAX])
{
	int dirfd = row->dirfd < 0 ? AT_FDCWD : (int)request->args[row->dirfd];
	int flags = row->flags < 0 ? 0 : (int)request->args[row->flags];
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	/* utimensat(fd, NULL, ...) is futimens(). */
	if (!request->args[row->path] && (row->act == ACT_UTIMENS || row->act == ACT_UTIMES) &&
		dirfd != AT_FDCWD)
		return client_get_fd(broker, request, dirfd);
	int r = client_read_string(broker, request, request->args[row->path], path, PATH_MAX);
	if (r < 0)
		return r;
	if (r == 0 && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	bool no_follow = row->no_follow || flags & AT_SYMLINK_NOFOLLOW;
	if (r == 0)
		return dirfd == AT_FDCWD ? client_open(broker, request, dirfd, ".", 0)
					 : client_get_fd(broker, request, dirfd);
	return client_open(broker, request, dirfd, path, no_follow ? O_NOFOLLOW : 0);
}

/* own: reached by a descriptor of the program's. */
static bool may_change(const struct broker *broker, int fd, bool own, char real[PATH_MAX])
{
	struct stat st;
	if (territory_of_fd(broker, fd, real) != TERRITORY_CLOSED)
		return true;
	return own && fstat(fd, &st) == 0 && (st.st_nlink == 0 || real[0] != '/');
}

/* By the promise that the place is under: a hidden or protected thing is that first. */
static void record_change(const struct broker *broker, const struct request *request,
	const char *named, const char *real)
{
	struct judgement judgement = {
		.promise = "P1", .reason = "only what lies below a writable root can be changed"};
	const struct attempt attempt = {
		.path = real, .wants = WITNESS_WRITE, .errno_value = EACCES};
	if (real[0] == '/')
		judge_path(broker->plan, &attempt, &judgement);
	broker_record_at(broker, request, judgement.promise, named, real, EPERM, judgement.reason);
}

static int serve_attribute(struct broker *broker, const struct request *request)
{
	const struct attribute_call *row = attribute_calls;
	while (row->nr != request->nr)
		row++;
	/* A path that stays empty stands for a descriptor. */
	char path[PATH_MAX] = "", real[PATH_MAX] = "", held[24];
	cleanup_client_fd int fd =
		row->fd >= 0 ? client_get_fd(broker, request, (int)request->args[row->fd])
			     : hold_by_path(broker, request, row, path);
	if (fd < 0)
		return fd;
	if (!may_change(broker, fd, !*path, real)) {
		record_change(broker, request, *path ? path : real, real);
		return -EPERM;
	}
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	snprintf(held, sizeof(held), "%d", fd);
	return apply(broker, request, row, held);
}

/* The other side of a terminal that the box has made: opening it by ioctl is opening it by a path
 * that no grant covers. The copy of its master can have come from nowhere else than /dev/ptmx, so
 * what this hands out is no terminal of the user's. */
static int open_terminal(struct broker *broker, const struct request *request)
{
	cleanup_client_fd int master = client_get_fd(broker, request, (int)request->args[0]);
	if (master < 0)
		return master;
	int flags = (int)request->args[2] & (O_ACCMODE | O_NONBLOCK | O_CLOEXEC);
	cleanup_close int slave = ioctl(master, TIOCGPTPEER, flags | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	struct seccomp_notif_addfd addfd = {
		.id = request->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)slave,
		.newfd_flags = (uint32_t)(flags & O_CLOEXEC),
	};
	return ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) < 0 ? -errno
									      : VERDICT_LATER;
}

static int serve_ioctl(struct broker *broker, const struct request *request)
{
	if ((uint32_t)request->args[1] == TIOCGPTPEER)
		return open_terminal(broker, request);
	char arguments[64];
	snprintf(arguments, sizeof(arguments), "%#x", (unsigned)request->args[1]);
	bool sets = (uint32_t)request->args[1] == FS_IOC_SETFLAGS ||
		    (uint32_t)request->args[1] == FS_IOC_FSSETXATTR;
	int code = sets ? EPERM : ENOTTY;
	broker_record(broker, request, "P1", arguments, code,
		"Landlock asks no file system about ioctls");
	return -code;
}

const struct broker_call broker_attribute_calls[] = {
#ifdef SYS_chmod
	{SYS_chmod, "chmod", serve_attribute},
	{SYS_chown, "chown", serve_attribute},
	{SYS_lchown, "lchown", serve_attribute},
	{SYS_utime, "utime", serve_attribute},
	{SYS_utimes, "utimes", serve_attribute},
	{SYS_futimesat, "futimesat", serve_attribute},
#endif
	{SYS_fchmod, "fchmod", serve_attribute},
	{SYS_fchmodat, "fchmodat", serve_attribute},
	{452, "fchmodat2", serve_attribute},
	{SYS_fchown, "fchown", serve_attribute},
	{SYS_fchownat, "fchownat", serve_attribute},
	{SYS_utimensat, "utimensat", serve_attribute},
	{SYS_setxattr, "setxattr", serve_attribute},
	{SYS_lsetxattr, "lsetxattr", serve_attribute},
	{SYS_fsetxattr, "fsetxattr", serve_attribute},
	{SYS_removexattr, "removexattr", serve_attribute},
	{SYS_lremovexattr, "lremovexattr", serve_attribute},
	{SYS_fremovexattr, "fremovexattr", serve_attribute},
	{SYS_truncate, "truncate", serve_attribute},
	{SYS_ioctl, "ioctl", serve_ioctl},
};
const size_t broker_attribute_calls_count = ARRAY_SIZE(broker_attribute_calls);
