/* A glob, a newline, a path. */
#include "base/cleanup.h"
#include "base/path.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *glob = strndup((const char *)data, size);
	if (!glob)
		return 0;
	char *path = strchr(glob, '\n');
	if (!path)
		return 0;
	*path++ = '\0';
	bool matches = path_matches_glob(path, glob);
	/* What has no special characters matches itself and nothing else. */
	if (!path_is_glob(glob) && !strchr(glob, '\\') && matches != (strcmp(glob, path) == 0))
		abort();
	if (strcmp(glob, "**") == 0 && !matches)
		abort();
	return 0;
}
