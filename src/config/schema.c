/* The table of everything that a file may say, and the walk over a document that goes by it. What
 * the documentation lists, what `coffer config show` prints and what a misspelt key is compared
 * with comes from here. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/suggest.h"

#include <inttypes.h>
#include <string.h>

enum {
	SYSTEM = 1 << LAYER_SYSTEM,
	USER = 1 << LAYER_USER,
	PROJECT = 1 << LAYER_PROJECT,
	REQUIREMENTS = 1 << LAYER_REQUIREMENTS,
	FILES = SYSTEM | USER,
};

/* Checks key and value as a flag would, and keeps them. */
static void add_setting(struct loading *loading, struct layer *layer, const char *key,
	const char *value, const struct toml_value *at, bool off)
{
	struct config_place place = layer_place(layer, at);
	struct error error = {0};
	if (!off && policy_set(layer->policy, key, value, &error) < 0) {
		loading_error(loading, &place, &error);
		return;
	}
	if (layer->settings_count >= MAX_CONFIG_SETTINGS) {
		loading_fault(loading, &place, NULL, "there are more than %d settings",
			MAX_CONFIG_SETTINGS);
		return;
	}
	struct layer_setting *settings =
		reallocarray(layer->settings, layer->settings_count + 1, sizeof(*settings));
	if (!settings) {
		loading_out_of_memory(loading);
		return;
	}
	layer->settings = settings;
	struct layer_setting *added = &settings[layer->settings_count];
	*added = (struct layer_setting){.off = off,
		.setting = {
			.key = strdup(key), .value = value ? strdup(value) : NULL, .place = place}};
	if (!added->setting.key || (value && !added->setting.value)) {
		config_setting_release(&added->setting);
		loading_out_of_memory(loading);
		return;
	}
	layer->settings_count++;
}

static void read_word(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	const char *string = value_string(loading, layer, value);
	if (string)
		add_setting(loading, layer, key->policy_key, string, value, false);
}

static void read_flag(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	bool on;
	if (value_boolean(loading, layer, value, &on))
		add_setting(loading, layer, key->policy_key, NULL, value, !on);
}

static void read_list(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	cleanup_strv struct strv strings = {0};
	if (!value_strings(loading, layer, value, &strings))
		return;
	for (size_t i = 0; i < strings.count; i++)
		add_setting(
			loading, layer, key->policy_key, strings.items[i], &value->items[i], false);
}

static void add_path(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	cleanup_free char *path = value_path(loading, layer, value);
	if (path)
		add_setting(loading, layer, key->policy_key, path, value, false);
}

static void read_path(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	/* The log of the network may be told to standard error. */
	if (value->kind == TOML_STRING && strcmp(value->string, "-") == 0)
		read_word(loading, layer, key, value);
	else
		add_path(loading, layer, key, value);
}

static void read_paths(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	cleanup_strv struct strv strings = {0};
	if (!value_strings(loading, layer, value, &strings))
		return;
	for (size_t i = 0; i < value->count; i++)
		add_path(loading, layer, key, &value->items[i]);
}

/* A scalar as a flag would have it. False: it is none, and the fault is recorded. */
static bool scalar_text(struct loading *loading, struct layer *layer,
	const struct toml_value *value, struct buffer *to)
{
	if (value->kind == TOML_INTEGER) {
		buffer_append_format(to, "%" PRId64, value->integer);
	} else if (value->kind == TOML_FLOAT) {
		buffer_append_format(to, "%.9g", value->number);
	} else {
		const char *string = value_string(loading, layer, value);
		if (!string)
			return false;
		buffer_append_string(to, string);
	}
	return true;
}

static void read_limit(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(256);
	buffer_append_format(&text, "%s=", key->key);
	if (!scalar_text(loading, layer, value, &text))
		return;
	struct config_place place = layer_place(layer, value);
	if (buffer_error(&text) < 0 || strchr(text.data, ','))
		loading_fault(loading, &place, NULL, "'%s' takes one value", key->key);
	else
		add_setting(loading, layer, key->policy_key, text.data, value, false);
}

