/* The compiled filters, run in a small BPF machine of the test's own for both architectures, and
 * installed for real in child processes. */
#include "base/cleanup.h"
#include "base/sys.h"
#include "confine/seccomp_table.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define X32_BIT 0x40000000
#define HIGH (UINT64_C(0xdeadbeef) << 32)

static const uint32_t architectures[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64};

/* The machine: what the kernel's checker lets a seccomp program do, as far as ours do it. Anything
 * else, a jump out of the program included, fails the test. */
static uint32_t simulate(const struct seccomp_program *program, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;
	for (size_t at = 0; at < program->length; at++) {
		const struct sock_filter *code = &program->code[at];
		switch (code->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(code->k % 4 == 0 && code->k + 4 <= sizeof(*data));
			memcpy(&accumulator, (const char *)data + code->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			accumulator &= code->k;
			break;
		case BPF_JMP | BPF_JA:
			at += code->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += accumulator == code->k ? code->jt : code->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += accumulator >= code->k ? code->jt : code->jf;
			break;
		case BPF_RET | BPF_K:
			return code->k;
		default:
			fail_msg("instruction 0x%02x at %zu", code->code, at);
		}
	}
	fail_msg("the program has no end");
	return 0;
}

static uint32_t return_value(struct seccomp_action action)
{
	switch (action.kind) {
	case SECCOMP_DO_ALLOW:
		return SECCOMP_RET_ALLOW;
	case SECCOMP_DO_ERRNO:
		return SECCOMP_RET_ERRNO | action.errno_value;
	case SECCOMP_DO_NOTIFY:
		return SECCOMP_RET_USER_NOTIF;
	}
	fail_msg("no verdict");
	return 0;
}

static int find_number(const struct seccomp_program *program, const char *call)
{
	for (int number = 0; number < program->numbers; number++) {
		if (strcmp(program->names[number], call) == 0)
			return number;
	}
	return -1;
}

/* What is expected, by hand */

enum variant {
	PLAIN = 1 << 0,
	NAMES = 1 << 1,
	USERNS = 1 << 2,
	USERNS_NAMES = 1 << 3,
	LANDLOCK = 1 << 4,
	LANDLOCK_NAMES = 1 << 5,
	STRICT = 1 << 6,
	STRICT_NAMES = 1 << 7,
	EGRESS = 1 << 8, /* of the landlock tier, with a way out */
	EGRESS_NAMES = 1 << 9,
	TRACE = 1 << 10, /* whatever names a file is told */
	TRACE_NAMES = 1 << 11,
	TRACE_LANDLOCK = 1 << 12,
	TRACE_LANDLOCK_NAMES = 1 << 13,
	TRACE_EGRESS = 1 << 14,
	TRACE_EGRESS_NAMES = 1 << 15,

	TRACED_BOXES = TRACE | TRACE_NAMES,
	TRACED_OPEN = TRACE_EGRESS | TRACE_EGRESS_NAMES,
	TRACED_LANDLOCKS = TRACE_LANDLOCK | TRACE_LANDLOCK_NAMES | TRACED_OPEN,
	TRACED = TRACED_BOXES | TRACED_LANDLOCKS,
	TRACED_WATCHED = TRACE_NAMES | TRACE_LANDLOCK_NAMES | TRACE_EGRESS_NAMES,

	BOXES = PLAIN | NAMES, /* of the container tier, without namespaces of their own */
	NESTING = USERNS | USERNS_NAMES,
	CONTAINER = BOXES | NESTING,
	CLOSED = LANDLOCK | LANDLOCK_NAMES,
	OPEN = EGRESS | EGRESS_NAMES,
	LANDLOCKS = CLOSED | OPEN,
	DEFAULTS = CONTAINER | LANDLOCKS,
	STRICTS = STRICT | STRICT_NAMES,
	ALL = DEFAULTS | STRICTS,
	WATCHED = NAMES | USERNS_NAMES | LANDLOCK_NAMES | STRICT_NAMES | EGRESS_NAMES,
	NAMED = WATCHED | LANDLOCKS, /* in the landlock tier names are looked at in any case */
};

#define PASSES SECCOMP_RET_ALLOW
#define ASKS SECCOMP_RET_USER_NOTIF
#define FAILS(number) (SECCOMP_RET_ERRNO | (number))

/* clang-format off */
static const struct expectation {
	const char *call;
	unsigned variants;
	uint32_t value;
	uint64_t args[6];
} expectations[] = {
	{"read", ALL, PASSES},
	{"write", ALL, PASSES},
	{"mmap", ALL, PASSES},
	{"futex", ALL, PASSES},
	{"execve", ALL, PASSES},
	{"exit_group", ALL, PASSES},
	{"epoll_pwait", DEFAULTS, PASSES},

	/* what is told goes to the listener, and no call becomes looser by it */
	{"read", TRACED, PASSES},
	{"newfstatat", TRACED, PASSES},
	{"execve", TRACED, ASKS},
	{"openat", TRACED, ASKS, {0, 0, O_RDONLY}},
	{"openat", TRACED, ASKS, {0, 0, O_WRONLY | O_CREAT, S_ISUID}},
	{"unlinkat", TRACED, ASKS},
	{"mkdirat", TRACED, ASKS},
	{"fchmodat", TRACED, ASKS, {0, 0, S_ISUID}},
	{"truncate", TRACED, ASKS},
	{"setxattr", TRACED, ASKS},
	{"mount", TRACED, ASKS},
	{"openat2", TRACED, FAILS(ENOSYS)},
	{"io_uring_setup", TRACED, FAILS(ENOSYS)},
	{"socket", TRACED_LANDLOCKS, ASKS, {AF_INET, SOCK_DGRAM}},
	{"kill", TRACED_LANDLOCKS, ASKS, {1}},
	{"kill", TRACED_BOXES, PASSES, {1}},

	/* namespaces, however they are made */
	{"clone", ALL, PASSES, {SIGCHLD}},
	{"clone", ALL, PASSES, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_SETTLS}},
	{"clone", BOXES | LANDLOCKS | STRICTS, ASKS, {CLONE_NEWUSER | SIGCHLD}},
	{"clone", BOXES | LANDLOCKS | STRICTS, ASKS, {CLONE_NEWPID}},
	{"clone", BOXES | LANDLOCKS | STRICTS, ASKS, {CLONE_NEWNET}},
	{"clone", BOXES | LANDLOCKS | STRICTS, ASKS, {CLONE_NEWIPC}},
	{"clone", BOXES | LANDLOCKS | STRICTS, ASKS, {CLONE_NEWUTS}},
	{"clone", BOXES | LANDLOCKS | STRICTS, ASKS, {CLONE_NEWCGROUP}},
	{"clone", ALL, ASKS, {CLONE_NEWNS | HIGH}},
	{"clone", NESTING, PASSES, {CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD}},
	{"clone", NESTING, ASKS, {CLONE_NEWUSER | CLONE_NEWNS}},
	{"clone3", ALL, FAILS(ENOSYS)},
	{"unshare", DEFAULTS, PASSES, {CLONE_FS | CLONE_FILES}},
	{"unshare", BOXES | LANDLOCKS, ASKS, {CLONE_NEWUSER}},
	{"unshare", ALL & ~STRICTS, ASKS, {0x80 /* CLONE_NEWTIME */}},
	{"unshare", NESTING, PASSES, {CLONE_NEWUSER}},
	{"unshare", NESTING, ASKS, {CLONE_NEWUSER | CLONE_NEWNS}},
	{"unshare", STRICTS, FAILS(EPERM), {CLONE_NEWUSER}},
	{"setns", ALL, ASKS},
	{"chroot", BOXES | LANDLOCKS | STRICTS, ASKS},
	{"chroot", NESTING, PASSES},

	/* what enters the kernel by the back door */
	{"mount", ALL, ASKS},
	{"umount2", ALL, ASKS},
	{"pivot_root", ALL, ASKS},
	{"fsopen", ALL, ASKS},
	{"fsconfig", ALL, ASKS},
	{"fsmount", ALL, ASKS},
	{"fspick", ALL, ASKS},
	{"open_tree", ALL, ASKS},
	{"move_mount", ALL, ASKS},
	{"mount_setattr", ALL, ASKS},
	{"bpf", ALL, ASKS},
	{"perf_event_open", ALL, ASKS},
	{"userfaultfd", ALL, ASKS},
	{"keyctl", ALL, ASKS},
	{"add_key", ALL, ASKS},
	{"request_key", ALL, ASKS},
	{"init_module", ALL, ASKS},
	{"finit_module", ALL, ASKS},
	{"kexec_load", ALL, ASKS},
	{"kexec_file_load", ALL, ASKS},
	{"reboot", ALL, ASKS},
	{"open_by_handle_at", ALL, ASKS},
	{"fanotify_init", ALL, ASKS},
	{"clock_settime", ALL, ASKS},
	{"settimeofday", ALL, ASKS},
	{"sethostname", ALL, ASKS},
	{"modify_ldt", ALL, ASKS},
	{"iopl", ALL, ASKS},
	{"name_to_handle_at", ALL, FAILS(EOPNOTSUPP)},
	{"io_uring_setup", ALL, FAILS(ENOSYS)},
	{"io_uring_enter", ALL, FAILS(ENOSYS)},
	{"io_uring_register", ALL, FAILS(ENOSYS)},
	{"memfd_secret", ALL, FAILS(ENOSYS)},

	/* sockets: family, type, protocol, each with rubbish above the 32 bits that count */
	{"socket", DEFAULTS, PASSES, {AF_UNIX, SOCK_STREAM}},
	{"socket", DEFAULTS, PASSES, {AF_UNIX | HIGH, SOCK_SEQPACKET | SOCK_CLOEXEC}},
	{"socket", DEFAULTS, ASKS, {AF_UNIX, SOCK_DGRAM}},
	{"socket", DEFAULTS, ASKS, {AF_UNIX | HIGH, SOCK_DGRAM | SOCK_CLOEXEC}},
	{"socket", DEFAULTS, ASKS, {AF_UNIX, SOCK_RAW}},
	{"socket", CONTAINER, PASSES, {AF_INET, SOCK_STREAM}},
	{"socket", CONTAINER, PASSES, {AF_INET, SOCK_STREAM, IPPROTO_TCP}},
	{"socket", CONTAINER, PASSES, {AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP}},
	{"socket", CONTAINER, PASSES, {AF_INET | HIGH, SOCK_DGRAM | HIGH, IPPROTO_UDP | HIGH}},
	{"socket", CONTAINER, PASSES, {AF_INET6, SOCK_DGRAM}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_STREAM, 262 /* MPTCP */}},
	{"socket", DEFAULTS, ASKS, {AF_INET6, SOCK_STREAM, 262}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_STREAM, 132 /* SCTP */}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_STREAM, 256 /* SMC */}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_RAW, IPPROTO_TCP}},
	{"socket", DEFAULTS, ASKS, {AF_INET, SOCK_SEQPACKET}},
	{"socket", DEFAULTS, ASKS, {AF_INET, 10 /* SOCK_PACKET */, IPPROTO_TCP}},
	{"socket", CONTAINER, PASSES, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE}},
	{"socket", DEFAULTS, ASKS, {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}},
	{"socket", DEFAULTS, ASKS, {AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT}},
	{"socket", DEFAULTS, ASKS, {AF_PACKET, SOCK_RAW, 0x300}},
	{"socket", DEFAULTS, ASKS, {AF_VSOCK, SOCK_STREAM}},
	{"socket", DEFAULTS, ASKS, {AF_ALG, SOCK_SEQPACKET}},
	{"socket", DEFAULTS, ASKS, {44 /* AF_XDP */, SOCK_RAW}},
	{"socket", DEFAULTS, ASKS, {AF_BLUETOOTH, SOCK_STREAM}},
	{"socket", CLOSED, ASKS, {AF_INET, SOCK_STREAM}},
	{"socket", LANDLOCKS, ASKS, {AF_INET6 | HIGH, SOCK_DGRAM}},
	{"socket", OPEN, PASSES, {AF_INET, SOCK_STREAM | SOCK_NONBLOCK}},
	{"socket", OPEN, PASSES, {AF_INET6, SOCK_STREAM, IPPROTO_TCP}},
	{"socket", OPEN, ASKS, {AF_INET, SOCK_DGRAM}},
	{"socket", OPEN, ASKS, {AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP}},
	{"socket", OPEN, ASKS, {AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */}},
	{"socket", OPEN, ASKS, {AF_UNIX, SOCK_DGRAM}},
	{"socket", LANDLOCKS, FAILS(EACCES), {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}},
	{"socket", STRICTS, ASKS, {AF_UNIX, SOCK_STREAM}},
	{"socketpair", DEFAULTS, PASSES, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}},
	{"socketpair", DEFAULTS, ASKS, {AF_UNIX, SOCK_DGRAM}},
	{"socketpair", DEFAULTS, ASKS, {AF_UNIX | HIGH, SOCK_RAW}},
	{"socketpair", STRICTS, ASKS, {AF_UNIX, SOCK_STREAM}},
	{"connect", DEFAULTS, ASKS},
	{"bind", DEFAULTS, ASKS},
	{"connect", STRICTS, FAILS(EPERM)},
	{"sendto", DEFAULTS, PASSES},
	{"sendto", OPEN, ASKS, {5, 0, 1, 0, 0, 16}},
	{"sendto", OPEN, ASKS, {5, 0, 1, 0, HIGH, 16}},
	{"sendto", OPEN, ASKS, {5, 0, 1, MSG_FASTOPEN}},
	{"sendto", OPEN, ASKS, {5, 0, 1, MSG_FASTOPEN | MSG_NOSIGNAL | HIGH, 0, 16}},
	{"sendmsg", DEFAULTS & ~OPEN, PASSES, {5, 0, MSG_NOSIGNAL}},
	{"sendmsg", DEFAULTS, PASSES, {CONTROL_FD, 0, MSG_NOSIGNAL}},
	{"sendmsg", OPEN, ASKS, {CONTROL_FD, 0, MSG_NOSIGNAL | MSG_FASTOPEN}},
	{"sendmsg", OPEN, ASKS, {5, 0, MSG_NOSIGNAL}},
	{"sendmmsg", OPEN, ASKS},
	{"sendmsg", OPEN, ASKS, {5, 0, MSG_FASTOPEN}},
	{"sendmmsg", OPEN, ASKS, {5, 0, 1, MSG_FASTOPEN | HIGH}},
	{"recvfrom", OPEN, PASSES, {5, 0, 1}},
	{"recvfrom", OPEN, ASKS, {5, 0, 1, 0, 4096, 4096}},
	{"recvfrom", DEFAULTS & ~OPEN, PASSES, {5, 0, 1, 0, 4096, 4096}},
	{"recvmsg", OPEN, ASKS},
	{"recvmsg", DEFAULTS & ~OPEN, PASSES},
	{"listen", LANDLOCKS, ASKS},
	{"listen", DEFAULTS & ~LANDLOCKS, PASSES},
	{"setsockopt", OPEN, FAILS(0), {5, SOL_SOCKET, SO_REUSEPORT}},
	{"setsockopt", OPEN, ASKS, {5, SOL_SOCKET, SO_BINDTODEVICE}},
	{"setsockopt", OPEN, ASKS, {5, SOL_SOCKET | HIGH, 62 /* SO_BINDTOIFINDEX */}},
	{"setsockopt", OPEN, ASKS, {5, IPPROTO_IP, IP_OPTIONS}},
	{"setsockopt", OPEN, FAILS(ENOPROTOOPT), {5, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */}},
	{"setsockopt", OPEN, FAILS(ENOPROTOOPT), {5, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */}},
	{"setsockopt", OPEN, FAILS(EOPNOTSUPP), {5, SOL_SOCKET | HIGH, 42 /* SO_PEEK_OFF */}},
	{"getsockopt", LANDLOCKS, FAILS(ENOPROTOOPT), {5, SOL_SOCKET, 77 /* SO_PEERPIDFD */}},
	{"getsockopt", LANDLOCKS, PASSES, {5, SOL_SOCKET, SO_PEERCRED}},
	{"setsockopt", OPEN, FAILS(ENOPROTOOPT), {5, IPPROTO_TCP, TCP_FASTOPEN_CONNECT}},
	{"setsockopt", OPEN, PASSES, {5, IPPROTO_TCP, TCP_NODELAY}},
	{"setsockopt", NESTING, ASKS, {5, 0, 64}},
	{"setsockopt", NESTING, PASSES, {5, SOL_SOCKET, SO_REUSEADDR}},
	{"sendmsg", STRICTS, PASSES, {CONTROL_FD}},
	{"sendmsg", STRICTS, FAILS(EPERM), {CONTROL_FD + 1}},
	{"recvmsg", STRICTS, FAILS(EPERM), {0}},

	/* ioctl: the request is 32 bits to the kernel, whatever stands above */
	{"ioctl", ALL, PASSES, {0, TCGETS}},
	{"ioctl", ALL, ASKS, {0, TIOCSTI}},
	{"ioctl", ALL, ASKS, {0, TIOCSTI | UINT64_C(1) << 32}},
	{"ioctl", ALL, ASKS, {0, TIOCSTI | HIGH}},
	{"ioctl", ALL, ASKS, {0, TIOCLINUX | HIGH}},
	{"ioctl", DEFAULTS, ASKS, {0, TIOCSETD}},
	{"ioctl", DEFAULTS, ASKS, {0, 0x4b47 /* KDSKBENT */}},
	{"ioctl", DEFAULTS, ASKS, {0, 0x5000940e /* BTRFS_IOC_SUBVOL_CREATE */}},
	{"ioctl", DEFAULTS, PASSES, {0, FIONREAD}},
	{"ioctl", CONTAINER, PASSES, {0, FS_IOC_SETFLAGS}},
	{"ioctl", LANDLOCKS, ASKS, {0, FS_IOC_SETFLAGS}},
	{"ioctl", LANDLOCKS, ASKS, {0, FS_IOC_FSSETXATTR | HIGH}},
	{"ioctl", LANDLOCKS, PASSES, {0, FS_IOC_GETFLAGS}},
	{"ioctl", LANDLOCKS, ASKS, {0, TIOCGPTPEER | HIGH}},
	{"ioctl", CONTAINER, PASSES, {0, TIOCGPTPEER}},
	{"ioctl", LANDLOCKS, ASKS, {0, 0x8901 /* FIOSETOWN */}},
	{"ioctl", LANDLOCKS, PASSES, {0, FICLONE}},
	{"ioctl", STRICTS, FAILS(ENOTTY), {0, FS_IOC_SETFLAGS}},

	/* one's own settings */
	{"personality", DEFAULTS, PASSES, {0xffffffff}},
	{"personality", DEFAULTS, PASSES, {0x0040000}},
	{"personality", DEFAULTS, PASSES, {0}},
	{"personality", DEFAULTS, ASKS, {0x0400000 /* READ_IMPLIES_EXEC */}},
	{"prctl", DEFAULTS, PASSES, {PR_SET_NAME}},
	{"prctl", DEFAULTS, ASKS, {PR_SET_MM | HIGH}},
	{"prctl", STRICTS, PASSES, {PR_SET_NAME}},
	{"prctl", STRICTS, FAILS(EINVAL), {PR_SET_SECCOMP}},
	{"seccomp", DEFAULTS, PASSES, {SECCOMP_SET_MODE_FILTER, 0}},
	{"seccomp", DEFAULTS, FAILS(EBUSY),
		{SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | 2 /* LOG */}},
	{"seccomp", STRICTS, FAILS(EPERM), {SECCOMP_SET_MODE_FILTER, 0}},
	{"ptrace", DEFAULTS, PASSES},
	{"ptrace", STRICTS, ASKS},

	/* names */
	{"mkdirat", ALL & ~NAMED, PASSES},
	{"mkdirat", NAMED, ASKS},
	{"mkdir", NAMED, ASKS},
	{"symlinkat", NAMED, ASKS},
	{"linkat", NAMED, ASKS},
	{"renameat", NAMED, ASKS},
	{"renameat2", NAMED & DEFAULTS, ASKS},
	{"renameat2", STRICTS, FAILS(ENOSYS)},
	{"mknodat", NAMED & DEFAULTS, ASKS},
	{"mknodat", STRICTS, FAILS(EPERM)},
	{"unlinkat", ALL & ~LANDLOCKS, PASSES},
	{"unlinkat", LANDLOCKS, ASKS},
	{"unlink", LANDLOCKS, ASKS},
	{"rmdir", LANDLOCKS, ASKS},
	{"creat", LANDLOCKS, ASKS},
	{"creat", CONTAINER, PASSES},

	/* the landlock tier: others' processes, and what Landlock does not see */
	{"kill", CONTAINER, PASSES, {1234, SIGKILL}},
	{"kill", LANDLOCKS, ASKS, {1234, SIGKILL}},
	{"kill", LANDLOCKS, ASKS, {UINT64_MAX, SIGKILL}},
	{"kill", LANDLOCKS, ASKS, {0xffffffff, SIGKILL}},
	{"kill", LANDLOCKS, PASSES, {HIGH, SIGTERM}}, /* pid 0: the own group */
	{"pidfd_send_signal", LANDLOCKS, ASKS, {0, SIGKILL}},
	{"tgkill", LANDLOCKS, ASKS, {1234, 1234, SIGKILL}},
	{"rt_sigqueueinfo", LANDLOCKS, ASKS, {1234, SIGKILL}},
	{"prlimit64", LANDLOCKS, PASSES, {0, RLIMIT_NOFILE}},
	{"prlimit64", LANDLOCKS, ASKS, {1234, RLIMIT_NOFILE}},
	{"setpriority", LANDLOCKS, PASSES, {PRIO_PROCESS, 0}},
	{"setpriority", LANDLOCKS, ASKS, {PRIO_PROCESS, 1234}},
	{"setpriority", LANDLOCKS, ASKS, {PRIO_USER, 0}},
	{"ioprio_set", LANDLOCKS, ASKS, {3 /* IOPRIO_WHO_USER */, 0}},
	{"sched_setaffinity", LANDLOCKS, PASSES, {0}},
	{"sched_setaffinity", LANDLOCKS, ASKS, {1234}},
	{"fcntl", ALL, ASKS, {5, F_SETLEASE}},
	{"fcntl", LANDLOCKS, PASSES, {5, F_SETFL}},
	{"fcntl", LANDLOCKS, ASKS, {5, F_SETOWN}},
	{"fcntl", LANDLOCKS, ASKS, {5, F_SETOWN_EX | HIGH}},
	{"openat", LANDLOCKS, PASSES, {0, 0, O_RDONLY | O_CLOEXEC}},
	{"openat", LANDLOCKS, PASSES, {0, 0, O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK}},
	{"openat", LANDLOCKS, PASSES, {0, 0, O_PATH | HIGH}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_WRONLY | O_CREAT | O_TRUNC}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_RDWR | O_TRUNC}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_WRONLY}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_ACCMODE}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_RDONLY | O_CREAT | HIGH}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_TMPFILE | O_RDWR}},
	{"openat", CONTAINER, PASSES, {0, 0, O_WRONLY | O_CREAT | O_TRUNC}},
	{"open", LANDLOCKS, PASSES, {0, O_RDONLY}},
	{"open", LANDLOCKS, ASKS, {0, O_WRONLY}},
	{"open", LANDLOCKS, ASKS, {0, O_CREAT}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_RDONLY | O_TRUNC}},
	{"openat", LANDLOCKS, ASKS, {0, 0, O_ACCMODE | O_TRUNC | HIGH}},
	{"open", LANDLOCKS, ASKS, {0, O_RDONLY | O_TRUNC}},
	{"openat", CONTAINER, PASSES, {0, 0, O_RDONLY | O_TRUNC}},
	{"openat2", LANDLOCKS, FAILS(ENOSYS)},
	{"truncate", LANDLOCKS, ASKS},
	{"fchmod", LANDLOCKS, ASKS},
	{"fchmodat", LANDLOCKS, ASKS},
	{"fchmodat2", LANDLOCKS, ASKS},
	{"chmod", LANDLOCKS, ASKS},
	{"fchown", LANDLOCKS, ASKS},
	{"fsetxattr", LANDLOCKS, ASKS},
	{"utimensat", LANDLOCKS, ASKS},
	{"ftruncate", LANDLOCKS, PASSES},
	{"fchmod", CONTAINER, PASSES},
	{"shmget", CONTAINER, PASSES},
	{"shmget", LANDLOCKS, ASKS},
	{"mq_open", LANDLOCKS, ASKS},

	/* strict: what is not on its list, but known, was policy */
	{"openat2", STRICTS, FAILS(ENOSYS)},
	{"process_madvise", STRICTS, FAILS(EPERM)},
	{"inotify_init1", STRICTS, FAILS(EPERM)},
	{"shmget", STRICTS, FAILS(EPERM)},
	{"fsync", STRICTS, FAILS(0)},
};
/* clang-format on */

