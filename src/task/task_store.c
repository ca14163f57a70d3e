/* A task's rows. Each function here is one statement or one transaction: no reader ever sees half
 * of a step. */
#include "task/task.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/suggest.h"
#include "task/task_internal.h"

#include <string.h>

static const char stage[] = "task";

static const char columns[] =
	"id, spec, state, phase, owner_pid, owner_start, created_us, updated_us, commit_id, branch, "
	"clone_layer, clone_bytes, prepared_layer, prepared_key, prepared_by, leaks, error, hint, "
	"exit_code, result";

static int take_row(const struct store_row *row, void *context, struct error *error)
{
	struct task *task = context;
	struct {
		int column;
		char **to;
	} texts[] = {{2, &task->state}, {3, &task->phase}, {8, &task->commit}, {9, &task->branch},
		{10, &task->clone_layer}, {12, &task->prepared_layer}, {13, &task->prepared_key},
		{14, &task->prepared_by}, {15, &task->leaks}, {16, &task->error}, {17, &task->hint},
		{19, &task->result}};
	snprintf(task->id, sizeof(task->id), "%s", store_text(row, 0));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (store_take_text(row, texts[i].column, texts[i].to) < 0)
			return error_set_errno(error, ENOMEM, stage, "%s", task->id);
	task->owner_pid = store_integer(row, 4);
	task->owner_start = store_integer(row, 5);
	task->created_us = (uint64_t)store_integer(row, 6);
	task->updated_us = (uint64_t)store_integer(row, 7);
	task->clone_bytes = (uint64_t)store_integer(row, 11);
	task->exit_code = (int)store_integer(row, 18);
	return task_spec_parse(store_text(row, 1), &task->spec, error);
}

static int add_id(const struct store_row *row, void *context, struct error *error)
{
	(void)error;
	return strv_add(context, store_text(row, 0));
}

int task_list_ids(struct store *store, struct strv *ret, struct error *error)
{
	return store_query(
		store, error, add_id, ret, "SELECT id FROM tasks ORDER BY created_us", "");
}

static int complain_unknown(struct store *store, const char *id, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	struct error ignored;
	const char *near = NULL;
	if (task_list_ids(store, &ids, &ignored) == 0 && ids.count)
		near = suggest_nearest(id, ids.items, ids.count, sizeof(*ids.items));
	error_set(error, ENOENT, stage, "there is no task '%.64s'", id);
	return near ? error_hint(error, "did you mean %s? `coffer task list` lists them", near)
		    : error_hint(error, "`coffer task list` lists them");
}

int task_load(struct store *store, const char *id, struct task **ret, struct error *error)
{
	cleanup_free char *sql = NULL;
	if (asprintf(&sql, "SELECT %s FROM tasks WHERE id = ?", columns) < 0) {
		sql = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", id);
	}
	struct task *task = task_new(store);
	if (!task)
		return error_set_errno(error, ENOMEM, stage, "%s", id);
	int r = store_query(store, error, take_row, task, sql, "t", id);
	if (r == 0 && !task->id[0])
		r = complain_unknown(store, id, error);
	if (r == 0)
		r = task_find_directory(task, error);
	if (r < 0) {
		task_free(task);
		return r;
	}
	*ret = task;
	return 0;
}

int task_insert(struct task *task, struct error *error)
{
	cleanup_free char *spec = task_spec_json(&task->spec);
	if (!spec) {
		error_set(error, EILSEQ, stage, "what is asked for is not all UTF-8");
		return error_hint(error, "names and commands of a task are kept as text");
	}
	return store_run(task->store, error,
		"INSERT INTO tasks (id, spec, repository, state, phase, owner_pid, owner_start,"
		" created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"tttttiiii", task->id, spec, task->spec.repository, task->state, task->phase,
		task->owner_pid, task->owner_start, (int64_t)task->created_us,
		(int64_t)task->created_us);
}

static int put(char **to, const char *text, struct error *error)
{
	char *copy = text ? strdup(text) : NULL;
	if (text && !copy)
		return error_set_errno(error, ENOMEM, stage, "a task");
	free(*to);
	*to = copy;
	return 0;
}

int task_save_running(struct task *task, struct error *error)
{
	task_owner_self(&task->owner_pid, &task->owner_start);
	int r = put(&task->state, "running", error);
	return r < 0 ? r
		     : store_run(task->store, error,
			       "UPDATE tasks SET state = 'running', owner_pid = ?, owner_start = ?,"
			       " updated_us = ?, error = NULL, hint = NULL WHERE id = ?",
			       "iiit", task->owner_pid, task->owner_start, task_now_us(), task->id);
}

