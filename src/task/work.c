/* Theory of operation. Each piece of work is a forked process that dies with its parent (the kernel
 * sees to it) and is a subreaper: whatever its boxes' supervisors leave is its child in the end, so
 * "all is dead" is a fact that wait() states. What it learns it tells as lines of JSON in a pipe;
 * its last line says how it went. The store is the parent's alone. */
#include "task/work.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "task/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { POLL_MS = 200, ALONE_MS = 20000, ALONE_PAUSE_US = 2000 };

static const char stage[] = "task";

static volatile sig_atomic_t cancelled;

static void note_signal(int number)
{
	(void)number;
	cancelled = 1;
}

void task_work_catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = note_signal};
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool task_work_cancelled(void)
{
	return cancelled;
}

int task_work_tick(void *unused)
{
	(void)unused;
	return cancelled ? -ECANCELED : 0;
}

json_t *task_json_text(const char *text)
{
	json_t *plain = json_string(text);
	if (plain)
		return plain;
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_TASK_RESULT_BYTES);
	buffer_append_json(&buffer, text);
	return buffer_error(&buffer) < 0 ? NULL : json_loads(buffer.data, JSON_DECODE_ANY, NULL);
}

/* ---- in the process of its own ---- */

int task_work_tell(const struct task_work *work, json_t *event)
{
	cleanup_free char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	if (!text)
		return -ENOMEM;
	int r = fd_write_full(work->pipe, text, strlen(text));
	return r < 0 ? r : fd_write_full(work->pipe, "\n", 1);
}

int task_work_alone(struct error *error)
{
	uint64_t deadline_us = clock_now_us() + (uint64_t)ALONE_MS * 1000;
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return 0;
		if (pid == 0 && clock_now_us() > deadline_us)
			return error_set(error, EBUSY, stage,
				"a process of the box is still there %d s after its end",
				ALONE_MS / 1000);
		if (pid == 0)
			usleep(ALONE_PAUSE_US);
	}
}

