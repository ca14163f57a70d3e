#include "cli/command.h"
#include "cli/configure.h"

#include <stdio.h>
#include <stdlib.h>

int cmd_plan(int argc, char *argv[])
{
	struct cli_options options;
	int code = EXIT_SETUP_FAILED;
	if (cli_parse("plan", argc, argv, &options) < 0)
		goto out;
	if (options.help) {
		printf("usage: coffer plan [OPTION]... [--] [COMMAND [ARGUMENT]...]\n"
		       "Prints what `coffer run` would do, as JSON, and runs nothing.\n\n");
		cli_help_policy();
		code = 0;
		goto out;
	}
	if (cli_configure(&options) < 0)
		goto out;
	struct coffer_plan *plan = NULL;
	struct coffer_error error;
	if (coffer_plan_new(options.policy, options.argv, 1, &plan, &error) < 0) {
		cli_complain(&error);
		goto out;
	}
	char *json = coffer_plan_json(plan);
	if (json && puts(json) >= 0)
		code = 0;
	free(json);
	coffer_plan_free(plan);
out:
	cli_options_release(&options);
	return code;
}
