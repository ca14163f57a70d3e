#include "dns_world.h"

#include "egress/hosts.h"
#include "egress/slow.h"
#include "egress/upstream.h"

#include <pthread.h>

/* --- resolving ------------------------------------------------------------------------------ */

struct outcome {
	bool done;
	unsigned times;
	struct upstream_answer answer;
};

static void on_resolved(void *context, const struct upstream_answer *answer)
{
	struct outcome *outcome = context;
	outcome->answer = *answer;
	outcome->done = true;
	outcome->times++;
}

static struct upstream_answer resolve(struct world *world, const char *name)
{
	struct outcome outcome = {0};
	upstream_resolve(world->egress.upstream, name, on_resolved, &outcome);
	assert_true(world_run(world, &outcome.done, 6000));
	assert_int_equal(outcome.times, 1);
	return outcome.answer;
}

static bool holds(const struct upstream_answer *answer, const char *text)
{
	struct in6_addr address;
	assert_int_equal(network_parse_address(text, &address), 0);
	for (size_t i = 0; i < answer->count; i++)
		if (memcmp(&answer->addresses[i], &address, sizeof(address)) == 0)
			return true;
	return false;
}

static void test_answers(void **state)
{
	(void)state;
	struct zone zones[] = {
		{.name = "both.example.com", .v4 = {"93.184.216.34"}, .v6 = {"2606:2800:220:1::1"}},
		{.name = "v4.example.com", .v4 = {"93.184.216.34", "93.184.216.35"}},
		{.name = "cdn.example.com",
			.aliases = {"a.cdn.net", "b.cdn.net"},
			.v4 = {"93.184.216.36"}},
		{.name = "empty.example.com"},
		{.name = "broken.example.com", .rcode = DNS_SERVFAIL},
		{.name = "tcp.example.com", .manner = ZONE_BY_TCP, .v4 = {"93.184.216.37"}}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	world_start(world);
	struct upstream_answer answer = resolve(world, "both.example.com");
	assert_int_equal(answer.status, 0);
	assert_int_equal(answer.count, 2);
	assert_int_equal(answer.ttl_s, 60);
	assert_true(holds(&answer, "93.184.216.34") && holds(&answer, "2606:2800:220:1::1"));
	assert_int_equal(resolve(world, "v4.example.com").count, 2);
	answer = resolve(world, "cdn.example.com");
	assert_int_equal(answer.status, 0);
	assert_true(answer.count == 1 && holds(&answer, "93.184.216.36"));
	assert_int_equal(resolve(world, "empty.example.com").status, -ENODATA);
	assert_int_equal(resolve(world, "no.example.com").status, -ENOENT);
	answer = resolve(world, "broken.example.com");
	assert_int_equal(answer.status, -EAGAIN);
	assert_non_null(strstr(answer.reason, "127.0.0.1"));
	/* Truncated: asked again by TCP, and the piece that came by UDP is not used. */
	answer = resolve(world, "tcp.example.com");
	assert_int_equal(answer.status, 0);
	assert_true(answer.count == 1 && holds(&answer, "93.184.216.37"));
	assert_true(zones[5].tcp_count > 0);
	world_free(world);
}

static void test_refused_answers(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "private.example.com", .v4 = {"10.0.0.1"}},
		{.name = "mixed.example.com", .v4 = {"93.184.216.34", "192.168.1.1"}},
		{.name = "mixed6.example.com", .v4 = {"93.184.216.34"}, .v6 = {"fd00::1"}},
		{.name = "mapped.example.com", .v6 = {"::ffff:127.0.0.1"}},
		{.name = "nat64.example.com", .v6 = {"64:ff9b::a9fe:a9fe"}},
		{.name = "meta.example.com", .v4 = {"169.254.169.254"}},
		{.name = "alias.example.com", .aliases = {"evil.net"}, .v4 = {"93.184.216.34"}},
		{.name = "chain.example.com",
			.aliases = {"a.net", "b.evil.net", "c.net"},
			.v4 = {"93.184.216.34"}},
		{.name = "onion.example.com", .aliases = {"x.onion"}, .v4 = {"93.184.216.34"}},
		{.name = "host.example.com",
			.aliases = {NETWORK_HOST_NAME},
			.v4 = {"93.184.216.34"}},
		{.name = "port.example.com", .aliases = {"port25.net"}, .v4 = {"93.184.216.34"}},
		/* Sixteen addresses of an answer are kept; every one is looked at. */
		{.name = "many.example.com",
			.v4 = {"9.0.0.1", "9.0.0.2", "9.0.0.3", "9.0.0.4", "9.0.0.5", "9.0.0.6",
				"9.0.0.7", "9.0.0.8", "9.0.0.9", "9.0.0.10", "9.0.0.11", "9.0.0.12",
				"9.0.0.13", "9.0.0.14", "9.0.0.15", "9.0.0.16", "10.0.0.1"}},
		{.name = "long.example.com",
			.aliases = {"a1.net", "a2.net", "a3.net", "a4.net", "a5.net", "a6.net",
				"a7.net", "a8.net", "a9.net", "a10.net", "a11.net", "a12.net",
				"a13.net", "a14.net", "a15.net", "a16.net", "a17.net"},
			.v4 = {"93.184.216.34"}},
		{0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	world_set(world, "deny-domain", "**.evil.net");
	world_set(world, "deny-domain", "port25.net:25");
	world_start(world);
	for (struct zone *zone = zones; zone->name; zone++) {
		struct upstream_answer answer = resolve(world, zone->name);
		bool allowed = strcmp(zone->name, "port.example.com") == 0;
		if (answer.status != (allowed ? 0 : -EACCES))
			fail_msg("%s: %d", zone->name, answer.status);
		assert_int_equal(answer.count, allowed ? 1 : 0);
		assert_true(allowed || answer.reason[0] != '\0');
	}
	struct upstream_answer answer = resolve(world, "chain.example.com");
	assert_non_null(strstr(answer.reason, "b.evil.net"));
	answer = resolve(world, "private.example.com");
	assert_non_null(strstr(answer.reason, "10.0.0.1"));
	/* The alias is denied on one port, which only who dials knows. */
	char reason[UPSTREAM_REASON_BYTES];
	answer = resolve(world, "port.example.com");
	assert_true(upstream_may_dial(
		world->egress.upstream, "port.example.com", &answer, 443, reason));
	assert_false(
		upstream_may_dial(world->egress.upstream, "port.example.com", &answer, 25, reason));
	assert_non_null(strstr(reason, "port25.net"));
	world_free(world);
}

static void test_liars(void **state)
{
	(void)state;
	struct zone zones[] = {
		{.name = "id.example.com", .manner = ZONE_WRONG_ID, .v4 = {"93.184.216.34"}},
		{.name = "port.example.com", .manner = ZONE_WRONG_PORT, .v4 = {"93.184.216.34"}},
		{.name = "name.example.com", .manner = ZONE_WRONG_NAME, .v4 = {"93.184.216.34"}},
		{0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	world_start(world);
	for (struct zone *zone = zones; zone->name; zone++) {
		struct upstream_answer answer = resolve(world, zone->name);
		assert_int_equal(answer.status, 0);
		assert_int_equal(answer.count, 1);
		assert_true(holds(&answer, "93.184.216.34"));
	}
	world_free(world);
}

/* Nothing and nonsense: both end within five seconds, the one beside the other. */
static void test_silence(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "silent.example.com", .manner = ZONE_SILENT},
		{.name = "garbage.example.com", .manner = ZONE_GARBAGE},
		{.name = "ok.example.com", .v4 = {"93.184.216.34"}}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	world_start(world);
	struct outcome silent = {0}, garbage = {0}, forgotten = {0};
	struct upstream *upstream = world->egress.upstream;
	uint64_t began_us = clock_now_us();
	upstream_resolve(upstream, "silent.example.com", on_resolved, &silent);
	upstream_resolve(upstream, "silent.example.com", on_resolved, &forgotten);
	upstream_resolve(upstream, "garbage.example.com", on_resolved, &garbage);
	upstream_forget(upstream, &forgotten);
	assert_int_equal(resolve(world, "ok.example.com").status, 0);
	assert_true(clock_now_us() - began_us < 2000000); /* nobody waits for another's silence */
	assert_true(world_run(world, &silent.done, 8000));
	assert_true(world_run(world, &garbage.done, 8000));
	assert_in_range(clock_now_us() - began_us, 1000000, 6000000);
	assert_int_equal(silent.answer.status, -EAGAIN);
	assert_int_equal(garbage.answer.status, -EAGAIN);
	assert_non_null(strstr(silent.answer.reason, "127.0.0.1"));
	assert_int_equal(forgotten.times, 0);
	world_free(world);
}

static void test_cache(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "shared.example.com", .v4 = {"93.184.216.34"}},
		{.name = "turn.example.com", .ttl_s = 1, .v4 = {"93.184.216.34"}}, {0}};
	struct world *world = world_new(zones);
	world_set(world, "allow-domain", "**.example.com");
	world_start(world);
	struct outcome outcomes[50] = {0};
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		upstream_resolve(
			world->egress.upstream, "shared.example.com", on_resolved, &outcomes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		assert_true(world_run(world, &outcomes[i].done, 5000));
	assert_int_equal(zones[0].udp_count, 2); /* A and AAAA */
	resolve(world, "shared.example.com");
	assert_int_equal(zones[0].udp_count, 2);
	/* What does not exist is remembered too. */
	resolve(world, "no.example.com");
	unsigned asked = world->asked_count;
	resolve(world, "no.example.com");
	assert_int_equal(world->asked_count, asked);

	/* A name that turns to a private address once it was checked: until its time is over the
	 * checked answer holds, then it is refused. */
	assert_int_equal(resolve(world, "turn.example.com").status, 0);
	zones[1].v4[0] = "127.0.0.1";
	struct upstream_answer answer = resolve(world, "turn.example.com");
	assert_int_equal(answer.status, 0);
	assert_true(holds(&answer, "93.184.216.34"));
	world_pass(world, 1100);
	assert_int_equal(resolve(world, "turn.example.com").status, -EACCES);
	world_free(world);
}

/* Names beyond what is remembered: each is answered, none stays for ever. */
static void test_many_names(void **state)
{
	(void)state;
	struct world *world = world_new(NULL);
	world_set(world, "net", "on");
	world_start(world);
	for (int i = 0; i < 4200; i++) {
		char name[64];
		snprintf(name, sizeof(name), "n%d.example.com", i);
		assert_int_equal(resolve(world, name).status, -ENOENT);
	}
	assert_int_equal(world->egress.upstream->lookups_count, 4096);
	unsigned asked = world->asked_count;
	resolve(world, "n4199.example.com");
	assert_int_equal(world->asked_count, asked);
	resolve(world, "n0.example.com");
	assert_true(world->asked_count > asked);
	world_free(world);
}

static void test_too_many_at_once(void **state)
{
	(void)state;
	struct zone zones[301] = {0};
	char names[300][32];
	for (int i = 0; i < 300; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d.example.com", i);
		zones[i] = (struct zone){.name = names[i], .manner = ZONE_SILENT};
	}
	struct world *world = world_new(zones);
	world_set(world, "net", "on");
	world_start(world);
	struct outcome outcomes[300] = {0};
	for (int i = 0; i < 300; i++)
		upstream_resolve(world->egress.upstream, names[i], on_resolved, &outcomes[i]);
	for (int i = 0; i < 300; i++)
		assert_int_equal(outcomes[i].done, i >= 256);
	assert_int_equal(outcomes[299].answer.status, -EAGAIN);
	world_free(world); /* with 256 of them still under way */
}

static void test_slowness(void **state)
{
	(void)state;
	struct world *world = world_new(NULL);
	world_set(world, "allow-domain", "*.example.com");
	world_set(world, "allow-domain", "plain.example.net");
	world_start(world);
	struct slow *slow = world->egress.upstream->slow;
	char name[300], long_label[64] = {0};
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		assert_int_equal(slow_wait_ms(slow, name), 0);
	}
	/* The twenty-first new name waits, those known do not, nor those without a wildcard. */
	assert_in_range(slow_wait_ms(slow, "x.example.com"), 2000, 3000);
	assert_in_range(slow_wait_ms(slow, "y.example.com"), 5000, 6000);
	assert_int_equal(slow_wait_ms(slow, "n3.example.com"), 0);
	assert_int_equal(slow_wait_ms(slow, "plain.example.net"), 0);
	int refused = 0;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "z%d.example.com", i);
		refused += slow_wait_ms(slow, name) == -EDQUOT;
	}
	assert_in_range(refused, 10, 13); /* the queue is thirty seconds long */
	world_pass(world, 1100);
	const struct egress_record *record = NULL;
	for (size_t i = 0; i < world->records_count; i++)
		record = &world->records[i];
	assert_non_null(record);
	assert_int_equal(world->records_count, 1);
	assert_in_range(record->count, 8, 12);
	assert_non_null(strstr(record->reason, "slowed"));

	/* The same few names, but long: 256 bytes of labels a second. */
	memset(long_label, 'a', 63);
	snprintf(name, sizeof(name), "%s.%s.n3.example.com", long_label, long_label);
	struct slow *fresh;
	assert_int_equal(slow_new(&world->egress, &fresh), 0);
	assert_int_equal(slow_wait_ms(fresh, name), 0);
	int second = slow_wait_ms(fresh, name), third = slow_wait_ms(fresh, name);
	assert_in_range(second, 0, 100);
	assert_in_range(third, 400, 700);
	slow_free(fresh);
	world_free(world);
}

