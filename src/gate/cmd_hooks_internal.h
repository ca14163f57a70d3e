/* The sub-verbs of `coffer hooks`. Each gets argv[0] = its own name. */
#ifndef COFFER_GATE_CMD_HOOKS_INTERNAL_H
#define COFFER_GATE_CMD_HOOKS_INTERNAL_H

#include "base/error.h"
#include "config/config.h"

#include <stdio.h>

enum { HOOKS_EXIT_FAILED = 125, HOOKS_EXIT_REFUSED = 126 };

/* The configuration of the working directory. The strings of *where are in *storage. */
struct hooks_setting {
	struct config *config;
	struct config_where where;
	struct strv storage;
	char *directory;
};
int hooks_setting_load(struct hooks_setting *ret, struct error *error);
void hooks_setting_release(struct hooks_setting *setting);

/* Prints an error with its hint; returns HOOKS_EXIT_FAILED. */
int hooks_complain(const struct error *error);
int hooks_usage(const char *text);
/* Prints text that somebody else wrote: control codes shown, each line after indent. */
void hooks_print(FILE *to, const char *indent, const char *text, size_t length_bytes);

int cmd_hooks_list(int argc, char *argv[]);
int cmd_hooks_trust(int argc, char *argv[]);
int cmd_hooks_test(int argc, char *argv[]);

#endif
