/* The control socket: what the supervisor sends, what it gets, and what becomes of the rest when it
 * is slow. And, in child processes, that the process is confined. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "egress/egress.h"
#include "egress_fakes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct egress egress;
static int supervisor;

static int setup(void **state)
{
	(void)state;
	struct error error = {0};
	int ends[2];
	memset(&egress_fakes, 0, sizeof(egress_fakes));
	egress = (struct egress){.connections_max = 8};
	TAILQ_INIT(&egress.connections);
	network_policy_init(&egress.policy);
	egress.base = event_base_new();
	assert_int_equal(event_base_priority_init(egress.base, EGRESS_PRIORITIES), 0);
	assert_int_equal(rate_new(&egress, &egress.rate, &error), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	supervisor = ends[0];
	assert_int_equal(control_new(&egress, ends[1], &egress.control, &error), 0);
	alarm(60);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	alarm(0);
	while (!TAILQ_EMPTY(&egress.connections))
		connection_end(TAILQ_FIRST(&egress.connections));
	listeners_free(egress.listeners);
	control_free(egress.control);
	rate_free(egress.rate);
	network_policy_release(&egress.policy);
	event_base_free(egress.base);
	if (supervisor >= 0)
		close(supervisor);
	return 0;
}

static void loop(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(egress.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static bool next_message(struct egress_message *ret)
{
	return recv(supervisor, ret, sizeof(*ret), MSG_DONTWAIT) == sizeof(*ret);
}

static void tell(struct egress_message message, int fd)
{
	assert_int_equal(fd_send(supervisor, &message, sizeof(message), &fd, fd >= 0 ? 1 : 0), 0);
	loop();
}

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address;
	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static struct egress_record refusal(const char *name)
{
	struct egress_record record = {.verdict = NETWORK_DENY, .count = 1, .port = 443};
	snprintf(record.name, sizeof(record.name), "%s", name);
	return record;
}

/* ---- the log ---- */

static void test_records_are_clean(void **state)
{
	(void)state;
	struct egress_record record = refusal("a\033[31m\xff.example");
	memset(record.reason, 'r', sizeof(record.reason));
	egress_log(&egress, &record);
	struct egress_message message;
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_RECORD);
	assert_string_equal(message.record.name, "a?[31m?.example");
	assert_int_equal(strlen(message.record.reason), sizeof(record.reason) - 1);
}

/* Nothing is read: egress goes on, memory is bounded, order is kept, and what is missing is said.
 */
static void test_slow_supervisor(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	for (unsigned i = 0; i < COUNT; i++) {
		struct egress_record record = refusal("");
		snprintf(record.name, sizeof(record.name), "%u", i);
		egress_log(&egress, &record);
	}
	uint32_t seen = 0, dropped = 0;
	long last = -1;
	struct egress_message message;
	for (int idle = 0; idle < 3; idle++) {
		while (next_message(&message)) {
			idle = 0;
			if (message.record.name[0]) {
				assert_true(strtol(message.record.name, NULL, 10) > last);
				last = strtol(message.record.name, NULL, 10);
				seen++;
			} else {
				assert_non_null(strstr(message.record.reason, "dropped"));
				assert_int_equal(message.record.how, EGRESS_HOW_LOST);
				dropped += message.record.count;
			}
			loop();
		}
		loop();
	}
	assert_true(seen > 1024);
	assert_true(dropped > 0);
	assert_int_equal(seen + dropped, COUNT);
	/* And then it is as before. */
	struct egress_record record = refusal("again");
	egress_log(&egress, &record);
	assert_true(next_message(&message));
	assert_string_equal(message.record.name, "again");
}

static void test_same_refusals_are_counted(void **state)
{
	(void)state;
	enum { COUNT = 100000 };
	struct egress_record record = refusal("loop.example"), other = refusal("other.example");
	for (unsigned i = 0; i < COUNT; i++)
		egress_log(&egress, &record);
	egress_log(&egress, &other);
	uint32_t seen = 0;
	struct egress_message message = {0};
	while (next_message(&message)) {
		if (strcmp(message.record.name, "other.example") == 0)
			break;
		assert_string_equal(message.record.name, "loop.example");
		seen += message.record.count;
		loop();
	}
	assert_int_equal(seen, COUNT);
	assert_string_equal(message.record.name, "other.example");
}