/* --- dialing -------------------------------------------------------------------------------- */

struct dialed {
	bool done;
	int fd;
	struct in6_addr address;
	char reason[UPSTREAM_REASON_BYTES];
};

static void on_dialed(void *context, int fd, const struct in6_addr *address, const char *reason)
{
	struct dialed *dialed = context;
	dialed->fd = fd;
	dialed->address = *address;
	snprintf(dialed->reason, sizeof(dialed->reason), "%s", reason);
	dialed->done = true;
}

static struct dialed dial(
	struct world *world, const char *name, const struct in6_addr *literal, uint16_t port)
{
	struct dialed dialed = {0};
	assert_non_null(
		upstream_dial(world->egress.upstream, name, literal, port, on_dialed, &dialed));
	assert_false(dialed.done); /* never before it has returned */
	assert_true(world_run(world, &dialed.done, 11000));
	return dialed;
}

/* Held, so that nobody else gets it, but not listening: connections to it are refused. port 0: any.
 * -1: it is taken. */
static int closed_socket(int family, uint16_t port, uint16_t *ret_port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {.any.sa_family = (sa_family_t)family};
	socklen_t length = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
	if (family == AF_INET)
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address.v6.sin6_addr = in6addr_loopback;
	address.v4.sin_port = htons(port); /* the same place in both */
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, &address.any, length) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	assert_int_equal(getsockname(fd, &address.any, &length), 0);
	*ret_port = ntohs(address.v4.sin_port);
	return fd;
}

