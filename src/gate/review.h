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
const char *review_risk_name(enum review_risk risk);                            /* "low", ... */
const char *review_authorization_name(enum review_authorization authorization); /* "none", ... */

/* Asks the reviewer that config names (not REVIEWER_PERSON). What the built-in one finds
 * critical is refused without asking anybody else. An error is a refusal; its message says why,
 * and holds nothing of the reviewer's key. */
int review_request(const struct config_reviewer *reviewer, const struct approval_request *request,
	struct review *ret, struct error *error);
/* What its answer comes to: ALLOW; FORBID where the risk is critical, whatever was answered; else
 * ASK, which is a person, or a refusal where nobody is there. */
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
