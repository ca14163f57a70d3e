#include "layer/apply_journal.h"

#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct apply_journal journal;
	char name[APPLY_STAGED_BYTES];
	if (apply_journal_parse((const char *)data, size, &journal) < 0)
		return 0;
	for (size_t i = 0; i < journal.steps_count; i++) {
		const struct apply_step *step = &journal.steps[i];
		apply_staged_name(&journal, i, name);
		if (step->root >= journal.roots_count || step->kind >= STEP_KINDS ||
			step->path[0] == '/' || strlen(step->path) >= MAX_PATH_BYTES ||
			strchr(name, '/'))
			abort();
	}
	for (size_t i = 0; i < journal.directories_count; i++)
		if (journal.directories[i].root >= journal.roots_count)
			abort();
	apply_journal_release(&journal);
	return 0;
}
