/* A process's memory as the interpreter's frames are read from it: the input is the memory, with
 * the interpreter's state at its beginning. */
#include "witness/stacks_helper.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static int memory = -1;
	if (memory < 0)
		memory = memfd_create("memory", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, 0) < 0 ||
		pwrite(memory, data, size, 0) != (ssize_t)size)
		return 0;
	struct python_place python = {.minor = 11, .runtime = 0};
	json_t *stacks = json_array();
	python_stacks_in(memory, &python, stacks);
	char *text = json_dumps(stacks, JSON_COMPACT);
	if (!text)
		abort();
	free(text);
	json_decref(stacks);
	return 0;
}
