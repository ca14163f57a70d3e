/* A box's network on the kernel at hand: in namespaces of its own network_open() is run with a
 * policy, and then real sockets try what the ruleset lets through, what it refuses, and what it
 * must not let anybody change. Exits 77, with the reason, where this user can make no such
 * namespaces. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "confine/caps.h"
#include "confine/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { EXIT_SKIPPED = 77, AT_ONCE_US = 100000, PATIENCE_MS = 2000 };
/* linux/netfilter_ipv4.h and _ipv6/ip6_tables.h do not agree with the C library's headers. */
enum { ORIGINAL_DST = 80 };

static struct network_policy policy;
static struct network_pool *pools;
static size_t pools_count;
static struct network_sockets sockets;
static unsigned failures, checks;

#define CHECK(condition) check(condition, __LINE__, #condition)

static bool check(bool condition, int line, const char *what)
{
	checks++;
	if (condition)
		return true;
	printf("  not so, line %d: %s (%s)\n", line, what, strerror(errno));
	failures++;
	return false;
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address_length(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

static union address address_of(const char *text, uint16_t port)
{
	union address ret = {.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
	if (inet_pton(AF_INET, text, &ret.v4.sin_addr) == 1)
		return ret;
	ret.any.sa_family = AF_INET6;
	if (inet_pton(AF_INET6, text, &ret.v6.sin6_addr) != 1)
		abort();
	return ret;
}

static bool same_address(const union address *one, const union address *other)
{
	if (one->any.sa_family != other->any.sa_family || one->v4.sin_port != other->v4.sin_port)
		return false;
	if (one->any.sa_family == AF_INET)
		return one->v4.sin_addr.s_addr == other->v4.sin_addr.s_addr;
	return memcmp(&one->v6.sin6_addr, &other->v6.sin6_addr, 16) == 0;
}

/* Some address of the pool of a name. */
static union address standin(const char *name, bool v6, uint16_t port)
{
	int index = network_pool_of(&policy, false, pools, pools_count, name);
	if (index < 0)
		abort();
	struct in6_addr address = v6 ? pools[index].v6 : pools[index].v4;
	address.s6_addr[15] |= 5;
	char text[INET6_ADDRSTRLEN];
	inet_ntop(v6 ? AF_INET6 : AF_INET, address.s6_addr + (v6 ? 0 : 12), text, sizeof(text));
	return address_of(text, port);
}

/* The n-th descriptor of a kind; -1. */
static int socket_of(enum egress_socket kind, unsigned n)
{
	for (size_t i = 0; i < sockets.count; i++)
		if (sockets.kinds[i] == kind && n-- == 0)
			return sockets.fds[i];
	return -1;
}

static bool wait_readable(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	return poll(&entry, 1, PATIENCE_MS) == 1;
}

/* ---- a kernel that lacks something ---- */

/* Modules that a kernel may have been built without, and the network still holds. */
enum lack { LACKS_NOTHING, LACKS_LOG_EXPRESSION, LACKS_LOG };

static enum lack lack;
static unsigned spoiled;

/* What the kernel has is asked for by a name, or number, that no kernel knows: so its answer is
 * that of one that has it not. */
static void spoil(char *data, size_t length_bytes)
{
	static const char expression[] = {8, 0, NFTA_EXPR_NAME, 0, 'l', 'o', 'g', 0};
	struct nlmsghdr *first = (struct nlmsghdr *)(void *)data;
	char *at = NULL;
	if (lack == LACKS_LOG && first->nlmsg_type >> 8 == NFNL_SUBSYS_ULOG) {
		first->nlmsg_type = NFNL_SUBSYS_COUNT << 8;
		spoiled++;
	}
	while (lack == LACKS_LOG_EXPRESSION &&
		(at = memmem(data, length_bytes, expression, sizeof(expression)))) {
		at[sizeof(expression) - 2] = 'x';
		spoiled++;
	}
}

/* In place of the C library's, for network_open(). */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	size_t length = 0;
	char __attribute__((aligned(4))) whole[65536];
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		const struct iovec *part = &message->msg_iov[i];
		if (length + part->iov_len > sizeof(whole))
			abort();
		memcpy(whole + length, part->iov_base, part->iov_len);
		length += part->iov_len;
	}
	spoil(whole, length);
	struct iovec one = {whole, length};
	struct msghdr copy = *message;
	copy.msg_iov = &one;
	copy.msg_iovlen = 1;
	return syscall(SYS_sendmsg, fd, &copy, flags);
}

/* ---- what is let through ---- */

/* A connection to target comes out of the listener, which is told where it was going. */
static void expect_tcp(const char *what, union address target, int listener, bool redirected)
{
	printf("  %s\n", what);
	bool v6 = target.any.sa_family == AF_INET6;
	cleanup_close int client = socket(target.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!CHECK(listener >= 0) ||
		!CHECK(connect(client, &target.any, address_length(&target)) == 0))
		return;
	if (!CHECK(wait_readable(listener)))
		return;
	cleanup_close int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (!CHECK(server >= 0))
		return;
	union address original = {0}, peer = {0};
	socklen_t length = sizeof(original);
	if (redirected) {
		CHECK(getsockopt(server, v6 ? SOL_IPV6 : SOL_IP, ORIGINAL_DST, &original,
			      &length) == 0);
		CHECK(same_address(&original, &target));
	}
	length = sizeof(peer);
	CHECK(getpeername(client, &peer.any, &length) == 0);
	CHECK(same_address(&peer, &target));
	char text[4] = "";
	CHECK(send(client, "ask", 3, 0) == 3 && wait_readable(server));
	CHECK(recv(server, text, sizeof(text), 0) == 3 && memcmp(text, "ask", 3) == 0);
	CHECK(send(server, "yes", 3, 0) == 3 && wait_readable(client));
	CHECK(recv(client, text, sizeof(text), 0) == 3 && memcmp(text, "yes", 3) == 0);
}

/* A datagram to target arrives at server, and the answer comes from target. */
static void expect_udp(const char *what, union address target, int server)
{
	printf("  %s\n", what);
	cleanup_close int client = socket(target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!CHECK(server >= 0) ||
		!CHECK(sendto(client, "ask", 3, 0, &target.any, address_length(&target)) == 3) ||
		!CHECK(wait_readable(server)))
		return;
	char text[4] = "";
	union address from = {0};
	socklen_t length = sizeof(from);
	CHECK(recvfrom(server, text, sizeof(text), 0, &from.any, &length) == 3);
	CHECK(memcmp(text, "ask", 3) == 0);
	CHECK(sendto(server, "yes", 3, 0, &from.any, length) == 3 && wait_readable(client));
	length = sizeof(from);
	CHECK(recvfrom(client, text, sizeof(text), 0, &from.any, &length) == 3);
	CHECK(same_address(&from, &target));
}

/* ---- what is refused ---- */

static void expect_tcp_refused(const char *what, union address target)
{
	cleanup_close int client = socket(target.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t begin_us = clock_now_us();
	int r = connect(client, &target.any, address_length(&target));
	int error = errno;
	uint64_t took_us = clock_now_us() - begin_us;
	printf("  %s: %s after %u us\n", what, r == 0 ? "connected" : strerror(error),
		(unsigned)took_us);
	CHECK(r < 0 && (error == ECONNREFUSED || error == EPERM));
	CHECK(took_us < AT_ONCE_US);
}

/* By the system call itself, or by the error that the next one finds. */
static void expect_refused_datagram(
	const char *what, int client, union address target, const void *data, size_t length_bytes)
{
	uint64_t begin_us = clock_now_us();
	ssize_t r = sendto(client, data, length_bytes, 0, &target.any, address_length(&target));
	int error = errno;
	if (r >= 0) {
		char text[16];
		struct pollfd entry = {.fd = client, .events = POLLIN};
		poll(&entry, 1, PATIENCE_MS);
		r = recv(client, text, sizeof(text), MSG_DONTWAIT);
		error = errno;
	}
	uint64_t took_us = clock_now_us() - begin_us;
	printf("  %s: %s after %u us\n", what, r >= 0 ? "sent" : strerror(error),
		(unsigned)took_us);
	CHECK(r < 0 && (error == ECONNREFUSED || error == EPERM || error == EACCES));
	CHECK(took_us < AT_ONCE_US);
}

static void expect_udp_refused(const char *what, union address target)
{
	cleanup_close int client = socket(target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(connect(client, &target.any, address_length(&target)) == 0);
	expect_refused_datagram(what, client, target, "x", 1);
}

/* ---- tests ---- */

static void test_redirect(void)
{
	int v4 = socket_of(EGRESS_SOCKET_REDIRECT_V4, 0),
	    v6 = socket_of(EGRESS_SOCKET_REDIRECT_V6, 0);
	expect_tcp("web, IPv4", standin("web.example.org", false, 443), v4, true);
	expect_tcp("web, IPv6", standin("web.example.org", true, 80), v6, true);
	expect_tcp("git, IPv4", standin("git.example.org", false, 22), v4, true);
	expect_tcp("a range's first", standin("many.example.org", false, 8000), v4, true);
	expect_tcp("a range's last", standin("many.example.org", true, 8100), v6, true);
	expect_tcp("a literal", address_of("93.184.216.34", 443), v4, true);
	expect_tcp("a literal block's last", address_of("93.184.216.255", 443), v4, true);
	expect_tcp("an IPv6 literal", address_of("2606:2800:220:1::1", 443), v6, true);
	expect_tcp("TCP of a name with UDP", address_of("198.18.0.16", 443), v4, true);
	expect_tcp("the same, IPv6", address_of("2001:2::10", 80), v6, true);
	expect_tcp("the proxies", address_of(EGRESS_ADDRESS_V4, EGRESS_PORT_PROXY),
		socket_of(EGRESS_SOCKET_PROXY, 0), false);
}

static void test_tcp_refused(void)
{
	expect_tcp_refused("another port of web", standin("web.example.org", false, 22));
	expect_tcp_refused("the same, IPv6", standin("web.example.org", true, 22));
	expect_tcp_refused("another port of git", standin("git.example.org", false, 443));
	expect_tcp_refused("below a range", standin("many.example.org", false, 7999));
	expect_tcp_refused("above a range", standin("many.example.org", true, 8101));
	expect_tcp_refused("a stand-in of no pool", address_of("198.19.255.254", 443));
	expect_tcp_refused("another port of a name with UDP", address_of("198.18.0.16", 22));
	expect_tcp_refused("no name's address", address_of("198.18.0.17", 443));
	expect_tcp_refused("8.8.8.8", address_of("8.8.8.8", 443));
	expect_tcp_refused("before a literal block", address_of("93.184.215.255", 443));
	expect_tcp_refused("behind a literal block", address_of("93.184.217.0", 443));
	expect_tcp_refused("10.0.0.1", address_of("10.0.0.1", 80));
	expect_tcp_refused("metadata", address_of("169.254.169.254", 80));
	expect_tcp_refused("an IPv6 literal", address_of("2606:4700::1111", 443));
	expect_tcp_refused("v4-mapped", address_of("::ffff:8.8.8.8", 443));
	expect_tcp_refused("a ULA", address_of("fd00::1", 443));
	expect_tcp_refused("the redirect listener itself",
		address_of(EGRESS_ADDRESS_V4, EGRESS_PORT_REDIRECT));
	expect_tcp_refused("the same, IPv6", address_of(EGRESS_ADDRESS_V6, EGRESS_PORT_REDIRECT));
	expect_tcp_refused("another port of coffer's", address_of(EGRESS_ADDRESS_V4, 443));
}

/* --net on: literals too, and still nothing that is not public. */
static void test_public(void)
{
	int v4 = socket_of(EGRESS_SOCKET_REDIRECT_V4, 0),
	    v6 = socket_of(EGRESS_SOCKET_REDIRECT_V6, 0);
	expect_tcp("1.1.1.1", address_of("1.1.1.1", 443), v4, true);
	expect_tcp("the first public address", address_of("1.0.0.0", 80), v4, true);
	expect_tcp("the last one", address_of("223.255.255.255", 65535), v4, true);
	expect_tcp("9.255.255.255", address_of("9.255.255.255", 22), v4, true);
	expect_tcp("11.0.0.0", address_of("11.0.0.0", 22), v4, true);
	expect_tcp("an IPv6 address", address_of("2606:4700::1111", 443), v6, true);
	expect_tcp("a stand-in", standin("web.example.org", false, 8443), v4, true);
	expect_tcp_refused("a denied block", address_of("8.8.8.8", 443));
	expect_tcp_refused("10.0.0.0", address_of("10.0.0.0", 22));
	expect_tcp_refused("10.255.255.255", address_of("10.255.255.255", 22));
	expect_tcp_refused("192.168.1.1", address_of("192.168.1.1", 80));
	expect_tcp_refused("metadata", address_of("169.254.169.254", 80));
	expect_tcp_refused("a ULA", address_of("fd00::1", 80));
	expect_tcp_refused("coffer's own", address_of(EGRESS_ADDRESS_V4, 80));
	expect_tcp_refused("no name's address", address_of("198.18.0.99", 80));
	expect_udp_refused("UDP", address_of("1.1.1.1", 443));
	cleanup_close int any4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cleanup_close int any6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	expect_refused_datagram("multicast", any4, address_of("224.0.0.251", 5353), "x", 1);
	expect_refused_datagram("IPv6 multicast", any6, address_of("ff0e::fb", 5353), "x", 1);
}

static void test_dns(void)
{
	static const char *const servers[] = {EGRESS_ADDRESS_V4, "9.9.9.9", "127.0.0.53",
		"10.0.0.53", EGRESS_ADDRESS_V6, "2620:fe::fe", "::1"};
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		union address server = address_of(servers[i], 53);
		bool v6 = server.any.sa_family == AF_INET6;
		expect_udp(servers[i], server,
			socket_of(v6 ? EGRESS_SOCKET_DNS_UDP_V6 : EGRESS_SOCKET_DNS_UDP_V4, 0));
		expect_tcp("  over TCP", server,
			socket_of(v6 ? EGRESS_SOCKET_DNS_TCP_V6 : EGRESS_SOCKET_DNS_TCP_V4, 0),
			false);
	}
}

/* Sockets of the rules come in pairs, IPv4 first. */
static void test_udp(void)
{
	expect_udp("a name", address_of("198.18.0.16", 123), socket_of(EGRESS_SOCKET_UDP, 0));
	expect_udp("a name, IPv6", address_of("2001:2::10", 123), socket_of(EGRESS_SOCKET_UDP, 1));
	expect_udp("a literal", address_of("9.9.9.10", 5000), socket_of(EGRESS_SOCKET_UDP, 2));
	expect_udp(
		"an IPv6 literal", address_of("2620:fe::9", 5001), socket_of(EGRESS_SOCKET_UDP, 5));
	expect_udp_refused("another port of the name", address_of("198.18.0.16", 124));
	expect_udp_refused("another port of the literal", address_of("9.9.9.10", 5001));
	expect_udp_refused("the rule's own socket", address_of(EGRESS_ADDRESS_V4, EGRESS_PORT_UDP));
	expect_udp_refused("8.8.8.8", address_of("8.8.8.8", 443));
	expect_udp_refused("a stand-in", standin("web.example.org", false, 443));
	expect_udp_refused("an IPv6 literal", address_of("2606:4700::1111", 443));
	expect_udp_refused("an IPv6 stand-in", standin("web.example.org", true, 443));
}

static void test_localhost(void)
{
	static const char *const names[] = {"127.0.0.1", "127.1.2.3", "::1"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		union address address = address_of(names[i], 8080);
		cleanup_close int tcp =
			socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cleanup_close int udp = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		CHECK(bind(tcp, &address.any, address_length(&address)) == 0 &&
			listen(tcp, 1) == 0);
		CHECK(bind(udp, &address.any, address_length(&address)) == 0);
		expect_tcp(names[i], address, tcp, false);
		expect_udp("  over UDP", address, udp);
	}
	expect_tcp_refused("nobody listens", address_of("127.0.0.1", 8081));
}

/* What takes privileges to send; tried before they go, so that the ruleset is what refuses. */
static void test_other_protocols(void)
{
	static const struct {
		const char *name, *address;
		int protocol;
	} table[] = {
		{"ICMP echo", "8.8.8.8", IPPROTO_ICMP},
		{"ICMP echo to a stand-in", "198.18.0.16", IPPROTO_ICMP},
		{"ICMPv6 echo", "2606:4700::1111", IPPROTO_ICMPV6},
		{"SCTP", "8.8.8.8", IPPROTO_SCTP},
		{"GRE", "93.184.216.34", IPPROTO_GRE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		union address target = address_of(table[i].address, 0);
		uint8_t echo[16] = {table[i].protocol == IPPROTO_ICMPV6 ? 128 : 8, 0, 0xf7, 0xff};
		cleanup_close int raw =
			socket(target.any.sa_family, SOCK_RAW | SOCK_CLOEXEC, table[i].protocol);
		if (CHECK(raw >= 0))
			expect_refused_datagram(table[i].name, raw, target, echo, sizeof(echo));
	}
}

/* What was refused so far was said, with enough of each packet. */
static void test_log(void)
{
	int log = socket_of(EGRESS_SOCKET_NFLOG, 0);
	unsigned packets = 0;
	char __attribute__((aligned(4))) space[16384];
	if (log < 0) {
		printf("  not here: no nfnetlink_log\n");
		return;
	}
	CHECK(wait_readable(log));
	for (ssize_t n; (n = recv(log, space, sizeof(space), MSG_DONTWAIT)) > 0;) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)space;
		for (size_t left = (size_t)n; NLMSG_OK(message, left);
			message = NLMSG_NEXT(message, left))
			packets += message->nlmsg_type == NFNL_SUBSYS_ULOG << 8;
	}
	printf("  %u packets\n", packets);
	CHECK(packets >= 5);
}

static void expect_no_netlink(const char *what, int protocol, void *data, size_t length_bytes)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer = {0};
	printf("  %s\n", what);
	if (!CHECK(fd >= 0) || !CHECK(send(fd, data, length_bytes, 0) == (ssize_t)length_bytes) ||
		!CHECK(wait_readable(fd)) || !CHECK(recv(fd, &answer, sizeof(answer), 0) > 0))
		return;
	CHECK(answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error == -EPERM);
}

