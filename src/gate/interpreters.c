/* Programs that take a program: shells, whose script is taken apart; interpreters of other
 * languages, whose source is handed to code analysis where there is one (gate/code.h) and is
 * undecidable where there is none; and script files, which name their interpreter in their first
 * line. */
#include "gate/wrappers.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	enum dialect dialect;
} shells[] = {
	{"ash", DIALECT_POSIX},
	{"bash", DIALECT_BASH},
	{"csh", DIALECT_OTHER},
	{"dash", DIALECT_POSIX},
	{"fish", DIALECT_OTHER},
	{"ksh", DIALECT_OTHER},
	{"ksh93", DIALECT_OTHER},
	{"mksh", DIALECT_OTHER},
	{"rbash", DIALECT_BASH},
	{"sh", DIALECT_POSIX},
	{"tcsh", DIALECT_OTHER},
	{"yash", DIALECT_OTHER},
	{"zsh", DIALECT_OTHER},
};

/* Why a script file is not looked into; NULL: it may be. */
static const char *out_of_reach(const struct analyzer *a, const struct scope *scope,
	const struct frame *frame, bool absolute)
{
	if (!a->context->read_file || (!absolute && !a->context->directory))
		return "the script file is not looked into";
	if (frame->elsewhere)
		return "the file is on another system or in another directory";
	if (!absolute && (frame->moved || (scope && scope->moved)))
		return "the working directory may have changed before";
	return NULL;
}

int shell_read_file(struct analyzer *a, const struct scope *scope, const struct frame *frame,
	const char *path, struct script_file *ret)
{
	const struct analysis_context *context = a->context;
	bool absolute = path[0] == '/';
	*ret = (struct script_file){.why = out_of_reach(a, scope, frame, absolute)};
	if (ret->why)
		return -ECANCELED;
	const char *directory = scope && scope->directory ? scope->directory
				: frame->directory        ? frame->directory
							  : context->directory;
	cleanup_free char *full = path_absolute(absolute ? "/" : directory, path);
	/* /dev/stdin would be the gate's own. */
	if (full && (path_is_below(full, "/dev") || path_is_below(full, "/proc"))) {
		ret->why = "the file is what another process makes of it";
		return -ECANCELED;
	}
	size_t max = a->bytes_left < MAX_SCRIPT_BYTES ? a->bytes_left : MAX_SCRIPT_BYTES;
	int r = full ? context->read_file(context->data, full, max, &ret->text, &ret->length_bytes)
		     : -errno;
	if (r == -ENOMEM)
		analyzer_no_memory(a);
	if (r < 0)
		ret->why = "the file cannot be read";
	return r;
}

void script_file_release(struct script_file *file)
{
	free(file->text);
	*file = (struct script_file){0};
}

/* A write that may reach a file of this name. */
static bool may_write(const struct gate_part *part, const char *name)
{
	for (size_t i = 0; i < part->redirections_count; i++) {
		const struct redirection *redirection = &part->redirections[i];
		if (redirection->kind == REDIRECT_READ)
			continue;
		const char *slash = redirection->target ? strrchr(redirection->target, '/') : NULL;
		if (!redirection->target ||
			strcmp(slash ? slash + 1 : redirection->target, name) == 0)
			return true;
	}
	return false;
}

/* What was read may be another file by the time it runs. Whatever stands before the part, and
 * does not merely wrap it, could have written it; and a script may write itself while it is
 * read. */
bool file_may_change(const struct analyzer *a, size_t reader, const char *path, size_t after)
{
	const struct analysis *analysis = a->analysis;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	unsigned depth = analysis->parts[reader].depth;
	for (size_t i = reader; i-- > 0;) {
		const struct gate_part *part = &analysis->parts[i];
		bool around = part->depth < depth;
		if (around)
			depth = part->depth;
		if (may_write(part, name) || (!around && part->kind != PART_BUILTIN))
			return true;
	}
	for (size_t i = after; i < analysis->count; i++)
		if (may_write(&analysis->parts[i], name))
			return true;
	return false;
}

static void doubt_if_changed(const struct look *look, const char *path, size_t after)
{
	if (file_may_change(look->a, look->part, path, after))
		look_doubt(look, "the file may change before it is run");
}

static void run_file(const struct look *look, enum dialect dialect, const char *path)
{
	cleanup_script_file struct script_file file;
	size_t after = look->a->analysis->count;
	if (shell_read_file(look->a, look->scope, &look->frame, path, &file) < 0)
		return look_doubt(look, file.why);
	struct frame frame = look->frame;
	frame.depth = look->a->analysis->parts[look->part].depth + 1;
	frame.piped_from = look->a->analysis->parts[look->part].piped_from;
	shell_process(look->a, dialect, &frame, file.text, file.length_bytes, path);
	doubt_if_changed(look, path, after);
}

