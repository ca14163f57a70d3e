/* Theory of operation. The text is checked byte by byte and cut into pieces of whole statements
 * (toml_text.c); tree-sitter makes a syntax tree of each. (Pieces, because before 0.20.8 its memory
 * is corrupted by an error node with 65,536 children; and because looking for a way to go on after
 * an error takes it long in a long text.) Any error node in a tree is an error of the document:
 * nothing is guessed. A walk with a cursor builds the values; how a table came to be is kept beside
 * it, since that decides who may still add to it:
 *
 *	by a header [t]          by headers of tables below it; never by [t] again
 *	on a header's way        [a.b] makes a, which [a] or a dotted key may still define, once
 *	by dotted keys           by dotted keys of the same section, and by headers below it
 *	inline {...}             by nobody
 *
 * Documents are a stranger's: depth, the number of values and the size of a table are bounded, so
 * that looking for a key among those before it is bounded too. */
#include "config/toml_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <stdarg.h>
#include <string.h>

enum origin { NOT_A_TABLE, BY_HEADER, ON_THE_WAY, BY_DOTTED_KEY, INLINE, OF_TABLES };

/* The most that the grammar is given for a piece of the worst text. */
enum { PARSE_TIME_US = 2 * 1000 * 1000 };

int toml_fault(struct toml_parser *parser, unsigned line, unsigned column, const char *format, ...)
{
	char message[640];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	return error_set(parser->error, EINVAL, "config", "%.300s:%u:%u: %s", parser->name, line,
		column, message);
}

struct toml_spot toml_spot(const struct toml_parser *parser, TSNode node)
{
	TSPoint point = ts_node_start_point(node);
	return (struct toml_spot){parser->line + point.row + 1, point.column + 1};
}

int toml_out_of_memory(struct toml_parser *parser)
{
	return error_set_errno(parser->error, ENOMEM, "config", "%.300s", parser->name);
}

static void release_value(struct toml_value *value)
{
	for (size_t i = 0; i < value->count; i++)
		release_value(&value->items[i]);
	free(value->items);
	free(value->key);
	free(value->string);
}

void toml_free(struct toml_value *document)
{
	if (document)
		release_value(document);
	free(document);
}

static struct toml_value *find(struct toml_value *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->items[i].key, key) == 0)
			return &table->items[i];
	return NULL;
}

const struct toml_value *toml_get(const struct toml_value *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->items[i].key, key) == 0)
			return &table->items[i];
	return NULL;
}

const char *toml_kind_name(enum toml_kind kind)
{
	static const char *const names[] = {
		[TOML_STRING] = "a string",
		[TOML_INTEGER] = "an integer",
		[TOML_FLOAT] = "a number with a fraction",
		[TOML_BOOLEAN] = "a boolean",
		[TOML_DATE] = "a date or time",
		[TOML_ARRAY] = "an array",
		[TOML_TABLE] = "a table",
	};
	return names[kind];
}

/* A new last item of parent, zeroed but for its place. NULL with the error. */
static struct toml_value *append(
	struct toml_parser *parser, struct toml_value *parent, unsigned line, unsigned column)
{
	if (parser->values >= MAX_CONFIG_VALUES) {
		toml_fault(parser, line, column, "this is more than %d values", MAX_CONFIG_VALUES);
		return NULL;
	}
	if (parent->kind == TOML_TABLE && parent->count >= MAX_CONFIG_TABLE_KEYS) {
		toml_fault(parser, line, column, "this table has more than %d keys",
			MAX_CONFIG_TABLE_KEYS);
		return NULL;
	}
	size_t count = parent->count;
	bool full = count == 0 || (count >= 4 && (count & (count - 1)) == 0);
	if (full) {
		struct toml_value *items = reallocarray(
			parent->items, count == 0 ? 4 : count * 2, sizeof(*parent->items));
		if (!items) {
			toml_out_of_memory(parser);
			return NULL;
		}
		parent->items = items;
	}
	parser->values++;
	parent->count++;
	parent->items[count] = (struct toml_value){.line = line, .column = column};
	return &parent->items[count];
}

static struct toml_value *append_key(struct toml_parser *parser, struct toml_value *table,
	char *key, unsigned line, unsigned column)
{
	struct toml_value *value = append(parser, table, line, column);
	if (value)
		value->key = key;
	else
		free(key);
	return value;
}

/* A key as it stands in front of "=" or between brackets: its text, in parts. */
struct key_text {
	const char *from, *to;
	unsigned line, column;
};

static struct key_text key_text(const struct toml_parser *parser, TSNode node)
{
	struct toml_spot spot = toml_spot(parser, node);
	return (struct key_text){parser->text + ts_node_start_byte(node),
		parser->text + ts_node_end_byte(node), spot.line, spot.column};
}

