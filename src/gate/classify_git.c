/* git: which of its commands only read, and what may be lost, run or published by the others.
 *
 * Its own options come before the command; -c and --config-env set anything, also what names a
 * program; so do aliases, therefore a command that git does not have itself cannot be decided. */
#include "gate/classify_internal.h"

#include <fnmatch.h>

/* Settings whose value git runs, or that lead it to somebody else's files or servers. */
static const char *const telling_settings[] = {"alias.*", "core.pager", "core.editor",
	"core.hookspath", "core.fsmonitor", "core.sshcommand", "core.askpass", "core.gitproxy",
	"core.attributesfile", "core.worktree", "core.alternaterefscommand", "credential.*",
	"diff.external", "diff.*.command", "diff.*.textconv", "difftool.*", "mergetool.*",
	"merge.*.driver", "filter.*", "gpg.*", "gpg.program", "include.path", "includeif.*",
	"interactive.difffilter", "init.templatedir", "pager.*", "sequence.editor", "uploadpack.*",
	"url.*", "http.*", "https.*", "protocol.*", "remote.*.uploadpack", "remote.*.receivepack",
	"remote.*.vcs", "remote.*.proxy", "submodule.*.update", "sendemail.*", "web.browser",
	"browser.*", "man.*", "help.browser", "trailer.*", "receive.*", "safe.directory",
	"extensions.*", "fsck.*", "user.signingkey", "core.sshvariant", "instaweb.*",
	"maintenance.*", "log.*command", "blame.*", "tar.*"};

static bool setting_is_telling(const char *setting)
{
	char key[128];
	size_t bytes = strcspn(setting, "=");
	if (bytes >= sizeof(key))
		return true;
	for (size_t i = 0; i < bytes; i++)
		key[i] = setting[i] >= 'A' && setting[i] <= 'Z' ? (char)(setting[i] + 32)
								: setting[i];
	key[bytes] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(telling_settings); i++)
		if (fnmatch(telling_settings[i], key, 0) == 0)
			return true;
	return false;
}

/* The words before git's command. */
struct git_words {
	bool sets_telling, sets_something, exec_path, elsewhere, unknown;
	size_t command_at; /* of argv; 0: none */
};

static struct git_words git_words(const struct command *command)
{
	struct git_words words = {0};
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (!option.is_option) {
			words.command_at = option.at;
			break;
		}
		const char *name = option.name;
		size_t bytes = option.name_bytes;
		if (!option.known)
			words.unknown = true;
		if (bytes == 1 && *name == 'c' && !option.is_long) {
			words.sets_something = true;
			if (!option.known || !option.value || setting_is_telling(option.value))
				words.sets_telling = true;
		} else if (option.is_long && list_has("config-env", name, bytes)) {
			words.sets_telling = true;
		} else if (option.is_long && list_has("exec-path", name, bytes) && option.value) {
			words.exec_path = true;
		} else if (option.is_long &&
			   list_has("git-dir,work-tree,namespace,super-prefix", name, bytes)) {
			words.elsewhere = true;
		} else if (!option.is_long && (*name == 'p' || *name == 'C')) {
			words.elsewhere = words.elsewhere || *name == 'p';
		}
	}
	return words;
}

static const char *git_command(const struct command *command)
{
	size_t at = git_words(command).command_at;
	return at ? command->part->argv.items[at] : "";
}

/* Reading commands with the options that keep them so. Options of log apply to all that print
 * commits; none of them may be --output, --ext-diff, --textconv, --open-files-in-pager, --exec. */