/* Standard input is the script. */
static void run_input(const struct look *look, enum dialect dialect)
{
	const struct input *input = look->input;
	if (input && input->known && input->text)
		return look_at_script(look, input->text, dialect);
	if (input && input->file)
		return run_file(look, dialect, input->file);
	look->a->analysis->parts[look->part].reads_stdin_script = true;
	look_doubt(look, "it takes its commands from standard input");
}

/* The words of a shell's own options, before its script. */
struct shell_options {
	bool command, standard_input, odd;
};

static const char *const harmless_settings[] = {
	"errexit", "noglob", "nounset", "pipefail", "verbose", "xtrace"};

static size_t take_shell_options(
	const struct look *look, enum dialect dialect, struct shell_options *ret)
{
	/* Letters that leave the reading of a script as it is. */
	const char *letters = dialect == DIALECT_OTHER ? "cl" : "acefhlnpsuvxbET";
	size_t at = 1;
	for (; at < look->count; at++) {
		const char *word = look->words[at];
		if (!look->known[at]) {
			ret->odd |= strchr("-+$`\"{*?[~", word[0]) != NULL;
			break;
		}
		if (strcmp(word, "--") == 0 || strcmp(word, "-") == 0)
			return at + 1;
		if (strcmp(word, "--norc") == 0 || strcmp(word, "--noprofile") == 0 ||
			strcmp(word, "--login") == 0)
			continue;
		if (word[0] != '-' && word[0] != '+')
			break;
		bool setting = word[strlen(word) - 1] == 'o' && dialect != DIALECT_OTHER;
		size_t n = strspn(word + 1, letters) + 1;
		ret->odd |= word[0] == '+' || n + setting < strlen(word);
		ret->command |= word[0] == '-' && strchr(word, 'c') && word[1] != '-';
		ret->standard_input |= strchr(word, 's') != NULL;
		if (!setting)
			continue;
		bool found = false;
		at++;
		for (size_t i = 0; at < look->count && i < ARRAY_SIZE(harmless_settings); i++)
			found |= strcmp(look->words[at], harmless_settings[i]) == 0;
		ret->odd |= !found;
	}
	return at;
}

bool look_at_shell(const struct look *look, const char *name)
{
	size_t which = 0;
	while (which < ARRAY_SIZE(shells) && strcmp(shells[which].name, name) != 0)
		which++;
	if (which == ARRAY_SIZE(shells))
		return false;
	enum dialect dialect = shells[which].dialect;
	struct shell_options options = {0};
	size_t at = take_shell_options(look, dialect, &options);
	if (options.odd)
		look_doubt(look, "an option may change how the shell reads its script");
	if (look->doubt)
		look_doubt(look, look->doubt);
	if (options.command && at < look->count) {
		if (!look->known[at])
			look_doubt(look, "the shell's commands are known only when it runs");
		else
			look_at_script(look, look->words[at], dialect);
	} else if (!options.command && at < look->count && !options.standard_input) {
		if (!look->known[at])
			look_doubt(look, "which script it is, is known only when it runs");
		else
			run_file(look, dialect, look->words[at]);
	} else if (!options.command) {
		run_input(look, dialect);
	}
	return true;
}

/* How an interpreter is told its program. */
struct interpreter {
	const char *name; /* digits and dots may follow: python3.11 */
	const char *language;
	struct options options;
	const char *code;      /* letters whose value is source */
	const char *long_code; /* blank-separated */
	const char *harmful;   /* letters that load other code */
	const char *long_harmful;
	const char *module; /* letters after which the rest is the program's (python -m) */
	bool analysed;      /* there is a code analysis for the language */
	bool first_is_code; /* the first operand is source, not a file (awk, sed) */
};

