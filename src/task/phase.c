#include "task/phase.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/path.h"
#include "policy/profile.h"
#include "task/progress.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { TAIL_BYTES = 4096 };

static const char stage[] = "task";

const char *task_phase_name(enum task_phase phase)
{
	static const char *const names[PHASES] = {
		"clone", "setup", "search", "agent", "check", "out"};
	return names[phase];
}

int task_phase_work(
	enum task_phase phase, struct task_work *work, const char *what, struct error *error)
{
	struct task *task = work->task;
	uint64_t started_us = clock_now_us();
	int r = task_phase_begin(task, phase, 0, error);
	if (r < 0)
		return r;
	task_progress_begin(task, phase, 0, what);
	r = task_work_run(work, 1, 1, error);
	if (r == 0 && work->result < 0) {
		*error = work->error;
		r = work->result;
	}
	struct error later;
	int noted = task_phase_end(task, phase, 0,
		r == 0            ? "done"
		: r == -ECANCELED ? "cancelled"
				  : "failed",
		(clock_now_us() - started_us) / 1000, 0, r < 0 ? error->message : NULL,
		r < 0 ? &later : error);
	return r < 0 ? r : noted;
}

/* ---- policy ---- */

static int add_pair(struct strv *to, const char *key, const char *value)
{
	char *pair = NULL;
	return asprintf(&pair, "%s=%s", key, value) < 0 ? -ENOMEM : strv_add_owned(to, pair);
}

static int add_each(struct strv *to, const char *key, const struct strv *values)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < values->count; i++)
		r = add_pair(to, key, values->items[i]);
	return r;
}

/* Naming a domain adds to what the profile opens by itself, where it would otherwise replace it. */
int task_setup_settings(const struct task_spec *spec, struct strv *ret)
{
	const struct profile *profile = profile_find("cloud");
	int r = add_each(ret, "allow-domain", &spec->domains);
	for (const char *const *preset = profile->net_presets;
		r == 0 && spec->domains.count && *preset; preset++)
		r = add_pair(ret, "net-preset", *preset);
	return r < 0 ? r : add_each(ret, "limit", &spec->setup_limits);
}

int task_agent_settings(const struct task_spec *spec, bool network, struct strv *ret)
{
	int r = network && spec->agent_domains.count
			? add_each(ret, "allow-domain", &spec->agent_domains)
			: strv_add(ret, "net=off");
	return r < 0 ? r : add_each(ret, "limit", &spec->limits);
}

/* ---- a command ---- */

static int open_input(const struct task *task, const char *name, struct error *error)
{
	cleanup_free char *path = path_join(task->directory, name);
	int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	return fd < 0 ? error_set_errno(error, path ? errno : ENOMEM, stage, "%s", name) : fd;
}

int task_phase_command(const struct task *task, const struct phase_command *command,
	struct task_box_result *ret, struct error *error)
{
	cleanup_close int log = task_open_log(task, command->log, error);
	if (log < 0)
		return log;
	cleanup_close int input = command->input ? open_input(task, command->input, error) : -1;
	if (command->input && input < 0)
		return input;
	char *const shell[] = {
		(char *)"/bin/sh", (char *)"-c", (char *)(uintptr_t)command->shell, NULL};
	struct task_view views[2];
	size_t count = 0;
	if (command->prompt)
		views[count++] = (struct task_view){command->prompt, PHASE_PROMPT};
	if (command->setup)
		views[count++] = (struct task_view){command->setup, PHASE_SETUP_FILE};
	struct task_box box = {.layer = command->layer,
		.home = command->home,
		.argv = command->argv ? command->argv : shell,
		.environment = command->environment,
		.settings = command->settings,
		.secret_files = command->secret_files,
		.views = views,
		.views_count = count,
		.stdio = {input, log, log},
		.tick = task_work_tick};
	int r = task_box_run(&box, ret, error);
	if (r == 0 && strcmp(ret->cause, "cancelled") == 0)
		r = error_set(error, ECANCELED, stage, "cancelled");
	return r;
}

void task_log_tail(const struct task *task, const char *log, char *ret, size_t size)
{
	ret[0] = '\0';
	cleanup_free char *path = path_join(task->directory, log);
	cleanup_close int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	char text[TAIL_BYTES + 1];
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
	ssize_t n = pread(fd, text, TAIL_BYTES, from);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
		n--;
	if (n <= 0)
		return;
	text[n] = '\0';
	const char *line = strrchr(text, '\n');
	snprintf(ret, size, "%s", line ? line + 1 : text);
}

void task_describe_end(const char *cause, int exit_code, char *ret, size_t size)
{
	if (strcmp(cause, "exited") == 0)
		snprintf(ret, size, "exit %d", exit_code);
	else if (strcmp(cause, "signaled") == 0)
		snprintf(ret, size, "killed by signal %d", exit_code - 128);
	else if (strcmp(cause, "timed_out") == 0)
		snprintf(ret, size, "out of time");
	else if (strcmp(cause, "out_of_memory") == 0)
		snprintf(ret, size, "out of memory");
	else
		snprintf(ret, size, "%s (exit %d)", cause, exit_code);
}
