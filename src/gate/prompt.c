#include "gate/prompt.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <string.h>

enum {
	QUESTION_BYTES_MAX = 8 * MAX_ARGV_BYTES, /* every byte of a command may be shown as \xff */
	LINE_BYTES_MAX = 64 * 1024,
};

/* The question as it is written, and what of it had no room. */
struct sheet {
	struct buffer *out;
	const struct approval_request *request;
	const struct prompt_room *room;
	const struct show_style *style;
	bool folded; /* of what a yes is about, not all is here */
};

static const char indent[] = "         ";

static void append_bold(struct buffer *out, const char *text, const struct show_style *style)
{
	buffer_append_format(out, "%s%s%s", style->attributes ? "\033[1m" : "", text,
		style->attributes ? "\033[22m" : "");
}

/* A labelled text, which cannot reach the column of the labels whatever it holds. Returns whether
 * all of it was shown. */
static bool append_field(struct sheet *sheet, const char *label, const char *text)
{
	struct buffer *out = sheet->out, rows = BUFFER_INIT(QUESTION_BYTES_MAX);
	size_t hidden =
		show_rows(&rows, text, indent, indent, sheet->room->field_rows, sheet->style);
	buffer_append_format(out, "  %-6s ", label);
	if (buffer_error(&rows) == 0)
		buffer_append_string(out, rows.data + strlen(indent));
	else
		out->error = buffer_error(&rows);
	if (hidden)
		buffer_append_format(out, "%s(%zu characters more)\n", indent, hidden);
	buffer_release(&rows);
	return hidden == 0;
}

static void append_more(struct sheet *sheet, size_t count, const char *what)
{
	if (count)
		buffer_append_format(sheet->out, "%sand %zu more %s%s\n", indent, count, what,
			count > 1 ? "s" : "");
}

static bool has_room(const struct sheet *sheet, size_t shown)
{
	return !sheet->room->items || shown < sheet->room->items;
}

static void append_command(struct sheet *sheet)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(QUESTION_BYTES_MAX),
				     note = BUFFER_INIT(128);
	quote_words(sheet->request->request->argv, !sheet->style->utf8, &line);
	if (buffer_error(&line) || !line.data) {
		sheet->out->error = buffer_error(&line) ? buffer_error(&line) : -EINVAL;
		return;
	}
	size_t hidden = show_rows(
		sheet->out, line.data, "  | ", "    ", sheet->room->command_rows, sheet->style);
	if (hidden == 0)
		return;
	sheet->folded = true;
	buffer_append_format(&note, "  ... %zu characters more; v shows all of it", hidden);
	append_bold(sheet->out, note.data ? note.data : "", sheet->style);
	buffer_append_string(sheet->out, "\n");
}

/* Letters of other scripts can look like ASCII's: that there are any is said. */
static void append_foreign(struct sheet *sheet)
{
	enum { NAMED_MAX = 4 };
	char *const *argv = sheet->request->request->argv;
	unsigned named[NAMED_MAX], named_count = 0, count = 0;
	for (size_t i = 0; argv[i] && sheet->style->utf8; i++)
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
	append_field(sheet, "note", text.data);
}

/* What it reads may be its program. */
static void append_input(struct sheet *sheet)
{
	const struct gate_request *request = sheet->request->request;
	cleanup_buffer struct buffer text = BUFFER_INIT(LINE_BYTES_MAX);
	if (!request->input)
		return;
	buffer_append_format(&text, "%zu bytes: ", request->input_bytes);
	if (approval_input_text(request, &text) < 0)
		sheet->out->error = buffer_error(&text);
	else if (!append_field(sheet, "input", text.data))
		sheet->folded = true;
}

static void append_wants(struct sheet *sheet)
{
	static const char *const wants[] = {
		[GRANT_WRITE] = "to write below ",
		[GRANT_NETWORK] = "to reach ",
		[GRANT_UNSANDBOXED] = "to run WITHOUT the box",
		[GRANT_SECRET] = "to read the secret ",
	};
	const struct gate_request *request = sheet->request->request;
	size_t shown = 0;
	for (; shown < request->asks_count && has_room(sheet, shown); shown++) {
		cleanup_buffer struct buffer text = BUFFER_INIT(LINE_BYTES_MAX);
		const struct grant *ask = &request->asks[shown];
		buffer_append_string(&text, wants[ask->kind]);
		buffer_append_string(&text, ask->value ? ask->value : "");
		if (buffer_error(&text))
			sheet->out->error = buffer_error(&text);
		else if (!append_field(sheet, shown ? "" : "wants", text.data))
			sheet->folded = true;
	}
	append_more(sheet, request->asks_count - shown, "request");
	sheet->folded = sheet->folded || shown < request->asks_count;
}