static void expect(const struct expectation *expectation, size_t variant, uint32_t architecture,
	unsigned *found)
{
	const struct seccomp_program *program =
		seccomp_program(&seccomp_variants[variant], architecture);
	int number = find_number(program, expectation->call);
	if (number < 0)
		return;
	*found += 1;
	struct seccomp_data data = {.nr = number, .arch = architecture};
	memcpy(data.args, expectation->args, sizeof(expectation->args));
	uint32_t value = simulate(program, &data);
	if (value != expectation->value)
		fail_msg("%s(%#llx, %#llx, %#llx), variant %zu, architecture %#x: %#x, not %#x",
			expectation->call, (unsigned long long)data.args[0],
			(unsigned long long)data.args[1], (unsigned long long)data.args[2], variant,
			architecture, value, expectation->value);
}

static void test_expectations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++) {
		unsigned found = 0;
		for (size_t variant = 0; variant < SECCOMP_VARIANTS; variant++) {
			if (!(expectations[i].variants & 1u << variant))
				continue;
			for (size_t a = 0; a < ARRAY_SIZE(architectures); a++)
				expect(&expectations[i], variant, architectures[a], &found);
		}
		if (!found)
			fail_msg("no architecture knows %s", expectations[i].call);
	}
}

/* The variants stand where the bits above say. */
static void test_variants(void **state)
{
	(void)state;
	for (size_t i = 0; i < SECCOMP_VARIANTS; i++) {
		const struct seccomp_choice *choice = &seccomp_variants[i];
		assert_int_equal(choice->watch_names, !!((WATCHED | TRACED_WATCHED) & 1u << i));
		assert_int_equal(choice->allow_userns, !!(NESTING & 1u << i));
		assert_int_equal(choice->landlock_tier,
			!!((LANDLOCKS | TRACED_LANDLOCKS) & 1u << i));
		assert_int_equal(choice->egress, !!((OPEN | TRACED_OPEN) & 1u << i));
		assert_int_equal(choice->trace, !!(TRACED & 1u << i));
		assert_int_equal(choice->profile == SECCOMP_STRICT, !!(STRICTS & 1u << i));
	}
	struct seccomp_choice meaningless = {.profile = SECCOMP_STRICT, .landlock_tier = true};
	assert_null(seccomp_program(&meaningless, AUDIT_ARCH_X86_64));
	meaningless = (struct seccomp_choice){.landlock_tier = true, .allow_userns = true};
	assert_null(seccomp_program(&meaningless, AUDIT_ARCH_X86_64));
	assert_null(seccomp_program(&seccomp_variants[0], AUDIT_ARCH_I386));

	struct error error = {0};
	int listener = -1;
	assert_int_equal(seccomp_install(&meaningless, &listener, &error), -EINVAL);
	assert_string_equal(error.stage, "seccomp");
	assert_int_equal(listener, -1);
	struct seccomp_data data = {.nr = 0};
	struct seccomp_verdict verdict;
	seccomp_decide(&meaningless, &data, &verdict);
	assert_int_equal(verdict.action.kind, SECCOMP_DO_ERRNO);
}

