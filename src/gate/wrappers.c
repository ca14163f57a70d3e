/* Theory of operation: a wrapper is a program that starts another one which stands in its
 * arguments. Its row in the table says which options it has and which of them take an argument,
 * so that the command is found where the wrapper itself would find it; an option that is not in
 * the row makes the part undecidable, as does one that is not known. What a wrapper does beside
 * (another user, the background, a shell, another root) are its effects. Those that are not that
 * simple have a function of their own (wrappers_special.c). */
#include "gate/wrappers.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

void look_doubt(const struct look *look, const char *why)
{
	part_doubt(look->a, look->part, why);
}

bool option_is(const struct option *option, const char *word)
{
	return option->word && strlen(word) == option->word_length_bytes &&
	       memcmp(option->word, word, option->word_length_bytes) == 0;
}

/* The one word of a blank-separated list that begins with name; -1: several do; 0: none. */
static int find_long(
	const char *list, const char *name, size_t length, const char **ret, size_t *ret_length)
{
	int found = 0;
	for (const char *p = list; p && *p;) {
		size_t n = strcspn(p, " ");
		if (n >= length && memcmp(p, name, length) == 0) {
			*ret = p;
			*ret_length = n;
			if (n == length)
				return 1;
			found++;
		}
		p += n + (p[n] == ' ');
	}
	return found > 1 ? -1 : found;
}

static int next_long(
	const struct look *look, const struct options *table, size_t *at, struct option *ret)
{
	const char *name = look->words[*at] + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] ? name + length + 1 : NULL;
	const char *lists[] = {table->long_flags, table->long_values, table->long_optional};
	int matches[3], kind = -1, sum = 0;
	size_t exact = 0;
	for (int i = 0; i < 3; i++) {
		const char *word = NULL;
		size_t word_length = 0;
		matches[i] = find_long(lists[i], name, length, &word, &word_length);
		sum += matches[i] < 0 ? 2 : matches[i];
		if (matches[i] == 1 && (kind < 0 || word_length == length)) {
			kind = i;
			ret->word = word;
			ret->word_length_bytes = word_length;
			exact += word_length == length;
		}
	}
	if (kind < 0 || (sum > 1 && !exact) || (kind == 0 && value))
		return -1;
	++*at;
	if (kind == 1 && !value) {
		if (*at >= look->count)
			return -1;
		ret->value_known = look->known[*at];
		if (!ret->value_known && !shell_is_one_word(look->words[*at]))
			return -1; /* more words of it may follow, or none */
		value = look->words[(*at)++];
	} else {
		ret->value_known = true;
	}
	ret->value = value;
	return 1;
}

int option_next(const struct look *look, const struct options *table, size_t *at, size_t *cluster,
	struct option *ret)
{
	*ret = (struct option){0};
	if (*at >= look->count)
		return 0;
	const char *word = look->words[*at];
	if (!look->known[*at])
		/* As written it may begin with what cannot be an option. */
		return *cluster || word[0] == '-' || strchr("$`\"{~*?[", word[0]) ? -1 : 0;
	if (!*cluster && (word[0] != '-' || !word[1]))
		return 0;
	if (!*cluster && strcmp(word, "--") == 0) {
		++*at;
		return 0;
	}
	if (!*cluster && word[1] == '-')
		return next_long(look, table, at, ret);
	size_t i = *cluster ? *cluster : 1;
	char letter = ret->letter = word[i];
	bool last = word[i + 1] == '\0';
	*cluster = last ? 0 : i + 1;
	if (table->flags && strchr(table->flags, letter)) {
		*at += last;
		return 1;
	}
	bool optional = table->optional && strchr(table->optional, letter);
	if (!optional && !(table->values && strchr(table->values, letter)))
		return -1;
	*cluster = 0;
	++*at;
	ret->value_known = true;
	if (!last) {
		ret->value = word + i + 1;
	} else if (!optional) {
		if (*at >= look->count)
			return -1;
		ret->value_known = look->known[*at];
		if (!ret->value_known && !shell_is_one_word(look->words[*at]))
			return -1;
		ret->value = look->words[(*at)++];
	}
	return 1;
}

void look_at_words(const struct look *look, char *const *words, const bool *known, size_t count)
{
	struct analyzer *a = look->a;
	if (count == 0 || look->part >= a->analysis->count || !analyzer_enter(a))
		return;
	const struct gate_part *outer = &a->analysis->parts[look->part];
	struct gate_part part = {
		.kind = PART_COMMAND,
		.line = outer->line,
		.column = outer->column,
		.depth = outer->depth + 1,
		.piped_from = outer->piped_from,
		.background = look->frame.background,
		.as_other_user = look->frame.as_other_user,
		.text = analyzer_copy(a, outer->text, strlen(outer->text)),
	};
	for (size_t i = 0; i < count; i++)
		part_add_word(a, &part, analyzer_copy(a, words[i], strlen(words[i])), known[i]);
	for (size_t i = 0; i < look->assignments_count; i++)
		if (strv_add(&part.assignments, look->assignments[i]) < 0)
			analyzer_no_memory(a);
	size_t index = analyzer_add(a, &part);
	if (index != SIZE_MAX && look->doubt)
		part_doubt(a, index, look->doubt);
	if (index != SIZE_MAX && !known[0])
		part_doubt(a, index, "what the command is, is known only when it runs");
	else if (index != SIZE_MAX)
		look_inside(a, look->scope, &look->frame, index, look->input);
	analyzer_leave(a);
}

