/* The broker: answers the notifications of one box, and makes calls on a program's behalf.
 *
 * Theory of operation. The box has one seccomp filter with one listener, and from the moment it is
 * started only the broker reads it. It lives where it can see as the box sees, and can do no more
 * than the box's owner could: inside the box's user, mount and network namespaces, with the
 * owner's ids, no_new_privs, undumpable, dead with its parent. It stays outside the box's PID
 * namespace: nobody in the box can name it, and thread ids of notifications are those of the
 * host's /proc, which it holds as a directory descriptor.
 *
 * Two capabilities are kept, and only over the box's own user namespace: CAP_SYS_PTRACE, since a
 * program that made itself undumpable (gpg-agent) or a host with Yama would otherwise keep its
 * path arguments to itself; and CAP_NET_ADMIN, off but for the instant in which the file that a
 * unix socket was bound to is asked for.
 *
 * In the landlock tier, which has no such namespace, there are none. There the broker is init's
 * parent, so that every process of the box descends from it: where Yama's ptrace_scope is 1, that
 * is who may read a program. It sleeps, with nothing open but a socket to the supervisor, until
 * that hands it the listener.
 *
 * An answer is one of three. Refuse: final. Let the kernel run the call (CONTINUE): only where
 * another wall holds if the program swaps the arguments meanwhile. Make the call here, on copies
 * and on descriptors that nobody else can redirect: everything else.
 *
 * Whatever comes from the box is hostile. Strings and addresses are copied once, with bounds;
 * every table has its maximum; a call on a program's own descriptor, whose O_NONBLOCK the program
 * can flip at any time, is interrupted by a timer. A connect() that has to wait is parked in a
 * table and the loop goes on.
 *
 * While nothing is parked the loop sleeps in SECCOMP_IOCTL_NOTIF_RECV itself rather than poll(),
 * with both ends woken on the same CPU where the kernel can (6.6): the everyday mkdir costs two
 * ioctls and one copy. */
#include "run/broker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"
#include "confine/seccomp_table.h"
#include "run/broker_internal.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* 5.14 */
#endif

