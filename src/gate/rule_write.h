/* The half of rule_append() that knows files and nothing of what a configuration means. */
#ifndef COFFER_GATE_RULE_WRITE_H
#define COFFER_GATE_RULE_WRITE_H

#include "base/error.h"

/* check is given a directory that holds the whole new file under the old one's name; what it
 * refuses takes nobody's place. Several writers wait for one another. */
int rule_append_checked(const char *file, const char *text,
	int (*check)(const char *directory, struct error *error), struct error *error);

#endif
