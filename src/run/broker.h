/* The process that answers the box's notifications, and makes calls on a program's behalf. */
#ifndef COFFER_RUN_BROKER_H
#define COFFER_RUN_BROKER_H

#include "base/error.h"
#include "plan/plan.h"
#include "run/denials.h"

#include <stdint.h>
#include <sys/types.h>

enum { BROKER_NAMESPACES = 3 };

struct broker_options {
	const struct plan *plan;
	int listener; /* the seccomp listener; the caller closes its own copy after start */
	pid_t init;   /* init, as this process sees it */
	int init_pidfd;
	/* Container tier: init's user, mount and network namespaces, in this order. Once init is
	 * undumpable an ordinary user cannot open them any more, so they are opened before. NULL:
	 * they still can be, and are. The third is -1 where the box has no network namespace. */
	const int *namespaces;
	struct denials *denials;
	uint64_t
		*continued; /* shared memory: counts directory-making calls that were let through */
};

/* Forks the broker. It joins the box's user, mount and network namespaces (container tier), takes
 * the owner's ids, drops every capability over anything but the box, and dies with its parent.
 * Called when the first notification is readable, so that a command that makes none pays nothing.
 * Returns the pid, or -errno with error filled. It ends by itself when nobody is left under the
 * filter (where the kernel tells, 6.11); the caller kills and reaps it in any case once init is
 * gone. */
pid_t broker_start(const struct broker_options *options, struct error *error);

#endif
