/* Theory of operation. A traceback lists its calls outermost first and ends with a line that is not
 * indented: the exception. A chain prints the first cause first, with a sentence between, which is
 * remembered for the next one. Within an exception group everything stands behind a margin of "|",
 * which each line is freed of before it is looked at. pytest shows a test's source instead, marks
 * what is wrong with "E" and ends each place with FILE:LINE. */
#include "witness/trace_internal.h"

#include <string.h>

/* "  |   File ..." as "  File ...": what is behind the margin, with one blank of it gone. */
static struct slice behind_margin(struct slice line)
{
	struct slice rest = slice_from(line, slice_indent(line));
	if (!slice_skip(&rest, "|") && !slice_skip(&rest, "+ "))
		return line;
	slice_skip(&rest, " ");
	return rest;
}

/* `File "a.py", line 3, in f`; without the function for a SyntaxError. */
static bool take_file(struct slice line, struct trace_frame *ret)
{
	struct slice file, rest;
	*ret = (struct trace_frame){0};
	line = slice_trim(line);
	if (!slice_skip(&line, "File \"") || !slice_split(line, "\", line ", &file, &rest))
		return false;
	ret->file = file;
	if (!slice_skip_number(&rest, &ret->line))
		return false;
	if (slice_skip(&rest, ", in "))
		ret->function = rest;
	return true;
}

/* "  [Previous line repeated 994 more times]" */
static bool take_repetition(struct slice line, struct trace *trace)
{
	unsigned times = 0;
	line = slice_trim(line);
	if (!slice_skip(&line, "[Previous line repeated ") || !slice_skip_number(&line, &times))
		return false;
	trace->frames_lost += times;
	return true;
}

/* The frames under a header; stops at the line of the exception. */
static void take_frames(struct trace_reader *reader, struct trace *trace)
{
	while (!reader_is_at_end(reader)) {
		struct slice line = behind_margin(reader_line(reader, 0));
		struct trace_frame frame;
		if (take_file(line, &frame)) {
			trace_push_frame(trace, &frame);
		} else if (!take_repetition(line, trace) && !slice_indent(line)) {
			return;
		}
		reader->at++;
	}
}

/* "ValueError: message". Where a message goes on in further lines cannot be told from what the
 * program printed next. */
static bool take_exception(struct trace_reader *reader, struct trace *trace)
{
	struct slice line = behind_margin(reader_line(reader, 0)), message;
	struct slice kind;
	if (!split_kind(line, &kind, &message))
		return false;
	reader->at++;
	trace->kind = kind;
	trace->message = slice_trim(message);
	return true;
}

static bool take_traceback(struct trace_reader *reader)
{
	struct trace trace = trace_begin("python", slice_of("exception"), (struct slice){0});
	trace.test = reader->test;
	trace.follows = reader->follows;
	take_frames(reader, &trace);
	bool whole = take_exception(reader, &trace);
	if (!whole && !trace.frames_count)
		return false;
	reader_add(reader, &trace);
	reader->test = (struct slice){0};
	return true;
}

bool python_traceback(struct trace_reader *reader)
{
	struct slice line = reader_take(reader);
	/* The sub-exceptions of a group stand further in than the group. */
	struct slice bare = slice_from(line, slice_indent(line));
	if (slice_skip(&bare, "| ") && reader->follows == FOLLOWS_NOTHING &&
		!slice_contains(line, "+ Exception Group"))
		reader->follows = FOLLOWS_PART_OF_GROUP;
	return take_traceback(reader);
}

/* A SyntaxError of the file that was to be run has no header. */
bool python_syntax(struct trace_reader *reader)
{
	struct trace_frame frame;
	if (!take_file(reader_line(reader, 0), &frame) || frame.function.length)
		return false;
	struct trace trace = trace_begin("python", slice_of("SyntaxError"), (struct slice){0});
	take_frames(reader, &trace);
	if (!take_exception(reader, &trace) || !slice_ends(trace.kind, "Error"))
		return false;
	reader_add(reader, &trace);
	return true;
}

bool python_link(struct trace_reader *reader)
{
	struct slice line = reader_take(reader);
	reader->follows =
		slice_contains(line, "direct cause") ? FOLLOWS_RAISED_FROM : FOLLOWS_WHILE_HANDLING;
	return true;
}

/* "FAIL: test_x (module.Case.test_x)": the traceback that follows is this test's. */
bool unittest_header(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), test, where;
	if ((!slice_skip(&line, "FAIL: ") && !slice_skip(&line, "ERROR: ")) ||
		!slice_split(line, " (", &test, &where) || !slice_ends(where, ")"))
		return false;
	reader->at++;
	reader->test = slice_until(where, where.length - 1);
	return true;
}

/* ---- pytest ---- */

static bool is_exception(struct slice kind)
{
	return is_name(kind) && (slice_ends(kind, "Error") || slice_ends(kind, "Exception") ||
					slice_ends(kind, "Failed"));
}

