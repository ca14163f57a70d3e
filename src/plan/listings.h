#ifndef COFFER_PLAN_LISTINGS_H
#define COFFER_PLAN_LISTINGS_H

#include "plan/findings.h"

/* Fills findings->listings where the landlock tier will be, or may have to be, used; what else is
 * found must be there already. mode is the one that the plan will have. */
int listings_find(const struct policy *policy, const struct host_facts *facts,
	enum policy_mode mode, struct findings *findings, struct error *error);
void listings_release(struct findings *findings);

#endif
