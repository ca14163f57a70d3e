/* Theory of operation: the command is taken apart; each part is put into one or more situations of
 * the table (gate/table.h), and the gravest cell is the part's verdict; the gravest part's is the
 * whole's. Three passes over the parts:
 *
 *	1. what is known of each part, and which rule decides about it;
 *	2. which grants the rules bring: a box is one for the whole line, so a rule's grants
 *	   hold only where every part is known to only read or is allowed by a rule. Otherwise
 *	   something that nobody allowed would share them;
 *	3. what each part and each ask comes to, with those grants.
 *
 * An allowing rule stands above what is known of the command itself: dangerous, undecided by
 * policy, a finding in its code. It does not cover a redirection or a variable before the command,
 * nor what has no use. */
#include "gate/decide.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "gate/code.h"
#include "gate/decide_internal.h"
#include "gate/rules_program.h"
#include "gate/words.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int read_script_file(
	void *data, const char *path, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	(void)data;
	return fd_read_file(AT_FDCWD, path, max_bytes, ret, ret_length_bytes);
}

void outcome_raise(struct outcome *outcome, enum verdict verdict, enum approval_category category,
	const char *id, const char *reason)
{
	if (outcome->id && verdict <= outcome->verdict)
		return;
	outcome->verdict = verdict;
	outcome->category = category;
	outcome->id = id;
	outcome->reason = reason;
}

static enum verdict verdict_of(
	const struct decider *d, enum situation situation, enum approval_category category)
{
	return table_verdict(situation, d->request->mode, &d->request->approval, category);
}

static enum situation situation_of(const struct classification *known)
{
	switch (known->class) {
	case CLASS_SAFE:
		return SITUATION_SAFE;
	case CLASS_ORDINARY:
		return known->category == CATEGORY_NETWORK ? SITUATION_NETWORK : SITUATION_ORDINARY;
	case CLASS_UNDECIDABLE:
		return SITUATION_UNDECIDABLE;
	case CLASS_DANGEROUS:
		if (known->category == CATEGORY_SECRET)
			return SITUATION_SECRET;
		return known->category == CATEGORY_WRITE_OUTSIDE ? SITUATION_WRITE_OUTSIDE
								 : SITUATION_DANGEROUS;
	default:
		return SITUATION_FORBIDDEN;
	}
}

/* A bare name that would be found in a place where the box writes: a look-alike that was put there
 * is not known to only read. */
static bool found_in_writable_place(const struct decider *d, const struct gate_part *part)
{
	const char *path = d->request->path;
	char resolved[PATH_MAX];
	if (!d->path_is_mixed || part->argv.count == 0 || strchr(part->argv.items[0], '/') ||
		part->kind != PART_COMMAND)
		return false;
	if (!program_resolve(part->argv.items[0], d->request->directory, path, resolved))
		return false;
	for (char *const *root = d->request->writable_roots; root && *root; root++)
		if (path_is_below(resolved, *root))
			return true;
	return path_is_below(resolved, d->request->directory);
}

/* Whether some entry of PATH is relative, or lies in the directory or a writable root. */
static bool path_is_mixed(const struct gate_request *request)
{
	const char *entry = request->path;
	while (entry) {
		size_t bytes = strcspn(entry, ":");
		cleanup_free char *name = strndup(entry, bytes);
		cleanup_free char *one = name ? path_absolute("/", name) : NULL;
		if (!one || *entry != '/' || path_is_below(one, request->directory))
			return true;
		for (char *const *root = request->writable_roots; root && *root; root++)
			if (path_is_below(one, *root))
				return true;
		entry = entry[bytes] ? entry + bytes + 1 : NULL;
	}
	return false;
}

