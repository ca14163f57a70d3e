/* Theory of operation. Codex's .rules files are Starlark programs that call
 *
 *	prefix_rule(pattern = [...], decision = "...", justification = "...", match = [...],
 *		not_match = [...])
 *	host_executable(name = "...", paths = [...])
 *	network_rule(host = "...", protocol = "...", decision = "...")
 *
 * Here they are data: the syntax tree of Python, of which Starlark is nearly a part, is walked
 * one level deep, and a statement that is one of these calls with literal arguments is taken.
 * Nothing is evaluated. Every other statement (a variable, a loop, a load) is noted with its
 * line.
 *
 * A file is small enough that no node can have 65,536 children: up to its version 0.20.7 the
 * library counts them in 16 bits, and frees what it has not allocated. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "gate/grammars.h"
#include "gate/show.h"

#include <string.h>

enum { RULES_FILE_BYTES_MAX = 60 * 1024, ITEMS_MAX = 1024 };

struct rules_reader {
	struct import *import;
	const char *file, *text;
	bool programs; /* the first pass: host_executable() alone; else all others */
};

static struct import_place at(const struct rules_reader *reader, TSNode node)
{
	return (struct import_place){reader->file, ts_node_start_point(node).row + 1};
}

static bool is(TSNode node, const char *type)
{
	return !ts_node_is_null(node) && strcmp(ts_node_type(node), type) == 0;
}

static bool says(const struct rules_reader *reader, TSNode node, const char *word)
{
	uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
	return end - start == strlen(word) && memcmp(reader->text + start, word, end - start) == 0;
}

/* ---- literals ---- */

static void append_character(struct buffer *out, unsigned long c)
{
	char bytes[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
	for (size_t i = n; i-- > 1; c >>= 6)
		bytes[i] = (char)(0x80 | (c & 0x3f));
	bytes[0] = (char)(first[n] | c);
	buffer_append(out, bytes, n);
}

/* One escape sequence, from behind the backslash. The bytes that it has, or 0 where it is none. */
static size_t unescape(const char *s, const char *end, struct buffer *out)
{
	static const char letters[] = "nrtabfv\\'\"", values[] = "\n\r\t\a\b\f\v\\'\"";
	static const struct {
		char letter;
		size_t digits;
	} numbers[] = {{'x', 2}, {'u', 4}, {'U', 8}};
	if (s >= end)
		return 0;
	const char *letter = strchr(letters, *s);
	if (*s && letter) {
		buffer_append(out, &values[letter - letters], 1);
		return 1;
	}
	if (*s == '\n')
		return 1; /* the line goes on */
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char digits[9] = "", *stop;
		if (*s != numbers[i].letter || (size_t)(end - s) <= numbers[i].digits)
			continue;
		memcpy(digits, s + 1, numbers[i].digits);
		unsigned long c = strtoul(digits, &stop, 16);
		bool good = stop == digits + numbers[i].digits && c > 0 && c < 0x110000 &&
			    (c < 0xd800 || c > 0xdfff);
		if (good)
			append_character(out, c);
		return good ? numbers[i].digits + 1 : 0;
	}
	return 0;
}

/* The text of a string literal; NULL: it is none that can be known (formatted, bytes), or holds
 * what no argument can. */
static char *literal(const struct rules_reader *reader, TSNode node)
{
	if (!is(node, "string"))
		return NULL;
	const char *s = reader->text + ts_node_start_byte(node);
	const char *end = reader->text + ts_node_end_byte(node);
	bool raw = *s == 'r' || *s == 'R';
	s += raw;
	if (s >= end || (*s != '"' && *s != '\''))
		return NULL;
	size_t quotes = end - s >= 6 && s[1] == *s && s[2] == *s ? 3 : 1;
	if ((size_t)(end - s) < 2 * quotes)
		return NULL;
	s += quotes;
	end -= quotes;
	cleanup_buffer struct buffer out = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
	while (s < end) {
		size_t n = 1;
		if (*s == '\0')
			return NULL;
		if (*s == '\\' && !raw) {
			n = unescape(s + 1, end, &out);
			if (n == 0)
				return NULL;
			n++;
		} else {
			buffer_append(&out, s, 1);
		}
		s += n;
	}
	return out.length_bytes ? buffer_steal(&out) : strdup("");
}

