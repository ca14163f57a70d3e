/* The last phase: the best attempt's patch gets its place, and what was asked for beside it. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "coffer.h"
#include "task/phase.h"
#include "task/progress.h"
#include "task/subject.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const char stage[] = "out";

/* The same file under another name: written whole before, so it appears whole. */
static int place(const struct task *task, int64_t number, const char *name, struct error *error)
{
	cleanup_free char *from = NULL, *fresh = NULL;
	cleanup_free char *to = path_join(task->directory, name);
	if (!to || asprintf(&from, "%s/attempt-%" PRId64 "/%s", task->directory, number, name) < 0)
		return error_set_errno(error, ENOMEM, stage, "%s", name);
	if (asprintf(&fresh, "%s.new", to) < 0) {
		fresh = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", name);
	}
	unlink(fresh);
	if (link(from, fresh) < 0 || rename(fresh, to) < 0)
		return error_set_errno(error, errno, stage, "%s", to);
	/* rename() of two names of one file leaves both. */
	unlink(fresh);
	return 0;
}

/* ---- a branch in a bare repository ---- */

/* git reads the bundle where it can write that repository and nothing else, without a network. Of
 * the repository's own settings none can start a program: no hook runs on a fetch into it but by
 * reference-transaction, which is pointed away. */
static int fetch_branch(const struct task *task, struct error *error)
{
	cleanup_free char *bundle = path_join(task->directory, "bundle");
	cleanup_free char *refspec = NULL;
	if (!bundle || asprintf(&refspec, "+refs/heads/coffer/%s:refs/heads/coffer/%s", task->id,
			       task->id) < 0) {
		refspec = NULL;
		return error_set_errno(error, ENOMEM, stage, "branch-in");
	}
	struct coffer_policy *policy = coffer_policy_new();
	struct coffer_error refused = {0};
	const char *const settings[][2] = {{"profile", "local"}, {"mode", "workspace-write"},
		{"directory", task->spec.branch_in}, {"write", task->spec.branch_in},
		{"allow-read", bundle}, {"net", "off"}, {"env", "GIT_CONFIG_NOSYSTEM=1"},
		{"env", "GIT_CONFIG_GLOBAL=/dev/null"}, {"env", "GIT_TERMINAL_PROMPT=0"}};
	int r = policy ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(settings); i++)
		r = coffer_policy_set(policy, settings[i][0], settings[i][1], &refused);
	char *const argv[] = {(char *)"git", (char *)"-c", (char *)"core.hooksPath=/dev/null",
		(char *)"-c", (char *)"fetch.fsckObjects=true", (char *)"-c",
		(char *)"safe.directory=*", (char *)"-c", (char *)"gc.auto=0", (char *)"--git-dir",
		task->spec.branch_in, (char *)"fetch", (char *)"--no-tags",
		(char *)"--no-write-fetch-head", (char *)"--no-auto-maintenance", bundle, refspec,
		NULL};
	cleanup_close int log = task_open_log(task, "log.branch", error);
	struct coffer_stdio stdio = {.fds = {-1, log, log}};
	struct coffer_box *box = NULL;
	struct coffer_report *report = NULL;
	if (r == 0)
		r = coffer_box_start(policy, argv, &stdio, &box, &refused);
	if (r == 0)
		r = coffer_box_wait(box, &report, &refused);
	int exit_code = report ? coffer_report_exit_code(report) : 0;
	coffer_report_free(report);
	coffer_box_free(box);
	coffer_policy_free(policy);
	if (r < 0)
		return error_set(error, -r, stage, "branch-in: %s", refused.message);
	if (exit_code == 0)
		return 0;
	char tail[300];
	task_log_tail(task, "log.branch", tail, sizeof(tail));
	error_set(error, EIO, stage, "branch-in: git put nothing into %s: %s", task->spec.branch_in,
		tail);
	return error_hint(
		error, "the patch and the bundle are kept: `coffer task show %s`", task->id);
}

static int branch_body(struct task_work *work, struct error *error)
{
	return fetch_branch(work->task, error);
}

static int put_branch(struct task *task, struct error *error)
{
	struct task_work work = {.task = task, .body = branch_body};
	int r = task_work_run(&work, 1, 1, error);
	if (r == 0 && work.result < 0) {
		*error = work.error;
		r = work.result;
	}
	return r;
}

static int put_pull_request(const struct task *task, const json_t *summary, struct error *error)
{
	cleanup_free char *text = task_pull_request(task, summary);
	if (!text)
		return error_set_errno(error, ENOMEM, stage, "pull-request");
	cleanup_close int fd = fd_open_result(task->spec.pull_request);
	int r = fd < 0 ? fd : fd_write_full(fd, text, strlen(text));
	return r < 0 ? error_set_errno(error, -r, stage, "%s", task->spec.pull_request) : 0;
}

/* ---- what it comes to ---- */

static int judge(const json_t *best)
{
	const json_t *check = json_object_get(best, "check");
	const json_t *judged = json_is_object(check) ? check : json_object_get(best, "agent");
	const char *cause = json_string_value(json_object_get(judged, "cause"));
	if (cause && strcmp(cause, "timed_out") == 0)
		return TASK_EXIT_TIME;
	if (json_integer_value(json_object_get(judged, "exit")) != 0)
		return TASK_EXIT_UNFIT;
	return json_is_true(json_object_get(json_object_get(best, "patch"), "empty"))
		       ? TASK_EXIT_UNFIT
		       : TASK_EXIT_DONE;
}

static int put_out(struct task *task, const json_t *best, struct error *error)
{
	int64_t number = json_integer_value(json_object_get(best, "number"));
	bool empty = json_is_true(json_object_get(json_object_get(best, "patch"), "empty"));
	int r = empty ? 0 : place(task, number, "patch", error);
	if (r == 0 && !empty)
		r = place(task, number, "bundle", error);
	if (r == 0 && !empty && task->spec.branch_in)
		r = put_branch(task, error);
	if (r == 0 && !empty && task->spec.pull_request) {
		json_t *summary = task_summary_json(task);
		r = put_pull_request(task, summary, error);
		json_decref(summary);
	}
	task->exit_code = judge(best);
	if (r == 0 && task->spec.home && task->exit_code == TASK_EXIT_DONE) {
		char layer[64];
		snprintf(layer, sizeof(layer), "%s.agent.%" PRId64, task->id, number);
		r = task_home_keep(task, layer, error);
	}
	return r;
}

int task_phase_out(struct task *task, struct error *error)
{
	json_t *attempts = task_attempts_json(task);
	const json_t *best = json_array_get(attempts, 0);
	int r = task_phase_begin(task, PHASE_OUT, 0, error);
	if (r == 0)
		r = best ? put_out(task, best, error)
			 : error_set(error, ENOENT, stage, "no attempt has ended");
	json_decref(attempts);
	struct error later;
	int noted = task_phase_end(task, PHASE_OUT, 0, r == 0 ? "done" : "failed", 0, 0,
		r < 0 ? error->message : NULL, r < 0 ? &later : error);
	return r < 0 ? r : noted;
}
