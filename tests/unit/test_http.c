/* The HTTP engine, the proxy port and the look at ClientHellos, over socket pairs: a test writes
 * what a client or a server says and compares what comes out at the other ends. What lies below a
 * connection (dialing, the rate, secrets) is played here; the policy is the real one. */
#include "hello_samples.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "egress/egress.h"
#include "egress/http_head.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { SERVERS_MAX = 8, TEXT_BYTES = 16 * 1024 };

static const char placeholder[] = "PLACEHOLDER", value[] = "realsecret!";

static struct {
	struct egress egress;
	struct connection *connection; /* NULL: it has ended */
	struct egress_record last;     /* of a connection that has */
	int client;                    /* the program's end */
	int servers[SERVERS_MAX];      /* the servers' ends */
	size_t dials;
	int dial_error;
	int logged, relayed, gone_on;
	int wait_ms, requests_left; /* rate_request() */
	ssize_t bytes_left;         /* rate_bytes(); -1: no limit */
	int bytes_wait_ms[2];       /* rate_bytes(), once */
} world;

/* ---- what is played ---- */

void connection_set_handler(struct connection *connection, void *handler, void (*release)(void *))
{
	void *old = connection->handler;
	void (*release_old)(void *) = connection->release;
	connection->handler = handler;
	connection->release = release;
	if (release_old)
		release_old(old);
}

void connection_end(struct connection *connection)
{
	assert_ptr_equal(connection, world.connection);
	connection_set_handler(connection, NULL, NULL);
	if (connection->pending)
		evbuffer_free(connection->pending);
	close_fd(&connection->client);
	close_fd(&connection->server);
	world.last = connection->record;
	world.connection = NULL;
	free(connection);
}

void connection_reset(struct connection *connection)
{
	connection_end(connection);
}

void connection_refuse(struct connection *connection, int errno_value, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	connection->record.errno_value = errno_value;
	connection->record.verdict = NETWORK_DENY;
	vsnprintf(connection->record.reason, sizeof(connection->record.reason), format, args);
	va_end(args);
	connection_end(connection);
}

void connection_set_target(struct connection *connection, const char *name,
	const struct in6_addr *address, uint16_t port)
{
	snprintf(connection->name, sizeof(connection->name), "%s", name ? name : "");
	connection->address = address ? *address : (struct in6_addr){0};
	connection->port = port;
}

bool connection_set_address(
	struct connection *connection, const struct in6_addr *address, uint16_t port)
{
	connection_set_target(connection, NULL, address, port);
	return true;
}

void connection_decide(struct connection *connection, connection_step then, connection_step refused)
{
	struct network_decision *decision = &connection->decision;
	const struct network_policy *policy = &world.egress.policy;
	if (connection->name[0])
		network_decide_name(policy, connection->name, connection->port, decision);
	else
		network_decide_address(policy, &connection->address, connection->port, decision);
	bool allowed = decision->verdict == NETWORK_ALLOW;
	connection->record.verdict = (uint8_t)decision->verdict;
	snprintf(connection->record.rule, sizeof(connection->record.rule), "%s",
		decision->rule ? decision->rule->source : "default");
	snprintf(connection->record.reason, sizeof(connection->record.reason), "%s",
		allowed ? "" : decision->reason);
	(allowed ? then : refused)(connection);
}

void connection_dial(
	struct connection *connection, void (*then)(struct connection *connection, int error))
{
	int pair[2];
	if (world.dial_error) {
		then(connection, world.dial_error);
		return;
	}
	assert_true(world.dials < SERVERS_MAX);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	connection->server = pair[0];
	world.servers[world.dials++] = pair[1];
	then(connection, 0);
}

void connection_relay(struct connection *connection)
{
	(void)connection;
	world.relayed++;
}

void connection_go(struct connection *connection)
{
	(void)connection;
	world.gone_on++;
}

void egress_log(struct egress *egress, const struct egress_record *record)
{
	(void)egress;
	assert_true(record->requests > 0);
	world.logged++;
}

int rate_request(struct rate *rate)
{
	(void)rate;
	if (world.wait_ms > 0) {
		int wait_ms = world.wait_ms;
		world.wait_ms = 0;
		return wait_ms;
	}
	return world.requests_left-- > 0 ? 0 : -EDQUOT;
}

ssize_t rate_bytes(struct rate *rate, int direction, size_t want, int *ret_wait_ms)
{
	(void)rate;
	if (world.bytes_wait_ms[direction] > 0) {
		*ret_wait_ms = world.bytes_wait_ms[direction];
		world.bytes_wait_ms[direction] = 0;
		return 0;
	}
	if (world.bytes_left < 0)
		return (ssize_t)want;
	if (world.bytes_left == 0)
		return -EDQUOT;
	return (size_t)world.bytes_left < want ? world.bytes_left : (ssize_t)want;
}

void rate_used(struct rate *rate, int direction, size_t bytes)
{
	(void)rate;
	(void)direction;
	if (world.bytes_left > 0)
		world.bytes_left -=
			(ssize_t)bytes < world.bytes_left ? (ssize_t)bytes : world.bytes_left;
}

