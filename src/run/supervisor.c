/* Theory of operation. One loop waits for whichever comes first: a word from init, a notification
 * for the broker, a protected name, bytes to relay, a signal to pass on, the clock. The box ends in
 * one way only: init is killed or exits, the kernel (or, without a PID namespace, the subreapers)
 * takes everything else with it, and only then is anything cleaned up, counted and reported. */
#include "run/supervisor.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/sys.h"
#include "confine/cgroup.h"
#include "run/asker.h"
#include "run/broker.h"
#include "run/connects.h"
#include "run/failure.h"
#include "run/git_commit.h"
#include "run/hearsay.h"
#include "run/launch.h"
#include "run/meter.h"
#include "run/output.h"
#include "run/process_tree.h"
#include "run/protocol.h"
#include "run/sanitizing.h"
#include "run/traffic.h"
#include "run/watch.h"
#include "witness/stacks.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* How often protected names are looked for where the kernel does not tell of them. */
enum { WATCH_INTERVAL_MS = 20 };

enum { EGRESS_MESSAGES_AT_ONCE = 64 };

struct supervisor {
	const struct plan *plan;
	const struct supervise_options *options;
	struct report *report;
	struct error *error;

	struct launched launched;
	struct output *output;
	struct sanitizing *sanitizing;
	struct cgroup *cgroup;
	struct watch *watch;
	struct meter *meter;
	struct git_commit *git;
	struct denials *denials;
	struct connects *connects; /* these three: only with a network */
	struct traffic *traffic;
	struct accesses *accesses; /* --trace-access */
	struct asker *asker;
	uint64_t *continued;
	pid_t init;   /* of the box as seen from here; launched.init, but for a keeper between */
	pid_t broker; /* the container tier's; the other's is the keeper's child */
	int listener;
	int ring;                          /* of the witness, or -1 */
	int namespaces[BROKER_NAMESPACES]; /* container tier: of init, for the broker */
	int signals;

	bool terminal;
	bool egress_ended, egress_settled, stopping_egress;
	bool ready;         /* the box stands */
	bool command_ended; /* the first command has */
	bool init_ended;
	bool killed; /* by us, for a reason that the report has */
	uint64_t started_us, deadline_us, kill_us, meter_us, watch_us; /* 0: not set */
	struct json_t *processes; /* where each stood when the time was up; or NULL */
	struct rusage rusage;
	struct rlimit open_files; /* of the caller */
};

static void tell_init(struct supervisor *s, enum message_kind kind, uint32_t id, int value,
	enum signal_scope scope)
{
	struct message message = {.kind = kind, .id = id, .value = value, .index = scope};
	fd_send(s->launched.control, &message, sizeof(message), NULL, 0);
}

/* Signals every process of the box but init. */
static void signal_box(struct supervisor *s, int signal)
{
	if (s->plan->tier == TIER_CONTAINER)
		tell_init(s, MESSAGE_SIGNAL, 0, signal, SIGNAL_BOX);
	else
		process_tree_signal(s->init, signal);
}

/* The end of the box: whatever is in it, now. */
static void kill_box(struct supervisor *s)
{
	s->killed = true;
	if (s->launched.pidfd >= 0 && s->plan->tier == TIER_CONTAINER) {
		sys_pidfd_send_signal(s->launched.pidfd, SIGKILL);
	} else if (s->launched.pidfd >= 0) {
		/* The keeper kills; with SIGKILL it could not clean up and would leave that to this
		 * process, which may be killed at any moment. */
		sys_pidfd_send_signal(s->launched.pidfd, SIGTERM);
		sys_pidfd_send_signal(s->launched.pidfd, SIGCONT);
	}
	if (s->cgroup)
		cgroup_kill(s->cgroup);
}

static void end_with(struct supervisor *s, enum cause cause, const char *limit)
{
	if (s->killed)
		return;
	if (cause == CAUSE_KILLED && s->kill_us) /* it went in its grace, without a word */
		cause = CAUSE_TIMED_OUT;
	s->report->cause = cause;
	snprintf(s->report->limit, sizeof(s->report->limit), "%s", limit ? limit : "");
	kill_box(s);
}

/* ---- before the launch ---- */

