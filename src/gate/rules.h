/* The rules of the configuration against one part. A rule matches a part whose every word of the
 * prefix is known and equal; the strictest verdict of all that match wins, and the grants of the
 * allowing ones add up. For a rule that forbids or asks, options may stand between the words of the
 * prefix (`git -C . push`), and an option of the prefix anywhere behind; where a word or the
 * directory is not known it *may* match, which is asked about. No allowing rule matches a part that
 * is undecidable, or that may run in a directory outside of its `in`. A program that is spelled as
 * a path is the one of its name for a rule that forbids or asks; for one that allows, only if it is
 * the very program that the name alone would find. Redirections and variables before a command are
 * not covered by a prefix: a write needs its own grant or root; before variables that may change
 * what a command does no rule allows. */
#ifndef COFFER_GATE_RULES_H
#define COFFER_GATE_RULES_H

#include "config/config.h"
#include "gate/analysis.h"
#include "gate/classify.h"

struct rule_context {
	const char *directory, *path;
	const struct places *places; /* where the part may run; NULL: in the directory alone */
};

/* Rules by the first word of their prefix, so that a long list costs a command nothing. */
struct rule_index;
int rule_index_new(const struct config *config, struct rule_index **ret);
void rule_index_free(struct rule_index *index);

/* The rule that decides about the part, or NULL: the strictest, then the longest prefix. */
const struct config_rule *rules_match(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context);
/* The strictest rule that forbids or asks of which it cannot be known whether it fits, or NULL. */
const struct config_rule *rules_may_match(const struct config *config,
	const struct rule_index *index, const struct gate_part *part,
	const struct rule_context *context);
/* Every rule that fits. */
void rules_each(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context,
	void (*each)(const struct config_rule *rule, void *data), void *data);
/* Whether a rule's prefix, `in` and `program` fit. */
bool rule_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context);
/* The same, with the reason why not (static; NULL where it fits). */
const char *rule_misfit(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context);
/* Checks a rule's examples: the first that fails is told with the rule's place. An example is a
 * shell line; it matches where any of its parts has the prefix. Neither `in` nor `program` is
 * looked at, since they are about places. */
int rule_check_examples(const struct config_rule *rule, struct error *error);

#endif
