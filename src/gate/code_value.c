/* Theory of operation: an expression is followed as far as it can be known without running it: to
 * the dotted name of what it stands for ("os.system", whatever the file calls it), to text put
 * together of pieces, or both. Names are bound by a first pass over the whole source; a use takes
 * the last binding before it, or else the first after it (a function may use what is imported
 * below). Evaluation is bounded three ways: the depth of an expression, the size of text, and the
 * steps of the whole run. */
#include "gate/code_internal.h"

#include <ctype.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	size_t used_bytes, size_bytes;
	char data[];
};

enum { ARENA_BLOCK_BYTES = 64 * 1024 };

char *arena_take(struct arena *arena, size_t size_bytes)
{
	size_bytes = (size_bytes + 7) & ~(size_t)7;
	struct arena_block *block = arena->blocks;
	if (!block || block->size_bytes - block->used_bytes < size_bytes) {
		size_t size = size_bytes > ARENA_BLOCK_BYTES ? size_bytes : ARENA_BLOCK_BYTES;
		if (arena->used_bytes + size > arena->max_bytes)
			return NULL;
		block = malloc(sizeof(*block) + size);
		if (!block)
			return NULL;
		*block = (struct arena_block){.next = arena->blocks, .size_bytes = size};
		arena->blocks = block;
		arena->used_bytes += size;
	}
	char *taken = block->data + block->used_bytes;
	block->used_bytes += size_bytes;
	return taken;
}

const char *arena_copy(struct arena *arena, const char *text, size_t length_bytes)
{
	char *copy = arena_take(arena, length_bytes + 1);
	if (!copy)
		return NULL;
	memcpy(copy, text, length_bytes);
	copy[length_bytes] = '\0';
	return copy;
}

void arena_forget(struct arena *arena)
{
	while (arena->blocks && arena->blocks->next) {
		struct arena_block *block = arena->blocks;
		arena->blocks = block->next;
		arena->used_bytes -= block->size_bytes;
		free(block);
	}
	if (arena->blocks)
		arena->blocks->used_bytes = 0;
}

void arena_release(struct arena *arena)
{
	arena_forget(arena);
	free(arena->blocks);
	arena->blocks = NULL;
}

/* ---- bindings ---- */

struct binding {
	struct binding *next; /* of the same bucket, the latest first */
	const char *name;
	uint32_t position;
	struct value value;
};

enum { BUCKETS = 1024, MAX_CHAIN = 256 };

static unsigned bucket_of(const char *name)
{
	unsigned hash = 5381;
	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash % BUCKETS;
}

static const char *keep(struct code_run *run, const char *text)
{
	if (!text)
		return NULL;
	const char *kept = arena_copy(&run->kept, text, strlen(text));
	if (!kept)
		run->findings->incomplete = true;
	return kept;
}

void code_bind(struct code_run *run, const char *name, uint32_t position, struct value value)
{
	if (!run->bindings)
		run->bindings = calloc(BUCKETS, sizeof(struct binding *));
	struct binding *binding = (void *)arena_take(&run->kept, sizeof(*binding));
	if (!run->bindings || !binding) {
		run->findings->incomplete = true;
		return;
	}
	*binding = (struct binding){.name = keep(run, name), .position = position, .value = value};
	binding->value.name = keep(run, value.name);
	binding->value.text = keep(run, value.text);
	if (!binding->name)
		return;
	struct binding **bucket = &run->bindings[bucket_of(name)];
	binding->next = *bucket;
	*bucket = binding;
}

/* An assignment of something unknown hides an earlier text, but not an import: a module that could
 * not be imported and is None then is still meant. */
bool bound(struct code_run *run, const char *name, uint32_t position, struct value *ret)
{
	const struct binding *best = NULL, *import = NULL, *first = NULL;
	unsigned steps = 0;
	const struct binding *b = run->bindings ? run->bindings[bucket_of(name)] : NULL;
	for (; b && steps < MAX_CHAIN; b = b->next, steps++) {
		if (strcmp(b->name, name) != 0)
			continue;
		first = b;
		if (b->value.imported && !import)
			import = b;
		if (b->position <= position) {
			best = b;
			break;
		}
	}
	if (!best)
		best = import ? import : first;
	for (; b && !import && steps < MAX_CHAIN; b = b->next, steps++)
		if (b->value.imported && strcmp(b->name, name) == 0)
			import = b;
	if (best && !best->value.name && !best->value.text && import)
		best = import;
	if (best)
		*ret = best->value;
	/* Following a chain is the cheapest kind of step. */
	steps /= 16;
	run->steps_left -= steps < run->steps_left ? steps : run->steps_left;
	return best != NULL;
}

