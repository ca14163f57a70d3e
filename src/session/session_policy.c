/* What holds in a session: the configuration's layers, then what the flags and the host asked for,
 * then what requirements add; and what the plan makes of it. Read again when a file has changed;
 * where that fails, what held goes on holding, and the host is told. */
#include "session/core.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "coffer.h"
#include "config/bounds.h"
#include "config/compile.h"
#include "config/trust.h"
#include "gate/rules.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(sizeof(struct coffer_error) == sizeof(struct error), "the public error is ours");

static struct coffer_error *as_public(struct error *error)
{
	return (struct coffer_error *)error;
}

int session_add_setting(
	struct session *session, const char *key, const char *value, struct error *error)
{
	if (session->settings.count >= MAX_SESSION_SETTINGS)
		return error_set(error, E2BIG, "policy", "more than %d settings are given",
			MAX_SESSION_SETTINGS);
	struct coffer_policy *trial = coffer_policy_new();
	int r = trial ? coffer_policy_set(trial, key, value, as_public(error))
		      : error_set_errno(error, ENOMEM, "policy", "--%s", key);
	coffer_policy_free(trial);
	if (r < 0)
		return r;
	if (strcmp(key, "directory") == 0) {
		char *copy = strdup(value);
		if (!copy)
			return error_set_errno(error, ENOMEM, "policy", "-C");
		free(session->directory);
		session->directory = copy;
		return 0;
	}
	char *setting = NULL;
	if (asprintf(&setting, "%s%s%s", key, value ? "=" : "", value ? value : "") < 0)
		setting = NULL;
	return strv_add_owned(&session->settings, setting) < 0
		       ? error_set_errno(error, ENOMEM, "policy", "--%s", key)
		       : 0;
}

/* ---- which files there are ---- */

