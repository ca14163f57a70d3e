/* A run whose writes go to a layer. */
#ifndef COFFER_LIBRARY_LAYERED_H
#define COFFER_LIBRARY_LAYERED_H

#include "base/error.h"
#include "confine/mounts.h"
#include "plan/plan.h"
#include "run/report.h"

struct layered; /* opaque */

/* Opens the plan's layer for writing, makes the roots that the plan mounts, and notes that a run
 * begins; plan->layer becomes the layer's directory. *ret NULL with 0: the plan has none. */
int layered_begin(struct plan *plan, struct layered **ret, struct error *error);
const struct mounts_stack *layered_stacks(const struct layered *layered, size_t *ret_count);
/* When everything in the box has ended: settles the layer, and says what it holds. */
int layered_end(struct layered *layered, struct report_layer *ret, struct error *error);
void layered_free(struct layered *layered); /* NULL is fine */

#endif
