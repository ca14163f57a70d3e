/* Secrets: how they are named and read, every form cut at every place, and how archives are
 * bounded. tests/task/test_secret_search.py has other people's encoders. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/secret_source.h"
#include "task/secret_pipe.h"
#include "task/secret_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>
#include <zlib.h>

/* ---- values ---- */

static void expect_read(const char *written, const char *value)
{
	struct secret_value read;
	struct error error = {0};
	assert_int_equal(secret_value_read(written, &read, &error), 0);
	assert_int_equal(read.length_bytes, strlen(value));
	assert_memory_equal(read.value, value, strlen(value) + 1);
	struct secret_values values = {0};
	assert_int_equal(secret_values_add(&values, &read, &error), 0);
	secret_values_release(&values);
}

static void expect_refusal(const char *written, const char *part, const char *never)
{
	struct secret_value read;
	struct error error = {0};
	assert_true(secret_value_read(written, &read, &error) < 0);
	if (!strstr(error.message, part))
		fail_msg("'%s' does not say '%s'", error.message, part);
	assert_null(strstr(error.message, never));
	assert_null(strstr(error.hint, never));
	assert_null(read.value);
}

static void values_are_read(void **state)
{
	(void)state;
	setenv("COFFER_TEST_SECRET", "a value of some length", 1);
	setenv("COFFER_TEST_SHORT", "1234567", 1);
	setenv("COFFER_TEST_LINES", "line one\n\tline two\n", 1);
	expect_read("A=env:COFFER_TEST_SECRET", "a value of some length");
	expect_read("A=COFFER_TEST_SECRET", "a value of some length");
	expect_read("A=command:echo from a command", "from a command");
	expect_read("A=command:printf 'line one\\nline two\\n'", "line one\nline two\n");
	expect_read("KEY=COFFER_TEST_LINES", "line one\n\tline two\n");
	expect_refusal("A=COFFER_TEST_SHORT", "shorter than 8 bytes", "1234567");
	expect_refusal("A=ghp_0123456789", "not set", "ghp_0123456789");
	expect_refusal("A=typed-by-mistake", "no source", "typed-by-mistake");
	expect_refusal("typed-by-mistake", "NAME=SOURCE", "typed-by-mistake");
	expect_refusal("=env:HOME", "NAME=SOURCE", "\n");
	expect_refusal("1A=env:HOME", "NAME=SOURCE", "\n");
	expect_refusal("A=file:/nowhere/at/all", "/nowhere/at/all", "\n");
	expect_refusal("A=command:exit 3", "exit code 3", "\n");
	expect_refusal("A=command:printf 'with\\000zero'", "control character", "\n");
}

static void values_pass_through_a_pipe(void **state)
{
	(void)state;
	struct secret_values sent = {0}, got;
	struct error error;
	int ends[2];
	setenv("COFFER_TEST_SECRET", "a value of some length", 1);
	for (int i = 0; i < 3; i++) {
		char written[64];
		struct secret_value value;
		snprintf(written, sizeof(written), "S%d=COFFER_TEST_SECRET", i);
		assert_int_equal(secret_value_read(written, &value, &error), 0);
		assert_int_equal(secret_values_add(&sent, &value, &error), 0);
	}
	struct secret_value again;
	assert_int_equal(secret_value_read("S1=COFFER_TEST_SECRET", &again, &error), 0);
	assert_int_equal(secret_values_add(&sent, &again, &error), -EEXIST);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(secret_values_send(ends[1], &sent), 0);
	assert_int_equal(secret_values_receive(ends[0], &got), 0);
	assert_int_equal(got.count, 3);
	assert_string_equal(got.items[2].name, "S2");
	assert_string_equal(got.items[2].value, "a value of some length");
	secret_values_release(&got);
	assert_int_equal(write(ends[1], "\3\0\0\0\1", 5), 5);
	close(ends[1]);
	assert_int_equal(secret_values_receive(ends[0], &got), -EBADMSG);
	close(ends[0]);
	secret_values_release(&sent);
}

/* ---- forms ---- */

