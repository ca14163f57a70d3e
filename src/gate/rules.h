/* The rules of the configuration against one part. A rule matches a part whose every word of the
 * prefix is known and equal; the strictest verdict of all that match wins, and the grants of the
 * allowing ones add up. A part that is undecidable is matched by forbidding rules as far as its
 * words are known, never by an allowing one. Redirections and lasting assignments are not covered by
 * a prefix: a write needs its own grant or root. */
#ifndef COFFER_GATE_RULES_H
#define COFFER_GATE_RULES_H

#include "config/config.h"
#include "gate/analysis.h"

struct rule_context {
	const char *directory, *path;
};
/* The rule that decides about the part, or NULL. */
const struct config_rule *rules_match(const struct config *config, const struct gate_part *part,
	const struct rule_context *context);
/* Whether a rule's prefix, `in` and `program` fit. */
bool rule_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context);
/* Checks a rule's examples: the first that fails is told with the rule's place. */
int rule_check_examples(const struct config_rule *rule, struct error *error);

#endif
