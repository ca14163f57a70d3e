/* Theory of operation. A requirement is kept in two ways. What can be added to any policy is added
 * behind the flags: entries that deny, and limits where nobody set a lower one. What a setting
 * could break is compared, setting by setting, so that the message can name the one that does; and
 * then the whole policy once more, because a profile brings a mode, limits and a network that no
 * setting names. */
#include "config/bounds.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "policy/profile.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_FIELDS = sizeof(struct limits) / sizeof(uint64_t) };

static const struct limit_field {
	unsigned bit;
	size_t offset;
	const char *name;
} limit_fields[] = {
	{LIMIT_MEMORY, offsetof(struct limits, memory_bytes), "memory"},
	{LIMIT_CPU, offsetof(struct limits, cpu_milli), "cpu"},
	{LIMIT_PIDS, offsetof(struct limits, pids), "pids"},
	{LIMIT_DISK, offsetof(struct limits, disk_bytes), "disk"},
	{LIMIT_INODES, offsetof(struct limits, inodes), "inodes"},
	{LIMIT_OPEN_FILES, offsetof(struct limits, open_files), "files"},
	{LIMIT_OUTPUT, offsetof(struct limits, output_bytes), "output"},
	{LIMIT_TMP, offsetof(struct limits, tmp_bytes), "tmp"},
	{LIMIT_TIME, offsetof(struct limits, time_ms), "time"},
	{LIMIT_GRACE, offsetof(struct limits, grace_ms), "grace"},
};

_Static_assert(ARRAY_SIZE(limit_fields) == LIMIT_FIELDS, "every limit has a row");

static uint64_t limit_of(const struct limits *limits, const struct limit_field *field)
{
	uint64_t value;
	memcpy(&value, (const char *)limits + field->offset, sizeof(value));
	return value;
}

/* What holds of a limit: what was asked for, else the profile's. 0: nothing. */
static uint64_t effective_limit(const struct policy *policy, const struct limit_field *field)
{
	return limit_of(
		policy->limits_asked & field->bit ? &policy->limits : &policy->profile->limits,
		field);
}

static int refuse(struct error *error, const char *place, const struct strv *allowed,
	const char *what, const char *word)
{
	char list[256] = "";
	for (size_t i = 0; i < allowed->count; i++) {
		size_t used = strlen(list);
		snprintf(
			list + used, sizeof(list) - used, "%s%s", i ? ", " : "", allowed->items[i]);
	}
	error_set(error, EPERM, "policy", "%s '%s' is not allowed here", what, word);
	return error_hint(error, "%.300s allows: %s", place ? place : "the requirements", list);
}

static int check_word(const struct strv *allowed, const char *place, const char *what,
	const char *word, struct error *error)
{
	if (allowed->count == 0 || strv_contains(allowed, word))
		return 0;
	return refuse(error, place, allowed, what, word);
}

/* Each required setting as a policy of its own, one after the other. */
static int required_policy(const struct compiled_config *config, size_t index, struct policy **ret)
{
	const char *setting = config->required.items[index];
	size_t key_bytes = strcspn(setting, "=");
	cleanup_free char *key = strndup(setting, key_bytes);
	struct policy *policy;
	if (!key || policy_new(&policy) < 0)
		return -ENOMEM;
	int r = policy_set(policy, key, setting[key_bytes] ? setting + key_bytes + 1 : NULL, NULL);
	if (r < 0) {
		policy_free(policy);
		return r;
	}
	*ret = policy;
	return 0;
}

/* Whether wanted, as far as it asks for limits, keeps below the required ones. */
static int check_limits(
	const struct compiled_config *config, const struct policy *wanted, struct error *error)
{
	for (size_t i = 0; wanted->limits_asked && i < config->required.count; i++) {
		struct policy *bound;
		if (strncmp(config->required.items[i], "limit=", strlen("limit=")) != 0)
			continue;
		int r = required_policy(config, i, &bound);
		if (r < 0)
			return error_set_errno(error, -r, "config", "a requirement");
		const char *broken = NULL;
		for (size_t k = 0; k < ARRAY_SIZE(limit_fields); k++) {
			const struct limit_field *field = &limit_fields[k];
			uint64_t most = limit_of(&bound->limits, field);
			uint64_t value = limit_of(&wanted->limits, field);
			bool grace = field->bit == LIMIT_GRACE; /* 0 there is the strictest */
			if (bound->limits_asked & wanted->limits_asked & field->bit &&
				(value > most || (value == 0 && !grace)))
				broken = field->name;
		}
		policy_free(bound);
		if (!broken)
			continue;
		error_set(error, EPERM, "policy", "the limit for %s is higher than is allowed here",
			broken);
		return error_hint(error, "%.300s allows: %s", config->required_places.items[i],
			config->required.items[i] + strlen("limit="));
	}
	return 0;
}

