/* Theory of operation. JavaScript's errors are "Kind: message" and then lines "    at f
 * (FILE:L:C)"; the first line may be a common word, so it counts only if a call follows within some
 * lines. What the parser of the language itself refuses has no call of its own: node prints
 * FILE:LINE on a line of its own before. jest, mocha and node's own runner indent the same and put
 * a test's name in front. */
#include "witness/trace_internal.h"

#include <string.h>

enum { BARE_LINES = 8 };

/* "    at f (FILE:L:C)", "    at FILE:L:C", "    at async f (FILE:L:C)" */
static bool take_call(struct slice line, struct trace_frame *ret)
{
	line = slice_trim(line);
	if (!slice_skip(&line, "at "))
		return false;
	*ret = (struct trace_frame){0};
	slice_skip(&line, "async ");
	struct slice function, place;
	if (slice_ends(line, ")") && slice_split_last(line, " (", &function, &place)) {
		ret->function = function;
		place.length--;
		line = place;
	}
	struct trace_frame frame;
	slice_skip(&line, "file://");
	if (frame_of_place(line, &frame)) {
		frame.function = ret->function;
		*ret = frame;
		return true;
	}
	ret->file = line;
	return ret->function.length > 0;
}

static bool is_own(struct slice file)
{
	return slice_starts(file, "node:") || slice_starts(file, "internal/") ||
	       slice_contains(file, "/node_modules/") || slice_equals(file, "<anonymous>") ||
	       slice_equals(file, "native");
}

/* Takes the calls from here; what node and its packages did around them says nothing. */
static bool take_calls(struct trace_reader *reader, struct trace *trace)
{
	struct trace_frame frame, hidden[2];
	size_t hidden_count = 0, taken = 0;
	for (; take_call(reader_line(reader, 0), &frame); reader->at++, taken++) {
		if (!is_own(frame.file))
			trace_add_frame(trace, &frame);
		else if (hidden_count < sizeof(hidden) / sizeof(hidden[0]))
			hidden[hidden_count++] = frame;
	}
	for (size_t i = 0; i < hidden_count && !trace->frames_count; i++)
		trace_add_frame(trace, &hidden[i]);
	return taken > 0;
}

/* The number of lines to the first call; 0: there is none near. */
static size_t find_call(const struct trace_reader *reader, size_t from)
{
	struct trace_frame frame;
	for (size_t i = from; i < TRACE_LOOK_AHEAD; i++) {
		struct slice line = reader_line(reader, i);
		if (slice_indent(line) && take_call(line, &frame))
			return i;
	}
	return 0;
}

static bool is_error_name(struct slice kind)
{
	struct slice name = kind, code;
	if (slice_split(kind, " [", &name, &code) && slice_ends(code, "Error]"))
		return true;
	return slice_ends(name, "Error") || slice_ends(name, "Exception") ||
	       slice_ends(name, "Failure");
}

bool node_bare_place(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	struct trace_frame frame;
	slice_skip(&line, "file://");
	if (!slice_starts(line, "/") || !frame_of_place(line, &frame) || frame.column)
		return false;
	reader->bare_file = frame.file;
	reader->bare_line = frame.line;
	reader->bare_at = reader->at++;
	return true;
}

/* The place that was printed some lines before, unless the first call is there too. */
static void add_bare_place(struct trace_reader *reader, size_t header, struct trace *trace)
{
	if (reader->bare_at == SIZE_MAX || header - reader->bare_at > BARE_LINES)
		return;
	reader->bare_at = SIZE_MAX;
	const struct trace_frame *first = trace->frames;
	if (slice_starts(reader->bare_file, "/") &&
		(!trace->frames_count || !slice_same(first->file, reader->bare_file)) &&
		slice_ends(trace->kind, "SyntaxError")) {
		struct trace_frame frame = {.file = reader->bare_file, .line = reader->bare_line};
		trace->frames_count = 0; /* what follows is node's own loader */
		trace_add_frame(trace, &frame);
	}
}

/* What stands between the first line and the calls belongs to the message. */
static void take_message(struct trace_reader *reader, struct trace *trace, size_t to_call)
{
	struct slice last = trace->message;
	for (size_t i = 1; i < to_call; i++) {
		struct slice line = reader_line(reader, i);
		if (slice_trim(line).length)
			last = line;
	}
	if (trace->message.data && last.data > trace->message.data)
		trace->message = slice_join(trace->message, last);
	reader->at += to_call;
}

