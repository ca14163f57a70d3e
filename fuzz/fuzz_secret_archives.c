/* A piece size and a stream, in which anything may be packed: however it is cut, the same is found
 * in it, and nothing that unpacking finds or fails at does harm. */
#include "base/cleanup.h"
#include "task/secret_stream.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Which members are named may depend on the pieces, where archives lie about one another. */
struct found {
	bool forms[2 * FORMS_COUNT];
	bool bounded; /* a bound was met: what lies beyond depends on the pieces */
};

static void on_hit(void *context, const struct search_hit *hit)
{
	struct found *found = context;
	found->forms[hit->secret * FORMS_COUNT + hit->form] = true;
}

static void on_unreadable(void *context, const char *member, const char *why)
{
	struct found *found = context;
	(void)member;
	found->bounded |= strstr(why, "too m") != NULL;
}

static void search(const struct secret_values *values, const uint8_t *data, size_t size,
	size_t piece, struct found *found)
{
	static struct search *search; /* made once: its automaton has thousands of nodes */
	static struct found now;
	struct stream *stream;
	struct search_calls calls = {.hit = on_hit, .unreadable = on_unreadable, .context = &now};
	now = (struct found){0};
	if ((!search && search_new(values, &calls, &search) < 0) ||
		search_begin(search, size, &stream) < 0)
		abort();
	for (size_t at = 0; at < size; at += piece)
		stream_feed(stream, (const char *)data + at, size - at < piece ? size - at : piece);
	if (search_end(stream) < 0)
		abort();
	*found = now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct secret_value items[] = {
		{.name = (char *)"A", .value = (char *)"fuzz/secret+1", .length_bytes = 13},
		{.name = (char *)"B", .value = (char *)"aaaaaaab", .length_bytes = 8},
	};
	static const struct secret_values values = {.items = items, .count = ARRAY_SIZE(items)};
	struct found whole, pieces;
	if (size < 1 || size > 64 * 1024)
		return 0;
	size_t piece = data[0] ? data[0] : 1;
	search(&values, data + 1, size - 1, size, &whole);
	search(&values, data + 1, size - 1, piece, &pieces);
	if (whole.bounded || pieces.bounded)
		return 0;
	if (memcmp(whole.forms, pieces.forms, sizeof(whole.forms)) != 0)
		abort();
	return 0;
}
