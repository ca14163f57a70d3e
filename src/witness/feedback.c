/* Theory of operation. Refusals are put in the order of their weight: what was to be changed, then
 * the network, then what was to be read, last what a program only looked for. A run that succeeded
 * was refused nothing that mattered to it but what it was to change or reach; the rest is in the
 * report. Names are the box's own choice: cut, and escaped. */
#include "witness/feedback.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

enum weight { WEIGHT_CHANGE, WEIGHT_NETWORK, WEIGHT_OTHER, WEIGHT_READ, WEIGHT_LOOK, WEIGHTS };

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static enum weight weight_of(const json_t *denial)
{
	static const struct {
		const char *promise;
		enum weight weight;
	} table[] = {{"P1", WEIGHT_CHANGE}, {"P2", WEIGHT_CHANGE}, {"P3", WEIGHT_NETWORK},
		{"P4", WEIGHT_READ}};
	if (strcmp(string_of(denial, "errno"), "ENOENT") == 0)
		return WEIGHT_LOOK;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].promise, string_of(denial, "promise")) == 0)
			return table[i].weight;
	return WEIGHT_OTHER;
}

static void put_name(struct buffer *text, const char *name)
{
	size_t length = strlen(name);
	for (const unsigned char *s = (const unsigned char *)name; *s;) {
		size_t bytes = utf8_sequence(s);
		unsigned character = bytes ? utf8_character(s, bytes) : *s;
		if ((size_t)((const char *)s - name) >= MAX_FEEDBACK_WORD_BYTES) {
			buffer_append_format(text, "... (%zu bytes)", length);
			return;
		}
		if (bytes == 0 || (bytes == 1 && utf8_is_control(character)))
			buffer_append_format(text, "\\x%02x", *s);
		else if (utf8_is_control(character))
			buffer_append_format(text, "\\u%04x", character);
		else
			buffer_append(text, s, bytes);
		s += bytes ? bytes : 1;
	}
}

/* "sh: open /etc/x: outside of the writable roots" */
static void put_what(struct buffer *text, const json_t *denial)
{
	const char *program = string_of(denial, "program"), *target = string_of(denial, "target");
	const char *resolved = string_of(denial, "resolved");
	put_name(text, *program ? program : "a program");
	buffer_append_format(text, ": %s ", string_of(denial, "call"));
	put_name(text, target);
	if (*resolved && strcmp(resolved, target) != 0) {
		buffer_append_string(text, " (");
		put_name(text, resolved);
		buffer_append_string(text, ")");
	}
	json_int_t count = json_integer_value(json_object_get(denial, "count"));
	if (count > 1)
		buffer_append_format(text, " (%lld times)", (long long)count);
	buffer_append_string(text, ": ");
	put_name(text, string_of(denial, "reason"));
}

static void put_cure(struct buffer *text, const json_t *denial)
{
	const char *flags = string_of(denial, "allow_with");
	const char *rule = string_of(denial, "rule");
	if (strcmp(rule, "default") != 0 && *rule) {
		buffer_append_string(text, " [");
		put_name(text, rule);
		buffer_append_string(text, "]");
	}
	if (*flags) {
		buffer_append_string(text, "; allow with ");
		put_name(text, flags);
	}
}

static bool failed(const json_t *report)
{
	const json_t *exit = json_object_get(report, "exit");
	return json_integer_value(json_object_get(exit, "code")) != 0;
}

/* Whether it is worth a person's eye. */
static bool is_told(const json_t *report, const json_t *denial, enum feedback_form form)
{
	enum weight weight = weight_of(denial);
	if (form == FEEDBACK_NETWORK)
		return weight == WEIGHT_NETWORK;
	if (form != FEEDBACK_BLOCK || failed(report))
		return true;
	return weight == WEIGHT_NETWORK ||
	       (weight == WEIGHT_CHANGE && *string_of(denial, "allow_with"));
}

/* In the order of their weight. *ret_more is how many of those found no room. */
static json_t *choose(
	const json_t *report, enum feedback_form form, size_t room, long long *ret_more)
{
	json_t *chosen = json_array();
	const json_t *denials = json_object_get(report, "denials");
	*ret_more = 0;
	for (int weight = 0; weight < WEIGHTS; weight++) {
		for (size_t i = 0; i < json_array_size(denials); i++) {
			json_t *denial = json_array_get(denials, i);
			if ((int)weight_of(denial) != weight || !is_told(report, denial, form))
				continue;
			if (json_array_size(chosen) < room)
				json_array_append(chosen, denial);
			else
				++*ret_more;
		}
	}
	return chosen;
}