/* Whatever the number and the arguments, the program says what the tables say. */
static uint32_t table_value(const struct seccomp_program *program,
	const struct seccomp_choice *choice, bool x86_64, const struct seccomp_data *data)
{
	unsigned number = (unsigned)data->nr;
	seccomp_line_reference reference = SECCOMP_NO_LINE;
	if (number < program->numbers && program->names[number][0])
		reference = seccomp_find_line(choice, x86_64, program->names[number]);
	if (reference == SECCOMP_NO_LINE)
		return return_value(seccomp_default_action(choice, number, program->numbers - 1u));
	uint64_t args[6];
	memcpy(args, data->args, sizeof(args));
	return return_value(seccomp_apply_line(seccomp_line(reference), args));
}

/* The values that the rules of a check compare with, among others. */
static uint64_t pick_argument(const struct seccomp_rule *check, unsigned argument)
{
	uint64_t value = (uint64_t)random();
	if (check && random() % 8) {
		size_t rules = 1;
		while (check[rules - 1].tests[0].mask)
			rules++;
		const struct seccomp_rule *rule = &check[(size_t)random() % rules];
		for (size_t t = 0; t < SECCOMP_TESTS_MAX; t++) {
			if (rule->tests[t].mask && rule->tests[t].argument == argument)
				value = rule->tests[t].value |
					((uint32_t)random() & ~rule->tests[t].mask);
		}
	}
	return random() % 4 ? value : value ^ HIGH;
}

