/* The walk of a workspace, on real trees with a real git. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "plan/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char base[64]; /* holds everything */
static char root[80]; /* the workspace in it */

static void sh(const char *script)
{
	char *command;
	assert_true(
		asprintf(&command,
			"cd %s && export HOME=%s/home GIT_CONFIG_NOSYSTEM=1 && set -e && { %s\n} "
			">/dev/null 2>&1",
			root, base, script) > 0);
	int status = system(command);
	if (status != 0)
		fail_msg("exit %d: %s", status, script);
	free(command);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/tmp/coffer-scan.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(root, sizeof(root), "%s/work", base);
	if (mkdir(root, 0755) < 0)
		return -1;
	setenv("HOME", base, 1);
	unsetenv("XDG_CONFIG_HOME");
	sh("mkdir ../home; git config --global user.email a@b; git config --global user.name a;"
	   "git config --global init.defaultBranch main;"
	   "git config --global protocol.file.allow always");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[256];
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", base, base);
	return system(command);
}

static struct scan_result scan(void)
{
	struct scan_result result = {0};
	struct error error = {0};
	assert_int_equal(scan_root(root, &result, &error), 0);
	return result;
}

static const struct scan_finding *find(
	const struct scan_result *result, enum scan_kind kind, const char *path)
{
	char full[256];
	snprintf(full, sizeof(full), "%s%s%s", root, *path ? "/" : "", path);
	for (size_t i = 0; i < result->count; i++)
		if (result->items[i].kind == kind && strcmp(result->items[i].path, full) == 0)
			return &result->items[i];
	return NULL;
}

static size_t count_of(const struct scan_result *result, enum scan_kind kind)
{
	size_t count = 0;
	for (size_t i = 0; i < result->count; i++)
		count += result->items[i].kind == kind;
	return count;
}