static void test_no_changes(void)
{
	struct {
		struct nlmsghdr header;
		struct rtmsg body;
	} route = {{sizeof(route), RTM_DELROUTE, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
		{.rtm_family = AF_INET, .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_LOCAL}};
	expect_no_netlink("deleting the route", NETLINK_ROUTE, &route, sizeof(route));
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg body;
		struct rtattr attribute;
		uint32_t address;
	} address = {{sizeof(address), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
		{.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1},
		{sizeof(struct rtattr) + 4, IFA_LOCAL}, htonl(0x08080808)};
	expect_no_netlink("adding an address", NETLINK_ROUTE, &address, sizeof(address));
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} link = {{sizeof(link), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
		{.ifi_index = 1, .ifi_change = IFF_UP}};
	expect_no_netlink("lowering loopback", NETLINK_ROUTE, &link, sizeof(link));
	struct {
		struct nlmsghdr begin_header;
		struct nfgenmsg begin;
		struct nlmsghdr header;
		struct nfgenmsg body;
		struct nlmsghdr end_header;
		struct nfgenmsg end;
	} flush = {
		{20, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 1, 0},
		{.res_id = htons(NFNL_SUBSYS_NFTABLES)},
		{20, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_REQUEST | NLM_F_ACK, 2, 0},
		{.nfgen_family = 1},
		{20, NFNL_MSG_BATCH_END, NLM_F_REQUEST, 3, 0},
		{.res_id = htons(NFNL_SUBSYS_NFTABLES)},
	};
	expect_no_netlink("flushing the ruleset", NETLINK_NETFILTER, &flush, sizeof(flush));
	cleanup_close int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq down = {.ifr_name = "lo"};
	CHECK(ioctl(any, SIOCSIFFLAGS, &down) < 0 && errno == EPERM);
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM);
	CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
	CHECK(unshare(CLONE_NEWNET) < 0 && errno == EPERM);
}

