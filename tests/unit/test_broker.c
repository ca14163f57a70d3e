/* The broker against real programs: each test runs a hostile or honest client in namespaces of its
 * own, under a small filter whose listener the broker serves. Works as root and as an ordinary
 * user; where no user namespace can be made, the tests are skipped and say so.
 *
 *   test_broker            the tests
 *   test_broker latency    prints what one call costs that is let through */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"
#include "confine/landlock.h"
#include "run/broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <setjmp.h>

#include <cmocka.h>

enum { UID_INSIDE = 1000, UID_OF_ROOTS_BOX = 100000 };

/* What both sides of a test see. */
struct shared {
	pid_t init;
	int failed_line; /* of the client's check that failed; 0: none */
	int failed_errno;
	uint64_t continued;
	double latency_us[2];
};

static struct {
	char top[64];   /* a directory with everything of one test */
	char root[80];  /* the watched, writable root in it */
	char other[80]; /* a directory that is not watched */
	char host_socket[96];
	int host_listener;
	struct plan plan;
	struct plan_watch watch;
	struct plan_grant grants[16];
	char *write_roots[3];
	char secret[96]; /* a file in a protected directory of root */
	pid_t test;
	struct profile profile;
	struct denials *denials;
	struct shared *shared;
	int inherited_socket; /* made outside, still unconnected */
	bool landlock;
} world;

/* A client returns 0 when every check held. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			world.shared->failed_errno = errno;                                        \
			return __LINE__;                                                           \
		}                                                                                  \
	} while (0)
#define CHECK_ERRNO(call, expected) CHECK((errno = 0, (call) == -1) && errno == (expected))

typedef int (*client_function)(void);

/* --- A box --- */

static const int notified[] = {
#ifdef SYS_mkdir
	SYS_mkdir, SYS_mknod, SYS_symlink, SYS_link, SYS_rename,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
	SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_renameat2, SYS_connect, SYS_bind,
	SYS_personality, /* stands for a call that the tables do not send here: refused */
};

/* What the landlock tier adds. */
static const int notified_landlock[] = {
#ifdef SYS_unlink
	SYS_unlink,
	SYS_rmdir,
	SYS_open,
	SYS_creat,
	SYS_chmod,
	SYS_chown,
	SYS_lchown,
	SYS_utime,
	SYS_utimes,
	SYS_futimesat,
#endif
	SYS_unlinkat,
	SYS_openat,
	SYS_truncate,
	SYS_fchmod,
	SYS_fchmodat,
	SYS_fchown,
	SYS_fchownat,
	SYS_utimensat,
	SYS_setxattr,
	SYS_lsetxattr,
	SYS_fsetxattr,
	SYS_removexattr,
	SYS_lremovexattr,
	SYS_fremovexattr,
	SYS_kill,
	SYS_tkill,
	SYS_tgkill,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_pidfd_send_signal,
	SYS_prlimit64,
	SYS_sched_setaffinity,
	SYS_sched_setparam,
	SYS_sched_setscheduler,
	SYS_setpriority,
};

static size_t add_notified(struct sock_filter *program, size_t n, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		program[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
		program[n++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	}
	return n;
}

/* Two ioctls stand for those that are notified. */
static size_t add_ioctls(struct sock_filter *program, size_t n)
{
	const struct sock_filter lines[] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCGPTPEER, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FS_IOC_SETFLAGS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	memcpy(program + n, lines, sizeof(lines));
	return n + ARRAY_SIZE(lines);
}

static int install_filter(void)
{
	struct sock_filter program[(ARRAY_SIZE(notified) + ARRAY_SIZE(notified_landlock)) * 2 + 8];
	size_t n = 0;
	program[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	n = add_notified(program, n, notified, ARRAY_SIZE(notified));
	if (world.landlock)
		n = add_ioctls(program,
			add_notified(program, n, notified_landlock, ARRAY_SIZE(notified_landlock)));
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
}

static int raise_loopback(void)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
}

/* PID 1 of the box: builds it, hands the listener out, runs the client in a child. */
static int box_init(int control, client_function client)
{
	uid_t uid = world.landlock ? world.plan.owner_uid : UID_INSIDE;
	gid_t gid = world.landlock ? world.plan.owner_gid : UID_INSIDE;
	if (world.landlock && geteuid() == 0 && setgroups(0, NULL) < 0)
		return __LINE__;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return __LINE__;
	struct error error = {0};
	int ruleset = -1;
	if (world.landlock && (landlock_prepare(&world.plan, &ruleset, &error) < 0 ||
				      prctl(PR_SET_CHILD_SUBREAPER, 1) < 0))
		return __LINE__;
	prctl(PR_SET_DUMPABLE, 1); /* so that an ordinary user's broker can open its namespaces */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int listener = install_filter();
	if (listener < 0)
		return __LINE__;
	/* sendmsg is not notified, so this works under the filter. */
	if (fd_send(control, "l", 1, &listener, 1) < 0)
		return __LINE__;
	close(listener);
	close(control);
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		if (world.landlock && landlock_enter(ruleset) < 0)
			_exit(1);
		_exit((world.shared->failed_line = client()) != 0);
	}
	int status;
	while (waitpid(pid, &status, 0) < 0)
		;
	return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || world.shared->failed_line)
		       ? 0
		       : __LINE__;
}

static int box_prepare_and_init(int control, client_function client)
{
	char go;
	if (read(control, &go, 1) != 1)
		return __LINE__;
	if (!world.landlock) {
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || raise_loopback() < 0)
			return __LINE__;
		mount("proc", "/proc", "proc", 0, NULL); /* fails where the host masks its own */
	}
	return box_init(control, client);
}

static void write_map(pid_t pid, const char *file, unsigned inside, unsigned outside)
{
	char path[64], line[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	snprintf(line, sizeof(line), "%u %u 1", inside, outside);
	assert_int_equal(fd_write_file(AT_FDCWD, path, line), 0);
}

/* The landlock tier's broker stands above init: the process returned is the broker, that sleeps at
 * the other end of *ret_broker, and init comes back to this one as an orphan. */
static pid_t start_init(int *ret_control, int *ret_broker, client_function client)
{
	int sockets[2], broker[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker), 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, world.landlock), 0);
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (!world.landlock)
		args.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		close(sockets[0]);
		close(broker[0]);
		const struct broker_options options = {.plan = &world.plan,
			.denials = world.denials,
			.continued = &world.shared->continued};
		if (world.landlock)
			broker_fork(&options, broker[1], -1);
		close(broker[1]);
		world.shared->init = getpid();
		_exit(box_prepare_and_init(sockets[1], client) != 0);
	}
	close(sockets[1]);
	close(broker[1]);
	*ret_control = sockets[0];
	*ret_broker = broker[0];
	return pid;
}

/* The first notification has come. Returns the broker's pid, or -errno. */
static pid_t serve_from_now_on(int broker, int listener, pid_t first, struct error *error)
{
	if (world.landlock) {
		int r = broker_wake(broker, listener, error);
		return r == 0 ? first : r < 0 ? r : -EPIPE;
	}
	const struct broker_options options = {
		.plan = &world.plan,
		.listener = listener,
		.init = first,
		.denials = world.denials,
		.continued = &world.shared->continued,
	};
	return broker_start(&options, error);
}

