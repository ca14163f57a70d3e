/* `coffer config show`: what is in force, each part with the place that it came from, as text or as
 * JSON. Names are those of the files. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "config/load.h"

#include <inttypes.h>
#include <string.h>

static const char *const layer_names[] = {
	[LAYER_BUILT_IN] = "built in",
	[LAYER_SYSTEM] = "system",
	[LAYER_USER] = "user",
	[LAYER_PROJECT] = "project",
	[LAYER_REQUIREMENTS] = "requirements",
};

/* A setting under the name and with the value that a file has. */
struct shown {
	char name[64];
	const char *value; /* NULL: true */
};

static struct shown shown_setting(const struct config_setting *setting)
{
	struct shown shown = {.value = setting->value};
	const struct schema_key *key = schema_of_policy_key(setting->key);
	if (strcmp(setting->key, "limit") == 0) {
		int name_bytes = (int)strcspn(setting->value, "=");
		snprintf(shown.name, sizeof(shown.name), "limits.%.*s", name_bytes, setting->value);
		shown.value = setting->value + name_bytes + 1;
	} else {
		snprintf(shown.name, sizeof(shown.name), "%s%s%s", key ? key->table : "",
			key && *key->table ? "." : "", key ? key->key : setting->key);
	}
	return shown;
}

/* ---- text ---- */

static void text_place(const struct config_place *place, struct buffer *out)
{
	buffer_append_string(out, "\t# ");
	if (!place->file) {
		buffer_append_string(out, layer_names[LAYER_BUILT_IN]);
	} else {
		cleanup_buffer struct buffer quoted = BUFFER_INIT(32 * 1024);
		buffer_append_json(&quoted, place->file);
		if (buffer_error(&quoted) == 0 && quoted.length_bytes > 2)
			buffer_append(out, quoted.data + 1, quoted.length_bytes - 2);
		buffer_append_format(out, ":%u", place->line);
	}
	buffer_append_string(out, "\n");
}

/* Whether what was said at place is wanted: layers is a set of 1 << enum config_layer. */
static bool is_wanted(const struct config_place *place, unsigned layers)
{
	return layers & 1u << place->layer;
}

static void text_settings(const struct config_setting *settings, size_t count, const char *before,
	unsigned layers, struct buffer *out)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(&settings[i].place, layers))
			continue;
		struct shown shown = shown_setting(&settings[i]);
		buffer_append_format(out, "%s%s = ", before, shown.name);
		if (shown.value)
			buffer_append_json(out, shown.value);
		else
			buffer_append_string(out, "true");
		text_place(&settings[i].place, out);
	}
}

static void strings(const struct strv *list, struct buffer *out)
{
	buffer_append_string(out, "[");
	for (size_t i = 0; i < list->count; i++) {
		buffer_append_string(out, i ? ", " : "");
		buffer_append_json(out, list->items[i]);
	}
	buffer_append_string(out, "]");
}

static void prefix(const struct config_rule *rule, struct buffer *out)
{
	buffer_append_string(out, "[");
	for (size_t i = 0; i < rule->prefix_count; i++) {
		const struct strv *any = &rule->prefix[i].any;
		buffer_append_string(out, i ? ", " : "");
		if (any->count == 1)
			buffer_append_json(out, any->items[0]);
		else
			strings(any, out);
	}
	buffer_append_string(out, "]");
}

static void text_approval(const struct config *config, unsigned layers, struct buffer *out)
{
	const struct approval *approval = &config->approval;
	if (!is_wanted(&config->approval_place, layers))
		return;
	buffer_append_format(out, "approval = \"%s\"",
		approval_policy_name(approval->set ? approval->policy : APPROVAL_ON_REQUEST));
	text_place(&config->approval_place, out);
	for (size_t i = 0; approval->policy == APPROVAL_GRANULAR && i < CATEGORIES; i++)
		buffer_append_format(out, "  %s: %s\n",
			approval_category_name((enum approval_category)i),
			verdict_name(approval->granular[i]));
}

static void text_reviewer(
	const struct config_reviewer *reviewer, unsigned layers, struct buffer *out)
{
	if (!is_wanted(&reviewer->place, layers))
		return;
	buffer_append_format(out, "reviewer = \"%s\"", reviewer_kind_name(reviewer->kind));
	text_place(&reviewer->place, out);
}

