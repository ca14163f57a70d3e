/* Theory of operation: a shell's text is read twice.
 *
 * This reader follows bash's own rules, character by character: quotes, reserved words only
 * where they are reserved, here-documents, backslash-newline. It adds a part for every command,
 * wherever that stands: in substitutions, here-documents, arithmetic, subscripts, patterns. Then
 * a syntax tree is made of the same text (shell_tree.c), by a grammar that was written by others
 * in another way. Every command must have been seen by both at the same place; else the whole
 * script is undecidable. Somebody who wants a command to be overlooked has to deceive both in
 * the same way.
 *
 * What the reader does not follow (carriage returns, bytes that are no UTF-8, nested backquotes,
 * ...) is undecidable, not guessed. A syntax error is told with its place. In both cases what
 * was found until then stays, since bash too runs a script line by line.
 *
 * The reader recurses; reader_enter() bounds it. */
#include "gate/shell_reader.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>

bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_name_byte(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9');
}

void reader_place(const struct reader *r, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	size_t low = 0, high = r->lines_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->lines[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_line = (unsigned)low + 1;
	*ret_column = (unsigned)(at - (low ? r->lines[low - 1] + 1 : 0)) + 1;
}

void reader_syntax(struct reader *r, const char *what)
{
	if (r->stopped)
		return;
	r->stopped = true;
	scope_doom(r->scope, "the script has a syntax error");
	/* Other shells may well understand it, and run what is not seen here. */
	r->a->analysis->incomplete |= r->scope->dialect == DIALECT_OTHER;
	if (r->scope->dialect == DIALECT_OTHER || r->a->analysis->syntax.errno_value)
		return;
	unsigned line, column;
	reader_place(r, r->at < r->end ? r->at : r->end, &line, &column);
	error_set(&r->a->analysis->syntax, EINVAL, "shell", "%s%s%u:%u: %s", r->file ? r->file : "",
		r->file ? ":" : "", line, column, what);
}

/* What follows is not seen, though it may run. */
void reader_odd(struct reader *r, const char *why)
{
	r->stopped = true;
	r->a->analysis->incomplete = true;
	scope_doom(r->scope, why);
}

void reader_bash_only(struct reader *r)
{
	if (r->scope->dialect != DIALECT_BASH)
		scope_doom(r->scope, "this shell may read it otherwise than bash");
}

bool reader_enter(struct reader *r)
{
	if (!r->stopped && r->depth < MAX_SYNTAX_DEPTH) {
		r->depth++;
		return true;
	}
	if (!r->stopped)
		r->a->analysis->incomplete = true;
	r->stopped = true;
	return false;
}

void reader_leave(struct reader *r)
{
	r->depth--;
}

void reader_hazard(struct reader *r, const char *why)
{
	r->hazard = why;
}

void reader_name(struct reader *r, size_t at, bool seldom)
{
	if (r->names_count == r->names_capacity) {
		size_t capacity = r->names_capacity ? r->names_capacity * 2 : 16;
		struct name_place *grown = reallocarray(r->names, capacity, sizeof(*grown));
		if (!grown)
			return analyzer_no_memory(r->a);
		r->names = grown;
		r->names_capacity = capacity;
	}
	r->names[r->names_count++] =
		(struct name_place){.at = (uint32_t)at, .seldom = seldom || r->seldom};
}

void skip_blanks(struct reader *r)
{
	for (;;) {
		char c = peek(r, 0);
		if (c == ' ' || c == '\t')
			r->at++;
		else if (c == '\\' && peek(r, 1) == '\n')
			r->at += 2;
		else
			break;
	}
	if (peek(r, 0) == '#')
		while (r->at < r->end && peek(r, 0) != '\n')
			r->at++;
}

void skip_newlines(struct reader *r)
{
	skip_blanks(r);
	while (!r->stopped && peek(r, 0) == '\n') {
		r->at++;
		if (r->heredocs_count)
			read_heredocs(r);
		skip_blanks(r);
	}
}

bool at_keyword(const struct reader *r, const char *word)
{
	size_t length = strlen(word);
	return r->at + length <= r->end && memcmp(r->script + r->at, word, length) == 0 &&
	       is_meta(peek(r, length));
}

/* What ends a list, and belongs to whoever began it. */
static bool at_closer(const struct reader *r)
{
	static const char *const words[] = {
		"}", "do", "done", "elif", "else", "esac", "fi", "then"};
	char c = peek(r, 0);
	if (r->at >= r->end || c == ')')
		return true;
	if (c == ';')
		return peek(r, 1) == ';' || peek(r, 1) == '&';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i][0] == c && at_keyword(r, words[i]))
			return true;
	return false;
}

