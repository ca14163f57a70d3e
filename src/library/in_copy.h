/* A layer in the landlock tier, which mounts nothing: the box works in a copy of the workspace. */
#ifndef COFFER_LIBRARY_IN_COPY_H
#define COFFER_LIBRARY_IN_COPY_H

#include "base/error.h"
#include "plan/plan.h"
#include "policy/policy.h"

struct in_copy {
	struct policy policy; /* borrows from the one it was made of, but for what is below */
	char *directory;
	struct policy_path *paths;
};

/* Makes the copy, unless the layer has one, and the policy that says of it what the plan's says of
 * the workspace. note (or NULL) hears what it cost. plan is one of the landlock tier, with a
 * layer. */
int in_copy_prepare(const struct plan *plan, const struct policy *policy,
	void (*note)(const char *sentence), struct in_copy *ret, struct error *error);
void in_copy_release(struct in_copy *copy); /* a zeroed one is fine */

#endif
