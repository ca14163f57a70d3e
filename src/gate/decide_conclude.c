/* The whole decision from its parts. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "config/trust.h"
#include "gate/decide_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
	SHOWN_BYTES = 96,    /* of a command, in a sentence */
	REASON_BYTES = 8192, /* a sentence */
};

void append_shown(struct buffer *out, const char *text, size_t max_bytes)
{
	size_t shown = 0;
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t bytes = utf8_sequence(s);
		if (shown >= max_bytes) {
			buffer_append_string(out, "...");
			return;
		}
		if (*s == '\n' || *s == '\t')
			buffer_append_string(out, " ");
		else if (bytes == 0 || utf8_is_control(utf8_character(s, bytes)))
			buffer_append_format(out, "\\x%02x", *s);
		else
			buffer_append(out, s, bytes);
		/* What cannot be shown goes byte by byte. */
		bool whole = bytes > 0 && !utf8_is_control(utf8_character(s, bytes));
		s += whole ? bytes : 1;
		shown += whole ? bytes : 1;
	}
}

static void append_command(struct buffer *out, const struct gate_part *part)
{
	if (part->argv.count == 0) {
		append_shown(out, part->text ? part->text : "", SHOWN_BYTES);
		return;
	}
	cleanup_buffer struct buffer words = BUFFER_INIT(MAX_ARGV_BYTES);
	for (size_t i = 0; i < part->argv.count && words.length_bytes <= SHOWN_BYTES; i++) {
		if (i > 0)
			buffer_append_string(&words, " ");
		buffer_append_string(&words, part->argv.items[i]);
	}
	append_shown(out, words.data ? words.data : "", SHOWN_BYTES);
}

static char *sentence(const struct gate_part *part, const struct grant *ask, const char *reason)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(REASON_BYTES);
	if (part) {
		buffer_append_string(&out, "`");
		append_command(&out, part);
		buffer_append_string(&out, "`: ");
	}
	append_shown(&out, reason, REASON_BYTES / 16);
	if (ask && ask->value) {
		buffer_append_string(&out, " ");
		append_shown(&out, ask->value, REASON_BYTES / 16);
	}
	return buffer_steal(&out);
}

static int add(struct gate_decision *decision, size_t index, const struct grant *ask,
	const struct outcome *outcome)
{
	size_t count = decision->parts_count;
	if ((count & (count - 1)) == 0) { /* 0, 1, 2, 4, ...: room for twice as many */
		struct part_decision *grown = reallocarray(
			decision->parts, count ? 2 * count : 1, sizeof(*decision->parts));
		if (!grown)
			return -ENOMEM;
		decision->parts = grown;
	}
	const struct gate_part *part = index == SIZE_MAX ? NULL : &decision->analysis->parts[index];
	struct part_decision *new = &decision->parts[count];
	*new = (struct part_decision){.part = index,
		.verdict = outcome->verdict,
		.rule = outcome->rule,
		.category = outcome->category,
		.reason = sentence(part, ask, outcome->reason)};
	snprintf(new->id, sizeof(new->id), "%s", outcome->id);
	if (!new->reason)
		return -ENOMEM;
	decision->parts_count++;
	return 0;
}

int decision_add(struct gate_decision *decision, size_t part, const struct grant *ask,
	const struct outcome *outcome)
{
	return add(decision, part, ask, outcome);
}

int decision_add_whole(struct gate_decision *decision, const struct outcome *outcome)
{
	return add(decision, SIZE_MAX, NULL, outcome);
}

/* How much a part's reason says of the whole, among parts of one verdict: that there is to be no
 * box goes before all else, and that something only reads says least. */
static int weight(const struct part_decision *part)
{
	if (part->category == CATEGORY_UNSANDBOXED)
		return 2;
	return strcmp(part->id, "safe") != 0;
}

/* The first of the gravest parts. */
static const struct part_decision *gravest(const struct gate_decision *decision)
{
	const struct part_decision *found = NULL;
	for (size_t i = 0; i < decision->parts_count; i++) {
		const struct part_decision *part = &decision->parts[i];
		if (!found || part->verdict > found->verdict ||
			(part->verdict == found->verdict && weight(part) > weight(found)))
			found = part;
	}
	return found;
}

static int conclude_grants(struct gate_decision *decision, const struct decider *d)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < d->grants_count; i++)
		r = grants_add(&decision->grants, &decision->grants_count, d->grants[i].kind,
			d->grants[i].value);
	for (size_t i = 0; r == 0 && i < d->request->asks_count; i++)
		r = grants_add(&decision->grants, &decision->grants_count, d->request->asks[i].kind,
			d->request->asks[i].value);
	return r;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The asks, in an order that does not depend on how they were given. */