struct seen {
	size_t hits;
	size_t secret;
	enum secret_form form;
	uint64_t end_bytes;
	char member[128], why[128];
};

static void on_hit(void *context, const struct search_hit *hit)
{
	struct seen *seen = context;
	seen->hits++;
	seen->secret = hit->secret;
	seen->form = hit->form;
	seen->end_bytes = hit->end_bytes;
	snprintf(seen->member, sizeof(seen->member), "%s", hit->member);
}

static void on_unreadable(void *context, const char *member, const char *why)
{
	struct seen *seen = context;
	(void)member;
	snprintf(seen->why, sizeof(seen->why), "%s", why);
}

static struct secret_value items[] = {
	{.name = (char *)"A", .value = (char *)"S3cr/t+\"v' \\<", .length_bytes = 13},
	{.name = (char *)"B",
		.value = (char *)"gr\xc3\xbc\xc3\x9f"
				 "e \xf0\x9f\x98\x80",
		.length_bytes = 12},
	{.name = (char *)"C", .value = (char *)"hunter2-hunter2", .length_bytes = 15},
};
static const struct secret_values values = {.items = items, .count = ARRAY_SIZE(items)};

static struct seen seen;

static struct search *new_search(void)
{
	struct search *search;
	const struct search_calls calls = {
		.hit = on_hit, .unreadable = on_unreadable, .context = &seen};
	assert_int_equal(search_new(&values, &calls, &search), 0);
	return search;
}

static void feed(struct search *search, const char *data, size_t length, size_t first, size_t piece)
{
	struct stream *stream;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(search_begin(search, length, &stream), 0);
	stream_feed(stream, data, first);
	for (size_t at = first; at < length; at += piece)
		stream_feed(stream, data + at, length - at < piece ? length - at : piece);
	assert_int_equal(search_end(stream), 0);
}

static const struct sample {
	enum secret_form form;
	size_t secret;
	const char *text;
	size_t length; /* 0: that of the string */
} samples[] = {
	{FORM_PLAIN, 0, "S3cr/t+\"v' \\<"},
	{FORM_PERCENT, 0, "S%33cr%2Ft%2b%22v'+%5c%3C"},
	{FORM_PERCENT, 0, "S3cr%252Ft+%22v' \\%3c"},
	{FORM_ESCAPED, 0, "\"S3cr\\/t+\\\"v' \\\\\\u003c\""},
	{FORM_ESCAPED, 0, "\\x53\\63cr/t\\u002B\\\"v\\'\\ \\\\\\<"},
	{FORM_ESCAPED, 0, "'S3cr/t+\"v'\"'\"' \\<'"},
	{FORM_ESCAPED, 0, "\\\"S3cr/t+\\\\\\\"v' \\\\\\\\<\\\""},
	{FORM_HTML, 0, "S3cr&sol;t&plus;&quot;v&#39; &#x05C;&lt;"},
	{FORM_HTML, 0, "S3cr/t+&amp;quot;v' \\&amp;lt;"},
	{FORM_QUOTED_PRINTABLE, 0, "S3cr/t+=22v=\r\n' \\=3C"},
	{FORM_HEX, 0, "533363722F742b227627205C3c"},
	{FORM_HEX, 0, "53:33:63:72:2f:74:2b:22:76:27:20:5c:3c"},
	{FORM_HEX, 0,
		"0x53, 0x33, 0x63, 0x72, 0x2F, 0x74, 0x2B,\n0x22, 0x76, 0x27, 0x20, 0x5C, 0x3C"},
	{FORM_DECIMAL, 0, "[83,51,99, 114,47,116,\n43,34,118,39,32,92,60]"},
	{FORM_BASE64, 0, "UzNjci90KyJ2JyBcPA=="},
	{FORM_BASE64, 0, "UzNjci90\r\nKyJ2JyBcPA"},
	{FORM_BASE64, 0, "UzNjci90\\nKyJ2JyBcPA"},
	{FORM_BASE64, 0, "eFMzY3IvdCsidicgXDx5"},
	{FORM_BASE64, 0, "eHhTM2NyL3QrInYnIFw8"},
	{FORM_UTF16, 1, "g\0r\0\xfc\0\xdf\0e\0 \0\x3d\xd8\0\xde", 16},
	{FORM_UTF16, 1, "\0g\0r\0\xfc\0\xdf\0e\0 \xd8\x3d\xde\0", 16},
	{FORM_UTF32, 1, "g\0\0\0r\0\0\0\xfc\0\0\0\xdf\0\0\0e\0\0\0 \0\0\0\0\xf6\1\0", 28},
	{FORM_ESCAPED, 1,
		"gr\\u00fc\\xdf"
		"e \\ud83d\\uDE00"},
	{FORM_ESCAPED, 1, "gr\\xc3\\xbc\\303\\237e \\U0001f600"},
	{FORM_HTML, 1, "gr&#252;&#xDF;e &#x1F600;"},
	{FORM_PERCENT, 1, "gr%C3%BC%c3%9Fe%20%F0%9F%98%80"},
	{FORM_REVERSED, 2, "2retnuh-2retnuh"},
	{FORM_BASE32, 2, "NB2W45DFOIZC22DVNZ2GK4RS"},
	{FORM_BASE64_TWICE, 2, "YUhWdWRHVnlNaTFvZFc1MFpYSXk="},
	{FORM_BASE64_WIDE, 2, "aAB1AG4AdABlAHIAMgAtAGgAdQBuAHQAZQByADIA"},
};

