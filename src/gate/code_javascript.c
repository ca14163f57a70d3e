/* JavaScript: what binds names, and what matters besides calls. The tables are in
 * code_javascript_tables.c. A module's members are named "@module.member", so that a variable that
 * happens to be called fs is not taken for the module. */
#include "gate/code_javascript.h"
#include "gate/code_internal.h"

#include <string.h>

static const struct kind_name kinds[] = {
	{"identifier", NODE_IDENTIFIER},
	{"import", NODE_IDENTIFIER}, /* import("x") */
	{"member_expression", NODE_ATTRIBUTE},
	{"subscript_expression", NODE_SUBSCRIPT},
	{"call_expression", NODE_CALL},
	{"new_expression", NODE_CALL},
	{"string", NODE_STRING},
	{"template_string", NODE_STRING},
	{"template_substitution", NODE_INTERPOLATION},
	{"binary_expression", NODE_BINARY},
	{"parenthesized_expression", NODE_WRAPPER},
	{"sequence_expression", NODE_WRAPPER}, /* (0, eval)(x) */
	{"await_expression", NODE_WRAPPER},
	{"arrow_function", NODE_WRAPPER}, /* what it gives is what its body is */
	{"return_statement", NODE_RETURN},
	{"this", NODE_IDENTIFIER},
	{"spread_element", NODE_WRAPPER},
	{"array", NODE_LIST},
	{"object", NODE_OBJECT},
	{"number", NODE_NUMBER},
	{"variable_declarator", NODE_ASSIGNMENT},
	{"assignment_expression", NODE_ASSIGNMENT},
	{"augmented_assignment_expression", NODE_AUGMENTED},
	{"function_declaration", NODE_DEFINITION},
	{"for_statement", NODE_LOOP},
	{"for_in_statement", NODE_LOOP},
	{"while_statement", NODE_LOOP},
	{"do_statement", NODE_LOOP},
	{"import_statement", NODE_IMPORT},
	{"export_statement", NODE_IMPORT_FROM},
	{"expression_statement", NODE_STATEMENT},
	{"pair", NODE_PAIR},
	{NULL, NODE_OTHER},
};

static const char *const fields[FIELDS] = {
	[FIELD_FUNCTION] = "function",
	[FIELD_ARGUMENTS] = "arguments",
	[FIELD_OBJECT] = "object",
	[FIELD_MEMBER] = "property",
	[FIELD_INDEXED] = "object",
	[FIELD_INDEX] = "index",
	[FIELD_LEFT] = "left",
	[FIELD_RIGHT] = "right",
	[FIELD_OPERATOR] = "operator",
	[FIELD_NAME] = "name",
	[FIELD_VALUE] = "value",
	[FIELD_ALIAS] = "alias",
	[FIELD_KEY] = "key",
	[FIELD_SOURCE] = "source",
	[FIELD_CONSTRUCTOR] = "constructor",
	[FIELD_EXPRESSION] = NULL,
};

const char *javascript_module(struct code_run *run, const char *specifier)
{
	/* The same module by another name, as far as it matters. */
	static const char *const same[][2] = {{"fs/promises", "fs"}, {"fs-extra", "fs"},
		{"graceful-fs", "fs"}, {"path/posix", "path"}, {"dns/promises", "dns"},
		{"process", NULL}};
	if (strncmp(specifier, "node:", strlen("node:")) == 0)
		specifier += strlen("node:");
	if (specifier[0] == '.' || specifier[0] == '/')
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		if (strcmp(specifier, same[i][0]) == 0) {
			if (!same[i][1])
				return "process";
			specifier = same[i][1];
			break;
		}
	}
	char *name = arena_take(&run->scratch, strlen(specifier) + 2);
	if (!name || strlen(specifier) > MAX_DOTTED_BYTES / 2)
		return NULL;
	name[0] = '@';
	for (size_t i = 0; i <= strlen(specifier); i++)
		name[i + 1] = specifier[i] == '/' ? '.' : specifier[i];
	return name;
}

