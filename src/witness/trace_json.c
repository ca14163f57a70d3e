#include "witness/trace_internal.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

json_t *slice_json(struct slice slice, size_t max_bytes)
{
	slice = slice_until(slice, max_bytes);
	/* Not in the middle of a character. */
	if (slice.length == max_bytes)
		while (slice.length && ((unsigned char)slice.data[slice.length - 1] & 0xc0) == 0x80)
			slice.length--;
	json_t *value = json_stringn(slice.data ? slice.data : "", slice.length);
	if (value)
		return value;
	cleanup_buffer struct buffer text = BUFFER_INIT(8 * (max_bytes + 8));
	cleanup_free char *copy = strndup(slice.data, slice.length);
	if (!copy)
		return NULL;
	buffer_append_json(&text, copy);
	return buffer_error(&text) < 0 ? NULL : json_loads(text.data, JSON_DECODE_ANY, NULL);
}

static json_t *optional(struct slice slice, size_t max_bytes)
{
	return slice.length ? slice_json(slice, max_bytes) : json_null();
}

static json_t *number(unsigned value)
{
	return value ? json_integer(value) : json_null();
}

static json_t *hexadecimal(uint64_t fingerprint)
{
	char text[17];
	snprintf(text, sizeof(text), "%016" PRIx64, fingerprint);
	return json_string(text);
}

static json_t *frame_json(const struct trace_frame *frame, const struct trace_options *options,
	size_t *shown, size_t *budget_bytes)
{
	bool inside;
	cleanup_close int fd = -1;
	cleanup_free char *file = place_resolve(frame, options, &inside, &fd);
	json_t *object = json_object();
	struct slice name = slice_of(file);
	json_object_set_new(object, "file", optional(name, MAX_TRACE_NAME_BYTES));
	json_object_set_new(object, "line", number(frame->line));
	json_object_set_new(object, "column", number(frame->column));
	json_object_set_new(object, "function", optional(frame->function, MAX_TRACE_NAME_BYTES));
	json_object_set_new(object, "note", optional(frame->note, MAX_TRACE_NAME_BYTES));
	json_object_set_new(object, "inside", json_boolean(inside));
	bool show = fd >= 0 && frame->line && *shown < MAX_TRACE_SOURCE_FRAMES;
	*shown += show;
	json_object_set_new(object, "source",
		show ? place_source(fd, frame->line, budget_bytes) : json_array());
	return object;
}

static json_t *follows_json(enum trace_follows follows)
{
	static const char *const names[] = {
		[FOLLOWS_RAISED_FROM] = "raised_from",
		[FOLLOWS_WHILE_HANDLING] = "while_handling",
		[FOLLOWS_PART_OF_GROUP] = "part_of_group",
	};
	return names[follows] ? json_string(names[follows]) : json_null();
}

static json_t *trace_json(
	const struct trace *trace, const struct trace_options *options, size_t *budget_bytes)
{
	json_t *object = json_object(), *frames = json_array();
	size_t shown = 0;
	json_object_set_new(object, "family", json_string(trace->family));
	json_object_set_new(object, "kind", slice_json(trace->kind, MAX_TRACE_NAME_BYTES));
	json_object_set_new(object, "message", slice_json(trace->message, MAX_TRACE_MESSAGE_BYTES));
	json_object_set_new(object, "test", optional(trace->test, MAX_TRACE_NAME_BYTES));
	json_object_set_new(object, "follows", follows_json(trace->follows));
	json_object_set_new(object, "summary", json_boolean(trace->rank == RANK_SUMMARY));
	json_object_set_new(
		object, "stream", trace->stream ? json_string(trace->stream) : json_null());
	json_object_set_new(object, "seen", json_integer(trace->seen));
	json_object_set_new(object, "fingerprint", hexadecimal(trace->fingerprint));
	for (size_t i = 0; i < trace->frames_count; i++)
		json_array_append_new(
			frames, frame_json(&trace->frames[i], options, &shown, budget_bytes));
	json_object_set_new(object, "frames", frames);
	json_object_set_new(object, "frames_lost", json_integer(trace->frames_lost));
	return object;
}

static int compare_fingerprints(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

/* Of the set of failures: in whichever order they were printed. */
static json_t *whole_fingerprint(const struct traces *traces)
{
	uint64_t parts[MAX_TRACES], hash = HASH_START;
	for (size_t i = 0; i < traces->count; i++)
		parts[i] = traces->items[i]->fingerprint;
	qsort(parts, traces->count, sizeof(parts[0]), compare_fingerprints);
	for (size_t i = 0; i < traces->count; i++)
		if (i == 0 || parts[i] != parts[i - 1])
			hash_bytes(&hash, &parts[i], sizeof(parts[i]));
	return hexadecimal(hash);
}

static struct slice text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return (struct slice){json_string_value(value), json_string_length(value)};
}

/* What each process was doing, its files in terms of the workspace. Bounded by who collected it. */
static json_t *processes_json(
	const json_t *processes, const struct trace_options *options, size_t *budget_bytes)
{
	json_t *copy = json_deep_copy(processes), *process, *stack, *raw;
	size_t i, k, n, shown = 0;
	json_array_foreach(copy, i, process)
		json_array_foreach(json_object_get(process, "stacks"), k, stack)
	{
		json_t *frames = json_array();
		json_array_foreach(json_object_get(stack, "frames"), n, raw)
		{
			struct trace_frame frame = {.file = text_of(raw, "file"),
				.line = (unsigned)json_integer_value(json_object_get(raw, "line")),
				.function = text_of(raw, "function")};
			json_array_append_new(
				frames, frame_json(&frame, options, &shown, budget_bytes));
		}
		json_object_set_new(stack, "frames", frames);
	}
	return copy;
}

json_t *traces_json(const struct traces *traces, const struct trace_options *options)
{
	if (!traces->count)
		return json_null();
	size_t budget_bytes = MAX_TRACE_SOURCE_BYTES;
	json_t *object = json_object(), *failures = json_array();
	for (size_t i = 0; i < traces->count; i++)
		json_array_append_new(
			failures, trace_json(traces->items[i], options, &budget_bytes));
	json_object_set_new(object, "fingerprint", whole_fingerprint(traces));
	json_object_set_new(object, "failures", failures);
	json_object_set_new(object, "more", json_integer(traces->more));
	if (traces->processes)
		json_object_set_new(object, "processes",
			processes_json(traces->processes, options, &budget_bytes));
	return object;
}
