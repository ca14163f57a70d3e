/* Theory of operation. A library must not turn its caller's process into a supervisor: becoming a
 * subreaper, blocking signals and reaping children would poison it. So the program `coffer` is
 * started with the policy in a sealed memfd and one socket; it outlives nothing: when the socket
 * closes, it ends its box. */
#include "library/library.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/request.h"
#include "run/protocol.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static char program_path[PATH_MAX];

struct ended {
	uint32_t id;
	int status;
};

struct coffer_box {
	pid_t supervisor;
	int socket;
	uint32_t last_id;
	struct ended *ended; /* commands whose end was told and not yet asked for */
	size_t ended_count;
	bool ready, without_command, first_ended;
	struct coffer_report *report; /* came with the last message */
	struct error error;
};

void coffer_set_program(const char *path)
{
	snprintf(program_path, sizeof(program_path), "%s", path);
}

static bool is_program(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Set by name, else beside the caller, else where it was installed, else in PATH. */
static bool find_program(char path[static PATH_MAX])
{
	const char *named = program_path[0] ? program_path : getenv("COFFER_PROGRAM");
	if (named) {
		snprintf(path, PATH_MAX, "%s", named);
		return is_program(path);
	}
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (slash &&
			snprintf(path, PATH_MAX, "%.*s/coffer", (int)(slash - self), self) <
				PATH_MAX &&
			is_program(path))
			return true;
	}
	snprintf(path, PATH_MAX, "%s", COFFER_INSTALLED_PROGRAM);
	if (is_program(path))
		return true;
	const char *search = getenv("PATH");
	for (const char *s = search ? search : ""; *s;) {
		size_t length = strcspn(s, ":");
		if (length && snprintf(path, PATH_MAX, "%.*s/coffer", (int)length, s) < PATH_MAX &&
			is_program(path))
			return true;
		s += length + (s[length] == ':');
	}
	return false;
}

static int seal_request(const struct coffer_policy *policy, char *const argv[], struct error *error)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	request_add(&buffer, strv_items(&policy->settings));
	request_add(&buffer, argv);
	int fd = request_seal(&buffer);
	return fd < 0 ? error_set_errno(error, -fd, "libcoffer", "the request") : fd;
}

/* In the child: the fixed places of everything, then the program. Only system calls. */
static void become_supervisor(const char *path, const int stdio[3], int request, int socket)
{
	int from[5] = {stdio[0], stdio[1], stdio[2], request, socket};
	/* Out of the way of the places first. */
	for (int i = 0; i < 5; i++) {
		if (from[i] < 0 && i < 3)
			from[i] = open("/dev/null", O_RDWR);
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 5);
		if (from[i] < 0)
			_exit(EXIT_FAILURE);
	}
	for (int i = 0; i < 5; i++)
		if (dup2(from[i], i) < 0)
			_exit(EXIT_FAILURE);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Out of the caller's process group: a key on its terminal is the caller's to pass on. */
	setpgid(0, 0);
	char *argv[] = {(char *)"coffer", (char *)"supervise", NULL};
	execve(path, argv, environ);
	_exit(EXIT_FAILURE);
}

static void take_report(struct coffer_box *box, const struct message *message, int fd)
{
	struct coffer_report *report = calloc(1, sizeof(*report));
	if (!report)
		return;
	report->remote = true;
	report->exit_code = message->value;
	report->report.error = message->error;
	snprintf(report->cause, sizeof(report->cause), "%s",
		message->index <= CAUSE_KILLED ? cause_name((enum cause)message->index) : "killed");
	struct stat st;
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= MAX_REPORT_BYTES) {
		report->json = calloc(1, (size_t)st.st_size + 1);
		if (report->json && pread(fd, report->json, (size_t)st.st_size, 0) != st.st_size) {
			free(report->json);
			report->json = NULL;
		}
	}
	box->report = report;
	box->error = message->error;
}

static void note_end(struct coffer_box *box, uint32_t id, int status)
{
	box->first_ended = box->first_ended || id == 0;
	struct ended *ended = reallocarray(box->ended, box->ended_count + 1, sizeof(*box->ended));
	if (!ended)
		return;
	box->ended = ended;
	ended[box->ended_count++] = (struct ended){.id = id, .status = status};
}

/* Takes one message. 0; -ETIME; -EPIPE when the supervisor is gone. */
static int take_message(struct coffer_box *box, int timeout_ms)
{
	struct pollfd waiting = {.fd = box->socket, .events = POLLIN};
	int ready = poll(&waiting, 1, timeout_ms);
	if (ready == 0)
		return -ETIME;
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	struct message message;
	int fds[FD_PASS_MAX];
	size_t count = FD_PASS_MAX;
	ssize_t n = fd_receive(box->socket, &message, sizeof(message), fds, &count);
	if (n != (ssize_t)sizeof(message))
		return -EPIPE;
	switch (message.kind) {
	case MESSAGE_READY:
		box->ready = true;
		break;
	case MESSAGE_EXITED:
		note_end(box, message.id, message.value);
		break;
	case MESSAGE_EXEC_FAILED:
		note_end(box, message.id, (message.value == ENOENT ? 127 : 126) << 8);
		break;
	case MESSAGE_REPORT:
		take_report(box, &message, count ? fds[0] : -1);
		break;
	default:
		break;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return 0;
}

static int start_supervisor(struct coffer_box *box, const struct coffer_policy *policy,
	char *const argv[], const struct coffer_stdio *stdio, struct error *error)
{
	char path[PATH_MAX];
	if (!find_program(path)) {
		error_set(error, ENOENT, "libcoffer", "the program `coffer` is not found");
		return error_hint(error, "set COFFER_PROGRAM, or call coffer_set_program()");
	}
	cleanup_close int request = seal_request(policy, argv, error);
	if (request < 0)
		return request;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "libcoffer", "the socket");
	box->socket = pair[0];
	static const int own[3] = {0, 1, 2};
	box->supervisor = fork();
	if (box->supervisor == 0)
		become_supervisor(path, stdio ? stdio->fds : own, request, pair[1]);
	int code = errno;
	close(pair[1]);
	return box->supervisor < 0 ? error_set_errno(error, code, "libcoffer", "fork") : 0;
}

