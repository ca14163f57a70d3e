/* Theory of operation. Requests are read one by one from the client, and what comes after one (a
 * pipelined next) stays in the client's buffer until its response has gone. Each goes through the
 * same steps, in order: its head is parsed strictly; whom it is for is settled, and for a proxy
 * decided; the policy's rules on requests are asked; the rate limit is waited for; the server is
 * dialed, or the one kept from the request before is used; secrets are put in; the head is written
 * anew, and the bodies flow both ways, framed anew. Whatever is refused ends the connection after
 * its answer, so that nothing that followed a refused head is ever taken for a request.
 *
 * Everything is driven by http_pump(), which runs the state's step until there is nothing to do.
 * Callbacks of buffers only note what happened and pump. A step that hands the connection on (or
 * ends it) returns STEP_GONE, after which nothing of it may be touched. */
#include "egress/http_flow.h"
#include "egress/http_internal.h"
#include "egress/http_request.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <string.h>
#include <sys/socket.h>

_Static_assert((int)HTTP_HEAD_BYTES_MAX == (int)EGRESS_HEAD_BYTES, "one bound on heads");

enum {
	HTTP_KEEP_MS = 60000,      /* how long a client may keep its connection between requests */
	HTTP_ABANDONED_MS = 60000, /* how long an answer may keep a client waiting that has ended */
	HTTP_WAITING_BYTES = 4096, /* behind a head, while it waits: then no more is read */
	HTTP_INTERIM_MAX = 16,     /* 1xx responses before the one that counts */
};

enum http_state {
	HTTP_HEAD,      /* waiting for a request's head */
	HTTP_WAITING,   /* for a decision, the rate limit or the dial: nothing to be done now */
	HTTP_HANDSHAKE, /* for the server's TLS */
	HTTP_EXCHANGE,  /* the request's head was sent */
	HTTP_RELAY,     /* upgraded: bytes both ways */
};

enum step { STEP_WAIT, STEP_MORE, STEP_GONE };

struct http {
	struct connection *connection;
	struct http_options options;
	struct bufferevent *client, *server;
	struct event *timer;
	enum http_state state;
	bool client_ended, server_ended;
	bool server_failed; /* by an error, not an orderly end */
	bool server_kept;   /* it has answered an earlier request */
	bool later;         /* not the client's first request */

	struct http_head request, response;
	struct http_peer peer;                 /* whom the request is for */
	struct http_peer decided;              /* proxy: whom the connection was last decided for */
	size_t client_scanned, server_scanned; /* in which no head ends */
	bool head_begun;   /* the timer is that of a head of which something has come */
	bool limited;      /* the timer is that of the limit on bytes */
	bool abandoned;    /* the timer is HTTP_ABANDONED_MS */
	bool answered;     /* some of the response has gone to the client */
	bool has_response; /* its final head has */
	unsigned interim;
	struct http_flow out, in; /* bodies: request, response */
};

static void http_pump(struct http *http);
static enum step admit(struct http *http);

/* ---- ends ---- */

static void drop_server(struct http *http)
{
	if (http->server)
		bufferevent_free(http->server);
	http->server = NULL;
	http->server_ended = http->server_failed = http->server_kept = false;
	http->server_scanned = 0;
}

static void http_release(void *handler)
{
	struct http *http = handler;
	connection_hold(http->connection, 0);
	drop_server(http);
	if (http->client)
		bufferevent_free(http->client);
	if (http->timer)
		event_free(http->timer);
	http_head_release(&http->request);
	http_head_release(&http->response);
	http_flow_release(&http->out);
	http_flow_release(&http->in);
	free(http);
}

static int answer_form(const struct http_head *request)
{
	if (!request->method)
		return HTTP_ANSWER_TEXT;
	const char *accept = http_head_get(request, "accept");
	const char *json = accept ? strcasestr(accept, "application/json") : NULL;
	const char *text = accept ? strcasestr(accept, "text/") : NULL;
	int form = json && (!text || json < text) ? HTTP_ANSWER_JSON : HTTP_ANSWER_TEXT;
	return form | (strcmp(request->method, "HEAD") == 0 ? HTTP_ANSWER_NO_BODY : 0);
}

/* Ends in an answer if none has begun; else in a reset, so that what was cut short does not look
 * complete. */
static enum step fail(
	struct http *http, int status, int errno_value, const char *reason, const char *hint)
{
	struct connection *connection = http->connection;
	struct egress_record *record = &connection->record;
	record->errno_value = errno_value;
	if (reason != record->reason)
		snprintf(record->reason, sizeof(record->reason), "%s", reason);
	if (http->answered) {
		const struct linger at_once = {.l_onoff = 1};
		setsockopt(bufferevent_getfd(http->client), SOL_SOCKET, SO_LINGER, &at_once,
			sizeof(at_once));
		connection_end(connection);
		return STEP_GONE;
	}
	struct bufferevent *client = http->client;
	http->client = NULL;
	char said[sizeof(record->reason)];
	memcpy(said, record->reason, sizeof(said));
	http_answer(connection, client, status, said, hint, answer_form(&http->request));
	return STEP_GONE;
}

