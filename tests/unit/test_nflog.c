#include "base/cleanup.h"
#include "egress/egress.h"
#include "egress/nflog.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* ---- what stands around nflog.c ---- */

static struct egress_record logged[128];
static size_t logged_count;

void egress_log(struct egress *egress, const struct egress_record *record)
{
	(void)egress;
	assert_true(logged_count < ARRAY_SIZE(logged));
	logged[logged_count++] = *record;
}

static struct in6_addr parse(const char *text)
{
	struct in6_addr address;
	assert_int_equal(network_parse_address(text, &address), 0);
	return address;
}

const char *standins_name(struct standins *standins, const struct in6_addr *address)
{
	(void)standins;
	struct in6_addr known = parse("198.18.8.5");
	return IN6_ARE_ADDR_EQUAL(address, &known) ? "web.example.org" : NULL;
}

bool standins_covers(const struct standins *standins, const struct in6_addr *address)
{
	(void)standins;
	return IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 198 &&
	       (address->s6_addr[13] & 0xfe) == 18;
}

/* ---- packets ---- */

struct built {
	uint8_t __attribute__((aligned(4))) data[1024];
	size_t length_bytes;
};

static void put(struct built *built, const void *data, size_t length_bytes)
{
	assert_true(built->length_bytes + length_bytes <= sizeof(built->data));
	memcpy(built->data + built->length_bytes, data, length_bytes);
	built->length_bytes += length_bytes;
}

/* A message of the kernel's, with a prefix before the packet as it sends one. */
static void put_prefixed(
	struct built *built, const char *text, const void *packet, size_t packet_bytes)
{
	static const uint8_t zero[4];
	size_t padded = NLA_ALIGN(packet_bytes);
	size_t text_bytes = strlen(text) + 1, text_padded = NLA_ALIGN(text_bytes);
	struct nlmsghdr header = {
		.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(struct nfgenmsg)) + NLA_HDRLEN +
					text_padded + NLA_HDRLEN + padded),
		.nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET};
	struct nfgenmsg body = {.nfgen_family = AF_INET};
	struct nlattr prefix = {(uint16_t)(NLA_HDRLEN + text_bytes), NFULA_PREFIX};
	struct nlattr payload = {(uint16_t)(NLA_HDRLEN + packet_bytes), NFULA_PAYLOAD};
	put(built, &header, sizeof(header));
	put(built, &body, sizeof(body));
	put(built, &prefix, sizeof(prefix));
	put(built, text, text_bytes);
	put(built, zero, text_padded - text_bytes);
	put(built, &payload, sizeof(payload));
	put(built, packet, packet_bytes);
	put(built, zero, padded - packet_bytes);
}

static void put_message(struct built *built, const void *packet, size_t packet_bytes)
{
	put_prefixed(built, "", packet, packet_bytes);
}

static void put_ipv4(struct built *built, const char *destination, uint8_t protocol, uint16_t port)
{
	struct in6_addr to = parse(destination);
	uint8_t packet[24] = {0x45, 0, 0, 24, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 9};
	memcpy(packet + 16, to.s6_addr + 12, 4);
	packet[20] = 0x9c; /* from port 40000 */
	packet[21] = 0x40;
	packet[22] = (uint8_t)(port >> 8);
	packet[23] = (uint8_t)port;
	put_message(built, packet, sizeof(packet));
}

struct seen {
	struct nflog_packet packets[8];
	size_t count;
};

static void note(void *context, const struct nflog_packet *packet)
{
	struct seen *seen = context;
	assert_true(seen->count < ARRAY_SIZE(seen->packets));
	seen->packets[seen->count++] = *packet;
}

static void test_parse_ipv4(void **state)
{
	struct built built = {0};
	struct seen seen = {0};
	struct in6_addr from = parse("10.0.0.9"), to = parse("8.8.8.8");
	(void)state;
	put_ipv4(&built, "8.8.8.8", IPPROTO_TCP, 443);
	put_ipv4(&built, "8.8.8.8", IPPROTO_ICMP, 0xffff);
	nflog_parse(built.data, built.length_bytes, note, &seen);
	assert_int_equal(seen.count, 2);
	assert_memory_equal(&seen.packets[0].source, &from, 16);
	assert_memory_equal(&seen.packets[0].destination, &to, 16);
	assert_int_equal(seen.packets[0].source_port, 40000);
	assert_int_equal(seen.packets[0].port, 443);
	assert_int_equal(seen.packets[1].protocol, IPPROTO_ICMP);
	assert_int_equal(seen.packets[1].port, 0);
}