static void put_block(struct buffer *text, const json_t *chosen, long long more)
{
	size_t i;
	json_t *denial;
	json_array_foreach((json_t *)chosen, i, denial)
	{
		buffer_append_string(text, "coffer: refused: ");
		put_what(text, denial);
		put_cure(text, denial);
		buffer_append_string(text, "\n");
	}
	if (more > 0)
		buffer_append_format(
			text, "coffer: refused: %lld more; --report FILE has them all\n", more);
}

static void put_possible(struct buffer *text, const json_t *report)
{
	const json_t *possible = json_object_get(report, "possible");
	const json_t *write = json_object_get(possible, "write");
	const char *network = string_of(possible, "network");
	size_t i;
	json_t *place;
	buffer_append_string(text, "Still possible: write below ");
	json_array_foreach((json_t *)write, i, place)
	{
		if (i >= MAX_FEEDBACK_LINES)
			break;
		if (i > 0)
			buffer_append_string(text, ", ");
		put_name(text, json_string_value(place));
	}
	if (json_array_size(write) == 0)
		buffer_append_string(text, "nothing");
	buffer_append_string(text, "; read what is not hidden; network: ");
	put_name(text, network);
	buffer_append_string(text, ".\n");
}

static void put_ending(struct buffer *text, const json_t *report)
{
	const json_t *exit = json_object_get(report, "exit");
	json_int_t code = json_integer_value(json_object_get(exit, "code"));
	const char *cause = string_of(report, "cause");
	buffer_append_string(text, "[coffer] ");
	if (strcmp(cause, "exited") == 0)
		buffer_append_format(text, "The command ended with %lld", (long long)code);
	else
		buffer_append_format(text, "The command ended: %s", cause);
}

static void put_text(
	struct buffer *text, const json_t *report, const json_t *chosen, long long more)
{
	size_t i, count = json_array_size(chosen);
	json_t *denial;
	put_ending(text, report);
	if (count == 0) {
		buffer_append_string(text, "; the box refused nothing that it knows of.\n");
		return;
	}
	buffer_append_string(text, "; the box refused:\n");
	json_array_foreach((json_t *)chosen, i, denial)
	{
		buffer_append_string(text, "- ");
		put_what(text, denial);
		put_cure(text, denial);
		if (!*string_of(denial, "allow_with"))
			buffer_append_string(text, "; nothing allows it");
		buffer_append_string(text, "\n");
	}
	if (more > 0)
		buffer_append_format(text, "- and %lld more\n", more);
	put_possible(text, report);
}

static char *make_json(const json_t *report, const json_t *chosen, long long more)
{
	json_t *object =
		json_pack("{s:O?, s:O?, s:O, s:I, s:O?}", "cause", json_object_get(report, "cause"),
			"exit", json_object_get(report, "exit"), "denials", chosen, "denials_more",
			(json_int_t)more, "possible", json_object_get(report, "possible"));
	cleanup_free char *line =
		object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	char *text = NULL;
	if (!line || asprintf(&text, "%s\n", line) < 0)
		text = NULL;
	json_decref(object);
	return text;
}

char *feedback_make(const json_t *report, enum feedback_form form)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_FEEDBACK_BYTES);
	bool short_form = form == FEEDBACK_BLOCK || form == FEEDBACK_NETWORK;
	/* A line is kept for the rest. */
	size_t room = short_form ? MAX_FEEDBACK_LINES - 1 : MAX_FEEDBACK_ITEMS;
	long long more;
	json_t *chosen = choose(report, form, room, &more);
	char *made = NULL;
	if (form == FEEDBACK_JSON) {
		made = make_json(report, chosen, more);
	} else if (short_form) {
		put_block(&text, chosen, more);
	} else {
		put_text(&text, report, chosen, more);
	}
	json_decref(chosen);
	if (form != FEEDBACK_JSON && text.length_bytes > 0 && buffer_error(&text) == 0)
		made = buffer_steal(&text);
	return made;
}
