#include "egress/http_internal.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

enum { ANSWER_BYTES_MAX = 16 * 1024 };

/* ---- closing ---- */

struct closing {
	struct connection *connection;
	struct bufferevent *client;
	struct event *timer;
	size_t drained_bytes;
	bool flushed, client_ended;
};

static void linger_release(void *handler)
{
	struct closing *closing = handler;
	if (closing->timer)
		event_free(closing->timer);
	if (closing->client)
		bufferevent_free(closing->client);
	free(closing);
}

/* Everything is written: says so, and waits for the client to close, since a close() with unread
 * bytes is a reset, which may overtake the answer. */
static void linger_flushed(struct closing *closing)
{
	if (closing->client_ended) {
		connection_end(closing->connection);
		return;
	}
	closing->flushed = true;
	SSL *ssl = bufferevent_openssl_get_ssl(closing->client);
	if (ssl)
		SSL_shutdown(ssl);
	shutdown(bufferevent_getfd(closing->client), SHUT_WR);
	struct timeval patience = {.tv_sec = HTTP_LINGER_MS / 1000};
	evtimer_add(closing->timer, &patience);
}

static void linger_on_write(struct bufferevent *client, void *context)
{
	struct closing *closing = context;
	if (!closing->flushed && evbuffer_get_length(bufferevent_get_output(client)) == 0)
		linger_flushed(closing);
}

static void linger_on_read(struct bufferevent *client, void *context)
{
	struct closing *closing = context;
	struct evbuffer *input = bufferevent_get_input(client);
	closing->drained_bytes += evbuffer_get_length(input);
	evbuffer_drain(input, evbuffer_get_length(input));
	if (closing->drained_bytes > HTTP_LINGER_BYTES)
		connection_end(closing->connection);
}

static void linger_on_event(struct bufferevent *client, short events, void *context)
{
	struct closing *closing = context;
	bool half = (events & BEV_EVENT_EOF) && !closing->flushed &&
		    evbuffer_get_length(bufferevent_get_output(client)) > 0;
	closing->client_ended = true;
	if (!half)
		connection_end(closing->connection);
}

static void linger_on_timer(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	struct closing *closing = context;
	if (!closing->flushed && evbuffer_get_length(bufferevent_get_output(closing->client)) == 0)
		linger_flushed(closing);
	else if (closing->flushed)
		connection_end(closing->connection);
}

static bool nothing_to_deliver(const void *handler)
{
	(void)handler;
	return true; /* what is left is for the client */
}

void http_linger(struct connection *connection, struct bufferevent *client)
{
	struct closing *closing = calloc(1, sizeof(*closing));
	if (closing)
		closing->timer = evtimer_new(connection->egress->base, linger_on_timer, closing);
	if (!closing || !closing->timer) {
		free(closing);
		bufferevent_free(client);
		connection_end(connection);
		return;
	}
	closing->connection = connection;
	closing->client = client;
	connection_set_handler(connection, closing, linger_release);
	connection->delivered = nothing_to_deliver;
	/* Nobody reads that any more. */
	evbuffer_drain(
		bufferevent_get_input(client), evbuffer_get_length(bufferevent_get_input(client)));
	bufferevent_setcb(client, linger_on_read, linger_on_write, linger_on_event, closing);
	bufferevent_setwatermark(client, EV_READ, 0, 0);
	bufferevent_setwatermark(client, EV_WRITE, 0, 0);
	struct timeval patience = {.tv_sec = HTTP_FLUSH_MS / 1000}, now = {0};
	bufferevent_set_timeouts(client, NULL, &patience);
	/* Callers may be in the middle of something: even what is flushed already waits for the
	 * event loop. */
	evtimer_add(closing->timer, &now);
	bufferevent_enable(client, EV_READ | EV_WRITE);
}

/* ---- answers ---- */