/* Nothing in the box can take, or share, a port of coffer's. */
static void test_no_binding(void)
{
	static const struct {
		const char *address;
		int type;
		uint16_t port;
	} table[] = {
		{EGRESS_ADDRESS_V4, SOCK_STREAM, EGRESS_PORT_REDIRECT},
		{"0.0.0.0", SOCK_STREAM, EGRESS_PORT_REDIRECT},
		{"::", SOCK_STREAM, EGRESS_PORT_REDIRECT},
		{EGRESS_ADDRESS_V4, SOCK_STREAM, EGRESS_PORT_PROXY},
		{"0.0.0.0", SOCK_DGRAM, EGRESS_PORT_DNS},
		{"::", SOCK_DGRAM, EGRESS_PORT_DNS},
		{EGRESS_ADDRESS_V6, SOCK_STREAM, EGRESS_PORT_DNS},
		{EGRESS_ADDRESS_V4, SOCK_DGRAM, EGRESS_PORT_UDP},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		union address address = address_of(table[i].address, table[i].port);
		cleanup_close int fd =
			socket(address.any.sa_family, table[i].type | SOCK_CLOEXEC, 0);
		int one = 1;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		int r = bind(fd, &address.any, address_length(&address));
		/* A privileged port needs a right that is gone, where nobody has lifted that. */
		CHECK((r < 0 && (errno == EADDRINUSE || errno == EACCES)) ||
			(r == 0 && listen(fd, 1) < 0 && errno == EADDRINUSE));
	}
}

