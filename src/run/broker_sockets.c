/* connect() and bind(): by address, and always made here, never by the kernel on the program's own
 * arguments, which could be swapped after the look.
 *
 * Theory of operation. The broker holds a copy of the program's descriptor (the same open file) and
 * a copy of the address, and makes the call itself.
 *
 * Network addresses: the box's own network namespace is the wall; the one thing to make sure of is
 * that the socket was made in it, and is not one that the caller handed in. The landlock tier has
 * no such namespace, and refuses, unless egress is there: see broker_network.c.
 *
 * Unix sockets by path: a read-only mount does not stop connect(), so a box may reach only sockets
 * that it made itself. Every bind() comes through here; the file it made is looked up through the
 * socket, not by its name, which another thread may have replaced by a link to a socket of the
 * host, and is pinned by an O_PATH descriptor: device and inode number then stand for this file
 * alone. connect() resolves the path once, compares, and connects through the pin.
 *
 * Waiting: a blocking connect() is made non-blocking for the instant of the call. What is then in
 * progress is parked, and the same call is made again when poll() or, for a full unix backlog, the
 * clock says so: to the kernel this is a program that calls connect() again, which is how it hands
 * out the final result and settles the socket's state. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sys.h"
#include "run/broker_internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/un.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* 5.14 */
#endif

int sockets_start(struct broker *broker, struct error *error)
{
	/* Half of the descriptors for pins, a quarter for ports; the rest for parked calls,
	 * watches and the moment. */
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_set_errno(error, errno, "broker", "descriptor limit");
	broker->sockets_max =
		limit.rlim_cur / 2 < BROKER_SOCKETS_MAX ? limit.rlim_cur / 2 : BROKER_SOCKETS_MAX;
	broker->ports_max =
		limit.rlim_cur / 4 < BROKER_PORTS_MAX ? limit.rlim_cur / 4 : BROKER_PORTS_MAX;
	broker->ports_sweep = BROKER_PORTS_SWEEP;
	return 0;
}

void socket_describe(const struct sockaddr_storage *storage, socklen_t address_bytes,
	char text[SOCKET_TEXT_BYTES])
{
	const struct sockaddr *address = (const struct sockaddr *)storage;
	size_t room_bytes = SOCKET_TEXT_BYTES;
	char host[INET6_ADDRSTRLEN];
	if (address_bytes < sizeof(sa_family_t)) {
		snprintf(text, room_bytes, "no address");
	} else if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, room_bytes, "%s:%u", host, ntohs(in->sin_port));
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, room_bytes, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else if (address->sa_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)address;
		int length = (int)address_bytes - (int)offsetof(struct sockaddr_un, sun_path);
		if (length > 0 && un->sun_path[0] == '\0')
			snprintf(text, room_bytes, "@%.*s", length - 1, un->sun_path + 1);
		else
			snprintf(text, room_bytes, "%.*s", length, un->sun_path);
	} else {
		snprintf(text, room_bytes, "address family %u", address->sa_family);
	}
}

/* Errors in the order in which the kernel would find them. */
int socket_call_begin(
	struct broker *broker, const struct request *request, struct socket_call *call)
{
	memset(call, 0, offsetof(struct socket_call, text));
	call->request = request;
	call->socket = client_get_fd(broker, request, (int)request->args[0]);
	if (call->socket < 0)
		return call->socket;
	socklen_t length = sizeof(call->domain);
	if (getsockopt(call->socket, SOL_SOCKET, SO_DOMAIN, &call->domain, &length) < 0)
		return -errno;
	int address_bytes = (int)request->args[2];
	if (address_bytes < 0 || (size_t)address_bytes > sizeof(call->address))
		return -EINVAL;
	int r = client_read(
		broker, request, request->args[1], &call->address, (size_t)address_bytes);
	if (r < 0)
		return r;
	call->address_bytes = (socklen_t)address_bytes;
	socket_describe(&call->address, call->address_bytes, call->text);
	/* Nothing may happen on behalf of a call that is no longer there. */
	return broker_valid(broker, request->id) ? 0 : -ESRCH;
}

