#include "base/cleanup.h"
#include "egress/http_chunks.h"
#include "egress/http_head.h"
#include "egress/http_request.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What was let through means the same when it is read again, and only one thing. */
static void fuzz_head(const char *data, size_t size, const struct http_head *request)
{
	struct http_head head, again;
	const char *reason = NULL;
	ssize_t length = http_head_parse(data, size, request, &head, &reason);
	check(length >= 0 ? length <= (ssize_t)size : reason && head.fields_count == 0);
	if (length <= 0)
		return;
	size_t formatted;
	cleanup_free char *text = http_head_format(&head, &formatted);
	check(text && strlen(text) == formatted);
	/* Spaces that are added after colons may carry it over the bound on heads. */
	ssize_t second = http_head_parse(text, formatted, request, &again, &reason);
	check(second == (ssize_t)formatted || second == -E2BIG);
	if (second > 0) {
		check(again.body == head.body && again.length_bytes == head.length_bytes);
		check(again.close == head.close && again.upgrade == head.upgrade);
		check(again.fields_count == head.fields_count);
		http_head_release(&again);
	}
	if (!request) {
		cleanup_free char *path = NULL, *twice = NULL;
		check(strpbrk(head.target, " \r\n\t") == NULL);
		if (http_path_normalize(head.target, &path, &reason) == 0) {
			check(path[0] == '/' && strlen(path) <= strlen(head.target));
			check(http_path_normalize(path, &twice, &reason) == 0);
			check(strcmp(path, twice) == 0);
		}
	}
	http_head_strip_hops(&head);
	check(!http_head_get(&head, "connection") && !http_head_get(&head, "upgrade"));
	http_head_release(&head);
}

/* Chunks mean the same in whatever pieces they come. *ret_sum stands for the body. */
static int read_chunks(const char *data, size_t size, size_t piece, uint64_t *ret_sum)
{
	struct http_chunks chunks = {0};
	const char *reason = NULL;
	size_t at = 0;
	*ret_sum = 5381;
	while (at < size) {
		size_t framing, body, bytes = size - at < piece ? size - at : piece;
		int r = http_chunks_next(&chunks, data + at, bytes, &framing, &body, &reason);
		if (r < 0)
			return r;
		check(framing + body <= bytes && framing + body > 0);
		for (size_t i = 0; i < body; i++)
			*ret_sum = *ret_sum * 33 + (uint8_t)data[at + framing + i];
		at += framing + body;
		if (r == 1)
			return (int)at;
	}
	return 0;
}

static void fuzz_chunks(const char *data, size_t size)
{
	uint64_t sum, other;
	int whole = read_chunks(data, size, size, &sum);
	check(read_chunks(data, size, 1, &other) == whole);
	check(whole <= 0 || sum == other);
	check(read_chunks(data, size, 7, &other) == whole);
	check(whole <= 0 || sum == other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_head get = {.method = "GET", .upgrade = true},
				      head = {.method = "HEAD"};
	fuzz_head((const char *)data, size, NULL);
	fuzz_head((const char *)data, size, &get);
	fuzz_head((const char *)data, size, &head);
	fuzz_chunks((const char *)data, size);
	return 0;
}
