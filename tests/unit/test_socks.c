#include "base/cleanup.h"
#include "egress/socks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void greetings_offer_methods(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		size_t length;
		ssize_t result;
		bool none;
	} cases[] = {
		{"\5\1\0", 3, 3, true},
		{"\5\2\2\0", 4, 4, true},
		{"\5\2\0\2", 4, 4, true},
		{"\5\1\2", 3, 3, false},
		{"\5\0", 2, 2, false},
		{"\5", 1, 0, false},
		{"\5\2\0", 3, 0, false},
		{"", 0, 0, false},
		{"\4\1\0", 3, -EBADMSG, false},
		{"G", 1, -EBADMSG, false},
		{"\5\1\0\5\1", 5, 3, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool none;
		assert_int_equal(socks_parse_greeting(
					 (const uint8_t *)cases[i].data, cases[i].length, &none),
			cases[i].result);
		assert_int_equal(none, cases[i].none);
	}
}

static ssize_t parse(
	const char *data, size_t length, struct socks_request *ret, enum socks_reply *ret_reply)
{
	return socks_parse_request((const uint8_t *)data, length, ret, ret_reply);
}

static void requests_name_a_target(void **state)
{
	(void)state;
	struct socks_request request;
	enum socks_reply reply;
	static const char name[] = "\5\1\0\3\12example.or\0\120more";
	static const char v4[] = "\5\1\0\1\300\0\2\1\1\273";
	static const char v6[] = "\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\26";
	const struct in6_addr mapped = {.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, 1}};

	for (size_t cut = 0; cut < 17; cut++)
		assert_int_equal(parse(name, cut, &request, &reply), 0);
	assert_int_equal(parse(name, sizeof(name) - 1, &request, &reply), 17);
	assert_true(request.named);
	assert_string_equal(request.name, "example.or");
	assert_int_equal(request.port, 80);

	for (size_t cut = 0; cut < 10; cut++)
		assert_int_equal(parse(v4, cut, &request, &reply), 0);
	assert_int_equal(parse(v4, 10, &request, &reply), 10);
	assert_false(request.named);
	assert_memory_equal(&request.address, &mapped, sizeof(mapped));
	assert_int_equal(request.port, 443);

	for (size_t cut = 0; cut < 22; cut++)
		assert_int_equal(parse(v6, cut, &request, &reply), 0);
	assert_int_equal(parse(v6, 22, &request, &reply), 22);
	assert_int_equal(request.address.s6_addr[0], 0x20);
	assert_int_equal(request.address.s6_addr[15], 1);
	assert_int_equal(request.port, 22);
}

static void what_is_not_served_is_refused_with_its_code(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		size_t length;
		enum socks_reply reply;
	} cases[] = {
		{"\5\2\0\1\300\0\2\1\1\273", 10, SOCKS_NO_SUCH_COMMAND}, /* BIND */
		{"\5\3\0\1\300\0\2\1\1\273", 10, SOCKS_NO_SUCH_COMMAND}, /* UDP ASSOCIATE */
		{"\5\0\0\1\300\0\2\1\1\273", 10, SOCKS_NO_SUCH_COMMAND},
		{"\5\1\0\2\300\0\2\1\1\273", 10, SOCKS_NO_SUCH_ADDRESS_TYPE},
		{"\5\1\0\0\300\0\2\1\1\273", 10, SOCKS_NO_SUCH_ADDRESS_TYPE},
		{"\5\1\1\1\300\0\2\1\1\273", 10, SOCKS_FAILURE},
		{"\4\1\0\1\300\0\2\1\1\273", 10, SOCKS_FAILURE},
		{"\5\1\0\1\300\0\2\1\0\0", 10, SOCKS_FAILURE}, /* port 0 */
		{"\5\1\0\3\0\0\120", 7, SOCKS_FAILURE},        /* no name */
		{"\5\1\0\3\3a\0b\0\120", 10, SOCKS_FAILURE},
		{"\5\1\0\3\3a\rb\0\120", 10, SOCKS_FAILURE},
		{"\5\1\0\3\3a\nb\0\120", 10, SOCKS_FAILURE},
		{"\5\1\0\3\3a b\0\120", 10, SOCKS_FAILURE},
		{"\5\1\0\3\3a\x80"
		 "b\0\120",
			10, SOCKS_FAILURE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct socks_request request;
		enum socks_reply reply = SOCKS_SUCCEEDED;
		assert_int_equal(parse(cases[i].data, cases[i].length, &request, &reply), -EBADMSG);
		assert_int_equal(reply, cases[i].reply);
	}
}

static void answers_tell_why(void **state)
{
	(void)state;
	uint8_t answer[SOCKS_ANSWER_BYTES];
	static const uint8_t refused[] = {5, 5, 0, 1, 0, 0, 0, 0, 0, 0};
	socks_format_answer(SOCKS_REFUSED, answer);
	assert_memory_equal(answer, refused, sizeof(refused));
	assert_int_equal(socks_reply_of(0), SOCKS_SUCCEEDED);
	assert_int_equal(socks_reply_of(EACCES), SOCKS_NOT_ALLOWED);
	assert_int_equal(socks_reply_of(ECONNREFUSED), SOCKS_REFUSED);
	assert_int_equal(socks_reply_of(EHOSTUNREACH), SOCKS_HOST_UNREACHABLE);
	assert_int_equal(socks_reply_of(ETIMEDOUT), SOCKS_TTL_EXPIRED);
	assert_int_equal(socks_reply_of(EIO), SOCKS_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greetings_offer_methods),
		cmocka_unit_test(requests_name_a_target),
		cmocka_unit_test(what_is_not_served_is_refused_with_its_code),
		cmocka_unit_test(answers_tell_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
