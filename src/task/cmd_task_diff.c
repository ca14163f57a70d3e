/* `coffer task diff` and `apply`: the patch, to look at and to take. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "task/cmd_task.h"
#include "task/pack.h"
#include "task/patch_stat.h"
#include "task/verbs.h"
#include "task/words.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 };

/* The best one's, or that of an attempt; also before the task has ended, if one is finished. */
static char *find_patch(const struct task *task, const char *attempt)
{
	int64_t number = 1;
	char name[64] = "patch";
	if (attempt && task_parse_attempt(attempt, task, &number) < 0)
		return NULL;
	if (attempt)
		snprintf(name, sizeof(name), "attempt-%" PRId64 "/patch", number);
	char *path = path_join(task->directory, name);
	if (path && access(path, R_OK) == 0)
		return path;
	free(path);
	snprintf(name, sizeof(name), "attempt-%" PRId64 "/patch", number);
	path = attempt ? NULL : path_join(task->directory, name);
	if (path && access(path, R_OK) == 0)
		return path;
	free(path);
	verb_say("task %s (%s) has no patch%s", task->id, task->state,
		strcmp(task->state, "done") == 0 ? ": the agent changed nothing" : " yet");
	return NULL;
}

static int print_raw(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	static char block[BLOCK_BYTES];
	ssize_t n = fd < 0 ? -errno : 0;
	int r = 0;
	while (fd >= 0 && r == 0 && (n = fd_read_full(fd, block, sizeof(block))) > 0)
		r = fd_write_full(STDOUT_FILENO, block, (size_t)n);
	return n < 0 ? (int)n : r;
}

/* What a terminal would act on is shown, not done. */
static int print_shown(const char *path)
{
	cleanup_fclose FILE *file = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	if (!file)
		return -errno;
	for (ssize_t n; (n = getline(&line, &room, file)) > 0;) {
		/* A NUL would hide the rest of its line. */
		for (ssize_t i = 0; i < n; i++)
			if (!line[i])
				line[i] = '\x01';
		words_put(stdout, line);
	}
	return ferror(file) ? -EIO : 0;
}

int cmd_task_diff(int argc, char *argv[])
{
	const char *attempt = NULL, *stat = NULL, *names = NULL, *words[1];
	const struct task_option options[] = {
		{"--attempt", "N", &attempt, "that of one attempt, not of the best"},
		{"--stat", NULL, &stat, "files, with the lines that come and go"},
		{"--name-only", NULL, &names, "files alone"},
	};
	const struct task_verb_line verb = {
		"diff ID [--attempt N] [--stat|--name-only]", options, ARRAY_SIZE(options)};
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
	store_close(store);
	cleanup_free char *path = find_patch(task, attempt);
	task_free(task);
	if (!path)
		return TASK_EXIT_UNFIT;
	if (stat || names)
		r = patch_stat_print(path, stat != NULL, stdout);
	else
		r = isatty(STDOUT_FILENO) ? print_shown(path) : print_raw(path);
	if (r < 0 && r != -EPIPE)
		verb_say("%s: %s", path, strerror(-r));
	return r < 0 && r != -EPIPE ? TASK_EXIT_FAILED : 0;
}

int cmd_task_apply(int argc, char *argv[])
{
	const char *attempt = NULL, *dry = NULL, *to = ".", *three_way = NULL, *words[1];
	const struct task_option options[] = {
		{"--to", "DIR", &to, "the working tree; default: here"},
		{"--dry-run", NULL, &dry, "say what would change"},
		{"--3way", NULL, &three_way, "merge where the tree has changed"},
		{"--attempt", "N", &attempt, "that of one attempt, not of the best"},
	};
	const struct task_verb_line verb = {"apply ID [OPTION]...", options, ARRAY_SIZE(options)};
	size_t count;
	struct store *store;
	struct task *task;
	struct error error = {0};
	int r = task_parse_words(argc, argv, &verb, words, &count, 1);
	if (r == 0 && count == 0) {
		verb_say("which task? `coffer task list` has them");
		r = -EINVAL;
	}
	if (r != 0 || task_open_one(words[0], &store, &task) < 0)
		return r > 0 ? 0 : TASK_EXIT_FAILED;
	store_close(store);
	cleanup_free char *path = find_patch(task, attempt);
	task_free(task);
	cleanup_free char *directory = path ? realpath(to, NULL) : NULL;
	if (path && !directory)
		verb_say("%s: %s", to, strerror(errno));
	if (!directory)
		return path ? TASK_EXIT_FAILED : TASK_EXIT_UNFIT;
	const struct patch_apply_options apply = {.patch = path,
		.directory = directory,
		.dry_run = dry != NULL,
		.three_way = three_way != NULL};
	if (task_patch_apply(&apply, STDOUT_FILENO, &error) == 0)
		return 0;
	verb_complain(&error);
	return TASK_EXIT_UNFIT;
}
