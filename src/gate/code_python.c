/* Python: what binds names, and what matters besides calls. The tables are in
 * code_python_tables.c. */
#include "gate/code_python.h"
#include "gate/code_internal.h"

#include <string.h>

static const struct kind_name kinds[] = {
	{"identifier", NODE_IDENTIFIER},
	{"attribute", NODE_ATTRIBUTE},
	{"subscript", NODE_SUBSCRIPT},
	{"call", NODE_CALL},
	{"string", NODE_STRING},
	{"concatenated_string", NODE_STRINGS},
	{"interpolation", NODE_INTERPOLATION},
	{"binary_operator", NODE_BINARY},
	{"parenthesized_expression", NODE_WRAPPER},
	{"await", NODE_WRAPPER},
	{"lambda", NODE_WRAPPER}, /* what it gives is what its body is */
	{"return_statement", NODE_RETURN},
	{"list", NODE_LIST},
	{"tuple", NODE_LIST},
	{"dictionary", NODE_OBJECT},
	{"integer", NODE_NUMBER},
	{"assignment", NODE_ASSIGNMENT},
	{"named_expression", NODE_ASSIGNMENT},
	{"augmented_assignment", NODE_AUGMENTED},
	{"function_definition", NODE_DEFINITION},
	{"class_definition", NODE_DEFINITION},
	{"parameters", NODE_PARAMETERS},
	{"lambda_parameters", NODE_PARAMETERS},
	{"for_statement", NODE_LOOP},
	{"while_statement", NODE_LOOP},
	{"for_in_clause", NODE_LOOP},
	{"import_statement", NODE_IMPORT},
	{"import_from_statement", NODE_IMPORT_FROM},
	{"as_pattern", NODE_AS},
	{"decorator", NODE_DECORATOR},
	{"expression_statement", NODE_STATEMENT},
	{"exec_statement", NODE_EXECUTION},
	{"keyword_argument", NODE_PAIR},
	{NULL, NODE_OTHER},
};

static const char *const fields[FIELDS] = {
	[FIELD_FUNCTION] = "function",
	[FIELD_ARGUMENTS] = "arguments",
	[FIELD_OBJECT] = "object",
	[FIELD_MEMBER] = "attribute",
	[FIELD_INDEXED] = "value",
	[FIELD_INDEX] = "subscript",
	[FIELD_LEFT] = "left",
	[FIELD_RIGHT] = "right",
	[FIELD_OPERATOR] = "operator",
	[FIELD_NAME] = "name",
	[FIELD_VALUE] = "value",
	[FIELD_ALIAS] = "alias",
	[FIELD_KEY] = "key",
	[FIELD_SOURCE] = "module_name",
	[FIELD_CONSTRUCTOR] = NULL,
	[FIELD_EXPRESSION] = "code",
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);
	return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* X.__dict__["name"], globals()["name"], sys.modules["name"], environ["name"]. */
static struct value item(struct code_run *run, struct value object, const char *name)
{
	struct value value = {0};
	if (strcmp(object.name, "os.environ") == 0) {
		value = value_dotted(run, object, name);
		if (strcmp(name, "HOME") == 0 || strcmp(name, "USERPROFILE") == 0)
			value.text = "~", value.exact = true;
		return value;
	}
	if (ends_with(object.name, ".__dict__")) {
		struct value owner = object;
		owner.name = arena_copy(
			&run->scratch, object.name, strlen(object.name) - strlen(".__dict__"));
		value = run->grammar->member(run, owner, name, false);
		value.disguised = true;
	} else if (strcmp(object.name, "sys.modules") == 0) {
		value = value_named(run, name);
		value.imported = true;
	} else if (strcmp(object.name, "globals()") == 0 || strcmp(object.name, "locals()") == 0 ||
		   strcmp(object.name, "vars()") == 0 || strcmp(object.name, "__builtins__") == 0 ||
		   ends_with(object.name, ".__globals__") || ends_with(object.name, ".f_globals") ||
		   ends_with(object.name, ".f_builtins")) {
		if (!bound(run, name, UINT32_MAX, &value) || !value.name)
			value = value_named(run, name);
		value.disguised = true;
	}
	return value;
}