#define LOOK                                                                                       \
	"p,u,patch s,no-patch stat? shortstat numstat dirstat? summary name-only "                 \
	"name-status oneline graph decorate? no-decorate all branches? tags? remotes? "            \
	"n,max-count= skip= since= after= until= before= author= committer= grep= "                \
	"i,regexp-ignore-case E F P invert-grep merges no-merges first-parent reverse "            \
	"date-order topo-order author-date-order format= pretty? abbrev-commit "                   \
	"no-abbrev-commit abbrev? date= follow L= S= G= pickaxe-regex M,find-renames? "            \
	"C,find-copies? D,irreversible-delete diff-filter= R U,unified= "                          \
	"w,ignore-all-space b,ignore-space-change ignore-blank-lines "                             \
	"ignore-space-at-eol word-diff? color? no-color color-words? cached staged "               \
	"merge-base raw z no-renames minimal patience histogram diff-algorithm= "                  \
	"exit-code quiet q check full-index binary no-ext-diff no-textconv no-prefix "             \
	"src-prefix= dst-prefix= no-index relative? a,text t r c cc m left-right "                 \
	"cherry-pick cherry-mark boundary count left-only right-only ancestry-path "               \
	"no-walk? walk-reflogs g show-signature notes? no-notes parents children "                 \
	"simplify-by-decoration submodule? ignore-submodules? function-context W "                 \
	"full-history no-pager no-expand-tabs 1 2 3 0"

static const struct git_safe {
	const char *commands;
	const char *options;
	const char *operands; /* NULL: any; "": none */
} git_safe[] = {
	{"log,show,diff,whatchanged,shortlog,diff-tree,diff-index,diff-files,rev-list,reflog",
		LOOK " s,summary e,email c", NULL},
	{"status",
		"s,short b,branch porcelain? long v,verbose u,untracked-files? ignored? "
		"ignore-submodules? z column? no-column ahead-behind no-ahead-behind renames "
		"no-renames find-renames? show-stash",
		NULL},
	{"rev-parse,merge-base,name-rev,describe,ls-files,ls-tree,show-ref,for-each-ref,"
	 "check-ignore,check-attr,count-objects,cherry,var,version,show-branch,check-ref-format,"
	 "get-tar-commit-id,patch-id,stripspace",
		"*", NULL},
	/* --textconv and --filters run what the settings name. */
	{"cat-file",
		"p t s e z batch? batch-check? batch-all-objects unordered buffer follow-symlinks",
		NULL},
	{"blame,annotate",
		"L= l t s e p porcelain line-porcelain c n,show-number f,show-name root w M? C? "
		"date= since= reverse first-parent color-lines color-by-age abbrev= show-email",
		NULL},
	{"grep",
		"i,ignore-case n,line-number l,files-with-matches L,files-without-match c,count "
		"w,word-regexp v,invert-match h H E,extended-regexp F,fixed-strings P,perl-regexp "
		"G,basic-regexp e= f= q,quiet a,text I untracked cached no-index exclude-standard "
		"max-depth= r,recursive no-recursive o,only-matching A,after-context= "
		"B,before-context= C,context= p,show-function W,function-context heading break "
		"color? no-color column full-name and or not all-match m,max-count= threads= z,"
		"null",
		NULL},
	{"branch",
		"l,list a,all r,remotes v,verbose vv contains? no-contains? merged? no-merged? "
		"points-at= sort= format= show-current column? no-column color? no-color "
		"i,ignore-case abbrev= no-abbrev q,quiet",
		""},
	{"tag",
		"l,list n? contains? no-contains? merged? no-merged? points-at= sort= format= "
		"column? i,ignore-case color? v,verify",
		""},
	{"remote", "v,verbose all push", "get-url"},
	{"stash", "p,patch stat name-only oneline", "list,show"},
	{"worktree", "porcelain v,verbose z", "list"},
	{"submodule", "recursive cached quiet q summary-limit= n", "status,summary"},
	{"config",
		"get= get-all= get-regexp= l,list global system local worktree show-origin "
		"show-scope name-only z,null type= bool int path default= get-urlmatch= f,file= "
		"blob= includes no-includes",
		NULL},
	{"notes", "", "list,show"},
	{"bisect", "", "log,view"},
	{"lfs", "", "ls-files,status,env,version"},
};

static const char *row_operands(const struct git_safe *row, const char *first)
{
	if (row->operands && row->operands[0])
		return first && list_has(row->operands, first, strlen(first)) ? row->operands
									      : NULL;
	return "";
}

