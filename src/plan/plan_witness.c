/* What makes a box tell of what it was refused: see docs/WITNESS.md. */
#include "base/cleanup.h"
#include "base/witness_ring.h"
#include "plan/plan_internal.h"

#include <string.h>

/* Into the box's /dev, which is a file system of its own: the host's path stays outside. */
int plan_witness_mount(struct planning *planning)
{
	const struct findings *findings = planning->findings;
	if (!findings->witness)
		return 0;
	struct plan_mount *mount =
		plan_add_mount(planning, MOUNT_BIND, WITNESS_LIBRARY_INSIDE, findings->witness);
	if (!mount)
		return -E2BIG;
	mount->id = findings->witness_id;
	mount->optional = true;
	return 0;
}

int plan_witness(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct policy *policy = planning->policy;
	plan->witness = plan->tier == TIER_NONE ? WITNESS_OFF : policy_witness(policy);
	plan->trace_access = plan->witness == WITNESS_FULL && policy->trace_access;
	/* Not installed: then there are no hints, and nothing else is missing. */
	if (plan->witness == WITNESS_ON && !planning->findings->witness)
		plan->witness = WITNESS_OFF;
	if (policy->mode_source)
		plan->mode_rule = strdup(policy->mode_source);
	else if (policy->mode &&
		 asprintf(&plan->mode_rule, "--mode %s", policy_mode_name(policy->mode)) < 0)
		plan->mode_rule = NULL;
	if (policy->mode && !plan->mode_rule)
		return plan_out_of_memory(planning->error);
	if (plan->witness != WITNESS_ON)
		return 0;
	plan->witness_library = strdup(planning->findings->witness);
	return plan->witness_library ? 0 : plan_out_of_memory(planning->error);
}
