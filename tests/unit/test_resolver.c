#include "dns_world.h"

#include "egress/resolver.h"

#include <poll.h>

/* --- a client inside ------------------------------------------------------------------------ */

struct reply {
	unsigned rcode, answers;
	bool truncated;
	size_t length;
	char address[INET6_ADDRSTRLEN]; /* of the one record; "" for none */
	uint8_t bytes[DNS_EDNS_UDP_BYTES];
};

static void make_query(struct message *message, const char *name, uint16_t type)
{
	static uint16_t id;
	message->length = 0;
	put_u16(message, ++id);
	put(message, "\1\0\0\1\0\0\0\0\0\0", 10);
	put_name(message, name);
	put_u16(message, type);
	put_u16(message, DNS_CLASS_IN);
}

static void read_reply(const struct message *query, struct reply *reply)
{
	const uint8_t *bytes = reply->bytes;
	assert_true(reply->length >= DNS_HEADER_BYTES);
	assert_memory_equal(bytes, query->bytes, 2);
	reply->rcode = bytes[3] & 15;
	reply->truncated = bytes[2] & 2;
	reply->answers = bytes[7];
	if (reply->answers == 0)
		return;
	const uint8_t *record = bytes + query->length;
	assert_memory_equal(record, "\xc0\x0c\0", 3);
	int family = record[3] == DNS_TYPE_A ? AF_INET : AF_INET6;
	if (record[3] == DNS_TYPE_A || record[3] == DNS_TYPE_AAAA)
		assert_non_null(inet_ntop(family, record + 12, reply->address, INET6_ADDRSTRLEN));
}

static int client_socket(struct world *world, int type)
{
	const struct sockaddr_in *to =
		type == SOCK_DGRAM ? &world->resolver_udp : &world->resolver_tcp;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof(*to)), 0);
	return fd;
}

static bool wait_readable(struct world *world, int fd, int wait_ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	for (int waited = 0; waited < wait_ms; waited += 5) {
		world_pass(world, 5);
		if (poll(&poller, 1, 0) > 0)
			return true;
	}
	return false;
}

static struct reply ask(struct world *world, const char *name, uint16_t type)
{
	cleanup_close int fd = client_socket(world, SOCK_DGRAM);
	struct message query;
	struct reply reply = {0};
	make_query(&query, name, type);
	assert_int_equal(send(fd, query.bytes, query.length, 0), query.length);
	assert_true(wait_readable(world, fd, 7000));
	reply.length = (size_t)recv(fd, reply.bytes, sizeof(reply.bytes), 0);
	read_reply(&query, &reply);
	return reply;
}

static void start(struct world *world)
{
	struct error error;
	world_start(world);
	assert_int_equal(resolver_new(&world->egress, &world->egress.resolver, &error), 0);
	int udp = loopback_socket(SOCK_DGRAM, &world->resolver_udp);
	int tcp = loopback_socket(SOCK_STREAM, &world->resolver_tcp);
	assert_int_equal(resolver_add_udp(world->egress.resolver, udp), 0);
	assert_int_equal(resolver_add_tcp(world->egress.resolver, tcp), 0);
}

static void stop(struct world *world)
{
	resolver_free(world->egress.resolver);
	world_free(world);
}

/* --- what is answered ----------------------------------------------------------------------- */