/* "____ test_x ____" */
static bool section_name(struct slice line, struct slice *ret)
{
	struct slice left = line;
	if (!slice_starts(line, "__") || !slice_ends(line, "__"))
		return false;
	while (slice_skip(&left, "_"))
		;
	while (left.length && left.data[left.length - 1] == '_')
		left.length--;
	*ret = slice_trim(left);
	return ret->length > 0 && slice_starts(left, " ");
}

/* "test_a.py:7: AssertionError" and "util.py:3: in check"; the innermost comes last. */
static bool take_place(struct slice line, struct slice defined, struct trace *trace)
{
	struct slice place, word;
	struct trace_frame frame;
	if (slice_indent(line) || !slice_split(line, ": ", &place, &word)) {
		if (slice_indent(line) || !slice_ends(line, ": "))
			return false;
		place = slice_until(line, line.length - 2);
		word = (struct slice){0};
	}
	if (!slice_contains(place, ".py:") || !frame_of_place(place, &frame))
		return false;
	frame.function = defined;
	if (slice_skip(&word, "in "))
		frame.function = word;
	else if (is_exception(word) && slice_equals(trace->kind, "failed"))
		trace->kind = word;
	trace_push_frame(trace, &frame);
	return true;
}

/* "    def divide(a, b):" above the place in it */
static void take_definition(struct slice line, struct slice *defined)
{
	struct slice name, arguments;
	line = slice_trim(line);
	slice_skip(&line, "> ");
	line = slice_trim(line);
	slice_skip(&line, "async ");
	if (slice_skip(&line, "def ") && slice_split(line, "(", &name, &arguments))
		*defined = name;
}

/* "E       AssertionError: x": the first one says what, those after it more of the same. */
static void take_mark(struct slice line, struct trace *trace)
{
	struct slice said = slice_trim(slice_from(line, 1)), kind, message;
	struct trace_frame frame;
	if (take_file(said, &frame)) {
		trace_push_frame(trace, &frame);
		return;
	}
	if (split_kind(said, &kind, &message) && (is_exception(kind) || !trace->message.length)) {
		trace->kind = kind;
		trace->message = message;
	} else if (!trace->message.length) {
		trace->message = said;
	}
}

static bool is_ruler(struct slice line)
{
	return slice_starts(line, "====") || slice_starts(line, "----");
}

bool pytest_section(struct trace_reader *reader)
{
	struct slice name, next;
	if (!section_name(reader_line(reader, 0), &name))
		return false;
	reader->at++;
	struct trace trace = trace_begin("pytest", slice_of("failed"), (struct slice){0});
	trace.test = name;
	slice_skip(&trace.test, "ERROR at setup of ");
	slice_skip(&trace.test, "ERROR at teardown of ");
	slice_skip(&trace.test, "ERROR collecting ");
	struct slice defined = {0};
	while (!reader_is_at_end(reader)) {
		struct slice line = reader_line(reader, 0);
		if (section_name(line, &next) || is_ruler(line) ||
			slice_starts(line, "Traceback (most recent call last):"))
			break;
		if (slice_starts(line, "E  "))
			take_mark(line, &trace);
		else if (take_place(line, defined, &trace))
			defined = (struct slice){0};
		else
			take_definition(line, &defined);
		reader->at++;
	}
	/* With --tb=native a traceback follows, which says more. */
	if (!trace.frames_count && !trace.message.length) {
		reader->test = trace.test;
		return true;
	}
	reader_add(reader, &trace);
	return true;
}

/* --tb=line: "/x/test_a.py:4: AssertionError: x" and "/x/test_a.py:4: assert 1 == 2" */
bool pytest_line(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), place, said, kind, message;
	struct trace_frame frame;
	if (!slice_split(line, ": ", &place, &said) || !slice_contains(place, ".py:") ||
		!frame_of_place(place, &frame) || slice_contains(frame.file, " "))
		return false;
	if (slice_starts(said, "assert ")) {
		kind = slice_of("AssertionError");
		message = said;
	} else if (!split_kind(said, &kind, &message) || !is_exception(kind)) {
		return false;
	}
	reader->at++;
	struct trace trace = trace_begin("pytest", kind, message);
	trace_add_frame(&trace, &frame);
	reader_add(reader, &trace);
	return true;
}

/* "FAILED test_a.py::test_x - assert 1 == 2" */
bool pytest_summary(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), name, message = {0}, file, test;
	bool error = slice_skip(&line, "ERROR ");
	if (!error && !slice_skip(&line, "FAILED "))
		return false;
	name = line;
	slice_split(line, " - ", &name, &message);
	if (!slice_contains(name, ".py"))
		return false;
	reader->at++;
	struct trace trace = trace_begin("pytest", slice_of(error ? "error" : "failed"), message);
	struct trace_frame frame = {.file = name};
	trace.test = name;
	if (slice_split(name, "::", &file, &test)) {
		frame.file = file;
		trace.test = frame.function = test;
	}
	trace.rank = RANK_SUMMARY;
	trace_add_frame(&trace, &frame);
	reader_add(reader, &trace);
	return true;
}
