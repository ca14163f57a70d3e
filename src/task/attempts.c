/* Theory of operation. An attempt is a process of its own: the agent in a layer on the prepared one,
 * the check in a throw-away layer on the agent's, the patch, what is found in it. When all of that
 * is on disk, result.json comes beside it by rename(): that file is what makes an attempt done, so a
 * kill that comes before the row is written loses nothing. An agent that has ended is not started
 * again either: the row says so, and its layer is there. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "task/pack.h"
#include "task/phase.h"
#include "task/progress.h"
#include "task/subject.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILE_NAME = 64 };

static const char stage[] = "agent";

struct attempt {
	char *layer, *home;
	bool resumed; /* its agent has ended already: */
	int agent_exit;
	char agent_cause[32];
	enum task_phase phase;
	uint64_t phase_us;
};

static void file_name(char ret[MAX_FILE_NAME], const char *format, uint64_t number)
{
	snprintf(ret, MAX_FILE_NAME, "%s%llu", format, (unsigned long long)number);
}

/* ---- in the work's process ---- */

static int tell_phase(const struct task_work *work, enum task_phase phase,
	const struct task_box_result *result, struct error *error)
{
	int r = task_work_tell(
		work, json_pack("{s:s, s:i, s:s, s:I}", "phase", task_phase_name(phase), "exit",
			      result->exit_code, "cause", result->cause, "wall_ms",
			      (json_int_t)result->wall_ms));
	return r < 0 ? error_set_errno(error, -r, stage, "the result") : 0;
}

static int make_environment(const struct task_work *work, struct strv *ret)
{
	const struct task *task = work->task;
	char line[128];
	int r = strv_copy(ret, strv_items(&task->spec.environment));
	for (size_t i = 0; r == 0 && i < task->spec.agent_environment.count; i++)
		r = strv_add(ret, task->spec.agent_environment.items[i]);
	if (r == 0 && (task->spec.prompt || task->spec.prompt_file))
		r = strv_add(ret, "COFFER_PROMPT_FILE=" PHASE_PROMPT);
	snprintf(line, sizeof(line), "COFFER_TASK=%s", task->id);
	if (r == 0)
		r = strv_add(ret, line);
	snprintf(line, sizeof(line), "COFFER_ATTEMPT=%llu", (unsigned long long)work->number);
	return r < 0 ? r : strv_add(ret, line);
}

static int run_agent(
	const struct task_work *work, struct task_box_result *result, struct error *error)
{
	const struct task *task = work->task;
	const struct attempt *attempt = work->context;
	cleanup_strv struct strv environment = {0}, settings = {0};
	cleanup_free char *prompt = path_join(task->directory, "prompt");
	bool prompted = task->spec.prompt || task->spec.prompt_file;
	char log[MAX_FILE_NAME];
	file_name(log, "log.agent.", work->number);
	int r = prompt ? make_environment(work, &environment) : -ENOMEM;
	if (r == 0)
		r = task_agent_settings(&task->spec, true, &settings);
	if (r < 0)
		return error_set_errno(error, -r, stage, "the policy");
	struct phase_command command = {.shell = task->spec.agent,
		.layer = attempt->layer,
		.home = attempt->home,
		.log = log,
		.input = prompted ? "prompt" : NULL,
		.prompt = prompted ? prompt : NULL,
		.environment = &environment,
		.settings = &settings};
	r = task_phase_command(task, &command, result, error);
	if (r == 0)
		r = task_work_alone(error);
	return r < 0 ? r : tell_phase(work, PHASE_AGENT, result, error);
}