/* Takes the next part; *ret_last says whether it was the last. */
static char *next_part(struct toml_parser *parser, struct key_text *text, bool *ret_last)
{
	char *part = toml_key_part(parser, text->line, text->column, &text->from, text->to);
	*ret_last = text->from >= text->to;
	return part;
}

static int twice(struct toml_parser *parser, const struct key_text *text,
	const struct toml_value *before, const char *what)
{
	toml_fault(parser, text->line, text->column, "'%.64s' %s", before->key, what);
	return error_hint(parser->error, "it is already at %.200s:%u:%u: keep one of the two",
		parser->name, before->line, before->column);
}

/* The table that all parts of a dotted key but the last lead to, from table; *ret_key is the last
 * part. *depth counts the tables on the way. */
static struct toml_value *walk_dotted_key(struct toml_parser *parser, struct toml_value *table,
	struct key_text *text, unsigned *depth, char **ret_key)
{
	for (;;) {
		bool last;
		char *part = next_part(parser, text, &last);
		if (!part)
			return NULL;
		if (last) {
			*ret_key = part;
			return table;
		}
		if (++*depth >= MAX_CONFIG_DEPTH) {
			free(part);
			toml_fault(parser, text->line, text->column,
				"this is nested more than %d deep", MAX_CONFIG_DEPTH);
			return NULL;
		}
		struct toml_value *next = find(table, part);
		if (next) {
			free(part);
			if (next->origin != BY_DOTTED_KEY && next->origin != ON_THE_WAY) {
				twice(parser, text, next, "was defined before");
				return NULL;
			}
			next->origin = BY_DOTTED_KEY;
		} else {
			next = append_key(parser, table, part, text->line, text->column);
			if (!next)
				return NULL;
			next->kind = TOML_TABLE;
			next->origin = BY_DOTTED_KEY;
		}
		table = next;
	}
}

static int read_value(
	struct toml_parser *parser, TSTreeCursor *cursor, unsigned depth, struct toml_value *ret);

static bool is_type(TSNode node, const char *type)
{
	return strcmp(ts_node_type(node), type) == 0;
}

/* The cursor stands on a pair, and is left there. */
static int read_pair(
	struct toml_parser *parser, TSTreeCursor *cursor, unsigned depth, struct toml_value *table)
{
	ts_tree_cursor_goto_first_child(cursor);
	struct key_text text = key_text(parser, ts_tree_cursor_current_node(cursor));
	char *key = NULL;
	table = walk_dotted_key(parser, table, &text, &depth, &key);
	if (!table)
		return -EINVAL;
	const struct toml_value *before = find(table, key);
	if (before) {
		free(key);
		return twice(parser, &text, before, "is given twice");
	}
	struct toml_value *value = append_key(parser, table, key, text.line, text.column);
	if (!value)
		return -EINVAL;
	TSNode node;
	do {
		if (!ts_tree_cursor_goto_next_sibling(cursor))
			return toml_fault(parser, text.line, text.column, "there is no value");
		node = ts_tree_cursor_current_node(cursor);
	} while (!ts_node_is_named(node) || is_type(node, "comment"));
	int r = read_value(parser, cursor, depth + 1, value);
	ts_tree_cursor_goto_parent(cursor);
	return r;
}

/* The cursor stands on an array or inline table. */
static int read_children(
	struct toml_parser *parser, TSTreeCursor *cursor, unsigned depth, struct toml_value *ret)
{
	int r = 0;
	bool more = ts_tree_cursor_goto_first_child(cursor);
	if (!more)
		return 0;
	for (; more && r == 0; more = ts_tree_cursor_goto_next_sibling(cursor)) {
		TSNode node = ts_tree_cursor_current_node(cursor);
		if (!ts_node_is_named(node) || is_type(node, "comment"))
			continue;
		if (ret->kind == TOML_TABLE) {
			r = read_pair(parser, cursor, depth, ret);
			continue;
		}
		struct toml_spot spot = toml_spot(parser, node);
		struct toml_value *item = append(parser, ret, spot.line, spot.column);
		r = item ? read_value(parser, cursor, depth + 1, item) : -EINVAL;
	}
	ts_tree_cursor_goto_parent(cursor);
	return r;
}

static int read_value(
	struct toml_parser *parser, TSTreeCursor *cursor, unsigned depth, struct toml_value *ret)
{
	TSNode node = ts_tree_cursor_current_node(cursor);
	bool array = is_type(node, "array"), table = is_type(node, "inline_table");
	if (!array && !table)
		return toml_scalar(parser, node, ret);
	if (depth >= MAX_CONFIG_DEPTH) {
		struct toml_spot spot = toml_spot(parser, node);
		return toml_fault(parser, spot.line, spot.column,
			"this is nested more than %d deep", MAX_CONFIG_DEPTH);
	}
	ret->kind = array ? TOML_ARRAY : TOML_TABLE;
	int r = read_children(parser, cursor, depth, ret);
	/* Closed, with all dotted keys that were in it. */
	ret->origin = table ? INLINE : NOT_A_TABLE;
	return r;
}