static void test_stop_flushes(void **state)
{
	(void)state;
	enum { COUNT = 400 }; /* more than the socket holds */
	for (unsigned i = 0; i < COUNT; i++) {
		struct egress_record record = refusal("");
		snprintf(record.name, sizeof(record.name), "%u", i);
		egress_log(&egress, &record);
	}
	pid_t reader = fork();
	if (reader == 0) {
		struct egress_message message;
		unsigned got = 0;
		usleep(50000);
		while (got < COUNT && recv(supervisor, &message, sizeof(message), 0) > 0)
			got++;
		_exit(got == COUNT ? 0 : 1);
	}
	control_stop(egress.control);
	control_free(egress.control);
	egress.control = NULL;
	int status;
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
}

/* Nobody reads: the end comes all the same, when its time is over. */
static void test_stop_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct egress_record record = refusal("");
		snprintf(record.name, sizeof(record.name), "%u", i);
		egress_log(&egress, &record);
	}
	uint64_t began_us = clock_now_us();
	egress.stopping = true;
	control_stop(egress.control);
	for (unsigned i = 0; i < 3000; i++) {
		struct egress_record record = refusal("late");
		record.port = (uint16_t)i;
		egress_log(&egress, &record);
	}
	control_free(egress.control);
	egress.control = NULL;
	assert_in_range(clock_now_us() - began_us, EGRESS_STOP_MS * 900, EGRESS_STOP_MS * 3000);
}

/* ---- the end ---- */

static bool loop_ends(void)
{
	event_base_loopexit(egress.base, &(struct timeval){.tv_sec = 5});
	event_base_dispatch(egress.base);
	return egress.stopping;
}

static void test_stop_ends(void **state)
{
	(void)state;
	const struct egress_message stop = {.kind = EGRESS_STOP};
	assert_int_equal(fd_send(supervisor, &stop, sizeof(stop), NULL, 0), 0);
	assert_true(loop_ends());
}

static void test_supervisor_gone(void **state)
{
	(void)state;
	close(supervisor);
	supervisor = -1;
	assert_true(loop_ends());
}

static void expect_failed(const void *data, size_t size)
{
	assert_int_equal(fd_send(supervisor, data, size, NULL, 0), 0);
	assert_true(loop_ends());
	struct egress_message message;
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_FAILED);
	assert_int_equal(message.error.errno_value, EBADMSG);
}

static void test_short_message(void **state)
{
	(void)state;
	expect_failed("x", 1);
}

static void test_unknown_message(void **state)
{
	(void)state;
	const struct egress_message message = {.kind = EGRESS_RECORD};
	expect_failed(&message, sizeof(message));
}

static void test_sockets_without_descriptors(void **state)
{
	(void)state;
	const struct egress_message message = {.kind = EGRESS_SOCKETS, .kinds_count = 3};
	expect_failed(&message, sizeof(message));
}

/* ---- listeners ---- */

