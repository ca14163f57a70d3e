/* TCP in the landlock tier, where the network is the host's and only egress leads out.
 *
 * Theory of operation. A TCP socket by itself reaches nobody: what counts is connect(), bind() and
 * listen(), and none of them is ever run by the kernel on a program's word. The broker makes them,
 * and always on 127.0.0.1.
 *
 * connect() to anywhere: the program's own socket (of which the broker holds a copy) is connected
 * to a listener that the broker opens for this one call; what it accepts, having seen that it is
 * the program's socket and no stranger's, goes to egress with the address that was named, and the
 * program waits until egress says what came of it. Refused, the socket is disconnected again. So
 * socket options, duplicates, processes that share the socket and its place in epoll sets are all
 * what they were. The socket is bound to 127.0.0.1 before: a packet with that source cannot leave
 * the host, whatever route or device the program asks the kernel for.
 *
 * bind(): a port of the box's own. The real port is one that the kernel picks on 127.0.0.1, and a
 * table says which is meant: the box neither takes ports from the host nor listens where somebody
 * expects a service of the host's. The broker has a socket of its own on the real port, which never
 * listens: until nobody in the box has the port any more, the kernel gives it to no stranger. Ports
 * that are published are bound as they are, for that is what was asked for. All loopback addresses
 * of both families lead to 127.0.0.1.
 *
 * connect() to loopback: only to what the table has, and only while the very socket that the box
 * bound, by the kernel's cookie, listens there. It is looked at before and after; and if the box
 * closes it in between, the port is still held, so that nobody else can be met there. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"
#include "policy/egress.h"
#include "run/broker_internal.h"

#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* 6.3 */
#endif

enum {
	MEET_MS = 100,   /* between two sockets of this host, which takes no time: */
	OWN_MEET_MS = 5, /* unless a backlog of the box's own is full */
	TELL_MS = 200,
	MEET_BACKLOG = 16,     /* strangers may knock meanwhile */
	OWN_CONNECT_MS = 5000, /* how long a full backlog of the box's own is waited for */
};

/* --- Addresses --- */

static const struct in6_addr loopback_v6 = IN6ADDR_LOOPBACK_INIT;

static void map_v4(in_addr_t v4, struct in6_addr *ret)
{
	*ret = (struct in6_addr){{{[10] = 0xff, [11] = 0xff}}};
	memcpy(ret->s6_addr + 12, &v4, sizeof(v4));
}

static int read_address(const struct sockaddr_storage *address, socklen_t address_bytes,
	struct in6_addr *ret_address, uint16_t *ret_port)
{
	if (address_bytes < sizeof(sa_family_t))
		return -EINVAL;
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;
		if (address_bytes < sizeof(*in))
			return -EINVAL;
		map_v4(in->sin_addr.s_addr, ret_address);
		*ret_port = ntohs(in->sin_port);
		return 0;
	}
	if (address->ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	if (address_bytes < offsetof(struct sockaddr_in6, sin6_scope_id))
		return -EINVAL;
	*ret_address = in6->sin6_addr;
	*ret_port = ntohs(in6->sin6_port);
	return 0;
}

int network_destination(const struct sockaddr_storage *address, socklen_t address_bytes,
	struct in6_addr *ret_address, uint16_t *ret_port)
{
	int r = read_address(address, address_bytes, ret_address, ret_port);
	if (r < 0)
		return r;
	struct in6_addr any_v4;
	map_v4(htonl(INADDR_ANY), &any_v4);
	if (IN6_IS_ADDR_UNSPECIFIED(ret_address))
		*ret_address = loopback_v6;
	else if (memcmp(ret_address, &any_v4, sizeof(any_v4)) == 0)
		map_v4(htonl(INADDR_LOOPBACK), ret_address);
	return 0;
}