void bindings_release(struct code_run *run)
{
	free(run->bindings);
	run->bindings = NULL;
}

/* ---- values ---- */

struct value value_named(struct code_run *run, const char *name)
{
	return (struct value){.name = arena_copy(&run->scratch, name, strlen(name))};
}

struct value value_dotted(struct code_run *run, struct value object, const char *member)
{
	struct value value = {.disguised = object.disguised, .imported = object.imported};
	if (!object.name)
		return value;
	size_t length = strlen(object.name), added = strlen(member);
	if (length + added + 2 > MAX_DOTTED_BYTES)
		return value;
	char *name = arena_take(&run->scratch, length + added + 2);
	if (name) {
		memcpy(name, object.name, length);
		name[length] = '.';
		memcpy(name + length + 1, member, added + 1);
	}
	value.name = name;
	return value;
}

struct value value_text(struct code_run *run, const char *text, size_t length_bytes, bool exact)
{
	/* What is known ends at a NUL for all that looks at it. */
	size_t length = strnlen(text, length_bytes);
	return (struct value){.text = arena_copy(&run->scratch, text, length), .exact = exact};
}

struct value value_of_result(struct code_run *run, struct value function)
{
	struct value value = {.disguised = function.disguised, .imported = function.imported};
	size_t length = function.name ? strlen(function.name) : 0;
	if (!length || length + 3 > MAX_DOTTED_BYTES)
		return value;
	char *name = arena_take(&run->scratch, length + 3);
	if (name) {
		memcpy(name, function.name, length);
		memcpy(name + length, "()", 3);
	}
	value.name = name;
	return value;
}

/* A text that grows of pieces. */
struct pieces {
	char text[MAX_VALUE_BYTES];
	size_t length;
	bool exact;
	unsigned count;
	bool any_text;
};

static void add_bytes(struct pieces *pieces, const char *text, size_t length)
{
	size_t room = sizeof(pieces->text) - 1 - pieces->length;
	if (length > room) {
		length = room;
		pieces->exact = false;
	}
	memcpy(pieces->text + pieces->length, text, length);
	pieces->length += length;
}

