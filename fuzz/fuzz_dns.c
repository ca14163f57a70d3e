#include "base/cleanup.h"
#include "egress/dns.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* What is answered must fit, echo the question, and be a response. */
static void check_answer(
	const struct dns_query *query, const struct dns_answer *answer, size_t room)
{
	uint8_t data[DNS_EDNS_UDP_BYTES];
	size_t length = dns_format_answer(query, answer, data, room);
	require(length >= DNS_HEADER_BYTES + query->question_bytes && length <= room);
	require(data[0] == query->id >> 8 && data[1] == (query->id & 255) && data[2] & 0x80);
	require(memcmp(data + DNS_HEADER_BYTES, query->question, query->question_bytes) == 0);
	struct dns_query again;
	require(dns_parse_query(data, length, &again) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query query;
	if (dns_parse_query(data, size, &query) < 0)
		return 0;
	require(memchr(query.name, '\0', sizeof(query.name)) != NULL);
	require(query.question_bytes <= DNS_QUESTION_BYTES);
	require(query.payload_bytes >= DNS_PLAIN_UDP_BYTES &&
		query.payload_bytes <= DNS_EDNS_UDP_BYTES);
	/* What can be served has a question, whose name is two bytes longer than its text. */
	if (query.rcode == DNS_NOERROR)
		require(query.question_bytes ==
			strlen(query.name) + (query.name[0] ? 2 : 1) + 2 + 2);

	struct in6_addr address = in6addr_loopback;
	dns_parse_reverse(query.name, &address);
	char normal[NETWORK_NAME_BYTES];
	const struct dns_answer answers[] = {
		{.rcode = query.rcode},
		{.address = &address, .ttl_s = UINT32_MAX},
		{.pointer = network_normalize_name(query.name, normal) == 0 ? normal : "a.b"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		check_answer(&query, &answers[i], query.payload_bytes);
		check_answer(&query, &answers[i], DNS_EDNS_UDP_BYTES);
	}
	return 0;
}
