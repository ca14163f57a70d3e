/* A tls connection: its ClientHello must name what the connection is for. Then its bytes are the
 * client's and the server's own business, unless they are inspected. */
#include "egress/hello.h"
#include "egress/peek.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert((int)HELLO_BYTES_MAX == (int)EGRESS_HEAD_BYTES, "one bound on first messages");

/* A refusal that a TLS client can name: the alert access_denied (RFC 8446, 6.2), then the reset. */
static bool refuse(struct connection *connection, int errno_value, const char *reason)
{
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 49};
	send(connection->client, alert, sizeof(alert), MSG_NOSIGNAL | MSG_DONTWAIT);
	connection_refuse(connection, errno_value, "%s", reason);
	return false;
}

/* To an address that the program named by itself: that way no request would be seen. */
static bool must_use_name(const struct connection *connection, const char *name)
{
	return !connection->name[0] && network_must_be_seen(&connection->egress->policy, name);
}

static bool is_allowed(const struct connection *connection, const char *name)
{
	struct network_decision decision;
	if (connection->name[0])
		return strcmp(name, connection->name) == 0;
	/* An address that a rule allows may serve any name that a rule allows. */
	network_decide_name(&connection->egress->policy, name, connection->port, &decision);
	return decision.verdict == NETWORK_ALLOW || decision.verdict == NETWORK_MONITOR;
}

static bool check_name(struct connection *connection, const struct hello *hello, char reason[160])
{
	char name[NETWORK_NAME_BYTES];
	if (!hello->name[0]) {
		snprintf(reason, 160, "the TLS client names no server (SNI)");
		return false;
	}
	if (network_normalize_name(hello->name, name) < 0) {
		snprintf(reason, 160, "the TLS client's server name is no host name");
		return false;
	}
	if (must_use_name(connection, name)) {
		snprintf(reason, 160, NETWORK_USE_NAME, name);
		return false;
	}
	if (is_allowed(connection, name))
		return true;
	snprintf(reason, 160, "the TLS client names %.50s, but the connection is to %.50s", name,
		connection->name[0] ? connection->name : "an address");
	return false;
}

static void dialed(struct connection *connection, int error)
{
	if (error < 0)
		connection_reset(connection); /* the record says why */
	else
		connection_relay(connection);
}

static bool look_at_hello(struct connection *connection, struct peek *peek)
{
	size_t length = evbuffer_get_length(connection->pending);
	const uint8_t *data = evbuffer_pullup(connection->pending, -1);
	struct hello hello;
	const char *wrong = NULL;
	char reason[160];
	ssize_t r = data ? hello_parse(data, length, &hello, &wrong) : -ENOMEM;
	if (r == 0)
		return true;
	if (r < 0)
		return refuse(connection, EPROTO, r == -ENOMEM ? "no memory" : wrong);
	if (!check_name(connection, &hello, reason))
		return refuse(connection, EACCES, reason);
	if (connection->decision.inspect) {
		connection_set_handler(connection, NULL, NULL);
		inspect_start(connection);
		return false;
	}
	int wait_ms = rate_request(connection->egress->rate);
	if (wait_ms < 0)
		return refuse(connection, EDQUOT, "more requests than the network's limits allow");
	if (wait_ms > 0) {
		peek_wait(peek, wait_ms);
		return true;
	}
	connection->record.requests++;
	connection_set_handler(connection, NULL, NULL);
	connection_dial(connection, dialed);
	return false;
}

void hello_start(struct connection *connection)
{
	peek_start(connection, look_at_hello);
}