/* Results that cannot change the meaning of a command line. */
static bool is_quoted(const char *name)
{
	static const char *const names[] = {"shlex.quote()", "pipes.quote()", "shlex.join()",
		"sys.executable", "process.execPath", "os.getpid()", "__dirname", "__filename"};
	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void add_piece(struct pieces *pieces, struct value value)
{
	pieces->count++;
	if (value.text) {
		add_bytes(pieces, value.text, strlen(value.text));
		pieces->exact &= value.exact;
		pieces->any_text = true;
	} else if (is_quoted(value.name)) {
		add_bytes(pieces, "x", 1);
	} else {
		char unknown = UNKNOWN_PIECE;
		add_bytes(pieces, &unknown, 1);
		pieces->exact = false;
	}
}

static struct value value_of_pieces(struct code_run *run, const struct pieces *pieces)
{
	struct value value = {0};
	if (!pieces->any_text)
		return value;
	value = value_text(run, pieces->text, pieces->length, pieces->exact);
	value.folded = pieces->count > 1;
	return value;
}

static size_t put_utf8(unsigned code, char *ret)
{
	if (code < 0x80) {
		ret[0] = code;
		return 1;
	}
	if (code < 0x800) {
		ret[0] = 0xc0 | code >> 6;
		ret[1] = 0x80 | (code & 0x3f);
		return 2;
	}
	ret[0] = 0xe0 | (code >> 12 & 0xf);
	ret[1] = 0x80 | (code >> 6 & 0x3f);
	ret[2] = 0x80 | (code & 0x3f);
	return 3;
}

/* The character of an escape sequence that both languages share. */
static size_t unescape(const char *escape, char *ret)
{
	static const char plain[] = "n\nt\tr\rb\bf\fv\va\a";
	unsigned code;
	if (sscanf(escape, "\\x%2x", &code) == 1 || sscanf(escape, "\\u%4x", &code) == 1 ||
		sscanf(escape, "\\U%8x", &code) == 1 || sscanf(escape, "\\u{%6x}", &code) == 1)
		return put_utf8(code & 0xffff, ret);
	if (escape[1] >= '0' && escape[1] <= '7' && sscanf(escape + 1, "%3o", &code) == 1)
		return put_utf8(code, ret);
	if (escape[1] == '\n')
		return 0;
	ret[0] = escape[1];
	for (size_t i = 0; plain[i]; i += 2)
		if (plain[i] == escape[1])
			ret[0] = plain[i + 1];
	return 1;
}

/* The content of one string node: text between its escapes and interpolations. */
static void add_string(struct code_run *run, TSNode node, unsigned depth, struct pieces *pieces)
{
	TSTreeCursor cursor = ts_tree_cursor_new(node);
	pieces->any_text = true;
	pieces->count++;
	bool raw = false;
	uint32_t at = ts_node_start_byte(node);
	if (!ts_tree_cursor_goto_first_child(&cursor)) {
		ts_tree_cursor_delete(&cursor);
		return;
	}
	unsigned inside = 1;
	bool more = true;
	while (more && pieces->length < sizeof(pieces->text) - 1) {
		TSNode child = ts_tree_cursor_current_node(&cursor);
		const char *type = ts_node_type(child);
		uint32_t start = ts_node_start_byte(child), end = ts_node_end_byte(child);
		if (strcmp(type, "string_content") == 0 && !raw &&
			ts_tree_cursor_goto_first_child(&cursor)) {
			at = start;
			inside++;
			continue;
		}
		if (strcmp(type, "string_start") == 0) {
			size_t prefix = strcspn(node_text(run, child), "'\"");
			for (uint32_t i = start; i < start + prefix; i++)
				raw |= tolower((unsigned char)run->source[i]) == 'r';
		} else if (strcmp(type, "string_content") == 0 ||
			   strcmp(type, "string_fragment") == 0) {
			add_bytes(pieces, run->source + start, end - start);
		} else if (strcmp(type, "escape_sequence") == 0) {
			char character[4];
			if (inside > 1)
				add_bytes(pieces, run->source + at, start - at);
			add_bytes(pieces, character, unescape(node_text(run, child), character));
		} else if (node_kind(run, child) == NODE_INTERPOLATION) {
			TSNode inner = node_child(child, 0);
			add_piece(pieces, value_of(run, inner, depth + 1));
		}
		at = end;
		while (!(more = ts_tree_cursor_goto_next_sibling(&cursor)) && inside > 1) {
			/* What follows the last escape within Python's string_content. */
			ts_tree_cursor_goto_parent(&cursor);
			TSNode content = ts_tree_cursor_current_node(&cursor);
			uint32_t content_end = ts_node_end_byte(content);
			add_bytes(pieces, run->source + at, content_end - at);
			inside--;
		}
	}
	ts_tree_cursor_delete(&cursor);
}

static struct value value_of_string(
	struct code_run *run, TSNode node, enum node_kind kind, unsigned depth)
{
	struct pieces pieces = {.exact = true};
	if (kind == NODE_STRING) {
		add_string(run, node, depth, &pieces);
		return value_of_pieces(run, &pieces);
	}
	TSNode strings[MAX_ARGUMENTS];
	size_t count = node_children(node, strings, MAX_ARGUMENTS);
	for (size_t i = 0; i < count; i++)
		add_string(run, strings[i], depth, &pieces);
	pieces.exact &= count < MAX_ARGUMENTS;
	return value_of_pieces(run, &pieces);
}

/* a + b + c is a tree that leans left, as deep as it is long: its spine is followed by steps. */
static struct value value_of_binary(struct code_run *run, TSNode node, unsigned depth)
{
	enum { MAX_TERMS = 256 };
	TSNode terms[MAX_TERMS];
	size_t count = 0;
	const char *operator= node_text(run, node_field(run, node, FIELD_OPERATOR));
	if (strcmp(operator, "%") == 0) {
		struct value format = value_of(run, node_field(run, node, FIELD_LEFT), depth + 1);
		if (!format.text)
			return (struct value){0};
		return (struct value){.text = format.text, .exact = false, .folded = true};
	}
	bool path = strcmp(operator, "/") == 0;
	if (!path && strcmp(operator, "+") != 0)
		return (struct value){0};
	while (count < MAX_TERMS - 1 && node_kind(run, node) == NODE_BINARY &&
		strcmp(node_text(run, node_field(run, node, FIELD_OPERATOR)), operator) == 0) {
		terms[count++] = node_field(run, node, FIELD_RIGHT);
		node = node_field(run, node, FIELD_LEFT);
	}
	struct pieces pieces = {.exact = node_kind(run, node) != NODE_BINARY};
	struct value first = value_of(run, node, depth + 1);
	add_piece(&pieces, first);
	while (count > 0) {
		if (path)
			add_bytes(&pieces, "/", 1);
		add_piece(&pieces, value_of(run, terms[--count], depth + 1));
	}
	struct value value = value_of_pieces(run, &pieces);
	if (path)
		value.name = first.name;
	return value;
}

static struct value value_of_identifier(struct code_run *run, TSNode node)
{
	const char *name = node_identifier(run, node);
	struct value value;
	if (bound(run, name, ts_node_start_byte(node), &value))
		return value;
	return run->grammar->unbound(run, name);
}

struct value value_of_member(
	struct code_run *run, TSNode node, unsigned depth, struct value *ret_object)
{
	TSNode object = node_field(run, node, FIELD_OBJECT);
	const char *member = node_identifier(run, node_field(run, node, FIELD_MEMBER));
	*ret_object = value_of(run, object, depth + 1);
	/* What was assigned to a member of a plain name: self.run = os.system. */
	if (node_kind(run, object) == NODE_IDENTIFIER && !ret_object->imported) {
		struct value key = value_dotted(
			run, (struct value){.name = node_identifier(run, object)}, member);
		struct value found;
		if (key.name && bound(run, key.name, ts_node_start_byte(node), &found))
			return found;
	}
	if (!ret_object->name)
		return (struct value){0};
	return run->grammar->member(run, *ret_object, member, false);
}

static struct value value_of_subscript(struct code_run *run, TSNode node, unsigned depth)
{
	struct value object = value_of(run, node_field(run, node, FIELD_INDEXED), depth + 1);
	TSNode index_node = node_field(run, node, FIELD_INDEX);
	if (object.text && strcmp(node_text(run, index_node), "::-1") == 0) {
		size_t length = strlen(object.text);
		char *text = arena_take(&run->scratch, length + 1);
		for (size_t i = 0; text && i < length; i++)
			text[i] = object.text[length - 1 - i];
		if (text)
			text[length] = '\0';
		return (struct value){.text = text, .exact = object.exact, .folded = true};
	}
	if (!object.name)
		return (struct value){0};
	struct value index = value_of(run, index_node, depth + 1);
	if (!index.text || !index.exact)
		return (struct value){0};
	struct value value = run->grammar->member(run, object, index.text, true);
	value.disguised |= index.folded;
	return value;
}

void call_open(struct code_run *run, TSNode node, unsigned depth, struct call *ret)
{
	*ret = (struct call){.node = node, .method = ""};
	TSNode function = node_field(run, node, FIELD_FUNCTION);
	if (ts_node_is_null(function))
		function = node_field(run, node, FIELD_CONSTRUCTOR);
	if (node_kind(run, function) == NODE_ATTRIBUTE) {
		ret->object_node = node_field(run, function, FIELD_OBJECT);
		ret->method = node_identifier(run, node_field(run, function, FIELD_MEMBER));
		ret->function = value_of_member(run, function, depth + 1, &ret->object);
	} else {
		ret->function = value_of(run, function, depth + 1);
	}
	call_collect(run, node_field(run, node, FIELD_ARGUMENTS), ret);
}

static struct value value_of_call(struct code_run *run, TSNode node, unsigned depth)
{
	struct call call;
	struct value value = {0};
	call_open(run, node, depth, &call);
	struct value result = value_of_result(run, call.function);
	if (*call.method && !call.function.imported && fold_method(run, &call, depth, &value)) {
		/* Whose result it is stays known: zlib.decompress(...).decode(). */
		value.name = value.name ?: result.name;
		return value;
	}
	if (call.function.name && fold_call(run, &call, depth, &value)) {
		value.disguised |= call.function.disguised;
		return value;
	}
	return result;
}

struct value value_of(struct code_run *run, TSNode node, unsigned depth)
{
	if (ts_node_is_null(node) || depth > MAX_SCRIPT_NESTING)
		return (struct value){0};
	if (run->steps_left == 0) {
		run->findings->incomplete = true;
		return (struct value){0};
	}
	run->steps_left--;
	struct value object;
	enum node_kind kind = node_kind(run, node);
	switch (kind) {
	case NODE_IDENTIFIER:
		return value_of_identifier(run, node);
	case NODE_ATTRIBUTE:
		return value_of_member(run, node, depth, &object);
	case NODE_SUBSCRIPT:
		return value_of_subscript(run, node, depth);
	case NODE_CALL:
		return value_of_call(run, node, depth);
	case NODE_STRING:
	case NODE_STRINGS:
		return value_of_string(run, node, kind, depth);
	case NODE_BINARY:
		return value_of_binary(run, node, depth);
	case NODE_WRAPPER:
		return value_of(run, node_last_child(node), depth + 1);
	default:
		return (struct value){0};
	}
}
