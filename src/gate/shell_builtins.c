/* The shell's own words. Most do nothing that matters here; the others run text as a script,
 * start a command, or change what later words mean, which is a doubt about the whole shell. */
#include "gate/shell.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

/* One builtin at work. */
struct call {
	struct analyzer *a;
	struct scope *scope;
	const struct frame *frame;
	const struct input *input;
	size_t part;
	char *const *words; /* words[0] is the builtin */
	const bool *known;
	size_t count;
};

static void doubt(const struct call *call, const char *why)
{
	part_doubt(call->a, call->part, why);
}

static void doom(const struct call *call, const char *why)
{
	doubt(call, why);
	scope_doom(call->scope, why);
}

/* NAME, NAME=VALUE or NAME+=VALUE, or what is not known of it. */
static void take_name(const struct call *call, size_t i)
{
	const char *word = call->words[i];
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
	const char *rest = word + n + (word[n] == '+');
	if (n == 0 || (*rest != '=' && (*rest || !call->known[i])))
		return doom(call, "which variable it sets is not known");
	cleanup_free char *name = analyzer_copy(call->a, word, n);
	const char *value = rest + 1;
	bool number = *rest == '=' && call->known[i] && *value && *(rest - 1) != '+' &&
		      strspn(value, "0123456789") == strlen(value);
	if (name)
		scope_assign(call->a, call->scope, name, number);
}

static void on_assign(const struct call *call)
{
	for (size_t i = 1; i < call->count; i++) {
		const char *word = call->words[i];
		if ((word[0] == '-' || word[0] == '+') && call->known[i]) {
			if (strpbrk(word, "fniF"))
				doom(call, "it changes what names and values mean");
		} else if (call->known[i] && !strchr(word, '=')) {
			if (strchr(word, '['))
				doom(call, "a subscript may run commands");
			/* `local x`, `export x`: as it was. */
		} else {
			take_name(call, i);
			if (call->scope->dialect != DIALECT_BASH && !call->known[i] &&
				!shell_is_one_word(word))
				doom(call, "some shells split the value into words");
		}
	}
}

/* Builtins that end with names to be set; letters: options with a value. */
static void set_names(const struct call *call, const char *letters)
{
	for (size_t i = 1; i < call->count; i++) {
		const char *word = call->words[i];
		if (!call->known[i])
			return doom(call, "which variable it sets is not known");
		if (word[0] != '-' || !word[1]) {
			take_name(call, i);
			continue;
		}
		for (const char *p = word + 1; *p; p++) {
			if (!strchr(letters, *p))
				continue;
			if (*p == 'C')
				return doom(call, "it runs a command for what it reads");
			if (*p == 'a' && p[1]) /* an array's name, attached */
				return doom(call, "which variable it sets is not known");
			if (!p[1] && *p != 'a') /* what is read, not what is set */
				i++;
			break;
		}
	}
}

static void on_read(const struct call *call)
{
	set_names(call, "adinNptu");
}

static void on_mapfile(const struct call *call)
{
	set_names(call, "dnOsuCc");
}

static void on_getopts(const struct call *call)
{
	if (call->count > 2)
		take_name(call, 2);
}

static void on_printf(const struct call *call)
{
	if (call->count < 2)
		return;
	const char *first = call->words[1];
	if (!call->known[1] &&
		(first[0] == '$' || first[0] == '`' || (first[0] == '"' && strchr("$`", first[1]))))
		doubt(call, "it may set a variable that is not known");
	else if (strcmp(first, "-v") == 0 && call->count > 2)
		take_name(call, 2);
	else if (strncmp(first, "-v", 2) == 0)
		doom(call, "which variable it sets is not known");
}

static void on_wait(const struct call *call)
{
	for (size_t i = 1; i < call->count; i++)
		if (call->known[i] && strpbrk(call->words[i], "p["))
			doom(call, "it sets a variable");
}

static void on_unset(const struct call *call)
{
	for (size_t i = 1; i < call->count; i++) {
		const char *word = call->words[i];
		if (!call->known[i] || strchr(word, '['))
			doubt(call, "what it unsets is not known");
		if (word[0] != '-' && strcmp(word, "PATH") == 0)
			doom(call, "it changes where programs are looked for");
	}
	call->scope->functions_unsure = true;
}

