#include "gate/code_internal.h"

#include <errno.h>
#include <string.h>

/* clang-format off */
#define BOTH(name, severity, why) \
	{"py-" name, "python", severity, why}, \
	{"js-" name, "javascript", severity, why}

static const struct code_rule rules[] = {
	/* What a program brings in: said, never counted against it. */
	BOTH("import-process", SEVERITY_INFO, "this module can start programs"),
	BOTH("import-network", SEVERITY_INFO, "this module can reach the network"),
	BOTH("import-native", SEVERITY_INFO, "this module can load and call native code"),
	BOTH("import-evaluate", SEVERITY_INFO, "this module can run code that is data now"),
	BOTH("import-dynamic", SEVERITY_LOW, "which module is loaded is known only when it runs"),

	BOTH("process", SEVERITY_LOW, "starts another program"),
	BOTH("process-detached", SEVERITY_LOW, "starts a process that may outlive this one"),
	BOTH("shell", SEVERITY_LOW, "runs a command line in a shell"),
	BOTH("shell-variable", SEVERITY_MEDIUM,
		"runs in a shell what stands in a variable: whoever fills it chooses the commands"),
	BOTH("shell-built", SEVERITY_HIGH,
		"runs in a shell a command line put together of parts: each can add commands"),
	BOTH("reverse-shell", SEVERITY_CRITICAL, "gives a shell to whoever holds the other end"),

	BOTH("network", SEVERITY_LOW, "reaches the network"),
	BOTH("network-listen", SEVERITY_LOW, "accepts connections"),
	BOTH("exfiltration", SEVERITY_HIGH,
		"reads credentials, and reaches the network: they could be sent away"),
	BOTH("environment-dump", SEVERITY_MEDIUM,
		"turns the whole environment into text, with every secret in it"),

	BOTH("native", SEVERITY_MEDIUM, "loads native code, which is not seen in this source"),

	BOTH("evaluate-literal", SEVERITY_LOW, "evaluates text that stands in the source"),
	BOTH("evaluate", SEVERITY_MEDIUM, "evaluates text that is known only when it runs"),
	BOTH("evaluate-decoded", SEVERITY_CRITICAL, "evaluates what it has decoded just before"),
	BOTH("evaluate-fetched", SEVERITY_CRITICAL, "evaluates what it has got from the network"),
	{"py-unmarshal", "python", SEVERITY_MEDIUM,
		"builds objects from data in a form that can hold code"},
	{"js-timer-text", "javascript", SEVERITY_MEDIUM, "a timer that evaluates text"},

	BOTH("delete-tree", SEVERITY_MEDIUM, "deletes a tree that is known only when it runs"),
	BOTH("delete-tree-literal", SEVERITY_LOW, "deletes the tree that the source names"),
	BOTH("delete-precious", SEVERITY_CRITICAL, "deletes a home directory, or the system"),
	BOTH("delete-loop", SEVERITY_LOW, "deletes one file after the other"),

	BOTH("credential-file", SEVERITY_MEDIUM, "names a place where credentials are kept"),
	BOTH("credential-variable", SEVERITY_LOW, "reads a secret from the environment"),
	BOTH("credential-metadata", SEVERITY_MEDIUM,
		"names the address where a cloud hands out credentials"),
	BOTH("persistence", SEVERITY_LOW, "names a file that is run later without being asked"),
	BOTH("persistence-write", SEVERITY_HIGH,
		"writes a file that is run later without being asked"),
	BOTH("loader-variable", SEVERITY_MEDIUM,
		"sets a variable that makes programs load other code"),
	BOTH("permissions", SEVERITY_MEDIUM,
		"lets every user write, or a program run with its owner's rights"),
	{"py-temporary-name", "python", SEVERITY_LOW,
		"a temporary name that somebody else can take first"},
	BOTH("tls-unchecked", SEVERITY_MEDIUM, "accepts whoever answers: TLS is not verified"),
	BOTH("sql-built", SEVERITY_MEDIUM,
		"SQL put together of parts: each of them can change the statement"),

	{"py-tamper-builtins", "python", SEVERITY_HIGH,
		"replaces a built-in: code elsewhere then runs something else"},
	{"py-tamper-import", "python", SEVERITY_MEDIUM, "changes how modules are found or loaded"},
	{"js-tamper-import", "javascript", SEVERITY_HIGH,
		"changes how modules are found or loaded"},
	BOTH("monkeypatch", SEVERITY_MEDIUM,
		"replaces a function of a module that others rely on"),
	{"js-tamper-prototype", "javascript", SEVERITY_MEDIUM,
		"changes a built-in prototype: every object then behaves otherwise"},

	BOTH("sandbox-escape", SEVERITY_HIGH,
		"climbs from an object to the interpreter's own: the way out of a restricted one"),
	{"py-introspection", "python", SEVERITY_LOW,
		"reaches into the interpreter's own structures"},
	{"js-process-binding", "javascript", SEVERITY_HIGH,
		"reaches the runtime's own bindings, below every check of its modules"},

	BOTH("dynamic-member", SEVERITY_MEDIUM,
		"which function of this module is called is known only when it runs"),
	BOTH("disguised", SEVERITY_HIGH,
		"reaches a function by a name in text, as code does that hides what it does"),
	BOTH("identifier-disguised", SEVERITY_HIGH, "a name written so that it reads as another"),
	BOTH("characters", SEVERITY_MEDIUM, "text given as a list of character codes"),
	BOTH("encoded-text", SEVERITY_LOW, "a long encoded text, whose content is not seen"),
	{"js-obfuscated", "javascript", SEVERITY_HIGH,
		"names made by an obfuscator: this source is not meant to be read"},

	/* Commands, by the gate's own tables: which one and why is said with each. */
	{"sh-forbidden", "shell", SEVERITY_CRITICAL, "a command that nothing but harm needs"},
	{"sh-secret", "shell", SEVERITY_HIGH, "reads credentials"},
	{"sh-dangerous", "shell", SEVERITY_MEDIUM, "a command with lasting effects"},
	{"sh-delete", "shell", SEVERITY_MEDIUM, "deletes or changes much at once"},
	{"sh-write", "shell", SEVERITY_MEDIUM, "writes outside of where the work is"},
	{"sh-network", "shell", SEVERITY_MEDIUM, "reaches the network in a way that can do harm"},
	{"sh-undecidable", "shell", SEVERITY_INFO,
		"which command this is is known only when it runs"},

	/* Of any source. */
	{"text-direction", "text", SEVERITY_HIGH,
		"characters that change the direction of text: what is read is not what is run"},
	{"text-invisible", "text", SEVERITY_MEDIUM, "characters that are not seen"},
	{"syntax-error", "text", SEVERITY_HIGH, "this is not a program in its language"},

	/* What a change would bring. */
	{"diff-secret", "diff", SEVERITY_CRITICAL, "a credential in the form of a known kind"},
	{"diff-private-key", "diff", SEVERITY_CRITICAL, "a private key"},
	{"diff-secret-likely", "diff", SEVERITY_HIGH,
		"what looks like a credential, given to a name that stands for one"},
	{"diff-secret-url", "diff", SEVERITY_HIGH, "a password within an address"},
	{"diff-sql-built", "diff", SEVERITY_MEDIUM,
		"SQL put together of parts: each of them can change the statement"},
	{"diff-shell-built", "diff", SEVERITY_MEDIUM,
		"a command line put together of parts: each of them can add commands"},
	{"diff-shell-download", "diff", SEVERITY_HIGH, "runs what it downloads, unseen"},
	{"diff-permissions", "diff", SEVERITY_MEDIUM,
		"lets every user write, or a program run with its owner's rights"},
	{"diff-tls-unchecked", "diff", SEVERITY_MEDIUM,
		"accepts whoever answers: TLS or host keys are not verified"},
	{"diff-install-script", "diff", SEVERITY_HIGH,
		"runs on every machine where this is installed or built"},
	{"diff-dependency", "diff", SEVERITY_INFO, "a new dependency"},
	{"diff-dependency-lookalike", "diff", SEVERITY_HIGH,
		"a new dependency whose name is nearly that of a popular one"},
	{"diff-dependency-source", "diff", SEVERITY_MEDIUM,
		"a dependency from an address or a repository, not from the registry"},
	{"diff-lock-host", "diff", SEVERITY_MEDIUM,
		"a lock file that fetches from a host which it did not name before"},
	{"diff-ci", "diff", SEVERITY_MEDIUM,
		"changes what runs in continuous integration, where secrets are"},
	{"diff-hook", "diff", SEVERITY_HIGH,
		"changes what runs by itself when somebody works in this tree"},
	{"diff-executable", "diff", SEVERITY_LOW, "a file becomes executable"},
	{"diff-symlink", "diff", SEVERITY_LOW, "a symbolic link"},
	{"diff-symlink-outside", "diff", SEVERITY_HIGH,
		"a symbolic link that leads out of the tree"},
	{"diff-path-outside", "diff", SEVERITY_CRITICAL,
		"a path that leads out of the tree, or into git's own directory"},
	{"diff-submodule", "diff", SEVERITY_MEDIUM, "a submodule: code from another repository"},
	{"diff-binary", "diff", SEVERITY_LOW, "a binary file: its content is not seen"},
	{"diff-binary-program", "diff", SEVERITY_MEDIUM,
		"a binary file that is a program or library: its content is not seen"},
	{"diff-malformed", "diff", SEVERITY_HIGH,
		"this is not a well-formed diff: what it would change cannot be told"},
};
/* clang-format on */

const struct code_rule *code_rules(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rules);
	return rules;
}

static const char *const severities[] = {
	[SEVERITY_INFO] = "info",
	[SEVERITY_LOW] = "low",
	[SEVERITY_MEDIUM] = "medium",
	[SEVERITY_HIGH] = "high",
	[SEVERITY_CRITICAL] = "critical",
};

const char *severity_name(enum severity severity)
{
	return severities[severity];
}

int severity_parse(const char *word, enum severity *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(severities); i++) {
		if (strcmp(word, severities[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}
