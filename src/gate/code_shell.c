/* Shell scripts, and command lines that a program passes to a shell: taken apart and classified as
 * the gate does for commands (analysis.h, classify.h). Which directories it may write is not known
 * here: what depends on that is not told. */
#include "gate/code_internal.h"

#include "gate/analysis.h"
#include "gate/classify.h"

#include <errno.h>
#include <string.h>

/* What "~" and relative paths stand for: a script is judged alike wherever it lies. */
#define SOMEBODY "/home/somebody"
#define SOMEWHERE SOMEBODY "/somewhere"

/* Of a known class and what it is about. NULL: nothing to tell. */
static const char *rule_of(const struct classification *classification)
{
	static const char *const dangerous[CATEGORIES] = {
		[CATEGORY_COMMAND] = "sh-dangerous",
		[CATEGORY_WRITE_OUTSIDE] = "sh-write",
		[CATEGORY_NETWORK] = "sh-network",
		[CATEGORY_UNSANDBOXED] = "sh-dangerous",
		[CATEGORY_SECRET] = "sh-secret",
		[CATEGORY_DELETE] = "sh-delete",
	};
	switch (classification->class) {
	case CLASS_FORBIDDEN:
		return "sh-forbidden";
	case CLASS_DANGEROUS:
		return dangerous[classification->category];
	case CLASS_UNDECIDABLE:
		return "sh-undecidable";
	default:
		return NULL;
	}
}

static void check_embedded(
	const struct gate_part *part, const struct finding *place, struct findings_list *findings)
{
	const struct code_grammar *grammars[] = {&code_python, &code_javascript};
	for (size_t i = 0; i < ARRAY_SIZE(grammars) && part->code && part->language; i++)
		if (strcmp(part->language, grammars[i]->name) == 0 &&
			code_check_tree(grammars[i], part->code, strlen(part->code), 1, place,
				findings) < 0)
			findings->incomplete = true;
}

/* origin: where a program has the command line; NULL: the source is a script of its own. */
static int check_commands(const char *source, size_t length_bytes, const struct finding *origin,
	struct findings_list *findings)
{
	struct analysis_context nothing_is_read = {.directory = SOMEWHERE};
	struct classify_context context = {.directory = SOMEWHERE, .home = SOMEBODY};
	struct analysis *analysis = NULL;
	int r = analyze_shell(source, length_bytes, &nothing_is_read, &analysis);
	if (r < 0)
		return r;
	if (!origin && analysis->syntax.errno_value)
		findings->syntax = analysis->syntax;
	findings->incomplete |= analysis->incomplete;
	struct places_walk walk = {.next = 0};
	for (size_t i = 0; i < analysis->count; i++) {
		const struct gate_part *part = &analysis->parts[i];
		struct classification classification = {.class = CLASS_ORDINARY};
		context.places = places_walk_to(&walk, analysis, i, &context);
		classify_part(analysis, i, &context, &classification);
		const char *rule = rule_of(&classification), *text = part->text ? part->text : "";
		struct finding place = {.line = part->line ? part->line : 1,
			.column = part->column ? part->column : 1};
		if (origin)
			place = *origin;
		/* In a program, that something is not known is said by its own rules. */
		if (rule && !(origin && classification.class == CLASS_UNDECIDABLE))
			findings_add(findings, rule, NULL, place.line, place.column, text,
				strlen(text), classification.reason);
		check_embedded(part, &place, findings);
	}
	places_walk_release(&walk);
	analysis_free(analysis);
	return 0;
}

int code_check_shell(const char *source, size_t length_bytes, struct findings_list *findings)
{
	return check_commands(source, length_bytes, NULL, findings);
}

void code_check_command(struct code_run *run, TSNode where, const char *line)
{
	struct finding origin = {
		.line = ts_node_start_point(where).row + 1, .column = node_column(run, where)};
	if (run->origin)
		origin = *run->origin;
	if (check_commands(line, strlen(line), &origin, run->findings) < 0)
		run->findings->incomplete = true;
}