static int block_signals(struct supervisor *s)
{
	static const int passed[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
		SIGWINCH, SIGTSTP, SIGCONT, SIGALRM, SIGIO};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		sigaddset(&set, passed[i]);
	/* A shell starts background jobs with SIGINT ignored; what is ignored is not passed on. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? error_set_errno(s->error, errno, "supervisor", "signals") : 0;
}

/* A user namespace has a process limit of its own (RLIMIT_NPROC), which costs nothing. Without one
 * it counts all that the user runs, which will do for a default; and root it does not hold. */
static bool pids_need_more_than_rlimit(const struct plan *plan)
{
	if (!plan->limits.pids || plan->tier == TIER_CONTAINER)
		return false;
	return (plan->limits_asked & LIMIT_PIDS) ||
	       (plan->tier == TIER_LANDLOCK && plan->owner_uid == 0);
}

/* The limits that are neither the kernel's by rlimit or mount option, nor the clock's. */
static unsigned limits_to_keep(const struct plan *plan)
{
	const struct limits *limits = &plan->limits;
	bool roots =
		(plan->profile->view != VIEW_STRICT && plan->write_roots.count > 0) || plan->layer;
	return (limits->memory_bytes ? LIMIT_MEMORY : 0) | (limits->cpu_milli ? LIMIT_CPU : 0) |
	       (pids_need_more_than_rlimit(plan) ? LIMIT_PIDS : 0) |
	       (limits->disk_bytes && roots ? LIMIT_DISK : 0) |
	       (limits->inodes && roots ? LIMIT_INODES : 0);
}

static bool is_noted(const struct plan *plan, const char *what)
{
	for (size_t i = 0; i < plan->notes_count; i++)
		if (strcmp(plan->notes[i].what, what) == 0)
			return true;
	return false;
}

/* By control group where there is one, else by the meter, which must see the disks before the
 * command writes to them. What neither can is an error if it was asked for; else it is reported. */
static int prepare_limits(struct supervisor *s)
{
	const struct plan *plan = s->plan;
	struct report *report = s->report;
	unsigned keep = limits_to_keep(plan);
	if (!keep)
		return 0;
	struct limits limits = plan->limits;
	if (!(keep & LIMIT_PIDS))
		limits.pids = 0;
	struct error error = {0};
	int r = cgroup_make(&plan->facts, &limits, &s->cgroup, &report->cgroup_enforced, &error);
	if (r < 0 && plan->must_enforce) {
		*s->error = error;
		return r;
	}
	report->cgroup = s->cgroup != NULL;
	unsigned lost = keep & ~report->cgroup_enforced, metered = lost & ~(unsigned)LIMIT_CPU;
	if (metered) {
		r = meter_new(plan, 0, metered, &s->meter);
		if (r == 0)
			lost &= ~metered;
		else
			error_set_errno(&error, -r, "limits", "metering them");
	}
	/* What the plan says that it does without was allowed to be missing. */
	if (!plan->must_enforce && is_noted(plan, "cpu"))
		lost &= ~(unsigned)LIMIT_CPU;
	report->limits_lost = lost;
	if (!(lost & (plan->must_enforce ? ~0U : plan->limits_asked)))
		return 0;
	if (!error.errno_value) /* what can be metered is only lost with an error */
		error_set(&error, ENOTSUP, "limits", "no control group can keep the CPU limit");
	*s->error = error;
	return -error.errno_value;
}

/* What is known of connections is kept from the first on. */
static int prepare_traffic(struct supervisor *s)
{
	if (!s->options->egress)
		return 0;
	s->connects = connects_new();
	if (!s->connects)
		return error_set_errno(s->error, ENOMEM, "supervisor", "shared memory");
	int r = traffic_new(s->plan->net_log, s->connects, s->denials, &s->traffic, s->error);
	if (r == 0 && s->plan->net_ask)
		r = asker_new(s->plan->net_ask, s->connects, &s->asker, s->error);
	return r;
}

static int prepare(struct supervisor *s)
{
	s->denials = denials_new();
	s->continued = mmap(NULL, sizeof(*s->continued), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!s->denials || s->continued == MAP_FAILED)
		return error_set_errno(s->error, ENOMEM, "supervisor", "shared memory");
	if (s->plan->trace_access && !(s->accesses = accesses_new()))
		return error_set_errno(s->error, ENOMEM, "supervisor", "shared memory");
	/* While a box is built each of its mounts is a descriptor, and each watched directory. */
	getrlimit(RLIMIT_NOFILE, &s->open_files);
	struct rlimit raised = {s->open_files.rlim_max, s->open_files.rlim_max};
	setrlimit(RLIMIT_NOFILE, &raised);
	int r = block_signals(s);
	for (int i = 0; i < 3; i++)
		s->terminal = s->terminal || isatty(s->options->stdio[i]);
	struct output_options output = {.capture = s->plan->capture,
		.limit_bytes = s->plan->limits.output_bytes,
		.keep_tail = s->plan->trace && !s->plan->capture,
		.terminal = s->terminal,
		.terminal_is_set = true};
	if (r == 0 && (r = sanitizing_new(s->plan, &s->sanitizing)) < 0)
		error_set_errno(s->error, -r, "supervisor", "what leaves the box");
	output.sanitizing = s->sanitizing;
	if (output.capture && !output.limit_bytes)
		output.limit_bytes = DEFAULT_CAPTURE_BYTES;
	memcpy(output.stdio, s->options->stdio, sizeof(output.stdio));
	if (r == 0)
		r = output_new(&output, &s->output, s->error);
	if (r == 0)
		r = watch_new(s->plan, &s->watch, s->error);
	if (r == 0)
		r = git_commit_prepare(s->plan, &s->git, s->error);
	if (r == 0)
		r = prepare_limits(s);
	if (r == 0)
		r = prepare_traffic(s);
	if (r == 0 && s->plan->tier != TIER_CONTAINER &&
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = error_set_errno(s->error, errno, "supervisor", "becoming a subreaper");
	return r;
}

/* On v1 the kernel kills one process for want of memory, and leaves a box that may hang. */
static bool must_ask_for_memory_kills(const struct supervisor *s)
{
	return (s->report->cgroup_enforced & LIMIT_MEMORY) && cgroup_clone_fd(s->cgroup) < 0;
}

/* The landlock tier's broker asks egress itself: *ret is its end; -1 where there is none. */
static int connect_broker(struct supervisor *s, int *ret)
{
	static const uint8_t kind = EGRESS_SOCKET_BROKER;
	int pair[2];
	*ret = -1;
	if (s->plan->tier != TIER_LANDLOCK || !s->options->egress)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return error_set_errno(s->error, errno, "egress", "the broker's socket");
	int r = egress_hand_over(s->options->egress, &pair[1], &kind, 1);
	close(pair[1]);
	if (r == 0) {
		*ret = pair[0];
		return 0;
	}
	close(pair[0]);
	return error_set_errno(s->error, -r, "egress", "handing over the broker's socket");
}

static int start_box(struct supervisor *s)
{
	cleanup_close int egress = -1;
	int r = connect_broker(s, &egress);
	if (r < 0)
		return r;
	struct launch_options options = {.plan = s->plan,
		.cgroup = s->cgroup,
		.terminal = s->terminal,
		.foreground = output_takes_terminal(s->output),
		.open_files = s->open_files,
		.stacks = s->git ? git_commit_stacks(s->git) : s->options->stacks,
		.stacks_count = s->git ? s->plan->git_layers_count : s->options->stacks_count,
		.denials = s->denials,
		.connects = s->connects,
		.accesses = s->accesses,
		.egress = egress,
		.continued = s->continued};
	for (int i = 0; i < 3; i++)
		options.stdio[i] = output_child_fd(s->output, i);
	s->started_us = clock_now_us();
	r = launch(&options, &s->launched, s->error);
	output_close_child_fds(s->output);
	if (r < 0)
		return r;
	if (s->plan->limits.time_ms)
		s->deadline_us = s->started_us + s->plan->limits.time_ms * 1000;
	if (s->meter || must_ask_for_memory_kills(s))
		s->meter_us = s->started_us + METER_INTERVAL_MS * 1000;
	if (s->watch && !watch_is_told(s->watch))
		s->watch_us = s->started_us + WATCH_INTERVAL_MS * 1000;
	return 0;
}

/* ---- what init says ---- */

static void handle_ready(
	struct supervisor *s, const struct message *message, int *fds, size_t count)
{
	size_t next = 0;
	s->ready = true;
	s->report->fallbacks = (unsigned)message->value;
	s->init = s->plan->tier == TIER_CONTAINER ? s->launched.init : (pid_t)message->index;
	if (s->meter)
		meter_set_init(s->meter, s->init);
	if (s->plan->tier != TIER_NONE && next < count)
		s->listener = steal_fd(&fds[next++]);
	for (int i = 0; s->plan->tier == TIER_CONTAINER && i < BROKER_NAMESPACES; i++)
		if (next < count)
			s->namespaces[i] = steal_fd(&fds[next++]);
	if (s->plan->witness == WITNESS_ON && next < count)
		s->ring = steal_fd(&fds[next++]);
	if (s->terminal && next < count &&
		output_attach_terminal(s->output, steal_fd(&fds[next]), s->error) < 0)
		end_with(s, CAUSE_SETUP_FAILED, NULL);
}

static void handle_exec_failed(struct supervisor *s, const struct message *message)
{
	struct report *report = s->report;
	s->command_ended = true;
	if (message->value == ENOENT) {
		report->cause = CAUSE_NOT_FOUND;
		report->exit_code = 127;
		error_set(&report->error, ENOENT, "exec", "%.900s: command not found",
			s->plan->argv.items[0]);
	} else if (message->value > 0) {
		report->cause = CAUSE_CANNOT_EXECUTE;
		report->exit_code = 126;
		error_set_errno(
			&report->error, message->value, "exec", "%.900s", s->plan->argv.items[0]);
	} else {
		report->cause = CAUSE_SETUP_FAILED;
		report->exit_code = 125;
		error_set_errno(&report->error, -message->value, "exec",
			"starting the command in %.900s", s->plan->directory);
	}
	kill_box(s);
}

static void handle_exited(struct supervisor *s, int status)
{
	struct report *report = s->report;
	s->command_ended = true;
	report->status = status;
	if (s->killed)
		return;
	if (WIFSIGNALED(status)) {
		report->cause = CAUSE_SIGNALED;
		report->exit_code = 128 + WTERMSIG(status);
	} else {
		report->cause = CAUSE_EXITED;
		report->exit_code = WEXITSTATUS(status);
	}
	if (s->kill_us) /* it left in its grace */
		report->cause = CAUSE_TIMED_OUT;
	if (!s->plan->many_execs)
		kill_box(s);
}

static void handle_stopped(struct supervisor *s, int signal)
{
	/* While this process is stopped nobody meters or watches the box, so all of it stops. */
	bool stops = output_would_stop(s->output, signal);
	if (stops)
		signal_box(s, SIGSTOP);
	if (output_stopped(s->output, signal))
		tell_init(s, MESSAGE_CONTINUE, 0, 0, 0);
	if (stops)
		signal_box(s, SIGCONT);
}

static void forward_to_client(struct supervisor *s, const struct message *message)
{
	if (s->options->client >= 0)
		fd_send(s->options->client, message, sizeof(*message), NULL, 0);
}

/* The box's sockets go to egress, which is waited for if nobody has yet. */
static int attend(struct supervisor *s, const struct message *sockets, const int *fds, size_t count)
{
	struct egress_process *egress = s->options->egress;
	const struct message attended = {.kind = MESSAGE_ATTENDED};
	int r = egress ? 0 : -EPROTO;
	if (r == 0 && !s->egress_settled)
		r = egress_settle(egress, NULL, s->error);
	if (r == 0) {
		s->egress_settled = true;
		r = egress_hand_over(egress, fds, sockets->kinds, count);
	}
	if (r == 0 && sockets->value == 1)
		r = fd_send(s->launched.control, &attended, sizeof(attended), NULL, 0);
	if (r < 0 && !s->error->errno_value)
		error_set(s->error, EPIPE, "egress", "it ended while the box was built");
	return r;
}

static void handle_init(struct supervisor *s)
{
	struct message message;
	int fds[FD_PASS_MAX];
	size_t count = FD_PASS_MAX;
	ssize_t n = fd_receive(s->launched.control, &message, sizeof(message), fds, &count);
	if (n != (ssize_t)sizeof(message)) {
		close_fd(&s->launched.control); /* its end is told by SIGCHLD */
		return;
	}
	switch (message.kind) {
	case MESSAGE_FAILED:
		*s->error = message.error;
		s->error->stage[sizeof(s->error->stage) - 1] = '\0';
		s->error->message[sizeof(s->error->message) - 1] = '\0';
		s->error->hint[sizeof(s->error->hint) - 1] = '\0';
		break;
	case MESSAGE_SOCKETS:
		/* After a failure, which has its reason, there may be more of them on the way. */
		if (!s->killed && attend(s, &message, fds, count) < 0)
			end_with(s, CAUSE_SETUP_FAILED, NULL);
		break;
	case MESSAGE_READY:
		handle_ready(s, &message, fds, count);
		forward_to_client(s, &message);
		break;
	case MESSAGE_EXEC_FAILED:
		forward_to_client(s, &message);
		if (message.id == 0)
			handle_exec_failed(s, &message);
		break;
	case MESSAGE_EXITED:
		forward_to_client(s, &message);
		if (message.id == 0)
			handle_exited(s, message.value);
		break;
	case MESSAGE_STOPPED:
		if (message.id == 0)
			handle_stopped(s, message.value);
		break;
	default:
		break;
	}
	for (size_t i = 0; i < count; i++)
		close_fd(&fds[i]);
}

/* ---- the other sources ---- */

/* The first notification is waiting: from now on the broker answers them. */
static void start_broker(struct supervisor *s)
{
	if (s->plan->tier == TIER_LANDLOCK) {
		int r = broker_wake(s->launched.broker, s->listener, s->error);
		close_fd(&s->launched.broker);
		close_fd(&s->listener);
		if (r < 0)
			end_with(s, CAUSE_SETUP_FAILED, NULL);
		return;
	}
	struct broker_options options = {.plan = s->plan,
		.listener = s->listener,
		.init = s->init,
		.namespaces = s->namespaces,
		.denials = s->denials,
		.connects = s->connects,
		.accesses = s->accesses,
		.egress = -1,
		.continued = s->continued};
	s->broker = broker_start(&options, s->error);
	close_fd(&s->listener);
	if (s->broker < 0) {
		s->broker = 0;
		end_with(s, CAUSE_SETUP_FAILED, NULL);
	}
}

/* Init's last words may still be in the socket when its end is told. */
static void hear_out_init(struct supervisor *s)
{
	struct pollfd control = {.fd = s->launched.control, .events = POLLIN};
	while (s->launched.control >= 0 && poll(&control, 1, 0) > 0)
		handle_init(s);
}

/* Nothing that is notified gets an answer any more. */
static void lose_broker(struct supervisor *s)
{
	if (s->killed)
		return;
	error_set(s->error, EPIPE, "broker", "the broker has ended");
	end_with(s, CAUSE_SETUP_FAILED, NULL);
}

static void reap(struct supervisor *s)
{
	int status;
	struct rusage rusage;
	/* Bounded: what a killed keeper leaves could end as fast as it is reaped. */
	for (int i = 0; i < PROCESS_TREE_REAP; i++) {
		pid_t pid = wait4(-1, &status, WNOHANG, &rusage);
		if (pid <= 0)
			break;
		if (pid == s->launched.init) {
			s->init_ended = true;
			s->rusage = rusage;
			hear_out_init(s);
			/* The keeper exits as the broker did, which ends with init, with 0. */
			if (s->plan->tier == TIER_LANDLOCK && WIFEXITED(status) &&
				WEXITSTATUS(status) != 0 && s->ready && !s->command_ended)
				lose_broker(s);
		} else if (pid == s->broker) {
			/* It also ends when the box has, on its own, with 0. */
			s->broker = 0;
			hear_out_init(s);
			if (status == 0) {
				/* It saw the end of the box: init's last word is on its way. */
				struct pollfd init = {.fd = s->launched.pidfd, .events = POLLIN};
				poll(&init, 1, 500);
				hear_out_init(s);
				if (!s->command_ended)
					end_with(s, CAUSE_KILLED, NULL);
			} else if (!s->command_ended && !s->init_ended) {
				lose_broker(s);
			}
		} else if (s->options->egress && pid == egress_pid(s->options->egress)) {
			/* The doors have no other side any more: whatever connects is refused. */
			egress_was_reaped(s->options->egress);
			s->report->egress_lost = s->egress_settled && !s->stopping_egress;
		}
	}
}

/* ---- the network ---- */

static void handle_egress(struct supervisor *s)
{
	struct egress_message message;
	int r = 0;
	/* Not without end: it could speak faster than it is heard. */
	for (int i = 0; i < EGRESS_MESSAGES_AT_ONCE; i++) {
		r = egress_receive(s->options->egress, &message);
		if (r < 0)
			break;
		if (message.kind == EGRESS_RECORD)
			traffic_add(s->traffic, &message.record);
		else if (message.kind == EGRESS_ASK &&
			 (!s->asker || !asker_ask(s->asker, message.id, &message.record)))
			egress_answer(s->options->egress, message.id, NETWORK_DENY);
		else if (message.kind == EGRESS_FORGET && s->asker)
			asker_forget(s->asker, message.id);
	}
	s->egress_ended = r == -EPIPE;
}

static void handle_asker(struct supervisor *s)
{
	uint32_t id;
	int verdict;
	while (asker_answer(s->asker, &id, &verdict))
		egress_answer(s->options->egress, id, verdict);
}

/* What is still on its way: what was open is told when it is closed. */
static void finish_egress(struct supervisor *s)
{
	if (!s->options->egress)
		return;
	s->stopping_egress = true;
	egress_stop(s->options->egress);
	uint64_t end_us = clock_now_us() + (EGRESS_DRAIN_MS + EGRESS_STOP_MS + 200) * 1000ULL;
	while (!s->egress_ended && clock_now_us() < end_us) {
		struct pollfd fd = {.fd = egress_fd(s->options->egress), .events = POLLIN};
		poll(&fd, 1, 50);
		handle_egress(s);
	}
	s->report->traffic = traffic_json(s->traffic);
}

static void pass_signal(struct supervisor *s, int signal)
{
	switch (signal) {
	case SIGWINCH:
		output_resize(s->output);
		break;
	case SIGCONT:
		output_continued(s->output);
		break;
	case SIGTSTP:
		signal_box(s, SIGSTOP);
		output_suspend(s->output);
		signal_box(s, SIGCONT);
		break;
	case SIGINT:
	case SIGQUIT:
		tell_init(s, MESSAGE_SIGNAL, 0, signal, SIGNAL_GROUP);
		break;
	default:
		tell_init(s, MESSAGE_SIGNAL, 0, signal, SIGNAL_COMMAND);
	}
}

static void check_watch(struct supervisor *s)
{
	if (watch_check(s->watch, s->continued, s->denials))
		end_with(s, CAUSE_REFUSED, NULL);
}

static void handle_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	bool look = false;
	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else if (info.ssi_signo == SIGIO)
			look = true;
		else if (s->ready)
			pass_signal(s, (int)info.ssi_signo);
		else
			end_with(s, CAUSE_KILLED, NULL); /* asked to end before anything ran */
	}
	if (look && s->watch)
		check_watch(s);
}

