/* Theory of operation. A name that is inspected, has rules on requests or is given a secret must not
 * be reached past the eyes that check this: not by its address, nor under a rule for raw bytes on
 * any port. So the first bytes of a raw connection are looked at as they pass. What does not begin
 * as TLS goes on at the first byte that tells; a ClientHello goes on once its name is known. A
 * server that speaks first is not held up, and what is wrapped in something else (STARTTLS) is not
 * seen: a raw rule is for bytes of any kind. */
#include "egress/egress.h"
#include "egress/hello.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)HELLO_BYTES_MAX == (int)EGRESS_HEAD_BYTES, "one bound on first messages");

bool unseen_wanted(const struct connection *connection)
{
	return connection->decision.protocol == NETWORK_RAW &&
	       connection->how != EGRESS_HOW_PUBLISH &&
	       network_has_seen_names(&connection->egress->policy);
}

/* A hello without a name, or with one that is none, gets the server's choice of names. */
static int judge_nameless(const struct connection *connection, char reason[160])
{
	if (connection->name[0] &&
		!network_must_be_seen(&connection->egress->policy, connection->name))
		return 0;
	snprintf(reason, 160,
		"the TLS client names no server (SNI), and requests to some names are looked at");
	return -EACCES;
}

int unseen_look(struct connection *connection, char reason[160])
{
	static const uint8_t handshake = 22;
	size_t length = evbuffer_get_length(connection->pending);
	const uint8_t *data = evbuffer_pullup(connection->pending, -1);
	char name[NETWORK_NAME_BYTES];
	const char *wrong = NULL;
	struct hello hello;
	if (length == 0)
		return -EAGAIN;
	if (!data || data[0] != handshake)
		return data ? 0 : -ENOMEM;
	ssize_t r = hello_parse(data, length, &hello, &wrong);
	if (r == 0 && length < EGRESS_HEAD_BYTES)
		return -EAGAIN;
	if (r == -ENOMEM)
		return -ENOMEM;
	/* What is ambiguous here may be read in one way by a server. */
	if (r <= 0 || !hello.name[0] || network_normalize_name(hello.name, name) < 0)
		return judge_nameless(connection, reason);
	if (!network_must_be_seen(&connection->egress->policy, name))
		return 0;
	if (strcmp(name, connection->name) == 0)
		snprintf(reason, 160,
			"requests to %.60s are looked at; :%u/tls would say that TLS "
			"is spoken there",
			name, connection->port);
	else
		snprintf(reason, 160, NETWORK_USE_NAME, name);
	return -EACCES;
}
