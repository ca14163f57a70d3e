/* The keys that are the gate's own: when somebody is asked, who answers, and what requirements
 * allow. */
#include "config/config_internal.h"

#include "base/cleanup.h"

#include <string.h>

static const char *const reviewer_names[] = {
	[REVIEWER_PERSON] = "person",
	[REVIEWER_BUILTIN] = "builtin",
	[REVIEWER_COMMAND] = "command",
	[REVIEWER_HTTP] = "http",
};

enum { REVIEWER_TIMEOUT_MS = 30 * 1000 };

const char *reviewer_kind_name(enum reviewer_kind kind)
{
	return reviewer_names[kind];
}

/* The form of a flag: "granular:command=allow,...". */
static bool approval_from(struct loading *loading, struct layer *layer,
	const struct toml_value *table, struct buffer *to)
{
	const struct toml_value *policy = toml_get(table, "policy");
	const char *word = policy ? value_string(loading, layer, policy) : "granular";
	if (!word)
		return false;
	buffer_append_string(to, word);
	const char *between = ":";
	for (size_t i = 0; i < table->count; i++) {
		const struct toml_value *item = &table->items[i];
		const char *verdict = item == policy ? "" : value_string(loading, layer, item);
		if (!verdict)
			return false;
		if (item == policy)
			continue;
		buffer_append_string(to, between);
		for (const char *s = item->key; *s; s++)
			buffer_append(to, *s == '_' ? "-" : s, 1);
		buffer_append_format(to, "=%s", verdict);
		between = ",";
	}
	return true;
}

void read_approval(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(4096);
	struct config_place place = layer_place(layer, value);
	if (value->kind == TOML_TABLE) {
		schema_check_table(loading, layer, value, key->key);
		if (!approval_from(loading, layer, value, &text))
			return;
	} else {
		const char *string = value_string(loading, layer, value);
		if (!string)
			return;
		buffer_append_string(&text, string);
	}
	if (buffer_error(&text) < 0) {
		loading_fault(loading, &place, NULL, "'approval' is too long");
		return;
	}
	struct approval approval;
	struct error error = {0};
	if (approval_parse(text.data ? text.data : "", &approval, &error) < 0) {
		loading_error(loading, &place, &error);
		return;
	}
	struct config *config = loading->config;
	if (layer->layer == LAYER_PROJECT && !narrows_approval(&config->approval, &approval)) {
		loading_notice(loading, &place,
			"approval = \"%s\" would ask less than what is in force, or cannot be "
			"compared with it: left out",
			approval_policy_name(approval.policy));
		return;
	}
	config->approval = approval;
	config->approval_place = place;
}

static void reviewer_release(struct config_reviewer *reviewer)
{
	strv_release(&reviewer->command);
	strv_release(&reviewer->network);
	free(reviewer->url);
	free(reviewer->model);
	free(reviewer->key_variable);
}

static void read_text(struct loading *loading, struct layer *layer, const struct toml_value *table,
	const char *key, char **ret)
{
	const struct toml_value *value = toml_get(table, key);
	const char *string = value ? value_string(loading, layer, value) : NULL;
	if (string && !(*ret = strdup(string)))
		loading_out_of_memory(loading);
}

/* What each kind cannot do without. */
static void check_reviewer(struct loading *loading, const struct config_reviewer *reviewer)
{
	const struct config_place *place = &reviewer->place;
	if (reviewer->kind == REVIEWER_COMMAND && reviewer->command.count == 0)
		loading_fault(loading, place, "command = [\"/usr/local/bin/review\"]",
			"the reviewer has no command");
	if (reviewer->kind == REVIEWER_COMMAND && reviewer->command.count > 0 &&
		reviewer->command.items[0][0] != '/')
		loading_fault(loading, place, "name it by its whole path",
			"the reviewer's command must not depend on PATH");
	if (reviewer->kind != REVIEWER_HTTP)
		return;
	const char *url = reviewer->url ? reviewer->url : "";
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		loading_fault(loading, place, "url = \"https://.../v1/chat/completions\"",
			"the reviewer has no http url");
	if (!reviewer->model)
		loading_fault(loading, place, "model = \"...\"", "the reviewer has no model");
}

