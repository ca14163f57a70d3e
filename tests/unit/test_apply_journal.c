/* An apply's journal, and the table of links. */
#include "layer/apply_journal.h"
#include "layer/link_table.h"
#include "layer/upper_walk.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/tree.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct place {
	char path[32];
	int fd;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	strcpy(place->path, "/tmp/coffer-journal-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->fd >= 0);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	close(place->fd);
	assert_int_equal(tree_remove(AT_FDCWD, place->path), 0);
	free(place);
	return 0;
}

static void fill(struct apply_journal *journal)
{
	*journal = (struct apply_journal){.id = "0123456789abcdef", .whole = true};
	journal->roots = calloc(1, sizeof(*journal->roots));
	journal->roots_count = 1;
	journal->roots[0] = (struct apply_root){.path = strdup("/w"),
		.base = strdup("/host/w"),
		.device = 7,
		.inode = UINT64_MAX / 2};
	struct apply_step *step = apply_journal_add(journal);
	step->kind = STEP_EXCHANGE;
	step->path = strdup("a\nb\xff");
	step->staged = (struct apply_identity){.inode = 1, .size = 2, .modified_ns = -3};
	step = apply_journal_add(journal);
	step->kind = STEP_ATTRIBUTES;
	step->path = strdup("");
	step->sides[1].mode = 0755;
	step->xattrs = calloc(1, sizeof(*step->xattrs));
	step->xattrs_count = 1;
	step->xattrs[0] = (struct apply_xattr){.name = strdup("user.x"),
		.values = {NULL, memcpy(malloc(3), "\0y", 3)},
		.sizes = {0, 3}};
	const struct apply_directory directory = {
		.path = "d", .before_ns = 5, .after_ns = INT64_MIN};
	assert_int_equal(
		apply_journal_add_directory(&journal->directories, &journal->directories_count,
			&journal->directories_capacity, &directory),
		0);
}

static void test_what_is_written_is_read(void **state)
{
	const struct place *place = *state;
	struct apply_journal written, read;
	enum apply_phase phase;
	fill(&written);
	assert_int_equal(apply_journal_write(place->fd, &written, APPLY_STAGING), 0);
	assert_int_equal(apply_journal_read(place->fd, &phase, &read), 0);
	assert_int_equal(phase, APPLY_STAGING);
	assert_string_equal(read.id, written.id);
	assert_true(read.whole && !read.keep);
	assert_int_equal(read.roots[0].inode, UINT64_MAX / 2);
	assert_int_equal(read.steps_count, 2);
	assert_string_equal(read.steps[0].path, "a\nb\xff");
	assert_int_equal(read.steps[0].staged.modified_ns, -3);
	assert_int_equal(read.steps[1].sides[1].mode, 0755);
	assert_null(read.steps[1].xattrs[0].values[0]);
	assert_memory_equal(read.steps[1].xattrs[0].values[1], "\0y", 3);
	assert_int_equal(read.directories[0].after_ns, INT64_MIN);
	apply_journal_release(&read);
	apply_journal_release(&written);
}

static void test_the_furthest_phase_counts(void **state)
{
	const struct place *place = *state;
	struct apply_journal journal, read;
	enum apply_phase phase;
	fill(&journal);
	assert_int_equal(apply_journal_write(place->fd, &journal, APPLY_STAGING), 0);
	/* As a kill leaves it that comes before the old one is removed. */
	assert_int_equal(linkat(place->fd, "apply.staging", place->fd, "apply.placed", 0), 0);
	assert_int_equal(apply_journal_read(place->fd, &phase, &read), 0);
	assert_int_equal(phase, APPLY_PLACED);
	apply_journal_release(&read);
	assert_int_equal(apply_journal_remove(place->fd, APPLY_PLACED), 0);
	assert_int_equal(apply_journal_read(place->fd, &phase, &read), 0);
	assert_int_equal(phase, APPLY_NONE);
	apply_journal_release(&journal);
}

static void test_a_part_of_one_is_none(void **state)
{
	const struct place *place = *state;
	struct apply_journal journal, read;
	cleanup_free char *data = NULL;
	size_t size;
	fill(&journal);
	assert_int_equal(apply_journal_write(place->fd, &journal, APPLY_PLACING), 0);
	assert_int_equal(fd_read_file(place->fd, "apply.placing", 1 << 20, &data, &size), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(apply_journal_parse(data, i, &read), -EBADMSG);
	assert_int_equal(apply_journal_parse(data, size, &read), 0);
	apply_journal_release(&read);
	apply_journal_release(&journal);
}

static void test_links_are_found_again(void **state)
{
	struct link_table table = {0};
	char name[32];
	(void)state;
	assert_null(link_table_find(&table, 1, 1));
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "file %u", i);
		assert_int_equal(link_table_add(&table, i % 3, i, name), 0);
		assert_int_equal(link_table_add(&table, i % 3, i, "later"), 0);
	}
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "file %u", i);
		assert_string_equal(link_table_find(&table, i % 3, i), name);
		assert_null(link_table_find(&table, 3, i));
	}
	link_table_release(&table);
}

static int record(const struct upper_entry *entry, void *context)
{
	FILE *to = context;
	fprintf(to, "%s%s ", entry->leaving ? "-" : "", *entry->path ? entry->path : ".");
	return 0;
}

static void test_a_walk_is_in_order_and_goes_through_no_link(void **state)
{
	const struct place *place = *state;
	cleanup_free char *text = NULL;
	size_t size;
	struct error error;
	FILE *to = open_memstream(&text, &size);
	assert_int_equal(mkdirat(place->fd, "b", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "b/d", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "b/d/e", 0700), 0);
	assert_int_equal(symlinkat("/etc", place->fd, "b/c"), 0);
	assert_int_equal(symlinkat(".", place->fd, "a"), 0);
	assert_int_equal(upper_walk(place->fd, record, to, &error), 0);
	fclose(to);
	assert_string_equal(text, ". a b b/c b/d b/d/e -b/d/e -b/d -b -. ");
	assert_true(upper_open(place->fd, "b/c/passwd", O_RDONLY) < 0);
	assert_true(upper_open(place->fd, "../etc", O_RDONLY) < 0);
}

static void test_a_walk_has_an_end(void **state)
{
	const struct place *place = *state;
	struct error error;
	cleanup_free char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	int at = dup(place->fd);
	for (int i = 0; i < MAX_LAYER_DEPTH + 5; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(upper_walk(place->fd, record, to, &error), -ELOOP);
	assert_non_null(strstr(error.message, "d/d/d"));
	fclose(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_written_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_furthest_phase_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_part_of_one_is_none, set_up, tear_down),
		cmocka_unit_test(test_links_are_found_again),
		cmocka_unit_test_setup_teardown(
			test_a_walk_is_in_order_and_goes_through_no_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_walk_has_an_end, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