static void take_sample(struct supervisor *s)
{
	struct meter_sample sample;
	struct meter_excess excess;
	if (meter_sample(s->meter, &sample) < 0)
		return;
	s->report->usage.disk_bytes = sample.disk_bytes;
	if (!meter_verdict(s->meter, &sample, &excess))
		return;
	static const struct {
		unsigned limit;
		const char *name;
	} names[] = {{LIMIT_MEMORY, "memory"}, {LIMIT_PIDS, "pids"}, {LIMIT_DISK, "disk"},
		{LIMIT_INODES, "inodes"}};
	const char *name = "";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].limit == excess.limit)
			name = names[i].name;
	s->report->usage.overshoot_bytes = excess.seen - excess.allowed;
	end_with(s, excess.limit == LIMIT_MEMORY ? CAUSE_OUT_OF_MEMORY : CAUSE_LIMIT, name);
}

static void check_memory_kills(struct supervisor *s)
{
	struct cgroup_usage usage;
	cgroup_read_usage(s->cgroup, &usage);
	if (usage.out_of_memory)
		end_with(s, CAUSE_OUT_OF_MEMORY, "memory");
}

/* Where each process stands, before anything is done about it. */
static void look_at_processes(struct supervisor *s)
{
	pid_t pids[MAX_STACK_PROCESSES];
	size_t count = process_tree_list(s->init, pids, MAX_STACK_PROCESSES);
	if (count > MAX_STACK_PROCESSES)
		count = MAX_STACK_PROCESSES;
	s->processes = stacks_collect(pids, count, s->plan->owner_uid, s->plan->owner_gid);
}