static void test_descriptors(void)
{
	struct stat ours, handed;
	CHECK(stat("/proc/self/ns/net", &ours) == 0);
	CHECK(fstat(socket_of(EGRESS_SOCKET_BOX_NET, 0), &handed) == 0);
	CHECK(ours.st_ino == handed.st_ino && ours.st_dev == handed.st_dev);
	CHECK(stat("/proc/self/ns/user", &ours) == 0);
	CHECK(fstat(socket_of(EGRESS_SOCKET_BOX_USER, 0), &handed) == 0);
	CHECK(ours.st_ino == handed.st_ino && ours.st_dev == handed.st_dev);
	for (size_t i = 0; i < sockets.count; i++)
		CHECK(fcntl(sockets.fds[i], F_GETFD) & FD_CLOEXEC);
}

/* ---- the box ---- */

static void enter_namespaces(void)
{
	char uid_map[64], gid_map[64];
	snprintf(uid_map, sizeof(uid_map), "1000 %d 1\n", geteuid());
	snprintf(gid_map, sizeof(gid_map), "1000 %d 1\n", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("skipped: no user and network namespace for uid %d: %s\n", geteuid(),
			strerror(errno));
		exit(EXIT_SKIPPED);
	}
	if (fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/uid_map", uid_map) < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/gid_map", gid_map) < 0) {
		printf("skipped: id maps cannot be written: %s\n", strerror(errno));
		exit(EXIT_SKIPPED);
	}
}