static struct value member(
	struct code_run *run, struct value object, const char *name, bool by_text)
{
	static const char *const globals[] = {"globalThis", "global", "window", "self", "top"};
	for (size_t i = 0; i < ARRAY_SIZE(globals); i++) {
		if (strcmp(object.name, globals[i]) != 0)
			continue;
		struct value value = value_named(run, name);
		value.disguised = object.disguised || by_text;
		return value;
	}
	if (strcmp(object.name, "this") == 0 && by_text && sink_of(run, name)) {
		struct value value = value_named(run, name);
		value.disguised = true;
		return value;
	}
	/* The constructors that have no name: of async functions and generators. */
	if (strcmp(name, "constructor") == 0 &&
		(strcmp(object.name, "Object.getPrototypeOf()") == 0 ||
			strcmp(object.name, "Reflect.getPrototypeOf()") == 0))
		return value_named(run, "Function");
	if (object.name[0] == '@' &&
		(strcmp(name, "default") == 0 ||
			(strcmp(object.name, "@fs") == 0 && strcmp(name, "promises") == 0)))
		return object;
	if (strcmp(name, "require") == 0 &&
		(strcmp(object.name, "module") == 0 ||
			strcmp(object.name, "process.mainModule") == 0)) {
		struct value value = value_named(run, name);
		value.disguised = object.name[0] == 'p';
		return value;
	}
	struct value value = value_dotted(run, object, name);
	if (strcmp(object.name, "process.env") == 0 &&
		(strcmp(name, "HOME") == 0 || strcmp(name, "USERPROFILE") == 0))
		value.text = "~", value.exact = true;
	return value;
}

static struct value unbound(struct code_run *run, const char *name)
{
	return value_named(run, name);
}

/* ---- bindings ---- */

static void bind_module(struct code_run *run, TSNode name, const char *module,
	const char *member_name, uint32_t position)
{
	struct value value = {.name = module, .imported = true};
	if (member_name)
		value = member(run, value, member_name, false);
	value.imported = true;
	code_bind(run, node_identifier(run, name), position, value);
}

static void bind_import(struct code_run *run, TSNode node)
{
	struct value source = value_of(run, node_field(run, node, FIELD_SOURCE), 0);
	const char *module = source.text ? javascript_module(run, source.text) : NULL;
	TSNode clause = node_child(node, 0), parts[MAX_ARGUMENTS], names[MAX_ARGUMENTS];
	uint32_t position = ts_node_start_byte(node);
	if (!module || !node_is(clause, "import_clause"))
		return;
	size_t count = node_children(clause, parts, MAX_ARGUMENTS);
	for (size_t i = 0; i < count; i++) {
		if (node_kind(run, parts[i]) == NODE_IDENTIFIER) {
			bind_module(run, parts[i], module, NULL, position);
			continue;
		}
		size_t named = node_children(parts[i], names, MAX_ARGUMENTS);
		for (size_t k = 0; k < named; k++) {
			if (node_kind(run, names[k]) == NODE_IDENTIFIER) { /* * as name */
				bind_module(run, names[k], module, NULL, position);
				continue;
			}
			TSNode name = node_field(run, names[k], FIELD_NAME);
			TSNode alias = node_field(run, names[k], FIELD_ALIAS);
			bind_module(run, ts_node_is_null(alias) ? name : alias, module,
				node_identifier(run, name), position);
		}
	}
}

/* const {exec: run, spawn = x, ...rest} = require("child_process") */
static void bind_pattern(
	struct code_run *run, TSNode pattern, struct value object, uint32_t position)
{
	TSNode parts[MAX_ARGUMENTS];
	size_t count = node_children(pattern, parts, MAX_ARGUMENTS);
	if (!object.name)
		return;
	for (size_t i = 0; i < count; i++) {
		TSNode part = parts[i], name = part, key = part;
		if (node_is(part, "object_assignment_pattern"))
			name = key = node_field(run, part, FIELD_LEFT);
		if (node_is(part, "pair_pattern")) {
			key = node_field(run, part, FIELD_KEY);
			name = node_field(run, part, FIELD_VALUE);
			if (node_is(name, "assignment_pattern"))
				name = node_field(run, name, FIELD_LEFT);
		}
		if (ts_node_is_null(key) || ts_node_is_null(name))
			continue;
		const char *text = node_kind(run, key) == NODE_STRING ? value_of(run, key, 1).text
								      : node_identifier(run, key);
		if (!text)
			continue;
		struct value value = member(run, object, text, false);
		if (node_is(name, "object_pattern"))
			continue;
		code_bind(run, node_identifier(run, name), position, value);
	}
}

/* const m = {cp: require("child_process")} binds m.cp. */
static void bind_members(struct code_run *run, const char *name, TSNode object, uint32_t position)
{
	TSNode pairs[MAX_ARGUMENTS];
	size_t count = node_children(object, pairs, MAX_ARGUMENTS);
	for (size_t i = 0; i < count; i++) {
		if (node_kind(run, pairs[i]) != NODE_PAIR)
			continue;
		struct value value = value_of(run, node_field(run, pairs[i], FIELD_VALUE), 1);
		struct value key = value_dotted(run, (struct value){.name = name},
			node_identifier(run, node_field(run, pairs[i], FIELD_KEY)));
		if (key.name && value.imported)
			code_bind(run, key.name, position, value);
	}
}

