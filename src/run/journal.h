/* What a kill -9 of the supervisor would leave undone, written down where the next start finds it:
 * the places that were being watched for protected names, and what was in them. */
#ifndef COFFER_RUN_JOURNAL_H
#define COFFER_RUN_JOURNAL_H

#include "base/buffer.h"
#include "plan/plan.h"

#include <sys/types.h>

/* Keeps text until journal_close(), or, should this process die before, for journal_next(). In
 * memory (/dev/shm): what was running when the machine went down has ended with it. Returns a
 * descriptor that is the entry's lock, or -errno. */
int journal_open(const struct buffer *text, char **ret_name);
void journal_close(int fd, char *name);

/* The text of an entry whose writer is dead (caller frees), taken out of the journal; NULL: none.
 * Each call gives another. */
char *journal_next(size_t *ret_length_bytes);

#endif
