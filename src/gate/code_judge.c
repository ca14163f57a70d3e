/* How grave a call is: by what it does, and by how much of what it does it with stands in the
 * source. */
#include "gate/code_internal.h"

#include <string.h>

static int compare_sink(const void *name, const void *sink)
{
	return strcmp(name, ((const struct sink *)sink)->name);
}

static const struct sink *find_sink(const struct code_run *run, const char *name)
{
	return bsearch(name, run->grammar->sinks, *run->grammar->sinks_count, sizeof(struct sink),
		compare_sink);
}

const struct sink *sink_of(const struct code_run *run, const char *name)
{
	static const char *const ways[] = {".call", ".apply", ".__call__", ".bind"};
	char plain[MAX_DOTTED_BYTES + 3];
	if (!name)
		return NULL;
	size_t length = strlen(name);
	if (length >= MAX_DOTTED_BYTES)
		return NULL;
	memcpy(plain, name, length + 1);
	const struct sink *sink = find_sink(run, plain);
	for (size_t i = 0; !sink && i < ARRAY_SIZE(ways); i++) {
		size_t way = strlen(ways[i]);
		if (length > way && strcmp(plain + length - way, ways[i]) == 0) {
			plain[length - way] = '\0';
			sink = find_sink(run, plain);
		}
	}
	/* Members of members, but not of what a call gave. */
	for (char *dot; !sink && (dot = strrchr(plain, '.')); *dot = '\0') {
		if (strchr(dot, '('))
			break;
		memcpy(dot, ".*", 3);
		sink = find_sink(run, plain);
	}
	return sink;
}

static int compare_module(const void *name, const void *module)
{
	return strcmp(name, ((const struct module_rule *)module)->name);
}

const char *module_rule_of(const struct code_run *run, const char *module)
{
	char name[MAX_DOTTED_BYTES];
	if (snprintf(name, sizeof(name), "%s", module) >= (int)sizeof(name))
		return NULL;
	for (;;) {
		const struct module_rule *found = bsearch(name, run->grammar->modules,
			*run->grammar->modules_count, sizeof(*found), compare_module);
		char *end = strrchr(name, '.');
		if (found || !end)
			return found ? found->rule : NULL;
		*end = '\0';
	}
}

void check_module(struct code_run *run, TSNode where, const char *module)
{
	const char *rule = module_rule_of(run, module);
	if (rule)
		report(run, rule, where);
}

bool check_text(struct code_run *run, TSNode where, struct value value)
{
	enum { MAX_PATH_LIKE_BYTES = 512 }; /* longer text is help, or a program's own data */
	static const char *const rules[] = {
		[TEXT_CREDENTIAL] = "credential-file",
		[TEXT_METADATA] = "credential-metadata",
		[TEXT_PERSISTENCE] = "persistence",
	};
	if (!value.text || strlen(value.text) > MAX_PATH_LIKE_BYTES)
		return false;
	enum text_kind kind = text_kind_of(value.text);
	if (kind == TEXT_ORDINARY)
		return true;
	report(run, rules[kind], where);
	if (kind != TEXT_PERSISTENCE) {
		run->credential.seen = true;
		run->credential.node = where;
	}
	return true;
}

void check_variable_name(struct code_run *run, TSNode where, const char *name)
{
	if (name && text_is_secret_name(name, strlen(name)))
		report(run, "credential-variable", where);
}

/* ---- processes ---- */

static bool is_shell(const char *program)
{
	static const char *const shells[] = {"sh", "bash", "dash", "zsh", "ksh", "ash", "fish",
		"cmd", "cmd.exe", "powershell", "powershell.exe", "pwsh"};
	const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(name, shells[i]) == 0)
			return true;
	return false;
}

static void judge_command_line(struct code_run *run, TSNode where, TSNode argument)
{
	struct value line = value_of(run, argument, 1);
	if (line.text && line.exact) {
		report(run, "shell", where);
		code_check_command(run, where, line.text);
		if (is_shell(line.text)) {
			run->shell_program.seen = true;
			run->shell_program.node = where;
		}
	} else if (line.text && line.folded) {
		report(run, "shell-built", where);
	} else {
		report(run, "shell-variable", where);
	}
}

void judge_shell(struct code_run *run, const struct call *call, const char *rule)
{
	(void)rule;
	judge_command_line(run, call->node, call_argument(call, 0));
}