bool broker_valid(const struct broker *broker, uint64_t id)
{
	return ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* That the program has died in between is no error: nobody waits for the answer. */
void broker_answer(const struct broker *broker, uint64_t id, int result)
{
	struct seccomp_notif_resp response = {.id = id};
	if (result == VERDICT_CONTINUE)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		response.error = result;
	ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void broker_answer_value(const struct broker *broker, uint64_t id, int64_t value)
{
	struct seccomp_notif_resp response = {.id = id, .val = value};
	ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void broker_record_at(const struct broker *broker, const struct request *request,
	const char *promise, const char *target, const char *resolved, int errno_value,
	const char *reason)
{
	struct denial denial = {.pid = request->tid,
		.errno_value = errno_value,
		.time_ms = denials_now_ms(),
		.count = 1};
	client_program(broker, request, denial.program);
	snprintf(denial.call, sizeof(denial.call), "%s", request->name);
	snprintf(denial.promise, sizeof(denial.promise), "%s", promise);
	snprintf(denial.target, sizeof(denial.target), "%s", target);
	snprintf(denial.resolved, sizeof(denial.resolved), "%s", resolved);
	snprintf(denial.reason, sizeof(denial.reason), "%s", reason);
	denials_add_whole(broker->denials, &denial);
}

void broker_record(const struct broker *broker, const struct request *request, const char *promise,
	const char *target, int errno_value, const char *reason)
{
	broker_record_at(broker, request, promise, target, "", errno_value, reason);
}

static void set_guard(suseconds_t interval_us)
{
	const struct itimerval timer = {
		.it_interval.tv_usec = interval_us, .it_value.tv_usec = interval_us};
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* The timer repeats: a first alarm may come just before the call that it is meant for. */
void broker_guard_begin(void)
{
	set_guard(BROKER_STALL_US);
}

void broker_guard_end(void)
{
	set_guard(0);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Leaves permitted what is in keep, and nothing effective but what is also in on. */
static int set_capabilities(uint32_t keep, uint32_t on)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = keep & on, .permitted = keep}};
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

enum {
	KEPT_CAPABILITIES = 1 << CAP_SYS_PTRACE | 1 << CAP_NET_ADMIN,
	RESTING_CAPABILITIES = 1 << CAP_SYS_PTRACE,
};

int broker_raise(int capability, bool on)
{
	return set_capabilities(
		KEPT_CAPABILITIES, RESTING_CAPABILITIES | (on ? 1U << capability : 0));
}

/* --- The way into the box --- */

/* What a library prints in distress must not reach a descriptor that happens to be 2. */
static int silence_stdio(void)
{
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -errno;
	if (null < 3)
		null = -1;
	return 0;
}

/* A session of its own keeps ^C and ^Z of the caller's terminal away. */
static int reset_process(struct broker *broker, struct error *error)
{
	setsid();
	for (int i = 1; i < NSIG; i++)
		/* There they tell of init's end and of the keeper's. */
		if (!broker->landlock || (i != SIGCHLD && i != SIGTERM))
			signal(i, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	const struct sigaction alarm = {.sa_handler = on_alarm}; /* without SA_RESTART */
	sigaction(SIGALRM, &alarm, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(0);

	broker->self = getpid();
	broker->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (broker->proc < 0)
		return error_set_errno(error, errno, "broker", "/proc");
	int r = silence_stdio();
	return r < 0 ? error_set_errno(error, -r, "broker", "standard descriptors") : 0;
}

static int network_cookie(uint64_t *ret)
{
	cleanup_close int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*ret);
	if (socket_fd < 0 || getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &length) < 0)
		return -errno;
	return 0;
}

static bool same_namespace(int fd, const char *own)
{
	struct stat theirs, ours;
	return fstat(fd, &theirs) == 0 && stat(own, &ours) == 0 && theirs.st_dev == ours.st_dev &&
	       theirs.st_ino == ours.st_ino;
}

static int open_namespace(
	const struct broker *broker, const struct broker_options *options, size_t index)
{
	static const char *const names[BROKER_NAMESPACES] = {"user", "mnt", "net"};
	if (options->namespaces)
		return fcntl(options->namespaces[index], F_DUPFD_CLOEXEC, 3);
	char path[32];
	snprintf(path, sizeof(path), "%d/ns/%s", options->init, names[index]);
	return openat(broker->proc, path, O_RDONLY | O_CLOEXEC);
}

static int join_box(
	struct broker *broker, const struct broker_options *options, struct error *error)
{
	static const int types[BROKER_NAMESPACES] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET};
	int fds[BROKER_NAMESPACES];
	bool shared_network = options->namespaces && options->namespaces[2] < 0;
	for (size_t i = 0; i < BROKER_NAMESPACES; i++) {
		fds[i] = i == 2 && shared_network ? -1 : open_namespace(broker, options, i);
		if (fds[i] < 0 && !(i == 2 && shared_network))
			return error_set_errno(
				error, errno, "broker", "opening the box's namespaces");
	}
	broker->own_network = !shared_network && !same_namespace(fds[2], "/proc/self/ns/net");
	for (size_t i = 0; i < BROKER_NAMESPACES; i++) {
		if (i == 2 && !broker->own_network)
			continue;
		if (setns(fds[i], types[i]) < 0)
			return error_set_errno(
				error, errno, "broker", "joining the box's namespaces");
	}
	/* Without the cookie every socket counts as one of the host's. */
	if (broker->own_network && network_cookie(&broker->network_cookie) < 0)
		broker->own_network = false;
	return 0;
}

static int take_owner_ids(const struct broker *broker, struct error *error)
{
	const struct plan *plan = broker->plan;
	uid_t uid = broker->landlock ? plan->owner_uid : plan->uid_inside;
	gid_t gid = broker->landlock ? plan->owner_gid : plan->gid_inside;
	bool may_set_groups = broker->landlock ? geteuid() == 0 : plan->facts.root;
	prctl(PR_SET_KEEPCAPS, 1);
	if (may_set_groups && setgroups(0, NULL) < 0)
		return error_set_errno(error, errno, "broker", "dropping supplementary groups");
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_set_errno(error, errno, "broker", "taking the owner's ids");
	return 0;
}

static int drop_privilege(const struct broker *broker, struct error *error)
{
	/* Dropping from the bounding set takes CAP_SETPCAP: as an ordinary user of the landlock
	 * tier there is none, and nothing that the set could let in, with no_new_privs. */
	for (int capability = 0; capability < 64; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	int r = broker->landlock ? set_capabilities(0, 0)
				 : set_capabilities(KEPT_CAPABILITIES, RESTING_CAPABILITIES);
	if (r < 0)
		return error_set_errno(error, -r, "broker", "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "broker", "no_new_privs");
	return 0;
}

/* Comes after the ids: taking others forgets the parent-death signal. */
static int die_with_parent(bool scoped, pid_t parent, struct error *error)
{
	int signal = scoped ? SIGTERM : SIGKILL;
	if (prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "broker", "parent-death signal");
	if (getppid() != parent)
		raise(signal);
	return 0;
}

static int raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	const struct rlimit no_core = {0, 0};
	return setrlimit(RLIMIT_CORE, &no_core) < 0 ? -errno : 0;
}

static void fill_calls(struct broker *broker, const struct broker_call *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		broker->calls[calls[i].nr] = &calls[i];
}

static int enter(struct broker *broker, const struct broker_options *options, pid_t parent,
	int report, struct error *error)
{
	int r = reset_process(broker, error);
	if (r == 0 && !broker->landlock)
		r = join_box(broker, options, error);
	if (r == 0)
		r = take_owner_ids(broker, error);
	if (r == 0)
		r = drop_privilege(broker, error);
	if (r == 0)
		r = die_with_parent(broker->scoped, parent, error);
	if (r < 0)
		return r;

	int keep[] = {broker->listener, broker->proc, broker->egress, report};
	r = fd_close_all_but(keep, ARRAY_SIZE(keep));
	if (r == 0)
		r = raise_descriptor_limit();
	if (r < 0)
		return error_set_errno(error, -r, "broker", "descriptors");

	/* The working directory is where the broker's own descriptors have names: the kernel takes
	 * the address of a unix socket only as a path, and "12" there is a path that nobody else
	 * can redirect. */
	char path[32];
	snprintf(path, sizeof(path), "%d/fd", broker->self);
	broker->self_fds = openat(broker->proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (broker->self_fds < 0 || fchdir(broker->self_fds) < 0)
		return error_set_errno(error, errno, "broker", "/proc/%s", path);

	r = names_start(broker, error);
	if (r == 0 && broker->landlock)
		r = territory_start(broker, error);
	else if (r == 0)
		moves_start(broker);
	return r < 0 ? r : sockets_start(broker, error);
}

/* --- The loop --- */

static bool box_is_gone(const struct broker *broker)
{
	struct pollfd fd = {.fd = broker->listener, .events = POLLIN};
	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR | POLLNVAL)) &&
	       !(fd.revents & POLLIN);
}

/* What a refused call was about, from its registers alone: nothing depends on it. */
static void describe_arguments(const struct request *request, char *text, size_t room_bytes)
{
	size_t used = 0;
	text[0] = '\0';
	for (size_t i = 0; i < 4 && used < room_bytes; i++) {
		int n = snprintf(text + used, room_bytes - used, "%s%#llx", i ? ", " : "",
			(unsigned long long)request->args[i]);
		used += n > 0 ? (size_t)n : 0;
	}
}

static const char *promise_of(const struct request *request)
{
	switch (request->nr) {
	case SYS_socket:
	case SYS_socketpair:
	case SYS_connect:
	case SYS_bind:
	case SYS_listen:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return "P3";
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_pidfd_open:
	case SYS_pidfd_send_signal:
		return "P5";
	default:
		return "P7";
	}
}

static int refuse(
	struct broker *broker, struct request *request, const struct seccomp_verdict *verdict)
{
	char arguments[128], name[32];
	snprintf(name, sizeof(name), "syscall %d", request->nr);
	request->name = verdict->call ? verdict->call : name;
	describe_arguments(request, arguments, sizeof(arguments));
	int errno_value = verdict->action.errno_value ? verdict->action.errno_value : ENOSYS;
	broker_record(broker, request, promise_of(request), arguments, errno_value,
		verdict->reason ? verdict->reason : "no program in a box needs this call");
	return -errno_value;
}

/* Whether the tables leave these arguments to a handler. What they would allow outright has not
 * come from this filter, and is as good as any other call to the handler. */
static bool is_for_handler(const struct seccomp_action *action)
{
	return action->kind == SECCOMP_DO_ALLOW ||
	       (action->kind == SECCOMP_DO_NOTIFY && action->class != SECCOMP_NOTIFY_NONE &&
		       action->class != SECCOMP_NOTIFY_REFUSE);
}

static int decide(
	struct broker *broker, struct request *request, const struct seccomp_notif *notification)
{
	const struct broker_call *call = request->nr >= 0 && request->nr < BROKER_SYSCALLS
						 ? broker->calls[request->nr]
						 : NULL;
	if (call)
		request->name = call->name;
	/* A notification says that the filter did not decide alone, not what it would have had
	 * refused: the same call with other arguments (set-id bits) may be one of those. */
	const struct plan *plan = broker->plan;
	const struct seccomp_choice choice = {
		.profile = plan->profile->seccomp,
		.landlock_tier = broker->landlock,
		.egress = broker->landlock && network_is_open(&plan->network),
		.watch_names = plan->watch_names,
		.trace = broker->trace,
		.allow_userns = plan->allow_userns,
	};
	struct seccomp_verdict verdict;
	seccomp_decide(&choice, &notification->data, &verdict);
	bool only_told = verdict.action.kind == SECCOMP_DO_NOTIFY &&
			 verdict.action.class == SECCOMP_NOTIFY_TRACE;
	if (!only_told && !(call && is_for_handler(&verdict.action)))
		return refuse(broker, request, &verdict);
	if (!broker->trace)
		return call->serve(broker, request);
	struct traced traced = {0};
	tracing_begin(broker, request, &traced);
	int result = only_told ? VERDICT_CONTINUE : call->serve(broker, request);
	tracing_end(broker, request, &traced, result);
	return result;
}

static void serve(struct broker *broker, const struct seccomp_notif *notification)
{
	struct request request = {.id = notification->id,
		.tid = (pid_t)notification->pid,
		.nr = notification->data.nr};
	for (size_t i = 0; i < ARRAY_SIZE(request.args); i++)
		request.args[i] = notification->data.args[i];
	int result = decide(broker, &request, notification);
	if (result != VERDICT_LATER)
		broker_answer(broker, request.id, result);
}

/* Waits while something is parked, or where RECV must not be entered unless it returns at once.
 * Returns whether a notification can be received. */
static bool wait_for_work(struct broker *broker)
{
	struct pollfd fds[BROKER_PENDING_MAX + 2];
	fds[0] = (struct pollfd){.fd = broker->listener, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = broker->egress, .events = POLLIN};
	int timeout_ms = sockets_poll(broker, fds + 2);
	size_t parked = broker->pending_count;
	if (poll(fds, parked + 2, timeout_ms) < 0)
		return false;
	if (fds[1].revents)
		network_hear(broker);
	if (parked > 0)
		sockets_resume(broker, fds + 2);
	if (fds[0].revents && !(fds[0].revents & POLLIN))
		_exit(0); /* nobody is left under the filter */
	return fds[0].revents & POLLIN;
}

__attribute__((noreturn)) static void loop(struct broker *broker)
{
	/* Before 6.11 a RECV that sleeps does not notice that the box has ended; then the parent's
	 * SIGKILL ends it. Where there is no wake-up on the same CPU, poll() costs nothing more. */
	broker->poll_first = ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
				     SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0;
	for (;;) {
		if ((broker->pending_count > 0 || broker->poll_first) && !wait_for_work(broker))
			continue;
		struct seccomp_notif notification = {0};
		if (ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0)
			serve(broker, &notification);
		else if (errno == ENOENT && box_is_gone(broker))
			_exit(0);
		else if (errno != ENOENT && errno != EINTR)
			_exit(1);
	}
}

__attribute__((noreturn)) static void run(
	const struct broker_options *options, pid_t parent, int report)
{
	static struct broker broker; /* too large for a stack, and one to a process */
	broker.plan = options->plan;
	broker.denials = options->denials;
	broker.connects = options->connects;
	broker.continued = options->continued;
	broker.accesses = options->accesses;
	broker.trace = options->plan->witness == WITNESS_FULL;
	broker.landlock = options->plan->tier == TIER_LANDLOCK;
	broker.scoped = options->scoped;
	broker.init = options->init;
	broker.listener = options->listener;
	broker.egress =
		broker.landlock && network_is_open(&options->plan->network) ? options->egress : -1;
	fill_calls(&broker, broker_socket_calls, broker_socket_calls_count);
	if (broker.landlock) {
		fill_calls(&broker, broker_file_calls, broker_file_calls_count);
		fill_calls(&broker, broker_attribute_calls, broker_attribute_calls_count);
		fill_calls(&broker, broker_signal_calls, broker_signal_calls_count);
		fill_calls(&broker, broker_network_calls, broker_network_calls_count);
		fill_calls(&broker, broker_datagram_calls, broker_datagram_calls_count);
	} else {
		fill_calls(&broker, broker_name_calls, broker_name_calls_count);
	}

	struct error error = {0};
	int r = enter(&broker, options, parent, report, &error);
	fd_write_full(report, &error, sizeof(error));
	close(report);
	if (r < 0)
		_exit(1);
	loop(&broker);
}

pid_t broker_start(const struct broker_options *options, struct error *error)
{
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "broker", "pipe");
	cleanup_close int read_end = pipe_fds[0];
	cleanup_close int write_end = pipe_fds[1];
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return error_set_errno(error, errno, "broker", "fork");
	if (pid == 0)
		run(options, parent, write_end);
	close_fd(&write_end);

	struct error report;
	ssize_t n = fd_read_full(read_end, &report, sizeof(report));
	if (n == sizeof(report) && report.errno_value == 0)
		return pid;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (n != sizeof(report))
		return error_set(error, EPIPE, "broker", "the broker died while it started");
	if (error)
		*error = report;
	return -report.errno_value;
}

/* --- The landlock tier: above init --- */

/* Init is the only child, and the box ends with it, whatever is being done at that moment. */
static void on_init_end(int signal)
{
	(void)signal;
	_exit(0);
}

/* The keeper has been killed. Where no signal leaves the box this one ends all of it at once; what
 * would be left to the supervisor could outrun it. */
static void on_keeper_end(int signal)
{
	(void)signal;
	kill(-1, SIGKILL);
	_exit(1);
}

/* SIGCHLD is blocked until here: it is not lost if init has ended already. */
static int end_with_init_or_keeper(const struct broker_options *options, pid_t keeper)
{
	const struct sigaction init = {.sa_handler = on_init_end, .sa_flags = SA_NOCLDSTOP};
	const struct sigaction above = {.sa_handler = options->scoped ? on_keeper_end : SIG_DFL};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	if (sigaction(SIGCHLD, &init, NULL) < 0 || sigaction(SIGTERM, &above, NULL) < 0 ||
		sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
		return -errno;
	struct error error;
	return die_with_parent(options->scoped, keeper, &error);
}

/* Of what was inherited, the ends of the caller's pipes above all, nothing is to stay open. */
__attribute__((noreturn)) static void stand_by(
	struct broker_options *options, pid_t parent, int supervisor)
{
	int keep[] = {supervisor, options->egress};
	if (end_with_init_or_keeper(options, parent) < 0 ||
		fd_close_all_but(keep, ARRAY_SIZE(keep)) < 0 || silence_stdio() < 0 ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		_exit(1);
	char word;
	size_t count = 1;
	ssize_t n = fd_receive(supervisor, &word, sizeof(word), &options->listener, &count);
	if (n != (ssize_t)sizeof(word) || count != 1)
		_exit(1);
	run(options, parent, supervisor);
}

void broker_fork(const struct broker_options *options, int supervisor, int cgroup_fd)
{
	pid_t parent = getppid();
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_fd >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		_exit(1);
	struct broker_options own = *options;
	own.init = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (own.init < 0)
		_exit(1);
	if (own.init > 0)
		stand_by(&own, parent, supervisor);
}

int broker_wake(int broker, int listener, struct error *error)
{
	struct error report;
	if (fd_send(broker, "l", 1, &listener, 1) < 0 ||
		fd_read_full(broker, &report, sizeof(report)) != sizeof(report))
		return 1;
	if (report.errno_value && error)
		*error = report;
	return -report.errno_value;
}