/* What the clock says is due. */
static void handle_clock(struct supervisor *s)
{
	uint64_t now = clock_now_us();
	if (s->meter_us && now >= s->meter_us) {
		if (s->meter)
			take_sample(s);
		if (must_ask_for_memory_kills(s))
			check_memory_kills(s);
		unsigned pause_ms = s->meter ? meter_interval_ms(s->meter) : METER_INTERVAL_MS;
		s->meter_us = clock_now_us() + pause_ms * 1000ULL;
	}
	if (s->watch_us && now >= s->watch_us) {
		check_watch(s);
		s->watch_us = now + WATCH_INTERVAL_MS * 1000;
	}
	if (s->deadline_us && now >= s->deadline_us) {
		s->deadline_us = 0;
		look_at_processes(s);
		now = clock_now_us();
		s->kill_us = now + s->plan->limits.grace_ms * 1000;
		if (s->plan->limits.grace_ms) {
			signal_box(s, SIGTERM);
			signal_box(s, SIGCONT);
		}
	}
	if (s->kill_us && now >= s->kill_us)
		end_with(s, CAUSE_TIMED_OUT, "time");
}

static int wait_ms(const struct supervisor *s)
{
	const uint64_t times[] = {
		s->deadline_us, s->kill_us, s->meter_us, s->watch_us, output_wake_us(s->output)};
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (times[i] && times[i] < next)
			next = times[i];
	if (next == UINT64_MAX)
		return -1;
	uint64_t now = clock_now_us();
	uint64_t left_ms = next <= now ? 0 : (next - now + 999) / 1000;
	return left_ms > 3600000 ? 3600000 : (int)left_ms;
}

