/* Simple commands: assignments, words and redirections in any order; and what a command becomes
 * as a part. */
#include "gate/shell_reader.h"

#include "base/cleanup.h"

#include <string.h>

bool redirection_here(const struct reader *r)
{
	size_t i = 0;
	char c = peek(r, 0);
	if (c == '&')
		return peek(r, 1) == '>';
	while (peek(r, i) >= '0' && peek(r, i) <= '9')
		i++;
	if (c == '{' && is_name_start(peek(r, 1))) {
		for (i = 2; is_name_byte(peek(r, i)); i++)
			;
		if (peek(r, i++) != '}')
			return false;
	}
	c = peek(r, i);
	return (c == '<' || c == '>') && peek(r, i + 1) != '(';
}

/* Each kind of redirection; longer signs first. */
static const struct redirect_sign {
	const char *sign;
	enum { IS_FILE, IS_COPY, IS_HEREDOC, IS_STRING } takes;
	enum redirection_kind kind;
	bool bash_only;
} operators[] = {
	{"&>>", IS_FILE, REDIRECT_APPEND, true},
	{"&>", IS_FILE, REDIRECT_WRITE, true},
	{"<<<", IS_STRING, REDIRECT_READ, true},
	{"<<-", IS_HEREDOC, REDIRECT_READ, false},
	{"<<", IS_HEREDOC, REDIRECT_READ, false},
	{"<&", IS_COPY, REDIRECT_READ, false},
	{"<>", IS_FILE, REDIRECT_WRITE, false},
	{"<", IS_FILE, REDIRECT_READ, false},
	{">>", IS_FILE, REDIRECT_APPEND, false},
	{">&", IS_COPY, REDIRECT_WRITE, false},
	{">|", IS_FILE, REDIRECT_WRITE, false},
	{">", IS_FILE, REDIRECT_WRITE, false},
};

static const struct redirect_sign *read_operator_sign(struct reader *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		size_t length = strlen(operators[i].sign);
		if (r->at + length > r->end ||
			memcmp(r->script + r->at, operators[i].sign, length) != 0)
			continue;
		r->at += length;
		return &operators[i];
	}
	return NULL;
}

/* Words that are a descriptor's number, "-", or both: no file. */
static bool names_descriptor(const struct shell_word *word)
{
	size_t digits = strspn(word->value.data, "0123456789");
	const char *rest = word->value.data + digits;
	return !word->unknown && (*rest == '\0' || strcmp(rest, "-") == 0);
}

static void read_target(struct reader *r, const struct redirect_sign *sign, bool is_stdin,
	struct gate_part *part, struct input *input)
{
	cleanup_word struct shell_word word = {0};
	skip_blanks(r);
	size_t begin = r->at;
	if (peek(r, 0) == '\n' || !read_word(r, &word, PLACE_ARGUMENT)) {
		if (!r->stopped)
			reader_syntax(r, "a redirection wants a word");
		return;
	}
	if (shell_has_braces(word.value.data, word.quoted.data, word.value.length_bytes))
		word.unknown = true;
	if (is_stdin) {
		input_release(input);
		input->given = true;
		part->piped_from = SIZE_MAX; /* not from a pipe, then */
	}
	const char *text = word.value.data;
	if (sign->takes == IS_STRING) {
		if (is_stdin) {
			input->text = analyzer_copy(r->a, text, word.value.length_bytes);
			input->length_bytes = word.value.length_bytes;
			input->known = !word.unknown;
		}
		return;
	}
	if (sign->takes == IS_COPY && names_descriptor(&word))
		return;
	if (sign->takes == IS_COPY && sign->kind == REDIRECT_WRITE)
		reader_bash_only(r);
	char *target = word.unknown ? NULL : analyzer_copy(r->a, text, word.value.length_bytes);
	if (is_stdin && target)
		input->file = strdup(target);
	char *written = target ? NULL : analyzer_copy(r->a, r->script + begin, r->at - begin);
	part_add_redirection(r->a, part, sign->kind, target, written);
}

