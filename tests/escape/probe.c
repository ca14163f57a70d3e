/* What a hostile program would try, one subcommand a subject. Every attempt is a line on standard
 * output: its name, and "ok" or the kernel's word for why not. The tests judge; this only tries. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define X32_BIT 0x40000000L

static void say(const char *name, long result)
{
	printf("%s %s\n", name, result >= 0 ? "ok" : strerrorname_np(errno));
	fflush(stdout);
}

/* writes DIR: everything that changes DIR/sentinel or DIR. */

static const char *below(const char *directory, const char *name)
{
	static char paths[4][4096];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static long closing(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd;
}

/* Through a descriptor that was opened without the right to write. */
static void try_reopen(const char *name, const char *file, int flags)
{
	char link[64];
	int fd = open(file, flags | O_CLOEXEC);

	if (fd < 0) {
		say(name, -1);
		return;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	say(name, closing(open(link, O_WRONLY | O_APPEND | O_CLOEXEC)));
	close(fd);
}

static void try_attributes(const char *file)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	int fd;

	say("chmod", chmod(file, 0666));
	say("fchmodat2", syscall(452, AT_FDCWD, file, 0644, 0));
	say("chown", chown(file, getuid(), getgid()));
	say("lchown", lchown(file, getuid(), getgid()));
	say("utimensat", utimensat(AT_FDCWD, file, times, 0));
	say("setxattr", setxattr(file, "user.coffer", "1", 1, 0));
	say("removexattr", removexattr(file, "user.coffer"));
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	say("fchmod", fchmod(fd, 0664));
	say("fchown", fchown(fd, getuid(), getgid()));
	say("futimens", futimens(fd, times));
	say("fsetxattr", fsetxattr(fd, "user.coffer", "1", 1, 0));
	close(fd);
}

static void try_links(const char *directory, const char *file)
{
	int fd;

	unlink("hard");
	say("link-here", link(file, "hard"));
	unlink("hard");
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		say("link-descriptor-here",
			linkat(AT_FDCWD, path, AT_FDCWD, "hard", AT_SYMLINK_FOLLOW));
		unlink("hard");
		close(fd);
	}
	closing(open("own", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	say("link-there", link("own", below(directory, "linked")));
	say("rename-there", rename("own", below(directory, "renamed")));
	say("symlink", symlink("anywhere", below(directory, "symbolic")));
	closing(open("own", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	say("rename-exchange",
		syscall(SYS_renameat2, AT_FDCWD, "own", AT_FDCWD, file, RENAME_EXCHANGE));
}

static void writes(const char *directory)
{
	const char *file = strdup(below(directory, "sentinel"));
	int fd;

	say("open-write", closing(open(file, O_WRONLY | O_CLOEXEC)));
	say("open-append", closing(open(file, O_WRONLY | O_APPEND | O_CLOEXEC)));
	say("open-truncate", closing(open(file, O_RDONLY | O_TRUNC | O_CLOEXEC)));
	say("truncate", truncate(file, 1));
	try_reopen("reopen-read-only", file, O_RDONLY);
	try_reopen("reopen-path", file, O_PATH);
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	say("openat-directory", closing(openat(fd, "sentinel", O_WRONLY | O_CLOEXEC)));
	closing(fd);
	try_attributes(file);
	try_links(directory, file);
	say("create", closing(open(below(directory, "new"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
	say("temporary", closing(open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644)));
	say("mkdir", mkdir(below(directory, "directory"), 0755));
	say("mkfifo", mkfifo(below(directory, "fifo"), 0644));
	say("rename", rename(file, below(directory, "moved")));
	say("unlink", unlink(below(directory, "moved")) && unlink(file) ? -1 : 0);
	say("rmdir", rmdir(below(directory, "directory")));
}

/* calls: what no box may do, whoever runs it. Arguments are such that success would harm nobody. */

static const struct {
	const char *name;
	long number;
	long arguments[6];
} calls[] = {
	{"unshare-user", SYS_unshare, {CLONE_NEWUSER}},
	{"unshare-user-mount", SYS_unshare, {CLONE_NEWUSER | CLONE_NEWNS}},
	{"unshare-mount", SYS_unshare, {CLONE_NEWNS}},
	{"unshare-net", SYS_unshare, {CLONE_NEWNET}},
	{"unshare-time", SYS_unshare, {0x80}},
	{"setns", SYS_setns, {0, CLONE_NEWNS}},
	{"mount-tmpfs", SYS_mount, {(long)"none", (long)"/tmp", (long)"tmpfs", 0, 0}},
	{"mount-bind", SYS_mount, {(long)"/", (long)"/tmp", 0, MS_BIND | MS_REC, 0}},
	{"mount-remount", SYS_mount, {0, (long)"/", 0, MS_REMOUNT | MS_BIND, 0}},
	{"mount-overlay", SYS_mount,
		{(long)"none", (long)"/tmp", (long)"overlay", 0,
			(long)"lowerdir=/usr,upperdir=/tmp,workdir=/tmp"}},
	{"umount", SYS_umount2, {(long)"/proc", MNT_DETACH}},
	{"pivot-root", SYS_pivot_root, {(long)"/", (long)"/"}},
	{"chroot", SYS_chroot, {(long)"/tmp"}},
	{"fsopen", SYS_fsopen, {(long)"tmpfs", 0}},
	{"open-tree", SYS_open_tree, {AT_FDCWD, (long)"/", 1}},
	{"move-mount", SYS_move_mount, {AT_FDCWD, (long)"/tmp", AT_FDCWD, (long)"/proc", 0}},
	{"mount-setattr", SYS_mount_setattr, {AT_FDCWD, (long)"/", 0, 0, 0}},
	{"open-by-handle", SYS_open_by_handle_at, {AT_FDCWD, (long)"\10\0\0\0\1\0\0\0\2\0\0\0", 0}},
	{"bpf", SYS_bpf, {0, 0, 0}},
	{"perf-event-open", SYS_perf_event_open, {0, 0, -1, -1, 0}},
	{"io-uring-setup", SYS_io_uring_setup, {1, 0}},
	{"userfaultfd", SYS_userfaultfd, {1}},
	{"keyctl", SYS_keyctl, {0, -3, 0}},
	{"add-key", SYS_add_key, {(long)"user", (long)"coffer", (long)"x", 1, -3}},
	{"request-key", SYS_request_key, {(long)"user", (long)"coffer", 0, -3}},
	{"init-module", SYS_init_module, {0, 0, (long)""}},
	{"finit-module", SYS_finit_module, {-1, (long)"", 0}},
	{"delete-module", SYS_delete_module, {(long)"no-such-module", 0}},
	{"kexec-load", SYS_kexec_load, {0, 0, 0, 0}},
	{"kexec-file-load", SYS_kexec_file_load, {-1, -1, 0, 0, 0}},
	{"reboot", SYS_reboot, {0}},
	{"swapon", SYS_swapon, {(long)"/no-such-file", 0}},
	{"acct", SYS_acct, {(long)"/no-such-file"}},
	{"syslog", SYS_syslog, {2, 0, 0}},
	{"quotactl", SYS_quotactl, {0x800001 << 8, 0, 0, 0}},
	{"clock-settime", SYS_clock_settime, {0, (long)&(struct timespec){.tv_sec = -1}}},
	{"sethostname", SYS_sethostname, {(long)"coffer", 6}},
	{"fanotify-init", SYS_fanotify_init, {0, 0}},
	{"mknod-memory", SYS_mknodat, {AT_FDCWD, (long)"mem", S_IFCHR | 0600, 0x101}},
	{"mknod-disk", SYS_mknodat, {AT_FDCWD, (long)"disk", S_IFBLK | 0600, 0x800}},
	{"ptrace-init", SYS_ptrace, {PTRACE_ATTACH, 1, 0, 0}},
	{"ptrace-seize-init", SYS_ptrace, {PTRACE_SEIZE, 1, 0, 0}},
	{"process-vm-readv-init", SYS_process_vm_readv,
		{1, (long)&(struct iovec){(char[1]){0}, 1}, 1,
			(long)&(struct iovec){(void *)0x400000, 1}, 1, 0}},
	{"setuid-root", SYS_setresuid, {12345, 12345, 12345}},
	{"setgroups", SYS_setgroups, {0, 0}},
#ifdef __x86_64__
	{"iopl", SYS_iopl, {3}},
	{"ioperm", SYS_ioperm, {0x80, 1, 1}},
#endif
};

static void say_clone(const char *name, long pid)
{
	if (pid == 0)
		_exit(0);
	say(name, pid);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
}

static void try_calls(void)
{
	struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	int status;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].arguments;
		pid_t pid = fork(); /* so that one success does not change what comes after it */

		if (pid == 0) {
			say(calls[i].name,
				syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (WIFSIGNALED(status))
			printf("%s %s\n", calls[i].name, "killed");
	}
	say_clone("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	say_clone("clone-mount", syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
	say_clone("clone3-user", syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

/* abi: system calls of other architectures. What ends by a signal is said by its number. */

#ifdef __x86_64__
static void try_abi(void)
{
	int status;
	pid_t pid;

	say("x32-getpid", syscall(X32_BIT | SYS_getpid));
	say("x32-mkdir", syscall(X32_BIT | SYS_mkdir, "x32", 0755));
	pid = fork();
	if (pid == 0) {
		long result = 20; /* getpid of i386 */

		__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
		_exit(result > 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	printf("int80-getpid %s\n", WIFSIGNALED(status)        ? "killed"
				    : WEXITSTATUS(status) == 0 ? "ok"
							       : "refused");
}
#else
static void try_abi(void)
{
}
#endif

/* sockets: which kinds may be made at all. */

static const struct {
	const char *name;
	int family, type, protocol;
} sockets[] = {
	{"raw-icmp", AF_INET, SOCK_RAW, 1},
	{"raw-icmp6", AF_INET6, SOCK_RAW, 58},
	{"ping", AF_INET, SOCK_DGRAM, 1},
	{"packet", AF_PACKET, SOCK_RAW, 0x300},
	{"packet-old", AF_INET, 10, 0x300},
	{"mptcp", AF_INET, SOCK_STREAM, 262},
	{"mptcp6", AF_INET6, SOCK_STREAM, 262},
	{"sctp", AF_INET, SOCK_STREAM, 132},
	{"sctp-seqpacket", AF_INET, SOCK_SEQPACKET, 132},
	{"dccp", AF_INET, 6, 33},
	{"smc", 43, SOCK_STREAM, 0},
	{"udplite", AF_INET, SOCK_DGRAM, 136},
	{"vsock", 40, SOCK_STREAM, 0},
	{"vsock-datagram", 40, SOCK_DGRAM, 0},
	{"netlink-netfilter", AF_NETLINK, SOCK_RAW, 12},
	{"netlink-audit", AF_NETLINK, SOCK_RAW, 9},
	{"netlink-uevent", AF_NETLINK, SOCK_DGRAM, 15},
	{"netlink-sock-diag", AF_NETLINK, SOCK_RAW, 4},
	{"alg", 38, SOCK_SEQPACKET, 0},
	{"bluetooth", 31, SOCK_RAW, 1},
	{"can", 29, SOCK_RAW, 1},
	{"key", 15, SOCK_RAW, 2},
	{"tipc", 30, SOCK_SEQPACKET, 0},
	{"rds", 21, SOCK_SEQPACKET, 0},
	{"xdp", 44, SOCK_RAW, 0},
	{"unix-stream", AF_UNIX, SOCK_STREAM, 0},
	{"unix-seqpacket", AF_UNIX, SOCK_SEQPACKET, 0},
};

static void try_sockets(void)
{
	int pair[2];

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++)
		say(sockets[i].name,
			closing(socket(sockets[i].family, sockets[i].type, sockets[i].protocol)));
	say("socketpair-stream", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	say("socketpair-seqpacket", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}

/* race DIR NAME SECONDS: mkdir with a path that other threads change between a harmless name and
 * NAME while the call is on its way. */

static char racing[4096];
static volatile bool stop;

static void *swap_name(void *argument)
{
	const char *const *names = argument;
	size_t length = strlen(names[0]);

	for (unsigned i = 0; !stop; i++)
		memcpy(strrchr(racing, '/') + 1, names[i & 1], length + 1);
	return NULL;
}

static void race(const char *directory, const char *name, int seconds)
{
	char *harmless = strdup(name);
	const char *names[2] = {harmless, name};
	time_t end = time(NULL) + seconds;
	long made = 0, tries = 0;
	pthread_t thread;

	memset(harmless, 'x', strlen(harmless));
	snprintf(racing, sizeof(racing), "%s/%s", directory, harmless);
	if (pthread_create(&thread, NULL, swap_name, names) != 0)
		abort();
	for (; time(NULL) < end; tries++) {
		if (mkdir(racing, 0755) == 0)
			made++;
		rmdir(below(directory, harmless));
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("made %ld\ntries %ld\n", made, tries);
}

/* inject: characters into the input of the terminal. */

static void inject(void)
{
	static const struct {
		const char *name;
		unsigned long request;
	} requests[] = {
		{"TIOCSTI", 0x5412},
		{"TIOCSTI-high-bit", 0x100005412},
		{"TIOCSTI-all-high-bits", 0xffffffff00005412},
		{"TIOCSTI-sign-bit", 0x8000000000005412},
	};
	char paste[2] = {3, 0}; /* TIOCL_PASTESEL */
	int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
	char name[64];

	say("open-terminal", terminal);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		for (int fd = 0; fd < 3; fd++) {
			snprintf(name, sizeof(name), "%s-%d", requests[i].name, fd);
			say(name, syscall(SYS_ioctl, fd, requests[i].request, "!"));
		}
	say("TIOCSTI-terminal", syscall(SYS_ioctl, terminal, requests[0].request, "!"));
	say("TIOCLINUX", syscall(SYS_ioctl, 0, 0x541cul, paste));
	say("TIOCLINUX-high-bit", syscall(SYS_ioctl, 0, 0x10000541cul, paste));
	say("TIOCSETD", ioctl(0, TIOCSETD, &(int){2}));
}

/* exec: from memory, without a file. */

static void try_exec(void)
{
	char *const arguments[] = {"true", NULL};
	int fd = memfd_create("program", MFD_CLOEXEC);
	int from = open("/bin/true", O_RDONLY | O_CLOEXEC);
	char buffer[4096];
	ssize_t got;
	pid_t pid;
	int status;

	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		if (write(fd, buffer, (size_t)got) != got)
			abort();
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execveat, fd, "", arguments, arguments + 1, AT_EMPTY_PATH);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	errno = ENOEXEC;
	say("memfd-execveat", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1);
}

/* touch PID: what may be done to a process. */

static void touch(pid_t pid)
{
	char path[64];
	char byte;
	struct iovec local = {.iov_base = &byte, .iov_len = 1};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)0x400000, .iov_len = 1};
	int fd;

	say("kill-0", kill(pid, 0));
	say("kill-stop", kill(pid, SIGSTOP));
	say("kill-kill", kill(pid, SIGKILL));
	say("tgkill", syscall(SYS_tgkill, pid, pid, SIGKILL));
	say("tkill", syscall(SYS_tkill, pid, SIGKILL));
	say("sigqueue", sigqueue(pid, SIGKILL, (union sigval){0}));
	say("attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	say("seize", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	say("vm-readv", process_vm_readv(pid, &local, 1, &remote, 1, 0));
	say("vm-writev", process_vm_writev(pid, &local, 1, &remote, 1, 0));
	say("prlimit", syscall(SYS_prlimit64, pid, 7, &(uint64_t[2]){8, 8}, NULL));
	say("setpriority", syscall(SYS_setpriority, 0, pid, 19));
	say("sched-setaffinity", sched_setaffinity(pid, sizeof(cpu_set_t), &(cpu_set_t){{1}}));
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	say("memory", closing(open(path, O_RDWR | O_CLOEXEC)));
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	say("environment", closing(open(path, O_RDONLY | O_CLOEXEC)));
	snprintf(path, sizeof(path), "/proc/%d/root/etc/passwd", pid);
	say("root", closing(open(path, O_RDONLY | O_CLOEXEC)));
	snprintf(path, sizeof(path), "/proc/%d/cwd/.", pid);
	say("directory", closing(open(path, O_RDONLY | O_CLOEXEC)));
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	say("score", closing(open(path, O_WRONLY | O_CLOEXEC)));
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) {
		say("pidfd", -1);
		return;
	}
	say("pidfd-signal", syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
	say("pidfd-getfd", closing((int)syscall(SYS_pidfd_getfd, fd, 0, 0)));
	close(fd);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "writes") == 0 && argc == 3)
		writes(argv[2]);
	else if (strcmp(what, "calls") == 0)
		try_calls();
	else if (strcmp(what, "abi") == 0)
		try_abi();
	else if (strcmp(what, "sockets") == 0)
		try_sockets();
	else if (strcmp(what, "race") == 0 && argc == 5)
		race(argv[2], argv[3], atoi(argv[4]));
	else if (strcmp(what, "inject") == 0)
		inject();
	else if (strcmp(what, "exec") == 0)
		try_exec();
	else if (strcmp(what, "touch") == 0 && argc == 3)
		touch((pid_t)atoi(argv[2]));
	else if (strcmp(what, "ids") == 0)
		printf("uid %d\neuid %d\n", getuid(), geteuid());
	else
		return 2;
	return 0;
}
