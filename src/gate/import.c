/* What an import has gathered so far. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/rules.h"
#include "gate/show.h"

#include <stdarg.h>
#include <string.h>

enum { NOTES_MAX = 4096, VALUES_MAX = 4096 };

void import_release(struct import *import)
{
	for (size_t i = 0; i < import->items_count; i++) {
		strv_release(&import->items[i].values);
		free(import->items[i].from);
	}
	for (size_t i = 0; i < import->blocks_count; i++) {
		free(import->blocks[i].text);
		free(import->blocks[i].from);
	}
	for (size_t i = 0; i < import->programs_count; i++) {
		free(import->programs[i].name);
		strv_release(&import->programs[i].paths);
	}
	free(import->items);
	free(import->blocks);
	free(import->programs);
	strv_release(&import->notes);
	*import = (struct import){0};
}

static char *place_text(struct import *import, struct import_place place)
{
	char *text = NULL;
	int r = place.line ? asprintf(&text, "%s:%u", place.file, place.line)
			   : asprintf(&text, "%s", place.file);
	if (r < 0) {
		import->error = -ENOMEM;
		return NULL;
	}
	for (char *c = text; *c; c++) /* it may stand in a comment: nothing of it ends a line */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return text;
}

void import_note(struct import *import, struct import_place place, const char *format, ...)
{
	cleanup_free char *where = place_text(import, place);
	cleanup_free char *what = NULL, *note = NULL;
	va_list arguments;
	va_start(arguments, format);
	if (vasprintf(&what, format, arguments) < 0)
		what = NULL;
	va_end(arguments);
	if (import->notes.count >= NOTES_MAX)
		import->error = -ENOBUFS;
	else if (!where || !what || asprintf(&note, "%s: %s", where, what) < 0)
		import->error = -ENOMEM;
	else if (strv_add(&import->notes, note) < 0)
		import->error = -ENOMEM;
}

static struct import_item *find_item(struct import *import, const char *table, const char *key)
{
	for (size_t i = 0; i < import->items_count; i++)
		if (strcmp(import->items[i].table, table) == 0 &&
			strcmp(import->items[i].key, key) == 0)
			return &import->items[i];
	return NULL;
}

static struct import_item *add_item(
	struct import *import, struct import_place place, const char *table, const char *key)
{
	struct import_item *items =
		reallocarray(import->items, import->items_count + 1, sizeof(*items));
	if (!items) {
		import->error = -ENOMEM;
		return NULL;
	}
	import->items = items;
	struct import_item *item = &items[import->items_count++];
	*item = (struct import_item){.table = table, .key = key, .from = place_text(import, place)};
	return item;
}

void import_set(struct import *import, struct import_place place, const char *table,
	const char *key, const char *value)
{
	struct import_item *item = find_item(import, table, key);
	if (item && item->values.count && strcmp(item->values.items[0], value) != 0)
		import_note(import, place, "'%s' is %s already, by %s", key, item->values.items[0],
			item->from);
	if (item)
		return;
	item = add_item(import, place, table, key);
	if (item && strv_add(&item->values, value) < 0)
		import->error = -ENOMEM;
}

void import_add(struct import *import, struct import_place place, const char *table,
	const char *key, const char *string)
{
	cleanup_buffer struct buffer value = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
	buffer_append_json(&value, string);
	struct import_item *item = find_item(import, table, key);
	if (!item)
		item = add_item(import, place, table, key);
	if (!item)
		return;
	item->list = true;
	if (buffer_error(&value) < 0 || item->values.count >= VALUES_MAX)
		import->error = -ENOBUFS;
	else if (!strv_contains(&item->values, value.data) &&
		 strv_add(&item->values, value.data) < 0)
		import->error = -ENOMEM;
}

void import_block(
	struct import *import, struct import_place place, const char *kind, const char *text)
{
	for (size_t i = 0; i < import->blocks_count; i++)
		if (strcmp(import->blocks[i].kind, kind) == 0 &&
			strcmp(import->blocks[i].text, text) == 0)
			return;
	if (import->blocks_count >= MAX_CONFIG_RULES) {
		import->error = -ENOBUFS;
		return;
	}
	struct import_block *blocks =
		reallocarray(import->blocks, import->blocks_count + 1, sizeof(*blocks));
	if (!blocks) {
		import->error = -ENOMEM;
		return;
	}
	import->blocks = blocks;
	struct import_block *block = &blocks[import->blocks_count++];
	*block = (struct import_block){
		.kind = kind, .text = strdup(text), .from = place_text(import, place)};
	if (!block->text)
		import->error = -ENOMEM;
}

/* ---- rules ---- */

void import_rule_release(struct import_rule *rule)
{
	for (size_t i = 0; i < rule->prefix_count; i++)
		strv_release(&rule->prefix[i].any);
	free(rule->prefix);
	free(rule->reason);
	strv_release(&rule->matches);
	strv_release(&rule->not_matches);
	*rule = (struct import_rule){0};
}

