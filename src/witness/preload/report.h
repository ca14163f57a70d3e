/* Telling the ring of a call that failed. */
#ifndef COFFER_WITNESS_PRELOAD_REPORT_H
#define COFFER_WITNESS_PRELOAD_REPORT_H

#include "base/witness_ring.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <stdbool.h>

/* What a call was about. */
struct subject {
	enum witness_call call;
	int wants; /* enum witness_wants */
	int dirfd; /* what a relative path is relative to; with path "" the thing itself */
	const char *path;
	bool nofollow; /* of a link as the last component, the link itself is meant */
};

/* Whether a failed call may be of interest at all: everything else costs this comparison. */
static inline bool report_wants(int errno_value)
{
	return errno_value == EACCES || errno_value == EPERM || errno_value == EROFS ||
	       errno_value == ENOENT || errno_value == EBUSY;
}

/* Async-signal-safe; touches no errno, never blocks. */
void report_refused(const struct subject *subject, int errno_value);
/* A name that could not be looked up; service may be NULL. */
void report_unresolved(const char *name, const char *service);

#endif