static void compare_number(
	const struct seccomp_choice *choice, uint32_t architecture, unsigned number, size_t rounds)
{
	const struct seccomp_program *program = seccomp_program(choice, architecture);
	bool x86_64 = architecture == AUDIT_ARCH_X86_64;
	struct seccomp_data data = {.nr = (int)number, .arch = architecture};
	const struct seccomp_rule *check = NULL;
	if (number < program->numbers && program->lines[number] != SECCOMP_NO_LINE)
		check = seccomp_line(program->lines[number])->check;
	for (size_t round = 0; round < (check ? rounds : 2); round++) {
		for (unsigned i = 0; i < 6; i++)
			data.args[i] = pick_argument(check, i);
		uint32_t value = simulate(program, &data);
		uint32_t expected = table_value(program, choice, x86_64, &data);
		if (value != expected)
			fail_msg("number %u, architecture %#x: %#x instead of %#x", number,
				architecture, value, expected);
	}
}

static void test_programs_are_the_tables(void **state)
{
	(void)state;
	srandom(1);
	for (size_t variant = 0; variant < SECCOMP_VARIANTS; variant++) {
		for (size_t a = 0; a < ARRAY_SIZE(architectures); a++) {
			for (unsigned number = 0; number < 600; number++)
				compare_number(
					&seccomp_variants[variant], architectures[a], number, 400);
		}
	}
}

