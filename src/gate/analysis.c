/* Theory of operation: an analysis is a growing list of parts. Three things add to it, each
 * calling the others: a script's reader (shell_script.c) adds a part for every command; wrappers
 * (wrappers.c) add the command that a part starts in its turn; shells (interpreters.c) start a
 * reader on the script they are given. Each round is one level of nesting, and nesting, parts
 * and bytes are bounded.
 *
 * Doubt only ever adds: nothing that was found is taken back, a part that is in doubt stays,
 * marked. */
#include "gate/shell.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

void analyzer_no_memory(struct analyzer *a)
{
	a->memory_short = true;
}

char *analyzer_copy(struct analyzer *a, const char *text, size_t length_bytes)
{
	char *copy = strndup(text, length_bytes);
	if (!copy)
		analyzer_no_memory(a);
	return copy;
}

void input_release(struct input *input)
{
	free(input->text);
	free(input->file);
	*input = (struct input){0};
}

void part_release(struct gate_part *part)
{
	strv_release(&part->argv);
	free(part->word_known);
	strv_release(&part->assignments);
	for (size_t i = 0; i < part->redirections_count; i++) {
		free(part->redirections[i].target);
		free(part->redirections[i].written);
	}
	free(part->redirections);
	free(part->text);
	free(part->code);
	*part = (struct gate_part){0};
}

void part_add_word(struct analyzer *a, struct gate_part *part, char *word, bool known)
{
	size_t before = part->argv.capacity;
	if (strv_add_owned(&part->argv, word) < 0)
		return analyzer_no_memory(a);
	if (part->argv.capacity != before) {
		bool *grown = reallocarray(part->word_known, part->argv.capacity, sizeof(*grown));
		if (!grown) {
			free(part->argv.items[--part->argv.count]);
			part->argv.items[part->argv.count] = NULL;
			return analyzer_no_memory(a);
		}
		part->word_known = grown;
	}
	part->word_known[part->argv.count - 1] = known;
}

void part_add_redirection(
	struct analyzer *a, struct gate_part *part, enum redirection_kind kind, char *target,
	char *written)
{
	struct redirection *grown = reallocarray(
		part->redirections, part->redirections_count + 1, sizeof(*part->redirections));
	if (!grown) {
		free(target);
		free(written);
		return analyzer_no_memory(a);
	}
	part->redirections = grown;
	part->redirections[part->redirections_count++] =
		(struct redirection){.kind = kind, .target = target, .written = written};
}

size_t analyzer_add(struct analyzer *a, struct gate_part *part)
{
	struct analysis *analysis = a->analysis;
	if (analysis->count == MAX_SCRIPT_COMMANDS) {
		analysis->incomplete = true;
		part_release(part);
		return SIZE_MAX;
	}
	if (analysis->count == a->capacity) {
		size_t capacity = a->capacity ? a->capacity * 2 : 8;
		struct gate_part *grown =
			reallocarray(analysis->parts, capacity, sizeof(*analysis->parts));
		if (!grown) {
			part_release(part);
			analyzer_no_memory(a);
			return SIZE_MAX;
		}
		analysis->parts = grown;
		a->capacity = capacity;
	}
	analysis->parts[analysis->count] = *part;
	*part = (struct gate_part){0};
	return analysis->count++;
}

void part_doubt(struct analyzer *a, size_t part, const char *why)
{
	if (part >= a->analysis->count)
		return;
	struct gate_part *p = &a->analysis->parts[part];
	if (!p->undecidable)
		p->why_undecidable = why;
	p->undecidable = true;
}

bool analyzer_enter(struct analyzer *a)
{
	/* Once a bound was reached nothing more is learned by going deeper, and files that start
	 * one another would be gone through exponentially often. */
	if (a->nesting == MAX_SCRIPT_NESTING || a->analysis->incomplete || a->memory_short) {
		a->analysis->incomplete = true;
		return false;
	}
	a->nesting++;
	return true;
}

void analyzer_leave(struct analyzer *a)
{
	a->nesting--;
}

/* Hands out what was made; what a bound cut short says so of every part. */
static int finish(struct analyzer *a, struct analysis **ret)
{
	if (a->memory_short) {
		analysis_free(a->analysis);
		return -ENOMEM;
	}
	if (a->analysis->incomplete)
		for (size_t i = 0; i < a->analysis->count; i++)
			part_doubt(a, i, "there is more to it than is taken apart");
	*ret = a->analysis;
	return 0;
}

static int start(struct analyzer *a, const struct analysis_context *context)
{
	static const struct analysis_context nothing;
	*a = (struct analyzer){
		.analysis = calloc(1, sizeof(*a->analysis)),
		.context = context ? context : &nothing,
		.bytes_left = MAX_ANALYSIS_BYTES,
	};
	return a->analysis ? 0 : -ENOMEM;
}

/* The words as they could be typed, for people. */
static char *words_text(char *const *words)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_PART_TEXT_BYTES);
	for (size_t i = 0; words[i] && !buffer_error(&text); i++) {
		if (i)
			buffer_append_string(&text, " ");
		size_t room = text.max_bytes - text.length_bytes;
		buffer_append(&text, words[i], strnlen(words[i], room));
	}
	return text.data ? strdup(text.data) : strdup("");
}

int analyze_command(
	char *const argv[], const struct analysis_context *context, struct analysis **ret)
{
	struct analyzer a;
	if (start(&a, context) < 0)
		return -ENOMEM;
	struct gate_part part = {.kind = PART_COMMAND, .text = words_text(argv)};
	for (size_t i = 0; argv[i]; i++)
		part_add_word(&a, &part, analyzer_copy(&a, argv[i], strlen(argv[i])), true);
	const struct frame frame = {0};
	size_t index = analyzer_add(&a, &part);
	if (index != SIZE_MAX)
		look_inside(&a, NULL, &frame, index, NULL);
	return finish(&a, ret);
}

int analyze_shell(const char *script, size_t length_bytes, const struct analysis_context *context,
	struct analysis **ret)
{
	struct analyzer a;
	if (start(&a, context) < 0)
		return -ENOMEM;
	const struct frame frame = {0};
	cleanup_scope struct scope scope = {.dialect = DIALECT_BASH, .trusts_numbers = true};
	/* With a NUL behind it, as every other script has. */
	cleanup_free char *copy = malloc(length_bytes + 1);
	if (!copy) {
		analyzer_no_memory(&a);
		return finish(&a, ret);
	}
	memcpy(copy, script, length_bytes);
	copy[length_bytes] = '\0';
	shell_script(&a, &scope, &frame, copy, length_bytes, NULL);
	scope_settle(&a, &scope);
	return finish(&a, ret);
}

void analysis_free(struct analysis *analysis)
{
	if (!analysis)
		return;
	for (size_t i = 0; i < analysis->count; i++)
		part_release(&analysis->parts[i]);
	free(analysis->parts);
	free(analysis);
}
