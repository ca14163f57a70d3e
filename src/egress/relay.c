/* Theory of operation. A relay is two flows, one for each direction. A flow moves bytes from a
 * socket into a pipe and from there into the other socket, by splice(): pages change hands, and
 * nothing is copied. It reads only when its pipe is empty, so what a slow peer does not take stays
 * with the sender, whose window closes.
 *
 * Both sockets are watched edge-triggered, once for the life of the relay: a transfer costs no
 * epoll_ctl(). So each flow remembers whether its source may have something and its target may
 * take something, until a call says EAGAIN.
 *
 * Pipes are scarce (their pages are limited for each user, not for each process, and even empty
 * ones count), so a flow holds one only while bytes are in it, and spare ones are closed after a
 * second in which nobody needed them. A flow that gets none, or whose sockets cannot be spliced,
 * copies: it looks at what has come (MSG_PEEK), sends it, and then takes off what was sent, so
 * that again nothing is held here.
 *
 * The end of one direction is passed on, once all before it was, by shutdown(). A reset is passed
 * on as a reset, but not before what the resetting side had sent. */
#include "egress/egress.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	PIPE_BYTES = 1024 * 1024, /* the most that an ordinary user may ask for */
	PIPES_IDLE_MAX = 2,       /* kept open: most flows use one for microseconds */
	PIPES_IDLE_S = 1,
	PIPES_MAX = 16,           /* in all: one user's 64 MiB are for several boxes */
	TURN_BYTES = 1024 * 1024, /* a flow moves so much, then others have their turn */
	COPY_BYTES = 64 * 1024,
};

struct pipe_ends {
	int read, write;
};

struct pipes {
	struct pipe_ends idle[PIPES_IDLE_MAX];
	size_t idle_count;
	size_t count; /* idle ones and those in use */
	struct event *timer;
	bool used; /* since the timer was started */
	char copy[COPY_BYTES];
};

enum { TO_SERVER, TO_CLIENT };

struct flow {
	struct pipe_ends pipe; /* -1 while held_bytes is 0 */
	size_t held_bytes;     /* in the pipe */
	bool copies;           /* splice() was refused */
	bool source_ended;     /* its last byte was read */
	bool done;             /* and passed on; or the target takes no more */
	struct event *timer;   /* while the rate limit holds it back */
};

struct relay {
	struct connection *connection;
	struct event *events[2]; /* of the sources: client, server */
	struct flow flows[2];    /* flows[i] goes from socket i to socket 1 - i */
	bool readable[2], writable[2];
	bool looks; /* the client's first bytes are looked at before they go on */
	bool reset; /* one side is gone for good: in the end the other is told so */
};

/* ---- pipes ---- */

static void pipes_close(struct pipes *pipes, struct pipe_ends *pipe)
{
	close_fd(&pipe->read);
	close_fd(&pipe->write);
	pipes->count--;
}

static void pipes_close_idle(struct pipes *pipes)
{
	while (pipes->idle_count > 0)
		pipes_close(pipes, &pipes->idle[--pipes->idle_count]);
}

static void on_idle(evutil_socket_t fd, short what, void *context)
{
	struct pipes *pipes = context;
	(void)fd, (void)what;
	if (pipes->used)
		event_add(pipes->timer, &(const struct timeval){.tv_sec = PIPES_IDLE_S});
	else
		pipes_close_idle(pipes);
	pipes->used = false;
}

static struct pipes *pipes_new(struct event_base *base)
{
	struct pipes *pipes = calloc(1, sizeof(*pipes));
	if (!pipes)
		return NULL;
	pipes->timer = evtimer_new(base, on_idle, pipes);
	if (!pipes->timer) {
		free(pipes);
		return NULL;
	}
	return pipes;
}

void pipes_free(struct pipes *pipes)
{
	if (!pipes)
		return;
	pipes_close_idle(pipes);
	event_free(pipes->timer);
	free(pipes);
}

/* As large as the user's share allows. Once that is used up new pipes hold two pages, and copying
 * is faster. */
static bool pipe_is_large(int fd)
{
	return fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES) >= 0 ||
	       fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES / 4) >= 0 ||
	       fcntl(fd, F_GETPIPE_SZ) >= COPY_BYTES;
}