static void on_let(const struct call *call)
{
	doubt(call, "arithmetic runs what a variable's text may hold");
}

/* One word that stands for exactly one argument, whatever it holds. */
static bool is_one_word(const struct call *call, size_t i)
{
	const char *word = call->words[i];
	size_t n = strlen(word);
	if (call->known[i] || strcmp(word, "$#") == 0 || strcmp(word, "$?") == 0)
		return true;
	return n >= 2 && word[0] == '"' && word[n - 1] == '"' && !memchr(word + 1, '"', n - 2) &&
	       !strchr(word, '@');
}

/* test -v NAME evaluates a subscript in NAME: with words that are not known, only where an
 * operator can be nothing but what it seems. */
static void on_test(const struct call *call)
{
	size_t first = 1, end = call->count;
	if (call->words[0][0] == '[')
		end--;
	while (first < end && call->known[first] && strcmp(call->words[first], "!") == 0)
		first++;
	bool all_known = true, single = true, names = false;
	for (size_t i = first; i < end; i++) {
		all_known &= call->known[i];
		single &= is_one_word(call, i);
		names |= call->known[i] && strpbrk(call->words[i], "[") && call->words[i][0] != '[';
		if (call->known[i] &&
			(strcmp(call->words[i], "-v") == 0 || strcmp(call->words[i], "-R") == 0))
			names |= !all_known || (i + 1 < end && !call->known[i + 1]);
	}
	size_t n = end > first ? end - first : 0;
	bool shaped =
		n <= 1 || (n == 2 && call->known[first]) || (n == 3 && call->known[first + 1]);
	if (names || (!all_known && !(single && shaped)))
		doubt(call, "a test evaluates what a name may hold");
}

static void on_set(const struct call *call)
{
	static const char *const harmless[] = {"allexport", "errexit", "errtrace", "functrace",
		"noclobber", "noglob", "notify", "nounset", "pipefail", "verbose", "xtrace"};
	for (size_t i = 1; i < call->count; i++) {
		const char *word = call->words[i];
		if (!call->known[i])
			return doom(call, "which option of the shell it sets is not known");
		if (strcmp(word, "--") == 0 || strcmp(word, "-") == 0 ||
			(word[0] != '-' && word[0] != '+'))
			return;
		if (strspn(word + 1, "abefnuvxCETo") != strlen(word + 1))
			return doom(call, "it changes how the shell reads what follows");
		if (!strchr(word, 'o') || i + 1 == call->count)
			continue;
		bool found = false;
		i++;
		for (size_t k = 0; k < ARRAY_SIZE(harmless); k++)
			found |= call->known[i] && strcmp(call->words[i], harmless[k]) == 0;
		if (!found)
			return doom(call, "it changes how the shell reads what follows");
	}
}

static void on_shopt(const struct call *call)
{
	static const char *const harmless[] = {"-s", "-u", "-q", "-p", "-sq", "-qs", "checkjobs",
		"checkwinsize", "dotglob", "execfail", "failglob", "globstar", "huponexit",
		"inherit_errexit", "lastpipe", "nocaseglob", "nullglob"};
	for (size_t i = 1; i < call->count; i++) {
		bool found = false;
		for (size_t k = 0; k < ARRAY_SIZE(harmless); k++)
			found |= call->known[i] && strcmp(call->words[i], harmless[k]) == 0;
		if (!found)
			return doom(call, "it changes how the shell reads what follows");
	}
}

static void on_alias(const struct call *call)
{
	for (size_t i = 1; i < call->count; i++)
		if (!call->known[i] || strchr(call->words[i], '='))
			doom(call, "an alias changes what later words mean");
}

static void on_enable(const struct call *call)
{
	if (call->count > 1)
		doom(call, "it changes which words are the shell's own");
}

static void on_hash(const struct call *call)
{
	for (size_t i = 1; i < call->count; i++)
		if (!call->known[i] ||
			(call->words[i][0] == '-' && strcmp(call->words[i], "-r") != 0))
			doom(call, "it changes where programs are looked for");
}

static void on_move(const struct call *call)
{
	call->scope->moved = true;
}

static void on_disown(const struct call *call)
{
	call->a->analysis->parts[call->part].background = true;
}

