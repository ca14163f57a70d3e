#include "plan/git_config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte that it is handed, so that a string without an end is found. */
static int touch(const char *section, const char *subsection, const char *name, const char *value,
	void *context)
{
	size_t *total = context;
	*total += strlen(section) + strlen(subsection) + strlen(name) + (value ? strlen(value) : 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t total = 0;
	git_config_parse((const char *)data, size, touch, &total);
	return 0;
}
