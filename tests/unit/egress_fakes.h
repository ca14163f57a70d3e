/* Stand-ins for what connection.c, control.c and listener.c hand their work to, so that those can
 * be tested alone. Included once by a test program; each call is counted in egress_fakes. */
#ifndef COFFER_TESTS_EGRESS_FAKES_H
#define COFFER_TESTS_EGRESS_FAKES_H

#include "egress/egress.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct {
	int dns_udp, dns_tcp, udp, nflog, publish, hello, http, proxy;
	int dial_fd; /* what dialing gives, a socket or -errno; at once, or never if 0 */
	int cancelled;
	struct in6_addr standin; /* of the name below */
	const char *standin_name;
} egress_fakes;

const char *standins_name(struct standins *standins, const struct in6_addr *address)
{
	(void)standins;
	return memcmp(address, &egress_fakes.standin, sizeof(*address)) == 0
		       ? egress_fakes.standin_name
		       : NULL;
}

/* 198.18.0.0/15 */
bool standins_covers(const struct standins *standins, const struct in6_addr *address)
{
	(void)standins;
	return address->s6_addr[10] == 0xff && address->s6_addr[12] == 198 &&
	       (address->s6_addr[13] & 0xfe) == 18;
}

struct dial *upstream_dial(struct upstream *upstream, const char *name,
	const struct in6_addr *literal, uint16_t port, upstream_dialed done, void *context)
{
	(void)upstream, (void)name, (void)port;
	if (egress_fakes.dial_fd)
		done(context, egress_fakes.dial_fd, literal, "the fake's reason");
	return egress_fakes.dial_fd ? NULL : (struct dial *)&egress_fakes;
}

void upstream_cancel(struct dial *dial)
{
	(void)dial;
	egress_fakes.cancelled++;
}

void hello_start(struct connection *connection)
{
	(void)connection;
	egress_fakes.hello++;
}

void http_start(struct connection *connection)
{
	(void)connection;
	egress_fakes.http++;
}

void proxy_start(struct connection *connection)
{
	(void)connection;
	egress_fakes.proxy++;
}

int resolver_add_udp(struct resolver *resolver, int fd)
{
	(void)resolver;
	close(fd);
	egress_fakes.dns_udp++;
	return 0;
}

int resolver_add_tcp(struct resolver *resolver, int fd)
{
	(void)resolver;
	close(fd);
	egress_fakes.dns_tcp++;
	return 0;
}

int udp_add(struct egress *egress, size_t rule, int fd)
{
	(void)egress, (void)rule;
	close(fd);
	egress_fakes.udp++;
	return 0;
}

int nflog_add(struct egress *egress, int fd)
{
	(void)egress;
	close(fd);
	egress_fakes.nflog++;
	return 0;
}

int publish_start(struct egress *egress, int box_user, int box_net, struct error *error)
{
	(void)egress, (void)box_user, (void)box_net;
	egress_fakes.publish++;
	return error_set(error, EADDRINUSE, "publish", "the fake's reason");
}

#endif
