/* What tasks do with repositories, one step a call, for tests/task: prints what came of it as lines
 * "key: value". Exit code 1: refused; the message and the hint are among the lines. */
#include "base/cleanup.h"
#include "layer/layer.h"
#include "task/clone.h"
#include "task/pack.h"

#include <string.h>

static int failed(const struct error *error)
{
	printf("error: %d\nmessage: %s\nhint: %s\n", error->errno_value, error->message,
		error->hint);
	return 1;
}

/* layer [ON] */
static int make_layer(char *argv[])
{
	struct layer *layer = NULL;
	struct error error = {0};
	const struct layer_options options = {.on = argv[0], .purpose = "test"};
	if (layer_create(&options, &layer, &error) < 0)
		return failed(&error);
	printf("id: %s\ndirectory: %s\n", layer->id, layer->directory);
	layer_close(layer);
	return 0;
}

/* What follows the fixed arguments: NAME=VALUE. */
static const char *option(char *argv[], const char *name)
{
	size_t length = strlen(name);
	for (; *argv; argv++)
		if (strncmp(*argv, name, length) == 0 && (*argv)[length] == '=')
			return *argv + length + 1;
	return NULL;
}

static int settings_of(char *argv[], struct strv *ret)
{
	int r = 0;
	for (; r == 0 && *argv; argv++)
		if (strncmp(*argv, "set:", 4) == 0)
			r = strv_add(ret, *argv + 4);
	return r;
}

/* clone LAYER REPOSITORY [ref= depth= filter= submodules= ssh_agent=] [set:KEY=VALUE...] */
static int run_clone(char *argv[])
{
	cleanup_strv struct strv settings = {0};
	const char *depth = option(argv + 2, "depth");
	if (settings_of(argv + 2, &settings) < 0)
		return 2;
	const struct clone_request request = {.layer = argv[0],
		.repository = argv[1],
		.ref = option(argv + 2, "ref"),
		.depth = depth ? (unsigned)atoi(depth) : 0,
		.filter = option(argv + 2, "filter"),
		.submodules = option(argv + 2, "submodules"),
		.ssh_agent = option(argv + 2, "ssh_agent"),
		.settings = &settings,
		.log = STDERR_FILENO};
	struct clone_result result;
	struct error error = {0};
	if (task_clone(&request, &result, &error) < 0)
		return failed(&error);
	printf("commit: %s\nbranch: %s\nsubmodules: %u\nlfs: %llu\nbytes: %llu\n", result.commit,
		result.branch ? result.branch : "", result.submodules,
		(unsigned long long)result.lfs_pointers, (unsigned long long)result.bytes);
	clone_result_release(&result);
	return 0;
}

/* pack CLONE PREPARED AGENT COMMIT OUT [subject= body=] [set:KEY=VALUE...] */
static int run_pack(char *argv[])
{
	cleanup_strv struct strv settings = {0};
	if (settings_of(argv + 5, &settings) < 0)
		return 2;
	const struct pack_request request = {.clone_layer = argv[0],
		.prepared_layer = argv[1],
		.agent_layer = argv[2],
		.commit = argv[3],
		.branch = "coffer/test",
		.subject = option(argv + 5, "subject"),
		.body = option(argv + 5, "body"),
		.out_directory = argv[4],
		.settings = &settings,
		.log = STDERR_FILENO};
	struct pack_result result;
	struct error error = {0};
	if (task_pack(&request, &result, &error) < 0)
		return failed(&error);
	printf("empty: %d\nfiles: %llu\ninsertions: %llu\ndeletions: %llu\ncommit: %s\n"
	       "patch: %s\nbundle: %s\n",
		result.empty, (unsigned long long)result.files,
		(unsigned long long)result.insertions, (unsigned long long)result.deletions,
		result.commit, result.patch_path ? result.patch_path : "",
		result.bundle_path ? result.bundle_path : "");
	for (size_t i = 0; i < result.skipped.count; i++)
		printf("skipped: %s\n", result.skipped.items[i]);
	pack_result_release(&result);
	return 0;
}

/* apply PATCH DIRECTORY [dry_run= three_way= protected=] [set:KEY=VALUE...] */
static int run_apply(char *argv[])
{
	cleanup_strv struct strv settings = {0};
	if (settings_of(argv + 2, &settings) < 0)
		return 2;
	const struct patch_apply_options options = {.patch = argv[0],
		.directory = argv[1],
		.dry_run = option(argv + 2, "dry_run"),
		.three_way = option(argv + 2, "three_way"),
		.protected_names = option(argv + 2, "protected"),
		.settings = &settings};
	struct error error = {0};
	int r = task_patch_apply(&options, STDOUT_FILENO, &error);
	return r < 0 ? failed(&error) : 0;
}

/* box LAYER COMMAND [set:KEY=VALUE...]: a phase of a task, without a network */
static int run_box(char *argv[])
{
	cleanup_strv struct strv settings = {0}, environment = {0};
	if (settings_of(argv + 2, &settings) < 0 || strv_add(&settings, "net=off") < 0 ||
		strv_add(&environment, "HOME=" TASK_HOME) < 0)
		return 2;
	char shell[] = "/bin/sh", flag[] = "-c";
	char *command[] = {shell, flag, argv[1], NULL};
	const struct task_box box = {.layer = argv[0],
		.argv = command,
		.environment = &environment,
		.settings = &settings,
		.stdio = {-1, STDOUT_FILENO, STDERR_FILENO}};
	struct task_box_result result;
	struct error error = {0};
	if (task_box_run(&box, &result, &error) < 0)
		return failed(&error);
	printf("exit: %d\ncause: %s\n", result.exit_code, result.cause);
	task_box_result_release(&result);
	return 0;
}

static const struct {
	const char *name;
	int arguments;
	int (*run)(char *argv[]);
} steps[] = {
	{"layer", 0, make_layer},
	{"clone", 2, run_clone},
	{"pack", 5, run_pack},
	{"apply", 2, run_apply},
	{"box", 2, run_box},
};

int main(int argc, char *argv[])
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(steps); i++)
		if (strcmp(argv[1], steps[i].name) == 0 && argc - 2 >= steps[i].arguments)
			return steps[i].run(argv + 2);
	fprintf(stderr, "task_driver: there is no such step\n");
	return 2;
}
