/* Theory of operation. A published port is a listener on the host's loopback. For each connection
 * the helper (see publish_helper.c) makes a socket in the box's network namespace that connects to
 * the box's loopback, by IPv4 and, if nobody is there, by IPv6; then both are relayed like any
 * other connection. In the landlock tier the box's loopback is the host's, and no helper is needed.
 *
 * When no more connections are taken (their number, or descriptors, or memory), the ports pause for
 * a moment, and clients wait in the kernel's backlog. */
#include "egress/publish.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "egress/egress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum {
	BACKLOG = 128,
	BATCH = 32, /* connections accepted in one turn */
	JOIN_MS = 5000,
	PAUSE_MS = 100,
};

/* A port of the host. */
struct listener {
	struct publish *publish;
	struct network_forward forward;
	int fd;
	struct event *readable; /* NULL until the box is there */
};

/* A connection on its way into the box; its handler until it is there. */
struct join {
	STAILQ_ENTRY(join) link; /* while asked: in the order of the answers */
	struct publish *publish;
	struct connection *connection; /* NULL: it has ended meanwhile */
	uint16_t port;
	int family;
	bool asked;
	int fd; /* connecting; -1 */
	struct event *event;
};

struct publish {
	struct egress *egress;
	struct listener *listeners; /* two for each rule at most */
	size_t listeners_count;
	struct event *resume;
	bool paused;
	int socket; /* towards the helper; -1: there is none */
	struct event *answers;
	bool joined;
	STAILQ_HEAD(, join) asked;
};

/* ---- joining ---- */

static void join_free(struct join *join)
{
	if (join->event)
		event_free(join->event);
	close_fd(&join->fd);
	free(join);
}

/* The connection has ended, or goes on without. */
static void join_release(void *handler)
{
	struct join *join = handler;
	join->connection = NULL;
	if (!join->asked)
		join_free(join);
}

/* The connection was meant to be; nobody has refused it. */
static void join_fail(struct join *join, int errno_value, const char *reason)
{
	struct egress_record *record = &join->connection->record;
	record->errno_value = errno_value;
	snprintf(record->reason, sizeof(record->reason), "%s (port %d in the box)", reason,
		join->port);
	connection_reset(join->connection);
}

static void join_try(struct join *join);

static void join_refused(struct join *join, int errno_value)
{
	if (join->family == AF_INET) {
		join->family = AF_INET6;
		join_try(join);
		return;
	}
	join_fail(join, errno_value, "nothing listens");
}

static void join_done(struct join *join)
{
	struct connection *connection = join->connection;
	connection->server = steal_fd(&join->fd);
	connection->address =
		join->family == AF_INET6
			? in6addr_loopback
			: (struct in6_addr){{{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}};
	connection->record.address = connection->address;
	connection->record.ended = 1;
	connection_set_handler(connection, NULL, NULL); /* frees join */
	connection_relay(connection);
}

static void on_connected(evutil_socket_t fd, short what, void *context)
{
	struct join *join = context;
	int error = 0;
	socklen_t length = sizeof(error);
	if (what & EV_TIMEOUT)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error == 0) {
		join_done(join);
		return;
	}
	event_free(join->event);
	join->event = NULL;
	close_fd(&join->fd);
	join_refused(join, error);
}

/* A socket that connects, or -errno. */
static void join_wait(struct join *join, int fd)
{
	const struct timeval patience = {.tv_sec = JOIN_MS / 1000};
	if (fd < 0) {
		join_refused(join, -fd);
		return;
	}
	join->fd = fd;
	join->event = event_new(
		join->publish->egress->base, fd, EV_WRITE | EV_TIMEOUT, on_connected, join);
	if (!join->event || event_add(join->event, &patience) < 0)
		join_fail(join, ENOMEM, "no memory");
}

static void join_try(struct join *join)
{
	struct publish *publish = join->publish;
	if (publish->egress->landlock) {
		join_wait(join, publish_connect(join->family, join->port));
		return;
	}
	const struct publish_request request = {(uint32_t)join->family, join->port};
	ssize_t n = send(publish->socket, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n != sizeof(request)) {
		join_fail(join, n < 0 ? errno : EIO, "the box cannot be entered now");
		return;
	}
	join->asked = true;
	STAILQ_INSERT_TAIL(&publish->asked, join, link);
}

/* ---- the helper's answers ---- */