/* Whose output a pipe carries: of several commands in a group, the last one's. */
static size_t writer(const struct reader *r, size_t first)
{
	return r->a->analysis->count > first ? r->a->analysis->count : 0;
}

/* Behind a sign: a continued line may make another sign of it. */
static void check_continued(struct reader *r)
{
	if (peek(r, 0) == '\\' && peek(r, 1) == '\n' && peek(r, 2) && strchr("&|;>(\\", peek(r, 2)))
		reader_odd(r, "a line is continued within a sign");
}

void read_pipeline(struct reader *r)
{
	bool prefixed = false, seldom = r->seldom;
	for (skip_blanks(r);; skip_blanks(r)) {
		if (at_keyword(r, "!")) {
			r->at++;
		} else if (at_keyword(r, "time")) { /* to the grammar it is a command's name */
			reader_bash_only(r);
			reader_name(r, r->at, true);
			r->at += 4;
			skip_blanks(r);
			if (at_keyword(r, "-p"))
				r->at += 2;
			skip_blanks(r);
			if (at_keyword(r, "--"))
				r->at += 2;
			r->seldom = true;
		} else {
			break;
		}
		prefixed = true;
	}
	size_t outer = r->frame.piped_from;
	char c = peek(r, 0);
	if (!prefixed || !(r->at >= r->end || c == '\n' || c == ';')) {
		for (;;) {
			size_t first = r->a->analysis->count;
			r->siblings++;
			read_command(r);
			r->seldom = seldom;
			skip_blanks(r);
			if (r->stopped || peek(r, 0) != '|' || peek(r, 1) == '|')
				break;
			r->siblings++;
			r->at++;
			check_continued(r);
			if (peek(r, 0) == '&') {
				reader_bash_only(r);
				r->at++;
			}
			skip_newlines(r);
			r->frame.piped_from = writer(r, first);
		}
	}
	r->seldom = seldom;
	r->frame.piped_from = outer;
}

/* `cd DIR &&`: what follows in this list is surely there. */
static void follow_cd(struct reader *r, size_t first)
{
	const struct gate_part *part = &r->a->analysis->parts[first];
	struct scope *scope = r->scope;
	if (r->depth || scope->shared || r->a->analysis->count != first + 1 || scope->directory ||
		r->siblings != 1 || part->kind != PART_BUILTIN || part->argv.count != 2 ||
		strcmp(part->argv.items[0], "cd") != 0 || !part->word_known[1] ||
		part->argv.items[1][0] == '-' || !r->a->context->directory || r->frame.moved)
		return;
	const char *base = r->frame.directory ? r->frame.directory : r->a->context->directory;
	scope->directory = path_absolute(base, part->argv.items[1]);
	scope->moved = !scope->directory;
}

/* Once a list is over, it is not known whether its cd was done. */
static void forget_cd(struct scope *scope)
{
	scope->moved |= scope->directory != NULL;
	free(scope->directory);
	scope->directory = NULL;
}

