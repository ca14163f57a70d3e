#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/json_text.h"
#include "gate/settle.h"
#include "gate/show.h"

#include <string.h>

/* More than a person says yes to in a day; the search is linear, and asking costs seconds. */
enum {
	KEYS_MAX = 1024,
	NOTED_MAX = 1024,
	NOTED_WORDS_MAX = 256, /* a longer command is not noted, and new each time */
	NOTED_WORD_BYTES_MAX = 4096,
	PARTS_COMPARED_MAX = 512,
	WORDS_SHOWN_MAX = 16,
};

struct session_answers {
	struct strv keys;
	struct noted { /* one part of an approved command */
		struct strv argv;
	} noted[NOTED_MAX];
	size_t noted_count;
	struct strv directories;
	struct strv asks; /* "network example.com:443" */
};

int session_answers_new(struct session_answers **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void session_answers_free(struct session_answers *answers)
{
	if (!answers)
		return;
	for (size_t i = 0; i < answers->noted_count; i++)
		strv_release(&answers->noted[i].argv);
	strv_release(&answers->keys);
	strv_release(&answers->directories);
	strv_release(&answers->asks);
	free(answers);
}

bool session_answers_hold(const struct session_answers *answers, const char *canonical)
{
	return answers && canonical && strv_contains(&answers->keys, canonical);
}

int session_answers_add(struct session_answers *answers, const char *canonical)
{
	if (!canonical || !*canonical)
		return -EINVAL;
	if (session_answers_hold(answers, canonical))
		return 0;
	return answers->keys.count == KEYS_MAX ? -ENOBUFS : strv_add(&answers->keys, canonical);
}

static bool is_same_command(char *const a[], char *const b[])
{
	size_t i = 0;
	while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
		i++;
	return !a[i] && !b[i];
}

static bool is_short(const struct strv *argv)
{
	if (argv->count == 0 || argv->count > NOTED_WORDS_MAX)
		return false;
	for (size_t i = 0; i < argv->count; i++)
		if (strlen(argv->items[i]) > NOTED_WORD_BYTES_MAX)
			return false;
	return true;
}

static bool is_noted(const struct session_answers *answers, char *const argv[])
{
	for (size_t i = 0; i < answers->noted_count; i++)
		if (is_same_command(answers->noted[i].argv.items, argv))
			return true;
	return false;
}

static void note_once(struct strv *strv, const char *text)
{
	if (text && strv->count < KEYS_MAX && !strv_contains(strv, text))
		strv_add(strv, text);
}

/* An ask as one string, into text. */
static const char *ask_key(const char *kind, const char *value, struct buffer *text)
{
	buffer_clear(text);
	buffer_append_format(text, "%s %s", kind ? kind : "", value ? value : "");
	return buffer_error(text) ? NULL : text->data;
}

static const char *grant_key(const struct grant *grant, struct buffer *text)
{
	return ask_key(json_grant_name(grant->kind), grant->value, text);
}

static void note_part(struct session_answers *answers, const struct strv *argv)
{
	if (answers->noted_count < NOTED_MAX && is_short(argv) && !is_noted(answers, argv->items) &&
		strv_copy(&answers->noted[answers->noted_count].argv, argv->items) == 0)
		answers->noted_count++;
}

void session_answers_note(struct session_answers *answers, const struct approval_request *request)
{
	const struct analysis *analysis = request->decision->analysis;
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_PATH_BYTES * 2);
	for (size_t i = 0; analysis && i < analysis->count && i < PARTS_COMPARED_MAX; i++)
		note_part(answers, &analysis->parts[i].argv);
	note_once(&answers->directories, request->request->directory);
	for (size_t i = 0; i < request->request->asks_count; i++)
		note_once(&answers->asks, grant_key(&request->request->asks[i], &text));
}

