/* The box's own network namespace, made ready for egress: loopback, routes that make every address
 * local, the constant nftables ruleset with this box's set elements, and the sockets that are
 * handed out. Run by init, as root of the box's user namespace, before it drops everything. */
#ifndef COFFER_CONFINE_NETWORK_H
#define COFFER_CONFINE_NETWORK_H

#include "base/error.h"
#include "host/facts.h"
#include "policy/egress.h"
#include "policy/network.h"

#include <stddef.h>

/* allow-udp rules have a socket of each family. */
enum { NETWORK_SOCKETS_MAX = EGRESS_SOCKET_KINDS + 2 * EGRESS_UDP_RULES_MAX };

struct network_sockets {
	int fds[NETWORK_SOCKETS_MAX]; /* owned */
	uint8_t kinds[NETWORK_SOCKETS_MAX];
	size_t count;
};

/* Loopback alone (ports from 0 open to everyone): the box without egress. */
int network_raise_loopback(struct error *error);
/* Everything that egress needs. Fails whole: there is no box with half a wall. Inside, afterwards:
 * - allowed (stand-in address, port) pairs and literal addresses that a rule names lead, over TCP,
 * to the redirect sockets, which say by SO_ORIGINAL_DST where a connection was going;
 * - port 53 of every address, loopback's included (a resolv.conf may say 127.0.0.53), is the
 *   resolver; the destinations of allow-udp rules lead to a socket for each rule;
 * - the rest of loopback is the box's own; of coffer's addresses there are the resolver and
 * proxies;
 * - everything else is refused at once: TCP by a reset, the rest by EPERM.
 * 0.4 ms, measured. ret->fds are in no particular order; EGRESS_SOCKET_NFLOG is missing where the
 * kernel has no nfnetlink_log. The error names what an administrator loads where nf_tables is
 * missing. */
int network_open(const struct network_policy *policy, bool ask, struct network_sockets *ret,
	struct error *error);
void network_sockets_release(struct network_sockets *sockets);
/* Tries it, for `coffer doctor`: fills facts->network and network_log, after probe_full(). Nothing
 * is tried where user namespaces are forbidden. */
void network_probe(struct host_facts *facts);

#endif
