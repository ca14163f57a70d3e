/* The front starts this program for what is done with layers, and for tasks. argv[0] is the verb,
 * so that it is also found under `coffer-task VERB`. */
#include "base/cleanup.h"
#include "task/command.h"
#include "task/verbs.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char *argv[]);
} verbs[] = {
	{"diff", cmd_diff},
	{"apply", cmd_apply},
	{"discard", cmd_discard},
	{"layers", cmd_layers},
	{"task", cmd_task},
	{"search", cmd_search},
	{"snapshot", cmd_snapshot},
	{"restore", cmd_restore},
	{"fork", cmd_fork},
};

int main(int argc, char *argv[])
{
	for (int i = 0; i < 2 && i < argc; i++)
		for (size_t k = 0; k < ARRAY_SIZE(verbs); k++)
			if (strcmp(argv[i], verbs[k].name) == 0) {
				verb_begin();
				return verbs[k].run(argc - i, argv + i);
			}
	fprintf(stderr, "coffer-task: this program is started by coffer; see `coffer --help`\n");
	return 125;
}
