/* Theory of operation. The built-in reviewer gathers signals: each says how grave something in the
 * request is, and what the user would have had to say to order it. The risk is that of the gravest
 * signal; the authorization that of the least authorized one that is more than low. It approves low
 * risk, medium where the user's words at least imply it, high where they order it clearly and name
 * all that it touches. It never looks at what the agent says of itself. */
#include "gate/review_assessment.h"

#include "base/cleanup.h"

#include <string.h>

enum {
	PARTS_MAX = 512, /* of a script; a longer one is nothing to decide about at a glance */
	OTHERS_TOLD = 5,
};

void assessment_note(struct assessment *all, enum review_risk risk, const char *id,
	const char *reason, const struct review_claim *claim)
{
	if (!all->id || risk > all->risk) {
		if (all->id && strcmp(all->id, id) != 0 && strv_add(&all->others, all->id) < 0)
			all->error = -ENOMEM;
		all->risk = risk;
		all->id = id;
		all->reason = reason;
	} else if (strcmp(all->id, id) != 0 && !strv_contains(&all->others, id) &&
		   strv_add(&all->others, id) < 0) {
		all->error = -ENOMEM;
	}
	if (risk == RISK_LOW)
		return;
	bool narrow = false;
	enum review_authorization found =
		claim ? user_words_authorize(all->words, claim, &narrow) : AUTHORIZATION_NONE;
	if (found < all->authorization)
		all->authorization = found;
	all->narrow = all->narrow && narrow;
}

/* What the gate asks for and no signal explains is at least what its category says. */
static void assess_decision(struct assessment *all, const struct gate_decision *decision)
{
	static const enum review_risk least[CATEGORIES] = {
		[CATEGORY_COMMAND] = RISK_MEDIUM,
		[CATEGORY_WRITE_OUTSIDE] = RISK_MEDIUM,
		[CATEGORY_NETWORK] = RISK_MEDIUM,
		[CATEGORY_UNSANDBOXED] = RISK_HIGH,
		[CATEGORY_SECRET] = RISK_HIGH,
		[CATEGORY_DELETE] = RISK_MEDIUM,
	};
	for (size_t i = 0; i < decision->parts_count; i++) {
		const struct part_decision *part = &decision->parts[i];
		if (part->verdict == VERDICT_ALLOW || part->part >= decision->analysis->count)
			continue;
		/* Asked for because of the policy or the mode alone: nothing is known against
		 * it. */
		if (strcmp(part->id, "approval") == 0)
			continue;
		const struct gate_part *source = &decision->analysis->parts[part->part];
		cleanup_objects struct object_list objects = {.count = 0};
		if (object_list_of_part(all->command, source, &objects) < 0)
			all->error = -ENOMEM;
		struct review_claim claim = {.verbs = part_program(source),
			.command = strv_items(&source->argv),
			.objects = objects.items,
			.objects_count = objects.count};
		if (all->risk < least[part->category])
			assessment_note(all, least[part->category], "gate",
				"the gate's own tables or a rule ask about it", &claim);
	}
}

static void assess(struct assessment *all, const struct approval_request *request)
{
	const struct gate_decision *decision = request->decision;
	const struct analysis *analysis = decision->analysis;
	size_t count = analysis->count < PARTS_MAX ? analysis->count : PARTS_MAX;
	for (size_t i = 0; i < count; i++) {
		assess_part(all, analysis, i);
		assess_flow(all, analysis, i);
	}
	if (count < analysis->count || analysis->incomplete)
		assessment_note(all, RISK_HIGH, "too-much",
			"it is more than can be taken apart or looked over", NULL);
	if (analysis->syntax.errno_value)
		assessment_note(all, RISK_MEDIUM, "syntax",
			"it has a syntax error: what runs is not what it says", NULL);
	for (size_t i = 0; i < request->request->asks_count; i++)
		assess_grant(all, analysis, &request->request->asks[i]);
	if (all->secrets && all->network)
		assessment_note(all, all->strange_network ? RISK_CRITICAL : RISK_HIGH,
			"exfiltration", "credentials and a network come together in it", NULL);
	assess_decision(all, decision);
	if (!all->id)
		assessment_note(all, RISK_LOW, "ordinary", "nothing is known against it", NULL);
}

static char *explain(const struct assessment *all)
{
	static const char *const said[] = {
		[AUTHORIZATION_NONE] = "nothing that the user said orders it",
		[AUTHORIZATION_IMPLIED] = "the user's words imply it",
		[AUTHORIZATION_CLEAR] = "the user ordered it",
	};
	cleanup_buffer struct buffer text = BUFFER_INIT(REVIEW_RATIONALE_BYTES_MAX);
	buffer_append_format(
		&text, "%s risk (%s): %s", review_risk_name(all->risk), all->id, all->reason);
	for (size_t i = 0; i < all->others.count && i < OTHERS_TOLD; i++)
		buffer_append_format(&text, "%s%s", i ? ", " : "; also ", all->others.items[i]);
	if (all->risk > RISK_LOW)
		buffer_append_format(&text, "; %s%s", said[all->authorization],
			all->authorization == AUTHORIZATION_CLEAR && !all->narrow
				? ", but not all that it touches was named"
				: "");
	return buffer_steal(&text);
}

int review_builtin(const struct approval_request *request, struct review *ret)
{
	*ret = (struct review){0};
	struct user_words *words = NULL;
	if (user_words_parse(request->user_words, &words) < 0)
		return -ENOMEM;
	struct assessment all = {.command = request->request,
		.words = words,
		.authorization = AUTHORIZATION_CLEAR,
		.narrow = true};
	assess(&all, request);
	if (all.risk == RISK_LOW) { /* nothing had to be ordered */
		all.authorization = AUTHORIZATION_NONE;
		all.narrow = false;
	}
	bool clear = all.authorization == AUTHORIZATION_CLEAR && all.narrow;
	bool approve = all.risk == RISK_LOW ||
		       (all.risk == RISK_MEDIUM && all.authorization != AUTHORIZATION_NONE) ||
		       (all.risk == RISK_HIGH && clear);
	*ret = (struct review){.risk = all.risk,
		.authorization = all.authorization,
		.narrow = all.narrow,
		.approve = approve,
		.rationale = explain(&all)};
	int r = all.error || !ret->rationale ? -ENOMEM : 0;
	strv_release(&all.others);
	user_words_free(words);
	if (r < 0)
		review_release(ret);
	return r;
}