static void every_form_is_found_wherever_it_is_cut(void **state)
{
	(void)state;
	struct search *search = new_search();
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		char data[256] = "some words=[before] \\& ";
		size_t before = strlen(data);
		size_t length = samples[i].length ? samples[i].length : strlen(samples[i].text);
		memcpy(data + before, samples[i].text, length);
		memcpy(data + before + length, " and after", 10);
		length += before + 10;
		for (size_t first = 0; first <= length; first++) {
			feed(search, data, length, first, first == length ? 1 : length);
			if (!seen.hits || seen.form != samples[i].form ||
				seen.secret != samples[i].secret)
				fail_msg("%zu '%s' cut at %zu: %zu hits, %s of %zu", i,
					samples[i].text, first, seen.hits,
					secret_form_name(seen.form), seen.secret);
		}
		feed(search, data, length, 0, 1);
		assert_int_equal(seen.form, samples[i].form);
	}
	search_free(search);
}

static void what_is_nearly_one_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = {"S3cr/t+\"v' \\", "3cr/t+\"v' \\<", "hunter2-hunter3",
		"hunter2hunter2", "HUNTER2-HUNTER2", "hunter2%2-hunter2", "hunter2 -hunter2",
		"68756e746572322d68756e74657233", "aHVudGVyMi1odW50ZX", "%%%%\\\\\\\\&&&&===="};
	struct search *search = new_search();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		feed(search, texts[i], strlen(texts[i]), 0, 1);
		assert_int_equal(seen.hits, 0);
	}
	search_free(search);
}

/* ---- archives ---- */

static size_t pack(const char *data, size_t length, int window_bits, char *ret, size_t room)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)length;
	z.next_out = (Bytef *)ret;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static void packed_streams_are_found_wherever_they_are_cut(void **state)
{
	(void)state;
	static const char text[] = "words words words words words hunter2-hunter2 words words";
	struct search *search = new_search();
	const int windows[] = {MAX_WBITS, MAX_WBITS + 16, 9};
	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		char data[512] = "prefix, x^2 and more ";
		size_t length = strlen(data);
		length += pack(text, sizeof(text) - 1, windows[i], data + length, 256);
		memcpy(data + length, " suffix", 7);
		length += 7;
		for (size_t first = 0; first <= length; first++) {
			feed(search, data, length, first, first % 2 ? length : 1);
			assert_int_equal(seen.hits, 1);
			assert_int_equal(seen.form, FORM_PLAIN);
			assert_string_equal(seen.why, "");
		}
	}
	search_free(search);
}