int socket_call_refuse(struct broker *broker, const struct socket_call *call, const char *reason)
{
	broker_record(broker, call->request, "P3", call->text, EACCES, reason);
	return -EACCES;
}

/* Whether the socket was made in the box's own network namespace. */
static bool is_of_box_network(const struct broker *broker, int socket_fd)
{
	uint64_t cookie;
	socklen_t length = sizeof(cookie);
	return broker->own_network &&
	       getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 &&
	       cookie == broker->network_cookie;
}

sa_family_t socket_call_family(const struct socket_call *call)
{
	return call->address_bytes < sizeof(sa_family_t)
		       ? (sa_family_t)AF_UNSPEC
		       : ((const struct sockaddr *)&call->address)->sa_family;
}

/* --- Calls that may have to wait --- */

/* One non-blocking connect(); the socket's own mode is back afterwards. pin: the socket file to
 * connect to instead of the address. The program can flip the mode under our hands: the guard turns
 * a call that blocks after all into one that was interrupted, which reads as still in progress. */
int socket_connect_once(
	int socket_fd, const struct sockaddr_storage *address, socklen_t address_bytes, int pin)
{
	struct sockaddr_un by_pin = {.sun_family = AF_UNIX};
	if (pin >= 0) {
		snprintf(by_pin.sun_path, sizeof(by_pin.sun_path), "%d", pin);
		address = NULL;
		address_bytes = sizeof(by_pin);
	}
	const struct sockaddr *target =
		address ? (const struct sockaddr *)address : (const struct sockaddr *)&by_pin;
	int mode = fcntl(socket_fd, F_GETFL);
	if (mode < 0)
		return -errno;
	bool blocking = !(mode & O_NONBLOCK);
	broker_guard_begin();
	if (blocking)
		fcntl(socket_fd, F_SETFL, mode | O_NONBLOCK);
	int r = connect(socket_fd, target, address_bytes) < 0 ? -errno : 0;
	if (blocking)
		fcntl(socket_fd, F_SETFL, mode);
	broker_guard_end();
	if (r == -EINTR)
		r = pin >= 0 ? -EAGAIN : -EINPROGRESS;
	return r;
}

static bool must_wait(int result, bool by_pin)
{
	return by_pin ? result == -EAGAIN : result == -EINPROGRESS || result == -EALREADY;
}

struct pending *sockets_park(struct broker *broker, const struct request *request)
{
	if (broker->pending_count == BROKER_PENDING_MAX)
		return NULL;
	struct pending *pending = &broker->pending[broker->pending_count++];
	*pending =
		(struct pending){.id = request->id, .socket = -1, .pin = -1, .request = *request};
	return pending;
}

uint64_t socket_deadline_us(int socket_fd, int option)
{
	struct timeval limit = {0};
	socklen_t length = sizeof(limit);
	getsockopt(socket_fd, SOL_SOCKET, option, &limit, &length);
	uint64_t limit_us = (uint64_t)limit.tv_sec * 1000000 + (uint64_t)limit.tv_usec;
	return limit_us ? clock_now_us() + limit_us : 0;
}

static bool resume_connect(struct broker *broker, struct pending *pending, bool ready)
{
	int r = pending->retry ? -EAGAIN : -EINPROGRESS;
	if (ready || pending->retry)
		r = socket_connect_once(
			pending->socket, &pending->address, pending->address_bytes, pending->pin);
	bool expired = pending->deadline_us && clock_now_us() >= pending->deadline_us;
	if (must_wait(r, pending->retry) && !expired)
		return false;
	broker_answer(broker, pending->id, r);
	return true;
}