static int listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int connect_to(uint16_t port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static uint16_t add_listener(enum egress_socket kind)
{
	uint16_t port;
	int fd = listen_on_loopback(&port);
	tell((struct egress_message){.kind = EGRESS_SOCKETS, .kinds_count = 1, .kinds = {kind}},
		fd);
	close(fd);
	return port;
}

/* Not by way of the redirect: refused at once, by a reset, and recorded with who it was. */
static void test_own_port(void **state)
{
	(void)state;
	uint16_t port = add_listener(EGRESS_SOCKET_REDIRECT_V4);
	int client = connect_to(port);
	struct sockaddr_in own;
	socklen_t length = sizeof(own);
	getsockname(client, (struct sockaddr *)&own, &length);
	loop();
	char byte;
	assert_int_equal(recv(client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(client);
	struct egress_message message;
	assert_true(next_message(&message));
	assert_int_equal(message.record.verdict, NETWORK_DENY);
	assert_int_equal(message.record.ended, 0);
	assert_int_equal(message.record.errno_value, ECONNREFUSED);
	assert_int_equal(message.record.client_port, ntohs(own.sin_port));
	const struct in6_addr loopback = address_of("::ffff:127.0.0.1");
	assert_memory_equal(&message.record.client_address, &loopback, sizeof(loopback));
}

/* At the most connections the rest wait in the backlog, and come in as others end. */
static void test_connections_max(void **state)
{
	(void)state;
	uint16_t port = add_listener(EGRESS_SOCKET_PROXY);
	int clients[12];
	for (int i = 0; i < 12; i++) {
		clients[i] = connect_to(port);
		loop();
	}
	assert_int_equal(egress.connections_count, 8);
	for (int i = 0; i < 4; i++)
		connection_end(TAILQ_FIRST(&egress.connections));
	loop();
	assert_int_equal(egress.connections_count, 8);
	for (int i = 0; i < 12; i++)
		close(clients[i]);
}

/* Without descriptors it neither spins nor dies, and goes on when there are some again. */
static void test_descriptors_used_up(void **state)
{
	(void)state;
	uint16_t port = add_listener(EGRESS_SOCKET_PROXY);
	int client = connect_to(port);
	struct rlimit before, none;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 4, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	struct timespec began, ended;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	event_base_loopexit(egress.base, &(struct timeval){.tv_usec = 350000});
	event_base_dispatch(egress.base);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(egress.connections_count, 0);
	int64_t spent_us =
		(ended.tv_sec - began.tv_sec) * 1000000 + (ended.tv_nsec - began.tv_nsec) / 1000;
	assert_in_range(spent_us, 0, 100000);
	event_base_loopexit(egress.base, &(struct timeval){.tv_usec = 200000});
	event_base_dispatch(egress.base);
	assert_int_equal(egress.connections_count, 1);
	close(client);
}

/* ---- deciding and asking ---- */

static unsigned went_on;

static void go_on(struct connection *connection)
{
	went_on++;
	connection_end(connection);
}

static struct connection *make_connection(int *ret_peer, const char *name, const char *address)
{
	int ends[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	struct connection *connection = connection_new(&egress, ends[1], EGRESS_HOW_PROXY_CONNECT);
	struct in6_addr literal = address ? address_of(address) : (struct in6_addr){0};
	connection_set_target(connection, name, address ? &literal : NULL, 443);
	*ret_peer = ends[0];
	went_on = 0;
	return connection;
}

static void set(const char *key, const char *value)
{
	struct error error = {0};
	assert_int_equal(network_set(&egress.policy, key, value, NULL, &error), 0);
}

static void test_decisions(void **state)
{
	(void)state;
	static const struct {
		const char *name, *address;
		enum network_verdict verdict;
	} cases[] = {
		{"good.example.com", NULL, NETWORK_ALLOW},
		{"watched.example.com", NULL, NETWORK_MONITOR},
		{"bad.example.com", NULL, NETWORK_DENY},
		{"unknown.example.com", NULL, NETWORK_DENY},
		{NULL, "::ffff:203.0.113.9", NETWORK_ALLOW},
		{NULL, "::ffff:10.0.0.1", NETWORK_DENY},
		{NULL, "::1", NETWORK_DENY},
	};
	set("allow-domain", "good.example.com");
	set("monitor-domain", "watched.example.com");
	set("deny-domain", "bad.example.com");
	set("allow-cidr", "203.0.113.0/24:443");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int peer;
		connection_decide(
			make_connection(&peer, cases[i].name, cases[i].address), go_on, NULL);
		bool passes = cases[i].verdict != NETWORK_DENY;
		assert_int_equal(went_on, passes);
		struct egress_message message;
		assert_true(next_message(&message));
		assert_int_equal(message.record.verdict, cases[i].verdict);
		assert_int_equal(message.record.errno_value, passes ? 0 : ECONNREFUSED);
		assert_int_equal(message.record.reason[0] != '\0', !passes);
		assert_int_equal(egress.connections_count, 0);
		close(peer);
	}
}

/* Asks, and returns the question's id. */
static uint32_t ask(int *ret_peer, const char *name)
{
	egress.ask = true;
	connection_decide(make_connection(ret_peer, name, NULL), go_on, NULL);
	struct egress_message question;
	assert_true(next_message(&question));
	assert_int_equal(question.kind, EGRESS_ASK);
	assert_string_equal(question.record.name, name);
	assert_int_equal(went_on, 0);
	assert_int_equal(egress.connections_count, 1);
	return question.id;
}

static void answer(uint32_t id, int verdict, bool passes)
{
	tell((struct egress_message){.kind = EGRESS_ANSWER, .id = id, .value = verdict}, -1);
	assert_int_equal(went_on, passes);
	assert_int_equal(egress.connections_count, 0);
	struct egress_message message;
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_RECORD);
	assert_int_equal(message.record.verdict, passes ? verdict : NETWORK_DENY);
}

static void test_ask(void **state)
{
	(void)state;
	int peer;
	set("ask-domain", "ask.example.com");
	answer(ask(&peer, "ask.example.com"), NETWORK_ALLOW, true);
	close(peer);
	answer(ask(&peer, "undecided.example.com"), NETWORK_MONITOR, true);
	close(peer);
	answer(ask(&peer, "undecided.example.com"), NETWORK_DENY, false);
	close(peer);
	answer(ask(&peer, "undecided.example.com"), 77, false);
	close(peer);
	/* A second answer, or one to nothing, is of no consequence. */
	tell((struct egress_message){.kind = EGRESS_ANSWER, .id = 1, .value = NETWORK_ALLOW}, -1);
	tell((struct egress_message){.kind = EGRESS_ANSWER, .id = 0, .value = NETWORK_ALLOW}, -1);
	assert_false(egress.stopping);
}

/* The walls are not for asking, nor is anything when nobody can be asked. */
static void test_not_to_be_asked(void **state)
{
	(void)state;
	static const char *const names[] = {"hidden.onion", "printer.local", NETWORK_HOST_NAME};
	set("ask-domain", "ask.example.com");
	struct egress_message message;
	int peer;
	egress.ask = true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		connection_decide(make_connection(&peer, names[i], NULL), go_on, NULL);
		close(peer);
		assert_true(next_message(&message));
		assert_int_equal(message.kind, EGRESS_RECORD);
		assert_int_equal(message.record.verdict, NETWORK_DENY);
	}
	connection_decide(make_connection(&peer, NULL, "::ffff:169.254.169.254"), go_on, NULL);
	close(peer);
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_RECORD);
	egress.ask = false;
	connection_decide(make_connection(&peer, "ask.example.com", NULL), go_on, NULL);
	close(peer);
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_RECORD);
	assert_int_equal(message.record.verdict, NETWORK_DENY);
	assert_int_equal(went_on, 0);
}

