/* What the configuration files add to a command line. */
#ifndef COFFER_CLI_CONFIGURE_H
#define COFFER_CLI_CONFIGURE_H

#include "cli/command.h"
#include "config/compiled.h"

/* Looks up the files that hold for the directory of options (-C, or the one we are in), and makes
 * options->policy anew: what they say, the flags behind it, and what is required. options->config
 * is then the configuration, or NULL where there is no file. Notices are said unless options are
 * quiet. 0, or -1 after having complained. */
int cli_configure(struct cli_options *options);
/* Whether options->policy, widened by grants, still is within what is required: 0, or -1 after
 * having complained. */
int cli_configure_permits(const struct cli_options *options);

#endif
