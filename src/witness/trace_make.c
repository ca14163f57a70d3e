#include "witness/trace_internal.h"

#include <string.h>

/* "make[1]: Entering directory '/x/y'": names are relative to it until it is left. */
bool make_directory(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), before, directory;
	bool enters = slice_split(line, ": Entering directory ", &before, &directory);
	if (!enters && !slice_split(line, ": Leaving directory ", &before, &directory))
		return false;
	reader->at++;
	reader->directory = (struct slice){0};
	if (enters && directory.length > 2)
		reader->directory = slice_until(slice_from(directory, 1), directory.length - 2);
	return true;
}

/* Behind "make: *** ", "make[1]: *** " or "Makefile:3: *** ". */
bool make_error(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), who, said;
	if (!slice_split(line, ": *** ", &who, &said))
		return false;
	struct trace trace = trace_begin("make", slice_of("error"), said);
	struct trace_frame frame = {.directory = reader->directory};
	struct slice place, target, end;
	slice_split(trace.message, "  Stop.", &trace.message, &end);
	if (slice_skip(&said, "[") && slice_split(said, "] ", &place, &end)) {
		/* "[Makefile:2: target] Error 1": what failed has said so itself. */
		trace.rank = RANK_SUMMARY;
		trace.kind = slice_of("recipe failed");
		if (slice_split(place, ": ", &place, &target) && frame_of_place(place, &frame))
			frame.function = target;
	} else if (slice_starts(said, "No rule to make target")) {
		trace.kind = slice_of("no rule");
	} else if (!frame_of_place(who, &frame)) {
		frame = (struct trace_frame){0};
	}
	frame.directory = reader->directory;
	if (frame.file.length)
		trace_add_frame(&trace, &frame);
	reader->at++;
	reader_add(reader, &trace);
	return true;
}

/* "CMakeLists.txt:3 (message)" */
static bool take_call(struct slice line, struct trace_frame *ret)
{
	struct slice place, call, end;
	if (!slice_split(line, " (", &place, &call) || !frame_of_place(place, ret))
		return false;
	slice_split(call, ")", &ret->function, &end);
	return true;
}

static bool skip_line(struct trace_reader *reader, const char *line)
{
	bool there = slice_equals(reader_line(reader, 0), line);
	reader->at += there;
	return there;
}

/* Paragraphs, each line indented, with single blank lines between. */
static void take_words(struct trace_reader *reader, struct trace *trace)
{
	struct slice first = {0}, last = {0};
	for (size_t i = 0; i < 2 * TRACE_LOOK_AHEAD && !reader_is_at_end(reader); i++) {
		struct slice line = reader_line(reader, 0);
		if (line.length ? !slice_indent(line) : !reader_line(reader, 1).length)
			break;
		if (line.length) {
			last = slice_trim(line);
			first = first.data ? first : last;
		}
		reader->at++;
	}
	if (first.data && !trace->message.length)
		trace->message = slice_join(first, last);
}

/* "CMake Error at CMakeLists.txt:3 (message):", then the words, indented, and a blank line. */
bool cmake_error(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	if (!slice_skip(&line, "CMake Error"))
		return false;
	struct trace trace = trace_begin("cmake", slice_of("error"), (struct slice){0});
	struct trace_frame frame;
	if (slice_skip(&line, " at ") && take_call(line, &frame))
		trace_add_frame(&trace, &frame);
	else if (slice_skip(&line, ": "))
		trace.message = line;
	reader->at++;
	take_words(reader, &trace);
	if (skip_line(reader, "Call Stack (most recent call first):"))
		while (slice_indent(reader_line(reader, 0)) &&
			take_call(slice_trim(reader_line(reader, 0)), &frame)) {
			trace_add_frame(&trace, &frame);
			reader->at++;
		}
	reader_add(reader, &trace);
	return true;
}

/* "FAILED: a.o": what it printed follows the command line. */
bool ninja_failed(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	if (!slice_skip(&line, "FAILED: "))
		return false;
	reader->at++;
	struct trace trace = trace_begin("ninja", slice_of("failed"), slice_trim(line));
	trace.rank = RANK_SUMMARY;
	reader_add(reader, &trace);
	return true;
}