/* git branch NAME makes one; with --list and its like the words are patterns. */
static bool words_are_patterns(const struct command *git)
{
	return has_options(
		       git, "l,list,contains,no-contains,merged,no-merged,points-at,v,verify") &&
	       !has_options(git, "d,delete,D,m,move,M,C,copy,f,force,u,set-upstream-to");
}

static bool git_config_reads(const struct command *git)
{
	if (has_options(git, "l,list,get,get-all,get-regexp,get-urlmatch"))
		return true;
	const char *first = operand(git, 0, NULL);
	if (first && list_has("list,get", first, strlen(first)))
		return true;
	return operands_count(git) == 1;
}

static bool git_row_fits(const struct command *git, const struct git_safe *row)
{
	struct command parsed = *git;
	bool any = strcmp(row->options, "*") == 0;
	parsed.with_arguments = any ? "" : row->options;
	struct option_walk walk = option_walk_begin(&parsed);
	bool operands = false;
	const char *first = NULL;
	for (struct option option; option_walk_next(&walk, &option);) {
		char suffix;
		bool digit = !option.is_long && *option.name >= '0' && *option.name <= '9';
		if (may_be_option(git->part, option.at))
			return false;
		if (!option.is_option) {
			first = operands ? first : option.name;
			operands = true;
		} else if (!any && !digit &&
			   !spec_find(
				   row->options, option.name, option.name_bytes, false, &suffix)) {
			return false;
		}
	}
	if (!row_operands(row, first) && (operands || strcmp(row->commands, "stash") == 0))
		return false;
	if (strcmp(row->commands, "config") == 0)
		return git_config_reads(&parsed);
	return !row->operands || row->operands[0] || !operands || words_are_patterns(&parsed);
}

bool git_is_safe(const struct command *command)
{
	struct git_words words = git_words(command);
	if (words.sets_telling || words.exec_path || words.elsewhere || words.unknown)
		return false;
	if (words.command_at == 0)
		return has_options(command, "version,help,exec-path,html-path,man-path");
	const char *name = command->part->argv.items[words.command_at];
	if (!command->part->word_known[words.command_at])
		return false;
	/* The command as one of its own: its words from the command's name on. */
	struct gate_part part = *command->part;
	part.argv.items += words.command_at;
	part.argv.count -= words.command_at;
	part.word_known += words.command_at;
	struct command git = *command;
	git.part = &part;
	for (size_t i = 0; i < ARRAY_SIZE(git_safe); i++)
		if (list_has(git_safe[i].commands, name, strlen(name)))
			return git_row_fits(&git, &git_safe[i]);
	return false;
}

static bool sets_telling(const struct command *command)
{
	return git_words(command).sets_telling;
}

static bool replaces_programs(const struct command *command)
{
	return git_words(command).exec_path;
}

/* git's own commands, so that an alias or a program git-NAME is told from them. */
static bool is_no_git_command(const struct command *command)
{
	static const char own[] =
		"add,am,annotate,apply,archive,bisect,blame,branch,bundle,cat-file,check-attr,"
		"check-ignore,check-mailmap,check-ref-format,checkout,checkout-index,cherry,"
		"cherry-pick,citool,clean,clone,column,commit,commit-graph,commit-tree,config,"
		"count-objects,credential,credential-cache,credential-store,daemon,describe,diff,"
		"diff-files,diff-index,diff-tree,difftool,fast-export,fast-import,fetch,fetch-pack,"
		"filter-branch,filter-repo,fmt-merge-msg,for-each-ref,for-each-repo,format-patch,"
		"fsck,gc,get-tar-commit-id,grep,gui,hash-object,help,hook,index-pack,init,instaweb,"
		"interpret-trailers,lfs,log,ls-files,ls-remote,ls-tree,mailinfo,mailsplit,"
		"maintenance,merge,merge-base,merge-file,merge-index,merge-tree,mergetool,mktag,"
		"mktree,multi-pack-index,mv,name-rev,notes,pack-objects,pack-refs,patch-id,prune,"
		"prune-packed,pull,push,range-diff,read-tree,rebase,reflog,remote,repack,replace,"
		"replay,request-pull,rerere,reset,restore,rev-list,rev-parse,revert,rm,send-email,"
		"send-pack,shortlog,show,show-branch,show-index,show-ref,sparse-checkout,stage,"
		"stash,status,stripspace,submodule,switch,symbolic-ref,tag,unpack-file,"
		"unpack-objects,update-index,update-ref,update-server-info,upload-archive,"
		"upload-pack,var,verify-commit,verify-pack,verify-tag,version,whatchanged,"
		"worktree,write-tree,scalar,svn,subtree,flow";
	const char *name = git_command(command);
	return *name && !list_has(own, name, strlen(name));
}

