/* The gate before a run, as the front sees it: most commands need no more than a look at their
 * name; for the others coffer-gate is started. */
#ifndef COFFER_CLI_GATE_H
#define COFFER_CLI_GATE_H

#include "cli/command.h"
#include "gate/front.h"

struct coffer_report;

struct cli_gate {
	bool consulted;
	struct front_answer answer; /* where it was */
	struct strv argv;           /* what is to run */
};
void cli_gate_release(struct cli_gate *gate);

/* Decides about options->argv, and widens options->policy by what was granted. after: what the box
 * refused the first time (on-failure), or NULL; asks: what would cure it. 0 (look at
 * answer.verdict where the gate was consulted), or -1 after having complained. */
int cli_gate_pass(struct cli_options *options, const char *after, const struct strv *asks,
	struct cli_gate *ret);

/* The hooks behind a run: what they have to say is said. */
void cli_gate_outcome(
	struct cli_options *options, struct cli_gate *gate, struct coffer_report *report);

/* on-failure: what the report's refusals would need, as --ask words it; none where the gate cannot
 * help. *ret_after: what was refused, in a person's words; the caller frees. */
int cli_gate_cure(const struct coffer_report *report, struct strv *ret_asks, char **ret_after);

#endif