/* Other prefixes, one that only begins like it among them, are of no consequence. */
static void test_parse_prefix(void **state)
{
	static const char *const prefixes[] = {"lost", "", "los", "lost+", "other"};
	const uint8_t packet[24] = {0x45, 0, 0, 24, 0, 0, 0, 0, 64, IPPROTO_TCP};
	struct built built = {0};
	struct seen seen = {0};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		put_prefixed(&built, prefixes[i], packet, sizeof(packet));
	nflog_parse(built.data, built.length_bytes, note, &seen);
	assert_int_equal(seen.count, ARRAY_SIZE(prefixes));
	for (size_t i = 0; i < seen.count; i++)
		assert_int_equal(seen.packets[i].lost, i == 0);
}

static void test_parse_fragment_has_no_ports(void **state)
{
	struct built built = {0};
	struct seen seen = {0};
	uint8_t packet[24] = {0x45, 0, 0, 24, 0, 0, 0x00, 0x05, 64, IPPROTO_UDP};
	(void)state;
	memset(packet + 20, 0x11, 4);
	put_message(&built, packet, sizeof(packet));
	nflog_parse(built.data, built.length_bytes, note, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.packets[0].port, 0);
}

static void test_parse_ipv6_extensions(void **state)
{
	struct built built = {0};
	struct seen seen = {0};
	struct in6_addr to = parse("2606:4700::1111");
	uint8_t packet[40 + 16 + 8 + 8] = {0x60, [6] = IPPROTO_HOPOPTS};
	(void)state;
	memcpy(packet + 24, &to, 16);
	packet[40] = IPPROTO_FRAGMENT;
	packet[41] = 1; /* 16 bytes */
	packet[56] = IPPROTO_UDP;
	memcpy(packet + 64, (uint8_t[]){0x9c, 0x40, 0x01, 0xbb}, 4);
	put_message(&built, packet, sizeof(packet));
	packet[59] = 0x08; /* the same, but not the first fragment */
	put_message(&built, packet, sizeof(packet));
	nflog_parse(built.data, built.length_bytes, note, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.packets[0].protocol, IPPROTO_UDP);
	assert_int_equal(seen.packets[0].source_port, 40000);
	assert_int_equal(seen.packets[0].port, 443);
	assert_memory_equal(&seen.packets[0].destination, &to, 16);
	assert_int_equal(seen.packets[1].protocol, IPPROTO_UDP);
	assert_int_equal(seen.packets[1].port, 0);
}

/* However it is cut, nothing beyond the end is read (a sanitizer would see), and what is not whole
 * is not told. */
static void test_parse_cut(void **state)
{
	struct built built = {0};
	struct seen seen = {0};
	(void)state;
	put_ipv4(&built, "8.8.8.8", IPPROTO_TCP, 443);
	for (size_t length = 0; length < built.length_bytes; length++) {
		cleanup_free void *copy = malloc(length + 1);
		assert_non_null(copy);
		memcpy(copy, built.data, length);
		nflog_parse(copy, length, note, &seen);
		assert_int_equal(seen.count, 0);
	}
}

/* ---- records ---- */

struct world {
	struct egress egress;
	int kernel; /* what is sent here comes out of nflog's socket */
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct error error;
	int ends[2];
	assert_non_null(world);
	network_policy_init(&world->egress.policy);
	assert_int_equal(
		network_set(&world->egress.policy, "allow-domain", "web.example.org", NULL, &error),
		0);
	assert_int_equal(network_validate(&world->egress.policy, &error), 0);
	world->egress.base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	world->kernel = ends[0];
	assert_int_equal(nflog_add(&world->egress, ends[1]), 0);
	logged_count = 0;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	nflog_stop(&world->egress);
	event_base_free(world->egress.base);
	network_policy_release(&world->egress.policy);
	close(world->kernel);
	free(world);
	return 0;
}

static void refuse(struct world *world, const char *destination, uint8_t protocol, uint16_t port)
{
	struct built built = {0};
	put_ipv4(&built, destination, protocol, port);
	assert_int_equal(send(world->kernel, built.data, built.length_bytes, 0),
		(ssize_t)built.length_bytes);
}

static void test_what_is_missing_is_said(void **state)
{
	struct world *world = *state;
	const uint8_t packet[24] = {0x45, [8] = 64, [9] = IPPROTO_TCP, [16] = 9, 9, 9, 9};
	struct built built = {0};
	for (int i = 0; i < 2; i++)
		put_prefixed(&built, EGRESS_NFLOG_LOST, packet, sizeof(packet));
	assert_int_equal(send(world->kernel, built.data, built.length_bytes, 0),
		(ssize_t)built.length_bytes);
	event_base_loop(world->egress.base, EVLOOP_ONCE);
	assert_int_equal(logged_count, 0);
	event_base_loop(world->egress.base, EVLOOP_ONCE); /* the end of the interval */
	assert_int_equal(logged_count, 2);
	assert_int_equal(logged[0].how, EGRESS_HOW_LOST);
	assert_int_equal(logged[0].count, 2);
	assert_non_null(strstr(logged[0].reason, "missing"));
	assert_int_equal(logged[1].how, EGRESS_HOW_KERNEL);
	assert_int_equal(logged[1].count, 2);
	nflog_stop(&world->egress);
	assert_int_equal(logged_count, 2); /* once */
}

