/* What the commands of the front share: one table of verbs, one way to say that something is
 * wrong. */
#ifndef COFFER_CLI_COMMAND_H
#define COFFER_CLI_COMMAND_H

#include "base/strv.h"
#include "coffer.h"
#include "config/approval.h"

#include <stdbool.h>
#include <stdio.h>

enum {
	EXIT_REFUSED = 126,      /* by the gate */
	EXIT_SETUP_FAILED = 125, /* the box could not be built, or the command line is wrong */
};

int cmd_run(int argc, char *argv[]);
int cmd_plan(int argc, char *argv[]);
int cmd_doctor(int argc, char *argv[]);
int cmd_net(int argc, char *argv[]);
int cmd_why(int argc, char *argv[]);
int cmd_policy(int argc, char *argv[]);
int cmd_profiles(int argc, char *argv[]);
int cmd_supervise(int argc, char *argv[]);
int cmd_trace(int argc, char *argv[]);
/* The verbs of coffer-gate and coffer-task: becomes that program. */
int cmd_sibling(int argc, char *argv[]);

/* Prints "coffer: message" and the hint to stderr, control characters escaped. */
void cli_complain(const struct coffer_error *error);
void cli_complain_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints text (freed here; NULL: there was no memory for it), with a newline behind JSON. The exit
 * code. */
int cli_print(char *text, bool json);
/* Text as a terminal may have it: control characters escaped. */
void cli_put(FILE *to, const char *text);
/* One line to stderr that informs. */
void cli_say(const char *text);

/* What a command line says beside the policy. */
struct cli_options {
	struct coffer_policy *policy;
	struct compiled_config *config; /* or NULL: there is no configuration file */
	struct approval approval; /* of a flag, else of the configuration; .set: somebody says so */
	char *approval_text;      /* the same, as written; or NULL */
	const char *approvals;    /* who is asked: "fd:N" or a socket's path; NULL: the terminal */
	int approvals_fd;         /* of "fd:N"; else -1 */
	struct strv asks;         /* --ask, each as written */
	const char *report;       /* FILE or fd:N */
	bool layer;               /* --layer */
	const char *layer_name;   /* its NAME; or NULL */
	const char *layer_on;     /* --layer-on */
	enum feedback_wish {
		FEEDBACK_UNSET,
		FEEDBACK_OFF,
		FEEDBACK_AS_TEXT,
		FEEDBACK_AS_JSON
	} feedback;
	bool speculate; /* --speculate */
	bool quiet, json, help;
	char **argv; /* the command, behind "--" or the first word that is no flag */
};

/* Parses argv[1..] of `coffer VERB`. 0, or -1 after having complained. */
int cli_parse(const char *verb, int argc, char *argv[], struct cli_options *ret);
void cli_options_release(struct cli_options *options);
void cli_help_policy(void);

#endif