/* Waits for the end of what start_init() has started. Returns init's wait status. */
static int wait_for_init(pid_t first)
{
	int status = 0;
	assert_int_equal(waitpid(first, &status, 0), first);
	if (world.landlock) {
		assert_int_equal(status, 0); /* the broker ends with init */
		assert_int_equal(waitpid(world.shared->init, &status, 0), world.shared->init);
	}
	return status;
}

/* Runs client in a box that the broker serves, and fails the test where a check of it failed. */
static void run_client(client_function client)
{
	world.shared->failed_line = 0;
	cleanup_close int control = -1, broker_socket = -1;
	pid_t init = start_init(&control, &broker_socket, client);
	if (init < 0) {
		print_message("no user namespace can be made here: %s\n", strerror(errno));
		skip();
	}
	if (!world.landlock) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/setgroups", init);
		if (geteuid() != 0)
			fd_write_file(AT_FDCWD, path, "deny");
		write_map(init, "uid_map", UID_INSIDE, world.plan.owner_uid);
		write_map(init, "gid_map", UID_INSIDE, world.plan.owner_gid);
	}
	assert_int_equal(write(control, "g", 1), 1);
	char byte;
	int listener;
	size_t count = 1;
	assert_int_equal(fd_receive(control, &byte, 1, &listener, &count), 1);
	assert_int_equal(count, 1);

	cleanup_close int init_pidfd = sys_pidfd_open(init, 0);
	pid_t broker = 0;
	struct pollfd fds[2] = {
		{.fd = listener, .events = POLLIN}, {.fd = init_pidfd, .events = POLLIN}};
	assert_true(poll(fds, 2, 60000) > 0);
	if (fds[0].revents & POLLIN) {
		struct error error = {0};
		broker = serve_from_now_on(broker_socket, listener, init, &error);
		if (broker < 0) {
			kill(init, SIGKILL);
			waitpid(init, NULL, 0);
			fail_msg("%s: %s", error.stage, error.message);
		}
	}
	close(listener);
	int status = wait_for_init(init);
	if (broker > 0 && !world.landlock) {
		kill(broker, SIGKILL);
		waitpid(broker, NULL, 0);
	}
	if (world.shared->failed_line)
		fail_msg("the client's check in line %d failed: %s", world.shared->failed_line,
			strerror(world.shared->failed_errno));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- Fixture --- */

static void own(const char *path)
{
	if (geteuid() == 0)
		assert_int_equal(lchown(path, UID_OF_ROOTS_BOX, UID_OF_ROOTS_BOX), 0);
}

static int bind_listener(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 8) < 0)) {
		close_fd(&fd);
		return -1;
	}
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	snprintf(world.top, sizeof(world.top), "/tmp/coffer-broker-XXXXXX");
	assert_non_null(mkdtemp(world.top));
	own(world.top);
	snprintf(world.root, sizeof(world.root), "%s/root", world.top);
	snprintf(world.other, sizeof(world.other), "%s/other", world.top);
	assert_int_equal(mkdir(world.root, 0755), 0);
	assert_int_equal(mkdir(world.other, 0755), 0);
	own(world.root);
	own(world.other);
	snprintf(world.host_socket, sizeof(world.host_socket), "%s/host.sock", world.root);
	world.host_listener = bind_listener(world.host_socket, SOCK_STREAM);
	assert_true(world.host_listener >= 0);
	own(world.host_socket);
	world.inherited_socket = socket(AF_INET, SOCK_STREAM, 0);

	struct stat st;
	assert_int_equal(stat(world.root, &st), 0);
	world.watch = (struct plan_watch){.path = world.root,
		.inside = world.root,
		.id = {.device = st.st_dev, .inode = st.st_ino}};
	world.profile = (struct profile){.name = "test", .seccomp = SECCOMP_DEFAULT};
	bool root = geteuid() == 0;
	world.plan = (struct plan){.tier = TIER_CONTAINER,
		.profile = &world.profile,
		.facts.root = root,
		.watches = &world.watch,
		.watches_count = 1,
		.watch_names = true,
		.uid_inside = UID_INSIDE,
		.gid_inside = UID_INSIDE,
		.owner_uid = root ? UID_OF_ROOTS_BOX : geteuid(),
		.owner_gid = root ? UID_OF_ROOTS_BOX : getegid()};
	world.denials = denials_new();
	world.shared = mmap(NULL, sizeof(*world.shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_non_null(world.denials);
	assert_true(world.shared != MAP_FAILED);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(world.host_listener);
	close(world.inherited_socket);
	denials_free(world.denials);
	munmap(world.shared, sizeof(*world.shared));
	pid_t pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", world.top, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static size_t count_denials(const char *promise, const char *call)
{
	size_t found = 0;
	struct denial denial;
	for (size_t i = 0; i < denials_count(world.denials); i++)
		if (denials_get(world.denials, i, &denial) &&
			strcmp(denial.promise, promise) == 0 &&
			(!call || strcmp(denial.call, call) == 0))
			found += denial.count;
	return found;
}

/* --- Names --- */

static int names_client(void)
{
	char path[PATH_MAX];
	CHECK(chdir(world.root) == 0);
	CHECK_ERRNO(mkdir(".git", 0755), EACCES);
	CHECK_ERRNO(mkdir(".git/", 0755), EACCES);
	CHECK_ERRNO(mkdir(".git///", 0755), EACCES);
	CHECK_ERRNO(mkdir(".GIT", 0755), EACCES);
	CHECK_ERRNO(mkdir("./.git", 0755), EACCES);
	CHECK(mkdir("x", 0755) == 0);
	CHECK_ERRNO(mkdir(".//x/../.git/", 0755), EACCES);
	snprintf(path, sizeof(path), "%s/.git", world.root);
	CHECK_ERRNO(mkdir(path, 0755), EACCES);
	snprintf(path, sizeof(path), "/%s//.git", world.root);
	CHECK_ERRNO(mkdir(path, 0755), EACCES);
	CHECK_ERRNO(mkdir("/proc/self/cwd/.git", 0755), EACCES);
	CHECK_ERRNO(mkdir("/proc/thread-self/cwd/.git", 0755), EACCES);

	snprintf(path, sizeof(path), "%s/link", world.other);
	CHECK(symlink(world.root, path) == 0);
	snprintf(path, sizeof(path), "%s/link/.git", world.other);
	CHECK_ERRNO(mkdir(path, 0755), EACCES);

	int dirfd = open(world.root, O_RDONLY | O_DIRECTORY);
	CHECK(dirfd >= 0 && chdir(world.other) == 0);
	CHECK_ERRNO(mkdirat(dirfd, ".git", 0755), EACCES);
	CHECK_ERRNO(mkdirat(dirfd, "x/../.git", 0755), EACCES);
	CHECK_ERRNO(symlinkat("x", dirfd, ".git"), EACCES);
	CHECK_ERRNO(mknodat(dirfd, ".git", S_IFIFO | 0644, 0), EACCES);
	CHECK_ERRNO(mkdirat(-7, ".git", 0755), EBADF);

	/* By rename and link, from a place where the name means nothing. */
	CHECK(mkdir(".git", 0755) == 0);
	CHECK(mkdir("hooks", 0755) == 0);
	CHECK_ERRNO(renameat(AT_FDCWD, ".git", dirfd, ".git"), EACCES);
	CHECK_ERRNO(renameat(AT_FDCWD, "hooks", dirfd, ".git"), EACCES);
	CHECK(mkdirat(dirfd, "innocent", 0755) == 0);
	CHECK_ERRNO(renameat(dirfd, "innocent", dirfd, ".git"), EACCES);
	CHECK_ERRNO(renameat2(dirfd, "innocent", dirfd, ".git", RENAME_EXCHANGE), EACCES);
	int file = open("file", O_CREAT | O_WRONLY, 0644);
	CHECK(file >= 0);
	CHECK_ERRNO(linkat(AT_FDCWD, "file", dirfd, ".envrc", 0), EACCES);

	/* A missing parent, and arguments that are no strings. */
	CHECK_ERRNO(mkdir("missing/.git", 0755), ENOENT);
	CHECK_ERRNO(mkdir("file/.git", 0755), ENOTDIR);
	CHECK_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, NULL, 0755), EFAULT);
	CHECK_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, (void *)-8L, 0755), EFAULT);
	CHECK_ERRNO(syscall(SYS_mkdirat, AT_FDCWD, "", 0755), ENOENT);

	/* The other side: everything that is not that name in that directory. */
	CHECK(mkdirat(dirfd, "build", 0755) == 0);
	CHECK(mkdirat(dirfd, "x/.git", 0755) == 0);
	CHECK(renameat(dirfd, "build", dirfd, "built") == 0);
	CHECK(linkat(AT_FDCWD, "file", dirfd, "file", 0) == 0);
	CHECK(mkdir("/", 0755) == -1 && errno == EEXIST);
	CHECK(mkdir("..", 0755) == -1 && errno == EEXIST);
	return 0;
}

