/* Directories moved by hand, and trees copied into a layer: on a plain file system, where the
 * result can be compared with what rename() and cp would have made of it. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "layer/copy.h"
#include "run/move.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char base[64];
static int top = -1;

static void sh(const char *script)
{
	cleanup_free char *command = NULL;
	assert_true(asprintf(&command, "cd %s && set -e && { %s\n}", base, script) > 0);
	int status = system(command);
	if (status != 0)
		fail_msg("exit %d: %s", status, script);
}

static bool is_true(const char *script)
{
	cleanup_free char *command = NULL;
	assert_true(
		asprintf(&command, "cd %s && set -e && { %s\n} >/dev/null 2>&1", base, script) > 0);
	return system(command) == 0;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/var/tmp/coffer-move-XXXXXX");
	assert_non_null(mkdtemp(base));
	top = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(top >= 0);
	sh("mkdir -p d/sub/deep other empty full; echo a > d/a; ln d/a d/sub/same; ln -s a d/l;"
	   "mkfifo d/fifo; echo leaf > d/sub/deep/leaf; chmod 555 d/sub/deep; chmod 2710 d/sub;"
	   "truncate -s 9M d/holes; echo x > full/x; touch -d 2001-02-03 d/a d/sub d");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sh("chmod -R u+rwx .; rm -rf ./* ./.coffer*");
	close_fd(&top);
	return rmdir(base);
}

/* All that ls shows of a tree, with inode numbers. */
static char *list(const char *name)
{
	cleanup_free char *command = NULL;
	char text[8192];
	assert_true(asprintf(&command,
			    "cd %s/%s && find . -printf '%%P %%i %%m %%n %%s %%T@ %%l\\n' | sort",
			    base, name) > 0);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	size_t n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = '\0';
	pclose(out);
	return strdup(text);
}

static bool always(void *context)
{
	(void)context;
	return true;
}

static bool so_often(void *context)
{
	int *left = context;
	return (*left)-- > 0;
}

static const struct move_bounds wide = {.entries = 1000, .bytes = 1 << 30, .goes_on = always};

/* Lines about directories have other inode numbers. */
static void assert_same_files(const char *before, const char *after)
{
	const char *const files[] = {"a ", "l ", "fifo ", "holes ", "sub/same ", "sub/deep/leaf "};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		cleanup_free char *start = NULL;
		assert_true(asprintf(&start, "\n%s", files[i]) > 0);
		const char *one = strstr(before, start), *other = strstr(after, start);
		assert_non_null(one);
		assert_non_null(other);
		assert_memory_equal(one, other, strcspn(one + 1, "\n") + 1);
	}
}

static void test_everything_goes_along(void **state)
{
	(void)state;
	cleanup_free char *before = list("d");
	assert_int_equal(move_directory(top, "d", top, "new", 0, &wide), 0);
	cleanup_free char *after = list("new");
	assert_same_files(before, after);
	assert_true(is_true("test ! -e d && test $(ls -A | grep -c coffer) = 0"));
	assert_true(is_true(
		"test $(stat -c %a new/sub) = 2710 && test $(stat -c %a new/sub/deep) = 555"));
	assert_true(is_true("test $(stat -c %Y new/sub) = $(date -d 2001-02-03 +%s)"));
	assert_true(is_true("test $(stat -c %h new/a) = 2"));
}

static void test_over_an_empty_directory(void **state)
{
	(void)state;
	assert_int_equal(move_directory(top, "d", top, "empty", 0, &wide), 0);
	assert_true(is_true("test -e empty/sub/deep/leaf && test ! -e d"));
}

static void test_what_it_does_not_replace(void **state)
{
	(void)state;
	sh("echo x > file; ln -s full link");
	assert_int_equal(move_directory(top, "d", top, "full", 0, &wide), -ENOTEMPTY);
	assert_int_equal(move_directory(top, "d", top, "file", 0, &wide), -ENOTDIR);
	assert_int_equal(move_directory(top, "d", top, "link", 0, &wide), -ENOTDIR);
	assert_int_equal(move_directory(top, "d", top, "empty", RENAME_NOREPLACE, &wide), -EEXIST);
	assert_int_equal(move_directory(top, "d", top, "empty", RENAME_EXCHANGE, &wide), -EXDEV);
	assert_int_equal(move_directory(top, "link", top, "new", 0, &wide), -ENOTDIR);
	assert_true(is_true("test -e d/sub/deep/leaf && test $(ls -A | grep -c coffer) = 0"));
}

