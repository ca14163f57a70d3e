/* What can be asked of this host and this build without a policy. */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print(
	const char *verb, const char *what, char *(*make)(int json), int argc, char *argv[])
{
	int json = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			json = 1;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			printf("usage: coffer %s [--json]\n%s\n", verb, what);
			return 0;
		} else {
			cli_complain_text(
				"coffer %s takes --json and nothing else, not '%s'", verb, argv[i]);
			return EXIT_SETUP_FAILED;
		}
	}
	return cli_print(make(json), json);
}

int cmd_doctor(int argc, char *argv[])
{
	return print("doctor",
		"Shows what this machine can enforce, and how to mend what it lacks.",
		coffer_doctor, argc, argv);
}

int cmd_profiles(int argc, char *argv[])
{
	return print(
		"profiles", "Lists the named profiles for --profile.", coffer_profiles, argc, argv);
}
