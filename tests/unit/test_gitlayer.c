/* What a box did to a git directory comes back: a real git works on a real overlay, then the host's
 * git looks at the result. Then the same with uppers that no git would make. */
#include "base/cleanup.h"
#include "base/path.h"
#include "plan/git_index.h"
#include "run/gitlayer.h"
#include "run/gitlayer_check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char base[64];

static int try_sh(const char *script)
{
	char *command;
	/* The names that a script may use stand before it. */
	assert_true(asprintf(&command,
			    "cd %s && export HOME=%s/home GIT_CONFIG_NOSYSTEM=1 && set -e && "
			    "upper=%s/layer/upper real=%s/repo/.git && { %s\n} >>%s/log 2>&1",
			    base, base, base, base, script, base) > 0);
	int status = system(command);
	free(command);
	return status;
}

static void sh(const char *script)
{
	int status = try_sh(script);
	if (status != 0) {
		try_sh("tail -n 20 log >&3 3>&2");
		fail_msg("exit %d: %s", status, script);
	}
}

/* Runs script in repo, with an overlay on its git directory. */
static void box(const char *script)
{
	char *command;
	assert_true(asprintf(&command,
			    "mkdir -p layer/upper layer/work; cat >boxed <<'END'\n"
			    "set -e\nmount -t overlay -o userxattr,lowerdir=$real,upperdir=$upper,"
			    "workdir=%s/layer/work none $real\ncd repo\n%s\nEND\n"
			    "upper=$upper real=$real unshare -Urm sh boxed",
			    base, script) > 0);
	sh(command);
	free(command);
}

static struct timespec started;