static const struct interpreter interpreters[] = {
	{
		.name = "python",
		.language = "python",
		.options = {.flags = "bBdEhiIOPqsSuvVx?",
			.values = "cmWX",
			.long_flags = "version help",
			.long_values = "check-hash-based-pycs"},
		.code = "c",
		.module = "m",
		.analysed = true,
	},
	{
		.name = "node",
		.language = "javascript",
		.options = {.flags = "chiv",
			.values = "eprC",
			.long_flags = "check help interactive version no-warnings trace-warnings "
				      "enable-source-maps use-strict harmony test watch "
				      "no-deprecation throw-deprecation trace-uncaught "
				      "preserve-symlinks experimental-modules "
				      "experimental-vm-modules",
			.long_values =
				"eval print require import loader experimental-loader conditions "
				"input-type max-old-space-size env-file",
			.long_optional = "inspect inspect-brk unhandled-rejections"},
		.code = "ep",
		.long_code = "eval print",
		.harmful = "r",
		.long_harmful = "require import loader experimental-loader env-file",
		.analysed = true,
	},
	{.name = "perl",
		.language = "perl",
		.options = {.flags = "acfnpsStTuUvwWX", .values = "eEImMFx", .optional = "0CdDiVl"},
		.code = "eE"},
	{.name = "ruby",
		.language = "ruby",
		.options = {.flags = "acdhlnpsSvw", .values = "eIrCE", .optional = "0FiTWxK"},
		.code = "e"},
	{.name = "php",
		.language = "php",
		.options = {.flags = "ainqsw", .values = "rdcfBREFzt"},
		.code = "rBRE"},
	{.name = "lua",
		.language = "lua",
		.options = {.flags = "iEvW", .values = "el"},
		.code = "e"},
	{.name = "Rscript", .language = "r", .options = {.values = "e"}, .code = "e"},
	{.name = "tclsh", .language = "tcl"},
	{.name = "deno", .language = "typescript"},
	{.name = "bun", .language = "typescript"},
	{.name = "osascript", .language = "applescript", .options = {.values = "el"}, .code = "e"},
	{.name = "awk",
		.language = "awk",
		.options = {.values = "Ffv"},
		.harmful = "f",
		.first_is_code = true},
	{.name = "gawk",
		.language = "awk",
		.options = {.values = "FfveEil"},
		.harmful = "feEil",
		.first_is_code = true},
	{.name = "mawk",
		.language = "awk",
		.options = {.values = "FfvW"},
		.harmful = "fW",
		.first_is_code = true},
	{.name = "sed",
		.language = "sed",
		.options = {.flags = "nErsuz",
			.values = "efl",
			.optional = "i",
			.long_flags = "debug follow-symlinks help null-data posix quiet "
				      "regexp-extended sandbox separate silent unbuffered "
				      "version zero-terminated",
			.long_values = "expression file line-length",
			.long_optional = "in-place"},
		.code = "e",
		.long_code = "expression",
		.harmful = "f",
		.long_harmful = "file",
		.first_is_code = true},
};

static const struct interpreter *find_interpreter(const char *name)
{
	if (strcmp(name, "nodejs") == 0)
		name = "node";
	for (size_t i = 0; i < ARRAY_SIZE(interpreters); i++) {
		size_t n = strlen(interpreters[i].name);
		if (strncmp(name, interpreters[i].name, n) == 0 &&
			strspn(name + n, "0123456789.") == strlen(name + n))
			return &interpreters[i];
	}
	return NULL;
}

