/* Theory of operation. Most tools say what is wrong in one line of a fixed form. Each form is a
 * pattern: bytes that stand for themselves, and
 *	%f  a file's name     %l  a line     %c  a column     %w  a function
 *	%m  the message       %k  the kind   %_  anything     %t  a test's name
 * A variable ends where the bytes behind it first occur (at the end of the line if none are), so a
 * match never goes back and is linear in the line. */
#include "witness/trace_internal.h"

#include <string.h>

struct pattern {
	const char *family;  /* NULL: known, and nothing to tell of */
	const char *endings; /* the file's name ends with one of these, between blanks; NULL: any */
	const char *form;
	const char *kind; /* where the form has no %k */
	enum trace_rank rank;
};

static const struct pattern patterns[] = {
	/* Compilers. A file's ending tells apart what looks alike. */
	{"java", ".java .kt", "%f:%l: error: %m", "error", RANK_CAUSE},
	{"maven", NULL, "[ERROR] %f:[%l,%c] error: %m", "error", RANK_CAUSE},
	{"maven", NULL, "[ERROR] %f:[%l,%c] %m", "error", RANK_CAUSE},
	{"python", ".py .pyi", "%f:%l: error: %m", "error", RANK_CAUSE},
	{"python", ".py .pyi", "%f:%l:%c: error: %m", "error", RANK_CAUSE},
	{"python", ".py .pyi", "%f:%l:%c: %k %m", NULL, RANK_CAUSE},
	{"compiler", NULL, "%f:%l:%c: fatal error: %m", "fatal error", RANK_CAUSE},
	{"compiler", NULL, "%f:%l:%c: error: %m", "error", RANK_CAUSE},
	{"compiler", NULL, "%f:%l: fatal error: %m", "fatal error", RANK_CAUSE},
	{"compiler", NULL, "%f:%l: error: %m", "error", RANK_CAUSE},
	{"compiler", NULL, "%f:%l: Error: %m", "error", RANK_CAUSE},
	{"compiler", NULL, "gcc: error: %m", "error", RANK_CAUSE},
	{"compiler", NULL, "cc: error: %m", "error", RANK_CAUSE},
	{"compiler", NULL, "g++: error: %m", "error", RANK_CAUSE},
	{"compiler", NULL, "clang: error: linker command failed%m", "error", RANK_SUMMARY},
	{"compiler", NULL, "clang: error: %m", "error", RANK_CAUSE},
	{"linker", NULL, "collect2: error: %m", "error", RANK_SUMMARY},
	{"go", ".go", "vet: %f:%l:%c: %m", "vet", RANK_CAUSE},
	{"go", ".go", "%f:%l:%c: %m", "error", RANK_CAUSE},
	{"typescript", ".ts .tsx .js .jsx .mts .cts", "%f(%l,%c): error %k: %m", NULL, RANK_CAUSE},
	{"typescript", ".ts .tsx .js .jsx .mts .cts", "%f:%l:%c - error %k: %m", NULL, RANK_CAUSE},
	{"typescript", NULL, "error TS%k: %m", NULL, RANK_CAUSE},
	{"eslint", NULL, "%f: line %l, col %c, Error - %m (%k)", NULL, RANK_CAUSE},
	{"eslint", NULL, "%f:%l:%c: %m [Error/%k]", NULL, RANK_CAUSE},

	/* Shells. */
	{"shell", NULL, "%f: line %l: %_ Segmentation fault%m", "Segmentation fault", RANK_CAUSE},
	{"shell", NULL, "%f: line %l: %_ Aborted%m", "Aborted", RANK_CAUSE},
	{"shell", NULL, "%f: line %l: %_ Killed%m", "Killed", RANK_CAUSE},
	{"shell", NULL, "%f: line %l: %m: command not found", "command not found", RANK_CAUSE},
	{"shell", NULL, "%f: line %l: %m: unbound variable", "unbound variable", RANK_CAUSE},
	{"shell", NULL, "%f: line %l: syntax error%m", "syntax error", RANK_CAUSE},
	{NULL, NULL, "%f: line %l: `%m'", NULL, RANK_CAUSE},
	{"shell", NULL, "%f: line %l: %m", "error", RANK_CAUSE},
	{"shell", NULL, "%f: %l: Syntax error: %m", "syntax error", RANK_CAUSE},
	{"shell", NULL, "%f: %l: %m: not found", "command not found", RANK_CAUSE},
	{"shell", ".sh sh bash dash ash zsh", "%f: %l: %m", "error", RANK_CAUSE},
	{"shell", NULL, "%f:%l: command not found: %m", "command not found", RANK_CAUSE},
	{"shell", ".sh sh bash zsh", "%f:%l: %m", "error", RANK_CAUSE},
	{"shell", NULL, "env: %m: No such file or directory", "command not found", RANK_CAUSE},

	/* Scripting languages whose errors are one line. */
	{"php", NULL, "PHP %k:  %m in %f on line %l", NULL, RANK_CAUSE},
	{"perl", ".pl .pm .t", "%m at %f line %l.", "die", RANK_CAUSE},
	{"perl", ".pl .pm .t", "%m at %f line %l, near %_", "syntax error", RANK_CAUSE},
	{"ruby", ".rb", "%f:%l: %m", "SyntaxError", RANK_CAUSE},
	{"python", NULL, "%_: can't open file '%f': %m", "cannot open", RANK_CAUSE},

	/* Builds. */
	{"ninja", NULL, "ninja: error: %f:%l: %m", "error", RANK_CAUSE},
	{"ninja", NULL, "ninja: error: %m", "error", RANK_CAUSE},
	{"ninja", NULL, "ninja: build stopped: %m", "build stopped", RANK_SUMMARY},
	{"meson", NULL, "%f:%l:%c: ERROR: %m", "error", RANK_CAUSE},
	{"rust", NULL, "error: could not compile %m", "could not compile", RANK_SUMMARY},
	{"rust", NULL, "error: aborting due to %m", "aborting", RANK_SUMMARY},
	{"rust", NULL, "error: test failed, %m", "test failed", RANK_SUMMARY},
	{"npm", NULL, "npm ERR! code %k", NULL, RANK_SUMMARY},
	{"npm", NULL, "npm error code %k", NULL, RANK_SUMMARY},
	{"npm", NULL, "npm ERR! Missing script: %m", "missing script", RANK_CAUSE},
	{"npm", NULL, "npm error Missing script: %m", "missing script", RANK_CAUSE},
	{"maven", NULL, "[ERROR] Failed to execute goal %m", "goal failed", RANK_SUMMARY},

	/* Programs that say no more than this. */
	{"program", NULL, "fatal: %m", "fatal", RANK_CAUSE},
	{"program", NULL, "error: %m", "error", RANK_CAUSE},
	{"program", NULL, "%m: No such file or directory", "no such file", RANK_CAUSE},
	{"program", NULL, "%m: Permission denied", "permission denied", RANK_CAUSE},
	{"program", NULL, "%m: Operation not permitted", "not permitted", RANK_CAUSE},
	{"program", NULL, "%m: Read-only file system", "read-only", RANK_CAUSE},
	{"program", NULL, "%m: No space left on device", "no space", RANK_CAUSE},
	{"program", NULL, "%m: Connection refused", "connection refused", RANK_CAUSE},
	{"program", NULL, "%m: command not found", "command not found", RANK_CAUSE},
};

