/* Theory of operation. A listener accepts a bounded batch in a turn, so that a box which connects
 * in a loop does not keep everything else waiting. When no more connections are taken (their
 * number, or descriptors, or memory) all listeners pause, and clients wait in the kernel's backlog,
 * until a connection has ended; a timer looks again too, since what was short may not have been
 * ours. */
#include "egress/egress.h"

#include "base/cleanup.h"

#include <linux/netfilter_ipv4.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* linux/netfilter_ipv6/ip6_tables.h has it among much that is not for programs. */
#ifndef IP6T_SO_ORIGINAL_DST
#define IP6T_SO_ORIGINAL_DST 80
#endif

enum {
	LISTENERS_MAX = 8,
	BATCH = 64,
	PAUSE_MS = 100,
};

struct listener {
	struct egress *egress;
	enum egress_socket kind;
	int fd;
	struct event *event;
};

struct listeners {
	struct egress *egress;
	struct listener items[LISTENERS_MAX];
	size_t count;
	bool paused;
	struct event *timer;
};

static void pause_all(struct listeners *listeners)
{
	const struct timeval interval = {.tv_usec = PAUSE_MS * 1000};
	for (size_t i = 0; i < listeners->count; i++)
		event_del(listeners->items[i].event);
	listeners->paused = true;
	event_add(listeners->timer, &interval);
}

void listeners_resume(struct egress *egress)
{
	struct listeners *listeners = egress->listeners;
	if (!listeners || !listeners->paused)
		return;
	listeners->paused = false;
	event_del(listeners->timer);
	for (size_t i = 0; i < listeners->count; i++)
		event_add(listeners->items[i].event, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	listeners_resume(context);
}

/* Where a redirected client was going, before the box's kernel sent it here. */
static int original_destination(
	enum egress_socket kind, int client, struct in6_addr *ret, uint16_t *ret_port)
{
	if (kind == EGRESS_SOCKET_REDIRECT_V6) {
		struct sockaddr_in6 v6;
		socklen_t length = sizeof(v6);
		if (getsockopt(client, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, &v6, &length) < 0)
			return -errno;
		*ret = v6.sin6_addr;
		*ret_port = ntohs(v6.sin6_port);
		return 0;
	}
	struct sockaddr_in v4;
	socklen_t length = sizeof(v4);
	if (getsockopt(client, IPPROTO_IP, SO_ORIGINAL_DST, &v4, &length) < 0)
		return -errno;
	*ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	memcpy(&ret->s6_addr[12], &v4.sin_addr, 4);
	*ret_port = ntohs(v4.sin_port);
	return 0;
}

static void start(const struct listener *listener, int client)
{
	struct egress *egress = listener->egress;
	bool proxy = listener->kind == EGRESS_SOCKET_PROXY;
	struct connection *connection = connection_new(
		egress, client, proxy ? EGRESS_HOW_PROXY_CONNECT : EGRESS_HOW_REDIRECT);
	if (!connection)
		return;
	if (proxy) {
		proxy_start(connection);
		return;
	}
	struct in6_addr address;
	uint16_t port = 0;
	int r = original_destination(listener->kind, client, &address, &port);
	if (r < 0)
		connection_refuse(
			connection, ECONNREFUSED, "it was connected to coffer's own port");
	else if (connection_set_address(connection, &address, port))
		connection_decide(connection, connection_go, NULL);
}

static void on_listener(evutil_socket_t fd, short what, void *context)
{
	const struct listener *listener = context;
	struct egress *egress = listener->egress;
	(void)what;
	for (int i = 0; i < BATCH && !egress->listeners->paused; i++) {
		if (egress->connections_count >= egress->connections_max) {
			pause_all(egress->listeners);
			return;
		}
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0)
			start(listener, client);
		else if (errno == EAGAIN)
			return;
		else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
			pause_all(egress->listeners); /* EMFILE, ENFILE, ENOBUFS, ENOMEM, ... */
	}
}

static struct listeners *listeners_get(struct egress *egress)
{
	if (egress->listeners)
		return egress->listeners;
	struct listeners *listeners = calloc(1, sizeof(*listeners));
	if (!listeners)
		return NULL;
	listeners->egress = egress;
	listeners->timer = evtimer_new(egress->base, on_timer, egress);
	if (!listeners->timer) {
		free(listeners);
		return NULL;
	}
	egress->listeners = listeners;
	return listeners;
}

int listeners_add(struct egress *egress, enum egress_socket kind, int fd)
{
	struct listeners *listeners = listeners_get(egress);
	struct event *event = NULL;
	if (listeners && listeners->count < LISTENERS_MAX) {
		struct listener *listener = &listeners->items[listeners->count];
		*listener = (struct listener){.egress = egress, .kind = kind, .fd = fd};
		event = event_new(egress->base, fd, EV_READ | EV_PERSIST, on_listener, listener);
		listener->event = event;
	}
	if (!event || event_add(event, NULL) < 0) {
		if (event)
			event_free(event);
		close(fd);
		return -ENOMEM;
	}
	listeners->count++;
	return 0;
}

bool listeners_are_knocked_at(const struct listeners *listeners)
{
	struct pollfd fds[LISTENERS_MAX];
	size_t count = listeners ? listeners->count : 0;
	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){.fd = listeners->items[i].fd, .events = POLLIN};
	return count > 0 && poll(fds, count, 0) > 0;
}

void listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return;
	for (size_t i = 0; i < listeners->count; i++) {
		event_free(listeners->items[i].event);
		close_fd(&listeners->items[i].fd);
	}
	event_free(listeners->timer);
	free(listeners);
}
