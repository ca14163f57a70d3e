/* The proxy port. One byte tells SOCKS5 from HTTP. Both name a target, which is decided as any
 * other; a tunnel then goes on by its rule's protocol, so that what flows through it is looked at
 * as if it had been redirected here. Of a raw one the answer waits for the server, and is true; of
 * the others the client must speak before the server can be dialed, so it is told to go on. */
#include "egress/http_internal.h"
#include "egress/http_request.h"
#include "egress/peek.h"
#include "egress/socks.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char connect_method[] = "CONNECT ";

/* A few bytes to a client that has read all it was sent so far: they fit its socket's buffer. */
static bool say(struct connection *connection, const void *data, size_t length_bytes)
{
	ssize_t n = send(connection->client, data, length_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == (ssize_t)length_bytes)
		return true;
	connection->record.errno_value = ECONNABORTED;
	connection_reset(connection);
	return false;
}

static void say_last(struct connection *connection, const void *data, size_t length_bytes)
{
	struct bufferevent *client = http_client(connection);
	if (client)
		bufferevent_write(client, data, length_bytes);
	if (client)
		http_linger(connection, client);
	else
		connection_end(connection);
}

/* Targets of a tunnel: a name, or a literal, which may be a name's stand-in. false: it is gone. */
static bool set_target(struct connection *connection, const struct http_peer *peer)
{
	connection_set_handler(connection, NULL, NULL);
	if (!peer->name[0])
		return connection_set_address(connection, &peer->address, peer->port);
	connection_set_target(connection, peer->name, NULL, peer->port);
	return true;
}

static void set_reason(struct connection *connection, int errno_value, const char *reason)
{
	connection->record.errno_value = errno_value;
	snprintf(connection->record.reason, sizeof(connection->record.reason), "%s", reason);
}

/* ---- SOCKS5 ---- */

static void socks_answer(struct connection *connection, enum socks_reply reply)
{
	uint8_t answer[SOCKS_ANSWER_BYTES];
	socks_format_answer(reply, answer);
	say_last(connection, answer, sizeof(answer));
}

static bool socks_accept(struct connection *connection)
{
	uint8_t answer[SOCKS_ANSWER_BYTES];
	socks_format_answer(SOCKS_SUCCEEDED, answer);
	return say(connection, answer, sizeof(answer));
}

static void socks_dialed(struct connection *connection, int error)
{
	if (error < 0)
		socks_answer(connection, socks_reply_of(-error));
	else if (socks_accept(connection))
		connection_relay(connection);
}

static void socks_decided(struct connection *connection)
{
	if (connection->decision.protocol == NETWORK_RAW)
		connection_dial(connection, socks_dialed);
	else if (socks_accept(connection))
		connection_go(connection);
}

static void socks_refused(struct connection *connection)
{
	socks_answer(connection, SOCKS_NOT_ALLOWED);
}

static bool socks_malformed(struct connection *connection, enum socks_reply reply)
{
	connection->record.verdict = NETWORK_DENY;
	set_reason(connection, EPROTO,
		reply == SOCKS_NO_SUCH_COMMAND ? "a SOCKS command other than CONNECT"
					       : "a malformed SOCKS request");
	socks_answer(connection, reply);
	return false;
}

static bool look_at_socks_request(struct connection *connection, struct peek *peek)
{
	size_t length = evbuffer_get_length(connection->pending);
	const uint8_t *data = evbuffer_pullup(connection->pending, -1);
	struct socks_request request;
	enum socks_reply reply;
	struct http_peer peer;
	(void)peek;
	ssize_t r = data ? socks_parse_request(data, length, &request, &reply) : 0;
	if (r == 0)
		return true;
	if (r < 0)
		return socks_malformed(connection, reply);
	evbuffer_drain(connection->pending, (size_t)r);
	if (request.named && http_peer_parse(request.name, request.port, &peer) < 0)
		return socks_malformed(connection, SOCKS_NOT_ALLOWED);
	if (!request.named)
		peer = (struct http_peer){.address = request.address, .port = request.port};
	if (set_target(connection, &peer))
		connection_decide(connection, socks_decided, socks_refused);
	return false;
}

static bool look_at_greeting(struct connection *connection, struct peek *peek)
{
	static const uint8_t welcome[SOCKS_METHOD_BYTES] = {5, 0}, none[] = {5, 0xff};
	size_t length = evbuffer_get_length(connection->pending);
	const uint8_t *data = evbuffer_pullup(connection->pending, -1);
	bool acceptable;
	ssize_t r = data ? socks_parse_greeting(data, length, &acceptable) : 0;
	if (r == 0)
		return true;
	if (r < 0 || !acceptable) {
		connection->record.verdict = NETWORK_DENY;
		set_reason(connection, EPROTO, "SOCKS5 only without authentication");
		say_last(connection, none, sizeof(none));
		return false;
	}
	evbuffer_drain(connection->pending, (size_t)r);
	if (!say(connection, welcome, sizeof(welcome)))
		return false;
	peek_next(peek, look_at_socks_request);
	return evbuffer_get_length(connection->pending) == 0 ||
	       look_at_socks_request(connection, peek);
}

