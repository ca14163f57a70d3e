/* Layers that were made elsewhere. */
#ifndef COFFER_TASK_IMPORT_H
#define COFFER_TASK_IMPORT_H

#include "base/error.h"

/* Makes layers of what layer_export() has written, the topmost of them called `name` (NULL: none).
 * What is read is a stranger's: it is taken apart by tar in a box. Every digest is checked before
 * anything has a name. *ret_digest names the whole, *ret_id the topmost layer; caller frees. */
int layer_import(
	int fd, const char *name, char **ret_digest, char **ret_id, struct error *error);

#endif