/* The helper is gone: nothing can be joined any more. */
static void lose_helper(struct publish *publish)
{
	event_del(publish->answers);
	close_fd(&publish->socket);
	struct join *join;
	while ((join = STAILQ_FIRST(&publish->asked))) {
		STAILQ_REMOVE_HEAD(&publish->asked, link);
		join->asked = false;
		if (join->connection)
			join_fail(join, EIO, "the helper in the box's network is gone");
		else
			join_free(join);
	}
}

/* False: there is no more for now. */
static bool take_answer(struct publish *publish)
{
	struct publish_answer answer;
	int fd = -1;
	size_t count = 1;
	ssize_t n = fd_receive(publish->socket, &answer, sizeof(answer), &fd, &count);
	if (n == -EAGAIN)
		return false;
	struct join *join = STAILQ_FIRST(&publish->asked);
	if (n != sizeof(answer) || !join || (answer.error == 0) != (count == 1)) {
		if (n > 0 && count == 1)
			close(fd);
		lose_helper(publish);
		return false;
	}
	STAILQ_REMOVE_HEAD(&publish->asked, link);
	join->asked = false;
	if (join->connection) {
		join_wait(join, answer.error ? answer.error : fd);
		return true;
	}
	join_free(join);
	if (count == 1)
		close(fd);
	return true;
}

static void on_answers(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	for (unsigned i = 0; i < BATCH && take_answer(context); i++)
		;
}

/* ---- accepting ---- */

static void start(const struct listener *listener, int client)
{
	struct publish *publish = listener->publish;
	struct connection *connection = connection_new(publish->egress, client, EGRESS_HOW_PUBLISH);
	if (!connection)
		return;
	connection_set_target(connection, NULL, NULL, listener->forward.box_port);
	connection->decision.verdict = NETWORK_ALLOW;
	connection->decision.protocol = NETWORK_RAW;
	connection->record.verdict = NETWORK_ALLOW;
	connection->record.protocol = NETWORK_RAW;
	snprintf(connection->record.rule, sizeof(connection->record.rule), "--publish %d:%d",
		listener->forward.host_port, listener->forward.box_port);
	struct join *join = calloc(1, sizeof(*join));
	if (!join) {
		connection_reset(connection);
		return;
	}
	*join = (struct join){.publish = publish,
		.connection = connection,
		.port = listener->forward.box_port,
		.family = AF_INET,
		.fd = -1};
	connection_set_handler(connection, join, join_release);
	join_try(join);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	struct publish *publish = context;
	(void)fd, (void)what;
	publish->paused = false;
	for (size_t i = 0; i < publish->listeners_count; i++)
		event_add(publish->listeners[i].readable, NULL);
}

static void pause_all(struct publish *publish)
{
	for (size_t i = 0; i < publish->listeners_count; i++)
		event_del(publish->listeners[i].readable);
	publish->paused = true;
	event_add(publish->resume, &(struct timeval){.tv_usec = PAUSE_MS * 1000});
}

static void on_listener(evutil_socket_t fd, short what, void *context)
{
	const struct listener *listener = context;
	struct publish *publish = listener->publish;
	const struct egress *egress = publish->egress;
	(void)what;
	for (unsigned i = 0; i < BATCH && !publish->paused; i++) {
		if (egress->connections_count >= egress->connections_max) {
			pause_all(publish);
			return;
		}
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0)
			start(listener, client);
		else if (errno == EAGAIN)
			return;
		else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
			pause_all(publish); /* EMFILE, ENFILE, ENOBUFS, ENOMEM, ... */
	}
}

static int start_listening(struct publish *publish, struct error *error)
{
	publish->resume = evtimer_new(publish->egress->base, on_resume, publish);
	if (!publish->resume)
		return error_set_errno(error, ENOMEM, "publish", "listening");
	for (size_t i = 0; i < publish->listeners_count; i++) {
		struct listener *listener = &publish->listeners[i];
		listener->readable = event_new(publish->egress->base, listener->fd,
			EV_READ | EV_PERSIST, on_listener, listener);
		if (!listener->readable || event_add(listener->readable, NULL) < 0)
			return error_set_errno(error, ENOMEM, "publish", "listening");
	}
	return 0;
}

/* ---- set-up ---- */

static int listen_on(struct publish *publish, const struct network_forward *forward, int family)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	const int one = 1;
	address.any.sa_family = (sa_family_t)family;
	address.v4.sin_port = htons(forward->host_port); /* the same place in both */
	if (family == AF_INET)
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address.v6.sin6_addr = in6addr_loopback;
	cleanup_close int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Connections of an earlier run that linger do not keep the port. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &address.any, family == AF_INET ? sizeof(address.v4) : sizeof(address.v6)) <
			0 ||
		listen(fd, BACKLOG) < 0)
		return -errno;
	publish->listeners[publish->listeners_count++] =
		(struct listener){.publish = publish, .forward = *forward, .fd = steal_fd(&fd)};
	return 0;
}

