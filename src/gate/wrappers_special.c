/* Wrappers whose command does not simply follow their options. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/wrappers.h"

#include <string.h>

static const char option_not_known[] = "an option of the wrapper that is not known";
static const char found_in_input[] = "{}"; /* stands for words that are known only when it runs */

void on_unclear(struct look *look, const struct wrapper *wrapper)
{
	(void)wrapper;
	look_doubt(look, "it starts other programs in a way that is not followed");
}

/* Words of the caller's making. */
struct words {
	struct strv items;
	bool known[MAX_BRACE_WORDS];
	bool full;
};

static void words_release(struct words *words)
{
	strv_release(&words->items);
}

#define cleanup_words __attribute__((cleanup(words_release)))

static void words_add(struct analyzer *a, struct words *words, const char *word, bool known)
{
	if (words->items.count == MAX_BRACE_WORDS) {
		words->full = true;
		return;
	}
	words->known[words->items.count] = known;
	if (strv_add(&words->items, word) < 0)
		analyzer_no_memory(a);
}

static void look_at_made(const struct look *look, struct words *words)
{
	if (words->full)
		look_doubt(look, "it has more words than are looked at");
	else if (!look->a->memory_short)
		look_at_words(look, words->items.items, words->known, words->items.count);
}

/* env -S: only what is split at blanks and nothing else. */
static void look_at_split(struct look *look, const struct option *option, size_t rest)
{
	cleanup_words struct words words = {0};
	if (!option->value_known || strpbrk(option->value, "\\$'\"#\n\r\v\f"))
		return look_doubt(look, "what env splits is not followed");
	words_add(look->a, &words, "env", true);
	for (const char *p = option->value + strspn(option->value, " \t"); *p;) {
		size_t n = strcspn(p, " \t");
		cleanup_free char *word = analyzer_copy(look->a, p, n);
		if (word)
			words_add(look->a, &words, word, true);
		p += n;
		p += strspn(p, " \t");
	}
	for (; rest < look->count; rest++)
		words_add(look->a, &words, look->words[rest], look->known[rest]);
	look_at_made(look, &words);
}

void on_env(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1, cluster = 0;
	struct option option;
	int r;
	while ((r = option_next(look, &wrapper->options, &at, &cluster, &option)) == 1) {
		if (option.letter == 'S' || option_is(&option, "split-string"))
			return look_at_split(look, &option, at);
		if (option.letter == 'C' || option_is(&option, "chdir"))
			look->frame.moved = true;
		if (option_is(&option, "help") || option_is(&option, "version"))
			return;
	}
	if (r < 0)
		return look_doubt(look, option_not_known);
	if (at < look->count && look->known[at] && strcmp(look->words[at], "-") == 0)
		at++;
	at = look_take_assignments(look, at);
	if (look->doubt)
		look_doubt(look, look->doubt);
	look_at_command(look, at);
}

void on_sudo(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1, cluster = 0;
	bool shell = false;
	struct option option;
	int r;
	while ((r = option_next(look, &wrapper->options, &at, &cluster, &option)) == 1) {
		static const char *const alone[] = {"edit", "help", "list", "remove-timestamp",
			"reset-timestamp", "validate", "version"};
		shell |= (option.letter && strchr("si", option.letter)) ||
			 option_is(&option, "shell") || option_is(&option, "login");
		if (option.letter == 'e' || option_is(&option, "edit"))
			return look_doubt(look, "it starts an editor");
		if (option.letter && strchr("lKvV", option.letter))
			return;
		for (size_t i = 0; i < ARRAY_SIZE(alone); i++)
			if (option_is(&option, alone[i]))
				return;
		if ((option.letter && strchr("DRbB", option.letter)) ||
			option_is(&option, "chdir") || option_is(&option, "chroot"))
			look->frame.elsewhere = true;
	}
	if (r < 0)
		return look_doubt(look, option_not_known);
	at = look_take_assignments(look, at);
	if (look->doubt)
		look_doubt(look, look->doubt);
	if (at >= look->count && shell)
		return look_at_bare_shell(look);
	look_at_command(look, at);
}