static void test_dial(void **state)
{
	(void)state;
	struct zone zones[] = {{.name = "here.example.com", .v4 = {"127.0.0.1"}},
		{.name = "both.example.com", .v4 = {"127.0.0.1"}, .v6 = {"::1"}}, {0}};
	struct world *world = world_new(zones);
	struct sockaddr_in address;
	cleanup_close int listener = -1, other_family = -1;
	uint16_t port, closed_port;
	for (int i = 0; i < 100 && other_family < 0; i++) {
		close_fd(&listener);
		address = (struct sockaddr_in){0};
		listener = loopback_socket(SOCK_STREAM, &address);
		assert_true(listener >= 0);
		other_family = closed_socket(AF_INET6, ntohs(address.sin_port), &port);
		if (other_family < 0 && errno != EADDRINUSE)
			break; /* there is no IPv6 */
	}
	port = ntohs(address.sin_port);
	cleanup_close int closed = closed_socket(AF_INET, 0, &closed_port);
	assert_true(closed >= 0);
	char text[64];
	snprintf(text, sizeof(text), "**.example.com:%u,%u,9", port, closed_port);
	world_set(world, "allow-domain", text);
	snprintf(text, sizeof(text), "127.0.0.1:%u,%u", port, closed_port);
	world_set(world, "allow-cidr", text);
	snprintf(text, sizeof(text), "[::1]:%u,%u", port, closed_port);
	world_set(world, "allow-cidr", text);
	snprintf(text, sizeof(text), NETWORK_HOST_NAME ":%u", port);
	world_set(world, "allow-domain", text);
	world_start(world);

	struct dialed dialed = dial(world, "here.example.com", NULL, port);
	assert_true(dialed.fd >= 0);
	assert_int_equal(dialed.address.s6_addr[12], 127);
	close(dialed.fd);
	/* IPv6 refuses at once, IPv4 takes it. */
	dialed = dial(world, "both.example.com", NULL, port);
	assert_true(dialed.fd >= 0);
	close(dialed.fd);
	dialed = dial(world, "here.example.com", NULL, closed_port);
	assert_int_equal(dialed.fd, -ECONNREFUSED);
	/* The address is open on other ports alone. */
	dialed = dial(world, "here.example.com", NULL, 9);
	assert_int_equal(dialed.fd, -EACCES);
	assert_non_null(strstr(dialed.reason, "127.0.0.1"));
	dialed = dial(world, "no.example.com", NULL, port);
	assert_int_equal(dialed.fd, -EHOSTUNREACH);
	dialed = dial(world, "x.onion", NULL, port);
	assert_int_equal(dialed.fd, -EACCES);

	struct in6_addr literal;
	network_parse_address("127.0.0.1", &literal);
	dialed = dial(world, NULL, &literal, port);
	assert_true(dialed.fd >= 0);
	close(dialed.fd);
	assert_int_equal(dial(world, NULL, &literal, 9).fd, -EACCES);
	network_parse_address("::ffff:10.0.0.1", &literal);
	assert_int_equal(dial(world, NULL, &literal, port).fd, -EACCES);

	dialed = dial(world, NETWORK_HOST_NAME, NULL, port);
	assert_true(dialed.fd >= 0);
	close(dialed.fd);
	assert_int_equal(dial(world, NETWORK_HOST_NAME, NULL, closed_port).fd, -EACCES);

	struct dialed cancelled = {0};
	upstream_cancel(upstream_dial(
		world->egress.upstream, "both.example.com", NULL, port, on_dialed, &cancelled));
	struct dial *under_way = upstream_dial(
		world->egress.upstream, "slow.example.com", NULL, port, on_dialed, &cancelled);
	event_base_loop(world->egress.base, EVLOOP_ONCE); /* it is resolving now */
	upstream_cancel(under_way);
	world_pass(world, 50);
	assert_false(cancelled.done);
	world_free(world);
}

