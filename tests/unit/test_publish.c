#include "base/cleanup.h"
#include "base/fd.h"
#include "confine/network.h"
#include "egress/egress.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

/* ---- what stands around publish.c: connections without a relay ---- */

static struct connection *relayed; /* the last one that got so far */
static struct egress_record ended;
static unsigned ended_count;

struct connection *connection_new(struct egress *egress, int client, enum egress_how how)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	assert_non_null(connection);
	assert_int_equal(how, EGRESS_HOW_PUBLISH);
	connection->egress = egress;
	connection->client = client;
	connection->server = -1;
	return connection;
}

void connection_set_target(struct connection *connection, const char *name,
	const struct in6_addr *address, uint16_t port)
{
	assert_null(name);
	assert_null(address);
	connection->record.port = port;
}

void connection_set_handler(
	struct connection *connection, void *handler, void (*release)(void *handler))
{
	if (connection->release)
		connection->release(connection->handler);
	connection->handler = handler;
	connection->release = release;
}

void connection_reset(struct connection *connection)
{
	connection_set_handler(connection, NULL, NULL);
	ended = connection->record;
	ended_count++;
	close_fd(&connection->client);
	close_fd(&connection->server);
	free(connection);
}

void connection_relay(struct connection *connection)
{
	assert_null(relayed);
	relayed = connection;
}

/* ---- a box: a process in namespaces of its own, with servers on its loopback ---- */

enum { PORT_V4 = 8080, PORT_V6 = 8081, PORT_NOBODY = 8082 };

struct box {
	pid_t pid;
	int user, net; /* -1: no namespaces here */
};

static int listen_on(int family, uint16_t port)
{
	const struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (family == AF_INET ? bind(fd, (const struct sockaddr *)&v4, sizeof(v4))
			      : bind(fd, (const struct sockaddr *)&v6, sizeof(v6)))
		return -1;
	return listen(fd, 16) == 0 ? fd : -1;
}

/* Says to everyone who connects which server it is. */
static void serve(void)
{
	struct pollfd servers[] = {{.fd = listen_on(AF_INET, PORT_V4), .events = POLLIN},
		{.fd = listen_on(AF_INET6, PORT_V6), .events = POLLIN}};
	while (poll(servers, ARRAY_SIZE(servers), -1) > 0)
		for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
			if (!(servers[i].revents & POLLIN))
				continue;
			int client = accept(servers[i].fd, NULL, NULL);
			(void)!write(client, i ? "six" : "for", 3);
			close(client);
		}
}

static void be_box(int socket)
{
	char uid_map[64], gid_map[64];
	struct error error;
	int fds[2];
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	snprintf(uid_map, sizeof(uid_map), "1000 %d 1\n", geteuid());
	snprintf(gid_map, sizeof(gid_map), "1000 %d 1\n", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/uid_map", uid_map) < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/gid_map", gid_map) < 0 ||
		network_raise_loopback(&error) < 0)
		_exit(77);
	fds[0] = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	fds[1] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd_send(socket, "n", 1, fds, 2) < 0)
		_exit(1);
	serve();
	_exit(0);
}

static void start_box(struct box *box)
{
	int ends[2], fds[2] = {-1, -1};
	size_t count = 2;
	char byte;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	box->pid = fork();
	if (box->pid == 0)
		be_box(ends[1]);
	close(ends[1]);
	fd_receive(ends[0], &byte, 1, fds, &count);
	close(ends[0]);
	box->user = fds[0];
	box->net = fds[1];
}

/* ---- the host's side ---- */

struct world {
	struct egress egress;
	struct box box;
	uint16_t ports[3]; /* of the host, for PORT_V4, PORT_V6, PORT_NOBODY */
};

static uint16_t free_port(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(own);
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &length), 0);
	return ntohs(own.sin_port);
}

static void publish_port(struct world *world, uint16_t host_port, uint16_t box_port)
{
	struct error error;
	char text[32];
	snprintf(text, sizeof(text), "%d:%d", host_port, box_port);
	assert_int_equal(network_set(&world->egress.policy, "publish", text, NULL, &error), 0);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	network_policy_init(&world->egress.policy);
	world->egress.uid = world->egress.gid = 65534;
	world->egress.connections_max = 8;
	for (uint16_t i = 0; i < ARRAY_SIZE(world->ports); i++) {
		world->ports[i] = free_port();
		publish_port(world, world->ports[i], PORT_V4 + i);
	}
	world->egress.base = event_base_new();
	world->box = (struct box){.user = -1, .net = -1};
	relayed = NULL;
	ended_count = 0;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	if (relayed)
		connection_reset(relayed);
	publish_stop(&world->egress);
	event_base_free(world->egress.base);
	network_policy_release(&world->egress.policy);
	if (world->box.pid > 0) {
		kill(world->box.pid, SIGKILL);
		waitpid(world->box.pid, NULL, 0);
	}
	close_fd(&world->box.user);
	close_fd(&world->box.net);
	free(world);
	return 0;
}

static int connect_host(uint16_t port)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void run_until_settled(struct world *world)
{
	unsigned before = ended_count;
	for (unsigned i = 0; i < 1000 && !relayed && ended_count == before; i++) {
		event_base_loop(world->egress.base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 2);
	}
}