/* [program, "-c", script], or program, ["-c", script]. */
static void judge_words(struct code_run *run, const struct call *call)
{
	TSNode words[MAX_ARGUMENTS];
	size_t count = 0;
	for (size_t i = 0; i < call->count && i < 3; i++) {
		TSNode argument = call->arguments[i];
		if (node_kind(run, argument) == NODE_LIST)
			count += node_children(argument, words + count, MAX_ARGUMENTS - count);
		else if (count < MAX_ARGUMENTS)
			words[count++] = argument;
	}
	struct value program = value_of(run, count ? words[0] : (TSNode){0}, 1);
	if (!program.text || !program.exact || !is_shell(program.text)) {
		report(run, "process", call->node);
		return;
	}
	for (size_t i = 1; i + 1 < count; i++) {
		struct value word = value_of(run, words[i], 1);
		if (word.text && (strcmp(word.text, "-c") == 0 || strcmp(word.text, "/c") == 0)) {
			judge_command_line(run, call->node, words[i + 1]);
			return;
		}
	}
	report(run, "process", call->node);
	run->shell_program.seen = true;
	run->shell_program.node = call->node;
}

void judge_process(struct code_run *run, const struct call *call, const char *rule)
{
	(void)rule;
	if (call_option_is_on(run, call, "shell"))
		judge_command_line(run, call->node, call_argument(call, 0));
	else
		judge_words(run, call);
	if (call_option_is_on(run, call, "start_new_session") ||
		call_option_is_on(run, call, "detached"))
		report(run, "process-detached", call->node);
	struct value input = value_of(run, call_option(run, call, "stdin"), 1);
	if (input.name && strncmp(input.name, "socket.", strlen("socket.")) == 0)
		report(run, "reverse-shell", call->node);
}

/* ---- the network ---- */

void judge_network(struct code_run *run, const struct call *call, const char *rule)
{
	report(run, rule, call->node);
	run->network.seen = true;
	run->network.node = call->node;
	for (size_t i = 0; i < call->count + call->keywords_count; i++) {
		TSNode argument = i < call->count ? call->arguments[i]
						  : call->keywords[i - call->count].value;
		const char *name = value_of(run, argument, 1).name;
		if (name && (strcmp(name, "os.environ") == 0 || strcmp(name, "process.env") == 0))
			report(run, "exfiltration", call->node);
	}
}

void judge_dump(struct code_run *run, const struct call *call, const char *rule)
{
	struct value value = call_value(run, call, 0);
	if (!value.name)
		return;
	if (strcmp(value.name, "os.environ") != 0 && strcmp(value.name, "os.environ.copy()") != 0 &&
		strcmp(value.name, "process.env") != 0)
		return;
	report(run, rule, call->node);
	run->credential.seen = true;
	run->credential.node = call->node;
}

/* ---- evaluation ---- */

enum origin { ORIGIN_UNKNOWN, ORIGIN_DECODED, ORIGIN_FETCHED };

/* By the functions whose results a dotted name goes through: "requests.get().text". */
static enum origin origin_of_name(const struct code_run *run, const char *name)
{
	enum origin origin = ORIGIN_UNKNOWN;
	char part[MAX_DOTTED_BYTES + 3];
	if (!name || strlen(name) > MAX_DOTTED_BYTES)
		return origin;
	for (const char *at = strstr(name, "()"); at; at = strstr(at + 2, "()")) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - name), name);
		const struct sink *sink = sink_of(run, part);
		if (sink && strcmp(sink->rule, "network") == 0)
			return ORIGIN_FETCHED;
		if (sink && strcmp(sink->rule, "decode") == 0)
			origin = ORIGIN_DECODED;
	}
	return origin;
}

/* Also by the calls within the expression, some of them deep in what cannot be followed. */
static enum origin origin_of(struct code_run *run, TSNode node)
{
	enum { MAX_LOOKS = 512 };
	enum origin origin = origin_of_name(run, value_of(run, node, 1).name);
	if (ts_node_is_null(node))
		return origin;
	TSTreeCursor cursor = ts_tree_cursor_new(node);
	unsigned looks = 0;
	bool more = true;
	while (more && origin != ORIGIN_FETCHED && looks++ < MAX_LOOKS) {
		TSNode inner = ts_tree_cursor_current_node(&cursor);
		enum node_kind kind = node_kind(run, inner);
		if (kind == NODE_CALL || kind == NODE_IDENTIFIER) {
			enum origin found = origin_of_name(run, value_of(run, inner, 1).name);
			origin = found > origin ? found : origin;
		}
		if (ts_tree_cursor_goto_first_child(&cursor))
			continue;
		while (!(more = ts_tree_cursor_goto_next_sibling(&cursor)) &&
			ts_tree_cursor_goto_parent(&cursor))
			;
	}
	ts_tree_cursor_delete(&cursor);
	return origin;
}

