/* Theory of operation. A stack trace is "package.Kind: message" and then "\tat package.Class.method
 * (File.java:3)"; "Caused by:" behind it leads to the cause, which so comes first in the list. A
 * frame has only the file's last name: its directory is the package's, which trace_places.c looks
 * for below the usual roots of sources. */
#include "witness/trace_internal.h"

#include <string.h>

/* "	at a.b.C.method(C.java:3)", "	at module/a.b.C.method(C.java:3)", "(Native Method)" */
static bool take_call(struct slice line, struct trace_frame *ret)
{
	struct slice function, place;
	line = slice_trim(line);
	if (!slice_skip(&line, "at ") || !slice_split(line, "(", &function, &place))
		return false;
	slice_split(place, ")", &place, &line);
	if (!frame_of_place(place, ret))
		*ret = (struct trace_frame){.file = place};
	ret->function = function;
	return function.length && !slice_contains(function, " ");
}

static bool is_runtime(struct slice function)
{
	static const char *const packages[] = {"java.", "javax.", "jdk.", "sun.", "com.sun.",
		"org.junit.", "org.apache.maven.", "junit.", "org.gradle.", "java.base/"};
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		if (slice_starts(function, packages[i]))
			return true;
	return false;
}

static size_t take_calls(struct trace_reader *reader, struct trace *trace)
{
	size_t taken = 0;
	for (; !reader_is_at_end(reader); reader->at++) {
		struct slice line = slice_trim(reader_line(reader, 0));
		struct trace_frame frame;
		if (take_call(line, &frame)) {
			taken++;
			if (taken == 1 || !is_runtime(frame.function))
				trace_add_frame(trace, &frame);
		} else if (!slice_starts(line, "... ") || !slice_contains(line, " more")) {
			break;
		}
	}
	return taken;
}

/* The first frame is the runtime's only where nothing else is known. */
static void drop_runtime(struct trace *trace)
{
	if (trace->frames_count > 1 && is_runtime(trace->frames[0].function)) {
		trace->frames_count--;
		memmove(trace->frames, trace->frames + 1,
			trace->frames_count * sizeof(trace->frames[0]));
	}
}

static bool is_throwable(struct slice kind)
{
	return slice_contains(kind, ".") &&
	       (slice_ends(kind, "Exception") || slice_ends(kind, "Error") ||
		       slice_ends(kind, "Failure") || slice_ends(kind, "Throwable") ||
		       slice_ends(kind, "FailedError"));
}

bool java_exception(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0)), kind, message, thread;
	bool named = false;
	bool cause = slice_skip(&line, "Caused by: ");
	slice_skip(&line, "[ERROR] ");
	if (slice_skip(&line, "Exception in thread \""))
		named = slice_split(line, "\" ", &thread, &line);
	if (!split_kind(line, &kind, &message) || (!named && !is_throwable(kind)))
		return false;
	struct trace_frame frame;
	size_t to_call = 1;
	while (to_call < 8 && !take_call(reader_line(reader, to_call), &frame))
		to_call++;
	if (to_call == 8 && !named && !cause)
		return false;
	struct trace trace = trace_begin("java", kind, message);
	reader->at += to_call == 8 ? 1 : to_call;
	take_calls(reader, &trace);
	drop_runtime(&trace);
	if (cause)
		reader_add_cause(reader, &trace);
	else
		reader_add(reader, &trace);
	return true;
}

/* "[ERROR] AppTest.adds:12 expected: <1> but was: <2>": what Maven sums tests up with. */
bool maven_test(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), place, message, type, method;
	struct trace_frame frame;
	if (!slice_skip(&line, "[ERROR]   ") || !slice_split(line, " ", &place, &message) ||
		!frame_of_place(place, &frame) || !slice_split(frame.file, ".", &type, &method))
		return false;
	struct trace trace = trace_begin("maven", slice_of("failed"), message);
	trace.test = frame.file;
	frame.function = frame.file;
	frame.file = (struct slice){0}; /* only the class is known */
	trace.rank = RANK_SUMMARY;
	trace_add_frame(&trace, &frame);
	reader->at++;
	reader_add(reader, &trace);
	return true;
}

/* "* What went wrong:" and the sentences up to the next star. */
bool gradle_failure(struct trace_reader *reader)
{
	struct slice first = reader_line(reader, 1), last = first;
	if (!first.length)
		return false;
	reader->at += 2;
	for (size_t i = 0; i < TRACE_LOOK_AHEAD; i++) {
		struct slice line = reader_line(reader, 0);
		if (!line.length || slice_starts(line, "* "))
			break;
		last = line;
		reader->at++;
	}
	struct trace trace = trace_begin("gradle", slice_of("went wrong"), slice_join(first, last));
	trace.rank = RANK_SUMMARY;
	reader_add(reader, &trace);
	return true;
}