/* NAME=VALUE,... of a flag, written as a table. */
static void add_pairs(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *table)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(16 * 1024);
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *item = &table->items[i];
		size_t before = text.length_bytes;
		buffer_append_format(&text, "%s%s=", i ? "," : "", item->key);
		if (!scalar_text(loading, layer, item, &text))
			return;
		struct config_place place = layer_place(layer, item);
		if (buffer_error(&text) < 0 || strchr(text.data + before + (i > 0), ',')) {
			loading_fault(loading, &place, NULL,
				"'%.64s': a value cannot hold a comma here", item->key);
			return;
		}
	}
	if (buffer_error(&text) == 0)
		add_setting(
			loading, layer, key->policy_key, text.data ? text.data : "", table, false);
}

static void read_pairs(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	if (value->kind == TOML_TABLE)
		add_pairs(loading, layer, key, value);
	else
		read_word(loading, layer, key, value);
}

static void read_list_of_pairs(struct loading *loading, struct layer *layer,
	const struct schema_key *key, const struct toml_value *value)
{
	if (value->kind != TOML_ARRAY) {
		value_strings(loading, layer, value, NULL); /* which says what is wanted */
		return;
	}
	for (size_t i = 0; i < value->count; i++)
		read_pairs(loading, layer, key, &value->items[i]);
}

static const struct schema_form word = {"string", read_word};
static const struct schema_form flag = {"boolean", read_flag};
static const struct schema_form list = {"array of strings", read_list};
static const struct schema_form path = {"path", read_path};
static const struct schema_form paths = {"array of paths", read_paths};
static const struct schema_form limit = {"string or number", read_limit};
static const struct schema_form pairs = {"string or table", read_pairs};
static const struct schema_form pairs_list = {"array of strings or tables", read_list_of_pairs};
static const struct schema_form approval = {"string or table", read_approval};
static const struct schema_form reviewer = {"string or table", read_reviewer};
static const struct schema_form rules = {"array of tables", read_rules};
static const struct schema_form hooks = {"array of tables", read_hooks};
static const struct schema_form bound_words = {"array of strings", read_requirement_words};
static const struct schema_form bound_flag = {"boolean", read_requirement_flag};
/* Keys within the tables of the readers above. */
static const struct schema_form in_string = {"string", NULL};
static const struct schema_form in_boolean = {"boolean", NULL};
static const struct schema_form in_strings = {"array of strings", NULL};
static const struct schema_form in_path = {"path", NULL};
static const struct schema_form in_paths = {"array of paths", NULL};
static const struct schema_form in_words = {"array of strings or of arrays of them", NULL};
static const struct schema_form in_time = {"string or number", NULL};

#define POLICY(name, policy_name, how, who, narrow, again)                                         \
	{                                                                                          \
		.table = "", .key = (name), .policy_key = (policy_name), .form = &(how),           \
		.layers = (who), .narrowing = (narrow), .repeats = (again)                         \
	}
#define NETWORK(name, policy_name, how, who, narrow, again)                                        \
	{                                                                                          \
		.table = "network", .key = (name), .policy_key = (policy_name), .form = &(how),    \
		.layers = (who), .narrowing = (narrow), .repeats = (again)                         \
	}
#define LIMIT(name, text)                                                                          \
	{                                                                                          \
		.table = "limits", .key = (name), .policy_key = "limit", .form = &limit,           \
		.layers = FILES | PROJECT | REQUIREMENTS, .narrowing = NARROW_LIMIT,               \
		.help = (text)                                                                     \
	}
#define OWN(in, name, how, who, text)                                                              \
	{                                                                                          \
		.table = (in), .key = (name), .form = &(how), .layers = (who),                     \
		.narrowing = NARROW_OWN, .help = (text)                                            \
	}

/* The help of a policy key is that of its flag. `directory` has no row: where a project lies
 * decides which files are read. */