/* A connection to the host's port reaches the server in the box. */
static void expect_server(struct world *world, uint16_t port, const char *greeting)
{
	char text[8] = "";
	cleanup_close int client = connect_host(port);
	run_until_settled(world);
	assert_non_null(relayed);
	assert_int_equal(relayed->record.verdict, NETWORK_ALLOW);
	assert_int_equal(relayed->record.ended, 1);
	struct pollfd entry = {.fd = relayed->server, .events = POLLIN};
	assert_int_equal(poll(&entry, 1, 2000), 1);
	assert_int_equal(recv(relayed->server, text, sizeof(text), 0), 3);
	assert_memory_equal(text, greeting, 3);
	connection_reset(relayed);
	relayed = NULL;
}

static void expect_nobody(struct world *world, uint16_t port)
{
	cleanup_close int client = connect_host(port);
	run_until_settled(world);
	assert_null(relayed);
	assert_int_equal(ended_count, 1);
	assert_int_equal(ended.errno_value, ECONNREFUSED);
	assert_non_null(strstr(ended.reason, "nothing listens"));
}

static void test_box(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	assert_int_equal(publish_prepare(&world->egress, &error), 0);
	start_box(&world->box);
	if (world->box.net < 0) {
		print_message("no user and network namespaces here\n");
		skip();
	}
	if (publish_start(&world->egress, world->box.user, world->box.net, &error) < 0)
		fail_msg("%s", error.message);
	ended_count = 0;
	expect_nobody(world, world->ports[2]);
	for (unsigned i = 0; i < 3; i++) {
		expect_server(world, world->ports[0], "for");
		expect_server(world, world->ports[1], "six");
	}
}

/* A client that has gone before it was joined leaves nothing behind. */
static void test_end_while_joining(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	assert_int_equal(publish_prepare(&world->egress, &error), 0);
	start_box(&world->box);
	if (world->box.net < 0) {
		print_message("no user and network namespaces here\n");
		skip();
	}
	assert_int_equal(publish_start(&world->egress, world->box.user, world->box.net, &error), 0);
	cleanup_close int client = connect_host(world->ports[0]);
	/* Accepted and asked for in one turn; the answer would come in the next. */
	event_base_loop(world->egress.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	publish_stop(&world->egress);
	assert_true(ended_count == 1 || relayed);
	if (ended_count)
		assert_int_equal(ended.errno_value, EIO);
}

static void test_namespaces_that_are_none(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	assert_int_equal(publish_prepare(&world->egress, &error), 0);
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(publish_start(&world->egress, null, null, &error) < 0);
	assert_string_equal(error.stage, "publish");
}

static void test_port_in_use(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	own.sin_port = htons(world->ports[1]);
	cleanup_close int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(publish_prepare(&world->egress, &error), -EADDRINUSE);
	assert_non_null(strstr(error.hint, "--publish PORT:8081"));
}

static void test_nothing_to_publish(void **state)
{
	struct egress egress = {0};
	struct error error;
	(void)state;
	network_policy_init(&egress.policy);
	assert_int_equal(publish_prepare(&egress, &error), 0);
	assert_int_equal(publish_start(&egress, -1, -1, &error), 0);
	publish_stop(&egress);
	assert_null(egress.publish);
	network_policy_release(&egress.policy);
}

/* There the box's loopback is the host's; a port that is published as itself needs nothing. */
static void test_landlock_tier(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	uint16_t port = free_port();
	cleanup_close int server = listen_on(AF_INET, port);
	assert_true(server >= 0);
	world->egress.landlock = true;
	uint16_t host_port = free_port();
	publish_port(world, host_port, port);
	publish_port(world, port, port);
	assert_int_equal(publish_prepare(&world->egress, &error), 0);
	cleanup_close int client = connect_host(host_port);
	run_until_settled(world);
	assert_non_null(relayed);
	struct pollfd entry = {.fd = server, .events = POLLIN};
	assert_int_equal(poll(&entry, 1, 2000), 1);
}

static uint64_t cpu_us(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static void expect_idle(struct world *world)
{
	uint64_t before = cpu_us();
	event_base_loopexit(world->egress.base, &(struct timeval){.tv_usec = 250000});
	event_base_dispatch(world->egress.base);
	assert_in_range(cpu_us() - before, 0, 100000);
	assert_null(relayed);
}

/* Without room for a connection it neither spins nor drops clients, and goes on when there is. */
static void test_no_room(void **state)
{
	struct world *world = *state;
	struct error error = {0};
	uint16_t port = free_port(), host_port = free_port();
	cleanup_close int server = listen_on(AF_INET, port);
	assert_true(server >= 0);
	world->egress.landlock = true;
	publish_port(world, host_port, port);
	assert_int_equal(publish_prepare(&world->egress, &error), 0);
	cleanup_close int client = connect_host(host_port);
	struct rlimit before, none;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 4, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	expect_idle(world);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

	world->egress.connections_count = world->egress.connections_max;
	expect_idle(world);
	world->egress.connections_count = 0;
	run_until_settled(world);
	assert_non_null(relayed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_box, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end_while_joining, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_namespaces_that_are_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_port_in_use, set_up, tear_down),
		cmocka_unit_test(test_nothing_to_publish),
		cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_landlock_tier, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
