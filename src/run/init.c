/* Theory of operation. Init is all that coffer leaves inside a box. It is under the box's filter
 * but outside of the commands' Landlock domain, not dumpable, and holds no capability; it can start
 * what the supervisor asks for and signal what it started, and when the supervisor goes (a closed
 * socket, and the parent-death signal behind that) it goes, and the PID namespace with it. */
#include "run/init.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/request.h"
#include "base/strv.h"
#include "confine/seccomp.h"
#include "run/command.h"
#include "run/protocol.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct running {
	pid_t pid; /* 0: the slot is free */
	uint32_t id;
};

enum { MAX_RUNNING = 256 };

struct init {
	const struct init_options *options;
	struct running running[MAX_RUNNING];
};

static void say(enum message_kind kind, uint32_t id, int value, const int *fds, size_t fds_count)
{
	struct message message = {.kind = kind, .id = id, .value = value};
	/* A supervisor that is gone is noticed by the loop. */
	fd_send(CONTROL_FD, &message, sizeof(message), fds, fds_count);
}

/* The PID namespace goes with init; without one, the keeper ends what is left. */
static noreturn void end(void)
{
	_exit(0);
}

static struct running *find_running(struct init *init, uint32_t id)
{
	for (size_t i = 0; i < MAX_RUNNING; i++)
		if (init->running[i].pid && init->running[i].id == id)
			return &init->running[i];
	return NULL;
}

static void start(struct init *init, uint32_t id, const struct command *command)
{
	struct running *slot = NULL;
	for (size_t i = 0; i < MAX_RUNNING && !slot; i++)
		if (!init->running[i].pid)
			slot = &init->running[i];
	int exec_errno = 0;
	pid_t pid = slot ? command_start(command, &exec_errno) : -EAGAIN;
	if (pid < 0) {
		say(MESSAGE_EXEC_FAILED, id, pid, NULL, 0);
	} else if (exec_errno) {
		/* The zombie of the attempt is reaped like any orphan. */
		say(MESSAGE_EXEC_FAILED, id, exec_errno, NULL, 0);
	} else {
		*slot = (struct running){.pid = pid, .id = id};
	}
}

static void start_first(struct init *init)
{
	const struct init_options *options = init->options;
	struct command command = {
		.argv = strv_items(&options->plan->argv),
		.environment = strv_items(&options->plan->environment),
		.directory = options->plan->directory,
		.terminal = options->slave,
		.foreground = options->foreground,
		.ruleset = options->ruleset,
	};
	for (int i = 0; i < 3; i++)
		command.stdio[i] = options->stdio[i] >= 0 ? options->stdio[i] : options->slave;
	start(init, 0, &command);
	for (int i = 0; i < 3; i++)
		if (options->stdio[i] > 2)
			close(options->stdio[i]);
	/* The slave stays open: a PTY without one counts as hung up. Beside it init keeps nothing
	 * of the caller's: an end of a pipe held here would never be seen. */
	for (int i = 0; i < 3; i++)
		dup2(options->null, i);
	close(options->null);
}

static void start_another(struct init *init, uint32_t id, const int *fds)
{
	cleanup_strv struct strv directory = {0}, argv = {0}, environment = {0};
	struct strv *lists[] = {&directory, &argv, &environment};
	struct stat st;
	int r = -EINVAL;
	cleanup_free char *block = NULL;
	if (fstat(fds[3], &st) == 0 && st.st_size > 0 && st.st_size <= MAX_CONTROL_MESSAGE_BYTES) {
		block = malloc((size_t)st.st_size);
		r = block ? 0 : -ENOMEM;
	}
	if (r == 0 && pread(fds[3], block, (size_t)st.st_size, 0) != st.st_size)
		r = -EIO;
	if (r == 0)
		r = request_parse(block, (size_t)st.st_size, lists, ARRAY_SIZE(lists));
	if (r == 0 && (directory.count > 1 || argv.count == 0))
		r = -EINVAL;
	if (r < 0) {
		say(MESSAGE_EXEC_FAILED, id, r, NULL, 0);
		return;
	}
	const struct plan *plan = init->options->plan;
	struct command command = {.argv = strv_items(&argv),
		.environment = environment.count ? strv_items(&environment)
						 : strv_items(&plan->environment),
		.directory = directory.count ? directory.items[0] : plan->directory,
		.stdio = {fds[0], fds[1], fds[2]},
		.terminal = -1,
		.ruleset = init->options->ruleset};
	start(init, id, &command);
}

static void pass_signal(struct init *init, const struct message *message)
{
	if (message->index == SIGNAL_BOX && init->options->plan->tier == TIER_CONTAINER) {
		kill(-1, message->value);
		return;
	}
	const struct running *running = find_running(init, message->id);
	if (running)
		kill(message->index == SIGNAL_GROUP ? -running->pid : running->pid, message->value);
}

/* The caller gives the terminal (back) to a command that was stopped. */
static void continue_command(struct init *init, const struct message *message)
{
	const struct running *running = find_running(init, message->id);
	if (!running)
		return;
	if (init->options->slave >= 0)
		tcsetpgrp(init->options->slave, running->pid);
	kill(-running->pid, SIGCONT);
}

static void handle_message(struct init *init)
{
	struct message message;
	int fds[FD_PASS_MAX];
	size_t count = FD_PASS_MAX;
	ssize_t n = fd_receive(CONTROL_FD, &message, sizeof(message), fds, &count);
	if (n != (ssize_t)sizeof(message))
		end(); /* the supervisor is gone */
	if (message.kind == MESSAGE_EXEC && count == 4)
		start_another(init, message.id, fds);
	else if (message.kind == MESSAGE_SIGNAL)
		pass_signal(init, &message);
	else if (message.kind == MESSAGE_CONTINUE)
		continue_command(init, &message);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

static void handle_child(struct init *init, pid_t pid, int status)
{
	for (size_t i = 0; i < MAX_RUNNING; i++) {
		struct running *running = &init->running[i];
		if (running->pid != pid)
			continue;
		if (WIFSTOPPED(status)) {
			say(MESSAGE_STOPPED, running->id, WSTOPSIG(status), NULL, 0);
			return;
		}
		uint32_t id = running->id;
		running->pid = 0;
		say(MESSAGE_EXITED, id, status, NULL, 0);
		if (id == 0 && !init->options->plan->many_execs)
			end();
	}
}

static void reap(struct init *init)
{
	struct signalfd_siginfo discarded[8];
	while (read(init->options->signals, discarded, sizeof(discarded)) > 0)
		;
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;)
		handle_child(init, pid, status);
}

noreturn void init_run(const struct init_options *options)
{
	static struct init init;
	init.options = options;
	if (options->plan->argv.count > 0)
		start_first(&init);
	for (;;) {
		struct pollfd fds[] = {{.fd = CONTROL_FD, .events = POLLIN},
			{.fd = options->signals, .events = POLLIN}};
		if (ppoll(fds, ARRAY_SIZE(fds), NULL, NULL) < 0 && errno != EINTR)
			end();
		if (fds[1].revents)
			reap(&init);
		if (fds[0].revents)
			handle_message(&init);
	}
}
