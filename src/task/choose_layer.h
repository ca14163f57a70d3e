/* Which layer a person means. */
#ifndef COFFER_TASK_CHOOSE_LAYER_H
#define COFFER_TASK_CHOOSE_LAYER_H

#include "layer/layer.h"

/* Opens the layer `which`, for reading, settled. NULL: the newest one with a root that the current
 * directory lies in; *ret_guessed says so. -ENOENT with what to do. */
int choose_layer(const char *which, struct layer **ret, bool *ret_guessed, struct error *error);

/* The path in the layer's box of what the person names relative to the current directory, where the
 * box saw that elsewhere; caller frees. NULL: no memory. */
char *path_in_layer(const struct layer *layer, const char *directory, const char *path);

#endif