/* Children are found by counting: a list of a hundred thousand would take minutes. */
static bool is_list(TSNode node)
{
	return is(node, "list") && ts_node_named_child_count(node) <= ITEMS_MAX;
}

/* Steps over comments, which may stand between any two elements. */
static TSNode named(TSNode parent, uint32_t *index)
{
	uint32_t count = ts_node_named_child_count(parent);
	while (*index < count) {
		TSNode child = ts_node_named_child(parent, (*index)++);
		if (!is(child, "comment"))
			return child;
	}
	return (TSNode){0};
}

static bool literals(const struct rules_reader *reader, TSNode list, struct strv *ret)
{
	if (!is_list(list))
		return false;
	uint32_t index = 0;
	for (TSNode item; !ts_node_is_null(item = named(list, &index));) {
		char *text = literal(reader, item);
		if (!text || strv_add_owned(ret, text) < 0)
			return false;
	}
	return true;
}

/* ---- calls ---- */

enum { ARGUMENTS_MAX = 16 };
struct argument {
	TSNode name, value;
};
struct call {
	struct argument arguments[ARGUMENTS_MAX];
	size_t count;
	struct import_place place;
};

static const TSNode *argument(
	const struct rules_reader *reader, const struct call *call, const char *name)
{
	for (size_t i = 0; i < call->count; i++)
		if (says(reader, call->arguments[i].name, name))
			return &call->arguments[i].value;
	return NULL;
}

static char *text_argument(
	const struct rules_reader *reader, const struct call *call, const char *name)
{
	const TSNode *value = argument(reader, call, name);
	return value ? literal(reader, *value) : NULL;
}

/* Every argument is one of names (separated by blanks), or the call is noted. */
static bool takes_only(
	const struct rules_reader *reader, const struct call *call, const char *names)
{
	for (size_t i = 0; i < call->count; i++) {
		TSNode name = call->arguments[i].name;
		bool known = false;
		for (const char *s = names; *s && !known; s += strspn(s, " ")) {
			size_t n = strcspn(s, " ");
			known = ts_node_end_byte(name) - ts_node_start_byte(name) == n &&
				memcmp(reader->text + ts_node_start_byte(name), s, n) == 0;
			s += n;
		}
		if (!known) {
			import_note(reader->import, at(reader, name), "an unknown argument");
			return false;
		}
	}
	return true;
}

static bool read_decision(const char *word, enum verdict *ret)
{
	static const struct {
		const char *word;
		enum verdict verdict;
	} words[] = {{"allow", VERDICT_ALLOW}, {"prompt", VERDICT_ASK},
		{"forbidden", VERDICT_FORBID}, {"deny", VERDICT_FORBID}};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].word, word) == 0) {
			*ret = words[i].verdict;
			return true;
		}
	return false;
}

static bool read_pattern(
	const struct rules_reader *reader, const struct call *call, struct import_rule *rule)
{
	const TSNode *pattern = argument(reader, call, "pattern");
	if (!pattern || !is_list(*pattern))
		return false;
	uint32_t index = 0;
	for (TSNode item; !ts_node_is_null(item = named(*pattern, &index));) {
		struct rule_word *word = import_rule_word(rule);
		if (!word)
			return false;
		if (is(item, "list")) {
			if (!literals(reader, item, &word->any) || word->any.count == 0)
				return false;
			continue;
		}
		char *text = literal(reader, item);
		if (!text || strv_add_owned(&word->any, text) < 0)
			return false;
	}
	return rule->prefix_count > 0;
}

static char *quoted(const struct strv *words)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
	quote_words(words->items, false, &line);
	return words->count ? buffer_steal(&line) : NULL;
}

/* Examples are lines or lists of words; both become lines. */
static bool read_examples(const struct rules_reader *reader, const struct call *call,
	const char *name, struct strv *ret)
{
	const TSNode *list = argument(reader, call, name);
	if (!list)
		return true;
	if (!is_list(*list))
		return false;
	uint32_t index = 0;
	for (TSNode item; !ts_node_is_null(item = named(*list, &index));) {
		cleanup_strv struct strv words = {0};
		char *line = NULL;
		if (is(item, "list"))
			line = literals(reader, item, &words) ? quoted(&words) : NULL;
		else
			line = literal(reader, item);
		if (!line || strv_add_owned(ret, line) < 0)
			return false;
	}
	return true;
}

