/* Options with which programs that are no wrappers start others: what they start then is a word
 * that only they understand, so the part is undecidable. And git, which has the most of them. */
#include "base/cleanup.h"
#include "gate/wrappers.h"

#include <stdlib.h>
#include <string.h>

/* options: blank-separated; "*" is any use of the program. */
struct helper {
	const char *program, *options;
};

/* Sorted by program. */
static const struct helper helpers[] = {
	{"apt", "-o --option -c --config-file"},
	{"apt-get", "-o --option -c --config-file"},
	{"cargo", "--config"},
	{"curl", "-K --config"},
	{"dpkg", "--pre-invoke --post-invoke --status-logger --path-include"},
	{"ed", "*"},
	{"emacs", "*"},
	{"ex", "*"},
	{"g++", "-wrapper -B -specs= -fplugin="},
	{"gcc", "-wrapper -B -specs= -fplugin="},
	{"install", "--strip-program"},
	{"make", "--eval"},
	{"man", "-P --pager -H --html -X"},
	{"nc", "-e -c --sh-exec --exec"},
	{"nmap", "--script --interactive"},
	{"nvim", "*"},
	{"openssl", "-engine -provider"},
	{"rg", "--pre --hostname-bin"},
	{"rsync", "-e --rsh --rsync-path --daemon"},
	{"rview", "*"},
	{"rvim", "*"},
	{"scp", "-S -o -F"},
	{"sftp", "*"},
	{"sort", "--compress-program"},
	{"split", "--filter"},
	{"sqlite3", "-cmd .shell .system -init"},
	{"ssh-add", "-s"},
	{"ssh-keygen", "-D -w"},
	{"tar", "--to-command --checkpoint-action --use-compress-program -I --rsh-command "
		"--rmt-command --info-script --new-volume-script -F"},
	{"tcpdump", "-z"},
	{"vi", "*"},
	{"view", "*"},
	{"vim", "*"},
	{"vimdiff", "*"},
	{"wget", "--use-askpass -e --execute"},
	{"xdg-open", "*"},
	{"zip", "-T -TT --unzip-command"},
};

/* Whether a word is this option: attached values, --option=value, and abbreviations of long
 * ones. */
static bool is_option(const char *word, const char *option, size_t length)
{
	if (option[0] == '-' && option[1] == '-') {
		size_t n = strcspn(word, "=");
		return n > 3 && n <= length && memcmp(word, option, n) == 0;
	}
	return strncmp(word, option, length) == 0 && (word[0] != '-' || word[1] != '-');
}

static bool has_option(const struct look *look, size_t first, const char *options)
{
	for (size_t i = first; i < look->count; i++) {
		if (strcmp(look->words[i], "--") == 0)
			break;
		for (const char *p = options; *p;) {
			size_t n = strcspn(p, " ");
			if ((n == 1 && *p == '*') || is_option(look->words[i], p, n))
				return true;
			p += n + (p[n] == ' ');
		}
	}
	return false;
}

static int by_program(const void *name, const void *entry)
{
	return strcmp(name, ((const struct helper *)entry)->program);
}

/* Letters combined behind one dash: "tar xzIf". */
static bool tar_letters(const struct look *look)
{
	for (size_t i = 1; i < look->count; i++) {
		const char *word = look->words[i];
		if (i > 1 && (word[0] != '-' || word[1] == '-'))
			continue;
		if (strpbrk(word, "IF") && word[1] != '-' && !strpbrk(word, "/."))
			return true;
	}
	return false;
}

void look_at_options(const struct look *look, const char *name)
{
	static const char why[] = "an option may make it start other programs";
	const struct helper *helper =
		bsearch(name, helpers, ARRAY_SIZE(helpers), sizeof(helpers[0]), by_program);
	if (!helper)
		return;
	if (strcmp(helper->options, "*") == 0)
		look_doubt(look, "it can start other programs while it runs");
	else if (has_option(look, 1, helper->options) ||
		 (strcmp(name, "tar") == 0 && tar_letters(look)))
		look_doubt(look, why);
}

