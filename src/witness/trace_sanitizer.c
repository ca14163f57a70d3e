/* Theory of operation. Sanitizers and valgrind print a headline and then stacks, each under a line
 * of its own: the first stack is where it happened, the others where the memory came from, was
 * freed, or what the other thread did. Those become frames with that line as their note. */
#include "witness/trace_internal.h"

#include <string.h>

enum { NOTED_FRAMES = 4, REPORT_LINES = 400 };

/* Behind "#0 0x55 in f /x/a.c:3:5" (ASan, UBSan) or "#0 f /x/a.c:3 (exe+0x1)" (TSan). */
static bool take_frame(struct slice line, struct trace_frame *ret)
{
	struct slice address, rest, module, place;
	unsigned number;
	line = slice_trim(line);
	if (!slice_skip(&line, "#") || !slice_skip_number(&line, &number) ||
		!slice_skip(&line, " "))
		return false;
	if (slice_starts(line, "0x") && slice_split(line, " in ", &address, &rest))
		line = rest;
	else
		slice_skip(&line, "in ");
	slice_split(line, " (BuildId", &line, &module);
	if (slice_ends(line, ")"))
		slice_split_last(line, " (", &line, &module);
	*ret = (struct trace_frame){.function = line};
	/* C++'s functions have blanks in them, so the place is what is behind the last one. */
	if (slice_split_last(line, " ", &rest, &place) && !frame_of_place(place, ret))
		ret->file = place;
	else if (!ret->file.length)
		return true;
	ret->function = rest;
	return true;
}

static bool is_own(const struct trace_frame *frame)
{
	return slice_starts(frame->function, "__asan") || slice_starts(frame->function, "__tsan") ||
	       slice_starts(frame->function, "__interceptor") ||
	       slice_contains(frame->file, "libsanitizer") ||
	       slice_contains(frame->file, "/compiler-rt/") ||
	       slice_contains(frame->file, "sanitizer_common") ||
	       slice_starts(frame->function, "__libc_start") ||
	       slice_equals(frame->function, "_start") ||
	       slice_starts(frame->file, "../sysdeps/") || slice_starts(frame->file, "../csu/");
}

struct stacks {
	struct trace *trace;
	struct slice above;  /* the line over the stack */
	size_t index, noted; /* which stack it is; frames of it that were taken */
	bool in_stack;
};

static void add_to_stack(struct stacks *stacks, struct trace_frame *frame)
{
	if (!stacks->in_stack) {
		stacks->in_stack = true;
		stacks->index++;
		stacks->noted = 0;
	}
	if (is_own(frame) || !frame->function.length)
		return;
	if (stacks->index > 1) {
		if (stacks->noted++ == NOTED_FRAMES)
			return;
		if (!frame->file.length)
			return;
		frame->note = stacks->above;
	}
	trace_add_frame(stacks->trace, frame);
}

static void leave_stack(struct stacks *stacks, struct slice line)
{
	stacks->in_stack = false;
	line = slice_trim(line);
	while (slice_ends(line, ":"))
		line.length--;
	struct slice rest, number;
	slice_split(line, " at 0x", &line, &rest);
	slice_split(line, " (tid=", &line, &number);
	if (line.length)
		stacks->above = line;
}

/* The stacks up to the report's last line. */
static void take_stacks(struct trace_reader *reader, struct trace *trace, const char *const ends[])
{
	struct stacks stacks = {.trace = trace};
	for (size_t i = 0; i < REPORT_LINES && !reader_is_at_end(reader); i++) {
		struct slice line = reader_line(reader, 0);
		struct trace_frame frame;
		for (size_t k = 0; ends[k]; k++)
			if (slice_contains(line, ends[k]))
				return;
		reader->at++;
		if (take_frame(line, &frame))
			add_to_stack(&stacks, &frame);
		else
			leave_stack(&stacks, line);
	}
}

/* "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x..." */
bool sanitizer_report(struct trace_reader *reader)
{
	static const char *const ends[] = {"SUMMARY: ", "==ABORTING", "Shadow bytes", NULL};
	struct slice line = reader_line(reader, 0), name, said, kind, rest;
	if (!slice_split(line, "ERROR: ", &name, &said) || !slice_split(said, ": ", &name, &said) ||
		!slice_ends(name, "Sanitizer") || slice_equals(name, "LeakSanitizer"))
		return false;
	reader->at++;
	kind = said;
	struct trace trace = trace_begin("sanitizer", kind, said);
	if (slice_split(said, " ", &kind, &rest)) {
		trace.kind = kind;
		/* Addresses and registers tell a reader nothing. */
		slice_split(trace.message, " at pc ", &trace.message, &rest);
		slice_split(trace.message, " (pc ", &trace.message, &rest);
	}
	/* "READ of size 4 at 0x... thread T0" says more than the address. */
	struct slice access = reader_line(reader, 0);
	if (slice_starts(access, "READ of") || slice_starts(access, "WRITE of"))
		slice_split(access, " at ", &trace.message, &rest);
	take_stacks(reader, &trace, ends);
	reader_add(reader, &trace);
	return true;
}

