/* The small tools that everything stands on: paths, units, suggestions, buffers, lists. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/request.h"
#include "base/strv.h"
#include "base/suggest.h"
#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static void paths_are_made_absolute_and_clean(void **state)
{
	(void)state;
	static const char *const rows[][3] = {
		{"/home/a", "b", "/home/a/b"},
		{"/home/a", "./b//c/.", "/home/a/b/c"},
		{"/home/a", "../b", "/home/b"},
		{"/home/a", "../../../..", "/"},
		{"/home/a", "", "/home/a"},
		{"/home/a", ".", "/home/a"},
		{"/", "b", "/b"},
		{"/home/a", "/b/../c", "/c"},
		{"/home/a", "/", "/"},
		{"/home/a", "//", "/"},
		{"/home/a", "/b/", "/b"},
		{"/home/a", "/..", "/"},
		{"/home/a", "/...", "/..."},
		{"/home/a", "..b", "/home/a/..b"},
		{"/a/../b/", "c", "/b/c"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *path = path_absolute(rows[i][0], rows[i][1]);
		assert_non_null(path);
		assert_string_equal(path, rows[i][2]);
	}
}

static void paths_that_are_too_long_are_refused(void **state)
{
	(void)state;
	char name[MAX_PATH_BYTES];
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	errno = 0;
	assert_null(path_absolute("/", name));
	assert_int_equal(errno, ENAMETOOLONG);
	errno = 0;
	assert_null(path_join("/x", name));
	assert_int_equal(errno, ENAMETOOLONG);
	name[sizeof(name) - 2] = '\0'; /* with its slash and NUL it fits */
	cleanup_free char *fits = path_absolute("/", name);
	assert_non_null(fits);
	assert_int_equal(strlen(fits), MAX_PATH_BYTES - 1);
}

static void paths_are_taken_apart(void **state)
{
	(void)state;
	static const char *const joins[][3] = {
		{"/", "a", "/a"}, {"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"}};
	for (size_t i = 0; i < ARRAY_SIZE(joins); i++) {
		cleanup_free char *joined = path_join(joins[i][0], joins[i][1]);
		assert_string_equal(joined, joins[i][2]);
	}
	static const char *const parents[][3] = {
		{"/", "/", ""}, {"/a", "/", "a"}, {"/a/b", "/a", "b"}, {"/a/b.c", "/a", "b.c"}};
	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		cleanup_free char *parent = path_parent(parents[i][0]);
		assert_string_equal(parent, parents[i][1]);
		assert_string_equal(path_name(parents[i][0]), parents[i][2]);
	}
	assert_int_equal(path_depth("/"), 0);
	assert_int_equal(path_depth("/a"), 1);
	assert_int_equal(path_depth("/a/b/c"), 3);
}

static void below_goes_by_components(void **state)
{
	(void)state;
	assert_true(path_is_below("/a", "/a"));
	assert_true(path_is_below("/a/b", "/a"));
	assert_true(path_is_below("/a", "/"));
	assert_true(path_is_below("/", "/"));
	assert_false(path_is_below("/ab", "/a"));
	assert_false(path_is_below("/a.b", "/a"));
	assert_false(path_is_below("/a", "/a/b"));
	assert_false(path_is_below("/", "/a"));
}

