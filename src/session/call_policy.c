/* The policy of a call's box. Theory of operation: the session's settings, and behind them one for
 * each grant. A policy has no "but also" across modes, so what contradicts a grant is left out, and
 * only that: "net=off" where a host was granted; the mode where writing was granted in read-only
 * (the workspace then becomes a carve-out, so that the grant is all that is writable); and all that
 * needs a box where none was granted. */
#include "session/story.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool has_grant(const struct story *story, enum grant_kind kind)
{
	for (size_t i = 0; i < story->grants_count; i++)
		if (story->grants[i].kind == kind)
			return true;
	return false;
}

static bool is_key(const char *setting, const char *key)
{
	size_t length = strlen(key);
	return strncmp(setting, key, length) == 0 &&
	       (setting[length] == '\0' || setting[length] == '=');
}

/* Settings that mean something without a box. */
static bool needs_no_box(const char *setting)
{
	static const char *const keys[] = {"env", "env-all", "limit", "best-effort", "capture"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (is_key(setting, keys[i]))
			return true;
	return false;
}

static bool is_left_out(const struct story *story, const char *setting)
{
	if (has_grant(story, GRANT_UNSANDBOXED))
		return !needs_no_box(setting);
	if (has_grant(story, GRANT_NETWORK) && strcmp(setting, "net=off") == 0)
		return true;
	return has_grant(story, GRANT_WRITE) && story->session->mode == MODE_READ_ONLY &&
	       is_key(setting, "mode");
}

static int add(struct strv *settings, const char *key, const char *value)
{
	char *setting = NULL;
	if (asprintf(&setting, "%s%s%s", key, value ? "=" : "", value ? value : "") < 0)
		setting = NULL;
	return strv_add_owned(settings, setting);
}

/* An address has no name that could be asked for: it is opened as a block of one. */
static bool is_address(const char *target)
{
	char host[64];
	struct in_addr address;
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(target, ":/"), target);
	return target[0] == '[' || inet_pton(AF_INET, host, &address) == 1;
}

static int add_grant(const struct story *story, const struct grant *grant, struct strv *settings)
{
	switch (grant->kind) {
	case GRANT_WRITE:
		return add(settings, "write", grant->value);
	case GRANT_NETWORK:
		return add(settings, is_address(grant->value) ? "allow-cidr" : "allow-domain",
			grant->value);
	case GRANT_SECRET:
		return add(settings, "allow-read", grant->value);
	case GRANT_UNSANDBOXED:
		return add(settings, "mode", policy_mode_name(MODE_FULL_ACCESS));
	}
	(void)story;
	return -EINVAL;
}

static int add_grants(const struct story *story, struct strv *settings)
{
	bool unsandboxed = has_grant(story, GRANT_UNSANDBOXED);
	int r = 0;
	if (!unsandboxed && has_grant(story, GRANT_WRITE) &&
		story->session->mode == MODE_READ_ONLY) {
		r = add(settings, "mode", policy_mode_name(MODE_WORKSPACE_WRITE));
		bool workspace_too = false;
		for (size_t i = 0; i < story->grants_count; i++)
			workspace_too =
				workspace_too || (story->grants[i].kind == GRANT_WRITE &&
							 strcmp(story->grants[i].value,
								 story->session->workspace) == 0);
		if (r == 0 && !workspace_too)
			r = add(settings, "read-only", story->session->workspace);
	}
	for (size_t i = 0; r == 0 && i < story->grants_count; i++)
		if (!unsandboxed || story->grants[i].kind == GRANT_UNSANDBOXED)
			r = add_grant(story, &story->grants[i], settings);
	return r;
}

static int gather(struct story *story, const struct strv *environment, uint64_t timeout_ms,
	struct strv *settings)
{
	const struct session *session = story->session;
	int r = 0;
	for (size_t i = 0; r == 0 && i < session->effective.count; i++)
		if (!is_left_out(story, session->effective.items[i]))
			r = strv_add(settings, session->effective.items[i]);
	/* With no network at all nobody learns which host was wanted: a closed one that is
	 * filtered says it, so that it can be offered. */
	bool open = has_grant(story, GRANT_UNSANDBOXED) || session->mode == MODE_FULL_ACCESS;
	if (r == 0 && !open && session->approval.policy == APPROVAL_ON_FAILURE &&
		session->network_unset)
		r = add(settings, "net", "filtered");
	if (r == 0)
		r = add_grants(story, settings);
	for (size_t i = 0; r == 0 && environment && i < environment->count; i++)
		r = add(settings, "env", environment->items[i]);
	if (r == 0 && timeout_ms) {
		char limit[48];
		snprintf(limit, sizeof(limit), "time=%" PRIu64 "ms", timeout_ms);
		r = add(settings, "limit", limit);
	}
	return r;
}

int story_policy(struct story *story, const struct strv *environment, uint64_t timeout_ms,
	struct coffer_policy **ret)
{
	cleanup_strv struct strv settings = {0};
	const struct strv *modes = &story->session->config->requirements.modes;
	const char *mode = has_grant(story, GRANT_UNSANDBOXED) ? policy_mode_name(MODE_FULL_ACCESS)
			   : has_grant(story, GRANT_WRITE) ? policy_mode_name(MODE_WORKSPACE_WRITE)
							   : NULL;
	if (mode && modes->count && !strv_contains(modes, mode) &&
		(has_grant(story, GRANT_UNSANDBOXED) || story->session->mode == MODE_READ_ONLY))
		return story_fail(story, RPC_SERVER_ERROR, "config", EPERM,
			"what was granted needs the mode %s, which requirements.toml forbids",
			mode);
	int r = gather(story, environment, timeout_ms, &settings);
	if (r < 0)
		return story_fail(
			story, RPC_INTERNAL_ERROR, "out_of_memory", -r, "the policy of the box");
	struct error error = {0};
	r = session_make_policy(story->session, &settings, ret, &error);
	if (r < 0) {
		story->error = error;
		story->code = RPC_INVALID_PARAMS;
		story->name = "invalid_params";
	}
	return r;
}