/* Takes the socket of call, and pin, when it parks them. */
static int connect_or_park(struct broker *broker, struct socket_call *call, int *pin)
{
	bool by_pin = *pin >= 0;
	int mode = fcntl(call->socket, F_GETFL);
	int r = socket_connect_once(call->socket, &call->address, call->address_bytes, *pin);
	if (mode < 0 || (mode & O_NONBLOCK) || !must_wait(r, by_pin))
		return r;
	struct pending *pending = sockets_park(broker, call->request);
	if (!pending)
		return -ENOBUFS;
	pending->resume = resume_connect;
	pending->deadline_us = socket_deadline_us(call->socket, SO_SNDTIMEO);
	pending->socket = steal_fd(&call->socket);
	pending->events = by_pin ? 0 : POLLOUT;
	pending->pin = steal_fd(pin);
	pending->retry = by_pin;
	pending->address = call->address;
	pending->address_bytes = call->address_bytes;
	return VERDICT_LATER;
}

int sockets_poll(struct broker *broker, struct pollfd *fds)
{
	int timeout_ms = broker->pending_count > 0 ? BROKER_SWEEP_MS : -1;
	for (size_t i = 0; i < broker->pending_count; i++) {
		const struct pending *pending = &broker->pending[i];
		fds[i] = (struct pollfd){
			.fd = pending->events ? pending->socket : -1, .events = pending->events};
		if ((pending->retry || pending->deadline_us) && timeout_ms > BROKER_RETRY_MS)
			timeout_ms = BROKER_RETRY_MS;
		if (pending->answered)
			timeout_ms = 0;
	}
	return timeout_ms;
}

void sockets_resume(struct broker *broker, const struct pollfd *fds)
{
	size_t kept = 0;
	for (size_t i = 0; i < broker->pending_count; i++) {
		struct pending *pending = &broker->pending[i];
		/* What has nobody left who waits for it is over as well. */
		if (!broker_valid(broker, pending->id) ||
			pending->resume(broker, pending, fds[i].revents != 0)) {
			client_close_fd(&pending->socket);
			close_fd(&pending->pin);
		} else {
			broker->pending[kept++] = *pending;
		}
	}
	broker->pending_count = kept;
}

/* --- Unix sockets by path --- */

static const struct bound_socket *find_bound(const struct broker *broker, const struct stat *st)
{
	for (size_t i = 0; i < broker->sockets_count; i++)
		if (broker->sockets[i].inode == st->st_ino &&
			broker->sockets[i].device == st->st_dev)
			return &broker->sockets[i];
	return NULL;
}

/* Makes room: the oldest whose file is gone, else the oldest. What is forgotten can no longer be
 * connected to. */
static void forget_one(struct broker *broker)
{
	size_t victim = 0;
	for (size_t i = 0; i < broker->sockets_count; i++) {
		struct stat st;
		if (fstat(broker->sockets[i].pin, &st) < 0 || st.st_nlink == 0) {
			victim = i;
			break;
		}
	}
	close_fd(&broker->sockets[victim].pin);
	broker->sockets_count--;
	memmove(&broker->sockets[victim], &broker->sockets[victim + 1],
		(broker->sockets_count - victim) * sizeof(broker->sockets[0]));
}

/* The file that socket_fd is bound to, by the kernel's word and not by its name. */
static int ask_for_bound_file(int socket_fd)
{
	int r = broker_raise(CAP_NET_ADMIN, true);
	if (r < 0)
		return r;
	int file = ioctl(socket_fd, SIOCUNIXFILE);
	r = file < 0 ? -errno : file;
	broker_raise(CAP_NET_ADMIN, false);
	return r;
}

/* What the socket diagnosis tells an ordinary user: the inode number that socket_fd is bound to,
 * of which it keeps 32 bits. */
