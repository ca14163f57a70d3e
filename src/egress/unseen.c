/* Theory of operation. A name that is inspected, has rules on requests or is given a secret must
 * not be reached past the eyes that check this: not by its address, nor under a rule for raw bytes
 * on any port. So the first bytes of a raw connection are looked at as they pass. What does not
 * begin as TLS goes on at the first byte that tells; a ClientHello goes on once its name is known.
 * A server that speaks first is not held up, and what is wrapped in something else (STARTTLS) is
 * not seen: a raw rule is for bytes of any kind. */
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

/* What the first bytes begin. */
enum beginning {
	BEGINS_OTHER,
	BEGINS_UNTOLD, /* too few of them */
	BEGINS_HELLO,
	BEGINS_OLD_HELLO, /* in SSL 2's form, which has no name */
	BEGINS_ODD, /* TLS, but not with a hello: an alert before it, which servers pass over */
};

static enum beginning look_at_first(const uint8_t *data, size_t length)
{
	enum { FIRST_RECORD = 20, HANDSHAKE = 22, LAST_RECORD = 24, MAJOR = 3, OLD_HELLO = 1 };
	if (length == 0)
		return BEGINS_UNTOLD;
	if (data[0] >= FIRST_RECORD && data[0] <= LAST_RECORD) {
		if (length < 2)
			return BEGINS_UNTOLD;
		if (data[1] != MAJOR)
			return BEGINS_OTHER;
		return data[0] == HANDSHAKE ? BEGINS_HELLO : BEGINS_ODD;
	}
	if (!(data[0] & 0x80))
		return BEGINS_OTHER;
	if (length < 4)
		return BEGINS_UNTOLD;
	return data[2] == OLD_HELLO && data[3] == MAJOR ? BEGINS_OLD_HELLO : BEGINS_OTHER;
}

static int judge_hello(
	struct connection *connection, const uint8_t *data, size_t length, char reason[160])
{
	char name[NETWORK_NAME_BYTES];
	const char *wrong = NULL;
	struct hello hello;
	ssize_t r = hello_parse(data, length, &hello, &wrong);
	if (r == 0 && length < EGRESS_HEAD_BYTES)
		return -EAGAIN;
	if (r == -ENOMEM)
		return -ENOMEM;
	if (r <= 0) {
		snprintf(reason, 160, "%s",
			r == 0 || !wrong ? "the ClientHello is too long" : wrong);
		return -EACCES;
	}
	if (!hello.name[0] || network_normalize_name(hello.name, name) < 0)
		return judge_nameless(connection, reason);
	if (!network_must_be_seen(&connection->egress->policy, name))
		return 0;
	if (strcmp(name, connection->name) == 0)
		snprintf(reason, 160,
			"requests to %.60s are looked at; :%u/tls would say that TLS is spoken "
			"there",
			name, connection->port);
	else
		snprintf(reason, 160, NETWORK_USE_NAME, name);
	return -EACCES;
}

int unseen_look(struct connection *connection, char reason[160])
{
	size_t length = evbuffer_get_length(connection->pending);
	const uint8_t *data = evbuffer_pullup(connection->pending, -1);
	if (length > 0 && !data)
		return -ENOMEM;
	switch (look_at_first(data, length)) {
	case BEGINS_OTHER:
		break;
	case BEGINS_UNTOLD:
		return -EAGAIN;
	case BEGINS_HELLO:
		return judge_hello(connection, data, length, reason);
	case BEGINS_OLD_HELLO:
		return judge_nameless(connection, reason);
	case BEGINS_ODD:
		snprintf(reason, 160, "TLS that does not begin with a ClientHello");
		return -EACCES;
	}
	return 0;
}
