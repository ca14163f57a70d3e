/* What programs of the box say that they were refused, as far as the plan explains it. */
#ifndef COFFER_RUN_HEARSAY_H
#define COFFER_RUN_HEARSAY_H

#include "plan/plan.h"
#include "run/denials.h"

/* Reads the ring, once nobody is left who could write there, and adds to denials. */
void hearsay_collect(const struct plan *plan, int ring, struct denials *denials);

#endif