static void text_rules(const struct config *config, unsigned layers, struct buffer *out)
{
	for (size_t i = 0; i < config->rules_count; i++) {
		const struct config_rule *rule = &config->rules[i];
		if (!is_wanted(&rule->place, layers))
			continue;
		buffer_append_format(out, "rule: %s ", verdict_name(rule->decision));
		prefix(rule, out);
		if (rule->within) {
			buffer_append_string(out, " in ");
			buffer_append_json(out, rule->within);
		}
		for (size_t k = 0; k < rule->grants_count; k++) {
			buffer_append_string(
				out, rule->grants[k].kind == GRANT_WRITE ? " write " : " network ");
			buffer_append_json(out, rule->grants[k].value);
		}
		text_place(&rule->place, out);
	}
}

static const char *standing(const struct config_hook *hook)
{
	return hook->managed ? "managed" : hook->trusted ? "trusted" : "waits for trust";
}

static void text_hooks(const struct config *config, unsigned layers, struct buffer *out)
{
	for (size_t i = 0; i < config->hooks_count; i++) {
		const struct config_hook *hook = &config->hooks[i];
		if (!is_wanted(&hook->place, layers))
			continue;
		buffer_append_format(
			out, "hook: %s, %s: ", hook_event_name(hook->event), standing(hook));
		if (hook->command)
			buffer_append_json(out, hook->command);
		else
			strings(&hook->argv, out);
		buffer_append_string(out, hook->unboxed ? ", without a box" : "");
		text_place(&hook->place, out);
	}
}

static void text_bound(const char *name, const struct strv *allowed,
	const struct config_place *place, struct buffer *out)
{
	if (allowed->count == 0)
		return;
	buffer_append_format(out, "required: %s = ", name);
	strings(allowed, out);
	text_place(place, out);
}

void config_show_layers(const struct config *config, unsigned layers, struct buffer *out)
{
	text_settings(config->settings, config->settings_count, "", layers, out);
	text_approval(config, layers, out);
	text_reviewer(&config->reviewer, layers, out);
	text_rules(config, layers, out);
	text_hooks(config, layers, out);
}

static void show_text(const struct config *config, struct buffer *out)
{
	const unsigned all = ~0u;
	const struct requirements *required = &config->requirements;
	config_show_layers(config, all, out);
	text_bound("modes", &required->modes, &required->modes_at, out);
	text_bound("approvals", &required->approvals, &required->approvals_at, out);
	text_bound("reviewers", &required->reviewers, &required->reviewers_at, out);
	text_bound("isolations", &required->isolations, &required->isolations_at, out);
	text_settings(required->settings, required->settings_count, "required: ", all, out);
	text_settings(required->network_settings, required->network_settings_count,
		"required: at most ", all, out);
	for (size_t i = 0; i < config->notices.count; i++) {
		buffer_append_string(out, "note: ");
		buffer_append_json(out, config->notices.items[i]);
		buffer_append_string(out, "\n");
	}
}

/* ---- JSON ---- */

static void json_place(const struct config_place *place, struct buffer *out)
{
	buffer_append_format(out, "\"layer\":\"%s\"", layer_names[place->layer]);
	if (!place->file)
		return;
	buffer_append_string(out, ",\"file\":");
	buffer_append_json(out, place->file);
	buffer_append_format(out, ",\"line\":%u,\"column\":%u", place->line, place->column);
}

static void json_settings(const struct config_setting *settings, size_t count, struct buffer *out)
{
	buffer_append_string(out, "[");
	for (size_t i = 0; i < count; i++) {
		struct shown shown = shown_setting(&settings[i]);
		buffer_append_format(out, "%s{\"key\":\"%s\",\"value\":", i ? "," : "", shown.name);
		if (shown.value)
			buffer_append_json(out, shown.value);
		else
			buffer_append_string(out, "true");
		buffer_append_string(out, ",");
		json_place(&settings[i].place, out);
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "]");
}

static void json_field(const char *name, const char *value, struct buffer *out)
{
	if (!value)
		return;
	buffer_append_format(out, "\"%s\":", name);
	buffer_append_json(out, value);
	buffer_append_string(out, ",");
}

static void json_approval(const struct config *config, struct buffer *out)
{
	const struct approval *approval = &config->approval;
	buffer_append_format(out, "\"approval\":{\"policy\":\"%s\",",
		approval_policy_name(approval->set ? approval->policy : APPROVAL_ON_REQUEST));
	for (size_t i = 0; approval->policy == APPROVAL_GRANULAR && i < CATEGORIES; i++)
		buffer_append_format(out, "\"%s\":\"%s\",",
			approval_category_name((enum approval_category)i),
			verdict_name(approval->granular[i]));
	json_place(&config->approval_place, out);
	const struct config_reviewer *reviewer = &config->reviewer;
	buffer_append_format(
		out, "},\"reviewer\":{\"kind\":\"%s\",", reviewer_kind_name(reviewer->kind));
	if (reviewer->command.count) {
		buffer_append_string(out, "\"command\":");
		strings(&reviewer->command, out);
		buffer_append_string(out, ",");
	}
	if (reviewer->network.count) {
		buffer_append_string(out, "\"network\":");
		strings(&reviewer->network, out);
		buffer_append_string(out, ",");
	}
	json_field("url", reviewer->url, out);
	json_field("model", reviewer->model, out);
	json_field("key_variable", reviewer->key_variable, out);
	if (reviewer->timeout_ms)
		buffer_append_format(out, "\"timeout_ms\":%" PRIu64 ",", reviewer->timeout_ms);
	json_place(&reviewer->place, out);
	buffer_append_string(out, "}");
}

