/* The story of a task, from the first phase that is not finished to the end. */
#include "base/cleanup.h"
#include "task/phase.h"
#include "task/progress.h"
#include "task/task_internal.h"
#include "task/verbs.h"

#include <string.h>

static int tell_story(struct task *task, struct error *error)
{
	int r = task_phase_clone(task, error);
	if (r == 0)
		r = task_phase_prepare(task, error);
	if (r == 0)
		r = task_phase_attempts(task, error);
	if (r == 0)
		r = task_phase_out(task, error);
	return r;
}

/* How a story that was broken off is called. */
static const struct ending {
	int errno_value;
	const char *state;
	int exit_code;
} endings[] = {
	{ECANCELED, "cancelled", TASK_EXIT_CANCELLED},
	{TASK_ERROR_TIME, "failed", TASK_EXIT_TIME},
	{TASK_ERROR_LEAK, "failed", TASK_EXIT_LEAK},
	{0, "failed", TASK_EXIT_FAILED},
};

static const struct ending *find_ending(int errno_value)
{
	const struct ending *ending = endings;
	while (ending->errno_value && ending->errno_value != errno_value)
		ending++;
	return ending;
}

/* The summary, beside the patch and in the row. */
static int keep_summary(struct task *task, struct error *error)
{
	json_t *summary = task_summary_json(task);
	cleanup_free char *text = summary ? json_dumps(summary, JSON_INDENT(1)) : NULL;
	json_decref(summary);
	if (!text)
		return error_set_errno(error, ENOMEM, "out", "the summary");
	int r = task_write_file(task, "summary.json", text, strlen(text), 0600, error);
	return r < 0 ? r : task_save_result(task, text, error);
}

int task_run(struct task *task)
{
	struct error error = {0}, later;
	task_work_catch_signals();
	int r = task_save_running(task, &error);
	if (r == 0)
		r = tell_story(task, &error);
	if (r == 0) {
		r = task_save_end(task, "done", task->exit_code, NULL, &error);
	} else {
		const struct ending *ending = find_ending(error.errno_value);
		if (task_save_end(task, ending->state, ending->exit_code, &error, &later) < 0)
			verb_complain(&later);
	}
	if (keep_summary(task, &later) < 0)
		verb_complain(&later);
	task_progress_free(task->progress);
	task->progress = NULL;
	if (r < 0)
		verb_complain(&error);
	return task->exit_code;
}
