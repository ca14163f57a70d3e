#include "hello_samples.h"

#include "base/cleanup.h"
#include "egress/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct bytes {
	uint8_t data[2 * HELLO_BYTES_MAX];
	size_t length;
};

static struct bytes *from_hex(const char *hex)
{
	struct bytes *bytes = calloc(1, sizeof(*bytes));
	assert_non_null(bytes);
	for (; hex[0]; hex += 2) {
		unsigned value;
		assert_int_equal(sscanf(hex, "%2x", &value), 1);
		bytes->data[bytes->length++] = (uint8_t)value;
	}
	return bytes;
}

static void add(struct bytes *bytes, const void *data, size_t length)
{
	assert_true(bytes->length + length <= sizeof(bytes->data));
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

/* The same message in records of so many bytes. */
static struct bytes *fragment(const struct bytes *whole, size_t piece)
{
	struct bytes *cut = calloc(1, sizeof(*cut));
	assert_non_null(cut);
	for (size_t at = 5; at < whole->length; at += piece) {
		size_t bytes = whole->length - at < piece ? whole->length - at : piece;
		const uint8_t header[] = {22, 3, 1, (uint8_t)(bytes >> 8), (uint8_t)(bytes & 0xff)};
		add(cut, header, sizeof(header));
		add(cut, whole->data + at, bytes);
	}
	return cut;
}

/* A ClientHello in one record with these extensions. */
static struct bytes *with_extensions(const void *extensions, size_t length)
{
	static const uint8_t start[2 + 32 + 1] = {3, 3};
	static const uint8_t ciphers[] = {0, 2, 0x13, 0x01, 1, 0};
	struct bytes *hello = calloc(1, sizeof(*hello));
	assert_non_null(hello);
	size_t body = sizeof(start) + sizeof(ciphers) + 2 + length;
	const uint8_t headers[] = {22, 3, 1, (uint8_t)((body + 4) >> 8), (uint8_t)(body + 4), 1, 0,
		(uint8_t)(body >> 8), (uint8_t)body};
	const uint8_t extensions_length[] = {(uint8_t)(length >> 8), (uint8_t)length};
	add(hello, headers, sizeof(headers));
	add(hello, start, sizeof(start));
	add(hello, ciphers, sizeof(ciphers));
	add(hello, extensions_length, 2);
	add(hello, extensions, length);
	return hello;
}

static const struct {
	const char *hex, *name, *alpn;
	uint16_t version;
} samples[] = {
	{hello_openssl_tls13, "registry.example.org", "h2,http/1.1", 0x0304},
	{hello_openssl_tls12, "registry.example.org", "", 0x0303},
	{hello_openssl_nosni, "", "", 0x0304},
	{hello_curl, "docs.example.net", "h2,http/1.1", 0x0304},
	{hello_python, "pypi.example.com", "http/1.1", 0x0304},
};

static void expect(const struct bytes *bytes, size_t sample)
{
	struct hello hello;
	const char *reason = NULL;
	ssize_t r = hello_parse(bytes->data, bytes->length, &hello, &reason);
	if (r < 0)
		fail_msg("%s: %s", samples[sample].name, reason);
	assert_int_equal(r, bytes->length);
	assert_string_equal(hello.name, samples[sample].name);
	assert_string_equal(hello.alpn, samples[sample].alpn);
	assert_int_equal(hello.version, samples[sample].version);
	assert_false(hello.ech);
}

static void real_hellos_are_read_whole_and_in_any_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		cleanup_free struct bytes *whole = from_hex(samples[i].hex);
		expect(whole, i);
		for (size_t piece = 1; piece < whole->length; piece++) {
			cleanup_free struct bytes *cut = fragment(whole, piece);
			expect(cut, i);
		}
	}
}

static void a_piece_is_not_a_hello_yet(void **state)
{
	(void)state;
	struct hello hello;
	const char *reason;
	cleanup_free struct bytes *whole = from_hex(samples[0].hex);
	cleanup_free struct bytes *cut = fragment(whole, 50);
	for (size_t length = 0; length < whole->length; length++)
		assert_int_equal(hello_parse(whole->data, length, &hello, &reason), 0);
	for (size_t length = 0; length < cut->length; length++)
		assert_int_equal(hello_parse(cut->data, length, &hello, &reason), 0);
}

static void what_follows_is_left(void **state)
{
	(void)state;
	struct hello hello;
	const char *reason;
	cleanup_free struct bytes *whole = from_hex(samples[0].hex);
	size_t length = whole->length;
	static const uint8_t more[] = {20, 3, 3, 0, 1, 1, 23, 3, 3};
	add(whole, more, sizeof(more));
	assert_int_equal(hello_parse(whole->data, whole->length, &hello, &reason), length);
}

#define EXTENSIONS(bytes) bytes, sizeof(bytes) - 1