/* One secret, for secret.cof.net: in X-Key, if over TLS or if there is to be no such check. */
int secrets_apply(struct secrets *secrets, const char *name, bool tls, struct http_head *head,
	char reason[160])
{
	(void)secrets;
	(void)tls;
	const char *key = http_head_get(head, "x-key");
	if (!key || !strstr(key, placeholder))
		return 0;
	if (strcmp(name, "secret.cof.net") == 0)
		return http_head_set(head, "X-Key", value);
	snprintf(reason, 160, "a placeholder where it may not be");
	return -EACCES;
}

bool secrets_scan(const struct secrets *secrets, struct secret_scan *scan, const char *data,
	size_t length_bytes)
{
	(void)secrets;
	(void)scan;
	return memmem(data, length_bytes, placeholder, sizeof(placeholder) - 1) != NULL;
}

int secrets_mask(
	const struct secrets *secrets, struct evbuffer *source, struct evbuffer *target, bool last)
{
	(void)secrets;
	size_t length = evbuffer_get_length(source);
	size_t back = last || length < sizeof(value) ? 0 : sizeof(value) - 2;
	char *data = (char *)evbuffer_pullup(source, -1);
	for (char *found; length && (found = memmem(data, length, value, sizeof(value) - 1));) {
		memset(found, '*', sizeof(value) - 1);
		back = last ? 0 : back;
	}
	return evbuffer_remove_buffer(source, target, length - back) < 0 ? -ENOMEM : 0;
}

bool secrets_concern(const struct secrets *secrets, const char *name)
{
	(void)secrets;
	return strcmp(name, "secret.cof.net") == 0;
}

void inspect_start(struct connection *connection)
{
	world.gone_on += 100;
	(void)connection;
}

static void shaken_hands(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	bufferevent_trigger_event(context, BEV_EVENT_CONNECTED, 0);
}

struct bufferevent *inspect_server(struct connection *connection)
{
	struct bufferevent *server = bufferevent_socket_new(
		world.egress.base, steal_fd(&connection->server), BEV_OPT_CLOSE_ON_FREE);
	event_base_once(
		world.egress.base, -1, EV_TIMEOUT, shaken_hands, server, &(struct timeval){0});
	return server;
}

const char *inspect_failure(struct bufferevent *bufferevent)
{
	(void)bufferevent;
	return NULL;
}

/* ---- the tests' hands ---- */

static void set(const char *key, const char *text)
{
	struct error error = {0};
	if (network_set(&world.egress.policy, key, text, NULL, &error) < 0)
		fail_msg("%s %s: %s", key, text, error.message);
}

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	memset(world.servers, -1, sizeof(world.servers));
	world.client = -1;
	world.requests_left = 1000;
	world.bytes_left = -1;
	world.egress.base = event_base_new();
	network_policy_init(&world.egress.policy);
	set("allow-domain", "a.cof.net");
	set("allow-domain", "b.cof.net");
	set("allow-domain", "secret.cof.net");
	return world.egress.base ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (world.connection)
		connection_end(world.connection);
	close_fd(&world.client);
	for (size_t i = 0; i < SERVERS_MAX; i++)
		close_fd(&world.servers[i]);
	event_base_loop(world.egress.base, EVLOOP_NONBLOCK);
	event_base_free(world.egress.base);
	network_policy_release(&world.egress.policy);
	return 0;
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(world.egress.base, EVLOOP_NONBLOCK);
}

static void settle_for(int ms)
{
	for (uint64_t end = clock_now_us() + (uint64_t)ms * 1000; clock_now_us() < end;) {
		settle();
		usleep(2000);
	}
}

