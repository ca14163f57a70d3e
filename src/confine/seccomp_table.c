/* Theory of operation
 *
 * The default profile is an allow-list: a call that is not named does not exist (ENOSYS), so that
 * next year's system calls are shut until somebody has thought about them, and libraries fall back
 * as they do on older kernels. Three more rules decide the lines:
 *
 * - What a box's namespaces, missing capabilities and Landlock domain already make harmless is
 *   allowed: refusing it would only break programs. What enlarges the attack surface of the kernel
 *   without use to the work done in boxes is refused even where the kernel would refuse it too.
 * - Frequent calls are allowed without looking at their arguments: the kernel keeps a bitmap of
 *   such numbers (since 5.11) and does not run the program for them at all.
 * - A refusal that tells a person something is notified and recorded; one that every libc or
 *   runtime probes for, and would be noise, is an errno at once.
 *
 * A filter sees registers, never what pointers lead to, and memory can change after it was looked
 * at. So whatever hides its meaning in memory (clone3, openat2 in the landlock tier, io_uring) is
 * answered with ENOSYS, and its older sibling with plain arguments is checked instead.
 */
#include "confine/seccomp_table.h"

#include "base/cleanup.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <linux/personality.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* One line a rule: the tables are set by hand. */
/* clang-format off */

#define DO_ALLOW {.kind = SECCOMP_DO_ALLOW}
#define DO_ERRNO(number) {.kind = SECCOMP_DO_ERRNO, .errno_value = (number)}
#define DO_NOTIFY(what, number)                                                                    \
	{.kind = SECCOMP_DO_NOTIFY, .class = SECCOMP_NOTIFY_##what, .errno_value = (number)}
#define DO_REFUSE(number) DO_NOTIFY(REFUSE, number)

/* Of a line. */
#define ALLOW .action = DO_ALLOW
#define QUIET(number) .action = DO_ERRNO(number)
#define REFUSE(number) .action = DO_REFUSE(number)
#define ASK(what, number) .action = DO_NOTIFY(what, number)
#define CHECK(rules) .check = (rules), .action = {.kind = SECCOMP_DO_CHECK}
#define X86 .architectures = SECCOMP_X86_64_ONLY

/* Of a rule. */
#define IS(index, number) {.argument = (index), .mask = UINT32_MAX, .value = (uint32_t)(number)}
#define BITS(index, bits, number) {.argument = (index), .mask = (bits), .value = (number)}
#define OTHERWISE(what) {.action = what}

/* clone, unshare: the namespace flags */

#define NAMESPACES                                                                                 \
	((uint32_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |                  \
		CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))
/* To clone this bit is part of the exit signal; only unshare and clone3 know it as a flag. */
#define TIME_NAMESPACE 0x80u

static const struct seccomp_rule clone_check[] = {
	{DO_ALLOW, {BITS(0, NAMESPACES, 0)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

static const struct seccomp_rule unshare_check[] = {
	{DO_ALLOW, {BITS(0, NAMESPACES | TIME_NAMESPACE, 0)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

static const struct seccomp_rule clone_userns_check[] = {
	{DO_ALLOW, {BITS(0, (uint32_t)CLONE_NEWNS, 0)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

static const struct seccomp_rule unshare_userns_check[] = {
	{DO_ALLOW, {BITS(0, (uint32_t)CLONE_NEWNS | TIME_NAMESPACE, 0)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

/* sockets */

/* The kernel's SOCK_TYPE_MASK: above it are SOCK_NONBLOCK and SOCK_CLOEXEC. */
#define SOCKET_TYPE 0xfu
#define TYPE(type) BITS(1, SOCKET_TYPE, type)

/* An unconnected datagram socket may name a path with every message, inside memory; and to
 * AF_UNIX, SOCK_RAW is SOCK_DGRAM. MPTCP and SCTP pass by what watches TCP; SOCK_PACKET (10) in
 * AF_INET is a packet socket. EPROTONOSUPPORT and EAFNOSUPPORT are what a kernel without the
 * protocol says: libaudit, libudev and the like carry on. */
static const struct seccomp_rule socket_check[] = {
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_STREAM)}},
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_SEQPACKET)}},
	{DO_REFUSE(EACCES), {IS(0, AF_UNIX)}},
	{DO_ALLOW, {IS(0, AF_INET), TYPE(SOCK_STREAM), IS(2, 0)}},
	{DO_ALLOW, {IS(0, AF_INET), TYPE(SOCK_STREAM), IS(2, IPPROTO_TCP)}},
	{DO_ALLOW, {IS(0, AF_INET), TYPE(SOCK_DGRAM), IS(2, 0)}},
	{DO_ALLOW, {IS(0, AF_INET), TYPE(SOCK_DGRAM), IS(2, IPPROTO_UDP)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_INET), TYPE(SOCK_STREAM)}},
	{DO_REFUSE(EPERM), {IS(0, AF_INET), TYPE(SOCK_RAW)}},
	{DO_REFUSE(EACCES), {IS(0, AF_INET)}},
	{DO_ALLOW, {IS(0, AF_INET6), TYPE(SOCK_STREAM), IS(2, 0)}},
	{DO_ALLOW, {IS(0, AF_INET6), TYPE(SOCK_STREAM), IS(2, IPPROTO_TCP)}},
	{DO_ALLOW, {IS(0, AF_INET6), TYPE(SOCK_DGRAM), IS(2, 0)}},
	{DO_ALLOW, {IS(0, AF_INET6), TYPE(SOCK_DGRAM), IS(2, IPPROTO_UDP)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_INET6), TYPE(SOCK_STREAM)}},
	{DO_REFUSE(EPERM), {IS(0, AF_INET6), TYPE(SOCK_RAW)}},
	{DO_REFUSE(EACCES), {IS(0, AF_INET6)}},
	/* getifaddrs and getaddrinfo ask for the interfaces; changing them needs CAP_NET_ADMIN. */
	{DO_ALLOW, {IS(0, AF_NETLINK), TYPE(SOCK_RAW), IS(2, NETLINK_ROUTE)}},
	{DO_ALLOW, {IS(0, AF_NETLINK), TYPE(SOCK_DGRAM), IS(2, NETLINK_ROUTE)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_NETLINK)}},
	OTHERWISE(DO_REFUSE(EAFNOSUPPORT)),
};

static const struct seccomp_rule socketpair_check[] = {
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_STREAM)}},
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_SEQPACKET)}},
	OTHERWISE(DO_REFUSE(EACCES)),
};

/* Without a network namespace, 127.0.0.1 is the host's. EACCES is Landlock's own answer to TCP. */
static const struct seccomp_rule socket_landlock_check[] = {
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_STREAM)}},
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_SEQPACKET)}},
	{DO_REFUSE(EACCES), {IS(0, AF_UNIX)}},
	{DO_REFUSE(EACCES), {IS(0, AF_INET)}},
	{DO_REFUSE(EACCES), {IS(0, AF_INET6)}},
	/* Every look-up of a name opens one to count interfaces, and does without. */
	{DO_ERRNO(EACCES), {IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_NETLINK)}},
	OTHERWISE(DO_REFUSE(EAFNOSUPPORT)),
};

/* The landlock tier with a way out. TCP sockets are the program's own: unconnected they reach
 * nobody, and connect(), bind() and listen() are the broker's. Datagram sockets, which send to
 * whatever address lies in memory, are never made: the broker gives one that leads to egress. */