/* A server on ::1 whose backlog is full answers nothing: the other family is tried beside it. */
static void test_happy_eyeballs(void **state)
{
	(void)state;
	struct zone zones[] = {
		{.name = "both.example.com", .v4 = {"127.0.0.1"}, .v6 = {"::1"}}, {0}};
	struct world *world = world_new(zones);
	struct sockaddr_in address;
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	cleanup_close int listener = -1, full = -1;
	uint16_t port;
	for (int i = 0; i < 100 && full < 0; i++) {
		close_fd(&listener);
		address = (struct sockaddr_in){0};
		listener = loopback_socket(SOCK_STREAM, &address);
		assert_true(listener >= 0);
		full = closed_socket(AF_INET6, ntohs(address.sin_port), &port);
		if (full < 0 && errno != EADDRINUSE)
			skip(); /* there is no IPv6 */
	}
	v6.sin6_port = address.sin_port;
	assert_int_equal(listen(full, 0), 0);
	int fillers[2];
	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++) {
		fillers[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fillers[i], (struct sockaddr *)&v6, sizeof(v6));
	}
	char text[64];
	snprintf(text, sizeof(text), "both.example.com:%u", ntohs(address.sin_port));
	world_set(world, "allow-domain", text);
	world_set(world, "allow-cidr", "127.0.0.0/8:1-65535");
	world_set(world, "allow-cidr", "[::1]:1-65535");
	world_start(world);
	uint64_t began_us = clock_now_us();
	struct dialed dialed = dial(world, "both.example.com", NULL, ntohs(address.sin_port));
	assert_true(dialed.fd >= 0);
	close(dialed.fd);
	assert_true(IN6_IS_ADDR_V4MAPPED(&dialed.address));
	assert_in_range(clock_now_us() - began_us, 240000, 900000);
	/* The next one does not wait. */
	began_us = clock_now_us();
	dialed = dial(world, "both.example.com", NULL, ntohs(address.sin_port));
	assert_true(dialed.fd >= 0);
	close(dialed.fd);
	assert_in_range(clock_now_us() - began_us, 0, 200000);
	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++)
		close(fillers[i]);
	world_free(world);
}