struct bufferevent *http_client(struct connection *connection)
{
	struct bufferevent *client = bufferevent_socket_new(
		connection->egress->base, connection->client, BEV_OPT_CLOSE_ON_FREE);
	if (!client)
		return NULL;
	if (connection->pending &&
		evbuffer_prepend_buffer(bufferevent_get_input(client), connection->pending) < 0) {
		bufferevent_setfd(client, -1);
		bufferevent_free(client);
		return NULL;
	}
	connection->client = -1;
	return client;
}

static const char *phrase_of(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {{400, "Bad Request"}, {403, "Forbidden"}, {408, "Request Timeout"},
		{413, "Content Too Large"}, {414, "URI Too Long"}, {417, "Expectation Failed"},
		{421, "Misdirected Request"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {501, "Not Implemented"},
		{502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"}};
	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Error";
}

/* The same as a line of a file; nothing for a hint that is no --allow-domain. */
static void write_file_line(struct buffer *body, const char *hint)
{
	static const char flag[] = "--allow-domain ";
	if (strncmp(hint, flag, strlen(flag)) == 0)
		buffer_append_format(body,
			"or, below [network] in ~/.config/coffer/coffer.toml: allow_domain = "
			"[\"%s\"]\n",
			hint + strlen(flag));
}

static void write_text(struct buffer *body, const char *what, const char *rule, const char *reason,
	const char *hint)
{
	buffer_append_format(body, "coffer %s: %s\n", what, reason);
	if (rule[0])
		buffer_append_format(body, "rule: %s\n", rule);
	if (hint && hint[0]) {
		buffer_append_format(body, "to allow it: %s\n", hint);
		write_file_line(body, hint);
	}
}

static void write_json(
	struct buffer *body, int status, const char *rule, const char *reason, const char *hint)
{
	buffer_append_format(body, "{\"error\": {\"code\": \"%s\", \"status\": %d, \"message\": ",
		status == 403  ? "refused"
		: status < 500 ? "bad_request"
			       : "upstream",
		status);
	buffer_append_json(body, reason);
	if (rule[0]) {
		buffer_append_string(body, ", \"rule\": ");
		buffer_append_json(body, rule);
	}
	if (hint && hint[0]) {
		buffer_append_string(body, ", \"hint\": ");
		buffer_append_json(body, hint);
	}
	buffer_append_string(body, "}}\n");
}

void http_answer(struct connection *connection, struct bufferevent *client, int status,
	const char *reason, const char *hint, int form)
{
	cleanup_buffer struct buffer body = BUFFER_INIT(ANSWER_BYTES_MAX);
	cleanup_buffer struct buffer head = BUFFER_INIT(ANSWER_BYTES_MAX);
	bool json = form & HTTP_ANSWER_JSON;
	/* A rule is to blame only if it was the target that was refused. */
	bool denied = connection->decision.verdict == NETWORK_DENY ||
		      connection->decision.verdict == NETWORK_ASK;
	const char *rule = status == 403 && denied ? connection->record.rule : "";
	if (!client)
		client = http_client(connection);
	if (!client) {
		connection_end(connection);
		return;
	}
	if (json)
		write_json(&body, status, rule, reason, hint);
	else
		write_text(&body, status == 403 ? "refused this" : "could not do this", rule,
			reason, hint);
	buffer_append_format(&head,
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
		"Connection: close\r\n\r\n",
		status, phrase_of(status), json ? "application/json" : "text/plain; charset=utf-8",
		body.length_bytes);
	if (!(form & HTTP_ANSWER_NO_BODY))
		buffer_append(&head, body.data, body.length_bytes);
	if (buffer_error(&head) < 0 || buffer_error(&body) < 0 ||
		bufferevent_write(client, head.data, head.length_bytes) < 0) {
		bufferevent_free(client);
		connection_end(connection);
		return;
	}
	http_linger(connection, client);
}

void http_respond(struct connection *connection, struct bufferevent *client, int status,
	const char *reason, const char *hint)
{
	http_answer(connection, client, status, reason, hint, HTTP_ANSWER_TEXT);
}