/* One and-or list with its separator. */
static void read_item(struct reader *r)
{
	bool moved = r->scope->moved;
	size_t first = r->a->analysis->count;
	free(r->defined);
	r->defined = NULL;
	r->siblings = 0;
	read_pipeline(r);
	while (!r->stopped && ((peek(r, 0) == '&' && peek(r, 1) == '&') ||
				      (peek(r, 0) == '|' && peek(r, 1) == '|'))) {
		if (peek(r, 0) == '|')
			forget_cd(r->scope);
		else if (!moved)
			follow_cd(r, first);
		r->at += 2;
		skip_newlines(r);
		read_pipeline(r);
	}
	if (!r->depth && !r->scope->shared)
		forget_cd(r->scope);
	if (r->stopped)
		return;
	char c = peek(r, 0);
	if (c == '&') {
		for (size_t i = first; i < r->a->analysis->count; i++)
			r->a->analysis->parts[i].background = true;
		r->at++;
		check_continued(r);
	} else if (c == ';' && !at_closer(r)) {
		r->at++;
		check_continued(r);
	} else if (c != '\n' && !at_closer(r)) {
		return reader_syntax(r, "a word or sign that fits nowhere");
	}
	if (r->defined && r->siblings == 1 && c != '&' && r->depth == 0 && !r->scope->shared)
		scope_define(r->a, r->scope, r->defined);
}

/* Remembers where a command list at the top of the script begins. */
static void add_item(struct reader *r)
{
	if (r->items_count == r->items_capacity) {
		size_t capacity = r->items_capacity ? r->items_capacity * 2 : 16;
		uint32_t *grown = reallocarray(r->items, capacity, sizeof(*grown));
		if (!grown)
			return analyzer_no_memory(r->a);
		r->items = grown;
		r->items_capacity = capacity;
	}
	r->items[r->items_count++] = (uint32_t)r->at;
}

void read_list(struct reader *r)
{
	for (;;) {
		skip_newlines(r);
		if (r->stopped || at_closer(r))
			return;
		if (r->depth == 0)
			add_item(r);
		read_item(r);
		if (r->stopped)
			return;
	}
}

size_t add_silent_part(struct reader *r, struct gate_part *part, size_t start)
{
	size_t length = here(r) > start ? here(r) - start : 0;
	part->kind = part->argv.count ? part->kind : PART_BUILTIN;
	part->text = analyzer_copy(r->a, r->script + start,
		length < MAX_PART_TEXT_BYTES ? length : MAX_PART_TEXT_BYTES);
	reader_place(r, start, &part->line, &part->column);
	part->depth = r->frame.depth;
	part->piped_from = part->piped_from == SIZE_MAX ? 0 : r->frame.piped_from;
	part->background = r->frame.background;
	part->as_other_user = r->frame.as_other_user;
	size_t index = analyzer_add(r->a, part);
	if (r->hazard)
		part_doubt(r->a, index, steal_pointer(&r->hazard));
	if (r->counts)
		scope_counts(r->a, r->scope, index);
	r->counts = false;
	return index;
}

void flush_hazards(struct reader *r, size_t start)
{
	struct gate_part part = {0};
	if (r->hazard || r->counts)
		add_silent_part(r, &part, start);
}

void read_command(struct reader *r)
{
	if (!reader_enter(r))
		return;
	skip_blanks(r);
	if (at_closer(r))
		reader_syntax(r, "a closing word or sign too many");
	else if (!read_compound(r))
		read_simple(r);
	reader_leave(r);
}

/* What bash and the grammar, or bash in one locale and in another, could read in two ways. */
static const char *unreadable(const char *script, size_t length_bytes)
{
	if (memchr(script, '\0', length_bytes))
		return "the script holds a NUL";
	if (memchr(script, '\r', length_bytes))
		return "the script holds a carriage return";
	for (size_t i = 0; i < length_bytes;) {
		size_t n = utf8_sequence((const unsigned char *)script + i);
		if (n == 0 || n > length_bytes - i)
			return "the script is not valid UTF-8";
		i += n;
	}
	return NULL;
}

/* In some locales the bytes of a character may hold a backslash or a backquote. */
static bool depends_on_locale(const struct reader *r)
{
	bool ascii = true;
	for (size_t i = 0; i < r->end && ascii; i++)
		ascii = (unsigned char)r->script[i] < 0x80;
	return !ascii &&
	       (r->frame.environment || strstr(r->script, "LC_") || strstr(r->script, "LANG"));
}

static void index_lines(struct reader *r)
{
	size_t count = 0, capacity = 0;
	const char *stop = r->script + r->end;
	for (const char *p = r->script; (p = memchr(p, '\n', (size_t)(stop - p))) != NULL; p++) {
		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 64;
			uint32_t *grown = reallocarray(r->lines, capacity, sizeof(*grown));
			if (!grown)
				return analyzer_no_memory(r->a);
			r->lines = grown;
		}
		r->lines[count++] = (uint32_t)(p - r->script);
		r->lines_count = count;
	}
}

