/* What has become of a task: its attempts in order, one object for programs, a page for people. */
#include "base/cleanup.h"
#include "base/path.h"
#include "task/task_internal.h"
#include "task/words.h"

#include <string.h>

enum { SHOWN_FINDINGS = 10 };

static const char stage[] = "task";

/* ---- attempts, ranked ---- */

static const struct {
	const char *severity;
	uint64_t weight;
} weights[] = {{"critical", 10000}, {"high", 1000}, {"medium", 100}, {"low", 10}, {"info", 1}};

struct rank {
	uint64_t keys[6]; /* the smaller, the better; the first that differs counts */
	json_t *attempt;
};

static uint64_t count_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool is_done(const json_t *attempt)
{
	const char *state = json_string_value(json_object_get(attempt, "state"));
	return state && strcmp(state, "done") == 0;
}

static uint64_t weigh(const json_t *findings)
{
	uint64_t sum = 0;
	size_t i;
	json_t *finding;
	json_array_foreach((json_t *)(uintptr_t)findings, i, finding)
	{
		const char *severity = json_string_value(json_object_get(finding, "severity"));
		for (size_t k = 0; severity && k < ARRAY_SIZE(weights); k++)
			if (strcmp(weights[k].severity, severity) == 0)
				sum += weights[k].weight;
	}
	return sum;
}

static struct rank rank_of(json_t *attempt)
{
	const json_t *patch = json_object_get(attempt, "patch");
	const json_t *check = json_object_get(attempt, "check");
	const json_t *judge = json_is_object(check) ? check : json_object_get(attempt, "agent");
	return (struct rank){
		.keys = {!is_done(attempt), json_is_true(json_object_get(patch, "empty")),
			count_of(judge, "exit") != 0, weigh(json_object_get(attempt, "findings")),
			count_of(patch, "insertions") + count_of(patch, "deletions"),
			count_of(attempt, "number")},
		.attempt = attempt};
}

static int compare(const void *left, const void *right)
{
	const struct rank *a = left, *b = right;
	for (size_t i = 0; i < ARRAY_SIZE(a->keys); i++)
		if (a->keys[i] != b->keys[i])
			return a->keys[i] < b->keys[i] ? -1 : 1;
	return 0;
}

static int add_attempt(const struct store_row *row, void *context, struct error *error)
{
	const char *result = store_text(row, 2);
	json_t *attempt =
		result ? json_loads(result, 0, NULL)
		       : json_pack("{s:I, s:s}", "number", (json_int_t)store_integer(row, 0),
				 "state", store_text(row, 1));
	return json_array_append_new(context, attempt) < 0
		       ? error_set_errno(error, ENOMEM, stage, "the attempts")
		       : 0;
}

json_t *task_attempts_json(struct task *task)
{
	json_t *all = json_array(), *ranked = json_array(), *attempt;
	struct error ignored;
	store_query(task->store, &ignored, add_attempt, all,
		"SELECT number, state, result FROM attempts WHERE task = ? ORDER BY number", "t",
		task->id);
	size_t count = json_array_size(all), i;
	struct rank *ranks = calloc(count + 1, sizeof(*ranks));
	if (ranks)
		json_array_foreach(all, i, attempt) ranks[i] = rank_of(attempt);
	if (ranks)
		qsort(ranks, count, sizeof(*ranks), compare);
	for (i = 0; ranks && i < count; i++)
		json_array_append(ranked, ranks[i].attempt);
	free(ranks);
	json_decref(all);
	return ranked;
}

/* ---- for programs ---- */

static json_t *patch_summary(const struct task *task, const json_t *best)
{
	json_t *patch = json_deep_copy(json_object_get(best, "patch"));
	static const char *const files[][2] = {{"path", "patch"}, {"bundle", "bundle"}};
	for (size_t i = 0; patch && i < ARRAY_SIZE(files); i++) {
		cleanup_free char *path = path_join(task->directory, files[i][1]);
		if (path && access(path, R_OK) == 0)
			json_object_set_new(patch, files[i][0], json_string(path));
	}
	return patch ? patch : json_null();
}

static json_t *copy_of(const json_t *object, const char *key, json_t *otherwise)
{
	json_t *value = json_object_get(object, key);
	if (!value)
		return otherwise;
	json_decref(otherwise);
	return json_incref(value);
}

json_t *task_summary_json(struct task *task)
{
	json_t *attempts = task_attempts_json(task);
	const json_t *first = json_array_get(attempts, 0);
	const json_t *best = is_done(first) ? first : NULL;
	json_t *leaks = task->leaks ? json_loads(task->leaks, 0, NULL) : NULL;
	json_t *summary = json_pack("{s:s, s:s, s:i, s:s, s:s*, s:s*, s:s, s:s*, s:s*}", "id",
		task->id, "state", task->state, "exit", task->exit_code, "repository",
		task->spec.repository, "commit", task->commit, "branch", task->branch, "phase",
		task->phase, "prepared_by", task->prepared_by, "home", task->spec.home);
	if (task->error)
		json_object_set_new(summary, "error",
			json_pack("{s:s, s:s}", "message", task->error, "hint",
				task->hint ? task->hint : ""));
	json_object_set_new(summary, "phases", task_phases_json(task));
	json_object_set_new(summary, "check", copy_of(best, "check", json_null()));
	json_object_set_new(summary, "patch", patch_summary(task, best));
	json_object_set_new(summary, "findings", copy_of(best, "findings", json_array()));
	json_object_set_new(summary, "leaks", leaks ? leaks : json_array());
	json_object_set_new(summary, "attempts", attempts);
	json_object_set_new(summary, "directory", json_string(task->directory));
	return summary;
}

