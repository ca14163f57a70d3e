/* Theory of operation. A command gets the ordinary variables of a table; whatever looks like a
 * secret is left behind even if the table has it; then come the box's own (TMPDIR, caches), and
 * last what a person named, which outranks all. */
#include "plan/plan_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/witness_ring.h"
#include "plan/cache_dir.h"
#include "policy/names.h"

#include <string.h>

static bool same_name(const char *assignment, const char *name, size_t length)
{
	return strncmp(assignment, name, length) == 0 && assignment[length] == '=';
}

/* Adds NAME=VALUE, or replaces the one that is there. */
static int put(struct strv *environment, const char *assignment)
{
	size_t length = strcspn(assignment, "=");
	for (size_t i = 0; i < environment->count; i++) {
		if (!same_name(environment->items[i], assignment, length))
			continue;
		char *copy = strdup(assignment);
		if (!copy)
			return -ENOMEM;
		free(environment->items[i]);
		environment->items[i] = copy;
		return 0;
	}
	return strv_add(environment, assignment);
}

static int put_pair(struct strv *environment, const char *name, const char *value)
{
	cleanup_free char *assignment = NULL;
	if (asprintf(&assignment, "%s=%s", name, value) < 0) {
		assignment = NULL;
		return -ENOMEM;
	}
	return put(environment, assignment);
}

static const char *lookup(char *const environment[], const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; environment && environment[i]; i++)
		if (same_name(environment[i], name, length))
			return environment[i] + length + 1;
	return NULL;
}

/* The value of a secret: what the box has of it is a placeholder, whatever that is called there. */
static bool is_secret_source(const struct network_policy *network, const char *name)
{
	static const char prefix[] = "env:";
	for (size_t i = 0; i < network->secrets_count; i++) {
		const char *from = network->secrets[i].from;
		if (strncmp(from, prefix, strlen(prefix)) == 0 &&
			strcmp(from + strlen(prefix), name) == 0)
			return true;
	}
	return false;
}

static int pass_ordinary(
	struct strv *to, char *const from[], bool all, const struct network_policy *network)
{
	for (size_t i = 0; from && from[i]; i++) {
		size_t length = strcspn(from[i], "=");
		char name[MAX_NAME_BYTES + 1];
		if (from[i][length] != '=' || length == 0 || length > MAX_NAME_BYTES)
			continue;
		memcpy(name, from[i], length);
		name[length] = '\0';
		if (!all && (!names_environment_ordinary(name) || names_environment_secret(name)))
			continue;
		if (is_secret_source(network, name))
			continue;
		int r = strv_add(to, from[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What a private root needs in place of the host's: nothing of it names the host or its user. */
static int private_defaults(struct planning *planning, struct strv *to)
{
	int r = put_pair(to, "HOME", "/home/agent");
	if (r == 0)
		r = put_pair(to, "USER", "agent");
	if (r == 0)
		r = put_pair(to, "LOGNAME", "agent");
	if (r == 0)
		r = put_pair(to, "SHELL", "/bin/sh");
	if (r == 0)
		r = put_pair(
			to, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (r == 0 && planning->profile->view == VIEW_STRICT)
		r = put_pair(to, "PYTHONNOUSERSITE", "1");
	return r;
}

static int python_path(struct planning *planning, struct strv *to)
{
	const struct strv *paths = &planning->policy->python_path;
	if (paths->count == 0)
		return 0;
	char joined[MAX_PATH_BYTES] = "";
	size_t used = 0;
	for (size_t i = 0; i < paths->count; i++) {
		int n = snprintf(joined + used, sizeof(joined) - used, "%s%s", i ? ":" : "",
			paths->items[i]);
		if (n < 0 || (size_t)n >= sizeof(joined) - used)
			return -E2BIG;
		used += (size_t)n;
	}
	return put_pair(to, "PYTHONPATH", joined);
}

/* A pack that git's own maintenance makes holds objects that were there before, and such a pack is
 * not written back: it could shadow them. */
static int git_without_maintenance(struct strv *to)
{
	static const char *const pairs[][2] = {{"GIT_CONFIG_COUNT", "2"},
		{"GIT_CONFIG_KEY_0", "gc.auto"}, {"GIT_CONFIG_VALUE_0", "0"},
		{"GIT_CONFIG_KEY_1", "maintenance.auto"}, {"GIT_CONFIG_VALUE_1", "false"}};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pairs); i++)
		r = put_pair(to, pairs[i][0], pairs[i][1]);
	return r;
}

/* A person's --env: NAME passes the caller's value, NAME=VALUE sets it. */
static int named(struct planning *planning, struct strv *to, char *const from[])
{
	const struct strv *entries = &planning->policy->environment;
	for (size_t i = 0; i < entries->count; i++) {
		const char *entry = entries->items[i];
		int r;
		if (strchr(entry, '=')) {
			r = put(to, entry);
		} else {
			const char *value = is_secret_source(&planning->plan->network, entry)
						    ? NULL
						    : lookup(from, entry);
			r = value ? put_pair(to, entry, value) : 0;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Before what a person has preloaded: its results are then what the program sees. */
static int preload_witness(struct planning *planning, struct strv *to)
{
	const struct plan *plan = planning->plan;
	if (!plan->witness_library)
		return 0;
	const char *library =
		plan->tier == TIER_CONTAINER ? WITNESS_LIBRARY_INSIDE : plan->witness_library;
	const char *others = lookup(to->items, "LD_PRELOAD");
	cleanup_free char *value = NULL;
	if (asprintf(&value, "%s%s%s", library, others && *others ? ":" : "",
		    others ? others : "") < 0) {
		value = NULL;
		return -ENOMEM;
	}
	return put_pair(to, "LD_PRELOAD", value);
}

int plan_put_variable(struct plan *plan, const char *assignment)
{
	return put(&plan->environment, assignment);
}

int plan_environment(struct planning *planning, char *const environment[])
{
	struct plan *plan = planning->plan;
	struct strv *to = &plan->environment;
	bool host_view = plan->tier == TIER_NONE || planning->profile->view == VIEW_HOST;
	bool anonymous = planning->profile->anonymous;
	int r = 0;
	if (!anonymous)
		r = pass_ordinary(
			to, environment, planning->policy->environment_all, &plan->network);
	else if (lookup(environment, "LANG"))
		r = put_pair(to, "LANG", lookup(environment, "LANG"));
	if (r == 0 && !host_view)
		r = private_defaults(planning, to);
	if (r == 0 && !lookup(to->items, "PATH"))
		r = put_pair(to, "PATH", "/usr/local/bin:/usr/bin:/bin");
	if (r == 0)
		r = put_pair(to, "PWD", plan->directory);
	if (r == 0 && plan->tier == TIER_CONTAINER)
		r = put_pair(to, "TMPDIR", "/tmp");
	if (r == 0 && plan->tier != TIER_NONE && planning->findings->cache)
		r = cache_dir_environment(planning->findings->cache, to);
	if (r == 0 && plan->tier != TIER_NONE)
		r = put_pair(to, "COFFER", tier_name(plan->tier));
	if (r == 0 && plan->git_layers_count > 0)
		r = git_without_maintenance(to);
	if (r == 0)
		r = python_path(planning, to);
	if (r == 0)
		r = named(planning, to, environment);
	if (r == 0)
		r = preload_witness(planning, to);
	if (r == 0)
		r = plan_network_variables(planning);
	if (r == -E2BIG)
		return error_set(
			planning->error, E2BIG, "plan", "--python-path: the list is too long");
	return r < 0 ? plan_out_of_memory(planning->error) : 0;
}
