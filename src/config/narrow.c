/* What a project's file may say, compared with what the user's own files came to. What would widen
 * that is never taken: plain widening is a fault, since nobody should have written it there; what
 * merely is wider than this user's own choice is left out, and said. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "policy/profile.h"

#include <string.h>

static void refused(struct loading *loading, const struct config_setting *setting, const char *what)
{
	loading_fault(loading, &setting->place,
		"a project can only narrow: put it into your own coffer.toml", "%s cannot be %s",
		setting->key, what);
}

static bool left_out(struct loading *loading, const struct config_setting *setting)
{
	loading_notice(loading, &setting->place, "%s = %s is wider than what is in force: left out",
		setting->key, setting->value);
	return false;
}

static bool narrows_mode(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, const struct policy *alone)
{
	if (alone->mode == MODE_FULL_ACCESS) {
		refused(loading, setting, "'danger-full-access' by a project's word");
		return false;
	}
	enum policy_mode mode = base->mode ? base->mode : base->profile->mode;
	if (alone->mode == MODE_READ_ONLY || mode == MODE_FULL_ACCESS)
		return true;
	/* Where nobody chose, the plan does: it may come to read-only. */
	return mode == MODE_READ_ONLY ? left_out(loading, setting) : mode == alone->mode;
}

static bool narrows_net(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, const struct policy *alone)
{
	enum network_mode mode = base->network.mode;
	if (alone->network.mode == NETWORK_ON) {
		refused(loading, setting, "'on' by a project's word");
		return false;
	}
	if (alone->network.mode == NETWORK_OFF)
		return true;
	/* Filtered opens nothing by itself; but a profile's own list it would take away. */
	return mode == NETWORK_ON || mode == NETWORK_FILTERED;
}

/* Each field of a limits structure that the project asks for is set, and no higher than before. */
static bool lower(const uint64_t *before, const uint64_t *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (wanted[i] && before[i] && wanted[i] > before[i])
			return false;
	return true;
}

static bool narrows_limit(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, const struct policy *alone)
{
	const struct limits *of_profile = &base->profile->limits;
	uint64_t before[sizeof(struct limits) / sizeof(uint64_t)];
	uint64_t wanted[ARRAY_SIZE(before)], profile[ARRAY_SIZE(before)];
	memcpy(before, &base->limits, sizeof(before));
	memcpy(wanted, &alone->limits, sizeof(wanted));
	memcpy(profile, of_profile, sizeof(profile));
	/* The bits of limits_asked are not in the order of the fields: what is set in the base was
	 * asked for; "none" there leaves the profile's bound, which is the lower one. */
	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		if (before[i] == 0)
			before[i] = profile[i];
	if (strstr(setting->value, "=none")) {
		refused(loading, setting, "lifted by a project's word");
		return false;
	}
	return lower(before, wanted, ARRAY_SIZE(before)) || left_out(loading, setting);
}

static bool narrows_network_limit(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, const struct policy *alone)
{
	/* With the profile's own limits below the written ones. */
	struct network_policy settled;
	int r = policy_network(base, &settled, NULL);
	const struct network_limits limits = settled.limits;
	network_policy_release(&settled);
	const struct network_limits *had = &limits, *has = &alone->network.limits;
	const uint64_t before[] = {had->requests_per_minute, had->connections_per_second,
		had->bytes_per_second, had->total_bytes};
	const uint64_t wanted[] = {has->requests_per_minute, has->connections_per_second,
		has->bytes_per_second, has->total_bytes};
	bool waits = strstr(setting->value, "over=") && !has->refuse && had->refuse;
	return (r == 0 && !waits && lower(before, wanted, ARRAY_SIZE(before))) ||
	       left_out(loading, setting);
}

static bool compare(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, enum narrowing narrowing, const struct policy *alone)
{
	switch (narrowing) {
	case NARROW_ADDS:
	case NARROW_ON:
		return true;
	case NARROW_MODE:
		return narrows_mode(loading, base, setting, alone);
	case NARROW_NET:
		return narrows_net(loading, base, setting, alone);
	case NARROW_LIMIT:
		return strcmp(setting->key, "limit") == 0
			       ? narrows_limit(loading, base, setting, alone)
			       : narrows_network_limit(loading, base, setting, alone);
	case NARROW_OFF:
		if (strcmp(setting->value, "off") == 0)
			return true;
		refused(loading, setting, "anything but 'off' by a project's word");
		return false;
	case NARROW_DENIES:
		if (setting->value[0] == '!')
			return true;
		refused(loading, setting, "anything but a denial (!METHOD NAME/PATH) here");
		return false;
	case NARROW_NEVER:
	case NARROW_OWN:
		break;
	}
	return false;
}

bool narrows(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, enum narrowing narrowing)
{
	struct policy *alone;
	if (policy_new(&alone) < 0) {
		loading_out_of_memory(loading);
		return false;
	}
	bool keep = policy_set(alone, setting->key, setting->value, NULL) == 0 &&
		    compare(loading, base, setting, narrowing, alone);
	policy_free(alone);
	return keep;
}

bool narrows_approval(const struct approval *base, const struct approval *project)
{
	enum approval_policy had = base->set ? base->policy : APPROVAL_ON_REQUEST;
	enum approval_policy has = project->policy;
	if (has == had && has != APPROVAL_GRANULAR)
		return true;
	/* never refuses what on-request would ask; untrusted asks more than both. */
	if (had == APPROVAL_ON_REQUEST)
		return has == APPROVAL_UNTRUSTED || has == APPROVAL_NEVER;
	if (had == APPROVAL_ON_FAILURE)
		return has == APPROVAL_UNTRUSTED || has == APPROVAL_NEVER ||
		       has == APPROVAL_ON_REQUEST;
	return false;
}