/* su and runuser: their options stand anywhere, and the shell is the other user's. */
void on_su(struct look *look, const struct wrapper *wrapper)
{
	size_t cluster = 0, operands = 0;
	const char *script = NULL;
	bool direct = false, odd = false;
	for (size_t at = 1; at < look->count;) {
		struct option option;
		int r = option_next(look, &wrapper->options, &at, &cluster, &option);
		if (r < 0)
			return look_doubt(look, option_not_known);
		if (r == 0 && direct)
			return look_at_command(look, at);
		if (r == 0) {
			/* su [-] [user]: more are arguments of the shell. */
			odd |= at < look->count && strcmp(look->words[at], "-") != 0 &&
			       operands++ > 0;
			at++;
			continue;
		}
		if (option.letter == 'c' || option_is(&option, "command") ||
			option_is(&option, "session-command")) {
			if (!option.value_known)
				return look_doubt(look, "its commands are not known");
			script = option.value;
		}
		odd |= option.letter == 's' || option_is(&option, "shell");
		direct |= option.letter == 'u' || option_is(&option, "user");
	}
	if (odd)
		look_doubt(look, "another shell, or arguments for it, are not followed");
	if (script)
		look_at_script(look, script, DIALECT_POSIX);
	else
		look_at_bare_shell(look);
}

void on_busybox(struct look *look, const struct wrapper *wrapper)
{
	(void)wrapper;
	if (look->count > 1 && look->known[1] && look->words[1][0] != '-')
		look_at_command(look, 1);
	else if (look->count > 1)
		look_doubt(look, option_not_known);
}

void on_watch(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1, cluster = 0;
	bool direct = false;
	struct option option;
	int r;
	while ((r = option_next(look, &wrapper->options, &at, &cluster, &option)) == 1)
		direct |= option.letter == 'x' || option_is(&option, "exec");
	if (r < 0)
		look_doubt(look, option_not_known);
	else if (direct)
		look_at_command(look, at);
	else
		look_at_line(look, at);
}

static const char shell_of_the_environment[] = "which shell runs it is what $SHELL says";

void on_flock(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1;
	bool stops;
	if (!take_options(look, wrapper, &at, &stops) || stops)
		return;
	at++; /* the file, directory or descriptor */
	if (at >= look->count)
		return;
	if (strcmp(look->words[at], "-c") != 0 && strcmp(look->words[at], "--command") != 0)
		return look_at_command(look, at);
	if (at + 2 != look->count)
		return look_doubt(look, option_not_known);
	look_doubt(look, shell_of_the_environment);
	look_at_line(look, at + 1);
}

void on_script(struct look *look, const struct wrapper *wrapper)
{
	size_t cluster = 0;
	const char *script = NULL;
	for (size_t at = 1; at < look->count;) {
		struct option option;
		int r = option_next(look, &wrapper->options, &at, &cluster, &option);
		if (r < 0)
			return look_doubt(look, option_not_known);
		at += r == 0; /* the file: options may follow */
		if (option.letter != 'c' && !option_is(&option, "command"))
			continue;
		if (!option.value_known)
			return look_doubt(look, "its commands are not known");
		script = option.value;
	}
	look_doubt(look, shell_of_the_environment);
	if (script)
		look_at_script(look, script, DIALECT_POSIX);
	else
		look_at_bare_shell(look);
}

/* Options of ssh's configuration with which it starts programs on this host. */
static bool starts_locally(const struct option *option)
{
	static const char *const keys[] = {"proxycommand", "localcommand", "permitlocalcommand",
		"knownhostscommand", "pkcs11provider", "securitykeyprovider", "xauthlocation",
		"match", "include"};
	if (option->letter == 'F' || option->letter == 'I')
		return true;
	if (option->letter != 'o')
		return false;
	if (!option->value_known)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strncasecmp(option->value + strspn(option->value, " \t"), keys[i],
			    strlen(keys[i])) == 0)
			return true;
	return false;
}

void on_ssh(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1;
	/* Options stand before the host and behind it. */
	for (int round = 0; round < 2; round++) {
		size_t cluster = 0;
		struct option option;
		int r;
		while ((r = option_next(look, &wrapper->options, &at, &cluster, &option)) == 1)
			if (starts_locally(&option))
				look_doubt(look, "its configuration may start programs here");
		if (r < 0)
			return look_doubt(look, option_not_known);
		if (round == 0 && at < look->count)
			at++;
	}
	look_at_line(look, at);
}

