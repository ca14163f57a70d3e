/* The landlock tier's grants, from a real directory tree: what is listed, and what follows. */
#include "base/cleanup.h"
#include "plan/findings.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct {
	char top[PATH_MAX];
	struct host_facts facts;
	struct policy *policy;
	struct findings findings;
	struct plan *plan;
} world;

static void make(const char *name, bool directory)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/%s", world.top, name);
	if (directory) {
		assert_int_equal(mkdir(path, 0755), 0);
		return;
	}
	cleanup_close int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
}

static void make_link(const char *target, const char *name)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/%s", world.top, name);
	assert_int_equal(symlink(target, path), 0);
}

/* Below a directory that is hidden itself: a home with credentials, and a project in it with a
 * repository in a dependency. */
static int set_up(void **state)
{
	(void)state;
	char made[] = "/var/tmp/coffer-listings-XXXXXX";
	assert_non_null(mkdtemp(made));
	assert_non_null(realpath(made, world.top));
	static const char *const directories[] = {"home", "home/.ssh", "home/docs", "home/w",
		"home/w/.git", "home/w/src", "home/w/lib", "home/w/lib/sub", "home/w/lib/sub/.git",
		"home/w/lib/other"};
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		make(directories[i], true);
	static const char *const files[] = {"home/.ssh/id_rsa", "home/w/.git/HEAD", "home/w/top",
		"home/w/.env", "home/w/lib/sub/.git/HEAD", "home/w/lib/sub/code", "outside"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make(files[i], false);
	make_link("../../outside", "home/w/way-out");
	make_link(".ssh", "home/keys");
	world.facts = (struct host_facts){
		.uid = getuid(), .gid = getgid(), .landlock_abi = 7, .userns = true};
	snprintf(world.facts.home, sizeof(world.facts.home), "%.4000s/home", world.top);
	assert_int_equal(policy_new(&world.policy), 0);
	char directory[PATH_MAX + 16];
	snprintf(directory, sizeof(directory), "%s/home/w", world.top);
	assert_int_equal(policy_set(world.policy, "directory", directory, NULL), 0);
	assert_int_equal(policy_set(world.policy, "mode", "workspace-write", NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[PATH_MAX + 16];
	snprintf(command, sizeof(command), "rm -r '%s'", world.top);
	plan_free(world.plan);
	world.plan = NULL;
	findings_release(&world.findings);
	policy_free(world.policy);
	return system(command);
}

static void plan_now(void)
{
	struct error error = {0};
	char *argv[] = {(char *)"true", NULL}, *environment[] = {NULL};
	if (resolve(world.policy, &world.facts, &world.findings, &error) < 0)
		fail_msg("%s: %s", error.stage, error.message);
	if (plan_make(world.policy, &world.facts, &world.findings, argv, environment, &world.plan,
		    &error) < 0)
		fail_msg("%s: %s", error.stage, error.message);
}

static bool granted(const char *name, enum grant_rights rights)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s%s%s", world.top, *name ? "/" : "", name);
	for (size_t i = 0; i < world.plan->grants_count; i++)
		if (world.plan->grants[i].rights == rights &&
			strcmp(world.plan->grants[i].path, path) == 0)
			return true;
	return false;
}

static bool granted_at_all(const char *name)
{
	return granted(name, PLAN_RIGHTS_READ) || granted(name, PLAN_RIGHTS_WRITE) ||
	       granted(name, PLAN_RIGHTS_DEVICE);
}

static void test_siblings(void **state)
{
	(void)state;
	char home[PATH_MAX + 16];
	snprintf(home, sizeof(home), "%s/home", world.top);
	assert_int_equal(policy_set(world.policy, "allow-read", home, NULL), 0);
	assert_int_equal(policy_set(world.policy, "isolation", "landlock", NULL), 0);
	plan_now();
	/* Opened, and readable as a whole: nothing in it is hidden. */
	assert_true(granted("home/w", PLAN_RIGHTS_READ) && granted("home/w", PLAN_RIGHTS_LIST));
	assert_true(granted("home/w/lib", PLAN_RIGHTS_LIST) &&
		    granted("home/w/lib/sub", PLAN_RIGHTS_LIST));
	assert_true(granted("home/w/src", PLAN_RIGHTS_WRITE) &&
		    granted("home/w/top", PLAN_RIGHTS_WRITE));
	assert_true(granted("home/w/lib/other", PLAN_RIGHTS_WRITE));
	assert_true(granted("home/w/lib/sub/code", PLAN_RIGHTS_WRITE));
	static const char *const never[] = {"home/w", "home/w/.git", "home/w/.env", "home/w/lib",
		"home/w/lib/sub", "home/w/lib/sub/.git", "home/w/way-out", "home", "", "outside"};
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(granted(never[i], PLAN_RIGHTS_WRITE));
	/* What stands beside the credentials is readable, they and what is above them are not. */
	assert_true(granted("home/docs", PLAN_RIGHTS_READ));
	static const char *const unreadable[] = {"", "home", "home/.ssh", "home/keys"};
	for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++)
		assert_false(granted_at_all(unreadable[i]));
}

static void test_hidden_in_root(void **state)
{
	(void)state;
	assert_int_equal(policy_set(world.policy, "isolation", "landlock", NULL), 0);
	assert_int_equal(policy_set(world.policy, "deny-read", ".env", NULL), 0);
	plan_now();
	assert_false(granted_at_all("home/w/.env"));
	assert_false(granted_at_all("home/w"));
	assert_false(granted_at_all("home/w/way-out"));
	assert_true(granted("home/w/.git", PLAN_RIGHTS_READ) &&
		    granted("home/w/src", PLAN_RIGHTS_WRITE));
	assert_true(granted("home/w", PLAN_RIGHTS_LIST));
	bool noted = false;
	for (size_t i = 0; i < world.plan->notes_count; i++)
		noted = noted || strcmp(world.plan->notes[i].what, "landlock") == 0;
	assert_true(noted);
}

/* Without a protected name in it, a watched root is opened all the same. */
static void test_missing_names(void **state)
{
	(void)state;
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/home/docs", world.top);
	make("home/docs/page", false);
	assert_int_equal(policy_set(world.policy, "isolation", "landlock", NULL), 0);
	assert_int_equal(policy_set(world.policy, "write", path, NULL), 0);
	plan_now();
	assert_true(
		granted("home/docs", PLAN_RIGHTS_READ) && granted("home/docs", PLAN_RIGHTS_LIST));
	assert_false(granted("home/docs", PLAN_RIGHTS_WRITE));
	assert_true(granted("home/docs/page", PLAN_RIGHTS_WRITE));
	assert_false(granted("home/docs/.git", PLAN_RIGHTS_WRITE));
}

static void test_unreadable_directory(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip(); /* reads everything */
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/home", world.top);
	assert_int_equal(chmod(path, 0311), 0);
	assert_int_equal(policy_set(world.policy, "isolation", "landlock", NULL), 0);
	plan_now();
	assert_int_equal(chmod(path, 0755), 0);
	assert_true(granted("home/w/src", PLAN_RIGHTS_WRITE));
	assert_false(granted_at_all("home/docs"));
	assert_false(granted_at_all("home/.ssh"));
}

/* The container tier needs none of this, and does not pay for it. */
static void test_container(void **state)
{
	(void)state;
	plan_now();
	assert_int_equal(world.plan->tier, TIER_CONTAINER);
	assert_int_equal(world.findings.listings_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_siblings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hidden_in_root, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_container, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
