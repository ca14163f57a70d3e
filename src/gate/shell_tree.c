/* The second reader: the syntax tree of tree-sitter-bash. Only one thing is asked of it: at
 * which places it sees commands, and that it understood everything. See shell_script.c for why.
 *
 * Where grammar and bash are known to differ without harm (`time` is a command's name to the
 * grammar, backquotes in here-documents are text) the first reader marks the place `seldom`: it
 * may be missing here. What the tree has and the first reader has not is always a difference. */
#include "gate/shell.h"

#include "base/cleanup.h"
#include "base/clock.h"
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
	return ts_language_symbol_for_name(tree_sitter_bash(), name, (uint32_t)strlen(name), named);
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

/* The places of the piece, which begins at `from`, with the names that are before `to`. */
static bool same_places(
	struct tree_check *check, const struct places *places, size_t from, size_t to)
{
	size_t k = 0, i = check->next;
	while (i < check->names_count && check->names[i].at < from)
		i++;
	for (; i < check->names_count && check->names[i].at < to; i++) {
		if (k < places->count && places->items[k] + from == check->names[i].at)
			k++;
		else if (!check->names[i].seldom)
			return false;
	}
	check->next = i;
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

void shell_tree_begin(struct tree_check *check)
{
	if (check->names_count)
		qsort(check->names, check->names_count, sizeof(*check->names), by_name_place);
	check->left_us = MAX_SYNTAX_TREE_US;
}

static enum tree_verdict compare(struct tree_check *check, TSTree *tree, size_t from, size_t to)
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
	TSNode root = ts_tree_root_node(tree);
	if (ts_node_has_error(root))
		return TREE_DIFFERS;
	struct places places = {0};
	walk(root, &symbols, &places);
	if (places.count)
		qsort(places.items, places.count, sizeof(*places.items), by_place);
	bool same = same_places(check, &places, from, to);
	free(places.items);
	return places.memory_short ? TREE_NO_MEMORY : same ? TREE_AGREES : TREE_DIFFERS;
}

enum tree_verdict shell_tree_check(
	struct tree_check *check, const char *script, size_t from, size_t to)
{
	TSParser *reader = parser();
	if (!reader)
		return TREE_NO_MEMORY;
	uint64_t start_us = clock_now_us();
	ts_parser_reset(reader);
	/* Whole seconds: tree-sitter 0.20 adds fractions without a carry, and is early then. */
	ts_parser_set_timeout_micros(reader, (check->left_us / 1000000 + 1) * 1000000);
	TSTree *tree = ts_parser_parse_string(reader, NULL, script + from, (uint32_t)(to - from));
	uint64_t taken_us = clock_now_us() - start_us;
	if (!tree || taken_us > check->left_us) {
		ts_tree_delete(tree);
		return TREE_TOO_SLOW;
	}
	check->left_us -= taken_us;
	enum tree_verdict verdict = compare(check, tree, from, to);
	ts_tree_delete(tree);
	return verdict;
}
