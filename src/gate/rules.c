#include "gate/rules.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "gate/classify.h"
#include "gate/rules_program.h"

#include <string.h>

/* One way in which a prefix may begin. */
struct rule_entry {
	const char *word;
	size_t rule;
};

struct rule_index {
	struct rule_entry *entries; /* by word, then by rule */
	size_t count;
};

static int compare_entries(const void *a, const void *b)
{
	const struct rule_entry *x = a, *y = b;
	int order = strcmp(x->word, y->word);
	return order ? order : (x->rule > y->rule) - (x->rule < y->rule);
}

/* A prefix's first word may be spelled as a path; it is looked up by its last component. */
int rule_index_new(const struct config *config, struct rule_index **ret)
{
	size_t count = 0;
	for (size_t i = 0; i < config->rules_count; i++)
		count += config->rules[i].prefix[0].any.count;
	struct rule_index *index = calloc(1, sizeof(*index));
	struct rule_entry *entries = calloc(count ? count : 1, sizeof(*entries));
	if (!index || !entries) {
		free(index);
		free(entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->rules_count; i++) {
		const struct strv *any = &config->rules[i].prefix[0].any;
		for (size_t k = 0; k < any->count; k++)
			entries[index->count++] = (struct rule_entry){path_name(any->items[k]), i};
	}
	qsort(entries, index->count, sizeof(*entries), compare_entries);
	index->entries = entries;
	*ret = index;
	return 0;
}

void rule_index_free(struct rule_index *index)
{
	if (index)
		free(index->entries);
	free(index);
}

static bool only_harmless_variables(const struct gate_part *part)
{
	for (size_t i = 0; i < part->assignments.count; i++)
		if (!variable_is_harmless(part->assignments.items[i]))
			return false;
	return true;
}

/* The first word: as it is written; by its name, if it is the right program or need not be. */
static bool first_word_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	const struct strv *any = &rule->prefix[0].any;
	const char *word = part->argv.items[0];
	if (strv_contains(any, word))
		return true;
	const char *name = path_name(word);
	if (name == word || !strv_contains(any, name))
		return false;
	return rule->decision != VERDICT_ALLOW ||
	       program_is_the_usual(word, context->directory, context->path);
}

static const char *prefix_misfit(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	if (part->argv.count < rule->prefix_count)
		return "the command has fewer words than the prefix";
	for (size_t i = 0; i < rule->prefix_count; i++)
		if (!part->word_known[i])
			return "a word that the prefix names is not known before it runs";
	if (!first_word_fits(rule, part, context))
		return "it is another program";
	for (size_t i = 1; i < rule->prefix_count; i++)
		if (!strv_contains(&rule->prefix[i].any, part->argv.items[i]))
			return "a word of the prefix differs";
	return NULL;
}

static bool is_the_program(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	char resolved[PATH_MAX], wanted[PATH_MAX];
	if (!program_resolve(part->argv.items[0], context->directory, context->path, resolved))
		return false;
	const char *program = realpath(rule->program, wanted) ? wanted : rule->program;
	return strcmp(resolved, program) == 0;
}

const char *rule_misfit(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	bool allows = rule->decision == VERDICT_ALLOW;
	const char *misfit = prefix_misfit(rule, part, context);
	if (misfit)
		return misfit;
	if (rule->within &&
		(!context->directory || !path_is_below(context->directory, rule->within)))
		return "the directory is not in the rule's";
	/* A rule that restricts is not escaped by a copy of the program elsewhere. */
	if (rule->program && allows && !is_the_program(rule, part, context))
		return "its name leads to another program";
	if (allows && part->undecidable)
		return "it cannot be known what would run, and no rule allows that";
	if (allows && !only_harmless_variables(part))
		return "a variable before it may change what it does";
	return NULL;
}

bool rule_fits(const struct config_rule *rule, const struct gate_part *part,
	const struct rule_context *context)
{
	return !rule_misfit(rule, part, context);
}

static const struct config_rule *stricter(const struct config_rule *a, const struct config_rule *b)
{
	if (!a || b->decision > a->decision)
		return b;
	return b->decision == a->decision && b->prefix_count > a->prefix_count ? b : a;
}

/* The first entry with the name, or where it would stand. */
static size_t find_entry(const struct rule_index *index, const char *name)
{
	size_t low = 0, high = index->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(index->entries[middle].word, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void rules_each(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context,
	void (*each)(const struct config_rule *rule, void *data), void *data)
{
	if (part->argv.count == 0)
		return;
	const char *name = path_name(part->argv.items[0]);
	for (size_t i = find_entry(index, name);
		i < index->count && strcmp(index->entries[i].word, name) == 0; i++) {
		const struct config_rule *rule = &config->rules[index->entries[i].rule];
		if (rule_fits(rule, part, context))
			each(rule, data);
	}
}

static void keep_stricter(const struct config_rule *rule, void *data)
{
	const struct config_rule **found = data;
	*found = stricter(*found, rule);
}

const struct config_rule *rules_match(const struct config *config, const struct rule_index *index,
	const struct gate_part *part, const struct rule_context *context)
{
	const struct config_rule *found = NULL;
	rules_each(config, index, part, context, keep_stricter, &found);
	return found;
}