static enum step refuse(struct http *http, int status, const char *reason, const char *hint)
{
	http->connection->record.verdict = NETWORK_DENY;
	return fail(http, status, EACCES, reason, hint);
}

static enum step refuse_malformed(struct http *http, int status, const char *what)
{
	char reason[160];
	snprintf(reason, sizeof(reason), "the request is malformed or ambiguous: %s", what);
	return refuse(http, status, reason, NULL);
}

static enum step fail_server(struct http *http, int status, const char *what)
{
	return fail(http, status, EPROTO, what, NULL);
}

static enum step no_memory(struct http *http)
{
	return fail(http, 503, ENOMEM, "no memory", NULL);
}

static enum step end(struct http *http)
{
	connection_end(http->connection);
	return STEP_GONE;
}

/* Lets what is written reach the client, then closes. */
static enum step finish(struct http *http)
{
	struct bufferevent *client = http->client;
	http->client = NULL;
	http_linger(http->connection, client);
	return STEP_GONE;
}

/* ---- events ---- */

static void arm(struct http *http, int after_ms)
{
	struct timeval interval = {
		.tv_sec = after_ms / 1000, .tv_usec = (suseconds_t)(after_ms % 1000) * 1000};
	evtimer_add(http->timer, &interval);
}

static void on_ready(struct bufferevent *bufferevent, void *context)
{
	(void)bufferevent;
	http_pump(context);
}

static void on_client_event(struct bufferevent *client, short events, void *context)
{
	struct http *http = context;
	(void)client;
	if (events & BEV_EVENT_ERROR) {
		if (!http->connection->record.reason[0])
			snprintf(http->connection->record.reason,
				sizeof(http->connection->record.reason),
				"the client broke the connection");
		connection_end(http->connection);
		return;
	}
	if (events & BEV_EVENT_EOF)
		http->client_ended = true;
	http_pump(http);
}

static enum step send_request(struct http *http);

static void on_server_event(struct bufferevent *server, short events, void *context)
{
	struct http *http = context;
	if (events & BEV_EVENT_CONNECTED) { /* TLS is up */
		event_del(http->timer);
		if (send_request(http) != STEP_GONE)
			http_pump(http);
		return;
	}
	if (http->state == HTTP_HANDSHAKE) {
		const char *why = inspect_failure(server);
		fail_server(http, 502, why ? why : "the server does not speak TLS");
		return;
	}
	/* A server that takes no more may still have answered why: reading goes on. (Not with TLS,
	 * where libevent gives both directions up.) */
	if ((events & BEV_EVENT_WRITING) && (events & BEV_EVENT_ERROR) && !http->options.tls)
		return;
	http->server_ended = true;
	http->server_failed = http->server_failed || (events & BEV_EVENT_ERROR);
	http_pump(http);
}

static void on_timer(evutil_socket_t fd, short events, void *context)
{
	struct http *http = context;
	(void)fd;
	(void)events;
	if (http->state == HTTP_HEAD) {
		if (http->head_begun || !http->later)
			snprintf(http->connection->record.reason,
				sizeof(http->connection->record.reason),
				"the client took too long over its request");
		connection_end(http->connection);
	} else if (http->state == HTTP_HANDSHAKE) {
		fail(http, 504, ETIMEDOUT, "the server took too long over its TLS handshake", NULL);
	} else if (http->state == HTTP_WAITING) {
		if (admit(http) != STEP_GONE)
			http_pump(http);
	} else if (http->abandoned) {
		snprintf(http->connection->record.reason, sizeof(http->connection->record.reason),
			"the client left before its answer came");
		connection_end(http->connection);
	} else {
		http_pump(http);
	}
}

static void watch(struct http *http, struct bufferevent *bufferevent, bufferevent_event_cb event)
{
	bufferevent_setcb(bufferevent, on_ready, on_ready, event, http);
	bufferevent_setwatermark(bufferevent, EV_WRITE, HTTP_BUFFER_BYTES / 2, 0);
	bufferevent_enable(bufferevent, EV_READ | EV_WRITE);
}

/* ---- reading heads ---- */

static bool finds(struct evbuffer *buffer, size_t from, const char *what, size_t bytes)
{
	struct evbuffer_ptr start;
	if (evbuffer_ptr_set(buffer, &start, from, EVBUFFER_PTR_SET) < 0)
		return false;
	return evbuffer_search(buffer, what, bytes, &start).pos >= 0;
}

/* As http_head_parse(), which is called only when a head may have come to its end: a head that
 * comes byte by byte must not be parsed as often. */
