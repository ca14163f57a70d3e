/* Theory of operation. A panic says where it was raised and then what; with a backtrace the frames
 * follow, each a numbered function and a line "at FILE:LINE:COLUMN", of which those that raise and
 * those that start a thread are the standard library's. rustc prints "error[E0308]: message", the
 * place behind an arrow, and further places behind arrows of its notes. */
#include "witness/trace_internal.h"

#include <string.h>

static bool is_runtime(const struct trace_frame *frame)
{
	static const char *const names[] = {"std::", "core::", "rust_begin_unwind", "__rust_",
		"test::", "alloc::", "<alloc::", "<core::", "_start", "__libc_start", "clone"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_starts(frame->function, names[i]))
			return true;
	return slice_starts(frame->file, "/rustc/");
}

/* "   3: main::f" and "             at ./src/main.rs:2:5" */
static void take_backtrace(struct trace_reader *reader, struct trace *trace)
{
	struct slice function = {0};
	for (; slice_indent(reader_line(reader, 0)); reader->at++) {
		struct slice line = slice_trim(reader_line(reader, 0));
		unsigned number;
		if (slice_skip(&line, "at ")) {
			struct trace_frame frame;
			if (!frame_of_place(line, &frame))
				continue;
			frame.function = function;
			slice_skip(&frame.file, "./");
			if (!is_runtime(&frame))
				trace_add_frame(trace, &frame);
		} else if (slice_skip_number(&line, &number) && slice_skip(&line, ": ")) {
			function = slice_trim(line);
		}
	}
}

/* Up to a blank line, the backtrace or the hint that there could be one. */
static void take_message(struct trace_reader *reader, struct trace *trace)
{
	struct slice first = reader_line(reader, 0), last = first;
	for (size_t i = 0; i < 8 && !reader_is_at_end(reader); i++) {
		struct slice line = reader_line(reader, 0);
		if (!line.length || slice_starts(line, "stack backtrace:") ||
			slice_starts(line, "note: "))
			break;
		last = line;
		reader->at++;
	}
	trace->message = slice_join(first, last);
}

bool rust_panic(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), thread, place, message;
	struct trace_frame frame;
	slice_skip(&line, "thread '");
	if (!slice_split(line, "'", &thread, &place) ||
		!slice_split(place, "panicked at ", &message, &place))
		return false;
	struct trace trace = trace_begin("rust", slice_of("panic"), (struct slice){0});
	bool before_2023 = slice_starts(place, "'");
	if (before_2023) {
		if (!slice_split_last(place, "', ", &message, &place))
			return false;
		trace.message = slice_from(message, 1);
	} else if (slice_ends(place, ":")) {
		place.length--;
	}
	if (!frame_of_place(place, &frame))
		return false;
	reader->at++;
	if (!before_2023)
		take_message(reader, &trace);
	if (!slice_equals(thread, "main") && !slice_equals(thread, "<unnamed>"))
		trace.test = thread;
	if (slice_starts(reader_line(reader, 0), "stack backtrace:")) {
		reader->at++;
		take_backtrace(reader, &trace);
	}
	/* The backtrace has the place too, with its function. */
	if (!trace.frames_count || trace.frames[0].line != frame.line)
		trace_push_frame(&trace, &frame);
	trace.frames[0].column = frame.column;
	reader_add(reader, &trace);
	return true;
}

/* "error[E0308]: mismatched types", "error: cannot find macro `x`" */
bool rustc_error(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), kind = slice_of("error"), message;
	if (slice_skip(&line, "error[")) {
		if (!slice_split(line, "]: ", &kind, &message))
			return false;
	} else if (!slice_split(line, "error: ", &line, &message) || line.length) {
		return false;
	}
	struct slice place = slice_trim(reader_line(reader, 1));
	struct trace_frame frame;
	if (!slice_skip(&place, "--> ") || !frame_of_place(place, &frame))
		return false;
	struct trace trace = trace_begin("rust", kind, message);
	trace_add_frame(&trace, &frame);
	reader->at += 2;
	struct slice note = {0};
	for (; reader_line(reader, 0).length; reader->at++) {
		line = slice_trim(reader_line(reader, 0));
		if (slice_starts(line, "error"))
			break;
		if (slice_skip(&line, "note: "))
			note = line;
		else if ((slice_skip(&line, "--> ") || slice_skip(&line, "::: ")) &&
			 frame_of_place(line, &frame)) {
			frame.note = note.length ? note : slice_of("see");
			trace_add_frame(&trace, &frame);
		}
	}
	reader_add(reader, &trace);
	return true;
}
