/* The first byte chooses the language; the rest is a program. */
#include "gate/code.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const languages[] = {"python", "javascript", "notebook", "shell"};
	if (size == 0)
		return 0;
	/* A block of its own, without a NUL, so that a byte read beyond it is noticed. */
	char *source = malloc(size);
	struct findings_list *findings = NULL;
	struct buffer out = BUFFER_INIT(64 * 1024 * 1024);
	if (!source)
		return 0;
	memcpy(source, data + 1, size - 1);
	if (code_check(languages[data[0] % 4], NULL, source, size - 1, &findings) == 0) {
		for (size_t i = 0; i < findings->count; i++)
			if (!findings->items[i].why || !findings->items[i].text ||
				findings->items[i].line == 0)
				abort();
		if (findings_text(findings, "x", &out) < 0 ||
			findings_sarif(findings, "x", &out) < 0)
			abort();
	}
	findings_free(findings);
	buffer_release(&out);
	free(source);
	return 0;
}
