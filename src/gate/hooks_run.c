/* Theory of operation. For each hook a child of this process is forked, which starts the hook's box
 * by libcoffer and waits for its end, then writes one record and exits: so the boxes of one event
 * are built, and their ends awaited, side by side, while this process only polls. The box's
 * supervisor keeps the time and ends the whole tree, daemons included; a hook that is not boxed
 * runs under the same supervisor, in the mode that confines nothing. If this process or the child
 * dies, the supervisor's socket closes, and that ends the box as well. The event is the hook's
 * stdin, a sealed memfd, so that a hook that does not read it holds up nobody. */
#include "gate/hooks_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/request.h"
#include "coffer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
	GRACE_MS = 1000,
	/* Beyond time and grace, for building the box and taking it down on a loaded machine. */
	SLACK_MS = 10000,
	/* How long the output of a box that is being ended may still come. */
	ENDING_MS = 5000,
	/* Whatever `timeout` says. */
	MAX_TIMEOUT_MS = 24 * 3600 * 1000,
};

/* What the child says when the box has ended. */
struct record {
	int exit_code;
	char cause[24];
	char why[600];
};

struct running {
	struct hook_result *result; /* NULL: the place is free */
	pid_t child;
	int output, complaint, ended; /* our ends; -1: closed */
	uint64_t started_us, deadline_us;
	bool given_up; /* it was killed by us; end.kind is set */
};

/* ---- the child ---- */

static int set(struct coffer_policy *policy, const char *key, const char *value,
	struct coffer_error *error)
{
	return coffer_policy_set(policy, key, value, error);
}

static int set_variable(struct coffer_policy *policy, const char *name, const char *value,
	struct coffer_error *error)
{
	cleanup_free char *assignment = NULL;
	if (!value)
		return 0;
	if (asprintf(&assignment, "%s=%s", name, value) < 0)
		return -ENOMEM;
	return set(policy, "env", assignment, error);
}

static int set_environment(const struct hooks *hooks, enum hook_event event,
	const struct prepared_hook *prepared, struct coffer_policy *policy,
	struct coffer_error *error)
{
	const struct {
		const char *name, *value;
	} variables[] = {
		{"PATH", hooks->path},
		{"CLAUDE_PROJECT_DIR", hooks->directory},
		{"COFFER_PROJECT_DIR", hooks->directory},
		{"COFFER_SESSION_ID", hooks->where.session_id},
		{"COFFER_HOOK_EVENT", hook_event_name(event)},
		{"COFFER_HOOK_STATE", prepared->state},
		/* What lies beside a script would come to lie beside its copy. */
		{"PYTHONDONTWRITEBYTECODE", "1"},
		/* `python3 -c` looks for modules in the working directory, the workspace; with a
		 * script of its own it looks beside that. */
		{"PYTHONSAFEPATH", prepared->has_script ? NULL : "1"},
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(variables); i++)
		r = set_variable(policy, variables[i].name, variables[i].value, error);
	return r;
}

/* What the box may do: read what boxes may read, write the hook's own directory and what its
 * `write` names. */
static int set_box(const struct hooks *hooks, const struct prepared_hook *prepared,
	struct coffer_policy *policy, struct coffer_error *error)
{
	const struct config_hook *hook = prepared->hook;
	if (hook->unboxed)
		return set(policy, "mode", "danger-full-access", error);
	/* These cannot be a workspace, and so not one that is fenced off. */
	bool too_wide = strcmp(hooks->directory, "/") == 0 ||
			strcmp(hooks->directory, "/tmp") == 0 ||
			strcmp(hooks->directory, "/var/tmp") == 0;
	bool writes = !too_wide && (prepared->state || hook->writes.count);
	int r = set(policy, "mode", writes ? "workspace-write" : "read-only", error);
	if (r == 0 && prepared->copies && access(prepared->copies, F_OK) == 0)
		r = set(policy, "allow-read", prepared->copies, error);
	if (r < 0 || !writes)
		return r;
	/* Shown, wherever it lies, and kept as it is. */
	r = set(policy, "allow-read", hooks->directory, error);
	if (r == 0)
		r = set(policy, "read-only", hooks->directory, error);
	if (r == 0 && prepared->state)
		r = set(policy, "write", prepared->state, error);
	for (size_t i = 0; r == 0 && i < hook->writes.count; i++)
		r = set(policy, "write", hook->writes.items[i], error);
	return r;
}

