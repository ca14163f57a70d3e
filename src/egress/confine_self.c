/* Theory of operation. This process reads what strangers send, from both sides, and holds secrets.
 * So before the first such byte it gives up everything but what relaying takes: sockets of the
 * internet families that it may connect, and its memory. Whoever takes it over can then do what the
 * box may do anyway, and no more: no file by any path (Landlock, and no call that takes a path), no
 * program, no process, no signal, no executable memory, no debugger's view of anyone; nor can
 * others of the same user look into it (not dumpable).
 *
 * The filter is an allow-list. A call that no library here has a reason to try kills the process,
 * since then it is not ours any more; any other gives EPERM, so that a library which only probes
 * goes on without. The program is a constant array that the compiler lays out, with the numbers of
 * the architecture it is for. The kernel keeps a bitmap of the calls that are allowed whatever
 * their arguments (since 5.11), so those do not even run it. */
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/sys.h"
#include "egress/filter.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- the filter ---- */

/* One line a rule: set by hand. */
/* clang-format off */

#define REFUSE(number) RETURN(SECCOMP_RET_ERRNO | (number))
#define KILL(call) SKIP_UNLESS(SYS_##call, 1), RETURN(SECCOMP_RET_KILL_PROCESS)
#define ALLOW_VALUE(value) SKIP_UNLESS((value), 1), RETURN(SECCOMP_RET_ALLOW)
/* After LOAD_ARGUMENT(level of a socket option): options of that level, two instructions each. */
#define LEVEL(level, count) SKIP_UNLESS((level), 1 + 2 * (count) + 1), LOAD_ARGUMENT(2)

static const struct sock_filter code[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	SKIP_IF(NATIVE_ARCHITECTURE, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(offsetof(struct seccomp_data, nr)),

	/* moving bytes */
	ALLOW(splice), ALLOW(read), ALLOW(write), ALLOW(readv), ALLOW(writev),
	ALLOW(recvfrom), ALLOW(sendto), ALLOW(recvmsg), ALLOW(sendmsg),
	ALLOW(recvmmsg), ALLOW(sendmmsg),
	ALLOW(pipe2), ALLOW(close), ALLOW(shutdown), ALLOW(accept4), ALLOW(connect),
	ALLOW(getsockopt), ALLOW(getsockname), ALLOW(getpeername),
	/* waiting */
	ALLOW(epoll_pwait), ALLOW(epoll_ctl), ALLOW(ppoll), ALLOW(futex), ALLOW(restart_syscall),
#ifdef SYS_epoll_wait
	ALLOW(epoll_wait),
#endif
#ifdef SYS_poll
	ALLOW(poll),
#endif
	/* memory, time, chance, oneself */
	ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
	ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(getrandom), ALLOW(sysinfo),
#ifdef SYS_time
	ALLOW(time),
#endif
	ALLOW(getpid), ALLOW(gettid), ALLOW(getuid), ALLOW(geteuid), ALLOW(getgid), ALLOW(getegid),
	ALLOW(rt_sigaction), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn), ALLOW(sigaltstack),
	ALLOW(exit), ALLOW(exit_group),

	/* memory, but none that can be run */
	SKIP_IF(SYS_mmap, 1), SKIP_UNLESS(SYS_mprotect, 5),
	LOAD_ARGUMENT(2), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_EXEC),
	ALLOW_VALUE(0),
	REFUSE(EPERM),

	/* TCP and UDP only: no raw socket, no MPTCP, no other family */
	SKIP_UNLESS(SYS_socket, 15),
	LOAD_ARGUMENT(0), SKIP_IF(AF_INET, 2), SKIP_IF(AF_INET6, 1), REFUSE(EPERM),
	LOAD_ARGUMENT(1), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf),
	SKIP_IF(SOCK_STREAM, 2), SKIP_IF(SOCK_DGRAM, 1), REFUSE(EPERM),
	LOAD_ARGUMENT(2), SKIP_IF(0, 2), SKIP_IF(IPPROTO_TCP, 1), SKIP_UNLESS(IPPROTO_UDP, 1),
	RETURN(SECCOMP_RET_ALLOW),
	REFUSE(EPERM),

	/* descriptors: flags and the size of pipes; no owner, no lease, no seal, no lock */
	SKIP_UNLESS(SYS_fcntl, 14),
	LOAD_ARGUMENT(1),
	ALLOW_VALUE(F_GETFL), ALLOW_VALUE(F_SETFL), ALLOW_VALUE(F_GETFD), ALLOW_VALUE(F_SETFD),
	ALLOW_VALUE(F_SETPIPE_SZ), ALLOW_VALUE(F_GETPIPE_SZ),
	REFUSE(EPERM),

	SKIP_UNLESS(SYS_ioctl, 6),
	LOAD_ARGUMENT(1),
	ALLOW_VALUE(FIONREAD), ALLOW_VALUE(FIONBIO),
	REFUSE(ENOTTY),

	/* options of sockets: no filter is attached, no protocol put on top */
	SKIP_UNLESS(SYS_setsockopt, 14),
	LOAD_ARGUMENT(1),
	LEVEL(SOL_SOCKET, 2), ALLOW_VALUE(SO_LINGER), ALLOW_VALUE(SO_KEEPALIVE),
	REFUSE(EPERM),
	LEVEL(IPPROTO_TCP, 1), ALLOW_VALUE(TCP_NODELAY),
	REFUSE(EPERM),
	REFUSE(EPERM),

	/* what nothing here ever tries */
	KILL(execve), KILL(execveat), KILL(clone), KILL(clone3),