bool node_error(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0)), kind, message;
	size_t header = reader->at;
	slice_skip(&line, "Uncaught ");
	bool cause = slice_skip(&line, "[cause]: ");
	/* Behind the line that is wrong an error may have any name. */
	bool expected = reader->bare_at != SIZE_MAX && header - reader->bare_at <= BARE_LINES;
	if (!split_kind(line, &kind, &message) || (!expected && !is_error_name(kind)))
		return false;
	size_t to_call = find_call(reader, 1);
	if (!to_call)
		return false;
	struct trace trace = trace_begin("node", kind, message);
	trace.test = reader->test;
	take_message(reader, &trace, to_call);
	take_calls(reader, &trace);
	add_bare_place(reader, header, &trace);
	if (cause)
		reader_add_cause(reader, &trace);
	else
		reader_add(reader, &trace);
	reader->test = (struct slice){0};
	return true;
}

/* "UnhandledPromiseRejection: This error originated ... with the reason "x".", by some versions
 * within [] */
bool node_rejection(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), reason, end;
	slice_skip(&line, "[");
	if (!slice_skip(&line, "UnhandledPromiseRejection: "))
		return false;
	if (!slice_split(line, ".]", &line, &end) && slice_ends(line, "."))
		line.length--;
	if (slice_split(line, "with the reason ", &end, &reason))
		line = reason;
	reader->at++;
	struct trace trace = trace_begin("node", slice_of("UnhandledPromiseRejection"), line);
	reader_add(reader, &trace);
	return true;
}

/* What is thrown need not be an Error; then node says only where, and what. */
bool node_thrown(struct trace_reader *reader)
{
	if (reader->bare_at == SIZE_MAX || reader->at == 0)
		return false;
	struct slice message = {0};
	for (size_t back = 1; back <= 3 && back <= reader->at && !message.length; back++)
		message = reader->lines[reader->at - back];
	struct trace trace = trace_begin("node", slice_of("uncaught"), message);
	struct trace_frame frame = {.file = reader->bare_file, .line = reader->bare_line};
	trace_add_frame(&trace, &frame);
	reader->at++;
	reader->bare_at = SIZE_MAX;
	reader_add(reader, &trace);
	return true;
}

/* ---- runners ---- */

/* Up to the calls of this failure: the first line that says something is its message. */
static void take_story(struct trace_reader *reader, struct trace *trace)
{
	for (size_t i = 0; i < 4 * TRACE_LOOK_AHEAD && !reader_is_at_end(reader); i++) {
		struct slice line = reader_line(reader, 0), kind, message;
		struct slice trimmed = slice_trim(line);
		if (take_calls(reader, trace))
			return;
		if (slice_starts(trimmed, "\xe2\x97\x8f ") || slice_starts(line, "Test Suites:"))
			return;
		if (trimmed.length && !trace->message.length) {
			trace->message = trimmed;
			if (split_kind(trimmed, &kind, &message) && is_error_name(kind)) {
				trace->kind = kind;
				trace->message = message;
			}
		}
		reader->at++;
	}
}

/* "  ● suite › test" */
bool jest_failure(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	if (slice_indent(line) > 4)
		return false;
	line = slice_trim(line);
	if (!slice_skip(&line, "\xe2\x97\x8f ") || slice_starts(line, "Console"))
		return false;
	reader->at++;
	struct trace trace = trace_begin("jest", slice_of("failed"), (struct slice){0});
	trace.test = line;
	take_story(reader, &trace);
	reader_add(reader, &trace);
	return true;
}

/* "  1) suite" and then, further in, "       test:" */
bool mocha_failure(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0));
	unsigned number;
	if (slice_indent(reader_line(reader, 0)) != 2 || !slice_skip_number(&line, &number) ||
		!slice_skip(&line, ") "))
		return false;
	size_t names = slice_ends(line, ":") ? 1 : 0;
	for (size_t i = 1; !names && i < 8; i++) {
		struct slice next = reader_line(reader, i);
		if (slice_indent(next) < 6)
			return false;
		if (slice_ends(next, ":"))
			names = i + 1;
		line = slice_trim(next);
	}
	if (!names || !find_call(reader, names))
		return false;
	reader->at += names;
	struct trace trace = trace_begin("mocha", slice_of("failed"), (struct slice){0});
	trace.test = slice_until(line, line.length - 1);
	take_story(reader, &trace);
	reader_add(reader, &trace);
	return true;
}