void read_redirection(struct reader *r, struct gate_part *part, struct input *input)
{
	size_t start = r->at;
	bool is_stdin = peek(r, 0) == '<' || (peek(r, 0) == '0' && peek(r, 1) == '<');
	if (peek(r, 0) == '{') {
		reader_bash_only(r);
		size_t close = 1;
		while (peek(r, close) != '}')
			close++;
		cleanup_free char *name = analyzer_copy(r->a, r->script + r->at + 1, close - 1);
		if (name)
			scope_assign(r->a, r->scope, name, false);
		r->at += close + 1;
	}
	while (peek(r, 0) >= '0' && peek(r, 0) <= '9')
		r->at++;
	const struct redirect_sign *sign = read_operator_sign(r);
	if (!sign)
		return reader_syntax(r, "a redirection that is none");
	if (peek(r, 0) == '\\' && peek(r, 1) == '\n')
		return reader_odd(r, "a line is continued behind a redirection's sign");
	if (sign->bash_only)
		reader_bash_only(r);
	if (sign->takes == IS_HEREDOC) {
		skip_blanks(r);
		if (is_stdin) {
			input_release(input);
			part->piped_from = SIZE_MAX;
		}
		open_heredoc(r, start, strcmp(sign->sign, "<<-") == 0, is_stdin);
	} else {
		read_target(r, sign, is_stdin, part, input);
	}
}

/* NAME=VALUE, or NAME=(...). Remembered until it is known whether a command follows. */
static void add_assignment(struct reader *r, struct gate_part *part, struct shell_word *word)
{
	bool array = word->value_at == word->value.length_bytes && peek(r, 0) == '(';
	if (array)
		read_array(r);
	const char *written = r->script + word->start;
	size_t written_bytes = here(r) - word->start;
	char *text = word->unknown || array
			     ? analyzer_copy(r->a, written, written_bytes)
			     : analyzer_copy(r->a, word->value.data, word->value.length_bytes);
	if (strv_add_owned(&part->assignments, text) < 0)
		analyzer_no_memory(r->a);
}

/* Assignments that last, when no command followed them. */
static void keep_assignments(struct reader *r, const struct gate_part *part)
{
	for (size_t i = 0; i < part->assignments.count; i++) {
		const char *text = part->assignments.items[i];
		size_t n = 0;
		while (is_name_byte(text[n]))
			n++;
		cleanup_free char *name = analyzer_copy(r->a, text, n);
		const char *value = strchr(text, '=');
		bool number = value && value[1] && text[n] == '=' &&
			      strspn(value + 1, "0123456789") == strlen(value + 1);
		bool counted = value && strncmp(value, "=$((", 4) == 0 && text[n] == '=' &&
			       strlen(value) > 6 && strcmp(value + strlen(value) - 2, "))") == 0;
		if (name)
			scope_assign(r->a, r->scope, name, number || counted);
	}
}

/* Whether an environment prefix makes the command something else. */
static const char *prefix_hazard(const struct gate_part *part)
{
	for (size_t i = 0; i < part->assignments.count; i++) {
		const char *text = part->assignments.items[i];
		size_t n = 0;
		while (is_name_byte(text[n]))
			n++;
		const char *why = variable_hazard(text, n);
		if (why)
			return why;
	}
	return NULL;
}

void look_further(struct reader *r, size_t part, const struct input *input)
{
	if (r->a->analysis->parts[part].kind == PART_BUILTIN)
		shell_builtin(r->a, r->scope, &r->frame, part, input);
	else
		look_inside(r->a, r->scope, &r->frame, part, input);
}

/* Gives a command its kind, and looks at what it starts in its turn. */
static void finish_command(struct reader *r, struct gate_part *part, size_t start,
	size_t first_heredoc, struct input *input)
{
	bool known = part->word_known[0];
	const char *name = part->argv.items[0];
	bool builtin = known && shell_is_builtin(name);
	bool function = known && strv_contains(&r->scope->functions, name);
	part->kind = function ? PART_FUNCTION : builtin ? PART_BUILTIN : PART_COMMAND;
	const char *hazard = prefix_hazard(part);
	size_t index = add_silent_part(r, part, start);
	if (index == SIZE_MAX)
		return;
	if (!known)
		part_doubt(r->a, index, "what the command is, is known only when it runs");
	if (hazard)
		part_doubt(r->a, index, hazard);
	if (hazard && (builtin || function)) /* it may reach what they run */
		scope_doom(r->scope, hazard);
	own_heredocs(r, first_heredoc, index);
	bool waits = false;
	for (size_t i = first_heredoc; i < r->heredocs_count; i++)
		waits |= r->heredocs[i].is_stdin;
	if (known && !waits)
		look_further(r, index, input);
}