/* Where a part of a header that is not its last leads. */
static struct toml_value *step_on_the_way(struct toml_parser *parser, struct toml_value *table,
	char *part, const struct key_text *text)
{
	struct toml_value *next = find(table, part);
	if (!next) {
		next = append_key(parser, table, part, text->line, text->column);
		if (next) {
			next->kind = TOML_TABLE;
			next->origin = ON_THE_WAY;
		}
		return next;
	}
	free(part);
	if (next->origin == OF_TABLES)
		return &next->items[next->count - 1];
	if (next->kind == TOML_TABLE && next->origin != INLINE)
		return next;
	twice(parser, text, next, "is no table that a header could add to");
	return NULL;
}

/* [[key]] below table. */
static struct toml_value *add_element(struct toml_parser *parser, struct toml_value *table,
	char *key, const struct key_text *text)
{
	struct toml_value *array = find(table, key);
	if (array) {
		free(key);
		if (array->origin != OF_TABLES) {
			twice(parser, text, array, "is no array of [[tables]]");
			return NULL;
		}
	} else {
		array = append_key(parser, table, key, text->line, text->column);
		if (!array)
			return NULL;
		array->kind = TOML_ARRAY;
		array->origin = OF_TABLES;
	}
	struct toml_value *element = append(parser, array, text->line, text->column);
	if (element) {
		element->kind = TOML_TABLE;
		element->origin = BY_HEADER;
	}
	return element;
}

/* [key] below table. */
static struct toml_value *define_table(struct toml_parser *parser, struct toml_value *table,
	char *key, const struct key_text *text)
{
	struct toml_value *defined = find(table, key);
	if (!defined) {
		defined = append_key(parser, table, key, text->line, text->column);
		if (defined)
			defined->kind = TOML_TABLE;
	} else {
		free(key);
		if (defined->origin != ON_THE_WAY) {
			twice(parser, text, defined, "was defined before");
			return NULL;
		}
		defined->line = text->line;
		defined->column = text->column;
	}
	if (defined)
		defined->origin = BY_HEADER;
	return defined;
}

/* The table that a header opens. */
static struct toml_value *open_section(
	struct toml_parser *parser, struct toml_value *document, TSNode key, bool element)
{
	struct key_text text = key_text(parser, key);
	struct toml_value *table = document;
	for (unsigned depth = 0;; depth++) {
		bool last;
		char *part = next_part(parser, &text, &last);
		if (!part)
			return NULL;
		/* Pairs and the elements of arrays need a level each. */
		if (depth + 2 >= MAX_CONFIG_DEPTH) {
			free(part);
			toml_fault(parser, text.line, text.column,
				"this is nested more than %d deep", MAX_CONFIG_DEPTH);
			return NULL;
		}
		if (last)
			return element ? add_element(parser, table, part, &text)
				       : define_table(parser, table, part, &text);
		table = step_on_the_way(parser, table, part, &text);
		if (!table)
			return NULL;
	}
}

/* The cursor stands on a table or an element of an array of tables, and is left there. *ret is the
 * table that pairs of later pieces belong to. */
static int read_section(struct toml_parser *parser, TSTreeCursor *cursor,
	struct toml_value *document, struct toml_value **ret)
{
	bool element = is_type(ts_tree_cursor_current_node(cursor), "table_array_element");
	struct toml_value *table = NULL;
	int r = 0;
	bool more = ts_tree_cursor_goto_first_child(cursor);
	for (; more && r == 0; more = ts_tree_cursor_goto_next_sibling(cursor)) {
		TSNode node = ts_tree_cursor_current_node(cursor);
		if (!ts_node_is_named(node) || is_type(node, "comment"))
			continue;
		if (table) {
			r = read_pair(parser, cursor, 0, table);
		} else {
			table = open_section(parser, document, node, element);
			r = table ? 0 : -EINVAL;
		}
	}
	ts_tree_cursor_goto_parent(cursor);
	*ret = table;
	return r;
}

/* *section: the table that pairs before the first header belong to; and the last one afterwards. */
static int read_piece(struct toml_parser *parser, TSNode root, struct toml_value *document,
	struct toml_value **section)
{
	TSTreeCursor cursor = ts_tree_cursor_new(root);
	int r = 0;
	bool more = ts_tree_cursor_goto_first_child(&cursor);
	for (; more && r == 0; more = ts_tree_cursor_goto_next_sibling(&cursor)) {
		TSNode node = ts_tree_cursor_current_node(&cursor);
		if (is_type(node, "pair"))
			r = read_pair(parser, &cursor, 0, *section);
		else if (is_type(node, "table") || is_type(node, "table_array_element"))
			r = read_section(parser, &cursor, document, section);
	}
	ts_tree_cursor_delete(&cursor);
	return r;
}

