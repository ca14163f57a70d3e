/* Theory of operation. A host's public address is told from anybody else's by nothing but the
 * host's routing table, and it may change at any time: DHCP, a VPN, IPv6 privacy addresses. So the
 * kernel is asked for the route just before a connection is made, over a socket from before this
 * process was confined. It answers such a question while it is being sent: nothing is waited for.
 * */
#include "egress/egress.h"

#include "base/cleanup.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

enum {
	ANSWER_BYTES = 4096,
	ANSWERS_MAX = 8, /* to questions that were given up */
};

struct routes {
	int fd;
	uint32_t sequence;
};

int routes_new(struct routes **ret, struct error *error)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct routes *routes = calloc(1, sizeof(*routes));
	if (!routes)
		return error_set_errno(error, ENOMEM, "egress", "the routing table");
	routes->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	/* Connected: the kernel alone can answer. */
	if (routes->fd < 0 ||
		connect(routes->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		int r = error_set_errno(error, errno, "egress",
			"the kernel cannot be asked which addresses are the host's own");
		routes_free(routes);
		return r;
	}
	*ret = routes;
	return 0;
}

void routes_free(struct routes *routes)
{
	if (!routes)
		return;
	close_fd(&routes->fd);
	free(routes);
}

static int ask(struct routes *routes, const struct in6_addr *address)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(address);
	unsigned short bytes = v4 ? 4 : 16;
	struct {
		struct nlmsghdr header;
		struct rtmsg route;
		struct rtattr attribute;
		uint8_t destination[16];
	} question = {
		.header = {.nlmsg_type = RTM_GETROUTE,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = ++routes->sequence},
		.route = {.rtm_family = v4 ? AF_INET : AF_INET6, .rtm_dst_len = v4 ? 32 : 128},
		.attribute = {.rta_type = RTA_DST, .rta_len = (unsigned short)RTA_LENGTH(bytes)},
	};
	memcpy(question.destination, address->s6_addr + 16 - bytes, bytes);
	question.header.nlmsg_len = (uint32_t)(offsetof(__typeof__(question), destination) + bytes);
	ssize_t n = send(routes->fd, &question, question.header.nlmsg_len, 0);
	return n < 0 ? -errno : 0;
}

/* The type of the route (RTN_*), or -errno: there is none. */
static int route_type(struct routes *routes, const struct in6_addr *address)
{
	int r = ask(routes, address);
	for (int i = 0; r == 0 && i < ANSWERS_MAX; i++) {
		_Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
		ssize_t n = recv(routes->fd, answer, sizeof(answer), 0);
		if (n < 0)
			return -errno;
		const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
		const struct rtmsg *route = NLMSG_DATA(header);
		const struct nlmsgerr *failure = NLMSG_DATA(header);
		if ((size_t)n < NLMSG_SPACE(sizeof(*route)))
			return -EPROTO;
		if (header->nlmsg_seq != routes->sequence)
			continue;
		if (header->nlmsg_type == RTM_NEWROUTE)
			return route->rtm_type;
		if (header->nlmsg_type == NLMSG_ERROR && (size_t)n >= NLMSG_SPACE(sizeof(*failure)))
			return failure->error < 0 ? failure->error : -EPROTO;
	}
	return r < 0 ? r : -EPROTO;
}

bool routes_may_dial(
	struct egress *egress, const struct in6_addr *address, uint16_t port, char reason[160])
{
	if (network_names_host_address(&egress->policy, address, port))
		return true;
	int type = egress->routes ? route_type(egress->routes, address) : -ENOTCONN;
	char text[INET6_ADDRSTRLEN];
	network_format_address(address, text);
	if (type == RTN_LOCAL || type == RTN_ANYCAST) {
		bool v6 = strchr(text, ':') != NULL;
		snprintf(reason, 160,
			"%s is an address of this host; only --allow-cidr %s%s%s:%u would open it",
			text, v6 ? "[" : "", text, v6 ? "]" : "", port);
		return false;
	}
	/* Where there is no way, connect() finds none either. */
	if (type < 0 && type != -ENETUNREACH && type != -EHOSTUNREACH && type != -EACCES &&
		type != -EAFNOSUPPORT && type != -EOPNOTSUPP) {
		snprintf(reason, 160, "it cannot be told whether %s is an address of this host: %s",
			text, strerror(-type));
		return false;
	}
	return true;
}
