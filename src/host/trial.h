/* Trials: what the kernel allows is found out by doing it, in child processes that are thrown away.
 * Nothing of the host is changed: every mount is made in a namespace of the child's own. */
#ifndef COFFER_HOST_TRIAL_H
#define COFFER_HOST_TRIAL_H

#include "host/facts.h"

/* Makes all trials that facts (of a quick probe) leave open. No child takes longer than 2 s. */
void trial_make_all(const struct host_facts *facts, struct host_trials *ret);

#endif
