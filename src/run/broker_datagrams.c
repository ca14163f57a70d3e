/* What programs take for UDP sockets, in the landlock tier with a way out.
 *
 * Theory of operation. A real datagram socket sends to whatever address lies in memory with each
 * message, and no filter sees that. So none is ever made: socket() gives one end of a connected
 * pair of AF_UNIX, SOCK_SEQPACKET, which keeps the boundaries of messages, ignores their addresses
 * and leads to egress and nowhere else, whatever is done to it. Only then can the kernel be left to
 * run sendmsg() and the like as they stand. The pair's other end is a socket of egress's resolver,
 * so that a question reaches it whichever server it is addressed to; what is none is lost.
 *
 * connect() and sendto() say where to: to port 53, nothing changes; to an --allow-udp rule's
 * destination, a new pair takes the old one's place under every number that the process has for
 * it; anything else is refused and recorded. What is received comes with the address that was named
 * last, since programs compare.
 *
 * What differs from UDP: one destination at a time; a name that is made up; no control messages;
 * children that share a socket keep the old one when it is replaced; options of IP are taken and do
 * nothing. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "policy/egress.h"
#include "run/broker_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
	NUMBERS_MAX = 64, /* of one socket in a process, that are given the new one */
	DATAGRAM_BYTES = 65536,
	PARTS_MAX = 64, /* of a message's buffers; more are left empty */
};

/* Made by this process and nameless at both ends: sockets that are connected through the broker by
 * path bear its pid as well, but have the path. */
bool datagrams_own(const struct broker *broker, int socket_fd)
{
	struct ucred credentials;
	struct sockaddr_un name;
	int type;
	socklen_t length = sizeof(type), credentials_bytes = sizeof(credentials),
		  own_bytes = sizeof(name), peer_bytes = sizeof(name);
	return broker->egress >= 0 &&
	       getsockopt(socket_fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
	       type == SOCK_SEQPACKET &&
	       getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_bytes) ==
		       0 &&
	       credentials.pid == broker->self &&
	       getsockname(socket_fd, (struct sockaddr *)&name, &own_bytes) == 0 &&
	       own_bytes == sizeof(sa_family_t) &&
	       getpeername(socket_fd, (struct sockaddr *)&name, &peer_bytes) == 0 &&
	       peer_bytes == sizeof(sa_family_t);
}

static ino_t inode_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static struct datagram_socket *find(struct broker *broker, ino_t inode)
{
	for (size_t i = broker->datagrams_count; i-- > 0;)
		if (broker->datagrams[i].inode == inode)
			return &broker->datagrams[i];
	return NULL;
}

static void forget(struct broker *broker, ino_t inode)
{
	struct datagram_socket *found = find(broker, inode);
	if (!found)
		return;
	size_t after = (size_t)(broker->datagrams + broker->datagrams_count - (found + 1));
	memmove(found, found + 1, after * sizeof(*found));
	broker->datagrams_count--;
}

/* What is known of the socket from now on. */
static void remember(struct broker *broker, const struct datagram_socket *known)
{
	const struct datagram_socket copy = *known;
	forget(broker, copy.inode);
	if (broker->datagrams_count == BROKER_DATAGRAMS_MAX)
		forget(broker, broker->datagrams[0].inode);
	broker->datagrams[broker->datagrams_count++] = copy;
}

/* The kernel's word where the table has none. */
static struct datagram_socket recall(struct broker *broker, ino_t inode)
{
	const struct datagram_socket *known = find(broker, inode);
	return known ? *known : (struct datagram_socket){.inode = inode};
}

/* One end of a pair whose other end egress has. */
static int open_pair(struct broker *broker, const struct in6_addr *address, uint16_t port,
	bool blocking, uint32_t *ret_id)
{
	int pair[2];
	int flags = SOCK_SEQPACKET | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK);
	if (socketpair(AF_UNIX, flags, 0, pair) < 0)
		return -errno;
	cleanup_close int own = pair[0];
	cleanup_close int other = pair[1];
	int r = network_tell_egress(broker, EGRESS_DATAGRAM, address, port, other, ret_id);
	return r < 0 ? r : steal_fd(&own);
}

/* A copy of source for the program; number -1: whichever is free. Returns the number. */
static int place(const struct broker *broker, uint64_t id, int source, int number, bool cloexec)
{
	struct seccomp_notif_addfd added = {.id = id,
		.flags = number < 0 ? 0 : SECCOMP_ADDFD_FLAG_SETFD,
		.srcfd = (uint32_t)source,
		.newfd = number < 0 ? 0 : (uint32_t)number,
		.newfd_flags = cloexec ? O_CLOEXEC : 0};
	int r = ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
	return r < 0 ? -errno : r;
}

