/* The question and its answer as JSON. What a box, a model or a stranger's file may have written
 * stands in the fields that "untrusted" names, and nowhere else. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "gate/json_text.h"
#include "gate/settle.h"
#include "gate/show.h"

#include <string.h>
#include <sys/random.h>

enum {
	PARTS_MAX = 512,
	USER_WORDS_MAX = 32,
	WORDS_BYTES_MAX = 8192, /* of each of the user's prompts, and of a justification */
	REASON_BYTES_MAX = 4096,
	INPUT_BYTES_MAX = 16 * 1024,
};

static const char *const grant_names[] = {
	[GRANT_WRITE] = "write",
	[GRANT_NETWORK] = "network",
	[GRANT_UNSANDBOXED] = "unsandboxed",
	[GRANT_SECRET] = "secret",
};

json_t *json_text_max(const char *text, size_t bytes_max)
{
	if (!text)
		return json_null();
	/* Each byte that is no UTF-8 becomes the three of U+FFFD. */
	cleanup_buffer struct buffer clean = BUFFER_INIT(3 * (size_t)MAX_ARGV_BYTES);
	const unsigned char *s = (const unsigned char *)text;
	while (*s && clean.length_bytes < bytes_max) {
		size_t length = utf8_sequence(s);
		buffer_append(
			&clean, length ? (const char *)s : "\xef\xbf\xbd", length ? length : 3);
		s += length ? length : 1;
	}
	if (*s)
		buffer_append_format(&clean, " [%zu bytes more]", strlen((const char *)s));
	if (buffer_error(&clean))
		return NULL;
	return json_stringn_nocheck(clean.data ? clean.data : "", clean.length_bytes);
}

json_t *json_text(const char *text)
{
	return json_text_max(text, SIZE_MAX);
}