/* Of git: what of a sub-command starts programs. */
static const struct helper git_helpers[] = {
	{"archive", "--exec --remote"},
	{"clone", "-u --upload-pack -c --config --template"},
	{"diff", "--ext-diff --textconv"},
	{"fetch", "--upload-pack"},
	{"fetch-pack", "--exec --upload-pack"},
	{"grep", "-O --open-files-in-pager --ext-grep --textconv"},
	{"help", "-w --web -i --info"},
	{"init", "--template"},
	{"log", "--ext-diff --textconv"},
	{"ls-remote", "--upload-pack --exec"},
	{"pull", "--upload-pack"},
	{"push", "--receive-pack --exec"},
	{"rebase", "-x --exec"},
	{"send-pack", "--receive-pack --exec"},
	{"show", "--ext-diff --textconv"},
};

/* What git itself brings: an alias cannot replace these. Any other word may be an alias for a shell
 * command, or a program git-WORD. Sorted. */
static const char *const git_commands[] = {"add", "am", "annotate", "apply", "archive", "bisect",
	"blame", "branch", "bundle", "cat-file", "check-attr", "check-ignore", "check-mailmap",
	"check-ref-format", "checkout", "checkout-index", "cherry", "cherry-pick", "clean", "clone",
	"column", "commit", "commit-graph", "commit-tree", "config", "count-objects", "describe",
	"diff", "diff-files", "diff-index", "diff-tree", "fast-export", "fast-import", "fetch",
	"fetch-pack", "fmt-merge-msg", "for-each-ref", "format-patch", "fsck", "gc", "grep",
	"hash-object", "help", "index-pack", "init", "interpret-trailers", "log", "ls-files",
	"ls-remote", "ls-tree", "mailinfo", "mailsplit", "maintenance", "merge", "merge-base",
	"merge-file", "merge-index", "merge-tree", "mktag", "mktree", "multi-pack-index", "mv",
	"name-rev", "notes", "pack-objects", "pack-refs", "patch-id", "prune", "pull", "push",
	"range-diff", "read-tree", "rebase", "reflog", "remote", "repack", "replace",
	"request-pull", "rerere", "reset", "restore", "rev-list", "rev-parse", "revert", "rm",
	"send-pack", "shortlog", "show", "show-branch", "show-index", "show-ref", "sparse-checkout",
	"stage", "stash", "status", "stripspace", "submodule", "switch", "symbolic-ref", "tag",
	"unpack-file", "unpack-objects", "update-index", "update-ref", "var", "verify-commit",
	"verify-pack", "verify-tag", "version", "whatchanged", "worktree", "write-tree"};

static int by_word(const void *name, const void *entry)
{
	return strcmp(name, *(const char *const *)entry);
}

/* bisect run COMMAND, submodule foreach COMMAND: true where the words were such. */
static bool git_starts(const struct look *look, size_t at)
{
	const char *verb = look->words[at];
	for (size_t i = at + 1; i < look->count; i++) {
		if (!look->known[i])
			continue;
		if (strcmp(verb, "bisect") == 0 && strcmp(look->words[i], "run") == 0) {
			look_at_command(look, i + 1);
			return true;
		}
		if (strcmp(verb, "submodule") != 0 || strcmp(look->words[i], "foreach") != 0)
			continue;
		i++;
		while (i < look->count && strcmp(look->words[i], "--recursive") == 0)
			i++;
		look_at_line(look, i);
		return true;
	}
	return false;
}

void on_git(struct look *look, const struct wrapper *wrapper)
{
	size_t at = 1, cluster = 0;
	struct option option;
	int r;
	while ((r = option_next(look, &wrapper->options, &at, &cluster, &option)) == 1) {
		if (option.letter == 'c' || option_is(&option, "config-env"))
			look_doubt(look, "git's configuration can name programs");
		if (option_is(&option, "git-dir") || option_is(&option, "work-tree"))
			look_doubt(look, "another repository's configuration can name programs");
	}
	if (r < 0)
		return look_doubt(look, "an option of git that is not known");
	if (at >= look->count)
		return;
	if (!look->known[at])
		return look_doubt(look, "which command of git it is, is not known");
	for (size_t i = at; i < look->count; i++)
		if (strncmp(look->words[i], "ext::", 5) == 0)
			look_doubt(look, "the address names a program");
	if (!bsearch(look->words[at], git_commands, ARRAY_SIZE(git_commands),
		    sizeof(git_commands[0]), by_word))
		look_doubt(look, "it may be an alias, which can run anything");
	const struct helper *helper = bsearch(look->words[at], git_helpers, ARRAY_SIZE(git_helpers),
		sizeof(git_helpers[0]), by_program);
	if (helper && has_option(look, at + 1, helper->options))
		look_doubt(look, "an option may make it start other programs");
	git_starts(look, at);
}
