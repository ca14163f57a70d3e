/* What requirements.toml lets be, against a setting and against a whole policy. Pure; used by the
 * loader for what files say, and by the front for flags. */
#ifndef COFFER_CONFIG_BOUNDS_H
#define COFFER_CONFIG_BOUNDS_H

#include "config/compiled.h"
#include "config/config.h"
#include "policy/policy.h"

/* Whether one setting, from wherever it comes, is within what is required. -EPERM with the error
 * naming the requirement's place. */
int bounds_check_setting(const struct compiled_config *config, const char *key, const char *value,
	struct error *error);
/* The same for everything that a policy comes to: its profile's mode and network too. */
int bounds_check_policy(
	const struct compiled_config *config, const struct policy *policy, struct error *error);
/* One thing more that was granted for this run: a setting, "grant-write" for a directory. */
int bounds_check_grant(const struct compiled_config *config, const char *key, const char *value,
	struct error *error);
int bounds_check_approval(
	const struct compiled_config *config, const struct approval *approval, struct error *error);
/* What is added to a policy behind all flags, so that it holds what is required. */
int bounds_settings(const struct compiled_config *config, const struct policy *policy,
	struct strv *ret, struct error *error);

/* Whether all that wanted opens is opened by bound, on those ports, and asked for or logged no
 * less. What bound denies is not looked at. */
int network_within(const struct network_policy *bound, const struct network_policy *wanted,
	struct error *error);

/* A setting of a file, for settings_yield(). */
struct ranked_setting {
	const char *key, *value;
	enum config_layer layer;
	bool yields; /* out */
};
/* Marks each setting that stands back behind what came after it: what would write, where mode is
 * read-only; what would open, where the network is off; and so on. flags (may be NULL) is the
 * policy of the flags alone, profile_flag whether they name a profile. Among files, widening takes
 * nothing back; by a flag, danger-full-access makes everything stand back that needs a box. */
int settings_yield(struct ranked_setting settings[], size_t count, const struct policy *flags,
	bool profile_flag);

#endif
