/* The relay between two peers that are threads of the test's own, over TCP on loopback. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "egress/egress.h"
#include "egress_fakes.h"
#include "hello_samples.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { MIB = 1024 * 1024, DEADLINE_S = 60 };

static struct egress egress;
static int supervisor; /* the other end of the control socket */

static int setup(void **state)
{
	(void)state;
	struct error error = {0};
	int ends[2];
	egress = (struct egress){.connections_max = EGRESS_CONNECTIONS_MAX};
	TAILQ_INIT(&egress.connections);
	egress.base = event_base_new();
	assert_int_equal(event_base_priority_init(egress.base, EGRESS_PRIORITIES), 0);
	assert_int_equal(rate_new(&egress, &egress.rate, &error), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	supervisor = ends[0];
	assert_int_equal(control_new(&egress, ends[1], &egress.control, &error), 0);
	alarm(DEADLINE_S);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	alarm(0);
	assert_true(TAILQ_EMPTY(&egress.connections));
	assert_int_equal(egress.connections_count, 0);
	control_free(egress.control);
	rate_free(egress.rate);
	pipes_free(egress.pipes);
	event_base_free(egress.base);
	close(supervisor);
	return 0;
}

static void limit(struct network_limits limits)
{
	struct error error = {0};
	rate_free(egress.rate);
	egress.policy.limits = limits;
	assert_int_equal(rate_new(&egress, &egress.rate, &error), 0);
}

static void nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void tcp_pair(int ends[2])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	cleanup_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[0], (struct sockaddr *)&address, sizeof(address)), 0);
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ends[1] >= 0);
}

static void unix_pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

/* A connection that is relayed; the peers' ends of it. */
struct ends {
	struct connection *connection;
	int client, server;
};

static struct ends make(void (*pair)(int ends[2]))
{
	int client[2], server[2];
	pair(client);
	pair(server);
	nonblocking(client[1]);
	nonblocking(server[1]);
	struct connection *connection = connection_new(&egress, client[1], EGRESS_HOW_REDIRECT);
	assert_non_null(connection);
	connection->server = server[1];
	connection->record.ended = 1;
	return (struct ends){connection, client[0], server[0]};
}

static struct ends start(void (*pair)(int ends[2]))
{
	struct ends ends = make(pair);
	connection_relay(ends.connection);
	return ends;
}

/* Serves until no connection is left. */
static void serve(void)
{
	while (!TAILQ_EMPTY(&egress.connections))
		assert_int_equal(event_base_loop(egress.base, EVLOOP_ONCE), 0);
}

static void serve_for(unsigned ms)
{
	uint64_t end_us = clock_now_us() + ms * 1000;
	while (clock_now_us() < end_us) {
		event_base_loop(egress.base, EVLOOP_NONBLOCK);
		usleep(200);
	}
}

static struct egress_record take_record(void)
{
	struct egress_message message;
	assert_int_equal(
		recv(supervisor, &message, sizeof(message), MSG_DONTWAIT), sizeof(message));
	assert_int_equal(message.kind, EGRESS_RECORD);
	return message.record;
}

/* ---- peers ---- */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

struct stream {
	int fd;
	size_t bytes; /* to write; counted by a reader */
	uint64_t seed;
	bool shut;  /* a writer shuts down behind its last byte */
	int result; /* errno, EILSEQ for a wrong byte */
	pthread_t thread;
};

/* Writes in pieces of odd lengths. */
static void *write_stream(void *context)
{
	struct stream *stream = context;
	uint64_t sizes = stream->seed + 1, block[4096];
	size_t left = stream->bytes, in_block = 0;
	while (left > 0) {
		if (in_block == 0) {
			for (size_t i = 0; i < ARRAY_SIZE(block); i++)
				block[i] = next_random(&stream->seed);
			in_block = sizeof(block);
		}
		size_t piece = next_random(&sizes) % in_block + 1;
		piece = piece < left ? piece : left;
		ssize_t n = send(
			stream->fd, (char *)block + sizeof(block) - in_block, piece, MSG_NOSIGNAL);
		if (n < 0) {
			stream->result = errno;
			return NULL;
		}
		in_block -= (size_t)n;
		left -= (size_t)n;
	}
	if (stream->shut)
		shutdown(stream->fd, SHUT_WR);
	return NULL;
}

