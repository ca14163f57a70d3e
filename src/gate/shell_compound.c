/* Compound commands: each reads from its reserved word to its last one, and the redirections
 * behind. */
#include "gate/shell_reader.h"

#include "base/cleanup.h"

#include <string.h>

static void expect(struct reader *r, const char *word, const char *otherwise)
{
	skip_newlines(r);
	if (r->stopped)
		return;
	if (!at_keyword(r, word))
		return reader_syntax(r, otherwise);
	r->at += strlen(word);
}

static void read_braces(struct reader *r)
{
	read_list(r);
	expect(r, "}", "a { is not closed");
}

static void read_do_group(struct reader *r)
{
	expect(r, "do", "a loop wants do");
	read_list(r);
	expect(r, "done", "a loop is not closed with done");
}

static void read_if(struct reader *r)
{
	for (;;) {
		read_list(r);
		expect(r, "then", "an if wants then");
		read_list(r);
		if (r->stopped || !at_keyword(r, "elif"))
			break;
		r->at += 4;
	}
	if (!r->stopped && at_keyword(r, "else")) {
		r->at += 4;
		read_list(r);
	}
	expect(r, "fi", "an if is not closed with fi");
}

static void read_while(struct reader *r)
{
	read_list(r);
	read_do_group(r);
}

/* A word that is digits, whatever it expands to. */
static bool is_number(const struct reader *r, const struct shell_word *word)
{
	static const char *const numbers[] = {"$#", "$?", "\"$#\"", "\"$?\""};
	const char *text = word->value.data, *written = r->script + word->start;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (word->end - word->start == strlen(numbers[i]) &&
			memcmp(written, numbers[i], strlen(numbers[i])) == 0)
			return true;
	return !word->unknown && *text && strspn(text, "0123456789") == strlen(text);
}

/* The usual beginning of a counting loop, NAME=DIGITS: then it is a number that is counted. */
static void take_counter(struct reader *r)
{
	size_t n = 0;
	while (peek(r, n) == ' ')
		n++;
	size_t name = n;
	while (is_name_byte(peek(r, n)))
		n++;
	size_t name_bytes = n - name, digits = n + 1;
	if (!is_name_start(peek(r, name)) || peek(r, n) != '=')
		return;
	for (n++; peek(r, n) >= '0' && peek(r, n) <= '9';)
		n++;
	if (n == digits || peek(r, n) != ';')
		return;
	cleanup_free char *copy = analyzer_copy(r->a, r->script + r->at + name, name_bytes);
	if (copy)
		scope_assign(r->a, r->scope, copy, true);
}

/* for ((a; b; c)), behind "((". */
static void read_counting_for(struct reader *r)
{
	size_t start = r->at;
	reader_bash_only(r);
	r->at += 2;
	take_counter(r);
	read_arithmetic(r, ";");
	if (!r->stopped)
		read_arithmetic(r, ";");
	if (!r->stopped)
		read_arithmetic(r, "))");
	flush_hazards(r, start);
	skip_blanks(r);
	if (peek(r, 0) == ';')
		r->at++;
	skip_newlines(r);
	if (!r->stopped && at_keyword(r, "{")) {
		r->at++;
		read_braces(r);
	} else {
		read_do_group(r);
	}
}

static void read_for(struct reader *r)
{
	skip_blanks(r);
	if (peek(r, 0) == '(' && peek(r, 1) == '(')
		return read_counting_for(r);
	cleanup_word struct shell_word name = {0};
	size_t start = r->at;
	if (!read_word(r, &name, PLACE_ARGUMENT) || !name.plain || name.unknown) {
		if (!r->stopped)
			reader_syntax(r, "a loop wants a variable's name");
		return;
	}
	bool numbers = false;
	skip_newlines(r);
	if (at_keyword(r, "in")) {
		r->at += 2;
		numbers = true;
		for (skip_blanks(r); !r->stopped; skip_blanks(r)) {
			cleanup_word struct shell_word word = {0};
			if (!read_word(r, &word, PLACE_ARGUMENT))
				break;
			numbers &= is_number(r, &word);
		}
	}
	scope_assign(r->a, r->scope, name.value.data, numbers);
	flush_hazards(r, start);
	if (peek(r, 0) == ';')
		r->at++;
	skip_newlines(r);
	if (!r->stopped && at_keyword(r, "{")) {
		r->at++;
		return read_braces(r);
	}
	read_do_group(r);
}

static void read_select(struct reader *r)
{
	reader_bash_only(r);
	read_for(r);
}

