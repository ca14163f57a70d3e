#include "gate/code_internal.h"

#include <string.h>

void call_collect(struct code_run *run, TSNode arguments, struct call *call)
{
	enum node_kind kind = node_kind(run, arguments);
	if (ts_node_is_null(arguments))
		return;
	/* JavaScript's tagged template, Python's f(x for x in y): an argument without a list. */
	if (kind == NODE_STRING || node_is(arguments, "generator_expression")) {
		call->arguments[call->count++] = arguments;
		return;
	}
	TSNode children[MAX_ARGUMENTS];
	size_t count = node_children(arguments, children, MAX_ARGUMENTS);
	for (size_t i = 0; i < count; i++) {
		if (!node_is(children[i], "keyword_argument")) {
			call->arguments[call->count++] = children[i];
			continue;
		}
		call->keywords[call->keywords_count].name =
			node_field(run, children[i], FIELD_NAME);
		call->keywords[call->keywords_count].value =
			node_field(run, children[i], FIELD_VALUE);
		call->keywords_count++;
	}
}

TSNode call_argument(const struct call *call, size_t index)
{
	return index < call->count ? call->arguments[index] : (TSNode){0};
}

struct value call_value(struct code_run *run, const struct call *call, size_t index)
{
	return value_of(run, call_argument(call, index), 1);
}

static TSNode property(struct code_run *run, TSNode object, const char *name)
{
	TSNode pairs[MAX_ARGUMENTS];
	size_t count = node_children(object, pairs, MAX_ARGUMENTS);
	for (size_t i = 0; i < count; i++) {
		TSNode key = node_field(run, pairs[i], FIELD_KEY);
		if (ts_node_is_null(key))
			continue;
		const char *text = node_kind(run, key) == NODE_STRING ? value_of(run, key, 1).text
								      : node_identifier(run, key);
		if (text && strcmp(text, name) == 0)
			return node_field(run, pairs[i], FIELD_VALUE);
	}
	return (TSNode){0};
}

TSNode call_option(struct code_run *run, const struct call *call, const char *name)
{
	for (size_t i = 0; i < call->keywords_count; i++)
		if (strcmp(node_identifier(run, call->keywords[i].name), name) == 0)
			return call->keywords[i].value;
	for (size_t i = 0; i < call->count; i++) {
		if (node_kind(run, call->arguments[i]) != NODE_OBJECT)
			continue;
		TSNode value = property(run, call->arguments[i], name);
		if (!ts_node_is_null(value))
			return value;
	}
	return (TSNode){0};
}

bool call_option_is_on(struct code_run *run, const struct call *call, const char *name)
{
	static const char *const off[] = {"False", "false", "None", "0", "null", "undefined", "!1"};
	TSNode node = call_option(run, call, name);
	if (ts_node_is_null(node))
		return false;
	const char *text = node_text(run, node);
	for (size_t i = 0; i < ARRAY_SIZE(off); i++)
		if (strcmp(text, off[i]) == 0)
			return false;
	return true;
}
