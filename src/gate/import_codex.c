/* Codex's config.toml: sandbox, approvals, environment, rules and hooks. What is about models,
 * looks and accounts is none of coffer's business, and told as such, a line for each key. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <string.h>

struct reader {
	struct import *import;
	const char *file;
	bool workspace; /* sandbox_mode is workspace-write, or unsaid */
};

static struct import_place at(const struct reader *reader, const struct toml_value *value)
{
	return (struct import_place){reader->file, value->line};
}

static bool wants(const struct reader *reader, const struct toml_value *value, enum toml_kind kind)
{
	if (value->kind == kind)
		return true;
	import_note(reader->import, at(reader, value), "'%s' is %s", value->key ? value->key : "",
		toml_kind_name(value->kind));
	return false;
}

/* ---- sandbox ---- */

static void read_sandbox_mode(struct reader *reader, const struct toml_value *value)
{
	static const char modes[] = "\"read-only\" \"workspace-write\" \"danger-full-access\"";
	cleanup_buffer struct buffer text = BUFFER_INIT(4096);
	if (!wants(reader, value, TOML_STRING))
		return;
	buffer_append_json(&text, value->string);
	if (buffer_error(&text) == 0 && strstr(modes, text.data))
		import_set(reader->import, at(reader, value), "", "mode", text.data);
	else
		import_note(reader->import, at(reader, value), "there is no mode '%s' here",
			value->string);
}

/* A path that coffer takes: absolute, or from the home. */
static bool is_placed(const char *path)
{
	return path[0] == '/' || strcmp(path, "~") == 0 || strncmp(path, "~/", 2) == 0;
}

static void read_writable_roots(struct reader *reader, const struct toml_value *value)
{
	if (!wants(reader, value, TOML_ARRAY))
		return;
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *root = &value->items[i];
		if (!wants(reader, root, TOML_STRING))
			continue;
		if (is_placed(root->string))
			import_add(reader->import, at(reader, root), "", "write", root->string);
		else
			import_note(reader->import, at(reader, root),
				"the writable root '%s' is relative", root->string);
	}
}

static void read_workspace_write(struct reader *reader, const struct toml_value *table)
{
	if (!wants(reader, table, TOML_TABLE))
		return;
	if (!reader->workspace) {
		import_note(reader->import, at(reader, table),
			"'%s' counts with sandbox_mode = \"workspace-write\" only", table->key);
		return;
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		struct import_place place = at(reader, value);
		bool on = value->kind == TOML_BOOLEAN && value->boolean;
		if (strcmp(value->key, "writable_roots") == 0)
			read_writable_roots(reader, value);
		else if (strcmp(value->key, "network_access") == 0 && on)
			import_set(reader->import, place, "network", "net", "\"on\"");
		else if (strcmp(value->key, "exclude_slash_tmp") == 0 && !on)
			import_note(reader->import, place,
				"/tmp is the box's own here; `share_tmp = true` would share the "
				"host's");
		else if (strcmp(value->key, "exclude_tmpdir_env_var") == 0 && !on)
			import_note(reader->import, place,
				"TMPDIR is the box's own /tmp here; a `write` root would open it");
		else if (strcmp(value->key, "network_access") != 0 &&
			 strncmp(value->key, "exclude_", 8) != 0)
			import_note(reader->import, place, "'%s' has no counterpart", value->key);
	}
}

/* ---- approvals ---- */

/* true: ask; false: refuse without asking. */
static const char *granular_word(const struct toml_value *table, const char *key, bool without)
{
	const struct toml_value *value = toml_get(table, key);
	bool asks = value && value->kind == TOML_BOOLEAN ? value->boolean : without;
	return asks ? "ask" : "forbid";
}