/* On a layer of its own, so that what a test run writes is no part of the patch. */
static int run_check(
	const struct task_work *work, struct task_box_result *result, struct error *error)
{
	struct task *task = work->task;
	const struct attempt *attempt = work->context;
	cleanup_strv struct strv environment = {0}, settings = {0};
	cleanup_free char *layer = NULL;
	char log[MAX_FILE_NAME], suffix[MAX_FILE_NAME];
	file_name(log, "log.check.", work->number);
	file_name(suffix, "check.", work->number);
	int r = make_environment(work, &environment);
	if (r == 0)
		r = task_agent_settings(&task->spec, false, &settings);
	if (r < 0)
		return error_set_errno(error, -r, stage, "the policy");
	r = task_layer_create(task, suffix, "check", attempt->layer, &layer, error);
	if (r < 0)
		return r;
	struct phase_command command = {.shell = task->spec.check,
		.layer = layer,
		.home = attempt->home,
		.log = log,
		.environment = &environment,
		.settings = &settings};
	r = task_phase_command(task, &command, result, error);
	struct error later;
	int discarded = task_layer_discard(layer, r < 0 ? &later : error);
	if (r == 0)
		r = discarded;
	return r < 0 ? r : tell_phase(work, PHASE_CHECK, result, error);
}

static json_t *result_json(const struct task_box_result *result)
{
	return json_pack("{s:i, s:s, s:I}", "exit", result->exit_code, "cause", result->cause,
		"wall_ms", (json_int_t)result->wall_ms);
}

static json_t *patch_json(const struct pack_result *pack)
{
	json_t *skipped = json_array();
	for (size_t i = 0; i < pack->skipped.count; i++)
		json_array_append_new(skipped, task_json_text(pack->skipped.items[i]));
	return json_pack("{s:b, s:I, s:I, s:I, s:s, s:o}", "empty", pack->empty, "files",
		(json_int_t)pack->files, "insertions", (json_int_t)pack->insertions, "deletions",
		(json_int_t)pack->deletions, "commit", pack->commit, "skipped", skipped);
}

static int pack(const struct task_work *work, struct pack_result *ret, struct error *error)
{
	const struct task *task = work->task;
	const struct attempt *attempt = work->context;
	char name[MAX_FILE_NAME], branch[32];
	file_name(name, "attempt-", work->number);
	snprintf(branch, sizeof(branch), "coffer/%s", task->id);
	cleanup_free char *directory = path_join(task->directory, name);
	cleanup_free char *subject = task_subject(task);
	cleanup_free char *body = task_commit_body(task);
	if (!directory || !subject || !body)
		return error_set_errno(error, ENOMEM, stage, "the patch");
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, stage, "%s", directory);
	file_name(name, "log.out.", work->number);
	cleanup_close int log = task_open_log(task, name, error);
	if (log < 0)
		return log;
	cleanup_free char *clone = NULL, *prepared = NULL, *agent = NULL;
	int r = task_layer_id(task->clone_layer, &clone, error);
	if (r == 0)
		r = task_layer_id(task->prepared_layer, &prepared, error);
	if (r == 0)
		r = task_layer_id(attempt->layer, &agent, error);
	if (r < 0)
		return r;
	struct pack_request request = {.clone_layer = clone,
		.prepared_layer = prepared,
		.agent_layer = agent,
		.commit = task->commit,
		.branch = branch,
		.subject = subject,
		.body = body,
		.out_directory = directory,
		.log = log,
		.tick = task_work_tick};
	r = task_pack(&request, ret, error);
	/* The directory is nobody else's; as root, a box that is to apply it has another owner. */
	if (r == 0 && !ret->empty && chmod(ret->patch_path, 0644) < 0)
		r = error_set_errno(error, errno, stage, "%s", ret->patch_path);
	return r;
}

static int write_result(const struct task_work *work, json_t *result, struct error *error)
{
	char name[MAX_FILE_NAME];
	snprintf(name, sizeof(name), "attempt-%llu/result.json", (unsigned long long)work->number);
	cleanup_free char *text = json_dumps(result, JSON_INDENT(1));
	return text ? task_write_file(work->task, name, text, strlen(text), 0600, error)
		    : error_set_errno(error, ENOMEM, stage, "the result");
}

