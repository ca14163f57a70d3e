/* The ClientHello of TLS, read without speaking TLS: pure. It may be cut into records, and those
 * into segments, at will. With Encrypted Client Hello only the outer name is seen, and so it is the
 * outer name that is checked; a client that answers a HelloRetryRequest with another name is its
 * server's to refuse (RFC 8446, 4.1.2). What can be told for certain is told only where TLS is
 * inspected. */
#ifndef COFFER_EGRESS_HELLO_H
#define COFFER_EGRESS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HELLO_BYTES_MAX = 64 * 1024, HELLO_NAME_BYTES = 256, HELLO_ALPN_BYTES = 128 };

struct hello {
	char name[HELLO_NAME_BYTES]; /* as sent: visible ASCII; "": none */
	char alpn[HELLO_ALPN_BYTES]; /* protocols between commas, as many as fit; "": none */
	bool ech;                    /* an encrypted inner hello, real or as grease */
	uint16_t version;            /* the highest offered: 0x0304 is TLS 1.3 */
};

/* How many bytes of data the records with the ClientHello take; 0: it is not complete yet; -EBADMSG
 * with *ret_reason (static): it is none, malformed or ambiguous (two names, an extension twice); or
 * -E2BIG, or -ENOMEM. */
ssize_t hello_parse(
	const uint8_t *data, size_t length_bytes, struct hello *ret, const char **ret_reason);

#endif