static ssize_t read_head(struct evbuffer *input, size_t *scanned, const struct http_head *request,
	struct http_head *ret, const char **ret_reason)
{
	size_t length = evbuffer_get_length(input);
	size_t from = *scanned > 2 ? *scanned - 2 : 0;
	if (length == *scanned)
		return 0;
	*scanned = length;
	if (length < HTTP_HEAD_BYTES_MAX && !finds(input, from, "\n\r\n", 3) &&
		!finds(input, from, "\n\n", 2))
		return 0;
	size_t bytes = length < HTTP_HEAD_BYTES_MAX ? length : HTTP_HEAD_BYTES_MAX;
	const char *data = (const char *)evbuffer_pullup(input, (ssize_t)bytes);
	if (!data)
		return -ENOMEM;
	ssize_t r = http_head_parse(data, bytes, request, ret, ret_reason);
	if (r > 0) {
		evbuffer_drain(input, (size_t)r);
		*scanned = 0;
	}
	return r;
}

static enum step refuse_head(struct http *http, ssize_t error, const char *reason)
{
	struct evbuffer *input = bufferevent_get_input(http->client);
	if (error == -ENOMEM)
		return no_memory(http);
	if (error != -E2BIG)
		return refuse_malformed(http, 400, reason);
	return refuse_malformed(http, finds(input, 0, "\r\n", 2) ? 431 : 414, reason);
}

/* Methods begin with a letter: who speaks something else need not be heard to its end. */
static bool starts_request(struct evbuffer *input)
{
	char first;
	return evbuffer_copyout(input, &first, 1) == 1 && (first | 0x20) >= 'a' &&
	       (first | 0x20) <= 'z';
}

static enum step take_request(struct http *http);

static enum step wait_for_head(struct http *http)
{
	struct evbuffer *input = bufferevent_get_input(http->client);
	bool begun = evbuffer_get_length(input) > 0;
	const char *reason = NULL;
	if (begun && !starts_request(input))
		return refuse_malformed(http, 400, "something other than HTTP");
	ssize_t r = read_head(input, &http->client_scanned, NULL, &http->request, &reason);
	if (r < 0)
		return refuse_head(http, r, reason);
	if (r > 0) {
		connection_hold(http->connection, 0);
		event_del(http->timer);
		http->head_begun = false;
		return take_request(http);
	}
	if (http->client_ended)
		return finish(http);
	if (!connection_hold(http->connection, evbuffer_get_length(input)))
		return refuse(http, 431, "too much of unfinished requests is kept already", NULL);
	/* A server that speaks or ends while nothing was asked of it is not kept. */
	if (http->server && (http->server_ended ||
				    evbuffer_get_length(bufferevent_get_input(http->server)) > 0))
		drop_server(http);
	if (begun && !http->head_begun)
		arm(http, EGRESS_PEEK_MS);
	http->head_begun = begun;
	return STEP_WAIT;
}

/* ---- whom a request is for ---- */

/* Of a client's own connection: the Host must be what it connected to. */
static enum step check_own_host(struct http *http, const struct http_authority *host)
{
	struct connection *connection = http->connection;
	struct http_peer peer;
	char reason[160], hint[400] = "";
	if (http_peer_parse(host->host, connection->port, &peer) < 0)
		return refuse_malformed(http, 400, "a Host that is neither name nor address");
	bool literal = !connection->name[0];
	bool same = strcmp(peer.name, connection->name) == 0 &&
		    (!literal || IN6_ARE_ADDR_EQUAL(&peer.address, &connection->address));
	if (literal && peer.name[0] &&
		network_must_be_seen(&connection->egress->policy, peer.name)) {
		snprintf(reason, sizeof(reason), NETWORK_USE_NAME, peer.name);
		return refuse(http, 421, reason, NULL);
	}
	if (!same && literal && peer.name[0]) {
		/* An address that a rule allows may serve any name that a rule allows. */
		struct network_decision decision;
		network_decide_name(&connection->egress->policy, peer.name, peer.port, &decision);
		same = decision.verdict == NETWORK_ALLOW || decision.verdict == NETWORK_MONITOR;
		http_peer_hint(&peer, &decision, "/http", hint, sizeof(hint));
	}
	if (same && (host->port == 0 || host->port == connection->port)) {
		http->peer = peer;
		return STEP_MORE;
	}
	snprintf(reason, sizeof(reason), "Host says %.50s, but the connection is to %.50s:%u",
		host->host, literal ? "another address" : connection->name, connection->port);
	return refuse(http, 421, reason, hint);
}

static enum step settle_own(struct http *http, const struct http_target *target)
{
	const char *value = http_head_get(&http->request, "host");
	struct http_authority host = target->authority;
	if (target->form == HTTP_ABSOLUTE && target->https != http->options.tls)
		return refuse_malformed(http, 400, "a URL of another scheme than the connection's");
	if (target->form != HTTP_ABSOLUTE &&
		(!value || http_authority_parse(value, strlen(value), &host) < 0))
		return refuse_malformed(http, 400, "no Host field");
	return check_own_host(http, &host);
}