/* A program that went away is noticed while somebody still thinks about it. */
static void test_client_goes_while_asked(void **state)
{
	(void)state;
	int peer;
	uint32_t id = ask(&peer, "undecided.example.com");
	close(peer);
	uint64_t began_us = clock_now_us();
	while (egress.connections_count > 0 && clock_now_us() - began_us < 3000000)
		event_base_loop(egress.base, EVLOOP_ONCE);
	assert_int_equal(egress.connections_count, 0);
	struct egress_message message;
	bool forgotten = false, logged = false;
	while (next_message(&message)) {
		forgotten = forgotten || (message.kind == EGRESS_FORGET && message.id == id);
		logged = logged || (message.kind == EGRESS_RECORD &&
					   message.record.errno_value == ECONNABORTED);
	}
	assert_true(forgotten);
	assert_true(logged);
	tell((struct egress_message){.kind = EGRESS_ANSWER, .id = id, .value = NETWORK_ALLOW}, -1);
	assert_int_equal(went_on, 0);
}

static unsigned answers[2];

static void count_answer(void *context, enum network_verdict verdict)
{
	(void)context;
	answers[verdict == NETWORK_ALLOW]++;
}

static uint32_t ask_for(const char *name, uint16_t port)
{
	struct egress_record record = refusal(name);
	record.port = port;
	return egress_ask(&egress, &record, count_answer, NULL);
}

