/* What `coffer gate` and `coffer rule` find out before they decide: the configuration of a
 * directory, and the mode and the writable roots that a run there would have. */
#ifndef COFFER_GATE_COMMAND_CONTEXT_H
#define COFFER_GATE_COMMAND_CONTEXT_H

#include "gate/decide.h"
#include "gate/say.h"

struct command_context {
	char *directory;   /* absolute */
	struct strv where; /* what config_where() borrows from */
	struct config *config;
	char *home, *path;
	/* By mode, MODE_UNSET being what a run would choose: found out when they are asked for. */
	struct command_roots {
		bool known;
		enum policy_mode mode;
		struct strv roots;
	} roots[MODE_FULL_ACCESS + 1];
};

/* directory may be NULL: the working directory. */
int command_context_open(
	struct command_context *context, const char *directory, struct error *error);
void command_context_release(struct command_context *context);
/* The mode and writable roots of a run: *ret lives as long as the context. */
int command_context_roots(struct command_context *context, enum policy_mode mode,
	const struct command_roots **ret, struct error *error);
/* Any of the modes' names; -EINVAL with the nearest told. */
int command_parse_mode(const char *text, enum policy_mode *ret, struct error *error);

/* Prints what is in the buffer, or says that there was no memory. The exit code. */
int command_print(struct buffer *out, int code);

enum {
	EXIT_DECISION_ALLOW = 0,
	EXIT_DECISION_ASK = 1,
	EXIT_DECISION_FORBID = 2,
	EXIT_USAGE = 125, /* nothing was decided */
};

#endif