static uint64_t timeout_ms(const struct prepared_hook *prepared)
{
	uint64_t asked_ms = prepared->hook->timeout_ms;
	return asked_ms < MAX_TIMEOUT_MS ? asked_ms : MAX_TIMEOUT_MS;
}

static int make_policy(const struct hooks *hooks, enum hook_event event,
	const struct prepared_hook *prepared, struct coffer_policy **ret,
	struct coffer_error *error)
{
	char limits[64];
	snprintf(limits, sizeof(limits), "time=%llums,grace=%dms",
		(unsigned long long)timeout_ms(prepared), GRACE_MS);
	struct coffer_policy *policy = coffer_policy_new();
	int r = policy ? set(policy, "directory", hooks->directory, error) : -ENOMEM;
	if (r == 0)
		r = set(policy, "limit", limits, error);
	if (r == 0)
		r = set_box(hooks, prepared, policy, error);
	if (r == 0)
		r = set_environment(hooks, event, prepared, policy, error);
	if (r < 0)
		coffer_policy_free(policy);
	else
		*ret = policy;
	return r;
}

/* Runs the hook to its end and fills record, whose cause is empty where nothing ran. */
static void run_in_child(const struct hooks *hooks, enum hook_event event,
	const struct prepared_hook *prepared, int fds[3], struct record *record)
{
	struct coffer_policy *policy = NULL;
	struct coffer_box *box = NULL;
	struct coffer_report *report = NULL;
	struct coffer_error error = {0};
	struct coffer_stdio stdio = {{fds[0], fds[1], fds[2]}};
	int r = hooks_clean_environment(hooks->directory);
	if (r == 0)
		r = make_policy(hooks, event, prepared, &policy, &error);
	if (r == 0)
		r = coffer_box_start(policy, strv_items(&prepared->argv), &stdio, &box, &error);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	if (r == 0)
		r = coffer_box_wait(box, &report, &error);
	if (r == 0) {
		const struct coffer_error *told = coffer_report_error(report);
		record->exit_code = coffer_report_exit_code(report);
		snprintf(record->cause, sizeof(record->cause), "%s", coffer_report_cause(report));
		snprintf(record->why, sizeof(record->why), "%.590s", told ? told->message : "");
	} else {
		snprintf(record->why, sizeof(record->why), "its box: %.580s",
			error.message[0] ? error.message : strerror(-r));
	}
	coffer_box_free(box);
}

/* Never returns. Nothing of the parent's is left open: what another hook waits for must not hang on
 * this one. */
static void be_child(const struct hooks *hooks, enum hook_event event,
	const struct prepared_hook *prepared, pid_t parent, int fds[4])
{
	struct record record = {0};
	int keep[4] = {fds[0], fds[1], fds[2], fds[3]};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || fd_close_all_but(keep, ARRAY_SIZE(keep)) < 0)
		_exit(EXIT_FAILURE);
	run_in_child(hooks, event, prepared, fds, &record);
	_exit(fd_write_full(fds[3], &record, sizeof(record)) < 0);
}

/* ---- the parent ---- */

