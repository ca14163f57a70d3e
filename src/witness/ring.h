/* Reading the ring of base/witness_ring.h: hostile bytes, bounded, and never mapped, since whoever
 * writes there can also take the pages away. */
#ifndef COFFER_WITNESS_RING_H
#define COFFER_WITNESS_RING_H

#include "base/witness_ring.h"

#include <stdbool.h>
#include <stddef.h>

/* What a program says that was refused to it. */
struct hint {
	enum witness_call call;
	const char *call_name; /* static */
	int wants;             /* enum witness_wants, as far as that call can want it */
	bool by_mode;
	int pid, errno_value;
	uint32_t count;
	int64_t time_ms;
	char program[WITNESS_PROGRAM_BYTES + 1];
	/* Inside text. For WITNESS_CALL_resolve: the name, and the service. */
	const char *path, *base, *resolved;
	char text[WITNESS_RECORD_BYTES];
};

/* False: it is free, unfinished, or no record that this version's library writes. */
bool hint_parse(const struct witness_record *record, struct hint *ret);

/* Calls visit for each record of the ring fd. Returns how many the ring had no room for. */
uint32_t ring_each(int fd, void (*visit)(const struct hint *hint, void *context), void *context);

#endif
