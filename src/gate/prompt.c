#include "gate/prompt.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <string.h>

enum {
	QUESTION_BYTES_MAX = 8 * MAX_ARGV_BYTES, /* every byte of a command may be shown as \xff */
	FIELD_ROWS_MAX = 4,
	PARTS_SHOWN_MAX = 5,
	LINE_BYTES_MAX = 64 * 1024,
};

static void append_bold(struct buffer *out, const char *text, const struct show_style *style)
{
	buffer_append_format(out, "%s%s%s", style->attributes ? "\033[1m" : "", text,
		style->attributes ? "\033[22m" : "");
}

/* A labelled text, which cannot reach the column of the labels whatever it holds. */
static void append_field(
	struct buffer *out, const char *label, const char *text, const struct show_style *style)
{
	char first[16];
	static const char next[] = "         ";
	snprintf(first, sizeof(first), "  %-6s ", label);
	struct buffer rows = BUFFER_INIT(QUESTION_BYTES_MAX);
	/* Newlines within a field begin at its own indent. */
	size_t hidden = show_rows(&rows, text, next, next, FIELD_ROWS_MAX, style);
	buffer_append_string(out, first);
	if (buffer_error(&rows) == 0)
		buffer_append_string(out, rows.data + strlen(next));
	else
		out->error = buffer_error(&rows);
	if (hidden)
		buffer_append_format(out, "%s(%zu characters more)\n", next, hidden);
	buffer_release(&rows);
}

static size_t append_command(struct buffer *out, const struct approval_request *request,
	size_t rows_max, const struct show_style *style)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(QUESTION_BYTES_MAX);
	quote_words(request->request->argv, !style->utf8, &line);
	if (buffer_error(&line) || !line.data) {
		out->error = buffer_error(&line) ? buffer_error(&line) : -EINVAL;
		return 0;
	}
	size_t hidden = show_rows(out, line.data, "  | ", "    ", rows_max, style);
	if (hidden) {
		cleanup_buffer struct buffer note = BUFFER_INIT(128);
		buffer_append_format(&note, "  ... %zu characters more; v shows all of it", hidden);
		append_bold(out, note.data ? note.data : "", style);
		buffer_append_string(out, "\n");
	}
	return hidden;
}

/* Letters of other scripts can look like ASCII's: that there are any is said. */
static void append_foreign(struct buffer *out, char *const argv[], const struct show_style *style)
{
	enum { NAMED_MAX = 4 };
	unsigned named[NAMED_MAX], named_count = 0, count = 0;
	for (size_t i = 0; argv[i] && style->utf8; i++)
		for (const unsigned char *s = (const unsigned char *)argv[i]; *s;) {
			size_t length = utf8_sequence(s);
			unsigned character = length > 1 ? utf8_character(s, length) : 0;
			s += length ? length : 1;
			if (!character || !show_is_seen(character))
				continue;
			count++;
			unsigned j = 0;
			while (j < named_count && named[j] != character)
				j++;
			if (j == named_count && named_count < NAMED_MAX)
				named[named_count++] = character;
		}
	if (count == 0)
		return;
	cleanup_buffer struct buffer text = BUFFER_INIT(256);
	buffer_append_format(&text, "%u character%s beyond ASCII:", count, count > 1 ? "s" : "");
	for (unsigned i = 0; i < named_count; i++)
		buffer_append_format(&text, " U+%04X", named[i]);
	buffer_append_string(&text, count > named_count ? " ..." : "");
	append_field(out, "note", text.data, style);
}

static void append_wants(
	struct buffer *out, const struct gate_request *request, const struct show_style *style)
{
	static const char *const wants[] = {
		[GRANT_WRITE] = "to write below ",
		[GRANT_NETWORK] = "to reach ",
		[GRANT_UNSANDBOXED] = "to run WITHOUT the box",
		[GRANT_SECRET] = "to read the secret ",
	};
	for (size_t i = 0; i < request->asks_count; i++) {
		cleanup_buffer struct buffer text = BUFFER_INIT(LINE_BYTES_MAX);
		const struct grant *ask = &request->asks[i];
		buffer_append_string(&text, wants[ask->kind]);
		buffer_append_string(&text, ask->value ? ask->value : "");
		append_field(out, i ? "" : "wants",
			buffer_error(&text) ? "more than can be shown" : text.data, style);
	}
}