static void read_granular(struct reader *reader, const struct toml_value *table)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(4096);
	const char *sandbox = granular_word(table, "sandbox_approval", true);
	const char *permissions = granular_word(table, "request_permissions", false);
	/* A grant is asked for as Codex's escalation is or as its request for permissions is. */
	const char *grants =
		strcmp(sandbox, "ask") == 0 || strcmp(permissions, "ask") == 0 ? "ask" : "forbid";
	const char *rules = granular_word(table, "rules", true);
	buffer_append_format(&text,
		"{ policy = \"granular\", command = \"%s\", delete = \"%s\", secret = \"%s\", "
		"write_outside = \"%s\", network = \"%s\", unsandboxed = \"%s\" }",
		rules, rules, grants, grants, grants, sandbox);
	import_set(reader->import, at(reader, table), "", "approval", text.data);
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		if (!import_in(value->key, "sandbox_approval request_permissions rules"))
			import_note(reader->import, at(reader, value),
				"'%s' asks about nothing that coffer asks about", value->key);
	}
}

static void read_approval_policy(struct reader *reader, const struct toml_value *value)
{
	const struct toml_value *granular =
		value->kind == TOML_TABLE ? toml_get(value, "granular") : NULL;
	struct approval approval;
	if (granular && granular->kind == TOML_TABLE) {
		read_granular(reader, granular);
		return;
	}
	if (!wants(reader, value, TOML_STRING))
		return;
	if (strchr(value->string, ':') || approval_parse(value->string, &approval, NULL) < 0 ||
		approval.policy == APPROVAL_GRANULAR) {
		import_note(reader->import, at(reader, value), "there is no policy '%s' here",
			value->string);
		return;
	}
	char text[64];
	snprintf(text, sizeof(text), "\"%s\"", approval_policy_name(approval.policy));
	import_set(reader->import, at(reader, value), "", "approval", text);
}

static void read_reviewer(struct reader *reader, const struct toml_value *value)
{
	if (value->kind != TOML_STRING || strcmp(value->string, "user") != 0)
		import_note(reader->import, at(reader, value),
			"the reviewer is another one here: see `reviewer = \"builtin\"` and "
			"docs/REVIEW-POLICY.md");
}

/* ---- environment ---- */

static void read_environment_set(struct reader *reader, const struct toml_value *table)
{
	if (!wants(reader, table, TOML_TABLE))
		return;
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		cleanup_free char *text = NULL;
		if (!wants(reader, value, TOML_STRING))
			continue;
		if (asprintf(&text, "%s=%s", value->key, value->string) < 0) {
			text = NULL;
			reader->import->error = -ENOMEM;
			return;
		}
		import_add(reader->import, at(reader, value), "", "env", text);
	}
}

static void read_include_only(struct reader *reader, const struct toml_value *value)
{
	if (!wants(reader, value, TOML_ARRAY))
		return;
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *name = &value->items[i];
		if (!wants(reader, name, TOML_STRING))
			continue;
		if (strpbrk(name->string, "*?[=") || !*name->string)
			import_note(reader->import, at(reader, name),
				"'%s' is a pattern of names: name each variable in `env`",
				name->string);
		else
			import_add(reader->import, at(reader, name), "", "env", name->string);
	}
}

static void read_environment(struct reader *reader, const struct toml_value *table)
{
	if (!wants(reader, table, TOML_TABLE))
		return;
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		if (strcmp(value->key, "set") == 0)
			read_environment_set(reader, value);
		else if (strcmp(value->key, "include_only") == 0)
			read_include_only(reader, value);
		else
			import_note(reader->import, at(reader, value),
				"'%s': a box gets few harmless variables and those that `env` "
				"names",
				value->key);
	}
}

/* ---- rules ---- */

