/* Claude Code's settings.json: permissions, sandbox, environment and hooks. A permission is a tool
 * with what it may be used on, "Bash(npm run test:*)"; those on commands, files and hosts have
 * counterparts, as far as they say no more than those. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <string.h>

struct reader {
	struct import *import;
	const char *file;
};

static struct import_place at(const struct reader *reader, const struct toml_value *value)
{
	return (struct import_place){reader->file, value->line};
}

/* ---- permissions ---- */

struct permission {
	enum verdict verdict;
	const char *tool;
	const char *argument; /* NULL: the tool alone */
	const char *written;
	struct import_place place;
};

static void no_counterpart(
	struct reader *reader, const struct permission *permission, const char *reason)
{
	import_note(reader->import, permission->place, "%s \"%s\": %s",
		permission->verdict == VERDICT_ALLOW ? "allow"
		: permission->verdict == VERDICT_ASK ? "ask"
						     : "deny",
		permission->written, reason);
}

/* "git diff:*" and "git diff *" are prefixes. Whatever else allows means these words and no others,
 * which a prefix is wider than; what asks or denies may be wider. */
static void read_bash(struct reader *reader, const struct permission *permission)
{
	const char *text = permission->argument;
	size_t length = text ? strlen(text) : 0;
	if (!text || strcmp(text, "*") == 0 || strcmp(text, ":*") == 0) {
		no_counterpart(reader, permission, "it is about every command: see `approval`");
		return;
	}
	bool is_prefix = length > 2 && (strcmp(text + length - 2, ":*") == 0 ||
					       strcmp(text + length - 2, " *") == 0);
	if (!is_prefix && permission->verdict == VERDICT_ALLOW) {
		no_counterpart(reader, permission,
			"it means these words alone, and a rule here would also allow more of "
			"them");
		return;
	}
	cleanup_free char *line = strndup(text, is_prefix ? length - 2 : length);
	struct import_rule rule = {.decision = permission->verdict};
	if (!line)
		reader->import->error = -ENOMEM;
	else if (import_rule_line(&rule, line) < 0)
		no_counterpart(reader, permission, "it is more than the first words of a command");
	else
		import_rule(reader->import, permission->place, &rule);
	import_rule_release(&rule);
}

/* As Claude Code has paths: // is the root, ~ the home, / the project's, and others are relative; a
 * name without a slash is meant at any depth. NULL: there is no project. */
static char *placed(const struct import *import, const char *pattern)
{
	char *path = NULL;
	const char *below = pattern + (strncmp(pattern, "./", 2) == 0 ? 2 : 0);
	bool anywhere = !strchr(pattern, '/') || strncmp(pattern, "**/", 3) == 0;
	int r = 0;
	if (strncmp(pattern, "//", 2) == 0)
		r = asprintf(&path, "%s", pattern + 1);
	else if (strcmp(pattern, "~") == 0 || strncmp(pattern, "~/", 2) == 0)
		r = asprintf(&path, "%s", pattern);
	else if (anywhere && import->directory)
		r = asprintf(&path, "%s/**/%s", import->directory,
			pattern + (strncmp(pattern, "**/", 3) == 0 ? 3 : 0));
	else if (import->directory)
		r = asprintf(&path, "%s/%s", import->directory, below + (*below == '/'));
	else if (*pattern != '/')
		r = asprintf(&path, "/**/%s", below + (strncmp(below, "**/", 3) == 0 ? 3 : 0));
	return r < 0 ? NULL : path;
}

/* With two stars at its end a pattern is a directory and all below it. */
static bool drop_everything_below(char *path)
{
	size_t length = strlen(path);
	if (length > 3 && strcmp(path + length - 3, "/**") == 0)
		path[length - 3] = '\0';
	return !path_is_glob(path);
}

static void read_file(struct reader *reader, const struct permission *permission)
{
	bool reading = strcmp(permission->tool, "Read") == 0;
	if (!permission->argument) {
		no_counterpart(reader, permission, "it is about every file: see `mode`");
		return;
	}
	cleanup_free char *path = placed(reader->import, permission->argument);
	if (!path)
		no_counterpart(reader, permission, "its path is relative to a project");
	else if (permission->verdict == VERDICT_ASK)
		no_counterpart(reader, permission, "files are open or not, nobody is asked");
	else if (reading && permission->verdict == VERDICT_FORBID)
		import_add(reader->import, permission->place, "", "deny_read", path);
	else if (reading)
		no_counterpart(reader, permission,
			"all can be read but credentials, which `allow_read` shows");
	else if (!drop_everything_below(path))
		no_counterpart(reader, permission, "a writable place is a directory, no pattern");
	else
		import_add(reader->import, permission->place, "",
			permission->verdict == VERDICT_ALLOW ? "write" : "read_only", path);
}