/* An operand of push that overwrites (+ref) or deletes (:ref). */
static bool pushes_over(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (!option.is_option && (option.name[0] == '+' || option.name[0] == ':'))
			return true;
	return false;
}

/* Whether what is checked out or restored is everything: ".", ":/", "*", a directory. */
static bool covers_everything(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option)
			continue;
		size_t length = option.name_bytes;
		if (list_has(".,..,:/,:,*,./", option.name, length) || !option.known ||
			(length > 0 && option.name[length - 1] == '/'))
			return true;
	}
	return false;
}

static bool runs_transport(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (!option.is_option && (strncmp(option.name, "ext::", 5) == 0 ||
						 strncmp(option.name, "fd::", 4) == 0))
			return true;
	return has_options(command, "upload-pack,receive-pack,exec");
}

static bool configures_telling(const struct command *command)
{
	for (size_t i = 2; i < command->part->argv.count; i++)
		if (strchr(command->part->argv.items[i], '.') &&
			setting_is_telling(command->part->argv.items[i]) && !git_is_safe(command))
			return true;
	return false;
}

static bool configures_outside(const struct command *command)
{
	return !git_is_safe(command) && has_options(command, "global,system,f,file");
}

#define LOSES CLASS_DANGEROUS, CATEGORY_DELETE
#define RUNS CLASS_DANGEROUS, CATEGORY_COMMAND