static enum step settle_proxied(struct http *http, const struct http_target *target)
{
	if (target->form != HTTP_ABSOLUTE)
		return refuse_malformed(http, 400,
			"this is a proxy: it takes http://HOST/ URLs, CONNECT and SOCKS5");
	if (target->https)
		return refuse_malformed(http, 400,
			"https:// URLs go through CONNECT, so that TLS stays the client's own");
	uint16_t port = target->authority.port ? target->authority.port : 80;
	if (http_peer_parse(target->authority.host, port, &http->peer) < 0)
		return refuse_malformed(http, 400, "a host that is neither name nor address");
	return STEP_MORE;
}

static bool same_peer(const struct http_peer *one, const struct http_peer *other)
{
	return one->port == other->port && strcmp(one->name, other->name) == 0 &&
	       IN6_ARE_ADDR_EQUAL(&one->address, &other->address);
}

static void decided(struct connection *connection)
{
	struct http *http = connection->handler;
	if (connection->decision.protocol == NETWORK_TLS) {
		refuse(http, 403, "plain HTTP to a port that a rule opens for TLS alone",
			"use an https:// URL");
		return;
	}
	connection->decision.protocol = NETWORK_HTTP;
	connection->record.protocol = NETWORK_HTTP;
	http->decided = http->peer;
	if (admit(http) != STEP_GONE)
		http_pump(http);
}

static void decided_against(struct connection *connection)
{
	struct http *http = connection->handler;
	char hint[512];
	http_peer_hint(&http->peer, &connection->decision, "/http", hint, sizeof(hint));
	if (!connection->record.reason[0])
		snprintf(connection->record.reason, sizeof(connection->record.reason),
			"no rule allows it");
	refuse(http, 403, connection->record.reason, hint);
}

/* A proxy's next target is a connection of its own for the log. */
static void turn_record(struct http *http)
{
	struct connection *connection = http->connection;
	struct egress_record *record = &connection->record;
	uint64_t now = clock_now_us();
	struct timespec real;
	if (record->requests == 0)
		return;
	record->duration_ms = (uint32_t)((now - connection->began_us) / 1000);
	egress_log(connection->egress, record);
	clock_gettime(CLOCK_REALTIME, &real);
	connection->began_us = now;
	record->time_ms = (int64_t)real.tv_sec * 1000 + real.tv_nsec / 1000000;
	record->bytes_in = record->bytes_out = record->requests = 0;
	record->ended = 0;
}

static enum step decide_proxied(struct http *http)
{
	struct connection *connection = http->connection;
	if (same_peer(&http->peer, &http->decided))
		return admit(http);
	drop_server(http);
	turn_record(http);
	connection->record.requests++;
	connection_set_target(connection, http->peer.name[0] ? http->peer.name : NULL,
		&http->peer.address, http->peer.port);
	connection_decide(connection, decided, decided_against);
	return STEP_GONE; /* or so it must be taken */
}

static enum step take_request(struct http *http)
{
	struct http_target target;
	http->state = HTTP_WAITING;
	http->later = true;
	http->has_response = false;
	http->interim = 0;
	http->connection->record.reason[0] = '\0';
	bool same = !http->options.proxy;
	if (http_target_parse(http->request.method, http->request.target, &target) < 0)
		return refuse_malformed(http, 400, "a target of no known form");
	if (target.form == HTTP_AUTHORITY)
		return refuse_malformed(http, 400,
			"CONNECT is taken only as the first request on the proxy's own port");
	if (strcmp(http->request.method, "TRACE") == 0)
		return refuse_malformed(http, 400, "TRACE, which would show what was added here");
	enum step step = same ? settle_own(http, &target) : settle_proxied(http, &target);
	if (step == STEP_GONE)
		return step;
	if (same || same_peer(&http->peer, &http->decided))
		http->connection->record.requests++;
	return same ? admit(http) : decide_proxied(http);
}

/* ---- whether it may be made ---- */

/* The target in the form for a server: a path. */
static char *origin_path(const struct http_head *request)
{
	struct http_target target;
	char *path = NULL;
	if (http_target_parse(request->method, request->target, &target) < 0)
		return NULL;
	if (target.path[0] == '/' || target.path[0] == '*')
		return strdup(target.path);
	return asprintf(&path, "/%s", target.path) < 0 ? NULL : path;
}

static enum step check_rules(struct http *http)
{
	char host[NETWORK_NAME_BYTES], reason[160] = "", hint[512] = "";
	char *path = origin_path(&http->request);
	if (!path)
		return no_memory(http);
	http_peer_format(&http->peer, host);
	int r = http_request_check(
		&http->connection->egress->policy, host, &http->request, &path, reason, hint);
	free(http->request.target);
	http->request.target = path;
	if (r == -EACCES)
		return refuse(http, 403, reason, hint);
	if (r < 0)
		return no_memory(http);
	const char *expect = http_head_get(&http->request, "expect");
	if (expect && strcasecmp(expect, "100-continue") != 0)
		return refuse_malformed(http, 417, "an Expect that nobody knows");
	return STEP_MORE;
}

