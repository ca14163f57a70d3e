#include "library/library.h"

#include "base/cleanup.h"
#include "policy/policy.h"
#include "policy/profile.h"

#include <jansson.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct coffer_error) == sizeof(struct error) &&
		       offsetof(struct coffer_error, hint) == offsetof(struct error, hint),
	"the public error is the internal one");
_Static_assert(sizeof(struct coffer_key) == sizeof(struct policy_key) &&
		       offsetof(struct coffer_key, help) == offsetof(struct policy_key, help),
	"the public key is the internal one");

void library_copy_error(struct coffer_error *to, const struct error *from)
{
	if (to)
		memcpy(to, from, sizeof(*to));
}

struct coffer_policy *coffer_policy_new(void)
{
	struct coffer_policy *policy = calloc(1, sizeof(*policy));
	if (policy && policy_new(&policy->policy) < 0) {
		free(policy);
		return NULL;
	}
	return policy;
}

void coffer_policy_free(struct coffer_policy *policy)
{
	if (!policy)
		return;
	policy_free(policy->policy);
	strv_release(&policy->settings);
	free(policy);
}

int coffer_policy_set(struct coffer_policy *policy, const char *key, const char *value,
	struct coffer_error *ret_error)
{
	struct error error = {0};
	int r = policy_set(policy->policy, key, value, &error);
	if (r == 0) {
		char *setting = NULL;
		if (asprintf(&setting, "%s%s%s", key, value ? "=" : "", value ? value : "") < 0)
			setting = NULL;
		r = strv_add_owned(&policy->settings, setting);
		if (r < 0)
			error_set_errno(&error, ENOMEM, "policy", "--%s", key);
	}
	if (r < 0)
		library_copy_error(ret_error, &error);
	return r;
}

const struct coffer_key *coffer_policy_keys(size_t *ret_count)
{
	return (const struct coffer_key *)policy_keys(ret_count);
}

static char *profiles_json(void)
{
	size_t count;
	const struct profile *table = profile_table(&count);
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct profile *profile = &table[i];
		json_t *item = json_object();
		json_object_set_new(item, "name", json_string(profile->name));
		json_object_set_new(item, "summary", json_string(profile->summary));
		json_object_set_new(item, "mode",
			profile->mode ? json_string(policy_mode_name(profile->mode)) : json_null());
		json_object_set_new(item, "seccomp",
			json_string(profile->seccomp == SECCOMP_STRICT ? "strict" : "default"));
		json_object_set_new(
			item, "landlock_tier", json_boolean(profile->landlock_tier_allowed));
		json_object_set_new(item, "must_enforce", json_boolean(profile->must_enforce));
		json_array_append_new(array, item);
	}
	char *text = json_dumps(array, JSON_INDENT(2));
	json_decref(array);
	return text;
}

char *coffer_profiles(int json)
{
	if (json)
		return profiles_json();
	size_t count, size;
	const struct profile *table = profile_table(&count);
	char *text = NULL;
	FILE *stream = open_memstream(&text, &size);
	if (!stream)
		return NULL;
	for (size_t i = 0; i < count; i++)
		fprintf(stream, "%-11s %s\n", table[i].name, table[i].summary);
	return fclose(stream) == 0 ? text : NULL;
}

const char *coffer_version(void)
{
	return COFFER_VERSION;
}
