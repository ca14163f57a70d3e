#include "cli/main.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

struct verb {
	const char *name;
	int (*run)(int argc, char *argv[]);
	const char *help; /* NULL: not for people */
};

static const struct verb verbs[] = {
	{"run", cmd_run, "run a command in a box"},
	{"plan", cmd_plan, "print what a run would do, as JSON"},
	{"why", cmd_why, "what the policy says of a path or a host, and what would allow it"},
	{"policy", cmd_policy, "suggest the narrowest policy for what a command did"},
	{"doctor", cmd_doctor, "what this machine can enforce, and how to mend what it lacks"},
	{"profiles", cmd_profiles, "list the named profiles"},
	{"net", cmd_net, "what the network's rules open: presets, and one decision"},
	{"trace", cmd_trace, "what went wrong, from what a tool printed"},
	{"gate", cmd_sibling, "decide about a command and run nothing"},
	{"check", cmd_sibling, "what a script, a program or a diff would do"},
	{"config", cmd_sibling, "the configuration in force; check it, import another tool's"},
	{"trust", cmd_sibling, "trust a project's own configuration"},
	{"rule", cmd_sibling, "which rule decides about a command"},
	{"hooks", cmd_sibling, "list, trust and test hooks"},
	{"session", cmd_sibling, "serve an agent's host: JSON-RPC on stdin and stdout"},
	{"mcp", cmd_sibling, "the same as a Model Context Protocol server"},
	{"diff", cmd_sibling, "what a layer would change"},
	{"apply", cmd_sibling, "put a layer's changes on the host"},
	{"discard", cmd_sibling, "throw a layer away"},
	{"layers", cmd_sibling, "the layers there are; export, import, collect"},
	{"snapshot", cmd_sibling, "keep what a layer holds now"},
	{"restore", cmd_sibling, "back to a snapshot"},
	{"fork", cmd_sibling, "go on from one layer several times"},
	{"task", cmd_sibling, "a clone, a set-up phase, an agent phase, a patch"},
	{"supervise", cmd_supervise, NULL},
};

static void help(FILE *to)
{
	fprintf(to, "usage: coffer VERB [OPTION]...\n"
		    "Runs code that nobody has vouched for in a box that the operating system "
		    "enforces.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].help)
			fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	fprintf(to, "\n`coffer VERB --help` tells more; `coffer --version` says which this is.\n");
}

int cli_main(int argc, char *argv[])
{
	/* Without a buffer each character of a note would be a system call of its own. */
	static char lines[BUFSIZ];
	setvbuf(stderr, lines, _IOLBF, sizeof(lines));
	const char *word = argc > 1 ? argv[1] : NULL;
	if (!word) {
		help(stderr);
		return EXIT_SETUP_FAILED;
	}
	if (strcmp(word, "--version") == 0)
		return printf("coffer %s\n", coffer_version()) < 0;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		help(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, word) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	const char *near = suggest_nearest(word, verbs, ARRAY_SIZE(verbs), sizeof(verbs[0]));
	cli_complain_text("there is no command '%s'", word);
	if (near)
		fprintf(stderr, "  did you mean `coffer %s`? To run a program: coffer run -- %s\n",
			near, word);
	else
		fprintf(stderr, "  to run a program: coffer run -- %s\n", word);
	return EXIT_SETUP_FAILED;
}
