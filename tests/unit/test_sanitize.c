/* Sanitizing streams: paths, secrets, shapes and control codes, whole and in pieces. */
#include "base/sanitize.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const struct sanitize_pair paths[] = {
	{"/home/kim", "/home/agent"},
	{"/home/kim/project", "/workspace"},
	{"/home/kim/project/deep/er/", "/deep"},
};
static const struct sanitize_secret secrets[] = {
	{"TOKEN", "s3cr3t-Value/42", 15},
	{"REPEATING", "aaaaaaaaab", 10},
};

static struct sanitizer *make(enum sanitize_controls controls, bool terminal)
{
	const struct sanitize_options options = {.paths = paths,
		.paths_count = ARRAY_SIZE(paths),
		.secrets = secrets,
		.secrets_count = ARRAY_SIZE(secrets),
		.recognize = true,
		.terminal = terminal,
		.controls = controls};
	struct sanitizer *sanitizer;
	assert_int_equal(sanitizer_new(&options, &sanitizer), 0);
	return sanitizer;
}

static struct buffer feed(struct sanitizer *sanitizer, const char *data, size_t length, size_t first,
	size_t piece)
{
	struct buffer to = BUFFER_INIT(1 << 24);
	size_t at = first < length ? first : length;
	sanitizer_feed(sanitizer, data, at, at == length, &to);
	while (at < length) {
		size_t count = length - at < piece ? length - at : piece;
		sanitizer_feed(sanitizer, data + at, count, at + count == length, &to);
		at += count;
	}
	assert_int_equal(buffer_error(&to), 0);
	return to;
}

/* Cut once at every place, and into single bytes. */
static void expect_bytes(enum sanitize_controls controls, bool terminal, const char *data,
	size_t length, const char *expected, size_t expected_length)
{
	struct sanitizer *sanitizer = make(controls, terminal);
	for (size_t first = 0; first <= length + 1; first++) {
		size_t piece = first == length + 1 ? 1 : length;
		struct buffer to =
			feed(sanitizer, data, length, first == length + 1 ? 1 : first, piece);
		if (to.length_bytes != expected_length ||
			(expected_length && memcmp(to.data, expected, expected_length) != 0))
			fail_msg("cut at %zu: got '%.*s'\nwanted '%s'", first,
				(int)to.length_bytes, to.data ? to.data : "", expected);
		buffer_release(&to);
	}
	sanitizer_free(sanitizer);
}

static void expect(const char *data, const char *expected)
{
	expect_bytes(SANITIZE_STRIP, false, data, strlen(data), expected, strlen(expected));
}

static void expect_on_terminal(const char *data, size_t length, const char *expected)
{
	expect_bytes(SANITIZE_DISPLAY, true, data, length, expected, strlen(expected));
}

static void paths_are_replaced_at_component_borders(void **state)
{
	(void)state;
	expect("", "");
	expect("plain text\n", "plain text\n");
	expect("/home/kim/project/a.c:1: error\n", "/workspace/a.c:1: error\n");
	expect("/home/kim/project", "/workspace");
	expect("in /home/kim/project.", "in /workspace.");
	expect("in /home/kim/project. Then", "in /workspace. Then");
	expect("in /home/kim/project...", "in /workspace...");
	expect("/home/kim/project2 /home/kim/project.bak /home/kim/project-x",
		"/home/agent/project2 /home/agent/project.bak /home/agent/project-x");
	expect("/home/kimono /home/kim.d", "/home/kimono /home/kim.d");
	expect("-I/home/kim/project/include:/home/kim", "-I/workspace/include:/home/agent");
	expect("/home/kim/home/kim/project", "/home/agent/workspace");
	expect("/home/kim/project/deep/er/x /home/kim/project/deep/e", "/deep/x /workspace/deep/e");
	expect("//home/kim//home/kim/", "//home/agent//home/agent/");
	expect("\"/home/kim/project\"\n'/home/kim'\n", "\"/workspace\"\n'/home/agent'\n");
}

