/* The reviewer: somebody or something that answers in a person's place, within bounds that no
 * answer can move. Low and medium risk may pass; high only with clear authorization by the user's
 * own words and a narrow scope; critical never. Time-out, crash, bad JSON and network failure
 * refuse. The policy's text is docs/REVIEW-POLICY.md, compiled in. */
#ifndef COFFER_GATE_REVIEW_H
#define COFFER_GATE_REVIEW_H

#include "gate/settle.h"

enum review_risk { RISK_LOW, RISK_MEDIUM, RISK_HIGH, RISK_CRITICAL };
enum review_authorization { AUTHORIZATION_NONE, AUTHORIZATION_IMPLIED, AUTHORIZATION_CLEAR };

struct review {
	enum review_risk risk;
	enum review_authorization authorization;
	bool narrow;     /* the request touches only what the user's words name */
	bool approve;    /* what the reviewer said, before the bounds */
	char *rationale; /* owned; bounded */
};
void review_release(struct review *review);

/* Asks the reviewer that config names (not REVIEWER_PERSON). */
int review_request(const struct config_reviewer *reviewer, const struct approval_request *request,
	struct review *ret, struct error *error);
/* What its answer comes to: ALLOW, ASK (a person), or FORBID. */
enum verdict review_verdict(const struct review *review);

/* After 3 refusals in a row, or 10 among the last 50, a session stops. */
struct review_history {
	unsigned in_a_row;
	unsigned long long last; /* a bit for each of the last 50, 1: refused */
	unsigned count;
};
/* Records one; returns whether the session is to stop. */
bool review_history_add(struct review_history *history, bool refused);

#endif
