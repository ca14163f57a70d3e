/* What strangers wrote on a screen, and commands as lines of shell: the shell itself is asked
 * whether it takes them for the same words. */
#include "gate/show.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const struct show_style utf8 = {.columns = 20, .utf8 = true};

static void rows_are(const char *text, size_t rows_max, size_t hidden, const char *expected)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(65536);
	assert_int_equal(show_rows(&out, text, "| ", "  ", rows_max, &utf8), hidden);
	assert_string_equal(out.data, expected);
}

static void rows(void **state)
{
	(void)state;
	rows_are("", 0, 0, "| \n");
	rows_are("abc\n", 0, 0, "| abc\n");
	rows_are("abc\ndef", 0, 0, "| abc\n| def\n");
	rows_are("12345678901234567", 0, 0, "| 12345678901234567\n");
	rows_are("123456789012345678", 0, 0, "| 12345678901234567\n  8\n");
	rows_are("123456789012345678\nab", 1, 4, "| 12345678901234567\n");
	rows_are("a\tb", 0, 0, "| a       b\n");
	rows_are("a\r\x1b[2J\x7f", 0, 0, "| a\\x0d\\x1b[2J\\x7f\n");
	rows_are("\xe2\x80\xae\xcc\x81\xc2\x9b\xff", 0, 0, "| \\u{202e}\\u{301}\n  \\u{9b}\\xff\n");
	/* Wide characters take two columns each. */
#define NI "\xe4\xbd\xa0"
	rows_are(NI NI NI NI NI NI NI NI NI, 0, 0, "| " NI NI NI NI NI NI NI NI "\n  " NI "\n");
}

/* Nothing that is let through unescaped is more than a mark in its place. */
static void every_character(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= 0x10ffff; c++) {
		bool control = c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad;
		bool format = (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
			      (c >= 0x2060 && c <= 0x206f) || (c >= 0xe0000 && c <= 0xe0fff) ||
			      c == 0xfeff || (c >= 0xfe00 && c <= 0xfe0f) ||
			      (c >= 0x300 && c <= 0x36f);
		if (control || format)
			assert_false(show_is_seen(c));
	}
	assert_true(show_is_seen(' '));
	assert_true(show_is_seen(0xe9));
	assert_true(show_is_seen(0x4f60));
	assert_true(show_is_seen(0x1f600));
	assert_int_equal(show_columns(0x1f600), 2);
	assert_int_equal(show_columns('a'), 1);
}

static void quoted_is(char *const argv[], bool ascii, const char *expected)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(65536);
	quote_words(argv, ascii, &out);
	assert_int_equal(buffer_error(&out), 0);
	assert_string_equal(out.data, expected);
}

static void quoting(void **state)
{
	(void)state;
	quoted_is((char *[]){"npm", "run", "--x=y", NULL}, false, "npm run --x=y");
	quoted_is((char *[]){"A=b", "", "it's", NULL}, false, "'A=b' '' 'it'\\''s'");
	quoted_is((char *[]){"a\nb", "a\x1b\n", NULL}, false, "'a\nb' $'a\\033\\n'");
	quoted_is((char *[]){"\xc3\xa9", NULL}, false, "'\xc3\xa9'");
	quoted_is((char *[]){"\xc3\xa9", NULL}, true, "$'\\U000000e9'");
}

/* bash prints each word that it was given, NUL between them. */
static size_t ask_bash(const char *line, char *out, size_t out_bytes)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		cleanup_free char *script = NULL;
		if (asprintf(&script, "printf '%%s\\0' %s", line) < 0 || dup2(ends[1], 1) < 0)
			_exit(1);
		setenv("LC_ALL", "C.UTF-8", 1);
		execlp("bash", "bash", "-c", script, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	size_t length = 0;
	for (ssize_t n; (n = read(ends[0], out + length, out_bytes - length)) > 0;)
		length += (size_t)n;
	close(ends[0]);
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	return length;
}

