/* The sockets of the DNS server. Each is bound to one address, so that its answers come from there
 * though every address is local; whoever asked another address is answered by the packet filter
 * in its name. The box pays for what it keeps open: clients are few, and none stays for long. */
#include "egress/resolver.h"

#include "base/cleanup.h"

#include <string.h>

enum {
	UDP_SERVERS_MAX = 384, /* the landlock tier has one for each program's socket */
	UDP_BATCH = 32,        /* datagrams read at one time, before others have their turn */
	TCP_LISTENERS_MAX = 4,
	TCP_CLIENTS_MAX = 64,
	TCP_QUESTIONS_MAX = 16, /* of one client, unanswered at one time */
	TCP_IDLE_S = 10,
	TCP_LIFE_S = 120,
	TCP_OUTPUT_BYTES = 64 * 1024, /* answers that a client does not read */
	LENGTH_BYTES = 2,
	PAUSE_MS = 100, /* after no descriptor could be had */
};

struct udp_server {
	TAILQ_ENTRY(udp_server) link;
	struct serve *serve;
	int fd;
	struct event *event;
};

struct tcp_client {
	TAILQ_ENTRY(tcp_client) link;
	struct serve *serve;
	struct bufferevent *stream;
	struct event *life;
	unsigned questions_count;
	bool finished; /* it has closed its side, and waits for what it asked */
	bool reading;  /* its questions are being read: it may not be freed */
	bool broken;
};

struct tcp_listener {
	int fd;
	struct event *event;
};

struct serve {
	struct resolver *resolver;
	TAILQ_HEAD(, udp_server) udp; /* the least recently used first */
	size_t udp_count;
	struct tcp_listener listeners[TCP_LISTENERS_MAX];
	size_t listeners_count;
	struct event *resume;
	TAILQ_HEAD(, tcp_client) clients;
	size_t clients_count;
};

/* --- UDP ------------------------------------------------------------------------------------ */

static void udp_free(struct udp_server *udp)
{
	resolver_drop(udp->serve->resolver, udp, NULL);
	TAILQ_REMOVE(&udp->serve->udp, udp, link);
	udp->serve->udp_count--;
	if (udp->event)
		event_free(udp->event);
	close_fd(&udp->fd);
	free(udp);
}

static void on_datagrams(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	struct udp_server *udp = context;
	struct serve *serve = udp->serve;
	TAILQ_REMOVE(&serve->udp, udp, link);
	TAILQ_INSERT_TAIL(&serve->udp, udp, link);
	for (int i = 0; i < UDP_BATCH; i++) {
		uint8_t data[DNS_QUERY_BYTES];
		struct reply_to to = {.udp = udp, .peer_bytes = sizeof(to.peer)};
		ssize_t count = recvfrom(fd, data, sizeof(data), MSG_TRUNC | MSG_DONTWAIT,
			(struct sockaddr *)&to.peer, &to.peer_bytes);
		/* An answer that could not be delivered is told by the next call. */
		if (count < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) {
			udp_free(udp);
			return;
		}
		if (count < 0)
			return;
		/* Landlock tier: the program's end of the pair is closed. */
		if (count == 0 && to.peer_bytes == 0) {
			udp_free(udp);
			return;
		}
		if ((size_t)count <= sizeof(data))
			resolver_take(serve->resolver, data, (size_t)count, &to);
	}
}

int resolver_add_udp(struct resolver *resolver, int fd)
{
	struct serve *serve = resolver->serve;
	cleanup_close int owned = fd;
	struct udp_server *udp = calloc(1, sizeof(*udp));
	if (!udp)
		return -ENOMEM;
	if (serve->udp_count >= UDP_SERVERS_MAX)
		udp_free(TAILQ_FIRST(&serve->udp));
	*udp = (struct udp_server){.serve = serve, .fd = steal_fd(&owned)};
	TAILQ_INSERT_TAIL(&serve->udp, udp, link);
	serve->udp_count++;
	udp->event = event_new(resolver->egress->base, fd, EV_READ | EV_PERSIST, on_datagrams, udp);
	if (!udp->event || event_add(udp->event, NULL) < 0) {
		udp_free(udp);
		return -ENOMEM;
	}
	return 0;
}