static const struct schema_key keys[] = {
	POLICY("mode", "mode", word, FILES | PROJECT, NARROW_MODE, false),
	POLICY("profile", "profile", word, FILES, NARROW_NEVER, false),
	POLICY("isolation", "isolation", word, FILES, NARROW_NEVER, false),
	POLICY("write", "write", paths, FILES, NARROW_NEVER, true),
	POLICY("read_only", "read-only", paths, FILES | PROJECT | REQUIREMENTS, NARROW_ADDS, true),
	POLICY("deny_read", "deny-read", paths, FILES | PROJECT | REQUIREMENTS, NARROW_ADDS, true),
	POLICY("allow_read", "allow-read", paths, FILES, NARROW_NEVER, true),
	POLICY("share_tmp", "share-tmp", flag, FILES, NARROW_NEVER, false),
	POLICY("git", "git", word, FILES | PROJECT, NARROW_OFF, false),
	POLICY("env", "env", list, FILES, NARROW_NEVER, true),
	POLICY("env_all", "env-all", flag, FILES, NARROW_NEVER, false),
	POLICY("device", "device", paths, FILES, NARROW_NEVER, true),
	POLICY("allow_userns", "allow-userns", flag, FILES, NARROW_NEVER, false),
	POLICY("best_effort", "best-effort", flag, FILES, NARROW_NEVER, false),
	POLICY("capture", "capture", flag, FILES, NARROW_NEVER, false),
	POLICY("trace", "trace", flag, FILES, NARROW_NEVER, false),
	POLICY("witness", "witness", word, FILES, NARROW_NEVER, false),
	POLICY("trace_access", "trace-access", flag, FILES, NARROW_NEVER, false),
	POLICY("pass_controls", "pass-controls", flag, FILES, NARROW_NEVER, false),
	POLICY("hide_secrets", "hide-secrets", flag, FILES | PROJECT | REQUIREMENTS, NARROW_ON,
		false),
	POLICY("python_path", "python-path", paths, FILES, NARROW_NEVER, true),

	LIMIT("memory", "of all processes together: \"512M\""),
	LIMIT("cpu", "how many processors' worth: 0.5"),
	LIMIT("pids", "processes and threads"),
	LIMIT("disk", "what may be written: \"100M\""),
	LIMIT("inodes", "files that may be made"),
	LIMIT("files", "open descriptors of a process"),
	LIMIT("output", "of each stream: \"1M\""),
	LIMIT("tmp", "the private /tmp: \"256M\""),
	LIMIT("time", "until the box is ended: \"30s\""),
	LIMIT("grace", "between TERM and KILL when time is up: \"5s\""),

	NETWORK("net", "net", word, FILES | PROJECT | REQUIREMENTS, NARROW_NET, false),
	NETWORK("allow_domain", "allow-domain", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("deny_domain", "deny-domain", list, FILES | PROJECT | REQUIREMENTS, NARROW_ADDS,
		true),
	NETWORK("monitor_domain", "monitor-domain", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("ask_domain", "ask-domain", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("allow_cidr", "allow-cidr", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("deny_cidr", "deny-cidr", list, FILES | PROJECT | REQUIREMENTS, NARROW_ADDS, true),
	NETWORK("net_preset", "net-preset", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("net_read", "net-read", flag, FILES | PROJECT | REQUIREMENTS, NARROW_ON, false),
	NETWORK("net_inspect", "net-inspect", list, FILES, NARROW_NEVER, true),
	NETWORK("net_request", "net-request", list, FILES | PROJECT, NARROW_DENIES, true),
	NETWORK("net_secret", "net-secret", pairs_list, FILES, NARROW_NEVER, true),
	NETWORK("net_limit", "net-limit", pairs, FILES | PROJECT, NARROW_LIMIT, false),
	NETWORK("net_resolver", "net-resolver", list, FILES, NARROW_NEVER, true),
	NETWORK("allow_udp", "allow-udp", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("publish", "publish", list, FILES | REQUIREMENTS, NARROW_NEVER, true),
	NETWORK("upstream_proxy", "upstream-proxy", word, FILES, NARROW_NEVER, false),
	NETWORK("upstream_ca", "upstream-ca", path, FILES, NARROW_NEVER, false),
	NETWORK("proxy_variables", "proxy-variables", flag, FILES, NARROW_NEVER, false),
	NETWORK("net_log", "net-log", path, FILES, NARROW_NEVER, false),
	NETWORK("net_ask", "net-ask", path, FILES, NARROW_NEVER, false),
	NETWORK("allow_unix", "allow-unix", paths, FILES, NARROW_NEVER, true),

	OWN("", "approval", approval, FILES | PROJECT,
		"when somebody is asked: untrusted, on-request, on-failure, never or granular"),
	OWN("approval", "policy", in_string, FILES | PROJECT, "one of those words"),
	OWN("approval", "all", in_string, FILES, "granular: allow, ask or forbid, everywhere"),
	OWN("approval", "command", in_string, FILES, "granular: the command itself"),
	OWN("approval", "write_outside", in_string, FILES, "granular: writing elsewhere"),
	OWN("approval", "network", in_string, FILES, "granular: a host"),
	OWN("approval", "unsandboxed", in_string, FILES, "granular: running without the box"),
	OWN("approval", "secret", in_string, FILES, "granular: reading a credential"),
	OWN("approval", "delete", in_string, FILES, "granular: deleting or changing much"),

	OWN("", "reviewer", reviewer, FILES, "who answers: person, builtin, command or http"),
	OWN("reviewer", "kind", in_string, FILES, "one of those words"),
	OWN("reviewer", "command", in_strings, FILES, "command: its words"),
	OWN("reviewer", "network", in_strings, FILES, "command: HOST[:PORTS] that it may reach"),
	OWN("reviewer", "url", in_string, FILES, "http: of the chat completions"),
	OWN("reviewer", "model", in_string, FILES, "http: the model's name"),
	OWN("reviewer", "key_variable", in_string, FILES,
		"http: the environment variable that holds the key"),
	OWN("reviewer", "timeout", in_time, FILES, "after which it has refused"),

	OWN("", "rule", rules, FILES | PROJECT | REQUIREMENTS, "[[rule]]: about commands"),
	OWN("rule", "prefix", in_words, FILES | PROJECT | REQUIREMENTS,
		"the first words of a command; [\"a\", \"b\"] in a word's place: any of them"),
	OWN("rule", "decision", in_string, FILES | PROJECT | REQUIREMENTS,
		"allow, ask or forbid (a project's and requirements: not allow)"),
	OWN("rule", "reason", in_string, FILES | PROJECT | REQUIREMENTS, "told with the decision"),
	OWN("rule", "in", in_path, FILES | PROJECT | REQUIREMENTS,
		"only for commands that run there or below"),
	OWN("rule", "program", in_path, FILES | PROJECT | REQUIREMENTS,
		"only if the first word leads to this file"),
	OWN("rule", "write", in_paths, FILES, "allow: these directories become writable for it"),
	OWN("rule", "network", in_strings, FILES, "allow: it may reach these HOST[:PORTS]"),
	OWN("rule", "matches", in_strings, FILES | PROJECT | REQUIREMENTS,
		"command lines that it must match, or the file is refused"),
	OWN("rule", "not_matches", in_strings, FILES | PROJECT | REQUIREMENTS,
		"command lines that it must not match"),

	OWN("", "hook", hooks, FILES | PROJECT | REQUIREMENTS, "[[hook]]: programs that are told"),
	OWN("hook", "event", in_string, FILES | PROJECT | REQUIREMENTS, "\"PreToolUse\", ..."),
	OWN("hook", "matcher", in_string, FILES | PROJECT | REQUIREMENTS,
		"a regular expression for the tool's whole name; all without"),
	OWN("hook", "command", in_string, FILES | PROJECT | REQUIREMENTS, "a shell line"),
	OWN("hook", "argv", in_strings, FILES | PROJECT | REQUIREMENTS,
		"or the words of a command"),
	OWN("hook", "timeout", in_time, FILES | PROJECT | REQUIREMENTS, "60s unless said"),
	OWN("hook", "on_error", in_string, FILES | PROJECT | REQUIREMENTS,
		"\"block\" or \"allow\", where it fails"),
	OWN("hook", "box", in_boolean, FILES | PROJECT | REQUIREMENTS,
		"false: it runs without a box of its own"),
	OWN("hook", "write", in_paths, FILES | PROJECT | REQUIREMENTS,
		"directories that its box may write"),

	OWN("", "modes", bound_words, REQUIREMENTS, "the allowed values of mode"),
	OWN("", "approvals", bound_words, REQUIREMENTS, "the allowed approval policies"),
	OWN("", "reviewers", bound_words, REQUIREMENTS, "the allowed kinds of reviewer"),
	OWN("", "isolations", bound_words, REQUIREMENTS, "the allowed tiers"),
	OWN("", "managed_hooks_only", bound_flag, REQUIREMENTS,
		"hooks of users and projects do not run"),
	OWN("", "managed_rules_only", bound_flag, REQUIREMENTS,
		"rules of users may only ask or forbid"),
};

const struct schema_key *schema_keys(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(keys);
	return keys;
}

const struct schema_key *schema_of_policy_key(const char *policy_key)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].policy_key && strcmp(keys[i].policy_key, policy_key) == 0)
			return &keys[i];
	return NULL;
}

static const struct schema_key *find_key(const char *table, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].table, table) == 0 && strcmp(keys[i].key, name) == 0)
			return &keys[i];
	return NULL;
}

