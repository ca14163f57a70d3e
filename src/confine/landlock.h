/* The second wall of the container tier, the first of the landlock tier: what a process and its
 * descendants may do to files, whatever mounts and permissions say. */
#ifndef COFFER_CONFINE_LANDLOCK_H
#define COFFER_CONFINE_LANDLOCK_H

#include "base/error.h"
#include "plan/plan.h"

/* Builds the ruleset of the plan for the ABI at hand, every right of it handled. Paths are looked
 * up now, below the present root; one that is not there is passed over (nothing to grant). Call it
 * after the box's root is in place. *ret_ruleset is -1 where the plan has no use for Landlock (ABI
 * below 2 in the container tier: it would forbid every rename between directories). */
int landlock_prepare(const struct plan *plan, int *ret_ruleset, struct error *error);

/* Puts the calling thread into a new domain of ruleset; no_new_privs must be set. Only a system
 * call: safe between fork and exec. 0 or -errno. */
int landlock_enter(int ruleset);

/* Puts the calling thread, and what it starts from now on, into a domain of which no signal goes
 * out, and takes away nothing else: from then on kill(-1) reaches all of the domain but the caller,
 * and nobody else. 0 only where that was seen to hold (its parent, which it could signal before,
 * cannot be any more); -ENOTSUP before ABI 6; -errno. */
int landlock_scope_signals(void);

/* The ABI of this kernel; 0: none. */
int landlock_abi(void);

#endif