static void add_host(
	struct import *import, struct import_place place, enum verdict verdict, const char *host)
{
	static const char *const lists[] = {
		[VERDICT_ALLOW] = "allow_domain",
		[VERDICT_ASK] = "ask_domain",
		[VERDICT_FORBID] = "deny_domain",
	};
	char name[NETWORK_NAME_BYTES];
	const char *plain = host + (strncmp(host, "*.", 2) == 0 ? 2 : 0);
	cleanup_free char *pattern = NULL;
	if (network_normalize_name(plain, name) < 0) {
		import_note(import, place, "'%s' is no name of a host", host);
		return;
	}
	if (asprintf(&pattern, "%s%s", plain == host ? "" : "*.", name) < 0) {
		pattern = NULL;
		import->error = -ENOMEM;
		return;
	}
	import_add(import, place, "network", lists[verdict], pattern);
}

static void read_fetch(struct reader *reader, const struct permission *permission)
{
	const char *text = permission->argument;
	if (!text || strncmp(text, "domain:", 7) != 0)
		no_counterpart(reader, permission, "it names no domain");
	else
		add_host(reader->import, permission->place, permission->verdict, text + 7);
}

static const struct {
	const char *tool;
	void (*read)(struct reader *reader, const struct permission *permission);
} tools[] = {{"Bash", read_bash}, {"Read", read_file}, {"Edit", read_file}, {"Write", read_file},
	{"MultiEdit", read_file}, {"WebFetch", read_fetch}};

static void read_permission(
	struct reader *reader, enum verdict verdict, const struct toml_value *value)
{
	struct permission permission = {.verdict = verdict,
		.written = value->kind == TOML_STRING ? value->string : "",
		.place = at(reader, value)};
	size_t length = strlen(permission.written), name = strcspn(permission.written, "(");
	cleanup_free char *tool = strndup(permission.written, name), *argument = NULL;
	if (name < length && permission.written[length - 1] == ')')
		argument = strndup(permission.written + name + 1, length - name - 2);
	if (!tool || (name < length && !argument)) {
		no_counterpart(reader, &permission, "it is not of the form Tool(what)");
		return;
	}
	permission.tool = tool;
	permission.argument = argument;
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
		if (strcmp(tools[i].tool, tool) == 0) {
			tools[i].read(reader, &permission);
			return;
		}
	no_counterpart(reader, &permission, "the tool is the agent's, and starts no command");
}

static void read_list(struct reader *reader, enum verdict verdict, const struct toml_value *list)
{
	if (list->kind != TOML_ARRAY)
		import_note(reader->import, at(reader, list), "'%s' is no list", list->key);
	for (size_t i = 0; list->kind == TOML_ARRAY && i < list->count; i++)
		read_permission(reader, verdict, &list->items[i]);
}

static void read_default_mode(struct reader *reader, const struct toml_value *value)
{
	static const struct {
		const char *word, *mode, *approval;
	} modes[] = {
		{"default", NULL, "\"untrusted\""},
		{"acceptEdits", "\"workspace-write\"", "\"on-request\""},
		{"plan", "\"read-only\"", NULL},
		{"dontAsk", NULL, "\"never\""},
	};
	struct import_place place = at(reader, value);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (value->kind != TOML_STRING || strcmp(modes[i].word, value->string) != 0)
			continue;
		if (modes[i].mode)
			import_set(reader->import, place, "", "mode", modes[i].mode);
		if (modes[i].approval)
			import_set(reader->import, place, "", "approval", modes[i].approval);
		return;
	}
	import_note(reader->import, place,
		"the mode '%s': boxes stay, and so do questions; see `approval`",
		value->kind == TOML_STRING ? value->string : "");
}

/* Directories and files in a list of strings, as `key`. */
static void read_paths(struct reader *reader, const struct toml_value *list, const char *key)
{
	for (size_t i = 0; list->kind == TOML_ARRAY && i < list->count; i++) {
		const struct toml_value *item = &list->items[i];
		const char *text = item->kind == TOML_STRING ? item->string : "";
		cleanup_free char *path = NULL;
		if (*text == '/' || strcmp(text, "~") == 0 || strncmp(text, "~/", 2) == 0)
			path = strdup(text + (strncmp(text, "//", 2) == 0));
		else if (*text && reader->import->directory)
			path = path_absolute(reader->import->directory, text);
		if (!path)
			import_note(reader->import, at(reader, item),
				"the path '%s' is relative to a project", text);
		else
			import_add(reader->import, at(reader, item), "", key, path);
	}
}