/* libcoffer asks: another command, or a signal. Init is handed the request as it is. */
static void handle_client(struct supervisor *s)
{
	struct message message;
	int fds[FD_PASS_MAX];
	size_t count = FD_PASS_MAX;
	ssize_t n = fd_receive(s->options->client, &message, sizeof(message), fds, &count);
	if (n != (ssize_t)sizeof(message)) {
		/* It asks for the end, or is gone. How the command ended is known by then; a box
		 * without one has done all that it was made for. */
		if (s->command_ended) {
			kill_box(s);
			return;
		}
		bool done = s->plan->argv.count == 0;
		if (done && !s->killed)
			s->report->exit_code = 0;
		end_with(s, done ? CAUSE_EXITED : CAUSE_KILLED, NULL);
		return;
	}
	bool known = (message.kind == MESSAGE_EXEC && count == 4 && message.id != 0) ||
		     (message.kind == MESSAGE_SIGNAL && count == 0);
	if (known)
		fd_send(s->launched.control, &message, sizeof(message), fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

enum {
	POLL_CONTROL,
	POLL_SIGNALS,
	POLL_LISTENER,
	POLL_CLIENT,
	POLL_EGRESS,
	POLL_ASKER,
	POLL_OUTPUT,
};

static void loop_once(struct supervisor *s)
{
	struct pollfd fds[POLL_OUTPUT + OUTPUT_POLL_MAX] = {
		[POLL_CONTROL] = {.fd = s->launched.control, .events = POLLIN},
		[POLL_SIGNALS] = {.fd = s->signals, .events = POLLIN},
		[POLL_LISTENER] = {.fd = s->listener, .events = POLLIN},
		[POLL_CLIENT] = {.fd = s->ready && !s->killed ? s->options->client : -1,
			.events = POLLIN},
		[POLL_EGRESS] = {.fd = s->egress_ended || !s->egress_settled
					       ? -1
					       : egress_fd(s->options->egress),
			.events = POLLIN},
		[POLL_ASKER] = {.fd = asker_fd(s->asker), .events = POLLIN},
	};
	size_t output_count = output_poll_fds(s->output, fds + POLL_OUTPUT);
	if (poll(fds, POLL_OUTPUT + output_count, wait_ms(s)) < 0)
		return;
	if (fds[POLL_LISTENER].revents & POLLIN)
		start_broker(s);
	else if (fds[POLL_LISTENER].revents)
		close_fd(&s->listener);
	if (fds[POLL_CONTROL].revents)
		handle_init(s);
	output_handle(s->output, fds + POLL_OUTPUT, output_count);
	if (fds[POLL_CLIENT].revents)
		handle_client(s);
	if (fds[POLL_EGRESS].revents)
		handle_egress(s);
	if (fds[POLL_ASKER].revents)
		handle_asker(s);
	if (fds[POLL_SIGNALS].revents)
		handle_signals(s);
	handle_clock(s);
}

/* ---- after the end ---- */

static void end_processes(struct supervisor *s)
{
	if (s->broker > 0) {
		kill(s->broker, SIGKILL);
		waitpid(s->broker, NULL, 0);
	}
	if (s->cgroup)
		cgroup_kill(s->cgroup);
	/* Init's orphans came to this process, if init could not end them itself. */
	if (s->plan->tier != TIER_CONTAINER)
		process_tree_end(getpid(), false);
}

static void read_cgroup(struct supervisor *s)
{
	struct report *report = s->report;
	struct cgroup_usage usage;
	if (!s->cgroup)
		return;
	cgroup_read_usage(s->cgroup, &usage);
	if (usage.memory_peak_bytes) {
		report->usage.memory_peak_bytes = usage.memory_peak_bytes;
		report->usage.memory_peak_is_box = true;
	}
	report->usage.pids_peak = usage.pids_peak;
	report->usage.io_read_bytes = usage.io_read_bytes;
	report->usage.io_write_bytes = usage.io_write_bytes;
	/* A kill by the limit of something else than the command is not how the run ended. */
	bool killed = WIFSIGNALED(report->status) && WTERMSIG(report->status) == SIGKILL;
	bool failed = report->exit_code != 0 || !s->command_ended;
	if (!usage.out_of_memory || !(killed || failed) || report->cause == CAUSE_TIMED_OUT)
		return;
	if (!s->ready) {
		error_set(s->error, ENOMEM, "control group",
			"the memory limit is too small for the box to be built in");
		return;
	}
	report->cause = CAUSE_OUT_OF_MEMORY;
	report->error.errno_value = 0; /* what went wrong after that */
	snprintf(report->limit, sizeof(report->limit), "memory");
}

static void count_usage(struct supervisor *s)
{
	struct usage *usage = &s->report->usage;
	usage->wall_us = clock_now_us() - s->started_us;
	usage->user_us = (uint64_t)s->rusage.ru_utime.tv_sec * 1000000 +
			 (uint64_t)s->rusage.ru_utime.tv_usec;
	usage->system_us = (uint64_t)s->rusage.ru_stime.tv_sec * 1000000 +
			   (uint64_t)s->rusage.ru_stime.tv_usec;
	usage->memory_peak_bytes = (uint64_t)s->rusage.ru_maxrss * 1024;
	usage->io_read_bytes = (uint64_t)s->rusage.ru_inblock * 512;
	usage->io_write_bytes = (uint64_t)s->rusage.ru_oublock * 512;
	if (s->meter) {
		usage->memory_peak_bytes = meter_memory_peak_bytes(s->meter);
		usage->memory_peak_is_box = true;
		usage->pids_peak = meter_tasks_peak(s->meter);
	}
	read_cgroup(s);
	output_sanitized(s->output, &s->report->sanitized);
	for (int i = 0; i < 2; i++) {
		usage->output_bytes[i] = output_bytes_passed(s->output, i + 1);
		usage->dropped_bytes[i] = output_bytes_dropped(s->output, i + 1);
	}
}

static void keep_captured(struct supervisor *s)
{
	for (int i = 0; i < 2; i++) {
		const struct captured *captured = output_captured(s->output, i + 1);
		if (!captured)
			continue;
		char gap[64] = "";
		if (captured->dropped_bytes)
			snprintf(gap, sizeof(gap), "\n[... %llu bytes dropped ...]\n",
				(unsigned long long)captured->dropped_bytes);
		size_t length = captured->head_bytes + strlen(gap) + captured->tail_bytes;
		char *text = malloc(length + 1);
		if (!text)
			return;
		char *end = text;
		if (captured->head_bytes)
			end = mempcpy(end, captured->head, captured->head_bytes);
		end = mempcpy(end, gap, strlen(gap));
		if (captured->tail_bytes)
			end = mempcpy(end, captured->tail, captured->tail_bytes);
		*end = '\0';
		s->report->captured[i] = text;
		s->report->captured_bytes[i] = length;
	}
}

/* What it printed is looked at only where somebody asked for that, or has it anyway; how it ended
 * costs nothing. */
static void trace_failure(struct supervisor *s)
{
	struct report *report = s->report;
	bool signaled = report->cause == CAUSE_SIGNALED;
	struct failure failure = {.plan = s->plan,
		.cause = report->cause,
		.exit_code = report->exit_code,
		.signal = signaled ? WTERMSIG(report->status) : 0,
		.limit = report->limit,
		.stacks = s->options->stacks,
		.stacks_count = s->options->stacks_count,
		.processes = s->processes};
	if (!failure_happened(report->cause, report->exit_code))
		return;
	for (int i = 0; i < 2; i++) {
		const struct captured *tail = output_tail(s->output, i + 1);
		failure.texts[i] = tail ? tail->tail : report->captured[i];
		failure.lengths_bytes[i] = tail ? tail->tail_bytes : report->captured_bytes[i];
	}
	report->trace = failure_trace(&failure);
}

/* The exit code that goes with a cause that this process decided on. */
static void settle_exit(struct supervisor *s)
{
	struct report *report = s->report;
	switch (report->cause) {
	case CAUSE_TIMED_OUT:
		report->exit_code = 124;
		break;
	case CAUSE_OUT_OF_MEMORY:
	case CAUSE_LIMIT:
	case CAUSE_KILLED:
		if (!s->command_ended || s->report->exit_code == 0)
			report->exit_code = 128 + SIGKILL;
		break;
	case CAUSE_REFUSED:
		report->exit_code = 126;
		break;
	case CAUSE_SETUP_FAILED:
		report->exit_code = 125;
		break;
	default:
		break;
	}
}

static void finish(struct supervisor *s)
{
	finish_egress(s); /* it is one of the processes below */
	end_processes(s);
	output_finish(s->output);
	count_usage(s);
	keep_captured(s);
	if (s->ring >= 0)
		hearsay_collect(s->plan, s->ring, s->denials);
	if (s->accesses)
		s->report->accesses = accesses_json(s->accesses, &s->report->accesses_lost);
	if (s->watch) {
		/* Whatever was made since the last look, with nobody left to make more. */
		bool offence = watch_check(s->watch, s->continued, s->denials);
		if (offence || s->report->cause == CAUSE_REFUSED)
			s->report->quarantined = watch_clean(s->watch, s->denials);
		if (s->report->cause == CAUSE_REFUSED && !s->report->quarantined)
			error_set(s->error, ESTALE, "refused",
				"a protected name was replaced from outside; the box ended since "
				"nothing protected it any more");
		if (s->report->quarantined) {
			s->report->cause = CAUSE_REFUSED;
			error_set(s->error, EPERM, "refused",
				"the command made a protected name, and was ended for it");
			error_hint(s->error, "what it made was moved aside: look for "
					     ".coffer-quarantine-* where it was");
		}
	}
	if (s->git && s->report->cause != CAUSE_REFUSED)
		s->report->git_result = git_commit_finish(s->git, s->plan);
	settle_exit(s);
	trace_failure(s);
}

static void release(struct supervisor *s)
{
	output_free(s->output);
	sanitizing_free(s->sanitizing);
	cgroup_free(s->cgroup);
	watch_free(s->watch);
	meter_free(s->meter);
	git_commit_free(s->git, s->plan);
	asker_free(s->asker);
	traffic_free(s->traffic);
	json_decref(s->processes);
	connects_free(s->connects);
	accesses_free(s->accesses);
	launched_release(&s->launched);
	close_fd(&s->listener);
	for (int i = 0; i < BROKER_NAMESPACES; i++)
		close_fd(&s->namespaces[i]);
	close_fd(&s->ring);
	close_fd(&s->signals);
	if (s->continued && s->continued != MAP_FAILED)
		munmap(s->continued, sizeof(*s->continued));
}

int supervise(const struct supervise_options *options, struct report *ret_report,
	struct denials **ret_denials)
{
	*ret_report = (struct report){.cause = CAUSE_SETUP_FAILED, .exit_code = 125};
	struct supervisor s = {.plan = options->plan,
		.egress_settled = options->egress_settled,
		.options = options,
		.report = ret_report,
		.error = &ret_report->error,
		.listener = -1,
		.ring = -1,
		.signals = -1,
		.namespaces = {-1, -1, -1},
		.launched = {.init = -1, .pidfd = -1, .control = -1, .broker = -1, .id_slot = -1}};
	int r = prepare(&s);
	if (r == 0)
		r = start_box(&s);
	if (r == 0) {
		while (!s.init_ended)
			loop_once(&s);
		while (output_drain(s.output))
			loop_once(&s);
		if (s.ready && !s.command_ended && !s.killed)
			/* Unless finish() finds out by what. */
			ret_report->cause = s.kill_us ? CAUSE_TIMED_OUT : CAUSE_KILLED;
		finish(&s);
		if (!s.ready)
			r = s.error->errno_value ? -s.error->errno_value : -ECANCELED;
	}
	*ret_denials = s.denials;
	release(&s);
	return r;
}
