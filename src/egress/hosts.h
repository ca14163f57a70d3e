/* What the host itself says about names: /etc/hosts and the nameservers of /etc/resolv.conf. Both
 * are read before the process is confined, and parsed from memory. */
#ifndef COFFER_EGRESS_HOSTS_H
#define COFFER_EGRESS_HOSTS_H

#include "policy/network.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HOSTS_FILE_BYTES = 8 * 1024 * 1024, /* block lists of 200,000 names are in use */
	HOSTS_ADDRESSES_MAX = 16,           /* of one name */
	NAMESERVER_PORT = 53,
};

struct hosts;

/* Parses the text of a hosts file. Lines and names that nobody could ask for are skipped, as the C
 * library does. -ENOMEM. */
int hosts_parse(const char *text, struct hosts **ret);
void hosts_free(struct hosts *hosts);
/* The addresses of a normalized name, in the file's order; their number, 0 if it has none. */
size_t hosts_find(
	const struct hosts *hosts, const char *name, struct in6_addr ret[HOSTS_ADDRESSES_MAX]);

struct nameserver {
	struct in6_addr address;
	uint16_t port;
};

/* The nameserver lines of a resolv.conf; their number. Scoped (link-local) ones are skipped. */
size_t hosts_parse_nameservers(const char *text, struct nameserver ret[NETWORK_RESOLVERS_MAX]);
/* ADDRESS, IPV4:PORT or [IPV6]:PORT. -EINVAL. */
int hosts_parse_nameserver(const char *text, struct nameserver *ret);

#endif