static void *read_stream(void *context)
{
	struct stream *stream = context;
	uint64_t block[4096];
	char data[65536];
	for (;;) {
		ssize_t n = recv(stream->fd, data, sizeof(data), 0);
		if (n <= 0) {
			stream->result = n < 0 ? errno : stream->result;
			return NULL;
		}
		for (ssize_t i = 0; i < n; i++, stream->bytes++) {
			size_t at = stream->bytes % sizeof(block);
			for (size_t j = 0; at == 0 && j < ARRAY_SIZE(block); j++)
				block[j] = next_random(&stream->seed);
			if (data[i] != ((char *)block)[at])
				stream->result = EILSEQ;
		}
	}
}

static struct stream *begin(void *(*run)(void *), int fd, uint64_t seed, size_t bytes)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	*stream = (struct stream){.fd = fd, .seed = seed, .bytes = bytes, .shut = true};
	assert_int_equal(pthread_create(&stream->thread, NULL, run, stream), 0);
	return stream;
}

static void finish(struct stream *stream, size_t bytes, int result)
{
	pthread_join(stream->thread, NULL);
	assert_int_equal(stream->result, result);
	assert_int_equal(stream->bytes, bytes);
	free(stream);
}

/* ---- whole streams ---- */

static void exchange(struct ends ends, size_t bytes)
{
	struct stream *out = begin(write_stream, ends.client, 1, bytes);
	struct stream *out_end = begin(read_stream, ends.server, 1, 0);
	struct stream *in = begin(write_stream, ends.server, 2, bytes);
	struct stream *in_end = begin(read_stream, ends.client, 2, 0);
	serve();
	finish(out, bytes, 0);
	finish(out_end, bytes, 0);
	finish(in, bytes, 0);
	finish(in_end, bytes, 0);
	close(ends.client);
	close(ends.server);
	struct egress_record record = take_record();
	assert_int_equal(record.bytes_out, bytes);
	assert_int_equal(record.bytes_in, bytes);
	assert_int_equal(record.errno_value, 0);
	assert_int_equal(record.ended, 1);
}

static void test_integrity(void **state)
{
	(void)state;
	exchange(start(tcp_pair), 64 * MIB);
}

static void test_integrity_unix(void **state)
{
	(void)state;
	exchange(start(unix_pair), 16 * MIB);
}

/* No descriptor is left for a pipe: bytes are copied. */
static void test_without_pipes(void **state)
{
	(void)state;
	struct ends ends = make(tcp_pair);
	struct rlimit before, none;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 4, .rlim_max = before.rlim_max};
	connection_relay(ends.connection);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	exchange(ends, 16 * MIB);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* Spare pipes count against what the user has: they go when nobody needs them. */
static void test_idle_pipes_are_closed(void **state)
{
	(void)state;
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	exchange(start(tcp_pair), MIB);
	event_base_loopexit(egress.base, &(struct timeval){.tv_sec = 2, .tv_usec = 500000});
	event_base_dispatch(egress.base);
	int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before + 1);
	close(before);
	close(after);
}

static void test_pending_goes_first(void **state)
{
	(void)state;
	struct ends ends = make(tcp_pair);
	ends.connection->pending = evbuffer_new();
	evbuffer_add(ends.connection->pending, "first ", 6);
	assert_int_equal(send(ends.client, "second", 6, 0), 6);
	shutdown(ends.client, SHUT_WR);
	shutdown(ends.server, SHUT_WR);
	connection_relay(ends.connection);
	serve();
	char text[32] = "";
	assert_int_equal(recv(ends.server, text, sizeof(text), MSG_WAITALL), 12);
	assert_string_equal(text, "first second");
	assert_int_equal(take_record().bytes_out, 12);
	close(ends.client);
	close(ends.server);
}

/* ---- TLS where nobody looks for it ---- */

static size_t hello_bytes(const char *hex, char *ret)
{
	size_t length = 0;
	for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		ret[length++] = (char)byte;
	return length;
}