/* ---- for people ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static void print_attempts(const json_t *attempts, FILE *to)
{
	size_t i;
	json_t *attempt;
	if (json_array_size(attempts) < 2)
		return;
	fputs("  attempts, the best first:\n", to);
	json_array_foreach((json_t *)(uintptr_t)attempts, i, attempt)
	{
		const json_t *patch = json_object_get(attempt, "patch");
		const json_t *check = json_object_get(attempt, "check");
		fprintf(to, "    %llu: %s", (unsigned long long)count_of(attempt, "number"),
			text_of(attempt, "state"));
		if (json_is_object(check))
			fprintf(to, ", check exit %llu",
				(unsigned long long)count_of(check, "exit"));
		if (json_is_object(patch))
			fprintf(to, ", %llu files, +%llu -%llu, %zu findings",
				(unsigned long long)count_of(patch, "files"),
				(unsigned long long)count_of(patch, "insertions"),
				(unsigned long long)count_of(patch, "deletions"),
				json_array_size(json_object_get(attempt, "findings")));
		const char *why = text_of(json_object_get(attempt, "error"), "message");
		if (*why) {
			fputs(": ", to);
			words_put(to, why);
		}
		fputc('\n', to);
	}
}

static void print_list(const json_t *list, const char *title, FILE *to,
	void (*print)(const json_t *item, FILE *to))
{
	size_t i;
	json_t *item;
	if (json_array_size(list) == 0)
		return;
	fprintf(to, "  %s:\n", title);
	json_array_foreach((json_t *)(uintptr_t)list, i, item) if (i < SHOWN_FINDINGS)
		print(item, to);
	if (json_array_size(list) > SHOWN_FINDINGS)
		fprintf(to, "    and %zu more (--json has all)\n",
			json_array_size(list) - SHOWN_FINDINGS);
}

static void print_finding(const json_t *finding, FILE *to)
{
	fprintf(to, "    %s: ", text_of(finding, "severity"));
	words_put(to, text_of(finding, "file"));
	fprintf(to, ":%llu: ", (unsigned long long)count_of(finding, "line"));
	words_put(to, text_of(finding, "why"));
	fputc('\n', to);
}

static void print_leak(const json_t *leak, FILE *to)
{
	const char *secret = text_of(leak, "secret");
	fprintf(to, "    %s: %s in ", text_of(leak, "action"), *secret ? secret : "perhaps one");
	words_put(to, text_of(leak, "path"));
	fprintf(to, " (%s)\n", text_of(leak, "form"));
}

static void print_word(const json_t *item, FILE *to)
{
	fputs("    ", to);
	words_put(to, json_string_value(item) ? json_string_value(item) : "");
	fputc('\n', to);
}

static void print_patch(const struct task *task, const json_t *summary, FILE *to)
{
	const json_t *patch = json_object_get(summary, "patch");
	if (!json_is_object(patch))
		return;
	if (json_is_true(json_object_get(patch, "empty"))) {
		fputs("  the agent changed nothing\n", to);
		return;
	}
	fprintf(to, "  patch: %llu files, +%llu -%llu\n    ",
		(unsigned long long)count_of(patch, "files"),
		(unsigned long long)count_of(patch, "insertions"),
		(unsigned long long)count_of(patch, "deletions"));
	words_put(to, text_of(patch, "path"));
	fprintf(to, "\n    coffer task diff %s; coffer task apply %s --to DIR\n", task->id,
		task->id);
	print_list(json_object_get(patch, "skipped"), "left out of the patch", to, print_word);
}

void task_summary_print(struct task *task, FILE *to)
{
	json_t *summary = task_summary_json(task);
	const json_t *check = json_object_get(summary, "check");
	fprintf(to, "task %s: %s", task->id, task->state);
	if (strcmp(task->state, "running") == 0)
		fprintf(to, " (%s, process %lld)", task->phase, (long long)task->owner_pid);
	fputs("\n  repository: ", to);
	words_put(to, task->spec.repository);
	if (task->commit)
		fprintf(to, " at %.12s", task->commit);
	fputc('\n', to);
	if (task->error) {
		fputs("  ", to);
		words_put(to, task->error);
		fputs("\n  ", to);
		words_put(to, task->hint ? task->hint : "");
		fputc('\n', to);
	}
	if (json_is_object(check))
		fprintf(to, "  check: %s (exit %llu)\n",
			count_of(check, "exit") ? "failed" : "passed",
			(unsigned long long)count_of(check, "exit"));
	print_patch(task, summary, to);
	print_attempts(json_object_get(summary, "attempts"), to);
	print_list(
		json_object_get(summary, "findings"), "findings in the patch", to, print_finding);
	print_list(
		json_object_get(summary, "leaks"), "secrets that the set-up left", to, print_leak);
	json_decref(summary);
}