static void dialed(struct connection *connection, int error)
{
	struct http *http = connection->handler;
	if (error < 0) {
		const char *why =
			connection->record.reason[0] ? connection->record.reason : strerror(-error);
		if (error == -EACCES)
			refuse(http, 403, why, NULL);
		else
			fail(http, error == -ETIMEDOUT ? 504 : 502, -error, why, NULL);
		return;
	}
	if (http->options.tls) {
		http->server = inspect_server(connection);
	} else {
		http->server = bufferevent_socket_new(
			connection->egress->base, connection->server, BEV_OPT_CLOSE_ON_FREE);
		if (http->server)
			connection->server = -1;
	}
	if (!http->server) {
		no_memory(http);
		return;
	}
	if (http->options.tls) {
		http->state = HTTP_HANDSHAKE;
		arm(http, EGRESS_DIAL_MS);
	}
	watch(http, http->server, on_server_event);
	if (!http->options.tls && send_request(http) != STEP_GONE)
		http_pump(http);
}

static enum step reach_server(struct http *http)
{
	if (http->server && !http->server_ended &&
		evbuffer_get_length(bufferevent_get_input(http->server)) == 0) {
		http->server_kept = true;
		return send_request(http);
	}
	drop_server(http);
	connection_dial(http->connection, dialed);
	return STEP_GONE; /* or so it must be taken */
}

static enum step fail_move(struct http *http, ssize_t error, const char *reason, int direction);

/* From a decided target to the server. Called again after a wait for the rate limit. */
static enum step admit(struct http *http)
{
	http->state = HTTP_WAITING;
	enum step step = check_rules(http);
	if (step == STEP_GONE)
		return step;
	int wait_ms = 0;
	ssize_t bytes = rate_bytes(http->connection->egress->rate, 1, 1, &wait_ms);
	if (bytes < 0)
		return fail_move(http, bytes, NULL, 1);
	if (bytes > 0)
		wait_ms = rate_request(http->connection->egress->rate);
	if (wait_ms < 0)
		return refuse(http, 429, "more requests than the network's limits allow",
			"--net-limit requests=...");
	if (wait_ms > 0) {
		arm(http, wait_ms);
		return STEP_WAIT;
	}
	return reach_server(http);
}

/* ---- sending ---- */

static void count_bytes(struct http *http, int direction, size_t bytes)
{
	struct egress_record *record = &http->connection->record;
	rate_used(http->connection->egress->rate, direction, bytes);
	if (direction == 0)
		record->bytes_in += bytes;
	else
		record->bytes_out += bytes;
}

static bool has_secrets(const struct http *http)
{
	const struct connection *connection = http->connection;
	return connection->egress->secrets && connection->name[0] &&
	       secrets_concern(connection->egress->secrets, connection->name);
}

/* Where values may be echoed, responses must be readable: neither compressed, nor cut into ranges
 * that each show less of a value than would be noticed. */
static int keep_readable(struct http_head *head)
{
	http_head_remove(head, "range");
	http_head_remove(head, "if-range");
	http_head_remove(head, "sec-websocket-extensions");
	return http_head_set(head, "Accept-Encoding", "identity");
}

/* The request as the server is to see it. */
static int rewrite_request(struct http *http, char reason[160])
{
	struct http_head *head = &http->request;
	struct secrets *secrets = http->connection->egress->secrets;
	char name[NETWORK_NAME_BYTES], host[NETWORK_NAME_BYTES + 16];
	uint16_t usual = http->options.tls ? 443 : 80;
	http_peer_format(&http->peer, name);
	bool v6 = strchr(name, ':') != NULL;
	int length = snprintf(host, sizeof(host), "%s%s%s", v6 ? "[" : "", name, v6 ? "]" : "");
	if (http->peer.port != usual)
		snprintf(host + length, sizeof(host) - (size_t)length, ":%u", http->peer.port);

	bool upgrade = head->upgrade;
	http_head_strip_hops(head);
	int r = http_head_set(head, "Host", host);
	if (r == 0 && upgrade)
		r = http_head_set(head, "Connection", "Upgrade");
	if (r == 0 && upgrade)
		r = http_head_set(head, "Upgrade", "websocket");
	if (head->minor_version == 0)
		http_head_remove(head, "expect");
	if (r == 0 && has_secrets(http))
		r = keep_readable(head);
	/* To a literal address nothing is given, whatever its Host says. */
	if (r == 0 && secrets)
		r = secrets_apply(secrets, http->connection->name, http->options.tls, head, reason);
	return r;
}

