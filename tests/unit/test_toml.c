/* The TOML reader: what valid documents come to, and what is said of the others. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "config/toml.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* As JSON, but dates, floats and integers as they are written here: 1, 1.5, @1979-05-27. */
static void dump(const struct toml_value *value, struct buffer *to)
{
	bool table = value->kind == TOML_TABLE;
	switch (value->kind) {
	case TOML_STRING:
		buffer_append_json(to, value->string);
		break;
	case TOML_DATE:
		buffer_append_format(to, "@%s", value->string);
		break;
	case TOML_INTEGER:
		buffer_append_format(to, "%" PRId64, value->integer);
		break;
	case TOML_FLOAT:
		if (isnan(value->number)) /* of either sign */
			buffer_append_string(to, "nan");
		else
			buffer_append_format(to, "%g", value->number);
		break;
	case TOML_BOOLEAN:
		buffer_append_string(to, value->boolean ? "true" : "false");
		break;
	case TOML_ARRAY:
	case TOML_TABLE:
		buffer_append_string(to, table ? "{" : "[");
		for (size_t i = 0; i < value->count; i++) {
			buffer_append_string(to, i ? "," : "");
			if (table)
				buffer_append_format(to, "%s:", value->items[i].key);
			dump(&value->items[i], to);
		}
		buffer_append_string(to, table ? "}" : "]");
		break;
	}
}

static void expect(const char *text, const char *wanted)
{
	struct toml_value *document;
	struct error error = {0};
	if (toml_parse("f", text, strlen(text), &document, &error) < 0)
		fail_msg("%s\n-> %s", text, error.message);
	cleanup_buffer struct buffer got = BUFFER_INIT(1 << 20);
	dump(document, &got);
	toml_free(document);
	assert_string_equal(got.data, wanted);
}

static void expect_fault_bytes(const char *text, size_t length_bytes, const char *wanted)
{
	struct toml_value *document = NULL;
	struct error error = {0};
	if (toml_parse("f", text, length_bytes, &document, &error) == 0) {
		toml_free(document);
		fail_msg("%s\nwas taken", text);
	}
	assert_null(document);
	if (!strstr(error.message, wanted))
		fail_msg("%s\n-> %s\nwanted %s", text, error.message, wanted);
}

static void expect_fault(const char *text, const char *wanted)
{
	expect_fault_bytes(text, strlen(text), wanted);
}

static void test_keys(void **state)
{
	(void)state;
	expect("", "{}");
	expect("# only this", "{}");
	expect("\xef\xbb\xbf"
	       "a = 1",
		"{a:1}");
	expect("a = 1\r\nb-c_1 = 2\r\n", "{a:1,b-c_1:2}");
	expect("\"a b\" = 1\n'c\\d' = 2\n\"\" = 3\n1234 = 4", "{a b:1,c\\d:2,:3,1234:4}");
	expect("a.b.c = 1\na . b . \"d\" = 2", "{a:{b:{c:1,d:2}}}");
	expect("3.14 = 'pi'\ninf = 1\ntrue = 2\n1979-05-27 = 3",
		"{3:{14:\"pi\"},inf:1,true:2,1979-05-27:3}");
	expect("\"\\u00e9\" = 1", "{\xc3\xa9:1}");
}

static void test_strings(void **state)
{
	(void)state;
	expect("a = \"\\b\\t\\n\\f\\r\\\"\\\\ \\u00e9 \\U0001F600\"",
		"{a:\"\\u0008\\u0009\\u000a\\u000c\\u000d\\\"\\\\ \xc3\xa9 \xf0\x9f\x98\x80\"}");
	expect("a = 'C:\\x\\'", "{a:\"C:\\\\x\\\\\"}");
	expect("a = \"\"\"\none\ntwo\"\"\"", "{a:\"one\\u000atwo\"}");
	expect("a = \"\"\"one \\\n   \n  two\"\"\"", "{a:\"one two\"}");
	expect("a = \"\"\"one \\  \t\n  two\"\"\"\nb = 1", "{a:\"one two\",b:1}");
	expect("a = \"\"\"x\"\"\"\"\"\nb = \"\"\" \"\" \"\"\"",
		"{a:\"x\\\"\\\"\",b:\" \\\"\\\" \"}");
	expect("a = '''\n\\n 'x' ''x'''''", "{a:\"\\\\n 'x' ''x''\"}");
	expect("a = \"#no comment\" # comment", "{a:\"#no comment\"}");
	expect("a = ''\nb = \"\"\nc = ''''''\nd = \"\"\"\"\"\"", "{a:\"\",b:\"\",c:\"\",d:\"\"}");
}