static int body(struct task_work *work, struct error *error)
{
	const struct task *task = work->task;
	const struct attempt *attempt = work->context;
	struct task_box_result agent = {0}, check = {0};
	struct pack_result packed = {0};
	int r = 0;
	if (attempt->resumed) {
		agent.exit_code = attempt->agent_exit;
		memcpy(agent.cause, attempt->agent_cause, sizeof(agent.cause));
	} else {
		r = run_agent(work, &agent, error);
	}
	if (r == 0 && task->spec.check)
		r = run_check(work, &check, error);
	if (r == 0)
		r = pack(work, &packed, error);
	json_t *findings = NULL, *result = NULL;
	if (r == 0 && !packed.empty)
		findings = task_findings(packed.patch_path);
	if (r == 0)
		result = json_pack("{s:I, s:s, s:o, s:o, s:o, s:o}", "number",
			(json_int_t)work->number, "state", "done", "agent", result_json(&agent),
			"check", task->spec.check ? result_json(&check) : json_null(), "patch",
			patch_json(&packed), "findings", findings ? findings : json_array());
	if (r == 0)
		r = result ? write_result(work, result, error)
			   : error_set_errno(error, ENOMEM, stage, "the result");
	json_decref(result);
	task_box_result_release(&agent);
	task_box_result_release(&check);
	pack_result_release(&packed);
	return r;
}

/* ---- in the waiting process ---- */

static int begin_phase(
	struct task_work *work, enum task_phase phase, const char *what, struct error *error)
{
	struct attempt *attempt = work->context;
	attempt->phase = phase;
	attempt->phase_us = clock_now_us();
	task_progress_begin(work->task, phase, work->number, what);
	return task_phase_begin(work->task, phase, work->number, error);
}

static int end_phase(struct task_work *work, const char *state, int exit_code, const char *note,
	struct error *error)
{
	const struct attempt *attempt = work->context;
	return task_phase_end(work->task, attempt->phase, work->number, state,
		(clock_now_us() - attempt->phase_us) / 1000, exit_code, note, error);
}

static int take_row(const struct store_row *row, void *context, struct error *error)
{
	struct attempt *attempt = context;
	const char *cause = store_text(row, 2);
	if (store_take_text(row, 0, &attempt->layer) < 0)
		return error_set_errno(error, ENOMEM, stage, "an attempt");
	attempt->resumed = !store_is_null(row, 1);
	attempt->agent_exit = (int)store_integer(row, 1);
	snprintf(attempt->agent_cause, sizeof(attempt->agent_cause), "%s", cause ? cause : "");
	return 0;
}

static int begin(struct task_work *work, struct error *error)
{
	struct task *task = work->task;
	struct attempt *attempt = work->context;
	char suffix[MAX_FILE_NAME];
	file_name(suffix, "agent.", work->number);
	int r = store_query(task->store, error, take_row, attempt,
		"SELECT layer, agent_exit, agent_cause FROM attempts WHERE task = ? AND number = ?",
		"ti", task->id, (int64_t)work->number);
	if (r == 0)
		r = task_home_take(task, &attempt->home, error);
	if (r < 0)
		return r;
	attempt->resumed = attempt->resumed && task_layer_exists(attempt->layer);
	if (attempt->resumed)
		return begin_phase(work, task->spec.check ? PHASE_CHECK : PHASE_OUT, NULL, error);
	free(attempt->layer);
	attempt->layer = NULL;
	r = task_layer_create(task, suffix, "agent", task->prepared_layer, &attempt->layer, error);
	if (r == 0)
		r = store_run(task->store, error,
			"INSERT OR REPLACE INTO attempts (task, number, state) VALUES (?, ?, "
			"'running')",
			"ti", task->id, (int64_t)work->number);
	return r < 0 ? r : begin_phase(work, PHASE_AGENT, NULL, error);
}

static int told(struct task_work *work, const json_t *event, struct error *error)
{
	struct task *task = work->task;
	const struct attempt *attempt = work->context;
	const char *phase = json_string_value(json_object_get(event, "phase"));
	const char *cause = json_string_value(json_object_get(event, "cause"));
	int exit_code = (int)json_integer_value(json_object_get(event, "exit"));
	char how[64];
	task_describe_end(cause ? cause : "", exit_code, how, sizeof(how));
	int r = end_phase(work, "done", exit_code, cause, error);
	task_progress_end(task, attempt->phase, work->number, how);
	bool agent = phase && strcmp(phase, task_phase_name(PHASE_AGENT)) == 0;
	if (r == 0 && agent)
		r = store_run(task->store, error,
			"UPDATE attempts SET layer = ?, agent_exit = ?, agent_cause = ?"
			" WHERE task = ? AND number = ?",
			"titti", attempt->layer, (int64_t)exit_code, cause, task->id,
			(int64_t)work->number);
	return r < 0 ? r
		     : begin_phase(work, agent && task->spec.check ? PHASE_CHECK : PHASE_OUT, NULL,
			       error);
}

