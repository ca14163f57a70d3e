/* Theory of operation. Three reviewers answer the same question. The built-in one is a table and
 * needs nobody; a program runs in a box; a model is asked over HTTP. What they answer is bounded
 * here, after them, so that neither a bug nor a persuaded model can let through what is critical:
 * the built-in one looks at every request first, and what it finds critical is not even shown to
 * the others. Whatever goes wrong is a refusal with its reason. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

static const char *const risks[] = {"low", "medium", "high", "critical"};
static const char *const authorizations[] = {"none", "implied", "clear"};

const char *review_risk_name(enum review_risk risk)
{
	return risks[risk];
}

const char *review_authorization_name(enum review_authorization authorization)
{
	return authorizations[authorization];
}

void review_release(struct review *review)
{
	free(review->rationale);
	*review = (struct review){0};
}

enum verdict review_verdict(const struct review *review)
{
	if (review->risk >= RISK_CRITICAL)
		return VERDICT_FORBID;
	if (!review->approve)
		return VERDICT_ASK;
	if (review->risk <= RISK_MEDIUM)
		return VERDICT_ALLOW;
	return review->authorization == AUTHORIZATION_CLEAR && review->narrow ? VERDICT_ALLOW
									      : VERDICT_ASK;
}

int review_with(const struct config_reviewer *reviewer, const struct approval_request *request,
	const json_t *json, struct review *ret, struct error *error)
{
	*ret = (struct review){0};
	if (reviewer->kind == REVIEWER_PERSON)
		return error_set(error, EINVAL, "reviewer", "a person is no reviewer to be run");
	struct review own = {0};
	if (review_builtin(request, &own) < 0)
		return error_set_errno(error, ENOMEM, "reviewer", "built-in");
	if (reviewer->kind == REVIEWER_BUILTIN || own.risk >= RISK_CRITICAL) {
		*ret = own;
		return 0;
	}
	review_release(&own);

	/* ASCII alone: what is invisible, or turns the direction of text, arrives as \u escapes. */
	cleanup_free char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (!text)
		return error_set(error, ENOMEM, "reviewer", "the request is no valid JSON");
	if (strlen(text) > MAX_REVIEW_REQUEST_BYTES)
		return error_set(error, EMSGSIZE, "reviewer",
			"the request is larger than the %d bytes that a reviewer gets",
			MAX_REVIEW_REQUEST_BYTES);
	int r = reviewer->kind == REVIEWER_COMMAND
			? review_by_command(reviewer, text, request->request, ret, error)
			: review_by_http(reviewer, text, ret, error);
	if (r < 0)
		review_release(ret);
	return r;
}

int review_request(const struct config_reviewer *reviewer, const struct approval_request *request,
	struct review *ret, struct error *error)
{
	json_t *json = approval_request_json(request);
	if (!json) {
		*ret = (struct review){0};
		return error_set_errno(error, ENOMEM, "reviewer", "the request");
	}
	int r = review_with(reviewer, request, json, ret, error);
	json_decref(json);
	return r;
}

enum {
	HISTORY_LENGTH = 50,
	REFUSALS_IN_A_ROW = 3,
	REFUSALS_AMONG_LAST = 10,
};

bool review_history_add(struct review_history *history, bool refused)
{
	history->in_a_row = refused ? history->in_a_row + 1 : 0;
	history->last = (history->last << 1 | refused) & ((1ULL << HISTORY_LENGTH) - 1);
	if (history->count < HISTORY_LENGTH)
		history->count++;
	return history->in_a_row >= REFUSALS_IN_A_ROW ||
	       __builtin_popcountll(history->last) >= REFUSALS_AMONG_LAST;
}