static void globs_match_what_they_say(void **state)
{
	(void)state;
	static const struct {
		const char *path, *glob;
		bool matches;
	} rows[] = {
		{"/a/b", "/a/b", true},
		{"/a/b", "/a/*", true},
		{"/a/b/c", "/a/*", false},
		{"/a/b/c", "/a/**", true},
		{"/a/b/c", "/**/c", true},
		{"/c", "/**/c", true},
		{"/a/b/c", "**/c", true},
		{"/a/xc", "**/c", false},
		{"/a/b", "/a/?", true},
		{"/a/b", "/a?b", false},
		{"/a/b", "/a*b", false},
		{"/a/.env", "/a/.env*", true},
		{"/a/.env.local", "/a/.env*", true},
		{"/a/b", "/a/[abc]", true},
		{"/a/d", "/a/[abc]", false},
		{"/a/d", "/a/[!abc]", true},
		{"/a/b", "/a[!x]b", false}, /* a bracket never is the slash */
		{"/a/b", "/a/[a-c]", true},
		{"/a/]", "/a/[]]", true},
		{"/a/[", "/a/[", true},
		{"/a/*", "/a/\\*", true},
		{"/a/b", "/a/\\*", false},
		{"/a", "/a*", true},
		{"/a", "", false},
		{"", "", true},
		{"", "**", true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (path_matches_glob(rows[i].path, rows[i].glob) != rows[i].matches)
			fail_msg("%s against %s: not %d", rows[i].path, rows[i].glob,
				rows[i].matches);
	assert_true(path_is_glob("/a/*"));
	assert_true(path_is_glob("/a/[b]"));
	assert_false(path_is_glob("/a/b"));
}

static void units_are_read(void **state)
{
	(void)state;
	static const struct {
		int (*parse)(const char *text, uint64_t *ret);
		const char *text;
		int r;
		uint64_t value;
	} rows[] = {
		{units_parse_bytes, "0", 0, 0},
		{units_parse_bytes, "4096", 0, 4096},
		{units_parse_bytes, "512M", 0, 512ULL << 20},
		{units_parse_bytes, "512m", 0, 512ULL << 20},
		{units_parse_bytes, "1.5G", 0, 3ULL << 29},
		{units_parse_bytes, "2KiB", 0, 2048},
		{units_parse_bytes, "2KB", 0, 2048},
		{units_parse_bytes, "1T", 0, 1ULL << 40},
		{units_parse_bytes, "7B", 0, 7},
		{units_parse_bytes, "", -EINVAL, 0},
		{units_parse_bytes, "M", -EINVAL, 0},
		{units_parse_bytes, "-1", -EINVAL, 0},
		{units_parse_bytes, "+1", -EINVAL, 0},
		{units_parse_bytes, " 1", -EINVAL, 0},
		{units_parse_bytes, "1.", -EINVAL, 0},
		{units_parse_bytes, "1 M", -EINVAL, 0},
		{units_parse_bytes, "1Mx", -EINVAL, 0},
		{units_parse_bytes, "0x10", -EINVAL, 0},
		{units_parse_bytes, "1e3", -EINVAL, 0},
		{units_parse_bytes, "99999999999999999999", -ERANGE, 0},
		{units_parse_bytes, "9223372036854775807", 0, INT64_MAX},
		{units_parse_bytes, "9223372036854775808", -ERANGE, 0},
		{units_parse_bytes, "8388608T", -ERANGE, 0},
		{units_parse_duration, "30", 0, 30000},
		{units_parse_duration, "30s", 0, 30000},
		{units_parse_duration, "250ms", 0, 250},
		{units_parse_duration, "0.5", 0, 500},
		{units_parse_duration, "2m", 0, 120000},
		{units_parse_duration, "1.5h", 0, 5400000},
		{units_parse_duration, "1d", 0, 86400000},
		{units_parse_duration, "1w", -EINVAL, 0},
		{units_parse_count, "256", 0, 256},
		{units_parse_count, "10k", 0, 10000},
		{units_parse_count, "2M", 0, 2000000},
		{units_parse_count, "2G", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 77;
		int r = rows[i].parse(rows[i].text, &value);
		if (r != rows[i].r || value != (r == 0 ? rows[i].value : 77))
			fail_msg("'%s' gave %d, %llu", rows[i].text, r, (unsigned long long)value);
	}
}

static void bytes_are_written_for_people(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {{0, "0 B"}, {1023, "1023 B"}, {1536, "1.5 KiB"}, {512ULL << 20, "512 MiB"},
		{3ULL << 29, "1.5 GiB"}, {1ULL << 40, "1.0 TiB"}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[32];
		units_format_bytes(rows[i].bytes, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

static void the_nearest_name_is_found(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int other;
	} table[] = {{"isolation", 1}, {"mode", 2}, {"write", 3}, {"read-only", 4}};
	static const char *const rows[][2] = {
		{"isolatoin", "isolation"}, /* two swapped letters are one slip */
		{"mod", "mode"},
		{"wirte", "write"},
		{"readonly", "read-only"},
		{"zzzz", NULL},
		{"", NULL},
		{"m", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *near =
			suggest_nearest(rows[i][0], table, ARRAY_SIZE(table), sizeof(table[0]));
		if (!rows[i][1])
			assert_null(near);
		else
			assert_string_equal(near, rows[i][1]);
	}
	char longer[4096];
	memset(longer, 'm', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(suggest_nearest(longer, table, ARRAY_SIZE(table), sizeof(table[0])));
}

static void buffers_keep_to_their_maximum(void **state)
{
	(void)state;
	cleanup_buffer struct buffer buffer = BUFFER_INIT(8);
	buffer_append_string(&buffer, "1234");
	buffer_append_format(&buffer, "%d", 56);
	assert_int_equal(buffer_error(&buffer), 0);
	assert_string_equal(buffer.data, "123456");
	buffer_append_string(&buffer, "7890");
	assert_int_equal(buffer_error(&buffer), -ENOBUFS);
	assert_memory_equal(buffer.data, "123456", 6); /* what it had is as it was */
	buffer_append_string(&buffer, "x");
	assert_int_equal(buffer_error(&buffer), -ENOBUFS); /* and it remembers */
	buffer_clear(&buffer);
	assert_int_equal(buffer_error(&buffer), 0);
	buffer_append_string(&buffer, "ab");
	cleanup_free char *taken = buffer_steal(&buffer);
	assert_string_equal(taken, "ab");
	assert_int_equal(buffer.length_bytes, 0);
}

static void strings_become_json(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"", "\"\""}, {"a", "\"a\""}, {"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"tab\tline\n", "\"tab\\u0009line\\u000a\""}, {"\x1b[31m", "\"\\u001b[31m\""},
		{"\xc3\xa9", "\"\xc3\xa9\""}, {"\xff", "\"\\ufffd\""},
		{"\xc2\x9b"
		 "1m",
			"\"\\u009b1m\""}, /* a terminal's CSI */
		{"ls\xe2\x80\xae"
		 "gpj",
			"\"ls\\u202egpj\""}, /* turned around */
		{"\xe2\x81\xa6", "\"\\u2066\""}, {"\xe2\x80\x8b", "\"\\u200b\""}, /* not seen */
		{"\xe2\x80\xa8", "\"\\u2028\""}, /* a line's end to some */
		{"\xe2\x80\x90\xf0\x9f\x98\x80", "\"\xe2\x80\x90\xf0\x9f\x98\x80\""},
		{"a\xc3", "\"a\\ufffd\""}, {"\xed\xa0\x80x", NULL}, /* a surrogate is not UTF-8 */
		{"\x7f", "\"\\u007f\""}, {"\xc0\xaf", NULL},        /* nor is a longer spelling */
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_buffer struct buffer buffer = BUFFER_INIT(1024);
		buffer_append_json(&buffer, rows[i][0]);
		assert_int_equal(buffer_error(&buffer), 0);
		if (rows[i][1])
			assert_string_equal(buffer.data, rows[i][1]);
		else
			assert_non_null(strstr(buffer.data, "\\ufffd"));
	}
}

static void lists_grow_and_end_with_null(void **state)
{
	(void)state;
	cleanup_strv struct strv strv = {0};
	assert_null(strv_items(&strv)[0]);
	for (int i = 0; i < 100; i++) {
		char text[16];
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(strv_add(&strv, text), 0);
	}
	assert_int_equal(strv.count, 100);
	assert_null(strv.items[100]);
	assert_true(strv_contains(&strv, "99"));
	assert_false(strv_contains(&strv, "100"));
	cleanup_strv struct strv copy = {0};
	assert_int_equal(strv_copy(&copy, strv_items(&strv)), 0);
	assert_int_equal(copy.count, 100);
	assert_string_equal(copy.items[7], "7");
	assert_ptr_not_equal(copy.items[7], strv.items[7]);
}

static void requests_come_out_as_they_went_in(void **state)
{
	(void)state;
	cleanup_buffer struct buffer buffer = BUFFER_INIT(1024);
	char *first[] = {(char *)"a", (char *)"", (char *)"b c", NULL};
	char *none[] = {NULL};
	char *last[] = {(char *)"", NULL};
	request_add(&buffer, first);
	request_add(&buffer, none);
	request_add(&buffer, last);
	cleanup_strv struct strv one = {0};
	cleanup_strv struct strv two = {0};
	cleanup_strv struct strv three = {0};
	struct strv *lists[] = {&one, &two, &three};
	assert_int_equal(request_parse(buffer.data, buffer.length_bytes, lists, 3), 0);
	assert_int_equal(one.count, 3);
	assert_string_equal(one.items[1], "");
	assert_string_equal(one.items[2], "b c");
	assert_int_equal(two.count, 0);
	assert_int_equal(three.count, 1);
	assert_string_equal(three.items[0], "");

	cleanup_close int fd = request_seal(&buffer);
	assert_true(fd >= 0);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, buffer.length_bytes);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1); /* nobody changes it on the way */
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
}

static void broken_requests_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		size_t size;
	} rows[] = {
		{"", 0},             /* nothing */
		{"a", 1},            /* no end of the string */
		{"a\0", 2},          /* no end of the list */
		{"a\0\0b", 4},       /* the second list is cut */
		{"a\0\0b\0", 5},     /* and has no end */
		{"a\0\0b\0\0c", 7},  /* more than was asked for */
		{"a\0\0b\0\0\0", 7}, /* a list too many */
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_strv struct strv one = {0};
		cleanup_strv struct strv two = {0};
		struct strv *lists[] = {&one, &two};
		cleanup_free char *copy = malloc(rows[i].size + 1); /* exact, for the sanitizer */
		assert_non_null(copy);
		memcpy(copy, rows[i].data, rows[i].size);
		if (request_parse(copy, rows[i].size, lists, 2) != -EINVAL)
			fail_msg("request %zu was taken", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_made_absolute_and_clean),
		cmocka_unit_test(paths_that_are_too_long_are_refused),
		cmocka_unit_test(paths_are_taken_apart),
		cmocka_unit_test(below_goes_by_components),
		cmocka_unit_test(globs_match_what_they_say),
		cmocka_unit_test(units_are_read),
		cmocka_unit_test(bytes_are_written_for_people),
		cmocka_unit_test(the_nearest_name_is_found),
		cmocka_unit_test(buffers_keep_to_their_maximum),
		cmocka_unit_test(strings_become_json),
		cmocka_unit_test(lists_grow_and_end_with_null),
		cmocka_unit_test(requests_come_out_as_they_went_in),
		cmocka_unit_test(broken_requests_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