static const struct seccomp_rule socket_egress_check[] = {
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_STREAM)}},
	{DO_ALLOW, {IS(0, AF_UNIX), TYPE(SOCK_SEQPACKET)}},
	{DO_REFUSE(EACCES), {IS(0, AF_UNIX)}},
	{DO_ALLOW, {IS(0, AF_INET), TYPE(SOCK_STREAM), IS(2, 0)}},
	{DO_ALLOW, {IS(0, AF_INET), TYPE(SOCK_STREAM), IS(2, IPPROTO_TCP)}},
	{DO_NOTIFY(SOCKET, EACCES), {IS(0, AF_INET), TYPE(SOCK_DGRAM), IS(2, 0)}},
	{DO_NOTIFY(SOCKET, EACCES), {IS(0, AF_INET), TYPE(SOCK_DGRAM), IS(2, IPPROTO_UDP)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_INET), TYPE(SOCK_STREAM)}},
	{DO_REFUSE(EPERM), {IS(0, AF_INET), TYPE(SOCK_RAW)}},
	{DO_REFUSE(EACCES), {IS(0, AF_INET)}},
	{DO_ALLOW, {IS(0, AF_INET6), TYPE(SOCK_STREAM), IS(2, 0)}},
	{DO_ALLOW, {IS(0, AF_INET6), TYPE(SOCK_STREAM), IS(2, IPPROTO_TCP)}},
	{DO_NOTIFY(SOCKET, EACCES), {IS(0, AF_INET6), TYPE(SOCK_DGRAM), IS(2, 0)}},
	{DO_NOTIFY(SOCKET, EACCES), {IS(0, AF_INET6), TYPE(SOCK_DGRAM), IS(2, IPPROTO_UDP)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_INET6), TYPE(SOCK_STREAM)}},
	{DO_REFUSE(EPERM), {IS(0, AF_INET6), TYPE(SOCK_RAW)}},
	{DO_REFUSE(EACCES), {IS(0, AF_INET6)}},
	{DO_ERRNO(EACCES), {IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)}},
	{DO_REFUSE(EPROTONOSUPPORT), {IS(0, AF_NETLINK)}},
	OTHERWISE(DO_REFUSE(EAFNOSUPPORT)),
};

/* MSG_FASTOPEN is a connect() by another name. The length of the address is looked at, not its
 * pointer: a null pointer has 64 bits, and without a length the kernel takes no address. */
static const struct seccomp_rule sendto_egress_check[] = {
	{DO_REFUSE(EOPNOTSUPP), {BITS(3, MSG_FASTOPEN, MSG_FASTOPEN)}},
	{DO_ALLOW, {IS(5, 0)}},
	OTHERWISE(DO_NOTIFY(SOCKET, EACCES)),
};

/* The first passes what init says, which the listener goes with. To whoever else does the same it
 * opens nothing: only where an address in a header leads is not looked at. */
static const struct seccomp_rule sendmsg_egress_check[] = {
	{DO_ALLOW, {IS(0, CONTROL_FD), IS(2, MSG_NOSIGNAL)}},
	{DO_REFUSE(EOPNOTSUPP), {BITS(2, MSG_FASTOPEN, MSG_FASTOPEN)}},
	OTHERWISE(DO_NOTIFY(SOCKET, EACCES)),
};

static const struct seccomp_rule sendmmsg_egress_check[] = {
	{DO_REFUSE(EOPNOTSUPP), {BITS(3, MSG_FASTOPEN, MSG_FASTOPEN)}},
	OTHERWISE(DO_NOTIFY(SOCKET, EACCES)),
};

/* Whoever asks where a datagram came from compares that with where the question went. */
static const struct seccomp_rule recvfrom_egress_check[] = {
	{DO_ALLOW, {IS(4, 0)}},
	OTHERWISE(DO_NOTIFY(SOCKET, EACCES)),
};

#define BIND_TO_INDEX 62 /* SO_BINDTOIFINDEX, Linux 5.0 */
#define NO_PORT 24       /* IP_BIND_ADDRESS_NO_PORT, Linux 4.2 */
#define PORT_RANGE 51    /* IP_LOCAL_PORT_RANGE, Linux 6.3 */
#define PEER_PIDFD 77    /* SO_PEERPIDFD, Linux 6.5 */

/* Sharing a port would let a stranger's listener take the place of one that the box made, and a
 * source route or a device would lead loopback's packets elsewhere. Which port of the host's is
 * taken is not for the box to say. An offset to peek from would have what stands for a datagram
 * socket always ready and always empty. What is asked of IP itself may be asked of a datagram
 * socket, which is none. */
static const struct seccomp_rule setsockopt_egress_check[] = {
	{DO_ERRNO(0), {IS(1, SOL_SOCKET), IS(2, SO_REUSEPORT)}},
	{DO_REFUSE(EPERM), {IS(1, SOL_SOCKET), IS(2, SO_BINDTODEVICE)}},
	{DO_REFUSE(EPERM), {IS(1, SOL_SOCKET), IS(2, BIND_TO_INDEX)}},
	{DO_ERRNO(EOPNOTSUPP), {IS(1, SOL_SOCKET), IS(2, SO_PEEK_OFF)}},
	{DO_ALLOW, {IS(1, SOL_SOCKET)}},
	{DO_ERRNO(ENOPROTOOPT), {IS(1, IPPROTO_TCP), IS(2, TCP_FASTOPEN_CONNECT)}},
	{DO_ERRNO(ENOPROTOOPT), {IS(1, IPPROTO_TCP), IS(2, TCP_ULP)}},
	{DO_ALLOW, {IS(1, IPPROTO_TCP)}},
	{DO_REFUSE(EPERM), {IS(1, IPPROTO_IP), IS(2, IP_OPTIONS)}},
	{DO_ERRNO(ENOPROTOOPT), {IS(1, IPPROTO_IP), IS(2, NO_PORT)}},
	{DO_ERRNO(ENOPROTOOPT), {IS(1, IPPROTO_IP), IS(2, PORT_RANGE)}},
	OTHERWISE(DO_NOTIFY(SOCKET, EACCES)),
};

/* Where the broker has made the other side, or has connected a socket, the peer is the broker. */
static const struct seccomp_rule getsockopt_landlock_check[] = {
	{DO_ERRNO(ENOPROTOOPT), {IS(1, SOL_SOCKET), IS(2, PEER_PIDFD)}},
	OTHERWISE(DO_ALLOW),
};

/* Whoever has CAP_NET_ADMIN in a namespace of its own may load tables into the kernel's packet
 * filter through any IP socket: IPT_SO_SET_REPLACE and IP6T_ (64), ARPT_ (96), EBT_ (128). */
static const struct seccomp_rule setsockopt_userns_check[] = {
	{DO_REFUSE(EPERM), {IS(1, IPPROTO_IP), IS(2, 64)}},
	{DO_REFUSE(EPERM), {IS(1, IPPROTO_IPV6), IS(2, 64)}},
	{DO_REFUSE(EPERM), {IS(1, IPPROTO_IP), IS(2, 96)}},
	{DO_REFUSE(EPERM), {IS(1, IPPROTO_IP), IS(2, 128)}},
	OTHERWISE(DO_ALLOW),
};

/* ioctl */

/* Of a request: the driver's letter. */
#define IOCTL_TYPE 0xff00u
/* Btrfs (magic 0x94) and bcachefs (0xbc) make directories by ioctl: a subvolume is one, and the
 * call needs no more than a descriptor of the parent open for reading. From linux/btrfs.h and
 * fs/bcachefs/bcachefs_ioctl.h. */