static bool takes_assignments(const struct gate_part *part)
{
	static const char *const names[] = {"declare", "export", "local", "readonly", "typeset"};
	for (size_t i = 0; part->argv.count && i < ARRAY_SIZE(names); i++)
		if (part->word_known[0] && strcmp(part->argv.items[0], names[i]) == 0)
			return true;
	return false;
}

static bool at_command_end(const struct reader *r)
{
	char c = peek(r, 0);
	return r->at >= r->end || c == '\n' || c == ';' || c == '|' || c == ')' ||
	       (c == '&' && peek(r, 1) != '>');
}

/* NAME ( ): the parentheses. */
static bool at_definition(struct reader *r)
{
	if (peek(r, 0) != '(')
		return false;
	r->at++;
	skip_blanks(r);
	if (peek(r, 0) != ')') {
		reader_syntax(r, "a ( that fits nowhere");
		return false;
	}
	r->at++;
	return true;
}

static bool is_reserved(const char *word)
{
	static const char *const reserved[] = {"!", "[[", "case", "coproc", "do", "done", "elif",
		"else", "esac", "fi", "for", "function", "if", "select", "then", "until", "while",
		"{", "}"};
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strcmp(word, reserved[i]) == 0)
			return true;
	return false;
}

/* Whether the word is in use before a command; true: it was taken, as a definition or
 * assignment. */
static bool take_first_word(struct reader *r, struct gate_part *part, struct shell_word *word)
{
	if (word->name_bytes) {
		add_assignment(r, part, word);
		return true;
	}
	/* Written over two lines, or behind a pipe: what bash makes of it is not followed. */
	if (word->plain && is_reserved(word->value.data)) {
		reader_odd(r, "a reserved word in an unusual place");
		return true;
	}
	size_t behind = r->at;
	skip_blanks(r);
	if (peek(r, 0) != '(') {
		r->at = behind;
		reader_name(r, word->start, false);
		return false;
	}
	if (!word->plain || part->assignments.count || part->redirections_count) {
		reader_odd(r, "parentheses behind a word");
	} else if (at_definition(r)) {
		char *name = analyzer_copy(r->a, word->value.data, word->value.length_bytes);
		if (name)
			read_function_body(r, name);
	}
	return true;
}

void read_simple(struct reader *r)
{
	struct gate_part part = {0};
	cleanup_input struct input input = {0};
	size_t start = r->at, first_heredoc = r->heredocs_count;
	bool defined = false;
	for (skip_blanks(r); !r->stopped && !defined && !at_command_end(r); skip_blanks(r)) {
		if (redirection_here(r)) {
			read_redirection(r, &part, &input);
			continue;
		}
		cleanup_word struct shell_word word = {0};
		enum word_place place = part.argv.count == 0 || takes_assignments(&part)
						? PLACE_ASSIGNMENT
						: PLACE_ARGUMENT;
		if (!read_word(r, &word, place)) {
			if (!r->stopped)
				reader_syntax(r, "a sign that fits nowhere");
			break;
		}
		if (part.argv.count == 0 && take_first_word(r, &part, &word)) {
			defined = word.name_bytes == 0;
			continue;
		}
		if (word.name_bytes && word.value_at == word.value.length_bytes &&
			peek(r, 0) == '(') {
			read_array(r);
			word.unknown = true;
			word.end = here(r);
		}
		add_words(r, &part, &word);
	}
	if (part.argv.count && !r->a->memory_short) {
		finish_command(r, &part, start, first_heredoc, &input);
	} else if (part.assignments.count || part.redirections_count || r->hazard || r->counts) {
		keep_assignments(r, &part);
		own_heredocs(r, first_heredoc, SIZE_MAX);
		add_silent_part(r, &part, start);
	} else if (!defined && !r->stopped && r->at == start) {
		reader_syntax(r, "a command is missing");
	}
	part_release(&part);
}
