/* The front starts this program for the verbs that need syntax trees, TOML or TLS, and for itself
 * (compile, decide). argv[0] is the verb, so that it is also found under `coffer-gate VERB`. */
#include "base/cleanup.h"
#include "gate/command.h"
#include "session/session.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char *argv[]);
} verbs[] = {
	{"check", cmd_check},
	{"compile", cmd_compile},
	{"config", cmd_config},
	{"decide", cmd_decide},
	{"gate", cmd_gate},
	{"hooks", cmd_hooks},
	{"mcp", cmd_mcp},
	{"rule", cmd_rule},
	{"session", cmd_session},
	{"trust", cmd_trust},
};

int main(int argc, char *argv[])
{
	for (int i = 0; i < 2 && i < argc; i++)
		for (size_t k = 0; k < ARRAY_SIZE(verbs); k++)
			if (strcmp(argv[i], verbs[k].name) == 0)
				return verbs[k].run(argc - i, argv + i);
	fprintf(stderr, "coffer-gate: this program is started by coffer; see `coffer --help`\n");
	return 125;
}
