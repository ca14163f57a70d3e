#include "run/sanitizing.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <jansson.h>
#include <string.h>

/* Where coffer keeps its own things: in the box there are none of them. */
static const struct {
	const char *variable, *inside;
} own_directories[] = {
	{"XDG_STATE_HOME", "/run/coffer/state"},
	{"XDG_CACHE_HOME", "/run/coffer/cache"},
	{"XDG_CONFIG_HOME", "/run/coffer/config"},
};

enum { OWN_PAIRS = 4 + ARRAY_SIZE(own_directories) }; /* beside those of mounts */

struct sanitizing {
	struct sanitize_pair *pairs;
	size_t pairs_count;
	struct sanitize_secret *secrets;
	size_t secrets_count;
	struct strv strings; /* that both point to */
	enum sanitize_controls controls;
};

/* The root and what every host has say nothing about this one. */
static bool tells_something(const char *path)
{
	return path && path[0] == '/' && path[1] && strcmp(path, "/root") != 0;
}

static int add_pair(struct sanitizing *sanitizing, const char *from, const char *to)
{
	struct strv *strings = &sanitizing->strings;
	if (!tells_something(from) || strcmp(from, to) == 0)
		return 0;
	if (strv_add(strings, from) < 0 || strv_add(strings, to) < 0)
		return -ENOMEM;
	sanitizing->pairs[sanitizing->pairs_count++] =
		(struct sanitize_pair){.from = strings->items[strings->count - 2],
			.to = strings->items[strings->count - 1]};
	return 0;
}

static int add_mounts(struct sanitizing *sanitizing, const struct plan *plan)
{
	int r = 0;
	for (size_t i = 0; i < plan->mounts_count && r == 0; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		bool shows_source = mount->kind == MOUNT_BIND || mount->kind == MOUNT_OVERLAY ||
				    mount->kind == MOUNT_LAYER || mount->kind == MOUNT_GIT_LAYER;
		if (shows_source && mount->source)
			r = add_pair(sanitizing, mount->source, mount->target);
	}
	return r;
}

static int add_own(struct sanitizing *sanitizing, const struct plan *plan)
{
	int r = add_pair(sanitizing, plan->workspace, "/workspace");
	if (r == 0)
		r = add_pair(sanitizing, plan->layer, "/run/coffer/layer");
	if (r == 0)
		r = add_pair(sanitizing, getenv("HOME"), "/home/agent");
	if (r == 0)
		r = add_pair(sanitizing, "/var/lib/coffer", "/run/coffer/state");
	for (size_t i = 0; i < ARRAY_SIZE(own_directories) && r == 0; i++)
		r = add_pair(sanitizing, getenv(own_directories[i].variable),
			own_directories[i].inside);
	return r;
}

static int add_secrets(struct sanitizing *sanitizing, const struct plan *plan)
{
	struct strv *strings = &sanitizing->strings;
	for (size_t i = 0; i < plan->secret_files.count; i++) {
		const char *pair = plan->secret_files.items[i], *equals = strchr(pair, '=');
		cleanup_free char *name = equals ? strndup(pair, (size_t)(equals - pair)) : NULL;
		if (!name || strv_add(strings, name) < 0)
			return -ENOMEM;
		sanitizing->secrets[sanitizing->secrets_count++] =
			(struct sanitize_secret){.name = strings->items[strings->count - 1],
				.value = equals + 1, /* the plan's, which outlives this */
				.length_bytes = strlen(equals + 1)};
	}
	return 0;
}

int sanitizing_new(const struct plan *plan, struct sanitizing **ret)
{
	*ret = NULL;
	if (plan->profile->view == VIEW_HOST)
		return 0;
	struct sanitizing *sanitizing = calloc(1, sizeof(*sanitizing));
	if (!sanitizing)
		return -ENOMEM;
	sanitizing->controls = plan->pass_controls ? SANITIZE_KEEP : SANITIZE_STRIP;
	sanitizing->pairs =
		calloc(plan->mounts_count + OWN_PAIRS, sizeof(*sanitizing->pairs));
	sanitizing->secrets =
		calloc(plan->secret_files.count + 1, sizeof(*sanitizing->secrets));
	int r = sanitizing->pairs && sanitizing->secrets ? 0 : -ENOMEM;
	if (r == 0)
		r = add_mounts(sanitizing, plan);
	if (r == 0)
		r = add_own(sanitizing, plan);
	if (r == 0)
		r = add_secrets(sanitizing, plan);
	if (r < 0)
		sanitizing_free(sanitizing);
	else
		*ret = sanitizing;
	return r;
}

void sanitizing_free(struct sanitizing *sanitizing)
{
	if (!sanitizing)
		return;
	free(sanitizing->pairs);
	free(sanitizing->secrets);
	strv_release(&sanitizing->strings);
	free(sanitizing);
}

int sanitizing_stream(
	const struct sanitizing *sanitizing, bool terminal, struct sanitizer **ret)
{
	const struct sanitize_options options = {.paths = sanitizing->pairs,
		.paths_count = sanitizing->pairs_count,
		.secrets = sanitizing->secrets,
		.secrets_count = sanitizing->secrets_count,
		.recognize = true,
		.terminal = terminal,
		.controls = terminal && sanitizing->controls == SANITIZE_STRIP
				    ? SANITIZE_DISPLAY
				    : sanitizing->controls};
	return sanitizer_new(&options, ret);
}

/* ---- the report ---- */

static int sanitize_string(struct sanitizer *sanitizer, json_t *string)
{
	cleanup_buffer struct buffer clean = BUFFER_INIT(MAX_REPORT_BYTES);
	const char *text = json_string_value(string);
	size_t length = json_string_length(string);
	sanitizer_feed(sanitizer, text, length, true, &clean);
	if (buffer_error(&clean) < 0)
		return buffer_error(&clean);
	if (clean.length_bytes == length &&
		(!length || memcmp(clean.data, text, length) == 0))
		return 0;
	const char *changed = clean.data ? clean.data : "";
	return json_string_setn(string, changed, clean.length_bytes) < 0 ? -ENOMEM : 0;
}

/* The report is ours, and so is its depth. Keys are words of ours, too. */
static int sanitize_value(struct sanitizer *sanitizer, json_t *value)
{
	size_t index;
	const char *key;
	json_t *item;
	int r = 0;
	if (json_is_string(value))
		return sanitize_string(sanitizer, value);
	json_array_foreach(value, index, item)
		if (r == 0)
			r = sanitize_value(sanitizer, item);
	json_object_foreach(value, key, item)
		if (r == 0)
			r = sanitize_value(sanitizer, item);
	return r;
}

int sanitizing_json(const struct sanitizing *sanitizing, struct json_t *root,
	struct sanitize_counts *counts)
{
	const struct sanitize_options options = {.paths = sanitizing->pairs,
		.paths_count = sanitizing->pairs_count,
		.secrets = sanitizing->secrets,
		.secrets_count = sanitizing->secrets_count,
		.recognize = true,
		.terminal = true, /* whoever reads it may show it there */
		.controls = sanitizing->controls};
	struct sanitizer *sanitizer;
	struct sanitize_counts more;
	int r = sanitizer_new(&options, &sanitizer);
	if (r < 0)
		return r;
	r = sanitize_value(sanitizer, root);
	sanitizer_counts(sanitizer, &more);
	sanitizer_free(sanitizer);
	counts->paths += more.paths;
	counts->secrets += more.secrets;
	counts->recognized += more.recognized;
	counts->controls += more.controls;
	return r;
}