static int bound_network(
	const struct compiled_config *config, struct network_policy *ret, struct error *error)
{
	int r = 0;
	network_policy_init(ret);
	for (size_t i = 0; r == 0 && i < config->network_bound.count; i++) {
		const char *setting = config->network_bound.items[i];
		size_t key_bytes = strcspn(setting, "=");
		cleanup_free char *key = strndup(setting, key_bytes);
		r = key ? network_set(ret, key, setting[key_bytes] ? setting + key_bytes + 1 : NULL,
				  config->network_place, error)
			: error_set_errno(error, ENOMEM, "config", "a requirement");
	}
	return r;
}

static int check_network(const struct compiled_config *config, const struct network_policy *wanted,
	struct error *error)
{
	if (!config->network_bounded)
		return 0;
	struct network_policy bound;
	int r = bound_network(config, &bound, error);
	if (r == 0) {
		r = network_within(&bound, wanted, error);
		if (r < 0)
			error_hint(error, "the bounds of the network are in %.300s",
				config->network_place ? config->network_place : "");
	}
	network_policy_release(&bound);
	return r;
}

static int check_mode(
	const struct compiled_config *config, enum policy_mode mode, struct error *error)
{
	if (mode == MODE_UNSET)
		return 0;
	int r = check_word(
		&config->modes, config->modes_place, "mode", policy_mode_name(mode), error);
	if (r < 0 || mode != MODE_FULL_ACCESS)
		return r;
	const char *place = config->network_bounded ? config->network_place : NULL;
	for (size_t i = 0; !place && i < config->required.count; i++)
		if (strncmp(config->required.items[i], "limit=", strlen("limit=")) != 0)
			place = config->required_places.items[i];
	if (!place)
		return 0;
	error_set(error, EPERM, "policy", "mode 'danger-full-access' is not allowed here");
	return error_hint(error, "without a box nothing would keep what %.300s says", place);
}

int bounds_check_setting(const struct compiled_config *config, const char *key, const char *value,
	struct error *error)
{
	struct policy *policy;
	if (policy_new(&policy) < 0)
		return error_set_errno(error, ENOMEM, "config", "a policy");
	int r = policy_set(policy, key, value, error);
	if (r == 0)
		r = check_mode(config, policy->mode, error);
	if (r == 0 && strcmp(key, "profile") == 0)
		r = check_mode(config, policy->profile->mode, error);
	if (r == 0 && strcmp(key, "isolation") == 0)
		r = check_word(
			&config->isolations, config->isolations_place, "isolation", value, error);
	if (r == 0)
		r = check_limits(config, policy, error);
	if (r == 0)
		r = check_network(config, &policy->network, error);
	policy_free(policy);
	return r;
}

/* Beside --mode read-only too: whoever requires that mode means that nothing is written. */
static bool has_granted_writes(const struct policy *policy)
{
	for (size_t i = 0; i < policy->paths_count; i++)
		if (policy->paths[i].granted)
			return true;
	return false;
}

/* The real path, as far as there is one. */
static char *real_path(const struct policy *policy, const char *path)
{
	cleanup_free char *base = realpath(policy->directory ? policy->directory : ".", NULL);
	cleanup_free char *whole = path_absolute(base ? base : "/", path);
	char *real = whole ? realpath(whole, NULL) : NULL;
	return real ? real : steal_pointer(&whole);
}

/* Whether path lies below what is required, by whatever name; the place itself is settled where
 * both are known: what is required holds there. */
static bool is_below(const struct policy *policy, const char *required, char *path)
{
	if (!path_is_glob(required)) {
		cleanup_free char *real = real_path(policy, required);
		return !real || (strcmp(real, path) != 0 && path_is_below(path, real));
	}
	/* Every directory above. */
	for (char *slash = strrchr(path, '/'); slash && slash > path; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (path_matches_glob(path, required))
			return true;
	}
	return false;
}

static bool opens(enum path_access access, bool required_hides)
{
	return access == ACCESS_WRITE ||
	       (required_hides && (access == ACCESS_ALLOW_READ || access == ACCESS_CONNECT));
}

/* What is required of a directory holds for all that is in it: nothing inside is opened by its own
 * name. */