static bool is_table(const char *name)
{
	return strcmp(name, "network") == 0 || strcmp(name, "limits") == 0;
}

/* The key is in no row of its table: says where it belongs, or what is nearest. */
static void unknown_key(struct loading *loading, const struct layer *layer, const char *table,
	const struct toml_value *value)
{
	struct config_place place = layer_place(layer, value);
	char hint[256] = "`coffer config keys` lists what there is";
	const char *names[ARRAY_SIZE(keys) + 2];
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].table, table) == 0 && (keys[i].layers & 1u << layer->layer))
			names[count++] = keys[i].key;
	if (!*table) {
		names[count++] = "network";
		names[count++] = "limits";
	}
	const char *near = suggest_nearest(value->key, names, count, sizeof(names[0]));
	for (size_t i = 0; i < ARRAY_SIZE(keys) && (is_table(table) || !*table); i++)
		if (strcmp(keys[i].key, value->key) == 0 && is_table(keys[i].table))
			snprintf(hint, sizeof(hint), "it belongs into [%s]", keys[i].table);
		else if (strcmp(keys[i].key, value->key) == 0 && !*keys[i].table)
			snprintf(hint, sizeof(hint), "it belongs to the top, before any [table]");
	if (near)
		snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
	if (strcmp(value->key, "directory") == 0)
		snprintf(hint, sizeof(hint), "it is given by -C when something is run");
	loading_fault(loading, &place, hint, "there is no key '%.64s'%s%s%s", value->key,
		*table ? " in [" : "", table, *table ? "]" : "");
}

