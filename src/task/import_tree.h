/* What tar has unpacked, turned into a layer's upper. */
#ifndef COFFER_TASK_IMPORT_TREE_H
#define COFFER_TASK_IMPORT_TREE_H

#include "base/error.h"

#include <stdint.h>

/* ".wh.NAME" becomes a whiteout, ".wh..wh..opq" its directory's mark; marks that the image brought
 * along and set-id bits go; devices are refused. Modes and times of directories stay. *entries and
 * *bytes are added to, up to their maxima. */
int import_tree(int root, uint64_t *entries, uint64_t *bytes, struct error *error);

#endif
