/* Theory of operation. A panic is followed by goroutines; the first is the one that panicked. Its
 * frames take two lines each: the function, and "\tFILE:LINE +0x1d". The frames of the runtime that
 * raise the panic stand above the one that caused it, after which the function "panic" is called.
 * go test names the test and puts FILE:LINE before each of its messages. */
#include "witness/trace_internal.h"

#include <string.h>

/* "main.f(0x1, ...)", "created by main.g" */
static struct slice function_name(struct slice line)
{
	struct slice arguments;
	slice_split_last(line, "(", &line, &arguments);
	return line;
}

static bool take_frame(struct trace_reader *reader, struct trace_frame *ret)
{
	struct slice function = reader_line(reader, 0), place = reader_line(reader, 1), offset;
	if (!function.length || !slice_starts(place, "\t"))
		return false;
	place = slice_from(place, 1);
	slice_split(place, " +0x", &place, &offset);
	if (!frame_of_place(place, ret))
		return false;
	slice_skip(&function, "created by ");
	ret->function = function_name(function);
	reader->at += 2;
	return true;
}

static bool is_runtime(const struct trace_frame *frame)
{
	return slice_starts(frame->function, "runtime.") ||
	       slice_equals(frame->function, "panic") || slice_starts(frame->function, "testing.");
}

static bool skip_to_goroutine(struct trace_reader *reader)
{
	for (size_t i = 0; i < TRACE_LOOK_AHEAD && !reader_is_at_end(reader); i++) {
		struct slice line = reader_take(reader);
		if (slice_starts(line, "goroutine ") && slice_ends(line, "]:"))
			return true;
	}
	return false;
}

bool go_panic(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), message = line;
	bool fatal = slice_skip(&message, "fatal error: ");
	if (!fatal && !slice_skip(&message, "panic: "))
		return false;
	size_t start = reader->at++;
	if (!skip_to_goroutine(reader)) {
		reader->at = start;
		return false;
	}
	struct slice again;
	slice_split(message, " [recovered]", &message, &again);
	struct trace trace = trace_begin("go", slice_of(fatal ? "fatal error" : "panic"), message);
	if (slice_starts(message, "runtime error: ")) {
		trace.kind = slice_of("runtime error");
		trace.message = slice_from(message, strlen("runtime error: "));
	}
	trace.test = reader->test;
	struct trace_frame frame, runtime = {0};
	while (take_frame(reader, &frame)) {
		if (!is_runtime(&frame))
			trace_add_frame(&trace, &frame);
		else if (!runtime.file.length)
			runtime = frame;
	}
	if (!trace.frames_count && runtime.file.length)
		trace_add_frame(&trace, &runtime);
	reader_add(reader, &trace);
	reader->test = (struct slice){0};
	return true;
}

/* "--- FAIL: TestX (0.00s)", then "    x_test.go:7: message" */
bool go_test(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0)), duration;
	if (!slice_skip(&line, "--- FAIL: "))
		return false;
	slice_split_last(line, " (", &line, &duration);
	reader->at++;
	struct trace trace = trace_begin("go", slice_of("test failed"), (struct slice){0});
	trace.test = line;
	for (; slice_indent(reader_line(reader, 0)); reader->at++) {
		struct slice said = slice_trim(reader_line(reader, 0)), place, message;
		struct trace_frame frame;
		if (slice_starts(said, "--- "))
			break;
		if (slice_split(said, ": ", &place, &message) && frame_of_place(place, &frame)) {
			frame.function = trace.test;
			trace_add_frame(&trace, &frame);
			if (!trace.message.length)
				trace.message = message;
		}
	}
	/* Without a word of its own it failed by a panic, or by a test within it. */
	if (!trace.frames_count) {
		reader->test = trace.test;
		return true;
	}
	reader_add(reader, &trace);
	return true;
}