#define BTRFS_SNAP_CREATE 0x50009401u
#define BTRFS_SUBVOL_CREATE 0x5000940eu
#define BTRFS_SNAP_CREATE_V2 0x50009417u
#define BTRFS_SUBVOL_CREATE_V2 0x50009418u
#define BCACHEFS_SUBVOLUME_CREATE 0x4020bc10u

/* The last step of seccomp_install(), already under the filter; nobody inside has a listener. */
#define LISTENER_SET_FLAGS 0x40082104u

#define TERMINAL_INJECTIONS                                                                        \
	{DO_REFUSE(EPERM), {IS(1, TIOCSTI)}},   /* types into the terminal (P10) */                \
	{DO_REFUSE(EPERM), {IS(1, TIOCLINUX)}}, /* pastes the console's selection */               \
	{DO_REFUSE(EPERM), {IS(1, TIOCSETD)}},  /* line disciplines: drivers by autoload */        \
	{DO_REFUSE(EPERM), {IS(1, TIOCCONS)}}   /* takes the console's output away */

static const struct seccomp_rule ioctl_check[] = {
	TERMINAL_INJECTIONS,
	/* A console's keymap and font outlive a box, and a keymap types. A PTY says ENOTTY too. */
	{DO_REFUSE(ENOTTY), {BITS(1, IOCTL_TYPE, 0x4b00)}},
	{DO_REFUSE(EPERM), {IS(1, BTRFS_SNAP_CREATE)}},
	{DO_REFUSE(EPERM), {IS(1, BTRFS_SUBVOL_CREATE)}},
	{DO_REFUSE(EPERM), {IS(1, BTRFS_SNAP_CREATE_V2)}},
	{DO_REFUSE(EPERM), {IS(1, BTRFS_SUBVOL_CREATE_V2)}},
	{DO_REFUSE(EPERM), {IS(1, BCACHEFS_SUBVOLUME_CREATE)}},
	OTHERWISE(DO_ALLOW),
};

/* Here only Landlock stands before the host's files, and it asks no file system about ioctls:
 * flags, verity, encryption, labels and subvolumes change through a descriptor that is open for
 * reading. So this is a list of what passes. */
static const struct seccomp_rule ioctl_landlock_check[] = {
	TERMINAL_INJECTIONS,
	/* Opens the other side by its path, and those of the user's own terminals are not
	 * granted. */
	{DO_NOTIFY(ATTRIBUTES, EACCES), {IS(1, TIOCGPTPEER)}},
	{DO_ALLOW, {BITS(1, IOCTL_TYPE, 0x5400)}}, /* terminals, FIONREAD, FIONBIO, FIOCLEX */
	{DO_REFUSE(EPERM), {IS(1, 0x8901)}},       /* FIOSETOWN, SIOCSPGRP: who gets SIGIO, or */
	{DO_REFUSE(EPERM), {IS(1, 0x8902)}},       /* whatever signal F_SETSIG put in its place */
	{DO_ALLOW, {IS(1, 0x8903)}},               /* FIOGETOWN */
	{DO_ALLOW, {IS(1, 0x8904)}},               /* SIOCGPGRP */
	{DO_ALLOW, {IS(1, 0x8905)}},               /* SIOCATMARK */
	{DO_ALLOW, {IS(1, 0x8906)}},               /* SIOCGSTAMP */
	{DO_ALLOW, {IS(1, 0x8907)}},               /* SIOCGSTAMPNS */
	{DO_ALLOW, {IS(1, 0x894b)}},               /* SIOCOUTQNSD */
	/* Of sockets: the host's interfaces, their addresses and routes. */
	{DO_REFUSE(EPERM), {BITS(1, IOCTL_TYPE, 0x8900)}},
	{DO_ALLOW, {IS(1, FICLONE)}},              /* writes only where the descriptor may */
	{DO_ALLOW, {IS(1, FICLONERANGE)}},
	{DO_ALLOW, {IS(1, FS_IOC_GETFLAGS)}},
	{DO_ALLOW, {IS(1, FS_IOC_FSGETXATTR)}},
	{DO_ALLOW, {IS(1, FS_IOC_GETVERSION)}},
	{DO_ALLOW, {IS(1, FS_IOC_FIEMAP)}},
	{DO_ALLOW, {IS(1, FIGETBSZ)}},
	{DO_ALLOW, {IS(1, LISTENER_SET_FLAGS)}},
	{DO_NOTIFY(ATTRIBUTES, EPERM), {IS(1, FS_IOC_SETFLAGS)}},
	{DO_NOTIFY(ATTRIBUTES, EPERM), {IS(1, FS_IOC_FSSETXATTR)}},
	OTHERWISE(DO_NOTIFY(ATTRIBUTES, ENOTTY)),
};

/* What CPython, bash and coreutils ask of terminals and descriptors; init takes the terminal. */
static const struct seccomp_rule ioctl_strict_check[] = {
	{DO_ALLOW, {IS(1, TCGETS)}},
	{DO_ALLOW, {IS(1, TIOCGWINSZ)}},
	{DO_ALLOW, {IS(1, TIOCGPGRP)}},
	{DO_ALLOW, {IS(1, TIOCSPGRP)}},
	{DO_ALLOW, {IS(1, TIOCSCTTY)}},
	{DO_ALLOW, {IS(1, FIOCLEX)}},
	{DO_ALLOW, {IS(1, FIONCLEX)}},
	{DO_ALLOW, {IS(1, LISTENER_SET_FLAGS)}},
	{DO_REFUSE(EPERM), {IS(1, TIOCSTI)}},
	{DO_REFUSE(EPERM), {IS(1, TIOCLINUX)}},
	OTHERWISE(DO_ERRNO(ENOTTY)),
};

/* one's own process */

/* The execution domains that builds and debuggers ask for: none, uname as of 2.6 (0x20000), a
 * 32-bit uname, and gdb's and setarch's fixed addresses. Others loosen what protects memory. */
