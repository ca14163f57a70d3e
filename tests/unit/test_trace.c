/* What the samples of tests/witness cannot show: bounds, order, fingerprints, names of files. */
#include "base/limits.h"
#include "witness/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *trace_of(const char *text, const struct trace_options *options)
{
	static const struct trace_options nothing = {
		.workspace = "/project", .directory = "/project"};
	struct traces *traces = traces_new();
	assert_int_equal(traces_read(traces, "stderr", text, strlen(text)), 0);
	json_t *json = traces_json(traces, options ? options : &nothing);
	traces_free(traces);
	return json;
}

static const json_t *failure(const json_t *trace, size_t i)
{
	return json_array_get(json_object_get(trace, "failures"), i);
}

static const json_t *frame(const json_t *trace, size_t i, size_t k)
{
	return json_array_get(json_object_get(failure(trace, i), "frames"), k);
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void test_nothing_is_null(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "\n\n", "all is well\n", "note: 3 tests: ok\n",
		"a.c:3:1: warning: unused\n", "INFO: done at 12:30:45\n", "http://a.b:80/x: fine"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *trace = trace_of(texts[i], NULL);
		if (!json_is_null(trace))
			fail_msg("'%s' is no failure", texts[i]);
		json_decref(trace);
	}
}

static char *fingerprint_of(const char *text)
{
	json_t *trace = trace_of(text, NULL);
	assert_true(json_is_object(trace));
	char *fingerprint = strdup(string_of(trace, "fingerprint"));
	json_decref(trace);
	return fingerprint;
}

static void test_fingerprints(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		int same;
	} pairs[] = {
		{"a.c:3:5: error: 'x' undeclared\n", "a.c:90:17: error: 'x' undeclared\n", 1},
		{"a.c:3:5: error: 'x' undeclared\n", "a.c:3:5: error: 'y' undeclared\n", 0},
		{"a.c:3:5: error: 'x' undeclared\n", "b.c:3:5: error: 'x' undeclared\n", 0},
		{"a.c:3: error: no /tmp/ab12/x.h\n", "a.c:3: error: no /tmp/zz9/x.h\n", 1},
		{"a.c:3: error: at 0x55d0c0ffee10\n", "a.c:3: error: at 0x7ffe12345678\n", 1},
		{"a.c:3: error: got 17 of 20\n", "a.c:3: error: got 9 of 20\n", 1},
		{"fatal: bad object deadbeef01\n", "fatal: bad object 0123456789ab\n", 1},
		{"a.c:1: error: p\nb.c:1: error: q\n", "b.c:7: error: q\na.c:9: error: p\n", 1},
		{"a.c:1: error: p\nb.c:1: error: q\n", "a.c:1: error: p\n", 0},
		{"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nE: 1\n",
			"Traceback (most recent call last):\n  File \"a.py\", line 7, in f\nE: 1\n",
			1},
		{"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nE: 1\n",
			"Traceback (most recent call last):\n  File \"a.py\", line 1, in g\nE: 1\n",
			0},
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *a = fingerprint_of(pairs[i].a), *b = fingerprint_of(pairs[i].b);
		assert_int_equal(strlen(a), 16);
		if ((strcmp(a, b) == 0) != pairs[i].same)
			fail_msg("pair %zu: %s %s", i, a, b);
		free(a);
		free(b);
	}
}

static void test_colours_and_returns_are_gone(void **state)
{
	(void)state;
	json_t *trace = trace_of("\x1b[1m\x1b[Ka.c:3:5:\x1b[m\x1b[K \x1b[01;31merror: \x1b[mno\r\n"
				 "\x1b]8;;http://x\x1b\\b.c:4:1: error: link\x1b]8;;\x07\r\n"
				 "10%\r20%\rc.c:5:1: error: bar\n\x1b[",
		NULL);
	assert_string_equal(string_of(failure(trace, 0), "message"), "no");
	assert_string_equal(string_of(failure(trace, 1), "message"), "link");
	assert_string_equal(string_of(failure(trace, 2), "message"), "bar");
	assert_int_equal(json_array_size(json_object_get(trace, "failures")), 3);
	json_decref(trace);
}

static void test_order(void **state)
{
	(void)state;
	static const char text[] = "make: *** [Makefile:2: all] Error 2\na.c:3:5: error: x\n";
	struct trace_options options = {.workspace = "/project", .directory = "/project"};
	struct trace_ending ending = {"timed_out", "its time was up", true, NULL};
	struct trace_ending signal = {"SIGKILL", "killed by signal 9", false, NULL};
	struct traces *traces = traces_new();
	assert_int_equal(traces_read(traces, "stdout", text, strlen(text)), 0);
	assert_int_equal(traces_end(traces, &signal), 0);
	assert_int_equal(traces_end(traces, &ending), 0);
	json_t *trace = traces_json(traces, &options);
	static const char *const kinds[] = {"timed_out", "error", "SIGKILL", "recipe failed"};
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(string_of(failure(trace, i), "kind"), kinds[i]);
	assert_null(string_of(failure(trace, 0), "stream"));
	assert_string_equal(string_of(failure(trace, 1), "stream"), "stdout");
	json_decref(trace);
	traces_free(traces);
}

