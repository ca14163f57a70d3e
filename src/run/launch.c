/* Theory of operation. launch() runs in the supervisor, outside; build_box() in the child, inside,
 * and reads as the list of docs/ARCHITECTURE.md: ids, mounts, what the namespaces need, then
 * everything that is given up, the filter last. A step that fails is reported with its name, and
 * the child is gone: nothing runs half confined. */
#include "run/launch.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "base/witness_ring.h"
#include "confine/caps.h"
#include "confine/id_range.h"
#include "confine/landlock.h"
#include "confine/mounts.h"
#include "confine/namespaces.h"
#include "confine/network.h"
#include "confine/rlimits.h"
#include "confine/seccomp.h"
#include "run/init.h"
#include "run/keeper.h"
#include "run/protocol.h"
#include "run/tmpdir.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

/* What the child knows beside the options. */
struct inside {
	const struct launch_options *options;
	const struct plan *plan;
	uint64_t user_processes;
	int stdio[3];
	int master, slave;
	int *trees; /* of the plan's mounts, then the root's, then the stacks' */
	int root_tree;
	int namespaces[BROKER_NAMESPACES];
	unsigned fallbacks;
};

/* Init speaks on CONTROL_FD; whatever else has that number moves away. */
static int take_control_fd(struct inside *inside, int control, struct error *error)
{
	for (int i = 0; i < 3; i++) {
		if (inside->stdio[i] != CONTROL_FD)
			continue;
		inside->stdio[i] = fcntl(CONTROL_FD, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
		if (inside->stdio[i] < 0)
			return error_set_errno(error, errno, "descriptors", "moving one");
	}
	if (control != CONTROL_FD && dup3(control, CONTROL_FD, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "descriptors", "the control socket");
	/* A copy of one end of the caller's pipes, held here, would keep it from ever being
	 * seen. */
	int keep[] = {CONTROL_FD, inside->stdio[0], inside->stdio[1], inside->stdio[2]};
	int r = fd_close_all_but(keep, ARRAY_SIZE(keep));
	return r < 0 ? error_set_errno(error, -r, "descriptors", "closing the rest") : 0;
}

/* Waits for the supervisor to map the ids, and takes the trees that only it could prepare. */
static int receive_trees(struct inside *inside, struct error *error)
{
	for (;;) {
		struct message message;
		int fds[FD_PASS_MAX];
		size_t count = FD_PASS_MAX;
		ssize_t n = fd_receive(CONTROL_FD, &message, sizeof(message), fds, &count);
		if (n != (ssize_t)sizeof(message) || message.kind != MESSAGE_TREES)
			return error_set(error, EPIPE, "id maps", "the supervisor did not answer");
		for (size_t i = 0; i < count; i++) {
			size_t index = message.index + i;
			if (index == inside->plan->mounts_count)
				inside->root_tree = fds[i];
			else
				inside->trees[index] = fds[i];
		}
		if (message.value)
			return 0;
	}
}

static int settle_ids(struct inside *inside, struct error *error)
{
	if (!inside->plan->facts.root)
		return namespaces_map_self(inside->plan, error);
	int r = receive_trees(inside, error);
	return r < 0 ? r : namespaces_take_ids(inside->plan, error);
}

/* For the broker, which joins them later: once init is not dumpable nobody but root could open
 * them, and once the root has changed, /proc is another. */
static int open_namespaces(struct inside *inside, struct error *error)
{
	static const char *const paths[BROKER_NAMESPACES] = {
		"/proc/self/ns/user", "/proc/self/ns/mnt", "/proc/self/ns/net"};
	for (int i = 0; i < BROKER_NAMESPACES; i++) {
		inside->namespaces[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (inside->namespaces[i] < 0)
			return error_set_errno(error, errno, "namespaces", "%s", paths[i]);
	}
	return 0;
}

static int build_root(struct inside *inside, struct error *error)
{
	struct mounts_sources sources = {.root_tree = inside->root_tree,
		.trees = inside->trees,
		.stack_trees = inside->trees + inside->plan->mounts_count + 1,
		.stacks = inside->options->stacks};
	return mounts_build(inside->plan, &sources, &inside->fallbacks, error);
}

/* The way out, where there is to be one: the wall and the doors in it, whose inner sides go to
 * egress. That has made itself ready meanwhile; if it cannot, this is where the launch ends. */
static int open_network(const struct plan *plan, struct error *error)
{
	if (!network_is_open(&plan->network))
		return 0;
	struct network_sockets sockets;
	int r = network_open(&plan->network, plan->net_ask != NULL, &sockets, error);
	if (r < 0)
		return r;
	for (size_t done = 0; r == 0 && done < sockets.count;) {
		struct message message = {.kind = MESSAGE_SOCKETS};
		size_t left = sockets.count - done, some = left < FD_PASS_MAX ? left : FD_PASS_MAX;
		memcpy(message.kinds, sockets.kinds + done, some);
		message.value = some == left;
		r = fd_send(CONTROL_FD, &message, sizeof(message), sockets.fds + done, some);
		done += some;
	}
	network_sockets_release(&sockets);
	struct message answer;
	size_t no_fds = 0;
	if (r == 0 && (fd_receive(CONTROL_FD, &answer, sizeof(answer), NULL, &no_fds) !=
				      (ssize_t)sizeof(answer) ||
			      answer.kind != MESSAGE_ATTENDED))
		r = -EPIPE;
	return r < 0 ? error_set_errno(error, -r, "network", "the supervisor is gone") : 0;
}

/* A terminal of the box's own, from the box's own /dev/pts, so that ttyname() finds it there. */
static int open_terminal(struct inside *inside, struct error *error)
{
	if (!inside->options->terminal)
		return 0;
	inside->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int unlock = 0;
	if (inside->master < 0 || ioctl(inside->master, TIOCSPTLCK, &unlock) < 0)
		return error_set_errno(error, errno, "terminal", "/dev/ptmx");
	inside->slave = ioctl(inside->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (inside->slave < 0)
		return error_set_errno(error, errno, "terminal", "its slave side");
	/* As the caller's is now, and before the command could set it otherwise. Descriptors 0 to 2
	 * are still the caller's. */
	for (int i = 0; i < 3; i++) {
		struct termios settings;
		struct winsize size;
		if (tcgetattr(i, &settings) < 0)
			continue;
		tcsetattr(inside->slave, TCSANOW, &settings);
		if (ioctl(i, TIOCGWINSZ, &size) == 0)
			ioctl(inside->slave, TIOCSWINSZ, &size);
		break;
	}
	/* Init leads the session; it would be stopped for handing the terminal on. */
	signal(SIGTTOU, SIG_IGN);
	if (setsid() < 0 || ioctl(inside->slave, TIOCSCTTY, 0) < 0)
		return error_set_errno(error, errno, "terminal", "a session of its own");
	return 0;
}

/* As root in a tier without user namespaces: the command is the workspace's owner. */
static int become_owner(const struct plan *plan, struct error *error)
{
	if (!plan->facts.root || plan->tier != TIER_LANDLOCK)
		return 0;
	if (setgroups(0, NULL) < 0 ||
		setresgid(plan->owner_gid, plan->owner_gid, plan->owner_gid) < 0 ||
		setresuid(plan->owner_uid, plan->owner_uid, plan->owner_uid) < 0)
		return error_set_errno(
			error, errno, "ids", "becoming %u:%u", plan->owner_uid, plan->owner_gid);
	return 0;
}

/* Sent by a set-up that failed, in place of MESSAGE_READY. */
static noreturn void fail(int control, const struct error *error)
{
	struct message message = {.kind = MESSAGE_FAILED, .error = *error};
	fd_send(control, &message, sizeof(message), NULL, 0);
	_exit(125);
}

/* Where no PID namespace holds the box together: leaves the processes that stand between the
 * supervisor and init, and returns in what becomes init. */
static void leave_guards(const struct launch_options *options, int control, int broker)
{
	const struct plan *plan = options->plan;
	int cgroup_fd = options->cgroup ? cgroup_clone_v2_fd(options->cgroup) : -1;
	if (plan->tier == TIER_NONE) {
		keeper_fork(plan, control, cgroup_fd);
		return;
	}
	/* By the keeper itself: from here on somebody removes it. */
	struct error error = {0};
	if (tmpdir_make(plan, &error) < 0)
		fail(control, &error);
	const struct broker_options broker_options = {.plan = plan,
		.denials = options->denials,
		.connects = options->connects,
		.accesses = options->accesses,
		.egress = options->egress,
		.continued = options->continued};
	keeper_fork(plan, control, -1);
	broker_fork(&broker_options, broker, cgroup_fd);
}

/* The supervisor's death is init's (or that of the broker or the keeper, which die with it); a
 * change of ids forgets that, so it is said again after each. */
static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static int open_signals(struct error *error)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_SETMASK, &signals, NULL);
	int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_set_errno(error, errno, "signals", "signalfd") : fd;
}

/* The ring is the supervisor's to read, so it is handed out while nobody else can have touched it.
 */
static int open_ring(const struct plan *plan, int *ret, struct error *error)
{
	char path[PATH_MAX] = WITNESS_RING_INSIDE;
	*ret = -1;
	if (plan->witness != WITNESS_ON)
		return 0;
	if (plan->tier == TIER_LANDLOCK)
		snprintf(path, sizeof(path), "%s/" WITNESS_RING_NAME, plan->tmpdir);
	*ret = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? error_set_errno(error, errno, "witness", "%s", path) : 0;
}

/* Puts on the filter and hands its listener out, with the terminal's master. */
static int close_the_box(struct inside *inside, struct error *error)
{
	const struct plan *plan = inside->plan;
	int fds[FD_PASS_MAX], listener = -1;
	size_t count = 0;
	int ring;
	int r = open_ring(plan, &ring, error);
	if (r < 0)
		return r;
	if (plan->tier != TIER_NONE) {
		struct seccomp_choice choice = {
			.profile = plan->profile->seccomp,
			.landlock_tier = plan->tier == TIER_LANDLOCK,
			.egress = plan->tier == TIER_LANDLOCK && network_is_open(&plan->network),
			.watch_names = plan->watch_names,
			.trace = plan->witness == WITNESS_FULL,
			.allow_userns = plan->allow_userns,
		};
		r = seccomp_install(&choice, &listener, error);
		if (r < 0)
			return r;
		fds[count++] = listener;
	}
	for (int i = 0; plan->tier == TIER_CONTAINER && i < BROKER_NAMESPACES; i++)
		fds[count++] = inside->namespaces[i];
	if (ring >= 0)
		fds[count++] = ring;
	if (inside->master >= 0)
		fds[count++] = inside->master;
	struct message ready = {.kind = MESSAGE_READY,
		.value = (int)inside->fallbacks,
		.index = (uint32_t)getpid()};
	r = fd_send(CONTROL_FD, &ready, sizeof(ready), fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return r < 0 ? error_set_errno(error, -r, "control", "the supervisor is gone") : 0;
}

/* First of all, so that whatever the box uses is counted; and while the group's descriptors, which
 * the box must not keep, are still open. */
static int enter_cgroup(const struct inside *inside, struct error *error)
{
	const struct cgroup *cgroup = inside->options->cgroup;
	if (!cgroup)
		return 0;
	if (inside->plan->tier == TIER_CONTAINER)
		return namespaces_enter_cgroup(cgroup, error);
	return cgroup_enter(cgroup, cgroup_clone_v2_fd(cgroup) >= 0, error);
}

/* /proc/1/cmdline is for everyone inside: it is not to say where on the host coffer is. */
static void hide_program_path(void)
{
	size_t length = strlen(program_invocation_name);
	memset(program_invocation_name, 0, length);
	memcpy(program_invocation_name, "coffer", length < 6 ? length : 6);
}

static noreturn void build_box(struct inside *inside, int control)
{
	const struct plan *plan = inside->plan;
	bool container = plan->tier == TIER_CONTAINER;
	struct error error = {0};
	struct init_options init = {.plan = plan, .ruleset = -1};

	hide_program_path();
	die_with_parent();
	int entered = enter_cgroup(inside, &error);
	int r = take_control_fd(inside, control, &error); /* from here on a failure can be told */
	if (r == 0)
		r = entered;
	if (r == 0 && container)
		r = settle_ids(inside, &error);
	if (r == 0 && container)
		namespaces_limit();
	if (r == 0 && container)
		r = open_namespaces(inside, &error);
	if (r == 0 && container)
		r = build_root(inside, &error);
	if (r == 0 && container)
		r = namespaces_settle(plan, &error);
	if (r == 0 && container)
		r = open_network(plan, &error);
	if (r == 0)
		r = open_terminal(inside, &error);
	if (r == 0)
		r = become_owner(plan, &error);
	if (r == 0)
		r = landlock_prepare(plan, &init.ruleset, &error);
	if (r == 0)
		r = init.signals = open_signals(&error);
	init.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (r >= 0 && init.null < 0)
		r = error_set_errno(&error, errno, "init", "/dev/null");
	if (r >= 0 && setrlimit(RLIMIT_NOFILE, &inside->options->open_files) < 0)
		r = error_set_errno(&error, errno, "limits", "open files");
	if (r >= 0)
		r = rlimits_apply(plan, inside->user_processes, &error);
	if (r >= 0 && plan->tier != TIER_NONE)
		r = caps_drop_all(&error);
	if (r >= 0 && !container && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = error_set_errno(&error, errno, "init", "becoming a subreaper");
	if (r >= 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = error_set_errno(&error, errno, "init", "hiding from ptrace");
	die_with_parent();
	if (r >= 0)
		r = close_the_box(inside, &error);
	if (r < 0)
		fail(CONTROL_FD, &error);
	memcpy(init.stdio, inside->stdio, sizeof(init.stdio));
	init.slave = inside->slave;
	init.foreground = inside->options->foreground;
	init_run(&init);
}

/* Nobody's id outside, for what must not be root's own. */
enum { NOBODY = 65534 };

/* The user namespace that trees from the host are seen through; *ret -1: they are seen as they are.
 * Without a range of the box's own it is needed for a workspace of root's: the command, which has
 * not root's id, owns those files all the same. */
static int open_tree_map(
	const struct plan *plan, const struct launched *launched, int *ret, struct error *error)
{
	int fd = -1;
	*ret = -1;
	if (plan->id_range) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/ns/user", launched->init);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return error_set_errno(error, errno, "namespaces", "%s", path);
	} else if (plan->owner_uid == 0) {
		fd = namespaces_make_map((struct id_map){plan->owner_uid, NOBODY, 1},
			(struct id_map){plan->owner_gid, NOBODY, 1}, error);
		if (fd < 0)
			return fd;
	}
	*ret = fd;
	return 0;
}

static bool is_from_host(const struct plan_mount *mount)
{
	return mounts_is_from_host(mount) && !mount->device_nodes;
}

/* What a program that uses the library has named to be read (policy/places.h). */
static bool is_view(const struct plan_mount *mount)
{
	return path_is_below(mount->target, "/run/coffer") ||
	       path_is_below(mount->target, "/source");
}

/* The host's whole tree is seen by root's ids, with the secrets in it hidden one by one. A private
 * root has only the workspace, views and what may be written mapped: /etc/shadow stays root's. */
static bool is_mapped(const struct plan *plan, const struct plan_mount *mount)
{
	return (plan->id_range && !plan->private_root) || mount->writable || is_view(mount) ||
	       (plan->workspace && path_is_below(mount->source, plan->workspace));
}

/* The mounts' trees, the root's, and those of the stacks. */
static size_t count_trees(const struct launch_options *options)
{
	size_t count = options->plan->mounts_count + 1;
	for (size_t i = 0; i < options->stacks_count; i++)
		count += 1 + options->stacks[i].below.count;
	return count;
}

static char *part_of_stack(const struct launch_options *options, size_t index, bool *ret_writable)
{
	for (size_t i = 0; i < options->stacks_count; i++) {
		const struct mounts_stack *stack = &options->stacks[i];
		size_t part = index - stack->first_tree;
		if (index < stack->first_tree || part > stack->below.count)
			continue;
		*ret_writable = part == 0;
		return part == 0 ? stack->top : stack->below.items[part - 1];
	}
	return NULL;
}

/* Sends what only root outside can prepare: trees whose ids are mapped, and those that the box's
 * own id might not reach. */
static int send_trees(
	const struct launch_options *options, const struct launched *launched, struct error *error)
{
	const struct plan *plan = options->plan;
	cleanup_close int userns = -1;
	int r = open_tree_map(plan, launched, &userns, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count_trees(options); i++) {
		struct plan_mount other = {
			.kind = MOUNT_BIND, .source = (char *)"/", .recursive = true};
		const struct plan_mount *mount = i < plan->mounts_count ? &plan->mounts[i] : &other;
		bool part = i > plan->mounts_count;
		if (part) {
			other.source =
				part_of_stack(options, i - plan->mounts_count - 1, &other.writable);
			other.recursive = false;
		}
		bool whole = i == plan->mounts_count;
		if (!is_from_host(mount) || (whole && (plan->private_root || !plan->id_range)))
			continue;
		bool mapped = part || is_mapped(plan, mount);
		cleanup_close int tree = mounts_clone_tree(mount, mapped ? userns : -1, error);
		if (tree == -ENOTSUP)
			tree = mounts_clone_tree(mount, -1, error);
		if (tree == -ENOENT)
			continue;
		if (tree < 0)
			return tree;
		struct message message = {.kind = MESSAGE_TREES, .index = (uint32_t)i};
		r = fd_send(launched->control, &message, sizeof(message), &tree, 1);
		if (r < 0)
			return error_set_errno(error, -r, "mounts", "handing over a tree");
	}
	struct message last = {.kind = MESSAGE_TREES, .value = 1};
	r = fd_send(launched->control, &last, sizeof(last), NULL, 0);
	return r < 0 ? error_set_errno(error, -r, "id maps", "the box is gone") : 0;
}

static int map_ids(
	const struct launch_options *options, struct launched *launched, struct error *error)
{
	const struct plan *plan = options->plan;
	struct id_map uids = {plan->uid_inside, plan->owner_uid, 1};
	struct id_map gids = {plan->gid_inside, plan->owner_gid, 1};
	if (plan->id_range) {
		uint32_t base;
		launched->id_slot = id_range_take(&base, error);
		if (launched->id_slot < 0)
			return launched->id_slot;
		uids = gids = (struct id_map){0, base, ID_RANGE_COUNT};
	} else if (plan->owner_uid == 0) {
		/* Never root's own id: what only root may write would be the box's. */
		uids.outside = gids.outside = NOBODY;
	}
	return namespaces_map_child(launched->init, uids, gids, error);
}

static pid_t clone_plain(int *ret_pidfd, struct error *error)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return error_set_errno(error, errno, "init", "starting it");
	if (pid > 0)
		*ret_pidfd = pidfd;
	return pid;
}

/* Everything that the supervisor does for a child that has been made. */
static int attend(
	const struct launch_options *options, struct launched *launched, struct error *error)
{
	int r = 0;
	if (options->plan->tier == TIER_CONTAINER && options->plan->facts.root) {
		r = map_ids(options, launched, error);
		if (r == 0)
			r = send_trees(options, launched, error);
	}
	return r;
}

int launch(const struct launch_options *options, struct launched *ret, struct error *error)
{
	const struct plan *plan = options->plan;
	struct launched launched = {
		.init = -1, .pidfd = -1, .control = -1, .broker = -1, .id_slot = -1};
	struct inside inside = {
		.options = options, .plan = plan, .master = -1, .slave = -1, .root_tree = -1};
	memcpy(inside.stdio, options->stdio, sizeof(inside.stdio));
	size_t trees_count = count_trees(options);
	cleanup_free int *trees = malloc(trees_count * sizeof(*trees));
	if (!trees)
		return error_set_errno(error, ENOMEM, "launch", "the mounts");
	for (size_t i = 0; i < trees_count; i++)
		trees[i] = -1;
	inside.trees = trees;
	/* The keeper and the broker are this user's, but not of the box. */
	if (plan->tier == TIER_LANDLOCK || (plan->tier == TIER_NONE && plan->limits.pids))
		inside.user_processes = rlimits_count_user_processes(plan->owner_uid) + 2;

	int pair[2], broker[2] = {-1, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "launch", "the control socket");
	if (plan->tier == TIER_LANDLOCK &&
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker) < 0) {
		int r = error_set_errno(error, errno, "launch", "the broker's socket");
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	launched.broker = broker[0];
	pid_t pid = plan->tier == TIER_CONTAINER
			    ? namespaces_clone(options->cgroup, &launched.pidfd, error)
			    : clone_plain(&launched.pidfd, error);
	if (pid == 0) {
		close(pair[0]);
		close_fd(&launched.broker);
		if (plan->tier != TIER_CONTAINER)
			leave_guards(options, pair[1], broker[1]);
		build_box(&inside, pair[1]);
	}
	close(pair[1]);
	close_fd(&broker[1]);
	launched.control = pair[0];
	launched.init = pid;
	int r = pid < 0 ? (int)pid : attend(options, &launched, error);
	if (r < 0) {
		if (pid > 0) {
			/* What the child itself says of its end is the better reason. */
			struct message message;
			sys_pidfd_send_signal(launched.pidfd, SIGKILL);
			while (recv(launched.control, &message, sizeof(message), MSG_DONTWAIT) > 0)
				if (message.kind == MESSAGE_FAILED && error)
					*error = message.error;
			waitpid(pid, NULL, 0);
		}
		launched_release(&launched);
		return r;
	}
	*ret = launched;
	return 0;
}

void launched_release(struct launched *launched)
{
	close_fd(&launched->pidfd);
	close_fd(&launched->control);
	close_fd(&launched->broker);
	close_fd(&launched->id_slot);
}
