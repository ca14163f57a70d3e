/* The syntax of git's files, and where a real git keeps things. */
#include "base/cleanup.h"
#include "base/path.h"
#include "plan/git_config.h"
#include "plan/git_dirs.h"
#include "plan/git_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* "section.subsection.name=value;" for each variable. */
struct collected {
	char text[4096];
};

static int collect(const char *section, const char *subsection, const char *name, const char *value,
	void *context)
{
	struct collected *collected = context;
	size_t used = strlen(collected->text);
	snprintf(collected->text + used, sizeof(collected->text) - used, "%s.%s.%s=%s;", section,
		subsection, name, value ? value : "(none)");
	return 0;
}

static int parse(const char *config, struct collected *ret)
{
	ret->text[0] = '\0';
	return git_config_parse(config, strlen(config), collect, ret);
}

static void config_is_read_as_git_reads_it(void **state)
{
	(void)state;
	static const struct {
		const char *config, *expected;
	} good[] = {
		{"", ""},
		{"[core]\n\tbare = true\n", "core..bare=true;"},
		{"[CORE]\nHooksPath=.husky", "core..hookspath=.husky;"},
		{"[core] hooksPath = a b \t # comment\n", "core..hookspath=a b;"},
		{"[core]\nx = \"a # b\" c ; d\n", "core..x=a # b c;"},
		{"[core]\nx = a\\\n  b\n", "core..x=a  b;"},
		{"[core]\nx = \"a\\tb\\\"\\\\\"\n", "core..x=a\tb\"\\;"},
		{"[core]\nx = \" a \" \n", "core..x= a ;"},
		{"[includeIf \"gitdir:~/Work/\"]\n\tpath = ~/x\r\n",
			"includeif.gitdir:~/Work/.path=~/x;"},
		{"[remote \"a\\\"]b\"]\nurl=x\n", "remote.a\"]b.url=x;"},
		{"[branch.Main]\nx\n", "branch.main.x=(none);"},
		{"# a\n; b\n[a]\n\n[b]x=1\ny\n", "b..x=1;b..y=(none);"},
		{"\xef\xbb\xbf[core]\nx=\n", "core..x=;"},
	};
	struct collected collected;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse(good[i].config, &collected), 0);
		assert_string_equal(collected.text, good[i].expected);
	}
}

static void what_is_no_config_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"x=1\n", "[core\nx=1\n", "[core]\n=1\n",
		"[core]\nx=\"a\n", "[core]\nx=\\q\n", "[core]\nx y\n", "[a \"b]\nx=1\n",
		"[a \"b\" c]\n", "]", "[core]\nx_y=1\n"};
	struct collected collected;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &collected) != -EINVAL)
			fail_msg("taken for a config: %s", bad[i]);
	/* What came before the fault counts. */
	assert_int_equal(parse("[core]\nhooksPath=x\n!\n", &collected), -EINVAL);
	assert_string_equal(collected.text, "core..hookspath=x;");
}

static void git_files(void **state)
{
	(void)state;
	char good[] = "gitdir: ../a b/.git/worktrees/x\r\n";
	assert_string_equal(git_file_target(good, strlen(good)), "../a b/.git/worktrees/x");
	char no_end[] = "gitdir: /x";
	assert_string_equal(git_file_target(no_end, strlen(no_end)), "/x");
	char empty[] = "gitdir: \n", other[] = "gitdir:x\n", nul[] = "gitdir: a\0b\n";
	assert_null(git_file_target(empty, strlen(empty)));
	assert_null(git_file_target(other, strlen(other)));
	assert_null(git_file_target(nul, sizeof(nul) - 1));
	assert_null(git_file_target(other, 0));
}

/* A directory of its own, free of symlinks, with a shell in it. */
static char root[64];