static void test_names(void **state)
{
	(void)state;
	run_client(names_client);
	assert_true(count_denials("P2", NULL) >= 18);
	assert_true(world.shared->continued >= 8);
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/.git", world.root);
	assert_int_equal(access(path, F_OK), -1);
}

/* What is there already: a link cannot be a mount point, so only the broker keeps it in place. */
static int existing_client(void)
{
	CHECK(chdir(world.root) == 0);
	CHECK_ERRNO(mkdir(".git", 0755), EEXIST);
	CHECK_ERRNO(rename(".git", "gone"), EACCES);
	CHECK_ERRNO(
		syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, ".git", RENAME_EXCHANGE), EACCES);
	CHECK_ERRNO(
		syscall(SYS_renameat2, AT_FDCWD, ".git", AT_FDCWD, "x", RENAME_EXCHANGE), EACCES);
	CHECK_ERRNO(rename("x", ".git"), EACCES);
	return 0;
}

static void test_existing_names(void **state)
{
	(void)state;
	char path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof(path), "%s/.git", world.root);
	assert_int_equal(symlink("../other", path), 0);
	own(path);
	snprintf(path, sizeof(path), "%s/x", world.root);
	assert_int_equal(mkdir(path, 0755), 0);
	own(path);
	run_client(existing_client);
	snprintf(path, sizeof(path), "%s/.git", world.root);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(count_denials("P2", NULL), 4);
}

/* A string that ends with its page, one that runs out of its mapping, and one that is too long. */
static int memory_client(void)
{
	enum { PAGE = 4096 };
	char *pages =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED && munmap(pages + 3 * PAGE, PAGE) == 0);
	CHECK(chdir(world.root) == 0);
	char *at_end = pages + 3 * PAGE - 5;
	memcpy(at_end, ".git", 5);
	CHECK_ERRNO(mkdir(at_end, 0755), EACCES);
	memcpy(at_end, "abcd", 5);
	CHECK(mkdir(at_end, 0755) == 0);
	memcpy(at_end, "abcde", 5);
	CHECK_ERRNO(mkdir(at_end, 0755), EFAULT);
	char *across = pages + PAGE - 2;
	memcpy(across, ".git", 5);
	CHECK_ERRNO(mkdir(across, 0755), EACCES);
	memset(pages, '/', 2 * PAGE);
	memcpy(pages + PATH_MAX - 5, ".git", 5);
	pages[0] = '.';
	CHECK_ERRNO(mkdir(pages, 0755), EACCES);
	memset(pages, 'a', 2 * PAGE);
	CHECK_ERRNO(mkdir(pages, 0755), ENAMETOOLONG);
	return 0;
}

static void test_memory(void **state)
{
	(void)state;
	run_client(memory_client);
}

/* A program that hides from ptrace (gpg-agent) is read all the same. It must have been executed in
 * the box, as everything but init is: before that its memory still counts as the host's. */
static int undumpable_main(void)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || mkdir(".git", 0755) == 0 || errno != EACCES)
		return 1;
	return mkdir("undumpable", 0755) == 0 && bind_listener("sock", SOCK_STREAM) >= 0 ? 0 : 2;
}

static int undumpable_client(void)
{
	CHECK(chdir(world.root) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test_broker", "undumpable", (char *)NULL);
		_exit(127);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0);
	return 0;
}

static void test_undumpable(void **state)
{
	(void)state;
	run_client(undumpable_client);
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/undumpable", world.root);
	assert_int_equal(access(path, F_OK), 0);
}

/* A thread swaps the string all the time. What is answered EACCES is final; what the kernel then
 * made under the protected name is what *continued warns of, so each such directory is counted. */
static volatile bool racing;
static char race_path[16];

static void *swap_string(void *unused)
{
	(void)unused;
	while (racing) {
		memcpy(race_path, ".git", 5);
		__asm__ volatile("" ::: "memory"); /* both are really written */
		memcpy(race_path, "safe", 5);
		__asm__ volatile("" ::: "memory");
	}
	return NULL;
}

static int string_race_client(void)
{
	pthread_t thread;
	CHECK(chdir(world.root) == 0);
	racing = true;
	CHECK(pthread_create(&thread, NULL, swap_string, NULL) == 0);
	unsigned made = 0;
	for (uint64_t end = clock_now_us() + 1000000; clock_now_us() < end;) {
		if (mkdir(race_path, 0755) == 0)
			made++;
		rmdir("safe");
		rmdir(".git");
	}
	racing = false;
	pthread_join(thread, NULL);
	CHECK(made <= world.shared->continued);
	return 0;
}

static void test_string_race(void **state)
{
	(void)state;
	run_client(string_race_client);
	assert_true(count_denials("P2", "mkdir") + count_denials("P2", "mkdirat") > 0);
}

/* --- Unix sockets --- */

static int connect_to(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, strnlen(path, sizeof(address.sun_path)));
	int fd = socket(AF_UNIX, type, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close_fd(&fd);
		return -1;
	}
	return fd;
}

static int exchange(int listener, int client)
{
	char text[6] = "";
	cleanup_close int server = accept(listener, NULL, NULL);
	CHECK(server >= 0);
	CHECK(write(client, "hello", 5) == 5 && read(server, text, 5) == 5);
	CHECK(strcmp(text, "hello") == 0);
	CHECK(write(server, "world", 5) == 5 && read(client, text, 5) == 5);
	CHECK(strcmp(text, "world") == 0);
	return 0;
}