static void take_prefix_rule(const struct rules_reader *reader, const struct call *call)
{
	struct import_rule rule = {.decision = VERDICT_ALLOW};
	cleanup_free char *decision = text_argument(reader, call, "decision");
	if (!takes_only(reader, call, "pattern decision justification match not_match"))
		return;
	rule.reason = text_argument(reader, call, "justification");
	if (!read_pattern(reader, call, &rule))
		import_note(reader->import, call->place,
			"the pattern is no list of literal words and lists of them");
	else if (argument(reader, call, "decision") &&
		 (!decision || !read_decision(decision, &rule.decision)))
		import_note(reader->import, call->place,
			"the decision is none of allow, prompt, forbidden");
	else if (argument(reader, call, "justification") && !rule.reason)
		import_note(reader->import, call->place, "the justification is no literal");
	else if (!read_examples(reader, call, "match", &rule.matches) ||
		 !read_examples(reader, call, "not_match", &rule.not_matches))
		import_note(reader->import, call->place, "the examples are no literals");
	else
		import_rule(reader->import, call->place, &rule);
	import_rule_release(&rule);
}

static char *placed_path(struct import *import, const char *path)
{
	if (strncmp(path, "~/", 2) == 0 && import->home)
		return path_join(import->home, path + 2);
	return path[0] == '/' ? path_absolute("/", path) : NULL;
}

static void take_host_executable(const struct rules_reader *reader, const struct call *call)
{
	struct import *import = reader->import;
	cleanup_strv struct strv paths = {0};
	cleanup_free char *name = text_argument(reader, call, "name");
	const TSNode *list = argument(reader, call, "paths");
	if (!takes_only(reader, call, "name paths"))
		return;
	if (!name || !list || !literals(reader, *list, &paths)) {
		import_note(import, call->place, "name and paths are no literals");
		return;
	}
	struct import_program *programs =
		reallocarray(import->programs, import->programs_count + 1, sizeof(*programs));
	if (!programs) {
		import->error = -ENOMEM;
		return;
	}
	import->programs = programs;
	struct import_program *program = &programs[import->programs_count++];
	*program = (struct import_program){.name = steal_pointer(&name)};
	for (size_t i = 0; i < paths.count; i++) {
		char *path = placed_path(import, paths.items[i]);
		if (!path)
			import_note(
				import, call->place, "the path '%s' is relative", paths.items[i]);
		else if (strv_add_owned(&program->paths, path) < 0)
			import->error = -ENOMEM;
	}
}

static void take_network_rule(const struct rules_reader *reader, const struct call *call)
{
	static const char *const lists[] = {
		[VERDICT_ALLOW] = "allow_domain",
		[VERDICT_ASK] = "ask_domain",
		[VERDICT_FORBID] = "deny_domain",
	};
	static const struct {
		const char *protocol, *ports;
	} protocols[] = {{"http", ":80"}, {"https", ":443"}, {"https_connect", ":443"},
		{"http-connect", ":443"}};
	struct import *import = reader->import;
	cleanup_free char *host = text_argument(reader, call, "host"), *target = NULL;
	cleanup_free char *protocol = text_argument(reader, call, "protocol");
	cleanup_free char *word = text_argument(reader, call, "decision");
	enum verdict verdict;
	char name[NETWORK_NAME_BYTES];
	if (!takes_only(reader, call, "host protocol decision justification"))
		return;
	if (!host || !protocol || !word || !read_decision(word, &verdict)) {
		import_note(import, call->place, "host, protocol and decision are no literals");
		return;
	}
	size_t i = 0;
	while (i < ARRAY_SIZE(protocols) && strcmp(protocols[i].protocol, protocol) != 0)
		i++;
	if (i == ARRAY_SIZE(protocols) || network_normalize_name(host, name) < 0) {
		import_note(
			import, call->place, "a network rule for '%s' over '%s'", host, protocol);
		return;
	}
	/* What is denied for one protocol is denied for all: narrower, never wider. */
	if (asprintf(&target, "%s%s", name, verdict == VERDICT_FORBID ? "" : protocols[i].ports) <
		0) {
		target = NULL;
		import->error = -ENOMEM;
		return;
	}
	import_add(import, call->place, "network", lists[verdict], target);
}