static void describe_file(struct buffer *buffer, const char *directory, const char *name)
{
	cleanup_free char *path = directory ? path_join(directory, name) : NULL;
	struct stat st;
	if (path && stat(path, &st) == 0)
		buffer_append_format(buffer, "%s %ju %ju %ju %jd.%09ld %jd.%09ld\n", name,
			(uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (uintmax_t)st.st_size,
			(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	else
		buffer_append_format(buffer, "%s -\n", name);
}

/* Changes whenever one of the files that config_load() reads does. */
static void take_fingerprint(const struct config_where *where, char ret[SHA256_HEX_BYTES])
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	describe_file(&buffer, where->system_dir, "coffer.toml");
	describe_file(&buffer, where->system_dir, "requirements.toml");
	describe_file(&buffer, where->user_dir, "coffer.toml");
	describe_file(&buffer, where->workspace, ".coffer/coffer.toml");
	describe_file(&buffer, where->state_dir, "trust.jsonl");
	sha256_hex(buffer.data ? buffer.data : "", buffer.length_bytes, ret);
}

/* ---- what holds ---- */

/* A state that is made beside the one in force, and takes its place as a whole. */
struct state {
	struct config *config;
	struct compiled_config *compiled;
	struct approval approval;
	struct strv effective, notices;
	enum policy_mode mode;
	bool mode_named;
	char *workspace, *inside;
	struct strv writable_roots;
	bool network_unset, network_asks;
	json_t *policy;
};

static void state_release(struct state *state)
{
	config_free(state->config);
	compiled_config_free(state->compiled);
	strv_release(&state->effective);
	strv_release(&state->notices);
	free(state->workspace);
	free(state->inside);
	strv_release(&state->writable_roots);
	json_decref(state->policy);
}

/* What files and flags come to together, as for `coffer run`. */
static int gather_settings(const struct session *session, struct state *state, struct error *error)
{
	int r = compile_config(state->config, &state->compiled);
	if (r < 0)
		return error_set_errno(error, -r, "policy", "the configuration");
	r = compiled_config_settings(state->compiled, strv_items(&session->settings),
		&state->effective, &state->notices, error);
	for (size_t i = 0; r == 0 && i < state->effective.count; i++)
		if (strncmp(state->effective.items[i], "mode=", 5) == 0)
			state->mode_named = true;
	/* What commands made of the directory since then must not widen it. */
	char *setting = NULL;
	if (r < 0 || state->mode_named || session->chosen == MODE_UNSET)
		return r;
	if (asprintf(&setting, "mode=%s", policy_mode_name(session->chosen)) < 0)
		setting = NULL;
	return strv_add_owned(&state->effective, setting) < 0
		       ? error_set_errno(error, ENOMEM, "policy", "the mode")
		       : 0;
}

int session_make_policy(const struct session *session, const struct strv *settings,
	struct coffer_policy **ret, struct error *error)
{
	struct coffer_policy *policy = coffer_policy_new();
	int r = policy ? coffer_policy_set(
				 policy, "directory", session->directory, as_public(error))
		       : error_set_errno(error, ENOMEM, "policy", "a policy");
	for (size_t i = 0; r == 0 && i < settings->count; i++) {
		cleanup_free char *key = strdup(settings->items[i]);
		char *value = key ? strchr(key, '=') : NULL;
		if (value)
			*value++ = '\0';
		r = key ? coffer_policy_set(policy, key, value, as_public(error))
			: error_set_errno(error, ENOMEM, "policy", "a setting");
	}
	if (r < 0) {
		coffer_policy_free(policy);
		return r;
	}
	*ret = policy;
	return 0;
}

static enum policy_mode mode_of(const char *name)
{
	for (enum policy_mode mode = MODE_READ_ONLY; mode <= MODE_FULL_ACCESS; mode++)
		if (name && strcmp(policy_mode_name(mode), name) == 0)
			return mode;
	return MODE_UNSET;
}

/* The directory's end is the same within the box; what stands before it is the workspace there. */
static char *find_inside(const char *directory, const char *workspace, const char *directory_inside)
{
	size_t whole = strlen(directory_inside);
	size_t rest =
		path_is_below(directory, workspace) ? strlen(directory) - strlen(workspace) : 0;
	return strndup(directory_inside, rest < whole ? whole - rest : whole);
}

/* What the plan made of it, which is what the gate decides by. */
static int take_plan(
	struct session *session, struct state *state, const json_t *plan, struct error *error)
{
	const char *mode = json_string_value(json_object_get(plan, "mode"));
	const char *workspace = json_string_value(json_object_get(plan, "workspace"));
	state->mode = mode_of(mode);
	state->workspace = strdup(workspace ? workspace : session->directory);
	if (!state->workspace)
		return error_set_errno(error, ENOMEM, "plan", "the workspace");
	const char *inside = json_string_value(json_object_get(plan, "directory"));
	state->inside = find_inside(
		session->directory, state->workspace, inside ? inside : session->directory);
	if (state->mode == MODE_UNSET || !state->inside)
		return error_set(error, EIO, "plan", "the plan does not say its mode");
	size_t i;
	json_t *root;
	json_array_foreach(json_object_get(plan, "write_roots"), i,
		root) if (strv_add(&state->writable_roots, json_string_value(root)) <
			  0) return error_set_errno(error, ENOMEM, "plan", "the roots");
	if (strcmp(state->inside, state->workspace) != 0 &&
		strv_contains(&state->writable_roots, state->workspace) &&
		strv_add(&state->writable_roots, state->inside) < 0)
		return error_set_errno(error, ENOMEM, "plan", "the roots");
	state->network_unset = !json_is_object(json_object_get(plan, "network"));
	for (i = 0; i < state->effective.count; i++)
		if (strncmp(state->effective.items[i], "net=", 4) == 0)
			state->network_unset = false;
	const json_t *network = json_object_get(plan, "network");
	const char *otherwise = json_string_value(json_object_get(network, "default"));
	state->network_asks = otherwise && strcmp(otherwise, "refuse") == 0;
	state->policy = json_pack("{s:s, s:s, s:O?, s:O?, s:s, s:s, s:O?, s:O?, s:O?, s:O?}",
		"mode", mode, "approval", approval_policy_name(state->approval.policy), "tier",
		json_object_get(plan, "tier"), "profile", json_object_get(plan, "profile"),
		"directory", session->directory, "workspace", state->workspace, "writable_roots",
		json_object_get(plan, "write_roots"), "network", json_object_get(plan, "network"),
		"limits", json_object_get(plan, "limits"), "notes", json_object_get(plan, "notes"));
	return state->policy ? 0 : error_set_errno(error, ENOMEM, "plan", "what holds");
}

static int plan_state(struct session *session, struct state *state, struct error *error)
{
	struct coffer_policy *policy = NULL;
	struct coffer_plan *plan = NULL;
	char *const nothing[] = {NULL};
	int r = session_make_policy(session, &state->effective, &policy, error);
	if (r == 0)
		r = coffer_plan_new(policy, nothing, 0, &plan, as_public(error));
	cleanup_free char *text = r == 0 ? coffer_plan_json(plan) : NULL;
	coffer_plan_free(plan);
	coffer_policy_free(policy);
	if (r < 0)
		return r;
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;
	r = json ? take_plan(session, state, json, error)
		 : error_set_errno(error, ENOMEM, "plan", "the plan");
	json_decref(json);
	return r;
}

static int check_rules(const struct config *config, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < config->rules_count; i++)
		r = rule_check_examples(&config->rules[i], error);
	return r;
}

static int make_state(struct session *session, struct state *state, struct error *error)
{
	int r = config_load(&session->where, &state->config, NULL, error);
	if (r == 0)
		r = check_rules(state->config, error);
	if (r < 0)
		return r;
	state->approval = session->asked_approval.set ? session->asked_approval
			  : state->config->approval.set
				  ? state->config->approval
				  : (struct approval){.policy = APPROVAL_ON_REQUEST};
	r = gather_settings(session, state, error);
	if (r == 0)
		r = plan_state(session, state, error);
	/* A mode that nobody asked for is judged like one that somebody did. */
	if (r == 0)
		r = bounds_check_setting(
			state->compiled, "mode", policy_mode_name(state->mode), error);
	if (r == 0)
		r = bounds_check_approval(state->compiled, &state->approval, error);
	return r;
}

static int load(struct session *session, struct error *error)
{
	struct state state = {0};
	int r = make_state(session, &state, error);
	if (r == 0) {
		struct state old = {.config = session->config,
			.compiled = session->compiled,
			.effective = session->effective,
			.notices = session->notices,
			.workspace = session->workspace,
			.inside = session->inside,
			.writable_roots = session->writable_roots,
			.policy = session->policy};
		session->config = state.config;
		session->approval = state.approval;
		session->compiled = state.compiled;
		session->effective = state.effective;
		session->notices = state.notices;
		session->mode = state.mode;
		if (!state.mode_named)
			session->chosen = state.mode;
		session->workspace = state.workspace;
		session->inside = state.inside;
		session->writable_roots = state.writable_roots;
		session->network_unset = state.network_unset;
		session->network_asks = state.network_asks;
		session->policy = state.policy;
		state = old;
	}
	state_release(&state);
	return r;
}

/* The directory, absolute; the places of the configuration; the shell that takes lines. */
static int find_places(struct session *session, struct error *error)
{
	/* By the name of a link, neither the project's file nor a rule's `in` would be found. */
	cleanup_free char *path = realpath(session->directory ? session->directory : ".", NULL);
	struct stat st;
	if (!path || stat(path, &st) < 0)
		return error_set_errno(error, errno, "session", "the directory %s",
			session->directory ? session->directory : "that this was started in");
	if (!S_ISDIR(st.st_mode))
		return error_set(error, ENOTDIR, "session", "%s is not a directory", path);
	free(session->directory);
	session->directory = steal_pointer(&path);
	if (!session->shell)
		session->shell = strdup(access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh");
	if (!session->shell)
		return error_set_errno(error, ENOMEM, "session", "the shell");
	strv_release(&session->where_storage);
	return config_where(session->directory, &session->where, &session->where_storage, error);
}

int session_open(struct session *session, struct error *error)
{
	int r = find_places(session, error);
	if (r < 0)
		return r;
	take_fingerprint(&session->where, session->fingerprint);
	return load(session, error);
}

void session_reload(struct session *session, bool always)
{
	if (!session->config)
		return;
	char fingerprint[SHA256_HEX_BYTES];
	take_fingerprint(&session->where, fingerprint);
	if (!always && strcmp(fingerprint, session->fingerprint) == 0)
		return;
	memcpy(session->fingerprint, fingerprint, sizeof(fingerprint));
	struct error error = {0};
	if (load(session, &error) == 0) {
		session->face->notice(
			session, "config_changed", "the configuration was read again");
		return;
	}
	char text[sizeof(error.message) + sizeof(error.hint) + 128];
	snprintf(text, sizeof(text), "%s%s%s; what held before goes on holding", error.message,
		error.hint[0] ? "; " : "", error.hint);
	session->face->notice(session, "config_fault", text);
}