static const struct egress_record *find(const char *name_or_address, uint16_t port)
{
	for (size_t i = 0; i < logged_count; i++) {
		char address[INET6_ADDRSTRLEN];
		network_format_address(&logged[i].address, address);
		if (logged[i].port == port && (strcmp(logged[i].name, name_or_address) == 0 ||
						      strcmp(address, name_or_address) == 0))
			return &logged[i];
	}
	return NULL;
}

static void test_records_say_why(void **state)
{
	struct world *world = *state;
	refuse(world, "198.18.8.5", IPPROTO_TCP, 22);
	refuse(world, "169.254.169.254", IPPROTO_TCP, 80);
	refuse(world, "198.18.200.1", IPPROTO_TCP, 443);
	refuse(world, "198.18.0.1", IPPROTO_TCP, 1);
	refuse(world, "9.9.9.9", IPPROTO_UDP, 123);
	refuse(world, "9.9.9.9", IPPROTO_ICMP, 0);
	nflog_stop(&world->egress); /* nothing waits for an interval's end then */
	assert_int_equal(logged_count, 6);
	for (size_t i = 0; i < logged_count; i++) {
		assert_int_equal(logged[i].verdict, NETWORK_DENY);
		assert_int_equal(logged[i].how, EGRESS_HOW_KERNEL);
		assert_int_equal(logged[i].count, 1);
		assert_true(logged[i].errno_value != 0);
		assert_true(logged[i].time_ms > 0);
	}
	const struct egress_record *record = find("web.example.org", 22);
	assert_non_null(record);
	assert_non_null(strstr(record->reason, "22"));
	assert_int_equal(record->client_port, 40000);
	record = find("169.254.169.254", 80);
	assert_non_null(record);
	assert_non_null(strstr(record->reason, "allow-cidr"));
	record = find("198.18.200.1", 443);
	assert_non_null(record);
	assert_non_null(strstr(record->reason, "look the name up"));
	record = find("198.18.0.1", 1);
	assert_non_null(record);
	assert_non_null(strstr(record->reason, "coffer's own"));
	record = find("9.9.9.9", 123);
	assert_non_null(record);
	assert_int_equal(record->protocol, EGRESS_PROTOCOL_UDP);
	assert_string_equal(
		record->reason, "UDP goes only where a rule names it: --allow-udp 9.9.9.9:123");
	record = find("9.9.9.9", 0);
	assert_non_null(record);
	assert_non_null(strstr(record->reason, "ping"));
	assert_int_equal(record->protocol, EGRESS_PROTOCOL_OTHER);
}

/* One record with a count for what is the same within a second; it comes by itself. */
static void test_equal_ones_are_one_record(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 10; i++)
		refuse(world, "8.8.8.8", IPPROTO_TCP, 443);
	refuse(world, "8.8.8.8", IPPROTO_TCP, 80);
	assert_true(event_base_loop(world->egress.base, EVLOOP_NONBLOCK) >= 0);
	assert_int_equal(logged_count, 0);
	const struct timeval patience = {.tv_sec = 1, .tv_usec = 300000};
	event_base_loopexit(world->egress.base, &patience);
	event_base_dispatch(world->egress.base);
	assert_int_equal(logged_count, 2);
	assert_non_null(find("8.8.8.8", 443));
	assert_int_equal(find("8.8.8.8", 443)->count, 10);
	assert_int_equal(find("8.8.8.8", 80)->count, 1);
}

static void test_many_different_ones(void **state)
{
	struct world *world = *state;
	for (uint16_t port = 1; port <= 100; port++) {
		refuse(world, "8.8.8.8", IPPROTO_TCP, port);
		event_base_loop(world->egress.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(logged_count, 64);
	nflog_stop(&world->egress);
	assert_int_equal(logged_count, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_prefix),
		cmocka_unit_test(test_parse_ipv4),
		cmocka_unit_test(test_parse_fragment_has_no_ports),
		cmocka_unit_test(test_parse_ipv6_extensions),
		cmocka_unit_test(test_parse_cut),
		cmocka_unit_test_setup_teardown(test_what_is_missing_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_records_say_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_equal_ones_are_one_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_different_ones, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
