/* What a command read and wrote (--trace-access): a table in memory that the broker alone writes
 * and the supervisor reads when the box has ended. */
#ifndef COFFER_RUN_ACCESSES_H
#define COFFER_RUN_ACCESSES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum access_kind {
	ACCESS_READS = 1 << 0,
	ACCESS_WRITES = 1 << 1,
	ACCESS_EXECUTES = 1 << 2,
	ACCESS_MAKES = 1 << 3, /* makes, renames or removes that very entry */
};

struct accesses; /* opaque */

/* Shared, inherited over fork. NULL: out of memory. */
struct accesses *accesses_new(void);
void accesses_free(struct accesses *accesses);

/* path is absolute. Equal paths are one entry. */
void accesses_add(struct accesses *accesses, const char *path, unsigned kinds, bool refused);

/* An array of {path, read, write, execute, make, refused, count}, in the order of their first
 * occurrence; owned by the caller. *ret_lost is how many found no room. */
json_t *accesses_json(const struct accesses *accesses, uint64_t *ret_lost);

#endif