static void test_numbers_and_dates(void **state)
{
	(void)state;
	expect("a = [+1_000, -0, 0xDEAD_beef, 0o755, 0b1101]", "{a:[1000,0,3735928559,493,13]}");
	expect("a = [9223372036854775807, -9223372036854775808]",
		"{a:[9223372036854775807,-9223372036854775808]}");
	expect("a = [1.5, -0.25, 5e+2, 1e06, -2E-2, 6.26_1e1, inf, -inf, nan, -nan]",
		"{a:[1.5,-0.25,500,1e+06,-0.02,62.61,inf,-inf,nan,nan]}");
	expect("a = [true, false]", "{a:[true,false]}");
	expect("a = [1979-05-27T07:32:00Z, 1979-05-27 00:32:00.99-07:00, 2024-02-29, 07:32:00]",
		"{a:[@1979-05-27T07:32:00Z,@1979-05-27 00:32:00.99-07:00,@2024-02-29,@07:32:00]}");
}

static void test_tables(void **state)
{
	(void)state;
	expect("[a]\nb = 1\n[a.c]\nd = 2\n[e]", "{a:{b:1,c:{d:2}},e:{}}");
	expect("[x.y.z]\n[x]\nk = 1", "{x:{y:{z:{}},k:1}}");
	expect("[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a.e]]\n[[a.e]]",
		"{a:[{b:1},{b:2,c:{d:3},e:[{},{}]}]}");
	expect("a = { b = 1, c.d = 2, e = { } }", "{a:{b:1,c:{d:2},e:{}}}");
	expect("a = [ # comment\n 1,\n\n 2, # more\n]\nb = [[], [1, ['x']]]",
		"{a:[1,2],b:[[],[1,[\"x\"]]]}");
	expect("[fruit]\napple.color = 1\n[fruit.apple.texture]\nsmooth = true",
		"{fruit:{apple:{color:1,texture:{smooth:true}}}}");
	expect("[a.b.c]\nz = 9\n[a]\nb.t = 1", "{a:{b:{c:{z:9},t:1}}}");
}