/* Whether what the client sends, in pieces, reaches the server of a raw connection. */
static bool raw_passes(const char *name, const char *data, size_t length, size_t piece)
{
	char got[4096];
	struct ends ends = make(tcp_pair);
	ends.connection->decision.protocol = NETWORK_RAW;
	ends.connection->record.verdict = NETWORK_ALLOW;
	connection_set_target(ends.connection, name, NULL, 443);
	connection_relay(ends.connection);
	/* The server may speak first all the same. */
	assert_int_equal(send(ends.server, "hi", 2, MSG_NOSIGNAL), 2);
	serve_for(20);
	assert_int_equal(recv(ends.client, got, sizeof(got), 0), 2);
	for (size_t at = 0; at < length && egress.connections_count > 0; at += piece) {
		size_t n = length - at < piece ? length - at : piece;
		send(ends.client, data + at, n, MSG_NOSIGNAL);
		serve_for(5);
	}
	serve_for(20);
	bool alive = egress.connections_count > 0;
	ssize_t n = recv(ends.server, got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n == (ssize_t)length && memcmp(got, data, length) == 0, alive);
	close(ends.client);
	close(ends.server);
	serve();
	struct egress_record record = take_record();
	assert_int_equal(record.verdict == NETWORK_DENY, !alive);
	assert_int_equal(record.reason[0] != '\0', !alive);
	return alive;
}

static void test_inspected_names_have_no_way_round(void **state)
{
	(void)state;
	struct error error = {0};
	char curl[1024], nameless[1024];
	size_t curl_bytes = hello_bytes(hello_curl, curl);
	size_t nameless_bytes = hello_bytes(hello_openssl_nosni, nameless);
	network_policy_init(&egress.policy);
	assert_true(raw_passes(NULL, curl, curl_bytes, curl_bytes));
	assert_true(raw_passes(NULL, nameless, nameless_bytes, nameless_bytes));
	assert_int_equal(
		network_set(&egress.policy, "net-inspect", "docs.example.net", NULL, &error), 0);
	assert_false(raw_passes(NULL, curl, curl_bytes, curl_bytes));
	assert_false(raw_passes(NULL, curl, curl_bytes, 100));
	assert_false(raw_passes("other.example.net", curl, curl_bytes, 100));
	assert_false(raw_passes("docs.example.net", curl, curl_bytes, 100));
	assert_false(raw_passes(NULL, nameless, nameless_bytes, nameless_bytes));
	assert_true(raw_passes("other.example.net", nameless, nameless_bytes, nameless_bytes));
	/* In SSL 2's form, behind an alert, or in nonsense: what a server may make of it. */
	assert_false(raw_passes(NULL, "\x80\x2e\1\3\3\0\x15", 7, 1));
	assert_true(raw_passes("other.example.net", "\x80\x2e\1\3\3\0\x15", 7, 1));
	assert_false(raw_passes("other.example.net", "\x15\3\3\0\2\1\x5a", 7, 1));
	assert_false(raw_passes("other.example.net", "\x16\3\3\0\0\x16\3\3\0\0", 10, 1));
	assert_true(raw_passes(NULL, "\x16\1", 2, 1));
	assert_true(raw_passes(NULL, "\x80\0\0\0", 4, 1));
	assert_true(raw_passes(NULL, "SSH-2.0-x\r\n", 11, 3));
	assert_true(raw_passes("docs.example.net", "SSH-2.0-x\r\n", 11, 3));
	network_policy_release(&egress.policy);
	network_policy_init(&egress.policy);
}

/* ---- ends ---- */

/* One side says all it has to say and ends; the other answers afterwards. */
static void half_close(bool client_first)
{
	struct ends ends = start(tcp_pair);
	int one = client_first ? ends.client : ends.server;
	int other = client_first ? ends.server : ends.client;
	assert_int_equal(send(one, "question", 8, 0), 8);
	shutdown(one, SHUT_WR);
	serve_for(20);
	char text[32] = "";
	assert_int_equal(recv(other, text, 8, MSG_WAITALL), 8);
	assert_string_equal(text, "question");
	assert_int_equal(recv(other, text, 1, 0), 0);
	assert_int_equal(egress.connections_count, 1);

	struct stream *answer = begin(write_stream, other, 7, 4 * MIB);
	struct stream *heard = begin(read_stream, one, 7, 0);
	serve();
	finish(answer, 4 * MIB, 0);
	finish(heard, 4 * MIB, 0);
	close(one);
	close(other);
	struct egress_record record = take_record();
	assert_int_equal(client_first ? record.bytes_in : record.bytes_out, 4 * MIB);
	assert_int_equal(record.errno_value, 0);
}

static void test_half_close_by_client(void **state)
{
	(void)state;
	half_close(true);
}