static void bash_reads_the_same_words(void **state)
{
	(void)state;
	char every_byte[256], *argv[] = {"x", every_byte, "", "a b", "$HOME `id` !! *", "\\'\"",
				      "~", "\xc3\xa9\xe2\x80\xae\xf0\x9f\x98\x80", "-n\n\n",
				      "\x01"
				      "1\x1f"
				      "f\xff"
				      "7",
				      "{a,b}", "#c", "=x", NULL};
	for (int i = 1; i < 256; i++)
		every_byte[i - 1] = (char)i;
	every_byte[255] = '\0';
	for (int ascii = 0; ascii < 2; ascii++) {
		cleanup_buffer struct buffer line = BUFFER_INIT(65536);
		char out[4096];
		quote_words(argv, ascii, &line);
		size_t length = ask_bash(line.data, out, sizeof(out)), at = 0;
		for (size_t i = 0; argv[i]; i++) {
			assert_true(at < length);
			assert_string_equal(out + at, argv[i]);
			at += strlen(argv[i]) + 1;
		}
		assert_int_equal(at, length);
		/* And our own reading of it. */
		cleanup_strv struct strv words = {0};
		assert_int_equal(quote_parse(line.data, &words), 0);
		for (size_t i = 0; argv[i]; i++)
			assert_string_equal(words.items[i], argv[i]);
	}
}

static void what_is_parsed_means_the_same_to_bash(void **state)
{
	(void)state;
	static const char *const lines[] = {"a b", " a\t b ", "a'b'\"c\"d", "\"\\$x \\a \\\\\"",
		"a\\ b", "x --y=z", "a=b", "'a'\\''b'", "\"it's\"", "x ''", "$'\\n\\101'x"};
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		cleanup_strv struct strv words = {0};
		char out[4096];
		int r = quote_parse(lines[i], &words);
		if (r == -EOPNOTSUPP && strchr(lines[i], '='))
			continue; /* an assignment is a shell's */
		assert_int_equal(r, 0);
		size_t length = ask_bash(lines[i], out, sizeof(out)), at = 0;
		for (size_t j = 0; j < words.count; j++) {
			assert_string_equal(out + at, words.items[j]);
			at += strlen(out + at) + 1;
		}
		assert_int_equal(at, length);
	}
}

static void what_needs_a_shell(void **state)
{
	(void)state;
	static const char *const shell[] = {"a | b", "a;b", "a&", "a >b", "$x", "`x`", "\"$x\"",
		"*", "[a]", "{a,b}", "~", "A=b c", "a\nb", "(a)", "#x", "! a", "\"a\\\nb\"",
		"$'\\x41'", "$'\\000'", "$'\\U00110000'"};
	static const char *const nothing[] = {"", "  ", "'a", "\"a", "a\\", "$'a"};
	struct strv words = {0};
	for (size_t i = 0; i < ARRAY_SIZE(shell); i++)
		assert_int_equal(quote_parse(shell[i], &words), -EOPNOTSUPP);
	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++)
		assert_int_equal(quote_parse(nothing[i], &words), -EINVAL);
	assert_null(words.items);
}

static void scripts(void **state)
{
	(void)state;
	assert_string_equal(quote_script((char *[]){"/bin/bash", "-c", "ls|id", NULL}), "ls|id");
	assert_null(quote_script((char *[]){"bash", "-c", "ls", "name", NULL}));
	assert_null(quote_script((char *[]){"python3", "-c", "ls", NULL}));
	assert_null(quote_script((char *[]){"sh", "-lc", "ls", NULL}));
	cleanup_free char *exact = quote_command((char *[]){"sh", "-c", "rm \xff", NULL});
	assert_string_equal(exact, "sh -c $'rm \\377'");
	cleanup_free char *line = quote_command((char *[]){"ls", "a b", NULL});
	assert_string_equal(line, "ls 'a b'");
}