static int start_child(struct hooks *hooks, enum hook_event event, const struct buffer *input,
	const struct prepared_hook *prepared, struct running *running)
{
	/* Each its own: they would share one's place in the file. */
	struct buffer copy = *input;
	cleanup_close int stdin_fd = request_seal(&copy);
	if (stdin_fd < 0)
		return stdin_fd;
	if (lseek(stdin_fd, 0, SEEK_SET) < 0)
		return -errno;
	int output[2] = {-1, -1}, complaint[2] = {-1, -1}, ended[2] = {-1, -1};
	int r = 0;
	if (pipe2(output, O_CLOEXEC) < 0 || pipe2(complaint, O_CLOEXEC) < 0 ||
		pipe2(ended, O_CLOEXEC) < 0)
		r = -errno;
	pid_t parent = getpid();
	running->child = r == 0 ? fork() : -1;
	if (running->child == 0)
		be_child(hooks, event, prepared, parent,
			(int[4]){stdin_fd, output[1], complaint[1], ended[1]});
	if (r == 0 && running->child < 0)
		r = -errno;
	close_fd(&output[1]);
	close_fd(&complaint[1]);
	close_fd(&ended[1]);
	running->output = output[0];
	running->complaint = complaint[0];
	running->ended = ended[0];
	if (r == 0 && (fcntl(output[0], F_SETFL, O_NONBLOCK) < 0 ||
			      fcntl(complaint[0], F_SETFL, O_NONBLOCK) < 0))
		r = -errno;
	return r;
}