static enum step write_request(struct http *http)
{
	struct http_head head = http->request; /* the version that goes is ours */
	head.minor_version = 1;
	size_t length;
	char *text = http_head_format(&head, &length);
	int r = text ? bufferevent_write(http->server, text, length) : -1;
	free(text);
	if (r < 0)
		return no_memory(http);
	count_bytes(http, 1, length);
	http->state = HTTP_EXCHANGE;
	return STEP_MORE;
}

static enum step send_request(struct http *http)
{
	char reason[160] = "";
	int r = rewrite_request(http, reason);
	if (r == -EACCES)
		return refuse(http, 403, reason, NULL);
	if (r == -E2BIG)
		return refuse_malformed(http, 431, "too many fields");
	if (r < 0)
		return no_memory(http);
	http_flow_start(&http->out, &http->request);
	http->out.scan = http->connection->egress->secrets;
	return write_request(http);
}

/* ---- bodies ---- */

static void wait_for_rate(struct http *http, int wait_ms)
{
	http->limited = true;
	arm(http, wait_ms > 0 ? wait_ms : 1);
}

/* Moves what the rate limit, the reader's speed and the body's end let through. Bytes; 0: none now;
 * or -errno. */
static ssize_t move(
	struct http *http, struct http_flow *flow, int direction, const char **ret_reason)
{
	struct bufferevent *from = direction == 1 ? http->client : http->server;
	struct bufferevent *to = direction == 1 ? http->server : http->client;
	struct evbuffer *source = bufferevent_get_input(from);
	struct evbuffer *target = bufferevent_get_output(to);
	struct rate *rate = http->connection->egress->rate;
	size_t waiting = evbuffer_get_length(target), want = evbuffer_get_length(source);
	int wait_ms = 0;
	if (flow->done || want == 0 || waiting >= HTTP_BUFFER_BYTES)
		return 0;
	if (want > HTTP_BUFFER_BYTES - waiting)
		want = HTTP_BUFFER_BYTES - waiting;
	ssize_t allowed = rate_bytes(rate, direction, want, &wait_ms);
	if (allowed < 0)
		return allowed;
	if (allowed == 0) {
		wait_for_rate(http, wait_ms);
		return 0;
	}
	ssize_t moved = http_flow_move(flow, source, target, (size_t)allowed, ret_reason);
	if (moved > 0)
		count_bytes(http, direction, (size_t)moved);
	return moved;
}

static enum step fail_move(struct http *http, ssize_t error, const char *reason, int direction)
{
	if (error == -EDQUOT)
		return refuse(http, 429, "the limit on bytes in all is reached (net-limit total)",
			"--net-limit total=...");
	if (error == -EACCES)
		return refuse(http, 403, "a secret's placeholder in a request's body", NULL);
	if (error == -EBADMSG && direction == 1)
		return refuse_malformed(http, 400, reason);
	if (error == -EBADMSG)
		return fail_server(http, 502, reason);
	return no_memory(http);
}

static enum step move_request(struct http *http)
{
	const char *reason = NULL;
	if (http->out.done)
		return STEP_WAIT;
	ssize_t r = move(http, &http->out, 1, &reason);
	if (r < 0)
		return fail_move(http, r, reason, 1);
	bool empty = evbuffer_get_length(bufferevent_get_input(http->client)) == 0;
	if (!http->out.done && http->client_ended && empty) {
		snprintf(http->connection->record.reason, sizeof(http->connection->record.reason),
			"the client ended in the middle of its request");
		return end(http);
	}
	return r > 0 ? STEP_MORE : STEP_WAIT;
}

/* ---- responses ---- */

/* Writes the response's head to the client, values of secrets overwritten. */
static enum step write_response(struct http *http)
{
	size_t length;
	struct evbuffer *output = bufferevent_get_output(http->client);
	cleanup_free char *text = http_head_format(&http->response, &length);
	struct evbuffer *plain = evbuffer_new();
	int r = text && plain ? evbuffer_add(plain, text, length) : -1;
	if (r == 0 && has_secrets(http))
		r = secrets_mask(http->connection->egress->secrets, plain, output, true);
	else if (r == 0)
		r = evbuffer_add_buffer(output, plain);
	if (plain)
		evbuffer_free(plain);
	if (r < 0)
		return no_memory(http);
	count_bytes(http, 0, length);
	http->answered = true;
	return STEP_MORE;
}

/* 100, 102, 103: passed on, to those who know them. */
static enum step pass_interim(struct http *http)
{
	if (++http->interim > HTTP_INTERIM_MAX)
		return fail_server(http, 502, "the server never comes to its answer");
	http_head_strip_hops(&http->response);
	http->response.minor_version = 1;
	bool answered = http->answered;
	enum step step = http->request.minor_version == 1 ? write_response(http) : STEP_MORE;
	if (step == STEP_GONE)
		return step;
	http->answered = answered;
	http_head_release(&http->response);
	return STEP_MORE;
}

