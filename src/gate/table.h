/* The decision table: one cell for each kind of part, mode and approval policy. It is printed into
 * docs/APPROVALS.md by `coffer gate table`, and a test walks every cell. */
#ifndef COFFER_GATE_TABLE_H
#define COFFER_GATE_TABLE_H

#include "base/buffer.h"
#include "config/approval.h"
#include "policy/policy.h"

enum situation {
	SITUATION_SAFE,
	SITUATION_ORDINARY,
	SITUATION_UNDECIDABLE,
	SITUATION_SYNTAX_ERROR,
	SITUATION_DANGEROUS,
	SITUATION_FORBIDDEN,
	SITUATION_WRITE_OUTSIDE, /* asked for, or a redirection to a place outside */
	SITUATION_NETWORK,       /* asked for */
	SITUATION_UNSANDBOXED,   /* asked for */
	SITUATION_SECRET,
	SITUATION_RULE_ALLOW,
	SITUATION_RULE_ASK,
	SITUATION_RULE_FORBID,
	SITUATIONS,
};
const char *situation_name(enum situation situation);
enum verdict table_verdict(enum situation situation, enum policy_mode mode,
	const struct approval *approval, enum approval_category category);
/* Markdown. */
int table_print(struct buffer *out);

#endif