static struct slice unquoted(struct slice value)
{
	value = slice_trim(value);
	if (value.length >= 2 && (value.data[0] == '\'' || value.data[0] == '"') &&
		value.data[value.length - 1] == value.data[0])
		return (struct slice){value.data + 1, value.length - 2};
	return value;
}

/* "error: |-" goes on in the next lines, deeper. */
static struct slice yaml_value(struct trace_reader *reader, struct slice value)
{
	value = slice_trim(value);
	if (!slice_starts(value, "|") && !slice_starts(value, ">"))
		return unquoted(value);
	for (size_t i = 1; i < 4; i++) {
		struct slice line = slice_trim(reader_line(reader, i));
		if (line.length)
			return line;
	}
	return value;
}

static void take_yaml(struct trace_reader *reader, struct trace *trace)
{
	struct trace_frame frame;
	struct slice location = {0};
	for (; !reader_is_at_end(reader); reader->at++) {
		struct slice line = slice_trim(reader_line(reader, 0));
		if (slice_equals(line, "..."))
			break;
		if (slice_skip(&line, "error: "))
			trace->message = yaml_value(reader, line);
		else if (slice_skip(&line, "name: ") || slice_skip(&line, "code: "))
			trace->kind = unquoted(line);
		else if (slice_skip(&line, "location: "))
			location = unquoted(line);
		else if (slice_contains(line, ":") && slice_ends(line, ")") &&
			 !slice_starts(line, "at ")) {
			/* In its stack node leaves the "at" out. */
			struct slice function, place;
			if (slice_split_last(line, " (", &function, &place) &&
				frame_of_place(slice_until(place, place.length - 1), &frame) &&
				!is_own(frame.file)) {
				frame.function = function;
				trace_add_frame(trace, &frame);
			}
		}
	}
	if (frame_of_place(location, &frame)) {
		frame.note = slice_of("the test");
		trace_add_frame(trace, &frame);
	}
}

/* "not ok 1 - name" and a YAML block. */
bool tap_failure(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0)), name;
	unsigned number;
	if (!slice_skip(&line, "not ok ") || !slice_skip_number(&line, &number))
		return false;
	name = line;
	slice_skip(&name, " - ");
	if (slice_contains(name, " # ")) /* a directive: left out, or known to fail */
		return false;
	reader->at++;
	struct trace trace = trace_begin("tap", slice_of("failed"), (struct slice){0});
	trace.test = slice_trim(name);
	if (slice_equals(slice_trim(reader_line(reader, 0)), "---"))
		take_yaml(reader, &trace);
	/* A suite that fails because of a test in it. */
	if (slice_contains(trace.message, "subtest") && slice_contains(trace.message, "failed"))
		trace.rank = RANK_SUMMARY;
	reader_add(reader, &trace);
	return true;
}

/* A file's name, then "  3:5  error  message  rule" until a blank line. */
bool eslint_stylish(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0)), rest;
	struct trace_frame frame = {0};
	if (!slice_indent(reader_line(reader, 0)) || !slice_skip_number(&line, &frame.line) ||
		!slice_skip(&line, ":") || !slice_skip_number(&line, &frame.column))
		return false;
	line = slice_trim(line);
	if (!slice_skip(&line, "error "))
		return false;
	for (size_t back = 1; back <= TRACE_LOOK_AHEAD && back <= reader->at; back++) {
		struct slice above = reader->lines[reader->at - back];
		if (!above.length)
			return false;
		if (!slice_indent(above)) {
			frame.file = above;
			break;
		}
	}
	struct slice rule = slice_of("error"), message = slice_trim(line);
	if (slice_split_last(message, "  ", &rest, &rule)) {
		message = rest;
		rule = slice_trim(rule);
	}
	reader->at++;
	struct trace trace = trace_begin("eslint", rule, message);
	trace_add_frame(&trace, &frame);
	reader_add(reader, &trace);
	return true;
}