static void append_part(struct buffer *out, const struct approval_request *request,
	const struct part_decision *part, const char *label, const struct show_style *style)
{
	const struct analysis *analysis = request->decision->analysis;
	cleanup_buffer struct buffer text = BUFFER_INIT(LINE_BYTES_MAX);
	if (analysis && part->part < analysis->count) {
		const struct gate_part *source = &analysis->parts[part->part];
		if (source->line)
			buffer_append_format(&text, "line %u: ", source->line);
		if (source->argv.count)
			quote_words(source->argv.items, !style->utf8, &text);
		else
			buffer_append_string(&text, source->text ? source->text : "?");
		buffer_append_string(&text, ": ");
	}
	if (part->reason)
		buffer_append_string(&text, part->reason);
	if (part->rule)
		buffer_append_format(
			&text, " (%s:%u)", part->rule->place.file, part->rule->place.line);
	append_field(out, label,
		buffer_error(&text) || !text.data ? "a part that is too long to be shown"
						  : text.data,
		style);
}

/* The reason for the whole; and for each part that asks, where there are several. */
static void append_why(
	struct buffer *out, const struct approval_request *request, const struct show_style *style)
{
	const struct gate_decision *decision = request->decision;
	append_field(out, "why", decision->reason ? decision->reason : "no reason given", style);
	size_t asking = 0, shown = 0;
	for (size_t i = 0; i < decision->parts_count; i++)
		asking += decision->parts[i].verdict == VERDICT_ASK;
	bool alone = decision->parts_count == 1 && !decision->parts[0].rule;
	for (size_t i = 0; i < decision->parts_count && shown < PARTS_SHOWN_MAX && !alone; i++)
		if (decision->parts[i].verdict == VERDICT_ASK)
			append_part(
				out, request, &decision->parts[i], shown++ ? "" : "parts", style);
	if (!alone && asking > shown)
		buffer_append_format(out, "         and %zu parts more that ask\n", asking - shown);
}

static void append_new_part(struct buffer *out, const struct approval_request *request,
	const json_t *part, const char *label, const struct show_style *style)
{
	const struct analysis *analysis = request->decision->analysis;
	size_t index = (size_t)json_integer_value(json_object_get(part, "part"));
	const json_t *words = json_object_get(part, "words");
	cleanup_buffer struct buffer text = BUFFER_INIT(LINE_BYTES_MAX);
	buffer_append_string(&text, analysis->parts[index].argv.items[0]);
	if (json_is_true(json_object_get(part, "program")))
		buffer_append_string(&text, ": the first time in this session");
	else if (json_array_size(words) == 0)
		buffer_append_string(&text, ": words that were approved, put together anew");
	else
		buffer_append_string(&text, " was approved before, but not with");
	for (size_t i = 0; i < json_array_size(words); i++) {
		buffer_append_string(&text, i ? ", " : " ");
		buffer_append_string(&text, json_string_value(json_array_get(words, i)));
	}
	append_field(out, label, buffer_error(&text) ? "much" : text.data, style);
}