static struct connection *open_connection(const char *name, uint16_t port)
{
	int pair[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	struct connection *connection = calloc(1, sizeof(*connection));
	assert_non_null(connection);
	connection->egress = &world.egress;
	connection->client = pair[0];
	connection->server = -1;
	connection->decision.verdict = NETWORK_ALLOW;
	connection_set_target(connection, name, NULL, port);
	world.client = pair[1];
	world.connection = connection;
	return connection;
}

static void start(const char *name)
{
	http_start(open_connection(name, 80));
	settle();
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	settle();
}

static const char *hear(int fd)
{
	static char text[TEXT_BYTES];
	settle();
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool is_over(int fd)
{
	char byte;
	settle();
	return recv(fd, &byte, 1, 0) == 0;
}

/* A server's end is known only when it was dialed, which may be just now. */
#define expect_client(text) assert_string_equal(hear(world.client), text)
#define expect_server(i, text)                                                                     \
	do {                                                                                       \
		settle();                                                                          \
		assert_string_equal(hear(world.servers[i]), text);                                 \
	} while (0)

static void expect_status(const char *status, const char *said)
{
	const char *text = hear(world.client);
	if (strncmp(text, "HTTP/1.1 ", 9) != 0 || strncmp(text + 9, status, 3) != 0 ||
		!strstr(text, said))
		fail_msg("not %s with '%s' but: %s", status, said, text);
	assert_true(is_over(world.client));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.cof.net\r\n\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body

/* ---- one after the other ---- */

static void requests_on_one_connection_share_a_server(void **state)
{
	(void)state;
	start("a.cof.net");
	assert_int_equal(world.dials, 0);
	say(world.client, GET("/1"));
	expect_server(0, GET("/1"));
	say(world.servers[0], OK("3", "one"));
	expect_client(OK("3", "one"));
	say(world.client,
		"POST /2 HTTP/1.1\r\nHost: A.Cof.Net.:80\r\nContent-Length: 5\r\n\r\nhel");
	expect_server(0, "POST /2 HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 5\r\n\r\nhel");
	say(world.client, "lo");
	expect_server(0, "lo");
	say(world.servers[0], OK("0", ""));
	expect_client(OK("0", ""));
	assert_int_equal(world.dials, 1);
	assert_int_equal(world.connection->record.requests, 2);
	/* The second is checked as the first was. */
	say(world.client, "GET /3 HTTP/1.1\r\nHost: b.cof.net\r\n\r\n");
	expect_status("421", "b.cof.net");
	expect_server(0, "");
	assert_int_equal(world.dials, 1);
	close_fd(&world.client);
	settle();
	assert_null(world.connection);
	assert_int_equal(world.last.verdict, NETWORK_DENY);
	assert_int_equal(world.last.bytes_in, strlen(OK("3", "one") OK("0", "")));
}

static void pipelined_requests_are_served_in_turn(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/1") GET("/2") "GET /3 HTTP/1.1\r\nHost: a.cof.net\r\n"
					      "Connection: close\r\n\r\n" GET("/4"));
	expect_server(0, GET("/1"));
	say(world.servers[0], OK("1", "1"));
	expect_server(0, GET("/2"));
	say(world.servers[0], OK("1", "2"));
	expect_server(0, GET("/3"));
	say(world.servers[0], OK("1", "3"));
	expect_server(0, "");
	expect_client(OK("1", "1") OK("1", "2") "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
						"Connection: close\r\n\r\n3");
	assert_true(is_over(world.client));
}

static void heads_may_come_byte_by_byte(void **state)
{
	(void)state;
	start("a.cof.net");
	for (const char *at = GET("/slow"); *at; at++)
		say(world.client, (char[]){*at, '\0'});
	expect_server(0, GET("/slow"));
	for (const char *at = OK("2", "ok"); *at; at++)
		say(world.servers[0], (char[]){*at, '\0'});
	expect_client(OK("2", "ok"));
}

/* ---- bodies ---- */

static void chunks_are_framed_anew_both_ways(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, "POST / HTTP/1.1\r\nHost: a.cof.net\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "3;x=y\r\nabc\r\n02\r\nde\r\n");
	expect_server(0, "POST / HTTP/1.1\r\nHost: a.cof.net\r\nTransfer-Encoding: chunked\r\n\r\n"
			 "5\r\nabcde\r\n");
	say(world.client, "0\r\nTrailer: x\r\n\r\n");
	expect_server(0, "0\r\n\r\n");
	say(world.servers[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWi");
	expect_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nWi\r\n");
	say(world.servers[0], "ki\r\n0\r\nX: y\r\n\r\n");
	expect_client("2\r\nki\r\n0\r\n\r\n");
	say(world.client, GET("/next"));
	expect_server(0, GET("/next"));
}

static void an_old_client_gets_no_chunks(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, "GET / HTTP/1.0\r\nHost: a.cof.net\r\n\r\n");
	expect_server(0, GET("/"));
	say(world.servers[0],
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n0\r\n\r\n");
	expect_client("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nWiki");
	assert_true(is_over(world.client));
}

static void the_client_is_told_to_continue_by_the_server(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, "PUT / HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 2\r\n"
			  "Expect: 100-continue\r\n\r\n");
	expect_server(0, "PUT / HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 2\r\n"
			 "Expect: 100-continue\r\n\r\n");
	say(world.servers[0], "HTTP/1.1 100 Continue\r\n\r\n");
	expect_client("HTTP/1.1 100 Continue\r\n\r\n");
	say(world.client, "ok");
	expect_server(0, "ok");
	say(world.servers[0], "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK("0", ""));
	expect_client("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK("0", ""));
	/* An answer before the body: what follows it from the client is nobody's request. */
	say(world.client, "PUT / HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 99\r\n"
			  "Expect: 100-continue\r\n\r\n");
	hear(world.servers[0]);
	say(world.servers[0], "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
	expect_client("HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	assert_true(is_over(world.client));
}

static void responses_without_a_body_have_none(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client,
		"HEAD /1 HTTP/1.1\r\nHost: a.cof.net\r\n\r\n" GET("/2") GET("/3") GET("/4"));
	hear(world.servers[0]);
	say(world.servers[0], "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	expect_server(0, GET("/2"));
	say(world.servers[0], "HTTP/1.1 204 No Content\r\n\r\n");
	expect_server(0, GET("/3"));
	say(world.servers[0], "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
	expect_server(0, GET("/4"));
}

static void a_client_that_has_said_all_gets_its_answer(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/"));
	expect_server(0, GET("/"));
	assert_int_equal(shutdown(world.client, SHUT_WR), 0);
	settle();
	say(world.servers[0], OK("3", "yes"));
	expect_client(OK("3", "yes"));
	assert_true(is_over(world.client));
	assert_null(world.connection);
}

static void a_body_until_the_end_ends_the_connection(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/"));
	say(world.servers[0], "HTTP/1.1 200 OK\r\n\r\nsome");
	expect_client("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome");
	assert_false(is_over(world.client));
	close_fd(&world.servers[0]);
	assert_true(is_over(world.client));
}

/* 8 MiB towards a client that does not read: the server is held back; then all of it arrives. */
static void a_slow_client_holds_its_server_back(void **state)
{
	(void)state;
	enum { TOTAL = 8 << 20 };
	static char block[32 * 1024];
	size_t sent = 0, got = 0;
	start("a.cof.net");
	say(world.client, GET("/"));
	expect_server(0, GET("/"));
	say(world.servers[0], "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
	assert_true(strlen(hear(world.client)) > 0);
	for (int idle = 0; idle < 10; idle++) {
		ssize_t n = send(world.servers[0], block, sizeof(block), MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n, idle = 0;
		settle();
	}
	assert_true(sent > 64 * 1024 && sent < 2 << 20);
	while (got < TOTAL) {
		size_t want = TOTAL - sent < sizeof(block) ? TOTAL - sent : sizeof(block);
		ssize_t n = want ? send(world.servers[0], block, want, MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		settle();
		n = recv(world.client, block, sizeof(block), 0);
		assert_true(n != 0);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, TOTAL);
	say(world.client, GET("/next"));
	expect_server(0, GET("/next"));
}

/* ---- upgrades ---- */

#define WEBSOCKET                                                                                  \
	"GET /ws HTTP/1.1\r\nHost: a.cof.net\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCHED "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void a_websocket_is_relayed_and_counted(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, WEBSOCKET);
	expect_server(0, WEBSOCKET);
	say(world.servers[0], SWITCHED "hello");
	expect_client(SWITCHED "hello");
	uint64_t out = world.connection->record.bytes_out;
	say(world.client, "GET / HTTP/1.1\n\n");
	expect_server(0, "GET / HTTP/1.1\n\n");
	assert_int_equal(world.connection->record.bytes_out, out + 16);
	say(world.servers[0], "bye");
	close_fd(&world.servers[0]);
	expect_client("bye");
	assert_true(is_over(world.client));
}

static void no_other_protocol_is_changed_to(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client,
		"GET / HTTP/1.1\r\nHost: a.cof.net\r\nConnection: Upgrade, HTTP2-Settings\r\n"
		"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n");
	expect_server(0, GET("/"));
	say(world.servers[0], "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
	expect_status("502", "not asked for");
}

/* ---- refusals ---- */

static void an_ambiguous_request_reaches_no_server(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/1"));
	expect_server(0, GET("/1"));
	say(world.servers[0], OK("0", ""));
	hear(world.client);
	say(world.client, "POST / HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 6\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/smuggled"));
	expect_status("400", "both Content-Length and Transfer-Encoding");
	expect_server(0, "");
}

static void garbage_is_refused_at_once(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, "\x16\x03\x01 tls");
	expect_status("400", "other than HTTP");
}

static void a_chunk_that_lies_ends_it(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, "POST / HTTP/1.1\r\nHost: a.cof.net\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabcd\r\n");
	expect_status("400", "longer than its size");
}

/* A gigabyte without a line's end: answered and closed after a head's worth, and little is read on
 * behind the answer. */
static void an_endless_request_line_is_cut(void **state)
{
	(void)state;
	static char block[64 * 1024];
	size_t sent = 0;
	start("a.cof.net");
	memset(block, 'a', sizeof(block));
	memcpy(block, "GET /", 5);
	for (int idle = 0; idle < 20 && sent < 1 << 30; idle++) {
		ssize_t n = send(world.client, block, sizeof(block), MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n, idle = 0;
		memset(block, 'a', 5);
		settle();
	}
	assert_true(sent < 4 << 20);
	assert_int_equal(strncmp(hear(world.client), "HTTP/1.1 414", 12), 0);
	assert_null(world.connection);
	assert_int_equal(world.dials, 0);
}

static void endless_fields_are_cut(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, "GET / HTTP/1.1\r\nHost: a.cof.net\r\n");
	for (int i = 0; i < 70 && world.connection; i++) {
		char field[1025];
		memset(field, 'x', sizeof(field));
		memcpy(field, "X: ", 3);
		memcpy(field + 1022, "\r\n", 3);
		say(world.client, field);
	}
	expect_status("431", "too long");
}

static void rules_on_requests_hold_for_each(void **state)
{
	(void)state;
	set("net-request", "GET a.cof.net/open/**");
	set("net-request", "!* a.cof.net/open/not/**");
	start("a.cof.net");
	say(world.client, GET("/open/%61/../x?y"));
	expect_server(0, GET("/open/x?y"));
	say(world.servers[0], OK("0", ""));
	hear(world.client);
	say(world.client, "GET /open/a/%2e%2e/not/x HTTP/1.1\r\nHost: a.cof.net\r\n"
			  "Accept: application/json\r\n\r\n");
	expect_status("403", "{\"error\": {\"code\": \"refused\"");
	expect_server(0, "");
}

static void a_refusal_says_what_would_allow_it(void **state)
{
	(void)state;
	set("net-request", "GET a.cof.net/open/**");
	start("a.cof.net");
	say(world.client, "POST /open/x HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 0\r\n\r\n");
	expect_status("403", "--net-request 'POST a.cof.net/open/x'");
}

static void an_encoded_slash_is_ambiguous_to_rules(void **state)
{
	(void)state;
	set("net-request", "GET a.cof.net/open/**");
	start("a.cof.net");
	say(world.client, GET("/open/..%2fsecret"));
	expect_status("403", "encoded slash");
}

static void the_method_is_not_overridden(void **state)
{
	(void)state;
	static const char *const fields[] = {"X-HTTP-Method-Override", "X-Http-Method",
		"X-METHOD-OVERRIDE", "X_HTTP_Method-Override"};
	for (size_t i = 0; i < 2 * ARRAY_SIZE(fields); i++) {
		char text[256];
		network_policy_release(&world.egress.policy);
		network_policy_init(&world.egress.policy);
		if (i % 2)
			set("net-read", NULL);
		else
			set("net-request", "GET a.cof.net/**");
		start("a.cof.net");
		snprintf(text, sizeof(text),
			"GET / HTTP/1.1\r\nHost: a.cof.net\r\n%s: DELETE\r\n\r\n", fields[i / 2]);
		say(world.client, text);
		expect_status("403", "method");
		assert_int_equal(world.dials, 0);
		close_fd(&world.client);
		settle();
	}
}

static void reading_only_means_no_bodies_either(void **state)
{
	(void)state;
	set("net-read", NULL);
	start("a.cof.net");
	say(world.client, GET("/"));
	expect_server(0, GET("/"));
	say(world.servers[0], OK("0", ""));
	hear(world.client);
	say(world.client, "GET / HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 1\r\n\r\nx");
	expect_status("403", "--net-read");
	expect_server(0, "");
}

static void over_the_limit_waits_or_is_refused(void **state)
{
	(void)state;
	world.wait_ms = 30;
	world.requests_left = 1;
	start("a.cof.net");
	say(world.client, GET("/"));
	assert_int_equal(world.dials, 0);
	settle_for(60);
	expect_server(0, GET("/"));
	say(world.servers[0], OK("0", ""));
	hear(world.client);
	say(world.client, GET("/"));
	expect_status("429", "--net-limit");
}

static void heads_wait_for_the_rate_of_bytes(void **state)
{
	(void)state;
	world.bytes_wait_ms[1] = 30;
	start("a.cof.net");
	say(world.client, GET("/"));
	assert_int_equal(world.dials, 0);
	settle_for(60);
	expect_server(0, GET("/"));
	world.bytes_wait_ms[0] = 30;
	say(world.servers[0], OK("2", "ok"));
	char byte;
	assert_int_equal(recv(world.client, &byte, 1, MSG_DONTWAIT), -1);
	settle_for(60);
	assert_string_equal(hear(world.client), OK("2", "ok"));
}

static void bytes_are_limited_in_all(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/"));
	world.bytes_left = 60;
	say(world.servers[0], "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
	say(world.servers[0], "0123456789012345678901234567890123456789");
	assert_null(world.connection);
	assert_int_equal(world.last.verdict, NETWORK_DENY);
	assert_true(world.last.bytes_in <= 60);
}

/* ---- servers ---- */

static void a_server_that_cannot_be_reached_is_told_of(void **state)
{
	(void)state;
	static const struct {
		int error;
		const char *status;
	} cases[] = {{-ECONNREFUSED, "502"}, {-ETIMEDOUT, "504"}, {-EACCES, "403"}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		world.dial_error = cases[i].error;
		start("a.cof.net");
		say(world.client, GET("/"));
		expect_status(cases[i].status, strerror(-cases[i].error));
		close_fd(&world.client);
		settle();
		assert_null(world.connection);
	}
}

static void a_kept_server_that_has_gone_is_dialed_again(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/1"));
	hear(world.servers[0]);
	say(world.servers[0], OK("0", ""));
	hear(world.client);
	/* It takes the next request, and closes without an answer. */
	say(world.client, GET("/2"));
	expect_server(0, GET("/2"));
	close_fd(&world.servers[0]);
	expect_server(1, GET("/2"));
	/* This one was new: what it does not answer, it refuses to. */
	close_fd(&world.servers[1]);
	expect_status("502", "without an answer");
}

static void what_a_server_says_unasked_is_not_an_answer(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/1"));
	hear(world.servers[0]);
	say(world.servers[0], OK("0", "") OK("6", "forged"));
	expect_client(OK("0", ""));
	say(world.client, GET("/2"));
	expect_server(1, GET("/2"));
	say(world.servers[1], OK("0", ""));
	hear(world.client);
	say(world.servers[1], OK("6", "forged"));
	say(world.client, GET("/3"));
	expect_server(2, GET("/3"));
}

static void a_malformed_answer_is_not_passed_on(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/"));
	say(world.servers[0], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n");
	expect_status("502", "both Content-Length and Transfer-Encoding");
}

static void an_answer_cut_short_does_not_look_whole(void **state)
{
	(void)state;
	start("a.cof.net");
	say(world.client, GET("/"));
	say(world.servers[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWi");
	close_fd(&world.servers[0]);
	expect_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nWi\r\n");
	assert_null(world.connection);
	assert_int_equal(world.last.errno_value, EPROTO);
}

/* ---- secrets ---- */

static void secrets_go_to_their_host_and_do_not_come_back(void **state)
{
	(void)state;
	world.egress.secrets = (struct secrets *)&world;
	start("secret.cof.net");
	say(world.client, "GET / HTTP/1.1\r\nHost: secret.cof.net\r\nX-Key: PLACEHOLDER\r\n"
			  "Range: bytes=0-3\r\nAccept-Encoding: gzip\r\n\r\n");
	expect_server(0, "GET / HTTP/1.1\r\nHost: secret.cof.net\r\nX-Key: realsecret!\r\n"
			 "Accept-Encoding: identity\r\n\r\n");
	say(world.servers[0], "HTTP/1.1 200 OK\r\nX-Echo: realsecret!\r\nContent-Length: 16\r\n\r\n"
			      "you: realsec");
	say(world.servers[0], "ret!");
	expect_client("HTTP/1.1 200 OK\r\nX-Echo: ***********\r\nContent-Length: 16\r\n\r\n"
		      "you: ***********");
	say(world.client, "GET / HTTP/1.1\r\nHost: secret.cof.net\r\n\r\n");
	hear(world.servers[0]);
	say(world.servers[0],
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n");
	expect_status("502", "compressed");
}

static void a_placeholder_goes_nowhere_else(void **state)
{
	(void)state;
	world.egress.secrets = (struct secrets *)&world;
	start("a.cof.net");
	say(world.client, "GET / HTTP/1.1\r\nHost: a.cof.net\r\nX-Key: PLACEHOLDER\r\n\r\n");
	expect_status("403", "placeholder");
	expect_server(0, "");
	close_fd(&world.client);
	settle();
	start("a.cof.net");
	say(world.client, "POST / HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 13\r\n\r\n"
			  "a=PLACEHOLDER");
	expect_status("403", "body");
}

static void inspected_requests_reach_a_verified_server(void **state)
{
	(void)state;
	struct connection *connection = open_connection("secret.cof.net", 443);
	http_run(connection, &(struct http_options){.tls = true});
	say(world.client, "GET https://secret.cof.net/x HTTP/1.1\r\nHost: secret.cof.net\r\n\r\n");
	expect_server(0, "GET /x HTTP/1.1\r\nHost: secret.cof.net\r\n\r\n");
	say(world.servers[0], OK("0", ""));
	expect_client(OK("0", ""));
	/* Fronting: the name inside TLS is held to the one outside. */
	say(world.client, "GET / HTTP/1.1\r\nHost: b.cof.net\r\n\r\n");
	expect_status("421", "b.cof.net");
}

/* ---- as a proxy ---- */

static void open_proxy(void)
{
	struct connection *connection = open_connection(NULL, 0);
	connection->how = EGRESS_HOW_REDIRECT;
	proxy_start(connection);
	settle();
}

static void each_proxied_request_has_its_own_target(void **state)
{
	(void)state;
	open_proxy();
	say(world.client,
		"GET http://a.cof.net/1?q HTTP/1.1\r\nHost: a.cof.net\r\n"
		"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n\r\n");
	expect_server(0, GET("/1?q"));
	say(world.servers[0], OK("0", ""));
	say(world.client, "GET http://a.cof.net?q HTTP/1.1\r\nHost: a.cof.net\r\n\r\n");
	expect_server(0, GET("/?q"));
	say(world.servers[0], OK("0", ""));
	assert_int_equal(world.logged, 0);
	say(world.client, "GET http://b.cof.net/2 HTTP/1.1\r\nHost: b.cof.net\r\n\r\n");
	assert_int_equal(world.logged, 1);
	assert_true(is_over(world.servers[0]));
	expect_server(1, "GET /2 HTTP/1.1\r\nHost: b.cof.net\r\n\r\n");
	say(world.servers[1], OK("0", ""));
	expect_client(OK("0", "") OK("0", "") OK("0", ""));
	say(world.client,
		"GET http://evil.cof.net:8080/ HTTP/1.1\r\nHost: evil.cof.net:8080\r\n\r\n");
	expect_status("403", "--allow-domain evil.cof.net:8080");
	assert_int_equal(world.dials, 2);
}

static void a_proxy_says_what_it_takes(void **state)
{
	(void)state;
	static const struct {
		const char *request, *status, *said;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: a.cof.net\r\n\r\n", "400", "CONNECT and SOCKS5"},
		{"GET https://a.cof.net/ HTTP/1.1\r\nHost: a.cof.net\r\n\r\n", "400", "CONNECT"},
		{"GET http://b.cof.net/ HTTP/1.1\r\nHost: a.cof.net\r\n\r\n", "400", "Host"},
		{"GET http://u@a.cof.net/ HTTP/1.1\r\nHost: a.cof.net\r\n\r\n", "400", "target"},
		{"TRACE http://a.cof.net/ HTTP/1.1\r\nHost: a.cof.net\r\n\r\n", "400", "TRACE"},
		{"\x16\x03\x01", "400", "this is a proxy"},
		{"CONNECT evil.cof.net:443 HTTP/1.1\r\nHost: evil.cof.net:443\r\n\r\n", "403",
			"--allow-domain evil.cof.net\n"},
		{"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n", "403",
			"--allow-cidr 10.0.0.1:22\n"},
		{"CONNECT a.cof.net HTTP/1.1\r\nHost: a.cof.net\r\n\r\n", "400", "target"},
		{"CONNECT a.cof.net:443 HTTP/1.1\r\nHost: a.cof.net\r\nContent-Length: 1\r\n\r\n",
			"400", "body"},
		{"CONNECT a.exam\nple:443 HTTP/1.1\r\n\r\n", "400", "bare line feed"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		open_proxy();
		say(world.client, cases[i].request);
		expect_status(cases[i].status, cases[i].said);
		close_fd(&world.client);
		settle();
		assert_null(world.connection);
		assert_int_equal(world.dials, 0);
	}
}

static void a_tunnel_keeps_what_came_early(void **state)
{
	(void)state;
	char early[8] = "";
	open_proxy();
	say(world.client, "CONNECT A.Cof.Net.:443 HTTP/1.1\r\nHost: a.cof.net.\r\n\r\nearly");
	expect_client("HTTP/1.1 200 Connection established\r\n\r\n");
	assert_int_equal(world.gone_on, 1);
	assert_string_equal(world.connection->name, "a.cof.net");
	assert_int_equal(world.connection->port, 443);
	assert_int_equal(world.connection->how, EGRESS_HOW_PROXY_CONNECT);
	assert_int_equal(evbuffer_remove(world.connection->pending, early, 7), 5);
	assert_string_equal(early, "early");
}

static void a_raw_tunnel_is_answered_by_its_server(void **state)
{
	(void)state;
	set("allow-domain", "a.cof.net:22");
	open_proxy();
	say(world.client, "CONNECT a.cof.net:22 HTTP/1.1\r\nHost: a.cof.net:22\r\n\r\n");
	expect_client("HTTP/1.1 200 Connection established\r\n\r\n");
	assert_int_equal(world.relayed, 1);
	connection_end(world.connection);
	close_fd(&world.client);
	world.dial_error = -ETIMEDOUT;
	open_proxy();
	say(world.client, "CONNECT a.cof.net:22 HTTP/1.1\r\nHost: a.cof.net:22\r\n\r\n");
	expect_status("504", "timed out");
}

static void send_bytes(const char *data, size_t length)
{
	assert_int_equal(send(world.client, data, length, MSG_NOSIGNAL), length);
	settle();
}

static void socks_comes_to_the_same_decisions(void **state)
{
	(void)state;
	static const struct {
		const char *request;
		size_t length;
		int reply, gone_on, relayed;
	} cases[] = {
		{"\5\1\0\3\11a.cof.net\1\273early", 21, 0, 1, 0},
		{"\5\1\0\3\11a.cof.net\0\26", 16, 0, 0, 1},
		{"\5\1\0\3\14evil.cof.net\1\273", 19, 2, 0, 0},
		{"\5\1\0\1\12\0\0\1\1\273", 10, 2, 0, 0},
		{"\5\2\0\3\11a.cof.net\1\273", 16, 7, 0, 0},
		{"\5\3\0\3\11a.cof.net\1\273", 16, 7, 0, 0},
		{"\5\1\0\3\11a.exam\r\nx\1\273", 16, 1, 0, 0},
	};
	set("allow-domain", "a.cof.net:22");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		open_proxy();
		send_bytes("\5", 1);
		send_bytes("\1\0", 2);
		const char *answer = hear(world.client);
		assert_memory_equal(answer, "\5\0", 2);
		send_bytes(cases[i].request, cases[i].length);
		answer = hear(world.client);
		assert_int_equal(answer[0], 5);
		assert_int_equal(answer[1], cases[i].reply);
		assert_int_equal(world.gone_on, cases[i].gone_on);
		assert_int_equal(world.relayed, cases[i].relayed);
		close_fd(&world.client);
		settle();
		if (world.connection && !cases[i].reply)
			connection_end(world.connection);
		assert_null(world.connection);
		world.gone_on = world.relayed = 0;
	}
	world.dial_error = -ECONNREFUSED;
	open_proxy();
	send_bytes("\5\1\0\5\1\0\3\11a.cof.net\0\26", 19);
	const char *answer = hear(world.client);
	assert_memory_equal(answer, "\5\0\5\5", 4);
}

/* ---- ClientHellos ---- */

static void open_hello(const char *hex)
{
	for (; *hex; hex += 2) {
		unsigned byte;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		send_bytes((char[]){(char)byte}, 1);
	}
}

static void a_hello_must_name_its_connection(void **state)
{
	(void)state;
	static const struct {
		const char *hex, *name;
		bool inspect, good;
	} cases[] = {
		{hello_curl, "docs.example.net", false, true},
		{hello_curl, "docs.example.net", true, true},
		{hello_curl, "a.cof.net", false, false},
		{hello_curl, NULL, false, true}, /* a literal may serve what a rule allows */
		{hello_python, NULL, false, false},
		{hello_openssl_nosni, "a.cof.net", false, false},
		{hello_openssl_nosni, NULL, false, false},
	};
	set("allow-domain", "docs.example.net");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		world.relayed = world.gone_on = 0;
		struct connection *connection = open_connection(cases[i].name, 443);
		connection->decision.inspect = cases[i].inspect;
		hello_start(connection);
		open_hello(cases[i].hex);
		assert_int_equal(world.relayed, cases[i].good && !cases[i].inspect);
		assert_int_equal(world.gone_on, cases[i].good && cases[i].inspect ? 100 : 0);
		assert_int_equal(world.connection != NULL, cases[i].good);
		if (world.connection) {
			assert_true(evbuffer_get_length(world.connection->pending) > 200);
			connection_end(world.connection);
		} else {
			assert_int_equal(world.last.verdict, NETWORK_DENY);
			assert_memory_equal(hear(world.client), "\x15\3\3\0\2\2\x31", 7);
		}
		close_fd(&world.client);
	}
}

/* What unfinished requests may take in all is bounded; whole ones are not refused for it. */
static void unfinished_requests_are_bounded_in_all(void **state)
{
	(void)state;
	const size_t others = EGRESS_HELD_BYTES_MAX - 40;
	world.egress.held_bytes = others;
	start("a.cof.net");
	say(world.client, "GET / HTTP/1.1\r\n");
	assert_int_equal(world.egress.held_bytes, others + 16);
	say(world.client, "Host: a.cof.net\r\n\r\n");
	assert_int_equal(world.egress.held_bytes, others);
	expect_server(0, GET("/"));
	say(world.servers[0], OK("0", ""));
	hear(world.client);
	say(world.client, "GET / HTTP/1.1\r\nHost: a.cof.net\r\nX-Long: yes");
	expect_status("431", "unfinished");
	assert_int_equal(world.egress.held_bytes, others);
	close_fd(&world.client);
	settle();

	hello_start(open_connection("a.cof.net", 443));
	char hello[64] = "\x16\3\1\2\0\1\0\1\xfc\3\3";
	send_bytes(hello, 30);
	assert_int_equal(world.egress.held_bytes, others + 30);
	send_bytes(hello + 30, 30);
	assert_null(world.connection);
	assert_non_null(strstr(world.last.reason, "unfinished"));
	assert_int_equal(world.egress.held_bytes, others);
	world.egress.held_bytes = 0;
}

/* By its address too a name is reached only as its rules say: so that requests can be seen. */
static void an_address_is_no_way_round_inspection(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value;
	} cases[] = {
		{"net-inspect", "docs.example.net"},
		{"net-request", "GET docs.example.net/v1/**"},
		{"net-secret", "name=T,host=*.example.net,from=env:T"},
	};
	set("allow-domain", "docs.example.net");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set(cases[i].key, cases[i].value);
		world.relayed = world.gone_on = 0;
		hello_start(open_connection(NULL, 443));
		open_hello(hello_curl);
		assert_null(world.connection);
		assert_int_equal(world.relayed + world.gone_on, 0);
		assert_non_null(strstr(world.last.reason, "use the name"));
		close_fd(&world.client);

		http_start(open_connection(NULL, 80));
		say(world.client, "GET /v1/x HTTP/1.1\r\nHost: docs.example.net\r\n\r\n");
		const char *answer = hear(world.client);
		assert_memory_equal(answer, "HTTP/1.1 421", 12);
		assert_non_null(strstr(answer, "use the name"));
		close_fd(&world.client);
		settle();
		network_policy_release(&world.egress.policy);
		network_policy_init(&world.egress.policy);
		set("allow-domain", "docs.example.net");
	}
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(unfinished_requests_are_bounded_in_all),
		test(an_address_is_no_way_round_inspection),
		test(requests_on_one_connection_share_a_server),
		test(pipelined_requests_are_served_in_turn),
		test(heads_may_come_byte_by_byte),
		test(chunks_are_framed_anew_both_ways),
		test(an_old_client_gets_no_chunks),
		test(the_client_is_told_to_continue_by_the_server),
		test(responses_without_a_body_have_none),
		test(a_client_that_has_said_all_gets_its_answer),
		test(a_body_until_the_end_ends_the_connection),
		test(a_slow_client_holds_its_server_back),
		test(a_websocket_is_relayed_and_counted),
		test(no_other_protocol_is_changed_to),
		test(an_ambiguous_request_reaches_no_server),
		test(garbage_is_refused_at_once),
		test(a_chunk_that_lies_ends_it),
		test(an_endless_request_line_is_cut),
		test(endless_fields_are_cut),
		test(rules_on_requests_hold_for_each),
		test(a_refusal_says_what_would_allow_it),
		test(an_encoded_slash_is_ambiguous_to_rules),
		test(the_method_is_not_overridden),
		test(reading_only_means_no_bodies_either),
		test(over_the_limit_waits_or_is_refused),
		test(heads_wait_for_the_rate_of_bytes),
		test(bytes_are_limited_in_all),
		test(a_server_that_cannot_be_reached_is_told_of),
		test(a_kept_server_that_has_gone_is_dialed_again),
		test(what_a_server_says_unasked_is_not_an_answer),
		test(a_malformed_answer_is_not_passed_on),
		test(an_answer_cut_short_does_not_look_whole),
		test(secrets_go_to_their_host_and_do_not_come_back),
		test(a_placeholder_goes_nowhere_else),
		test(inspected_requests_reach_a_verified_server),
		test(each_proxied_request_has_its_own_target),
		test(a_proxy_says_what_it_takes),
		test(a_tunnel_keeps_what_came_early),
		test(a_raw_tunnel_is_answered_by_its_server),
		test(socks_comes_to_the_same_decisions),
		test(a_hello_must_name_its_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
