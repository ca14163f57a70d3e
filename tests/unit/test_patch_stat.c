/* What a patch changes, counted. */
#include "task/patch_stat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
	char names[8][128];
	uint64_t insertions[8], deletions[8];
	bool binary[8];
	size_t count;
};

static void note(const struct patch_file *file, void *context)
{
	struct seen *seen = context;
	size_t i = seen->count++;
	assert_true(i < 8);
	snprintf(seen->names[i], sizeof(seen->names[i]), "%s", file->name);
	seen->insertions[i] = file->insertions;
	seen->deletions[i] = file->deletions;
	seen->binary[i] = file->binary;
}

static struct seen read_patch(const char *text)
{
	struct seen seen = {.count = 0};
	struct patch_stat *stat = patch_stat_new(note, &seen);
	assert_non_null(stat);
	while (*text) {
		size_t length = strcspn(text, "\n");
		length += text[length] == '\n';
		patch_stat_line(stat, text, length);
		text += length;
	}
	patch_stat_free(stat);
	return seen;
}

static void test_lines_are_counted(void **state)
{
	(void)state;
	struct seen seen = read_patch("Subject: x\n---\n a | 2 +-\n\n"
				      "diff --git a/dir/a b/dir/a\n--- a/dir/a\n+++ b/dir/a\n"
				      "@@ -1,2 +1,3 @@\n same\n-old\n+new\n+more\n"
				      "@@ -9 +10 @@\n-x\n+y\n-- \n2.39\n"
				      "diff --git a/b b/b\nnew file mode 100644\n");
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.names[0], "dir/a");
	assert_int_equal(seen.insertions[0], 3);
	assert_int_equal(seen.deletions[0], 2);
	assert_string_equal(seen.names[1], "b");
	assert_int_equal(seen.insertions[1] + seen.deletions[1], 0);
}

static void test_content_is_not_taken_for_heads(void **state)
{
	(void)state;
	struct seen seen = read_patch("diff --git a/x b/x\n@@ -1,2 +1,3 @@\n"
				      "-diff --git a/y b/y\n+@@ -1 +1 @@\n+GIT binary patch\n"
				      " diff --git a/z b/z\n\\ No newline at end of file\n");
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.insertions[0], 2);
	assert_int_equal(seen.deletions[0], 1);
	assert_false(seen.binary[0]);
}

static void test_names_of_all_kinds(void **state)
{
	(void)state;
	struct seen seen = read_patch("diff --git a/a b b/a b\n"
				      "diff --git a/old b/new\nrename from old\nrename to new\n"
				      "diff --git \"a/\\303\\244\" \"b/\\303\\244\"\n"
				      "diff --git a/i.png b/i.png\nGIT binary patch\nliteral 4\n");
	assert_int_equal(seen.count, 4);
	assert_string_equal(seen.names[0], "a b");
	assert_string_equal(seen.names[1], "new");
	assert_string_equal(seen.names[2], "\\303\\244");
	assert_true(seen.binary[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_counted),
		cmocka_unit_test(test_content_is_not_taken_for_heads),
		cmocka_unit_test(test_names_of_all_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