/* One branch of a case; false at its end. */
static bool read_branch(struct reader *r)
{
	skip_newlines(r);
	if (r->stopped || at_keyword(r, "esac"))
		return false;
	size_t start = r->at;
	if (peek(r, 0) == '(')
		r->at++;
	for (;;) {
		cleanup_word struct shell_word pattern = {0};
		skip_blanks(r);
		if (!read_word(r, &pattern, PLACE_PATTERN)) {
			if (!r->stopped)
				reader_syntax(r, "a case wants a pattern");
			return false;
		}
		skip_blanks(r);
		if (peek(r, 0) != '|')
			break;
		r->at++;
	}
	flush_hazards(r, start);
	if (peek(r, 0) != ')') {
		reader_syntax(r, "a pattern is not closed with )");
		return false;
	}
	r->at++;
	read_list(r);
	if (r->stopped || peek(r, 0) != ';')
		return false;
	if (peek(r, 1) == '&' || peek(r, 2) == '&')
		reader_bash_only(r);
	r->at += peek(r, 1) == ';' && peek(r, 2) == '&' ? 3 : 2;
	return true;
}

static void read_case(struct reader *r)
{
	cleanup_word struct shell_word word = {0};
	size_t start = r->at;
	skip_blanks(r);
	if (!read_word(r, &word, PLACE_ARGUMENT)) {
		if (!r->stopped)
			reader_syntax(r, "a case wants a word");
		return;
	}
	flush_hazards(r, start);
	expect(r, "in", "a case wants in");
	while (read_branch(r))
		;
	expect(r, "esac", "a case is not closed with esac");
}

static void read_function(struct reader *r)
{
	reader_bash_only(r);
	skip_blanks(r);
	cleanup_word struct shell_word name = {0};
	if (!read_word(r, &name, PLACE_ARGUMENT) || !name.plain) {
		if (!r->stopped)
			reader_odd(r, "a function's name is not plain");
		return;
	}
	skip_blanks(r);
	if (peek(r, 0) == '(') {
		r->at++;
		skip_blanks(r);
		if (peek(r, 0) != ')')
			return reader_syntax(r, "a ( that fits nowhere");
		r->at++;
	}
	char *copy = analyzer_copy(r->a, name.value.data, name.value.length_bytes);
	if (copy)
		read_function_body(r, copy);
}

void read_function_body(struct reader *r, char *name)
{
	size_t piped_from = r->frame.piped_from;
	unsigned siblings = r->siblings;
	r->frame.piped_from = 0; /* its calls' pipe is not its definition's */
	skip_newlines(r);
	if (!r->stopped && reader_enter(r)) {
		if (!read_compound(r) && !r->stopped)
			reader_syntax(r, "a function wants a body");
		reader_leave(r);
	}
	r->frame.piped_from = piped_from;
	r->siblings = siblings;
	free(r->defined);
	r->defined = name;
}

static void take_coproc_name(struct reader *r, size_t start, size_t length)
{
	cleanup_free char *name = analyzer_copy(r->a, r->script + start, length);
	if (name)
		scope_assign(r->a, r->scope, name, false);
}

/* coproc NAME COMPOUND: the name is one only before a compound command. */
static void skip_coproc_name(struct reader *r)
{
	static const char *const starts[] = {"(", "{", "if", "while", "until", "for", "case", "[["};
	size_t before = r->at;
	if (!is_name_start(peek(r, 0)))
		return;
	while (is_name_byte(peek(r, 0)))
		r->at++;
	size_t name_bytes = r->at - before;
	if (peek(r, 0) == ' ' || peek(r, 0) == '\t') {
		skip_blanks(r);
		for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
			if (at_keyword(r, starts[i]) || (i == 0 && peek(r, 0) == '('))
				return take_coproc_name(r, before, name_bytes);
	}
	r->at = before;
}

/* coproc [NAME] command: in the background, its descriptors in an array. */
static void read_coproc(struct reader *r)
{
	reader_bash_only(r);
	size_t first = r->a->analysis->count;
	/* The grammar takes it for a command's name, as it does `time`. */
	reader_name(r, r->at - strlen("coproc"), true);
	skip_blanks(r);
	skip_coproc_name(r);
	r->seldom = true;
	if (reader_enter(r)) {
		read_command(r);
		reader_leave(r);
	}
	for (size_t i = first; i < r->a->analysis->count; i++)
		r->a->analysis->parts[i].background = true;
}

