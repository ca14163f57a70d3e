/* [[rule]] */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

void config_rule_release(struct config_rule *rule)
{
	for (size_t i = 0; i < rule->prefix_count; i++)
		strv_release(&rule->prefix[i].any);
	free(rule->prefix);
	free(rule->reason);
	free(rule->within);
	free(rule->program);
	for (size_t i = 0; i < rule->grants_count; i++)
		free(rule->grants[i].value);
	free(rule->grants);
	strv_release(&rule->matches);
	strv_release(&rule->not_matches);
	*rule = (struct config_rule){0};
}

static bool read_prefix_word(struct loading *loading, struct layer *layer,
	const struct toml_value *value, struct rule_word *ret)
{
	struct config_place place = layer_place(layer, value);
	if (value->kind == TOML_ARRAY) {
		if (!value_strings(loading, layer, value, &ret->any))
			return false;
	} else {
		const char *word = value_string(loading, layer, value);
		if (!word)
			return false;
		if (strv_add(&ret->any, word) < 0) {
			loading_out_of_memory(loading);
			return false;
		}
	}
	if (ret->any.count > 0)
		return true;
	loading_fault(loading, &place, "name the words that may stand here",
		"no word can match an empty array");
	return false;
}

static bool read_prefix(struct loading *loading, struct layer *layer,
	const struct toml_value *table, struct config_rule *rule)
{
	const struct toml_value *value = toml_get(table, "prefix");
	if (!value || value->kind != TOML_ARRAY || value->count == 0) {
		struct config_place place = layer_place(layer, value ? value : table);
		loading_fault(loading, &place, "prefix = [\"npm\", [\"test\", \"run\"]]",
			"a rule needs the words that a command begins with");
		return false;
	}
	rule->prefix = calloc(value->count, sizeof(*rule->prefix));
	if (!rule->prefix) {
		loading_out_of_memory(loading);
		return false;
	}
	for (size_t i = 0; i < value->count; i++) {
		rule->prefix_count = i + 1;
		if (!read_prefix_word(loading, layer, &value->items[i], &rule->prefix[i]))
			return false;
	}
	for (size_t i = 0; i < rule->prefix[0].any.count; i++) {
		if (rule->prefix[0].any.items[i][0])
			continue;
		loading_fault(loading, &rule->place, NULL, "no program has an empty name");
		return false;
	}
	return true;
}

static bool read_decision(struct loading *loading, struct layer *layer,
	const struct toml_value *table, struct config_rule *rule)
{
	const struct toml_value *value = toml_get(table, "decision");
	const char *word = value ? value_string(loading, layer, value) : NULL;
	if (!value)
		loading_fault(loading, &rule->place, "decision = \"allow\", \"ask\" or \"forbid\"",
			"the rule has no decision");
	if (!word)
		return false;
	struct config_place place = layer_place(layer, value);
	struct error error = {0};
	if (verdict_parse(word, &rule->decision, &error) < 0) {
		loading_error(loading, &place, &error);
		return false;
	}
	if (rule->decision != VERDICT_ALLOW)
		return true;
	if (layer->layer == LAYER_PROJECT) {
		loading_fault(loading, &place,
			"put the rule into your own coffer.toml, with in = \"...\"",
			"a project's rule cannot allow");
		return false;
	}
	if (layer->layer == LAYER_REQUIREMENTS) {
		loading_fault(loading, &place, "put the rule into coffer.toml beside this file",
			"a required rule can only ask or forbid");
		return false;
	}
	return true;
}

static bool add_grant(
	struct loading *loading, struct config_rule *rule, enum grant_kind kind, char *value)
{
	struct grant *grants =
		value ? reallocarray(rule->grants, rule->grants_count + 1, sizeof(*grants)) : NULL;
	if (!grants) {
		free(value);
		loading_out_of_memory(loading);
		return false;
	}
	rule->grants = grants;
	grants[rule->grants_count++] = (struct grant){kind, value};
	return true;
}

