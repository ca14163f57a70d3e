/* Searching a directory tree: the part that runs in a box. */
#ifndef COFFER_TASK_SECRET_WALK_H
#define COFFER_TASK_SECRET_WALK_H

#include "task/secret_search.h"

#include <stdio.h>

/* Searches directories[0..count), each a root. What is found goes to `to`, a line of JSON each:
 *	{"root", "entry": hex, "path", "secret", "form", "where", "offset"}
 *	{"root", "unreadable": path, "why"}, with "closed": true where its mode keeps its owner out
 * and at the very end {"done": true, "files", "bytes", "lost"}: without it, something is missing.
 * path is below the root, with "[NAME]" for what holds a secret. 0 or -errno. */
int secret_walk(
	char *const directories[], size_t count, const struct secret_values *values, FILE *to);

#endif