static const struct {
	const char *name;
	bool programs;
	void (*take)(const struct rules_reader *reader, const struct call *call);
} functions[] = {
	{"host_executable", true, take_host_executable},
	{"prefix_rule", false, take_prefix_rule},
	{"network_rule", false, take_network_rule},
};

static bool read_call(TSNode list, struct call *ret)
{
	uint32_t index = 0;
	if (ts_node_named_child_count(list) > ITEMS_MAX)
		return false;
	for (TSNode item; !ts_node_is_null(item = named(list, &index));) {
		if (!is(item, "keyword_argument") || ret->count == ARGUMENTS_MAX)
			return false;
		ret->arguments[ret->count++] =
			(struct argument){ts_node_child_by_field_name(item, "name", 4),
				ts_node_child_by_field_name(item, "value", 5)};
	}
	return true;
}

static void take_statement(const struct rules_reader *reader, TSNode statement)
{
	uint32_t index = 0;
	TSNode expression =
		is(statement, "expression_statement") ? named(statement, &index) : (TSNode){0};
	TSNode function = is(expression, "call")
				  ? ts_node_child_by_field_name(expression, "function", 8)
				  : (TSNode){0};
	size_t i = 0;
	while (i < ARRAY_SIZE(functions) &&
		!(is(function, "identifier") && says(reader, function, functions[i].name)))
		i++;
	if (i < ARRAY_SIZE(functions) && functions[i].programs != reader->programs)
		return;
	if (is(statement, "expression_statement") && is(expression, "string"))
		return; /* a comment in the form of a string */
	struct call call = {.place = at(reader, statement)};
	if (i == ARRAY_SIZE(functions) || ts_node_has_error(statement)) {
		if (!reader->programs)
			import_note(reader->import, call.place, "%s",
				ts_node_has_error(statement)
					? "this cannot be parsed"
					: "only calls of prefix_rule, host_executable and "
					  "network_rule are taken; nothing is evaluated");
		return;
	}
	if (!read_call(ts_node_child_by_field_name(expression, "arguments", 9), &call))
		import_note(
			reader->import, call.place, "arguments that are not written NAME = ...");
	else
		functions[i].take(reader, &call);
}

/* Where the whole cannot be parsed its pieces are not what they look like. */
static void read_statements(const struct rules_reader *reader, TSNode root)
{
	TSTreeCursor cursor = ts_tree_cursor_new(root);
	bool broken = is(root, "ERROR");
	for (bool more = ts_tree_cursor_goto_first_child(&cursor); more;
		more = ts_tree_cursor_goto_next_sibling(&cursor)) {
		TSNode statement = ts_tree_cursor_current_node(&cursor);
		if (is(statement, "comment") || (!broken && !ts_node_is_named(statement)))
			continue;
		if (!broken) {
			take_statement(reader, statement);
			continue;
		}
		if (!reader->programs)
			import_note(reader->import, at(reader, statement),
				"this cannot be parsed: nothing of the file is taken");
		break;
	}
	ts_tree_cursor_delete(&cursor);
}

int import_codex_rules(struct import *import, const char *file, const char *text,
	size_t length_bytes, bool programs, struct error *error)
{
	if (length_bytes > RULES_FILE_BYTES_MAX) {
		error_set(error, EFBIG, "import", "%.300s: larger than %d bytes", file,
			RULES_FILE_BYTES_MAX);
		return error_hint(error, "split it into several files");
	}
	TSParser *parser = ts_parser_new();
	if (!parser || !ts_parser_set_language(parser, tree_sitter_python())) {
		ts_parser_delete(parser);
		return error_set_errno(error, ENOMEM, "import", "%.300s", file);
	}
	TSTree *tree = ts_parser_parse_string(parser, NULL, text, (uint32_t)length_bytes);
	if (tree) {
		struct rules_reader reader = {import, file, text, programs};
		TSNode root = ts_tree_root_node(tree);
		read_statements(&reader, root);
		ts_tree_delete(tree);
	}
	ts_parser_delete(parser);
	return tree ? 0 : error_set_errno(error, ENOMEM, "import", "%.300s", file);
}