/* Numbers of nobody, of x32, and other architectures. */
static void test_strange_numbers(void **state)
{
	(void)state;
	for (size_t variant = 0; variant < SECCOMP_VARIANTS; variant++) {
		for (size_t a = 0; a < ARRAY_SIZE(architectures); a++) {
			const struct seccomp_program *program =
				seccomp_program(&seccomp_variants[variant], architectures[a]);
			struct seccomp_data data = {.arch = architectures[a]};
			const unsigned unknown[] = {program->numbers, 511, 512, 547, 1000,
				0x7fffffff, 0x80000000, 0xffffffff};
			for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
				data.nr = (int)unknown[i];
				assert_int_equal(simulate(program, &data), FAILS(ENOSYS));
			}
			for (int number = 0; number < 600; number++) {
				data.nr = number | X32_BIT;
				assert_int_equal(simulate(program, &data), FAILS(ENOSYS));
			}
			const uint32_t foreign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0,
				architectures[!a], AUDIT_ARCH_RISCV64};
			for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
				data = (struct seccomp_data){.nr = 1, .arch = foreign[i]};
				assert_int_equal(
					simulate(program, &data), SECCOMP_RET_KILL_PROCESS);
			}
		}
	}
}

/* The tables themselves */

static size_t count_calls(const char *calls)
{
	size_t count = 1;
	for (const char *c = calls; *c; c++)
		count += *c == ' ';
	return count;
}

