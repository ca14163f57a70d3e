/* Ruby's and PHP's exceptions, which go on over several lines. */
#include "witness/trace_internal.h"

#include <string.h>

/* "a.rb:3:in `f'" */
static bool ruby_place(struct slice place, struct trace_frame *ret)
{
	struct slice at, function = {0};
	if (slice_split(place, ":in ", &at, &function)) {
		place = at;
		if (function.length > 2) /* `f' or 'f' */
			function = slice_until(slice_from(function, 1), function.length - 2);
	}
	if (!frame_of_place(place, ret) || ret->column)
		return false;
	ret->function = function;
	return true;
}

/* "a.rb:3:in `f': message (Kind)", then "\tfrom a.rb:6:in `<main>'" */
bool ruby_exception(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), place, message, kind;
	struct trace_frame frame;
	if (!slice_split(line, ": ", &place, &message) || !ruby_place(place, &frame) ||
		!slice_contains(place, ":in ") ||
		!slice_split_last(message, " (", &message, &kind) || !slice_ends(kind, ")"))
		return false;
	kind.length--;
	if (!is_name(kind))
		return false;
	reader->at++;
	struct trace trace = trace_begin("ruby", kind, message);
	trace_add_frame(&trace, &frame);
	for (; !reader_is_at_end(reader); reader->at++) {
		line = slice_trim(reader_line(reader, 0));
		if (!slice_skip(&line, "from ") || !ruby_place(line, &frame))
			break;
		trace_add_frame(&trace, &frame);
	}
	/* The cause of an exception is printed behind it. */
	bool cause = reader->last && slice_equals(slice_of(reader->last->family), "ruby");
	if (cause)
		reader_add_cause(reader, &trace);
	else
		reader_add(reader, &trace);
	return true;
}

/* "#0 /x/a.php(6): f()" */
static bool php_call(struct slice line, struct trace_frame *ret)
{
	struct slice place, rest, file, end;
	unsigned number;
	*ret = (struct trace_frame){0};
	if (!slice_skip(&line, "#") || !slice_skip_number(&line, &number) ||
		!slice_skip(&line, " ") || !slice_split(line, "): ", &place, &rest) ||
		!slice_split_last(place, "(", &file, &place) ||
		!slice_skip_number(&place, &ret->line))
		return false;
	slice_split(rest, "(", &rest, &end);
	ret->file = file;
	ret->function = rest;
	return true;
}

/* "PHP Fatal error:  Uncaught Kind: message in /x/a.php:3", then "Stack trace:" */
bool php_error(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0), before, said, kind, message, place;
	struct trace_frame frame, caller;
	if (!slice_split(line, "Uncaught ", &before, &said) ||
		!slice_split_last(said, " in ", &said, &place) || !frame_of_place(place, &frame) ||
		!split_kind(said, &kind, &message))
		return false;
	reader->at++;
	struct trace trace = trace_begin("php", kind, message);
	trace_add_frame(&trace, &frame);
	if (slice_starts(reader_line(reader, 0), "Stack trace:"))
		for (reader->at++; php_call(reader_line(reader, 0), &caller); reader->at++) {
			/* PHP names at each place what was called there: the function of the frame
			 * before. */
			trace.frames[trace.frames_count - 1].function = caller.function;
			caller.function = (struct slice){0};
			trace_add_frame(&trace, &caller);
		}
	/* "#1 {main}" and "  thrown in /x/a.php on line 3" */
	while (slice_starts(reader_line(reader, 0), "#") ||
		slice_starts(reader_line(reader, 0), "  thrown in "))
		reader->at++;
	reader_add(reader, &trace);
	return true;
}