static int unix_client(void)
{
	struct stat st;
	struct sockaddr_un address;
	socklen_t length = sizeof(address);
	CHECK(chdir(world.other) == 0);
	umask(0027);
	int listener = bind_listener("own.sock", SOCK_STREAM);
	CHECK(listener >= 0);
	CHECK(stat("own.sock", &st) == 0 && (st.st_mode & 0777) == 0750);
	CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
	CHECK(strcmp(address.sun_path, "own.sock") == 0);
	CHECK_ERRNO(bind_listener("own.sock", SOCK_STREAM), EADDRINUSE);
	CHECK_ERRNO(bind_listener("missing/sock", SOCK_STREAM), ENOENT);
	CHECK_ERRNO(bind_listener("/", SOCK_STREAM), EADDRINUSE);

	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/own.sock", world.other);
	const char *const ways[] = {
		"own.sock", path, ".//./own.sock", "/proc/self/cwd/own.sock", "ln"};
	CHECK(symlink("own.sock", "ln") == 0);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_close int client = connect_to(ways[i], SOCK_STREAM);
		CHECK(client >= 0);
		int line = exchange(listener, client);
		if (line)
			return line;
	}

	/* A relative path of 108 bytes, without a NUL; and a server on an absolute one. */
	char longest[109] = "";
	memset(longest, 'l', 108);
	struct sockaddr_un full = {.sun_family = AF_UNIX};
	memcpy(full.sun_path, longest, 108);
	int long_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(long_listener, (struct sockaddr *)&full, sizeof(full)) == 0);
	CHECK(listen(long_listener, 1) == 0);
	cleanup_close int long_client = connect_to(longest, SOCK_STREAM);
	CHECK(long_client >= 0);
	snprintf(path, sizeof(path), "%s/two.sock", world.other);
	int absolute = bind_listener(path, SOCK_STREAM);
	length = sizeof(address);
	CHECK(absolute >= 0);
	CHECK(getsockname(absolute, (struct sockaddr *)&address, &length) == 0);
	CHECK(strcmp(address.sun_path, path) == 0);

	/* After its file is renamed it is still the same socket; after its end it refuses. */
	CHECK(rename("two.sock", "three.sock") == 0);
	cleanup_close int renamed = connect_to("three.sock", SOCK_STREAM);
	CHECK(renamed >= 0);
	close(absolute);
	CHECK_ERRNO(connect_to("three.sock", SOCK_STREAM), ECONNREFUSED);
	CHECK_ERRNO(connect_to("missing.sock", SOCK_STREAM), ENOENT);
	CHECK_ERRNO(connect_to(".", SOCK_STREAM), ECONNREFUSED);

	/* Abstract names are the network namespace's own. */
	struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0coffer-test"};
	socklen_t abstract_bytes = offsetof(struct sockaddr_un, sun_path) + 12;
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(server, (struct sockaddr *)&abstract, abstract_bytes) == 0);
	CHECK(listen(server, 1) == 0);
	CHECK(connect(client, (struct sockaddr *)&abstract, abstract_bytes) == 0);
	return exchange(server, client);
}

static void test_unix_sockets(void **state)
{
	(void)state;
	run_client(unix_client);
	assert_int_equal(count_denials("P3", NULL), 0);
}

/* The backlog is full: the connect waits, everything else goes on, and then it succeeds. */
static void *late_accept(void *argument)
{
	usleep(150000);
	int fd = accept(*(int *)argument, NULL, NULL);
	usleep(1000);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int backlog_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "full.sock"};
	CHECK(chdir(world.other) == 0);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(listener, 0) == 0);
	CHECK(connect_to("full.sock", SOCK_STREAM) >= 0);
	CHECK_ERRNO(connect_to("full.sock", SOCK_STREAM | SOCK_NONBLOCK), EAGAIN);

	pid_t victim = fork(); /* waits in connect() when it is killed */
	if (victim == 0)
		_exit(connect_to("full.sock", SOCK_STREAM) < 0);
	usleep(50000);
	CHECK(kill(victim, SIGKILL) == 0 && waitpid(victim, NULL, 0) == victim);

	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, late_accept, &listener) == 0);
	uint64_t start = clock_now_us();
	CHECK(connect_to("full.sock", SOCK_STREAM) >= 0);
	CHECK(clock_now_us() - start >= 100000);
	pthread_join(thread, NULL);

	/* SO_SNDTIMEO ends the wait, as the kernel would have. */
	struct timeval limit = {.tv_usec = 60000};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	CHECK_ERRNO(connect(fd, (struct sockaddr *)&address, sizeof(address)), EAGAIN);
	return 0;
}

static void test_unix_backlog(void **state)
{
	(void)state;
	run_client(backlog_client);
}

static int host_socket_client(void)
{
	CHECK(chdir(world.root) == 0);
	CHECK_ERRNO(connect_to(world.host_socket, SOCK_STREAM), EACCES);
	CHECK_ERRNO(connect_to("host.sock", SOCK_STREAM), EACCES);
	CHECK_ERRNO(connect_to("host.sock", SOCK_SEQPACKET), EACCES);
	CHECK_ERRNO(connect_to("host.sock", SOCK_DGRAM), EACCES);
	CHECK(symlink("host.sock", "pointer") == 0);
	CHECK_ERRNO(connect_to("pointer", SOCK_STREAM), EACCES);
	CHECK(link("host.sock", "second") == 0);
	CHECK_ERRNO(connect_to("second", SOCK_STREAM), EACCES);
	CHECK(rename("second", "third") == 0);
	CHECK_ERRNO(connect_to("third", SOCK_STREAM), EACCES);
	int fd = open("host.sock", O_PATH);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(fd >= 0);
	CHECK_ERRNO(connect_to(path, SOCK_STREAM), EACCES);
	return 0;
}

static void test_host_sockets(void **state)
{
	(void)state;
	run_client(host_socket_client);
	assert_int_equal(count_denials("P3", "connect"), 8);
	struct pollfd fd = {.fd = world.host_listener, .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 0), 0); /* and nothing knocked at it */
}

/* One thread replaces the name by a link to the host's socket and back, while others bind, and
 * connect to, that name. */
static void *swap_files(void *unused)
{
	(void)unused;
	while (racing) {
		if (link("host.sock", "swap.tmp") == 0 && rename("swap.tmp", "swap.sock") == 0)
			usleep(100);
		unlink("swap.sock");
		usleep(50);
	}
	return NULL;
}

static int socket_race_client(void)
{
	pthread_t threads[2];
	CHECK(chdir(world.landlock ? world.other : world.root) == 0);
	racing = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, swap_files, NULL) == 0);
	unsigned bound = 0, refused = 0;
	uint64_t start = clock_now_us(), most_us = 30000000;
	for (uint64_t us = 0; us < 2000000 || (!(bound && refused) && us < most_us);
		us = clock_now_us() - start) {
		cleanup_close int listener = bind_listener("swap.sock", SOCK_STREAM);
		bound += listener >= 0;
		for (int i = 0; i < 4; i++) {
			cleanup_close int client = connect_to("swap.sock", SOCK_STREAM);
			refused += client < 0 && errno == EACCES;
		}
	}
	racing = false;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	CHECK(bound > 0 && refused > 0); /* else nothing was raced */
	return 0;
}

