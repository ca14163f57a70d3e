#include "base/cleanup.h"
#include "egress/egress.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

/* ---- what stands around udp.c ---- */

static struct egress_record logged[2048];
static size_t logged_count;
static ssize_t bytes_allowed; /* what rate_bytes() lets through, or an error */
static struct upstream_answer answer;
static bool answer_later;
static const struct network_policy *the_policy;
static struct {
	upstream_resolved resolved;
	void *context;
} waiting;

void egress_log(struct egress *egress, const struct egress_record *record)
{
	(void)egress;
	assert_true(logged_count < ARRAY_SIZE(logged));
	logged[logged_count++] = *record;
}

int rate_connection(struct rate *rate)
{
	(void)rate;
	return 0;
}

ssize_t rate_bytes(struct rate *rate, int direction, size_t want, int *ret_wait_ms)
{
	(void)rate, (void)direction;
	*ret_wait_ms = 1;
	return bytes_allowed < 0 || (size_t)bytes_allowed < want ? bytes_allowed : (ssize_t)want;
}

void rate_used(struct rate *rate, int direction, size_t bytes)
{
	(void)rate, (void)direction, (void)bytes;
}

void upstream_resolve(
	struct upstream *upstream, const char *name, upstream_resolved resolved, void *context)
{
	(void)upstream;
	assert_string_equal(name, "time.example.org");
	if (answer_later) {
		waiting.resolved = resolved;
		waiting.context = context;
	} else {
		resolved(context, &answer);
	}
}

bool upstream_may_dial(struct upstream *upstream, const char *name,
	const struct upstream_answer *addresses, uint16_t port, char reason[160])
{
	(void)upstream, (void)name;
	bool may = true;
	for (size_t i = 0; may && i < addresses->count; i++)
		may = network_may_dial(the_policy, &addresses->addresses[i], port, reason);
	return may;
}

void upstream_forget(struct upstream *upstream, void *context)
{
	(void)upstream;
	if (waiting.context == context)
		waiting.context = NULL;
}

/* ---- the world: a server on this host's loopback, which the policy allows ---- */

struct world {
	struct egress egress;
	int server;
	struct sockaddr_in box; /* where udp.c's socket is */
};

static struct in6_addr parse(const char *text)
{
	struct in6_addr address;
	assert_int_equal(network_parse_address(text, &address), 0);
	return address;
}

static int bound_socket(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static void set(struct network_policy *policy, const char *key, const char *value)
{
	struct error error = {0};
	if (network_set(policy, key, value, NULL, &error) < 0)
		fail_msg("%s %s: %s", key, value, error.message);
}

static struct sockaddr_in loopback(void)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int set_up_with(void **state, bool may_dial, const char *name)
{
	struct world *world = calloc(1, sizeof(*world));
	char text[64];
	assert_non_null(world);
	struct sockaddr_in address = loopback();
	world->server = bound_socket(&address);
	network_policy_init(&world->egress.policy);
	the_policy = &world->egress.policy;
	if (may_dial)
		set(&world->egress.policy, "allow-cidr", "127.0.0.0/8:1-65535");
	snprintf(text, sizeof(text), "%s:%d", name, ntohs(address.sin_port));
	set(&world->egress.policy, "allow-udp", text);
	world->egress.udp_flows_max = EGRESS_UDP_FLOWS_MAX;
	world->egress.base = event_base_new();
	logged_count = 0;
	bytes_allowed = 1 << 20;
	answer = (struct upstream_answer){.count = 1};
	answer.addresses[0] = parse("127.0.0.1");
	answer_later = false;
	waiting.context = NULL;
	*state = world;
	return 0;
}

/* A socket as init makes it, its port saying the rule; at another address of loopback, since the
 * port itself may be anyone's. */
static bool add_box_socket(struct world *world)
{
	world->box = loopback();
	world->box.sin_port = htons(EGRESS_PORT_UDP);
	world->box.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x1200);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fd, (struct sockaddr *)&world->box, sizeof(world->box)) < 0) {
		close(fd);
		return false;
	}
	assert_int_equal(udp_add(&world->egress, 99, fd), 0);
	return true;
}

