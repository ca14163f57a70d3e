/* What a supervisor's process takes apart: its first byte says how many lists are awaited. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/request.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { MOST = 4 };
	if (size == 0)
		return 0;
	struct strv lists[MOST] = {0};
	struct strv *pointers[MOST];
	size_t count = 1 + data[0] % MOST;
	for (size_t i = 0; i < MOST; i++)
		pointers[i] = &lists[i];
	/* Exact memory, so that a sanitizer sees a read behind the end. */
	cleanup_free char *copy = malloc(size > 1 ? size - 1 : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (request_parse(copy, size - 1, pointers, count) == 0) {
		/* What was taken comes out again: the same strings in the same lists. */
		cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
		for (size_t i = 0; i < count; i++)
			request_add(&buffer, strv_items(&lists[i]));
		if (buffer_error(&buffer) == 0 && (buffer.length_bytes != size - 1 ||
							  memcmp(buffer.data, copy, size - 1) != 0))
			abort();
	}
	for (size_t i = 0; i < MOST; i++)
		strv_release(&lists[i]);
	return 0;
}