void judge_evaluation(struct code_run *run, const struct call *call, const char *rule)
{
	/* Function("a", "b", "return a + b"): the last one is the body. */
	bool last = strstr(call->function.name ? call->function.name : "", "Function") != NULL;
	TSNode argument = call_argument(call, last && call->count ? call->count - 1 : 0);
	enum node_kind kind = node_kind(run, argument);
	struct value code = value_of(run, argument, 1);
	bool timer = strcmp(rule, "js-timer-text") == 0 || strcmp(rule, "timer-text") == 0;
	if (timer && !code.text && kind != NODE_BINARY)
		return;
	enum origin origin = origin_of(run, argument);
	if (origin == ORIGIN_FETCHED)
		report(run, "evaluate-fetched", call->node);
	else if (origin == ORIGIN_DECODED || (code.text && code.exact && code.folded && !timer))
		report(run, "evaluate-decoded", call->node);
	else if (timer)
		report(run, rule, call->node);
	else if (code.text && code.exact)
		report(run, "evaluate-literal", call->node);
	else
		report(run, rule, call->node);
	if (code.text && code.exact)
		code_check_nested(run, call->node, code.text);
}

/* ---- files ---- */

/* What a call works on: its first argument, or what it is a method of. */
static struct value subject_of(struct code_run *run, const struct call *call)
{
	return call->object.text ? call->object : call_value(run, call, 0);
}

static bool is_temporary(const struct value *value)
{
	static const char *const names[] = {"tempfile.", "@os.tmpdir", "@fs.mkdtemp"};
	for (size_t i = 0; value->name && i < ARRAY_SIZE(names); i++)
		if (strncmp(value->name, names[i], strlen(names[i])) == 0)
			return true;
	return value->text && strncmp(value->text, "/tmp/", strlen("/tmp/")) == 0;
}

void judge_deletion(struct code_run *run, const struct call *call, const char *rule)
{
	struct value path = subject_of(run, call);
	if (path.text && path.exact && text_is_precious_tree(path.text))
		report(run, "delete-precious", call->node);
	else if (is_temporary(&path) || (path.text && path.exact))
		report(run, "delete-tree-literal", call->node);
	else
		report(run, rule, call->node);
}

/* One file, or, with an option, a tree. */
void judge_one_deletion(struct code_run *run, const struct call *call, const char *rule)
{
	if (call_option_is_on(run, call, "recursive"))
		judge_deletion(run, call, "delete-tree");
	else if (ts_node_start_byte(call->node) < run->loop_end)
		report(run, rule, call->node);
}

void judge_write(struct code_run *run, const struct call *call, const char *rule)
{
	struct value path = subject_of(run, call);
	if (path.text && text_kind_of(path.text) == TEXT_PERSISTENCE)
		report(run, rule, call->node);
	/* A copy's target is its second argument. */
	struct value target = call_value(run, call, 1);
	bool copies = strstr(call->method, "copy") || strstr(call->method, "move") ||
		      strstr(call->method, "rename") || strstr(call->method, "symlink");
	if (copies && target.text && text_kind_of(target.text) == TEXT_PERSISTENCE)
		report(run, rule, call->node);
}

void judge_open(struct code_run *run, const struct call *call, const char *rule)
{
	TSNode option = call_option(run, call, "mode");
	bool method = call->object.text != NULL;
	struct value mode = ts_node_is_null(option) ? call_value(run, call, method ? 0 : 1)
						    : value_of(run, option, 1);
	if (mode.text && strpbrk(mode.text, "wax+"))
		judge_write(run, call, rule);
}

