/* Theory of operation. Without this every writable root of a user's file would make `--mode
 * read-only` a contradiction. From the last word to the first: each layer's settings are held
 * against what is left of the layers after it. So a project's `net = "off"` silences the user's
 * rules, unless a flag opens the network, which silences the project. */
#include "config/bounds.h"

#include "base/cleanup.h"
#include "policy/profile.h"

#include <string.h>

enum condition {
	READ_ONLY = 1 << 0,   /* mode read-only */
	FULL_ACCESS = 1 << 1, /* mode danger-full-access, by a flag */
	STRICT = 1 << 2,      /* a profile without any socket and host path */
	LOCKED = 1 << 3,      /* a profile that enforces all or nothing */
	ANONYMOUS = 1 << 4,   /* a profile that hides credentials */
	LANDLOCK = 1 << 5,    /* that tier, by name */
	NETWORK_IS_OFF = 1 << 6,
	NETWORK_IS_OPEN = 1 << 7,
};

static const struct {
	const char *key;
	unsigned conditions;
} table[] = {
	{"write", READ_ONLY | FULL_ACCESS | STRICT},
	{"read-only", FULL_ACCESS},
	{"deny-read", FULL_ACCESS},
	{"allow-read", FULL_ACCESS},
	{"isolation", FULL_ACCESS},
	{"share-tmp", STRICT},
	{"best-effort", LOCKED},
	{"env-all", ANONYMOUS},
	{"allow-userns", STRICT | LANDLOCK},
	{"allow-unix", FULL_ACCESS | STRICT},
	{"net-ask", FULL_ACCESS | STRICT | NETWORK_IS_OFF},
};

/* What later words come to. */
struct later {
	const struct policy *policy;
	bool profile;    /* it names one */
	bool is_flags;   /* which may widen */
	bool is_project; /* which may not even open what was closed */
};

static unsigned conditions_of(const struct later *later)
{
	const struct policy *policy = later->policy;
	const struct profile *profile = policy->profile;
	unsigned conditions = 0;
	if (policy->mode == MODE_READ_ONLY)
		conditions |= READ_ONLY;
	if (policy->mode == MODE_FULL_ACCESS && later->is_flags)
		conditions |= FULL_ACCESS;
	if (later->profile && profile->view == VIEW_STRICT)
		conditions |= STRICT;
	if (later->profile && profile->must_enforce)
		conditions |= LOCKED;
	if (later->profile && profile->hide_credentials)
		conditions |= ANONYMOUS;
	if (policy->isolation == ISOLATION_LANDLOCK)
		conditions |= LANDLOCK;
	const struct network_policy *network = &policy->network;
	if (network->mode == NETWORK_OFF)
		conditions |= NETWORK_IS_OFF;
	else if (!later->is_project && (network->mode != NETWORK_UNSET || network_opens(network)))
		conditions |= NETWORK_IS_OPEN;
	return conditions;
}

/* Whether it is a key of the network; with *ret_opens, one that opens something. */
static bool is_network_key(const char *key, const char *value, bool *ret_opens)
{
	struct network_policy network;
	network_policy_init(&network);
	int r = network_set(&network, key, value, NULL, NULL);
	*ret_opens = r != 0 || network.mode == NETWORK_ON || network_opens(&network);
	network_policy_release(&network);
	return r != -ENOENT;
}

static bool yields(const char *key, const char *value, unsigned conditions)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].key, key) == 0)
			return table[i].conditions & conditions;
	if (strcmp(key, "git") == 0)
		return strcmp(value, "commit") == 0 && conditions & (READ_ONLY | FULL_ACCESS);
	if (strcmp(key, "net") == 0 && strcmp(value, "off") == 0)
		return conditions & (NETWORK_IS_OPEN | FULL_ACCESS);
	bool opens;
	if (!(conditions & (FULL_ACCESS | STRICT | NETWORK_IS_OFF)) ||
		!is_network_key(key, value, &opens))
		return false;
	return conditions & (FULL_ACCESS | STRICT) || opens || strcmp(key, "net") == 0;
}

/* The policy of those settings of a layer that have not given way. */
static int policy_of_layer(const struct ranked_setting settings[], size_t count,
	enum config_layer layer, struct policy **ret, bool *ret_profile)
{
	struct policy *policy;
	int r = policy_new(&policy);
	*ret_profile = false;
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (settings[i].layer != layer || settings[i].yields)
			continue;
		*ret_profile = *ret_profile || strcmp(settings[i].key, "profile") == 0;
		r = policy_set(policy, settings[i].key, settings[i].value, NULL);
		if (r < 0)
			policy_free(policy);
	}
	if (r == 0)
		*ret = policy;
	return r;
}

/* A list for PYTHONPATH is for boxes of a profile that may be named by a flag alone. */
static void drop_python_path(
	struct ranked_setting settings[], size_t count, const struct profile *profile)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(settings[i].key, "python-path") == 0)
			settings[i].yields = !profile || profile->view != VIEW_STRICT;
}

int settings_yield(struct ranked_setting settings[], size_t count, const struct policy *flags,
	bool profile_flag)
{
	unsigned conditions = 0;
	const struct profile *profile = flags && profile_flag ? flags->profile : NULL;
	if (flags)
		conditions = conditions_of(&(struct later){
			.policy = flags, .profile = profile_flag, .is_flags = true});
	static const enum config_layer order[] = {LAYER_PROJECT, LAYER_USER, LAYER_SYSTEM};
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		bool any = false;
		for (size_t k = 0; k < count; k++) {
			if (settings[k].layer != order[i])
				continue;
			any = true;
			settings[k].yields = conditions != 0 &&
					     yields(settings[k].key, settings[k].value, conditions);
		}
		if (!any)
			continue;
		struct policy *policy;
		bool named;
		int r = policy_of_layer(settings, count, order[i], &policy, &named);
		if (r < 0)
			return r;
		if (named && !profile)
			profile = policy->profile;
		conditions |= conditions_of(&(struct later){.policy = policy,
			.profile = named,
			.is_project = order[i] == LAYER_PROJECT});
		policy_free(policy);
	}
	drop_python_path(settings, count, profile);
	return 0;
}
