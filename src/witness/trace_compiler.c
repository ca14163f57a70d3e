/* Theory of operation. gcc's and clang's errors are one line each, and so patterns; what stands
 * around them is here. Before: the function, the chain of inclusions, the instantiations. After:
 * notes, each with a place of its own. All become part of the failure. Linkers name the object and
 * its function first, then what is missing. */
#include "witness/trace_internal.h"

#include <string.h>

/* "a.c: In function 'main':", "a.cpp: In member function 'int A::f()':" */
bool compiler_function(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), file, function;
	if (!slice_split(line, ": In ", &file, &function) &&
		!slice_split(line, ": At ", &file, &function))
		return false;
	if (!slice_ends(function, ":"))
		return false;
	reader->in_file = file;
	reader->in_function = (struct slice){0};
	struct slice before, after;
	/* In the locale "C" the quotes are ASCII. */
	if (slice_split(function, "\xe2\x80\x98", &before, &after) &&
		slice_split_last(after, "\xe2\x80\x99", &function, &before))
		reader->in_function = function;
	else if (slice_split(function, "'", &before, &after) &&
		 slice_split_last(after, "'", &function, &before))
		reader->in_function = function;
	reader->at++;
	reader->pending_count = 0;
	return true;
}

static void add_pending(struct trace_reader *reader, const struct trace_frame *frame)
{
	if (reader->pending_count < sizeof(reader->pending) / sizeof(reader->pending[0]))
		reader->pending[reader->pending_count++] = *frame;
}

/* "In file included from a.h:3:22," "                 from b.c:1:" */
bool compiler_inclusion(struct trace_reader *reader)
{
	struct slice line = slice_trim(reader_line(reader, 0));
	struct trace_frame frame;
	if (!slice_skip(&line, "In file included from ") &&
		!(reader->pending_count && slice_skip(&line, "from ")))
		return false;
	while (slice_ends(line, ",") || slice_ends(line, ":"))
		line.length--;
	if (!frame_of_place(line, &frame))
		return false;
	frame.note = slice_of("included from");
	frame.directory = reader->directory;
	add_pending(reader, &frame);
	reader->at++;
	return true;
}

/* "a.c:2:5: note: declared here" */
bool compiler_note(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), place, note;
	struct trace_frame frame;
	bool required = slice_split(line, ":   required from ", &place, &note);
	if (!required && !slice_split(line, ": note: ", &place, &note))
		return false;
	if (!frame_of_place(place, &frame))
		return false;
	reader->at++;
	frame.note = required ? slice_of("required from here") : slice_trim(note);
	frame.directory = reader->directory;
	if (required)
		add_pending(reader, &frame);
	else if (reader->last)
		trace_add_frame(reader->last, &frame);
	return true;
}

/* "/usr/bin/ld: /tmp/x.o: in function `main':" */
static bool linker_function(struct trace_reader *reader, struct slice line)
{
	struct slice object, function, end;
	if (!slice_split(line, ": in function `", &object, &function) ||
		!slice_split(function, "':", &function, &end))
		return false;
	reader->in_function = function;
	reader->in_file = (struct slice){0};
	reader->at++;
	return true;
}

/* "a.c:5: undefined reference to `f'", "a.c:(.text+0x9): undefined reference to `f'", and the same
 * behind "ld: ". Only that the name is missing belongs to the message. */
bool linker_error(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), place, message, section;
	struct trace_frame frame;
	slice_skip(&line, "/usr/bin/");
	slice_skip(&line, "ld: ");
	if (linker_function(reader, line))
		return true;
	static const char *const words[] = {
		": undefined reference to ", ": multiple definition of ", ": cannot find "};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!slice_split(line, words[i], &place, &message))
			continue;
		slice_split(message, "; ", &message, &section);
		struct trace trace = trace_begin("linker",
			slice_of(i == 0 ? "undefined reference" : "multiple definition"), message);
		if (!frame_of_place(place, &frame)) {
			frame = (struct trace_frame){.file = place};
			slice_split(place, ":(", &frame.file, &section);
		}
		frame.function = reader->in_function;
		frame.directory = reader->directory;
		trace_add_frame(&trace, &frame);
		reader->at++;
		reader_add(reader, &trace);
		return true;
	}
	if (slice_skip(&line, "cannot find ")) {
		struct trace trace = trace_begin("linker", slice_of("cannot find"), line);
		reader->at++;
		reader_add(reader, &trace);
		return true;
	}
	return false;
}
