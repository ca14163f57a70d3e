#include "plan/git_dirs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As fd_read_file() gives it: with a NUL behind. */
	char *copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	const char *target = git_file_target(copy, size);
	if (target && (target < copy || target + strlen(target) > copy + size))
		abort();
	free(copy);
	return 0;
}
