/* Internal to the decision (decide*.c). */
#ifndef COFFER_GATE_DECIDE_INTERNAL_H
#define COFFER_GATE_DECIDE_INTERNAL_H

#include "gate/code.h"
#include "gate/decide.h"
#include "gate/rules.h"
#include "gate/table.h"

/* What is known of one part before anything is decided. */
struct part_knowledge {
	struct classification class;
	const struct config_rule *rule;
	const struct config_rule *may_rule; /* of which it cannot be known whether it matches */
	/* The allowing rule of the script that this part is in: what is ordinary in a program that
	 * is allowed is allowed with it, as with any other program. */
	const struct config_rule *script_rule;
	const char *finding; /* the gravest in its code, from SEVERITY_HIGH on; static */
	enum severity severity;
	char *finding_why;
	bool code_syntax; /* its code could not be read to the end */
};

struct decider {
	const struct config *config;
	const struct gate_request *request;
	const struct analysis *analysis;
	const char *script; /* instead of argv, any bytes; or NULL */
	size_t script_bytes;
	struct rule_index *rules;
	struct part_knowledge *known;
	struct grant *grants; /* of the rules that allow */
	size_t grants_count;
	char **writable; /* borrowed strings */
	bool path_is_mixed;
};

/* What a part comes to; everything borrowed. */
struct outcome {
	enum verdict verdict;
	enum approval_category category;
	const char *id, *reason;
	const struct config_rule *rule;
};
/* Takes the verdict where it is graver than what is there, or nothing is. */
void outcome_raise(struct outcome *outcome, enum verdict verdict, enum approval_category category,
	const char *id, const char *reason);

/* decide_conclude.c. Each returns 0 or -ENOMEM. */
int decision_add(struct gate_decision *decision, size_t part, const struct grant *ask,
	const struct outcome *outcome);
/* What is about no part: counts as an ask in the list. */
int decision_add_whole(struct gate_decision *decision, const struct outcome *outcome);
/* The whole from its parts: verdict, reason, grants, key, suggested rule. */
int decision_conclude(struct gate_decision *decision, const struct decider *d);

/* decide_prefix.c: the narrowest prefix of a rule that would allow the parts that ask; empty where
 * none is narrow enough. */
int decision_prefix(struct gate_decision *decision, const struct decider *d);

/* decide_git.c: whether git would find a repository's settings that nobody vouches for. */
bool git_may_meet_settings(const struct gate_part *part, const struct places *places);

/* Text for a person: bounded, control characters as in JSON. */
void append_shown(struct buffer *out, const char *text, size_t max_bytes);

#endif