static void test_socket_race(void **state)
{
	(void)state;
	run_client(socket_race_client);
	struct pollfd fd = {.fd = world.host_listener, .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 0), 0);
}

/* More sockets than the table pins: the oldest unlinked are forgotten, the rest go on. */
static int many_sockets_client(void)
{
	char path[32];
	CHECK(chdir(world.other) == 0);
	cleanup_close int first = bind_listener("first.sock", SOCK_STREAM);
	CHECK(first >= 0);
	for (int i = 0; i < 1200; i++) {
		snprintf(path, sizeof(path), "s%d", i);
		cleanup_close int fd = bind_listener(path, SOCK_STREAM);
		CHECK(fd >= 0 && unlink(path) == 0);
	}
	cleanup_close int client = connect_to("first.sock", SOCK_STREAM);
	CHECK(client >= 0);
	return exchange(first, client);
}

static void test_many_sockets(void **state)
{
	(void)state;
	run_client(many_sockets_client);
}

/* --- Network --- */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int tcp_client(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(listener, 8) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);

	int client = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK((fcntl(client, F_GETFL) & O_NONBLOCK) == 0);
	CHECK_ERRNO(connect(client, (struct sockaddr *)&address, sizeof(address)), EISCONN);
	int line = exchange(listener, client);
	if (line)
		return line;

	int eager = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = connect(eager, (struct sockaddr *)&address, sizeof(address));
	CHECK(r == 0 || errno == EINPROGRESS);
	struct pollfd fd = {.fd = eager, .events = POLLOUT};
	CHECK(poll(&fd, 1, 2000) == 1 && fcntl(eager, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(eager, F_SETFL, 0) == 0);
	line = exchange(listener, eager);
	if (line)
		return line;

	close(listener);
	int refused = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERRNO(connect(refused, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
	struct sockaddr_in away = {.sin_family = AF_INET, .sin_port = htons(80)};
	CHECK(inet_pton(AF_INET, "192.0.2.1", &away.sin_addr) == 1);
	int far = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERRNO(connect(far, (struct sockaddr *)&away, sizeof(away)), ENETUNREACH);

	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int server6 = socket(AF_INET6, SOCK_STREAM, 0);
	if (server6 < 0 || bind(server6, (struct sockaddr *)&six, sizeof(six)) < 0)
		return errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL ? 0 : __LINE__;
	length = sizeof(six);
	CHECK(listen(server6, 1) == 0);
	CHECK(getsockname(server6, (struct sockaddr *)&six, &length) == 0);
	int client6 = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK(connect(client6, (struct sockaddr *)&six, sizeof(six)) == 0);
	return exchange(server6, client6);
}

static void test_tcp(void **state)
{
	(void)state;
	run_client(tcp_client);
}

static int udp_client(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t length = sizeof(address);
	int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
	char text[6] = "";
	CHECK(bind(server, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(getsockname(server, (struct sockaddr *)&address, &length) == 0);
	CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(write(client, "hello", 5) == 5 && read(server, text, 5) == 5);
	struct sockaddr nothing = {.sa_family = AF_UNSPEC};
	CHECK(connect(client, &nothing, sizeof(nothing)) == 0);
	CHECK_ERRNO(send(client, "hello", 5, 0), EDESTADDRREQ);
	return 0;
}

static void test_udp(void **state)
{
	(void)state;
	run_client(udp_client);
}

/* A socket that was made in the host's network still leads there. */
static int inherited_client(void)
{
	struct sockaddr_in address = loopback(9);
	int fd = world.inherited_socket;
	CHECK_ERRNO(connect(fd, (struct sockaddr *)&address, sizeof(address)), EACCES);
	CHECK_ERRNO(bind(fd, (struct sockaddr *)&address, sizeof(address)), EACCES);
	struct sockaddr nothing = {.sa_family = AF_UNSPEC};
	CHECK_ERRNO(connect(fd, &nothing, sizeof(nothing)), EACCES);
	return 0;
}

static void test_inherited_socket(void **state)
{
	(void)state;
	run_client(inherited_client);
	assert_int_equal(count_denials("P3", NULL), 3);
}

static int hostile_arguments_client(void)
{
	struct sockaddr_storage storage = {.ss_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int file = open("/dev/null", O_RDWR), path = open("/", O_PATH);
	void *address = &storage;
	CHECK_ERRNO(syscall(SYS_connect, -1, address, 16), EBADF);
	CHECK_ERRNO(syscall(SYS_connect, 9999, address, 16), EBADF);
	CHECK_ERRNO(syscall(SYS_connect, file, address, 16), ENOTSOCK);
	CHECK_ERRNO(syscall(SYS_connect, path, address, 16), EBADF);
	CHECK_ERRNO(syscall(SYS_connect, fd, NULL, 16), EFAULT);
	CHECK_ERRNO(syscall(SYS_connect, fd, (void *)-16L, 128), EFAULT);
	CHECK_ERRNO(syscall(SYS_connect, fd, address, -1), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, fd, address, 129), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, fd, address, 0x7fffffff), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, fd, address, 1), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, fd, address, 4), EINVAL);
	CHECK_ERRNO(syscall(SYS_bind, fd, address, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, unix_fd, address, 16), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, unix_fd, address, 0), EINVAL);
	storage.ss_family = AF_UNIX;
	CHECK_ERRNO(syscall(SYS_connect, unix_fd, address, 2), EINVAL);
	CHECK_ERRNO(syscall(SYS_connect, unix_fd, address, 111), EINVAL);
	CHECK_ERRNO(syscall(SYS_bind, unix_fd, address, 128), EINVAL);
	CHECK(syscall(SYS_bind, unix_fd, address, 2) == 0); /* the kernel picks an abstract name */
	CHECK_ERRNO(syscall(SYS_personality, 0xffffffff), ENOSYS);
	return 0;
}

static void test_hostile_arguments(void **state)
{
	(void)state;
	run_client(hostile_arguments_client);
}

/* The program flips its socket between blocking and not while calls are made on it; others die in
 * the middle. The broker must stay there for everybody else. */
static void *flip_mode(void *argument)
{
	int fd = *(int *)argument;
	while (racing) {
		fcntl(fd, F_SETFL, 0);
		fcntl(fd, F_SETFL, O_NONBLOCK);
	}
	return NULL;
}

static int stall_client(void)
{
	CHECK(chdir(world.other) == 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "stall.sock"};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(listener, 0) == 0);
	CHECK(connect_to("stall.sock", SOCK_STREAM) >= 0);
	pid_t victim = fork();
	if (victim == 0) {
		pthread_t thread;
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		racing = true;
		pthread_create(&thread, NULL, flip_mode, &fd);
		for (;;)
			connect(fd, (struct sockaddr *)&address, sizeof(address));
	}
	for (int i = 0; i < 100; i++) {
		uint64_t start = clock_now_us();
		CHECK(mkdir("alive", 0755) == 0 && rmdir("alive") == 0);
		CHECK(clock_now_us() - start < 2000000);
		usleep(5000);
	}
	CHECK(kill(victim, SIGKILL) == 0 && waitpid(victim, NULL, 0) == victim);

	/* More waiting calls than there is room for: those beyond it are told so. */
	enum { WAITERS = 300 };
	pid_t waiters[WAITERS];
	for (int i = 0; i < WAITERS; i++) {
		waiters[i] = fork();
		if (waiters[i] == 0)
			_exit(connect_to("stall.sock", SOCK_STREAM) < 0 && errno == ENOBUFS);
	}
	CHECK(mkdir("alive", 0755) == 0);
	usleep(500000);
	int status, turned_away = 0;
	for (int i = 0; i < WAITERS; i++) {
		kill(waiters[i], SIGKILL);
		waitpid(waiters[i], &status, 0);
		turned_away += WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	CHECK(turned_away > 0 && turned_away < WAITERS);
	CHECK(mkdir("alive2", 0755) == 0);
	return 0;
}

