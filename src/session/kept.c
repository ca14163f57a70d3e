#include "session/kept.h"

#include "base/cleanup.h"
#include "session/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int kept_init(struct kept *kept, size_t max_bytes, int from_the_start)
{
	*kept = (struct kept){.tail_max_bytes = from_the_start ? 0 : max_bytes / 2};
	kept->head_max_bytes = max_bytes - kept->tail_max_bytes;
	kept->head = malloc(kept->head_max_bytes + 1);
	kept->tail = malloc(kept->tail_max_bytes + 1);
	return kept->head && kept->tail ? 0 : -ENOMEM;
}

/* How much came behind the head. */
static uint64_t beyond(const struct kept *kept)
{
	return kept->bytes - kept->head_bytes;
}

void kept_add(struct kept *kept, const char *data, size_t length_bytes)
{
	size_t room = kept->head_max_bytes - kept->head_bytes;
	size_t count = length_bytes < room ? length_bytes : room;
	memcpy(kept->head + kept->head_bytes, data, count);
	kept->head_bytes += count;
	kept->bytes += count;
	data += count;
	length_bytes -= count;
	if (length_bytes > kept->tail_max_bytes) { /* only its end can stay */
		size_t gone = length_bytes - kept->tail_max_bytes;
		kept->bytes += gone;
		data += gone;
		length_bytes -= gone;
	}
	while (length_bytes) {
		size_t at = (size_t)(beyond(kept) % kept->tail_max_bytes);
		size_t run = kept->tail_max_bytes - at;
		run = run < length_bytes ? run : length_bytes;
		memcpy(kept->tail + at, data, run);
		kept->bytes += run;
		data += run;
		length_bytes -= run;
	}
}

static json_t *data_json(const char *data, size_t length_bytes)
{
	json_t *object = json_object();
	if (object && json_set_data(object, data, length_bytes) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

/* Head and tail, one behind the other. The caller frees; NULL: out of memory. */
static char *join(const struct kept *kept, size_t *ret_tail_bytes)
{
	uint64_t more = beyond(kept);
	size_t tail = more < kept->tail_max_bytes ? (size_t)more : kept->tail_max_bytes;
	char *all = malloc(kept->head_bytes + tail + 1);
	if (!all)
		return NULL;
	memcpy(all, kept->head, kept->head_bytes);
	size_t start = tail ? (size_t)((more - tail) % kept->tail_max_bytes) : 0;
	for (size_t i = 0; i < tail; i++)
		all[kept->head_bytes + i] = kept->tail[(start + i) % kept->tail_max_bytes];
	*ret_tail_bytes = tail;
	return all;
}

json_t *kept_text(const struct kept *kept)
{
	size_t tail;
	cleanup_free char *all = join(kept, &tail);
	if (!all)
		return NULL;
	uint64_t dropped = beyond(kept) - tail;
	if (!dropped)
		return json_of_bytes(all, kept->head_bytes + tail);
	char gap[64];
	int gap_bytes =
		snprintf(gap, sizeof(gap), "\n[... %" PRIu64 " bytes left out ...]\n", dropped);
	cleanup_free char *whole = malloc(kept->head_bytes + (size_t)gap_bytes + tail);
	if (!whole)
		return NULL;
	memcpy(whole, all, kept->head_bytes);
	memcpy(whole + kept->head_bytes, gap, (size_t)gap_bytes);
	memcpy(whole + kept->head_bytes + gap_bytes, all + kept->head_bytes, tail);
	return json_of_bytes(whole, kept->head_bytes + (size_t)gap_bytes + tail);
}

json_t *kept_json(const struct kept *kept)
{
	uint64_t more = beyond(kept);
	size_t tail;
	cleanup_free char *all = join(kept, &tail);
	if (!all)
		return NULL;
	bool whole = more <= kept->tail_max_bytes;
	size_t first = whole ? kept->head_bytes + tail : kept->head_bytes;
	/* A cut through a character must not make all of it base64. */
	size_t cut = whole ? 0 : text_incomplete_bytes(all, first);
	json_t *object = data_json(all, first - cut);
	if (!object)
		return NULL;
	int r = json_object_set_new(object, "bytes", json_integer((json_int_t)kept->bytes));
	if (!whole) {
		const char *end = all + kept->head_bytes;
		size_t skip = 0;
		while (skip < 3 && skip < tail && ((unsigned char)end[skip] & 0xc0) == 0x80)
			skip++;
		if (!text_is_utf8(end + skip, tail - skip))
			skip = 0;
		r |= json_object_set_new(object, "dropped_bytes",
			json_integer((json_int_t)(more - tail + cut + skip)));
		if (kept->tail_max_bytes)
			r |= json_object_set_new(
				object, "tail", data_json(end + skip, tail - skip));
	}
	if (r < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

void kept_release(struct kept *kept)
{
	free(kept->head);
	free(kept->tail);
	*kept = (struct kept){0};
}