static void fill_policy(const char *const settings[][2])
{
	struct error error = {0};
	network_policy_init(&policy);
	for (; (*settings)[0]; settings++)
		if (network_set(&policy, (*settings)[0], (*settings)[1], NULL, &error) < 0) {
			printf("%s %s: %s\n", (*settings)[0], (*settings)[1], error.message);
			exit(1);
		}
	if (network_validate(&policy, &error) < 0 ||
		network_pools(&policy, false, &pools, &pools_count, &error) < 0) {
		printf("%s\n", error.message);
		exit(1);
	}
}

static void open_network(void)
{
	struct error error = {0};
	uint64_t begin_us = clock_now_us();
	if (network_open(&policy, false, &sockets, &error) < 0) {
		printf("network_open: %s\n%s\n", error.message, error.hint);
		exit(error.errno_value == ENOENT || error.errno_value == EOPNOTSUPP ? EXIT_SKIPPED
										    : 1);
	}
	printf("network_open: %u us\n", (unsigned)(clock_now_us() - begin_us));
}

static void drop(void)
{
	struct error error = {0};
	if (caps_drop_all(&error) < 0) {
		printf("%s\n", error.message);
		exit(1);
	}
}

struct test {
	const char *name;
	void (*run)(void);
};

struct scenario {
	const char *name;
	const char *const (*settings)[2];
	const struct test *tests;
	enum lack lack;
};