int coffer_box_start(const struct coffer_policy *policy, char *const argv[],
	const struct coffer_stdio *stdio, struct coffer_box **ret, struct coffer_error *ret_error)
{
	struct error error = {0};
	struct coffer_box *box = calloc(1, sizeof(*box));
	if (!box) {
		error_set_errno(&error, ENOMEM, "libcoffer", "a box");
		library_copy_error(ret_error, &error);
		return -ENOMEM;
	}
	box->socket = -1;
	box->without_command = !argv[0];
	int r = start_supervisor(box, policy, argv, stdio, &error);
	while (r == 0 && !box->ready && !box->report)
		r = take_message(box, -1);
	if (r == -EPIPE && !error.errno_value)
		error_set(&error, EPIPE, "libcoffer", "the supervisor ended without a word");
	if (r == 0 && !box->ready) {
		error = box->error;
		r = error.errno_value ? -error.errno_value : -ECANCELED;
	}
	if (r < 0) {
		coffer_box_free(box);
		library_copy_error(ret_error, &error);
		return r;
	}
	*ret = box;
	return 0;
}

int coffer_box_exec(struct coffer_box *box, char *const argv[], char *const environment[],
	const char *directory, const struct coffer_stdio *stdio, uint32_t *ret_id,
	struct coffer_error *ret_error)
{
	struct error error = {0};
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	char *directories[] = {(char *)directory, NULL};
	request_add(&buffer, directories);
	request_add(&buffer, argv);
	request_add(&buffer, environment);
	cleanup_close int request = request_seal(&buffer);
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r = request < 0 ? request : null < 0 ? -errno : 0;
	if (r == 0) {
		int fds[4] = {0, 1, 2, request};
		for (int i = 0; stdio && i < 3; i++)
			fds[i] = stdio->fds[i] >= 0 ? stdio->fds[i] : null;
		struct message message = {.kind = MESSAGE_EXEC, .id = box->last_id + 1};
		r = fd_send(box->socket, &message, sizeof(message), fds, 4);
	}
	if (r < 0) {
		error_set_errno(&error, -r, "libcoffer", "starting %s in the box", argv[0]);
		library_copy_error(ret_error, &error);
		return r;
	}
	*ret_id = ++box->last_id;
	return 0;
}

int coffer_box_wait_exec(struct coffer_box *box, uint32_t id, int timeout_ms, int *ret_status,
	struct coffer_error *ret_error)
{
	uint64_t deadline_us = clock_now_us() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000;
	for (;;) {
		for (size_t i = 0; i < box->ended_count; i++) {
			if (box->ended[i].id != id)
				continue;
			*ret_status = box->ended[i].status;
			box->ended[i] = box->ended[--box->ended_count];
			return 0;
		}
		uint64_t now = clock_now_us();
		int left_ms = timeout_ms < 0       ? -1
			      : now >= deadline_us ? 0
						   : (int)((deadline_us - now + 999) / 1000);
		int r = box->report ? -EPIPE : take_message(box, left_ms);
		if (r < 0) {
			struct error error = {0};
			error_set_errno(&error, -r, "libcoffer", "waiting for command %u", id);
			library_copy_error(ret_error, &error);
			return r;
		}
	}
}

int coffer_box_fd(const struct coffer_box *box)
{
	return box->socket;
}

int coffer_box_signal(
	struct coffer_box *box, uint32_t id, int signal, struct coffer_error *ret_error)
{
	struct message message = {
		.kind = MESSAGE_SIGNAL, .id = id, .value = signal, .index = SIGNAL_COMMAND};
	int r = fd_send(box->socket, &message, sizeof(message), NULL, 0);
	if (r < 0) {
		struct error error = {0};
		error_set_errno(&error, -r, "libcoffer", "signal %d", signal);
		library_copy_error(ret_error, &error);
	}
	return r;
}

int coffer_box_wait(
	struct coffer_box *box, struct coffer_report **ret, struct coffer_error *ret_error)
{
	int status, r = 0;
	if (box->report == NULL && !box->without_command && !box->first_ended)
		r = coffer_box_wait_exec(box, 0, -1, &status, ret_error);
	if (r < 0 && r != -EPIPE)
		return r;
	/* No more requests: the supervisor ends the box, and its last word is the report. */
	shutdown(box->socket, SHUT_WR);
	r = 0;
	while (!box->report && r == 0)
		r = take_message(box, -1);
	if (!box->report) {
		struct error error = {0};
		error_set(&error, EPIPE, "libcoffer", "the supervisor ended without a report");
		library_copy_error(ret_error, &error);
		return -EPIPE;
	}
	*ret = steal_pointer(&box->report);
	return 0;
}

void coffer_box_free(struct coffer_box *box)
{
	if (!box)
		return;
	close_fd(&box->socket);
	if (box->supervisor > 0)
		while (waitpid(box->supervisor, NULL, 0) < 0 && errno == EINTR)
			;
	coffer_report_free(box->report);
	free(box->ended);
	free(box);
}
