/* Theory of operation. A grant is one thing more that a box may do. It is made of the policy's own
 * settings, and brings nothing else along. */
#include "library/library.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "policy/policy.h"

#include <arpa/inet.h>
#include <string.h>

static int set(
	struct coffer_policy *policy, const char *key, const char *value, struct error *error)
{
	return coffer_policy_set(policy, key, value, (struct coffer_error *)error);
}

static int absolute(
	const struct coffer_policy *policy, const char *path, char **ret, struct error *error)
{
	cleanup_free char *here = getcwd(NULL, 0);
	const char *directory = policy->policy->directory;
	cleanup_free char *base = here ? path_absolute(here, directory ? directory : ".") : NULL;
	*ret = base ? path_absolute(base, path) : NULL;
	return *ret ? 0 : error_set_errno(error, errno ? errno : ENOMEM, "policy", "%s", path);
}

static int grant_write(struct coffer_policy *policy, const char *directory, struct error *error)
{
	if (policy->policy->mode == MODE_FULL_ACCESS)
		return 0;
	cleanup_free char *path = NULL;
	int r = absolute(policy, directory, &path, error);
	return r < 0 ? r : set(policy, "grant-write", path, error);
}

/* An address has no name that could be resolved: it is opened as a block of one. */
static bool is_address(const char *target)
{
	char host[INET_ADDRSTRLEN + 1];
	struct in_addr address;
	size_t length = strcspn(target, ":/");
	if (target[0] == '[')
		return true;
	if (length >= sizeof(host))
		return false;
	memcpy(host, target, length);
	host[length] = '\0';
	return inet_pton(AF_INET, host, &address) == 1;
}

static int grant_network(struct coffer_policy *policy, const char *target, struct error *error)
{
	enum network_mode mode = policy->policy->network.mode;
	if (policy->policy->mode == MODE_FULL_ACCESS || mode == NETWORK_ON)
		return 0;
	/* "off", and a host that was granted: off but for that host. */
	int r = mode == NETWORK_OFF ? set(policy, "net", "filtered", error) : 0;
	return r < 0 ? r
		     : set(policy, is_address(target) ? "allow-cidr" : "allow-domain", target,
			       error);
}

static int grant_secret(struct coffer_policy *policy, const char *path, struct error *error)
{
	if (policy->policy->mode == MODE_FULL_ACCESS)
		return 0;
	cleanup_free char *whole = NULL;
	int r = absolute(policy, path, &whole, error);
	return r < 0 ? r : set(policy, "allow-read", whole, error);
}

/* What has a meaning without a box: all else is left behind. */
static bool holds_without_box(const char *setting)
{
	static const char *const keys[] = {
		"directory", "env", "env-all", "limit", "capture", "trace", "best-effort"};
	size_t length = strcspn(setting, "=");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i]) == length && memcmp(keys[i], setting, length) == 0)
			return true;
	return false;
}

static int grant_unsandboxed(struct coffer_policy *policy, struct error *error)
{
	struct coffer_policy *bare = coffer_policy_new();
	int r = bare ? set(bare, "mode", "danger-full-access", error)
		     : error_set_errno(error, ENOMEM, "policy", "the grant");
	for (size_t i = 0; r == 0 && i < policy->settings.count; i++) {
		if (!holds_without_box(policy->settings.items[i]))
			continue;
		cleanup_free char *setting = strdup(policy->settings.items[i]);
		char *value = setting ? strchr(setting, '=') : NULL;
		if (value)
			*value++ = '\0';
		r = setting ? set(bare, setting, value, error) : -ENOMEM;
	}
	if (r == 0) {
		struct coffer_policy old = *policy;
		*policy = *bare;
		*bare = old;
	}
	coffer_policy_free(bare);
	return r;
}

int coffer_policy_grant(
	struct coffer_policy *policy, const char *grant, struct coffer_error *ret_error)
{
	static const struct {
		const char *prefix;
		int (*apply)(struct coffer_policy *, const char *, struct error *);
	} kinds[] = {{"write=", grant_write}, {"net=", grant_network}, {"secret=", grant_secret}};
	struct error error = {0};
	int r = -EINVAL;
	if (strcmp(grant, "unsandboxed") == 0)
		r = grant_unsandboxed(policy, &error);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t length = strlen(kinds[i].prefix);
		if (strncmp(grant, kinds[i].prefix, length) == 0 && grant[length])
			r = kinds[i].apply(policy, grant + length, &error);
	}
	if (r < 0 && !error.errno_value) {
		error_set(&error, EINVAL, "policy", "'%s' is no grant", grant);
		error_hint(&error, "as in write=DIR, net=HOST, secret=PATH or unsandboxed");
	}
	library_copy_error(ret_error, &error);
	return r;
}