static void read_permissions(struct reader *reader, const struct toml_value *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		const char *key = value->key ? value->key : "";
		if (strcmp(key, "allow") == 0)
			read_list(reader, VERDICT_ALLOW, value);
		else if (strcmp(key, "ask") == 0)
			read_list(reader, VERDICT_ASK, value);
		else if (strcmp(key, "deny") == 0)
			read_list(reader, VERDICT_FORBID, value);
		else if (strcmp(key, "additionalDirectories") == 0)
			read_paths(reader, value, "write");
		else if (strcmp(key, "defaultMode") == 0)
			read_default_mode(reader, value);
		else
			import_note(reader->import, at(reader, value),
				"'permissions.%s' has no counterpart", key);
	}
}

/* ---- the rest ---- */

static void read_environment(struct reader *reader, const struct toml_value *table)
{
	for (size_t i = 0; table->kind == TOML_TABLE && i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		cleanup_free char *text = NULL;
		if (value->kind != TOML_STRING) {
			import_note(reader->import, at(reader, value), "'env.%s' is no string",
				value->key);
			continue;
		}
		if (asprintf(&text, "%s=%s", value->key, value->string) < 0) {
			text = NULL;
			reader->import->error = -ENOMEM;
			return;
		}
		import_add(reader->import, at(reader, value), "", "env", text);
	}
}

static void read_hosts(struct reader *reader, const struct toml_value *list, enum verdict verdict)
{
	for (size_t i = 0; list->kind == TOML_ARRAY && i < list->count; i++)
		if (list->items[i].kind == TOML_STRING)
			add_host(reader->import, at(reader, &list->items[i]), verdict,
				list->items[i].string);
}

static void read_sandbox(struct reader *reader, const struct toml_value *table)
{
	for (size_t i = 0; table->kind == TOML_TABLE && i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		bool network = strcmp(value->key, "network") == 0;
		bool files = strcmp(value->key, "filesystem") == 0;
		if (strcmp(value->key, "enabled") == 0 && value->boolean)
			continue; /* a box is what there is anyway */
		if ((!network && !files) || value->kind != TOML_TABLE)
			import_note(reader->import, at(reader, value),
				"'sandbox.%s' has no counterpart", value->key);
		for (size_t k = 0; (network || files) && k < value->count; k++) {
			const struct toml_value *item = &value->items[k];
			const char *key = item->key ? item->key : "";
			if (network && strcmp(key, "allowedDomains") == 0)
				read_hosts(reader, item, VERDICT_ALLOW);
			else if (network && strcmp(key, "deniedDomains") == 0)
				read_hosts(reader, item, VERDICT_FORBID);
			else if (files && strcmp(key, "allowWrite") == 0)
				read_paths(reader, item, "write");
			else if (files && strcmp(key, "denyWrite") == 0)
				read_paths(reader, item, "read_only");
			else if (files && strcmp(key, "denyRead") == 0)
				read_paths(reader, item, "deny_read");
			else
				import_note(reader->import, at(reader, item),
					"'sandbox.%s.%s' has no counterpart", value->key, key);
		}
	}
}

int import_claude_settings(struct import *import, const char *file, const char *text,
	size_t length_bytes, struct error *error)
{
	struct toml_value *document = NULL;
	int r = import_json_parse(file, text, length_bytes, &document, error);
	if (r < 0)
		return r;
	struct reader reader = {import, file};
	const struct toml_value *off = toml_get(document, "disableAllHooks");
	bool no_hooks = off && off->kind == TOML_BOOLEAN && off->boolean;
	for (size_t i = 0; i < document->count; i++) {
		const struct toml_value *value = &document->items[i];
		if (strcmp(value->key, "permissions") == 0 && value->kind == TOML_TABLE)
			read_permissions(&reader, value);
		else if (strcmp(value->key, "hooks") == 0 && !no_hooks)
			import_hooks(import, file, value, NULL);
		else if (strcmp(value->key, "hooks") == 0)
			import_note(import, at(&reader, value),
				"hooks are turned off by disableAllHooks");
		else if (strcmp(value->key, "env") == 0)
			read_environment(&reader, value);
		else if (strcmp(value->key, "sandbox") == 0)
			read_sandbox(&reader, value);
		else if (!import_in(value->key, "$schema disableAllHooks"))
			import_note(import, at(&reader, value),
				"'%s' is not about what a command may do", value->key);
	}
	toml_free(document);
	return 0;
}
