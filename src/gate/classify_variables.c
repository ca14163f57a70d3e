/* Variables that change what a program does: before one command, or from here on. Three kinds:
 * those with which code runs that is not on the command line, those with which names mean something
 * else (then it cannot be known what runs), and those that a prefix rule and a known-safe command
 * may have in front of them. Everything else is ordinary, and no rule covers it. */
#include "gate/classify_internal.h"

#include <fnmatch.h>

/* Values with which a variable that names a program is harmless. */
static const char harmless_programs[] = "cat,less,more,true,:,never";

static bool names_a_program(const char *value)
{
	return *value && !list_has(harmless_programs, value, strlen(value));
}

/* node's options that load or evaluate code. */
static bool node_loads_code(const char *value)
{
	static const char *const words[] = {"-r", "--require", "--import", "--loader",
		"--experimental-loader", "-e", "--eval", "-p", "--print", "--inspect", "--env-file",
		"--openssl-config", "$", "`"};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(value, words[i]))
			return true;
	return false;
}

static bool is_switched_off(const char *value)
{
	return strcmp(value, "0") == 0 || strcmp(value, "false") == 0 || strchr(value, '$');
}

static bool is_set(const char *value)
{
	return *value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

static const struct variable {
	const char *name; /* a glob */
	bool (*holds)(const char *value);
	enum command_class class;
	const char *id, *reason;
} variables[] = {
	{"LD_PRELOAD", NULL, CLASS_DANGEROUS, "env-preload", "it loads code into every program"},
	{"LD_AUDIT", NULL, CLASS_DANGEROUS, "env-preload", "it loads code into every program"},
	{"DYLD_*", NULL, CLASS_DANGEROUS, "env-preload", "it loads code into every program"},
	{"GCONV_PATH", NULL, CLASS_DANGEROUS, "env-preload", "it loads code into every program"},
	{"OPENSSL_CONF", NULL, CLASS_DANGEROUS, "env-preload", "it loads code into programs"},
	{"BASH_ENV", NULL, CLASS_DANGEROUS, "env-shell", "it runs a script in every shell"},
	{"ENV", NULL, CLASS_DANGEROUS, "env-shell", "it runs a script in every shell"},
	{"ZDOTDIR", NULL, CLASS_DANGEROUS, "env-shell", "it runs a script in every shell"},
	{"PROMPT_COMMAND", NULL, CLASS_DANGEROUS, "env-shell", "it runs at every prompt"},
	{"PS[0-4]", NULL, CLASS_DANGEROUS, "env-shell", "it may run commands at every prompt"},
	{"SHELLOPTS", NULL, CLASS_DANGEROUS, "env-shell", "it changes how every shell reads"},
	{"BASHOPTS", NULL, CLASS_DANGEROUS, "env-shell", "it changes how every shell reads"},
	{"BASH_FUNC_*", NULL, CLASS_DANGEROUS, "env-shell", "it makes functions out of variables"},
	{"GIT_SSH*", NULL, CLASS_DANGEROUS, "env-git", "it names a program that git runs"},
	{"GIT_EXTERNAL_DIFF", NULL, CLASS_DANGEROUS, "env-git", "it names a program that git runs"},
	{"GIT_ASKPASS", names_a_program, CLASS_DANGEROUS, "env-git",
		"it names a program that git runs"},
	{"GIT_PAGER", names_a_program, CLASS_DANGEROUS, "env-git",
		"it names a program that git runs"},
	{"GIT_EDITOR", names_a_program, CLASS_DANGEROUS, "env-git",
		"it names a program that git runs"},
	{"GIT_SEQUENCE_EDITOR", names_a_program, CLASS_DANGEROUS, "env-git",
		"it names a program that git runs"},
	{"GIT_PROXY_COMMAND", NULL, CLASS_DANGEROUS, "env-git", "it names a program that git runs"},
	{"GIT_CONFIG*", NULL, CLASS_DANGEROUS, "env-git", "it changes git's settings"},
	{"GIT_EXEC_PATH", NULL, CLASS_DANGEROUS, "env-git", "it replaces git's own programs"},
	{"GIT_TEMPLATE_DIR", NULL, CLASS_DANGEROUS, "env-git", "it brings hooks into repositories"},
	{"GIT_SSL_NO_VERIFY", is_set, CLASS_DANGEROUS, "env-tls",
		"it takes any server for the right one"},
	{"SSH_ASKPASS*", names_a_program, CLASS_DANGEROUS, "env-program",
		"it names a program that ssh runs"},
	{"PAGER", names_a_program, CLASS_DANGEROUS, "env-program", "it names a program to run"},
	{"MANPAGER", names_a_program, CLASS_DANGEROUS, "env-program", "it names a program to run"},
	{"EDITOR", names_a_program, CLASS_DANGEROUS, "env-program", "it names a program to run"},
	{"VISUAL", names_a_program, CLASS_DANGEROUS, "env-program", "it names a program to run"},
	{"BROWSER", names_a_program, CLASS_DANGEROUS, "env-program", "it names a program to run"},
	{"LESSOPEN", NULL, CLASS_DANGEROUS, "env-program", "it names a program that less runs"},
	{"LESSCLOSE", NULL, CLASS_DANGEROUS, "env-program", "it names a program that less runs"},
	{"RIPGREP_CONFIG_PATH", NULL, CLASS_DANGEROUS, "env-program",
		"it may name a program that rg runs"},
	{"NODE_OPTIONS", node_loads_code, CLASS_DANGEROUS, "env-interpreter",
		"it loads code into every Node program"},
	{"PYTHONSTARTUP", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Python"},
	{"PYTHONHOME", NULL, CLASS_DANGEROUS, "env-interpreter", "it replaces Python's library"},
	{"PYTHONUSERBASE", NULL, CLASS_DANGEROUS, "env-interpreter", "it adds modules to Python"},
	{"PYTHONBREAKPOINT", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Python"},
	{"PYTHONWARNINGS", NULL, CLASS_UNDECIDABLE, "env-interpreter", "it may import a module"},
	{"PERL5OPT", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Perl"},
	{"PERL5DB", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Perl"},
	{"PERL5LIB", NULL, CLASS_UNDECIDABLE, "env-interpreter", "it replaces Perl's modules"},
	{"RUBYOPT", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Ruby"},
	{"RUBYLIB", NULL, CLASS_UNDECIDABLE, "env-interpreter", "it replaces Ruby's modules"},
	{"JAVA_TOOL_OPTIONS", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Java"},
	{"_JAVA_OPTIONS", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Java"},
	{"JDK_JAVA_OPTIONS", NULL, CLASS_DANGEROUS, "env-interpreter", "it runs code in Java"},
	{"RUSTC_WRAPPER", names_a_program, CLASS_DANGEROUS, "env-interpreter",
		"it names a program that cargo runs"},
	{"NODE_TLS_REJECT_UNAUTHORIZED", is_switched_off, CLASS_DANGEROUS, "env-tls",
		"it takes any server for the right one"},
	{"PYTHONHTTPSVERIFY", is_switched_off, CLASS_DANGEROUS, "env-tls",
		"it takes any server for the right one"},
	{"PIP_*INDEX_URL", NULL, CLASS_DANGEROUS, "env-packages", "packages come from elsewhere"},
	{"UV_*INDEX*", NULL, CLASS_DANGEROUS, "env-packages", "packages come from elsewhere"},
	{"npm_config_registry", NULL, CLASS_DANGEROUS, "env-packages",
		"packages come from elsewhere"},
	{"npm_config_script_shell", NULL, CLASS_DANGEROUS, "env-program",
		"it names a program that npm runs"},
	{"GOPROXY", NULL, CLASS_DANGEROUS, "env-packages", "packages come from elsewhere"},
	{"GONOSUMDB", NULL, CLASS_DANGEROUS, "env-packages", "packages are not checked"},
	{"GOFLAGS", NULL, CLASS_UNDECIDABLE, "env-packages", "it may name a program to run"},
	{"HISTFILE", NULL, CLASS_DANGEROUS, "hide-history", "it hides what is run"},
	{"PATH", NULL, CLASS_UNDECIDABLE, "env-path", "names may mean other programs"},
	{"CDPATH", NULL, CLASS_UNDECIDABLE, "env-path", "directories may be others"},
	{"LD_LIBRARY_PATH", NULL, CLASS_UNDECIDABLE, "env-path", "programs may load other code"},
	{"IFS", NULL, CLASS_UNDECIDABLE, "env-path", "words may split elsewhere"},
	{"HOME", NULL, CLASS_UNDECIDABLE, "env-home", "settings come from elsewhere"},
	{"XDG_CONFIG_*", NULL, CLASS_UNDECIDABLE, "env-home", "settings come from elsewhere"},
	{"GIT_DIR", NULL, CLASS_UNDECIDABLE, "env-home", "settings come from elsewhere"},
	{"GIT_WORK_TREE", NULL, CLASS_UNDECIDABLE, "env-home", "it works on another tree"},
	{"GIT_COMMON_DIR", NULL, CLASS_UNDECIDABLE, "env-home", "settings come from elsewhere"},
	{"MAKEFLAGS", NULL, CLASS_UNDECIDABLE, "env-program", "it may change what make runs"},
};

/* What may stand before a known-safe command, and before what a rule allows. */
static const char *const harmless[] = {"CARGO_TERM_COLOR", "CI", "CLICOLOR*", "COLUMNS",
	"DEBIAN_FRONTEND", "DEBUG", "FORCE_COLOR", "GIT_AUTHOR_*", "GIT_COMMITTER_*",
	"GIT_OPTIONAL_LOCKS", "GIT_TERMINAL_PROMPT", "LANG", "LANGUAGE", "LC_*", "LINES",
	"LOG_LEVEL", "NODE_ENV", "NO_COLOR", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING",
	"PYTHONUNBUFFERED", "PYTHONUTF8", "RUST_BACKTRACE", "RUST_LOG", "TERM", "TZ", "VERBOSE"};

/* Room for a name; longer ones are none that anything knows. */
enum { VARIABLE_BYTES = 64 };

static bool take_name(const char *assignment, char name[VARIABLE_BYTES], const char **ret_value)
{
	size_t bytes = strcspn(assignment, "=");
	*ret_value = assignment[bytes] ? assignment + bytes + 1 : "";
	bytes -= bytes > 0 && assignment[bytes - 1] == '+';
	if (bytes == 0 || bytes >= VARIABLE_BYTES)
		return false;
	memcpy(name, assignment, bytes);
	name[bytes] = '\0';
	return true;
}

static const struct variable *find_variable(const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		if (variables[i].name[0] == name[0] && fnmatch(variables[i].name, name, 0) == 0 &&
			(!variables[i].holds || variables[i].holds(value)))
			return &variables[i];
	return NULL;
}

bool variable_is_harmless(const char *assignment)
{
	char name[VARIABLE_BYTES];
	const char *value;
	if (!take_name(assignment, name, &value))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (harmless[i][0] == name[0] && fnmatch(harmless[i], name, 0) == 0)
			return true;
	bool names_program = strcmp(name, "PAGER") == 0 || strcmp(name, "GIT_PAGER") == 0 ||
			     strcmp(name, "GIT_EDITOR") == 0;
	return names_program && !names_a_program(value);
}

static void classify_assignment(const char *assignment, struct classification *ret)
{
	char name[VARIABLE_BYTES];
	const char *value;
	const struct variable *found =
		take_name(assignment, name, &value) ? find_variable(name, value) : NULL;
	if (found)
		classification_raise(ret, found->class, CATEGORY_COMMAND, found->id, found->reason);
}

void classify_variables(const struct command *command, struct classification *ret)
{
	const struct gate_part *part = command->part;
	for (size_t i = 0; i < part->assignments.count; i++) {
		classify_assignment(part->assignments.items[i], ret);
		if (part->argv.count > 0 && !variable_is_harmless(part->assignments.items[i]))
			classification_raise(ret, CLASS_ORDINARY, CATEGORY_COMMAND, "env-other",
				"a variable may change what it does");
	}
	static const char declaring[] = "export,declare,typeset,local,readonly,env";
	if (!list_has(declaring, command->program, strlen(command->program)))
		return;
	for (size_t i = 1; i < part->argv.count; i++)
		if (part->argv.items[i][0] != '-' && strchr(part->argv.items[i], '='))
			classify_assignment(part->argv.items[i], ret);
}