static const char *const named[][2] = {
	{"allow-domain", "web.example.org"},
	{"allow-domain", "git.example.org:22"},
	{"allow-domain", "many.example.org:8000-8100"},
	{"allow-domain", "time.example.org"},
	{"allow-cidr", "93.184.216.0/24:443"},
	{"allow-cidr", "[2606:2800::/32]:443"},
	{"allow-udp", "time.example.org:123"},
	{"allow-udp", "9.9.9.10:5000"},
	{"allow-udp", "[2620:fe::9]:5001"},
	{"publish", "8080"},
	{NULL, NULL},
};

static const struct test named_tests[] = {
	{"descriptors", test_descriptors},
	{"other protocols are refused", test_other_protocols},
	{"refused packets are logged", test_log},
	{"capabilities dropped", drop},
	{"redirect", test_redirect},
	{"TCP that is not allowed", test_tcp_refused},
	{"DNS to anywhere", test_dns},
	{"UDP", test_udp},
	{"localhost", test_localhost},
	{"nothing can be changed", test_no_changes},
	{"nothing can be bound beside", test_no_binding},
	{NULL, NULL},
};

/* What is refused is refused without a word. */
static void test_no_log(void)
{
	CHECK(spoiled > 0);
	CHECK(socket_of(EGRESS_SOCKET_NFLOG, 0) < 0);
}