static int read_result(const struct task *task, uint64_t number, char **ret)
{
	char name[MAX_FILE_NAME];
	size_t length;
	snprintf(name, sizeof(name), "attempt-%llu/result.json", (unsigned long long)number);
	cleanup_free char *path = path_join(task->directory, name);
	return path ? fd_read_file(AT_FDCWD, path, MAX_TASK_RESULT_BYTES, ret, &length) : -ENOMEM;
}

static int save(struct task *task, uint64_t number, const char *state, const char *layer,
	const char *result, struct error *error)
{
	return store_run(task->store, error,
		"INSERT INTO attempts (task, number, state, layer, result) VALUES (?, ?, ?, ?, ?)"
		" ON CONFLICT (task, number) DO UPDATE SET state = excluded.state,"
		" layer = excluded.layer, result = excluded.result",
		"titt"
		"t",
		task->id, (int64_t)number, state, layer, result);
}

static char *failure_json(const struct task_work *work)
{
	json_t *failure = json_pack("{s:I, s:s, s:{s:o, s:o}}", "number", (json_int_t)work->number,
		"state", "failed", "error", "message", task_json_text(work->error.message), "hint",
		task_json_text(work->error.hint));
	char *text = failure ? json_dumps(failure, JSON_COMPACT) : NULL;
	json_decref(failure);
	return text;
}

static int end(struct task_work *work, struct error *error)
{
	struct task *task = work->task;
	struct attempt *attempt = work->context;
	cleanup_free char *result = NULL;
	int r = work->result == 0 ? read_result(task, work->number, &result) : 0;
	if (r < 0)
		return error_set_errno(error, -r, stage, "the result of attempt %llu",
			(unsigned long long)work->number);
	if (work->result == 0) {
		r = end_phase(work, "done", 0, NULL, error);
		task_progress_end(task, PHASE_OUT, work->number, NULL);
	} else if (work->result != -ECANCELED) {
		r = end_phase(work, "failed", 0, work->error.message, error);
		result = failure_json(work);
	} else {
		r = end_phase(work, "cancelled", 0, NULL, error);
	}
	/* One that was cancelled begins anew, or after its agent, when the task is resumed. */
	if (r == 0 && work->result != -ECANCELED)
		r = save(task, work->number, work->result == 0 ? "done" : "failed", attempt->layer,
			result, error);
	free(attempt->layer);
	free(attempt->home);
	*attempt = (struct attempt){0};
	return r;
}

/* ---- all of them ---- */

static int settle(const struct task_work *works, size_t count, struct error *error)
{
	size_t failed = 0;
	for (size_t i = 0; i < count; i++) {
		failed += works[i].result < 0;
		if (works[i].result < 0)
			*error = works[i].error;
	}
	/* One that went well is enough. */
	return failed && failed == works[0].task->spec.attempts ? -error->errno_value : 0;
}

int task_phase_attempts(struct task *task, struct error *error)
{
	struct task_work works[MAX_TASK_ATTEMPTS];
	struct attempt attempts[MAX_TASK_ATTEMPTS];
	size_t count = 0;
	int r = 0;
	memset(works, 0, sizeof(works));
	memset(attempts, 0, sizeof(attempts));
	for (uint64_t number = 1; r == 0 && number <= task->spec.attempts; number++) {
		cleanup_free char *result = NULL;
		if (read_result(task, number, &result) == 0) {
			char layer[MAX_FILE_NAME];
			snprintf(layer, sizeof(layer), "%s.agent.%llu", task->id,
				(unsigned long long)number);
			r = save(task, number, "done", layer, result, error);
			continue;
		}
		works[count] = (struct task_work){.task = task,
			.number = number,
			.body = body,
			.begin = begin,
			.told = told,
			.end = end,
			.context = &attempts[count]};
		count++;
	}
	if (r == 0)
		r = task_work_run(works, count, task->spec.jobs, error);
	return r < 0 || count == 0 ? r : settle(works, count, error);
}