static void json_grants(const struct config_rule *rule, struct buffer *out)
{
	buffer_append_string(out, "\"grants\":[");
	for (size_t i = 0; i < rule->grants_count; i++) {
		buffer_append_format(out, "%s{\"%s\":", i ? "," : "",
			rule->grants[i].kind == GRANT_WRITE ? "write" : "network");
		buffer_append_json(out, rule->grants[i].value);
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "],");
}

static void json_rules(const struct config *config, struct buffer *out)
{
	buffer_append_string(out, "[");
	for (size_t i = 0; i < config->rules_count; i++) {
		const struct config_rule *rule = &config->rules[i];
		buffer_append_format(out, "%s{\"prefix\":", i ? "," : "");
		prefix(rule, out);
		buffer_append_format(out, ",\"decision\":\"%s\",", verdict_name(rule->decision));
		json_field("reason", rule->reason, out);
		json_field("in", rule->within, out);
		json_field("program", rule->program, out);
		json_grants(rule, out);
		json_place(&rule->place, out);
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "]");
}

static void json_hooks(const struct config *config, struct buffer *out)
{
	buffer_append_string(out, "[");
	for (size_t i = 0; i < config->hooks_count; i++) {
		const struct config_hook *hook = &config->hooks[i];
		buffer_append_format(
			out, "%s{\"event\":\"%s\",", i ? "," : "", hook_event_name(hook->event));
		json_field("matcher", hook->matcher, out);
		json_field("command", hook->command, out);
		if (!hook->command) {
			buffer_append_string(out, "\"argv\":");
			strings(&hook->argv, out);
			buffer_append_string(out, ",");
		}
		buffer_append_format(out,
			"\"timeout_ms\":%" PRIu64 ",\"on_error\":\"%s\",\"box\":%s,"
			"\"managed\":%s,\"trusted\":%s,",
			hook->timeout_ms, hook->on_error_allow ? "allow" : "block",
			hook->unboxed ? "false" : "true", hook->managed ? "true" : "false",
			hook->trusted ? "true" : "false");
		json_field("sha256", hook->hash, out);
		json_place(&hook->place, out);
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "]");
}

static void json_requirements(const struct requirements *required, struct buffer *out)
{
	const struct {
		const char *name;
		const struct strv *allowed;
	} bounds[] = {
		{"modes", &required->modes},
		{"approvals", &required->approvals},
		{"reviewers", &required->reviewers},
		{"isolations", &required->isolations},
	};
	buffer_append_string(out, "{");
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		buffer_append_format(out, "\"%s\":", bounds[i].name);
		strings(bounds[i].allowed, out);
		buffer_append_string(out, ",");
	}
	buffer_append_format(out, "\"managed_hooks_only\":%s,\"managed_rules_only\":%s,",
		required->managed_hooks_only ? "true" : "false",
		required->managed_rules_only ? "true" : "false");
	buffer_append_string(out, "\"settings\":");
	json_settings(required->settings, required->settings_count, out);
	buffer_append_string(out, ",\"widest_network\":");
	if (required->network_bounded)
		json_settings(required->network_settings, required->network_settings_count, out);
	else
		buffer_append_string(out, "null");
	buffer_append_string(out, "}");
}

static void show_json(const struct config *config, struct buffer *out)
{
	buffer_append_string(out, "{\"files\":");
	strings(&config->files, out);
	buffer_append_string(out, ",\"settings\":");
	json_settings(config->settings, config->settings_count, out);
	buffer_append_string(out, ",");
	json_approval(config, out);
	buffer_append_string(out, ",\"rules\":");
	json_rules(config, out);
	buffer_append_string(out, ",\"hooks\":");
	json_hooks(config, out);
	buffer_append_string(out, ",\"requirements\":");
	json_requirements(&config->requirements, out);
	buffer_append_string(out, ",\"notices\":");
	strings(&config->notices, out);
	buffer_append_string(out, "}");
}

int config_show(const struct config *config, bool json, struct buffer *out)
{
	if (json)
		show_json(config, out);
	else
		show_text(config, out);
	return buffer_error(out);
}
