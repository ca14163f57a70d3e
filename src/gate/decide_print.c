/* A decision as JSON and as text. Whatever came from the command is escaped in both. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/decide_internal.h"
#include "gate/json_text.h"

#include <stdint.h>

static void json_strings(struct buffer *out, const struct strv *strings)
{
	buffer_append_string(out, "[");
	for (size_t i = 0; i < strings->count; i++) {
		buffer_append_string(out, i ? "," : "");
		buffer_append_json(out, strings->items[i]);
	}
	buffer_append_string(out, "]");
}

static void json_rule(struct buffer *out, const struct config_rule *rule)
{
	buffer_append_string(out, ",\"rule\":");
	if (!rule) {
		buffer_append_string(out, "null");
		return;
	}
	buffer_append_string(out, "{\"decision\":");
	buffer_append_json(out, verdict_name(rule->decision));
	buffer_append_string(out, ",\"prefix\":[");
	for (size_t i = 0; i < rule->prefix_count; i++) {
		const struct strv *any = &rule->prefix[i].any;
		buffer_append_string(out, i ? "," : "");
		if (any->count == 1)
			buffer_append_json(out, any->items[0]);
		else
			json_strings(out, any);
	}
	buffer_append_string(out, "],\"reason\":");
	if (rule->reason)
		buffer_append_json(out, rule->reason);
	else
		buffer_append_string(out, "null");
	buffer_append_string(out, ",\"file\":");
	if (rule->place.file)
		buffer_append_json(out, rule->place.file);
	else
		buffer_append_string(out, "null");
	buffer_append_format(out, ",\"line\":%u}", rule->place.line);
}

static void json_part(
	struct buffer *out, const struct gate_decision *decision, const struct part_decision *one)
{
	const struct gate_part *part =
		one->part == SIZE_MAX ? NULL : &decision->analysis->parts[one->part];
	buffer_append_string(out, "{\"argv\":");
	if (part)
		json_strings(out, &part->argv);
	else
		buffer_append_string(out, "null");
	buffer_append_string(out, ",\"decision\":");
	buffer_append_json(out, verdict_name(one->verdict));
	buffer_append_string(out, ",\"id\":");
	buffer_append_json(out, one->id);
	buffer_append_string(out, ",\"category\":");
	buffer_append_json(out, approval_category_name(one->category));
	json_rule(out, one->rule);
	buffer_append_string(out, ",\"reason\":");
	buffer_append_json(out, one->reason);
	if (part && part->text) {
		buffer_append_string(out, ",\"text\":");
		buffer_append_json(out, part->text);
	}
	if (part && part->line)
		buffer_append_format(out, ",\"line\":%u,\"column\":%u", part->line, part->column);
	if (part)
		buffer_append_format(
			out, ",\"undecidable\":%s", part->undecidable ? "true" : "false");
	buffer_append_string(out, "}");
}

static void append_grants(struct buffer *out, const struct gate_decision *decision)
{
	buffer_append_string(out, "],\"grants\":[");
	for (size_t i = 0; i < decision->grants_count; i++) {
		const struct grant *grant = &decision->grants[i];
		buffer_append_string(out, i ? ",{\"kind\":" : "{\"kind\":");
		buffer_append_json(out, json_grant_name(grant->kind));
		buffer_append_string(out, ",\"value\":");
		if (grant->value)
			buffer_append_json(out, grant->value);
		else
			buffer_append_string(out, "null");
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "]");
}

int gate_decision_json(const struct gate_decision *decision, struct buffer *out)
{
	buffer_append_string(out, "{\"decision\":");
	buffer_append_json(out, verdict_name(decision->verdict));
	buffer_append_string(out, ",\"reason\":");
	buffer_append_json(out, decision->reason);
	buffer_append_string(out, ",\"category\":");
	buffer_append_json(out, approval_category_name(decision->category));
	buffer_append_string(out, ",\"parts\":[");
	for (size_t i = 0; i < decision->parts_count; i++) {
		buffer_append_string(out, i ? "," : "");
		json_part(out, decision, &decision->parts[i]);
	}
	append_grants(out, decision);
	buffer_append_string(out, ",\"suggested_rule\":");
	if (decision->rule_prefix.count)
		json_strings(out, &decision->rule_prefix);
	else
		buffer_append_string(out, "null");
	buffer_append_string(out, "}");
	return buffer_error(out);
}

int gate_decision_text(const struct gate_decision *decision, struct buffer *out)
{
	buffer_append_format(out, "%s  %s\n", verdict_name(decision->verdict), decision->reason);
	for (size_t i = 0; i < decision->parts_count; i++) {
		const struct part_decision *one = &decision->parts[i];
		buffer_append_format(out, "  %-7s %s", verdict_name(one->verdict), one->reason);
		const struct config_rule *rule = one->rule;
		if (rule && rule->place.file) {
			buffer_append_string(out, " (");
			append_shown(out, rule->place.file, MAX_PATH_BYTES);
			buffer_append_format(out, ":%u)", rule->place.line);
		}
		buffer_append_string(out, "\n");
	}
	for (size_t i = 0; i < decision->grants_count; i++) {
		const struct grant *grant = &decision->grants[i];
		buffer_append_format(out, "  grants  %s", grant_kind_name(grant->kind));
		if (grant->value) {
			buffer_append_string(out, " ");
			append_shown(out, grant->value, MAX_PATH_BYTES);
		}
		buffer_append_string(out, "\n");
	}
	return buffer_error(out);
}
