/* `coffer task list`, `show`, `cancel` and `rm`. */
#include "base/cleanup.h"
#include "base/sys.h"
#include "task/cmd_task.h"
#include "task/task_internal.h"
#include "task/verbs.h"
#include "task/words.h"

#include <signal.h>
#include <string.h>
#include <time.h>

enum { MAX_WORDS = 256, CANCEL_POLLS = 300, CANCEL_PAUSE_US = 100000 };

/* ---- list ---- */

static void print_row(struct task *task)
{
	char when[32] = "";
	time_t seconds = (time_t)(task->created_us / 1000000);
	struct tm local;
	if (localtime_r(&seconds, &local))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &local);
	printf("%s  %-11s  %-6s  %s  ", task->id, task->state,
		strcmp(task->state, "done") == 0 ? "" : task->phase, when);
	words_put(stdout, task->spec.repository);
	putchar('\n');
}

static json_t *row_json(const struct task *task)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:i}", "id", task->id, "state", task->state,
		"phase", task->phase, "created_ms", (json_int_t)(task->created_us / 1000),
		"repository", task->spec.repository, "exit", task->exit_code);
}

int cmd_task_list(int argc, char *argv[])
{
	const char *json = NULL;
	const struct task_option options[] = {{"--json", NULL, &json, "as a JSON array"}};
	const struct task_verb_line verb = {"list [--json]", options, ARRAY_SIZE(options)};
	size_t count;
	int r = task_parse_words(argc, argv, &verb, NULL, &count, 0);
	struct store *store;
	if (r != 0 || task_open_store(&store) < 0)
		return r > 0 ? 0 : TASK_EXIT_FAILED;
	cleanup_strv struct strv ids = {0};
	struct error error = {0};
	json_t *all = json_array();
	r = task_list_ids(store, &ids, &error);
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		struct task *task;
		r = task_load(store, ids.items[i], &task, &error);
		/* Another coffer may have removed it just now. */
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		if (r == 0 && json)
			json_array_append_new(all, row_json(task));
		else if (r == 0)
			print_row(task);
		if (r == 0)
			task_free(task);
	}
	if (r == 0 && json) {
		json_dumpf(all, stdout, JSON_INDENT(1));
		putchar('\n');
	}
	if (r < 0)
		verb_complain(&error);
	json_decref(all);
	store_close(store);
	return r < 0 ? TASK_EXIT_FAILED : 0;
}

/* ---- show ---- */

int cmd_task_show(int argc, char *argv[])
{
	const char *json = NULL, *words[1];
	const struct task_option options[] = {{"--json", NULL, &json, "as one JSON object"}};
	const struct task_verb_line verb = {"show ID [--json]", options, ARRAY_SIZE(options)};
	size_t count;
	struct store *store;
	struct task *task;
	int r = task_parse_words(argc, argv, &verb, words, &count, 1);
	if (r == 0 && count == 0) {
		verb_say("which task? `coffer task list` has them");
		r = -EINVAL;
	}
	if (r != 0 || task_open_one(words[0], &store, &task) < 0)
		return r > 0 ? 0 : TASK_EXIT_FAILED;
	if (json) {
		json_t *summary = task_summary_json(task);
		json_dumpf(summary, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(summary);
	} else {
		task_summary_print(task, stdout);
	}
	task_free(task);
	store_close(store);
	return 0;
}

/* ---- cancel ---- */

/* The process is named by pid and start time; the descriptor keeps what is signalled that one. */
static int end_owner(struct task *task, struct error *error)
{
	cleanup_close int pidfd = sys_pidfd_open((pid_t)task->owner_pid, 0);
	if (pidfd < 0 || !task_owner_lives(task->owner_pid, task->owner_start))
		return error_set(error, ESRCH, "task", "task %s does not run", task->id);
	if (sys_pidfd_send_signal(pidfd, SIGTERM) < 0)
		return error_set_errno(error, errno, "task", "task %s", task->id);
	for (int i = 0; i < CANCEL_POLLS; i++) {
		if (task_lock(task, error) == 0)
			return 0;
		usleep(CANCEL_PAUSE_US);
	}
	return error_set(error, ETIME, "task", "task %s has not ended within %d s", task->id,
		CANCEL_POLLS * CANCEL_PAUSE_US / 1000000);
}

static int each(int argc, char *argv[], const struct task_verb_line *verb,
	int (*act)(struct task *task, struct error *error))
{
	const char *words[MAX_WORDS];
	size_t count;
	int r = task_parse_words(argc, argv, verb, words, &count, MAX_WORDS);
	if (r != 0)
		return r > 0 ? 0 : TASK_EXIT_FAILED;
	if (count == 0) {
		verb_say("which task? `coffer task list` has them");
		return TASK_EXIT_FAILED;
	}
	int code = 0;
	for (size_t i = 0; i < count; i++) {
		struct store *store;
		struct task *task;
		struct error error = {0};
		if (task_open_one(words[i], &store, &task) < 0) {
			code = TASK_EXIT_FAILED;
			continue;
		}
		if (act(task, &error) < 0) {
			verb_complain(&error);
			code = TASK_EXIT_FAILED;
		}
		task_free(task);
		store_close(store);
	}
	return code;
}

int cmd_task_cancel(int argc, char *argv[])
{
	const struct task_verb_line verb = {"cancel ID...", NULL, 0};
	return each(argc, argv, &verb, end_owner);
}

/* ---- rm ---- */

static int remove_one(struct task *task, struct error *error)
{
	int r = task_remove(task, error);
	return r < 0 ? r : task_sweep(task->store, error);
}

static int clear_prepared(void)
{
	struct store *store;
	struct error error = {0};
	uint64_t count = 0;
	if (task_open_store(&store) < 0)
		return TASK_EXIT_FAILED;
	int r = task_prepared_clear(store, &count, &error);
	if (r < 0)
		verb_complain(&error);
	else
		printf("%llu set-ups are forgotten; layers that tasks stand on go with those\n",
			(unsigned long long)count);
	store_close(store);
	return r < 0 ? TASK_EXIT_FAILED : 0;
}

int cmd_task_rm(int argc, char *argv[])
{
	const char *prepared = NULL;
	const struct task_option options[] = {
		{"--prepared", NULL, &prepared, "what is kept after set-ups, instead of tasks"}};
	const struct task_verb_line verb = {"rm ID...|--prepared", options, ARRAY_SIZE(options)};
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], options[0].name) == 0)
			return clear_prepared();
	return each(argc, argv, &verb, remove_one);
}