static int serve_socket(struct broker *broker, const struct request *request)
{
	int type = (int)request->args[1];
	static const struct in6_addr anywhere;
	cleanup_close int own =
		open_pair(broker, &anywhere, EGRESS_PORT_DNS, !(type & SOCK_NONBLOCK), NULL);
	if (own < 0)
		return own == -EAGAIN ? -ENOBUFS : -EACCES;
	remember(broker, &(struct datagram_socket){
				 .inode = inode_of(own), .family = (sa_family_t)request->args[0]});
	int number = place(broker, request->id, own, -1, type & SOCK_CLOEXEC);
	if (number < 0)
		return number;
	broker_answer_value(broker, request->id, number);
	return VERDICT_LATER;
}

/* --- Replacing --- */

static bool is_close_on_exec(const struct broker *broker, pid_t tid, const char *number)
{
	char path[64], text[256];
	snprintf(path, sizeof(path), "%d/fdinfo/%.12s", tid, number);
	cleanup_close int fd = openat(broker->proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	const char *flags = strstr(text, "flags:");
	return flags && (strtol(flags + strlen("flags:"), NULL, 8) & O_CLOEXEC);
}

/* Puts own in the place of the socket with that inode number, under each of its numbers. */
static int replace(const struct broker *broker, const struct request *request, ino_t inode, int own)
{
	char path[32], wanted[48];
	snprintf(path, sizeof(path), "%d/fd", request->tid);
	snprintf(wanted, sizeof(wanted), "socket:[%llu]", (unsigned long long)inode);
	int directory_fd = openat(broker->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = directory_fd < 0 ? NULL : fdopendir(directory_fd);
	if (!directory)
		return -EACCES;
	int numbers[NUMBERS_MAX], r = 0;
	bool close_on_exec[NUMBERS_MAX];
	size_t count = 0;
	for (struct dirent *entry; count < NUMBERS_MAX && (entry = readdir(directory));) {
		char target[48];
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strcmp(target, wanted) != 0)
			continue;
		close_on_exec[count] = is_close_on_exec(broker, request->tid, entry->d_name);
		numbers[count++] = atoi(entry->d_name);
	}
	closedir(directory);
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	for (size_t i = 0; r >= 0 && i < count; i++)
		r = place(broker, request->id, own, numbers[i], close_on_exec[i]);
	return r < 0 ? r : 0;
}

static bool is_stand_in(const struct in6_addr *address)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 198 &&
		  (address->s6_addr[13] & 0xfe) == 18;
	return v4 || (address->s6_addr32[0] == htonl(0x20010002) && address->s6_addr[4] == 0 &&
			     address->s6_addr[5] == 0);
}

/* No record where a resolver only asks which of several addresses could be reached. */
static int refuse(struct broker *broker, const struct request *request, const char *text,
	const struct in6_addr *address)
{
	if (request->nr != SYS_connect || !is_stand_in(address))
		broker_record(broker, request, "P3", text, EACCES,
			"of UDP only the resolver and what --allow-udp names can be reached");
	return -EACCES;
}

static void lead(struct datagram_socket *known, int nr, const struct sockaddr_storage *peer,
	socklen_t peer_bytes)
{
	known->connected = known->connected || nr == SYS_connect;
	known->peer = *peer;
	known->peer_bytes = peer_bytes;
}

static bool resume_replace(struct broker *broker, struct pending *pending, bool ready)
{
	(void)ready;
	struct in6_addr address;
	uint16_t port;
	if (!pending->answered)
		return false;
	bool sends = pending->request.nr != SYS_connect;
	int r = pending->answer;
	network_destination(&pending->address, pending->address_bytes, &address, &port);
	if (r < 0) {
		char text[SOCKET_TEXT_BYTES];
		socket_describe(&pending->address, pending->address_bytes, text);
		r = refuse(broker, &pending->request, text, &address);
	} else {
		r = replace(broker, &pending->request, pending->replaced, pending->socket);
	}
	if (r == 0) {
		struct datagram_socket known = recall(broker, pending->replaced);
		forget(broker, known.inode);
		known.inode = inode_of(pending->socket);
		known.by_rule = port != EGRESS_PORT_DNS;
		lead(&known, pending->request.nr, &pending->address, pending->address_bytes);
		remember(broker, &known);
	}
	broker_answer(broker, pending->id, r == 0 && sends ? VERDICT_CONTINUE : r);
	return true;
}