static void test_bounds(void **state)
{
	(void)state;
	cleanup_free char *before = list("d");
	struct move_bounds bounds = wide;
	bounds.entries = 5;
	assert_int_equal(move_directory(top, "d", top, "new", 0, &bounds), -EXDEV);
	bounds = wide;
	bounds.bytes = 1024;
	assert_int_equal(move_directory(top, "d", top, "new", 0, &bounds), -EXDEV);
	/* Given up after each number of entries. */
	for (int i = 0; i < 8; i++) {
		int left = i;
		bounds = wide;
		bounds.goes_on = so_often;
		bounds.context = &left;
		assert_int_equal(move_directory(top, "d", top, "new", 0, &bounds), -EXDEV);
	}
	cleanup_free char *after = list("d");
	assert_same_files(before, after);
	assert_true(is_true("test ! -e new && test $(ls -A | grep -c coffer) = 0"));
}

/* Into itself there is no end. */
static void test_into_itself(void **state)
{
	(void)state;
	cleanup_close int inside = openat(top, "d/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(move_directory(top, "d", inside, "new", 0, &wide), -EINVAL);
	assert_true(is_true("test -e d/sub/deep/leaf && test $(ls -A d/sub | grep -c coffer) = 0"));
}

/* ---- copies ---- */

static struct layer_root make_root(char *from)
{
	sh("mkdir -p root/upper");
	static char directory[128];
	snprintf(directory, sizeof(directory), "%s/root", base);
	return (struct layer_root){.path = from, .base = from, .directory = directory};
}

static void test_a_copy_is_the_same(void **state)
{
	(void)state;
	char from[128];
	snprintf(from, sizeof(from), "%s/d", base);
	struct layer_root root = make_root(from);
	struct layer_copy_cost cost;
	struct error error = {0};
	assert_int_equal(layer_copy_root(&root, &cost, &error), 0);
	assert_true(is_true(
		"diff -r --no-dereference -x fifo d root/upper && test -p root/upper/fifo"));
	assert_true(is_true("for f in . a l fifo holes sub sub/deep sub/deep/leaf; do"
			    " test \"$(stat -c '%a %h %Y %X %s' d/$f)\" ="
			    " \"$(stat -c '%a %h %Y %X %s' root/upper/$f)\"; done"));
	assert_true(is_true("test $(stat -c %i root/upper/a) = $(stat -c %i root/upper/sub/same)"));
	assert_true(is_true("test $(stat -c %b root/upper/holes) = 0"));
	assert_int_equal(cost.entries, 8);
	assert_false(layer_copy_is_complete(&root));
	/* What is there and was never recorded is made anew. */
	sh("rm root/upper/a; echo late > d/late");
	assert_int_equal(layer_copy_root(&root, &cost, &error), 0);
	assert_true(is_true("test -e root/upper/a && test -e root/upper/late"));
}

static void test_a_copy_of_what_cannot_be_copied(void **state)
{
	(void)state;
	char from[128];
	snprintf(from, sizeof(from), "%s/no-such", base);
	struct layer_root root = make_root(from);
	struct layer_copy_cost cost;
	struct error error = {0};
	assert_int_equal(layer_copy_root(&root, &cost, &error), -ENOENT);
	assert_true(is_true("test ! -e root/copying"));
	if (geteuid() == 0)
		return;
	snprintf(from, sizeof(from), "%s/d", base);
	sh("chmod 0 d/sub/deep");
	assert_int_equal(layer_copy_root(&root, &cost, &error), -EACCES);
	assert_non_null(strstr(error.message, "sub/deep"));
	assert_true(is_true("test ! -e root/copying && test ! -e root/upper"));
}

/* The layer lies in the tree that is copied. */
static void test_a_copy_within(void **state)
{
	(void)state;
	char from[128];
	snprintf(from, sizeof(from), "%s", base);
	struct layer_root root = make_root(from);
	struct layer_copy_cost cost;
	struct error error = {0};
	assert_int_equal(layer_copy_root(&root, &cost, &error), 0);
	assert_true(is_true("test -e root/upper/d/a && test ! -e root/upper/root"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_everything_goes_along),
		CASE(test_over_an_empty_directory),
		CASE(test_what_it_does_not_replace),
		CASE(test_bounds),
		CASE(test_into_itself),
		CASE(test_a_copy_is_the_same),
		CASE(test_a_copy_of_what_cannot_be_copied),
		CASE(test_a_copy_within),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
