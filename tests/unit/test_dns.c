#include "egress/dns.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A string literal's bytes, NULs inside it too. */
#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

#define HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define HEAD_OPT "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
#define QNAME "\3wWw\7example\3com\0"
#define OPT "\0\0\x29\x10\0\0\0\0\0\0\0"

static struct dns_query parse(const uint8_t *data, size_t length)
{
	struct dns_query query;
	/* A copy without a byte to spare, so that reading past its end is seen. */
	uint8_t *copy = malloc(length);
	assert_non_null(copy);
	memcpy(copy, data, length);
	assert_int_equal(dns_parse_query(copy, length, &query), 0);
	free(copy);
	return query;
}

static void test_query(void **state)
{
	(void)state;
	struct dns_query query = parse(BYTES(HEAD QNAME "\0\x1c\0\1"));
	assert_int_equal(query.rcode, DNS_NOERROR);
	assert_int_equal(query.id, 0x1234);
	assert_int_equal(query.type, DNS_TYPE_AAAA);
	assert_int_equal(query.class, DNS_CLASS_IN);
	assert_string_equal(query.name, "wWw.example.com");
	assert_false(query.unnameable);
	assert_true(query.recursion_desired);
	assert_false(query.edns);
	assert_int_equal(query.payload_bytes, 512);
	assert_int_equal(query.question_bytes, 17 + 4);

	query = parse(BYTES(HEAD "\0\0\1\0\1"));
	assert_int_equal(query.rcode, DNS_NOERROR);
	assert_string_equal(query.name, "");
}

static void test_edns(void **state)
{
	(void)state;
	struct dns_query query = parse(BYTES(HEAD_OPT QNAME "\0\1\0\1" OPT));
	assert_int_equal(query.rcode, DNS_NOERROR);
	assert_true(query.edns);
	assert_int_equal(query.payload_bytes, 4096);
	/* More than is ever sent, and less than everyone takes. */
	assert_int_equal(
		parse(BYTES(HEAD_OPT QNAME "\0\1\0\1\0\0\x29\xff\xff\0\0\0\0\0\0")).payload_bytes,
		4096);
	assert_int_equal(
		parse(BYTES(HEAD_OPT QNAME "\0\1\0\1\0\0\x29\0\1\0\0\0\0\0\0")).payload_bytes, 512);
	/* Options inside, DO set, a version that there is not. */
	query = parse(BYTES(HEAD_OPT QNAME "\0\1\0\1\0\0\x29\x10\0\0\0\x80\0\0\6\0\x0c\0\2zz"));
	assert_int_equal(query.rcode, DNS_NOERROR);
	assert_true(query.dnssec_ok);
	query = parse(BYTES(HEAD_OPT QNAME "\0\1\0\1\0\0\x29\x10\0\0\1\0\0\0\0"));
	assert_int_equal(query.rcode, DNS_BADVERS);
	uint8_t data[512];
	struct dns_answer answer = {.rcode = query.rcode};
	size_t length = dns_format_answer(&query, &answer, data, sizeof(data));
	assert_int_equal(data[3] & 15, 0);
	assert_int_equal(data[length - 6], 1); /* the code's upper bits, in the OPT */
}

