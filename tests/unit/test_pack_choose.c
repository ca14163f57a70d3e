/* Which changes leave, what is said of the others, and how the message is made harmless. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "task/pack_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID_A "1111111111111111111111111111111111111111"
#define ID_B "2222222222222222222222222222222222222222"
#define NONE "0000000000000000000000000000000000000000"

static void fill(struct pack_tree *tree, enum pack_list list, const char *text, size_t length)
{
	tree->lists[list].text = malloc(length + 1);
	assert_non_null(tree->lists[list].text);
	memcpy(tree->lists[list].text, text, length);
	tree->lists[list].text[length] = '\0';
	tree->lists[list].length_bytes = length;
}
/* A literal with NULs in it. */
#define FILL(tree, list, text) fill(tree, list, text, sizeof(text) - 1)

/* The agent has written what begins with "agent". */
static bool touched(const char *path, void *context)
{
	(void)context;
	return strncmp(path, "agent", 5) == 0;
}

struct outcome {
	int r;
	char *index;
	size_t index_bytes;
	struct strv skipped;
	struct error error;
};

static struct outcome choose(struct pack_tree *prepared, struct pack_tree *final)
{
	struct outcome outcome = {0};
	struct buffer index = BUFFER_INIT(1 << 20);
	const struct pack_choice choice = {
		.prepared = prepared, .final = final, .touched = touched};
	outcome.r = pack_choose(&choice, &index, &outcome.skipped, &outcome.error);
	outcome.index_bytes = index.length_bytes;
	outcome.index = buffer_steal(&index);
	pack_tree_release(prepared);
	pack_tree_release(final);
	return outcome;
}

static void release(struct outcome *outcome)
{
	free(outcome->index);
	strv_release(&outcome->skipped);
}

static void test_changes(void **state)
{
	(void)state;
	struct pack_tree prepared = {0}, final = {0};
	FILL(&final, PACK_CHANGES,
		":100644 100755 " ID_A " " ID_B " M\0changed\0"
		":000000 100644 " NONE " " ID_B " A\0agent/new\0"
		":000000 100644 " NONE " " ID_B " A\0artefact\0"
		":100644 000000 " ID_A " " NONE " D\0gone\0"
		":100644 100644 " ID_A " " ID_B " M\0grown\0"
		":000000 160000 " NONE " " ID_B " A\0agent/repository\0");
	FILL(&final, PACK_SIZES, "5\n6\n7\n" NONE " missing\n99999999999\n" ID_B " missing\n");
	struct outcome outcome = choose(&prepared, &final);
	assert_int_equal(outcome.r, 0);
	static const char expected[] = "100755 " ID_B "\tchanged\0"
				       "100644 " ID_B "\tagent/new\0"
				       "0 " NONE "\tgone";
	assert_int_equal(outcome.index_bytes, sizeof(expected));
	assert_memory_equal(outcome.index, expected, sizeof(expected));
	assert_int_equal(outcome.skipped.count, 2);
	assert_string_equal(outcome.skipped.items[0],
		"grown: 93.1 GiB, larger than a patch carries (64.0 MiB)");
	assert_string_equal(
		outcome.skipped.items[1], "agent/repository: another repository's commit");
	release(&outcome);
}

static void test_what_is_said(void **state)
{
	(void)state;
	struct pack_tree prepared = {0}, final = {0};
	FILL(&prepared, PACK_EMPTY, "old\0");
	FILL(&final, PACK_EMPTY, "new\033[2J\0old\0");
	FILL(&final, PACK_SPECIAL, "pipe\0");
	FILL(&final, PACK_NESTED, "sub/.git\0");
	FILL(&final, PACK_LARGE, "agent/big\0");
	FILL(&final, PACK_LEFT, "agent/big\0agent/.GIT/x\0set-up's\0");
	FILL(&prepared, PACK_LINKS, "gone\0lib\0other\0");
	FILL(&prepared, PACK_DIGESTS, "aa\nbb\ncc\n");
	FILL(&final, PACK_LINKS, "lib\0other\0");
	FILL(&final, PACK_DIGESTS, "bb\ndd\n");
	struct outcome outcome = choose(&prepared, &final);
	assert_int_equal(outcome.r, 0);
	static const char *const said[] = {
		"agent/.GIT/x: git takes no file of that name",
		"agent/big: larger than a patch carries (64.0 MiB)",
		"other: a submodule: what was changed in it stays",
		"sub/.git: a repository of its own: its files leave, its history stays",
		"pipe: neither a file nor a link",
		"new?[2J: an empty directory",
	};
	assert_int_equal(outcome.skipped.count, ARRAY_SIZE(said));
	for (size_t i = 0; i < ARRAY_SIZE(said); i++)
		assert_string_equal(outcome.skipped.items[i], said[i]);
	release(&outcome);
}

