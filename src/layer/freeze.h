/* Holding a box still while its files are copied. */
#ifndef COFFER_LAYER_FREEZE_H
#define COFFER_LAYER_FREEZE_H

#include "base/error.h"

#include <sys/types.h>

struct freeze {
	pid_t guard;
	int control; /* its closing is the thaw */
};

/* Stops every process of the box that `supervisor` owns, and returns when all of them have stopped.
 * -ESRCH: it owns no box (container tier). -EBUSY: one of them would not stop. */
int freeze_box(pid_t supervisor, struct freeze *ret, struct error *error);
/* Lets them go on: those that freeze_box() stopped, not those that had been stopped before. */
void freeze_thaw(struct freeze *freeze);

#endif