static bool pipes_take(struct pipes *pipes, struct pipe_ends *ret)
{
	pipes->used = true;
	if (pipes->idle_count > 0) {
		*ret = pipes->idle[--pipes->idle_count];
		return true;
	}
	int ends[2];
	if (pipes->count == PIPES_MAX || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	*ret = (struct pipe_ends){.read = ends[0], .write = ends[1]};
	pipes->count++;
	if (pipe_is_large(ends[1]))
		return true;
	pipes_close(pipes, ret);
	return false;
}

/* Gives a pipe back. One with bytes left in it is of no use to anyone else. */
static void pipes_give(struct pipes *pipes, struct flow *flow)
{
	if (flow->pipe.read < 0)
		return;
	if (flow->held_bytes == 0 && pipes->idle_count < PIPES_IDLE_MAX) {
		pipes->idle[pipes->idle_count++] = flow->pipe;
		if (!evtimer_pending(pipes->timer, NULL))
			event_add(pipes->timer, &(const struct timeval){.tv_sec = PIPES_IDLE_S});
	} else {
		pipes_close(pipes, &flow->pipe);
	}
	flow->pipe = (struct pipe_ends){-1, -1};
	flow->held_bytes = 0;
}

/* ---- one flow ---- */

enum step {
	STEP_MOVED, /* go on */
	STEP_WAIT,  /* an event or a timer will come */
	STEP_SOURCE_RESET,
	STEP_OVER,    /* the total is used up */
	STEP_REFUSED, /* by what was seen; the reason is in the record */
};

static int socket_of(const struct relay *relay, int side)
{
	return side == 0 ? relay->connection->client : relay->connection->server;
}

static void count(struct relay *relay, int direction, size_t bytes)
{
	struct egress_record *record = &relay->connection->record;
	if (direction == TO_SERVER)
		record->bytes_out += bytes;
	else
		record->bytes_in += bytes;
	rate_used(relay->connection->egress->rate, direction == TO_SERVER, bytes);
}

/* The target takes no more: what is on its way is lost, as it is when a program dies. What the
 * other side still sends is passed on until its end. */
static enum step target_failed(struct relay *relay, int direction)
{
	struct flow *flow = &relay->flows[direction];
	if (errno == EINTR)
		return STEP_MOVED;
	if (errno == EAGAIN) {
		relay->writable[1 - direction] = false;
		return STEP_WAIT;
	}
	pipes_give(relay->connection->egress->pipes, flow);
	relay->reset = true;
	flow->done = true;
	return STEP_WAIT;
}

static enum step source_failed(struct relay *relay, int direction, ssize_t result)
{
	if (result == 0) {
		relay->flows[direction].source_ended = true;
		return STEP_MOVED;
	}
	if (errno == EINTR)
		return STEP_MOVED;
	if (errno != EAGAIN)
		return STEP_SOURCE_RESET;
	relay->readable[direction] = false;
	return STEP_WAIT;
}

static enum step hold_back(struct flow *flow, int wait_ms)
{
	const struct timeval interval = {
		.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	return event_add(flow->timer, &interval) < 0 ? STEP_OVER : STEP_WAIT;
}

/* What was read from the client before the relay began. */
static enum step send_pending(struct relay *relay)
{
	struct connection *connection = relay->connection;
	struct flow *flow = &relay->flows[TO_SERVER];
	size_t length = evbuffer_get_length(connection->pending);
	if (length > 0) {
		int wait_ms = 0;
		if (evtimer_pending(flow->timer, NULL))
			return STEP_WAIT;
		ssize_t want = rate_bytes(connection->egress->rate, TO_SERVER, length, &wait_ms);
		if (want < 0)
			return STEP_OVER;
		if (want == 0)
			return hold_back(flow, wait_ms);
		int n = evbuffer_write_atmost(connection->pending, connection->server, want);
		if (n < 0)
			return target_failed(relay, TO_SERVER);
		count(relay, TO_SERVER, (size_t)n);
		return STEP_MOVED;
	}
	evbuffer_free(connection->pending);
	connection->pending = NULL;
	return STEP_MOVED;
}

static enum step empty_pipe(struct relay *relay, int direction)
{
	struct flow *flow = &relay->flows[direction];
	ssize_t n = splice(flow->pipe.read, NULL, socket_of(relay, 1 - direction), NULL,
		flow->held_bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n <= 0)
		return target_failed(relay, direction);
	flow->held_bytes -= (size_t)n;
	count(relay, direction, (size_t)n);
	return STEP_MOVED;
}

static enum step fill_pipe(struct relay *relay, int direction, size_t want)
{
	struct flow *flow = &relay->flows[direction];
	ssize_t n = splice(socket_of(relay, direction), NULL, flow->pipe.write, NULL, want,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0 && errno == EINVAL) {
		flow->copies = true;
		return STEP_MOVED;
	}
	if (n <= 0)
		return source_failed(relay, direction, n);
	flow->held_bytes = (size_t)n;
	return STEP_MOVED;
}

static enum step copy_some(struct relay *relay, int direction, size_t want)
{
	char *copy = relay->connection->egress->pipes->copy;
	int source = socket_of(relay, direction);
	if (want > COPY_BYTES)
		want = COPY_BYTES;
	ssize_t n = recv(source, copy, want, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return source_failed(relay, direction, n);
	n = send(socket_of(relay, 1 - direction), copy, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return target_failed(relay, direction);
	/* These bytes are there: they have just been seen. */
	if (recv(source, copy, (size_t)n, MSG_DONTWAIT) != n)
		return STEP_SOURCE_RESET;
	count(relay, direction, (size_t)n);
	return STEP_MOVED;
}

static enum step read_some(struct relay *relay, int direction)
{
	struct flow *flow = &relay->flows[direction];
	struct egress *egress = relay->connection->egress;
	int wait_ms = 0;
	ssize_t want = rate_bytes(egress->rate, direction == TO_SERVER, PIPE_BYTES, &wait_ms);
	if (want < 0)
		return STEP_OVER;
	if (want == 0)
		return hold_back(flow, wait_ms);
	if (!flow->copies && (flow->pipe.read >= 0 || pipes_take(egress->pipes, &flow->pipe)))
		return fill_pipe(relay, direction, (size_t)want);
	return copy_some(relay, direction, (size_t)want);
}

static bool keep(struct connection *connection, const char *data, size_t length)
{
	if (evbuffer_add(connection->pending, data, length) == 0 &&
		connection_hold(connection, evbuffer_get_length(connection->pending)))
		return true;
	snprintf(connection->record.reason, sizeof(connection->record.reason),
		"too much of unfinished requests is kept already");
	return false;
}

/* Reads what is looked at; what came before the relay is looked at first. */
static enum step look_first(struct relay *relay)
{
	struct connection *connection = relay->connection;
	struct egress_record *record = &connection->record;
	char *copy = connection->egress->pipes->copy;
	if (!connection->pending && !(connection->pending = evbuffer_new()))
		return STEP_SOURCE_RESET;
	int r = unseen_look(connection, record->reason);
	if (r == -EACCES)
		return STEP_REFUSED;
	if (r == -ENOMEM)
		return STEP_SOURCE_RESET;
	relay->looks = r == -EAGAIN;
	if (!relay->looks) {
		connection_hold(connection, 0);
		return STEP_MOVED;
	}
	if (!relay->readable[TO_SERVER])
		return STEP_WAIT;
	ssize_t n = recv(connection->client, copy, COPY_BYTES, MSG_DONTWAIT);
	if (n > 0)
		return keep(connection, copy, (size_t)n) ? STEP_MOVED : STEP_REFUSED;
	/* An unfinished hello that has ended is nobody's handshake. */
	relay->looks = n < 0;
	return source_failed(relay, TO_SERVER, n);
}

static enum step flow_step(struct relay *relay, int direction)
{
	struct flow *flow = &relay->flows[direction];
	if (direction == TO_SERVER && relay->looks)
		return look_first(relay);
	if (!relay->writable[1 - direction])
		return STEP_WAIT;
	if (direction == TO_SERVER && relay->connection->pending)
		return send_pending(relay);
	if (flow->held_bytes > 0)
		return empty_pipe(relay, direction);
	if (flow->source_ended) {
		shutdown(socket_of(relay, 1 - direction), SHUT_WR);
		flow->done = true;
		return STEP_WAIT;
	}
	if (!relay->readable[direction] || evtimer_pending(flow->timer, NULL))
		return STEP_WAIT;
	return read_some(relay, direction);
}

/* Moves what can be moved, a turn's worth at most. */
static enum step flow_turn(struct relay *relay, int direction)
{
	const struct egress_record *record = &relay->connection->record;
	const uint64_t *moved = direction == TO_SERVER ? &record->bytes_out : &record->bytes_in;
	struct flow *flow = &relay->flows[direction];
	uint64_t end = *moved + TURN_BYTES;
	enum step step = STEP_MOVED;
	while (step == STEP_MOVED && !flow->done && *moved < end)
		step = flow_step(relay, direction);
	if (flow->held_bytes == 0)
		pipes_give(relay->connection->egress->pipes, flow);
	return flow->done ? STEP_WAIT : step;
}

/* ---- both ---- */

static void relay_turn(struct relay *relay)
{
	struct connection *connection = relay->connection;
	for (int direction = 0; direction < 2; direction++) {
		switch (flow_turn(relay, direction)) {
		case STEP_WAIT:
			break;
		case STEP_MOVED: /* there may be more: behind what else is waiting by now */
			event_active(relay->events[direction], 0, 0);
			break;
		case STEP_SOURCE_RESET:
			connection_reset(connection);
			return;
		case STEP_OVER:
			connection_refuse(connection, EDQUOT,
				"the limit on bytes in all is reached (net-limit total)");
			return;
		case STEP_REFUSED:
			connection->record.verdict = NETWORK_DENY;
			connection->record.errno_value = EACCES;
			connection_reset(connection);
			return;
		}
	}
	if (!relay->flows[TO_SERVER].done || !relay->flows[TO_CLIENT].done)
		return;
	if (relay->reset)
		connection_reset(connection);
	else
		connection_end(connection);
}

static void on_socket(evutil_socket_t fd, short what, void *context)
{
	struct relay *relay = context;
	int side = fd == relay->connection->client ? 0 : 1;
	if (what & EV_READ)
		relay->readable[side] = true;
	if (what & EV_WRITE)
		relay->writable[side] = true;
	relay_turn(relay);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	relay_turn(context);
}

static void relay_release(void *handler)
{
	struct relay *relay = handler;
	connection_hold(relay->connection, 0);
	for (int i = 0; i < 2; i++) {
		if (relay->connection->egress->pipes)
			pipes_give(relay->connection->egress->pipes, &relay->flows[i]);
		if (relay->flows[i].timer)
			event_free(relay->flows[i].timer);
		if (relay->events[i])
			event_free(relay->events[i]);
	}
	free(relay);
}

static int watch(struct relay *relay, int side)
{
	struct event_base *base = relay->connection->egress->base;
	relay->events[side] = event_new(base, socket_of(relay, side),
		EV_READ | EV_WRITE | EV_ET | EV_PERSIST, on_socket, relay);
	relay->flows[side].timer = evtimer_new(base, on_timer, relay);
	if (!relay->events[side] || !relay->flows[side].timer)
		return -ENOMEM;
	event_priority_set(relay->events[side], EGRESS_PRIORITY_BULK);
	event_priority_set(relay->flows[side].timer, EGRESS_PRIORITY_BULK);
	return event_add(relay->events[side], NULL) < 0 ? -ENOMEM : 0;
}

static bool is_delivered(const void *handler)
{
	const struct relay *relay = handler;
	const struct connection *connection = relay->connection;
	int direction = connection->how == EGRESS_HOW_PUBLISH ? TO_CLIENT : TO_SERVER;
	const struct flow *flow = &relay->flows[direction];
	bool silent = flow->held_bytes == 0 && !relay->readable[direction] && !connection->pending;
	return flow->done || (silent && connection->egress->silence_will_do);
}

void relay_start(struct connection *connection)
{
	struct egress *egress = connection->egress;
	connection_set_handler(connection, NULL, NULL);
	if (!egress->pipes)
		egress->pipes = pipes_new(egress->base);
	struct relay *relay = egress->pipes ? calloc(1, sizeof(*relay)) : NULL;
	if (!relay) {
		connection_refuse(connection, ENOMEM, "no memory for a relay");
		return;
	}
	relay->connection = connection;
	relay->looks = unseen_wanted(connection);
	for (int i = 0; i < 2; i++)
		relay->flows[i].pipe = (struct pipe_ends){-1, -1};
	connection_set_handler(connection, relay, relay_release);
	connection->delivered = is_delivered;
	if (watch(relay, 0) < 0 || watch(relay, 1) < 0) {
		connection_refuse(connection, ENOMEM, "no memory for a relay");
		return;
	}
	/* Mostly the client has spoken already: what it said goes on without a round of the loop.
	 */
	for (int i = 0; i < 2; i++)
		relay->readable[i] = relay->writable[i] = true;
	relay_turn(relay);
}