int task_save_clone(struct task *task, const char *commit, const char *branch, const char *layer,
	uint64_t bytes, struct error *error)
{
	int r = put(&task->commit, commit, error);
	if (r == 0)
		r = put(&task->branch, branch, error);
	if (r == 0)
		r = put(&task->clone_layer, layer, error);
	task->clone_bytes = bytes;
	return r < 0 ? r
		     : store_run(task->store, error,
			       "UPDATE tasks SET commit_id = ?, branch = ?, clone_layer = ?,"
			       " clone_bytes = ?, updated_us = ? WHERE id = ?",
			       "tttiit", commit, branch, layer, (int64_t)bytes, task_now_us(),
			       task->id);
}

int task_save_prepared(struct task *task, struct error *error)
{
	return store_run(task->store, error,
		"UPDATE tasks SET clone_layer = ?, prepared_layer = ?, prepared_key = ?,"
		" prepared_by = ?, leaks = ?, updated_us = ? WHERE id = ?",
		"tttttit", task->clone_layer, task->prepared_layer, task->prepared_key,
		task->prepared_by, task->leaks, task_now_us(), task->id);
}

int task_save_end(struct task *task, const char *state, int exit_code, const struct error *why,
	struct error *error)
{
	bool failed = why && why->errno_value;
	int r = put(&task->state, state, error);
	if (r == 0)
		r = put(&task->error, failed ? why->message : NULL, error);
	if (r == 0)
		r = put(&task->hint, failed ? why->hint : NULL, error);
	task->exit_code = exit_code;
	return r < 0 ? r
		     : store_run(task->store, error,
			       "UPDATE tasks SET state = ?, exit_code = ?, error = ?, hint = ?,"
			       " updated_us = ? WHERE id = ?",
			       "tittit", state, (int64_t)exit_code, task->error, task->hint,
			       task_now_us(), task->id);
}

int task_save_result(struct task *task, const char *json, struct error *error)
{
	int r = put(&task->result, json, error);
	return r < 0 ? r
		     : store_run(task->store, error, "UPDATE tasks SET result = ? WHERE id = ?",
			       "tt", json, task->id);
}

/* ---- phases ---- */

struct phase_row {
	struct task *task;
	const char *phase;
	uint64_t attempt;
};

static int begin_phase(struct store *store, void *context, struct error *error)
{
	const struct phase_row *row = context;
	int r = store_run(store, error,
		"INSERT OR REPLACE INTO phases (task, name, attempt, state, started_us)"
		" VALUES (?, ?, ?, 'running', ?)",
		"ttii", row->task->id, row->phase, (int64_t)row->attempt, task_now_us());
	return r < 0 ? r
		     : store_run(store, error,
			       "UPDATE tasks SET phase = ?, updated_us = ? WHERE id = ?", "tit",
			       row->phase, task_now_us(), row->task->id);
}

int task_phase_begin(
	struct task *task, enum task_phase phase, uint64_t attempt, struct error *error)
{
	struct phase_row row = {task, task_phase_name(phase), attempt};
	int r = put(&task->phase, row.phase, error);
	return r < 0 ? r : store_transaction(task->store, begin_phase, &row, error);
}

int task_phase_end(struct task *task, enum task_phase phase, uint64_t attempt, const char *state,
	uint64_t wall_ms, int exit_code, const char *note, struct error *error)
{
	return store_run(task->store, error,
		"UPDATE phases SET state = ?, wall_ms = ?, exit_code = ?, note = ?"
		" WHERE task = ? AND name = ? AND attempt = ?",
		"tiitt"
		"ti",
		state, (int64_t)wall_ms, (int64_t)exit_code, note, task->id, task_phase_name(phase),
		(int64_t)attempt);
}

static int add_phase(const struct store_row *row, void *context, struct error *error)
{
	(void)error;
	json_t *object =
		json_pack("{s:s, s:s}", "name", store_text(row, 0), "state", store_text(row, 2));
	if (store_integer(row, 1))
		json_object_set_new(object, "attempt", json_integer(store_integer(row, 1)));
	if (!store_is_null(row, 3))
		json_object_set_new(object, "wall_ms", json_integer(store_integer(row, 3)));
	if (!store_is_null(row, 4))
		json_object_set_new(object, "exit", json_integer(store_integer(row, 4)));
	if (!store_is_null(row, 5))
		json_object_set_new(object, "note", json_string(store_text(row, 5)));
	return json_array_append_new(context, object) < 0 ? -ENOMEM : 0;
}

json_t *task_phases_json(struct task *task)
{
	json_t *phases = json_array();
	struct error ignored;
	store_query(task->store, &ignored, add_phase, phases,
		"SELECT name, attempt, state, wall_ms, exit_code, note FROM phases WHERE task = ?"
		" ORDER BY started_us, attempt",
		"t", task->id);
	return phases;
}