/* What cannot be, with where it is and what it would contradict. */
static void test_faults(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} faults[] = {
		{"a = 1\na = 2", "f:2:1: 'a' is given twice"},
		{"a = 1\n\"a\" = 2", "f:2:1: 'a' is given twice"},
		{"[a]\n[b]\n [a]", "f:3:3: 'a' was defined before"},
		{"a.b = 1\n[a]", "f:2:2: 'a' was defined before"},
		{"[a]\nb.c = 1\n[a.b]", "f:3:2: 'b' was defined before"},
		{"[a.b.c]\nz=9\n[a]\nb.c.t = 1", "f:4:1: 'c' was defined before"},
		{"a = {b = 1}\n[a.c]", "f:2:2: 'a' is no table that a header could add to"},
		{"a = {b = 1}\na.c = 2", "f:2:1: 'a' was defined before"},
		{"a = {b.c = 1, b = 2}", "f:1:15: 'b' is given twice"},
		{"a = [1]\n[[a]]", "f:2:3: 'a' is no array of [[tables]]"},
		{"[[a]]\n[a]", "f:2:2: 'a' was defined before"},
		{"[a]\n[[a]]", "f:2:3: 'a' is no array of [[tables]]"},
		{"[[a.b]]\n[a]\nb.c = 1", "f:3:1: 'b' was defined before"},
		{"a", "f:1:1: this is not TOML: a"},
		{"a =", "f:1:"},
		{"a = 1 b = 2", "f:1:"},
		{"x = 1\na = [1,,2]", "f:2:"},
		{"a = {b = 1,}", "f:1:"},
		{"a = {\nb = 1}", "f:1:"},
		{"a = 01", "f:1:"},
		{"a = 1.", "f:1:"},
		{"a = 1__0", "f:1:"},
		{"a = +0x1", "f:1:"},
		{"a = \"\n\"", "f:1:"},
		{"a = \"\\x41\"", "f:1:"},
		{"a = \"\"\"x\"\"\"\"\"\"", "f:1:"},
		{"a = 'x", "f:1:"},
		{"[a", "f:1:"},
		{"[ [a] ]", "f:1:"},
		{"[]", "f:1:"},
		{"a.= 1", "f:1:"},
		{"a = 9223372036854775808", "f:1:5: this number does not fit into 64 bits"},
		{"a = 0xffffffffffffffff", "f:1:5: this number does not fit into 64 bits"},
		{"a = 2023-02-29", "f:1:5: there is no day 2023-02-29"},
		{"a = 9-05-27", "f:1:5: there is no day 9-05-27"},
		{"a = \"\\ud800\"", "f:1:5: U+D800 is not a character"},
		{"a = \"\\u0000\"", "f:1:5: a string of the configuration cannot hold NUL"},
		{"a = \"\x80\"", "f:1:6: the byte 0x80 here is not UTF-8"},
		{"# \xc0\xaf", "f:1:3: the byte 0xc0 here is not UTF-8"},
		{"\n\n a = '\x1b'", "f:3:7: the control character 0x1b must be written as \\u001b"},
		{"a = 1\rb = 2", "f:1:6: the control character 0x0d"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		expect_fault(faults[i].text, faults[i].message);
	expect_fault_bytes("a = 1\n\0", 7, "f:2:1: there is a NUL byte here");
}

static void test_both_places_are_told(void **state)
{
	(void)state;
	struct toml_value *document;
	struct error error = {0};
	static const char text[] = "x = 0\n  k = 1\n\n k = 2\n";
	assert_int_equal(toml_parse("f", text, strlen(text), &document, &error), -EINVAL);
	assert_string_equal(error.message, "f:4:2: 'k' is given twice");
	assert_string_equal(error.hint, "it is already at f:2:3: keep one of the two");
}

static void test_places(void **state)
{
	(void)state;
	struct toml_value *document;
	static const char text[] = "a = [1,\n  'x']\n[t]\n  k = 2\n[[u]]\n";
	assert_int_equal(toml_parse("f", text, strlen(text), &document, NULL), 0);
	const struct toml_value *a = toml_get(document, "a");
	assert_int_equal(a->items[1].line, 2);
	assert_int_equal(a->items[1].column, 3);
	const struct toml_value *k = toml_get(toml_get(document, "t"), "k");
	assert_int_equal(k->line, 4);
	assert_int_equal(k->column, 3);
	const struct toml_value *u = toml_get(document, "u");
	assert_int_equal(u->items[0].line, 5);
	assert_null(toml_get(document, "v"));
	toml_free(document);
}

/* count copies of text. */
static void repeat(struct buffer *buffer, const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buffer_append_string(buffer, text);
}

static void test_bounds(void **state)
{
	(void)state;
	cleanup_buffer struct buffer text = BUFFER_INIT(4 << 20);
	buffer_append_string(&text, "a = ");
	repeat(&text, "[", MAX_CONFIG_DEPTH - 1);
	repeat(&text, "]", MAX_CONFIG_DEPTH - 1);
	struct toml_value *document;
	assert_int_equal(toml_parse("f", text.data, text.length_bytes, &document, NULL), 0);
	toml_free(document);

	buffer_clear(&text);
	buffer_append_string(&text, "a = ");
	repeat(&text, "[", MAX_CONFIG_DEPTH + 1);
	repeat(&text, "]", MAX_CONFIG_DEPTH + 1);
	expect_fault_bytes(text.data, text.length_bytes, "nested more than 32 deep");

	buffer_clear(&text);
	repeat(&text, "a.", 64);
	buffer_append_string(&text, "a = 1");
	expect_fault_bytes(text.data, text.length_bytes, "nested more than 32 deep");

	/* What made an earlier tree-sitter corrupt its memory. */
	buffer_clear(&text);
	buffer_append_string(&text, "a = ");
	repeat(&text, "[", 400000);
	expect_fault_bytes(text.data, text.length_bytes, "f:1:1: what begins here has no end");

	buffer_clear(&text);
	for (int i = 0; i <= MAX_CONFIG_TABLE_KEYS; i++)
		buffer_append_format(&text, "k%d = 1\n", i);
	expect_fault_bytes(text.data, text.length_bytes, "f:4097:1: this table has more than");

	buffer_clear(&text);
	repeat(&text, "[[a]]\n", MAX_CONFIG_VALUES);
	expect_fault_bytes(text.data, text.length_bytes, "this is more than 65536 values");

	buffer_clear(&text);
	repeat(&text, "#", MAX_CONFIG_FILE_BYTES + 1);
	expect_fault_bytes(text.data, text.length_bytes, "f:1:1: the file has 1048577 bytes");
}

/* A document of several pieces: headers, pairs and places go on across them. */
static void test_long_documents(void **state)
{
	(void)state;
	cleanup_buffer struct buffer text = BUFFER_INIT(1 << 20);
	buffer_append_string(&text, "[t]\n");
	for (int i = 0; i < 4000; i++)
		buffer_append_format(&text, "k%d = \"\"\"%060d\n\"\"\" # [ ' {\n", i, i);
	buffer_append_string(&text, "[[u]]\nx = 1\n");
	struct toml_value *document;
	struct error error = {0};
	if (toml_parse("f", text.data, text.length_bytes, &document, &error) < 0)
		fail_msg("%s", error.message);
	const struct toml_value *t = toml_get(document, "t");
	assert_int_equal(t->count, 4000);
	assert_int_equal(t->items[3999].line, 2 + 2 * 3999);
	assert_int_equal(toml_get(document, "u")->items[0].line, 2 + 2 * 4000);
	toml_free(document);
	buffer_append_string(&text, "y = ?\n");
	expect_fault_bytes(text.data, text.length_bytes, "f:8004:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_numbers_and_dates),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_both_places_are_told),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_documents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