/* ---- HTTP CONNECT ---- */

static bool connect_accept(struct connection *connection)
{
	static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	return say(connection, established, sizeof(established) - 1);
}

static void connect_dialed(struct connection *connection, int error)
{
	char reason[sizeof(connection->record.reason)];
	snprintf(reason, sizeof(reason), "%s",
		connection->record.reason[0] ? connection->record.reason : strerror(-error));
	if (error < 0)
		http_respond(connection, NULL,
			error == -EACCES      ? 403
			: error == -ETIMEDOUT ? 504
					      : 502,
			reason, NULL);
	else if (connect_accept(connection))
		connection_relay(connection);
}

static void connect_decided(struct connection *connection)
{
	if (connection->decision.protocol == NETWORK_RAW)
		connection_dial(connection, connect_dialed);
	else if (connect_accept(connection))
		connection_go(connection);
}

static void connect_refused(struct connection *connection)
{
	struct http_peer peer = {.address = connection->address, .port = connection->port};
	char hint[512], reason[sizeof(connection->record.reason)];
	memcpy(peer.name, connection->name, sizeof(peer.name));
	memcpy(reason, connection->record.reason, sizeof(reason));
	http_peer_hint(&peer, &connection->decision, "", hint, sizeof(hint));
	http_respond(connection, NULL, 403, reason, hint);
}

static bool connect_malformed(struct connection *connection, const char *what)
{
	char reason[160];
	snprintf(reason, sizeof(reason), "the request is malformed or ambiguous: %s", what);
	connection->record.verdict = NETWORK_DENY;
	set_reason(connection, EPROTO, reason);
	connection_set_handler(connection, NULL, NULL);
	http_respond(connection, NULL, 400, reason, NULL);
	return false;
}

static bool look_at_connect(struct connection *connection, struct peek *peek)
{
	size_t length = evbuffer_get_length(connection->pending);
	const char *data = (const char *)evbuffer_pullup(connection->pending, -1);
	struct http_head head;
	struct http_target target;
	struct http_peer peer;
	const char *wrong = "no memory";
	(void)peek;
	ssize_t r = data ? http_head_parse(data, length, NULL, &head, &wrong) : -ENOMEM;
	if (r == 0)
		return true;
	if (r < 0)
		return connect_malformed(connection, wrong);
	evbuffer_drain(connection->pending, (size_t)r);
	bool body = head.body != HTTP_BODY_NONE && head.length_bytes > 0;
	bool plain = http_target_parse(head.method, head.target, &target) == 0 &&
		     target.form == HTTP_AUTHORITY && head.body != HTTP_BODY_CHUNKED && !body;
	http_head_release(&head);
	if (!plain)
		return connect_malformed(connection, "a CONNECT with a body");
	if (http_peer_parse(target.authority.host, target.authority.port, &peer) < 0)
		return connect_malformed(connection, "a host that is neither name nor address");
	connection->how = EGRESS_HOW_PROXY_CONNECT;
	connection->record.how = EGRESS_HOW_PROXY_CONNECT;
	if (set_target(connection, &peer))
		connection_decide(connection, connect_decided, connect_refused);
	return false;
}

/* ---- which of them ---- */

static bool look_at_first_byte(struct connection *connection, struct peek *peek)
{
	char first[sizeof(connect_method) - 1];
	size_t bytes = (size_t)evbuffer_copyout(connection->pending, first, sizeof(first));
	if (first[0] == 5) {
		connection->how = EGRESS_HOW_SOCKS;
		connection->record.how = EGRESS_HOW_SOCKS;
		peek_next(peek, look_at_greeting);
		return look_at_greeting(connection, peek);
	}
	if ((first[0] | 0x20) < 'a' || (first[0] | 0x20) > 'z')
		return connect_malformed(connection,
			"this is a proxy: it takes http://HOST/ URLs, CONNECT and SOCKS5");
	if (memcmp(first, connect_method, bytes) != 0) {
		connection->how = EGRESS_HOW_PROXY_HTTP;
		connection->record.how = EGRESS_HOW_PROXY_HTTP;
		connection_set_handler(connection, NULL, NULL);
		http_run(connection, &(struct http_options){.proxy = true});
		return false;
	}
	if (bytes < sizeof(first))
		return true;
	peek_next(peek, look_at_connect);
	return look_at_connect(connection, peek);
}

void proxy_start(struct connection *connection)
{
	peek_start(connection, look_at_first_byte);
}
