/* Theory of operation: the tree is walked with a cursor, never by recursion: what strangers wrote
 * can nest a hundred thousand levels deep. */
#include "gate/code_internal.h"

#include <errno.h>
#include <string.h>
#include <uninorm.h>

static int prepare_language(struct code_run *run, const TSLanguage *language)
{
	uint32_t symbols = ts_language_symbol_count(language);
	run->kinds = calloc(symbols, sizeof(*run->kinds));
	if (!run->kinds)
		return -ENOMEM;
	for (uint32_t symbol = 0; symbol < symbols; symbol++) {
		if (ts_language_symbol_type(language, symbol) != TSSymbolTypeRegular)
			continue;
		const char *name = ts_language_symbol_name(language, symbol);
		for (const struct kind_name *k = run->grammar->kinds; k->type; k++)
			if (strcmp(k->type, name) == 0)
				run->kinds[symbol] = k->kind;
	}
	for (int i = 0; i < FIELDS; i++) {
		const char *name = run->grammar->fields[i];
		run->fields[i] =
			name ? ts_language_field_id_for_name(language, name, strlen(name)) : 0;
	}
	return 0;
}

int tree_open(struct code_run *run)
{
	const TSLanguage *language = run->grammar->language();
	int r = prepare_language(run, language);
	if (r < 0)
		return r;
	return syntax_parse(language, run->source, run->length_bytes, &run->syntax);
}

void tree_close(struct code_run *run)
{
	syntax_close(&run->syntax);
	free(run->nodes);
	free(run->kinds);
}

enum node_kind node_kind(const struct code_run *run, TSNode node)
{
	if (ts_node_is_null(node))
		return NODE_OTHER;
	TSSymbol symbol = ts_node_symbol(node);
	/* ERROR is beyond the table. */
	return symbol == (TSSymbol)-1 ? NODE_OTHER : run->kinds[symbol];
}

/* Steps to the next node in the order of the source, parents first; *depth follows. */
static bool cursor_next(TSTreeCursor *cursor, unsigned *depth, bool descend)
{
	if (descend && ts_tree_cursor_goto_first_child(cursor)) {
		++*depth;
		return true;
	}
	while (!ts_tree_cursor_goto_next_sibling(cursor)) {
		if (!ts_tree_cursor_goto_parent(cursor))
			return false;
		--*depth;
	}
	return true;
}

/* Text without interpolations holds nothing more to look at. */
static bool is_plain_string(const struct code_run *run, TSNode node, enum node_kind kind)
{
	char first = run->source[ts_node_start_byte(node)];
	return kind == NODE_STRING && (first == '"' || first == '\'');
}

static bool remember(struct code_run *run, TSNode node, enum node_kind kind, unsigned depth)
{
	if ((run->nodes_count & (run->nodes_count - 1)) == 0) {
		size_t capacity = run->nodes_count ? 2 * run->nodes_count : 1;
		struct code_node *nodes = reallocarray(run->nodes, capacity, sizeof(*nodes));
		if (!nodes)
			return false;
		run->nodes = nodes;
	}
	run->nodes[run->nodes_count++] =
		(struct code_node){.node = node, .kind = kind, .depth = depth};
	return true;
}

int tree_collect(struct code_run *run)
{
	TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(run->syntax.tree));
	unsigned depth = 0;
	bool descend, more = true;
	while (more) {
		TSNode node = ts_tree_cursor_current_node(&cursor);
		enum node_kind kind = node_kind(run, node);
		if (kind != NODE_OTHER && !remember(run, node, kind, depth))
			break;
		descend = !is_plain_string(run, node, kind);
		more = cursor_next(&cursor, &depth, descend);
	}
	ts_tree_cursor_delete(&cursor);
	return more ? -ENOMEM : 0;
}

void tree_visit(
	struct code_run *run, void (*visit)(struct code_run *run, TSNode node, enum node_kind kind))
{
	run->loop_end = 0;
	run->text_end = 0;
	run->sum_end = 0;
	for (size_t i = 0; i < run->nodes_count; i++) {
		run->depth = run->nodes[i].depth;
		visit(run, run->nodes[i].node, run->nodes[i].kind);
		arena_forget(&run->scratch);
	}
}

static bool is_error(TSNode node)
{
	return ts_node_is_missing(node) || ts_node_symbol(node) == (TSSymbol)-1;
}

static void tell_error(struct code_run *run, TSNode node, const char *what)
{
	TSPoint point = ts_node_start_point(node);
	bool missing = !what && ts_node_is_missing(node);
	error_set(&run->findings->syntax, EINVAL, "syntax", "%u:%u: syntax error%s%s%s",
		point.row + 1, node_column(run, node), what || missing ? ": " : "",
		what      ? what
		: missing ? ts_node_type(node)
			  : "",
		what      ? " is never closed"
		: missing ? " is missing"
			  : "");
}