static void test_many_are_counted(void **state)
{
	(void)state;
	struct buffer text = BUFFER_INIT(1024 * 1024);
	for (int i = 0; i < 100; i++)
		buffer_append_format(&text, "a.c:%d:1: error: word%c\n", i + 1, 'a' + i % 20);
	buffer_append_string(&text, "a.c:3:1: error: wordc\n");
	json_t *trace = trace_of(text.data, NULL);
	assert_int_equal(json_array_size(json_object_get(trace, "failures")), MAX_TRACES);
	assert_int_equal(json_integer_value(json_object_get(trace, "more")), 100 - MAX_TRACES);
	assert_int_equal(json_integer_value(json_object_get(failure(trace, 2), "seen")), 2);
	json_decref(trace);
	buffer_release(&text);
}

static void test_frames_are_bounded(void **state)
{
	(void)state;
	struct buffer text = BUFFER_INIT(1024 * 1024);
	buffer_append_string(&text, "Traceback (most recent call last):\n");
	for (int i = 1; i <= 500; i++)
		buffer_append_format(&text, "  File \"a.py\", line %d, in f\n    f()\n", i);
	buffer_append_string(&text, "ValueError: deep\n");
	json_t *trace = trace_of(text.data, NULL);
	assert_int_equal(
		json_array_size(json_object_get(failure(trace, 0), "frames")), MAX_TRACE_FRAMES);
	/* The innermost are kept. */
	assert_int_equal(json_integer_value(json_object_get(frame(trace, 0, 0), "line")), 500);
	assert_int_equal(json_integer_value(json_object_get(failure(trace, 0), "frames_lost")),
		500 - MAX_TRACE_FRAMES);
	json_decref(trace);
	buffer_release(&text);
}

static void test_bytes_that_are_no_text(void **state)
{
	(void)state;
	static const char text[] = "a.c:3:5: error: \xff\xfe\x80 caf\xc3\xa9 \x07 x\0y\n";
	struct trace_options options = {.workspace = "/project", .directory = "/project"};
	struct traces *traces = traces_new();
	assert_int_equal(traces_read(traces, "stderr", text, sizeof(text) - 1), 0);
	json_t *trace = traces_json(traces, &options);
	const char *message = string_of(failure(trace, 0), "message");
	assert_non_null(strstr(message, "caf\xc3\xa9"));
	assert_non_null(strstr(message, "\xef\xbf\xbd"));
	struct buffer shown = BUFFER_INIT(MAX_REPORT_BYTES);
	trace_show(trace, &shown);
	for (size_t i = 0; i < shown.length_bytes; i++)
		assert_true((unsigned char)shown.data[i] >= 0x20 || shown.data[i] == '\n');
	buffer_release(&shown);
	json_decref(trace);
	traces_free(traces);
}

/* ---- files ---- */

static char opened[8][256];
static size_t opened_count;

static int open_one(void *context, const char *path)
{
	snprintf(opened[opened_count++ % 8], sizeof(opened[0]), "%s", path);
	return strcmp(path, context) == 0 ? open("/proc/self/comm", O_RDONLY | O_CLOEXEC) : -ENOENT;
}

static void test_only_what_is_below_the_workspace_is_opened(void **state)
{
	(void)state;
	static char wanted[] = "/project/lib/b.py";
	struct trace_options options = {.workspace = "/project",
		.directory = "/project/lib",
		.open = open_one,
		.context = wanted};
	opened_count = 0;
	json_t *trace = trace_of("Traceback (most recent call last):\n"
				 "  File \"/etc/passwd\", line 1, in a\n"
				 "  File \"/project/../etc/passwd\", line 1, in a\n"
				 "  File \"/project/lib/../../etc/passwd\", line 1, in a\n"
				 "  File \"../../etc/passwd\", line 1, in a\n"
				 "  File \"/projects/x.py\", line 1, in a\n"
				 "  File \"/project\", line 1, in a\n"
				 "  File \"<string>\", line 1, in a\n"
				 "  File \"b.py\", line 1, in b\n"
				 "E: x\n",
		&options);
	assert_int_equal(opened_count, 1);
	assert_string_equal(opened[0], "/project/lib/b.py");
	assert_string_equal(string_of(frame(trace, 0, 0), "file"), "lib/b.py");
	assert_true(json_is_true(json_object_get(frame(trace, 0, 0), "inside")));
	assert_int_equal(json_array_size(json_object_get(frame(trace, 0, 0), "source")), 1);
	for (size_t i = 1; i < 8; i++) {
		assert_true(json_is_false(json_object_get(frame(trace, 0, i), "inside")));
		assert_int_equal(json_array_size(json_object_get(frame(trace, 0, i), "source")), 0);
	}
	json_decref(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_null),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_colours_and_returns_are_gone),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_many_are_counted),
		cmocka_unit_test(test_frames_are_bounded),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_only_what_is_below_the_workspace_is_opened),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
