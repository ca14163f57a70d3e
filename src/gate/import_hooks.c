/* Hooks of Codex and Claude Code: the same shape in JSON and in TOML,
 *
 *	{EVENT: [{"matcher": ..., "hooks": [{"type": "command", "command": ..., "timeout": S}]}]}
 *
 * They run in a box and wait for trust like every other hook, so importing one runs nothing. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "config/hook_hash.h"
#include "config/load.h"

#include <inttypes.h>
#include <string.h>

static struct import_place at(const char *file, const struct toml_value *value)
{
	return (struct import_place){file, value->line};
}

static const char *string_of(const struct toml_value *table, const char *key)
{
	const struct toml_value *value = toml_get(table, key);
	return value && value->kind == TOML_STRING ? value->string : NULL;
}

/* Where a command names its plugin's or its project's place, which are variables of the other tool:
 * the place itself. */
static char *with_places(const char *command, const char *root, const char *project)
{
	const struct {
		const char *name, *place;
	} variables[] = {{"${CLAUDE_PLUGIN_ROOT}", root}, {"$CLAUDE_PLUGIN_ROOT", root},
		{"${PLUGIN_ROOT}", root}, {"$PLUGIN_ROOT", root},
		{"${CLAUDE_PROJECT_DIR}", project}, {"$CLAUDE_PROJECT_DIR", project}};
	cleanup_buffer struct buffer out = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	for (const char *s = command; *s;) {
		size_t i = 0;
		while (i < ARRAY_SIZE(variables) &&
			!(variables[i].place &&
				strncmp(s, variables[i].name, strlen(variables[i].name)) == 0))
			i++;
		bool found = i < ARRAY_SIZE(variables);
		if (found)
			buffer_append_string(&out, variables[i].place);
		else
			buffer_append(&out, s, 1);
		s += found ? strlen(variables[i].name) : 1;
	}
	return *command ? buffer_steal(&out) : strdup("");
}

/* What of a handler says when or how it runs, and has no counterpart: without it the hook would be
 * another one. */