static struct value member(
	struct code_run *run, struct value object, const char *name, bool by_text)
{
	static const char *const same[] = {"parent", "__wrapped__", "__func__"};
	if (by_text)
		return item(run, object, name);
	if (strcmp(object.name, "builtins") == 0 || strcmp(object.name, "__builtins__") == 0 ||
		strcmp(object.name, "__builtin__") == 0) {
		if (strcmp(name, "__dict__") == 0)
			return value_named(run, "__builtins__");
		struct value value = value_named(run, name);
		value.disguised = object.disguised;
		return value;
	}
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		if (strcmp(name, same[i]) == 0)
			return object;
	return value_dotted(run, object, name);
}

static struct value unbound(struct code_run *run, const char *name)
{
	struct value value = value_named(run, name);
	for (size_t i = 0; i < ARRAY_SIZE(run->wildcards) && run->wildcards[i]; i++) {
		struct value found = value_dotted(run, value_named(run, run->wildcards[i]), name);
		const struct sink *sink = sink_of(run, found.name);
		if (sink)
			return found;
	}
	return value;
}

/* Parameters and loops seldom mean these names: a source cannot hide a use by having one. */
static bool is_sensitive(const char *name)
{
	const struct sink *sink = sink_of(&(struct code_run){.grammar = &code_python}, name);
	return sink || strcmp(name, "getattr") == 0 || strcmp(name, "os") == 0;
}

static void bind_unknown(struct code_run *run, TSNode node)
{
	if (node_kind(run, node) != NODE_IDENTIFIER)
		return;
	const char *name = node_identifier(run, node);
	if (!is_sensitive(name))
		code_bind(run, name, ts_node_start_byte(node), (struct value){0});
}

static void bind_target(struct code_run *run, TSNode target, TSNode source, uint32_t position)
{
	TSNode targets[MAX_ARGUMENTS], sources[MAX_ARGUMENTS];
	struct value value = {0};
	switch (node_kind(run, target)) {
	case NODE_IDENTIFIER:
		value = value_of(run, source, 0);
		const char *name = node_identifier(run, target);
		if (value.name || value.text || !is_sensitive(name))
			code_bind(run, name, position, value);
		return;
	case NODE_ATTRIBUTE: {
		TSNode object = node_field(run, target, FIELD_OBJECT);
		value = value_of(run, source, 0);
		if (node_kind(run, object) != NODE_IDENTIFIER || (!value.name && !value.text))
			return;
		struct value key =
			value_dotted(run, (struct value){.name = node_identifier(run, object)},
				node_identifier(run, node_field(run, target, FIELD_MEMBER)));
		if (key.name)
			code_bind(run, key.name, position, value);
		return;
	}
	default:
		break;
	}
	if (!node_is(target, "pattern_list") && !node_is(target, "tuple_pattern"))
		return;
	size_t count = node_children(target, targets, MAX_ARGUMENTS);
	bool pairs = node_is(source, "expression_list") || node_kind(run, source) == NODE_LIST;
	size_t given = pairs ? node_children(source, sources, MAX_ARGUMENTS) : 0;
	for (size_t i = 0; i < count; i++) {
		if (node_kind(run, targets[i]) != NODE_IDENTIFIER)
			continue;
		value = value_of(run, i < given ? sources[i] : (TSNode){0}, 0);
		if (value.name || value.text || !is_sensitive(node_identifier(run, targets[i])))
			code_bind(run, node_identifier(run, targets[i]), position, value);
	}
}

static void bind_module(struct code_run *run, TSNode node, const char *prefix)
{
	TSNode name = node, alias = {0};
	if (node_is(node, "aliased_import")) {
		name = node_field(run, node, FIELD_NAME);
		alias = node_field(run, node, FIELD_ALIAS);
	}
	const char *module = node_identifier(run, name);
	struct value value = value_named(run, module);
	if (prefix)
		value = run->grammar->member(
			run, (struct value){.name = prefix, .imported = true}, module, false);
	value.imported = true;
	const char *as = ts_node_is_null(alias) ? module : node_identifier(run, alias);
	if (!prefix && ts_node_is_null(alias) && strchr(module, '.')) {
		/* `import os.path` binds os. */
		as = arena_copy(&run->scratch, module, strcspn(module, ".")) ?: module;
		value.name = as;
	}
	code_bind(run, as, ts_node_start_byte(node), value);
}