static enum step start_relay(struct http *http)
{
	if (http_head_set(&http->response, "Connection", "Upgrade") < 0 ||
		http_head_set(&http->response, "Upgrade", "websocket") < 0)
		return no_memory(http);
	enum step step = write_response(http);
	if (step == STEP_GONE)
		return step;
	const struct http_head stream = {.body = HTTP_BODY_UPGRADED};
	http_flow_start(&http->out, &stream);
	http_flow_start(&http->in, &stream);
	http->out.scan = http->connection->egress->secrets;
	http->in.mask = has_secrets(http) ? http->connection->egress->secrets : NULL;
	http->state = HTTP_RELAY;
	return STEP_MORE;
}

/* The final head of a response has come. */
static enum step take_response(struct http *http)
{
	struct http_head *head = &http->response;
	const char *encoding = http_head_get(head, "content-encoding");
	bool mask = has_secrets(http);
	if (mask && encoding && strcasecmp(encoding, "identity") != 0)
		return fail_server(http, 502,
			"the server compressed an answer that must be searched for secrets");
	http_head_strip_hops(head);
	head->minor_version = 1;
	if (head->body == HTTP_BODY_UPGRADED)
		return start_relay(http);

	bool old = http->request.minor_version == 0;
	http_flow_start(&http->in, head);
	http->in.mask = mask ? http->connection->egress->secrets : NULL;
	if (old) {
		http_head_remove(head, "transfer-encoding");
		http->in.chunked = false;
	}
	/* An answer before the end of its request: the rest of that is nobody's. */
	http->request.close =
		http->request.close || head->body == HTTP_BODY_UNTIL_CLOSE || !http->out.done;
	if (http->request.close && http_head_set(head, "Connection", "close") < 0)
		return no_memory(http);
	http->has_response = true;
	return write_response(http);
}

/* The server went without a word. If it was kept from an earlier request, it may have gone before
 * it saw this one: asked again of a new connection, if asking twice does no harm. */
static enum step retry(struct http *http)
{
	const char *method = http->request.method;
	bool harmless = http->request.body == HTTP_BODY_NONE &&
			(strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
				strcmp(method, "OPTIONS") == 0);
	if (!http->server_kept || !harmless || http->interim > 0)
		return fail_server(http, 502, "the server closed without an answer");
	http->state = HTTP_WAITING;
	event_del(http->timer);
	drop_server(http);
	connection_dial(http->connection, dialed);
	return STEP_GONE; /* or so it must be taken */
}

static enum step read_response(struct http *http)
{
	const char *reason = NULL;
	struct evbuffer *input = bufferevent_get_input(http->server);
	int wait_ms = 0;
	ssize_t r = 1;
	if (evbuffer_get_length(input) > http->server_scanned)
		r = rate_bytes(http->connection->egress->rate, 0, 1, &wait_ms);
	if (r < 0)
		return fail_move(http, r, NULL, 0);
	if (r == 0) {
		wait_for_rate(http, wait_ms);
		return STEP_WAIT;
	}
	r = read_head(input, &http->server_scanned, &http->request, &http->response, &reason);
	if (r == -ENOMEM)
		return no_memory(http);
	if (r < 0) {
		char said[160];
		snprintf(said, sizeof(said), "the server's answer is malformed or ambiguous: %s",
			reason);
		return fail_server(http, 502, said);
	}
	if (r == 0 && !http->server_ended)
		return STEP_WAIT;
	if (r == 0)
		return evbuffer_get_length(input) == 0
			       ? retry(http)
			       : fail_server(http, 502, "the server closed in its answer's head");
	if (http->response.status < 200 && http->response.status != 101)
		return pass_interim(http);
	return take_response(http);
}

static enum step end_exchange(struct http *http)
{
	struct evbuffer *rest = bufferevent_get_input(http->server);
	bool close = http->request.close;
	/* Bytes after a response are an answer to nothing: such a server is not believed again. */
	if (http->response.close || http->server_ended || !http->out.done ||
		evbuffer_get_length(rest) > 0)
		drop_server(http);
	http_head_release(&http->request);
	http_head_release(&http->response);
	if (close)
		return finish(http);
	http->state = HTTP_HEAD;
	http->answered = false;
	http->client_scanned = 0;
	http->head_begun = false;
	arm(http, HTTP_KEEP_MS);
	return STEP_MORE;
}

static enum step move_response(struct http *http)
{
	const char *reason = NULL;
	if (!http->has_response)
		return read_response(http);
	if (http->in.done)
		return end_exchange(http);
	ssize_t r = move(http, &http->in, 0, &reason);
	if (r < 0)
		return fail_move(http, r, reason, 0);
	if (r > 0 || http->in.done)
		return STEP_MORE;
	if (!http->server_ended || evbuffer_get_length(bufferevent_get_input(http->server)) > 0)
		return STEP_WAIT;
	if (http->server_failed ||
		http_flow_finish(&http->in, bufferevent_get_output(http->client)) < 0)
		return fail_server(http, 502, "the server closed in the middle of its answer");
	return STEP_MORE;
}

