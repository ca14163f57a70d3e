/* The decision table: one cell for each situation, mode and approval policy. It is printed into
 * docs/APPROVALS.md by `coffer gate table`, and a test walks every cell. */
#ifndef COFFER_GATE_TABLE_H
#define COFFER_GATE_TABLE_H

#include "base/buffer.h"
#include "config/approval.h"
#include "policy/policy.h"

enum situation {
	/* what is known of a command */
	SITUATION_SAFE,
	SITUATION_ORDINARY,
	SITUATION_NETWORK, /* ordinary, and speaks to a network */
	SITUATION_UNDECIDABLE,
	SITUATION_SYNTAX_ERROR,
	SITUATION_WRITE_OUTSIDE, /* writes to a place outside of the writable roots */
	SITUATION_SECRET,        /* reads a credential */
	SITUATION_DANGEROUS,
	SITUATION_FORBIDDEN,
	SITUATION_CODE_HIGH, /* a finding in the code that an interpreter is given */
	SITUATION_CODE_CRITICAL,
	/* what it asks for beyond its box */
	SITUATION_ASKED_WRITE,
	SITUATION_ASKED_NETWORK,
	SITUATION_ASKED_UNSANDBOXED,
	SITUATION_ASKED_SECRET,
	/* what a rule says of it */
	SITUATION_RULE_ALLOW,
	SITUATION_RULE_ASK,
	SITUATION_RULE_FORBID,
	SITUATIONS,
};
const char *situation_name(enum situation situation);        /* "write-outside", ... */
const char *situation_description(enum situation situation); /* for the printed table */
/* mode is never MODE_UNSET. category: of the question, should there be one. */
enum verdict table_verdict(enum situation situation, enum policy_mode mode,
	const struct approval *approval, enum approval_category category);
/* Markdown. */
int table_print(struct buffer *out);

#endif
