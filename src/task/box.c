/* Theory of operation. The box is libcoffer's, under a supervisor that is a process of its own and
 * ends it when its socket closes: so no death of this process leaves one running. The supervisor
 * opens, begins and settles the layer; here is only which policy a task's boxes have, and the wait.
 * The supervisor's environment is what a box's is made from, hence it gets next to none. */
#include "task/box.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "coffer.h"

#include <poll.h>
#include <string.h>

extern char **environ;

enum { TICK_MS = 100, EXIT_CANCELLED = 128 + 15 };

static const char stage[] = "box";

/* What a supervisor needs of the host: where coffer and its state are. */
static const char *const supervisor_variables[] = {"HOME", "XDG_STATE_HOME", "COFFER_PROGRAM"};

static int take_error(struct error *error, const struct coffer_error *from)
{
	int r = error_set(error, from->errno_value ? from->errno_value : EIO,
		from->stage[0] ? from->stage : stage, "%s", from->message);
	return from->hint[0] ? error_hint(error, "%s", from->hint) : r;
}

static int set(
	struct coffer_policy *policy, const char *key, const char *value, struct error *error)
{
	struct coffer_error refused = {0};
	return coffer_policy_set(policy, key, value, &refused) < 0 ? take_error(error, &refused)
								   : 0;
}

static int set_each(struct coffer_policy *policy, const char *key, const struct strv *values,
	struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && values && i < values->count; i++)
		r = set(policy, key, values->items[i], error);
	return r;
}

static int set_pair(struct coffer_policy *policy, const char *key, const char *left,
	const char *right, struct error *error)
{
	cleanup_free char *value = NULL;
	if (asprintf(&value, "%s=%s", left, right) < 0) {
		value = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", key);
	}
	return set(policy, key, value, error);
}

/* "key=value", or "key" alone. */
static int set_settings(
	struct coffer_policy *policy, const struct strv *settings, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && settings && i < settings->count; i++) {
		cleanup_free char *setting = strdup(settings->items[i]);
		if (!setting)
			return error_set_errno(error, ENOMEM, stage, "the settings");
		char *value = strchr(setting, '=');
		if (value)
			*value++ = '\0';
		r = set(policy, setting, value, error);
	}
	return r;
}

static int set_root(
	struct coffer_policy *policy, const char *inside, const char *base, struct error *error)
{
	return base ? set_pair(policy, "layer-root", inside, base, error)
		    : set(policy, "layer-root", inside, error);
}

static int fill_policy(
	struct coffer_policy *policy, const struct task_box *box, struct error *error)
{
	int r = set(policy, "profile", "cloud", error);
	if (r == 0)
		r = set(policy, "layer-dir", box->layer, error);
	if (r == 0)
		r = set_root(policy, TASK_WORKSPACE, box->workspace, error);
	if (r == 0)
		r = set_root(policy, TASK_HOME, box->home, error);
	for (size_t i = 0; r == 0 && i < box->views_count; i++)
		r = set_pair(policy, "view", box->views[i].from, box->views[i].at, error);
	if (r == 0)
		r = set(policy, "directory", box->directory ? box->directory : TASK_WORKSPACE,
			error);
	if (r == 0)
		r = set_each(policy, "env", box->environment, error);
	if (r == 0)
		r = set_each(policy, "secret-file", box->secret_files, error);
	return r < 0 ? r : set_settings(policy, box->settings, error);
}