/* "WARNING: ThreadSanitizer: data race (pid=1)" */
bool thread_sanitizer_report(struct trace_reader *reader)
{
	static const char *const ends[] = {"SUMMARY: ", "==================", NULL};
	struct slice line = reader_line(reader, 0), before, kind, pid;
	if (!slice_split(line, "WARNING: ThreadSanitizer: ", &before, &kind))
		return false;
	reader->at++;
	slice_split(kind, " (pid=", &kind, &pid);
	struct trace trace = trace_begin("sanitizer", kind, slice_trim(reader_line(reader, 0)));
	slice_split(trace.message, " at 0x", &trace.message, &pid);
	take_stacks(reader, &trace, ends);
	reader_add(reader, &trace);
	return true;
}

/* "Direct leak of 10 byte(s) in 1 object(s) allocated from:" */
bool leak_report(struct trace_reader *reader)
{
	static const char *const ends[] = {"SUMMARY: ", " leak of ", NULL};
	struct slice line = slice_trim(reader_line(reader, 0)), from;
	if (!slice_starts(line, "Direct leak of ") && !slice_starts(line, "Indirect leak of "))
		return false;
	reader->at++;
	slice_split(line, " allocated from", &line, &from);
	struct trace trace = trace_begin("sanitizer", slice_of("leak"), line);
	take_stacks(reader, &trace, ends);
	reader_add(reader, &trace);
	return true;
}

/* "a.c:3:5: runtime error: signed integer overflow: ..." */
bool undefined_report(struct trace_reader *reader)
{
	static const char *const ends[] = {"SUMMARY: ", ": runtime error: ", NULL};
	struct slice line = reader_line(reader, 0), place, message, kind, rest;
	struct trace_frame frame;
	if (!slice_split(line, ": runtime error: ", &place, &message) ||
		!frame_of_place(place, &frame))
		return false;
	reader->at++;
	kind = slice_of("undefined behaviour");
	slice_split(message, ": ", &kind, &rest);
	struct trace trace = trace_begin("sanitizer", kind, message);
	if (slice_starts(slice_trim(reader_line(reader, 0)), "#0 "))
		take_stacks(reader, &trace, ends);
	if (!trace.frames_count)
		trace_add_frame(&trace, &frame);
	reader_add(reader, &trace);
	return true;
}

/* ---- valgrind ---- */

/* What is behind "==123== ". */
static bool valgrind_line(struct slice line, struct slice *ret)
{
	unsigned pid;
	return slice_skip(&line, "==") && slice_skip_number(&line, &pid) &&
	       slice_skip(&line, "==") && (*ret = line, true);
}

/* "   at 0x1091A5: main (a.c:5)", "   by 0x..: f (in /usr/bin/x)" */
static bool valgrind_frame(struct slice line, struct trace_frame *ret)
{
	struct slice address, place;
	line = slice_trim(line);
	if ((!slice_skip(&line, "at 0x") && !slice_skip(&line, "by 0x")) ||
		!slice_split(line, ": ", &address, &line))
		return false;
	*ret = (struct trace_frame){.function = line};
	if (slice_ends(line, ")") && slice_split_last(line, " (", &line, &place)) {
		place.length--;
		if (!frame_of_place(place, ret)) {
			*ret = (struct trace_frame){.file = place};
			slice_skip(&ret->file, "in ");
		}
		ret->function = line;
	}
	return true;
}

static bool is_valgrinds(const struct trace_frame *frame)
{
	return slice_contains(frame->file, "vg_replace_malloc") ||
	       slice_contains(frame->file, "/valgrind/");
}

static void take_valgrind_stacks(struct trace_reader *reader, struct trace *trace)
{
	struct stacks stacks = {.trace = trace};
	struct slice line;
	for (; valgrind_line(reader_line(reader, 0), &line) && slice_trim(line).length;
		reader->at++) {
		struct trace_frame frame;
		if (!valgrind_frame(line, &frame))
			leave_stack(&stacks, line);
		else if (!is_valgrinds(&frame))
			add_to_stack(&stacks, &frame);
	}
}

/* A headline counts if a stack is under it. */
bool valgrind_error(struct trace_reader *reader)
{
	struct slice line, next;
	struct trace_frame frame;
	if (!valgrind_line(reader_line(reader, 0), &line) ||
		!valgrind_line(reader_line(reader, 1), &next) || !valgrind_frame(next, &frame) ||
		valgrind_frame(line, &frame) || !slice_trim(line).length)
		return false;
	line = slice_trim(line);
	struct slice kind = line, rest;
	slice_split(line, " of size", &kind, &rest);
	/* "16 bytes in 1 blocks are definitely lost in loss record 1 of 1" */
	if (slice_split(line, " in loss record", &line, &rest) &&
		!slice_split(line, " are ", &rest, &kind))
		kind = line;
	reader->at++;
	struct trace trace = trace_begin("valgrind", kind, line);
	take_valgrind_stacks(reader, &trace);
	reader_add(reader, &trace);
	return true;
}