/* Where a bracket is open the whole of a source can be one error, from its first word: what it
 * holds tells better where. Its own children are the pieces that were understood, in order. */
void tree_find_error(struct code_run *run)
{
	enum { MAX_OPEN = 64 };
	TSNode open[MAX_OPEN], outer = {0}, inner = {0}, root = ts_tree_root_node(run->syntax.tree);
	size_t opened = 0;
	unsigned depth = 0, outer_depth = 0;
	bool descend;
	if (!ts_node_has_error(root))
		return;
	TSTreeCursor cursor = ts_tree_cursor_new(root);
	do {
		TSNode node = ts_tree_cursor_current_node(&cursor);
		descend = ts_node_has_error(node);
		if (!ts_node_is_null(outer) && depth <= outer_depth)
			break;
		if (is_error(node)) {
			if (!ts_node_is_null(outer)) {
				inner = node;
				break;
			}
			outer = node;
			outer_depth = depth;
			if (ts_node_is_missing(node))
				break;
		} else if (depth == outer_depth + 1 && !ts_node_is_null(outer) &&
			   !ts_node_is_named(node)) {
			const char *type = ts_node_type(node);
			if (type[1])
				continue;
			if (strchr("([{", type[0]) && opened < MAX_OPEN)
				open[opened++] = node;
			else if (strchr(")]}", type[0]) && opened > 0)
				opened--;
		}
	} while (cursor_next(&cursor, &depth, descend));
	ts_tree_cursor_delete(&cursor);
	if (!ts_node_is_null(inner))
		tell_error(run, inner, NULL);
	else if (opened > 0)
		tell_error(run, open[opened - 1], ts_node_type(open[opened - 1]));
	else
		tell_error(run, ts_node_is_null(outer) ? root : outer, NULL);
}

TSNode node_field(const struct code_run *run, TSNode node, enum node_field field)
{
	TSNode none = {0};
	return ts_node_is_null(node) ? none : ts_node_child_by_field_id(node, run->fields[field]);
}

const char *node_text(struct code_run *run, TSNode node)
{
	if (ts_node_is_null(node))
		return "";
	uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
	size_t length = end - start < MAX_VALUE_BYTES ? end - start : MAX_VALUE_BYTES;
	const char *text = arena_copy(&run->scratch, run->source + start, length);
	return text ? text : "";
}

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80))
		text++;
	return !*text;
}

/* JavaScript: \u0065 or \u{65} within a name. */
static const char *unescape_name(struct code_run *run, const char *text)
{
	char *plain = arena_take(&run->scratch, strlen(text) + 1);
	if (!plain)
		return text;
	char *end = plain;
	while (*text) {
		unsigned code;
		int used = 0;
		if (text[0] == '\\' && text[1] == 'u' &&
			(sscanf(text, "\\u{%6x}%n", &code, &used) == 1 ||
				sscanf(text, "\\u%4x%n", &code, &used) == 1) &&
			used > 0 && code > 0 && code < 0x80) {
			*end++ = code;
			text += used;
		} else {
			*end++ = *text++;
		}
	}
	*end = '\0';
	return plain;
}

const char *node_identifier(struct code_run *run, TSNode node)
{
	const char *text = node_text(run, node);
	if (strchr(text, '\\'))
		return unescape_name(run, text);
	if (!run->non_ascii || run->grammar != &code_python || is_ascii(text))
		return text;
	size_t length = 0;
	uint8_t *normal =
		u8_normalize(UNINORM_NFKC, (const uint8_t *)text, strlen(text), NULL, &length);
	if (normal)
		text = arena_copy(&run->scratch, (const char *)normal, length) ?: text;
	free(normal);
	return text;
}

size_t node_children(TSNode node, TSNode *ret, size_t room)
{
	size_t count = 0;
	if (ts_node_is_null(node) || room == 0)
		return 0;
	TSTreeCursor cursor = ts_tree_cursor_new(node);
	if (ts_tree_cursor_goto_first_child(&cursor)) {
		do {
			TSNode child = ts_tree_cursor_current_node(&cursor);
			if (ts_node_is_named(child) && !node_is(child, "comment"))
				ret[count++] = child;
		} while (count < room && ts_tree_cursor_goto_next_sibling(&cursor));
	}
	ts_tree_cursor_delete(&cursor);
	return count;
}

TSNode node_child(TSNode node, uint32_t index)
{
	return ts_node_is_null(node) ? node : ts_node_named_child(node, index);
}

TSNode node_last_child(TSNode node)
{
	uint32_t count = ts_node_is_null(node) ? 0 : ts_node_named_child_count(node);
	return count ? ts_node_named_child(node, count - 1) : (TSNode){0};
}

bool node_is(TSNode node, const char *type)
{
	return !ts_node_is_null(node) && strcmp(ts_node_type(node), type) == 0;
}