/* The gravest finding in the code that an interpreter is given. */
static int look_at_code(const struct gate_part *part, struct part_knowledge *known)
{
	if (!part->code || !part->language)
		return 0;
	if (strcmp(part->language, "python") != 0 && strcmp(part->language, "javascript") != 0)
		return 0;
	struct findings_list *findings = NULL;
	int r = code_check(part->language, "code", part->code, strlen(part->code), &findings);
	if (r < 0)
		return r;
	known->code_syntax = findings->syntax.errno_value != 0 || findings->incomplete;
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];
		if (finding->severity < SEVERITY_HIGH ||
			(known->finding && finding->severity <= known->severity))
			continue;
		known->finding = finding->rule;
		known->severity = finding->severity;
		free(known->finding_why);
		if (asprintf(&known->finding_why, "its code %s", finding->why) < 0) {
			known->finding_why = NULL;
			r = -ENOMEM;
		}
	}
	findings_free(findings);
	return r;
}

static bool rule_allows(const struct part_knowledge *known)
{
	return known->rule && known->rule->decision == VERDICT_ALLOW;
}

/* Remembers, part by part, in which allowed script it is. */
struct script_walk {
	const struct config_rule *rule;
	unsigned depth;
};

static void enter_script(
	struct script_walk *walk, const struct gate_part *part, struct part_knowledge *known)
{
	if (walk->rule && part->depth > walk->depth) {
		if (known->class.class == CLASS_ORDINARY)
			known->script_rule = walk->rule;
		return;
	}
	bool script = rule_allows(known) && word_is_foreign(part->argv.items[0]);
	*walk = (struct script_walk){script ? known->rule : NULL, part->depth};
}

static int learn(struct decider *d)
{
	const struct gate_request *request = d->request;
	struct rule_context rules = {request->directory, request->path, NULL};
	struct classify_context context = {.directory = request->directory,
		.home = request->home,
		.writable_roots = request->writable_roots};
	d->path_is_mixed = path_is_mixed(request);
	struct places_walk walk = {0};
	struct script_walk script = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < d->analysis->count; i++) {
		const struct gate_part *part = &d->analysis->parts[i];
		struct part_knowledge *known = &d->known[i];
		context.places = places_walk_to(&walk, d->analysis, i, &context);
		classify_part(d->analysis, i, &context, &known->class);
		if (known->class.class == CLASS_SAFE && git_may_meet_settings(part, context.places))
			known->class = (struct classification){CLASS_UNDECIDABLE, CATEGORY_COMMAND,
				"git-settings",
				"what looks like a repository there may have settings "
				"that name programs"};
		rules.places = context.places;
		known->rule = rules_match(d->config, d->rules, part, &rules);
		known->may_rule = rules_may_match(d->config, d->rules, part, &rules);
		if (found_in_writable_place(d, part)) {
			if (known->class.class == CLASS_SAFE)
				known->class = (struct classification){CLASS_ORDINARY,
					CATEGORY_COMMAND, "look-alike",
					"its name leads to a program in a writable directory"};
			if (known->rule && known->rule->decision == VERDICT_ALLOW &&
				!known->rule->program)
				known->rule = NULL;
		}
		enter_script(&script, part, known);
		r = look_at_code(part, known);
	}
	places_walk_release(&walk);
	return r;
}

struct granting {
	struct decider *d;
	int error;
};

static void take_grants(const struct config_rule *rule, void *data)
{
	struct granting *granting = data;
	struct decider *d = granting->d;
	if (rule->decision != VERDICT_ALLOW)
		return;
	for (size_t i = 0; i < rule->grants_count && granting->error == 0; i++)
		granting->error = grants_add(
			&d->grants, &d->grants_count, rule->grants[i].kind, rule->grants[i].value);
}

