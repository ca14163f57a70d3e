#include "task/cmd_task.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/units.h"
#include "task/command.h"
#include "task/verbs.h"

#include <string.h>

static const struct verb {
	const char *name;
	int (*run)(int argc, char *argv[]);
	const char *arguments, *help;
} verbs[] = {
	{"run", cmd_task_run, "REPO --agent CMD [OPTION]...", "clone, set up, let an agent work"},
	{"list", cmd_task_list, "[--json]", "all tasks"},
	{"show", cmd_task_show, "ID [--json]", "what has become of one"},
	{"logs", cmd_task_logs, "ID [--follow] [--phase P]", "what its commands wrote"},
	{"diff", cmd_task_diff, "ID [--attempt N] [--stat]", "its patch"},
	{"apply", cmd_task_apply, "ID [--to DIR] [--dry-run]", "its patch on a working tree"},
	{"cancel", cmd_task_cancel, "ID...", "end one that runs"},
	{"resume", cmd_task_resume, "ID", "go on with one that was broken off"},
	{"rm", cmd_task_rm, "ID...|--prepared", "remove tasks, or the cache of set-ups"},
};

static int usage(FILE *to, int code)
{
	fputs("usage: coffer task VERB\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %-7s %-29s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	return code;
}

int cmd_task(int argc, char *argv[])
{
	if (argc < 2)
		return usage(stderr, TASK_EXIT_FAILED);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout, 0);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	verb_say("coffer task has no verb '%s'", argv[1]);
	const char *near = suggest_nearest(argv[1], verbs, ARRAY_SIZE(verbs), sizeof(verbs[0]));
	if (near)
		fprintf(stderr, "  did you mean %s?\n", near);
	else
		usage(stderr, 0);
	return TASK_EXIT_FAILED;
}

/* ---- words ---- */

static void print_help(const struct task_verb_line *verb)
{
	printf("usage: coffer task %s\n", verb->usage);
	for (size_t i = 0; i < verb->options_count; i++) {
		const struct task_option *option = &verb->options[i];
		char left[64];
		snprintf(left, sizeof(left), "%s%s%s", option->name, option->argument ? " " : "",
			option->argument ? option->argument : "");
		printf("  %-22s %s\n", left, option->help);
	}
}

static const struct task_option *find_option(
	const struct task_verb_line *verb, const char *word, const char **ret_value)
{
	size_t length = strcspn(word, "=");
	*ret_value = word[length] ? word + length + 1 : NULL;
	for (size_t i = 0; i < verb->options_count; i++)
		if (strlen(verb->options[i].name) == length &&
			strncmp(verb->options[i].name, word, length) == 0)
			return &verb->options[i];
	return NULL;
}

static int refuse(const struct task_verb_line *verb, const char *word)
{
	verb_say("there is no option '%s'", word);
	const char *near =
		suggest_nearest(word, verb->options, verb->options_count, sizeof(verb->options[0]));
	if (near)
		fprintf(stderr, "  did you mean %s?\n", near);
	else
		fprintf(stderr, "  usage: coffer task %s\n", verb->usage);
	return -EINVAL;
}

int task_parse_words(int argc, char *argv[], const struct task_verb_line *verb, const char *ret[],
	size_t *ret_count, size_t max_count)
{
	bool plain = false;
	*ret_count = 0;
	for (int i = 1; i < argc; i++) {
		const char *value, *word = argv[i];
		if (plain || word[0] != '-' || !word[1]) {
			if (*ret_count == max_count) {
				verb_say("'%s' is one word too many", word);
				fprintf(stderr, "  usage: coffer task %s\n", verb->usage);
				return -EINVAL;
			}
			ret[(*ret_count)++] = word;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			plain = true;
			continue;
		}
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			print_help(verb);
			return 1;
		}
		const struct task_option *option = find_option(verb, word, &value);
		if (!option)
			return refuse(verb, word);
		if (option->argument && !value && !(value = argv[++i])) {
			verb_say("%s needs a value: %s", option->name, option->argument);
			return -EINVAL;
		}
		*option->value = option->argument ? value : option->name;
	}
	return 0;
}

int task_open_store(struct store **ret)
{
	struct error error;
	verb_begin();
	int r = store_open(ret, &error);
	if (r == 0 && (r = task_recover(*ret, &error)) < 0)
		store_close(*ret);
	if (r < 0)
		verb_complain(&error);
	return r;
}

int task_open_one(const char *id, struct store **ret_store, struct task **ret)
{
	struct error error;
	int r = task_open_store(ret_store);
	if (r < 0)
		return r;
	r = task_load(*ret_store, id, ret, &error);
	if (r < 0) {
		verb_complain(&error);
		store_close(*ret_store);
	}
	return r;
}

int task_parse_attempt(const char *text, const struct task *task, int64_t *ret)
{
	uint64_t number;
	if (units_parse_count(text, &number) < 0 || number == 0 || number > task->spec.attempts) {
		verb_say("--attempt: task %s has attempts 1 to %llu, not '%s'", task->id,
			(unsigned long long)task->spec.attempts, text);
		return -EINVAL;
	}
	*ret = (int64_t)number;
	return 0;
}