/* Asks egress for a pair to that destination. */
static int lead_to(struct broker *broker, const struct socket_call *call,
	const struct in6_addr *address, uint16_t port)
{
	struct pending *pending = sockets_park(broker, call->request);
	if (!pending)
		return -ENOBUFS;
	int mode = fcntl(call->socket, F_GETFL);
	bool blocking = mode >= 0 && !(mode & O_NONBLOCK);
	int own = open_pair(broker, address, port, blocking, &pending->egress_id);
	if (own < 0) {
		broker->pending_count--;
		return own;
	}
	pending->resume = resume_replace;
	pending->socket = own;
	pending->replaced = inode_of(call->socket);
	pending->address = call->address;
	pending->address_bytes = call->address_bytes;
	return VERDICT_LATER;
}

/* The address of a connect() or sendto(): the socket leads there, or is made to. */
static int go_to(struct broker *broker, const struct socket_call *call, int done)
{
	struct in6_addr address;
	uint16_t port;
	int r = network_destination(&call->address, call->address_bytes, &address, &port);
	if (r < 0)
		return r;
	struct datagram_socket known = recall(broker, inode_of(call->socket));
	bool same = known.by_rule && known.peer_bytes == call->address_bytes &&
		    memcmp(&known.peer, &call->address, call->address_bytes) == 0;
	if (same || (port == EGRESS_PORT_DNS && !known.by_rule)) {
		lead(&known, call->request->nr, &call->address, call->address_bytes);
		remember(broker, &known);
		return done;
	}
	if (port != EGRESS_PORT_DNS && broker->plan->network.udp_count == 0)
		return refuse(broker, call->request, call->text, &address);
	return lead_to(broker, call, &address, port);
}

/* --- The calls --- */

int datagrams_connect(struct broker *broker, struct socket_call *call)
{
	if (socket_call_family(call) == AF_UNSPEC) {
		/* It goes on leading where it leads, and to nobody else. */
		struct datagram_socket known = recall(broker, inode_of(call->socket));
		known.connected = false;
		remember(broker, &known);
		return 0;
	}
	return go_to(broker, call, 0);
}

/* Nothing comes in by itself, so a port of one's own would be waited at in vain. */
int datagrams_bind(struct broker *broker, struct socket_call *call)
{
	struct in6_addr address;
	uint16_t port;
	int r = network_destination(&call->address, call->address_bytes, &address, &port);
	if (r < 0 || port == 0)
		return r;
	return socket_call_refuse(
		broker, call, "in this tier a box cannot take a UDP port: nothing comes in");
}

/* Of any other socket here the kernel ignores the address, or says that it is not for it. What the
 * caller handed in may be a real one. */
static int send_to(struct broker *broker, const struct request *request)
{
	struct socket_call call;
	int type = 0;
	socklen_t length = sizeof(type);
	int r = socket_call_begin(broker, request, &call);
	if (r == 0 && datagrams_own(broker, call.socket))
		r = go_to(broker, &call, VERDICT_CONTINUE);
	else if (r == 0 && (call.domain == AF_UNIX || (getsockopt(call.socket, SOL_SOCKET, SO_TYPE,
							       &type, &length) == 0 &&
							      type == SOCK_STREAM)))
		r = VERDICT_CONTINUE;
	else if (r == 0)
		r = socket_call_refuse(broker, &call, "this socket is the host's");
	client_close_fd(&call.socket);
	return r;
}

/* sendto(): descriptor, data, length, flags, address, length. */
static int serve_sendto(struct broker *broker, const struct request *request)
{
	struct request named = *request;
	named.args[1] = request->args[4];
	named.args[2] = request->args[5];
	return send_to(broker, &named);
}

/* Of several messages the first says where they go. */
static int serve_sendmsg(struct broker *broker, const struct request *request)
{
	struct msghdr header;
	if ((request->nr == SYS_sendmmsg && request->args[2] == 0) ||
		client_read(broker, request, request->args[1], &header, sizeof(header)) < 0 ||
		!header.msg_name || header.msg_namelen == 0)
		return VERDICT_CONTINUE;
	struct request named = *request;
	named.args[1] = (uint64_t)(uintptr_t)header.msg_name;
	named.args[2] = header.msg_namelen;
	return send_to(broker, &named);
}

