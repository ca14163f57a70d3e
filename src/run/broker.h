/* The process that answers the box's notifications, and makes calls on a program's behalf. */
#ifndef COFFER_RUN_BROKER_H
#define COFFER_RUN_BROKER_H

#include "base/error.h"
#include "plan/plan.h"
#include "run/accesses.h"
#include "run/connects.h"
#include "run/denials.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { BROKER_NAMESPACES = 3 };

struct broker_options {
	const struct plan *plan;
	int listener; /* the seccomp listener; the caller closes its own copy after start */
	pid_t init;   /* init, as this process sees it */
	/* Init's user, mount and network namespaces, in this order. Once init is undumpable an
	 * ordinary user cannot open them any more, so they are opened before. NULL: they still can
	 * be, and are. The third is -1 where the box has no network namespace. */
	const int *namespaces;
	struct denials *denials;
	struct connects *connects; /* who connected is noted there; NULL: nobody asks */
	struct accesses *accesses; /* what is read and written is noted there; NULL: nobody asks */
	/* Landlock tier with a way out: where egress is asked, non-blocking; else -1. */
	int egress;
	uint64_t
		*continued; /* shared memory: counts directory-making calls that were let through */
	bool scoped;        /* broker_fork(): as keeper_fork() returned */
};

/* The container tier's. Forks the broker. It joins the box's user, mount and network namespaces,
 * takes the owner's ids, drops every capability over anything but the box, and dies with its
 * parent. Called when the first notification is readable, so that a command that makes none pays
 * nothing. Returns the pid, or -errno with error filled. It ends by itself when nobody is left
 * under the filter (where the kernel tells, 6.11); the caller kills and reaps it in any case once
 * init is gone. */
pid_t broker_start(const struct broker_options *options, struct error *error);

/* The landlock tier's, which stands above init from the start: there it has no capability over the
 * box, and Yama (ptrace_scope 1) lets only an ancestor read a program's memory and descriptors.
 * Called in the child of the keeper. Forks: returns only in the new child, which goes on to become
 * init, in the v2 group of cgroup_fd (-1: in this process's own). The process itself sleeps until
 * broker_wake(), and ends with its parent, or, with 0, with init. If it is its parent that ends,
 * and the box is scoped, it kills all of the box as the keeper would have. Of options, listener,
 * init and namespaces are not looked at. */
void broker_fork(const struct broker_options *options, int supervisor, int cgroup_fd);

/* Hands the listener to the broker that sleeps at the other end of the socket, when the first
 * notification is readable, and waits until it serves, with the owner's ids and without a
 * capability. Returns 0; or 1 when it is gone already, perhaps with init, as the keeper will tell;
 * or -errno with error filled. */
int broker_wake(int broker, int listener, struct error *error);

#endif
