/* Theory of operation. A connection is handed from step to step: its target is set, decided,
 * dialed, and what its protocol needs looking at is looked at by a handler, until the relay (or the
 * end). Each step either goes on to the next, waits for an event, or ends the connection; the three
 * ends (refuse, reset, end) free it at once, so no step may touch it after it has called another.
 */
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	WATCH_MS = 250, /* how often a client that waits for a decision is looked at */
	PORT_HTTP = 80,
	PORT_TLS = 443,
};

/* Where the client is inside the box, so that its program can be found. Other than IP sockets (the
 * landlock tier's pairs) have no address that would tell. */
static void note_client(struct connection *connection)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	struct egress_record *record = &connection->record;
	socklen_t length = sizeof(peer);
	if (getpeername(connection->client, &peer.any, &length) < 0)
		return;
	if (peer.any.sa_family == AF_INET6) {
		record->client_address = peer.v6.sin6_addr;
		record->client_port = ntohs(peer.v6.sin6_port);
	} else if (peer.any.sa_family == AF_INET) {
		record->client_address.s6_addr[10] = record->client_address.s6_addr[11] = 0xff;
		memcpy(&record->client_address.s6_addr[12], &peer.v4.sin_addr, 4);
		record->client_port = ntohs(peer.v4.sin_port);
	}
}