static int take_port(
	struct publish *publish, const struct network_forward *forward, struct error *error)
{
	/* There a server in the box has the host's port itself. */
	if (publish->egress->landlock && forward->host_port == forward->box_port)
		return 0;
	int r = listen_on(publish, forward, AF_INET);
	if (r < 0) {
		error_set_errno(error, -r, "publish", "127.0.0.1 port %d", forward->host_port);
		if (r == -EADDRINUSE)
			return error_hint(error,
				"another program has the port; name a free one: --publish PORT:%d",
				forward->box_port);
		if (r == -EACCES)
			return error_hint(error,
				"ports below 1024 are root's; name another: --publish PORT:%d",
				forward->box_port);
		return r;
	}
	listen_on(publish, forward, AF_INET6); /* if it is free, and if there is IPv6 */
	return 0;
}

static int fork_helper(struct publish *publish, struct error *error)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "publish", "a socket for the helper");
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (getppid() != parent || fd_close_all_but(&(int){ends[1]}, 1) < 0)
			_exit(1);
		forget_environment();
		publish_help(ends[1], publish->egress->uid, publish->egress->gid);
	}
	int fork_errno = errno;
	close(ends[1]);
	publish->socket = ends[0];
	if (pid < 0)
		return error_set_errno(error, fork_errno, "publish", "forking the helper");
	return 0;
}

int publish_prepare(struct egress *egress, struct error *error)
{
	const struct network_policy *policy = &egress->policy;
	if (policy->publish_count == 0)
		return 0;
	struct publish *publish = calloc(1, sizeof(*publish));
	if (!publish)
		return error_set_errno(error, ENOMEM, "publish", "setting it up");
	egress->publish = publish;
	publish->egress = egress;
	publish->socket = -1;
	STAILQ_INIT(&publish->asked);
	publish->listeners = calloc(policy->publish_count * 2, sizeof(*publish->listeners));
	int r = publish->listeners ? 0 : error_set_errno(error, ENOMEM, "publish", "setting it up");
	for (size_t i = 0; i < policy->publish_count && r == 0; i++)
		r = take_port(publish, &policy->publish[i], error);
	if (r == 0)
		r = egress->landlock ? start_listening(publish, error)
				     : fork_helper(publish, error);
	return r;
}

int publish_start(struct egress *egress, int box_user, int box_net, struct error *error)
{
	struct publish *publish = egress->publish;
	if (!publish || egress->landlock || publish->joined)
		return 0;
	/* The helper answers within some 100 us: that is worth waiting for, once. */
	struct publish_answer answer = {.error = -EPIPE};
	int r = fd_send(publish->socket, "n", 1, (int[]){box_net, box_user}, 2);
	if (r == 0) {
		ssize_t n = fd_receive(publish->socket, &answer, sizeof(answer), NULL, NULL);
		r = n == sizeof(answer) ? answer.error : n < 0 ? (int)n : -EPIPE;
	}
	if (r < 0)
		return error_set_errno(error, -r, "publish", "joining the box's network");
	fcntl(publish->socket, F_SETFL, O_NONBLOCK);
	publish->answers =
		event_new(egress->base, publish->socket, EV_READ | EV_PERSIST, on_answers, publish);
	if (!publish->answers || event_add(publish->answers, NULL) < 0)
		return error_set_errno(error, ENOMEM, "publish", "the helper");
	publish->joined = true;
	return start_listening(publish, error);
}

void publish_close(struct egress *egress)
{
	struct publish *publish = egress->publish;
	for (size_t i = 0; publish && i < publish->listeners_count; i++)
		if (publish->listeners[i].readable)
			event_del(publish->listeners[i].readable);
	if (publish && publish->resume)
		event_del(publish->resume);
}

void publish_stop(struct egress *egress)
{
	struct publish *publish = egress->publish;
	if (!publish)
		return;
	for (size_t i = 0; i < publish->listeners_count; i++) {
		if (publish->listeners[i].readable)
			event_free(publish->listeners[i].readable);
		close_fd(&publish->listeners[i].fd);
	}
	if (publish->resume)
		event_free(publish->resume);
	if (publish->answers) {
		lose_helper(publish);
		event_free(publish->answers);
	}
	/* It ends with the socket, and init reaps it: egress's filter knows no wait(). */
	close_fd(&publish->socket);
	free(publish->listeners);
	free(publish);
	egress->publish = NULL;
}