static void bind_imports(struct code_run *run, TSNode node, enum node_kind kind)
{
	cleanup_free TSNode *names = calloc(MAX_LIST_ITEMS, sizeof(*names));
	if (!names) {
		run->findings->incomplete = true;
		return;
	}
	size_t count = node_children(node, names, MAX_LIST_ITEMS), first = 0;
	const char *module = NULL;
	if (kind == NODE_IMPORT_FROM && count > 0) {
		if (node_is(names[0], "relative_import"))
			return;
		module = node_identifier(run, names[0]);
		first = 1;
	}
	for (size_t i = first; i < count; i++) {
		if (!node_is(names[i], "wildcard_import")) {
			bind_module(run, names[i], module);
			continue;
		}
		size_t k = 0;
		while (k < ARRAY_SIZE(run->wildcards) && run->wildcards[k])
			k++;
		if (k < ARRAY_SIZE(run->wildcards) && module)
			run->wildcards[k] = arena_copy(&run->kept, module, strlen(module));
	}
}

static void bind_augmented(struct code_run *run, TSNode node)
{
	TSNode left = node_field(run, node, FIELD_LEFT);
	if (node_kind(run, left) != NODE_IDENTIFIER)
		return;
	struct value before = value_of(run, left, 0);
	struct value added = value_of(run, node_field(run, node, FIELD_RIGHT), 0);
	struct value sum = {0};
	if (before.text) {
		char text[MAX_VALUE_BYTES];
		int length = snprintf(
			text, sizeof(text), "%s%s", before.text, added.text ? added.text : "\x1a");
		bool fits = length >= 0 && (size_t)length < sizeof(text);
		sum = value_text(
			run, text, strlen(text), fits && before.exact && added.text && added.exact);
		sum.folded = true;
	}
	code_bind(run, node_identifier(run, left), ts_node_end_byte(node), sum);
}

static void bind_node(struct code_run *run, TSNode node, enum node_kind kind)
{
	TSNode names[MAX_ARGUMENTS];
	size_t count;
	switch (kind) {
	case NODE_IMPORT:
	case NODE_IMPORT_FROM:
		bind_imports(run, node, kind);
		break;
	case NODE_ASSIGNMENT: {
		bool walrus = node_is(node, "named_expression");
		bind_target(run, node_field(run, node, walrus ? FIELD_NAME : FIELD_LEFT),
			node_field(run, node, walrus ? FIELD_VALUE : FIELD_RIGHT),
			ts_node_end_byte(node));
		break;
	}
	case NODE_AUGMENTED:
		bind_augmented(run, node);
		break;
	case NODE_AS: /* with open(...) as f */
		bind_target(run, node_child(node_field(run, node, FIELD_ALIAS), 0),
			node_child(node, 0), ts_node_end_byte(node));
		break;
	case NODE_LOOP:
		bind_unknown(run, node_field(run, node, FIELD_LEFT));
		break;
	case NODE_PARAMETERS:
		count = node_children(node, names, MAX_ARGUMENTS);
		for (size_t i = 0; i < count; i++)
			bind_unknown(run, node_kind(run, names[i]) == NODE_IDENTIFIER
						  ? names[i]
						  : node_child(names[i], 0));
		break;
	case NODE_DEFINITION:
		/* Only the module's own functions are meant by their plain name. */
		if (run->depth == 1)
			code_bind(run, node_identifier(run, node_field(run, node, FIELD_NAME)),
				ts_node_start_byte(node), (struct value){0});
		break;
	default:
		break;
	}
}

/* ---- what is looked at ---- */

