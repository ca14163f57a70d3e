/* The box's own network namespace, made ready for egress: loopback, routes that make every address
 * local, the constant nftables ruleset with this box's set elements, and the sockets that are
 * handed out. Run by init, as root of the box's user namespace, before it drops everything. */
#ifndef COFFER_CONFINE_NETWORK_H
#define COFFER_CONFINE_NETWORK_H

#include "base/error.h"
#include "policy/egress.h"
#include "policy/network.h"

#include <stddef.h>

enum { NETWORK_SOCKETS_MAX = EGRESS_SOCKET_KINDS + EGRESS_UDP_RULES_MAX };

struct network_sockets {
	int fds[NETWORK_SOCKETS_MAX]; /* owned */
	uint8_t kinds[NETWORK_SOCKETS_MAX];
	size_t count;
};

/* Loopback alone (ports from 0 open to everyone): the box without egress. */
int network_raise_loopback(struct error *error);
/* Everything that egress needs. Fails whole: there is no box with half a wall. */
int network_open(const struct network_policy *policy, bool ask, struct network_sockets *ret,
	struct error *error);
void network_sockets_release(struct network_sockets *sockets);

#endif