static void secrets_are_masked(void **state)
{
	(void)state;
	expect("token s3cr3t-Value/42!", "token [TOKEN]!");
	expect("s3cr3t-Value/42s3cr3t-Value/42", "[TOKEN][TOKEN]");
	expect("s3cr3t-Value/4", "s3cr3t-Value/4");
	expect("aaaaaaaaaaaaaaab", "aaaaaa[REPEATING]");
	expect("aaaaaaaaaaaaa", "aaaaaaaaaaaaa");
	expect("/home/kim/s3cr3t-Value/42/home/kim/x", "/home/agent/[TOKEN]/home/agent/x");
}

static void shapes_are_recognized(void **state)
{
	(void)state;
	expect("key=AKIAIOSFODNN7EXAMPLE.", "key=[AWS access key].");
	expect("x ghp_0123456789abcdefghijABCDEFGHIJ012345 y", "x [GitHub token] y");
	expect("ghp_short xghp_0123456789abcdefghijABCDEFGHIJ012345",
		"ghp_short xghp_0123456789abcdefghijABCDEFGHIJ012345");
	expect("a task-0123456789abcdefghijklmnop", "a task-0123456789abcdefghijklmnop");
	expect("sk-0123456789abcdefghijklmnop!", "[API key]!");
	expect("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-def_g;",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-def_g;");
	expect("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nafter\n",
		"[private key]\nafter\n");
	expect("-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\"",
		"[private key]\\n\"");
	expect("-----BEGIN CERTIFICATE-----\nMIIE\n", "-----BEGIN CERTIFICATE-----\nMIIE\n");
}

static void controls_are_taken_out(void **state)
{
	(void)state;
	expect("\033[1;31mred\033[0m\n", "red\n");
	expect("a\033]0;title\ab\033]52;c;AAAA\033\\c", "abc");
	expect("a\033Pq#0\033\\b\033(Bc\0337d", "abcd");
	expect("a\bb\ac\r\n\td\f\v", "abc\r\n\td\f\v");
	expect("/home/\033[0mkim/pro\033[1mject\n", "/workspace\n");
	expect("\xc2\x9b" "31mred\xc2\x9d" "0;x\xc2\x9c|", "red|");
	expect("\033]0;unterminated\nnext line\n", "\nnext line\n");
	expect("\033[12", "");
	expect("gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80\n",
		"gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80\n");
	const char kept[] = "\033[1mx\a\n";
	expect_bytes(SANITIZE_KEEP, false, kept, strlen(kept), kept, strlen(kept));
}

static void binaries_pass_as_they_are(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		size_t length;
	} samples[] = {
#define SAMPLE(text) {text, sizeof(text) - 1}
		SAMPLE("\x1f\x8b\x08\0\0\0\0\0\033[0m/home/kim/project/"),
		SAMPLE("\x7f" "ELF\x02\x01\x01\0\033[1m /home/kim"),
		SAMPLE("name\0\0\0\0ustar /home/kim\033c"),
		SAMPLE("\n\ntesting\a\b\033[0m\x12 /home/kim/ "),
		SAMPLE("\xfd" "7zXZ\0\033[0m"),
		SAMPLE("text\a\xc3(/home/kim "),
		SAMPLE("text \xe2\x82"),
		SAMPLE("bell\a\xe2\x82"),
		SAMPLE("\xed\xa0\x80 surrogate\033[0m"),
		SAMPLE("\xf5\033[0m"),
		SAMPLE("\xc0\x80\033[0m"),
#undef SAMPLE
	};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		expect_bytes(SANITIZE_STRIP, false, samples[i].data, samples[i].length,
			samples[i].data, samples[i].length);
	static const char before[] = "/home/kim\0/home/kim", after[] = "/home/agent\0/home/kim";
	expect_bytes(SANITIZE_STRIP, false, before, sizeof(before) - 1, after, sizeof(after) - 1);
	static const char secret[] = "\0s3cr3t-Value/42\0", masked[] = "\0***************\0";
	expect_bytes(SANITIZE_STRIP, false, secret, sizeof(secret) - 1, masked, sizeof(masked) - 1);
}

