#include "egress/peek.h"

#include <errno.h>
#include <stdlib.h>

enum { READ_BYTES = 16 * 1024 };

struct peek {
	struct connection *connection;
	struct event *read, *timer;
	peek_look look;
	bool waiting; /* the timer is that of peek_wait() */
};

static void peek_release(void *handler)
{
	struct peek *peek = handler;
	if (peek->connection)
		connection_hold(peek->connection, 0);
	if (peek->read)
		event_free(peek->read);
	if (peek->timer)
		event_free(peek->timer);
	free(peek);
}

static void look(struct peek *peek)
{
	struct connection *connection = peek->connection;
	if (!peek->look(connection, peek))
		return;
	if (evbuffer_get_length(connection->pending) >= EGRESS_HEAD_BYTES && !peek->waiting)
		connection_refuse(connection, EPROTO, "the client's first message is too long");
}

static void on_read(evutil_socket_t fd, short events, void *context)
{
	struct peek *peek = context;
	struct connection *connection = peek->connection;
	(void)events;
	int r = evbuffer_read(connection->pending, fd, READ_BYTES);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0)
		connection_refuse(
			connection, ECONNABORTED, "the client ended before it said what it wants");
	else if (!connection_hold(connection, evbuffer_get_length(connection->pending)))
		connection_refuse(
			connection, ENOBUFS, "too much of unfinished requests is kept already");
	else
		look(peek);
}

static void on_timer(evutil_socket_t fd, short events, void *context)
{
	struct peek *peek = context;
	(void)fd;
	(void)events;
	if (!peek->waiting) {
		connection_refuse(peek->connection, ETIMEDOUT,
			"the client said nothing in time: if it waits for its server to speak "
			"first, the rule must end in /raw");
		return;
	}
	peek->waiting = false;
	look(peek);
}

static void arm(struct peek *peek, int after_ms)
{
	struct timeval interval = {
		.tv_sec = after_ms / 1000, .tv_usec = (suseconds_t)(after_ms % 1000) * 1000};
	event_add(peek->timer, &interval);
}

void peek_next(struct peek *peek, peek_look next)
{
	peek->look = next;
}

void peek_wait(struct peek *peek, int wait_ms)
{
	event_del(peek->read);
	peek->waiting = true;
	arm(peek, wait_ms);
}

/* What is not all there goes nowhere. */
static bool is_delivered(const void *handler)
{
	const struct peek *peek = handler;
	return !peek->waiting && peek->connection->egress->silence_will_do;
}

void peek_start(struct connection *connection, peek_look first)
{
	struct event_base *base = connection->egress->base;
	struct peek *peek = calloc(1, sizeof(*peek));
	if (!connection->pending)
		connection->pending = evbuffer_new();
	if (peek) {
		peek->read =
			event_new(base, connection->client, EV_READ | EV_PERSIST, on_read, peek);
		peek->timer = evtimer_new(base, on_timer, peek);
	}
	if (!peek || !peek->read || !peek->timer || !connection->pending) {
		if (peek)
			peek_release(peek);
		connection_refuse(connection, ENOMEM, "no memory");
		return;
	}
	peek->connection = connection;
	peek->look = first;
	connection_set_handler(connection, peek, peek_release);
	connection->delivered = is_delivered;
	event_add(peek->read, NULL);
	arm(peek, EGRESS_PEEK_MS);
	if (evbuffer_get_length(connection->pending) > 0)
		look(peek);
}