static void reply_udp(
	const struct reply_to *to, const struct dns_query *query, const struct dns_answer *answer)
{
	uint8_t data[DNS_EDNS_UDP_BYTES];
	size_t length = dns_format_answer(query, answer, data, query->payload_bytes);
	bool is_connected = to->peer_bytes == 0;
	/* One that does not get through is lost, as datagrams are: the client asks again. */
	sendto(to->udp->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL,
		is_connected ? NULL : (const struct sockaddr *)&to->peer, to->peer_bytes);
}

/* --- TCP ------------------------------------------------------------------------------------ */

static void listen_again(struct serve *serve)
{
	for (size_t i = 0; i < serve->listeners_count; i++)
		event_add(serve->listeners[i].event, NULL);
}

static void listen_no_more(struct serve *serve)
{
	for (size_t i = 0; i < serve->listeners_count; i++)
		event_del(serve->listeners[i].event);
}

static void client_free(struct tcp_client *client)
{
	struct serve *serve = client->serve;
	resolver_drop(serve->resolver, NULL, client);
	TAILQ_REMOVE(&serve->clients, client, link);
	serve->clients_count--;
	if (client->life)
		event_free(client->life);
	bufferevent_free(client->stream);
	free(client);
	listen_again(serve);
}

/* Frees it if there is a reason to, and nothing on the way that it still waits for. */
static void client_settle(struct tcp_client *client)
{
	bool is_done = client->finished && client->questions_count == 0 &&
		       evbuffer_get_length(bufferevent_get_output(client->stream)) == 0;
	if (!client->reading && (client->broken || is_done))
		client_free(client);
}

/* The next whole message; its length, 0 while it is not complete, or -EBADMSG. */
static ssize_t next_message(struct evbuffer *input, uint8_t data[DNS_QUERY_BYTES])
{
	uint8_t prefix[LENGTH_BYTES];
	if (evbuffer_copyout(input, prefix, LENGTH_BYTES) < LENGTH_BYTES)
		return 0;
	size_t length = (size_t)prefix[0] << 8 | prefix[1];
	if (length < DNS_HEADER_BYTES || length > DNS_QUERY_BYTES)
		return -EBADMSG;
	if (evbuffer_get_length(input) < LENGTH_BYTES + length)
		return 0;
	evbuffer_drain(input, LENGTH_BYTES);
	return evbuffer_remove(input, data, length);
}

/* Reads no more while a question waits that may not be asked yet. Not by a read watermark: at that,
 * libevent 2.1.12 calls the reader again and again. */
static void client_hold_back(struct tcp_client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->stream);
	bool full = evbuffer_get_length(input) >= LENGTH_BYTES + DNS_QUERY_BYTES;
	bool reads = bufferevent_get_enabled(client->stream) & EV_READ;
	if (full && reads)
		bufferevent_disable(client->stream, EV_READ);
	else if (!full && !reads && !client->finished)
		bufferevent_enable(client->stream, EV_READ);
}

static void on_stream(struct bufferevent *stream, void *context)
{
	struct tcp_client *client = context;
	struct evbuffer *input = bufferevent_get_input(stream);
	client->reading = true;
	while (!client->broken && client->questions_count < TCP_QUESTIONS_MAX) {
		uint8_t data[DNS_QUERY_BYTES];
		ssize_t length = next_message(input, data);
		if (length == 0)
			break;
		const struct reply_to to = {.tcp = client};
		client->questions_count++;
		if (length < 0 ||
			!resolver_take(client->serve->resolver, data, (size_t)length, &to))
			client->broken = true;
	}
	client->reading = false;
	client_hold_back(client);
	client_settle(client);
}

static void on_written(struct bufferevent *stream, void *context)
{
	(void)stream;
	client_settle(context);
}

static void on_stream_event(struct bufferevent *stream, short what, void *context)
{
	struct tcp_client *client = context;
	(void)stream;
	if (what & BEV_EVENT_EOF)
		client->finished = true;
	else if (what & BEV_EVENT_TIMEOUT && what & BEV_EVENT_READING &&
		 client->questions_count > 0)
		client_hold_back(client); /* it is we who are slow */
	else
		client->broken = true;
	client_settle(client);
}

static void on_life(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	client_free(context);
}

