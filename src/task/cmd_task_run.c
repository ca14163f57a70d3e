/* `coffer task run` and `resume`. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/suggest.h"
#include "task/cmd_task.h"
#include "task/progress.h"
#include "task/task_internal.h"
#include "task/verbs.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static const char default_file[] = "coffer-task.toml";

/* How it is run, not what is asked for. */
struct manner {
	const char *file;
	bool detach, json, quiet, help;
};

static const struct own_flag {
	const char *name, *argument, *help;
} own_flags[] = {
	{"file", "FILE", "read this, and trust it from then on as ./coffer-task.toml"},
	{"detach", NULL, "go on in the background; prints the task's id"},
	{"json", NULL, "print one object at the end"},
	{"quiet", NULL, "show no progress (also -q)"},
	{"help", NULL, "print this"},
};

static void print_usage(void)
{
	size_t count;
	const struct task_key *keys = task_keys(&count);
	printf("usage: coffer task run REPO --agent CMD [OPTION]...\n"
	       "       coffer task run [OPTION]...   (what coffer-task.toml says)\n");
	for (size_t i = 0; i < count + ARRAY_SIZE(own_flags); i++) {
		struct own_flag flag =
			i < count ? (struct own_flag){keys[i].name, keys[i].argument, keys[i].help}
				  : own_flags[i - count];
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", flag.name, flag.argument ? " " : "",
			flag.argument ? flag.argument : "");
		printf("  %-32s %s\n", left, flag.help);
	}
}

static void set_own(struct manner *manner, const char *name, const char *value)
{
	if (strcmp(name, "file") == 0)
		manner->file = value;
	manner->detach = manner->detach || strcmp(name, "detach") == 0;
	manner->json = manner->json || strcmp(name, "json") == 0;
	manner->quiet = manner->quiet || strcmp(name, "quiet") == 0 || strcmp(name, "q") == 0;
	manner->help = manner->help || strcmp(name, "help") == 0 || strcmp(name, "h") == 0;
}

/* Whether a flag takes a value: 1 or 0; -1: there is no such flag. own: it is one of own_flags. */
static int find_flag(const char *name, bool *ret_own)
{
	size_t count;
	const struct task_key *keys = task_keys(&count);
	*ret_own = true;
	if (strcmp(name, "q") == 0 || strcmp(name, "h") == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(own_flags); i++)
		if (strcmp(own_flags[i].name, name) == 0)
			return own_flags[i].argument != NULL;
	*ret_own = false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return keys[i].argument != NULL;
	return -1;
}

static int refuse_flag(const char *word, struct error *error)
{
	size_t count;
	const struct task_key *keys = task_keys(&count);
	error_set(error, EINVAL, "task", "there is no option '%.64s'", word);
	const char *name = word + strspn(word, "-");
	const char *near = suggest_nearest(name, keys, count, sizeof(keys[0]));
	if (!near)
		near = suggest_nearest(
			name, own_flags, ARRAY_SIZE(own_flags), sizeof(own_flags[0]));
	return near ? error_hint(error, "did you mean --%s?", near)
		    : error_hint(error, "`coffer task run --help` lists them");
}

/* One pass over the words. With spec NULL only the manner is read: the file, which comes first, is
 * named there. */
static int read_words(int argc, char *argv[], const char *directory, struct manner *manner,
	struct task_spec *spec, struct error *error)
{
	bool plain = false, named = false;
	int r = 0;
	for (int i = 1; r == 0 && i < argc; i++) {
		char *word = argv[i];
		bool own;
		if (plain || word[0] != '-' || !word[1]) {
			if (spec && named)
				return error_set(error, EINVAL, "task",
					"'%.64s': there is one repository", word);
			named = true;
			r = spec ? task_spec_set(spec, directory, "repository", word, error) : 0;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			plain = true;
			continue;
		}
		const char *bare = word + strspn(word, "-"), *equals = strchr(bare, '=');
		const char *value = equals ? equals + 1 : NULL;
		cleanup_free char *name = strndup(bare, strcspn(bare, "="));
		if (!name)
			return error_set_errno(error, ENOMEM, "task", "the command line");
		int takes = find_flag(name, &own);
		if (takes < 0)
			return refuse_flag(word, error);
		if (takes && !value && !(value = argv[++i]))
			return error_set(error, EINVAL, "task", "--%s needs a value", name);
		if (own && !spec)
			set_own(manner, name, value);
		else if (!own && spec)
			r = task_spec_set(spec, directory, name, value, error);
	}
	return r;
}

static int read_request(
	int argc, char *argv[], struct manner *manner, struct task_spec *spec, struct error *error)
{
	cleanup_free char *directory = realpath(".", NULL);
	if (!directory)
		return error_set_errno(error, errno, "task", "the working directory");
	int r = read_words(argc, argv, directory, manner, NULL, error);
	if (r < 0 || manner->help)
		return r;
	if (manner->file || access(default_file, F_OK) == 0)
		r = task_spec_read_file(spec, manner->file ? manner->file : default_file,
			manner->file != NULL, error);
	if (r == 0)
		r = read_words(argc, argv, directory, manner, spec, error);
	return r < 0 ? r : task_spec_finish(spec, error);
}

/* ---- in the background ---- */