static bool add_words(
	struct reader *reader, struct import_rule *rule, const struct toml_value *value)
{
	struct rule_word *word = import_rule_word(rule);
	const struct toml_value *any = value;
	if (value->kind == TOML_TABLE) { /* {token = "git"} or {any_of = [...]} */
		any = toml_get(value, "token");
		any = any ? any : toml_get(value, "any_of");
	}
	size_t count = any && any->kind == TOML_ARRAY ? any->count : any ? 1 : 0;
	for (size_t i = 0; word && i < count; i++) {
		const struct toml_value *one = any->kind == TOML_ARRAY ? &any->items[i] : any;
		if (one->kind != TOML_STRING)
			return false;
		if (strv_add(&word->any, one->string) < 0)
			reader->import->error = -ENOMEM;
	}
	return word && count > 0;
}

/* "git status", ["git", ["status", "diff"]], or a list of {token} and {any_of}. */
static bool read_prefix(
	struct reader *reader, const struct toml_value *value, struct import_rule *rule)
{
	if (value->kind == TOML_STRING)
		return import_rule_line(rule, value->string) == 0;
	if (value->kind != TOML_ARRAY)
		return false;
	for (size_t i = 0; i < value->count; i++)
		if (!add_words(reader, rule, &value->items[i]))
			return false;
	return rule->prefix_count > 0;
}

static bool read_decision(const struct toml_value *table, enum verdict *ret)
{
	static const struct {
		const char *word;
		enum verdict verdict;
	} words[] = {{"allow", VERDICT_ALLOW}, {"prompt", VERDICT_ASK}, {"ask", VERDICT_ASK},
		{"forbidden", VERDICT_FORBID}, {"forbid", VERDICT_FORBID},
		{"deny", VERDICT_FORBID}};
	const struct toml_value *allow = toml_get(table, "allow");
	const struct toml_value *decision = toml_get(table, "decision");
	*ret = VERDICT_ALLOW;
	if (allow && allow->kind == TOML_BOOLEAN && !decision) {
		*ret = allow->boolean ? VERDICT_ALLOW : VERDICT_FORBID;
		return true;
	}
	const struct toml_value *word = decision ? decision : allow;
	if (!word)
		return true; /* as in .rules: allow unless said */
	for (size_t i = 0; i < ARRAY_SIZE(words) && word->kind == TOML_STRING; i++)
		if (strcmp(words[i].word, word->string) == 0) {
			*ret = words[i].verdict;
			return true;
		}
	return false;
}

static void read_rule(struct reader *reader, const struct toml_value *table)
{
	struct import_rule rule = {0};
	struct import_place place = at(reader, table);
	bool is_table = table->kind == TOML_TABLE;
	const struct toml_value *prefix = is_table ? toml_get(table, "prefix") : NULL;
	const struct toml_value *reason = is_table ? toml_get(table, "justification") : NULL;
	if (is_table && !prefix)
		prefix = toml_get(table, "pattern");
	if (!prefix || !read_prefix(reader, prefix, &rule)) {
		import_note(reader->import, place, "a rule without a prefix of plain words");
	} else if (!read_decision(table, &rule.decision)) {
		import_note(reader->import, place,
			"the rule's decision is none of allow, prompt, forbidden");
	} else {
		if (!reason)
			reason = toml_get(table, "reason");
		if (reason && reason->kind == TOML_STRING)
			rule.reason = strdup(reason->string);
		import_rule(reader->import, place, &rule);
	}
	for (size_t i = 0; is_table && i < table->count; i++)
		if (!import_in(table->items[i].key,
			    "prefix pattern allow decision justification reason"))
			import_note(reader->import, at(reader, &table->items[i]),
				"'%s' of a rule has no counterpart", table->items[i].key);
	import_rule_release(&rule);
}

/* [[rules]], or [rules] with prefix_rules = [...] as in requirements. */
static void read_rules(struct reader *reader, const struct toml_value *value)
{
	const struct toml_value *list = value;
	if (value->kind == TOML_TABLE)
		list = toml_get(value, "prefix_rules");
	if (!list || list->kind != TOML_ARRAY) {
		import_note(reader->import, at(reader, value), "'rules' is no list of rules");
		return;
	}
	for (size_t i = 0; i < list->count; i++)
		read_rule(reader, &list->items[i]);
}

