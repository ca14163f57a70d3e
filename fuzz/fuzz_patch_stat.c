/* A patch is made of what an agent wrote. Whatever it holds: no line counts twice, and names stay
 * within their buffer. */
#include "task/patch_stat.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void told(const struct patch_file *file, void *context)
{
	uint64_t *lines = context;
	if (strlen(file->name) >= 8192)
		abort();
	*lines += file->insertions + file->deletions;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t counted = 0, lines = 0;
	struct patch_stat *stat = patch_stat_new(told, &counted);
	const char *at = (const char *)data, *end = at + size;
	while (stat && at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *next = newline ? newline + 1 : end;
		patch_stat_line(stat, at, (size_t)(next - at));
		at = next;
		lines++;
	}
	patch_stat_free(stat);
	if (counted > lines)
		abort();
	return 0;
}
