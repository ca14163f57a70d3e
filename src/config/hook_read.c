/* [[hook]] */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "config/hook_hash.h"
#include "config/trust.h"

#include <string.h>

enum { HOOK_TIMEOUT_MS = 60 * 1000 };

void config_hook_release(struct config_hook *hook)
{
	free(hook->matcher);
	free(hook->command);
	strv_release(&hook->argv);
	strv_release(&hook->writes);
	free(hook->hash);
	*hook = (struct config_hook){0};
}

static bool read_event(struct loading *loading, struct layer *layer, const struct toml_value *table,
	struct config_hook *hook)
{
	const struct toml_value *value = toml_get(table, "event");
	if (!value) {
		loading_fault(
			loading, &hook->place, "event = \"PreToolUse\"", "the hook has no event");
		return false;
	}
	const char *names[HOOK_EVENTS];
	for (size_t i = 0; i < HOOK_EVENTS; i++)
		names[i] = hook_event_name((enum hook_event)i);
	int event = value_word(loading, layer, value, names, HOOK_EVENTS);
	hook->event = event < 0 ? HOOK_EVENTS : (enum hook_event)event;
	return event >= 0;
}

static bool read_matcher(struct loading *loading, struct layer *layer,
	const struct toml_value *table, struct config_hook *hook)
{
	const struct toml_value *value = toml_get(table, "matcher");
	const char *text = value ? value_string(loading, layer, value) : "";
	if (!text)
		return false;
	struct error error = {0};
	if (hook_matcher_check(text, &error) < 0) {
		struct config_place place = layer_place(layer, value);
		loading_error(loading, &place, &error);
		return false;
	}
	hook->matcher = strdup(text);
	if (!hook->matcher)
		loading_out_of_memory(loading);
	return hook->matcher;
}

static bool read_command(struct loading *loading, struct layer *layer,
	const struct toml_value *table, struct config_hook *hook)
{
	const struct toml_value *line = toml_get(table, "command");
	const struct toml_value *argv = toml_get(table, "argv");
	const char *text = line ? value_string(loading, layer, line) : NULL;
	if (line && !text)
		return false;
	if (argv && !value_strings(loading, layer, argv, &hook->argv))
		return false;
	bool has_line = text && *text, has_argv = hook->argv.count > 0 && *hook->argv.items[0];
	if (has_line == has_argv) {
		loading_fault(loading, &hook->place,
			"command = \"check.py --all\" or argv = [\"check.py\", \"--all\"]",
			has_line ? "a hook has either command or argv, not both"
				 : "the hook has neither command nor argv");
		return false;
	}
	if (has_line && !(hook->command = strdup(text))) {
		loading_out_of_memory(loading);
		return false;
	}
	return true;
}

static bool read_rest(struct loading *loading, struct layer *layer, const struct toml_value *table,
	struct config_hook *hook)
{
	static const char *const answers[] = {"block", "allow"};
	const struct toml_value *value = toml_get(table, "timeout");
	hook->timeout_ms = HOOK_TIMEOUT_MS;
	if (value && !value_duration(loading, layer, value, &hook->timeout_ms))
		return false;
	if (hook->timeout_ms == 0) {
		loading_fault(loading, &hook->place, NULL, "a hook needs some time");
		return false;
	}
	value = toml_get(table, "on_error");
	int answer = value ? value_word(loading, layer, value, answers, ARRAY_SIZE(answers)) : 0;
	hook->on_error_allow = answer == 1;
	value = toml_get(table, "box");
	bool box = true;
	if (answer < 0 || (value && !value_boolean(loading, layer, value, &box)))
		return false;
	hook->unboxed = !box;
	value = toml_get(table, "write");
	cleanup_strv struct strv checked = {0};
	if (value && !value_strings(loading, layer, value, &checked))
		return false;
	for (size_t i = 0; value && i < value->count; i++) {
		char *path = value_path(loading, layer, &value->items[i]);
		if (!path)
			return false;
		if (strv_add_owned(&hook->writes, path) < 0) {
			loading_out_of_memory(loading);
			return false;
		}
	}
	return true;
}

/* What it is by content, and whether the user has trusted that. */
static bool read_trust(struct loading *loading, struct layer *layer, struct config_hook *hook)
{
	const struct config_where *where = loading->where;
	char hash[SHA256_HEX_BYTES];
	struct error error = {0};
	if (hook_hash(hook, where->workspace, where->home, hash, &error) < 0) {
		loading_error(loading, NULL, &error);
		return false;
	}
	hook->hash = strdup(hash);
	if (!hook->hash) {
		loading_out_of_memory(loading);
		return false;
	}
	hook->managed = layer->layer == LAYER_SYSTEM || layer->layer == LAYER_REQUIREMENTS;
	hook->trusted =
		hook->managed || trust_holds(where->state_dir, TRUST_HOOK, layer->file, hash);
	return true;
}

static bool read_hook(struct loading *loading, struct layer *layer, const struct toml_value *table,
	struct config_hook *hook)
{
	schema_check_table(loading, layer, table, "hook");
	return read_event(loading, layer, table, hook) &&
	       read_matcher(loading, layer, table, hook) &&
	       read_command(loading, layer, table, hook) &&
	       read_rest(loading, layer, table, hook) && read_trust(loading, layer, hook);
}

void read_hooks(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	struct config_place place = layer_place(layer, value);
	struct config *config = loading->config;
	if (value->kind != TOML_ARRAY) {
		loading_fault(loading, &place, "each hook begins with the line [[hook]]",
			"'%s' is an array of tables", key->key);
		return;
	}
	if (config->hooks_count + value->count > MAX_CONFIG_HOOKS) {
		loading_fault(
			loading, &place, NULL, "there are more than %d hooks", MAX_CONFIG_HOOKS);
		return;
	}
	struct config_hook *hooks =
		reallocarray(config->hooks, config->hooks_count + value->count, sizeof(*hooks));
	if (!hooks && value->count > 0) {
		loading_out_of_memory(loading);
		return;
	}
	if (hooks)
		config->hooks = hooks;
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *table = &value->items[i];
		struct config_hook hook = {.place = layer_place(layer, table)};
		if (table->kind != TOML_TABLE)
			loading_fault(loading, &hook.place, NULL, "a hook is a table");
		else if (read_hook(loading, layer, table, &hook)) {
			config->hooks[config->hooks_count++] = hook;
			continue;
		}
		config_hook_release(&hook);
	}
}