static size_t count_messages(uint32_t kind)
{
	struct egress_message message;
	size_t count = 0;
	while (next_message(&message))
		count += message.kind == kind;
	return count;
}

/* One question for one target, however many wait for the answer; it is forgotten with the last. */
static void test_a_question_is_shared(void **state)
{
	(void)state;
	struct egress_message question;
	memset(answers, 0, sizeof(answers));
	uint32_t first = ask_for("a.example.com", 443), second = ask_for("a.example.com", 443);
	assert_true(first && second && first != second);
	assert_true(next_message(&question));
	assert_int_equal(question.kind, EGRESS_ASK);
	assert_false(next_message(&question));
	assert_int_not_equal(ask_for("a.example.com", 80), 0);
	assert_int_not_equal(ask_for("b.example.com", 443), 0);
	assert_int_equal(count_messages(EGRESS_ASK), 2);
	egress_ask_forget(&egress, first);
	assert_int_equal(count_messages(EGRESS_FORGET), 0);
	assert_int_not_equal(ask_for("a.example.com", 443), 0);
	assert_int_equal(count_messages(EGRESS_ASK), 0);
	tell(
		(struct egress_message){
			.kind = EGRESS_ANSWER, .id = question.id, .value = NETWORK_ALLOW},
		-1);
	assert_int_equal(answers[true], 2);
	assert_int_equal(answers[false], 0);
	/* It was answered: the next one asks anew. */
	second = ask_for("a.example.com", 443);
	assert_int_equal(count_messages(EGRESS_ASK), 1);
	egress_ask_forget(&egress, second);
	assert_int_equal(count_messages(EGRESS_FORGET), 1);
}

struct seen_questions {
	size_t asked, forgotten;
};

static void read_questions(struct seen_questions *seen)
{
	struct egress_message message;
	for (int idle = 0; idle < 3; idle++, loop())
		while (next_message(&message)) {
			idle = 0;
			seen->asked += message.kind == EGRESS_ASK;
			seen->forgotten += message.kind == EGRESS_FORGET;
			loop();
		}
}

/* More questions than can be open come and go, even while the supervisor takes no more records. */
static void test_forgotten_questions_make_room(void **state)
{
	(void)state;
	enum { OPEN = 256, ROUNDS = 3 };
	char name[32];
	uint32_t ids[OPEN];
	struct seen_questions seen = {0};
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < OPEN; i++) {
			snprintf(name, sizeof(name), "%u-%u.example.com", round, i);
			ids[i] = ask_for(name, 443);
			assert_int_not_equal(ids[i], 0);
		}
		assert_int_equal(ask_for("more.example.com", 443), 0);
		/* The queue is full of records. */
		for (unsigned i = 0; round == ROUNDS - 1 && i < 4096; i++) {
			struct egress_record record = refusal("");
			snprintf(record.name, sizeof(record.name), "%u", i);
			egress_log(&egress, &record);
		}
		for (unsigned i = 0; i < OPEN; i++)
			egress_ask_forget(&egress, ids[i]);
		read_questions(&seen);
	}
	assert_int_equal(seen.asked, OPEN * ROUNDS);
	assert_int_equal(seen.forgotten, OPEN * ROUNDS);
}

static void test_rate_of_connections(void **state)
{
	(void)state;
	struct error error = {0};
	int peers[3];
	rate_free(egress.rate);
	egress.policy.limits.connections_per_second = 2;
	assert_int_equal(rate_new(&egress, &egress.rate, &error), 0);
	set("allow-domain", "good.example.com");
	for (int i = 0; i < 3; i++) {
		unsigned before = i ? went_on : 0;
		connection_decide(
			make_connection(&peers[i], "good.example.com", NULL), go_on, NULL);
		went_on += before;
	}
	assert_int_equal(went_on, 2);
	uint64_t began_us = clock_now_us();
	while (egress.connections_count > 0)
		event_base_loop(egress.base, EVLOOP_ONCE);
	assert_int_equal(went_on, 3);
	assert_in_range(clock_now_us() - began_us, 300000, 2000000);
	for (int i = 0; i < 3; i++)
		close(peers[i]);
}

/* ---- by protocol, and dialing ---- */

