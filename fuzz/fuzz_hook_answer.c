/* A byte for the event, one for the exit code, then stdout, up to a NUL, and stderr: whatever a
 * hook says, a denial has a reason, a stop has one too, what is told is clean, and what cannot be
 * read passes nothing where that matters. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "gate/hooks_internal.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_clean(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; text && *s;) {
		size_t length = utf8_sequence(s);
		must(length > 0);
		unsigned character = utf8_character(s, length);
		must(!utf8_is_control(character) || character == '\n' || character == '\t');
		s += length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	enum hook_event event = (enum hook_event)(data[0] % HOOK_EVENTS);
	cleanup_free char *text = strndup((const char *)data + 2, size - 2);
	must(text);
	size_t output_bytes = strlen(text);
	const char *rest = (const char *)data + 2 + output_bytes;
	size_t left = size - 2 - output_bytes;
	cleanup_free char *complaint = strndup(left ? rest + 1 : "", left ? left - 1 : 0);
	must(complaint);
	struct hook_end end = {.code = data[1] % 4,
		.output = text,
		.output_bytes = output_bytes,
		.complaint = complaint,
		.complaint_bytes = strlen(complaint)};
	struct hook_outcome one, two, whole = {0};
	must(hook_answer(event, &end, "`h`", false, &one) == 0);
	must(hook_answer(event, &end, "`h`", true, &two) == 0);
	must_be_clean(one.reason);
	must_be_clean(one.context);
	must_be_clean(one.message);
	must_be_clean(one.stop_reason);
	must(one.says != HOOK_SAYS_DENY || (one.reason && *one.reason && !one.updated_input));
	must(one.stop == (one.stop_reason != NULL));
	must(one.says >= two.says);
	bool closed = event == HOOK_PRE_TOOL_USE || event == HOOK_PERMISSION_REQUEST;
	must(!closed || end.code == 0 || one.says == HOOK_SAYS_DENY);
	enum hook_says gravest = one.says;
	must(hook_outcome_merge(&whole, &one) == 0 && hook_outcome_merge(&whole, &two) == 0);
	must(whole.says == gravest && whole.ran == 2);
	hook_outcome_release(&whole);
	return 0;
}
