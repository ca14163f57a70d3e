/* The first phase: the repository, fetched into a layer of its own. */
#include "base/cleanup.h"
#include "base/units.h"
#include "task/clone.h"
#include "task/phase.h"
#include "task/progress.h"
#include "task/task_internal.h"

#include <string.h>

static const char stage[] = "clone";

struct clone_work {
	char *layer;
	char *commit, *branch;
	uint64_t bytes;
};

static int body(struct task_work *work, struct error *error)
{
	const struct task_spec *spec = &work->task->spec;
	const struct clone_work *clone = work->context;
	cleanup_strv struct strv settings = {0};
	cleanup_close int log = task_open_log(work->task, "log.clone", error);
	if (log < 0)
		return log;
	int r = task_setup_settings(spec, &settings);
	if (r < 0)
		return error_set_errno(error, -r, stage, "the settings");
	struct clone_request request = {
		.repository = work->task->location ? work->task->location : spec->repository,
		.ref = spec->ref,
		.depth = (unsigned)spec->depth,
		.filter = spec->filter,
		.submodules = !spec->no_submodules,
		.ssh_agent = spec->ssh_agent,
		.settings = &settings,
		.layer = clone->layer,
		.log = log,
		.tick = task_work_tick};
	struct clone_result result = {0};
	r = task_clone(&request, &result, error);
	if (r == 0) {
		json_t *event = json_pack("{s:s, s:o?, s:I}", "commit", result.commit, "branch",
			result.branch ? task_json_text(result.branch) : NULL, "bytes",
			(json_int_t)result.bytes);
		r = task_work_tell(work, event);
		if (r < 0)
			error_set_errno(error, -r, stage, "the result");
	}
	clone_result_release(&result);
	return r;
}

static int told(struct task_work *work, const json_t *event, struct error *error)
{
	struct clone_work *clone = work->context;
	const char *commit = json_string_value(json_object_get(event, "commit"));
	const char *branch = json_string_value(json_object_get(event, "branch"));
	clone->commit = commit ? strdup(commit) : NULL;
	clone->branch = branch ? strdup(branch) : NULL;
	clone->bytes = (uint64_t)json_integer_value(json_object_get(event, "bytes"));
	return clone->commit && (!branch || clone->branch)
		       ? 0
		       : error_set_errno(error, ENOMEM, stage, "the result");
}

int task_phase_clone(struct task *task, struct error *error)
{
	if (task->clone_layer && task_layer_exists(task->clone_layer))
		return 0;
	struct clone_work clone = {0};
	struct task_work work = {.task = task, .body = body, .told = told, .context = &clone};
	int r = task_layer_create(task, "clone", "clone", NULL, &clone.layer, error);
	if (r == 0)
		r = task_phase_work(PHASE_CLONE, &work, task->spec.repository, error);
	if (r == 0)
		r = task_save_clone(
			task, clone.commit, clone.branch, clone.layer, clone.bytes, error);
	if (r == 0) {
		char size[32], what[256];
		units_format_bytes(clone.bytes, size, sizeof(size));
		snprintf(what, sizeof(what), "%.12s%s%.100s, %s", clone.commit,
			clone.branch ? " of " : "", clone.branch ? clone.branch : "", size);
		task_progress_end(task, PHASE_CLONE, 0, what);
	}
	struct error later;
	if (r < 0 && clone.layer)
		task_layer_discard(clone.layer, &later);
	free(clone.layer);
	free(clone.commit);
	free(clone.branch);
	return r;
}