/* A relay must not hold back what a peer sent at once. Unix sockets know no such thing. */
static void send_at_once(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

struct connection *connection_new(struct egress *egress, int client, enum egress_how how)
{
	struct connection *connection = NULL;
	if (egress->connections_count < egress->connections_max)
		connection = calloc(1, sizeof(*connection));
	if (!connection) {
		close(client);
		return NULL;
	}
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	connection->egress = egress;
	connection->client = client;
	connection->server = -1;
	connection->how = how;
	connection->began_us = clock_now_us();
	connection->record.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	connection->record.how = (uint8_t)how;
	connection->record.count = 1;
	note_client(connection);
	send_at_once(client);
	TAILQ_INSERT_TAIL(&egress->connections, connection, link);
	egress->connections_count++;
	return connection;
}

void connection_set_handler(
	struct connection *connection, void *handler, void (*release)(void *handler))
{
	void *old = connection->handler;
	void (*release_old)(void *) = connection->release;
	connection->handler = NULL;
	connection->release = NULL;
	connection->delivered = NULL;
	if (release_old)
		release_old(old);
	connection->handler = handler;
	connection->release = release;
}

void connection_set_target(struct connection *connection, const char *name,
	const struct in6_addr *address, uint16_t port)
{
	static const struct in6_addr none;
	connection->address = address ? *address : none;
	connection->port = port;
	snprintf(connection->name, sizeof(connection->name), "%s", name ? name : "");
	connection->record.address = connection->address;
	connection->record.port = port;
	memcpy(connection->record.name, connection->name, sizeof(connection->record.name));
}

bool connection_set_address(
	struct connection *connection, const struct in6_addr *address, uint16_t port)
{
	struct standins *standins = connection->egress->standins;
	const char *name = standins_name(standins, address);
	connection_set_target(connection, name, name ? NULL : address, port);
	if (name || !standins_covers(standins, address))
		return true;
	connection_refuse(connection, EHOSTUNREACH,
		"no name has this stand-in address (any more): look the name up again");
	return false;
}

/* ---- the end ---- */

/* Who would have to be asked first had sent nothing that may go; and into the box nothing goes. */
bool connection_is_delivered(const struct connection *connection)
{
	if (connection->delivered)
		return connection->delivered(connection->handler);
	return connection->wait.ask_id || connection->how == EGRESS_HOW_PUBLISH;
}

static void stop_waiting(struct connection *connection)
{
	struct connection_wait *wait = &connection->wait;
	if (wait->ask_id)
		egress_ask_forget(connection->egress, wait->ask_id);
	wait->ask_id = 0;
	if (wait->timer)
		event_free(wait->timer);
	wait->timer = NULL;
	if (wait->dial)
		upstream_cancel(wait->dial);
	wait->dial = NULL;
}

static void tell_broker(struct connection *connection, int value)
{
	if (connection->id)
		control_connected(connection->egress, connection->id, value);
	connection->id = 0;
}

void connection_end(struct connection *connection)
{
	struct egress *egress = connection->egress;
	struct egress_record *record = &connection->record;
	stop_waiting(connection);
	connection_set_handler(connection, NULL, NULL);
	if (connection->timer)
		event_free(connection->timer);
	tell_broker(connection, record->errno_value ? -record->errno_value : 0);
	close_fd(&connection->client);
	close_fd(&connection->server);
	if (connection->pending)
		evbuffer_free(connection->pending);
	record->duration_ms = (uint32_t)((clock_now_us() - connection->began_us) / 1000);
	egress_log(egress, record);
	TAILQ_REMOVE(&egress->connections, connection, link);
	egress->connections_count--;
	free(connection);
	listeners_resume(egress);
}

/* Makes close() send a reset in place of an orderly end, and drop what was not sent. */
static void reset_on_close(int fd)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void connection_reset(struct connection *connection)
{
	reset_on_close(connection->client);
	reset_on_close(connection->server);
	connection_end(connection);
}

static void __attribute__((format(printf, 3, 0)))
set_reason(struct connection *connection, int errno_value, const char *format, va_list args)
{
	struct egress_record *record = &connection->record;
	record->errno_value = errno_value;
	vsnprintf(record->reason, sizeof(record->reason), format, args);
}

void connection_refuse(struct connection *connection, int errno_value, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	set_reason(connection, errno_value, format, args);
	va_end(args);
	connection->record.verdict = NETWORK_DENY;
	connection_reset(connection);
}

/* It was allowed, and still came to nothing. Not a refusal: the verdict stands. */
static void __attribute__((format(printf, 3, 4)))
fail(struct connection *connection, int errno_value, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	set_reason(connection, errno_value, format, args);
	va_end(args);
	connection_reset(connection);
}

/* ---- the decision ---- */

/* Whether the client has gone while nobody read from it. Its end of sending alone says nothing of a
 * raw protocol, in which a client may listen only. */
static bool client_has_gone(const struct connection *connection)
{
	char byte;
	if (connection->client < 0)
		return false; /* its handler reads from it and sees the end itself */
	ssize_t n = recv(connection->client, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	return n == 0 && connection->decision.protocol != NETWORK_RAW;
}

static void wait_for(struct connection *connection, int wait_ms)
{
	const struct timeval interval = {
		.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	if (!connection->wait.timer || event_add(connection->wait.timer, &interval) < 0)
		fail(connection, ENOMEM, "no memory");
}

static void refuse_decided(struct connection *connection, int errno_value, const char *reason)
{
	struct egress_record *record = &connection->record;
	connection_step refused = connection->wait.refused;
	stop_waiting(connection);
	record->verdict = NETWORK_DENY;
	record->errno_value = errno_value;
	if (reason != record->reason)
		snprintf(record->reason, sizeof(record->reason), "%s", reason);
	if (refused)
		refused(connection);
	else
		connection_reset(connection);
}

/* The last hurdle: the rate of connections. */
static void pass(struct connection *connection)
{
	int wait_ms = rate_connection(connection->egress->rate);
	if (wait_ms < 0) {
		refuse_decided(connection, ECONNREFUSED,
			"the limit on connections or bytes is reached (net-limit)");
		return;
	}
	if (wait_ms > 0) {
		wait_for(connection, wait_ms);
		return;
	}
	connection_step then = connection->wait.then;
	stop_waiting(connection);
	then(connection);
}

static void on_answer(void *context, enum network_verdict verdict)
{
	struct connection *connection = context;
	connection->wait.ask_id = 0;
	if (verdict != NETWORK_ALLOW && verdict != NETWORK_MONITOR) {
		refuse_decided(connection, ECONNREFUSED, "it was asked for, and the answer was no");
		return;
	}
	connection->decision.verdict = verdict;
	connection->record.verdict = (uint8_t)verdict;
	snprintf(connection->record.rule, sizeof(connection->record.rule), "asked");
	connection->record.reason[0] = '\0';
	pass(connection);
}

static void on_wait(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	(void)fd, (void)what;
	if (client_has_gone(connection)) {
		fail(connection, ECONNABORTED, "the program closed it before it was decided");
		return;
	}
	if (connection->wait.ask_id)
		wait_for(connection, WATCH_MS);
	else
		pass(connection);
}

static void ask(struct connection *connection)
{
	connection->wait.ask_id =
		egress_ask(connection->egress, &connection->record, on_answer, connection);
	if (connection->wait.ask_id)
		wait_for(connection, WATCH_MS);
	else
		refuse_decided(connection, ECONNREFUSED, "it cannot be asked for now");
}

/* Denied, but only because no rule says anything of it: somebody who can be asked may allow it. The
 * walls that stand without a rule (special-use names, reserved addresses, the host itself) are not
 * for asking. */
static bool may_be_asked(const struct connection *connection)
{
	const struct network_decision *decision = &connection->decision;
	if (decision->verdict == NETWORK_ASK)
		return true;
	if (decision->rule)
		return false;
	if (*connection->name)
		return !network_special_name(connection->name) &&
		       strcmp(connection->name, NETWORK_HOST_NAME) != 0;
	return !network_reserved_range(&connection->address);
}

static void decide(struct connection *connection)
{
	const struct network_policy *policy = &connection->egress->policy;
	struct network_decision *decision = &connection->decision;
	if (*connection->name)
		network_decide_name(policy, connection->name, connection->port, decision);
	else
		network_decide_address(policy, &connection->address, connection->port, decision);
	if (decision->protocol == NETWORK_BY_PORT)
		decision->protocol = connection->port == PORT_HTTP  ? NETWORK_HTTP
				     : connection->port == PORT_TLS ? NETWORK_TLS
								    : NETWORK_RAW;

	bool allowed = decision->verdict == NETWORK_ALLOW || decision->verdict == NETWORK_MONITOR;
	if (policy->hold && allowed)
		decision->verdict = NETWORK_ASK;

	struct egress_record *record = &connection->record;
	record->verdict = (uint8_t)decision->verdict;
	record->protocol = (uint8_t)decision->protocol;
	record->errno_value = 0;
	snprintf(record->rule, sizeof(record->rule), "%s",
		decision->rule ? decision->rule->source : "default");
	snprintf(record->reason, sizeof(record->reason), "%s",
		decision->verdict == NETWORK_DENY ? decision->reason : "");
}

void connection_decide(struct connection *connection, connection_step then, connection_step refused)
{
	stop_waiting(connection);
	connection->wait.then = then;
	connection->wait.refused = refused;
	decide(connection);
	enum network_verdict verdict = connection->decision.verdict;
	if (verdict == NETWORK_ALLOW || verdict == NETWORK_MONITOR) {
		connection->wait.timer = evtimer_new(connection->egress->base, on_wait, connection);
		pass(connection);
	} else if (connection->egress->ask && may_be_asked(connection)) {
		connection->wait.timer = evtimer_new(connection->egress->base, on_wait, connection);
		ask(connection);
	} else if (verdict == NETWORK_ASK) {
		refuse_decided(connection, ECONNREFUSED, "it must be asked for, and nobody can be");
	} else {
		refuse_decided(connection, ECONNREFUSED, connection->record.reason);
	}
}

/* ---- dialing ---- */

static void on_dialed(void *context, int fd, const struct in6_addr *address, const char *reason)
{
	struct connection *connection = context;
	struct egress_record *record = &connection->record;
	connection->wait.dial = NULL;
	if (fd >= 0) {
		connection->server = fd;
		if (address)
			connection->address = record->address = *address;
		record->ended = 1;
		send_at_once(fd);
		/* A server that vanished without a word would keep its connection for ever. */
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	} else {
		record->errno_value = -fd;
		if (fd == -EACCES)
			record->verdict = NETWORK_DENY;
		snprintf(record->reason, sizeof(record->reason), "%s", reason ? reason : "");
	}
	connection->wait.dial_error = fd < 0 ? fd : 0;
	connection->wait.dial_done = true;
	if (!connection->wait.dial_starting)
		connection->wait.dialed(connection, connection->wait.dial_error);
}

void connection_dial(
	struct connection *connection, void (*then)(struct connection *connection, int error))
{
	struct connection_wait *wait = &connection->wait;
	wait->dialed = then;
	wait->dial_done = false;
	/* What is answered before upstream_dial() returns is passed on after it, when nothing on
	 * the way back looks at a connection that its end has freed. */
	wait->dial_starting = true;
	struct dial *dial = upstream_dial(connection->egress->upstream,
		*connection->name ? connection->name : NULL,
		*connection->name ? NULL : &connection->address, connection->port, on_dialed,
		connection);
	wait->dial_starting = false;
	if (wait->dial_done) {
		then(connection, wait->dial_error);
	} else if (dial) {
		wait->dial = dial;
	} else {
		connection->record.errno_value = ENOMEM;
		snprintf(connection->record.reason, sizeof(connection->record.reason),
			"no memory to dial");
		then(connection, -ENOMEM);
	}
}

/* ---- going on by protocol ---- */

void connection_relay(struct connection *connection)
{
	tell_broker(connection, 0);
	relay_start(connection);
}

static void relay_dialed(struct connection *connection, int error)
{
	if (error < 0)
		connection_reset(connection); /* the record says why */
	else
		connection_relay(connection);
}

void connection_go(struct connection *connection)
{
	switch (connection->decision.protocol) {
	case NETWORK_HTTP:
		tell_broker(connection, 0); /* the client speaks first */
		http_start(connection);
		return;
	case NETWORK_TLS:
		tell_broker(connection, 0);
		hello_start(connection);
		return;
	case NETWORK_RAW:
	case NETWORK_BY_PORT:
		/* The program's own connect() ends as the real one does, as far as it can be told.
		 */
		connection_dial(connection, relay_dialed);
		return;
	}
}