static void bind_assignment(struct code_run *run, TSNode node)
{
	bool declarator = node_is(node, "variable_declarator");
	TSNode left = node_field(run, node, declarator ? FIELD_NAME : FIELD_LEFT);
	TSNode right = node_field(run, node, declarator ? FIELD_VALUE : FIELD_RIGHT);
	uint32_t position = ts_node_end_byte(node);
	struct value value = value_of(run, right, 0);
	enum node_kind kind = node_kind(run, left);
	if (node_is(left, "object_pattern")) {
		bind_pattern(run, left, value, position);
	} else if (node_is(left, "array_pattern") && node_kind(run, right) == NODE_LIST) {
		TSNode names[MAX_ARGUMENTS], values[MAX_ARGUMENTS];
		size_t count = node_children(left, names, MAX_ARGUMENTS);
		size_t given = node_children(right, values, MAX_ARGUMENTS);
		for (size_t i = 0; i < count && i < given; i++)
			if (node_kind(run, names[i]) == NODE_IDENTIFIER)
				code_bind(run, node_identifier(run, names[i]), position,
					value_of(run, values[i], 1));
	} else if (kind == NODE_IDENTIFIER && node_kind(run, right) == NODE_OBJECT) {
		bind_members(run, node_identifier(run, left), right, position);
	} else if (kind == NODE_IDENTIFIER) {
		const char *name = node_identifier(run, left);
		/* `var require = require || ...` and the like do not hide what is meant. */
		if (value.name || value.text || !sink_of(run, name))
			code_bind(run, name, position, value);
	} else if (kind == NODE_ATTRIBUTE && (value.name || value.text)) {
		TSNode object = node_field(run, left, FIELD_OBJECT);
		struct value key = {0};
		if (node_kind(run, object) == NODE_IDENTIFIER || node_is(object, "this"))
			key = value_dotted(run,
				(struct value){.name = node_identifier(run, object)},
				node_identifier(run, node_field(run, left, FIELD_MEMBER)));
		if (key.name)
			code_bind(run, key.name, position, value);
	}
}

/* import("fs").then(fs => ...): what is waited for. */
static void bind_awaited(struct code_run *run, TSNode node)
{
	TSNode function = node_field(run, node, FIELD_FUNCTION);
	if (node_kind(run, function) != NODE_ATTRIBUTE ||
		strcmp(node_text(run, node_field(run, function, FIELD_MEMBER)), "then") != 0)
		return;
	struct value value = value_of(run, node_field(run, function, FIELD_OBJECT), 0);
	TSNode callback = node_child(node_field(run, node, FIELD_ARGUMENTS), 0);
	TSNode parameter = node_child(callback, 0);
	if (!value.name ||
		(!node_is(callback, "arrow_function") && !node_is(callback, "function_expression")))
		return;
	if (node_is(parameter, "formal_parameters"))
		parameter = node_child(parameter, 0);
	uint32_t position = ts_node_start_byte(callback);
	if (node_is(parameter, "object_pattern"))
		bind_pattern(run, parameter, value, position);
	else if (node_kind(run, parameter) == NODE_IDENTIFIER)
		code_bind(run, node_identifier(run, parameter), position, value);
}

static void bind_augmented(struct code_run *run, TSNode node)
{
	TSNode left = node_field(run, node, FIELD_LEFT);
	if (node_kind(run, left) != NODE_IDENTIFIER)
		return;
	struct value before = value_of(run, left, 0);
	struct value sum = {.text = before.text, .folded = true};
	code_bind(run, node_identifier(run, left), ts_node_end_byte(node), sum);
}

static void bind_node(struct code_run *run, TSNode node, enum node_kind kind)
{
	switch (kind) {
	case NODE_IMPORT:
		bind_import(run, node);
		break;
	case NODE_ASSIGNMENT:
		bind_assignment(run, node);
		break;
	case NODE_AUGMENTED:
		bind_augmented(run, node);
		break;
	case NODE_CALL:
		bind_awaited(run, node);
		break;
	case NODE_DEFINITION:
		if (run->depth == 1)
			code_bind(run, node_identifier(run, node_field(run, node, FIELD_NAME)),
				ts_node_start_byte(node), (struct value){0});
		break;
	default:
		break;
	}
}

/* ---- what is looked at ---- */

static void visit_import(struct code_run *run, TSNode node)
{
	struct value source = value_of(run, node_field(run, node, FIELD_SOURCE), 0);
	const char *module = source.text ? javascript_module(run, source.text) : NULL;
	if (module)
		check_module(run, node, module);
}

