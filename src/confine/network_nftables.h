/* The names that the ruleset's maker and its sender share; and the netlink work of network.c. */
#ifndef COFFER_CONFINE_NETWORK_NFTABLES_H
#define COFFER_CONFINE_NETWORK_NFTABLES_H

#include "base/error.h"
#include "policy/network.h"

#include <stdbool.h>
#include <stddef.h>

#define NETWORK_TABLE "coffer"
#define NETWORK_SET_POOLS4 "pools4"
#define NETWORK_SET_POOLS6 "pools6"
#define NETWORK_SET_LITERALS4 "literals4"
#define NETWORK_SET_LITERALS6 "literals6"
#define NETWORK_SET_UDP4 "udp4"
#define NETWORK_SET_UDP6 "udp6"

/* Enough of a refused packet for its addresses and ports: IPv4's header may have 60 bytes. */
enum { NETWORK_LOG_PACKET_BYTES = 128 };
/* How many refused packets are told of in a second. */
enum { NETWORK_LOG_RATE = 500, NETWORK_LOG_BURST = 100 };

/* Loopback up, coffer's addresses on it, every address of both families local.
 * *ret_ipv6: whether IPv6 is there. */
int network_set_up_links(bool *ret_ipv6, struct error *error);

/* The ruleset with the elements of this policy, in one transaction. *ret_log: a netlink socket that
 * hears what is refused; -1 where the kernel cannot say. */
int network_load_rules(
	const struct network_policy *policy, bool ask, int *ret_log, struct error *error);

#endif
