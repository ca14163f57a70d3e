/* Layers that were made elsewhere. */
#ifndef COFFER_TASK_IMPORT_H
#define COFFER_TASK_IMPORT_H

#include "base/error.h"
#include "base/strv.h"

/* Makes layers of what layer_export() has written, the topmost of them called `name` (NULL: none).
 * What is read is a stranger's: it is taken apart by tar in a box. Every digest is checked before
 * anything has a name. Which directories of the host its roots lie on a stranger does not decide:
 * only `onto` is taken as it is said (NULL: all of them); those that lie on nothing now are added
 * to `loose`. *ret_digest names the whole, *ret_id the topmost layer; caller frees. */
int layer_import(int fd, const char *name, const char *onto, struct strv *loose, char **ret_digest,
	char **ret_id, struct error *error);

#endif