static const char *last_name(struct code_run *run, TSNode node)
{
	if (node_kind(run, node) == NODE_ATTRIBUTE)
		return node_identifier(run, node_field(run, node, FIELD_MEMBER));
	if (node_kind(run, node) == NODE_SUBSCRIPT) {
		struct value index = value_of(run, node_field(run, node, FIELD_INDEX), 1);
		return index.text ? index.text : "";
	}
	return "";
}

static TSNode owner(struct code_run *run, TSNode node)
{
	return node_field(
		run, node, node_kind(run, node) == NODE_SUBSCRIPT ? FIELD_INDEXED : FIELD_OBJECT);
}

/* x.constructor.constructor("..."), (() => {}).constructor("..."): Function by another way. */
static void check_constructor(struct code_run *run, const struct call *call)
{
	TSNode function = node_field(run, call->node, FIELD_FUNCTION);
	if (strcmp(last_name(run, function), "constructor") != 0)
		return;
	TSNode object = owner(run, function);
	while (node_kind(run, object) == NODE_WRAPPER && !node_is(object, "arrow_function"))
		object = node_last_child(object);
	if (strcmp(last_name(run, object), "constructor") == 0 ||
		node_is(object, "function_expression") || node_is(object, "arrow_function"))
		report(run, "sandbox-escape", call->node);
	/* []["filter"]["constructor"]("...") */
	else if (node_kind(run, object) == NODE_SUBSCRIPT &&
		 node_kind(run, owner(run, object)) == NODE_LIST)
		report(run, "sandbox-escape", call->node);
}

static bool is_builtin_prototype(const char *text)
{
	static const char *const names[] = {"Object.prototype", "Array.prototype",
		"String.prototype", "Function.prototype", "Number.prototype", "Promise.prototype",
		"RegExp.prototype", "Map.prototype", "Set.prototype", "Date.prototype"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(text, names[i]) == 0)
			return true;
	size_t length = strlen(text);
	return length > strlen(".__proto__") &&
	       strcmp(text + length - strlen(".__proto__"), ".__proto__") == 0;
}

static void visit_call(struct code_run *run, TSNode node)
{
	struct call call;
	call_open(run, node, 0, &call);
	check_call(run, &call);
	check_constructor(run, &call);
	struct value value = value_of(run, node, 0);
	if (value.folded || (value.text && call.count > 1))
		check_text(run, node, value);
	bool defines =
		strcmp(call.method, "defineProperty") == 0 || strcmp(call.method, "assign") == 0;
	if (defines && call.count > 1 && is_builtin_prototype(node_text(run, call.arguments[0])))
		report(run, "tamper-prototype", node);
	const char *name = call.function.name;
	if (!name)
		return;
	if (strcmp(name, "@net.connect") == 0 || strcmp(name, "@net.createConnection") == 0 ||
		strcmp(name, "@net.Socket().connect") == 0 || strcmp(name, "@net.Socket") == 0 ||
		strcmp(name, "@tls.connect") == 0)
		run->connection.seen = true, run->connection.node = node;
}

static void check_patch(struct code_run *run, TSNode where, TSNode left)
{
	static const char *const guarded[] = {"@child_process", "@fs", "@http", "@https", "@net",
		"@tls", "@crypto", "@dns", "@vm"};
	TSNode object_node = owner(run, left);
	struct value object = value_of(run, object_node, 1);
	const char *name = last_name(run, left), *text = node_text(run, object_node);
	if (is_builtin_prototype(text))
		report(run, "tamper-prototype", where);
	if (!object.name)
		return;
	if (strcmp(object.name, "require.cache") == 0 ||
		strcmp(object.name, "require.extensions") == 0 ||
		strcmp(object.name, "@module._extensions") == 0 ||
		strcmp(object.name, "@module._cache") == 0 ||
		(strcmp(object.name, "@module.prototype") == 0 && strcmp(name, "require") == 0) ||
		(strcmp(object.name, "@module") == 0 && strncmp(name, "_", 1) == 0))
		report(run, "tamper-import", where);
	for (size_t i = 0; i < ARRAY_SIZE(guarded) && object.imported; i++)
		if (strcmp(object.name, guarded[i]) == 0)
			report(run, "monkeypatch", where);
	if (strcmp(object.name, "process.env") == 0)
		check_loader_variable(run, where, name);
	if (strcmp(object.name, "process.env") == 0 &&
		strcmp(name, "NODE_TLS_REJECT_UNAUTHORIZED") == 0)
		report(run, "tls-unchecked", where);
}

