#include "base/limits.h"
#include "task/pack_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool touched(const char *path, void *context)
{
	(void)context;
	return path[0] != 'a';
}

/* Lists of both trees, one behind the other: a byte for which it is, two for its length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pack_tree trees[2] = {0};
	while (size >= 3) {
		size_t list = data[0] % (2 * PACK_LISTS), length = data[1] | (size_t)data[2] << 8;
		data += 3;
		size -= 3;
		length = length < size ? length : size;
		struct pack_tree *tree = &trees[list / PACK_LISTS];
		char **text = &tree->lists[list % PACK_LISTS].text;
		free(*text);
		*text = calloc(1, length + 1);
		if (!*text)
			break;
		memcpy(*text, data, length);
		tree->lists[list % PACK_LISTS].length_bytes = length;
		data += length;
		size -= length;
	}
	struct buffer index = BUFFER_INIT(1 << 20);
	struct strv skipped = {0};
	const struct pack_choice choice = {
		.prepared = &trees[0], .final = &trees[1], .touched = touched};
	int r = pack_choose(&choice, &index, &skipped, NULL);
	if (r == 0 && index.length_bytes && index.data[index.length_bytes - 1] != '\0')
		abort();
	if (skipped.count > MAX_PACK_SKIPPED + 1)
		abort();
	buffer_release(&index);
	strv_release(&skipped);
	pack_tree_release(&trees[0]);
	pack_tree_release(&trees[1]);
	return 0;
}