/* Starts it with an environment that holds nothing of this process's own. */
static int start(const struct coffer_policy *policy, const struct task_box *box,
	struct coffer_box **ret, struct error *error)
{
	cleanup_strv struct strv kept = {0};
	for (size_t i = 0; i < ARRAY_SIZE(supervisor_variables); i++) {
		const char *value = getenv(supervisor_variables[i]);
		char *pair = NULL;
		if (value && asprintf(&pair, "%s=%s", supervisor_variables[i], value) < 0)
			return error_set_errno(error, ENOMEM, stage, "the environment");
		if (pair && strv_add_owned(&kept, pair) < 0)
			return error_set_errno(error, ENOMEM, stage, "the environment");
	}
	static char *none[] = {NULL};
	struct coffer_stdio stdio = {.fds = {box->stdio[0], box->stdio[1], box->stdio[2]}};
	struct coffer_error refused = {0};
	char **own = environ;
	environ = kept.items ? kept.items : none;
	int r = coffer_box_start(policy, box->argv, &stdio, ret, &refused);
	environ = own;
	return r < 0 ? take_error(error, &refused) : 0;
}

static bool names_cpu(const struct strv *settings)
{
	for (size_t i = 0; settings && i < settings->count; i++)
		if (strncmp(settings->items[i], "limit=", 6) == 0 &&
			strstr(settings->items[i], "cpu="))
			return true;
	return false;
}

/* Most ordinary users have no control group, without which nothing limits the processors: the
 * profile's own limit yields to that, one that somebody asked for does not. */
static int start_anyhow(struct coffer_policy *policy, const struct task_box *box,
	struct coffer_box **ret, struct error *error)
{
	int r = start(policy, box, ret, error);
	if (r != -ENOTSUP || names_cpu(box->settings))
		return r;
	struct error again;
	r = set(policy, "limit", "cpu=none", &again);
	if (r == 0)
		r = start(policy, box, ret, &again);
	if (r < 0 && r != -ENOTSUP)
		*error = again;
	return r;
}

/* Until the command has ended: 0; or what tick() said. */
static int wait_command(struct coffer_box *running, const struct task_box *box)
{
	for (;;) {
		int status;
		struct coffer_error ignored;
		int r = coffer_box_wait_exec(running, 0, 0, &status, &ignored);
		if (r != -ETIME)
			return 0;
		r = box->tick ? box->tick(box->context) : 0;
		if (r != 0)
			return r;
		struct pollfd socket = {.fd = coffer_box_fd(running), .events = POLLIN};
		poll(&socket, 1, TICK_MS);
	}
}

static int take_report(struct coffer_box *running, struct task_box_result *ret, struct error *error)
{
	struct coffer_report *report = NULL;
	struct coffer_error failed = {0};
	if (coffer_box_wait(running, &report, &failed) < 0)
		return take_error(error, &failed);
	const char *json = coffer_report_json(report);
	ret->exit_code = coffer_report_exit_code(report);
	snprintf(ret->cause, sizeof(ret->cause), "%s", coffer_report_cause(report));
	ret->report = json ? strdup(json) : NULL;
	const struct coffer_error *why = coffer_report_error(report);
	int r = 0;
	if (strcmp(ret->cause, "setup_failed") == 0 && why)
		r = take_error(error, why);
	coffer_report_free(report);
	return r;
}

int task_box_run(const struct task_box *box, struct task_box_result *ret, struct error *error)
{
	*ret = (struct task_box_result){0};
	struct coffer_box *running = NULL;
	uint64_t started_us = clock_now_us();
	struct coffer_policy *policy = coffer_policy_new();
	int r = policy ? fill_policy(policy, box, error)
		       : error_set_errno(error, ENOMEM, stage, "the policy");
	if (r == 0)
		r = start_anyhow(policy, box, &running, error);
	coffer_policy_free(policy);
	if (r < 0)
		return r;
	if (wait_command(running, box) == 0) {
		r = take_report(running, ret, error);
	} else {
		ret->exit_code = EXIT_CANCELLED;
		snprintf(ret->cause, sizeof(ret->cause), "cancelled");
	}
	coffer_box_free(running);
	ret->wall_ms = (clock_now_us() - started_us) / 1000;
	return r;
}

void task_box_result_release(struct task_box_result *result)
{
	free(result->report);
	result->report = NULL;
}