static int diagnose_inode(int socket_fd, uint32_t *ret)
{
	struct stat st;
	cleanup_close int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0 || fstat(socket_fd, &st) < 0)
		return -errno;
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} message = {
		.header = {.nlmsg_len = sizeof(message),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = AF_UNIX,
			.udiag_states = ~0U,
			.udiag_ino = (uint32_t)st.st_ino,
			.udiag_show = UDIAG_SHOW_VFS,
			.udiag_cookie = {~0U, ~0U}},
	};
	union {
		struct nlmsghdr header;
		char bytes[1024];
	} reply;
	if (send(netlink, &message, sizeof(message), 0) < 0)
		return -errno;
	ssize_t n = recv(netlink, &reply, sizeof(reply), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(&reply.header, (size_t)n) || reply.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		reply.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
		return -EPROTO;
	size_t left = reply.header.nlmsg_len - NLMSG_LENGTH(sizeof(struct unix_diag_msg));
	struct rtattr *attribute =
		(struct rtattr *)((char *)NLMSG_DATA(&reply.header) + sizeof(struct unix_diag_msg));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		struct unix_diag_vfs vfs;
		if (attribute->rta_type != UNIX_DIAG_VFS || RTA_PAYLOAD(attribute) < sizeof(vfs))
			continue;
		memcpy(&vfs, RTA_DATA(attribute), sizeof(vfs));
		*ret = vfs.udiag_vfs_ino;
		return 0;
	}
	return -ENODATA;
}

/* Landlock tier: nobody gives a file for the socket, so the name is opened and compared. What is
 * in the same directory, and has the number that the socket itself keeps in use, is its file. */
static int find_bound_file(int socket_fd, int parent, const char *name)
{
	struct stat file_st, parent_st;
	uint32_t inode;
	int r = diagnose_inode(socket_fd, &inode);
	if (r < 0)
		return r;
	cleanup_close int file = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 || fstat(file, &file_st) < 0 || fstat(parent, &parent_st) < 0)
		return -errno;
	if (!S_ISSOCK(file_st.st_mode) || file_st.st_dev != parent_st.st_dev ||
		(uint32_t)file_st.st_ino != inode)
		return -ESTALE;
	return steal_fd(&file);
}

static void remember_bound(
	struct broker *broker, struct socket_call *call, int parent, const char *name)
{
	cleanup_close int pin = broker->landlock ? find_bound_file(call->socket, parent, name)
						 : ask_for_bound_file(call->socket);
	struct stat st;
	if (pin < 0 || fstat(pin, &st) < 0) {
		broker_record(broker, call->request, "P3", call->text, EACCES,
			"the socket's file could not be found, so nothing can connect to it");
		return;
	}
	if (broker->sockets_count == broker->sockets_max)
		forget_one(broker);
	broker->sockets[broker->sockets_count++] = (struct bound_socket){
		.device = st.st_dev, .inode = st.st_ino, .pin = steal_fd(&pin)};
}

/* The path of a unix address, NUL-terminated as the kernel would. */
static void copy_path(const struct socket_call *call, char path[UNIX_PATH_MAX + 1])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&call->address;
	size_t length = call->address_bytes - offsetof(struct sockaddr_un, sun_path);
	length = length < UNIX_PATH_MAX ? length : UNIX_PATH_MAX;
	memcpy(path, un->sun_path, length);
	path[length] = '\0';
}

/* --allow-unix. */
static bool is_allowed_by_name(const struct plan *plan, const struct stat *st)
{
	for (size_t i = 0; i < plan->unix_sockets_count; i++)
		if (plan->unix_sockets[i].device == st->st_dev &&
			plan->unix_sockets[i].inode == st->st_ino)
			return true;
	return false;
}