struct rule_word *import_rule_word(struct import_rule *rule)
{
	struct rule_word *prefix =
		reallocarray(rule->prefix, rule->prefix_count + 1, sizeof(*prefix));
	if (!prefix)
		return NULL;
	rule->prefix = prefix;
	prefix[rule->prefix_count] = (struct rule_word){0};
	return &prefix[rule->prefix_count++];
}

bool import_in(const char *word, const char *list)
{
	size_t length = strlen(word);
	for (const char *s = list; *s; s += strspn(s, " ")) {
		size_t n = strcspn(s, " ");
		if (n == length && strncmp(s, word, n) == 0)
			return true;
		s += n;
	}
	return false;
}

int import_rule_line(struct import_rule *rule, const char *line)
{
	cleanup_strv struct strv words = {0};
	int r = quote_parse(line, &words);
	for (size_t i = 0; r == 0 && i < words.count; i++) {
		struct rule_word *word = import_rule_word(rule);
		r = word ? strv_add(&word->any, words.items[i]) : -ENOMEM;
	}
	return r;
}

static void append_list(struct buffer *out, const char *key, const struct strv *strings)
{
	if (strings->count == 0)
		return;
	buffer_append_format(out, "%s = [", key);
	for (size_t i = 0; i < strings->count; i++) {
		buffer_append_string(out, i ? ", " : "");
		buffer_append_json(out, strings->items[i]);
	}
	buffer_append_string(out, "]\n");
}

static void append_prefix(struct buffer *out, const struct import_rule *rule)
{
	buffer_append_string(out, "prefix = [");
	for (size_t i = 0; i < rule->prefix_count; i++) {
		const struct strv *any = &rule->prefix[i].any;
		buffer_append_string(out, i ? ", " : "");
		buffer_append_string(out, any->count > 1 ? "[" : "");
		for (size_t k = 0; k < any->count; k++) {
			buffer_append_string(out, k ? ", " : "");
			buffer_append_json(out, any->items[k]);
		}
		buffer_append_string(out, any->count > 1 ? "]" : "");
	}
	buffer_append_string(out, "]\n");
}

/* An example is kept where it says the same of coffer's rule, which may take the line apart
 * differently. */
static void keep_examples(struct import *import, struct import_place place,
	const struct import_rule *rule, bool matching, struct strv *ret)
{
	const struct strv *examples = matching ? &rule->matches : &rule->not_matches;
	for (size_t i = 0; i < examples->count; i++) {
		char *one[] = {examples->items[i], NULL};
		struct strv only = {.items = one, .count = 1};
		struct config_rule trial = {.prefix = rule->prefix,
			.prefix_count = rule->prefix_count,
			.decision = rule->decision,
			.place = {.file = place.file, .line = place.line}};
		if (matching)
			trial.matches = only;
		else
			trial.not_matches = only;
		struct error error = {0};
		if (rule_check_examples(&trial, &error) < 0)
			import_note(import, place, "the example '%s' does not hold here: left out",
				examples->items[i]);
		else if (strv_add(ret, examples->items[i]) < 0)
			import->error = -ENOMEM;
	}
}

static const struct import_program *find_program(
	const struct import *import, const struct import_rule *rule)
{
	/* An allowing rule is narrowed to the files that may be meant; another one never is. */
	if (rule->decision != VERDICT_ALLOW || rule->prefix[0].any.count != 1)
		return NULL;
	for (size_t i = 0; i < import->programs_count; i++)
		if (strcmp(import->programs[i].name, rule->prefix[0].any.items[0]) == 0)
			return &import->programs[i];
	return NULL;
}

void import_rule(struct import *import, struct import_place place, const struct import_rule *rule)
{
	cleanup_strv struct strv matches = {0}, not_matches = {0};
	keep_examples(import, place, rule, true, &matches);
	keep_examples(import, place, rule, false, &not_matches);
	const struct import_program *program = find_program(import, rule);
	size_t times = program ? program->paths.count : 1;
	if (times == 0)
		import_note(import, place, "its program may be found nowhere (host_executable)");
	for (size_t i = 0; i < times; i++) {
		cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
		append_prefix(&text, rule);
		buffer_append_format(&text, "decision = \"%s\"\n", verdict_name(rule->decision));
		if (rule->reason) {
			buffer_append_string(&text, "reason = ");
			buffer_append_json(&text, rule->reason);
			buffer_append_string(&text, "\n");
		}
		if (program) {
			buffer_append_string(&text, "program = ");
			buffer_append_json(&text, program->paths.items[i]);
			buffer_append_string(&text, "\n");
		}
		append_list(&text, "matches", &matches);
		append_list(&text, "not_matches", &not_matches);
		if (buffer_error(&text) < 0)
			import->error = buffer_error(&text);
		else
			import_block(import, place, "rule", text.data);
	}
}