static int check_paths(
	const struct compiled_config *config, const struct policy *policy, struct error *error)
{
	static const char hides[] = "deny-read=", keeps[] = "read-only=";
	for (size_t i = 0; i < config->required.count; i++) {
		const char *setting = config->required.items[i];
		bool hidden = strncmp(setting, hides, strlen(hides)) == 0;
		if (!hidden && strncmp(setting, keeps, strlen(keeps)) != 0)
			continue;
		const char *required = strchr(setting, '=') + 1;
		for (size_t k = 0; k < policy->paths_count; k++) {
			const struct policy_path *path = &policy->paths[k];
			if (!opens(path->access, hidden))
				continue;
			cleanup_free char *real = real_path(policy, path->path);
			if (!real)
				return error_set_errno(error, ENOMEM, "config", "a requirement");
			if (!is_below(policy, required, real))
				continue;
			error_set(
				error, EPERM, "policy", "%.600s cannot be opened here", path->path);
			return error_hint(error, "%.300s has %s %.300s",
				config->required_places.items[i],
				hidden ? "deny_read" : "read_only", required);
		}
	}
	return 0;
}

int bounds_check_policy(
	const struct compiled_config *config, const struct policy *policy, struct error *error)
{
	int r = check_mode(config, policy->mode ? policy->mode : policy->profile->mode, error);
	if (r == 0 && has_granted_writes(policy))
		r = check_mode(config, MODE_WORKSPACE_WRITE, error);
	if (r == 0)
		r = check_paths(config, policy, error);
	if (r < 0 || !config->network_bounded)
		return r;
	struct network_policy network;
	r = policy_network(policy, &network, error);
	if (r == 0)
		r = check_network(config, &network, error);
	network_policy_release(&network);
	return r;
}

int bounds_check_grant(const struct compiled_config *config, const char *key, const char *value,
	struct error *error)
{
	struct policy *policy;
	int r = bounds_check_setting(config, key, value, error);
	if (r < 0)
		return r;
	if (policy_new(&policy) < 0)
		return error_set_errno(error, ENOMEM, "config", "a policy");
	r = policy_set(policy, key, value, error);
	if (r == 0 && has_granted_writes(policy))
		r = check_mode(config, MODE_WORKSPACE_WRITE, error);
	if (r == 0)
		r = check_paths(config, policy, error);
	policy_free(policy);
	return r;
}

int bounds_check_approval(
	const struct compiled_config *config, const struct approval *approval, struct error *error)
{
	enum approval_policy policy = approval->set ? approval->policy : APPROVAL_ON_REQUEST;
	return check_word(&config->approvals, config->approvals_place, "approval policy",
		approval_policy_name(policy), error);
}

static int add(struct strv *settings, const char *setting, struct error *error)
{
	return strv_add(settings, setting) < 0
		       ? error_set_errno(error, ENOMEM, "config", "a requirement")
		       : 0;
}

/* A limit that is required, unless what holds is lower. */
static int add_limit(const struct compiled_config *config, size_t index,
	const struct policy *policy, struct strv *ret, struct error *error)
{
	struct policy *bound;
	int r = required_policy(config, index, &bound);
	if (r < 0)
		return error_set_errno(error, -r, "config", "a requirement");
	bool lower = true;
	for (size_t k = 0; k < ARRAY_SIZE(limit_fields); k++) {
		const struct limit_field *field = &limit_fields[k];
		uint64_t value = effective_limit(policy, field);
		bool none = value == 0 && field->bit != LIMIT_GRACE;
		if (bound->limits_asked & field->bit)
			lower = lower && !none && value <= limit_of(&bound->limits, field);
	}
	policy_free(bound);
	return lower ? 0 : add(ret, config->required.items[index], error);
}

/* What a choice that was left open may come to: the mode, which the plan chooses by the directory,
 * and the tier. */
static int add_choices(const struct compiled_config *config, const struct policy *policy,
	struct strv *ret, struct error *error)
{
	const struct strv *modes = &config->modes, *tiers = &config->isolations;
	int r = 0;
	if (!policy->mode && !policy->profile->mode && modes->count > 0 &&
		!strv_contains(modes, "workspace-write"))
		r = add(ret, "mode=read-only", error);
	if (r == 0 && policy->isolation == ISOLATION_AUTO && tiers->count > 0 &&
		!strv_contains(tiers, "auto"))
		r = add(ret,
			strv_contains(tiers, "container") ? "isolation=container"
							  : "isolation=landlock",
			error);
	return r;
}

int bounds_settings(const struct compiled_config *config, const struct policy *policy,
	struct strv *ret, struct error *error)
{
	int r = add_choices(config, policy, ret, error);
	for (size_t i = 0; r == 0 && i < config->required.count; i++) {
		const char *setting = config->required.items[i];
		r = strncmp(setting, "limit=", strlen("limit=")) == 0
			    ? add_limit(config, i, policy, ret, error)
			    : add(ret, setting, error);
	}
	return r;
}
