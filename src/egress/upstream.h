/* What upstream.c (names to checked addresses) and dial.c (checked addresses to connections) share;
 * nobody else's. */
#ifndef COFFER_EGRESS_UPSTREAM_H
#define COFFER_EGRESS_UPSTREAM_H

#include "egress/egress.h"
#include "egress/hosts.h"
#include "egress/slow.h"

#include <ares.h>

enum { UPSTREAM_REASON_BYTES = 160 };

TAILQ_HEAD(dial_list, dial);

/* http://[USER:PASSWORD@]HOST:PORT, taken apart. */
struct upstream_proxy {
	bool used;
	char name[NETWORK_NAME_BYTES]; /* "": address */
	struct in6_addr address;
	uint16_t port;
	char *authorization; /* the value of Proxy-Authorization, or NULL */
};

struct upstream {
	struct egress *egress;
	struct hosts *hosts;
	struct nameserver servers[NETWORK_RESOLVERS_MAX];
	size_t servers_count;
	struct slow *slow;

	ares_channel channel; /* NULL: there is no nameserver */
	struct event *channel_timer;
	TAILQ_HEAD(, ares_socket) sockets;

	void *names;                          /* of struct lookup, by name (tsearch) */
	TAILQ_HEAD(lookup_list, lookup) idle; /* not running, the least recently used first */
	struct lookup_list running;
	size_t lookups_count, running_count;

	struct upstream_proxy proxy;
	struct lookup *proxy_lookup;
	struct dial_list dials;
	bool v4_first; /* the last race of the families was won by IPv4 */
};

/* The upstream proxy's own name, which the policy has named and no rule is asked about. */
void upstream_resolve_proxy(struct upstream *upstream, upstream_resolved resolved, void *context);

/* ---- dial.c ---- */

int dial_parse_proxy(const char *url, struct upstream_proxy *ret, struct error *error);
void dial_release_proxy(struct upstream_proxy *proxy);
void dial_cancel_all(struct upstream *upstream);

#endif