static void append_new(
	struct buffer *out, const struct approval_request *request, const struct show_style *style)
{
	json_t *new = session_answers_novelty(request->before, request);
	const json_t *parts = json_object_get(new, "parts");
	size_t shown = 0;
	for (size_t i = 0; i < json_array_size(parts) && i < PARTS_SHOWN_MAX; i++)
		append_new_part(
			out, request, json_array_get(parts, i), shown++ ? "" : "new", style);
	if (json_array_size(parts) > PARTS_SHOWN_MAX)
		buffer_append_format(out, "         and %zu parts more\n",
			json_array_size(parts) - PARTS_SHOWN_MAX);
	if (json_is_true(json_object_get(new, "directory")))
		append_field(out, shown++ ? "" : "new",
			"nothing was approved in this directory yet", style);
	if (json_array_size(json_object_get(new, "asks")))
		append_field(
			out, shown++ ? "" : "new", "what it wants was not granted before", style);
	if (json_is_object(new) && shown == 0)
		append_field(out, "new", "nothing; each part was approved before", style);
	if (!new)
		out->error = -ENOMEM;
	json_decref(new);
}

int prompt_question(const struct approval_request *request, size_t command_rows,
	const struct show_style *style, struct buffer *out, size_t *ret_hidden)
{
	cleanup_buffer struct buffer where = BUFFER_INIT(LINE_BYTES_MAX);
	buffer_append_format(&where, "%s (%s)", request->request->directory,
		policy_mode_name(request->request->mode));
	buffer_append_string(out, "\n");
	append_bold(out,
		request->after_failure ? "coffer asks: may this run again, with more?"
				       : "coffer asks: may this run?",
		style);
	buffer_append_string(out, "\n");
	*ret_hidden = append_command(out, request, command_rows, style);
	append_foreign(out, request->request->argv, style);
	append_field(out, "in", buffer_error(&where) ? "?" : where.data, style);
	append_wants(out, request->request, style);
	append_why(out, request, style);
	if (request->after_failure)
		append_field(out, "failed", request->after_failure, style);
	append_new(out, request, style);
	if (request->justification)
		append_field(out, "agent", request->justification, style);
	return buffer_error(out);
}

static const struct {
	char key;
	const char *word, *help;
} choices[CHOICES] = {
	[CHOICE_ONCE] = {'y', "yes", "once"},
	[CHOICE_SESSION] = {'s', "session", "for this session"},
	[CHOICE_ALWAYS] = {'a', "always", "always"},
	[CHOICE_EDIT] = {'e', "edit", "edit it"},
	[CHOICE_VIEW] = {'v', "view", "see all of it"},
	[CHOICE_NO] = {'n', "no", "no"},
	[CHOICE_REASON] = {'r', "reason", "no, and say why"},
	[CHOICE_STOP] = {'q', "stop", "no, and stop"},
};

static bool is_offered(enum prompt_choice choice, const struct prompt_offer *offer)
{
	return (choice != CHOICE_SESSION || offer->session) &&
	       (choice != CHOICE_ALWAYS || offer->always) && (choice != CHOICE_VIEW || offer->view);
}

int prompt_answers(
	const struct prompt_offer *offer, const struct show_style *style, struct buffer *out)
{
	unsigned column = 0;
	buffer_append_string(out, "\n");
	for (unsigned i = 0; i < CHOICES; i++) {
		char key[2] = {choices[i].key, '\0'};
		const char *name = offer->words ? choices[i].word : key;
		unsigned width = (unsigned)(strlen(name) + strlen(choices[i].help) + 3);
		if (!is_offered(i, offer))
			continue;
		if (column && column + width >= style->columns) {
			buffer_append_string(out, "\n");
			column = 0;
		}
		buffer_append_string(out, column ? "   " : "");
		append_bold(out, name, style);
		/* A word that explains itself is not explained. */
		if (strcmp(name, choices[i].help) != 0)
			buffer_append_format(out, " %s", choices[i].help);
		column += width;
	}
	buffer_append_string(out, offer->words ? "\nType the whole word, then Enter.\n" : "\n");
	return buffer_error(out);
}

enum prompt_choice prompt_choice(const char *typed, const struct prompt_offer *offer)
{
	for (unsigned i = 0; i < CHOICES; i++) {
		if (!is_offered(i, offer))
			continue;
		if (strcmp(typed, choices[i].word) == 0)
			return i;
		if (!offer->words && typed[0] == choices[i].key && !typed[1])
			return i;
	}
	return CHOICE_NONE;
}