static void what_is_long_text_is_text(void **state)
{
	(void)state;
	cleanup_free char *data = malloc(20000), *expected = malloc(20000);
	size_t length = 0, kept = 0;
	while (length < 9000) {
		length = (size_t)(stpcpy(data + length, "line \033[1mbold\033[0m\n") - data);
		kept = (size_t)(stpcpy(expected + kept, "line bold\n") - expected);
	}
	struct sanitizer *sanitizer = make(SANITIZE_STRIP, false);
	for (size_t piece = 1; piece < 9000; piece = piece * 3 + 1) {
		struct buffer to = feed(sanitizer, data, length, 0, piece);
		assert_int_equal(to.length_bytes, kept);
		assert_memory_equal(to.data, expected, kept);
		buffer_release(&to);
	}
	sanitizer_free(sanitizer);
}

static void a_terminal_gets_what_displays(void **state)
{
	(void)state;
#define ON_TERMINAL(text, expected) expect_on_terminal(text, sizeof(text) - 1, expected)
	ON_TERMINAL("\033[1;31mred\033[0m\033[2J\033[5;1H\b\a", "\033[1;31mred\033[0m\033[2J\033[5;1H\b\a");
	ON_TERMINAL("\033[?25l\033[?1049h\033[?2004h\033[?1000h\033[?1003l", "\033[?25l\033[?1049h\033[?2004h");
	ON_TERMINAL("a\033[cb\033[6nc\033[>cd\033[21te\033[5if\033Zg\005h", "abcdefgh");
	ON_TERMINAL("a\033]0;title\ab\033]52;c;AAAA\033\\c\033Pdcs\033\\d", "abcd");
	ON_TERMINAL("a\0b\xff" "c\xe2\x82", "ab\xef\xbf\xbd" "c\xef\xbf\xbd");
	ON_TERMINAL("\033(0lqk\033(B \0337\0338\033c", "\033(0lqk\033(B \0337\0338");
	ON_TERMINAL("in /home/kim/project s3cr3t-Value/42", "in /workspace [TOKEN]");
#undef ON_TERMINAL
}

static void all_is_counted(void **state)
{
	(void)state;
	static const char data[] = "/home/kim/project /home/kim s3cr3t-Value/42 \033[1m\a"
				   "AKIAIOSFODNN7EXAMPLE\n";
	struct sanitizer *sanitizer = make(SANITIZE_STRIP, false);
	struct buffer to = feed(sanitizer, data, sizeof(data) - 1, 7, 5);
	struct sanitize_counts counts;
	sanitizer_counts(sanitizer, &counts);
	assert_int_equal(counts.paths, 2);
	assert_int_equal(counts.secrets, 1);
	assert_int_equal(counts.recognized, 1);
	assert_int_equal(counts.controls, 2);
	buffer_release(&to);
	sanitizer_free(sanitizer);
}

static void a_prompt_is_not_held(void **state)
{
	(void)state;
	struct sanitizer *sanitizer = make(SANITIZE_STRIP, false);
	struct buffer to = BUFFER_INIT(4096);
	sanitizer_feed(sanitizer, "\033[1mPassword: ", 14, false, &to);
	assert_int_equal(to.length_bytes, 0); /* it may be an archive */
	assert_true(sanitizer_holds(sanitizer));
	sanitizer_flush(sanitizer, &to);
	assert_string_equal(to.data, "Password: ");
	assert_false(sanitizer_holds(sanitizer));
	sanitizer_feed(sanitizer, "s3cr3t", 6, false, &to);
	sanitizer_flush(sanitizer, &to);
	assert_string_equal(to.data, "Password: ");
	sanitizer_feed(sanitizer, "-Value/42", 9, false, &to);
	sanitizer_flush(sanitizer, &to);
	assert_string_equal(to.data, "Password: [TOKEN]");
	buffer_release(&to);
	sanitizer_free(sanitizer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_replaced_at_component_borders),
		cmocka_unit_test(secrets_are_masked),
		cmocka_unit_test(shapes_are_recognized),
		cmocka_unit_test(controls_are_taken_out),
		cmocka_unit_test(binaries_pass_as_they_are),
		cmocka_unit_test(what_is_long_text_is_text),
		cmocka_unit_test(a_terminal_gets_what_displays),
		cmocka_unit_test(all_is_counted),
		cmocka_unit_test(a_prompt_is_not_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