static void test_stalls(void **state)
{
	(void)state;
	run_client(stall_client);
}

static int python_client(void)
{
	static char script[] =
		"import asyncio, os, tempfile\n"
		"async def serve(r, w):\n"
		"    w.write(await r.readline()); await w.drain(); w.close()\n"
		"async def talk(r, w):\n"
		"    w.write(b'hello\\n'); assert await r.readline() == b'hello\\n'; w.close()\n"
		"async def main():\n"
		"    s = await asyncio.start_server(serve, '127.0.0.1', 0)\n"
		"    port = s.sockets[0].getsockname()[1]\n"
		"    for i in range(9):\n"
		"        await talk(*await asyncio.open_connection('127.0.0.1', port))\n"
		"    path = os.path.join(tempfile.mkdtemp(dir='.'), 's')\n"
		"    await asyncio.start_unix_server(serve, path)\n"
		"    for i in range(20): await talk(*await asyncio.open_unix_connection(path))\n"
		"asyncio.run(main())\n";
	CHECK(chdir(world.other) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/usr/bin/python3", "python3", "-c", script, (char *)NULL);
		_exit(127);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0);
	return 0;
}

static void test_python(void **state)
{
	(void)state;
	if (access("/usr/bin/python3", X_OK) < 0)
		skip();
	run_client(python_client);
}

/* --- The landlock tier --- */

static void make_file(const char *directory, const char *name, char *path, size_t room_bytes)
{
	snprintf(path, room_bytes, "%s/%s", directory, name);
	cleanup_close int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && write(fd, "content", 7) == 7);
	own(path);
}

static char *make_directory(const char *parent, const char *name)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", parent, name) > 0);
	assert_int_equal(mkdir(path, 0755), 0);
	own(path);
	return path;
}

/* root is opened: .git in it is a carve-out, src is granted; so are vendor and vendor/sub, which
 * hold nothing else than a carve-out. other is granted as a whole. */
static int set_up_landlock(void **state)
{
	int r = set_up(state);
	size_t n = 0;
	world.landlock = true;
	world.test = getpid();
	world.plan.tier = TIER_LANDLOCK;
	world.plan.facts.landlock_abi = landlock_abi();
	char *git = make_directory(world.root, ".git");
	char *src = make_directory(world.root, "src");
	char *vendor = make_directory(world.root, "vendor");
	char *sub = make_directory(vendor, "sub");
	char path[96];
	free(make_directory(sub, ".git"));
	make_file(git, "config", world.secret, sizeof(world.secret));
	make_file(world.top, "outside", path, sizeof(path));
	/* In the opened root the host's socket cannot be linked; under a grant it can. */
	snprintf(path, sizeof(path), "%s/host.sock", world.other);
	assert_int_equal(link(world.host_socket, path), 0);
	free(git);
	static char slash[] = "/", usr[] = "/usr", null[] = "/dev/null", ptmx[] = "/dev/ptmx",
		    proc[] = "/proc";
	world.grants[n++] = (struct plan_grant){slash, PLAN_RIGHTS_LIST};
	world.grants[n++] = (struct plan_grant){usr, PLAN_RIGHTS_READ};
	world.grants[n++] = (struct plan_grant){proc, PLAN_RIGHTS_READ};
	world.grants[n++] = (struct plan_grant){null, PLAN_RIGHTS_DEVICE};
	world.grants[n++] = (struct plan_grant){world.root, PLAN_RIGHTS_READ};
	world.grants[n++] = (struct plan_grant){src, PLAN_RIGHTS_WRITE};
	world.grants[n++] = (struct plan_grant){vendor, PLAN_RIGHTS_LIST};
	world.grants[n++] = (struct plan_grant){sub, PLAN_RIGHTS_LIST};
	world.grants[n++] = (struct plan_grant){world.other, PLAN_RIGHTS_WRITE};
	world.grants[n++] = (struct plan_grant){ptmx, PLAN_RIGHTS_DEVICE};
	world.plan.grants = world.grants;
	world.plan.grants_count = n;
	world.write_roots[0] = world.root;
	world.write_roots[1] = world.other;
	world.plan.write_roots = (struct strv){.items = world.write_roots, .count = 2};
	return r;
}

static int tear_down_landlock(void **state)
{
	for (size_t i = 5; i < 8; i++)
		free(world.grants[i].path);
	return tear_down(state);
}

static void skip_without_landlock(void)
{
	if (landlock_abi() < 2) {
		print_message("this kernel has no Landlock with ABI 2\n");
		skip();
	}
}

static bool write_file(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool holds(const char *path, const char *text)
{
	char got[64] = "";
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, got, sizeof(got) - 1) >= 0 && strcmp(got, text) == 0;
}

