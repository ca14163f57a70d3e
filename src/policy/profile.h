/* Named starting points for a policy. */
#ifndef COFFER_POLICY_PROFILE_H
#define COFFER_POLICY_PROFILE_H

#include "policy/policy.h"

enum seccomp_profile { SECCOMP_DEFAULT, SECCOMP_STRICT };

struct profile {
	const char *name;
	const char *summary;
	enum policy_mode mode;
	enum system_view view;
	enum seccomp_profile seccomp;
	struct limits limits;
	bool landlock_tier_allowed; /* strict and cloud refuse the landlock tier */
	bool must_enforce;          /* a missing mechanism is an error, not a degradation */
	bool capture;
	bool hide_secrets;     /* workspace secrets hidden even without a network */
	bool hide_credentials; /* every credential file out of sight, by no flag to be had back */
	bool anonymous;        /* uid 65534, neutral host name, no host paths inside or out */
	const char *net_limit; /* as --net-limit has it; or NULL */
	/* As --net-preset has them, NULL-terminated: the network where the policy opens none itself
	 * and does not turn it off; or NULL. */
	const char *const *net_presets;
};

const struct profile *profile_find(const char *name); /* NULL: unknown */
const struct profile *profile_table(size_t *ret_count);

#endif