/* ---- the rest ---- */

static void read_codex_hooks(struct reader *reader, const struct toml_value *value)
{
	import_hooks(reader->import, reader->file, value, NULL);
}

static void read_servers(struct reader *reader, const struct toml_value *value)
{
	for (size_t i = 0; i < value->count; i++)
		import_note(reader->import, at(reader, &value->items[i]),
			"the MCP server '%s': servers are the agent's, coffer starts none",
			value->items[i].key ? value->items[i].key : "");
}

static void read_table(struct reader *reader, const struct toml_value *table);

/* The one that --profile names is read as if it stood at the top; it was read before the top. */
static void read_profiles(struct reader *reader, const struct toml_value *value)
{
	const char *wanted = reader->import->profile;
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *profile = &value->items[i];
		if (!wanted || !profile->key || strcmp(profile->key, wanted) != 0)
			import_note(reader->import, at(reader, profile),
				"the profile '%s': `--profile %s` imports it",
				profile->key ? profile->key : "", profile->key ? profile->key : "");
	}
}

static void read_permissions(struct reader *reader, const struct toml_value *value)
{
	static const struct {
		const char *name, *mode;
	} built_in[] = {{":read-only", "\"read-only\""}, {":workspace", "\"workspace-write\""},
		{":danger-full-access", "\"danger-full-access\""}};
	for (size_t i = 0; i < ARRAY_SIZE(built_in) && value->kind == TOML_STRING; i++)
		if (strcmp(built_in[i].name, value->string) == 0) {
			import_set(reader->import, at(reader, value), "", "mode", built_in[i].mode);
			return;
		}
	import_note(reader->import, at(reader, value),
		"'%s': say it as mode, write, deny_read and [network]", value->key);
}

static const struct {
	const char *key;
	void (*read)(struct reader *reader, const struct toml_value *value);
} keys[] = {
	{"sandbox_mode", read_sandbox_mode},
	{"sandbox_workspace_write", read_workspace_write},
	{"approval_policy", read_approval_policy},
	{"approvals_reviewer", read_reviewer},
	{"shell_environment_policy", read_environment},
	{"rules", read_rules},
	{"hooks", read_codex_hooks},
	{"mcp_servers", read_servers},
	{"profiles", read_profiles},
	{"default_permissions", read_permissions},
	{"permissions", read_permissions},
};

static void read_table(struct reader *reader, const struct toml_value *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *value = &table->items[i];
		size_t k = 0;
		while (k < ARRAY_SIZE(keys) && strcmp(keys[k].key, value->key) != 0)
			k++;
		if (k < ARRAY_SIZE(keys))
			keys[k].read(reader, value);
		else
			import_note(reader->import, at(reader, value),
				"'%s' is not about what a command may do", value->key);
	}
}

int import_codex_config(struct import *import, const char *file, const char *text,
	size_t length_bytes, struct error *error)
{
	struct toml_value *document = NULL;
	int r = toml_parse(file, text, length_bytes, &document, error);
	if (r < 0)
		return r;
	const struct toml_value *profiles = toml_get(document, "profiles");
	const struct toml_value *profile =
		import->profile && profiles && profiles->kind == TOML_TABLE
			? toml_get(profiles, import->profile)
			: NULL;
	if (profile && profile->kind != TOML_TABLE)
		profile = NULL;
	const struct toml_value *mode = profile ? toml_get(profile, "sandbox_mode") : NULL;
	mode = mode ? mode : toml_get(document, "sandbox_mode");
	struct reader reader = {.import = import,
		.file = file,
		.workspace = !mode || (mode->kind == TOML_STRING &&
					      strcmp(mode->string, "workspace-write") == 0)};
	if (profile)
		read_table(&reader, profile);
	read_table(&reader, document);
	toml_free(document);
	return 0;
}
