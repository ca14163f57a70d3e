#include "cli/command.h"

#include "base/sibling.h"

#include <string.h>
#include <unistd.h>

int cmd_sibling(int argc, char *argv[])
{
	(void)argc;
	char path[PATH_MAX];
	struct error error;
	if (sibling_find("coffer-gate", "gate", path, &error) == 0) {
		execv(path, argv);
		cli_complain_text("%s: %m", path);
		return EXIT_SETUP_FAILED;
	}
	cli_complain_text("%s", error.message);
	cli_say(error.hint);
	return EXIT_SETUP_FAILED;
}
