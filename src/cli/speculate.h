/* `coffer run --speculate`: the command runs at once, on a layer and with every connection held, and
 * what it did is shown before anything of it counts. */
#ifndef COFFER_CLI_SPECULATE_H
#define COFFER_CLI_SPECULATE_H

#include "cli/layer.h"

struct speculation_run {
	struct cli_options *options;
	struct cli_layer *layer;
	int report_fd; /* or -1 */
	/* Runs the box in a process of its own, whose standard descriptors are set up, and writes the
	 * report to report_fd. Returns the exit code. */
	int (*run)(void *context, int report_fd);
	void *context;
};

/* The exit code: the command's, or of what was done with its layer if that failed. Closes the
 * layer. */
int cli_speculate(const struct speculation_run *run);

#endif