bool network_is_loopback(const struct in6_addr *address)
{
	return IN6_IS_ADDR_LOOPBACK(address) ||
	       (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

/* What the kernel takes an address in: of another family than the socket's, it says so. */
static int parse(const struct socket_call *call, struct in6_addr *ret_address, uint16_t *ret_port)
{
	int r = network_destination(&call->address, call->address_bytes, ret_address, ret_port);
	return r == 0 && socket_call_family(call) != call->domain ? -EAFNOSUPPORT : r;
}

static bool is_any(const struct socket_call *call)
{
	static const struct in6_addr any;
	if (call->domain == AF_INET)
		return ((const struct sockaddr_in *)&call->address)->sin_addr.s_addr ==
		       htonl(INADDR_ANY);
	return memcmp(&((const struct sockaddr_in6 *)&call->address)->sin6_addr, &any,
		       sizeof(any)) == 0;
}

/* 127.0.0.1, as a socket of this domain names it. Returns the length. */
static socklen_t here(int domain, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)domain};
	if (domain == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	map_v4(htonl(INADDR_LOOPBACK), &in6->sin6_addr);
	in6->sin6_port = htons(port);
	return sizeof(*in6);
}

/* --- The socket --- */

static bool is_tcp(int socket_fd)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);
	return getsockopt(socket_fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
	       protocol == IPPROTO_TCP;
}