static void reply_tcp(
	struct tcp_client *client, const struct dns_query *query, const struct dns_answer *answer)
{
	uint8_t data[LENGTH_BYTES + DNS_EDNS_UDP_BYTES];
	size_t length = dns_format_answer(query, answer, data + LENGTH_BYTES, DNS_EDNS_UDP_BYTES);
	data[0] = (uint8_t)(length >> 8);
	data[1] = (uint8_t)length;
	struct evbuffer *output = bufferevent_get_output(client->stream);
	if (evbuffer_get_length(output) > TCP_OUTPUT_BYTES ||
		bufferevent_write(client->stream, data, LENGTH_BYTES + length) < 0)
		client->broken = true;
	client->questions_count--;
	/* Questions may lie in the buffer that waited for this one to be answered. */
	if (!client->reading)
		bufferevent_trigger(client->stream, EV_READ,
			BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* Takes fd over. */
static int client_new(struct serve *serve, int fd)
{
	struct event_base *base = serve->resolver->egress->base;
	struct tcp_client *client = calloc(1, sizeof(*client));
	struct bufferevent *stream =
		client ? bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!stream) {
		close(fd);
		free(client);
		return -ENOMEM;
	}
	client->serve = serve;
	client->stream = stream;
	TAILQ_INSERT_TAIL(&serve->clients, client, link);
	serve->clients_count++;
	client->life = evtimer_new(base, on_life, client);
	const struct timeval idle = {.tv_sec = TCP_IDLE_S}, life = {.tv_sec = TCP_LIFE_S};
	bufferevent_setcb(stream, on_stream, on_written, on_stream_event, client);
	if (!client->life || event_add(client->life, &life) < 0 ||
		bufferevent_set_timeouts(stream, &idle, &idle) < 0 ||
		bufferevent_enable(stream, EV_READ | EV_WRITE) < 0) {
		client_free(client);
		return -ENOMEM;
	}
	return 0;
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct serve *serve = context;
	if (serve->clients_count < TCP_CLIENTS_MAX)
		listen_again(serve);
}

static void on_connection(evutil_socket_t listener, short what, void *context)
{
	(void)what;
	struct serve *serve = context;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	/* The backlog stays readable: without a descriptor to spare, look again later. */
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		listen_no_more(serve);
		event_add(serve->resume, &(struct timeval){.tv_usec = PAUSE_MS * 1000});
	}
	if (fd < 0)
		return;
	client_new(serve, fd);
	if (serve->clients_count >= TCP_CLIENTS_MAX)
		listen_no_more(serve);
}

int resolver_add_tcp(struct resolver *resolver, int fd)
{
	struct serve *serve = resolver->serve;
	cleanup_close int owned = fd;
	int listening = 0;
	socklen_t size = sizeof(listening);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
	if (evutil_make_socket_nonblocking(fd) < 0)
		return -errno;
	if (!listening)
		return serve->clients_count < TCP_CLIENTS_MAX ? client_new(serve, steal_fd(&owned))
							      : -EBUSY;
	if (serve->listeners_count == TCP_LISTENERS_MAX)
		return -ENOSPC;
	struct event *event =
		event_new(resolver->egress->base, fd, EV_READ | EV_PERSIST, on_connection, serve);
	if (!event || event_add(event, NULL) < 0) {
		if (event)
			event_free(event);
		return -ENOMEM;
	}
	serve->listeners[serve->listeners_count++] =
		(struct tcp_listener){.fd = steal_fd(&owned), .event = event};
	return 0;
}

/* --- both ----------------------------------------------------------------------------------- */

void serve_reply(
	const struct reply_to *to, const struct dns_query *query, const struct dns_answer *answer)
{
	if (to->udp)
		reply_udp(to, query, answer);
	else
		reply_tcp(to->tcp, query, answer);
}

int serve_new(struct resolver *resolver, struct serve **ret)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	if (serve)
		serve->resume = evtimer_new(resolver->egress->base, on_resume, serve);
	if (!serve || !serve->resume) {
		free(serve);
		return -ENOMEM;
	}
	serve->resolver = resolver;
	TAILQ_INIT(&serve->udp);
	TAILQ_INIT(&serve->clients);
	*ret = serve;
	return 0;
}

void serve_free(struct serve *serve)
{
	if (!serve)
		return;
	for (struct udp_server *udp; (udp = TAILQ_FIRST(&serve->udp));)
		udp_free(udp);
	for (struct tcp_client *client; (client = TAILQ_FIRST(&serve->clients));)
		client_free(client);
	for (size_t i = 0; i < serve->listeners_count; i++) {
		event_free(serve->listeners[i].event);
		close(serve->listeners[i].fd);
	}
	event_free(serve->resume);
	free(serve);
}
