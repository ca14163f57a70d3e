/* Calls whose outcome can be known without making them: what puts text together or takes it apart
 * again, and what reaches a name by its text. The languages' own tables say which function does
 * what; the folds that both share are here. */
#include "gate/code_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int compare_fold(const void *name, const void *fold)
{
	return strcmp(name, ((const struct fold *)fold)->name);
}

static const struct fold *find_fold(const struct code_run *run, const char *name)
{
	return name ? bsearch(name, run->grammar->folds, *run->grammar->folds_count,
			      sizeof(struct fold), compare_fold)
		    : NULL;
}

bool fold_call(struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	const struct fold *fold = find_fold(run, call->function.name);
	return fold && fold->fold(run, call, depth, ret);
}

bool fold_stands_for_first(const struct code_run *run, const char *name)
{
	const struct fold *fold = find_fold(run, name);
	return fold && fold->fold == fold_first;
}

/* What stands for its first argument: str(x), promisify(f). */
bool fold_first(struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	*ret = value_of(run, call_argument(call, 0), depth + 1);
	return ret->name || ret->text;
}

bool fold_joined_path(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	char path[MAX_VALUE_BYTES];
	size_t length = 0;
	bool exact = call->count > 0, any = false;
	for (size_t i = 0; i < call->count; i++) {
		struct value part = value_of(run, call->arguments[i], depth + 1);
		static const char unknown[] = {UNKNOWN_PIECE, '\0'};
		const char *text = part.text ? part.text : unknown;
		exact &= part.text && part.exact;
		any |= part.text != NULL;
		int added = snprintf(path + length, sizeof(path) - length, "%s%s",
			length && path[length - 1] != '/' ? "/" : "", text);
		if (added < 0 || (size_t)added >= sizeof(path) - length)
			return false;
		length += added;
	}
	if (!any)
		return false;
	*ret = value_text(run, path, length, exact);
	return true;
}

/* chr(111), String.fromCharCode(101, 118), bytes([101, 118]). */
bool fold_characters(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	(void)depth;
	TSNode codes[MAX_ARGUMENTS], *items = codes;
	cleanup_free TSNode *many = NULL;
	size_t count = call->count;
	memcpy(codes, call->arguments, sizeof(codes));
	TSNode first = call_argument(call, 0);
	if (count == 1 && node_kind(run, first) == NODE_WRAPPER)
		first = node_last_child(first); /* ...[1, 2] */
	if (count == 1 && node_kind(run, first) == NODE_LIST) {
		items = many = calloc(MAX_LIST_ITEMS, sizeof(*many));
		if (!many)
			return false;
		count = node_children(first, many, MAX_LIST_ITEMS);
	}
	char *text = arena_take(&run->scratch, count + 1);
	if (!text || count == 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		char *end;
		const char *number = node_text(run, items[i]);
		bool octal = number[0] == '0' && tolower((unsigned char)number[1]) == 'o';
		long code = octal ? strtol(number + 2, &end, 8) : strtol(number, &end, 0);
		if (*end || !*number || code < 1 || code > 127)
			return false;
		text[i] = code;
	}
	text[count] = '\0';
	*ret = (struct value){.text = text, .exact = true, .folded = true};
	if (count >= 16)
		report(run, "characters", call->node);
	return true;
}

bool fold_base64(struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value encoded = value_of(run, call_argument(call, 0), depth + 1);
	if (!encoded.text || !encoded.exact)
		return false;
	size_t length = strlen(encoded.text);
	char *text = arena_take(&run->scratch, length + 1);
	long count = text ? text_from_base64(encoded.text, length, text) : -1;
	if (count < 0)
		return false;
	*ret = value_text(run, text, count, true);
	ret->name = value_of_result(run, call->function).name; /* known as decoded */
	ret->folded = true;
	return true;
}

bool fold_hexadecimal(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value encoded = value_of(run, call_argument(call, 0), depth + 1);
	if (!encoded.text || !encoded.exact)
		return false;
	char *text = arena_take(&run->scratch, strlen(encoded.text) / 2 + 1);
	size_t used = 0;
	for (const char *c = encoded.text; text && *c;) {
		unsigned byte;
		if (isspace((unsigned char)*c)) {
			c++;
			continue;
		}
		if (!isxdigit((unsigned char)c[0]) || !isxdigit((unsigned char)c[1]) ||
			sscanf(c, "%2x", &byte) != 1)
			return false;
		text[used++] = byte;
		c += 2;
	}
	if (!text)
		return false;
	*ret = value_text(run, text, used, true);
	ret->folded = true;
	return true;
}

/* ---- methods of text ---- */

