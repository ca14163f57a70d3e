/* SOCKS5 (RFC 1928) as a client speaks it: pure. Without authentication, CONNECT only. */
#ifndef COFFER_EGRESS_SOCKS_H
#define COFFER_EGRESS_SOCKS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum socks_reply {
	SOCKS_SUCCEEDED = 0,
	SOCKS_FAILURE = 1,
	SOCKS_NOT_ALLOWED = 2,
	SOCKS_NETWORK_UNREACHABLE = 3,
	SOCKS_HOST_UNREACHABLE = 4,
	SOCKS_REFUSED = 5,
	SOCKS_TTL_EXPIRED = 6,
	SOCKS_NO_SUCH_COMMAND = 7,
	SOCKS_NO_SUCH_ADDRESS_TYPE = 8,
};

enum { SOCKS_ANSWER_BYTES = 10, SOCKS_METHOD_BYTES = 2 };

/* The client's first message, which offers methods. Its length; 0: incomplete; -EBADMSG. *ret_none:
 * whether "no authentication" is among them. */
ssize_t socks_parse_greeting(const uint8_t *data, size_t length_bytes, bool *ret_none);

struct socks_request {
	bool named;
	char name[256];          /* as sent: visible ASCII, not yet a checked name */
	struct in6_addr address; /* if not named */
	uint16_t port;           /* never 0 */
};

/* The request that follows. Its length; 0: incomplete; -EBADMSG with *ret_reply for the client. */
ssize_t socks_parse_request(const uint8_t *data, size_t length_bytes, struct socks_request *ret,
	enum socks_reply *ret_reply);

/* An answer to it. The bound address is not told (0.0.0.0:0): it is the host's business. */
void socks_format_answer(enum socks_reply reply, uint8_t ret[SOCKS_ANSWER_BYTES]);
/* What a refusal's errno is called in SOCKS. */
enum socks_reply socks_reply_of(int errno_value);

#endif
