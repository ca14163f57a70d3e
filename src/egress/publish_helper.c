/* Theory of operation. Nothing outside the box's network namespace can connect to its loopback, and
 * egress, confined, cannot enter. So a child is forked while egress still may do things; it joins
 * the namespace as soon as there is one, gives up every right, and from then on knows one request.
 * It reads no byte of the box, nor of anybody who connects. */
#include "egress/publish.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sys.h"
#include "egress/filter.h"

#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* clang-format off */

static const struct sock_filter code[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	SKIP_IF(NATIVE_ARCHITECTURE, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(offsetof(struct seccomp_data, nr)),
	ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(connect), ALLOW(close),
	ALLOW(exit_group), ALLOW(restart_syscall),
	/* TCP of the internet families */
	SKIP_UNLESS(SYS_socket, 8),
	LOAD_ARGUMENT(0), SKIP_IF(AF_INET, 1), SKIP_UNLESS(AF_INET6, 5),
	LOAD_ARGUMENT(1), SKIP_UNLESS(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 3),
	LOAD_ARGUMENT(2), SKIP_UNLESS(0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	RETURN(SECCOMP_RET_KILL_PROCESS),
};

/* clang-format on */

/* As root the namespace can be entered directly, and then root's ids go. An ordinary user has the
 * right only in the box's user namespace, which is its own. */
static int join(int box_net, int box_user, uid_t uid, gid_t gid)
{
	if (geteuid() != 0)
		return setns(box_user, CLONE_NEWUSER) < 0 || setns(box_net, CLONE_NEWNET) < 0
			       ? -errno
			       : 0;
	if (uid == 0 || gid == 0)
		return -EPERM;
	if (setns(box_net, CLONE_NEWNET) < 0 || setgroups(0, NULL) < 0 ||
		setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int drop_everything(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	const struct rlimit zero = {0};
	const struct sock_fprog program = {
		.len = ARRAY_SIZE(code),
		.filter = (struct sock_filter *)(uintptr_t)code, /* the kernel only reads it */
	};
	/* A change of ids has cleared the parent-death signal. */
	if (setrlimit(RLIMIT_CORE, &zero) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &header, none) < 0 ||
		sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, (void *)(uintptr_t)&program) < 0)
		return -errno;
	return 0;
}

int publish_connect(int family, uint16_t port)
{
	const struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
	cleanup_close int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int r = family == AF_INET6 ? connect(fd, (const struct sockaddr *)&v6, sizeof(v6))
				   : connect(fd, (const struct sockaddr *)&v4, sizeof(v4));
	return r < 0 && errno != EINPROGRESS ? -errno : steal_fd(&fd);
}

/* Returns whether the other end is there to take it. */
static bool say(int socket, int error, int fd)
{
	const struct publish_answer answer = {.error = error};
	return fd_send(socket, &answer, sizeof(answer), &fd, fd >= 0 ? 1 : 0) == 0;
}

static int take_namespaces(int socket, uid_t uid, gid_t gid)
{
	char byte;
	int fds[2];
	size_t count = ARRAY_SIZE(fds);
	ssize_t n = fd_receive(socket, &byte, sizeof(byte), fds, &count);
	if (n <= 0 || count != ARRAY_SIZE(fds))
		return n < 0 ? (int)n : -EPIPE;
	int r = join(fds[0], fds[1], uid, gid);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	return r < 0 ? r : drop_everything();
}

noreturn void publish_help(int socket, uid_t uid, gid_t gid)
{
	int r = take_namespaces(socket, uid, gid);
	bool there = say(socket, r, -1) && r == 0;
	while (there) {
		struct publish_request request;
		size_t no_fds = 0;
		ssize_t n = fd_receive(socket, &request, sizeof(request), NULL, &no_fds);
		if (n != sizeof(request))
			break;
		int fd = publish_connect(
			request.family == AF_INET6 ? AF_INET6 : AF_INET, (uint16_t)request.port);
		there = say(socket, fd < 0 ? fd : 0, fd);
		close_fd(&fd);
	}
	_exit(0);
}