/* The second pass. */
static int collect_grants(struct decider *d)
{
	const struct classify_context context = {
		.directory = d->request->directory, .home = d->request->home};
	struct rule_context rules = {d->request->directory, d->request->path, NULL};
	for (size_t i = 0; i < d->analysis->count; i++)
		if (!rule_allows(&d->known[i]) && !d->known[i].script_rule &&
			d->known[i].class.class != CLASS_SAFE)
			return 0;
	struct granting granting = {.d = d};
	struct places_walk walk = {0};
	for (size_t i = 0; i < d->analysis->count; i++) {
		rules.places = places_walk_to(&walk, d->analysis, i, &context);
		if (rule_allows(&d->known[i]))
			rules_each(d->config, d->rules, &d->analysis->parts[i], &rules, take_grants,
				&granting);
	}
	places_walk_release(&walk);
	return granting.error;
}

static bool is_granted(const struct decider *d, enum grant_kind kind, const char *value)
{
	const struct grant wanted = {kind, (char *)value};
	for (size_t i = 0; i < d->grants_count; i++)
		if (grant_covers(&d->grants[i], &wanted))
			return true;
	return false;
}

/* What is written and set around the command, which no prefix covers: classified again as a part
 * without words of its own. */
static void decide_surroundings(
	struct decider *d, size_t index, const struct places *places, struct classification *ret)
{
	struct gate_part bare = d->analysis->parts[index];
	bare.argv = (struct strv){0};
	bare.undecidable = false;
	struct analysis one = {.parts = &bare, .count = 1};
	const struct classify_context context = {.directory = d->request->directory,
		.home = d->request->home,
		.writable_roots = d->writable,
		.places = places};
	classify_part(&one, 0, &context, ret);
}

static void decide_rule(struct decider *d, size_t index, struct outcome *outcome)
{
	const struct part_knowledge *known = &d->known[index];
	const struct config_rule *rule = known->rule ? known->rule : known->script_rule;
	static const enum situation situations[] = {
		[VERDICT_ALLOW] = SITUATION_RULE_ALLOW,
		[VERDICT_ASK] = SITUATION_RULE_ASK,
		[VERDICT_FORBID] = SITUATION_RULE_FORBID,
	};
	static const char *const words[] = {
		"a rule allows it", "a rule says to ask", "a rule forbids it"};
	enum verdict verdict = verdict_of(d, situations[rule->decision], known->class.category);
	outcome_raise(outcome, verdict, known->class.category, "rule",
		rule->reason ? rule->reason : words[rule->decision]);
	outcome->rule = rule;
}

/* What may be what a rule is about is asked about, whatever else is known of it. */
static void decide_rule_that_may_match(
	struct decider *d, const struct part_knowledge *known, struct outcome *outcome)
{
	enum verdict verdict = verdict_of(d, SITUATION_RULE_ASK, known->class.category);
	if (outcome->id && verdict <= outcome->verdict)
		return;
	outcome_raise(outcome, verdict, known->class.category, "rule-unknown",
		known->may_rule->decision == VERDICT_FORBID
			? "it may be what a rule forbids: that is known only when it runs"
			: "it may be what a rule asks about: that is known only when it runs");
	outcome->rule = known->may_rule;
}

static void decide_code(
	struct decider *d, const struct part_knowledge *known, struct outcome *outcome)
{
	if (known->code_syntax)
		outcome_raise(outcome, verdict_of(d, SITUATION_UNDECIDABLE, CATEGORY_COMMAND),
			CATEGORY_COMMAND, "code-unknown", "its code cannot be read to the end");
	if (!known->finding)
		return;
	enum situation situation = known->severity == SEVERITY_CRITICAL ? SITUATION_CODE_CRITICAL
									: SITUATION_CODE_HIGH;
	outcome_raise(outcome, verdict_of(d, situation, CATEGORY_COMMAND), CATEGORY_COMMAND,
		known->finding, known->finding_why);
}

