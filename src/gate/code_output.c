#include "gate/code_internal.h"

#include "base/utf8.h"

#include <string.h>

/* What strangers wrote, as a terminal may show it. */
void findings_append_shown(struct buffer *out, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : *s;
		if (length == 1 && *s == '\t')
			buffer_append_string(out, " ");
		else if (length == 0 || (length == 1 && utf8_is_control(character)))
			buffer_append_format(out, "\\x%02x", *s);
		else if (utf8_is_control(character))
			buffer_append_format(out, "\\u%04x", character);
		else
			buffer_append(out, s, length);
		s += length ? length : 1;
	}
}

int findings_text(const struct findings_list *findings, const char *name, struct buffer *out)
{
	if (findings->syntax.errno_value) {
		findings_append_shown(out, name);
		buffer_append_format(out, ":%s\n", findings->syntax.message);
	}
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];
		findings_append_shown(out, finding->file ? finding->file : name);
		if (finding->line > 0)
			buffer_append_format(out, ":%u:%u", finding->line, finding->column);
		buffer_append_format(out, ": %s: ", severity_name(finding->severity));
		findings_append_shown(out, finding->why);
		buffer_append_format(out, " (%s)\n", finding->rule);
		if (*finding->text) {
			buffer_append_string(out, "    ");
			findings_append_shown(out, finding->text);
			buffer_append_string(out, "\n");
		}
	}
	if (findings->incomplete) {
		findings_append_shown(out, name);
		buffer_append_string(out, ": not all of it could be analysed\n");
	}
	return buffer_error(out);
}

static void append_member(struct buffer *out, const char *name, const char *value)
{
	buffer_append_format(out, "\"%s\":", name);
	if (value)
		buffer_append_json(out, value);
	else
		buffer_append_string(out, "null");
}

int findings_json(const struct findings_list *findings, const char *name, struct buffer *out)
{
	buffer_append_string(out, "{");
	append_member(out, "file", name);
	buffer_append_string(out, ",");
	append_member(out, "language", findings->language);
	buffer_append_string(out, ",");
	append_member(out, "syntax_error",
		findings->syntax.errno_value ? findings->syntax.message : NULL);
	buffer_append_format(
		out, ",\"incomplete\":%s,\"findings\":[", findings->incomplete ? "true" : "false");
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];
		buffer_append_string(out, i ? ",{" : "{");
		append_member(out, "rule", finding->rule);
		buffer_append_string(out, ",");
		append_member(out, "severity", severity_name(finding->severity));
		buffer_append_string(out, ",");
		append_member(out, "file", finding->file ? finding->file : name);
		buffer_append_format(
			out, ",\"line\":%u,\"column\":%u,", finding->line, finding->column);
		append_member(out, "text", finding->text);
		buffer_append_string(out, ",");
		append_member(out, "why", finding->why);
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "]}");
	return buffer_error(out);
}

/* ---- SARIF 2.1.0 ---- */

static const char *sarif_level(enum severity severity)
{
	return severity >= SEVERITY_HIGH     ? "error"
	       : severity == SEVERITY_MEDIUM ? "warning"
					     : "note";
}

static void append_sarif_rules(struct buffer *out)
{
	size_t count;
	const struct code_rule *rules = code_rules(&count);
	for (size_t i = 0; i < count; i++) {
		buffer_append_string(out, i ? ",{" : "{");
		append_member(out, "id", rules[i].id);
		buffer_append_string(out, ",\"shortDescription\":{");
		append_member(out, "text", rules[i].why);
		buffer_append_string(out, "},\"defaultConfiguration\":{");
		append_member(out, "level", sarif_level(rules[i].severity));
		buffer_append_string(out, "},\"properties\":{");
		append_member(out, "severity", severity_name(rules[i].severity));
		buffer_append_string(out, "}}");
	}
}

/* A file's name as a relative reference of RFC 3986. */
static void append_uri(struct buffer *out, const char *name)
{
	buffer_append_string(out, "\"");
	/* "a:b" would be read as a scheme. */
	if (name[0] != '/' && strchr(name, ':'))
		buffer_append_string(out, "./");
	for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || strchr("-._~/", *c);
		buffer_append_format(out, plain ? "%c" : "%%%02X", *c);
	}
	buffer_append_string(out, "\"");
}

static void append_result(struct buffer *out, const char *rule, enum severity severity,
	const char *message, const char *file, unsigned line, unsigned column)
{
	buffer_append_string(out, "{");
	append_member(out, "ruleId", rule);
	buffer_append_string(out, ",");
	append_member(out, "level", sarif_level(severity));
	buffer_append_string(out, ",\"message\":{");
	append_member(out, "text", message);
	buffer_append_string(
		out, "},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
	append_uri(out, file);
	/* What concerns a file as a whole has no region: lines count from 1. */
	if (line > 0)
		buffer_append_format(out, "},\"region\":{\"startLine\":%u,\"startColumn\":%u}}}]}",
			line, column > 0 ? column : 1);
	else
		buffer_append_string(out, "}}}]}");
}

static void append_results(
	const struct findings_list *findings, const char *name, bool *first, struct buffer *out)
{
	if (findings->syntax.errno_value) {
		unsigned line = 1, column = 1;
		sscanf(findings->syntax.message, "%u:%u", &line, &column);
		buffer_append_string(out, *first ? "" : ",");
		*first = false;
		append_result(out, "syntax-error", SEVERITY_HIGH, findings->syntax.message, name,
			line, column);
	}
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];
		buffer_append_string(out, *first ? "" : ",");
		*first = false;
		append_result(out, finding->rule, finding->severity, finding->why,
			finding->file ? finding->file : name, finding->line, finding->column);
	}
}

int findings_sarif_of(const struct findings_list *const findings[], const char *const names[],
	size_t count, struct buffer *out)
{
	bool complete = true, first = true;
	buffer_append_string(out, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
				  "\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{"
				  "\"name\":\"coffer check\",");
	append_member(out, "version", COFFER_VERSION);
	buffer_append_string(out, ",\"rules\":[");
	append_sarif_rules(out);
	buffer_append_string(out, "]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[");
	for (size_t i = 0; i < count; i++) {
		append_results(findings[i], names[i], &first, out);
		complete &= !findings[i]->incomplete;
	}
	buffer_append_format(out, "],\"invocations\":[{\"executionSuccessful\":%s}]}]}",
		complete ? "true" : "false");
	return buffer_error(out);
}

int findings_sarif(const struct findings_list *findings, const char *name, struct buffer *out)
{
	return findings_sarif_of(&findings, &name, 1, out);
}
