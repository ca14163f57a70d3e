/* A .rules file of Codex: never evaluated, and every statement is taken or told. */
#include "import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import import = {.home = "/home/a"};
	struct error error = {0};
	cleanup_free char *text = copy_file(data, size);
	if (import_codex_rules(&import, "f.rules", text, size, true, &error) == 0 &&
		import_codex_rules(&import, "f.rules", text, size, false, &error) == 0)
		check_import(&import);
	import_release(&import);
	return 0;
}