static int connect_to_path(struct broker *broker, struct socket_call *call)
{
	char path[UNIX_PATH_MAX + 1];
	copy_path(call, path);
	cleanup_close int file = client_open(broker, call->request, AT_FDCWD, path, 0);
	if (file < 0)
		return file;
	struct stat st;
	if (fstat(file, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ECONNREFUSED;
	if (!find_bound(broker, &st) && !is_allowed_by_name(broker->plan, &st))
		return socket_call_refuse(
			broker, call, "only unix sockets that were made in the box can be reached");
	return connect_or_park(broker, call, &file);
}

/* Whether the kernel would find parent by the directory part of path from here: the program's root
 * is the broker's, and no /proc/self is in it. The working directory is the program's. */
static bool means_the_same_here(const char *path, const char *name, int parent)
{
	char directory[UNIX_PATH_MAX + 1];
	struct stat theirs, ours;
	snprintf(directory, sizeof(directory), "%.*s", (int)(name - path), path);
	return fstat(parent, &theirs) == 0 && stat(*directory ? directory : ".", &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* Binds in the directory parent, under the program's own umask. getsockname() should tell what the
 * program wrote, so its own words are used where a swapped link could do no harm: where the walls
 * are mounts, and the name is protected nowhere, so that it does not matter which directory the
 * kernel finds. In the landlock tier the broker is not under the box's rules, and the address is
 * the bare name. */
static int bind_name(struct broker *broker, struct socket_call *call, const char *path,
	const char *name, int parent, mode_t mask)
{
	struct sockaddr_un bare = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	memcpy(bare.sun_path, name, length);
	const struct sockaddr *address = (const struct sockaddr *)&bare;
	socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);

	cleanup_close int here = client_open(broker, call->request, AT_FDCWD, ".", O_DIRECTORY);
	if (here < 0)
		return here;
	if (!broker->landlock && !names_protected_anywhere(broker, name) && fchdir(here) == 0 &&
		means_the_same_here(path, name, parent)) {
		address = (const struct sockaddr *)&call->address;
		address_bytes = call->address_bytes;
	} else if (fchdir(parent) < 0) {
		return -errno;
	}
	umask(mask);
	int r = bind(call->socket, address, address_bytes) < 0 ? -errno : 0;
	umask(0);
	return r;
}

/* The landlock tier has no mounts that would say no. */
static bool may_bind_in(const struct broker *broker, int parent)
{
	char path[PATH_MAX];
	return territory_of_fd(broker, parent, path) != TERRITORY_CLOSED;
}

static int refuse_place(struct broker *broker, const struct socket_call *call)
{
	broker_record(broker, call->request, "P1", call->text, EACCES,
		"a socket's file can be made only below a writable root");
	return -EACCES;
}

static int bind_to_path(struct broker *broker, struct socket_call *call)
{
	char path[UNIX_PATH_MAX + 1];
	const char *name;
	copy_path(call, path);
	cleanup_close int parent = -1;
	int r = client_open_parent(broker, call->request, AT_FDCWD, path, &parent, &name);
	if (r == -EEXIST)
		return -EADDRINUSE; /* "/": there already */
	if (r < 0)
		return r;
	if (names_watched(broker, parent, name)) {
		broker_record(broker, call->request, "P2", call->text, EACCES,
			"a protected name must not be made here");
		return -EACCES;
	}
	if (broker->landlock && !may_bind_in(broker, parent))
		return refuse_place(broker, call);
	long mask;
	r = client_status(broker, call->request, "Umask", 8, 0, &mask);
	if (r < 0)
		return r;
	if (!broker_valid(broker, call->request->id))
		return -ESRCH;
	r = bind_name(broker, call, path, name, parent, (mode_t)mask);
	if (fchdir(broker->self_fds) < 0)
		_exit(1); /* every later path would mean something else */
	if (r == 0)
		remember_bound(broker, call, parent, name);
	return r;
}

/* --- The calls --- */

enum unix_kind { UNIX_UNNAMED, UNIX_ABSTRACT, UNIX_PATH };

static enum unix_kind unix_kind_of(const struct socket_call *call)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&call->address;
	if (call->address_bytes <= offsetof(struct sockaddr_un, sun_path))
		return UNIX_UNNAMED;
	return un->sun_path[0] == '\0' ? UNIX_ABSTRACT : UNIX_PATH;
}

static int connect_unix(struct broker *broker, struct socket_call *call)
{
	int no_pin = -1;
	/* A path too long for the kernel, or another family: it says so, and reaches nothing. */
	if (socket_call_family(call) != AF_UNIX || call->address_bytes > sizeof(struct sockaddr_un))
		return socket_connect_once(call->socket, &call->address, call->address_bytes, -1);
	switch (unix_kind_of(call)) {
	case UNIX_PATH:
		return connect_to_path(broker, call);
	case UNIX_ABSTRACT:
		if (!is_of_box_network(broker, call->socket))
			return socket_call_refuse(
				broker, call, "abstract unix sockets of the host are out of reach");
		return connect_or_park(broker, call, &no_pin);
	default:
		return socket_connect_once(call->socket, &call->address, call->address_bytes, -1);
	}
}

static int bind_unix(struct broker *broker, struct socket_call *call)
{
	if (socket_call_family(call) == AF_UNIX &&
		call->address_bytes <= sizeof(struct sockaddr_un)) {
		if (unix_kind_of(call) == UNIX_PATH)
			return bind_to_path(broker, call);
		if (!is_of_box_network(broker, call->socket))
			return socket_call_refuse(
				broker, call, "abstract names are shared with the host");
	}
	return bind(call->socket, (const struct sockaddr *)&call->address, call->address_bytes) < 0
		       ? -errno
		       : 0;
}

static bool is_inet(int domain)
{
	return domain == AF_INET || domain == AF_INET6;
}

/* Where there is a way out, the log is to say whose connection it was. The port is given with the
 * first packet, and a program that was answered may be gone: so before the answer, unless the call
 * is parked, which can be answered at any moment. */
static int connect_and_note(struct broker *broker, struct socket_call *call)
{
	int no_pin = -1, noted = -1;
	char program[32] = "";
	if (broker->connects) {
		client_program(broker, call->request, program);
		noted = fcntl(call->socket, F_DUPFD_CLOEXEC, 3);
		connects_begin(broker->connects);
	}
	int r = connect_or_park(broker, call, &no_pin);
	if (noted >= 0)
		connects_note(broker->connects, call->request->tid, program, noted);
	if (broker->connects)
		connects_end(broker->connects);
	client_close_fd(&noted);
	return r;
}

/* Where there is no network the kernel says so itself: what is left is to tell of it. */
static int connect_or_refuse(struct broker *broker, struct socket_call *call)
{
	int r = connect_and_note(broker, call);
	if (r == -ENETUNREACH && !network_is_open(&broker->plan->network))
		broker_record(
			broker, call->request, "P3", call->text, ENETUNREACH, "the network is off");
	return r;
}

static int serve_connect(struct broker *broker, const struct request *request)
{
	struct socket_call call;
	int r = socket_call_begin(broker, request, &call);
	if (r < 0)
		;
	else if (call.domain == AF_UNIX && datagrams_own(broker, call.socket))
		r = datagrams_connect(broker, &call);
	else if (call.domain == AF_UNIX)
		r = connect_unix(broker, &call);
	else if (is_inet(call.domain) && broker->egress >= 0)
		r = network_connect(broker, &call);
	else if (is_inet(call.domain) && is_of_box_network(broker, call.socket))
		r = connect_or_refuse(broker, &call);
	else if (call.domain == AF_NETLINK)
		r = socket_connect_once(call.socket, &call.address, call.address_bytes, -1);
	else
		r = socket_call_refuse(broker, &call, "the box has no way to this network");
	client_close_fd(&call.socket);
	return r;
}

static int serve_bind(struct broker *broker, const struct request *request)
{
	struct socket_call call;
	int r = socket_call_begin(broker, request, &call);
	if (r < 0)
		;
	else if (call.domain == AF_UNIX && datagrams_own(broker, call.socket))
		r = datagrams_bind(broker, &call);
	else if (call.domain == AF_UNIX)
		r = bind_unix(broker, &call);
	else if (is_inet(call.domain) && broker->egress >= 0)
		r = network_bind(broker, &call);
	else if (call.domain == AF_NETLINK ||
		 (is_inet(call.domain) && is_of_box_network(broker, call.socket)))
		r = bind(call.socket, (const struct sockaddr *)&call.address, call.address_bytes) <
				    0
			    ? -errno
			    : 0;
	else
		r = socket_call_refuse(broker, &call, "the box has no way to this network");
	client_close_fd(&call.socket);
	return r;
}

const struct broker_call broker_socket_calls[] = {
	{SYS_connect, "connect", serve_connect},
	{SYS_bind, "bind", serve_bind},
};
const size_t broker_socket_calls_count = ARRAY_SIZE(broker_socket_calls);