static const struct danger rows[] = {
	{"git", NULL, NULL, sets_telling, RUNS, "git-setting",
		"it sets what git runs or where it connects for this command"},
	{"git", NULL, NULL, replaces_programs, RUNS, "git-exec-path",
		"it replaces git's own programs"},
	{"git", NULL, NULL, is_no_git_command, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "git-alias",
		"git has no such command: it may be an alias for anything"},
	{"git", "push", "f,force,force-with-lease,mirror", NULL, LOSES, "git-force-push",
		"it overwrites what has been pushed"},
	{"git", "push", "d,delete,prune", NULL, LOSES, "git-push-delete",
		"it deletes branches or tags of the remote"},
	{"git", "push", NULL, pushes_over, LOSES, "git-force-push",
		"it overwrites or deletes what has been pushed"},
	{"git", "reset", "hard", NULL, LOSES, "git-reset-hard",
		"it throws away changes that are not committed"},
	{"git", "reset", "merge,keep", NULL, LOSES, "git-reset-hard",
		"it may throw away changes that are not committed"},
	{"git", "clean", "f,force", NULL, LOSES, "git-clean",
		"it deletes files that git does not know"},
	{"git", "checkout", "f,force", NULL, LOSES, "git-discard",
		"it throws away changes that are not committed"},
	{"git", "checkout", NULL, covers_everything, LOSES, "git-discard",
		"it throws away changes that are not committed"},
	{"git", "restore", NULL, covers_everything, LOSES, "git-discard",
		"it throws away changes that are not committed"},
	{"git", "switch", "f,force,discard-changes", NULL, LOSES, "git-discard",
		"it throws away changes that are not committed"},
	{"git", "branch", "D", NULL, LOSES, "git-branch-delete",
		"it deletes a branch even if it was never merged"},
	{"git", "branch", "d,delete f,force", NULL, LOSES, "git-branch-delete",
		"it deletes a branch even if it was never merged"},
	{"git", "branch", "M,C,f,force", NULL, LOSES, "git-branch-move",
		"it moves a branch over another"},
	{"git", "stash drop,clear", NULL, NULL, LOSES, "git-stash-drop",
		"it deletes changes that were put aside"},
	{"git", "reflog expire,delete", NULL, NULL, LOSES, "git-reflog",
		"it deletes what makes lost commits findable"},
	{"git", "update-ref", "d,stdin", NULL, LOSES, "git-update-ref", "it deletes references"},
	{"git", "symbolic-ref", "d,delete", NULL, LOSES, "git-update-ref", "it deletes references"},
	{"git", "filter-branch,filter-repo,replace", NULL, NULL, LOSES, "git-rewrite",
		"it rewrites the whole history"},
	{"git", "gc", "prune,aggressive", NULL, LOSES, "git-prune",
		"it deletes commits that nothing refers to"},
	{"git", "prune,prune-packed", NULL, NULL, LOSES, "git-prune",
		"it deletes commits that nothing refers to"},
	{"git", "worktree remove", "f,force", NULL, LOSES, "git-worktree-remove",
		"it deletes a work tree with its changes"},
	{"git", "rm", "r f,force", NULL, LOSES, "git-rm", "it deletes files with their changes"},
	{"git", "submodule deinit", "f,force", NULL, LOSES, "git-submodule",
		"it deletes a submodule with its changes"},
	{"git", "submodule foreach", NULL, NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "git-foreach",
		"it runs a command in every submodule"},
	{"git", "rebase", "x,exec", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "git-exec",
		"it runs a command for every commit"},
	{"git", "bisect run", NULL, NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "git-exec",
		"it runs a command for every commit"},
	{"git", "for-each-repo,hook,difftool,mergetool", NULL, NULL, CLASS_UNDECIDABLE,
		CATEGORY_COMMAND, "git-exec", "it runs what the repository's settings name"},
	{"git", "grep", "O,open-files-in-pager", NULL, RUNS, "git-pager",
		"it starts a program that its words name"},
	{"git", "config", NULL, configures_telling, RUNS, "git-config-program",
		"it changes what git runs or where it connects, from now on"},
	{"git", "config", NULL, configures_outside, RUNS, "git-config-outside",
		"it changes git for every repository"},
	{"git", "remote set-url,rename,remove,rm", NULL, NULL, RUNS, "git-remote",
		"it changes where pushes go"},
	{"git", "maintenance start,register", NULL, NULL, RUNS, "cron", "it schedules a command"},
	{"git", "credential,credential-store,credential-cache", NULL, NULL, CLASS_DANGEROUS,
		CATEGORY_SECRET, "read-secret", "it asks for stored passwords"},
	{"git", "send-email,request-pull,send-pack", NULL, NULL, CLASS_DANGEROUS, CATEGORY_NETWORK,
		"git-publish", "it sends work to others"},
	{"git", "daemon,instaweb,http-backend", NULL, NULL, CLASS_DANGEROUS, CATEGORY_NETWORK,
		"background-daemon", "it serves the repository to others"},
	{"git", "clone,fetch,pull,ls-remote,archive,push,submodule,remote", NULL, runs_transport,
		RUNS, "git-transport", "it names a program that git runs to connect"},
	{"git", "clone,init", "template", NULL, RUNS, "git-template",
		"it brings hooks into a repository"},
	{"git", "clone", "c,config", NULL, RUNS, "git-setting",
		"it sets what git runs in the new repository"},
	{"git", "apply", "unsafe-paths", NULL, CLASS_DANGEROUS, CATEGORY_WRITE_OUTSIDE,
		"write-outside", "it may write outside of the repository"},
};

const struct program_table dangers_of_git = PROGRAM_TABLE(rows);