static void on_jobs(const struct call *call)
{
	for (size_t i = 1; i < call->count; i++)
		if (!call->known[i] || strncmp(call->words[i], "-x", 2) == 0)
			doubt(call, "it runs a command");
}

static void on_hidden_commands(const struct call *call)
{
	doubt(call, "it may run commands that are not followed");
}

/* In this same shell. */
static void run_text(const struct call *call, const char *text, size_t length, const char *file)
{
	struct frame frame = *call->frame;
	frame.depth++;
	call->scope->shared++;
	shell_script(call->a, call->scope, &frame, text, length, file);
	call->scope->shared--;
}

static void on_eval(const struct call *call)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_SCRIPT_BYTES);
	size_t first = call->count > 1 && strcmp(call->words[1], "--") == 0 ? 2 : 1;
	for (size_t i = first; i < call->count; i++) {
		if (!call->known[i])
			return doom(call, "eval of what is known only when it runs");
		if (i > first)
			buffer_append_string(&text, " ");
		buffer_append_string(&text, call->words[i]);
	}
	if (buffer_error(&text) == -ENOMEM)
		return analyzer_no_memory(call->a);
	if (buffer_error(&text))
		return doom(call, "eval of too much");
	if (text.data)
		run_text(call, text.data, text.length_bytes, NULL);
}

static void on_trap(const struct call *call)
{
	size_t i = 1;
	while (i < call->count && call->known[i] && call->words[i][0] == '-' && call->words[i][1])
		if (strcmp(call->words[i++], "--") == 0)
			break;
	if (i >= call->count)
		return;
	if (!call->known[i])
		return doom(call, "the trap's commands are known only when it runs");
	const char *word = call->words[i];
	if (strcmp(word, "-") != 0 && strspn(word, "0123456789") != strlen(word))
		run_text(call, word, strlen(word), NULL);
}

static void on_source(const struct call *call)
{
	size_t i = call->count > 1 && strcmp(call->words[1], "--") == 0 ? 2 : 1;
	if (i >= call->count)
		return;
	if (!call->known[i])
		return doom(call, "the sourced file is known only when it runs");
	if (!strchr(call->words[i], '/'))
		return doom(call, "the sourced file is looked for in PATH");
	cleanup_script_file struct script_file file;
	if (shell_read_file(call->a, call->scope, call->frame, call->words[i], &file) < 0)
		return doom(call, file.why);
	size_t after = call->a->analysis->count;
	run_text(call, file.text, file.length_bytes, call->words[i]);
	if (file_may_change(call->a, call->part, call->words[i], after))
		doom(call, "the sourced file may change before it is read");
}

/* exec, command, builtin: words first... once more, without functions. */
static void run_words(const struct call *call, size_t first, enum part_kind kind)
{
	if (first >= call->count || !analyzer_enter(call->a))
		return;
	const struct gate_part *outer = &call->a->analysis->parts[call->part];
	struct gate_part part = {
		.kind = kind,
		.line = outer->line,
		.column = outer->column,
		.depth = outer->depth + 1,
		.piped_from = outer->piped_from,
		.background = outer->background,
		.as_other_user = outer->as_other_user,
		.text = analyzer_copy(call->a, outer->text, strlen(outer->text)),
	};
	for (size_t i = first; i < call->count; i++)
		part_add_word(call->a, &part, strdup(call->words[i]), call->known[i]);
	bool builtin = kind == PART_BUILTIN;
	size_t index = analyzer_add(call->a, &part);
	if (index == SIZE_MAX)
		;
	else if (!call->known[first])
		part_doubt(call->a, index, "what the command is, is known only when it runs");
	else if (builtin)
		shell_builtin(call->a, call->scope, call->frame, index, call->input);
	else
		look_inside(call->a, call->scope, call->frame, index, call->input);
	analyzer_leave(call->a);
}

static void on_exec(const struct call *call)
{
	size_t i = 1;
	for (; i < call->count && call->words[i][0] == '-'; i++) {
		const char *word = call->words[i];
		if (strcmp(word, "--") == 0) {
			i++;
			break;
		}
		if (!call->known[i] || strspn(word + 1, "cl") + 1 < strlen(word))
			if (strcmp(word, "-a") != 0 || ++i >= call->count)
				return doubt(call, "an option that is not known");
		if (call->scope->dialect != DIALECT_BASH)
			return doubt(call, "an option that is not known");
	}
	run_words(call, i, PART_COMMAND);
}