static void test_half_close_by_server(void **state)
{
	(void)state;
	half_close(false);
}

/* The end is passed on behind the last byte, not before it, when the other side is slow. */
static void test_end_waits_for_the_slow(void **state)
{
	(void)state;
	struct ends ends = start(tcp_pair);
	struct stream *out = begin(write_stream, ends.client, 5, 32 * MIB);
	serve_for(100);
	struct stream *out_end = begin(read_stream, ends.server, 5, 0);
	shutdown(ends.server, SHUT_WR);
	serve();
	finish(out, 32 * MIB, 0);
	finish(out_end, 32 * MIB, 0);
	close(ends.client);
	close(ends.server);
	take_record();
}

static void close_by_reset(int fd)
{
	const struct linger linger = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

/* What was sent before a reset arrives, and then the reset, not an end that looks orderly. */
static void reset_by(bool client)
{
	struct ends ends = start(tcp_pair);
	int one = client ? ends.client : ends.server;
	int other = client ? ends.server : ends.client;
	assert_int_equal(send(one, "last words", 10, 0), 10);
	serve_for(20);
	close_by_reset(one);
	serve();
	char text[32] = "";
	assert_int_equal(recv(other, text, 10, MSG_WAITALL), 10);
	assert_string_equal(text, "last words");
	assert_int_equal(recv(other, text, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(other);
	take_record();
}

static void test_reset_by_client(void **state)
{
	(void)state;
	reset_by(true);
}

static void test_reset_by_server(void **state)
{
	(void)state;
	reset_by(false);
}

/* A server that answers and goes without reading the request resets; its answer still arrives. */
static void test_answer_before_reset(void **state)
{
	(void)state;
	struct ends ends = start(tcp_pair);
	assert_int_equal(send(ends.server, "413", 3, 0), 3);
	assert_int_equal(send(ends.client, "body", 4, 0), 4);
	close_by_reset(ends.server);
	struct stream *out = begin(write_stream, ends.client, 9, 64 * MIB);
	serve();
	pthread_join(out->thread, NULL);
	assert_true(out->result == ECONNRESET || out->result == EPIPE);
	free(out);
	char text[4] = "";
	assert_int_equal(recv(ends.client, text, 3, MSG_DONTWAIT), 3);
	assert_string_equal(text, "413");
	close(ends.client);
	take_record();
}

/* ---- back-pressure ---- */

/* Writes until nothing more is taken for a while. */
static size_t fill(int fd)
{
	static char block[65536];
	size_t total = 0;
	nonblocking(fd);
	for (int idle = 0; idle < 50;) {
		ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
		if (n > 0) {
			total += (size_t)n;
			idle = 0;
		} else {
			event_base_loop(egress.base, EVLOOP_NONBLOCK);
			usleep(500);
			idle++;
		}
	}
	return total;
}

static void test_nobody_reads(void **state)
{
	(void)state;
	enum { STUCK = 40 };
	struct ends stuck[STUCK];
	size_t most = 0;
	for (int i = 0; i < STUCK; i++) {
		stuck[i] = start(tcp_pair);
		/* Loopback's own buffers grow to megabytes: here they need not. */
		int ends[] = {stuck[i].client, stuck[i].server, stuck[i].connection->client,
			stuck[i].connection->server};
		for (int j = 0; j < 4; j++) {
			setsockopt(ends[j], SOL_SOCKET, SO_SNDBUF, &(int){65536}, sizeof(int));
			setsockopt(ends[j], SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int));
		}
		size_t taken = fill(stuck[i].client);
		most = taken > most ? taken : most;
	}
	/* A pipe and four socket buffers, never what the writer would like. */
	print_message("a stuck connection took at most %zu KiB\n", most / 1024);
	assert_in_range(most, 1, 4 * MIB);

	/* The others go on all the same, with every pipe in use. */
	struct ends ends = start(tcp_pair);
	assert_int_equal(send(ends.client, "ping", 4, 0), 4);
	serve_for(20);
	char text[8] = "";
	assert_int_equal(recv(ends.server, text, 4, MSG_DONTWAIT), 4);
	assert_string_equal(text, "ping");
	close(ends.client);
	close(ends.server);

	/* And nothing of this costs time while nobody reads. */
	struct timespec before, after;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	event_base_loopexit(egress.base, &(struct timeval){.tv_usec = 300000});
	event_base_dispatch(egress.base);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	int64_t spent_us =
		(after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
	assert_in_range(spent_us, 0, 100000);

	for (int i = 0; i < STUCK; i++) {
		close_by_reset(stuck[i].client);
		close(stuck[i].server);
	}
	serve();
	for (int i = 0; i < STUCK + 1; i++)
		take_record();
}

/* One connection that never stops leaves the others their turn. */
static void test_turns(void **state)
{
	(void)state;
	struct ends busy = start(tcp_pair), other = start(tcp_pair);
	struct stream *out = begin(write_stream, busy.client, 3, 256 * MIB);
	struct stream *out_end = begin(read_stream, busy.server, 3, 0);
	shutdown(busy.server, SHUT_WR);
	serve_for(20);
	for (int i = 0; i < 20; i++) {
		char byte;
		assert_int_equal(send(other.client, "x", 1, 0), 1);
		uint64_t began_us = clock_now_us();
		while (recv(other.server, &byte, 1, MSG_DONTWAIT) != 1)
			event_base_loop(egress.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_in_range(clock_now_us() - began_us, 0, 1000000);
	}
	close(other.client);
	close(other.server);
	serve();
	finish(out, 256 * MIB, 0);
	finish(out_end, 256 * MIB, 0);
	close(busy.client);
	close(busy.server);
	take_record();
	take_record();
}

/* ---- limits ---- */

static void test_rate(void **state)
{
	(void)state;
	limit((struct network_limits){.bytes_per_second = 2 * MIB});
	uint64_t began_us = clock_now_us();
	exchange(start(tcp_pair), MIB);
	/* A tenth of a second's worth goes at once. */
	assert_in_range(clock_now_us() - began_us, 350000, 3000000);
}

static void test_total(void **state)
{
	(void)state;
	limit((struct network_limits){.total_bytes = 3 * MIB});
	struct ends ends = start(tcp_pair);
	struct stream *out = begin(write_stream, ends.client, 3, 64 * MIB);
	struct stream *out_end = begin(read_stream, ends.server, 3, 0);
	serve();
	pthread_join(out->thread, NULL);
	assert_true(out->result == ECONNRESET || out->result == EPIPE);
	free(out);
	pthread_join(out_end->thread, NULL);
	assert_int_equal(out_end->result, ECONNRESET);
	assert_true(out_end->bytes <= 3 * MIB);
	free(out_end);
	close(ends.client);
	close(ends.server);
	struct egress_record record = take_record();
	assert_int_equal(record.bytes_out, 3 * MIB);
	assert_int_equal(record.errno_value, EDQUOT);
	assert_int_equal(record.verdict, NETWORK_DENY);
	assert_non_null(strstr(record.reason, "net-limit"));
}

static void test_idle_memory(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	static struct ends ends[COUNT];
	struct rlimit files;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < 4 * COUNT + 64)
		skip();
	exchange(start(tcp_pair), MIB); /* pipes and buffers are there */
	size_t before = mallinfo2().uordblks;
	for (int i = 0; i < COUNT; i++) {
		char byte;
		ends[i] = start(tcp_pair);
		assert_int_equal(send(ends[i].client, "x", 1, 0), 1);
		while (recv(ends[i].server, &byte, 1, MSG_DONTWAIT) != 1)
			event_base_loop(egress.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	}
	size_t each = (mallinfo2().uordblks - before) / COUNT;
	print_message("an idle connection: %zu bytes of heap\n", each);
	assert_in_range(each, 0, 4096); /* 0 under a sanitizer's own heap */
	for (int i = 0; i < COUNT; i++) {
		close(ends[i].client);
		close(ends[i].server);
		while (egress.connections_count == (size_t)(COUNT - i))
			event_base_loop(egress.base, EVLOOP_ONCE);
		take_record();
	}
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		TEST(integrity),
		TEST(integrity_unix),
		TEST(without_pipes),
		TEST(idle_pipes_are_closed),
		TEST(pending_goes_first),
		TEST(inspected_names_have_no_way_round),
		TEST(half_close_by_client),
		TEST(half_close_by_server),
		TEST(end_waits_for_the_slow),
		TEST(reset_by_client),
		TEST(reset_by_server),
		TEST(answer_before_reset),
		TEST(nobody_reads),
		TEST(turns),
		TEST(rate),
		TEST(total),
		TEST(idle_memory),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
