#include "gate/code_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	MAX_FINDINGS = 4096,
	MAX_FINDING_TEXT_BYTES = 160,
	LOOK_BACK = 16, /* equal findings that follow one another are told once */
};

static const struct code_rule *rule_of(const char *id)
{
	size_t count;
	const struct code_rule *rules = code_rules(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(rules[i].id, id) == 0)
			return &rules[i];
	return NULL;
}

/* The first line, cut between characters. */
static char *one_line(const char *text, size_t length_bytes)
{
	size_t length = 0;
	while (length < length_bytes && text[length] && text[length] != '\n')
		length++;
	if (length <= MAX_FINDING_TEXT_BYTES)
		return strndup(text, length);
	length = MAX_FINDING_TEXT_BYTES;
	while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	char *line = malloc(length + sizeof("..."));
	if (line) {
		memcpy(line, text, length);
		memcpy(line + length, "...", sizeof("..."));
	}
	return line;
}

static bool is_known(const struct findings_list *list, const struct code_rule *rule,
	const char *file, unsigned line)
{
	for (size_t i = list->count; i > 0 && list->count - i < LOOK_BACK; i--) {
		const struct finding *other = &list->items[i - 1];
		if (other->rule == rule->id && other->line == line &&
			(!file || (other->file && strcmp(file, other->file) == 0)))
			return true;
	}
	return false;
}

static int grow(struct findings_list *list)
{
	if (list->count >= MAX_FINDINGS)
		return -ENOBUFS;
	/* The capacity is the next power of two: it need not be kept. */
	if (list->count & (list->count - 1))
		return 0;
	size_t capacity = list->count ? 2 * list->count : 1;
	struct finding *items = realloc(list->items, capacity * sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	return 0;
}

void findings_add(struct findings_list *list, const char *id, const char *file, unsigned line,
	unsigned column, const char *text, size_t text_bytes, const char *detail)
{
	const struct code_rule *rule = rule_of(id);
	assert(rule);
	if (is_known(list, rule, file, line))
		return;
	if (grow(list) < 0) {
		list->incomplete = true;
		return;
	}
	struct finding finding = {
		.rule = rule->id,
		.severity = rule->severity,
		.line = line,
		.column = column,
		.text = one_line(text ? text : "", text ? text_bytes : 0),
		.file = file ? strdup(file) : NULL,
	};
	if (asprintf(&finding.why, "%s%s%s", rule->why, detail ? ": " : "", detail ? detail : "") <
		0)
		finding.why = NULL;
	if (!finding.text || !finding.why || (file && !finding.file)) {
		free(finding.text);
		free(finding.why);
		free(finding.file);
		list->incomplete = true;
		return;
	}
	list->items[list->count++] = finding;
}

/* Columns count characters, as editors and SARIF do; far into a line that a machine made, bytes. */
unsigned node_column(const struct code_run *run, TSNode node)
{
	enum { MAX_COUNTED_BYTES = 4096 };
	uint32_t start = ts_node_start_byte(node), column_bytes = ts_node_start_point(node).column;
	unsigned column = 1;
	if (column_bytes > MAX_COUNTED_BYTES)
		return column_bytes + 1;
	for (uint32_t i = start - column_bytes; i < start; i++)
		column += ((unsigned char)run->source[i] & 0xc0) != 0x80;
	return column;
}

void report(struct code_run *run, const char *rule, TSNode where)
{
	char id[64];
	snprintf(id, sizeof(id), "%s%s",
		strncmp(rule, "text-", strlen("text-")) == 0 ? "" : run->grammar->prefix, rule);
	TSPoint point = ts_node_start_point(where);
	uint32_t start = ts_node_start_byte(where);
	const struct finding *origin = run->origin;
	findings_add(run->findings, id, NULL, origin ? origin->line : point.row + 1,
		origin ? origin->column : node_column(run, where), run->source + start,
		ts_node_end_byte(where) - start, origin ? "within text that is evaluated" : NULL);
}

static int compare_places(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->severity != y->severity ? (x->severity > y->severity ? -1 : 1)
					  : strcmp(x->rule, y->rule);
}

void findings_sort(struct findings_list *findings)
{
	if (findings->count > 1)
		qsort(findings->items, findings->count, sizeof(*findings->items), compare_places);
}

void findings_free(struct findings_list *findings)
{
	if (!findings)
		return;
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->items[i].text);
		free(findings->items[i].why);
		free(findings->items[i].file);
	}
	free(findings->items);
	free(findings);
}