json_t *json_texts(char *const texts[])
{
	json_t *array = json_array();
	for (size_t i = 0; array && texts && texts[i]; i++)
		if (json_array_append_new(array, json_text(texts[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

const char *json_grant_name(enum grant_kind kind)
{
	return grant_names[kind];
}

json_t *json_grants(const struct grant *grants, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < count; i++) {
		json_t *grant = json_pack("{s:s, s:o}", "kind", grant_names[grants[i].kind],
			"value", json_text(grants[i].value));
		if (json_array_append_new(array, grant) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *part_json(const struct approval_request *request, const struct part_decision *part)
{
	const struct analysis *analysis = request->decision->analysis;
	const struct gate_part *source =
		analysis && part->part < analysis->count ? &analysis->parts[part->part] : NULL;
	cleanup_buffer struct buffer place = BUFFER_INIT(MAX_PATH_BYTES + 32);
	if (part->rule)
		buffer_append_format(
			&place, "%s:%u", part->rule->place.file, part->rule->place.line);
	return json_pack("{s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o}", "part",
		source ? json_integer((json_int_t)part->part) : json_null(), "argv",
		source ? json_texts(source->argv.items) : json_null(), "decision",
		verdict_name(part->verdict), "category", approval_category_name(part->category),
		"id", part->id, "rule", json_text(place.data), "reason", json_text(part->reason),
		"line", source && source->line ? json_integer(source->line) : json_null());
}

/* The gravest ones, if not all: a person's attention and a message are both bounded. */
static json_t *parts_json(const struct approval_request *request, size_t *ret_left_out)
{
	const struct gate_decision *decision = request->decision;
	json_t *array = json_array();
	size_t left = decision->parts_count;
	for (int verdict = VERDICT_FORBID; array && verdict >= VERDICT_ALLOW; verdict--)
		for (size_t i = 0; i < decision->parts_count; i++) {
			if ((int)decision->parts[i].verdict != verdict ||
				json_array_size(array) == PARTS_MAX)
				continue;
			if (json_array_append_new(array, part_json(request, &decision->parts[i])) <
				0) {
				json_decref(array);
				return NULL;
			}
			left--;
		}
	*ret_left_out = left;
	return array;
}

static json_t *user_words_json(const char *const *words)
{
	json_t *array = json_array();
	size_t count = 0;
	while (words && words[count])
		count++;
	for (size_t i = count > USER_WORDS_MAX ? count - USER_WORDS_MAX : 0; array && i < count;
		i++)
		if (json_array_append_new(array, json_text_max(words[i], WORDS_BYTES_MAX)) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* NULL only when out of memory: JSON's null where there is no rule to suggest. */
static json_t *rule_json(const struct approval_request *request)
{
	cleanup_buffer struct buffer rule = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	if (!request->suggest_rule || rule_text(request, &rule) < 0)
		return json_null();
	return json_text(rule.data);
}

static const struct {
	const char *name;
	enum answer_kind kind;
} answer_names[] = {
	{"once", ANSWER_ONCE},
	{"session", ANSWER_SESSION},
	{"always", ANSWER_ALWAYS},
	{"edit", ANSWER_EDIT},
	{"no", ANSWER_NO},
	{"stop", ANSWER_STOP},
};

/* What may be answered: "session" where there is one, "always" where a rule can say it, "edit"
 * where another command could be run. */
static json_t *answers_json(bool session, bool always, bool edit)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < ARRAY_SIZE(answer_names); i++) {
		enum answer_kind kind = answer_names[i].kind;
		if ((kind == ANSWER_SESSION && !session) || (kind == ANSWER_ALWAYS && !always) ||
			(kind == ANSWER_EDIT && !edit))
			continue;
		if (json_array_append_new(array, json_string(answer_names[i].name)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* Names a question so that nobody can answer one that they have not seen. */
static json_t *id_json(void)
{
	unsigned char random[12];
	char id[2 * sizeof(random) + 1];
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return NULL;
	for (size_t i = 0; i < sizeof(random); i++)
		sprintf(id + 2 * i, "%02x", random[i]);
	return json_string(id);
}

/* Sets a new value; false: either could not be made. */
static bool put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new_nocheck(object, key, value) == 0;
}

int approval_input_text(const struct gate_request *request, struct buffer *out)
{
	size_t more =
		request->input_bytes > INPUT_BYTES_MAX ? request->input_bytes - INPUT_BYTES_MAX : 0;
	for (size_t i = 0; i < request->input_bytes - more; i++) /* a NUL is no end: it is shown */
		buffer_append(out, request->input[i] ? &request->input[i] : "\xff", 1);
	if (more)
		buffer_append_format(out, " [%zu bytes more]", more);
	buffer_append_string(out, "");
	return buffer_error(out);
}

/* Says what the command reads, where there is anything. */
static bool put_input(json_t *object, const struct gate_request *request)
{
	if (!request->input)
		return true;
	cleanup_buffer struct buffer text = BUFFER_INIT(INPUT_BYTES_MAX + 64);
	json_t *untrusted = json_object_get(object, "untrusted");
	return approval_input_text(request, &text) == 0 &&
	       put(object, "input",
		       json_pack("{s:I, s:o}", "bytes", (json_int_t)request->input_bytes, "text",
			       json_text(text.data))) &&
	       json_array_append_new(untrusted, json_string("input")) == 0;
}

json_t *approval_request_json(const struct approval_request *request)
{
	const struct gate_request *asked = request->request;
	const struct gate_decision *decision = request->decision;
	cleanup_free char *shell = quote_command(asked->argv);
	json_t *object = json_object(), *rule = rule_json(request);
	bool always = rule && !json_is_null(rule);
	size_t left_out = 0;
	if (shell && put(object, "type", json_string("approval_request")) &&
		put(object, "version", json_integer(1)) && put(object, "id", id_json()) &&
		put(object, "kind", json_string(request->after_failure ? "retry" : "command")) &&
		put(object, "mode", json_string(policy_mode_name(asked->mode))) &&
		put(object, "category", json_string(approval_category_name(decision->category))) &&
		put(object, "directory", json_text(asked->directory)) &&
		put(object, "answers", answers_json(request->before, always, !request->fixed)) &&
		put(object, "user_words", user_words_json(request->user_words)) &&
		put(object, "suggested_rule", json_incref(rule)) &&
		put(object, "command", json_texts(asked->argv)) &&
		put(object, "shell", json_text(shell)) &&
		put(object, "reason", json_text(decision->reason)) &&
		put(object, "parts", parts_json(request, &left_out)) &&
		put(object, "parts_left_out", json_integer((json_int_t)left_out)) &&
		put(object, "asks", json_grants(asked->asks, asked->asks_count)) &&
		put(object, "grants", json_grants(decision->grants, decision->grants_count)) &&
		put(object, "new", session_answers_novelty(request->before, request)) &&
		put(object, "justification",
			json_text_max(request->justification, WORDS_BYTES_MAX)) &&
		put(object, "after_failure",
			json_text_max(request->after_failure, WORDS_BYTES_MAX)) &&
		put(object, "untrusted",
			json_pack("[sssssssssss]", "directory", "suggested_rule", "command",
				"shell", "reason", "parts", "asks", "grants", "new",
				"justification", "after_failure")) &&
		put_input(object, asked)) {
		json_decref(rule);
		return object;
	}
	json_decref(rule);
	json_decref(object);
	return NULL;
}

void approval_answer_release(struct approval_answer *answer)
{
	free(answer->reason);
	strv_release(&answer->argv);
	*answer = (struct approval_answer){.kind = ANSWER_NO, .by = "nobody"};
}

static int argv_from_json(const json_t *array, struct strv *ret, struct error *error)
{
	size_t total = 0;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *word = json_array_get(array, i);
		const char *text = json_string_value(word);
		total += json_string_length(word) + 1;
		if (!text || strlen(text) != json_string_length(word) || total > MAX_ARGV_BYTES)
			return error_set(error, EINVAL, "approval",
				"the answer's \"command\" is not a list of %d bytes of strings at "
				"most",
				MAX_ARGV_BYTES);
		if (strv_add(ret, text) < 0)
			return error_set(error, ENOMEM, "approval", "out of memory");
	}
	if (ret->count == 0 || !*ret->items[0])
		return error_set(
			error, EINVAL, "approval", "the answer is \"edit\" without a \"command\"");
	return 0;
}

int approval_answer_from_json(const json_t *json, struct approval_answer *ret, struct error *error)
{
	*ret = (struct approval_answer){.kind = ANSWER_NO, .by = "host"};
	const json_t *reason = json_object_get(json, "reason");
	const char *decision = json_string_value(json_object_get(json, "decision"));
	size_t i = 0;
	while (i < ARRAY_SIZE(answer_names) && decision &&
		strcmp(answer_names[i].name, decision) != 0)
		i++;
	if (!decision || i == ARRAY_SIZE(answer_names))
		return error_set(error, EINVAL, "approval",
			"the answer's \"decision\" is none of once, session, always, edit, no, "
			"stop");
	if (reason && !json_is_null(reason) && !json_is_string(reason))
		return error_set(error, EINVAL, "approval", "the answer's \"reason\" is no string");
	if (json_is_string(reason)) {
		ret->reason = strndup(json_string_value(reason), REASON_BYTES_MAX);
		if (!ret->reason)
			return error_set(error, ENOMEM, "approval", "out of memory");
	}
	int r = 0;
	if (answer_names[i].kind == ANSWER_EDIT)
		r = argv_from_json(json_object_get(json, "command"), &ret->argv, error);
	if (r < 0)
		approval_answer_release(ret);
	else
		ret->kind = answer_names[i].kind;
	return r;
}