static void visit_assignment(struct code_run *run, TSNode node)
{
	TSNode left = node_field(run, node, FIELD_LEFT);
	enum node_kind kind = node_kind(run, left);
	if (kind == NODE_ATTRIBUTE || kind == NODE_SUBSCRIPT)
		check_patch(run, node, left);
}

static void visit_pair(struct code_run *run, TSNode node)
{
	static const char *const checks[] = {"rejectUnauthorized", "strictSSL", "strict-ssl",
		"verifySsl", "checkServerIdentity"};
	const char *key = node_text(run, node_field(run, node, FIELD_KEY));
	const char *value = node_text(run, node_field(run, node, FIELD_VALUE));
	if (*key == '"' || *key == '\'') {
		struct value text = value_of(run, node_field(run, node, FIELD_KEY), 1);
		key = text.text ? text.text : key;
	}
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (strcmp(key, checks[i]) == 0 &&
			(strcmp(value, "false") == 0 || strcmp(value, "!1") == 0))
			report(run, "tls-unchecked", node);
}

static void visit_member(struct code_run *run, TSNode node)
{
	TSNode object_node = owner(run, node);
	/* Only what can be process.env is worth following. */
	if (!strstr(node_text(run, object_node), "env"))
		return;
	struct value object = value_of(run, object_node, 1);
	if (object.name && strcmp(object.name, "process.env") == 0)
		check_variable_name(run, node, last_name(run, node));
}

static void visit_string(struct code_run *run, TSNode node)
{
	uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
	if (start < run->text_end)
		return;
	run->text_end = end;
	check_text(run, node, value_of(run, node, 0));
	if (end - start > 8 && text_is_encoded(run->source + start + 1, end - start - 2))
		report(run, "encoded-text", node);
}

static void visit_identifier(struct code_run *run, TSNode node)
{
	uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
	const char *text = run->source + start;
	if (memchr(text, '\\', end - start)) {
		report(run, "identifier-disguised", node);
	} else if (end - start > 4 && strncmp(text, "_0x", 3) == 0) {
		enum { MANY = 20 };
		if (++run->hexadecimal_names == MANY)
			report(run, "obfuscated", node);
	}
}

static void visit_sum(struct code_run *run, TSNode node)
{
	uint32_t start = ts_node_start_byte(node);
	/* a + b + c holds a + b: with each of a long sum's it would take the square. */
	bool within = start == run->sum_start && start < run->sum_end;
	if (within || start < run->text_end)
		return;
	run->sum_start = start;
	run->sum_end = ts_node_end_byte(node);
	struct value value = value_of(run, node, 0);
	/* Its pieces need no second look. */
	if (check_text(run, node, value))
		run->text_end = ts_node_end_byte(node);
}

static void visit(struct code_run *run, TSNode node, enum node_kind kind)
{
	switch (kind) {
	case NODE_IMPORT:
	case NODE_IMPORT_FROM:
		visit_import(run, node);
		break;
	case NODE_CALL:
		visit_call(run, node);
		break;
	case NODE_ASSIGNMENT:
		visit_assignment(run, node);
		break;
	case NODE_PAIR:
		visit_pair(run, node);
		break;
	case NODE_LIST:
	case NODE_OBJECT:
	case NODE_RETURN:
		check_references(run, node);
		break;
	case NODE_ATTRIBUTE:
	case NODE_SUBSCRIPT:
		visit_member(run, node);
		break;
	case NODE_STRING:
		visit_string(run, node);
		break;
	case NODE_BINARY:
		visit_sum(run, node);
		break;
	case NODE_LOOP:
		if (ts_node_end_byte(node) > run->loop_end)
			run->loop_end = ts_node_end_byte(node);
		break;
	case NODE_IDENTIFIER:
		visit_identifier(run, node);
		break;
	default:
		break;
	}
}

static void finish(struct code_run *run)
{
	if (run->credential.seen && run->network.seen)
		report(run, "exfiltration", run->network.node);
	if (run->connection.seen && run->shell_program.seen)
		report(run, "reverse-shell", run->shell_program.node);
}

const struct code_grammar code_javascript = {
	.name = "javascript",
	.prefix = "js-",
	.language = tree_sitter_javascript,
	.kinds = kinds,
	.fields = fields,
	.sinks = javascript_sinks,
	.sinks_count = &javascript_sinks_count,
	.folds = javascript_folds,
	.folds_count = &javascript_folds_count,
	.modules = javascript_modules,
	.modules_count = &javascript_modules_count,
	.member = member,
	.unbound = unbound,
	.bind = bind_node,
	.visit = visit,
	.finish = finish,
};