static void decide_part(
	struct decider *d, size_t index, const struct places *places, struct outcome *outcome)
{
	const struct part_knowledge *known = &d->known[index];
	const struct gate_part *part = &d->analysis->parts[index];
	bool covered = (rule_allows(known) || (!known->rule && known->script_rule)) &&
		       known->class.class != CLASS_FORBIDDEN;
	*outcome = (struct outcome){0};
	if (known->rule || covered)
		decide_rule(d, index, outcome);
	if (known->may_rule)
		decide_rule_that_may_match(d, known, outcome);
	if (covered) {
		struct classification around;
		decide_surroundings(d, index, places, &around);
		if (part->redirections_count > 0 && around.class > CLASS_ORDINARY)
			outcome_raise(outcome,
				verdict_of(d, situation_of(&around), around.category),
				around.category, around.id, around.reason);
		if (known->severity == SEVERITY_CRITICAL)
			decide_code(d, known, outcome);
		return;
	}
	enum situation situation = situation_of(&known->class);
	outcome_raise(outcome, verdict_of(d, situation, known->class.category),
		known->class.category, known->class.id, known->class.reason);
	decide_code(d, known, outcome);
	if (d->analysis->incomplete)
		outcome_raise(outcome, verdict_of(d, SITUATION_SYNTAX_ERROR, CATEGORY_COMMAND),
			CATEGORY_COMMAND, "incomplete", "not all of it can be looked at");
}

static void decide_ask(struct decider *d, const struct grant *ask, struct outcome *outcome)
{
	static const struct {
		enum situation situation;
		enum approval_category category;
		const char *reason;
	} asks[] = {
		[GRANT_WRITE] = {SITUATION_ASKED_WRITE, CATEGORY_WRITE_OUTSIDE,
			"it asks to write to"},
		[GRANT_NETWORK] = {SITUATION_ASKED_NETWORK, CATEGORY_NETWORK,
			"it asks for the network host"},
		[GRANT_UNSANDBOXED] = {SITUATION_ASKED_UNSANDBOXED, CATEGORY_UNSANDBOXED,
			"it asks to run without the box"},
		[GRANT_SECRET] = {SITUATION_ASKED_SECRET, CATEGORY_SECRET, "it asks to read"},
	};
	*outcome = (struct outcome){0};
	if (is_granted(d, ask->kind, ask->value))
		outcome_raise(outcome, VERDICT_ALLOW, asks[ask->kind].category, "rule",
			"a rule grants what it asks for");
	else
		outcome_raise(outcome,
			verdict_of(d, asks[ask->kind].situation, asks[ask->kind].category),
			asks[ask->kind].category, "ask", asks[ask->kind].reason);
}

/* The roots that hold: the request's, and what rules grant. */
static int extend_roots(struct decider *d)
{
	size_t count = 0;
	for (char *const *root = d->request->writable_roots; root && root[count];)
		count++;
	d->writable = calloc(count + d->grants_count + 1, sizeof(*d->writable));
	if (!d->writable)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		d->writable[i] = d->request->writable_roots[i];
	for (size_t i = 0; i < d->grants_count; i++)
		if (d->grants[i].kind == GRANT_WRITE)
			d->writable[count++] = d->grants[i].value;
	return 0;
}

/* A script with a syntax error is one situation, whatever its parts are. */
static void decide_syntax(struct decider *d, struct outcome *outcome)
{
	*outcome = (struct outcome){0};
	outcome_raise(outcome, verdict_of(d, SITUATION_SYNTAX_ERROR, CATEGORY_COMMAND),
		CATEGORY_COMMAND, "syntax", d->analysis->syntax.message);
}