void look_at_command(const struct look *look, size_t first)
{
	if (first < look->count)
		look_at_words(look, look->words + first, look->known + first, look->count - first);
}

void look_at_script(const struct look *look, const char *script, enum dialect dialect)
{
	struct frame frame = look->frame;
	frame.depth = look->a->analysis->parts[look->part].depth + 1;
	frame.piped_from = look->a->analysis->parts[look->part].piped_from;
	frame.environment |= look->assignments_count > 0;
	size_t before = look->a->analysis->count;
	shell_process(look->a, dialect, &frame, script, strlen(script), NULL);
	for (size_t i = before; look->doubt && i < look->a->analysis->count; i++)
		part_doubt(look->a, i, look->doubt);
}

void look_at_line(const struct look *look, size_t first)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_SCRIPT_BYTES);
	for (size_t i = first; i < look->count; i++) {
		if (!look->known[i])
			return look_doubt(look, "its command line is known only when it runs");
		if (i > first)
			buffer_append_string(&line, " ");
		buffer_append_string(&line, look->words[i]);
	}
	if (buffer_error(&line) == -ENOMEM)
		analyzer_no_memory(look->a);
	else if (buffer_error(&line))
		look_doubt(look, "its command line is too long");
	else if (line.data)
		look_at_script(look, line.data, DIALECT_POSIX);
}

/* NAME=VALUE words, which the wrapper puts into the command's environment. */
size_t look_take_assignments(struct look *look, size_t at)
{
	look->assignments = look->words + at;
	for (; at < look->count; at++) {
		const char *word = look->words[at], *sign = strchr(word, '=');
		if (!sign || sign == word)
			break;
		const char *why = variable_hazard(word, (size_t)(sign - word));
		if (!look->known[at] && strpbrk(word, "$`") && strpbrk(word, "$`") < sign)
			why = "which variable it sets is not known";
		if (!look->known[at] && !shell_is_one_word(word))
			why = "a value may become several words, one of them a command";
		if (why && !look->doubt)
			look->doubt = why;
		look->assignments_count++;
	}
	return at;
}

void look_apply_effects(struct look *look, unsigned effects)
{
	look->frame.as_other_user |= (effects & OTHER_USER) != 0;
	look->frame.background |= (effects & BACKGROUND) != 0;
	look->frame.elsewhere |= (effects & ELSEWHERE) != 0;
	struct gate_part *part = &look->a->analysis->parts[look->part];
	part->background |= (effects & BACKGROUND) != 0;
}

/* A shell without a script: it takes its commands from standard input. */
void look_at_bare_shell(const struct look *look)
{
	if (look->input && look->input->known && look->input->text)
		return look_at_script(look, look->input->text, DIALECT_POSIX);
	look->a->analysis->parts[look->part].reads_stdin_script = true;
	look_doubt(look, "it takes its commands from standard input");
}

bool take_options(const struct look *look, const struct wrapper *wrapper, size_t *at, bool *stops)
{
	size_t cluster = 0;
	struct option option;
	int r;
	*stops = false;
	while ((r = option_next(look, &wrapper->options, at, &cluster, &option)) == 1) {
		if (option.letter && wrapper->stops && strchr(wrapper->stops, option.letter))
			*stops = true;
		if (option_is(&option, "help") || option_is(&option, "version"))
			*stops = true;
	}
	if (r < 0)
		look_doubt(look, "an option of the wrapper that is not known");
	return r == 0;
}

/* The ordinary way through a row. */
static void look_by_table(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1;
	bool stops;
	if (!take_options(look, wrapper, &at, &stops) || stops)
		return;
	at += wrapper->operands;
	look_apply_effects(look, wrapper->effects);
	if (wrapper->effects & ASSIGNS)
		at = look_take_assignments(look, at);
	if (look->doubt)
		look_doubt(look, look->doubt);
	if (at >= look->count && (wrapper->effects & SHELL))
		look_at_bare_shell(look);
	else if (at < look->count && (wrapper->effects & LINE))
		look_at_line(look, at);
	else
		look_at_command(look, at);
}

static void dispatch(struct look *look, const char *name)
{
	const struct wrapper *wrapper = wrapper_find(name);
	if (wrapper && wrapper->act) {
		look_apply_effects(look, wrapper->effects);
		wrapper->act(look, wrapper);
	} else if (wrapper) {
		look_by_table(look, wrapper);
	} else if (!look_at_shell(look, name) && !look_at_interpreter(look, name)) {
		look_at_options(look, name);
		look_at_file(look);
	}
}

void look_inside(struct analyzer *a, const struct scope *scope, const struct frame *frame,
	size_t part, const struct input *input)
{
	const struct gate_part *p = &a->analysis->parts[part];
	if (p->argv.count == 0 || !p->word_known[0])
		return;
	struct look look = {
		.a = a,
		.scope = scope,
		.input = input,
		.part = part,
		.frame = *frame,
		.words = p->argv.items,
		.known = p->word_known,
		.count = p->argv.count,
	};
	look.frame.background = p->background;
	look.frame.as_other_user = p->as_other_user;
	look.frame.environment |= p->assignments.count > 0;
	look.frame.moved |= scope && scope->moved;
	if (scope && scope->directory)
		look.frame.directory = scope->directory;
	if (p->undecidable && p->assignments.count)
		look.doubt = p->why_undecidable;
	const char *slash = strrchr(p->argv.items[0], '/');
	dispatch(&look, slash ? slash + 1 : p->argv.items[0]);
}
