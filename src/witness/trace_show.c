/* A trace as a short block for people. What the command printed is in it, so nothing goes to a
 * terminal that could steer it. */
#include "witness/trace.h"

#include "base/utf8.h"

#include <string.h>

enum { SHOWN_FAILURES = 5, SHOWN_FRAMES = 6 };

static void add_plain(struct buffer *to, const char *text, const char *indent)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	while (*s) {
		size_t length = utf8_sequence(s);
		if (*s == '\n') {
			buffer_append_format(to, "\n%s", indent);
			s++;
		} else if (*s == '\t') {
			buffer_append_string(to, "    ");
			s++;
		} else if (length && !utf8_is_control(utf8_character(s, length))) {
			buffer_append(to, s, length);
			s += length;
		} else {
			buffer_append_format(to, "\\x%02x", *s++);
		}
	}
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void show_source(const json_t *frame, struct buffer *to)
{
	json_int_t marked = json_integer_value(json_object_get(frame, "line"));
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(frame, "source"), i, item)
	{
		json_int_t line = json_integer_value(json_object_get(item, "line"));
		buffer_append_format(
			to, "    %c %5lld | ", line == marked ? '>' : ' ', (long long)line);
		add_plain(to, string_of(item, "text"), "");
		buffer_append_string(to, "\n");
	}
}

static void show_frame(const json_t *frame, bool with_source, struct buffer *to)
{
	const char *file = string_of(frame, "file"), *function = string_of(frame, "function");
	const char *note = string_of(frame, "note");
	const json_t *line = json_object_get(frame, "line");
	const json_t *column = json_object_get(frame, "column");
	buffer_append_string(to, "  at ");
	add_plain(to, file ? file : "?", "");
	if (json_is_integer(line))
		buffer_append_format(to, ":%lld", (long long)json_integer_value(line));
	if (json_is_integer(column))
		buffer_append_format(to, ":%lld", (long long)json_integer_value(column));
	if (function) {
		buffer_append_string(to, " in ");
		add_plain(to, function, "");
	}
	if (note) {
		buffer_append_string(to, " (");
		add_plain(to, note, "");
		buffer_append_string(to, ")");
	}
	buffer_append_string(to, "\n");
	if (with_source)
		show_source(frame, to);
}

static void show_failure(const json_t *failure, struct buffer *to)
{
	const char *test = string_of(failure, "test");
	size_t i, inside = 0;
	json_t *frame;
	buffer_append_format(to, "%s: ", string_of(failure, "family"));
	add_plain(to, string_of(failure, "kind"), "");
	if (*string_of(failure, "message")) {
		buffer_append_string(to, ": ");
		add_plain(to, string_of(failure, "message"), "  ");
	}
	buffer_append_string(to, "\n");
	if (test) {
		buffer_append_string(to, "  test ");
		add_plain(to, test, "");
		buffer_append_string(to, "\n");
	}
	json_array_foreach(json_object_get(failure, "frames"), i, frame)
	{
		if (i == SHOWN_FRAMES)
			break;
		/* The innermost place in the workspace is where to look. */
		bool look = json_array_size(json_object_get(frame, "source")) && !inside++;
		show_frame(frame, look, to);
	}
}

static void show_processes(const json_t *processes, struct buffer *to)
{
	size_t i, k, n;
	json_t *process, *stack, *frame;
	json_array_foreach((json_t *)processes, i, process)
	{
		buffer_append_format(to, "process %lld ",
			(long long)json_integer_value(json_object_get(process, "pid")));
		add_plain(to, string_of(process, "name"), "");
		buffer_append_string(to, ": ");
		add_plain(to, string_of(process, "state"), "");
		if (string_of(process, "syscall")) {
			buffer_append_string(to, " in ");
			add_plain(to, string_of(process, "syscall"), "");
		}
		buffer_append_string(to, "\n");
		json_array_foreach(json_object_get(process, "stacks"), k, stack)
		{
			buffer_append_format(to, "  %s\n", string_of(stack, "language"));
			json_array_foreach(json_object_get(stack, "frames"), n,
				frame) if (n < SHOWN_FRAMES) show_frame(frame, false, to);
		}
	}
}

void trace_show(const json_t *trace, struct buffer *to)
{
	size_t i;
	json_t *failure;
	const json_t *failures = json_object_get(trace, "failures");
	json_array_foreach((json_t *)failures, i, failure) if (i < SHOWN_FAILURES)
		show_failure(failure, to);
	size_t left = i > SHOWN_FAILURES ? i - SHOWN_FAILURES : 0;
	left += (size_t)json_integer_value(json_object_get(trace, "more"));
	if (left)
		buffer_append_format(to, "and %zu more\n", left);
	show_processes(json_object_get(trace, "processes"), to);
}
