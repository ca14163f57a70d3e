/* As root each box gets a range of ids of its own, so that root inside is nobody outside, and one
 * box's files and processes are not another's. */
#ifndef COFFER_CONFINE_ID_RANGE_H
#define COFFER_CONFINE_ID_RANGE_H

#include "base/error.h"

#include <stdint.h>

enum { ID_RANGE_COUNT = 65536 };

/* Takes a range that no living box has. *ret_base is its first id outside. Returns a descriptor
 * whose lock keeps the range until it is closed (or its holder is gone), or -errno. */
int id_range_take(uint32_t *ret_base, struct error *error);

/* A single id that no range has, and no other living process that asks here. Where the user
 * namespace that this process is in (a container's) has none of these, NOBODY's. */
uint32_t id_single(void);

#endif
