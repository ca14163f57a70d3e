#include "gate/code.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A block of its own, without a NUL, so that a byte read beyond it is noticed. */
	char *diff = malloc(size ? size : 1);
	struct findings_list *findings = NULL;
	struct buffer out = BUFFER_INIT(64 * 1024 * 1024);
	if (!diff)
		return 0;
	memcpy(diff, data, size);
	if (code_check_diff(diff, size, &findings) == 0) {
		for (size_t i = 0; i < findings->count; i++)
			if (!findings->items[i].why || !findings->items[i].text)
				abort();
		if (findings_json(findings, "x", &out) < 0)
			abort();
	}
	findings_free(findings);
	buffer_release(&out);
	free(diff);
	return 0;
}