/* A host as --allow-domain takes it, checked by it. */
static bool read_host(struct loading *loading, struct layer *layer, const struct toml_value *value,
	struct config_rule *rule)
{
	const char *host = value_string(loading, layer, value);
	if (!host)
		return false;
	struct network_policy network;
	network_policy_init(&network);
	struct error error = {0};
	int r = network_set(&network, "allow-domain", host, "network", &error);
	network_policy_release(&network);
	if (r == 0)
		return add_grant(loading, rule, GRANT_NETWORK, strdup(host));
	struct config_place place = layer_place(layer, value);
	loading_error(loading, &place, &error);
	return false;
}

static bool read_grants(struct loading *loading, struct layer *layer,
	const struct toml_value *table, struct config_rule *rule)
{
	const struct toml_value *write = toml_get(table, "write");
	const struct toml_value *network = toml_get(table, "network");
	const struct toml_value *either = write ? write : network;
	if (either && rule->decision != VERDICT_ALLOW) {
		struct config_place place = layer_place(layer, either);
		loading_fault(loading, &place, "drop it, or let the rule allow",
			"only a rule that allows can widen the box");
		return false;
	}
	cleanup_strv struct strv checked = {0};
	if (write && !value_strings(loading, layer, write, &checked))
		return false;
	for (size_t i = 0; write && i < write->count; i++) {
		char *path = value_path(loading, layer, &write->items[i]);
		if (!path || !add_grant(loading, rule, GRANT_WRITE, path))
			return false;
	}
	if (network && !value_strings(loading, layer, network, &checked))
		return false;
	for (size_t i = 0; network && i < network->count; i++)
		if (!read_host(loading, layer, &network->items[i], rule))
			return false;
	return true;
}

/* The file that the first word must lead to: through all links, where it is there. */
static char *read_program(
	struct loading *loading, struct layer *layer, const struct toml_value *value)
{
	char *path = value_path(loading, layer, value);
	char *real = path ? realpath(path, NULL) : NULL;
	if (!real)
		return path;
	free(path);
	return real;
}

static bool read_rule(struct loading *loading, struct layer *layer, const struct toml_value *table,
	struct config_rule *rule)
{
	schema_check_table(loading, layer, table, "rule");
	if (!read_prefix(loading, layer, table, rule) ||
		!read_decision(loading, layer, table, rule) ||
		!read_grants(loading, layer, table, rule))
		return false;
	const struct toml_value *value = toml_get(table, "reason");
	const char *reason = value ? value_string(loading, layer, value) : NULL;
	if (reason && !(rule->reason = strdup(reason))) {
		loading_out_of_memory(loading);
		return false;
	}
	if (value && !reason)
		return false;
	value = toml_get(table, "in");
	if (value && !(rule->within = value_path(loading, layer, value)))
		return false;
	value = toml_get(table, "program");
	if (value && !(rule->program = read_program(loading, layer, value)))
		return false;
	value = toml_get(table, "matches");
	if (value && !value_strings(loading, layer, value, &rule->matches))
		return false;
	value = toml_get(table, "not_matches");
	return !value || value_strings(loading, layer, value, &rule->not_matches);
}

void read_rules(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value)
{
	struct config_place place = layer_place(layer, value);
	struct config *config = loading->config;
	if (value->kind != TOML_ARRAY) {
		loading_fault(loading, &place, "each rule begins with the line [[rule]]",
			"'%s' is an array of tables", key->key);
		return;
	}
	if (config->rules_count + value->count > MAX_CONFIG_RULES) {
		loading_fault(
			loading, &place, NULL, "there are more than %d rules", MAX_CONFIG_RULES);
		return;
	}
	struct config_rule *rules =
		reallocarray(config->rules, config->rules_count + value->count, sizeof(*rules));
	if (!rules && value->count > 0) {
		loading_out_of_memory(loading);
		return;
	}
	if (rules)
		config->rules = rules;
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *table = &value->items[i];
		struct config_rule rule = {.place = layer_place(layer, table)};
		if (table->kind != TOML_TABLE)
			loading_fault(loading, &rule.place, NULL, "a rule is a table");
		else if (read_rule(loading, layer, table, &rule)) {
			config->rules[config->rules_count++] = rule;
			continue;
		}
		config_rule_release(&rule);
	}
}