/* The first place in the tree that the grammar could make nothing of. */
static int syntax_fault(struct toml_parser *parser, TSNode root)
{
	TSTreeCursor cursor = ts_tree_cursor_new(root);
	TSNode node = root;
	for (bool down = true; down && !ts_node_is_missing(node) && !is_type(node, "ERROR");) {
		down = ts_tree_cursor_goto_first_child(&cursor);
		bool found = down;
		node = ts_tree_cursor_current_node(&cursor);
		while (found && !ts_node_has_error(node) && !ts_node_is_missing(node)) {
			found = ts_tree_cursor_goto_next_sibling(&cursor);
			node = ts_tree_cursor_current_node(&cursor);
		}
		down = found;
	}
	ts_tree_cursor_delete(&cursor);
	struct toml_spot spot = toml_spot(parser, node);
	const char *text = parser->text + ts_node_start_byte(node);
	int length = (int)strcspn(text, "\r\n");
	if (ts_node_is_missing(node))
		toml_fault(
			parser, spot.line, spot.column, "%s is missing here", ts_node_type(node));
	else
		toml_fault(parser, spot.line, spot.column, "this is not TOML: %.*s",
			length < 40 ? length : 40, text);
	return error_hint(parser->error, "a line is [table], [[array]] or key = value; strings "
					 "stand in quotes");
}

static int parse_piece(struct toml_parser *parser, TSParser *syntax, size_t length_bytes,
	struct toml_value *document, struct toml_value **section)
{
	ts_parser_reset(syntax);
	TSTree *tree = ts_parser_parse_string(syntax, NULL, parser->text, (uint32_t)length_bytes);
	if (!tree)
		return toml_fault(parser, parser->line + 1, 1,
			"no sense could be made of what begins here in %d s",
			PARSE_TIME_US / 1000000);
	TSNode root = ts_tree_root_node(tree);
	int r = ts_node_has_error(root) ? syntax_fault(parser, root)
					: read_piece(parser, root, document, section);
	ts_tree_delete(tree);
	return r;
}

static int parse(struct toml_parser *parser, TSParser *syntax, char *text, size_t length_bytes,
	struct toml_value *document)
{
	struct toml_value *section = document;
	int r = toml_text_check(parser, text, length_bytes);
	for (char *end = text + length_bytes; r == 0 && text < end;) {
		size_t piece_bytes = toml_text_piece(text, (size_t)(end - text));
		if (piece_bytes == 0)
			return toml_fault(parser, parser->line + 1, 1,
				"what begins here has no end within %d KiB",
				TOML_PIECE_BYTES / 1024);
		parser->text = text;
		r = parse_piece(parser, syntax, piece_bytes, document, &section);
		for (char *s = text; s < text + piece_bytes; s++)
			parser->line += *s == '\n';
		text += piece_bytes;
	}
	return r;
}

int toml_parse(const char *name, const char *text, size_t length_bytes, struct toml_value **ret,
	struct error *error)
{
	struct error ignored = {0};
	struct toml_parser parser = {.name = name, .error = error ? error : &ignored};
	if (length_bytes > MAX_CONFIG_FILE_BYTES) {
		toml_fault(&parser, 1, 1, "the file has %zu bytes; at most %d are read",
			length_bytes, MAX_CONFIG_FILE_BYTES);
		return error_hint(parser.error, "split off what is not configuration");
	}
	/* A byte order mark says nothing that UTF-8 leaves open. */
	if (length_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		length_bytes -= 3;
	}
	cleanup_free char *copy = malloc(length_bytes + 1);
	struct toml_value *document = calloc(1, sizeof(*document));
	TSParser *syntax = ts_parser_new();
	int r = 0;
	if (!copy || !document || !syntax || !ts_parser_set_language(syntax, tree_sitter_toml()))
		r = toml_out_of_memory(&parser);
	if (r == 0) {
		memcpy(copy, text, length_bytes);
		copy[length_bytes] = '\0';
		*document = (struct toml_value){
			.kind = TOML_TABLE, .origin = BY_HEADER, .line = 1, .column = 1};
		ts_parser_set_timeout_micros(syntax, PARSE_TIME_US);
		r = parse(&parser, syntax, copy, length_bytes, document);
	}
	if (syntax)
		ts_parser_delete(syntax);
	if (r < 0) {
		toml_free(document);
		return r;
	}
	*ret = document;
	return 0;
}