void on_docker(struct look *look, const struct wrapper *wrapper)
{
	static const struct options options = {
		.flags = "diqtP",
		.values = "aceHhlmpuvw",
		.long_flags = "detach help init interactive no-healthcheck privileged publish-all "
			      "quiet read-only rm tty",
		.long_values = "add-host cap-add cap-drop cpus device env env-file gpus hostname "
			       "label memory mount name network platform publish pull restart "
			       "security-opt shm-size tmpfs ulimit user volume workdir",
	};
	(void)wrapper;
	if (look->count < 2 || !look->known[1])
		return look_doubt(look, option_not_known);
	const char *verb = look->words[1];
	if (verb[0] == '-')
		return look_doubt(look, option_not_known);
	if (strcmp(verb, "run") != 0 && strcmp(verb, "exec") != 0)
		return;
	size_t at = 2, cluster = 0;
	struct option option;
	int r;
	while ((r = option_next(look, &options, &at, &cluster, &option)) == 1)
		;
	if (r < 0)
		return look_doubt(look, option_not_known);
	look_at_command(look, at + 1);
}

/* ip netns exec NAME command, ip vrf exec NAME command, ip netns ... -all exec command. */
void on_ip(struct look *look, const struct wrapper *wrapper)
{
	(void)wrapper;
	for (size_t i = 1; i < look->count; i++) {
		const char *word = look->words[i];
		if (!look->known[i] || strncmp(word, "-b", 2) == 0 ||
			strncmp(word, "-force", 6) == 0)
			return look_doubt(look, option_not_known);
		if (strncmp(word, "ex", 2) == 0 || strcmp(word, "e") == 0)
			return look_at_command(look, i + 2);
	}
}

/* at and batch: their commands come from a file or standard input, for later. */
void on_at(struct look *look, const struct wrapper *wrapper)
{
	(void)wrapper;
	for (size_t i = 1; i < look->count; i++)
		if (!look->known[i] || strncmp(look->words[i], "-f", 2) == 0)
			return look_doubt(look, "its commands come from a file");
	look_at_bare_shell(look);
}

/* Replaces what stands for input: such a word is not known. */
static void add_replaced(struct look *look, struct words *words, size_t i, const char *mark)
{
	bool replaced = mark && *mark && strstr(look->words[i], mark);
	words_add(look->a, words, look->words[i], look->known[i] && !replaced);
}

void on_xargs(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1, cluster = 0;
	const char *mark = NULL;
	struct option option;
	int r;
	while ((r = option_next(look, &wrapper->options, &at, &cluster, &option)) == 1) {
		if (option.letter == 'I' || option.letter == 'i' || option_is(&option, "replace"))
			mark = option.value ? option.value : "{}";
		if (mark && mark == option.value && !option.value_known)
			look_doubt(look, "what is replaced is not known");
		if (option_is(&option, "help") || option_is(&option, "version"))
			return;
	}
	if (r < 0)
		return look_doubt(look, option_not_known);
	cleanup_words struct words words = {0};
	if (at >= look->count)
		words_add(look->a, &words, "echo", true);
	for (; at < look->count; at++)
		add_replaced(look, &words, at, mark);
	if (!mark)
		words_add(look->a, &words, found_in_input, false);
	look->input = NULL; /* it was read for the words */
	look_at_made(look, &words);
}

void on_find(struct look *look, const struct wrapper *wrapper)
{
	static const char *const starts[] = {"-exec", "-execdir", "-ok", "-okdir"};
	(void)wrapper;
	for (size_t i = 1; i < look->count; i++) {
		bool start = false;
		/* An operand that is not known may be an action. */
		if (!look->known[i] && strchr("$`{*?[", look->words[i][0]))
			look_doubt(look, "an argument may make it start programs");
		for (size_t k = 0; k < ARRAY_SIZE(starts); k++)
			start |= strcmp(look->words[i], starts[k]) == 0;
		if (!start)
			continue;
		struct look inner = *look;
		inner.frame.moved |= strstr(look->words[i], "dir") != NULL;
		cleanup_words struct words words = {0};
		for (i++; i < look->count && strcmp(look->words[i], ";") != 0 &&
			  !(strcmp(look->words[i], "+") == 0 &&
				  strcmp(look->words[i - 1], "{}") == 0);
			i++) {
			add_replaced(look, &words, i, found_in_input);
			if (!look->known[i] && strchr("$`{*?[\"", look->words[i][0]))
				look_doubt(look, "a word may end the command, and begin another");
		}
		look_at_made(&inner, &words);
	}
}
