/* Theory of operation. A ruleset handles every right that the kernel's ABI knows, so that what is
 * not granted is denied; the grants come from the plan. Rights are added to a table with the ABI
 * that brought them: a kernel that does not know one is not asked for it (it would refuse the whole
 * ruleset), and what is lost by that is in docs/KERNEL.md and in the report. */
#include "confine/landlock.h"

#include "base/cleanup.h"
#include "base/sys.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Newer than the headers of Debian 12. */
#define ACCESS_FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define ACCESS_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define ACCESS_NET_BIND_TCP (1ULL << 0)  /* ABI 4 */
#define ACCESS_NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)
#define RESTRICT_SELF_LOG_SAME_EXEC_OFF (1U << 0) /* ABI 7 */

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

#define RIGHTS_LIST LANDLOCK_ACCESS_FS_READ_DIR
#define RIGHTS_READ (RIGHTS_LIST | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
#define RIGHTS_MAKE                                                                                \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                      \
		LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define RIGHTS_WRITE                                                                               \
	(RIGHTS_READ | RIGHTS_MAKE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE)
#define RIGHTS_DEVICE                                                                              \
	(RIGHTS_LIST | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |              \
		ACCESS_FS_TRUNCATE | ACCESS_FS_IOCTL_DEV)
/* What can be granted on something that is not a directory. */
#define RIGHTS_OF_A_FILE                                                                           \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                               \
		LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE | ACCESS_FS_IOCTL_DEV)

static uint64_t handled_fs(int abi)
{
	uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* ABI 1: the first thirteen */
	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		rights |= ACCESS_FS_IOCTL_DEV;
	return rights;
}

int landlock_abi(void)
{
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi > 0 ? abi : 0;
}

static uint64_t rights_of(enum grant_rights rights)
{
	switch (rights) {
	case PLAN_RIGHTS_READ:
		return RIGHTS_READ;
	case PLAN_RIGHTS_WRITE:
		return RIGHTS_WRITE;
	case PLAN_RIGHTS_DEVICE:
		return RIGHTS_DEVICE;
	case PLAN_RIGHTS_LIST:
		return RIGHTS_LIST;
	}
	return 0;
}

/* Where Landlock stands alone a path must lead where it led when it was granted: somebody may have
 * put a link in its place since. Devices are the host's to link (/dev/ptmx -> pts/ptmx). */
static int open_granted(const struct plan *plan, const struct plan_grant *grant)
{
	if (plan->tier != TIER_LANDLOCK || grant->rights == PLAN_RIGHTS_DEVICE)
		return open(grant->path, O_PATH | O_CLOEXEC);
	int fd = sys_openat2(AT_FDCWD, grant->path, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
	if (fd < 0 && errno == ENOSYS) /* a filter of somebody else's */
		fd = open(grant->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

static int add_grant(int ruleset, const struct plan *plan, const struct plan_grant *grant,
	uint64_t handled, struct error *error)
{
	cleanup_close int fd = open_granted(plan, grant);
	if (fd < 0) {
		if (errno == ENOENT || errno == EACCES || errno == ENOTDIR || errno == ELOOP)
			return 0;
		return error_set_errno(error, errno, "landlock", "%s", grant->path);
	}
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_set_errno(error, errno, "landlock", "%s", grant->path);
	if (S_ISLNK(st.st_mode))
		return 0;
	uint64_t rights = rights_of(grant->rights) & handled;
	if (!S_ISDIR(st.st_mode))
		rights &= RIGHTS_OF_A_FILE;
	if (!rights)
		return 0;
	struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return error_set_errno(error, errno, "landlock", "the rule for %s", grant->path);
	return 0;
}

/* The terminal that was made for the box, by its path too: /dev/stderr leads there. The user's
 * other terminals lie beside it, so their directory is not granted. */
static int add_own_terminal(
	int ruleset, const struct plan *plan, uint64_t handled, struct error *error)
{
	enum { PTY_SLAVES = 136 }; /* major number */
	if (getsid(0) != getpid())
		return 0; /* none was made: what /dev/tty leads to is the caller's */
	cleanup_close int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	unsigned number;
	if (fd < 0 || ioctl(fd, TIOCGDEV, &number) < 0 || major(number) != PTY_SLAVES)
		return 0;
	char path[32];
	snprintf(path, sizeof(path), "/dev/pts/%u", minor(number));
	const struct plan_grant grant = {.path = path, .rights = PLAN_RIGHTS_DEVICE};
	return add_grant(ruleset, plan, &grant, handled, error);
}

int landlock_prepare(const struct plan *plan, int *ret_ruleset, struct error *error)
{
	int abi = plan->facts.landlock_abi;
	*ret_ruleset = -1;
	if (plan->tier == TIER_NONE || abi < 1 || (plan->tier == TIER_CONTAINER && abi < 2))
		return 0;
	struct ruleset_attr attr = {.handled_access_fs = handled_fs(abi)};
	size_t size = sizeof(attr.handled_access_fs);
	if (abi >= 4) {
		/* In the container tier there is nothing but an own loopback to reach, and handling
		 * bind would break the servers that tests start there. */
		if (plan->tier == TIER_LANDLOCK)
			attr.handled_access_net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP;
		size = offsetof(struct ruleset_attr, scoped);
	}
	if (abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET;
		/* Commands that share a box may signal one another; the PID namespace is the wall
		 * there. Without one, the scope is. */
		if (plan->tier == TIER_LANDLOCK || !plan->many_execs)
			attr.scoped |= SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	cleanup_close int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return error_set_errno(error, errno, "landlock", "the ruleset (ABI %d)", abi);
	for (size_t i = 0; i < plan->grants_count; i++) {
		int r = add_grant(ruleset, plan, &plan->grants[i], attr.handled_access_fs, error);
		if (r < 0)
			return r;
	}
	if (plan->tier == TIER_LANDLOCK) {
		int r = add_own_terminal(ruleset, plan, attr.handled_access_fs, error);
		if (r < 0)
			return r;
	}
	*ret_ruleset = steal_fd(&ruleset);
	return 0;
}

int landlock_enter(int ruleset)
{
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

int landlock_scope_signals(void)
{
	int abi = landlock_abi();
	pid_t parent = getppid();
	if (abi < 6 || parent <= 0 || kill(parent, 0) < 0)
		return -ENOTSUP;
	struct ruleset_attr attr = {.scoped = SCOPE_SIGNAL};
	cleanup_close int ruleset =
		(int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* Every process of the host that kill(-1) does not reach would be a line of the audit. */
	unsigned flags = abi >= 7 ? RESTRICT_SELF_LOG_SAME_EXEC_OFF : 0;
	if (syscall(SYS_landlock_restrict_self, ruleset, flags) < 0)
		return -errno;
	return kill(parent, 0) < 0 && errno == EPERM ? 0 : -ENOTSUP;
}