static void choices(void **state)
{
	(void)state;
	const struct prompt_offer all = {.session = true,
					  .always = true,
					  .view = true,
					  .edit = true},
				  none = {0}, words = {.always = true, .words = true};
	assert_int_equal(prompt_choice("y", &none), CHOICE_ONCE);
	assert_int_equal(prompt_choice("yes", &none), CHOICE_ONCE);
	assert_int_equal(prompt_choice("a", &all), CHOICE_ALWAYS);
	assert_int_equal(prompt_choice("v", &all), CHOICE_VIEW);
	assert_int_equal(prompt_choice("stop", &words), CHOICE_STOP);
	assert_int_equal(prompt_choice("always", &words), CHOICE_ALWAYS);
	assert_int_equal(prompt_choice("s", &all), CHOICE_SESSION);
	static const char *const unclear[] = {"", " ", "Y", "YES", "yes ", " y", "ye", "yy", "yess",
		"ok", "1", "y\n", "s", "a", "v"};
	for (size_t i = 0; i < ARRAY_SIZE(unclear); i++)
		assert_int_equal(prompt_choice(unclear[i], &none), CHOICE_NONE);
	for (const char *key = "ysaevnrq"; *key; key++)
		assert_int_equal(prompt_choice((char[]){*key, '\0'}, &words), CHOICE_NONE);
}

static void question_is(const struct gate_decision *decision, size_t items, const char *expected)
{
	static const struct show_style wide = {.columns = 80, .utf8 = true};
	struct gate_request request = {
		.argv = (char *[]){"sh", "x.sh", NULL}, .directory = "/w", .mode = MODE_READ_ONLY};
	struct approval_request question = {.request = &request, .decision = decision};
	const struct prompt_room room = {.items = items};
	cleanup_buffer struct buffer out = BUFFER_INIT(65536);
	bool folded = true;
	assert_int_equal(prompt_question(&question, &room, &wide, &out, &folded), 0);
	assert_false(folded);
	assert_string_equal(out.data, expected);
}

static void parts_that_ask_for_their_own_reasons(void **state)
{
	(void)state;
	struct gate_part parts[] = {
		{.argv = {.items = (char *[]){"rm", "-r", "a\x1b", NULL}, .count = 3}, .line = 2},
		{.argv = {.items = (char *[]){"dd", NULL}, .count = 1}, .line = 3},
		{.argv = {.items = (char *[]){"ls", NULL}, .count = 1}, .line = 4},
		{.argv = {.items = (char *[]){"npm", NULL}, .count = 1}, .line = 5}};
	struct config_rule rule = {.place = {.file = "/etc/coffer/coffer.toml", .line = 7}};
	struct part_decision decided[] = {
		{.part = 0, .verdict = VERDICT_ASK, .reason = "`rm -r`: it deletes"},
		{.part = 1, .verdict = VERDICT_ASK, .reason = "it writes\n  why    to disks"},
		{.part = 2, .verdict = VERDICT_ALLOW, .reason = "it reads"},
		{.part = 3, .verdict = VERDICT_ASK, .rule = &rule, .reason = "`npm`: said so"}};
	struct analysis analysis = {.parts = parts, .count = 4};
	struct gate_decision decision = {.reason = "`rm -r`: it deletes",
		.analysis = &analysis,
		.parts = decided,
		.parts_count = 4};
	question_is(&decision, 0,
		"\ncoffer asks: may this run?\n"
		"  | sh x.sh\n"
		"  in     /w (read-only)\n"
		"  why    `rm -r`: it deletes\n"
		"  also   line 3: dd: it writes\n"
		"           why    to disks\n"
		"         line 5: `npm`: said so (/etc/coffer/coffer.toml:7)\n");
	question_is(&decision, 1,
		"\ncoffer asks: may this run?\n"
		"  | sh x.sh\n"
		"  in     /w (read-only)\n"
		"  why    `rm -r`: it deletes\n"
		"  also   line 3: dd: it writes\n"
		"           why    to disks\n"
		"         and 1 more part\n");
	decision.parts_count = 1;
	question_is(&decision, 0,
		"\ncoffer asks: may this run?\n"
		"  | sh x.sh\n"
		"  in     /w (read-only)\n"
		"  why    `rm -r`: it deletes\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(every_character),
		cmocka_unit_test(quoting),
		cmocka_unit_test(bash_reads_the_same_words),
		cmocka_unit_test(what_is_parsed_means_the_same_to_bash),
		cmocka_unit_test(what_needs_a_shell),
		cmocka_unit_test(scripts),
		cmocka_unit_test(choices),
		cmocka_unit_test(parts_that_ask_for_their_own_reasons),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