void read_reviewer(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	struct config_reviewer reviewer = {
		.timeout_ms = REVIEWER_TIMEOUT_MS, .place = layer_place(layer, value)};
	const struct toml_value *kind = value;
	if (value->kind == TOML_TABLE) {
		schema_check_table(loading, layer, value, key->key);
		kind = toml_get(value, "kind");
		const struct toml_value *command = toml_get(value, "command");
		const struct toml_value *network = toml_get(value, "network");
		const struct toml_value *timeout = toml_get(value, "timeout");
		if (command)
			value_strings(loading, layer, command, &reviewer.command);
		if (network)
			value_strings(loading, layer, network, &reviewer.network);
		if (timeout)
			value_duration(loading, layer, timeout, &reviewer.timeout_ms);
		read_text(loading, layer, value, "url", &reviewer.url);
		read_text(loading, layer, value, "model", &reviewer.model);
		read_text(loading, layer, value, "key_variable", &reviewer.key_variable);
	}
	int index = -1;
	if (kind)
		index = value_word(
			loading, layer, kind, reviewer_names, ARRAY_SIZE(reviewer_names));
	else
		loading_fault(loading, &reviewer.place, NULL, "the reviewer has no kind");
	if (index >= 0) {
		reviewer.kind = (enum reviewer_kind)index;
		check_reviewer(loading, &reviewer);
	}
	reviewer_release(&loading->config->reviewer);
	loading->config->reviewer = reviewer;
}

/* Whether a word is one that the key which it bounds could have. */
static bool is_known_word(const char *key, const char *word, struct error *error)
{
	struct approval approval;
	if (strcmp(key, "approvals") == 0)
		return !strchr(word, ':') && approval_parse(word, &approval, error) == 0;
	struct policy *policy;
	if (policy_new(&policy) < 0)
		return false;
	int r = policy_set(policy, strcmp(key, "modes") == 0 ? "mode" : "isolation", word, error);
	policy_free(policy);
	return r == 0;
}

void read_requirement_words(struct loading *loading, struct layer *layer,
	const struct schema_key *key, const struct toml_value *value)
{
	struct requirements *requirements = &loading->config->requirements;
	struct {
		const char *key;
		struct strv *words;
		struct config_place *place;
	} bounds[] = {
		{"modes", &requirements->modes, &requirements->modes_at},
		{"approvals", &requirements->approvals, &requirements->approvals_at},
		{"reviewers", &requirements->reviewers, &requirements->reviewers_at},
		{"isolations", &requirements->isolations, &requirements->isolations_at},
	};
	size_t bound = 0;
	while (bound + 1 < ARRAY_SIZE(bounds) && strcmp(bounds[bound].key, key->key) != 0)
		bound++;
	*bounds[bound].place = layer_place(layer, value);
	if (!value_strings(loading, layer, value, bounds[bound].words))
		return;
	/* An empty list would bound nothing, which nobody who writes it can mean. */
	if (value->count == 0)
		loading_fault(loading, bounds[bound].place, "name at least one, or drop the key",
			"'%s' allows nothing", key->key);
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *item = &value->items[i];
		struct config_place place = layer_place(layer, item);
		struct error error = {0};
		if (strcmp(key->key, "reviewers") == 0)
			value_word(
				loading, layer, item, reviewer_names, ARRAY_SIZE(reviewer_names));
		else if (!is_known_word(key->key, item->string, &error)) {
			if (!error.errno_value)
				error_set(&error, EINVAL, "config", "'%.64s' is not a word for it",
					item->string);
			loading_error(loading, &place, &error);
		}
	}
}

void read_requirement_flag(struct loading *loading, struct layer *layer,
	const struct schema_key *key, const struct toml_value *value)
{
	struct requirements *requirements = &loading->config->requirements;
	value_boolean(loading, layer, value,
		strcmp(key->key, "managed_hooks_only") == 0 ? &requirements->managed_hooks_only
							    : &requirements->managed_rules_only);
}