/* Gives the second reader what is not plain, in pieces as long as there are. */
static enum tree_verdict ask_tree(struct reader *r)
{
	enum tree_verdict verdict = TREE_AGREES;
	struct tree_check check = {.names = r->names, .names_count = r->names_count};
	shell_tree_begin(&check);
	size_t from = SIZE_MAX;
	for (size_t i = 0; i <= r->items_count && verdict == TREE_AGREES; i++) {
		bool last = i == r->items_count;
		size_t start = last ? r->end : r->items[i];
		size_t next = i + 1 < r->items_count ? r->items[i + 1] : r->end;
		if (!last && !shell_is_plain(r->script + start, next - start)) {
			from = from == SIZE_MAX ? start : from;
		} else if (from != SIZE_MAX) {
			verdict = shell_tree_check(&check, r->script, from, start);
			from = SIZE_MAX;
		}
	}
	return verdict;
}

static void check_with_tree(struct reader *r)
{
	switch (ask_tree(r)) {
	case TREE_AGREES:
		break;
	case TREE_DIFFERS:
		scope_doom(r->scope, "two readers of the script's syntax disagree");
		break;
	case TREE_TOO_SLOW:
		r->a->analysis->incomplete = true;
		break;
	case TREE_NO_MEMORY:
		analyzer_no_memory(r->a);
		break;
	}
}

/* A doomed script without a single part would be nothing at all: it gets one, as written. */
static void keep_visible(struct reader *r, size_t first)
{
	struct gate_part part = {0};
	if ((!r->stopped && !r->scope->doom) || r->a->analysis->count > first)
		return;
	r->at = r->end;
	part_doubt(r->a, add_silent_part(r, &part, 0), "the script is not understood");
}

void shell_script(struct analyzer *a, struct scope *scope, const struct frame *frame,
	const char *script, size_t length_bytes, const char *file)
{
	struct reader reader = {
		.a = a,
		.scope = scope,
		.frame = *frame,
		.script = script,
		.file = file,
		.end = length_bytes,
	};
	struct reader *r = &reader;
	r->frame.background = false;
	if (length_bytes > MAX_SCRIPT_BYTES || length_bytes > a->bytes_left || !analyzer_enter(a)) {
		a->analysis->incomplete = true;
		return;
	}
	a->bytes_left -= length_bytes;
	index_lines(r);
	size_t first = a->analysis->count;
	const char *why = unreadable(script, length_bytes);
	if (why)
		reader_odd(r, why);
	else if (depends_on_locale(r))
		reader_odd(r, "what its characters are depends on the locale");
	else if (scope->dialect == DIALECT_OTHER &&
		 !shell_is_plain_everywhere(script, length_bytes))
		scope_doom(scope, "this shell may read it otherwise than bash");
	if (!r->stopped)
		read_list(r);
	if (!r->stopped && r->at < r->end)
		reader_syntax(r, "a closing word or sign too many");
	if (r->heredocs_count) {
		reader_odd(r, "a here-document is not closed");
		read_heredocs(r);
	}
	/* What is doubted as a whole already can gain nothing. */
	if (!r->stopped && !a->memory_short && !scope->doom)
		check_with_tree(r);
	keep_visible(r, first);
	for (size_t i = first; frame->background && i < a->analysis->count; i++)
		a->analysis->parts[i].background = true;
	free(r->names);
	free(r->items);
	free(r->lines);
	free(r->defined);
	analyzer_leave(a);
}

void shell_process(struct analyzer *a, enum dialect dialect, const struct frame *frame,
	const char *script, size_t length_bytes, const char *file)
{
	cleanup_scope struct scope scope = {
		.dialect = dialect,
		.first = a->analysis->count,
		.trusts_numbers = !frame->environment && !frame->within,
	};
	shell_script(a, &scope, frame, script, length_bytes, file);
	scope_settle(a, &scope);
}
