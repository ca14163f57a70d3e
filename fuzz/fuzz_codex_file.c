/* config.toml of Codex. */
#include "import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import import = {.home = "/home/a", .profile = "p"};
	struct error error = {0};
	cleanup_free char *text = copy_file(data, size);
	if (import_codex_config(&import, "config.toml", text, size, &error) == 0)
		check_import(&import);
	import_release(&import);
	return 0;
}