/* Session, descriptors, and a parent that nobody waits for. The lock comes along. In the parent:
 * the pid, when the one in the background has taken over. */
static pid_t go_to_background(struct task *task, struct error *error)
{
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_close int log = task_open_log(task, "log.task", error);
	if (null < 0 || log < 0)
		return null < 0 ? error_set_errno(error, errno, "task", "/dev/null") : log;
	int ready[2];
	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "task", "a pipe");
	fflush(NULL);
	pid_t pid = fork();
	if (pid != 0) {
		char word;
		int code = errno;
		close(ready[1]);
		bool taken = pid > 0 && fd_read_full(ready[0], &word, 1) == 1;
		close(ready[0]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return pid < 0 ? error_set_errno(error, code, "task", "fork")
		       : taken ? pid
			       : error_set(error, EPIPE, "task",
					 "the process in the background did not begin: %s/log.task",
					 task->directory);
	}
	setsid();
	if (fork() != 0)
		_exit(EXIT_SUCCESS);
	if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir("/") < 0)
		_exit(EXIT_FAILURE);
	if (store_open(&task->store, error) < 0 || task_save_running(task, error) < 0) {
		verb_complain(error);
		_exit(EXIT_FAILURE);
	}
	(void)fd_write_full(ready[1], "", 1);
	close(ready[0]);
	close(ready[1]);
	return 0;
}

static void print_id(const struct task *task, const struct manner *manner)
{
	if (manner->json)
		printf("{\"id\":\"%s\",\"state\":\"running\"}\n", task->id);
	else
		printf("%s\n", task->id);
	fflush(stdout);
}

static void print_end(struct task *task, const struct manner *manner)
{
	if (!manner->json) {
		task_summary_print(task, stdout);
		return;
	}
	json_t *summary = task_summary_json(task);
	json_dumpf(summary, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(summary);
}

/* The task is locked and its row is there. Frees both. */
static int work_on(struct task *task, struct store *store, const struct manner *manner)
{
	struct error error = {0};
	if (manner->detach) {
		/* A handle of the store does not live through a fork. */
		store_close(store);
		task->store = store = NULL;
		pid_t pid = go_to_background(task, &error);
		if (pid > 0)
			print_id(task, manner);
		if (pid < 0)
			verb_complain(&error);
		if (pid != 0) {
			task_free(task);
			return pid < 0 ? TASK_EXIT_FAILED : 0;
		}
		store = task->store;
	}
	task->progress = task_progress_new(manner->quiet);
	int code = task_run(task);
	print_end(task, manner);
	task_free(task);
	store_close(store);
	return code;
}

int cmd_task_run(int argc, char *argv[])
{
	struct manner manner = {0};
	struct task_spec spec = {0};
	struct error error = {0};
	struct store *store = NULL;
	struct task *task = NULL;
	int r = read_request(argc, argv, &manner, &spec, &error);
	if (r == 0 && manner.help) {
		print_usage();
		return 0;
	}
	if (r == 0 && task_open_store(&store) < 0) {
		task_spec_release(&spec);
		return TASK_EXIT_FAILED;
	}
	cleanup_close int sweep = r == 0 ? task_sweep_lock(false, &error) : -1;
	if (r == 0)
		r = sweep < 0 ? sweep : task_create(store, &spec, &task, &error);
	close_fd(&sweep);
	task_spec_release(&spec);
	if (r == 0)
		return work_on(task, store, &manner);
	verb_complain(&error);
	store_close(store);
	return TASK_EXIT_FAILED;
}

int cmd_task_resume(int argc, char *argv[])
{
	const char *json = NULL, *quiet = NULL, *brief = NULL, *detach = NULL, *words[1];
	const struct task_option options[] = {
		{"--json", NULL, &json, "print one object at the end"},
		{"--quiet", NULL, &quiet, "show no progress"},
		{"-q", NULL, &brief, "the same"},
		{"--detach", NULL, &detach, "go on in the background"},
	};
	const struct task_verb_line verb = {"resume ID [OPTION]...", options, ARRAY_SIZE(options)};
	size_t count;
	int r = task_parse_words(argc, argv, &verb, words, &count, 1);
	if (r != 0)
		return r > 0 ? 0 : TASK_EXIT_FAILED;
	struct manner manner = {
		.json = json != NULL, .quiet = quiet || brief, .detach = detach != NULL};
	struct store *store;
	struct task *task;
	struct error error = {0};
	if (count == 0) {
		verb_say("which task? usage: coffer task %s", verb.usage);
		return TASK_EXIT_FAILED;
	}
	if (task_open_one(words[0], &store, &task) < 0)
		return TASK_EXIT_FAILED;
	cleanup_close int sweep = task_sweep_lock(false, &error);
	r = sweep < 0 ? sweep : task_lock(task, &error);
	if (r == 0 && strcmp(task->state, "done") == 0) {
		error_set(&error, EALREADY, "task", "task %s is done", task->id);
		r = error_hint(
			&error, "`coffer task show %s`; a new one begins with `run`", task->id);
	}
	if (r == 0)
		r = task_save_running(task, &error);
	close_fd(&sweep);
	if (r == 0)
		return work_on(task, store, &manner);
	verb_complain(&error);
	task_free(task);
	store_close(store);
	return TASK_EXIT_FAILED;
}