static bool has_foreign_terms(
	struct import *import, const char *file, const struct toml_value *handler)
{
	static const struct {
		const char *key, *reason;
	} terms[] = {
		{"if", "hooks here have matchers, not conditions"},
		{"async", "hooks here are waited for"},
		{"asyncRewake", "hooks here are waited for"},
		{"once", "hooks here run every time"},
		{"shell", "hooks here run in sh"},
		{"args", "arguments beside the command"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(terms); i++) {
		const struct toml_value *value = toml_get(handler, terms[i].key);
		if (!value || (value->kind == TOML_BOOLEAN && !value->boolean))
			continue;
		import_note(import, at(file, value), "the hook has '%s', which cannot be said: %s",
			terms[i].key, terms[i].reason);
		return true;
	}
	return false;
}

static bool timeout_text(struct import *import, const char *file, const struct toml_value *handler,
	struct buffer *out)
{
	const struct toml_value *value = toml_get(handler, "timeout");
	if (!value)
		value = toml_get(handler, "timeoutSec");
	if (!value)
		return true;
	double seconds = value->kind == TOML_INTEGER ? (double)value->integer
			 : value->kind == TOML_FLOAT ? value->number
						     : 0;
	if (seconds <= 0 || seconds > 86400) {
		import_note(import, at(file, value), "the hook's timeout is no number of seconds");
		return false;
	}
	buffer_append_format(out, "timeout = \"%" PRIu64 "ms\"\n", (uint64_t)(seconds * 1000));
	return true;
}

/* Your own hooks are those of every workspace, and one whose program is not there stops coffer: so
 * it is tried in a place that has nothing. */
static bool is_found_everywhere(
	struct import *import, struct import_place place, const struct buffer *hook)
{
	struct config_where where = {.home = import->home, .workspace = "/nonexistent"};
	struct config_source sources[CONFIG_SOURCES] = {{.layer = LAYER_REQUIREMENTS},
		{.layer = LAYER_SYSTEM}, {.layer = LAYER_USER}, {.layer = LAYER_PROJECT}};
	struct config *config = NULL;
	struct error error = {0};
	sources[2].path = strdup("hook");
	if (!sources[2].path || asprintf(&sources[2].data, "[[hook]]\n%s", hook->data) < 0) {
		sources[2].data = NULL;
		import->error = -ENOMEM;
	} else {
		sources[2].length_bytes = strlen(sources[2].data);
	}
	int r = import->error ? -ENOMEM
			      : config_load_sources(&where, sources, false, &config, NULL, &error);
	if (r < 0 && !import->error)
		import_note(import, place,
			"the hook's program is not found from everywhere; write its whole path");
	config_free(config);
	config_sources_release(sources);
	return r == 0;
}

static void take_handler(struct import *import, const char *file, enum hook_event event,
	const char *matcher, const struct toml_value *handler, const char *root)
{
	struct import_place place = at(file, handler);
	const char *type = handler->kind == TOML_TABLE ? string_of(handler, "type") : NULL;
	const char *command = type ? string_of(handler, "command") : NULL;
	if (!type || (strcmp(type, "command") == 0 && !command)) {
		import_note(import, place, "a hook without a type and command");
		return;
	}
	if (strcmp(type, "command") != 0) {
		import_note(
			import, place, "a hook of type '%s': only commands are hooks here", type);
		return;
	}
	cleanup_free char *line = with_places(command, root, import->directory);
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	if (!line) {
		import->error = -ENOMEM;
		return;
	}
	buffer_append_format(&text, "event = \"%s\"\n", hook_event_name(event));
	if (matcher && *matcher && strcmp(matcher, "*") != 0) {
		buffer_append_string(&text, "matcher = ");
		buffer_append_json(&text, matcher);
		buffer_append_string(&text, "\n");
	}
	buffer_append_string(&text, "command = ");
	buffer_append_json(&text, line);
	buffer_append_string(&text, "\n");
	if (has_foreign_terms(import, file, handler) || !timeout_text(import, file, handler, &text))
		return;
	if (buffer_error(&text) < 0)
		import->error = buffer_error(&text);
	else if (is_found_everywhere(import, place, &text))
		import_block(import, place, "hook", text.data);
	for (size_t i = 0; i < handler->count; i++)
		if (!import_in(handler->items[i].key,
			    "type command timeout timeoutSec if async asyncRewake once shell args"))
			import_note(import, at(file, &handler->items[i]),
				"'%s' of a hook has no counterpart", handler->items[i].key);
}

static void take_group(struct import *import, const char *file, enum hook_event event,
	const struct toml_value *group, const char *root)
{
	const struct toml_value *handlers =
		group->kind == TOML_TABLE ? toml_get(group, "hooks") : NULL;
	const struct toml_value *matcher = handlers ? toml_get(group, "matcher") : NULL;
	if (!handlers || handlers->kind != TOML_ARRAY ||
		(matcher && matcher->kind != TOML_STRING)) {
		import_note(import, at(file, group), "no group of hooks: {matcher, hooks: [...]}");
		return;
	}
	const char *pattern = matcher ? matcher->string : NULL;
	struct error error = {0};
	if (pattern && *pattern && strcmp(pattern, "*") != 0 &&
		hook_matcher_check(pattern, &error) < 0) {
		import_note(
			import, at(file, matcher), "the matcher '%s': %s", pattern, error.message);
		return;
	}
	for (size_t i = 0; i < handlers->count; i++)
		take_handler(import, file, event, pattern, &handlers->items[i], root);
}

void import_hooks(
	struct import *import, const char *file, const struct toml_value *hooks, const char *root)
{
	if (hooks->kind != TOML_TABLE) {
		import_note(import, at(file, hooks), "'hooks' is no table of events");
		return;
	}
	for (size_t i = 0; i < hooks->count; i++) {
		const struct toml_value *groups = &hooks->items[i];
		enum hook_event event = hook_event_from_name(groups->key);
		if (event == HOOK_EVENTS) {
			import_note(import, at(file, groups), "there is no event '%s' here",
				groups->key);
			continue;
		}
		if (groups->kind != TOML_ARRAY) {
			import_note(
				import, at(file, groups), "'%s' is no list of groups", groups->key);
			continue;
		}
		for (size_t k = 0; k < groups->count; k++)
			take_group(import, file, event, &groups->items[k], root);
	}
}

/* The plugin that a file belongs to: the directory above .codex-plugin or .claude-plugin, or above
 * hooks/. NULL where it is none. */
static char *plugin_root(const char *file)
{
	cleanup_free char *inside = path_parent(file);
	if (!inside)
		return NULL;
	const char *name = path_name(inside);
	bool is_plugin = strcmp(name, ".codex-plugin") == 0 ||
			 strcmp(name, ".claude-plugin") == 0 || strcmp(name, "hooks") == 0;
	return is_plugin ? path_parent(inside) : NULL;
}

static char *named_file(
	struct import *import, const char *file, const struct toml_value *value, const char *root)
{
	char *path = path_absolute(root, value->string);
	if (path && path_is_below(path, root))
		return path;
	import_note(import, at(file, value), "'%s' is no file of the plugin", value->string);
	free(path);
	return NULL;
}

int import_hooks_json(struct import *import, const char *file, const char *text,
	size_t length_bytes, char **ret_file, struct error *error)
{
	struct toml_value *document = NULL;
	*ret_file = NULL;
	int r = import_json_parse(file, text, length_bytes, &document, error);
	if (r < 0)
		return r;
	cleanup_free char *root = plugin_root(file);
	bool manifest = strcmp(path_name(file), "plugin.json") == 0;
	for (size_t i = 0; i < document->count; i++) {
		const struct toml_value *value = &document->items[i];
		if (strcmp(value->key, "hooks") == 0 && value->kind != TOML_STRING)
			import_hooks(import, file, value, root);
		else if (strcmp(value->key, "hooks") == 0 && root)
			*ret_file = named_file(import, file, value, root);
		else if (!manifest && strcmp(value->key, "description") != 0)
			import_note(
				import, at(file, value), "'%s' is no part of hooks", value->key);
	}
	toml_free(document);
	return 0;
}