static int tcp_state(int socket_fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	return getsockopt(socket_fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ? -errno
										: info.tcpi_state;
}

/* Where the socket is bound: *ret_port 0 if nowhere yet. */
static int bound_to(int socket_fd, struct in6_addr *ret_address, uint16_t *ret_port)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	if (getsockname(socket_fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	return read_address(&address, length, ret_address, ret_port);
}

/* To 127.0.0.1. with_port: it is to be known which; else it is taken when the socket connects, and
 * shared with other connections. */
static int bind_here(int socket_fd, int domain, uint16_t port, bool with_port)
{
	struct sockaddr_storage address;
	socklen_t length = here(domain, port, &address);
	int no_port = !with_port, off = 0, any = 0;
	if (domain == AF_INET6 &&
		setsockopt(socket_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -errno;
	setsockopt(socket_fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &no_port, sizeof(no_port));
	setsockopt(socket_fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &any, sizeof(any));
	return bind(socket_fd, (const struct sockaddr *)&address, length) < 0 ? -errno : 0;
}

/* Before anything is sent: nothing with this source leaves the host. */
static int settle_source(const struct socket_call *call)
{
	int r = bind_here(call->socket, call->domain, 0, false);
	if (r != -EINVAL)
		return r;
	struct in6_addr address;
	uint16_t port;
	r = bound_to(call->socket, &address, &port); /* bound already: then by this broker */
	if (r < 0)
		return r;
	return port != 0 && network_is_loopback(&address) ? 0 : -EACCES;
}

/* As after a connect() that failed. */
static void disconnect(int socket_fd)
{
	const struct sockaddr_storage nowhere = {.ss_family = AF_UNSPEC};
	int error;
	socklen_t length = sizeof(error);
	socket_connect_once(socket_fd, &nowhere, sizeof(nowhere.ss_family), -1);
	getsockopt(socket_fd, SOL_SOCKET, SO_ERROR, &error, &length);
}

/* connect() within this host. */
static int connect_here(int socket_fd, int domain, uint16_t port, int wait_ms)
{
	struct sockaddr_storage address;
	socklen_t length = here(domain, port, &address);
	int r = socket_connect_once(socket_fd, &address, length, -1);
	if (r != -EINPROGRESS)
		return r;
	struct pollfd fd = {.fd = socket_fd, .events = POLLOUT};
	poll(&fd, 1, wait_ms);
	return socket_connect_once(socket_fd, &address, length, -1);
}

/* --- To egress --- */

int network_tell_egress(struct broker *broker, uint32_t kind, const struct in6_addr *address,
	uint16_t port, int fd, uint32_t *ret_id)
{
	network_hear(broker); /* so that its answers never fill the socket */
	if (broker->egress < 0)
		return -ECONNREFUSED;
	if (++broker->egress_id == 0)
		broker->egress_id = 1;
	struct egress_message message = {
		.kind = kind, .id = broker->egress_id, .address = *address, .port = port};
	if (ret_id)
		*ret_id = message.id;
	/* A box may ask faster than egress, which waits for nobody, gets its turn. */
	int r = fd_send(broker->egress, &message, sizeof(message), &fd, 1);
	const uint64_t until_us = clock_now_us() + TELL_MS * 1000;
	while (r == -EAGAIN && clock_now_us() < until_us) {
		struct pollfd egress = {.fd = broker->egress, .events = POLLOUT};
		poll(&egress, 1, TELL_MS);
		network_hear(broker);
		r = broker->egress < 0 ? -ECONNREFUSED
				       : fd_send(broker->egress, &message, sizeof(message), &fd, 1);
	}
	return r;
}

static void take_answer(struct broker *broker, uint32_t id, int value)
{
	for (size_t i = 0; i < broker->pending_count; i++) {
		struct pending *pending = &broker->pending[i];
		if (!pending->egress_id || (id && pending->egress_id != id))
			continue;
		pending->answered = true;
		pending->answer = value;
	}
}

void network_hear(struct broker *broker)
{
	while (broker->egress >= 0) {
		struct egress_message message;
		ssize_t n = recv(broker->egress, &message, sizeof(message), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof(message)) {
			/* It has ended: so has the network. */
			close_fd(&broker->egress);
			take_answer(broker, 0, -ECONNREFUSED);
		} else if (message.kind == EGRESS_CONNECTED && message.id) {
			bool sane = message.value <= 0 && message.value > -4096;
			take_answer(broker, message.id, sane ? message.value : -ECONNREFUSED);
		}
	}
}

/* A listener on 127.0.0.1 for one connection. */
static int open_listener(uint16_t *ret_port)
{
	cleanup_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct in6_addr address;
	if (listener < 0)
		return -errno;
	int r = bind_here(listener, AF_INET, 0, true);
	if (r == 0 && listen(listener, MEET_BACKLOG) < 0)
		r = -errno;
	if (r == 0)
		r = bound_to(listener, &address, ret_port);
	return r < 0 ? r : steal_fd(&listener);
}

/* What was accepted must be the program's socket and nobody else's. */
static int accept_own(int listener, int socket_fd)
{
	struct in6_addr own, peer;
	uint16_t own_port, peer_port;
	int r = bound_to(socket_fd, &own, &own_port);
	for (int i = 0; r == 0 && i <= MEET_BACKLOG; i++) {
		struct sockaddr_storage address = {0};
		socklen_t length = sizeof(address);
		cleanup_close int other = accept4(listener, (struct sockaddr *)&address, &length,
			SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (other < 0)
			return -errno;
		if (read_address(&address, length, &peer, &peer_port) == 0 &&
			peer_port == own_port && memcmp(&peer, &own, sizeof(own)) == 0)
			return steal_fd(&other);
	}
	return r < 0 ? r : -EAGAIN;
}

/* Connects the program's socket to one that is returned. */
static int meet(const struct socket_call *call)
{
	uint16_t port;
	cleanup_close int listener = open_listener(&port);
	if (listener < 0)
		return listener;
	int r = settle_source(call);
	if (r == 0)
		r = connect_here(call->socket, call->domain, port, MEET_MS);
	if (r < 0 && r != -EISCONN)
		disconnect(call->socket);
	if (r < 0)
		return r;
	int other = accept_own(listener, call->socket);
	if (other < 0)
		disconnect(call->socket);
	return other;
}

static bool resume_egress(struct broker *broker, struct pending *pending, bool ready)
{
	(void)ready;
	bool expired = pending->deadline_us && clock_now_us() >= pending->deadline_us;
	if (!pending->answered && !expired)
		return false;
	int r = pending->answered ? pending->answer : -ETIMEDOUT;
	if (r < 0)
		disconnect(pending->socket);
	broker_answer(broker, pending->id, r);
	return true;
}

static int connect_to_egress(struct broker *broker, struct socket_call *call,
	const struct in6_addr *address, uint16_t port)
{
	char program[32];
	cleanup_close int other = meet(call);
	if (other < 0)
		return other == -EISCONN ? -EISCONN : -EAGAIN;
	client_program(broker, call->request, program);
	if (broker->connects)
		connects_note(broker->connects, call->request->tid, program, call->socket);
	struct pending *pending = sockets_park(broker, call->request);
	uint32_t id;
	int r = pending ? network_tell_egress(broker, EGRESS_CONNECT, address, port, other, &id)
			: -ENOBUFS;
	if (r < 0) {
		if (pending)
			broker->pending_count--;
		disconnect(call->socket);
		return r == -ECONNREFUSED ? r : -EAGAIN;
	}
	int mode = fcntl(call->socket, F_GETFL);
	if (mode >= 0 && !(mode & O_NONBLOCK))
		pending->deadline_us = socket_deadline_us(call->socket, SO_SNDTIMEO);
	pending->resume = resume_egress;
	pending->egress_id = id;
	pending->socket = steal_fd(&call->socket);
	return VERDICT_LATER;
}

/* --- The box's own loopback --- */

static struct own_port *find_port(struct broker *broker, uint16_t port, bool v4, bool v6)
{
	for (size_t i = broker->ports_count; i-- > 0;) {
		struct own_port *own = &broker->ports[i];
		if (own->port == port && ((v4 && own->v4) || (v6 && own->v6)))
			return own;
	}
	return NULL;
}

static void forget_port(struct broker *broker, struct own_port *own)
{
	size_t after = (size_t)(broker->ports + broker->ports_count - (own + 1));
	memmove(own, own + 1, after * sizeof(*own));
	broker->ports_count--;
}

/* Whether that very socket listens on its port now. */
static bool is_listening(const struct own_port *own)
{
	cleanup_close int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = {.nlmsg_len = sizeof(message),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = AF_INET,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1U << TCP_LISTEN,
			.id = {.idiag_sport = htons(own->real),
				.idiag_src = {htonl(INADDR_LOOPBACK)},
				.idiag_cookie = {(uint32_t)own->cookie,
					(uint32_t)(own->cookie >> 32)}}},
	};
	union {
		struct nlmsghdr header;
		char bytes[2048];
	} reply;
	if (netlink < 0 || send(netlink, &message, sizeof(message), 0) < 0)
		return false;
	ssize_t n = recv(netlink, &reply, sizeof(reply), 0);
	if (n < 0 || !NLMSG_OK(&reply.header, (size_t)n) ||
		reply.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		reply.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return false;
	const struct inet_diag_msg *found = NLMSG_DATA(&reply.header);
	return found->idiag_state == TCP_LISTEN &&
	       found->id.idiag_cookie[0] == (uint32_t)own->cookie &&
	       found->id.idiag_cookie[1] == (uint32_t)(own->cookie >> 32);
}

/* -EAGAIN: its backlog is full. */
static int connect_to_port(int socket_fd, int domain, const struct own_port *own)
{
	if (!is_listening(own))
		return -ECONNREFUSED;
	int r = connect_here(socket_fd, domain, own->real, OWN_MEET_MS);
	if (r == 0 && !is_listening(own))
		r = -ECONNREFUSED;
	if (r < 0 && r != -EISCONN)
		disconnect(socket_fd); /* nothing may go on being tried by itself */
	return r == -EINPROGRESS || r == -EALREADY ? -EAGAIN : r;
}

static bool resume_own(struct broker *broker, struct pending *pending, bool ready)
{
	(void)ready;
	struct in6_addr address;
	uint16_t port;
	network_destination(&pending->address, pending->address_bytes, &address, &port);
	bool v4 = IN6_IS_ADDR_V4MAPPED(&address);
	const struct own_port *own = find_port(broker, port, v4, !v4);
	int r = own ? connect_to_port(pending->socket, pending->address.ss_family, own)
		    : -ECONNREFUSED;
	if (r == -EAGAIN && clock_now_us() < pending->deadline_us)
		return false;
	broker_answer(broker, pending->id, r == -EAGAIN ? -ETIMEDOUT : r);
	return true;
}

static int connect_to_own(struct broker *broker, struct socket_call *call,
	const struct in6_addr *address, uint16_t port)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(address);
	const struct own_port *own = find_port(broker, port, v4, !v4);
	int r = own ? settle_source(call) : -ECONNREFUSED;
	if (r == 0)
		r = connect_to_port(call->socket, call->domain, own);
	if (r == -ECONNREFUSED)
		broker_record(broker, call->request, "P3", call->text, ECONNREFUSED,
			"on loopback only what listens in the box itself can be reached");
	if (r != -EAGAIN)
		return r;
	struct pending *pending = sockets_park(broker, call->request);
	if (!pending)
		return -EAGAIN;
	uint64_t limit_us = socket_deadline_us(call->socket, SO_SNDTIMEO);
	pending->resume = resume_own;
	pending->retry = true;
	pending->deadline_us = limit_us ? limit_us : clock_now_us() + OWN_CONNECT_MS * 1000ULL;
	pending->socket = steal_fd(&call->socket);
	pending->address = call->address;
	pending->address_bytes = call->address_bytes;
	return VERDICT_LATER;
}

static bool is_published(const struct plan *plan, uint16_t port)
{
	for (size_t i = 0; i < plan->network.publish_count; i++)
		if (plan->network.publish[i].box_port == port)
			return true;
	return false;
}

/* Two sockets can have one port while both allow it and neither listens. */
static void share(int socket_fd, int on)
{
	setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

/* A socket of the broker's own on a port of 127.0.0.1; 0: any. */
static int hold_port(uint16_t port)
{
	cleanup_close int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (holder < 0)
		return -errno;
	/* An earlier box's connections, which linger, were not this one's. */
	share(holder, port != 0);
	int r = bind_here(holder, AF_INET, port, true);
	share(holder, false);
	return r < 0 ? r : steal_fd(&holder);
}

/* Forgets the ports that nobody has any more: only there may the holder listen. */
static void sweep_ports(struct broker *broker)
{
	size_t kept = 0;
	for (size_t i = 0; i < broker->ports_count; i++) {
		if (listen(broker->ports[i].holder, 0) == 0)
			close_fd(&broker->ports[i].holder);
		else
			broker->ports[kept++] = broker->ports[i];
	}
	broker->ports_count = kept;
	size_t next = 2 * kept < BROKER_PORTS_SWEEP ? BROKER_PORTS_SWEEP : 2 * kept;
	broker->ports_sweep = next < broker->ports_max ? next : broker->ports_max;
}

/* Binds the program's socket beside the holder. */
static int bind_beside(struct own_port *own, int socket_fd, int domain)
{
	struct in6_addr address;
	socklen_t length = sizeof(own->cookie);
	if (getsockopt(socket_fd, SOL_SOCKET, SO_COOKIE, &own->cookie, &length) < 0)
		return -errno;
	int r = bound_to(own->holder, &address, &own->real);
	if (r < 0)
		return r;
	share(socket_fd, true);
	share(own->holder, true);
	r = bind_here(socket_fd, domain, own->real, true);
	share(own->holder, false);
	if (!own->port)
		own->port = own->real;
	return r;
}

/* port 0: any. What was bound to the same port and does not listen gives way. */
static int take_port(
	struct broker *broker, int socket_fd, int domain, uint16_t port, bool v4, bool v6)
{
	if (broker->ports_count >= broker->ports_sweep || broker->ports_count >= broker->ports_max)
		sweep_ports(broker);
	struct own_port *old = port ? find_port(broker, port, v4, v6) : NULL;
	if (old && is_listening(old))
		return -EADDRINUSE;
	if (!old && broker->ports_count >= broker->ports_max)
		return -ENOBUFS;
	uint16_t wanted = port && is_published(broker->plan, port) ? port : 0;
	struct own_port own = {.port = port, .v4 = v4, .v6 = v6};
	own.holder = old ? old->holder : hold_port(wanted);
	if (own.holder < 0)
		return own.holder;
	int r = bind_beside(&own, socket_fd, domain);
	if (r < 0 && !old)
		close_fd(&own.holder);
	if (r < 0)
		return r;
	if (old)
		forget_port(broker, old);
	broker->ports[broker->ports_count++] = own;
	return 0;
}

/* listen() of a socket that was bound beside its holder. */
static int listen_beside(const struct broker *broker, int socket_fd, int backlog)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	int holder = -1;
	if (getsockopt(socket_fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
		return -errno;
	for (size_t i = 0; i < broker->ports_count; i++)
		if (broker->ports[i].cookie == cookie)
			holder = broker->ports[i].holder;
	if (holder >= 0) {
		share(socket_fd, true);
		share(holder, true);
	}
	int r = listen(socket_fd, backlog) < 0 ? -errno : 0;
	if (holder >= 0)
		share(holder, false);
	return r;
}

/* --- The calls --- */

int network_connect(struct broker *broker, struct socket_call *call)
{
	struct in6_addr address;
	uint16_t port;
	if (!is_tcp(call->socket))
		return socket_call_refuse(broker, call, "only TCP has a way out");
	if (socket_call_family(call) == AF_UNSPEC && call->address_bytes >= sizeof(sa_family_t))
		return socket_connect_once(call->socket, &call->address, call->address_bytes, -1);
	int r = parse(call, &address, &port);
	if (r == 0)
		r = tcp_state(call->socket);
	if (r < 0)
		return r;
	if (r != TCP_CLOSE)
		return -EISCONN;
	return network_is_loopback(&address) ? connect_to_own(broker, call, &address, port)
					     : connect_to_egress(broker, call, &address, port);
}

/* IPV6_V6ONLY as the program has set it, before it is set otherwise here. */
static bool takes_v4(const struct socket_call *call, const struct in6_addr *address)
{
	int only = 0;
	socklen_t length = sizeof(only);
	if (call->domain == AF_INET || IN6_IS_ADDR_V4MAPPED(address))
		return true;
	getsockopt(call->socket, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length);
	return is_any(call) && !only;
}

int network_bind(struct broker *broker, struct socket_call *call)
{
	struct in6_addr address;
	uint16_t port;
	if (!is_tcp(call->socket))
		return socket_call_refuse(broker, call, "only TCP has a way out");
	int r = parse(call, &address, &port);
	if (r == 0)
		r = tcp_state(call->socket);
	if (r < 0)
		return r;
	if (r != TCP_CLOSE)
		return -EINVAL;
	if (!network_is_loopback(&address))
		return socket_call_refuse(
			broker, call, "in this tier a box can listen on its own loopback only");
	bool v4 = takes_v4(call, &address);
	bool v6 = call->domain == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&address);
	return take_port(broker, call->socket, call->domain, port, v4, v6);
}

/* A unix socket that passes credentials is given an abstract name when it connects, asked for or
 * not, and those are the host's. No call that names it is under way here: they are all ours. */
static int may_listen_unix(struct broker *broker, const struct request *request, int socket_fd)
{
	struct sockaddr_storage storage = {0};
	const struct sockaddr_un *name = (const struct sockaddr_un *)&storage;
	socklen_t length = sizeof(storage);
	if (getsockname(socket_fd, (struct sockaddr *)&storage, &length) < 0)
		return -errno;
	if (length <= offsetof(struct sockaddr_un, sun_path) || name->sun_path[0] != '\0')
		return 0;
	char text[SOCKET_TEXT_BYTES];
	socket_describe(&storage, length, text);
	broker_record(
		broker, request, "P3", text, EACCES, "abstract names are shared with the host");
	return -EACCES;
}

static int may_listen_inet(
	struct broker *broker, const struct request *request, int socket_fd, int domain)
{
	struct in6_addr address;
	uint16_t port;
	if (broker->egress < 0) {
		broker_record(
			broker, request, "P3", "", EACCES, "the box has no way to this network");
		return -EACCES;
	}
	if (!is_tcp(socket_fd))
		return -EOPNOTSUPP;
	int r = bound_to(socket_fd, &address, &port);
	if (r == 0 && port == 0)
		return take_port(broker, socket_fd, domain, 0, true, domain == AF_INET6);
	return r < 0 || network_is_loopback(&address) ? r : -EACCES; /* the caller's */
}

/* Of every kind of socket made here, so that no other can be put in the number's place between a
 * look and the call. */
static int serve_listen(struct broker *broker, const struct request *request)
{
	cleanup_client_fd int socket_fd = client_get_fd(broker, request, (int)request->args[0]);
	int domain = 0;
	socklen_t length = sizeof(domain);
	if (socket_fd < 0)
		return socket_fd;
	if (getsockopt(socket_fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
		return -errno;
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	bool inet = domain == AF_INET || domain == AF_INET6;
	int r = 0, backlog = (int)request->args[1];
	if (domain == AF_UNIX)
		r = may_listen_unix(broker, request, socket_fd);
	else if (inet)
		r = may_listen_inet(broker, request, socket_fd, domain);
	if (r == 0 && inet)
		return listen_beside(broker, socket_fd, backlog);
	return r == 0 && listen(socket_fd, backlog) < 0 ? -errno : r;
}

const struct broker_call broker_network_calls[] = {
	{SYS_listen, "listen", serve_listen},
};
const size_t broker_network_calls_count = ARRAY_SIZE(broker_network_calls);