static void test_allowed_names(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "a.example.com", .v4 = {"93.184.216.34"}},
		{.name = "empty.example.com"}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	start(world);
	struct reply v4 = ask(world, "A.Example.COM", DNS_TYPE_A);
	struct reply v6 = ask(world, "a.example.com", DNS_TYPE_AAAA);
	assert_int_equal(v4.rcode, DNS_NOERROR);
	assert_int_equal(strncmp(v4.address, "198.1", 5), 0);
	assert_int_equal(strncmp(v6.address, "2001:2:0:", 9), 0);
	assert_string_equal(ask(world, "a.example.com", DNS_TYPE_A).address, v4.address);
	/* The name that the address stands for. */
	struct in6_addr address;
	network_parse_address(v4.address, &address);
	char reverse[64];
	snprintf(reverse, sizeof(reverse), "%u.%u.%u.%u.in-addr.arpa", address.s6_addr[15],
		address.s6_addr[14], address.s6_addr[13], address.s6_addr[12]);
	struct reply pointer = ask(world, reverse, DNS_TYPE_PTR);
	assert_int_equal(pointer.answers, 1);
	assert_memory_equal(pointer.bytes + pointer.length - 15, "\1a\7example\3com\0", 15);

	/* Other types of it have no data: HTTPS records would bring keys that hide names. */
	static const uint16_t types[] = {
		DNS_TYPE_HTTPS, DNS_TYPE_SVCB, 16, 15, 2, 33, DNS_TYPE_ANY};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct reply reply = ask(world, "a.example.com", types[i]);
		assert_int_equal(reply.rcode, DNS_NOERROR);
		assert_int_equal(reply.answers, 0);
	}
	assert_int_equal(ask(world, "a.example.com", 252).rcode, DNS_REFUSED); /* AXFR */
	struct reply reply = ask(world, "empty.example.com", DNS_TYPE_A);
	assert_true(reply.rcode == DNS_NOERROR && reply.answers == 0);
	assert_int_equal(ask(world, "no.example.com", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	stop(world);
}

static void test_refused_names(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "evil.net", .v4 = {"93.184.216.34"}},
		{.name = "in.example.com", .v4 = {"10.0.0.1"}},
		{.name = "alias.example.com", .aliases = {"x.evil.net"}, .v4 = {"93.184.216.34"}},
		{0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	world_set(world, "deny-domain", "**.evil.net");
	start(world);
	static const char *const names[] = {"evil.net", "secret.of.the.box.evil.net", "other.org",
		"x.onion", "printer.local", "com", "example.com.evil.net", "1.1.1.1",
		"1.0.168.192.in-addr.arpa.net", "4.4.8.8.in-addr.arpa.", "host.coffer.internal",
		"metadata.google.internal"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (ask(world, names[i], DNS_TYPE_A).rcode != DNS_NXDOMAIN)
			fail_msg("%s exists", names[i]);
	/* None of that left the host. */
	assert_int_equal(world->asked_count, 0);
	assert_reason("evil.net", "deny-domain");
	assert_reason("other.org", "--allow-domain other.org");
	assert_int_equal(world_record("other.org")->verdict, NETWORK_DENY);
	assert_int_equal(world_record("other.org")->how, EGRESS_HOW_RESOLVER);
	assert_int_not_equal(world_record("other.org")->client_port, 0);

	assert_int_equal(ask(world, "in.example.com", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	assert_reason("in.example.com", "10.0.0.1");
	assert_int_equal(ask(world, "alias.example.com", DNS_TYPE_AAAA).rcode, DNS_NXDOMAIN);
	assert_reason("alias.example.com", "x.evil.net");
	stop(world);
}

static void test_names_of_the_host(void **state)
{
	(void)state;
	struct world *world = world_new(NULL);
	world_set(world, "allow-domain", NETWORK_HOST_NAME ":8080");
	world_set(world, "allow-domain", "deb.example.com");
	world_set(world, "allow-udp", "time.example.org:123");
	start(world);
	assert_string_equal(ask(world, "localhost", DNS_TYPE_A).address, "127.0.0.1");
	assert_string_equal(ask(world, "x.LocalHost", DNS_TYPE_AAAA).address, "::1");
	assert_int_equal(ask(world, "localhost", DNS_TYPE_HTTPS).answers, 0);
	assert_int_equal(ask(world, "notlocalhost", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	struct reply reply = ask(world, NETWORK_HOST_NAME, DNS_TYPE_A);
	assert_int_equal(strncmp(reply.address, "198.1", 5), 0);
	assert_int_equal(world->asked_count, 0);
	/* An allowed host has no services in the DNS, and that is no news. */
	assert_int_equal(ask(world, "_http._tcp.deb.example.com", 33).rcode, DNS_NXDOMAIN);
	assert_null(world_record("_http._tcp.deb.example.com"));
	assert_int_equal(ask(world, "_http._tcp.other.com", 33).rcode, DNS_NXDOMAIN);
	assert_non_null(world_record("_http._tcp.other.com"));
	/* A name of allow-udp alone is resolved, and has its fixed address. */
	struct zone zones[] = {{.name = "time.example.org", .v4 = {"93.184.216.34"}}, {0}};
	world->zones = zones;
	assert_string_equal(ask(world, "time.example.org", DNS_TYPE_A).address, "198.18.0.16");
	stop(world);
}

static void test_proxy_needs_no_resolver(void **state)
{
	(void)state;
	struct world *world = world_new(NULL);
	world_set(world, "allow-domain", "far.example.com");
	world_set(world, "upstream-proxy", "http://127.0.0.1:3128");
	start(world);
	assert_int_equal(ask(world, "far.example.com", DNS_TYPE_A).answers, 1);
	assert_int_equal(ask(world, "other.example.com", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	assert_int_equal(world->asked_count, 0);
	stop(world);
}

static void test_dead_nameserver(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "a.example.com", .manner = ZONE_SILENT}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "a.example.com");
	start(world);
	uint64_t began_us = clock_now_us();
	assert_int_equal(ask(world, "a.example.com", DNS_TYPE_A).rcode, DNS_SERVFAIL);
	assert_in_range(clock_now_us() - began_us, 1000000, 5500000);
	assert_reason("a.example.com", "the resolver (127.0.0.1) gave no answer");
	stop(world);
}

/* --- the log -------------------------------------------------------------------------------- */

static void test_records_add_up(void **state)
{
	(void)state;
	struct world *world = world_new(NULL);
	world_set(world, "allow-domain", "a.example.com");
	start(world);
	for (int i = 0; i < 10; i++) {
		ask(world, "no.example.net", DNS_TYPE_A);
		ask(world, "no.example.net", DNS_TYPE_AAAA);
	}
	/* Logged at once, for the first; the rest within a second is one more record. The AAAA of
	 * the first getaddrinfo() is not another refusal. */
	assert_in_range(world->records_count, 1, 2);
	world_pass(world, 1100);
	assert_in_range(world->records_count, 2, 3);
	unsigned count = 0;
	for (size_t i = 0; i < world->records_count; i++)
		count += world->records[i].count;
	assert_in_range(count, 18, 19);
	/* A thousand different ones are sixty-four records and one. */
	world->records_count = 0;
	for (int i = 0; i < 200; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example.net", i);
		cleanup_close int fd = client_socket(world, SOCK_DGRAM);
		struct message query;
		make_query(&query, name, DNS_TYPE_A);
		send(fd, query.bytes, query.length, 0);
	}
	world_pass(world, 1500);
	assert_int_equal(world->records_count, 65);
	assert_int_equal(world->records[64].count, 200 - 64);
	stop(world);
}

/* --- asking --------------------------------------------------------------------------------- */

static void test_asking(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "who.example.net", .v4 = {"93.184.216.34"}}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "a.example.com");
	world_set(world, "ask-domain", "*.example.net");
	world->egress.ask = true;
	start(world);
	/* Its connections are asked for: it has an address, and nothing of it leaves the host. */
	assert_int_equal(ask(world, "who.example.net", DNS_TYPE_A).answers, 1);
	assert_int_equal(ask(world, "who.example.net", DNS_TYPE_AAAA).answers, 0);
	assert_int_equal(ask(world, "who.example.net", DNS_TYPE_AAAA).rcode, DNS_NOERROR);
	assert_int_equal(world->asked_count, 0);
	assert_int_equal(ask(world, "x.onion", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(world, "who.example.com", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	stop(world);
}

/* --- over TCP ------------------------------------------------------------------------------- */

static void send_tcp(int fd, const struct message *query)
{
	struct message whole = {0};
	put_u16(&whole, query->length);
	put(&whole, query->bytes, query->length);
	/* Byte by byte, as a slow network may have it. */
	for (size_t i = 0; i < whole.length; i++)
		assert_int_equal(send(fd, whole.bytes + i, 1, MSG_NOSIGNAL), 1);
}

static struct reply receive_tcp(struct world *world, int fd, const struct message *query)
{
	struct reply reply = {0};
	uint8_t prefix[2];
	assert_true(wait_readable(world, fd, 3000));
	assert_int_equal(recv(fd, prefix, 2, MSG_WAITALL), 2);
	reply.length = (size_t)prefix[0] << 8 | prefix[1];
	assert_int_equal(recv(fd, reply.bytes, reply.length, MSG_WAITALL), reply.length);
	read_reply(query, &reply);
	return reply;
}

static void test_tcp(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "a.example.com", .v4 = {"93.184.216.34"}}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	start(world);
	cleanup_close int fd = client_socket(world, SOCK_STREAM);
	/* More than are taken at one time, before any is answered; then its side is closed. */
	struct message queries[40];
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		make_query(&queries[i], i % 2 ? "a.example.com" : "refused.net", DNS_TYPE_AAAA);
		send_tcp(fd, &queries[i]);
	}
	shutdown(fd, SHUT_WR);
	unsigned found = 0;
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		/* Answers may overtake one another: the refused ones do. */
		uint8_t prefix[2], bytes[512];
		assert_true(wait_readable(world, fd, 3000));
		assert_int_equal(recv(fd, prefix, 2, MSG_WAITALL), 2);
		size_t length = (size_t)prefix[0] << 8 | prefix[1];
		assert_int_equal(recv(fd, bytes, length, MSG_WAITALL), length);
		found += bytes[7];
		assert_int_equal(bytes[3] & 15, bytes[7] ? DNS_NOERROR : DNS_NXDOMAIN);
	}
	assert_int_equal(found, 20);
	assert_true(wait_readable(world, fd, 3000));
	assert_int_equal(recv(fd, queries, 1, 0), 0); /* and it is closed */

	/* The second question on a connection comes after the first one's answer. */
	cleanup_close int again = client_socket(world, SOCK_STREAM);
	for (int i = 0; i < 3; i++) {
		send_tcp(again, &queries[1]);
		assert_int_equal(receive_tcp(world, again, &queries[1]).answers, 1);
	}
	stop(world);
}

static void test_tcp_abuse(void **state)
{
	(void)state;
	struct world *world = world_new(NULL);
	world_set(world, "allow-domain", "a.example.com");
	start(world);
	static const uint8_t bad[][16] = {{0, 0}, {0, 11}, {0xff, 0xff}, {0x10, 1},
		{0, 12, 1, 2, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0}};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_close int fd = client_socket(world, SOCK_STREAM);
		char byte;
		send(fd, bad[i], sizeof(bad[i]), MSG_NOSIGNAL);
		assert_true(wait_readable(world, fd, 2000));
		assert_true(recv(fd, &byte, 1, 0) <= 0);
	}
	/* Those who say nothing take all places; who comes then waits, and gets one. */
	int idle[70];
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		idle[i] = client_socket(world, SOCK_STREAM);
		world_pass(world, 5);
	}
	cleanup_close int late = client_socket(world, SOCK_STREAM);
	struct message query;
	make_query(&query, "refused.net", DNS_TYPE_A);
	send_tcp(late, &query);
	assert_false(wait_readable(world, late, 200));
	assert_int_equal(
		ask(world, "refused.net", DNS_TYPE_A).rcode, DNS_NXDOMAIN); /* UDP goes on */
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		close(idle[i]);
	assert_int_equal(receive_tcp(world, late, &query).rcode, DNS_NXDOMAIN);
	stop(world);
}

static uint64_t cpu_us(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

/* Questions that may not be asked yet cost nothing while they wait, and are asked in the end. */
static void test_tcp_waits_idle(void **state)
{
	(void)state;
	enum { WINDOW_US = 300000, QUESTIONS = 200 };
	struct zone zones[] = {{.name = "a.example.com", .manner = ZONE_SILENT}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "a.example.com");
	start(world);
	struct message query, whole = {0};
	make_query(&query, "a.example.com", DNS_TYPE_A);
	put_u16(&whole, query.length);
	put(&whole, query.bytes, query.length);
	cleanup_close int fd = client_socket(world, SOCK_STREAM);
	for (int i = 0; i < QUESTIONS; i++)
		assert_int_equal(send(fd, whole.bytes, whole.length, MSG_NOSIGNAL), whole.length);
	world_pass(world, 50);
	uint64_t before = cpu_us();
	event_base_loopexit(world->egress.base, &(struct timeval){.tv_usec = WINDOW_US});
	event_base_dispatch(world->egress.base);
	assert_true(cpu_us() - before < WINDOW_US / 2);
	stop(world);
}

/* A client that goes while its question is under way, and more questions than are kept. */
static void test_abandoned_questions(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "a.example.com", .manner = ZONE_SILENT}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "a.example.com");
	start(world);
	struct message query;
	make_query(&query, "a.example.com", DNS_TYPE_A);
	int gone = client_socket(world, SOCK_STREAM);
	send_tcp(gone, &query);
	world_pass(world, 50);
	assert_int_equal(world->egress.resolver->questions_count, 1);
	struct linger reset = {.l_onoff = 1};
	setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(gone);
	world_pass(world, 50);
	assert_int_equal(world->egress.resolver->questions_count, 0);

	cleanup_close int fd = client_socket(world, SOCK_DGRAM);
	for (int i = 0; i < RESOLVER_QUESTIONS_MAX + 1; i++) {
		send(fd, query.bytes, query.length, 0);
		if (i % 32 == 0)
			world_pass(world, 10);
	}
	assert_true(wait_readable(world, fd, 500));
	struct reply reply = {0};
	reply.length = (size_t)recv(fd, reply.bytes, sizeof(reply.bytes), 0);
	read_reply(&query, &reply);
	assert_int_equal(reply.rcode, DNS_SERVFAIL);
	assert_int_equal(world->egress.resolver->questions_count, RESOLVER_QUESTIONS_MAX);
	/* Nonsense is not answered, or with what it deserves. */
	send(fd, "x", 1, 0);
	send(fd, "\0\1\x81\x80\0\1\0\0\0\0\0\0\0\0\1\0\1", 17, 0);
	assert_false(wait_readable(world, fd, 100));
	send(fd, "\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18, 0);
	assert_true(wait_readable(world, fd, 500));
	stop(world); /* with all those questions still open */
}

/* The landlock tier's: one end of a pair, without addresses. */
static void test_connected_sockets(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "a.example.com", .v4 = {"93.184.216.34"}}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "a.example.com");
	start(world);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(resolver_add_udp(world->egress.resolver, pair[0]), 0);
	struct message query;
	make_query(&query, "a.example.com", DNS_TYPE_A);
	send(pair[1], query.bytes, query.length, 0);
	assert_true(wait_readable(world, pair[1], 2000));
	struct reply reply = {0};
	reply.length = (size_t)recv(pair[1], reply.bytes, sizeof(reply.bytes), 0);
	read_reply(&query, &reply);
	assert_int_equal(reply.answers, 1);
	close(pair[1]);
	/* Any number of them: the one longest unused goes. */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(resolver_add_udp(world->egress.resolver, pair[0]), 0);
		close(pair[1]);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(resolver_add_tcp(world->egress.resolver, pair[0]), 0);
	send_tcp(pair[1], &query);
	assert_int_equal(receive_tcp(world, pair[1], &query).answers, 1);
	close(pair[1]);
	stop(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed_names),
		cmocka_unit_test(test_refused_names),
		cmocka_unit_test(test_names_of_the_host),
		cmocka_unit_test(test_proxy_needs_no_resolver),
		cmocka_unit_test(test_dead_nameserver),
		cmocka_unit_test(test_records_add_up),
		cmocka_unit_test(test_asking),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_abuse),
		cmocka_unit_test(test_tcp_waits_idle),
		cmocka_unit_test(test_abandoned_questions),
		cmocka_unit_test(test_connected_sockets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