/* Each line has its reason and exactly one decision, each check ends, and no call stands twice in a
 * layer (the second line would never be read). */
static void check_line(const struct seccomp_line *line)
{
	assert_non_null(line->reason);
	assert_true(strlen(line->reason) >= 8);
	assert_null(strstr(line->calls, "  "));
	assert_int_equal(line->check != NULL, line->action.kind == SECCOMP_DO_CHECK);
	for (const struct seccomp_rule *rule = line->check; rule; rule++) {
		assert_int_not_equal(rule->action.kind, SECCOMP_DO_CHECK);
		for (size_t t = 0; t < SECCOMP_TESTS_MAX; t++) {
			/* A value with bits outside its mask never matches. */
			assert_int_equal(rule->tests[t].value & ~rule->tests[t].mask, 0);
			assert_true(rule->tests[t].argument < 6);
		}
		if (!rule->tests[0].mask)
			break;
	}
}

static size_t count_word(const struct seccomp_lines *lines, const char *word)
{
	size_t count = 0;
	for (size_t i = 0; i < lines->count; i++) {
		cleanup_free char *copy = strdup(lines->items[i].calls);
		char *rest = copy;
		for (char *call; (call = strsep(&rest, " "));)
			count += strcmp(call, word) == 0;
	}
	return count;
}

static void test_tables(void **state)
{
	(void)state;
	const struct seccomp_lines *base = &seccomp_layers[SECCOMP_LAYER_DEFAULT];
	for (int layer = 0; layer < SECCOMP_LAYERS; layer++) {
		const struct seccomp_lines *lines = &seccomp_layers[layer];
		for (size_t i = 0; i < lines->count; i++) {
			check_line(&lines->items[i]);
			cleanup_free char *copy = strdup(lines->items[i].calls);
			char *rest = copy;
			for (char *call; (call = strsep(&rest, " "));) {
				if (count_word(lines, call) != 1)
					fail_msg("layer %d has %s twice", layer, call);
				if (count_word(base, call) != 1)
					fail_msg("layer %d has %s, the default table has not",
						layer, call);
			}
		}
	}
}

