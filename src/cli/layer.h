/* --layer of `coffer run`. */
#ifndef COFFER_CLI_LAYER_H
#define COFFER_CLI_LAYER_H

#include "cli/command.h"

struct cli_layer {
	char *id;
	bool fresh; /* made for this run */
	bool named;
};

/* Finds or makes the layer that the options ask for, and tells the policy. 0, also where they ask
 * for none, or -1 after having complained. */
int cli_layer_open(struct cli_options *options, struct cli_layer *ret);
/* After the run: says what the layer holds and how to go on; one that was made for this run and
 * holds nothing is discarded, unless it was named and something ran. report may be NULL: nothing
 * ran. */
void cli_layer_close(struct cli_layer *layer, const struct cli_options *options,
	const struct coffer_report *report);
/* The same where the report is another process's: what the layer holds, and whether anything ran. */
struct report_layer;
void cli_layer_conclude(struct cli_layer *layer, const struct cli_options *options,
	const struct report_layer *holds, bool ran);

#endif