#ifdef SYS_fork
	KILL(fork), KILL(vfork),
#endif
	KILL(ptrace), KILL(process_vm_readv), KILL(process_vm_writev), KILL(pidfd_getfd),
	KILL(setns), KILL(unshare), KILL(mount), KILL(move_mount), KILL(pivot_root), KILL(chroot),
	KILL(bpf), KILL(perf_event_open), KILL(userfaultfd), KILL(io_uring_setup),
	KILL(add_key), KILL(keyctl), KILL(init_module), KILL(finit_module), KILL(kexec_load),
	KILL(open_by_handle_at), KILL(setuid), KILL(setresuid), KILL(setgid), KILL(setresgid),
	KILL(setgroups), KILL(capset),

	REFUSE(EPERM),
};

/* clang-format on */

/* ---- Landlock ---- */

/* Newer than the headers of Debian 12. */
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

/* The rights that an ABI brought: all of them are handled, and none is granted. */
static uint64_t handled_rights(int abi)
{
	static const unsigned counts[] = {0, 13, 14, 15, 15, 16};
	size_t last = ARRAY_SIZE(counts) - 1;
	return (1ULL << counts[(size_t)abi < last ? (size_t)abi : last]) - 1;
}

static int enter_landlock(const char **ret_note, struct error *error)
{
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1) {
		*ret_note = "coffer-egress runs without Landlock (this kernel has none): "
			    "its system call filter alone keeps it from files";
		return 0;
	}
	/* TCP is not handled: what may be reached is what this process decides. */
	struct ruleset_attr attr = {.handled_access_fs = handled_rights(abi)};
	size_t size = offsetof(struct ruleset_attr, handled_access_net);
	if (abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	cleanup_close int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_set_errno(error, errno, "egress", "Landlock (ABI %d)", abi);
	return 0;
}

/* ---- the environment ---- */

void forget_environment(void)
{
	for (char **variable = environ; variable && *variable; variable++)
		explicit_bzero(*variable, strlen(*variable));
	environ = NULL;
}

/* ---- both steps ---- */

static int drop_capabilities(struct error *error)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capset, &header, none) < 0)
		return error_set_errno(error, errno, "egress", "cannot give up capabilities");
	return 0;
}

int confine_files(const char **ret_note, struct error *error)
{
	*ret_note = NULL;
	const struct rlimit none = {0};
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "egress", "cannot confine coffer-egress");
	int r = drop_capabilities(error);
	return r < 0 ? r : enter_landlock(ret_note, error);
}

int confine_calls(struct error *error)
{
	const struct sock_fprog program = {
		.len = ARRAY_SIZE(code),
		.filter = (struct sock_filter *)(uintptr_t)code, /* the kernel only reads it */
	};
	if (sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, (void *)(uintptr_t)&program) < 0) {
		error_set_errno(error, errno, "egress",
			"cannot install the system call filter of coffer-egress");
		return error_hint(error, "this kernel lacks seccomp filters "
					 "(CONFIG_SECCOMP_FILTER)");
	}
	return 0;
}