static enum step exchange(struct http *http)
{
	http->limited = false;
	enum step out = move_request(http);
	if (out == STEP_GONE)
		return out;
	enum step in = move_response(http);
	if (in == STEP_GONE)
		return in;
	enum step step = in == STEP_WAIT ? out : in;
	/* A client that has ended may have said all it has to say, or may be gone: TCP does not
	 * tell these apart, so a server that does not answer is not waited for as long. */
	bool idle = step == STEP_WAIT && http->client_ended && !http->limited;
	if (idle && !http->abandoned)
		arm(http, HTTP_ABANDONED_MS);
	http->abandoned = idle;
	return step;
}

/* ---- after an upgrade ---- */

static enum step relay(struct http *http)
{
	const char *reason = NULL;
	ssize_t out = move(http, &http->out, 1, &reason);
	if (out < 0)
		return fail_move(http, out, reason, 1);
	ssize_t in = move(http, &http->in, 0, &reason);
	if (in < 0)
		return fail_move(http, in, reason, 0);
	if (in > 0 || out > 0)
		return STEP_MORE;
	if (http->server_ended && evbuffer_get_length(bufferevent_get_input(http->server)) == 0) {
		http_flow_finish(&http->in, bufferevent_get_output(http->client));
		return finish(http);
	}
	if (http->client_ended && evbuffer_get_length(bufferevent_get_input(http->client)) == 0 &&
		evbuffer_get_length(bufferevent_get_output(http->server)) == 0)
		return end(http);
	return STEP_WAIT;
}

/* ---- the engine ---- */

static enum step wait_on(struct http *http)
{
	(void)http;
	return STEP_WAIT;
}

/* Reads no more from who is ahead of the other side. Not by a read watermark: at that, libevent
 * 2.1.12 calls the reader again and again. An ended side that is read from reports its end anew. */
static void hold_back(struct bufferevent *bufferevent, bool ended, size_t most)
{
	bool full = evbuffer_get_length(bufferevent_get_input(bufferevent)) >= most;
	bool reads = bufferevent_get_enabled(bufferevent) & EV_READ;
	if (full && reads)
		bufferevent_disable(bufferevent, EV_READ);
	else if (!full && !reads && !ended)
		bufferevent_enable(bufferevent, EV_READ);
}

static void http_pump(struct http *http)
{
	static enum step (*const steps[])(struct http * http) = {
		[HTTP_HEAD] = wait_for_head,
		[HTTP_WAITING] = wait_on,
		[HTTP_HANDSHAKE] = wait_on,
		[HTTP_EXCHANGE] = exchange,
		[HTTP_RELAY] = relay,
	};
	enum step step;
	do {
		step = steps[http->state](http);
	} while (step == STEP_MORE);
	if (step == STEP_GONE)
		return;
	/* What nobody has a use for yet is the client's to keep. */
	bool waits = http->state == HTTP_WAITING || http->state == HTTP_HANDSHAKE;
	hold_back(
		http->client, http->client_ended, waits ? HTTP_WAITING_BYTES : HTTP_HEAD_BYTES_MAX);
	if (http->server)
		hold_back(http->server, http->server_ended, HTTP_HEAD_BYTES_MAX);
}

/* A client that has ended waits for no answer. What it has not said to its end goes nowhere. */
static bool is_delivered(const void *handler)
{
	const struct http *http = handler;
	bool silent = http->connection->egress->silence_will_do;
	if (http->state == HTTP_HEAD)
		return silent;
	return http->state == HTTP_EXCHANGE && (http->client_ended || silent) && http->out.done &&
	       evbuffer_get_length(bufferevent_get_input(http->client)) == 0 &&
	       evbuffer_get_length(bufferevent_get_output(http->server)) == 0;
}

void http_run(struct connection *connection, const struct http_options *options)
{
	struct bufferevent *client = options->client;
	struct http *http = calloc(1, sizeof(*http));
	if (http)
		http->timer = evtimer_new(connection->egress->base, on_timer, http);
	if (http && http->timer && !client)
		client = http_client(connection);
	if (!http || !http->timer || !client) {
		if (http && http->timer)
			event_free(http->timer);
		free(http);
		if (client)
			bufferevent_free(client);
		connection_end(connection);
		return;
	}
	http->connection = connection;
	http->options = *options;
	http->client = client;
	http->out.done = http->in.done = true;
	connection_set_handler(connection, http, http_release);
	connection->delivered = is_delivered;
	arm(http, EGRESS_PEEK_MS);
	watch(http, client, on_client_event);
	/* What was read already would wake nobody. Deferred: whoever called is still at it. */
	bufferevent_trigger(client, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void http_start(struct connection *connection)
{
	http_run(connection, &(struct http_options){.client = NULL});
}
