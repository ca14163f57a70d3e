/* A piece size and a stream, in which anything may be packed: however it is cut, the same is found
 * in it, and nothing that unpacking finds or fails at does harm. */
#include "base/cleanup.h"
#include "task/secret_stream.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FOUND_MAX = 4096 };

struct found {
	uint64_t digests[FOUND_MAX];
	size_t count;
	bool bounded; /* a bound was met: what lies beyond depends on the pieces */
};

static void add(struct found *found, const char *text, uint64_t digest)
{
	for (; *text; text++)
		digest = (digest ^ (unsigned char)*text) * 0x100000001b3u;
	for (size_t i = 0; i < found->count; i++)
		if (found->digests[i] == digest)
			return;
	if (found->count < FOUND_MAX)
		found->digests[found->count++] = digest;
}

static void on_hit(void *context, const struct search_hit *hit)
{
	add(context, hit->member, hit->secret * FORMS_COUNT + hit->form + 1);
}

static void on_unreadable(void *context, const char *member, const char *why)
{
	struct found *found = context;
	found->bounded |= strstr(why, "too m") != NULL;
	add(context, member, 0x5eed);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return left < right ? -1 : left > right;
}

static void search(const struct secret_values *values, const uint8_t *data, size_t size,
	size_t piece, struct found *found)
{
	struct search *search;
	struct stream *stream;
	struct search_calls calls = {
		.hit = on_hit, .unreadable = on_unreadable, .context = found};
	*found = (struct found){0};
	if (search_new(values, &calls, &search) < 0 || search_begin(search, size, &stream) < 0)
		abort();
	for (size_t at = 0; at < size; at += piece)
		stream_feed(stream, (const char *)data + at, size - at < piece ? size - at : piece);
	if (search_end(stream) < 0)
		abort();
	search_free(search);
	qsort(found->digests, found->count, sizeof(found->digests[0]), compare);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct secret_value items[] = {
		{.name = (char *)"A", .value = (char *)"fuzz/secret+1", .length_bytes = 13},
		{.name = (char *)"B", .value = (char *)"aaaaaaab", .length_bytes = 8},
	};
	static const struct secret_values values = {.items = items, .count = ARRAY_SIZE(items)};
	static struct found whole, pieces;
	if (size < 1 || size > 64 * 1024)
		return 0;
	size_t piece = data[0] ? data[0] : 1;
	search(&values, data + 1, size - 1, size, &whole);
	search(&values, data + 1, size - 1, piece, &pieces);
	if (whole.bounded || pieces.bounded)
		return 0;
	if (whole.count != pieces.count ||
		memcmp(whole.digests, pieces.digests, whole.count * sizeof(uint64_t)) != 0)
		abort();
	return 0;
}