/* Every named number is of a call that a line names, both ways: none was lost by the generator. */
static void test_every_call_has_its_number(void **state)
{
	(void)state;
	const struct seccomp_lines *base = &seccomp_layers[SECCOMP_LAYER_DEFAULT];
	for (size_t a = 0; a < ARRAY_SIZE(architectures); a++) {
		const struct seccomp_program *program =
			seccomp_program(&seccomp_variants[0], architectures[a]);
		size_t expected = 0, named = 0;
		for (size_t i = 0; i < base->count; i++) {
			if (base->items[i].architectures == SECCOMP_EVERYWHERE ||
				architectures[a] == AUDIT_ARCH_X86_64)
				expected += count_calls(base->items[i].calls);
		}
		for (unsigned number = 0; number < program->numbers; number++)
			named += program->names[number][0] != '\0';
		assert_int_equal(named, expected);
	}
}

/* The numbers are this machine's: libseccomp's table against the C library's. */
static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int number;
	} known[] = {{"read", SYS_read}, {"mount", SYS_mount}, {"socket", SYS_socket},
		{"clone", SYS_clone}, {"unshare", SYS_unshare}, {"ptrace", SYS_ptrace},
		{"landlock_restrict_self", SYS_landlock_restrict_self}, {"openat", SYS_openat}};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct seccomp_data data = {.nr = known[i].number};
		struct seccomp_verdict verdict;
		seccomp_decide(&seccomp_variants[0], &data, &verdict);
		assert_string_equal(verdict.call, known[i].name);
		assert_non_null(verdict.reason);
	}
}

static void test_decide(void **state)
{
	(void)state;
	static const struct {
		unsigned variant;
		struct seccomp_data data;
		enum seccomp_notify_class class;
		int errno_value;
	} cases[] = {
		{0, {.nr = SYS_mount}, SECCOMP_NOTIFY_REFUSE, EPERM},
		{0, {.nr = SYS_connect}, SECCOMP_NOTIFY_SOCKET, EACCES},
		{1, {.nr = SYS_mkdirat}, SECCOMP_NOTIFY_NAMES, EPERM},
		{4, {.nr = SYS_fchmod}, SECCOMP_NOTIFY_ATTRIBUTES, EPERM},
		{4, {.nr = SYS_kill, .args = {UINT64_MAX}}, SECCOMP_NOTIFY_SIGNAL, EPERM},
		{0, {.nr = SYS_socket, .args = {AF_VSOCK, SOCK_STREAM}}, SECCOMP_NOTIFY_REFUSE,
			EAFNOSUPPORT},
		{0, {.nr = SYS_socket, .args = {AF_INET, SOCK_STREAM, 262}}, SECCOMP_NOTIFY_REFUSE,
			EPROTONOSUPPORT},
		{0, {.nr = SYS_socket, .args = {AF_INET, SOCK_RAW, 1}}, SECCOMP_NOTIFY_REFUSE,
			EPERM},
		{4, {.nr = SYS_socket, .args = {AF_INET, SOCK_STREAM, 0}}, SECCOMP_NOTIFY_REFUSE,
			EACCES},
		{0, {.nr = SYS_perf_event_open}, SECCOMP_NOTIFY_REFUSE, EACCES},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seccomp_verdict verdict;
		seccomp_decide(&seccomp_variants[cases[i].variant], &cases[i].data, &verdict);
		assert_int_equal(verdict.action.kind, SECCOMP_DO_NOTIFY);
		assert_int_equal(verdict.action.class, cases[i].class);
		assert_int_equal(verdict.action.errno_value, cases[i].errno_value);
	}
}

static void test_describe(void **state)
{
	(void)state;
	unsigned instructions, syscalls, strict_instructions, strict_syscalls;
	seccomp_describe(&seccomp_variants[0], &instructions, &syscalls);
	seccomp_describe(&seccomp_variants[6], &strict_instructions, &strict_syscalls);
	assert_in_range(instructions, 100, BPF_MAXINSNS);
	assert_in_range(syscalls, 200, 330);
	assert_in_range(strict_instructions, 50, instructions);
	assert_in_range(strict_syscalls, 40, 100);
	print_message("default: %u instructions, %u calls; strict: %u instructions, %u calls\n",
		instructions, syscalls, strict_instructions, strict_syscalls);
}

/* The kernel's own view: installed in a child, with this process at the listener. */

/* What the child learns of one call; errno, or 0 when it succeeded. Shared memory. */
struct outcome {
	int errnos[16];
};

struct live {
	pid_t child;
	int listener; /* this process's copy */
	int go;       /* written to when the listener is held */
	struct outcome *outcome;
};

typedef void (*live_body)(struct outcome *outcome);

static int errno_of(long result)
{
	return result < 0 ? errno : 0;
}

static void live_child(size_t variant, int up, int go, struct outcome *outcome, live_body body)
{
	int listener = -1;
	char byte;
	alarm(20); /* a call that waits for an answer that nobody gives must not hang the suite */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (seccomp_install(&seccomp_variants[variant], &listener, NULL) != 0)
		_exit(100);
	if (!(fcntl(listener, F_GETFD) & FD_CLOEXEC))
		_exit(101);
	if (write(up, &listener, sizeof(listener)) != sizeof(listener) || read(go, &byte, 1) != 1)
		_exit(102);
	close(listener);
	body(outcome);
	_exit(0);
}