static bool may_say(struct loading *loading, const struct layer *layer,
	const struct schema_key *key, const struct toml_value *value)
{
	if (key->layers & 1u << layer->layer)
		return true;
	struct config_place place = layer_place(layer, value);
	if (layer->layer == LAYER_PROJECT)
		loading_fault(loading, &place,
			"a project can only narrow: put it into your own coffer.toml",
			"'%s' cannot be set by a project's file", key->key);
	else if (layer->layer == LAYER_REQUIREMENTS)
		loading_fault(loading, &place, "put it into coffer.toml beside this file",
			"'%s' is nothing that can be required", key->key);
	else
		loading_fault(loading, &place, "put it into /etc/coffer/requirements.toml",
			"'%s' is for requirements", key->key);
	return false;
}

void schema_check_table(struct loading *loading, const struct layer *layer,
	const struct toml_value *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		const struct schema_key *key = find_key(name, value->key);
		if (key)
			may_say(loading, layer, key, value);
		else
			unknown_key(loading, layer, name, value);
	}
}

static void read_table(struct loading *loading, struct layer *layer, const char *table,
	const struct toml_value *values)
{
	for (size_t i = 0; i < values->count; i++) {
		const struct toml_value *value = &values->items[i];
		const struct schema_key *key = find_key(table, value->key);
		if (key) {
			if (may_say(loading, layer, key, value))
				key->form->read(loading, layer, key, value);
		} else if (!*table && is_table(value->key)) {
			struct config_place place = layer_place(layer, value);
			if (value->kind == TOML_TABLE)
				read_table(loading, layer, value->key, value);
			else
				loading_fault(loading, &place, NULL, "'%s' is a table: [%s]",
					value->key, value->key);
		} else {
			unknown_key(loading, layer, table, value);
		}
	}
}

void schema_read(struct loading *loading, struct layer *layer, const struct toml_value *document)
{
	read_table(loading, layer, "", document);
}
