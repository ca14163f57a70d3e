/* The file that is the ring of base/witness_ring.h. */
#ifndef COFFER_CONFINE_WITNESS_FILE_H
#define COFFER_CONFINE_WITNESS_FILE_H

#include "plan/plan.h"

/* Makes the new, empty file fd a ring for a box of that plan. 0 or -errno. */
int witness_file_fill(const struct plan *plan, int fd);

#endif
