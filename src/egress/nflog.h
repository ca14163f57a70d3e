/* What the kernel says of a packet that nftables refused. */
#ifndef COFFER_EGRESS_NFLOG_H
#define COFFER_EGRESS_NFLOG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nflog_packet {
	struct in6_addr source, destination; /* IPv4 ones mapped */
	uint8_t protocol;                    /* IPPROTO_* */
	uint16_t source_port, port;          /* of TCP and UDP; else 0 */
	bool lost; /* others were refused that nothing is told of: see EGRESS_NFLOG_LOST */
};

/* Calls each() for every refused packet that the netlink messages in data tell of. What is cut off
 * or malformed is passed over. data is aligned as a netlink message is. */
typedef void (*nflog_each)(void *context, const struct nflog_packet *packet);
void nflog_parse(const void *data, size_t length_bytes, nflog_each each, void *context);

#endif