static void live_start(struct live *live, size_t variant, live_body body)
{
	int up[2], go[2], number;
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	live->outcome = mmap(NULL, sizeof(*live->outcome), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(live->outcome, MAP_FAILED);
	memset(live->outcome, 0xff, sizeof(*live->outcome));
	live->child = fork();
	assert_true(live->child >= 0);
	if (live->child == 0)
		live_child(variant, up[1], go[0], live->outcome, body);
	close(up[1]);
	close(go[0]);
	assert_int_equal(read(up[0], &number, sizeof(number)), sizeof(number));
	close(up[0]);
	cleanup_close int pidfd = sys_pidfd_open(live->child, 0);
	live->listener = sys_pidfd_getfd(pidfd, number);
	assert_true(live->listener >= 0);
	assert_int_equal(write(go[1], "", 1), 1);
	close(go[1]);
}

/* Answers as the tables say, refusing whatever is asked; returns how many calls were notified. */
static unsigned live_answer(struct live *live, size_t variant, int *ret_status)
{
	unsigned answered = 0;
	for (;;) {
		struct pollfd poller = {.fd = live->listener, .events = POLLIN};
		assert_true(poll(&poller, 1, 20000) > 0);
		if (!(poller.revents & POLLIN))
			break; /* the last process under the filter is gone */
		struct seccomp_notif notification = {0};
		if (ioctl(live->listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0)
			continue;
		struct seccomp_verdict verdict;
		seccomp_decide(&seccomp_variants[variant], &notification.data, &verdict);
		assert_int_equal(verdict.action.kind, SECCOMP_DO_NOTIFY);
		struct seccomp_notif_resp response = {
			.id = notification.id, .error = -verdict.action.errno_value};
		answered++;
		ioctl(live->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
	assert_int_equal(waitpid(live->child, ret_status, 0), live->child);
	close(live->listener);
	return answered;
}

static void default_body(struct outcome *outcome)
{
	int *result = outcome->errnos;
	result[0] = errno_of(syscall(SYS_getppid | X32_BIT));
	result[1] = errno_of(syscall(SYS_clone3, NULL, 0));
	result[2] = errno_of(syscall(SYS_io_uring_setup, 1, NULL));
	result[3] = errno_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	result[4] = errno_of(socket(AF_VSOCK, SOCK_STREAM, 0));
	result[5] = errno_of(socket(AF_UNIX, SOCK_DGRAM, 0));
	result[6] = errno_of(syscall(SYS_ioctl, 0, TIOCSTI | UINT64_C(1) << 32, "x"));
	result[7] = errno_of(unshare(CLONE_NEWUSER));
	result[8] = errno_of(unshare(CLONE_FS));
	result[9] = errno_of(syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL));
	result[10] = errno_of(syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL));
	result[11] = errno_of(syscall(700));
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	result[12] = errno_of(child);
	waitpid(child, NULL, 0);
}

static void test_live_default(void **state)
{
	(void)state;
	struct live live;
	int status;
	live_start(&live, 0, default_body);
	assert_int_equal(live_answer(&live, 0, &status), 5);
	assert_int_equal(status, 0);
	const int expected[] = {ENOSYS, ENOSYS, ENOSYS, 0, EAFNOSUPPORT, EACCES, EPERM, EPERM, 0,
		EPERM, EBUSY, ENOSYS, 0};
	assert_memory_equal(live.outcome->errnos, expected, sizeof(expected));
	munmap(live.outcome, sizeof(*live.outcome));
}

static void landlock_body(struct outcome *outcome)
{
	int *result = outcome->errnos;
	result[0] = errno_of(socket(AF_INET, SOCK_STREAM, 0));
	result[1] = errno_of(kill(getppid(), 0));
	result[2] = errno_of(kill(0, 0));
	result[3] = errno_of(fchmod(0, 0600));
	result[4] = errno_of(open("/dev/null", O_RDONLY | O_TRUNC | O_CLOEXEC));
	result[5] = errno_of(open("/dev/null", O_RDONLY | O_CLOEXEC));
	result[6] = errno_of(open("/dev/null", O_WRONLY | O_CLOEXEC));
	result[7] = errno_of(unlink("/nothing"));
}

static void test_live_landlock(void **state)
{
	(void)state;
	struct live live;
	int status;
	live_start(&live, 4, landlock_body);
	assert_int_equal(live_answer(&live, 4, &status), 6);
	assert_int_equal(status, 0);
	const int expected[] = {EACCES, EPERM, 0, EPERM, EACCES, 0, EACCES, EACCES};
	assert_memory_equal(live.outcome->errnos, expected, sizeof(expected));
	munmap(live.outcome, sizeof(*live.outcome));
}

static void strict_body(struct outcome *outcome)
{
	int *result = outcome->errnos;
	result[0] = errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
	result[1] = errno_of(open("/dev/null", O_RDONLY | O_CLOEXEC));
	result[2] = errno_of(syscall(SYS_shmget, 0, 1, 0600));
	result[3] = errno_of(syscall(700));
	result[4] = errno_of(fsync(1));
}

static void test_live_strict(void **state)
{
	(void)state;
	struct live live;
	int status;
	live_start(&live, 6, strict_body);
	assert_int_equal(live_answer(&live, 6, &status), 1);
	assert_int_equal(status, 0);
	const int expected[] = {EPERM, 0, EPERM, ENOSYS, 0};
	assert_memory_equal(live.outcome->errnos, expected, sizeof(expected));
	munmap(live.outcome, sizeof(*live.outcome));
}

#ifdef __x86_64__
/* getpid by the 32-bit gate, which a kernel without IA32 emulation answers with SIGSEGV. */
static void i386_body(struct outcome *outcome)
{
	int result = 20;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	outcome->errnos[0] = result;
}

static void test_live_i386(void **state)
{
	(void)state;
	struct live live;
	int status;
	live_start(&live, 0, i386_body);
	live_answer(&live, 0, &status);
	assert_true(WIFSIGNALED(status));
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
	assert_int_equal(live.outcome->errnos[0], -1);
	munmap(live.outcome, sizeof(*live.outcome));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_every_call_has_its_number),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_expectations),
		cmocka_unit_test(test_strange_numbers),
		cmocka_unit_test(test_programs_are_the_tables),
		cmocka_unit_test(test_live_default),
		cmocka_unit_test(test_live_landlock),
		cmocka_unit_test(test_live_strict),
#ifdef __x86_64__
		cmocka_unit_test(test_live_i386),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
