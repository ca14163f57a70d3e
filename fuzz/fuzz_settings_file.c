/* JSON of Claude Code and of hooks. The first byte says as which of them it is read. */
#include "import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct import import = {.home = "/home/a"};
	struct error error = {0};
	cleanup_free char *text = copy_file(data + 1, size - 1), *next = NULL;
	import.directory = data[0] & 1 ? "/home/a/project" : NULL;
	int r = data[0] & 2
			? import_hooks_json(&import, "/home/a/p/.codex-plugin/plugin.json", text,
				  size - 1, &next, &error)
			: import_claude_settings(&import, "settings.json", text, size - 1, &error);
	must(!next || strncmp(next, "/home/a/p/", 10) == 0 || strcmp(next, "/home/a/p") == 0);
	if (r == 0)
		check_import(&import);
	import_release(&import);
	return 0;
}
