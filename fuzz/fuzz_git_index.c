#include "plan/git_index.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(const char *path, size_t path_length, unsigned mode, void *context)
{
	(void)mode;
	(void)context;
	if (strlen(path) != path_length)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	git_index_parse(data, size, GIT_SHA1_BYTES, check, NULL);
	git_index_parse(data, size, GIT_SHA256_BYTES, check, NULL);
	return 0;
}
