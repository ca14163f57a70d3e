/* An answer of an agent's host: a line of JSON. Whatever comes of it is bounded and consistent. */
#include "gate/settle.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct approval_answer answer;
	struct error error = {0};
	json_error_t fault;
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &fault);
	int r = approval_answer_from_json(json, &answer, &error);
	assert((r == 0) == (error.errno_value == 0));
	if (r < 0)
		assert(answer.kind == ANSWER_NO && !answer.reason && !answer.argv.items);
	else
		assert((answer.kind == ANSWER_EDIT) == (answer.argv.count > 0));
	approval_answer_release(&answer);
	json_decref(json);
	return 0;
}