/* The third pass. */
static int decide_all(struct decider *d, struct gate_decision *decision)
{
	struct outcome outcome;
	const struct classify_context context = {
		.directory = d->request->directory, .home = d->request->home};
	struct places_walk walk = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < d->analysis->count; i++) {
		decide_part(d, i, places_walk_to(&walk, d->analysis, i, &context), &outcome);
		r = decision_add(decision, i, NULL, &outcome);
	}
	places_walk_release(&walk);
	for (size_t i = 0; r == 0 && i < d->request->asks_count; i++) {
		decide_ask(d, &d->request->asks[i], &outcome);
		r = decision_add(decision, SIZE_MAX, &d->request->asks[i], &outcome);
	}
	if (r < 0)
		return r;
	if (d->analysis->syntax.errno_value) {
		decide_syntax(d, &outcome);
		return decision_add_whole(decision, &outcome);
	}
	if (d->analysis->incomplete && d->analysis->count == 0) {
		outcome = (struct outcome){0};
		outcome_raise(&outcome, verdict_of(d, SITUATION_SYNTAX_ERROR, CATEGORY_COMMAND),
			CATEGORY_COMMAND, "incomplete", "not all of it can be looked at");
		return decision_add_whole(decision, &outcome);
	}
	return 0;
}

static void decider_release(struct decider *d)
{
	for (size_t i = 0; d->known && i < d->analysis->count; i++)
		free(d->known[i].finding_why);
	free(d->known);
	free(d->writable);
	grants_free(d->grants, d->grants_count);
	rule_index_free(d->rules);
}

static int decide(struct decider *d, struct gate_decision *decision)
{
	size_t count = d->analysis->count;
	d->known = calloc(count ? count : 1, sizeof(*d->known));
	if (!d->known)
		return -ENOMEM;
	int r = rule_index_new(d->config, &d->rules);
	r = r < 0 ? r : learn(d);
	r = r < 0 ? r : collect_grants(d);
	r = r < 0 ? r : extend_roots(d);
	r = r < 0 ? r : decide_all(d, decision);
	r = r < 0 ? r : decision_conclude(decision, d);
	return r;
}

static int decide_analysis(const struct config *config, const struct gate_request *request,
	struct analysis *analysis, const char *script, size_t script_bytes,
	struct gate_decision **ret, struct error *error)
{
	struct gate_decision *decision = calloc(1, sizeof(*decision));
	if (!decision) {
		analysis_free(analysis);
		return error_set_errno(error, ENOMEM, "gate", "cannot decide");
	}
	decision->analysis = analysis;
	struct decider d = {.config = config,
		.request = request,
		.analysis = analysis,
		.script = script,
		.script_bytes = script_bytes};
	int r = decide(&d, decision);
	decider_release(&d);
	if (r < 0) {
		gate_decision_free(decision);
		return error_set_errno(error, -r, "gate", "cannot decide");
	}
	*ret = decision;
	return 0;
}

static struct analysis_context analysis_context_of(const struct gate_request *request)
{
	return (struct analysis_context){.directory = request->directory,
		.read_file = request->look_into_files ? read_script_file : NULL};
}

int gate_decide(const struct config *config, const struct gate_request *request,
	struct gate_decision **ret, struct error *error)
{
	struct analysis *analysis = NULL;
	const struct analysis_context context = analysis_context_of(request);
	int r = analyze_command(request->argv, &context, &analysis);
	if (r < 0)
		return error_set_errno(error, -r, "gate", "cannot take the command apart");
	return decide_analysis(config, request, analysis, NULL, 0, ret, error);
}

int gate_decide_script(const struct config *config, const struct gate_request *request,
	const char *script, size_t length_bytes, struct gate_decision **ret, struct error *error)
{
	struct analysis *analysis = NULL;
	const struct analysis_context context = analysis_context_of(request);
	/* The analysis looks ahead, so there must be an end to see. */
	cleanup_free char *text = malloc(length_bytes + 1);
	if (!text)
		return error_set_errno(error, ENOMEM, "gate", "cannot decide");
	memcpy(text, script, length_bytes);
	text[length_bytes] = '\0';
	int r = analyze_shell(text, length_bytes, &context, &analysis);
	if (r < 0)
		return error_set_errno(error, -r, "gate", "cannot take the script apart");
	return decide_analysis(config, request, analysis, text, length_bytes, ret, error);
}
