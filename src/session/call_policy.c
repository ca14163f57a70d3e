/* The policy of a call's box: what holds in the session, as flags would make it, then widened by
 * each grant. A grant was agreed to by somebody; what this machine requires holds all the same. */
#include "session/story.h"

#include "base/cleanup.h"
#include "config/bounds.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The setting that a grant comes to, by which requirements judge it. */
static const struct {
	const char *word, *key;
} grant_keys[] = {
	[GRANT_WRITE] = {"write", "grant-write"},
	[GRANT_NETWORK] = {"net", "allow-domain"},
	[GRANT_UNSANDBOXED] = {"unsandboxed", "mode"},
	[GRANT_SECRET] = {"secret", "allow-read"},
};

static bool has_grant(const struct story *story, enum grant_kind kind)
{
	for (size_t i = 0; i < story->grants_count; i++)
		if (story->grants[i].kind == kind)
			return true;
	return false;
}

/* An address has no name that could be resolved: it is opened as a block of one. */
static bool is_address(const char *target)
{
	char host[64];
	struct in_addr address;
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(target, ":/"), target);
	return target[0] == '[' || inet_pton(AF_INET, host, &address) == 1;
}

static int add(struct strv *settings, const char *key, const char *value)
{
	char *setting = NULL;
	if (asprintf(&setting, "%s=%s", key, value) < 0)
		setting = NULL;
	return strv_add_owned(settings, setting);
}

static int gather_flags(struct story *story, const struct strv *environment, uint64_t timeout_ms,
	struct strv *flags)
{
	const struct session *session = story->session;
	int r = strv_copy(flags, (char *const *)strv_items(&session->settings));
	/* Chosen once, at the start: whatever a command makes of the directory since then. */
	if (r == 0)
		r = add(flags, "mode", policy_mode_name(session->mode));
	/* With no network at all nobody learns which host was wanted: a closed one that is
	 * filtered says it, so that it can be offered. */
	if (r == 0 && session->approval.policy == APPROVAL_ON_FAILURE && session->network_unset)
		r = add(flags, "net", "filtered");
	if (r == 0 && story->names.socket.path)
		r = add(flags, "net-ask", story->names.socket.path);
	for (size_t i = 0; r == 0 && environment && i < environment->count; i++)
		r = add(flags, "env", environment->items[i]);
	if (r == 0 && timeout_ms) {
		char limit[48];
		snprintf(limit, sizeof(limit), "time=%" PRIu64 "ms", timeout_ms);
		r = add(flags, "limit", limit);
	}
	return r;
}

/* "off" and a host that was granted contradict one another: then it is off but for that host. */
static void open_for_grant(const struct story *story, struct strv *settings)
{
	size_t kept = 0;
	for (size_t i = 0; i < settings->count; i++)
		if (has_grant(story, GRANT_NETWORK) && strcmp(settings->items[i], "net=off") == 0)
			free(settings->items[i]);
		else
			settings->items[kept++] = settings->items[i];
	settings->count = kept;
	if (settings->items)
		settings->items[kept] = NULL;
}

static int widen(const struct story *story, const struct grant *grant, struct coffer_policy *policy,
	struct error *error)
{
	const char *key = grant_keys[grant->kind].key;
	const char *value = grant->value ? grant->value : policy_mode_name(MODE_FULL_ACCESS);
	if (grant->kind == GRANT_NETWORK && is_address(value))
		key = "allow-cidr";
	int r = bounds_check_grant(story->session->compiled, key, value, error);
	if (r < 0)
		return r;
	if (strcmp(key, "allow-cidr") == 0)
		return coffer_policy_set(policy, key, value, (struct coffer_error *)error);
	cleanup_free char *text = NULL;
	if (asprintf(&text, "%s%s%s", grant_keys[grant->kind].word, grant->value ? "=" : "",
		    grant->value ? grant->value : "") < 0) {
		text = NULL;
		return error_set_errno(error, ENOMEM, "policy", "a grant");
	}
	return coffer_policy_grant(policy, text, (struct coffer_error *)error);
}

static int build(struct story *story, const struct strv *flags, struct coffer_policy **ret,
	struct error *error)
{
	cleanup_strv struct strv settings = {0};
	struct coffer_policy *policy = NULL;
	int r = compiled_config_settings(
		story->session->compiled, strv_items(flags), &settings, NULL, error);
	if (r == 0) {
		open_for_grant(story, &settings);
		r = session_make_policy(story->session, &settings, &policy, error);
	}
	for (size_t i = 0; r == 0 && i < story->grants_count; i++)
		r = widen(story, &story->grants[i], policy, error);
	if (r < 0) {
		coffer_policy_free(policy);
		return r;
	}
	*ret = policy;
	return 0;
}

int story_policy(struct story *story, const struct strv *environment, uint64_t timeout_ms,
	struct coffer_policy **ret)
{
	cleanup_strv struct strv flags = {0};
	struct error error = {0};
	int r = gather_flags(story, environment, timeout_ms, &flags);
	if (r < 0)
		return story_fail(
			story, RPC_INTERNAL_ERROR, "out_of_memory", -r, "the policy of the box");
	r = build(story, &flags, ret, &error);
	if (r < 0) {
		story->error = error;
		story->code = RPC_INVALID_PARAMS;
		story->name = r == -EPERM ? "config" : "invalid_params";
	}
	return r;
}
