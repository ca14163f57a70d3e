/* Theory of operation. A socket belongs to the network namespace it was made in, whoever holds it:
 * egress lives outside and serves the box through the listeners that are made here. Nothing leads
 * from the namespace to any other; to reach the world is to be accepted by egress. */
#include "confine/network.h"

#include "base/cleanup.h"
#include "confine/network_nftables.h"

#include <arpa/inet.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The namespace's net.core.somaxconn, as it is born (Linux 5.4), allows no more. */
enum { BACKLOG = 4096 };

int network_raise_loopback(struct error *error)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0; /* a kernel without IPv4 has no loopback to raise */
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_set_errno(error, errno, "loopback", "raising it");
	return 0;
}

static void add(struct network_sockets *sockets, enum egress_socket kind, int fd)
{
	sockets->fds[sockets->count] = fd;
	sockets->kinds[sockets->count++] = (uint8_t)kind;
}

/* Without SO_REUSEADDR or SO_REUSEPORT, so that nothing in the box can bind beside it. */
static int add_socket(struct network_sockets *sockets, enum egress_socket kind, int family,
	int type, uint16_t port, struct error *error)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t length = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
	address.any.sa_family = (sa_family_t)family;
	address.v4.sin_port = htons(port); /* the same place in both */
	if (family == AF_INET)
		inet_pton(AF_INET, EGRESS_ADDRESS_V4, &address.v4.sin_addr);
	else
		inet_pton(AF_INET6, EGRESS_ADDRESS_V6, &address.v6.sin6_addr);
	cleanup_close int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, &address.any, length) < 0 ||
		(type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
		return error_set_errno(error, errno, "network", "a listener on %s port %d",
			family == AF_INET ? EGRESS_ADDRESS_V4 : EGRESS_ADDRESS_V6, port);
	add(sockets, kind, steal_fd(&fd));
	return 0;
}

static int add_all_sockets(
	struct network_sockets *sockets, size_t udp_rules, bool ipv6, struct error *error)
{
	static const struct {
		enum egress_socket kind;
		int family, type;
		uint16_t port;
	} table[] = {
		{EGRESS_SOCKET_REDIRECT_V4, AF_INET, SOCK_STREAM, EGRESS_PORT_REDIRECT},
		{EGRESS_SOCKET_REDIRECT_V6, AF_INET6, SOCK_STREAM, EGRESS_PORT_REDIRECT},
		{EGRESS_SOCKET_PROXY, AF_INET, SOCK_STREAM, EGRESS_PORT_PROXY},
		{EGRESS_SOCKET_DNS_UDP_V4, AF_INET, SOCK_DGRAM, EGRESS_PORT_DNS},
		{EGRESS_SOCKET_DNS_UDP_V6, AF_INET6, SOCK_DGRAM, EGRESS_PORT_DNS},
		{EGRESS_SOCKET_DNS_TCP_V4, AF_INET, SOCK_STREAM, EGRESS_PORT_DNS},
		{EGRESS_SOCKET_DNS_TCP_V6, AF_INET6, SOCK_STREAM, EGRESS_PORT_DNS},
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(table) && r == 0; i++)
		if (table[i].family == AF_INET || ipv6)
			r = add_socket(sockets, table[i].kind, table[i].family, table[i].type,
				table[i].port, error);
	for (size_t i = 0; i < udp_rules && r == 0; i++) {
		uint16_t port = (uint16_t)(EGRESS_PORT_UDP + i);
		r = add_socket(sockets, EGRESS_SOCKET_UDP, AF_INET, SOCK_DGRAM, port, error);
		if (r == 0 && ipv6)
			r = add_socket(
				sockets, EGRESS_SOCKET_UDP, AF_INET6, SOCK_DGRAM, port, error);
	}
	return r;
}

/* By way of a socket, since a box may have no /proc. */
static int add_namespaces(struct network_sockets *sockets, struct error *error)
{
	int net = ioctl(sockets->fds[0], SIOCGSKNS);
	if (net < 0)
		return error_set_errno(error, errno, "network", "the box's network namespace");
	add(sockets, EGRESS_SOCKET_BOX_NET, net);
	int user = ioctl(net, NS_GET_USERNS);
	if (user < 0)
		return error_set_errno(error, errno, "network", "the box's user namespace");
	add(sockets, EGRESS_SOCKET_BOX_USER, user);
	return 0;
}

int network_open(const struct network_policy *policy, bool ask, struct network_sockets *ret,
	struct error *error)
{
	bool ipv6;
	int log = -1;
	*ret = (struct network_sockets){0};
	int r = network_set_up_links(&ipv6, error);
	if (r == 0)
		r = network_load_rules(policy, ask, &log, error);
	if (log >= 0)
		add(ret, EGRESS_SOCKET_NFLOG, log);
	if (r == 0)
		r = add_all_sockets(ret, policy->udp_count, ipv6, error);
	if (r == 0 && policy->publish_count > 0)
		r = add_namespaces(ret, error);
	if (r < 0)
		network_sockets_release(ret);
	return r;
}

void network_sockets_release(struct network_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		close_fd(&sockets->fds[i]);
	sockets->count = 0;
}