static const struct test silent_tests[] = {
	{"there is no log", test_no_log},
	{"other protocols are refused", test_other_protocols},
	{"capabilities dropped", drop},
	{"redirect", test_redirect},
	{"TCP that is not allowed", test_tcp_refused},
	{"UDP", test_udp},
	{NULL, NULL},
};

static const char *const open_to_all[][2] = {
	{"net", "on"},
	{"deny-cidr", "8.8.8.0/24"},
	{NULL, NULL},
};

static const struct test open_tests[] = {
	{"capabilities dropped", drop},
	{"every public address", test_public},
	{"DNS to anywhere", test_dns},
	{"localhost", test_localhost},
	{"nothing can be changed", test_no_changes},
	{"nothing can be bound beside", test_no_binding},
	{NULL, NULL},
};

static const struct scenario scenarios[] = {
	{"named destinations", named, named_tests, LACKS_NOTHING},
	{"net on", open_to_all, open_tests, LACKS_NOTHING},
	{"no nft_log", named, silent_tests, LACKS_LOG_EXPRESSION},
	{"no nfnetlink_log", named, silent_tests, LACKS_LOG},
};

/* In a process of its own: its namespaces and its lack of rights stay with it. */
static int run(const struct scenario *scenario)
{
	printf("--- %s, uid %d\n", scenario->name, geteuid());
	fill_policy(scenario->settings);
	enter_namespaces();
	lack = scenario->lack;
	open_network();
	for (const struct test *test = scenario->tests; test->name; test++) {
		unsigned before = failures;
		test->run();
		printf("%s: %s\n", failures == before ? "ok" : "FAILED", test->name);
	}
	printf("%u checks, %u failed\n", checks, failures);
	network_sockets_release(&sockets);
	network_pools_free(pools, pools_count);
	network_policy_release(&policy);
	return failures ? 1 : 0;
}

int main(void)
{
	int worst = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		int status = -1;
		pid_t pid = fork();
		if (pid == 0)
			exit(run(&scenarios[i]));
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			return 1;
		if (WEXITSTATUS(status) == EXIT_SKIPPED)
			return EXIT_SKIPPED;
		worst = WEXITSTATUS(status) ? 1 : worst;
	}
	return worst;
}