static void append_part(struct sheet *sheet, const struct part_decision *part, const char *label)
{
	const struct analysis *analysis = sheet->request->decision->analysis;
	cleanup_buffer struct buffer text = BUFFER_INIT(LINE_BYTES_MAX);
	if (analysis && part->part < analysis->count) {
		const struct gate_part *source = &analysis->parts[part->part];
		if (source->line)
			buffer_append_format(&text, "line %u: ", source->line);
		/* A reason that begins with a word in back quotes names the part itself. */
		if (part->reason && part->reason[0] != '`') {
			quote_words(source->argv.items, !sheet->style->utf8, &text);
			buffer_append_string(&text, ": ");
		}
	}
	if (part->reason)
		buffer_append_string(&text, part->reason);
	if (part->rule)
		buffer_append_format(
			&text, " (%s:%u)", part->rule->place.file, part->rule->place.line);
	bool ok = buffer_error(&text) == 0 && text.data;
	append_field(sheet, label, ok ? text.data : "a part that is too long to be shown");
}

/* Whether the part says no more than the reason for the whole does. */
static bool is_said(const struct gate_decision *decision, const struct part_decision *part)
{
	return !part->rule &&
	       (decision->parts_count == 1 || !part->reason ||
		       (decision->reason && strcmp(part->reason, decision->reason) == 0));
}

/* The reason for the whole; and for each part that asks for another one. */
static void append_why(struct sheet *sheet)
{
	const struct gate_decision *decision = sheet->request->decision;
	append_field(sheet, "why", decision->reason ? decision->reason : "no reason given");
	size_t asking = 0, shown = 0;
	for (size_t i = 0; i < decision->parts_count; i++) {
		const struct part_decision *part = &decision->parts[i];
		if (part->verdict != VERDICT_ASK || is_said(decision, part))
			continue;
		asking++;
		if (has_room(sheet, shown))
			append_part(sheet, part, shown++ ? "" : "also");
	}
	append_more(sheet, asking - shown, "part");
}

static void append_new_part(struct sheet *sheet, const json_t *part, const char *label)
{
	const struct analysis *analysis = sheet->request->decision->analysis;
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
	append_field(sheet, label, buffer_error(&text) ? "much" : text.data);
}

static void append_new(struct sheet *sheet)
{
	json_t *new = session_answers_novelty(sheet->request->before, sheet->request);
	const json_t *parts = json_object_get(new, "parts");
	size_t shown = 0;
	for (; shown < json_array_size(parts) && has_room(sheet, shown); shown++)
		append_new_part(sheet, json_array_get(parts, shown), shown ? "" : "new");
	append_more(sheet, json_array_size(parts) - shown, "part");
	if (json_is_true(json_object_get(new, "directory")))
		append_field(
			sheet, shown++ ? "" : "new", "nothing was approved in this directory yet");
	if (json_array_size(json_object_get(new, "asks")))
		append_field(sheet, shown++ ? "" : "new", "what it wants was not granted before");
	if (json_is_object(new) && shown == 0)
		append_field(sheet, "new", "nothing; each part was approved before");
	if (!new)
		sheet->out->error = -ENOMEM;
	json_decref(new);
}

int prompt_question(const struct approval_request *request, const struct prompt_room *room,
	const struct show_style *style, struct buffer *out, bool *ret_folded)
{
	struct sheet sheet = {.out = out, .request = request, .room = room, .style = style};
	cleanup_buffer struct buffer where = BUFFER_INIT(LINE_BYTES_MAX);
	buffer_append_format(&where, "%s (%s)", request->request->directory,
		policy_mode_name(request->request->mode));
	buffer_append_string(out, "\n");
	append_bold(out,
		request->after_failure ? "coffer asks: may this run again, with more?"
				       : "coffer asks: may this run?",
		style);
	buffer_append_string(out, "\n");
	append_command(&sheet);
	append_input(&sheet);
	append_foreign(&sheet);
	append_field(&sheet, "in", buffer_error(&where) ? "?" : where.data);
	append_wants(&sheet);
	append_why(&sheet);
	if (request->after_failure)
		append_field(&sheet, "failed", request->after_failure);
	append_new(&sheet);
	if (request->justification)
		append_field(&sheet, "agent", request->justification);
	*ret_folded = sheet.folded;
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
	       (choice != CHOICE_ALWAYS || offer->always) &&
	       (choice != CHOICE_EDIT || offer->edit) && (choice != CHOICE_VIEW || offer->view);
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