static void become_work(struct task_work *work, pid_t parent)
{
	struct error error = {0};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	/* A key on the terminal is the parent's to pass on. */
	setpgid(0, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	int r = 0;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		r = error_set_errno(&error, errno, stage, "becoming a subreaper");
	if (r == 0)
		r = work->body(work, &error);
	if (r < 0 && cancelled)
		r = error_set(&error, ECANCELED, stage, "cancelled");
	json_t *last = json_pack("{s:i, s:i, s:o, s:o, s:o}", "end", r, "errno",
		error.errno_value ? error.errno_value : -r, "stage", task_json_text(error.stage),
		"message", task_json_text(error.message), "hint", task_json_text(error.hint));
	_exit(task_work_tell(work, last) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- in the waiting process ---- */

static int start(struct task_work *work, struct error *error)
{
	int r = work->begin ? work->begin(work, error) : 0;
	if (r < 0)
		return r;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, stage, "a pipe");
	work->pending = (struct buffer)BUFFER_INIT(MAX_TASK_RESULT_BYTES);
	work->result = error_set(&work->error, EPIPE, stage,
		"the process that did the work ended "
		"without a word");
	fflush(NULL);
	pid_t parent = getpid();
	work->pipe = ends[1];
	work->pid = fork();
	if (work->pid == 0) {
		close(ends[0]);
		become_work(work, parent);
	}
	int code = errno;
	close(ends[1]);
	work->pipe = ends[0];
	if (work->pid > 0)
		return 0;
	work->pid = -1;
	close_fd(&work->pipe);
	return error_set_errno(error, code, stage, "fork");
}

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	snprintf(to, size, "%s", text ? text : "");
}

static int take_line(struct task_work *work, const char *line, size_t length, struct error *error)
{
	json_t *event = json_loadb(line, length, 0, NULL);
	const json_t *end = json_object_get(event, "end");
	int r = 0;
	if (end) {
		work->ended = true;
		work->result = (int)json_integer_value(end);
		work->error = (struct error){
			.errno_value = (int)json_integer_value(json_object_get(event, "errno"))};
		copy_text(work->error.stage, sizeof(work->error.stage), event, "stage");
		copy_text(work->error.message, sizeof(work->error.message), event, "message");
		copy_text(work->error.hint, sizeof(work->error.hint), event, "hint");
	} else if (event && work->told) {
		r = work->told(work, event, error);
	}
	json_decref(event);
	return r;
}

/* 1: the pipe is at its end. */
static int take_lines(struct task_work *work, struct error *error)
{
	char chunk[16 * 1024];
	ssize_t n = read(work->pipe, chunk, sizeof(chunk));
	if (n < 0)
		return errno == EINTR ? 0 : error_set_errno(error, errno, stage, "a pipe");
	if (n == 0)
		return 1;
	buffer_append(&work->pending, chunk, (size_t)n);
	if (buffer_error(&work->pending) < 0)
		return error_set_errno(error, -buffer_error(&work->pending), stage, "an event");
	int r = 0;
	char *from = work->pending.data, *end = from + work->pending.length_bytes, *newline;
	while (r == 0 && (newline = memchr(from, '\n', (size_t)(end - from)))) {
		r = take_line(work, from, (size_t)(newline - from), error);
		from = newline + 1;
	}
	size_t left = (size_t)(end - from);
	cleanup_free char *rest = left ? malloc(left) : NULL;
	if (left && !rest)
		return error_set_errno(error, ENOMEM, stage, "an event");
	if (left)
		memcpy(rest, from, left);
	buffer_clear(&work->pending);
	buffer_append(&work->pending, rest ? rest : "", left);
	return r;
}

static int finish(struct task_work *work, struct error *error)
{
	int status = 0;
	while (waitpid(work->pid, &status, 0) < 0 && errno == EINTR)
		;
	work->pid = -1;
	close_fd(&work->pipe);
	buffer_release(&work->pending);
	if (!work->ended && WIFSIGNALED(status))
		work->result = error_set(&work->error, EPIPE, stage,
			"the process that did the work was killed (signal %d)", WTERMSIG(status));
	return work->end ? work->end(work, error) : 0;
}

static void signal_all(const struct task_work *works, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (works[i].pid > 0)
			kill(works[i].pid, number);
}

/* Waits for something from those that run. -errno of a callback. */
static int serve(struct task_work *works, size_t count, struct error *error)
{
	struct pollfd waiting[MAX_TASK_ATTEMPTS];
	struct task_work *of[MAX_TASK_ATTEMPTS];
	size_t n = 0;
	for (size_t i = 0; i < count && n < MAX_TASK_ATTEMPTS; i++)
		if (works[i].pid > 0) {
			waiting[n] = (struct pollfd){.fd = works[i].pipe, .events = POLLIN};
			of[n++] = &works[i];
		}
	if (poll(waiting, n, POLL_MS) < 0)
		return errno == EINTR ? 0 : error_set_errno(error, errno, stage, "poll");
	int r = 0;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (!waiting[i].revents)
			continue;
		r = take_lines(of[i], error);
		if (r == 1)
			r = finish(of[i], error);
	}
	return r < 0 ? r : 0;
}

static size_t running(const struct task_work *works, size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		n += works[i].pid > 0;
	return n;
}

int task_work_run(struct task_work *works, size_t count, size_t at_once, struct error *error)
{
	int r = 0;
	bool told = false;
	size_t next = 0;
	struct error later;
	for (;;) {
		bool stop = r < 0 || cancelled;
		while (!stop && next < count && running(works, count) < at_once) {
			r = start(&works[next++], error);
			stop = r < 0;
		}
		if (running(works, count) == 0 && (stop || next == count))
			break;
		if (stop && !told) {
			signal_all(works, count, SIGTERM);
			told = true;
		}
		int served = serve(works, count, r < 0 ? &later : error);
		if (r == 0)
			r = served;
		if (count)
			task_progress_tick(works[0].task);
	}
	if (r == 0 && cancelled)
		r = error_set(error, ECANCELED, stage, "cancelled");
	return r;
}
