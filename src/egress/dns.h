/* The wire format of DNS (RFC 1035, EDNS of RFC 6891), as far as a resolver needs it that answers
 * with what it has made up itself. Pure: bytes in, bytes out. Every query is a stranger's. */
#ifndef COFFER_EGRESS_DNS_H
#define COFFER_EGRESS_DNS_H

#include "policy/network.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER_BYTES = 12,
	DNS_NAME_BYTES = 255, /* on the wire, with the root's empty label (RFC 1035, 2.3.4) */
	DNS_QUESTION_BYTES = DNS_NAME_BYTES + 4,
	DNS_PLAIN_UDP_BYTES = 512, /* an answer to who does not speak EDNS */
	DNS_EDNS_UDP_BYTES = 4096, /* the most that is sent, whatever a client says it takes */
	DNS_QUERY_BYTES = 4096,    /* the most that is read: a question, an OPT and its padding */
};

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_SVCB = 64,
	DNS_TYPE_HTTPS = 65,
	DNS_TYPE_TRANSFERS = 249, /* TKEY, TSIG, IXFR, AXFR, MAILB, MAILA: no data of a name */
	DNS_TYPE_ANY = 255,
};

enum { DNS_CLASS_IN = 1 };

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* its upper bits travel in the OPT record */
};

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool recursion_desired, checking_disabled;
	enum dns_rcode rcode; /* not NOERROR: what it is to be answered with, at once */

	uint16_t type, class;
	/* Labels joined by dots, in the letters they came in; "" is the root. */
	char name[NETWORK_NAME_BYTES];
	/* A label holds a dot, a space, a control character or the like: the text above shows '?'
	 * for it and is good for a log, but is not the name that was asked for. */
	bool unnameable;
	uint8_t question[DNS_QUESTION_BYTES]; /* as it came, letter case too: it is echoed */
	size_t question_bytes;                /* 0: none could be read */

	bool edns, dnssec_ok;
	uint16_t payload_bytes; /* what its sender takes by UDP, 512 to DNS_EDNS_UDP_BYTES */
};

/* Reads one query. -EBADMSG for what must not be answered at all: less than a header, or a
 * response (two resolvers could else answer one another for ever). Otherwise 0: ret->rcode says
 * whether it is a query that can be served. Names are never compressed in a question that comes
 * first in its message, so every pointer is refused, and with it every loop. */
int dns_parse_query(const uint8_t *data, size_t length_bytes, struct dns_query *ret);

struct dns_answer {
	enum dns_rcode rcode;
	/* At most one record, and only under NOERROR: */
	const struct in6_addr *address; /* A if it is v4-mapped, else AAAA; or NULL */
	const char *pointer;            /* PTR: a normalized name; or NULL */
	uint32_t ttl_s;
};

/* Writes the answer into data. What would be longer than room_bytes (>= DNS_PLAIN_UDP_BYTES) is
 * sent as TC without its record, so that the client asks again by TCP. Returns its length. */
size_t dns_format_answer(const struct dns_query *query, const struct dns_answer *answer,
	uint8_t *data, size_t room_bytes);

/* The address that a name below in-addr.arpa or ip6.arpa stands for; -EINVAL: it is none, or not
 * a whole address. */
int dns_parse_reverse(const char *name, struct in6_addr *ret);

#endif