static void test_malformed(void **state)
{
	(void)state;
	static const struct {
		const uint8_t *data;
		size_t length;
		enum dns_rcode rcode;
	} cases[] = {
		{BYTES("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DNS_FORMERR},
		{BYTES("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" QNAME "\0\1\0\1" QNAME
		       "\0\1\0\1"),
			DNS_FORMERR},
		{BYTES("\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00" QNAME "\0\1\0\1"),
			DNS_NOTIMP}, /* UPDATE */
		{BYTES("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" QNAME "\0\1\0\1"),
			DNS_FORMERR},
		{BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\xff\xff" QNAME "\0\1\0\1"),
			DNS_FORMERR},
		{BYTES(HEAD), DNS_FORMERR},
		{BYTES(HEAD QNAME), DNS_FORMERR},
		{BYTES(HEAD QNAME "\0\1\0"), DNS_FORMERR},
		{BYTES(HEAD QNAME "\0\1\0\1x"), DNS_FORMERR},       /* something behind */
		{BYTES(HEAD "\3www"), DNS_FORMERR},                 /* no root */
		{BYTES(HEAD "\x3fwww\0\0\1\0\1"), DNS_FORMERR},     /* a label past the end */
		{BYTES(HEAD "\xc0\x0c\0\1\0\1"), DNS_FORMERR},      /* a pointer to itself */
		{BYTES(HEAD "\3www\xc0\x0c\0\1\0\1"), DNS_FORMERR}, /* round and round */
		{BYTES(HEAD "\x40www\0\0\1\0\1"), DNS_FORMERR},     /* a reserved kind of label */
		{BYTES(HEAD QNAME "\0\x29\0\1"), DNS_FORMERR},      /* OPT is no question */
		{BYTES(HEAD_OPT QNAME "\0\1\0\1"), DNS_FORMERR},    /* announced and missing */
		{BYTES(HEAD_OPT QNAME "\0\1\0\1\0\0\x29\x10\0\0\0\0\0\0\5"), DNS_FORMERR},
		{BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x02" QNAME "\0\1\0\1" OPT OPT),
			DNS_FORMERR},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dns_query query = parse(cases[i].data, cases[i].length);
		if (query.rcode != cases[i].rcode)
			fail_msg("case %zu gives %d", i, query.rcode);
	}
	struct dns_query query;
	assert_int_equal(dns_parse_query(BYTES("\x12\x34\x01"), &query), -EBADMSG);
	assert_int_equal(
		dns_parse_query(BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0" QNAME "\0\1\0\1"), &query),
		-EBADMSG); /* a response is not answered */
}

static void test_names(void **state)
{
	(void)state;
	assert_true(parse(BYTES(HEAD "\7a.b\0c\\d\3com\0\0\1\0\1")).unnameable);
	struct dns_query query = parse(BYTES(HEAD "\x8"
						  "evil.com\3org\0\0\1\0\1"));
	assert_true(query.unnameable);
	assert_string_equal(query.name, "evil?com.org");
	assert_true(parse(BYTES(HEAD "\3a b\0\0\1\0\1")).unnameable);
	assert_false(parse(BYTES(HEAD "\5_http\4_tcp\3com\0\0\x21\0\1")).unnameable);

	/* 255 bytes with the root's are a name, 256 are not. */
	for (int length = 61; length <= 62; length++) {
		uint8_t data[DNS_HEADER_BYTES + 256 + 4] = HEAD;
		size_t at = DNS_HEADER_BYTES;
		for (int label = 0; label < 4; label++) {
			int label_bytes = label < 3 ? 63 : length;
			data[at++] = (uint8_t)label_bytes;
			memset(data + at, 'a', (size_t)label_bytes);
			at += (size_t)label_bytes;
		}
		memcpy(data + at, "\0\0\1\0\1", 5);
		query = parse(data, at + 5);
		assert_int_equal(query.rcode, length == 61 ? DNS_NOERROR : DNS_FORMERR);
		assert_int_equal(strlen(query.name), length == 61 ? 253 : 0);
	}
}

static void test_answers(void **state)
{
	(void)state;
	struct in6_addr v4, v6;
	inet_pton(AF_INET6, "::ffff:198.18.1.7", &v4);
	inet_pton(AF_INET6, "2001:2:0:1::7", &v6);
	struct dns_query query = parse(BYTES(HEAD QNAME "\0\1\0\1"));
	uint8_t data[DNS_EDNS_UDP_BYTES];

	static const uint8_t expected[] = "\x12\x34\x81\x80\0\1\0\1\0\0\0\0" QNAME "\0\1\0\1"
					  "\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc6\x12\1\7";
	struct dns_answer answer = {.address = &v4, .ttl_s = 30};
	size_t length = dns_format_answer(&query, &answer, data, 512);
	assert_int_equal(length, sizeof(expected) - 1);
	assert_memory_equal(data, expected, length);

	static const uint8_t expected_v6[] =
		"\x12\x34\x81\x80\0\1\0\1\0\0\0\1" QNAME "\0\x1c\0\1"
		"\xc0\x0c\0\x1c\0\1\0\1\x51\x80\0\x10\x20\1\0\2\0\0\0\1\0\0\0\0\0\0\0\7" OPT;
	query = parse(BYTES(HEAD_OPT QNAME "\0\x1c\0\1" OPT));
	answer = (struct dns_answer){.address = &v6, .ttl_s = 86400};
	length = dns_format_answer(&query, &answer, data, 4096);
	assert_int_equal(length, sizeof(expected_v6) - 1);
	assert_memory_equal(data, expected_v6, length);

	static const uint8_t nothing[] = "\x12\x34\x81\x83\0\1\0\0\0\0\0\1" QNAME "\0\x1c\0\1" OPT;
	answer = (struct dns_answer){.rcode = DNS_NXDOMAIN, .address = &v6};
	length = dns_format_answer(&query, &answer, data, 512);
	assert_int_equal(length, sizeof(nothing) - 1);
	assert_memory_equal(data, nothing, length);

	answer = (struct dns_answer){.pointer = "pypi.org", .ttl_s = 1};
	length = dns_format_answer(&query, &answer, data, 512);
	assert_memory_equal(data + length - 11 - 12, "\0\x0a\4pypi\3org", 12 - 1);
	/* Without a question that could be read there is none to echo. */
	query = parse(BYTES(HEAD));
	answer = (struct dns_answer){.rcode = query.rcode};
	assert_int_equal(dns_format_answer(&query, &answer, data, 512), DNS_HEADER_BYTES);
	assert_memory_equal(data, "\x12\x34\x81\x81\0\0", 6);
}

/* The longest question with the longest name in its answer: 12 + 259 + 12 + 255 bytes. */
static void test_truncation(void **state)
{
	(void)state;
	uint8_t question[DNS_HEADER_BYTES + 255 + 4] = HEAD, data[DNS_EDNS_UDP_BYTES];
	char name[NETWORK_NAME_BYTES];
	size_t at = DNS_HEADER_BYTES;
	for (int label = 0; label < 4; label++) {
		question[at++] = label < 3 ? 63 : 61;
		memset(question + at, 'a', 63);
		at += label < 3 ? 63 : 61;
	}
	memcpy(question + at, "\0\0\x0c\0\1", 5);
	struct dns_query query = parse(question, at + 5);
	snprintf(name, sizeof(name), "%s", query.name);
	struct dns_answer answer = {.pointer = name, .ttl_s = 30};
	size_t length = dns_format_answer(&query, &answer, data, 512);
	assert_int_equal(length, 12 + 259);
	assert_true(data[2] & 2);     /* TC */
	assert_int_equal(data[7], 0); /* no answer in it */
	length = dns_format_answer(&query, &answer, data, sizeof(data));
	assert_int_equal(length, 12 + 259 + 12 + 255);
	assert_false(data[2] & 2);
	assert_int_equal(data[7], 1);
}

static void test_reverse(void **state)
{
	(void)state;
	struct in6_addr address, expected;
	assert_int_equal(dns_parse_reverse("7.1.18.198.in-addr.arpa", &address), 0);
	inet_pton(AF_INET6, "::ffff:198.18.1.7", &expected);
	assert_memory_equal(&address, &expected, sizeof(address));
	assert_int_equal(dns_parse_reverse("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.2.0.0."
					   "0.1.0.0.2.IP6.ARPA",
				 &address),
		0);
	inet_pton(AF_INET6, "2001:2:0:1::7", &expected);
	assert_memory_equal(&address, &expected, sizeof(address));
	static const char *const bad[] = {"", "in-addr.arpa", ".in-addr.arpa", "1.in-addr.arpa",
		"1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "256.1.1.1.in-addr.arpa",
		"01.2.3.4.in-addr.arpa", "1..3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa.com",
		"1.2.3.4xin-addr.arpa", "ip6.arpa", "0.ip6.arpa",
		"g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		"1.0.0.0.0.0.0.0.2.0.0.0.1.0.0.2.ip6.arpa"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (dns_parse_reverse(bad[i], &address) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_edns),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_reverse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