/* Tests that evaluate: numbers are arithmetic, and a variable's name may have a subscript. */
static bool compares_numbers(const struct shell_word *word)
{
	static const char *const names[] = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"};
	for (size_t i = 0; word->plain && i < ARRAY_SIZE(names); i++)
		if (strcmp(word->value.data, names[i]) == 0)
			return true;
	return false;
}

/* [[ ... ]]: words and signs until its end. */
static void read_condition(struct reader *r)
{
	reader_bash_only(r);
	size_t start = r->at;
	enum word_place place = PLACE_CONDITION;
	bool was_number = true, compared = false;
	for (;;) {
		skip_newlines(r);
		if (r->stopped)
			return;
		char c = peek(r, 0);
		if (r->at >= r->end)
			return reader_syntax(r, "a [[ is not closed");
		if (place == PLACE_CONDITION && c && strchr("()<>&|", c) &&
			!((c == '<' || c == '>') && peek(r, 1) == '(')) {
			r->at++;
			compared = false;
			continue;
		}
		cleanup_word struct shell_word word = {0};
		if (!read_word(r, &word, place)) {
			if (!r->stopped)
				reader_syntax(r, "a sign that does not fit in [[");
			return;
		}
		if (word.plain && strcmp(word.value.data, "]]") == 0)
			break;
		bool counts = compares_numbers(&word);
		if ((counts && !was_number) || (compared && !is_number(r, &word)))
			reader_hazard(r, "[[ runs what a value that it counts with may hold");
		compared = counts;
		was_number = is_number(r, &word);
		const char *text = word.plain ? word.value.data : "";
		place = strcmp(text, "=~") == 0 ? PLACE_REGEX
			: strcmp(text, "==") == 0 || strcmp(text, "!=") == 0 ||
					strcmp(text, "=") == 0
				? PLACE_PATTERN
				: PLACE_CONDITION;
	}
	flush_hazards(r, start);
}

static void read_parentheses_command(struct reader *r)
{
	size_t start = r->at;
	if (peek(r, 1) == '(')
		reader_bash_only(r);
	/* dash knows no arithmetic command: to it this is a subshell within a subshell. */
	if (peek(r, 1) == '(' && r->scope->dialect != DIALECT_POSIX) {
		if (!closes_as_arithmetic(r))
			return reader_odd(r, "parentheses that may be no arithmetic");
		reader_name(r, start, true); /* so the grammar says */
		r->at += 2;
		read_arithmetic(r, "))");
		return flush_hazards(r, start);
	}
	r->at++;
	if (peek(r, 0) == '\\' && peek(r, 1) == '\n')
		return reader_odd(r, "a line is continued behind a parenthesis");
	read_list(r);
	if (!r->stopped && peek(r, 0) != ')')
		return reader_syntax(r, "a ( is not closed");
	r->at++;
}

static const struct {
	const char *word;
	void (*read)(struct reader *r);
} compounds[] = {
	{"{", read_braces},
	{"if", read_if},
	{"while", read_while},
	{"until", read_while},
	{"for", read_for},
	{"select", read_select},
	{"case", read_case},
	{"function", read_function},
	{"coproc", read_coproc},
	{"[[", read_condition},
};

static void read_redirections(struct reader *r)
{
	struct gate_part part = {0};
	cleanup_input struct input ignored = {0};
	skip_blanks(r);
	size_t start = r->at, first_heredoc = r->heredocs_count;
	while (!r->stopped && redirection_here(r)) {
		read_redirection(r, &part, &ignored);
		skip_blanks(r);
	}
	own_heredocs(r, first_heredoc, SIZE_MAX);
	if (part.redirections_count || r->hazard || r->counts)
		add_silent_part(r, &part, start);
	part_release(&part);
}

bool read_compound(struct reader *r)
{
	void (*read)(struct reader *) = peek(r, 0) == '(' ? read_parentheses_command : NULL;
	for (size_t i = 0; !read && i < ARRAY_SIZE(compounds); i++)
		if (compounds[i].word[0] == peek(r, 0) && at_keyword(r, compounds[i].word)) {
			read = compounds[i].read;
			r->at += strlen(compounds[i].word);
		}
	if (!read)
		return false;
	unsigned siblings = r->siblings;
	read(r);
	r->siblings = siblings;
	if (read != read_function) { /* what was defined inside may not have been reached */
		free(r->defined);
		r->defined = NULL;
	}
	if (!r->stopped)
		read_redirections(r);
	return true;
}