static int set_up_all(void **state)
{
	(void)state;
	strcpy(base, "/tmp/coffer-gitlayer.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	setenv("HOME", base, 1);
	return 0;
}

static int tear_down_all(void **state)
{
	(void)state;
	char command[256];
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", base, base);
	return system(command);
}

static int set_up(void **state)
{
	(void)state;
	sh("chmod -R u+rwx .; rm -rf repo layer home tree outside; mkdir home layer layer/upper;"
	   "git config --global user.email a@b; git config --global user.name a;"
	   "git config --global init.defaultBranch main; git config --global gc.auto 0;"
	   "git init repo; cd repo; echo one >a; git add a; git commit -m one; git branch side;"
	   "git tag v1; echo two >b; git add b; git commit -m two");
	clock_gettime(CLOCK_REALTIME, &started);
	return 0;
}

static struct gitlayer_result write_back(void)
{
	struct gitlayer_result result = {0};
	struct error error = {0};
	char upper[128], real[128], root[128];
	snprintf(upper, sizeof(upper), "%s/layer/upper", base);
	snprintf(real, sizeof(real), "%s/repo/.git", base);
	snprintf(root, sizeof(root), "%s/repo", base);
	char *roots[] = {root, NULL};
	cleanup_close int fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	struct gitlayer_options options = {.git_dir = real,
		.write_roots = roots,
		.started_at = started,
		.hash_bytes = GIT_SHA1_BYTES};
	int r = gitlayer_write_back(upper, fd, &options, &result, &error);
	if (r < 0)
		fail_msg("%s", error.message);
	return result;
}

static const char *refusal(const struct gitlayer_result *result, const char *path)
{
	for (size_t i = 0; i < result->refused_count; i++)
		if (strcmp(result->refused[i].path, path) == 0)
			return result->refused[i].why;
	return NULL;
}

static void assert_none_refused(const struct gitlayer_result *result)
{
	for (size_t i = 0; i < result->refused_count; i++)
		print_message("%s: %s\n", result->refused[i].path, result->refused[i].why);
	assert_int_equal(result->refused_count, 0);
}

static void assert_refused(const struct gitlayer_result *result, const char *path)
{
	if (!refusal(result, path))
		fail_msg("not refused: %s", path);
}

static void host_is_sound(void)
{
	sh("cd repo; git fsck --strict --no-dangling; git log --oneline --all; git status;"
	   "test -z \"$(find .git -name '*.lock' -o -name 'tmp_obj*')\"");
}

static void a_commit(void **state)
{
	(void)state;
	box("echo three >c; git add c; git commit -m three; git status");
	sh("cd repo; test $(git log --oneline | wc -l) = 2"); /* the layer is private */
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	assert_true(result.written >= 7);
	gitlayer_result_release(&result);
	/* A second time there is nothing left to do. */
	result = write_back();
	assert_none_refused(&result);
	assert_int_equal(result.written, 0);
	gitlayer_result_release(&result);
	host_is_sound();
	sh("cd repo; test $(git log --oneline | wc -l) = 3; test -z \"$(git status --porcelain)\";"
	   "git reflog | grep three; git show HEAD:c | grep three");
}

static void branches_merges_and_deletions(void **state)
{
	(void)state;
	box("git checkout -q side; echo x >x; git add x; git commit -m x; git checkout main;"
	    "git merge --no-edit side; git branch -d side; git tag -d v1;"
	    "git branch feature/new; git stash list");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	assert_true(result.deleted >= 2);
	gitlayer_result_release(&result);
	host_is_sound();
	sh("cd repo; ! git rev-parse -q --verify side; ! git rev-parse -q --verify v1;"
	   "git rev-parse feature/new; test -z \"$(git status --porcelain)\";"
	   "git log --merges --oneline | grep side; ! test -e .git/MERGE_HEAD");
}

static void a_merge_that_stops(void **state)
{
	(void)state;
	box("git checkout -q side; echo other >b; git add b; git commit -m other; "
	    "git checkout -q main;"
	    "! git merge side");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	sh("cd repo; git status | grep 'Unmerged paths'; test -e .git/MERGE_HEAD;"
	   "echo both >b; git add b; git commit --no-edit");
	host_is_sound();
}

static void a_rebase_that_stops_and_one_that_went_on(void **state)
{
	(void)state;
	box("git checkout -q side; echo other >b; git add b; git commit -m other; "
	    "! git rebase main");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	sh("cd repo; git status | grep 'rebase in progress'; chmod -R u+rwx ../layer; "
	   "rm -rf ../layer");
	clock_gettime(CLOCK_REALTIME, &started);
	box("echo both >b; git add b; GIT_EDITOR=true git rebase --continue");
	result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	sh("cd repo; ! test -e .git/rebase-merge; test -z \"$(git status --porcelain)\";"
	   "test $(git log --oneline | wc -l) = 3");
	host_is_sound();
}

static void steps_with_commands_stay_behind(void **state)
{
	(void)state;
	box("git checkout -q side; echo other >b; git add b; git commit -m other;"
	    "! git rebase --exec 'touch pwned' main");
	struct gitlayer_result result = write_back();
	assert_refused(&result, "rebase-merge/git-rebase-todo");
	assert_refused(&result, "rebase-merge/head-name");
	gitlayer_result_release(&result);
	sh("! test -e $real/rebase-merge");
	host_is_sound();
}

static void worktrees(void **state)
{
	(void)state;
	box("git worktree add wt; cd wt; echo w >w; git add w; git commit -m w");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	sh("cd repo/wt; test -z \"$(git status --porcelain)\"; git log --oneline | grep w;"
	   "git worktree list | grep repo/wt; cd ../..; chmod -R u+rwx layer; rm -rf layer");
	host_is_sound();
	clock_gettime(CLOCK_REALTIME, &started);
	box("git worktree remove wt");
	result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	sh("cd repo; ! test -e .git/worktrees; test $(git worktree list | wc -l) = 1");
	host_is_sound();
}

static void a_worktree_elsewhere_is_not_touched(void **state)
{
	(void)state;
	sh("cd repo; git worktree add ../tree");
	clock_gettime(CLOCK_REALTIME, &started);
	/* A new one outside, one through a link, and the user's other worktree. */
	box("git worktree add ../outside; mkdir real; git worktree add real/x; mv real real2;"
	    "ln -s real2 real; git -C ../tree commit --allow-empty -m stolen");
	struct gitlayer_result result = write_back();
	assert_refused(&result, "worktrees/outside/gitdir");
	assert_refused(&result, "worktrees/outside/HEAD");
	assert_refused(&result, "worktrees/x/gitdir");
	assert_refused(&result, "worktrees/tree/logs/HEAD");
	gitlayer_result_release(&result);
	sh("! test -e $real/worktrees/outside; ! test -e $real/worktrees/x");
	host_is_sound();
}

static void packs(void **state)
{
	(void)state;
	/* Objects that are new, in a pack of their own: fine. */
	box("echo new >new; git add new; git commit -m new;"
	    "git rev-list --objects HEAD~1..HEAD | cut -d' ' -f1 | git pack-objects "
	    ".git/objects/pack/pack;"
	    "git prune-packed");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	host_is_sound();
	sh("cd repo; ls .git/objects/pack/*.pack; git show HEAD:new | grep new;"
	   "chmod -R u+rwx ../layer; rm -rf ../layer");

	/* A pack that names what was there could show other content for it. */
	clock_gettime(CLOCK_REALTIME, &started);
	box("echo more >more; git add more; git commit -m more; git repack -adq; "
	    "git pack-refs --all");
	result = write_back();
	assert_true(result.refused_count > 0);
	assert_refused(&result, "refs/heads/main");
	gitlayer_result_release(&result);
	sh("cd repo; test $(git log --oneline | wc -l) = 3");
	host_is_sound();
}

static void packed_refs(void **state)
{
	(void)state;
	box("git pack-refs --all; git branch -D side");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	host_is_sound();
	sh("cd repo; ! test -e .git/refs/heads/main; git rev-parse main v1; "
	   "! git rev-parse -q --verify side");
}

static void what_the_host_changed_stays(void **state)
{
	(void)state;
	box("echo boxed >c; git add c; git commit -m boxed; git branch new");
	sh("cd repo; git commit --allow-empty -m hosted");
	struct gitlayer_result result = write_back();
	assert_refused(&result, "refs/heads/main");
	assert_null(refusal(&result, "refs/heads/new"));
	gitlayer_result_release(&result);
	sh("cd repo; git log --oneline main | grep hosted; git log --oneline new | grep boxed");
	host_is_sound();
}

static void locks_of_a_git_outside_are_kept(void **state)
{
	(void)state;
	box("echo boxed >c; git add c; git commit -m boxed; git branch new");
	sh("touch $real/refs/heads/new.lock");
	struct gitlayer_result result = write_back();
	assert_string_equal(refusal(&result, "refs/heads/new"), "locked by another git");
	gitlayer_result_release(&result);
	sh("test -e $real/refs/heads/new.lock; ! test -e $real/refs/heads/new");
}

static void code_and_settings_stay_behind(void **state)
{
	(void)state;
	sh("mkdir -p $upper/hooks $upper/info $upper/objects/info $upper/modules/new "
	   "$upper/worktrees/w;"
	   "cd $upper; echo '#!/bin/sh' >hooks/pre-commit; chmod +x hooks/pre-commit; "
	   "mkdir -p branches;"
	   "printf '[core]\\nhooksPath=/tmp\\n' >config; cp config config.worktree; "
	   "cp config modules/new/"
	   "config; cp config worktrees/w/config.worktree; echo /tmp >objects/info/alternates;"
	   "echo '* filter=x' >info/attributes; echo x >info/exclude; echo x >info/grafts;"
	   "echo x >description; echo x >unknown; echo x >commondir; echo x >gitdir; "
	   "echo x >HEAD.lock;"
	   "ln -s /etc/passwd MERGE_MSG; mkfifo SQUASH_MSG; cp $real/HEAD modules/new/HEAD");
	struct gitlayer_result result = write_back();
	static const char *const paths[] = {"hooks/pre-commit", "config", "config.worktree",
		"modules/new/config", "modules/new/HEAD", "worktrees/w/config.worktree",
		"objects/info/alternates", "info/attributes", "info/exclude", "info/grafts",
		"description", "unknown", "commondir", "gitdir", "HEAD.lock", "MERGE_MSG",
		"SQUASH_MSG"};
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_refused(&result, paths[i]);
	assert_int_equal(result.refused_count, ARRAY_SIZE(paths));
	assert_int_equal(result.written, 0);
	gitlayer_result_release(&result);
	host_is_sound();
}

/* Each of these alone in an upper must be refused, with nothing written. */
static void forged_contents(void **state)
{
	(void)state;
	static const char *const scripts[][2] = {
		{"HEAD", "echo 'ref: refs/../config' >HEAD"},
		{"HEAD", "echo 'ref: refs/heads/../../config' >HEAD"},
		{"HEAD", "echo 'ref: config' >HEAD"},
		{"HEAD", "printf 'ref: refs/heads/a\\0b' >HEAD"},
		{"HEAD", ": >HEAD"},
		{"refs/heads/x",
			"mkdir -p refs/heads; echo 'ref: ../../../etc/passwd' >refs/heads/x"},
		{"refs/heads/x", "mkdir -p refs/heads; echo zz >refs/heads/x"},
		{"refs/heads/x.lock",
			"mkdir -p refs/heads; cat $real/refs/heads/main >refs/heads/x.lock"},
		{"refs/heads/-x y",
			"mkdir -p refs/heads; cat $real/refs/heads/main >'refs/heads/-x y'"},
		{"refs/heads/x", "mkdir -p refs/heads; ln -s main refs/heads/x"},
		{"refs/replace/0000000000000000000000000000000000000001",
			"mkdir -p refs/replace; cat $real/refs/heads/main >"
			"refs/replace/0000000000000000000000000000000000000001"},
		{"packed-refs",
			"echo \"$(cat $real/refs/heads/main) refs/heads/../x\" >packed-refs"},
		{"packed-refs", "echo \"$(cat $real/refs/heads/main) config\" >packed-refs"},
		{"packed-refs",
			"echo \"$(cat $real/refs/heads/main) refs/replace/x\" >packed-refs"},
		{"index", "head -c 40 $real/index >index"},
		{"index", "echo DIRC >index"},
		{"index", "sed 's,\\x00\\x01a\\x00,\\x00\\x01/\\x00,' $real/index >index"},
		{"logs/HEAD", "mkdir logs; echo nonsense >logs/HEAD"},
		{"objects/ab/cd", "mkdir -p objects/ab; echo x >objects/ab/cd"},
		{"objects/ab/00000000000000000000000000000000000000",
			"mkdir -p objects/ab; "
			"echo x >objects/ab/00000000000000000000000000000000000000"},
		{"objects/pack/pack-x.pack",
			"mkdir -p objects/pack; echo PACK >objects/pack/pack-x.pack"},
		{"MERGE_HEAD", "echo nonsense >MERGE_HEAD"},
		{"sequencer/opts",
			"mkdir sequencer; printf '[options]\\nstrategy=../x\\n' >sequencer/opts"},
		{"rebase-merge/strategy", "mkdir rebase-merge; echo ../x >rebase-merge/strategy"},
		{"rebase-merge/author-script",
			"mkdir rebase-merge; "
			"echo 'GIT_AUTHOR_NAME=$(id)' >rebase-merge/author-script"},
		{"rebase-merge/git-rebase-todo",
			"mkdir rebase-merge; echo ' x touch pwned' >rebase-merge/git-rebase-todo"},
		{"rebase-merge/git-rebase-todo",
			"mkdir rebase-merge; "
			"echo 'u refs/replace/x' >rebase-merge/git-rebase-todo"},
		{"rebase-merge/head-name",
			"mkdir rebase-merge; echo refs/replace/x >rebase-merge/head-name"},
		{"rebase-merge/evil", "mkdir rebase-merge; echo x >rebase-merge/evil"},
		{"worktrees/w/gitdir", "mkdir -p worktrees/w; echo /etc/.git >worktrees/w/gitdir"},
		{"worktrees/w/commondir", "mkdir -p worktrees/w; echo /tmp >worktrees/w/commondir"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		char *script;
		assert_true(asprintf(&script, "rm -rf $upper; mkdir $upper; cd $upper; %s",
				    scripts[i][1]) > 0);
		sh(script);
		free(script);
		struct gitlayer_result result = write_back();
		assert_refused(&result, scripts[i][0]);
		assert_int_equal(result.written + result.deleted, 0);
		gitlayer_result_release(&result);
	}
	host_is_sound();
}

static void an_index_that_tracks_a_git_directory(void **state)
{
	(void)state;
	/* git refuses to make such an index: an honest one is changed byte by byte. */
	static const char *const names[] = {"/git/config", ".git/config", ".GIT/config",
		"../../confi", "a/.git/conf", "a//b/config"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *script;
		assert_true(asprintf(&script,
				    "rm -rf $upper; mkdir $upper; cp $real/index saved; cd repo;"
				    "echo x >xxxxxxxxxxx; git add xxxxxxxxxxx;"
				    "sed 's,xxxxxxxxxxx,%s,' .git/index >$upper/index; "
				    "mv ../saved .git/index",
				    names[i]) > 0);
		sh(script);
		free(script);
		clock_gettime(CLOCK_REALTIME, &started);
		struct gitlayer_result result = write_back();
		assert_refused(&result, "index");
		assert_int_equal(result.written, 0);
		gitlayer_result_release(&result);
	}
}

static void links_on_the_real_side_are_not_followed(void **state)
{
	(void)state;
	sh("mkdir outside; mv $real/refs/heads outside/heads; "
	   "ln -s ../../../outside/heads $real/refs/heads;"
	   "mkdir -p $upper/refs/heads; cat outside/heads/main >$upper/refs/heads/new");
	clock_gettime(CLOCK_REALTIME, &started);
	struct gitlayer_result result = write_back();
	assert_refused(&result, "refs/heads/new");
	assert_int_equal(result.written, 0);
	gitlayer_result_release(&result);
	sh("! test -e outside/heads/new");
}

static void a_refused_object_refuses_what_refers_to_it(void **state)
{
	(void)state;
	box("echo three >c; git add c; git commit -m three");
	sh("cd $upper/objects; f=$(ls -d [0-9a-f][0-9a-f]/* | head -n 1); chmod u+w $f; "
	   "echo junk >$f");
	struct gitlayer_result result = write_back();
	assert_refused(&result, "refs/heads/main");
	assert_refused(&result, "index");
	gitlayer_result_release(&result);
	sh("cd repo; test $(git log --oneline | wc -l) = 2; git fsck --no-dangling; git log --all");
}

static void objects_that_exist_are_never_replaced(void **state)
{
	(void)state;
	sh("cd $real/objects; f=$(ls -d [0-9a-f][0-9a-f]/* | head -n 1); "
	   "mkdir -p $upper/objects/$(dirname $f);"
	   "printf '\\170\\001junk' >$upper/objects/$f");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	assert_int_equal(result.written, 0);
	gitlayer_result_release(&result);
	host_is_sound();
}

static void a_submodule(void **state)
{
	(void)state;
	sh("cd repo; git -c protocol.file.allow=always submodule add ../repo lib/sub; "
	   "git commit -m sub");
	clock_gettime(CLOCK_REALTIME, &started);
	box("cd lib/sub; echo s >s; git add s; git commit -m s; cd ../..; git add lib/sub; "
	    "git commit -m up");
	struct gitlayer_result result = write_back();
	assert_none_refused(&result);
	gitlayer_result_release(&result);
	sh("cd repo; git -C lib/sub log --oneline | grep ' s$'; git -C lib/sub fsck;"
	   "test -z \"$(git status --porcelain)\"");
	host_is_sound();
}

static void names_of_refs(void **state)
{
	(void)state;
	static const char *const good[] = {"refs/heads/a", "refs/heads/feature/x-1.2",
		"refs/tags/v1", "a", "refs/heads/\xc3\xa4"};
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".a", "a/.b", "a..b", "a.lock",
		"a.lock/b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a\x7f",
		"a\nb", "@", "a@{b", "a.", "..", "a/../b"};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(gitlayer_is_ref_name(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(gitlayer_is_ref_name(bad[i]));
}

#define unit(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(a_commit),
		unit(branches_merges_and_deletions),
		unit(a_merge_that_stops),
		unit(a_rebase_that_stops_and_one_that_went_on),
		unit(steps_with_commands_stay_behind),
		unit(worktrees),
		unit(a_worktree_elsewhere_is_not_touched),
		unit(packs),
		unit(packed_refs),
		unit(what_the_host_changed_stays),
		unit(locks_of_a_git_outside_are_kept),
		unit(code_and_settings_stay_behind),
		unit(forged_contents),
		unit(an_index_that_tracks_a_git_directory),
		unit(links_on_the_real_side_are_not_followed),
		unit(a_refused_object_refuses_what_refers_to_it),
		unit(objects_that_exist_are_never_replaced),
		unit(a_submodule),
		cmocka_unit_test(names_of_refs),
	};
	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