static void test_protocols(void **state)
{
	(void)state;
	static const struct {
		const char *name, *rule;
		const int *started;
	} cases[] = {
		{"a.example.com", "a.example.com:8000/http", &egress_fakes.http},
		{"b.example.com", "b.example.com:8000/tls", &egress_fakes.hello},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int peer;
		set("allow-domain", cases[i].rule);
		struct connection *connection = make_connection(&peer, NULL, "::1");
		connection_set_target(connection, cases[i].name, NULL, 8000);
		connection_decide(connection, connection_go, NULL);
		assert_int_equal(*cases[i].started, 1);
		close(peer);
	}
}

/* A dial may fail at once, when nothing of the connection may be touched any more. */
static void test_dial_fails_at_once(void **state)
{
	(void)state;
	int peer;
	set("allow-domain", "good.example.com:443/raw");
	egress_fakes.dial_fd = -ENETUNREACH;
	connection_decide(make_connection(&peer, "good.example.com", NULL), connection_go, NULL);
	assert_int_equal(egress.connections_count, 0);
	struct egress_message message;
	assert_true(next_message(&message));
	assert_int_equal(message.record.verdict, NETWORK_ALLOW); /* no fault of the policy's */
	assert_int_equal(message.record.errno_value, ENETUNREACH);
	assert_int_equal(message.record.ended, 0);
	assert_string_equal(message.record.reason, "the fake's reason");
	close(peer);

	/* A name that resolves to what is refused is a refusal. */
	egress_fakes.dial_fd = -EACCES;
	connection_decide(make_connection(&peer, "good.example.com", NULL), connection_go, NULL);
	assert_true(next_message(&message));
	assert_int_equal(message.record.verdict, NETWORK_DENY);
	close(peer);
}

static void test_dial_is_cancelled(void **state)
{
	(void)state;
	int peer;
	set("allow-domain", "good.example.com:443/raw");
	connection_decide(make_connection(&peer, "good.example.com", NULL), connection_go, NULL);
	assert_int_equal(egress.connections_count, 1);
	connection_end(TAILQ_FIRST(&egress.connections));
	assert_int_equal(egress_fakes.cancelled, 1);
	close(peer);
}

static void test_standins(void **state)
{
	(void)state;
	struct in6_addr address = address_of("::ffff:198.18.4.7");
	struct egress_message message;
	int peer;
	egress_fakes.standin = address;
	egress_fakes.standin_name = "good.example.com";
	struct connection *connection = make_connection(&peer, NULL, "::1");
	assert_true(connection_set_address(connection, &address, 443));
	assert_string_equal(connection->name, "good.example.com");
	connection_end(connection);
	close(peer);
	assert_true(next_message(&message));

	address = address_of("::ffff:198.18.4.8");
	connection = make_connection(&peer, NULL, "::1");
	assert_false(connection_set_address(connection, &address, 443));
	assert_int_equal(egress.connections_count, 0);
	assert_true(next_message(&message));
	assert_int_equal(message.record.verdict, NETWORK_DENY);
	assert_int_equal(message.record.errno_value, EHOSTUNREACH);
	close(peer);
}

/* ---- what the box is connected by ---- */

static void test_sockets_go_where_they_belong(void **state)
{
	(void)state;
	struct egress_message message = {.kind = EGRESS_SOCKETS,
		.kinds_count = 8,
		.kinds = {EGRESS_SOCKET_DNS_UDP_V4, EGRESS_SOCKET_DNS_UDP_V6,
			EGRESS_SOCKET_DNS_TCP_V4, EGRESS_SOCKET_DNS_TCP_V6, EGRESS_SOCKET_NFLOG,
			EGRESS_SOCKET_UDP, EGRESS_SOCKET_UDP, EGRESS_SOCKET_BOX_NET}};
	int fds[8];
	for (int i = 0; i < 8; i++)
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(fd_send(supervisor, &message, sizeof(message), fds, 8), 0);
	loop();
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	assert_int_equal(egress_fakes.dns_udp, 2);
	assert_int_equal(egress_fakes.dns_tcp, 2);
	assert_int_equal(egress_fakes.nflog, 1);
	assert_int_equal(egress_fakes.udp, 2);
	assert_int_equal(egress_fakes.publish, 0); /* it needs both namespaces */
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tell((struct egress_message){.kind = EGRESS_SOCKETS,
		     .kinds_count = 1,
		     .kinds = {EGRESS_SOCKET_BOX_USER}},
		fd);
	close(fd);
	assert_int_equal(egress_fakes.publish, 1);
	/* What publishing could not do is said, and the rest goes on. */
	assert_true(next_message(&message));
	assert_int_equal(message.record.errno_value, EADDRINUSE);
	assert_string_equal(message.record.reason, "the fake's reason");
	assert_false(egress.stopping);
}