static bool join_items(
	struct code_run *run, TSNode list, const char *separator, unsigned depth, struct value *ret)
{
	cleanup_free TSNode *items = calloc(MAX_LIST_ITEMS, sizeof(*items));
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_VALUE_BYTES);
	if (!items || node_kind(run, list) != NODE_LIST)
		return false;
	size_t count = node_children(list, items, MAX_LIST_ITEMS);
	bool exact = count < MAX_LIST_ITEMS, any = false;
	buffer_append(&text, "", 0);
	for (size_t i = 0; i < count; i++) {
		struct value item = value_of(run, items[i], depth + 1);
		if (i)
			buffer_append_string(&text, separator);
		static const char unknown[] = {UNKNOWN_PIECE, '\0'};
		buffer_append_string(&text, item.text ? item.text : unknown);
		exact &= item.text && item.exact;
		any |= item.text != NULL;
	}
	if (!any || buffer_error(&text) < 0 || !text.data)
		return false;
	*ret = value_text(run, text.data, text.length_bytes, exact);
	ret->folded = true;
	return true;
}

static bool replaced(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value from = value_of(run, call_argument(call, 0), depth + 1);
	struct value to = value_of(run, call_argument(call, 1), depth + 1);
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_VALUE_BYTES);
	if (!from.text || !*from.text || !to.text)
		return false;
	const char *at = call->object.text;
	buffer_append(&text, "", 0);
	for (const char *hit; (hit = strstr(at, from.text)); at = hit + strlen(from.text)) {
		buffer_append(&text, at, hit - at);
		buffer_append_string(&text, to.text);
	}
	buffer_append_string(&text, at);
	if (buffer_error(&text) < 0 || !text.data)
		return false;
	*ret = value_text(
		run, text.data, text.length_bytes, call->object.exact && from.exact && to.exact);
	ret->folded = true;
	return true;
}

enum method {
	METHOD_SAME, /* the text, as far as it matters here */
	METHOD_JOIN,
	METHOD_REPLACE,
	METHOD_REVERSE,
	METHOD_LOWER,
	METHOD_UPPER,
	METHOD_FORMAT,
};

static const struct {
	const char *name;
	enum method method;
} methods[] = {
	{"join", METHOD_JOIN}, {"replace", METHOD_REPLACE}, {"replaceAll", METHOD_REPLACE},
	{"format", METHOD_FORMAT}, {"concat", METHOD_FORMAT}, {"reverse", METHOD_REVERSE},
	{"lower", METHOD_LOWER}, {"toLowerCase", METHOD_LOWER}, {"upper", METHOD_UPPER},
	{"toUpperCase", METHOD_UPPER}, {"decode", METHOD_SAME}, {"encode", METHOD_SAME},
	{"strip", METHOD_SAME}, {"trim", METHOD_SAME}, {"toString", METHOD_SAME},
	{"split", METHOD_SAME}, /* of what is reversed and joined again */
};

static bool transformed(
	struct code_run *run, const struct call *call, enum method method, struct value *ret)
{
	struct value object = call->object;
	size_t length = strlen(object.text);
	char *text = arena_take(&run->scratch, length + 1);
	if (!text)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = object.text[i];
		text[i] = method == METHOD_LOWER   ? tolower(c)
			  : method == METHOD_UPPER ? toupper(c)
						   : object.text[length - 1 - i];
	}
	text[length] = '\0';
	*ret = (struct value){.text = text, .exact = object.exact, .folded = true};
	return true;
}

bool fold_method(struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	const struct value *object = &call->object;
	enum method method = METHOD_SAME;
	size_t i = 0;
	while (i < ARRAY_SIZE(methods) && strcmp(methods[i].name, call->method) != 0)
		i++;
	if (i == ARRAY_SIZE(methods))
		return false;
	method = methods[i].method;
	if (method == METHOD_JOIN) {
		struct value separator = value_of(run, call_argument(call, 0), depth + 1);
		if (node_kind(run, call->object_node) == NODE_LIST) /* JavaScript: list.join("") */
			return join_items(run, call->object_node,
				separator.text ? separator.text : ",", depth, ret);
		if (object->text && call->count == 1 &&
			node_kind(run, call->arguments[0]) == NODE_LIST)
			return join_items(run, call->arguments[0], object->text, depth, ret);
		if (object->text && run->grammar == &code_python) { /* " ".join(words) */
			static const char unknown[] = {UNKNOWN_PIECE, '\0'};
			*ret = (struct value){.text = unknown, .folded = true};
			return true;
		}
	}
	if (!object->text)
		return false;
	switch (method) {
	case METHOD_REPLACE:
		return replaced(run, call, depth, ret);
	case METHOD_FORMAT:
		*ret = (struct value){.text = object->text, .folded = true};
		return true;
	case METHOD_REVERSE:
	case METHOD_LOWER:
	case METHOD_UPPER:
		return transformed(run, call, method, ret);
	default:
		*ret = *object;
		return true;
	}
}
