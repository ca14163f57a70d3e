#include "gate/cmd_gate.h"

#include "base/cleanup.h"
#include "gate/command.h"
#include "gate/command_context.h"
#include "gate/table.h"

#include <stdio.h>
#include <string.h>

static int gate_table(int argc, char *argv[])
{
	if (argc > 1) {
		struct error error;
		error_set(&error, EINVAL, "gate", "coffer gate table takes no '%.64s'", argv[1]);
		say_error(&error);
		return EXIT_USAGE;
	}
	cleanup_buffer struct buffer out = BUFFER_INIT(64 * 1024);
	table_print(&out);
	return command_print(&out, 0);
}

static const struct {
	const char *name;
	int (*run)(int argc, char *argv[]);
	const char *help;
} verbs[] = {
	{"check", gate_check, "what the gate decides about a command, and why; runs nothing"},
	{"parts", gate_parts, "every command that a command line or script would run"},
	{"review", gate_review, "what the reviewer makes of a request"},
	{"table", gate_table, "the decision table, as Markdown"},
};

static void help(FILE *to)
{
	fprintf(to, "usage: coffer gate VERB [OPTION]...\n"
		    "Decides about commands: allow, ask or forbid. Nothing is run.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %-7s %s\n", verbs[i].name, verbs[i].help);
	fprintf(to, "\n`coffer gate check --help` tells more.\n");
}

int cmd_gate(int argc, char *argv[])
{
	const char *word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		help(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(word, verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	if (!*word) {
		help(stderr);
		return EXIT_USAGE;
	}
	struct error error;
	error_set(&error, EINVAL, "gate", "coffer gate has no '%.64s'", word);
	error_hint(&error, "it takes check, parts, review or table");
	say_error(&error);
	return EXIT_USAGE;
}