#define assert_found(result, kind, path)                                                           \
	do {                                                                                       \
		if (!find(result, kind, path))                                                     \
			fail_msg("not found as " #kind ": %s", path);                              \
	} while (0)
#define assert_not_found(result, kind, path) assert_null(find(result, kind, path))

static void an_empty_root_is_watched(void **state)
{
	(void)state;
	struct scan_result result = scan();
	assert_int_equal(result.count, 1);
	const struct scan_finding *watch = find(&result, SCAN_WATCH, "");
	assert_non_null(watch);
	struct stat st;
	assert_int_equal(stat(root, &st), 0);
	assert_true(watch->id.device == st.st_dev && watch->id.inode == st.st_ino);
	scan_result_release(&result);
}

static void names_and_secrets_of_a_plain_directory(void **state)
{
	(void)state;
	sh("mkdir -p .vscode a/b/c/d .Claude a/.vscode node_modules/x .ssh venvish/.env;"
	   "touch .envrc .env .env.example a/b/c/.env.local a/b/c/d/.env node_modules/x/.env"
	   "  .ssh/config .ssh/id_rsa.pub");
	struct scan_result result = scan();
	assert_found(&result, SCAN_PROTECTED, ".vscode");
	assert_found(&result, SCAN_PROTECTED, ".Claude");
	assert_found(&result, SCAN_PROTECTED, ".envrc");
	assert_not_found(&result, SCAN_PROTECTED, "a/.vscode"); /* no top */
	assert_found(&result, SCAN_SECRET, ".env");
	assert_string_equal(find(&result, SCAN_SECRET, ".env")->rule, ".env");
	assert_found(&result, SCAN_SECRET, "a/b/c/.env.local");
	assert_found(&result, SCAN_SECRET, ".ssh/config");
	assert_not_found(&result, SCAN_SECRET, ".env.example");
	assert_not_found(&result, SCAN_SECRET, "a/b/c/d/.env"); /* too deep */
	assert_not_found(&result, SCAN_SECRET, "node_modules/x/.env");
	assert_not_found(&result, SCAN_SECRET, "venvish/.env"); /* a directory */
	assert_int_equal(count_of(&result, SCAN_WATCH), 1);
	assert_false(result.truncated);
	scan_result_release(&result);
	sh("rm -rf .vscode a .Claude node_modules .ssh venvish .envrc .env .env.example");
}

static void a_repository_and_what_is_nested_in_it(void **state)
{
	(void)state;
	sh("git init .; touch .gitmodules; git init vendor/sub; mkdir vendor/sub/.vscode;"
	   "mkdir -p deep/er/and/deeper/still; touch deep/er/and/deeper/still/server.key;"
	   "mkdir node_modules; touch node_modules/.npmrc; git add -f deep node_modules");
	struct scan_result result = scan();
	assert_found(&result, SCAN_PROTECTED, ".git");
	assert_found(&result, SCAN_PROTECTED, ".gitmodules");
	assert_found(&result, SCAN_GIT_DIR, ".git");
	assert_found(&result, SCAN_WATCH, "vendor/sub");
	assert_found(&result, SCAN_PROTECTED, "vendor/sub/.git");
	assert_found(&result, SCAN_PROTECTED, "vendor/sub/.vscode");
	assert_found(&result, SCAN_GIT_DIR, "vendor/sub/.git");
	assert_found(&result, SCAN_SECRET, "deep/er/and/deeper/still/server.key");
	assert_found(&result, SCAN_SECRET, "node_modules/.npmrc");
	assert_not_found(&result, SCAN_PROTECTED, ".git/hooks"); /* .git is, as a whole */
	assert_int_equal(count_of(&result, SCAN_WATCH), 2);
	scan_result_release(&result);
	sh("rm -rf .git .gitmodules vendor deep node_modules");
}

static void linked_worktrees_and_submodules(void **state)
{
	(void)state;
	sh("git init ../outer; cd ../outer; git commit --allow-empty -m a;"
	   "git worktree add ../work/tree; cd ../work; git init super; cd super;"
	   "git submodule add ../../outer a/b/c/d/e/sub; touch a/b/c/d/e/sub/.envrc; git init s2;"
	   "cd s2; git commit --allow-empty -m a");
	struct scan_result result = scan();
	assert_found(&result, SCAN_PROTECTED, "tree/.git");
	assert_found(&result, SCAN_WATCH, "tree");
	char common[128], own[128];
	snprintf(common, sizeof(common), "%s/outer/.git", base);
	snprintf(own, sizeof(own), "%s/outer/.git/worktrees/tree", base);
	bool common_found = false, own_found = false;
	for (size_t i = 0; i < result.count; i++) {
		common_found |= result.items[i].kind == SCAN_GIT_DIR &&
				strcmp(result.items[i].path, common) == 0;
		own_found |= result.items[i].kind == SCAN_GIT_WORKTREE_DIR &&
			     strcmp(result.items[i].path, own) == 0;
	}
	assert_true(common_found && own_found);
	/* The submodule lies deeper than the walk goes: the index tells of it. */
	assert_found(&result, SCAN_WATCH, "super/a/b/c/d/e/sub");
	assert_found(&result, SCAN_PROTECTED, "super/a/b/c/d/e/sub/.git");
	assert_found(&result, SCAN_PROTECTED, "super/a/b/c/d/e/sub/.envrc");
	assert_found(&result, SCAN_GIT_WORKTREE_DIR, "super/.git/modules/a/b/c/d/e/sub");
	assert_not_found(&result, SCAN_GIT_DIR, "super/.git/modules/a/b/c/d/e/sub");
	scan_result_release(&result);
	sh("rm -rf tree super ../outer");
}

static void hooks_wherever_they_are(void **state)
{
	(void)state;
	sh("git init .; git config core.hooksPath tools/hooks; mkdir -p tools/hooks");
	struct scan_result result = scan();
	assert_found(&result, SCAN_PROTECTED, "tools/hooks");
	assert_int_equal(count_of(&result, SCAN_MISSING), 0);
	scan_result_release(&result);

	sh("git config core.hooksPath .husky/_; git config include.path ../project.gitconfig");
	result = scan();
	assert_found(&result, SCAN_MISSING, ".husky");
	assert_found(&result, SCAN_MISSING, "project.gitconfig");
	assert_not_found(&result, SCAN_PROTECTED, "tools/hooks");
	scan_result_release(&result);

	sh("rm -rf tools/hooks; mkdir real; ln -s ../real tools/hooks; "
	   "git config core.hooksPath tools/hooks");
	result = scan();
	assert_found(&result, SCAN_PROTECTED, "tools/hooks");
	assert_true(S_ISLNK(find(&result, SCAN_PROTECTED, "tools/hooks")->mode));
	assert_found(&result, SCAN_PROTECTED, "real");
	scan_result_release(&result);
	sh("rm -rf .git tools real");
}

static void links(void **state)
{
	(void)state;
	sh("mkdir store outside_store; git init x; mv x/.git store/git; ln -s ../store/git x/.git;"
	   "touch settings; ln -s settings .env; ln -s /etc/passwd b.env; ln -s .. up; "
	   "ln -s loop loop;"
	   "mkdir conf; ln -s conf .vscode; ln -s / .idea; ln -s nowhere .envrc;"
	   "mkdir ../elsewhere; touch ../elsewhere/.env; ln -s ../elsewhere in");
	struct scan_result result = scan();
	const struct scan_finding *link = find(&result, SCAN_PROTECTED, "x/.git");
	assert_non_null(link);
	assert_true(S_ISLNK(link->mode));
	assert_found(&result, SCAN_PROTECTED, "store/git");
	assert_found(&result, SCAN_GIT_DIR, "store/git");
	assert_found(&result, SCAN_SECRET, "settings");
	assert_found(&result, SCAN_PROTECTED, ".vscode");
	assert_found(&result, SCAN_PROTECTED, "conf");
	assert_found(&result, SCAN_PROTECTED, ".idea");
	assert_found(&result, SCAN_PROTECTED, ".envrc");
	/* Links are not walked through. */
	assert_not_found(&result, SCAN_SECRET, "in/.env");
	assert_not_found(&result, SCAN_SECRET, "up/work/settings");
	for (size_t i = 0; i < result.count; i++)
		assert_string_not_equal(result.items[i].path, "/");
	scan_result_release(&result);
	sh("rm -rf store outside_store x settings .env b.env up loop conf .vscode .idea .envrc in "
	   "../elsewhere");
}

static void an_index_that_lies_leads_nowhere(void **state)
{
	(void)state;
	/* A path with "..", one through a link, one of a directory: none may become a finding. */
	sh("git init .; mkdir ../target; touch ../target/.env; ln -s ../target through;"
	   "printf x >blob; h=$(git hash-object -w blob);"
	   "printf \"100644 $h 0\\tthroughx.env\\n100644 $h 0\\tthrough/.env\\n\" |"
	   "  git update-index --index-info; sed -i 's,throughx.env,../target/.env,;' .git/index");
	struct scan_result result = scan();
	assert_int_equal(count_of(&result, SCAN_SECRET), 0);
	scan_result_release(&result);
	sh("rm -rf .git ../target through blob");
}

static void unreadable_directories_are_passed_over(void **state)
{
	(void)state;
	sh("mkdir -p closed open; touch open/.env; chmod 0 closed; mkfifo open/.envrc .env");
	struct scan_result result = scan();
	assert_found(&result, SCAN_SECRET, "open/.env");
	assert_not_found(&result, SCAN_SECRET, ".env");
	scan_result_release(&result);
	sh("rm -rf closed open .env");
}

static void a_root_that_is_not_there(void **state)
{
	(void)state;
	struct scan_result result = {0};
	struct error error = {0};
	assert_int_equal(scan_root("/nowhere/at/all", &result, &error), -ENOENT);
	assert_string_equal(error.stage, "scan");
	assert_int_equal(scan_root("/etc/passwd", &result, &error), -ENOTDIR);
	scan_result_release(&result);
}

static void bounds_are_told(void **state)
{
	(void)state;
	sh("mkdir many; cd many; seq -f 'k%g.pem' 9000 | xargs touch");
	struct scan_result result = scan();
	assert_true(result.truncated);
	assert_int_equal(result.count, MAX_SCAN_FINDINGS);
	scan_result_release(&result);
	sh("rm -rf many");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_root_is_watched),
		cmocka_unit_test(names_and_secrets_of_a_plain_directory),
		cmocka_unit_test(a_repository_and_what_is_nested_in_it),
		cmocka_unit_test(linked_worktrees_and_submodules),
		cmocka_unit_test(hooks_wherever_they_are),
		cmocka_unit_test(links),
		cmocka_unit_test(an_index_that_lies_leads_nowhere),
		cmocka_unit_test(unreadable_directories_are_passed_over),
		cmocka_unit_test(a_root_that_is_not_there),
		cmocka_unit_test(bounds_are_told),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
