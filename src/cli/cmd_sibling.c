#include "cli/command.h"

#include "base/cleanup.h"
#include "base/sibling.h"

#include <string.h>
#include <unistd.h>

/* What is done with layers; every other verb of a sibling is the gate's. */
static const char *const task_verbs[] = {
	"diff", "apply", "discard", "layers", "snapshot", "restore", "fork", "task"};

int cmd_sibling(int argc, char *argv[])
{
	(void)argc;
	const char *program = "coffer-gate", *stage = "gate";
	for (size_t i = 0; i < ARRAY_SIZE(task_verbs); i++)
		if (strcmp(argv[0], task_verbs[i]) == 0) {
			program = "coffer-task";
			stage = "task";
		}
	char path[PATH_MAX];
	struct error error;
	if (sibling_find(program, stage, path, &error) == 0) {
		execv(path, argv);
		cli_complain_text("%s: %m", path);
		return EXIT_SETUP_FAILED;
	}
	cli_complain_text("%s", error.message);
	cli_say(error.hint);
	return EXIT_SETUP_FAILED;
}