static bool listed(const char *list, const struct option *option)
{
	for (const char *p = list; option->word && p && *p;) {
		size_t n = strcspn(p, " ");
		if (n == option->word_length_bytes && memcmp(p, option->word, n) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

static bool is_letter(const char *letters, const struct option *option)
{
	return option->letter && letters && strchr(letters, option->letter);
}

/* Source that was found: kept for code analysis, and judged where that is simple. */
static void take_code(
	const struct look *look, const struct interpreter *interpreter, const char *code)
{
	struct gate_part *part = &look->a->analysis->parts[look->part];
	part->language = interpreter->language;
	if (part->code) { /* -e A -e B */
		char *joined = NULL;
		if (asprintf(&joined, "%s\n%s", part->code, code) < 0)
			return analyzer_no_memory(look->a);
		free(part->code);
		part->code = joined;
	} else {
		part->code = analyzer_copy(look->a, code, strlen(code));
	}
}

/* Once all source is together. */
static void judge_code(const struct look *look, const struct interpreter *interpreter)
{
	const char *code = look->a->analysis->parts[look->part].code;
	if (interpreter->analysed || !code)
		return;
	if (strcmp(interpreter->language, "sed") == 0 && sed_only_edits(code))
		return;
	if (strcmp(interpreter->language, "awk") == 0 && awk_only_prints(code))
		return;
	look_doubt(look, "its program may start others");
}

/* The program is a file, or standard input. */
static void take_file(
	const struct look *look, const struct interpreter *interpreter, const char *path)
{
	const struct input *input = look->input;
	if (!path && input && input->known && input->text) {
		take_code(look, interpreter, input->text);
	} else if (!path && !(input && input->file)) {
		look->a->analysis->parts[look->part].reads_stdin_script = true;
		look->a->analysis->parts[look->part].language = interpreter->language;
		look_doubt(look, "it takes its program from standard input");
	} else if (interpreter->analysed) {
		cleanup_script_file struct script_file file;
		if (shell_read_file(look->a, look->scope, &look->frame, path ? path : input->file,
			    &file) == 0 &&
			!memchr(file.text, '\0', file.length_bytes))
			take_code(look, interpreter, file.text);
	} else {
		look->a->analysis->parts[look->part].language = interpreter->language;
	}
}

bool look_at_interpreter(const struct look *look, const char *name)
{
	const struct interpreter *interpreter = find_interpreter(name);
	if (!interpreter)
		return false;
	size_t at = 1, cluster = 0;
	bool code = false;
	struct option option;
	int r;
	while ((r = option_next(look, &interpreter->options, &at, &cluster, &option)) == 1) {
		if (option_is(&option, "help") || option_is(&option, "version") ||
			is_letter(interpreter->module, &option))
			return true;
		if (is_letter(interpreter->harmful, &option) ||
			listed(interpreter->long_harmful, &option))
			look_doubt(look, "it loads code from a file");
		if (!is_letter(interpreter->code, &option) &&
			!listed(interpreter->long_code, &option))
			continue;
		code = true;
		/* node -pe CODE: two letters, one argument. */
		if (option.letter == 'p' && option.value == look->words[at - 1] + 2 &&
			strcmp(option.value, "e") == 0 && at < look->count) {
			option.value_known = look->known[at];
			option.value = look->words[at++];
		}
		if (!option.value_known)
			look_doubt(look, "its program is known only when it runs");
		else
			take_code(look, interpreter, option.value);
		if (strcmp(interpreter->language, "python") == 0)
			break; /* the rest is the program's */
	}
	if (r < 0)
		look_doubt(look, "an option of the interpreter that is not known");
	else if (interpreter->first_is_code && !code && at < look->count && look->known[at])
		take_code(look, interpreter, look->words[at]);
	else if (interpreter->first_is_code && !code && at < look->count)
		look_doubt(look, "its program is known only when it runs");
	else if (!code && at < look->count && !look->known[at])
		look_doubt(look, "which program it is, is known only when it runs");
	else if (!code && !interpreter->first_is_code)
		take_file(look, interpreter,
			at < look->count && strcmp(look->words[at], "-") != 0 ? look->words[at]
									      : NULL);
	judge_code(look, interpreter);
	return true;
}

/* Where programs are installed by the system: what lies there is a program whatever its first
 * line. */
static bool is_system_program(const char *path)
{
	static const char *const roots[] = {"/bin", "/lib", "/lib64", "/sbin", "/usr"};
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		if (path_is_below(path, roots[i]) && !strstr(path, "/../"))
			return true;
	return false;
}

/* "#!INTERPRETER [ONE ARGUMENT]", as the kernel takes it. */
static void run_by_first_line(const struct look *look, const char *text)
{
	char line[256];
	size_t n = strcspn(text + 2, "\n");
	if (n >= sizeof(line))
		return look_doubt(look, "its first line is too long");
	memcpy(line, text + 2, n);
	line[n] = '\0';
	char *interpreter = line + strspn(line, " \t");
	size_t end = strlen(interpreter);
	while (end > 0 && strchr(" \t", interpreter[end - 1]))
		interpreter[--end] = '\0';
	char *argument = interpreter + strcspn(interpreter, " \t");
	if (*argument) {
		*argument++ = '\0';
		argument += strspn(argument, " \t");
	}
	size_t extra = *argument ? 2 : 1, count = look->count + extra;
	cleanup_free char **words = calloc(count + 1, sizeof(*words));
	cleanup_free bool *known = calloc(count + 1, sizeof(*known));
	if (!words || !known)
		return analyzer_no_memory(look->a);
	words[0] = interpreter;
	words[1] = argument;
	known[0] = known[1] = true;
	for (size_t i = 0; i < look->count; i++) {
		words[extra + i] = look->words[i];
		known[extra + i] = look->known[i];
	}
	struct look inner = *look;
	inner.input = NULL;
	look_at_words(&inner, words, known, count);
}

void look_at_file(const struct look *look)
{
	cleanup_script_file struct script_file file = {0};
	const char *path = look->words[0];
	if (!strchr(path, '/') || is_system_program(path) || !look->a->context->read_file)
		return;
	size_t after = look->a->analysis->count;
	int r = shell_read_file(look->a, look->scope, &look->frame, path, &file);
	/* Too big for a script, or not readable as one has to be: some other program. */
	if (r < 0 && r != -EFBIG && r != -EACCES)
		return look_doubt(look, file.why);
	if (r == 0 && file.length_bytes > 1 && file.text[0] == '#' && file.text[1] == '!') {
		run_by_first_line(look, file.text);
	} else if (r == 0 &&
		   !memchr(file.text, '\0', file.length_bytes < 128 ? file.length_bytes : 128)) {
		/* The kernel refuses it, and a shell or execvp() hands it to a shell. */
		struct frame frame = look->frame;
		frame.depth = look->a->analysis->parts[look->part].depth + 1;
		shell_process(look->a, DIALECT_POSIX, &frame, file.text, file.length_bytes, path);
	}
	doubt_if_changed(look, path, after);
}