/* --- through a proxy ------------------------------------------------------------------------ */

struct proxy {
	const char *answers[3]; /* sent one after the other, with a pause between */
	char request[1024];
};

static struct proxy *the_proxy;

/* In a thread of its own, since it waits for what the dial under test sends. */
static void *serve_proxy(void *context)
{
	int listener = *(int *)context;
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
		size_t length = 0;
		ssize_t count = 1;
		while (count > 0 && !memmem(the_proxy->request, length, "\r\n\r\n", 4)) {
			count = recv(fd, the_proxy->request + length,
				sizeof(the_proxy->request) - 1 - length, 0);
			length += count > 0 ? (size_t)count : 0;
		}
		for (size_t i = 0; i < ARRAY_SIZE(the_proxy->answers) && the_proxy->answers[i];
			i++) {
			send(fd, the_proxy->answers[i], strlen(the_proxy->answers[i]),
				MSG_NOSIGNAL);
			usleep(20000);
		}
	}
	return NULL;
}

static void test_proxy(void **state)
{
	(void)state;
	struct sockaddr_in address = {0};
	cleanup_close int listener = loopback_socket(SOCK_STREAM, &address);
	char url[128];
	snprintf(url, sizeof(url), "http://user:p%%40ss@127.0.0.1:%u", ntohs(address.sin_port));
	struct world *world = world_new(NULL);
	world_set(world, "upstream-proxy", url);
	world_set(world, "allow-domain", "far.example.com");
	world_start(world);
	/* The head in pieces, and the tunnel's first bytes in the same segment as its end. */
	struct proxy proxy = {
		.answers = {"HTTP/1.1 200 OK\r\nVia: x\r", "\n\r", "\nSSH-2.0-hello"}};
	the_proxy = &proxy;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, serve_proxy, &listener), 0);
	struct dialed dialed = dial(world, "far.example.com", NULL, 443);
	assert_true(dialed.fd >= 0);
	assert_string_equal(proxy.request,
		"CONNECT far.example.com:443 HTTP/1.1\r\nHost: far.example.com:443\r\n"
		"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n");
	char data[64] = {0};
	assert_int_equal(recv(dialed.fd, data, sizeof(data) - 1, 0), 13);
	assert_string_equal(data, "SSH-2.0-hello");
	close(dialed.fd);
	assert_int_equal(world->asked_count, 0); /* the name is the proxy's to resolve */

	static const struct {
		const char *answer;
		int error;
	} failures[] = {{"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", -EACCES},
		{"HTTP/1.1 403 Forbidden\r\n\r\n", -ECONNREFUSED}, {"SSH-2.0-x\r\n\r\n", -EPROTO},
		{"HTTP/1.1 20\r\n\r\n", -EPROTO}, {"HTTP/1.1 200 OK\r\n", -EPROTO}};
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		proxy = (struct proxy){.answers = {failures[i].answer}};
		dialed = dial(world, "far.example.com", NULL, 443);
		assert_int_equal(dialed.fd, failures[i].error);
		assert_null(strstr(dialed.reason, "p@ss"));
	}
	/* Literals are checked as ever. */
	struct in6_addr literal;
	network_parse_address("10.1.2.3", &literal);
	assert_int_equal(dial(world, NULL, &literal, 443).fd, -EACCES);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	dialed = dial(world, "far.example.com", NULL, 443);
	assert_int_equal(dialed.fd, -ECONNREFUSED);
	assert_non_null(strstr(dialed.reason, "proxy"));
	world_free(world);
}