static void test_unknown_socket(void **state)
{
	(void)state;
	const struct egress_message message = {
		.kind = EGRESS_SOCKETS, .kinds_count = 1, .kinds = {EGRESS_SOCKET_KINDS}};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(fd_send(supervisor, &message, sizeof(message), &fd, 1), 0);
	close(fd);
	assert_true(loop_ends());
}

/* ---- the landlock tier ---- */

static void test_broker_datagrams(void **state)
{
	(void)state;
	set("allow-udp", "93.184.216.34:123");
	static const struct {
		const char *address;
		uint16_t port;
		int value;
	} cases[] = {
		{"::ffff:10.0.0.1", 53, 0},
		{"::ffff:93.184.216.34", 123, 0},
		{"::ffff:93.184.216.34", 124, -EACCES},
		{"::ffff:93.184.216.35", 123, -EACCES},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		tell((struct egress_message){.kind = EGRESS_DATAGRAM,
			     .id = 9,
			     .port = cases[i].port,
			     .address = address_of(cases[i].address)},
			fd);
		close(fd);
		struct egress_message message;
		assert_true(next_message(&message));
		assert_int_equal(message.kind, EGRESS_CONNECTED);
		assert_int_equal(message.value, cases[i].value);
	}
	assert_int_equal(egress_fakes.dns_udp, 1);
	assert_int_equal(egress_fakes.udp, 1);
}

static void test_broker_is_told(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	tell((struct egress_message){.kind = EGRESS_CONNECT,
		     .id = 42,
		     .port = 25,
		     .address = address_of("::ffff:192.168.0.1")},
		ends[1]);
	close(ends[0]);
	close(ends[1]);
	struct egress_message message;
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_CONNECTED);
	assert_int_equal(message.id, 42);
	assert_int_equal(message.value, -ECONNREFUSED);
	assert_true(next_message(&message));
	assert_int_equal(message.kind, EGRESS_RECORD);
	assert_int_equal(message.record.how, EGRESS_HOW_BROKER);
}

/* ---- confined ---- */

/* Runs attempt() confined. Its return value; -signal if it was killed. */
static int confined(int (*attempt)(void))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct error error = {0};
		const char *note;
		if (confine_files(&note, &error) < 0 || confine_calls(&error) < 0)
			_exit(99);
		_exit(attempt());
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int try_open(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int try_stat(void)
{
	return result(access("/etc/passwd", F_OK));
}

static int try_unix(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_raw(void)
{
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int try_mptcp(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 262));
}

static int try_bind(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? 98 : result(bind(fd, (struct sockaddr *)&any, sizeof(any)));
}

static int try_kill(void)
{
	return result(kill(getppid(), 0));
}

static int try_signal_self(void)
{
	return result(syscall(SYS_tgkill, getpid(), getpid(), SIGTERM));
}

static int try_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? errno : 0;
}

static int try_protect(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? 98 : result(mprotect(page, 4096, PROT_EXEC));
}

static int try_filter(void)
{
	char program[16] = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	return result(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, sizeof(program)));
}

static int try_tls_in_kernel(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return result(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4));
}

static int try_other_level(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return result(setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &(int){1}, sizeof(int)));
}

static int try_owner(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return result(fcntl(fd, F_SETOWN, getpid()));
}

static int try_ioctl(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char request[64] = "lo";
	return result(ioctl(fd, 0x8913, request)); /* SIOCGIFFLAGS */
}