static bool has_ending(struct slice file, const char *endings)
{
	if (!endings)
		return true;
	for (struct slice left = slice_of(endings), ending; left.length;) {
		ending = left;
		if (!slice_split(left, " ", &ending, &left))
			left.length = 0;
		if (file.length >= ending.length && memcmp(file.data + file.length - ending.length,
							    ending.data, ending.length) == 0)
			return true;
	}
	return false;
}

/* Prose before a colon is no file's name; a path with blanks in it is one only if it begins as
 * paths do. */
static bool is_file(struct slice file)
{
	if (!file.length || slice_indent(file) || slice_ends(file, " "))
		return false;
	return !slice_contains(file, " ") || slice_starts(file, "/") || slice_starts(file, "./");
}

/* The bytes of the form up to its next variable. */
static size_t literal_length(const char *form)
{
	return strcspn(form, "%");
}

/* Takes off line what a variable holds: up to the next literal, which stays. */
static bool take_until(struct slice *line, const char *literal, struct slice *ret)
{
	size_t length = literal_length(literal);
	const char *place = line->data + line->length;
	if (length)
		place = line->length ? memmem(line->data, line->length, literal, length) : NULL;
	if (!place)
		return false;
	*ret = slice_until(*line, (size_t)(place - line->data));
	*line = slice_from(*line, ret->length);
	return true;
}

struct match {
	struct trace_frame frame;
	struct slice message, kind, test;
};

static bool set_variable(struct match *match, char variable, struct slice *line, const char *form)
{
	struct slice value;
	if (variable == 'l')
		return slice_skip_number(line, &match->frame.line);
	if (variable == 'c')
		return slice_skip_number(line, &match->frame.column);
	if (!take_until(line, form, &value))
		return false;
	switch (variable) {
	case 'f':
		match->frame.file = value;
		return is_file(value);
	case 'k':
		match->kind = value;
		return value.length > 0;
	case 'w':
		match->frame.function = value;
		return true;
	case 't':
		match->test = value;
		return true;
	case 'm':
		match->message = value;
		return true;
	}
	return variable == '_';
}

static bool matches(const char *form, struct slice line, struct match *ret)
{
	*ret = (struct match){0};
	while (*form) {
		if (*form == '%') {
			char variable = form[1];
			form += 2;
			if (!set_variable(ret, variable, &line, form))
				return false;
			continue;
		}
		size_t length = literal_length(form);
		if (line.length < length || memcmp(line.data, form, length) != 0)
			return false;
		line = slice_from(line, length);
		form += length;
	}
	return line.length == 0;
}

static void add_match(
	struct trace_reader *reader, const struct pattern *pattern, struct match *match)
{
	struct trace trace = trace_begin(pattern->family,
		match->kind.length ? match->kind : slice_of(pattern->kind), match->message);
	trace.rank = pattern->rank;
	trace.test = match->test;
	match->frame.directory = reader->directory;
	if (slice_same(match->frame.file, reader->in_file))
		match->frame.function = reader->in_function;
	if (match->frame.file.length)
		trace_add_frame(&trace, &match->frame);
	for (size_t i = 0; i < reader->pending_count; i++)
		trace_add_frame(&trace, &reader->pending[i]);
	reader->pending_count = 0;
	reader_add(reader, &trace);
}

bool trace_match_patterns(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	/* Every form has one of these; prose mostly none. */
	if (!slice_contains(line, ":") && !slice_contains(line, " line "))
		return false;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct match match;
		if (!matches(patterns[i].form, line, &match) ||
			!has_ending(match.frame.file, patterns[i].endings))
			continue;
		if (patterns[i].family)
			add_match(reader, &patterns[i], &match);
		reader->at++;
		return true;
	}
	return false;
}