static void test_proxy_urls(void **state)
{
	(void)state;
	struct upstream_proxy proxy;
	struct error error;
	assert_int_equal(dial_parse_proxy("http://Proxy.Example.COM:8080/", &proxy, &error), 0);
	assert_string_equal(proxy.name, "proxy.example.com");
	assert_int_equal(proxy.port, 8080);
	assert_null(proxy.authorization);
	dial_release_proxy(&proxy);
	assert_int_equal(dial_parse_proxy("http://u:@[fd00::1]:3128", &proxy, &error), 0);
	assert_string_equal(proxy.name, "");
	assert_int_equal(proxy.address.s6_addr[0], 0xfd);
	assert_string_equal(proxy.authorization, "Basic dTo=");
	dial_release_proxy(&proxy);
	static const char *const bad[] = {"", "proxy:80", "https://proxy:80", "http://proxy",
		"http://proxy:", "http://proxy:0", "http://proxy:65536", "http://proxy:80/x",
		"http://:80", "http://u%4:p@proxy:80", "http://a b:80", "http://proxy:+80"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (dial_parse_proxy(bad[i], &proxy, &error) != -EINVAL || proxy.used)
			fail_msg("'%s' is taken", bad[i]);
}

/* --- the host's own files ------------------------------------------------------------------- */

static void test_hosts_file(void **state)
{
	(void)state;
	struct hosts *hosts;
	assert_int_equal(
		hosts_parse("# comment\n127.0.0.1\tlocalhost\n10.0.0.1 Db db.lan # x\n"
			    "nonsense line\n10.0.0.2 db\n\n::1 localhost bad..name\r\n1.2.3.4",
			&hosts),
		0);
	struct in6_addr addresses[HOSTS_ADDRESSES_MAX];
	assert_int_equal(hosts_find(hosts, "db", addresses), 2);
	assert_int_equal(addresses[0].s6_addr[15], 1);
	assert_int_equal(addresses[1].s6_addr[15], 2);
	assert_int_equal(hosts_find(hosts, "localhost", addresses), 2);
	assert_int_equal(hosts_find(hosts, "db.lan", addresses), 1);
	assert_int_equal(hosts_find(hosts, "line", addresses), 0);
	assert_int_equal(hosts_find(hosts, "zz", addresses), 0);
	hosts_free(hosts);
}

static void test_nameservers(void **state)
{
	(void)state;
	struct nameserver servers[NETWORK_RESOLVERS_MAX];
	assert_int_equal(
		hosts_parse_nameservers("search lan\nnameserver 10.0.0.53 # x\n"
					"nameserver fe80::1%eth0\nnameserver\t2001:db8::53\r\n"
					"nameserverx 1.1.1.1\noptions edns0\n#nameserver 9.9.9.9\n",
			servers),
		2);
	assert_int_equal(servers[0].address.s6_addr[15], 53);
	assert_int_equal(servers[0].port, 53);
	assert_int_equal(servers[1].address.s6_addr[15], 0x53);
	assert_int_equal(hosts_parse_nameservers("nameserver 1.1.1.1\nnameserver 1.1.1.2\n"
						 "nameserver 1.1.1.3\nnameserver 1.1.1.4",
				 servers),
		3);
	assert_int_equal(hosts_parse_nameservers("", servers), 0);
	assert_int_equal(hosts_parse_nameserver("127.0.0.1:5353", servers), 0);
	assert_int_equal(servers[0].port, 5353);
	assert_int_equal(hosts_parse_nameserver("[::1]:5353", servers), 0);
	assert_int_equal(servers[0].port, 5353);
	assert_int_equal(hosts_parse_nameserver("::1", servers), 0);
	static const char *const bad[] = {
		"", "x", "1.1.1.1:", "1.1.1.1:0", "1.1.1.1:70000", "[::1", "[::1]:", "1.1.1.1:5x"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (hosts_parse_nameserver(bad[i], servers) == 0)
			fail_msg("'%s' is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_refused_answers),
		cmocka_unit_test(test_liars),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_too_many_at_once),
		cmocka_unit_test(test_slowness),
		cmocka_unit_test(test_dial),
		cmocka_unit_test(test_happy_eyeballs),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_proxy_urls),
		cmocka_unit_test(test_hosts_file),
		cmocka_unit_test(test_nameservers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