static void visit_imports(struct code_run *run, TSNode node, enum node_kind kind)
{
	TSNode names[MAX_ARGUMENTS];
	size_t count = node_children(node, names, MAX_ARGUMENTS);
	if (kind == NODE_IMPORT_FROM)
		count = count ? 1 : 0;
	for (size_t i = 0; i < count; i++) {
		bool aliased = node_is(names[i], "aliased_import");
		TSNode name = aliased ? node_field(run, names[i], FIELD_NAME) : names[i];
		if (!node_is(name, "relative_import"))
			check_module(run, node, node_identifier(run, name));
	}
}

static bool is_false(struct code_run *run, TSNode node)
{
	const char *text = node_text(run, node);
	return strcmp(text, "False") == 0 || strcmp(text, "0") == 0;
}

static void visit_option(struct code_run *run, TSNode node)
{
	static const char *const checks[] = {"verify", "verify_ssl", "check_hostname",
		"validate_certs", "ssl_verify", "verify_certs"};
	const char *name = node_text(run, node_field(run, node, FIELD_NAME));
	TSNode value = node_field(run, node, FIELD_VALUE);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (strcmp(name, checks[i]) == 0 && is_false(run, value))
			report(run, "tls-unchecked", node);
	if (strcmp(name, "cert_reqs") == 0 && strstr(node_text(run, value), "CERT_NONE"))
		report(run, "tls-unchecked", node);
}

static bool is_dunder(const char *name)
{
	return strncmp(name, "__", 2) == 0 && ends_with(name, "__");
}

static void visit_assignment(struct code_run *run, TSNode node)
{
	TSNode left = node_field(run, node, FIELD_LEFT), right = node_field(run, node, FIELD_RIGHT);
	enum node_kind kind = node_kind(run, left);
	if (ts_node_is_null(left) || ts_node_is_null(right))
		return;
	if (kind == NODE_IDENTIFIER) {
		/* class X: __getitem__ = os.system: called without a call. */
		if (is_dunder(node_identifier(run, left)))
			check_reference(run, right);
		return;
	}
	struct value object = {0};
	const char *name = "";
	if (kind == NODE_SUBSCRIPT) {
		struct value key = value_of(run, node_field(run, left, FIELD_INDEX), 1);
		object = value_of(run, node_field(run, left, FIELD_INDEXED), 1);
		if (object.name && strcmp(object.name, "os.environ") == 0)
			check_loader_variable(run, node, key.text);
	}
	if (kind == NODE_ATTRIBUTE) {
		object = value_of(run, node_field(run, left, FIELD_OBJECT), 1);
		name = node_identifier(run, node_field(run, left, FIELD_MEMBER));
	}
	if (strcmp(name, "check_hostname") == 0 || strcmp(name, "verify") == 0) {
		if (is_false(run, right))
			report(run, "tls-unchecked", node);
	} else if (strcmp(name, "verify_mode") == 0) {
		if (strstr(node_text(run, right), "CERT_NONE"))
			report(run, "tls-unchecked", node);
	} else if (object.name) {
		python_check_tampering(run, node, object, name);
	}
}

static void visit_attribute(struct code_run *run, TSNode node)
{
	static const char *const climbs[] = {"__subclasses__", "__globals__", "__mro__",
		"__bases__", "__base__", "__code__", "__builtins__", "f_globals", "f_builtins",
		"gi_frame", "cr_frame", "tb_frame", "f_back"};
	const char *name = node_identifier(run, node_field(run, node, FIELD_MEMBER));
	size_t i = 0;
	while (i < ARRAY_SIZE(climbs) && strcmp(name, climbs[i]) != 0)
		i++;
	if (i == ARRAY_SIZE(climbs))
		return;
	/* ().__class__.__mro__[1].__subclasses__(): from a literal, or through __class__. */
	const char *text = node_text(run, node);
	bool literal = text[0] && strchr("([{'\"0123456789", text[0]);
	bool chain = strstr(text, "__class__") &&
		     (strcmp(name, "__subclasses__") == 0 || strcmp(name, "__globals__") == 0);
	bool builtins = strcmp(name, "__builtins__") == 0 && strstr(text, "__globals__");
	if ((literal && strstr(text, "__class__")) || chain || builtins)
		report(run, "sandbox-escape", node);
	else if (strcmp(name, "__subclasses__") == 0 || strcmp(name, "__globals__") == 0 ||
		 strcmp(name, "f_globals") == 0 || strcmp(name, "f_builtins") == 0)
		report(run, "introspection", node);
}