static int append_asks(struct buffer *out, const struct gate_request *request)
{
	cleanup_strv struct strv asks = {0};
	for (size_t i = 0; i < request->asks_count; i++) {
		cleanup_buffer struct buffer ask = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
		buffer_append_format(&ask, "%s=%s", grant_kind_name(request->asks[i].kind),
			request->asks[i].value ? request->asks[i].value : "");
		char *text = buffer_steal(&ask);
		int r = text ? strv_add_owned(&asks, text) : -ENOMEM;
		if (r < 0)
			return r;
	}
	if (asks.count > 1)
		qsort(asks.items, asks.count, sizeof(*asks.items), compare_strings);
	for (size_t i = 0; i < asks.count; i++) {
		buffer_append_string(out, i ? "," : "");
		buffer_append_json(out, asks.items[i]);
	}
	return 0;
}

/* Bytes that buffer_append_json() would make alike stay apart: anything beyond printable ASCII is
 * written as its bytes. */
static void append_exact(struct buffer *out, const char *text, size_t length_bytes)
{
	buffer_append_string(out, "\"");
	const unsigned char *end = (const unsigned char *)text + length_bytes;
	for (const unsigned char *s = (const unsigned char *)text; s < end; s++)
		if (*s >= 0x20 && *s < 0x7f && *s != '"' && *s != '\\')
			buffer_append(out, s, 1);
		else
			buffer_append_format(out, "\\u%04x", *s);
	buffer_append_string(out, "\"");
}

/* Mode and policy are in it too: an answer under one is none under another. */
static int conclude_canonical(struct gate_decision *decision, const struct decider *d)
{
	const struct gate_request *request = d->request;
	cleanup_buffer struct buffer out = BUFFER_INIT(4 * MAX_ARGV_BYTES);
	buffer_append_format(
		&out, "{\"mode\":\"%s\",\"directory\":", policy_mode_name(request->mode));
	append_exact(&out, request->directory, strlen(request->directory));
	if (d->script) {
		buffer_append_string(&out, ",\"script\":");
		append_exact(&out, d->script, d->script_bytes);
	} else {
		buffer_append_string(&out, ",\"argv\":[");
		for (char *const *word = request->argv; word && *word; word++) {
			buffer_append_string(&out, word == request->argv ? "" : ",");
			append_exact(&out, *word, strlen(*word));
		}
		buffer_append_string(&out, "]");
	}
	if (request->input) {
		char hash[SHA256_HEX_BYTES];
		sha256_hex(request->input, request->input_bytes, hash);
		buffer_append_format(&out, ",\"input\":\"%s\"", hash);
	}
	buffer_append_string(&out, ",\"asks\":[");
	int r = append_asks(&out, request);
	buffer_append_string(&out, "]}");
	if (r == 0)
		r = buffer_error(&out);
	decision->canonical = r == 0 ? buffer_steal(&out) : NULL;
	return r < 0 ? r : decision->canonical ? 0 : -ENOMEM;
}

bool gate_only_the_command_asks(const struct gate_decision *decision)
{
	for (size_t i = 0; i < decision->parts_count; i++) {
		const struct part_decision *part = &decision->parts[i];
		if (part->verdict != VERDICT_ALLOW && (part->rule || part->part == SIZE_MAX))
			return false;
	}
	return true;
}

int decision_conclude(struct gate_decision *decision, const struct decider *d)
{
	const struct part_decision *decides = gravest(decision);
	/* Nothing to run: an empty script, a comment. */
	decision->verdict = decides ? decides->verdict : VERDICT_ALLOW;
	decision->category = decides ? decides->category : CATEGORY_COMMAND;
	decision->reason = strdup(decides ? decides->reason : "there is nothing to run");
	if (!decision->reason)
		return -ENOMEM;
	int r = conclude_grants(decision, d);
	r = r < 0 ? r : conclude_canonical(decision, d);
	return r < 0 ? r : decision_prefix(decision, d);
}

void gate_decision_free(struct gate_decision *decision)
{
	if (!decision)
		return;
	for (size_t i = 0; i < decision->parts_count; i++)
		free(decision->parts[i].reason);
	free(decision->parts);
	free(decision->reason);
	free(decision->canonical);
	grants_free(decision->grants, decision->grants_count);
	strv_release(&decision->rule_prefix);
	analysis_free(decision->analysis);
	free(decision);
}