static void let_go(struct running *running)
{
	close_fd(&running->output);
	close_fd(&running->complaint);
	close_fd(&running->ended);
	if (running->child > 0) {
		kill(running->child, SIGKILL);
		while (waitpid(running->child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	running->child = -1;
	running->result = NULL;
}

static void not_run(struct hook_result *result, const char *why)
{
	snprintf(result->why, sizeof(result->why), "%s", why);
	result->end.kind = HOOK_NOT_RUN;
	result->end.why = result->why;
}

static void start(struct hooks *hooks, enum hook_event event, const struct buffer *input,
	struct hook_result *result, struct running *running)
{
	*running = (struct running){.result = result,
		.child = -1,
		.output = -1,
		.complaint = -1,
		.ended = -1,
		.started_us = clock_now_us()};
	if (result->prepared->refusal) {
		not_run(result, result->prepared->refusal);
		running->result = NULL;
		return;
	}
	uint64_t all_ms = timeout_ms(result->prepared) + GRACE_MS + SLACK_MS;
	running->deadline_us = running->started_us + all_ms * 1000;
	int r = start_child(hooks, event, input, result->prepared, running);
	if (r < 0) {
		not_run(result, strerror(-r));
		let_go(running);
	}
}

/* The child, and by its socket the box, end; what the box still says is thrown away. */
static void give_up(struct running *running, enum hook_end_kind kind)
{
	running->result->end.kind = kind;
	running->given_up = true;
	running->deadline_us = clock_now_us() + ENDING_MS * 1000ull;
	kill(running->child, SIGKILL);
}

/* Reads what there is. False: nothing more will come. */
static bool read_some(int fd, struct buffer *kept, bool *too_much)
{
	char chunk[64 * 1024];
	/* Bounded, so that who prints without an end cannot hold up the clock. */
	for (int i = 0; i < 64; i++) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		if (kept)
			buffer_append(kept, chunk, (size_t)n);
		if (kept && buffer_error(kept) < 0) {
			*too_much = true;
			return true;
		}
	}
	return true;
}

static void settle_end(struct hook_result *result, const struct record *record)
{
	static const struct {
		const char *cause;
		enum hook_end_kind kind;
		int code_offset;
	} causes[] = {{"exited", HOOK_EXITED, 0}, {"signaled", HOOK_SIGNALED, 128},
		{"timed_out", HOOK_TIMED_OUT, 0}};
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		if (strcmp(record->cause, causes[i].cause) != 0)
			continue;
		result->end.kind = causes[i].kind;
		result->end.code = record->exit_code - causes[i].code_offset;
		return;
	}
	snprintf(result->why, sizeof(result->why), "%s%s%.590s", record->cause,
		record->cause[0] && record->why[0] ? ": " : "", record->why);
	result->end.kind = HOOK_NOT_RUN;
	result->end.why = result->why;
}

/* The child has said its word, or died without one. */
static void take_record(struct running *running)
{
	struct record record = {0};
	bool whole = fd_read_full(running->ended, &record, sizeof(record)) == sizeof(record);
	record.cause[sizeof(record.cause) - 1] = record.why[sizeof(record.why) - 1] = '\0';
	close_fd(&running->ended);
	if (running->given_up)
		return;
	if (whole)
		settle_end(running->result, &record);
	else
		not_run(running->result, "the process that held its box was killed");
}

static void finish(struct running *running)
{
	struct hook_result *result = running->result;
	result->took_us = clock_now_us() - running->started_us;
	result->end.output = result->output.data ? result->output.data : "";
	result->end.output_bytes = result->output.length_bytes;
	result->end.complaint = result->complaint.data ? result->complaint.data : "";
	result->end.complaint_bytes = result->complaint.length_bytes;
	let_go(running);
}

/* What poll() said about one hook; finishes it where it is over. */
static void attend(struct running *running, const struct pollfd polled[3])
{
	struct hook_result *result = running->result;
	bool too_much = false;
	bool keep = !running->given_up;
	if (polled[0].revents &&
		!read_some(running->output, keep ? &result->output : NULL, &too_much))
		close_fd(&running->output);
	if (polled[1].revents &&
		!read_some(running->complaint, keep ? &result->complaint : NULL, &too_much))
		close_fd(&running->complaint);
	if (too_much)
		give_up(running, HOOK_SAID_TOO_MUCH);
	if (polled[2].revents)
		take_record(running);
	/* The box is gone when its record is there, and with it whatever could write. */
	if (running->output < 0 && running->complaint < 0 && running->ended < 0) {
		finish(running);
	} else if (clock_now_us() >= running->deadline_us) {
		if (running->given_up)
			finish(running);
		else
			give_up(running, HOOK_TIMED_OUT);
	}
}

static int wait_ms(const struct running running[], size_t count)
{
	uint64_t now = clock_now_us(), soonest = UINT64_MAX;
	for (size_t i = 0; i < count; i++)
		if (running[i].result && running[i].deadline_us < soonest)
			soonest = running[i].deadline_us;
	return soonest <= now ? 0 : (int)((soonest - now) / 1000 + 1);
}

int hooks_run(struct hooks *hooks, enum hook_event event, const struct buffer *input,
	struct hook_result *results, size_t count)
{
	struct running running[MAX_HOOKS_AT_ONCE] = {0};
	size_t started = 0;
	for (;;) {
		struct pollfd polled[MAX_HOOKS_AT_ONCE * 3];
		bool any = false;
		for (size_t i = 0; i < MAX_HOOKS_AT_ONCE; i++) {
			while (!running[i].result && started < count)
				start(hooks, event, input, &results[started++], &running[i]);
			bool runs = running[i].result != NULL;
			int fds[3] = {running[i].output, running[i].complaint, running[i].ended};
			for (size_t k = 0; k < 3; k++)
				polled[i * 3 + k] =
					(struct pollfd){.fd = runs ? fds[k] : -1, .events = POLLIN};
			any = any || runs;
		}
		if (!any)
			return 0;
		int ready = poll(polled, ARRAY_SIZE(polled), wait_ms(running, MAX_HOOKS_AT_ONCE));
		if (ready < 0 && errno != EINTR) {
			int code = errno;
			for (size_t i = 0; i < MAX_HOOKS_AT_ONCE; i++)
				if (running[i].result)
					let_go(&running[i]);
			return -code;
		}
		for (size_t i = 0; i < MAX_HOOKS_AT_ONCE && ready >= 0; i++)
			if (running[i].result)
				attend(&running[i], &polled[i * 3]);
	}
}