static void visit_string(struct code_run *run, TSNode node, enum node_kind kind)
{
	uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
	if (start < run->text_end)
		return; /* within a statement, or a larger text, that was looked at */
	run->text_end = end;
	check_text(run, node, value_of(run, node, 0));
	if (kind == NODE_STRING && end - start > 8 &&
		text_is_encoded(run->source + start + 3, end - start - 6))
		report(run, "encoded-text", node);
}

static void visit_statement(struct code_run *run, TSNode node)
{
	TSNode inner = node_child(node, 0);
	enum node_kind kind = node_kind(run, inner);
	if (kind == NODE_STRING || kind == NODE_STRINGS)
		run->text_end = ts_node_end_byte(node); /* a docstring */
}

static void visit_call(struct code_run *run, TSNode node)
{
	struct call call;
	call_open(run, node, 0, &call);
	check_call(run, &call);
	/* A path put together by a call: os.path.join(home, ".ssh", "id_rsa"). */
	struct value value = value_of(run, node, 0);
	if (value.folded || (value.text && call.count > 1))
		check_text(run, node, value);
	bool environment = call.object.name && strcmp(call.object.name, "os.environ") == 0;
	if (environment || (call.function.name && strcmp(call.function.name, "os.getenv") == 0))
		check_variable_name(run, node, call_value(run, &call, 0).text);
}

static void visit_subscript(struct code_run *run, TSNode node)
{
	struct value object = value_of(run, node_field(run, node, FIELD_INDEXED), 1);
	struct value index = value_of(run, node_field(run, node, FIELD_INDEX), 1);
	if (object.name && strcmp(object.name, "os.environ") == 0)
		check_variable_name(run, node, index.text);
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
		visit_imports(run, node, kind);
		break;
	case NODE_CALL:
		visit_call(run, node);
		break;
	case NODE_DECORATOR:
		check_reference(run, node_child(node, 0));
		break;
	case NODE_ASSIGNMENT:
		visit_assignment(run, node);
		break;
	case NODE_PAIR:
		visit_option(run, node);
		break;
	case NODE_ATTRIBUTE:
		visit_attribute(run, node);
		break;
	case NODE_SUBSCRIPT:
		visit_subscript(run, node);
		break;
	case NODE_STATEMENT:
		visit_statement(run, node);
		break;
	case NODE_LIST:
	case NODE_OBJECT:
	case NODE_RETURN:
		check_references(run, node);
		break;
	case NODE_STRING:
	case NODE_STRINGS:
		visit_string(run, node, kind);
		break;
	case NODE_BINARY:
		visit_sum(run, node);
		break;
	case NODE_EXECUTION:
		report(run, "evaluate", node);
		break;
	case NODE_LOOP:
		if (ts_node_end_byte(node) > run->loop_end)
			run->loop_end = ts_node_end_byte(node);
		break;
	case NODE_IDENTIFIER:
		if (run->non_ascii && strcmp(node_text(run, node), node_identifier(run, node)) != 0)
			report(run, "identifier-disguised", node);
		break;
	default:
		break;
	}
}

static void finish(struct code_run *run)
{
	if (run->credential.seen && run->network.seen)
		report(run, "exfiltration", run->network.node);
}

const struct code_grammar code_python = {
	.name = "python",
	.prefix = "py-",
	.language = tree_sitter_python,
	.kinds = kinds,
	.fields = fields,
	.sinks = python_sinks,
	.sinks_count = &python_sinks_count,
	.folds = python_folds,
	.folds_count = &python_folds_count,
	.modules = python_modules,
	.modules_count = &python_modules_count,
	.member = member,
	.unbound = unbound,
	.bind = bind_node,
	.visit = visit,
	.finish = finish,
};
