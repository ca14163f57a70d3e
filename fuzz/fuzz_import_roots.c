#include "task/import_tree.h"

#include "base/cleanup.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL, *path;
	json_t *base;
	cleanup_free char *text = strndup((const char *)data, size);
	json_t *roots = text ? import_roots(text, &why) : NULL;
	if (!roots)
		return 0;
	json_object_foreach(roots, path, base)
	{
		/* Each leads beneath what was unpacked, and to a place that can be named. */
		if (path[0] != '/' || !path[1] || strstr(path, "/../") || strstr(path, "//") ||
			(!json_is_null(base) && json_string_value(base)[0] != '/'))
			abort();
	}
	json_decref(roots);
	return 0;
}