static void names_are_one_and_plain(void **state)
{
	(void)state;
	static const struct {
		const char *extensions;
		size_t length;
		const char *name; /* NULL: refused */
	} cases[] = {
		{EXTENSIONS("\0\0\0\6\0\4\0\0\1a"), "a"},
		{EXTENSIONS(""), ""},
		{EXTENSIONS("\0\0\0\6\0\4\0\0\1a\0\0\0\6\0\4\0\0\1b"), NULL}, /* twice */
		{EXTENSIONS("\0\0\0\12\0\10\0\0\1a\0\0\1b"), NULL},           /* two names */
		{EXTENSIONS("\0\0\0\6\0\4\1\0\1a"), NULL},                    /* another kind */
		{EXTENSIONS("\0\0\0\5\0\3\0\0\0"), NULL},                     /* empty */
		{EXTENSIONS("\0\0\0\2\0\0"), NULL},
		{EXTENSIONS("\0\0\0\0"), NULL},
		{EXTENSIONS("\0\0\0\7\0\4\0\0\1ab"), NULL}, /* more than the list */
		{EXTENSIONS("\0\0\0\6\0\5\0\0\1a"), NULL},
		{EXTENSIONS("\0\0\0\6\0\4\0\0\2a"), NULL},
		{EXTENSIONS("\0\0\0\10\0\6\0\0\3a\0b"), NULL},
		{EXTENSIONS("\0\0\0\10\0\6\0\0\3a\nb"), NULL},
		{EXTENSIONS("\0\0\0\10\0\6\0\0\3a\xff"
			    "b"),
			NULL},
		{EXTENSIONS("\0\0\0\7\0\4\0\0\1a"), NULL}, /* extension past the end */
		{EXTENSIONS("\0\20\0\2\0\0\0\20\0\2\0\0"), NULL},
		{EXTENSIONS("\0"), NULL},
		{EXTENSIONS("\0\0\0"), NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hello hello;
		const char *reason = NULL;
		cleanup_free struct bytes *bytes =
			with_extensions(cases[i].extensions, cases[i].length);
		ssize_t r = hello_parse(bytes->data, bytes->length, &hello, &reason);
		if (cases[i].name ? r <= 0 || strcmp(hello.name, cases[i].name) != 0
				  : r != -EBADMSG || !reason || hello.name[0])
			fail_msg("case %zu: %zd, '%s'", i, r, hello.name);
	}
}

static void an_encrypted_hello_shows_its_outer_name(void **state)
{
	(void)state;
	struct hello hello;
	const char *reason;
	cleanup_free struct bytes *bytes =
		with_extensions(EXTENSIONS("\xfe\x0d\0\4\0\1\2\3\0\0\0\6\0\4\0\0\1a\x0a\x0a\0\0"));
	assert_true(hello_parse(bytes->data, bytes->length, &hello, &reason) > 0);
	assert_true(hello.ech);
	assert_string_equal(hello.name, "a");
}

static void other_things_are_refused_at_their_first_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		size_t length;
		ssize_t result;
	} cases[] = {
		{"GET / HTTP/1.1\r\n", 1, -EBADMSG}, {"SSH-2.0-x\r\n", 1, -EBADMSG},
		{"\x80\x2e\1\0\2", 5, -EBADMSG},                        /* SSL 2 */
		{"\x15\3\1\0\2\1\0", 7, -EBADMSG},                      /* an alert */
		{"\x16\2", 2, -EBADMSG}, {"\x16\3\1\0\0", 5, -EBADMSG}, /* an empty record */
		{"\x16\3\1\x40\1", 5, -EBADMSG},                        /* a record too long */
		{"\x16\3\1\0\4\2", 6, -EBADMSG},                        /* a ServerHello */
		{"\x16\3\1\0\4\1\1\0\0", 9, -E2BIG},                    /* of 64 KiB */
		{"\x16\3\1\0\1\1\x17\3\1\0\1\1", 12, -EBADMSG},         /* other data between */
		{"\x16\3\1\0\4\1\0\0\0", 9, -EBADMSG},                  /* an empty hello */
		{"\x16\3\1\0\6\1\0\0\1\3\3", 11,
			-EBADMSG}, /* more in the record than the message */
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hello hello;
		const char *reason = NULL;
		ssize_t r = hello_parse(
			(const uint8_t *)cases[i].data, cases[i].length, &hello, &reason);
		if (r != cases[i].result || !reason)
			fail_msg("case %zu: %zd", i, r);
	}
}

/* 65,536 records of one byte each are 384 KiB for one message: the bound is on what is read. */
static void fragments_are_bounded(void **state)
{
	(void)state;
	struct hello hello;
	const char *reason = NULL;
	cleanup_free struct bytes *bytes = calloc(1, sizeof(*bytes));
	static const uint8_t first[] = {22, 3, 1, 0, 4, 1, 0, 0xff, 0};
	static const uint8_t next[] = {22, 3, 1, 0, 1, 0};
	add(bytes, first, sizeof(first));
	while (bytes->length + sizeof(next) <= HELLO_BYTES_MAX)
		add(bytes, next, sizeof(next));
	assert_int_equal(hello_parse(bytes->data, bytes->length, &hello, &reason), 0);
	add(bytes, next, sizeof(next));
	assert_int_equal(hello_parse(bytes->data, bytes->length, &hello, &reason), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_hellos_are_read_whole_and_in_any_records),
		cmocka_unit_test(a_piece_is_not_a_hello_yet),
		cmocka_unit_test(what_follows_is_left),
		cmocka_unit_test(names_are_one_and_plain),
		cmocka_unit_test(an_encrypted_hello_shows_its_outer_name),
		cmocka_unit_test(other_things_are_refused_at_their_first_bytes),
		cmocka_unit_test(fragments_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