static int set_up(void **state)
{
	return set_up_with(state, true, "time.example.org");
}

static int set_up_closed(void **state)
{
	return set_up_with(state, false, "time.example.org");
}

static int set_up_literal(void **state)
{
	return set_up_with(state, true, "127.0.0.1");
}

static int tear_down(void **state)
{
	struct world *world = *state;
	udp_stop(&world->egress);
	event_base_free(world->egress.base);
	network_policy_release(&world->egress.policy);
	close(world->server);
	free(world);
	return 0;
}

/* Lets the loop do what there is to do, until fd has something (or a moment has passed). */
static bool run_until_readable(struct world *world, int fd)
{
	for (unsigned i = 0; i < 50; i++) {
		struct pollfd entry = {.fd = fd, .events = POLLIN};
		event_base_loop(world->egress.base, EVLOOP_NONBLOCK);
		if (poll(&entry, 1, 2) == 1)
			return true;
	}
	return false;
}

/* The program's end and udp.c's of a pair as the landlock tier has them. */
static int add_pair(struct world *world)
{
	int ends[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(udp_add(&world->egress, 0, ends[1]), 0);
	return ends[0];
}

static void expect_exchange(struct world *world, int client)
{
	char text[8] = "";
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_true(run_until_readable(world, world->server));
	assert_int_equal(
		recvfrom(world->server, text, sizeof(text), 0, (struct sockaddr *)&from, &length),
		3);
	assert_memory_equal(text, "ask", 3);
	assert_int_equal(
		sendto(world->server, "answer", 6, 0, (struct sockaddr *)&from, length), 6);
	assert_true(run_until_readable(world, client));
	assert_int_equal(recv(client, text, sizeof(text), 0), 6);
	assert_memory_equal(text, "answer", 6);
}

/* ---- tests ---- */

static void test_clients_have_flows_of_their_own(void **state)
{
	struct world *world = *state;
	if (!add_box_socket(world)) {
		print_message("binding port %d takes privileges here\n", EGRESS_PORT_UDP);
		skip();
	}
	int clients[3];
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		struct sockaddr_in own = loopback();
		clients[i] = bound_socket(&own);
		assert_int_equal(
			connect(clients[i], (struct sockaddr *)&world->box, sizeof(world->box)), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		expect_exchange(world, clients[i]);
	expect_exchange(world, clients[0]);
	udp_stop(&world->egress);
	assert_int_equal(logged_count, 3); /* the fourth exchange went over the first flow */
	size_t bytes_out = 0;
	for (size_t i = 0; i < logged_count; i++) {
		assert_int_equal(logged[i].verdict, NETWORK_ALLOW);
		assert_int_equal(logged[i].how, EGRESS_HOW_UDP);
		assert_int_equal(logged[i].protocol, EGRESS_PROTOCOL_UDP);
		assert_string_equal(logged[i].name, "time.example.org");
		assert_true(logged[i].client_port != 0);
		bytes_out += logged[i].bytes_out;
	}
	assert_int_equal(bytes_out, 12);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
}

static void test_pair(void **state)
{
	struct world *world = *state;
	cleanup_close int client = add_pair(world);
	expect_exchange(world, client);
	udp_stop(&world->egress);
	assert_int_equal(logged_count, 1);
	assert_int_equal(logged[0].bytes_out, 3);
	assert_int_equal(logged[0].bytes_in, 6);
	struct in6_addr dialed = parse("127.0.0.1");
	assert_memory_equal(&logged[0].address, &dialed, 16);
}

/* Nobody but the destination can answer. */
static void test_strangers_are_not_heard(void **state)
{
	struct world *world = *state;
	struct sockaddr_in flow = {0}, own = loopback();
	socklen_t length = sizeof(flow);
	char text[8];
	cleanup_close int client = add_pair(world);
	cleanup_close int stranger = bound_socket(&own);
	assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_true(run_until_readable(world, world->server));
	assert_int_equal(
		recvfrom(world->server, text, sizeof(text), 0, (struct sockaddr *)&flow, &length),
		3);
	assert_int_equal(sendto(stranger, "evil", 4, 0, (struct sockaddr *)&flow, length), 4);
	assert_false(run_until_readable(world, client));
}

static void test_what_comes_early_is_kept(void **state)
{
	struct world *world = *state;
	char text[8];
	cleanup_close int client = add_pair(world);
	answer_later = true;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_false(run_until_readable(world, world->server));
	assert_non_null(waiting.context);
	waiting.resolved(waiting.context, &answer);
	unsigned got = 0;
	while (recv(world->server, text, sizeof(text), MSG_DONTWAIT) == 3)
		got++;
	assert_int_equal(got, 4); /* what is more is dropped */
}

static void test_end_while_resolving(void **state)
{
	struct world *world = *state;
	cleanup_close int client = add_pair(world);
	answer_later = true;
	assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_false(run_until_readable(world, world->server));
	assert_non_null(waiting.context);
	udp_stop(&world->egress);
	assert_null(waiting.context); /* forgotten: it will not be told */
	assert_int_equal(logged_count, 1);
}

static void test_refused_address(void **state)
{
	struct world *world = *state;
	cleanup_close int client = add_pair(world);
	assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_false(run_until_readable(world, world->server));
	assert_int_equal(logged_count, 1);
	assert_int_equal(logged[0].verdict, NETWORK_DENY);
	assert_int_equal(logged[0].errno_value, EACCES);
	assert_true(*logged[0].reason);
}

static void test_denied_literal(void **state)
{
	struct world *world = *state;
	cleanup_close int first = add_pair(world);
	expect_exchange(world, first); /* allowed as it is */
	set(&world->egress.policy, "deny-cidr", "127.0.0.1");
	logged_count = 0;
	cleanup_close int second = add_pair(world);
	assert_int_equal(send(second, "ask", 3, 0), 3);
	assert_false(run_until_readable(world, world->server));
	assert_int_equal(logged_count, 1);
	assert_int_equal(logged[0].verdict, NETWORK_DENY);
}

static void test_limits(void **state)
{
	struct world *world = *state;
	char text[8];
	cleanup_close int client = add_pair(world);
	expect_exchange(world, client);
	bytes_allowed = 2; /* less than a datagram: it is dropped, not cut */
	assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_false(run_until_readable(world, world->server));
	assert_int_equal(logged_count, 0);
	bytes_allowed = -EDQUOT;
	assert_int_equal(send(client, "ask", 3, 0), 3);
	assert_false(run_until_readable(world, world->server));
	assert_int_equal(recv(world->server, text, sizeof(text), MSG_DONTWAIT), -1);
	assert_int_equal(logged_count, 1);
	assert_int_equal(logged[0].errno_value, EDQUOT);
	assert_int_equal(logged[0].verdict, NETWORK_DENY);
}

/* The least recently used flow makes room. */
static void test_flows_are_bounded(void **state)
{
	struct world *world = *state;
	enum { MORE_THAN_FIT = 1024 + 6 };
	struct rlimit files;
	int first = -1;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_max < 3 * MORE_THAN_FIT) {
		print_message("only %llu open files here\n", (unsigned long long)files.rlim_max);
		skip();
	}
	for (unsigned i = 0; i < MORE_THAN_FIT; i++) {
		int client = add_pair(world);
		assert_int_equal(send(client, "x", 1, 0), 1);
		event_base_loop(world->egress.base, EVLOOP_NONBLOCK);
		if (i == 0)
			first = client; /* its flow goes, and with it the end in egress */
		else
			close(client);
	}
	assert_int_equal(logged_count, 6);
	assert_int_equal(send(first, "x", 1, MSG_NOSIGNAL), -1);
	close(first);
}

static void test_no_such_rule(void **state)
{
	struct world *world = *state;
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(udp_add(&world->egress, 1, ends[1]), -EINVAL);
	close(ends[0]);
	struct sockaddr_in own = loopback(); /* a port far beyond the rules' */
	assert_int_equal(udp_add(&world->egress, 0, bound_socket(&own)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_clients_have_flows_of_their_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strangers_are_not_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_comes_early_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end_while_resolving, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_address, set_up_closed, tear_down),
		cmocka_unit_test_setup_teardown(test_denied_literal, set_up_literal, tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flows_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_such_rule, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
