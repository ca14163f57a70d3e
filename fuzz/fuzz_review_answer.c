/* What a program or a model answers: taken whole or not at all, and clean where it is shown. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "gate/review_internal.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct review review;
	struct error error = {0};
	if (review_answer_parse((const char *)data, size, &review, &error) < 0) {
		must(!review.rationale && error.message[0]);
	} else {
		must(review.risk <= RISK_CRITICAL && review.authorization <= AUTHORIZATION_CLEAR);
		must(strlen(review.rationale) <= REVIEW_RATIONALE_BYTES_MAX + 8);
		for (const unsigned char *s = (unsigned char *)review.rationale; *s;) {
			size_t length = utf8_sequence(s);
			must(length > 0 && !utf8_is_control(utf8_character(s, length)));
			s += length;
		}
		must(review.risk < RISK_CRITICAL || review_verdict(&review) == VERDICT_FORBID);
		review_release(&review);
	}
	char *content = NULL;
	if (review_completion((const char *)data, size, &content, &error) == 0)
		must(content);
	free(content);
	return 0;
}