/* Of IP: a socket that is none takes it for done. */
static int serve_setsockopt(struct broker *broker, const struct request *request)
{
	cleanup_client_fd int socket_fd = client_get_fd(broker, request, (int)request->args[0]);
	if (socket_fd < 0)
		return socket_fd;
	return datagrams_own(broker, socket_fd) ? 0 : VERDICT_CONTINUE;
}

/* Puts an address where two arguments of a call say, as much as there is room for. */
static int write_address(struct broker *broker, const struct request *request, size_t argument,
	const struct sockaddr_storage *address, socklen_t length)
{
	socklen_t room = 0;
	uint64_t place_of_length = request->args[argument + 1];
	int r = client_read(broker, request, place_of_length, &room, sizeof(room));
	if (r == 0 && (int)room < 0)
		r = -EINVAL;
	if (r == 0 && length > 0 && room > 0)
		r = client_write(broker, request, request->args[argument], address,
			length < room ? length : room);
	if (r == 0)
		r = client_write(broker, request, place_of_length, &length, sizeof(length));
	return r;
}

/* Some address of the family, for programs that want to see one: nothing comes in by it. */
static socklen_t make_up_name(const struct datagram_socket *known, struct sockaddr_storage *ret)
{
	enum { FIRST = 32768, COUNT = 28232 }; /* as the kernel picks ports by itself */
	in_port_t port = htons((uint16_t)(FIRST + known->inode % COUNT));
	*ret = (struct sockaddr_storage){.ss_family = known->family};
	if (known->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = port;
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	in6->sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	in6->sin6_port = port;
	return sizeof(*in6);
}

static int serve_name(struct broker *broker, const struct request *request)
{
	cleanup_client_fd int socket_fd = client_get_fd(broker, request, (int)request->args[0]);
	if (socket_fd < 0)
		return socket_fd;
	const struct datagram_socket *known =
		datagrams_own(broker, socket_fd) ? find(broker, inode_of(socket_fd)) : NULL;
	if (!known || !known->family)
		return VERDICT_CONTINUE;
	if (request->nr == SYS_getpeername)
		return known->connected
			       ? write_address(broker, request, 1, &known->peer, known->peer_bytes)
			       : -ENOTCONN;
	struct sockaddr_storage name;
	socklen_t length = make_up_name(known, &name);
	return write_address(broker, request, 1, &name, length);
}

/* Where a call wants what it receives: recvfrom() in registers, the others in a header. */
struct target {
	struct iovec parts[PARTS_MAX];
	size_t parts_count, room;
	uint64_t header; /* struct msghdr in memory; 0: recvfrom() */
};

static int read_target(
	const struct broker *broker, const struct request *request, struct target *ret)
{
	struct msghdr header;
	*ret = (struct target){0};
	if (request->nr == SYS_recvfrom) {
		ret->parts[0] = (struct iovec){
			(void *)(uintptr_t)request->args[1], (size_t)request->args[2]};
		ret->parts_count = 1;
	} else {
		ret->header = request->args[1]; /* a struct mmsghdr begins with it */
		int r = client_read(broker, request, ret->header, &header, sizeof(header));
		if (r < 0)
			return r;
		ret->parts_count = header.msg_iovlen < PARTS_MAX ? header.msg_iovlen : PARTS_MAX;
		r = client_read(broker, request, (uint64_t)(uintptr_t)header.msg_iov, ret->parts,
			ret->parts_count * sizeof(ret->parts[0]));
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ret->parts_count; i++) {
		size_t left = DATAGRAM_BYTES - ret->room;
		if (ret->parts[i].iov_len > left)
			ret->parts[i].iov_len = left;
		ret->room += ret->parts[i].iov_len;
	}
	return 0;
}

static int write_parts(const struct broker *broker, const struct request *request,
	const struct target *target, const char *data, size_t length)
{
	int r = 0;
	for (size_t i = 0; r == 0 && length > 0 && i < target->parts_count; i++) {
		const struct iovec *part = &target->parts[i];
		size_t some = part->iov_len < length ? part->iov_len : length;
		r = client_write(broker, request, (uint64_t)(uintptr_t)part->iov_base, data, some);
		data += some;
		length -= some;
	}
	return r;
}

/* The rest of a struct msghdr: the address, no control message, and whether it was cut. */
static int write_header(const struct broker *broker, const struct request *request,
	uint64_t place_of_header, const struct datagram_socket *known, bool cut)
{
	struct msghdr header;
	int r = client_read(broker, request, place_of_header, &header, sizeof(header));
	if (r < 0)
		return r;
	socklen_t length = known ? known->peer_bytes : 0;
	if (header.msg_name && length > 0)
		r = client_write(broker, request, (uint64_t)(uintptr_t)header.msg_name,
			&known->peer, length < header.msg_namelen ? length : header.msg_namelen);
	header.msg_namelen = header.msg_name ? length : header.msg_namelen;
	header.msg_controllen = 0;
	header.msg_flags = cut ? MSG_TRUNC : 0;
	if (r == 0)
		r = client_write(broker, request, place_of_header, &header, sizeof(header));
	return r;
}

/* -EAGAIN: nothing is there; else it is answered. */
static int receive(struct broker *broker, const struct request *request, int socket_fd)
{
	static char datagram[DATAGRAM_BYTES];
	struct target target;
	int r = read_target(broker, request, &target);
	if (r < 0)
		return r;
	bool many = request->nr == SYS_recvmmsg;
	int flags = (int)request->args[request->nr == SYS_recvmsg ? 2 : 3];
	ssize_t n = recv(
		socket_fd, datagram, target.room, (flags & MSG_PEEK) | MSG_TRUNC | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	const struct datagram_socket *known = find(broker, inode_of(socket_fd));
	size_t length = (size_t)n < target.room ? (size_t)n : target.room;
	r = write_parts(broker, request, &target, datagram, length);
	if (r == 0 && target.header)
		r = write_header(broker, request, target.header, known, (size_t)n > target.room);
	else if (r == 0 && known && request->args[4])
		r = write_address(broker, request, 4, &known->peer, known->peer_bytes);
	int64_t value = flags & MSG_TRUNC ? n : (int64_t)length;
	unsigned got = (unsigned)value;
	if (r == 0 && many)
		r = client_write(
			broker, request, target.header + sizeof(struct msghdr), &got, sizeof(got));
	if (r < 0)
		return r;
	broker_answer_value(broker, request->id, many ? 1 : value);
	return VERDICT_LATER;
}

static bool resume_receive(struct broker *broker, struct pending *pending, bool ready)
{
	bool expired = pending->deadline_us && clock_now_us() >= pending->deadline_us;
	bool tried = ready || pending->retry;
	int r = tried ? receive(broker, &pending->request, pending->socket) : -EAGAIN;
	if (r == -EAGAIN && !expired) {
		/* What is ready and yet empty is looked at again by the clock, not at once. */
		pending->retry = ready;
		pending->events = ready ? 0 : POLLIN;
		return false;
	}
	if (r != VERDICT_LATER)
		broker_answer(broker, pending->id, r);
	return true;
}

/* Of other sockets, or of a program that cannot be looked into (init, to begin with), the kernel
 * may run it: receiving is harmless. */
static int serve_receive(struct broker *broker, const struct request *request)
{
	if (request->nr == SYS_recvmmsg && request->args[2] == 0)
		return VERDICT_CONTINUE;
	cleanup_client_fd int socket_fd = client_get_fd(broker, request, (int)request->args[0]);
	if (socket_fd < 0 || !datagrams_own(broker, socket_fd))
		return VERDICT_CONTINUE;
	int r = receive(broker, request, socket_fd);
	int flags = (int)request->args[request->nr == SYS_recvmsg ? 2 : 3];
	int mode = fcntl(socket_fd, F_GETFL);
	if (r != -EAGAIN || mode < 0 || (mode & O_NONBLOCK) || (flags & MSG_DONTWAIT))
		return r;
	struct pending *pending = sockets_park(broker, request);
	if (!pending)
		return -ENOBUFS;
	pending->resume = resume_receive;
	pending->events = POLLIN;
	pending->deadline_us = socket_deadline_us(socket_fd, SO_RCVTIMEO);
	pending->socket = steal_fd(&socket_fd);
	return VERDICT_LATER;
}

const struct broker_call broker_datagram_calls[] = {
	{SYS_socket, "socket", serve_socket},
	{SYS_sendto, "sendto", serve_sendto},
	{SYS_sendmsg, "sendmsg", serve_sendmsg},
	{SYS_sendmmsg, "sendmmsg", serve_sendmsg},
	{SYS_setsockopt, "setsockopt", serve_setsockopt},
	{SYS_recvfrom, "recvfrom", serve_receive},
	{SYS_recvmsg, "recvmsg", serve_receive},
	{SYS_recvmmsg, "recvmmsg", serve_receive},
	{SYS_getsockname, "getsockname", serve_name},
	{SYS_getpeername, "getpeername", serve_name},
};
const size_t broker_datagram_calls_count = ARRAY_SIZE(broker_datagram_calls);