static void a_bomb_ends(void **state)
{
	(void)state;
	enum { ZEROS = 48 * 1024 * 1024 };
	cleanup_free char *zeros = calloc(ZEROS, 1), *packed = malloc(1 << 20);
	size_t length = pack(zeros, ZEROS, MAX_WBITS + 16, packed, 1 << 19);
	memcpy(packed + length, packed, length);
	struct search *search = new_search();
	feed(search, packed, length, 0, length);
	assert_string_equal(seen.why, ""); /* within what a file of this size may come to */
	feed(search, packed, 2 * length, 0, length);
	assert_string_equal(seen.why, "comes to too much when unpacked");
	static char decoys[64 * 1024];
	memset(decoys, 'x', sizeof(decoys)); /* streams at each place, which never end */
	for (size_t i = 0; i + 8 < sizeof(decoys); i += 8)
		memcpy(decoys + i, "\x1f\x8b\x08\0\0\0\0\0", 8);
	feed(search, decoys, sizeof(decoys), 0, 4096);
	search_free(search);
}

/* ---- the automaton ---- */

static void a_beginning_is_found_again(void **state)
{
	(void)state;
	struct automaton *automaton;
	assert_int_equal(automaton_new(&automaton), 0);
	secret_forms_draw(automaton, &items[2], 0);
	assert_int_equal(automaton_seal(automaton), 0);
	static const char data[] = "x68:75:6e:74:65:72:32:2d:68:75:6e:74:65:72:32";
	uint32_t value = secret_form_value(0, FORM_HEX);
	assert_int_equal(automaton_first_byte(automaton, value, data, sizeof(data) - 1), 1);
	assert_true(automaton_first_byte(automaton, value, data + 2, sizeof(data) - 3) == SIZE_MAX);
	assert_true(automaton_first_byte(automaton, value, data, sizeof(data) - 2) == SIZE_MAX);
	automaton_free(automaton);
}

/* More states than are kept: they are forgotten again and again, and nothing is missed. */
static void states_are_forgotten(void **state)
{
	(void)state;
	enum { CHAINS = 3000, LENGTH = 24, COPIES = 6 };
	static char chains[CHAINS][LENGTH];
	struct automaton *automaton;
	struct automaton_cursor cursor, other;
	unsigned seed = 1;
	assert_int_equal(automaton_new(&automaton), 0);
	for (size_t i = 0; i < CHAINS; i++) {
		for (size_t k = 0; k < LENGTH; k++)
			chains[i][k] =
				(char)('a' + (seed = seed * 1103515245 + 12345) / 65536 % 26);
		automaton_accept(automaton,
			automaton_chain(automaton, AUTOMATON_ROOT, chains[i], LENGTH),
			(uint32_t)i + 1);
	}
	assert_int_equal(automaton_seal(automaton), 0);
	automaton_begin(&other, automaton);
	automaton_run(&other, chains[7], LENGTH - 1); /* stands there all the time */
	automaton_begin(&cursor, automaton);
	for (size_t i = 0; i < (size_t)CHAINS * COPIES; i++) {
		uint32_t value = 0;
		assert_int_equal(automaton_run(&cursor, chains[i % CHAINS], LENGTH), LENGTH);
		assert_int_equal(automaton_accepted(&cursor, &value, 1), 1);
		assert_int_equal(value, i % CHAINS + 1);
	}
	uint32_t value = 0;
	automaton_run(&other, chains[7] + LENGTH - 1, 1);
	assert_int_equal(automaton_accepted(&other, &value, 1), 1);
	assert_int_equal(value, 8);
	assert_int_equal(automaton_error(automaton), 0);
	automaton_end(&other);
	automaton_end(&cursor);
	automaton_free(automaton);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read),
		cmocka_unit_test(values_pass_through_a_pipe),
		cmocka_unit_test(every_form_is_found_wherever_it_is_cut),
		cmocka_unit_test(what_is_nearly_one_is_none),
		cmocka_unit_test(packed_streams_are_found_wherever_they_are_cut),
		cmocka_unit_test(a_bomb_ends),
		cmocka_unit_test(a_beginning_is_found_again),
		cmocka_unit_test(states_are_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