static void test_what_git_did_not_take(void **state)
{
	(void)state;
	struct pack_tree prepared = {0}, final = {0};
	FILL(&final, PACK_LEFT, "agent/ordinary\0");
	struct outcome outcome = choose(&prepared, &final);
	assert_int_equal(outcome.r, -EIO);
	release(&outcome);
}

static void test_much_is_counted(void **state)
{
	(void)state;
	struct pack_tree prepared = {0}, final = {0};
	char names[MAX_PACK_SKIPPED * 2 * 8];
	size_t length = 0;
	for (int i = 0; i < MAX_PACK_SKIPPED * 2; i++)
		length += (size_t)sprintf(names + length, "d%05d", i) + 1;
	fill(&final, PACK_EMPTY, names, length);
	struct outcome outcome = choose(&prepared, &final);
	assert_int_equal(outcome.r, 0);
	assert_int_equal(outcome.skipped.count, MAX_PACK_SKIPPED + 1);
	assert_string_equal(outcome.skipped.items[MAX_PACK_SKIPPED], "and 200 more");
	release(&outcome);
}

static void test_broken_lists(void **state)
{
	(void)state;
	static const char *const broken[] = {
		"x",
		":100644 100644 " ID_A " " ID_B " M",
		":100644 100644 " ID_A " 22 M",
		":100644 100644 " ID_A " " ID_B "M",
		":1006441 100644 " ID_A " " ID_B " M",
		":100644  100644 " ID_A " " ID_B " M",
		":100644 100644 " ID_A " " ID_B "/../../x M",
	};
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct pack_tree prepared = {0}, final = {0};
		FILL(&final, PACK_SIZES, "1\n");
		fill(&final, PACK_CHANGES, broken[i], strlen(broken[i]));
		struct outcome outcome = choose(&prepared, &final);
		assert_int_equal(outcome.r, -EBADMSG);
		release(&outcome);
	}
}

static void test_message(void **state)
{
	(void)state;
	static const struct {
		const char *subject, *body, *message;
	} cases[] = {
		{"Mend it", NULL, "Mend it\n"},
		{NULL, "", "Changes of a task\n"},
		{"two\nlines\033[2J", "a\n\nb", "two lines[2J\n\na\n\nb\n"},
		{"s", "---\ndiff --git a/x b/x\nFrom me\n-- \nx --- y",
			"s\n\n ---\n diff --git a/x b/x\n From me\n -- \nx --- y\n"},
		{"s", "\xff\xc3\xbc\r\n", "s\n\n\xc3\xbc\n\n"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *message = pack_message(cases[i].subject, cases[i].body);
		assert_string_equal(message, cases[i].message);
	}
	cleanup_free char *endless = malloc(MAX_PACK_MESSAGE_BYTES * 2);
	memset(endless, 'x', MAX_PACK_MESSAGE_BYTES * 2 - 1);
	endless[MAX_PACK_MESSAGE_BYTES * 2 - 1] = '\0';
	cleanup_free char *message = pack_message(endless, endless);
	assert_non_null(message);
	assert_true(strlen(message) <= MAX_PACK_MESSAGE_BYTES + 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_what_git_did_not_take),
		cmocka_unit_test(test_much_is_counted),
		cmocka_unit_test(test_broken_lists),
		cmocka_unit_test(test_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