static const struct seccomp_rule personality_check[] = {
	{DO_ALLOW, {IS(0, 0xffffffff)}}, /* only asks */
	{DO_ALLOW, {IS(0, PER_LINUX)}},
	{DO_ALLOW, {IS(0, PER_LINUX32)}},
	{DO_ALLOW, {IS(0, UNAME26)}},
	{DO_ALLOW, {IS(0, PER_LINUX32 | UNAME26)}},
	{DO_ALLOW, {IS(0, ADDR_NO_RANDOMIZE)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

static const struct seccomp_rule prctl_check[] = {
	/* Rewrites where the kernel looks for a program's own arguments and image, to hide what it
	 * is; only checkpointing uses it. */
	{DO_REFUSE(EPERM), {IS(0, PR_SET_MM)}},
	OTHERWISE(DO_ALLOW),
};

/* A program's own sandbox may tighten, never loosen: a later filter's refusal wins, its permission
 * does not. A second listener is EBUSY whatever we say; so say it without the kernel's work. */
#define NEW_LISTENER SECCOMP_FILTER_FLAG_NEW_LISTENER
static const struct seccomp_rule seccomp_check[] = {
	{DO_ERRNO(EBUSY),
		{IS(0, SECCOMP_SET_MODE_FILTER),
			BITS(1, NEW_LISTENER, NEW_LISTENER)}},
	OTHERWISE(DO_ALLOW),
};

static const struct seccomp_rule prctl_strict_check[] = {
	{DO_ALLOW, {IS(0, PR_SET_PDEATHSIG)}},    /* init, and subprocess's preexec helpers */
	{DO_ALLOW, {IS(0, PR_SET_DUMPABLE)}},     /* init stays unreadable to the command */
	{DO_ALLOW, {IS(0, PR_SET_NO_NEW_PRIVS)}}, /* Landlock asks for it */
	{DO_ALLOW, {IS(0, PR_SET_NAME)}},         /* threads name themselves */
	{DO_ALLOW, {IS(0, PR_CAPBSET_READ)}},     /* libcap, when ls starts */
	OTHERWISE(DO_ERRNO(EINVAL)),
};

/* A control message brings descriptors into init, and nowhere else are there sockets. */
static const struct seccomp_rule control_check[] = {
	{DO_ALLOW, {IS(0, CONTROL_FD)}},
	OTHERWISE(DO_ERRNO(EPERM)),
};

/* others' processes, in the landlock tier: pid 0 is the caller, or its process group, which is of
 * the box's own session. -1 is everything that the user has, and goes to the listener with the
 * rest. */

static const struct seccomp_rule pid_check[] = {
	{DO_ALLOW, {IS(0, 0)}},
	OTHERWISE(DO_NOTIFY(SIGNAL, EPERM)),
};

/* "0" of the kind "user" is everything that the user has. */
static const struct seccomp_rule setpriority_check[] = {
	{DO_ALLOW, {IS(0, PRIO_PROCESS), IS(1, 0)}},
	{DO_ALLOW, {IS(0, PRIO_PGRP), IS(1, 0)}},
	OTHERWISE(DO_NOTIFY(SIGNAL, EPERM)),
};

static const struct seccomp_rule ioprio_set_check[] = {
	{DO_ALLOW, {IS(0, 1 /* IOPRIO_WHO_PROCESS */), IS(1, 0)}},
	{DO_ALLOW, {IS(0, 2 /* IOPRIO_WHO_PGRP */), IS(1, 0)}},
	OTHERWISE(DO_NOTIFY(SIGNAL, EPERM)),
};

/* A lease on a host's file stalls whoever opens it there, up to /proc/sys/fs/lease-break-time. */
static const struct seccomp_rule fcntl_check[] = {
	{DO_REFUSE(EPERM), {IS(1, F_SETLEASE)}},
	OTHERWISE(DO_ALLOW),
};

/* The owner of a descriptor's signal may be any process of the user, and F_SETSIG chooses the
 * signal; Landlock looks at it only from ABI 6. */
static const struct seccomp_rule fcntl_landlock_check[] = {
	{DO_REFUSE(EPERM), {IS(1, F_SETOWN)}},
	{DO_REFUSE(EPERM), {IS(1, F_SETOWN_EX)}},
	{DO_REFUSE(EPERM), {IS(1, F_SETLEASE)}},
	OTHERWISE(DO_ALLOW),
};

/* The set-user-id and set-group-id bits do nothing inside, but a file that carries them out of the
 * box runs with its owner's rights for whoever starts it there. Without a mode to be looked at
 * (openat2 has it in memory) the older call has to be used. The bits of a mode mean something only
 * where a file may be made: else the register holds whatever was left in it. */
#define SPECIAL_BITS ((uint32_t)(S_ISUID | S_ISGID))
#define OPEN_MAKES ((uint32_t)(O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
#define NO_SPECIAL(mode)                                                                           \
	{DO_REFUSE(EPERM), {BITS(mode, S_ISUID, S_ISUID)}},                                        \
		{DO_REFUSE(EPERM), {BITS(mode, S_ISGID, S_ISGID)}}
#define TMPFILE(flags) BITS(flags, O_TMPFILE, O_TMPFILE)
#define NO_SPECIAL_FILE(flags, mode)                                                               \
	{DO_REFUSE(EPERM), {BITS(flags, O_CREAT, O_CREAT), BITS(mode, S_ISUID, S_ISUID)}},         \
		{DO_REFUSE(EPERM), {BITS(flags, O_CREAT, O_CREAT), BITS(mode, S_ISGID, S_ISGID)}}, \
		{DO_REFUSE(EPERM), {TMPFILE(flags), BITS(mode, S_ISUID, S_ISUID)}}, \
		{DO_REFUSE(EPERM), {TMPFILE(flags), BITS(mode, S_ISGID, S_ISGID)}}

static const struct seccomp_rule open_check[] = {
	{DO_ALLOW, {BITS(1, OPEN_MAKES, 0)}},
	{DO_ALLOW, {BITS(2, SPECIAL_BITS, 0)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

static const struct seccomp_rule openat_check[] = {
	{DO_ALLOW, {BITS(2, OPEN_MAKES, 0)}},
	{DO_ALLOW, {BITS(3, SPECIAL_BITS, 0)}},
	OTHERWISE(DO_REFUSE(EPERM)),
};

static const struct seccomp_rule mode_1_check[] = {NO_SPECIAL(1), OTHERWISE(DO_ALLOW)};
static const struct seccomp_rule mode_2_check[] = {NO_SPECIAL(2), OTHERWISE(DO_ALLOW)};
static const struct seccomp_rule mode_1_names_check[] = {
	NO_SPECIAL(1), OTHERWISE(DO_NOTIFY(NAMES, EPERM))};
static const struct seccomp_rule mode_2_names_check[] = {
	NO_SPECIAL(2), OTHERWISE(DO_NOTIFY(NAMES, EPERM))};
static const struct seccomp_rule mode_1_attributes_check[] = {
	NO_SPECIAL(1), OTHERWISE(DO_NOTIFY(ATTRIBUTES, EPERM))};
static const struct seccomp_rule mode_2_attributes_check[] = {
	NO_SPECIAL(2), OTHERWISE(DO_NOTIFY(ATTRIBUTES, EPERM))};

/* Opening for reading passes at once: Landlock decides. Whatever makes or changes a file may be in
 * a place that is under no grant, or have a protected name: the broker looks, and opens it there.
 * O_TRUNC without write access empties a file that the user may write, and Landlock, which looks at
 * the access mode, sees no write before ABI 3. Access mode 3 is "neither" in the same way. */
#define OPEN_CHANGES ((uint32_t)(O_ACCMODE | O_CREAT | O_TRUNC))

static const struct seccomp_rule open_landlock_check[] = {
	{DO_ALLOW, {BITS(1, OPEN_CHANGES, O_RDONLY)}},
	NO_SPECIAL_FILE(1, 2),
	{DO_REFUSE(EACCES), {BITS(1, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY)}},
	{DO_REFUSE(EACCES), {BITS(1, O_TRUNC | O_ACCMODE, O_TRUNC | 3)}},
	OTHERWISE(DO_NOTIFY(NAMES, EACCES)),
};

static const struct seccomp_rule openat_landlock_check[] = {
	{DO_ALLOW, {BITS(2, OPEN_CHANGES, O_RDONLY)}},
	NO_SPECIAL_FILE(2, 3),
	{DO_REFUSE(EACCES), {BITS(2, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY)}},
	{DO_REFUSE(EACCES), {BITS(2, O_TRUNC | O_ACCMODE, O_TRUNC | 3)}},
	OTHERWISE(DO_NOTIFY(NAMES, EACCES)),
};

/* The same, where all is to be known. */
static const struct seccomp_rule open_trace_check[] = {
	NO_SPECIAL_FILE(1, 2), OTHERWISE(DO_NOTIFY(TRACE, EACCES))};
static const struct seccomp_rule openat_trace_check[] = {
	NO_SPECIAL_FILE(2, 3), OTHERWISE(DO_NOTIFY(TRACE, EACCES))};
static const struct seccomp_rule mode_1_trace_check[] = {
	NO_SPECIAL(1), OTHERWISE(DO_NOTIFY(TRACE, EPERM))};
static const struct seccomp_rule mode_2_trace_check[] = {
	NO_SPECIAL(2), OTHERWISE(DO_NOTIFY(TRACE, EPERM))};

static const struct seccomp_rule open_landlock_trace_check[] = {
	{DO_NOTIFY(TRACE, EACCES), {BITS(1, OPEN_CHANGES, O_RDONLY)}},
	NO_SPECIAL_FILE(1, 2),
	{DO_REFUSE(EACCES), {BITS(1, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY)}},
	{DO_REFUSE(EACCES), {BITS(1, O_TRUNC | O_ACCMODE, O_TRUNC | 3)}},
	OTHERWISE(DO_NOTIFY(NAMES, EACCES)),
};

static const struct seccomp_rule openat_landlock_trace_check[] = {
	{DO_NOTIFY(TRACE, EACCES), {BITS(2, OPEN_CHANGES, O_RDONLY)}},
	NO_SPECIAL_FILE(2, 3),
	{DO_REFUSE(EACCES), {BITS(2, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY)}},
	{DO_REFUSE(EACCES), {BITS(2, O_TRUNC | O_ACCMODE, O_TRUNC | 3)}},
	OTHERWISE(DO_NOTIFY(NAMES, EACCES)),
};

static const struct seccomp_line default_lines[] = {
	/* files */
	{"read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close",
		ALLOW, "reading and writing what is open"},
	{"openat", CHECK(openat_check), "opening: mounts and Landlock decide; no set-id bits"},
	{"openat2", QUIET(ENOSYS), "its mode lies in memory: programs fall back to openat"},
	{"open", CHECK(open_check), "opening, the older form", X86},
	{"creat", CHECK(mode_1_check), "opening, the oldest form", X86},
	{"sendfile splice tee vmsplice copy_file_range", ALLOW, "copying without a buffer"},
	{"fstat newfstatat statx statfs fstatfs", ALLOW, "looking at files"},
	{"stat lstat", ALLOW, "looking at files, the older forms", X86},
	{"getdents64 getcwd chdir fchdir readlinkat faccessat faccessat2", ALLOW,
		"walking directories"},
	{"getdents readlink access", ALLOW, "walking directories, the older forms", X86},
	{"mkdirat symlinkat linkat unlinkat renameat renameat2", ALLOW,
		"making, naming and removing"},
	{"mkdir rmdir symlink link unlink rename", ALLOW,
		"making, naming and removing, the older forms", X86},
	{"mknodat", CHECK(mode_2_check), "device nodes need a capability that no box has"},
	{"mknod", CHECK(mode_1_check), "device nodes need a capability that no box has", X86},
	{"truncate ftruncate fallocate fsync fdatasync sync syncfs sync_file_range", ALLOW,
		"sizes, and what reaches the disk"},
	{"fadvise64 readahead cachestat", ALLOW, "hints to the page cache"},
	{"fchmod", CHECK(mode_1_check), "no set-user-id or set-group-id file leaves a box"},
	{"fchmodat fchmodat2", CHECK(mode_2_check),
		"no set-user-id or set-group-id file leaves a box"},
	{"chmod", CHECK(mode_1_check), "the same, the older form", X86},
	{"fchown fchownat utimensat umask", ALLOW,
		"owners and times: read-only mounts refuse them"},
	{"chown lchown utime utimes futimesat", ALLOW,
		"owners and times, the older forms", X86},
	{"setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr "
	 "flistxattr removexattr lremovexattr fremovexattr",
		ALLOW, "extended attributes: read-only mounts refuse changes"},
	{"dup dup3 flock close_range", ALLOW, "descriptors and locks"},
	{"fcntl", CHECK(fcntl_check), "descriptors and locks, but no leases on others' files"},
	{"dup2", ALLOW, "descriptors, the older form", X86},
	{"ioctl", CHECK(ioctl_check), "drivers: no terminal injection, no directory by ioctl"},
	{"inotify_init1 inotify_add_watch inotify_rm_watch", ALLOW, "watching files: build tools"},
	{"inotify_init", ALLOW, "watching files, the older form", X86},
	{"memfd_create", ALLOW, "anonymous files: JITs, Wayland, sealed messages"},
	{"io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents", ALLOW,
		"the older asynchronous I/O: databases"},

	/* memory */
	{"mmap munmap mprotect mremap brk madvise msync mincore mlock mlock2 munlock mlockall "
	 "munlockall remap_file_pages",
		ALLOW, "one's own memory"},
	{"pkey_alloc pkey_free pkey_mprotect map_shadow_stack", ALLOW,
		"protection keys and shadow stacks: browsers, newer libcs"},
	{"mbind set_mempolicy get_mempolicy set_mempolicy_home_node", ALLOW,
		"where one's own pages lie: the JVM and numpy on NUMA machines"},
	{"move_pages migrate_pages", QUIET(EPERM), "tells how other processes share pages"},
	{"process_madvise process_mrelease", ALLOW, "as ptrace: own processes only"},
	{"membarrier", ALLOW, "cheap barriers: the JVM, .NET, liburcu"},
	{"memfd_secret", QUIET(ENOSYS), "memory that cannot be searched for secrets left behind"},
	{"userfaultfd", REFUSE(EPERM), "stops the kernel in mid-copy: the exploit writer's tool"},

	/* processes and threads */
	{"execve execveat exit exit_group wait4 waitid", ALLOW, "programs begin and end"},
	{"clone", CHECK(clone_check), "processes and threads, but no namespaces"},
	{"clone3", QUIET(ENOSYS), "its flags lie in memory: libcs fall back to clone"},
	{"fork vfork", ALLOW, "processes, the older forms", X86},
	{"set_tid_address set_robust_list get_robust_list rseq futex futex_waitv futex_wake "
	 "futex_wait futex_requeue",
		ALLOW, "threads and their locks"},
	{"arch_prctl", ALLOW, "the thread pointer", X86},
	{"getpid getppid gettid getpgid getsid setpgid setsid", ALLOW, "who one is, job control"},
	{"getpgrp", ALLOW, "who one is, the older form", X86},
	{"getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid "
	 "setregid setresuid setresgid setfsuid setfsgid setgroups capget capset",
		ALLOW, "ids and capabilities: there are none to gain"},
	{"prctl", CHECK(prctl_check), "one's own settings"},
	{"personality", CHECK(personality_check), "execution domains that are harmless"},
	{"seccomp", CHECK(seccomp_check), "a program's own, tighter sandbox, without a listener"},
	{"landlock_create_ruleset landlock_add_rule landlock_restrict_self", ALLOW,
		"can only tighten; init confines each command by it"},
	{"getrlimit setrlimit prlimit64 getrusage times sysinfo uname getcpu", ALLOW,
		"limits (only down) and accounts"},
	{"sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam "
	 "sched_getscheduler sched_setscheduler sched_getattr sched_setattr "
	 "sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority "
	 "setpriority ioprio_get ioprio_set",
		ALLOW, "scheduling: the PID namespace bounds whose, a missing capability how high"},
	{"ptrace process_vm_readv process_vm_writev kcmp", ALLOW,
		"gdb and strace of own children: the PID namespace bounds whose"},
	{"pidfd_open pidfd_getfd pidfd_send_signal", ALLOW, "processes by descriptor"},

	/* signals */
	{"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend "
	 "sigaltstack restart_syscall signalfd4",
		ALLOW, "one's own signals"},
	{"pause signalfd", ALLOW, "one's own signals, the older forms", X86},
	{"kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo", ALLOW,
		"signalling: the PID namespace bounds whom"},

	/* time */
	{"clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday timer_create "
	 "timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create "
	 "timerfd_settime timerfd_gettime getitimer setitimer",
		ALLOW, "reading clocks, sleeping, timers"},
	{"time alarm", ALLOW, "time, the older forms", X86},
	{"adjtimex clock_adjtime", ALLOW,
		"ntp_gettime; changing the clock needs a capability of the host, which no box has"},
	{"settimeofday clock_settime", REFUSE(EPERM), "sets the host's clock"},

	/* waiting and messages between processes */
	{"ppoll pselect6 epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 eventfd2 pipe2", ALLOW,
		"event loops and pipes"},
	{"poll select epoll_create epoll_wait eventfd pipe", ALLOW,
		"event loops and pipes, the older forms", X86},
	{"shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
		ALLOW, "System V IPC: the IPC namespace is the box's own"},
	{"mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr", ALLOW,
		"POSIX message queues: the IPC namespace is the box's own"},

	/* sockets */
	{"socket", CHECK(socket_check), "TCP, UDP, connected unix sockets, and routing look-ups"},
	{"socketpair", CHECK(socketpair_check), "connected pairs"},
	{"connect bind", ASK(SOCKET, EACCES),
		"unix paths are checked: a read-only mount stops no connect"},
	{"accept accept4 listen shutdown getsockname getpeername getsockopt setsockopt sendto "
	 "recvfrom sendmsg recvmsg sendmmsg recvmmsg",
		ALLOW, "what is done with a socket once one has it"},

	/* the machine */
	{"getrandom", ALLOW, "random bytes"},

	/* Refused without a record: probed for by every run time, or of no interest. */
	{"io_uring_setup io_uring_enter io_uring_register", QUIET(ENOSYS),
		"a second system call interface that no filter sees; libuv probes for it"},
	{"name_to_handle_at", QUIET(EOPNOTSUPP),
		"file handles: only half of a pair that is refused"},
	{"lookup_dcookie nfsservctl", QUIET(ENOSYS), "gone from newer kernels"},
	{"uselib ustat sysfs _sysctl", QUIET(ENOSYS),
		"gone from newer kernels, or never used", X86},
	{"vhangup", QUIET(EPERM), "takes the terminal from its users"},
	{"fanotify_mark quotactl_fd", QUIET(EPERM), "of no use without what is refused below"},

	/* Refused and recorded: nothing that works in a box needs them, and each tells what the
	 * program is up to. */
	{"mount umount2 pivot_root fsopen fsconfig fsmount fspick move_mount open_tree "
	 "mount_setattr", REFUSE(EPERM), "changes what the box sees"},
	{"chroot", REFUSE(EPERM), "needs a capability; a classic step of an escape"},
	{"unshare", CHECK(unshare_check), "namespaces bring capabilities; the rest is harmless"},
	{"setns", REFUSE(EPERM), "enters other namespaces"},
	{"open_by_handle_at", REFUSE(EPERM), "opens any file of a file system, past every mount"},
	{"bpf", REFUSE(EPERM), "programs in the kernel"},
	{"perf_event_open", REFUSE(EACCES), "a large attack surface; side channels of the host"},
	{"add_key request_key keyctl", REFUSE(EPERM), "keyrings: no namespace of their own"},
	{"kexec_load kexec_file_load", REFUSE(EPERM), "boots another kernel"},
	{"init_module finit_module delete_module", REFUSE(EPERM), "code in the kernel"},
	{"reboot swapon swapoff acct quotactl", REFUSE(EPERM), "administers the host"},
	{"sethostname setdomainname", REFUSE(EPERM), "names the machine: fixed at launch"},
	{"syslog", REFUSE(EPERM), "the kernel's log has the host's addresses"},
	{"fanotify_init", REFUSE(EPERM), "watches whole file systems"},
	{"iopl ioperm", REFUSE(EPERM), "ports of the hardware", X86},
	{"modify_ldt", REFUSE(EPERM),
		"16-bit segments: a source of kernel bugs, used by old Wine", X86},
};

/* What P2 needs: names are in memory, so these few, rare calls are looked at by the listener. */
static const struct seccomp_line names_lines[] = {
	{"mkdirat symlinkat linkat renameat renameat2", ASK(NAMES, EPERM),
		"protected names must not appear as a directory, a link or by rename"},
	{"mkdir symlink link rename", ASK(NAMES, EPERM),
		"protected names must not appear, the older forms", X86},
	{"mknodat", CHECK(mode_2_names_check), "protected names must not appear as a FIFO"},
	{"mknod", CHECK(mode_1_names_check), "the same, the older form", X86},
};

/* A browser's own sandbox: namespaces for its renderers, and chroot into an empty one. Not a mount
 * namespace: with Landlock nothing can be mounted in it, nor would mount() be allowed to reach the
 * parsers of file systems. clone3 stays shut, so that the flags are seen. */
static const struct seccomp_line userns_lines[] = {
	{"clone", CHECK(clone_userns_check), "namespaces, but for mounts"},
	{"unshare", CHECK(unshare_userns_check), "namespaces, but for mounts and time"},
	{"chroot", ALLOW, "a browser puts its renderers into an empty directory"},
	{"setsockopt", CHECK(setsockopt_userns_check), "but no packet filter tables"},
};

static const struct seccomp_line landlock_lines[] = {
	{"socket", CHECK(socket_landlock_check), "no network: this is the host's"},
	{"kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo", CHECK(pid_check),
		"signals only into the box's own tree"},
	{"pidfd_send_signal", ASK(SIGNAL, EPERM), "signals only into the box's own tree"},
	{"prlimit64 sched_setaffinity sched_setparam sched_setscheduler sched_setattr",
		CHECK(pid_check), "limits and scheduling only of the box's own tree"},
	{"setpriority", CHECK(setpriority_check), "priorities only of the box's own tree"},
	{"ioprio_set", CHECK(ioprio_set_check), "priorities only of the box's own tree"},
	{"fcntl", CHECK(fcntl_landlock_check), "descriptors that signal strangers"},
	{"openat", CHECK(openat_landlock_check), "for writing: the place and the name decide"},
	{"open", CHECK(open_landlock_check), "for writing: the place and the name decide", X86},
	{"mkdirat symlinkat linkat unlinkat renameat renameat2", ASK(NAMES, EACCES),
		"making, naming and removing: the place and the name decide"},
	{"mkdir rmdir symlink link unlink rename", ASK(NAMES, EACCES),
		"making, naming and removing, the older forms", X86},
	{"mknodat", CHECK(mode_2_names_check), "the place and the name decide"},
	{"creat mknod", CHECK(mode_1_names_check), "the place and the name decide", X86},
	{"truncate", ASK(ATTRIBUTES, EACCES), "Landlock does not look before ABI 3"},
	{"fchmod", CHECK(mode_1_attributes_check), "Landlock does not look"},
	{"fchmodat fchmodat2", CHECK(mode_2_attributes_check), "Landlock does not look"},
	{"chmod", CHECK(mode_1_attributes_check), "Landlock does not look", X86},
	{"fchown fchownat utimensat setxattr lsetxattr fsetxattr removexattr "
	 "lremovexattr fremovexattr",
		ASK(ATTRIBUTES, EPERM),
		"Landlock does not look, and a descriptor for reading is enough"},
	{"chown lchown utime utimes futimesat", ASK(ATTRIBUTES, EPERM),
		"Landlock does not look, the older forms", X86},
	{"ioctl", CHECK(ioctl_landlock_check), "Landlock asks no file system about ioctls"},
	{"getsockopt", CHECK(getsockopt_landlock_check), "no handle of the broker"},
	{"listen", ASK(SOCKET, EACCES), "not under an abstract name, which the host would share"},
	{"shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
		REFUSE(ENOSYS), "System V IPC is the host's here"},
	{"mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr", REFUSE(ENOSYS),
		"POSIX message queues are the host's here"},
};

/* --witness full: what names a file is told to the listener, and then goes on as it stands. In the
 * landlock tier whatever changes something goes there anyway. */
static const struct seccomp_line trace_lines[] = {
	{"openat", CHECK(openat_trace_check), "told: opening"},
	{"open", CHECK(open_trace_check), "told: opening, the older form", X86},
	{"creat", CHECK(mode_1_trace_check), "told: opening, the oldest form", X86},
	{"mkdirat symlinkat linkat unlinkat renameat renameat2", ASK(TRACE, EPERM),
		"told: making, naming and removing"},
	{"mkdir rmdir symlink link unlink rename", ASK(TRACE, EPERM),
		"told: making, naming and removing, the older forms", X86},
	{"mknodat", CHECK(mode_2_trace_check), "told: making"},
	{"mknod", CHECK(mode_1_trace_check), "told: making, the older form", X86},
	{"truncate", ASK(TRACE, EPERM), "told: sizes"},
	{"fchmod", CHECK(mode_1_trace_check), "told: modes"},
	{"fchmodat fchmodat2", CHECK(mode_2_trace_check), "told: modes"},
	{"chmod", CHECK(mode_1_trace_check), "told: modes, the older form", X86},
	{"fchown fchownat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr "
	 "fremovexattr",
		ASK(TRACE, EPERM), "told: owners, times and attributes"},
	{"chown lchown utime utimes futimesat", ASK(TRACE, EPERM),
		"told: owners and times, the older forms", X86},
	{"execve execveat", ASK(TRACE, EPERM), "told: programs"},
};

static const struct seccomp_line trace_landlock_lines[] = {
	{"openat", CHECK(openat_landlock_trace_check), "told: opening for reading, too"},
	{"open", CHECK(open_landlock_trace_check), "told: opening for reading, too", X86},
	{"execve execveat", ASK(TRACE, EPERM), "told: programs"},
};

/* The landlock tier with a way out: see run/broker_network.c. */
static const struct seccomp_line egress_lines[] = {
	{"socket", CHECK(socket_egress_check), "TCP; UDP is the resolver's; others are the host's"},
	{"listen", ASK(SOCKET, EACCES), "without an address the kernel would take one of its own"},
	{"sendto", CHECK(sendto_egress_check), "by address: only where egress leads"},
	{"sendmsg", CHECK(sendmsg_egress_check), "by address: only where egress leads"},
	{"sendmmsg", CHECK(sendmmsg_egress_check), "by address: only where egress leads"},
	{"recvfrom", CHECK(recvfrom_egress_check), "answers bear the address that was asked"},
	{"recvmsg recvmmsg", ASK(SOCKET, EACCES), "answers bear the address that was asked"},
	{"getsockname getpeername", ASK(SOCKET, EACCES),
		"a datagram socket has no names of its own"},
	{"setsockopt", CHECK(setsockopt_egress_check), "nothing that leads loopback elsewhere"},
};

/* CPython, bash and coreutils, with threads and child processes, on files: nothing else. What init
 * needs to do its part under the same filter is marked. */
static const struct seccomp_line strict_lines[] = {
	/* files */
	{"read write writev pread64 pwrite64 lseek ftruncate close", ALLOW,
		"reading and writing what is open (writev: the dynamic linker's complaints)"},
	{"openat", CHECK(openat_check), "opening: mounts and Landlock decide; no set-id bits"},
	{"newfstatat fstat", ALLOW, "looking at files; which of them is the libc's choice"},
	{"getdents64 getcwd chdir fchdir readlinkat faccessat", ALLOW, "walking directories"},
	{"mkdirat symlinkat linkat unlinkat renameat", ALLOW, "making, naming and removing"},
	{"utimensat umask", ALLOW, "touch, cp -p, sed -i"},
	{"fchmod", CHECK(mode_1_check), "no set-user-id or set-group-id file leaves a box"},
	{"fchmodat", CHECK(mode_2_check), "no set-user-id or set-group-id file leaves a box"},
	{"readlink access mkdir rmdir symlink link unlink rename", ALLOW,
		"the same, as libcs on x86-64 call it", X86},
	{"creat chmod", CHECK(mode_1_check), "the same, without set-id bits", X86},
	{"dup dup3 pipe2", ALLOW, "redirections and pipelines"},
	{"fcntl", CHECK(fcntl_check), "redirections, locks"},
	{"dup2", ALLOW, "redirections, the older form", X86},
	{"ioctl", CHECK(ioctl_strict_check), "what programs ask of terminals"},

	/* memory, processes, threads */
	{"mmap munmap mprotect mremap brk", ALLOW, "one's own memory"},
	{"execve exit exit_group wait4", ALLOW, "programs begin and end"},
	{"clone", CHECK(clone_check), "processes and threads, but no namespaces"},
	{"vfork", ALLOW, "sh and subprocess start programs by it", X86},
	{"arch_prctl", ALLOW, "the thread pointer", X86},
	{"set_tid_address set_robust_list futex", ALLOW, "threads and their locks"},
	{"getpid getppid gettid getpgid setpgid getuid geteuid getgid getegid", ALLOW,
		"who one is: bash asks for its process group, timeout(1) makes one and kills it"},
	{"getpgrp", ALLOW, "the process group, the older form", X86},
	{"uname prlimit64", ALLOW, "start-up of sh, the size of a stack"},
	{"getrandom", ALLOW, "the seed of every hash table"},

	/* signals, time, waiting */
	{"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend sigaltstack kill tgkill", ALLOW,
		"signals: the PID namespace bounds whom"},
	{"restart_syscall", ALLOW, "the kernel's own way to go on after SIGCONT"},
	{"clock_gettime clock_nanosleep setitimer", ALLOW,
		"time that the vDSO does not tell, sleep, alarm"},
	{"alarm", ALLOW, "alarm, the older form", X86},
	{"ppoll pselect6", ALLOW, "waiting for descriptors"},
	{"poll", ALLOW, "waiting for descriptors, the older form", X86},

	/* for init */
	{"prctl", CHECK(prctl_strict_check), "the few settings that init and programs use"},
	{"sendmsg recvmsg", CHECK(control_check), "init speaks to its supervisor"},
	{"signalfd4 close_range setsid", ALLOW, "init starts commands and reaps"},
	{"landlock_create_ruleset landlock_add_rule landlock_restrict_self", ALLOW,
		"init confines each command; can only tighten"},

	/* Not needed, and not EPERM: what makes programs carry on best. */
	{"fsync fdatasync sync syncfs fadvise64", QUIET(0),
		"success: what is written here never reaches a disk, and advice is free"},
	{"getgroups", QUIET(0), "none: nobody has no groups"},
	{"madvise", QUIET(EINVAL), "what a kernel without the advice says: nothing relies on it"},
	{"statx faccessat2 openat2 renameat2 copy_file_range rseq memfd_create epoll_create1 "
	 "pidfd_open timer_create sched_getaffinity membarrier waitid",
		QUIET(ENOSYS), "libraries fall back to older calls or do without"},
	{"sendfile", QUIET(EINVAL), "what a file system without it says: programs read and write"},
	{"getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr "
	 "fsetxattr removexattr lremovexattr fremovexattr",
		QUIET(EOPNOTSUPP), "a file system without attributes: ls and cp go on silently"},
	{"socket socketpair", REFUSE(EPERM), "no socket of any kind"},
	{"ptrace process_vm_readv process_vm_writev", REFUSE(EPERM), "no debugging"},
};

/* clang-format on */

const struct seccomp_lines seccomp_layers[SECCOMP_LAYERS] = {
	[SECCOMP_LAYER_EGRESS] = {egress_lines, ARRAY_SIZE(egress_lines)},
	[SECCOMP_LAYER_USERNS] = {userns_lines, ARRAY_SIZE(userns_lines)},
	[SECCOMP_LAYER_NAMES] = {names_lines, ARRAY_SIZE(names_lines)},
	[SECCOMP_LAYER_TRACE] = {trace_lines, ARRAY_SIZE(trace_lines)},
	[SECCOMP_LAYER_TRACE_LANDLOCK] = {trace_landlock_lines, ARRAY_SIZE(trace_landlock_lines)},
	[SECCOMP_LAYER_LANDLOCK] = {landlock_lines, ARRAY_SIZE(landlock_lines)},
	[SECCOMP_LAYER_STRICT] = {strict_lines, ARRAY_SIZE(strict_lines)},
	[SECCOMP_LAYER_DEFAULT] = {default_lines, ARRAY_SIZE(default_lines)},
};

const struct seccomp_choice seccomp_variants[SECCOMP_VARIANTS] = {
	{.profile = SECCOMP_DEFAULT},
	{.profile = SECCOMP_DEFAULT, .watch_names = true},
	{.profile = SECCOMP_DEFAULT, .allow_userns = true},
	{.profile = SECCOMP_DEFAULT, .allow_userns = true, .watch_names = true},
	{.profile = SECCOMP_DEFAULT, .landlock_tier = true},
	{.profile = SECCOMP_DEFAULT, .landlock_tier = true, .watch_names = true},
	{.profile = SECCOMP_STRICT},
	{.profile = SECCOMP_STRICT, .watch_names = true},
	{.profile = SECCOMP_DEFAULT, .landlock_tier = true, .egress = true},
	{.profile = SECCOMP_DEFAULT, .landlock_tier = true, .egress = true, .watch_names = true},
	{.profile = SECCOMP_DEFAULT, .trace = true},
	{.profile = SECCOMP_DEFAULT, .trace = true, .watch_names = true},
	{.profile = SECCOMP_DEFAULT, .trace = true, .landlock_tier = true},
	{.profile = SECCOMP_DEFAULT, .trace = true, .landlock_tier = true, .watch_names = true},
	{.profile = SECCOMP_DEFAULT, .trace = true, .landlock_tier = true, .egress = true},
	{.profile = SECCOMP_DEFAULT,
		.trace = true,
		.landlock_tier = true,
		.egress = true,
		.watch_names = true},
};

const struct seccomp_line *seccomp_line(seccomp_line_reference reference)
{
	return &seccomp_layers[reference >> 8].items[reference & 0xff];
}

static bool names_call(const char *calls, const char *call)
{
	size_t length = strlen(call);
	for (const char *at = calls; (at = strstr(at, call)); at += length) {
		bool begins = at == calls || at[-1] == ' ';
		bool ends = at[length] == '\0' || at[length] == ' ';
		if (begins && ends)
			return true;
	}
	return false;
}

static seccomp_line_reference find_in(enum seccomp_layer layer, bool x86_64, const char *call)
{
	const struct seccomp_lines *lines = &seccomp_layers[layer];
	for (size_t i = 0; i < lines->count; i++) {
		const struct seccomp_line *line = &lines->items[i];
		if (line->architectures == SECCOMP_X86_64_ONLY && !x86_64)
			continue;
		if (names_call(line->calls, call))
			return seccomp_refer(layer, i);
	}
	return SECCOMP_NO_LINE;
}

static bool refuses(const struct seccomp_line *line)
{
	return line->action.kind == SECCOMP_DO_ERRNO ||
	       (line->action.kind == SECCOMP_DO_NOTIFY &&
		       line->action.class == SECCOMP_NOTIFY_REFUSE);
}

seccomp_line_reference seccomp_find_line(
	const struct seccomp_choice *choice, bool x86_64, const char *call)
{
	seccomp_line_reference base = find_in(SECCOMP_LAYER_DEFAULT, x86_64, call);
	if (choice->profile == SECCOMP_STRICT) {
		seccomp_line_reference strict = find_in(SECCOMP_LAYER_STRICT, x86_64, call);
		if (strict == SECCOMP_NO_LINE) {
			/* The default's refusals and their records hold, its permissions do not. */
			bool refused = base != SECCOMP_NO_LINE && refuses(seccomp_line(base));
			return refused ? base : (seccomp_line_reference)SECCOMP_NO_LINE;
		}
		base = strict;
	}
	const struct {
		bool chosen;
		enum seccomp_layer layer;
	} overlays[] = {
		{choice->egress, SECCOMP_LAYER_EGRESS},
		{choice->allow_userns, SECCOMP_LAYER_USERNS},
		{choice->trace && choice->landlock_tier, SECCOMP_LAYER_TRACE_LANDLOCK},
		{choice->watch_names, SECCOMP_LAYER_NAMES},
		{choice->landlock_tier, SECCOMP_LAYER_LANDLOCK},
		{choice->trace, SECCOMP_LAYER_TRACE},
	};
	if (base == SECCOMP_NO_LINE || seccomp_line(base)->action.kind == SECCOMP_DO_ERRNO)
		return base;
	for (size_t i = 0; i < ARRAY_SIZE(overlays); i++) {
		if (!overlays[i].chosen)
			continue;
		seccomp_line_reference found = find_in(overlays[i].layer, x86_64, call);
		if (found != SECCOMP_NO_LINE)
			return found;
	}
	return base;
}

struct seccomp_action seccomp_default_action(
	const struct seccomp_choice *choice, unsigned number, unsigned newest_known)
{
	/* Strict refuses much that a program may know to exist: EPERM says that it was policy. */
	if (choice->profile == SECCOMP_STRICT && number <= newest_known)
		return (struct seccomp_action)DO_ERRNO(EPERM);
	return (struct seccomp_action)DO_ERRNO(ENOSYS);
}

static bool rule_holds(const struct seccomp_rule *rule, const uint64_t args[6])
{
	for (size_t i = 0; i < SECCOMP_TESTS_MAX; i++) {
		const struct seccomp_test *test = &rule->tests[i];
		if (((uint32_t)args[test->argument] & test->mask) != test->value)
			return false;
	}
	return true;
}

struct seccomp_action seccomp_apply_line(const struct seccomp_line *line, const uint64_t args[6])
{
	const struct seccomp_rule *rule = line->check;
	if (!rule)
		return line->action;
	while (!rule_holds(rule, args))
		rule++;
	return rule->action;
}