void judge_permissions(struct code_run *run, const struct call *call, const char *rule)
{
	enum { OTHERS_WRITE = 02, WITH_OWNERS_RIGHTS = 06000 };
	bool umask = strstr(call->method, "umask") != NULL ||
		     strstr(call->function.name ? call->function.name : "", "umask");
	bool method = call->object.text != NULL;
	TSNode argument = call_argument(call, umask || method ? 0 : 1);
	if (ts_node_is_null(argument))
		return;
	const char *text = node_text(run, argument);
	char *end;
	if (strstr(text, "S_IWOTH") || strstr(text, "S_IRWXO") || strstr(text, "S_ISUID") ||
		strstr(text, "S_ISGID")) {
		/* `mode & ~stat.S_IWOTH` takes it away. */
		if (!strchr(text, '~'))
			report(run, rule, call->node);
		return;
	}
	struct value written = value_of(run, argument, 1);
	long mode;
	if (written.text)
		mode = strtol(written.text, &end, 8);
	else if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O'))
		mode = strtol(text + 2, &end, 8);
	else
		mode = strtol(text, &end, 0);
	if (end == text || *(written.text ? end : end) != '\0')
		return;
	if (umask ? mode == 0 : (mode & (OTHERS_WRITE | WITH_OWNERS_RIGHTS)) != 0)
		report(run, rule, call->node);
}

/* ---- what is loaded ---- */

void judge_import(struct code_run *run, const struct call *call, const char *rule)
{
	struct value module = call_value(run, call, 0);
	if (module.text && module.exact) {
		if (module.folded && module_rule_of(run, module.text))
			report(run, "disguised", call->node);
		check_module(run, call->node, module.text);
	} else if (call->count > 0) {
		report(run, rule, call->node);
	}
}

void judge_plain(struct code_run *run, const struct call *call, const char *rule)
{
	report(run, rule, call->node);
}

/* ---- any call ---- */

static const char *rule_of_reference(const char *rule)
{
	static const char *const rules[][2] = {
		{"shell", "shell-variable"},
		{"evaluate", "evaluate"},
		{"process", "process"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (strcmp(rule, rules[i][0]) == 0)
			return rules[i][1];
	return NULL;
}

void check_reference(struct code_run *run, TSNode node)
{
	enum node_kind kind = node_kind(run, node);
	if (kind != NODE_IDENTIFIER && kind != NODE_ATTRIBUTE && kind != NODE_SUBSCRIPT &&
		kind != NODE_CALL)
		return;
	const struct sink *sink = sink_of(run, value_of(run, node, 1).name);
	const char *rule = sink && sink->judge ? rule_of_reference(sink->rule) : NULL;
	if (rule)
		report(run, rule, node);
}

void check_references(struct code_run *run, TSNode container)
{
	TSNode items[MAX_ARGUMENTS];
	size_t count = node_children(container, items, MAX_ARGUMENTS);
	for (size_t i = 0; i < count; i++) {
		TSNode value = node_field(run, items[i], FIELD_VALUE);
		bool pair = node_is(items[i], "pair");
		if (node_kind(run, items[i]) != NODE_CALL)
			check_reference(run, pair ? value : items[i]);
	}
}

void check_loader_variable(struct code_run *run, TSNode where, const char *name)
{
	static const char *const names[] = {"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH",
		"DYLD_INSERT_LIBRARIES", "PYTHONSTARTUP", "PYTHONPATH", "NODE_OPTIONS", "BASH_ENV",
		"PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND", "PROMPT_COMMAND"};
	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			report(run, "loader-variable", where);
}

static void check_sql(struct code_run *run, const struct call *call)
{
	static const char *const names[] = {"execute", "executemany", "executescript", "query",
		"raw", "prepare", "$queryRawUnsafe"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(call->method, names[i]) != 0)
			continue;
		struct value statement = call_value(run, call, 0);
		if (statement.text && !statement.exact && text_is_sql(statement.text))
			report(run, "sql-built", call->node);
		return;
	}
}

void check_call(struct code_run *run, const struct call *call)
{
	const struct sink *sink = sink_of(run, call->function.name);
	if (sink && sink->judge) {
		if (call->function.disguised)
			report(run, "disguised", call->node);
		sink->judge(run, call, sink->rule);
	}
	/* What only stands for its argument (promisify, partial) is looked at where it is used. */
	bool stands = fold_stands_for_first(run, call->function.name);
	for (size_t i = 0; i < call->count && !stands; i++)
		check_reference(run, call->arguments[i]);
	for (size_t i = 0; i < call->keywords_count; i++)
		check_reference(run, call->keywords[i].value);
	if (*call->method)
		check_sql(run, call);
}