static void sh(const char *script)
{
	char *command;
	assert_true(
		asprintf(&command,
			"cd %s && export HOME=%s/home GIT_CONFIG_NOSYSTEM=1 && set -e && { %s\n} "
			">/dev/null 2>&1",
			root, root, script) > 0);
	int status = system(command);
	if (status != 0)
		fail_msg("exit %d: %s", status, script);
	free(command);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(root, "/tmp/coffer-git-dirs.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	setenv("HOME", root, 1);
	unsetenv("XDG_CONFIG_HOME");
	sh("mkdir home; git config --global user.email a@b; git config --global user.name a;"
	   "git config --global init.defaultBranch main;"
	   "git config --global protocol.file.allow always;"
	   "git init main; cd main; echo a >a; git add a; git commit -m a");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void check(const char *path, const char *expected)
{
	char *full = path_join(root, expected);
	assert_string_equal(path, full);
	free(full);
}

static int find(const char *top, struct git_dirs *ret)
{
	char *full = path_join(root, top);
	int r = git_dirs_find(full, ret);
	free(full);
	return r;
}

static void a_main_worktree(void **state)
{
	(void)state;
	cleanup_git_dirs struct git_dirs dirs = {0};
	assert_int_equal(find("main", &dirs), 0);
	check(dirs.git_dir, "main/.git");
	check(dirs.common_dir, "main/.git");
	check(dirs.hooks_dir, "main/.git/hooks");
	assert_true(dirs.belongs && !dirs.is_linked_worktree && !dirs.is_submodule);
	assert_int_equal(dirs.hash_bytes, GIT_SHA1_BYTES);
}

static void a_linked_worktree(void **state)
{
	(void)state;
	sh("cd main; git worktree add ../linked");
	cleanup_git_dirs struct git_dirs dirs = {0};
	assert_int_equal(find("linked", &dirs), 0);
	check(dirs.git_dir, "main/.git/worktrees/linked");
	check(dirs.common_dir, "main/.git");
	check(dirs.hooks_dir, "main/.git/hooks");
	assert_true(dirs.belongs && dirs.is_linked_worktree);

	/* The same file in a stranger's directory does not make the repository its own. */
	sh("mkdir thief; cp linked/.git thief/.git");
	cleanup_git_dirs struct git_dirs stolen = {0};
	assert_int_equal(find("thief", &stolen), 0);
	assert_false(stolen.belongs);
	/* Nor does a forged record that lies elsewhere. */
	sh("mkdir -p thief/forged; cp -r main/.git/worktrees/linked/* thief/forged/;"
	   "echo ../../main/.git >thief/forged/commondir; "
	   "echo $PWD/thief/.git >thief/forged/gitdir;"
	   "echo 'gitdir: forged' >thief/.git");
	cleanup_git_dirs struct git_dirs forged = {0};
	assert_int_equal(find("thief", &forged), 0);
	check(forged.common_dir, "main/.git");
	assert_false(forged.belongs);
}

static void a_submodule(void **state)
{
	(void)state;
	sh("git init super; cd super; git submodule add ../main lib/sub");
	cleanup_git_dirs struct git_dirs dirs = {0};
	assert_int_equal(find("super/lib/sub", &dirs), 0);
	check(dirs.git_dir, "super/.git/modules/lib/sub");
	assert_true(dirs.belongs && dirs.is_submodule && !dirs.is_linked_worktree);
	sh("mkdir borrowed; echo 'gitdir: ../super/.git/modules/lib/sub' >borrowed/.git");
	cleanup_git_dirs struct git_dirs borrowed = {0};
	assert_int_equal(find("borrowed", &borrowed), 0);
	assert_false(borrowed.belongs);
}

static void links_and_separate_directories(void **state)
{
	(void)state;
	sh("git init moved; mv moved/.git store; ln -s ../store moved/.git;"
	   "git init --separate-git-dir=apart.git other;"
	   "mkdir taken; ln -s ../main/.git taken/.git; git init --bare bare.git;"
	   "mkdir over; ln -s ../bare.git over/.git");
	cleanup_git_dirs struct git_dirs moved = {0}, other = {0}, taken = {0}, over = {0};
	assert_int_equal(find("moved", &moved), 0);
	check(moved.git_dir, "store");
	assert_true(moved.belongs);
	assert_int_equal(find("other", &other), 0);
	check(other.git_dir, "apart.git");
	assert_true(other.belongs);
	assert_int_equal(find("taken", &taken), 0);
	assert_false(taken.belongs); /* it is main's */
	assert_int_equal(find("over", &over), 0);
	assert_false(over.belongs); /* it is nobody's */
}

static void what_a_config_names(void **state)
{
	(void)state;
	sh("git init hooked; cd hooked; git config core.hooksPath .husky/_;"
	   "git config include.path ../extra; git config core.fsmonitor tools/watch");
	cleanup_git_dirs struct git_dirs dirs = {0};
	assert_int_equal(find("hooked", &dirs), 0);
	check(dirs.hooks_dir, "hooked/.husky/_");
	assert_int_equal(dirs.named.count, 2);
	check(dirs.named.items[0], "hooked/extra");
	check(dirs.named.items[1], "hooked/tools/watch");

	/* An included file is read; a worktree's own config comes last; a loop of includes ends. */
	sh("cd hooked; printf '[core]\\nhooksPath=/from/include\\n[include]\\npath=extra\\npath="
	   ".git/config\\n' >extra");
	cleanup_git_dirs struct git_dirs included = {0};
	assert_int_equal(find("hooked", &included), 0);
	assert_string_equal(included.hooks_dir, "/from/include");
	sh("cd hooked; printf '[extensions]\\nworktreeConfig\\n' >>.git/config;"
	   "printf '[core]\\nhooksPath = ~/mine\\n' >.git/config.worktree");
	cleanup_git_dirs struct git_dirs own = {0};
	assert_int_equal(find("hooked", &own), 0);
	check(own.hooks_dir, "mine");
}

static void what_is_no_repository(void **state)
{
	(void)state;
	sh("mkdir -p a/.git b c d e; echo 'gitdir: ../nowhere' >b/.git; mkfifo c/.git;"
	   "ln -s .git d/.git; echo nonsense >e/.git");
	static const char *const tops[] = {"a", "b", "c", "d", "e", "home"};
	for (size_t i = 0; i < ARRAY_SIZE(tops); i++) {
		struct git_dirs dirs;
		assert_int_equal(find(tops[i], &dirs), -ENOENT);
		assert_null(dirs.git_dir);
	}
}

struct entries {
	char text[8192];
};

static int on_entry(const char *path, size_t path_length, unsigned mode, void *context)
{
	struct entries *entries = context;
	size_t used = strlen(entries->text);
	assert_int_equal(strlen(path), path_length);
	snprintf(entries->text + used, sizeof(entries->text) - used, "%o %s\n", mode, path);
	return 0;
}

static char *slurp(const char *path, size_t *ret_length)
{
	char *full = path_join(root, path);
	FILE *file = fopen(full, "re");
	free(full);
	assert_non_null(file);
	char *data = malloc(65536);
	assert_non_null(data);
	*ret_length = fread(data, 1, 65536, file);
	fclose(file);
	return data;
}

/* Every version that git writes gives what `git ls-files` says, and every cut is noticed. */
static void indexes_of_every_version(void **state)
{
	(void)state;
	sh("git init many; cd many; mkdir -p dir/deep; for i in 1 2 3 4 5 6 7 8 9 12345678; do"
	   "  echo $i >dir/deep/file$i; done; touch a ab abc; ln -s a link; git add .;"
	   "git init sub; cd sub; git commit --allow-empty -m x; cd ..; git add sub");
	static const char *const versions[] = {"2", "3", "4"};
	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		char script[256];
		/* Version 3 is written only where an entry needs its flags. */
		snprintf(script, sizeof(script),
			"cd many; git update-index --index-version %s; "
			"[ %s != 3 ] || { rm -f new; touch new;"
			"git add -N new; }; git ls-files -s | sed 's/ .*\t/ /' >../listed",
			versions[v], versions[v]);
		sh(script);
		size_t length, listed_length;
		cleanup_free char *index = slurp("many/.git/index", &length);
		cleanup_free char *listed = slurp("listed", &listed_length);
		listed[listed_length] = '\0';
		struct entries entries = {0};
		assert_int_equal(index[7], versions[v][0] - '0');
		assert_int_equal(
			git_index_parse(index, length, GIT_SHA1_BYTES, on_entry, &entries), 0);
		assert_string_equal(entries.text, listed);

		/* The last entry ends before the extensions and the checksum. */
		for (size_t cut = 0; cut < 800; cut++) {
			cleanup_free char *copy = malloc(cut + 1);
			memcpy(copy, index, cut);
			entries.text[0] = '\0';
			assert_int_equal(
				git_index_parse(copy, cut, GIT_SHA1_BYTES, on_entry, &entries),
				-EBADMSG);
		}
	}
}

static void an_index_with_long_hashes(void **state)
{
	(void)state;
	sh("git init --object-format=sha256 long; cd long; touch a bc; git add .");
	cleanup_git_dirs struct git_dirs dirs = {0};
	assert_int_equal(find("long", &dirs), 0);
	assert_int_equal(dirs.hash_bytes, GIT_SHA256_BYTES);
	size_t length;
	cleanup_free char *index = slurp("long/.git/index", &length);
	struct entries entries = {0};
	assert_int_equal(git_index_parse(index, length, dirs.hash_bytes, on_entry, &entries), 0);
	assert_string_equal(entries.text, "100644 a\n100644 bc\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_is_read_as_git_reads_it),
		cmocka_unit_test(what_is_no_config_is_refused),
		cmocka_unit_test(git_files),
		cmocka_unit_test(a_main_worktree),
		cmocka_unit_test(a_linked_worktree),
		cmocka_unit_test(a_submodule),
		cmocka_unit_test(links_and_separate_directories),
		cmocka_unit_test(what_a_config_names),
		cmocka_unit_test(what_is_no_repository),
		cmocka_unit_test(indexes_of_every_version),
		cmocka_unit_test(an_index_with_long_hashes),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