static int try_fork(void)
{
	return result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int try_exec(void)
{
	return result(execl("/bin/true", "true", NULL));
}

static int try_ptrace(void)
{
	return result(syscall(SYS_ptrace, 0, 0, 0, 0));
}

static int try_setuid(void)
{
	return result(syscall(SYS_setuid, 0));
}

static int work(void)
{
	int pipe_ends[2], n = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct linger linger = {.l_onoff = 1};
	if (fd < 0 || udp < 0 || pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return 1;
	if (fcntl(pipe_ends[1], F_SETPIPE_SZ, 65536) < 0 || fcntl(pipe_ends[1], F_GETPIPE_SZ) < 0 ||
		fcntl(fd, F_GETFL) < 0 || ioctl(fd, FIONREAD, &n) < 0)
		return 2;
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
		return 3;
	struct sockaddr_in6 nobody = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
	if (connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) == 0 || errno == EPERM)
		return 4;
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	void *memory = malloc(16 * 1024 * 1024);
	if (!memory || poll(&poller, 1, 0) < 0)
		return 5;
	free(memory);
	return clock_now_us() ? 0 : 6;
}

static void test_confined(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int (*attempt)(void);
		int result;
	} cases[] = {
		{"work", work, 0},
		{"open", try_open, EPERM},
		{"stat", try_stat, EPERM},
		{"unix", try_unix, EPERM},
		{"netlink", try_netlink, EPERM},
		{"raw", try_raw, EPERM},
		{"mptcp", try_mptcp, EPERM},
		{"bind", try_bind, EPERM},
		{"kill", try_kill, EPERM},
		{"tgkill", try_signal_self, EPERM},
		{"mmap executable", try_executable, EPERM},
		{"mprotect executable", try_protect, EPERM},
		{"attach a filter", try_filter, EPERM},
		{"TCP_ULP", try_tls_in_kernel, EPERM},
		{"IP_TRANSPARENT", try_other_level, EPERM},
		{"F_SETOWN", try_owner, EPERM},
		{"ioctl", try_ioctl, ENOTTY},
		{"fork", try_fork, -SIGSYS},
		{"exec", try_exec, -SIGSYS},
		{"ptrace", try_ptrace, -SIGSYS},
		{"setuid", try_setuid, -SIGSYS},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = confined(cases[i].attempt);
		if (got != cases[i].result)
			fail_msg("%s: %d in place of %d", cases[i].what, got, cases[i].result);
	}
}

static int try_open_without_filter(void)
{
	struct error error = {0};
	const char *note;
	pid_t child = fork();
	if (child == 0) {
		if (confine_files(&note, &error) < 0)
			_exit(99);
		if (note)
			_exit(EACCES); /* no Landlock: the filter alone stands, and is tested */
		int fd = open("/etc/passwd", O_RDONLY);
		_exit(fd < 0 ? errno : 0);
	}
	int status;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Each wall holds by itself. */
static void test_landlock_alone(void **state)
{
	(void)state;
	assert_int_equal(result(open("/etc/passwd", O_RDONLY | O_CLOEXEC)), 0);
	assert_int_equal(try_open_without_filter(), EACCES);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		TEST(records_are_clean),
		TEST(slow_supervisor),
		TEST(same_refusals_are_counted),
		TEST(stop_flushes),
		TEST(stop_is_bounded),
		TEST(stop_ends),
		TEST(supervisor_gone),
		TEST(short_message),
		TEST(unknown_message),
		TEST(sockets_without_descriptors),
		TEST(own_port),
		TEST(connections_max),
		TEST(descriptors_used_up),
		TEST(decisions),
		TEST(ask),
		TEST(not_to_be_asked),
		TEST(client_goes_while_asked),
		TEST(a_question_is_shared),
		TEST(forgotten_questions_make_room),
		TEST(rate_of_connections),
		TEST(protocols),
		TEST(dial_fails_at_once),
		TEST(dial_is_cancelled),
		TEST(standins),
		TEST(sockets_go_where_they_belong),
		TEST(unknown_socket),
		TEST(broker_is_told),
		TEST(broker_datagrams),
		TEST(confined),
		TEST(landlock_alone),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