/* The allowed side: an opened root can be worked in as any other. */
static int landlock_work_client(void)
{
	struct stat st;
	CHECK(chdir(world.root) == 0);
	umask(0027);
	CHECK(mkdir("build", 0777) == 0);
	CHECK(stat("build", &st) == 0 && (st.st_mode & 0777) == 0750);
	CHECK(write_file("build/x", "one") && holds("build/x", "one"));
	CHECK(stat("build/x", &st) == 0 && (st.st_mode & 0777) == 0640);
	CHECK(write_file("top", "two") && holds("top", "two"));
	CHECK(write_file("src/y", "three") && holds("src/y", "three"));
	int fd = open("top", O_WRONLY | O_APPEND | O_CLOEXEC);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK)) == O_APPEND);
	CHECK(write(fd, "!", 1) == 1 && holds("top", "two!"));
	CHECK_ERRNO(open("top", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	CHECK_ERRNO(open("missing/x", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_ERRNO(open("build", O_WRONLY), EISDIR);
	CHECK_ERRNO(mkdir("build", 0777), EEXIST);
	CHECK_ERRNO(rmdir("build"), ENOTEMPTY);

	CHECK(symlink("build/x", "lnk") == 0 && write_file("lnk", "by link"));
	CHECK(holds("build/x", "by link"));
	CHECK(link("top", "build/hard") == 0 && rename("build/hard", "src/hard") == 0);
	CHECK(rename("src/hard", "back") == 0 && unlink("back") == 0);
	CHECK(mkfifo("fifo", 0600) == 0 && unlink("fifo") == 0);

	/* Granted by its inode: moved away it is still writable, and what takes its name is too. */
	CHECK(rename("src", "src2") == 0 && write_file("src2/z", "moved"));
	CHECK(mkdir("src", 0777) == 0 && write_file("src/new", "again") &&
		holds("src/new", "again"));
	CHECK(unlink("src/new") == 0 && rmdir("src") == 0);
	CHECK(unlink("build/x") == 0 && rmdir("build") == 0);
	CHECK(write_file("vendor/x", "beside") && write_file("vendor/sub/x", "beside"));
	CHECK(unlink("vendor/x") == 0 && unlink("vendor/sub/x") == 0);
	CHECK(chdir(world.other) == 0 && mkdir("d", 0777) == 0 && write_file("d/x", "other"));
	return 0;
}

static void test_landlock_work(void **state)
{
	(void)state;
	skip_without_landlock();
	run_client(landlock_work_client);
	assert_int_equal(denials_count(world.denials), 0);
}

static int landlock_walls_client(void)
{
	CHECK(chdir(world.root) == 0);
	CHECK_ERRNO(open(".git/config", O_WRONLY), EACCES);
	CHECK_ERRNO(open(".git/new", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK_ERRNO(open(".git/config", O_RDONLY | O_TRUNC), EACCES);
	CHECK_ERRNO(mkdir(".git/hooks", 0755), EACCES);
	CHECK_ERRNO(unlink(".git/config"), EACCES);
	CHECK_ERRNO(rename(".git", "gone"), EACCES);
	CHECK_ERRNO(rename(".git/config", "config"), EACCES);
	CHECK(link(".git/config", "config") == -1 && (errno == EACCES || errno == EXDEV));
	CHECK_ERRNO(rmdir(".git"), EACCES);
	CHECK_ERRNO(mkdir("vendor/sub/.git/hooks", 0755), EACCES);
	CHECK_ERRNO(rename("vendor/sub", "vendor/sub2"), EACCES);
	CHECK_ERRNO(rename("vendor", "vendor2"), EACCES);
	CHECK_ERRNO(mkdir(".codex", 0755), EACCES);
	CHECK_ERRNO(open(".envrc", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK_ERRNO(symlink("src", ".vscode"), EACCES);
	CHECK(mkdir("made", 0755) == 0);
	CHECK_ERRNO(rename("made", ".GIT"), EACCES);
	CHECK(mkdir(".git", 0755) == -1 && errno == EEXIST);

	/* Ways out of the root, all to the same file. */
	CHECK_ERRNO(open("../outside", O_WRONLY), EACCES);
	CHECK_ERRNO(open("made/../../outside", O_WRONLY), EACCES);
	CHECK_ERRNO(open("../outside2", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK(symlink("../../outside", "made/lnk") == 0);
	CHECK_ERRNO(open("made/lnk", O_WRONLY), EACCES);
	CHECK_ERRNO(rename("made/lnk", "../outside"), EACCES);
	CHECK_ERRNO(mkdir("../dir", 0755), EACCES);
	CHECK(symlink("../.git", "made/git") == 0);
	CHECK_ERRNO(open("made/git/config", O_WRONLY), EACCES);
	CHECK_ERRNO(open("made/git/hook", O_CREAT | O_WRONLY, 0700), EACCES);
	CHECK_ERRNO(open("made", O_TMPFILE | O_RDWR, 0600), EOPNOTSUPP);
	return 0;
}

static void test_landlock_walls(void **state)
{
	(void)state;
	skip_without_landlock();
	run_client(landlock_walls_client);
	assert_true(count_denials("P2", NULL) >= 6);
}

static int attributes_client(void)
{
	struct stat st;
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	CHECK(chdir(world.root) == 0);
	CHECK(write_file("own", "text"));
	CHECK(chmod("own", 0600) == 0 && stat("own", &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(utimensat(AT_FDCWD, "own", times, 0) == 0);
	CHECK(stat("own", &st) == 0 && st.st_mtime == 2000);
	CHECK(chown("own", (uid_t)-1, getegid()) == 0 && truncate("own", 2) == 0 &&
		holds("own", "te"));
	CHECK(symlink("own", "lnk") == 0 &&
		utimensat(AT_FDCWD, "lnk", times, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(lstat("lnk", &st) == 0 && st.st_mtime == 2000);
	if (setxattr("own", "user.test", "value", 5, 0) == 0) {
		char value[8];
		CHECK(getxattr("own", "user.test", value, sizeof(value)) == 5);
		CHECK(removexattr("own", "user.test") == 0);
	} else {
		CHECK(errno == EOPNOTSUPP);
	}
	int pipe_fds[2], memory = memfd_create("m", 0);
	CHECK(pipe(pipe_fds) == 0 && fchmod(pipe_fds[0], 0600) == 0 && fchmod(memory, 0600) == 0);
	int own_fd = open("own", O_RDONLY);
	CHECK(fchmod(own_fd, 0644) == 0 && futimens(own_fd, NULL) == 0);

	int fd = open(".git/config", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_ERRNO(fchmod(fd, 0777), EPERM);
	CHECK_ERRNO(fchown(fd, (uid_t)-1, getegid()), EPERM);
	CHECK_ERRNO(futimens(fd, NULL), EPERM);
	CHECK_ERRNO(fsetxattr(fd, "user.test", "v", 1, 0), EPERM);
	CHECK_ERRNO(chmod(".git/config", 0777), EPERM);
	CHECK_ERRNO(chmod(".git", 0777), EPERM);
	CHECK_ERRNO(truncate(".git/config", 0), EPERM);
	CHECK(symlink(".git/config", "way") == 0);
	CHECK_ERRNO(chmod("way", 0777), EPERM);
	CHECK_ERRNO(chmod("../outside", 0777), EPERM);
	CHECK_ERRNO(chmod("/proc/self/cwd/.git/config", 0777), EPERM);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_ERRNO(chmod(path, 0777), EPERM);
	CHECK_ERRNO(truncate(path, 0), EPERM);
	CHECK_ERRNO(chmod("missing", 0777), ENOENT);
	CHECK_ERRNO(syscall(SYS_fchmod, -1, 0777), EBADF);
	CHECK_ERRNO(syscall(SYS_fchmodat, AT_FDCWD, NULL, 0777), EFAULT);
	CHECK_ERRNO(syscall(SYS_setxattr, "own", "user.x", NULL, (size_t)-1, 0), E2BIG);

	/* A terminal's other side is handed out, and of masters only. */
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(slave >= 0 && isatty(slave) && fcntl(slave, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(slave, F_GETFL) & O_ACCMODE) == O_RDWR);
	CHECK(write(slave, "x", 1) == 1 && read(master, path, 1) == 1 && path[0] == 'x');
	CHECK_ERRNO(ioctl(slave, TIOCGPTPEER, O_RDWR), EIO);
	CHECK_ERRNO(ioctl(own_fd, TIOCGPTPEER, O_RDWR), ENOTTY);
	CHECK_ERRNO(ioctl(-1, TIOCGPTPEER, O_RDWR), EBADF);
	int flags = FS_NODUMP_FL;
	CHECK_ERRNO(ioctl(own_fd, FS_IOC_SETFLAGS, &flags), EPERM);
	return 0;
}

static void test_attributes(void **state)
{
	(void)state;
	skip_without_landlock();
	run_client(attributes_client);
	struct stat st;
	assert_int_equal(stat(world.secret, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_size, 7);
	assert_true(count_denials("P1", NULL) >= 12);
}

static int signals_client(void)
{
	int status, pipe_fds[2];
	CHECK(pipe(pipe_fds) == 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(60); /* should a check below fail, it is not left behind */
		setpgid(0, 0);
		if (write(pipe_fds[1], "r", 1) == 1)
			for (;;)
				pause();
	}
	char byte;
	CHECK(read(pipe_fds[0], &byte, 1) == 1);
	CHECK(kill(child, 0) == 0 && kill(getpid(), 0) == 0 && raise(SIGCHLD) == 0);
	CHECK(syscall(SYS_tgkill, child, child, 0) == 0 && syscall(SYS_tkill, child, 0) == 0);
	CHECK(kill(-child, 0) == 0 && kill(-1, 0) == 0);
	struct rlimit limit = {.rlim_cur = 50, .rlim_max = 60}, old = {0};
	CHECK(prlimit(child, RLIMIT_NOFILE, &limit, NULL) == 0);
	CHECK(prlimit(child, RLIMIT_NOFILE, NULL, &old) == 0 && old.rlim_cur == 50);
	CHECK(setpriority(PRIO_PROCESS, (id_t)child, 5) == 0);
	cpu_set_t set;
	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	CHECK(sched_setaffinity(child, sizeof(set), &set) == 0);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);

	pid_t strangers[] = {world.test, getppid() /* init */, 1};
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++) {
		CHECK_ERRNO(kill(strangers[i], 0), EPERM);
		CHECK_ERRNO(syscall(SYS_tgkill, strangers[i], strangers[i], SIGTERM), EPERM);
		CHECK_ERRNO(prlimit(strangers[i], RLIMIT_NOFILE, &limit, NULL), EPERM);
		CHECK_ERRNO(setpriority(PRIO_PROCESS, (id_t)strangers[i], 5), EPERM);
		CHECK_ERRNO(sched_setaffinity(strangers[i], sizeof(set), &set), EPERM);
		int pidfd = sys_pidfd_open(strangers[i], 0);
		CHECK(pidfd >= 0);
		CHECK_ERRNO(sys_pidfd_send_signal(pidfd, SIGTERM), EPERM);
	}
	CHECK_ERRNO(kill(-getpgid(world.test), SIGTERM), EPERM);
	CHECK_ERRNO(setpriority(PRIO_USER, 0, 5), EPERM);
	CHECK_ERRNO(kill(0x7ffffff, 0), ESRCH);

	/* Everybody in the box, and nobody else: the child dies, the caller and the test live. */
	CHECK(kill(-1, SIGKILL) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));

	/* Its parent has gone: init has it, and it is still one of the box. */
	pid_t between = fork();
	if (between == 0) {
		pid_t orphan = fork();
		if (orphan == 0) {
			alarm(60);
			for (;;)
				pause();
		}
		_exit(write(pipe_fds[1], &orphan, sizeof(orphan)) != sizeof(orphan));
	}
	pid_t orphan;
	CHECK(read(pipe_fds[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	CHECK(waitpid(between, NULL, 0) == between);
	int pidfd = sys_pidfd_open(orphan, 0);
	CHECK(pidfd >= 0 && sys_pidfd_send_signal(pidfd, SIGKILL) == 0);
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	skip_without_landlock();
	run_client(signals_client);
	assert_true(count_denials("P5", NULL) >= 18);
}

static int landlock_sockets_client(void)
{
	CHECK(chdir(world.root) == 0);
	int listener = bind_listener("own.sock", SOCK_STREAM);
	CHECK(listener >= 0);
	cleanup_close int client = connect_to("own.sock", SOCK_STREAM);
	CHECK(client >= 0);
	int line = exchange(listener, client);
	if (line)
		return line;
	CHECK_ERRNO(bind_listener("../sock", SOCK_STREAM), EACCES);
	CHECK_ERRNO(bind_listener(".git/sock", SOCK_STREAM), EACCES);
	CHECK_ERRNO(bind_listener(".vscode", SOCK_STREAM), EACCES);
	CHECK_ERRNO(connect_to(world.host_socket, SOCK_STREAM), EACCES);
	struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0coffer-test"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_ERRNO(bind(fd, (struct sockaddr *)&abstract, 15), EACCES);
	CHECK_ERRNO(connect(fd, (struct sockaddr *)&abstract, 15), EACCES);
	CHECK_ERRNO(bind(fd, (struct sockaddr *)&abstract, 2), EACCES);
	struct sockaddr_in address = loopback(9);
	int inet = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERRNO(connect(inet, (struct sockaddr *)&address, sizeof(address)), EACCES);
	CHECK_ERRNO(bind(inet, (struct sockaddr *)&address, sizeof(address)), EACCES);
	return 0;
}

static void test_landlock_sockets(void **state)
{
	(void)state;
	skip_without_landlock();
	run_client(landlock_sockets_client);
	assert_true(count_denials("P3", NULL) >= 5);
}

static void test_landlock_socket_race(void **state)
{
	(void)state;
	skip_without_landlock();
	run_client(socket_race_client);
	struct pollfd fd = {.fd = world.host_listener, .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 0), 0);
}

/* --- Latency --- */

static int latency_client(void)
{
	enum { ROUNDS = 20000 };
	CHECK(chdir(world.other) == 0);
	CHECK(mkdir("d", 0755) == 0);
	for (int pass = 0; pass < 2; pass++) {
		uint64_t start = clock_now_us();
		for (int i = 0; i < ROUNDS; i++)
			mkdir("d", 0755); /* EEXIST: the kernel's part is small and constant */
		world.shared->latency_us[pass] = (double)(clock_now_us() - start) / ROUNDS;
	}
	return 0;
}

static void test_latency(void **state)
{
	(void)state;
	run_client(latency_client);
	uint64_t start = clock_now_us();
	for (int i = 0; i < 20000; i++)
		mkdir(world.root, 0755);
	double bare_us = (double)(clock_now_us() - start) / 20000;
	print_message("mkdir: bare %.2f us, let through %.2f us, added %.2f us\n", bare_us,
		world.shared->latency_us[1], world.shared->latency_us[1] - bare_us);
}

#define LANDLOCK(test) cmocka_unit_test_setup_teardown(test, set_up_landlock, tear_down_landlock)
#define LIVE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "undumpable") == 0)
		return undumpable_main();
	const struct CMUnitTest latency[] = {LIVE(test_latency)};
	if (argc == 2 && strcmp(argv[1], "latency") == 0)
		return cmocka_run_group_tests(latency, NULL, NULL);
	const struct CMUnitTest tests[] = {
		LIVE(test_names),
		LIVE(test_existing_names),
		LIVE(test_memory),
		LIVE(test_undumpable),
		LIVE(test_string_race),
		LIVE(test_unix_sockets),
		LIVE(test_unix_backlog),
		LIVE(test_host_sockets),
		LIVE(test_socket_race),
		LIVE(test_many_sockets),
		LIVE(test_tcp),
		LIVE(test_udp),
		LIVE(test_inherited_socket),
		LIVE(test_hostile_arguments),
		LIVE(test_stalls),
		LIVE(test_python),
		LANDLOCK(test_landlock_work),
		LANDLOCK(test_landlock_walls),
		LANDLOCK(test_attributes),
		LANDLOCK(test_signals),
		LANDLOCK(test_landlock_sockets),
		LANDLOCK(test_landlock_socket_race),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