static void note_part_json(struct session_answers *answers, const json_t *part)
{
	const json_t *words = json_object_get(part, "argv");
	cleanup_strv struct strv argv = {0};
	for (size_t i = 0; i < json_array_size(words) && i <= NOTED_WORDS_MAX; i++) {
		const char *word = json_string_value(json_array_get(words, i));
		if (!word || strv_add(&argv, word) < 0)
			return;
	}
	note_part(answers, &argv);
}

void session_answers_note_json(struct session_answers *answers, const json_t *question)
{
	const json_t *parts = json_object_get(question, "parts");
	const json_t *asks = json_object_get(question, "asks");
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_PATH_BYTES * 2);
	for (size_t i = 0; i < json_array_size(parts) && i < PARTS_COMPARED_MAX; i++)
		note_part_json(answers, json_array_get(parts, i));
	note_once(&answers->directories, json_string_value(json_object_get(question, "directory")));
	for (size_t i = 0; i < json_array_size(asks); i++) {
		const json_t *ask = json_array_get(asks, i);
		note_once(&answers->asks,
			ask_key(json_string_value(json_object_get(ask, "kind")),
				json_string_value(json_object_get(ask, "value")), &text));
	}
}

/* Whether any noted command of this program has the word (NULL: whether there is any). */
static bool program_had(
	const struct session_answers *answers, const char *program, const char *word)
{
	for (size_t i = 0; i < answers->noted_count; i++) {
		const struct strv *argv = &answers->noted[i].argv;
		if (strcmp(argv->items[0], program) == 0 && (!word || strv_contains(argv, word)))
			return true;
	}
	return false;
}

/* What is new in one part: null when that exact part was approved before. */
static json_t *part_novelty(
	const struct session_answers *answers, size_t index, const struct strv *argv)
{
	if (argv->count == 0 || is_noted(answers, argv->items))
		return json_null();
	bool program = !program_had(answers, argv->items[0], NULL);
	json_t *words = json_array();
	for (size_t i = 1; !program && words && i < argv->count && i < NOTED_WORDS_MAX; i++) {
		if (json_array_size(words) == WORDS_SHOWN_MAX)
			break;
		if (program_had(answers, argv->items[0], argv->items[i]))
			continue;
		if (json_array_append_new(words, json_text(argv->items[i])) < 0) {
			json_decref(words);
			words = NULL;
		}
	}
	return json_pack(
		"{s:I, s:b, s:o}", "part", (json_int_t)index, "program", program, "words", words);
}

static json_t *parts_novelty(const struct session_answers *answers, const struct analysis *analysis)
{
	json_t *parts = json_array();
	for (size_t i = 0; parts && analysis && i < analysis->count && i < PARTS_COMPARED_MAX;
		i++) {
		json_t *part = part_novelty(answers, i, &analysis->parts[i].argv);
		if (json_is_null(part))
			continue;
		if (json_array_append_new(parts, part) < 0) {
			json_decref(parts);
			return NULL;
		}
	}
	return parts;
}

static json_t *asks_novelty(
	const struct session_answers *answers, const struct gate_request *request)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_PATH_BYTES * 2);
	json_t *asks = json_array();
	for (size_t i = 0; asks && i < request->asks_count; i++) {
		const char *key = grant_key(&request->asks[i], &text);
		if (key && strv_contains(&answers->asks, key))
			continue;
		json_t *one = json_grants(&request->asks[i], 1);
		int r = one ? json_array_extend(asks, one) : -1;
		json_decref(one);
		if (r < 0) {
			json_decref(asks);
			return NULL;
		}
	}
	return asks;
}

json_t *session_answers_novelty(
	const struct session_answers *answers, const struct approval_request *request)
{
	if (!answers || answers->noted_count == 0)
		return json_null();
	return json_pack("{s:b, s:o, s:o}", "directory",
		!strv_contains(&answers->directories, request->request->directory), "parts",
		parts_novelty(answers, request->decision->analysis), "asks",
		asks_novelty(answers, request->request));
}
