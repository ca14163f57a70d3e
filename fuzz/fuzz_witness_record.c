/* One record of the ring, as a box may have written it, and what the text made of it would be. */
#include "base/witness_ring.h"
#include "witness/feedback.h"
#include "witness/ring.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	/* Nothing that a terminal would act on. */
	for (const unsigned char *s = (const unsigned char *)text; *s; s++)
		if ((*s < 0x20 && *s != '\n') || *s == 0x7f)
			abort();
}

static void tell(const struct hint *hint)
{
	json_t *path = json_string(hint->path), *program = json_string(hint->program);
	json_t *report = json_pack("{s:s, s:{s:i}, s:[{s:o, s:s, s:o, s:s, s:s, s:i}]}", "cause",
		"exited", "exit", "code", 1, "denials", "program",
		program ? program : json_string(""), "call", hint->call_name, "target",
		path ? path : json_string(""), "promise", "P1", "reason", "x", "count", 2);
	for (enum feedback_form form = FEEDBACK_BLOCK; form <= FEEDBACK_JSON; form++) {
		char *text = feedback_make(report, form);
		if (text)
			check_text(text);
		free(text);
	}
	json_decref(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct witness_record record = {0};
	struct hint hint;
	memcpy(&record, data, size < sizeof(record) ? size : sizeof(record));
	if (!hint_parse(&record, &hint))
		return 0;
	const char *const strings[] = {hint.path, hint.base, hint.resolved, hint.program};
	for (size_t i = 0; i < 4; i++)
		if (memchr(strings[i], '\0', sizeof(record)) == NULL)
			abort();
	if (hint.wants & ~(WITNESS_READ | WITNESS_WRITE | WITNESS_ENTRY))
		abort();
	tell(&hint);
	return 0;
}
