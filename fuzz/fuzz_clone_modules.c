#include "task/clone_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says where the settings end and the list of commits begins. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t split = 1 + (size - 1) * data[0] / 255;
	char *config = calloc(1, split), *links = calloc(1, size - split + 1);
	if (config && links) {
		memcpy(config, data + 1, split - 1);
		memcpy(links, data + split, size - split);
		struct clone_modules modules;
		int r = clone_modules_parse(config, split - 1, links, size - split, &modules, NULL);
		for (size_t i = 0; r == 0 && i < modules.count; i++) {
			const struct clone_module *module = &modules.items[i];
			if (module->name[0] == '-' || module->path[0] == '/' ||
				strstr(module->name, "../") || strstr(module->path, "../") ||
				!module->url || strlen(module->commit) < 40)
				abort();
		}
		clone_modules_release(&modules);
	}
	free(config);
	free(links);
	return 0;
}
