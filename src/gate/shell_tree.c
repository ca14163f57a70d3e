/* The second reader: the syntax tree of tree-sitter-bash. Only one thing is asked of it: at which places
 * it sees commands, and that it understood everything. See shell_script.c for why.
 *
 * Where grammar and bash are known to differ without harm (`time` is a command's name to the grammar,
 * backquotes in here-documents are text) the first reader marks the place `seldom`: it may be missing
 * here. What the tree has and the first reader has not is always a difference. */
#include "gate/shell.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/grammars.h"

#include <stdlib.h>
#include <string.h>

struct places {
	uint32_t *items;
	size_t count, capacity;
	bool memory_short;
};

static void add_place(struct places *places, uint32_t at)
{
	if (places->count == places->capacity) {
		size_t capacity = places->capacity ? places->capacity * 2 : 64;
		uint32_t *grown = reallocarray(places->items, capacity, sizeof(*grown));
		if (!grown) {
			places->memory_short = true;
			return;
		}
		places->items = grown;
		places->capacity = capacity;
	}
	places->items[places->count++] = at;
}

/* The grammar's node types that stand for the first word of a command. */
struct symbols {
	TSSymbol command_name, declaration, unset, test, bracket;
};

static TSSymbol symbol(const char *name, bool named)
{
	return ts_language_symbol_for_name(
		tree_sitter_bash(), name, (uint32_t)strlen(name), named);
}

static bool begins_with_bracket(TSNode node, const struct symbols *symbols)
{
	return ts_node_symbol(ts_node_child(node, 0)) == symbols->bracket;
}

static void visit(TSNode node, const struct symbols *symbols, struct places *places)
{
	TSSymbol type = ts_node_symbol(node);
	if (type == symbols->command_name || type == symbols->declaration ||
		type == symbols->unset ||
		(type == symbols->test && begins_with_bracket(node, symbols)))
		add_place(places, ts_node_start_byte(node));
}

/* Without recursion: trees may be as deep as their text is long. */
static void walk(TSNode root, const struct symbols *symbols, struct places *places)
{
	TSTreeCursor cursor = ts_tree_cursor_new(root);
	for (bool more = true; more && !places->memory_short;) {
		visit(ts_tree_cursor_current_node(&cursor), symbols, places);
		if (ts_tree_cursor_goto_first_child(&cursor))
			continue;
		while (!ts_tree_cursor_goto_next_sibling(&cursor))
			if (!ts_tree_cursor_goto_parent(&cursor)) {
				more = false;
				break;
			}
	}
	ts_tree_cursor_delete(&cursor);
}

static int by_place(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int by_name_place(const void *a, const void *b)
{
	return by_place(&((const struct name_place *)a)->at, &((const struct name_place *)b)->at);
}

static bool same_places(
	const struct places *places, const struct name_place *names, size_t count)
{
	size_t k = 0;
	for (size_t i = 0; i < count; i++) {
		if (k < places->count && places->items[k] == names[i].at)
			k++;
		else if (!names[i].seldom)
			return false;
	}
	return k == places->count;
}

/* One for the process: making one costs more than reading a line with it. */
static TSParser *parser(void)
{
	static TSParser *kept;
	if (!kept) {
		kept = ts_parser_new();
		if (kept && !ts_parser_set_language(kept, tree_sitter_bash())) {
			ts_parser_delete(kept);
			kept = NULL;
		}
	}
	return kept;
}

enum tree_verdict shell_tree_check(
	const char *script, size_t length_bytes, struct name_place *names, size_t count)
{
	static struct symbols symbols;
	if (!symbols.command_name)
		symbols = (struct symbols){
			.command_name = symbol("command_name", true),
			.declaration = symbol("declaration_command", true),
			.unset = symbol("unset_command", true),
			.test = symbol("test_command", true),
			.bracket = symbol("[", false),
		};
	TSParser *reader = parser();
	if (!reader)
		return TREE_NO_MEMORY;
	ts_parser_reset(reader);
	ts_parser_set_timeout_micros(reader, MAX_SYNTAX_TREE_US);
	TSTree *tree = ts_parser_parse_string(reader, NULL, script, (uint32_t)length_bytes);
	if (!tree)
		return TREE_TOO_SLOW;
	struct places places = {0};
	TSNode root = ts_tree_root_node(tree);
	enum tree_verdict verdict = TREE_DIFFERS;
	if (!ts_node_has_error(root)) {
		walk(root, &symbols, &places);
		qsort(names, count, sizeof(*names), by_name_place);
		if (places.count)
			qsort(places.items, places.count, sizeof(*places.items), by_place);
		if (places.memory_short)
			verdict = TREE_NO_MEMORY;
		else if (same_places(&places, names, count))
			verdict = TREE_AGREES;
	}
	free(places.items);
	ts_tree_delete(tree);
	return verdict;
}
