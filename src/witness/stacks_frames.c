#include "witness/stacks_helper.h"

void stacks_add(json_t *stacks, const char *language, long thread, json_t *frames)
{
	json_t *stack = json_object();
	json_object_set_new(stack, "language", json_string(language));
	json_object_set_new(stack, "thread", json_integer(thread));
	json_object_set_new(stack, "frames", frames);
	if (json_array_size(frames))
		json_array_append(stacks, stack);
	json_decref(stack);
}

static json_t *text(const char *string)
{
	json_t *value = string && *string ? json_string(string) : NULL;
	return value ? value : json_null();
}

void frames_add(json_t *frames, const char *file, unsigned line, const char *function)
{
	json_t *frame = json_object();
	json_object_set_new(frame, "file", text(file));
	json_object_set_new(frame, "line", line ? json_integer(line) : json_null());
	json_object_set_new(frame, "function", text(function));
	json_array_append_new(frames, frame);
}
