/* The examples of a rule, checked when it is loaded: what it must match, and what it must not. */
#include "base/cleanup.h"
#include "gate/rules.h"

#include <string.h>

/* Whether the words alone fit: a copy of the rule that is about no place. What it must not match is
 * compared with the prefix word by word, as an allowing rule is: whoever wrote that a command with
 * an option in between is another one has a rule that is stricter than that, and no faulty file. */
static int example_matches(const struct config_rule *rule, const char *line, bool word_by_word,
	bool *ret, struct error *error)
{
	struct config_rule words = *rule;
	words.within = NULL;
	words.program = NULL;
	if (word_by_word)
		words.decision = VERDICT_ALLOW;
	const struct analysis_context files = {.directory = "/"};
	const struct rule_context context = {.directory = "/"};
	struct analysis *analysis = NULL;
	int r = analyze_shell(line, strlen(line), &files, &analysis);
	if (r < 0)
		return error_set_errno(error, -r, "rule", "cannot analyze an example");
	if (analysis->syntax.errno_value) {
		r = error_set(error, EINVAL, "rule",
			"%s:%u:%u: the example '%.200s' is no shell line: %.200s",
			rule->place.file ? rule->place.file : "?", rule->place.line,
			rule->place.column, line, analysis->syntax.message);
		analysis_free(analysis);
		return r;
	}
	*ret = false;
	for (size_t i = 0; i < analysis->count; i++)
		*ret = *ret || rule_fits(&words, &analysis->parts[i], &context);
	analysis_free(analysis);
	return 0;
}

static int check_all(const struct config_rule *rule, const struct strv *examples, bool wanted,
	struct error *error)
{
	for (size_t i = 0; i < examples->count; i++) {
		bool matches;
		int r = example_matches(rule, examples->items[i], !wanted, &matches, error);
		if (r < 0)
			return r;
		if (matches == wanted)
			continue;
		error_set(error, EINVAL, "rule",
			"%s:%u:%u: the rule %s '%.200s', which is in its %s",
			rule->place.file ? rule->place.file : "?", rule->place.line,
			rule->place.column, wanted ? "does not match" : "matches",
			examples->items[i], wanted ? "matches" : "not_matches");
		return error_hint(error,
			"change the prefix or the example; `coffer rule test` shows "
			"what matches and why not");
	}
	return 0;
}

int rule_check_examples(const struct config_rule *rule, struct error *error)
{
	int r = check_all(rule, &rule->matches, true, error);
	return r < 0 ? r : check_all(rule, &rule->not_matches, false, error);
}