static void on_command(const struct call *call)
{
	size_t i = 1;
	for (; i < call->count && call->words[i][0] == '-'; i++) {
		const char *word = call->words[i];
		if (strcmp(word, "--") == 0) {
			i++;
			break;
		}
		if (!call->known[i] || !word[1] || strspn(word + 1, "pvV") + 1 < strlen(word))
			return doubt(call, "an option that is not known");
		if (strpbrk(word, "vV")) /* only tells what it would be */
			return;
	}
	if (i < call->count)
		run_words(call, i,
			call->known[i] && shell_is_builtin(call->words[i]) ? PART_BUILTIN
									   : PART_COMMAND);
}

static void on_builtin(const struct call *call)
{
	size_t i = call->count > 1 && strcmp(call->words[1], "--") == 0 ? 2 : 1;
	run_words(call, i, PART_BUILTIN);
}

/* Sorted. bash_only: other shells have no such builtin, or another one. */
static const struct builtin {
	const char *name;
	void (*act)(const struct call *call);
	bool bash_only;
} builtins[] = {
	{".", on_source, false},
	{":", NULL, false},
	{"[", on_test, false},
	{"alias", on_alias, false},
	{"bg", NULL, false},
	{"bind", on_hidden_commands, true},
	{"break", NULL, false},
	{"builtin", on_builtin, true},
	{"caller", NULL, true},
	{"cd", on_move, false},
	{"command", on_command, false},
	{"compgen", on_hidden_commands, true},
	{"complete", on_hidden_commands, true},
	{"compopt", NULL, true},
	{"continue", NULL, false},
	{"declare", on_assign, true},
	{"dirs", NULL, true},
	{"disown", on_disown, true},
	{"echo", NULL, false},
	{"enable", on_enable, true},
	{"eval", on_eval, false},
	{"exec", on_exec, false},
	{"exit", NULL, false},
	{"export", on_assign, false},
	{"false", NULL, false},
	{"fc", on_hidden_commands, true},
	{"fg", NULL, false},
	{"getopts", on_getopts, false},
	{"hash", on_hash, false},
	{"help", NULL, true},
	{"history", on_hidden_commands, true},
	{"jobs", on_jobs, false},
	{"kill", NULL, false},
	{"let", on_let, true},
	{"local", on_assign, false},
	{"logout", NULL, true},
	{"mapfile", on_mapfile, true},
	{"popd", on_move, true},
	{"printf", on_printf, false},
	{"pushd", on_move, true},
	{"pwd", NULL, false},
	{"read", on_read, false},
	{"readarray", on_mapfile, true},
	{"readonly", on_assign, false},
	{"return", NULL, false},
	{"set", on_set, false},
	{"shift", NULL, false},
	{"shopt", on_shopt, true},
	{"source", on_source, true},
	{"suspend", NULL, true},
	{"test", on_test, false},
	{"times", NULL, false},
	{"trap", on_trap, false},
	{"true", NULL, false},
	{"type", NULL, false},
	{"typeset", on_assign, true},
	{"ulimit", NULL, false},
	{"umask", NULL, false},
	{"unalias", NULL, false},
	{"unset", on_unset, false},
	{"wait", on_wait, false},
};

static int by_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct builtin *)entry)->name);
}

static const struct builtin *find(const char *name)
{
	return bsearch(name, builtins, ARRAY_SIZE(builtins), sizeof(builtins[0]), by_name);
}

bool shell_is_builtin(const char *name)
{
	return find(name) != NULL;
}

void shell_builtin(struct analyzer *a, struct scope *scope, const struct frame *frame, size_t part,
	const struct input *input)
{
	const struct gate_part *p = &a->analysis->parts[part];
	const struct builtin *builtin = find(p->argv.items[0]);
	struct call call = {
		.a = a,
		.scope = scope,
		.frame = frame,
		.input = input,
		.part = part,
		.words = p->argv.items,
		.known = p->word_known,
		.count = p->argv.count,
	};
	if (!builtin)
		return part_doubt(a, part, "no builtin of this name is known");
	if (builtin->bash_only && scope->dialect != DIALECT_BASH)
		scope_doom(scope, "this shell may read it otherwise than bash");
	if (builtin->act)
		builtin->act(&call);
}
