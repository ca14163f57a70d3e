/* Theory of operation. One request on one connection, by libevent's client, in a loop of its own
 * that one timer bounds: name lookup, connecting, handshake, a server that answers a byte a minute.
 * Nothing is followed (redirects), reused, decompressed, or retried; what is larger than an answer
 * can be ends it. In the clear only with this very machine. */
#include "gate/review_http.h"

#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

enum { HEADERS_BYTES_MAX = 64 * 1024 };

struct target {
	bool tls;
	char host[NETWORK_NAME_BYTES]; /* without brackets */
	char authority[NETWORK_NAME_BYTES + 16];
	int port;
	char *path; /* with the query */
	struct evhttp_uri *uri;
};

struct exchange {
	struct event_base *base;
	struct evdns_base *dns;
	struct evhttp_connection *connection;
	struct event *timer;
	SSL *ssl; /* a reference of our own: for the reason of a failure */

	bool done, timed_out, too_long;
	int status;
	char *answer;
	size_t length_bytes;
};

/* ---- the address ---- */

static void release_target(struct target *target)
{
	free(target->path);
	if (target->uri)
		evhttp_uri_free(target->uri);
}

static int check_scheme(struct target *target, const char *scheme, struct error *error)
{
	target->tls = scheme && strcmp(scheme, "https") == 0;
	if (target->tls)
		return 0;
	if (!scheme || strcmp(scheme, "http") != 0)
		return error_set(error, EINVAL, "reviewer", "its URL is neither https nor http");
	if (review_host_kind(target->host) == HOST_LOOPBACK)
		return 0;
	error_set(error, EINVAL, "reviewer", "its URL is http, but %.200s is not this machine",
		target->host);
	return error_hint(error, "use https: whoever is on the way could answer in its place");
}

static int parse_target(const char *url, struct target *target, struct error *error)
{
	target->uri = evhttp_uri_parse(url);
	const char *host = target->uri ? evhttp_uri_get_host(target->uri) : NULL;
	if (!host || !*host || strlen(host) >= sizeof(target->host))
		return error_set(error, EINVAL, "reviewer", "its URL names no host");
	if (evhttp_uri_get_userinfo(target->uri))
		return error_set(error, EINVAL, "reviewer",
			"its URL holds a user or password: name a key_variable instead");
	bool bracketed = host[0] == '[';
	snprintf(target->host, sizeof(target->host), "%.*s", (int)strcspn(host + bracketed, "]"),
		host + bracketed);
	int r = check_scheme(target, evhttp_uri_get_scheme(target->uri), error);
	if (r < 0)
		return r;
	int port = evhttp_uri_get_port(target->uri);
	target->port = port > 0 ? port : target->tls ? 443 : 80;
	if (port > 0)
		snprintf(target->authority, sizeof(target->authority), "%s:%d", host, port);
	else
		snprintf(target->authority, sizeof(target->authority), "%s", host);
	const char *path = evhttp_uri_get_path(target->uri);
	const char *query = evhttp_uri_get_query(target->uri);
	if (asprintf(&target->path, "%s%s%s", path && *path ? path : "/", query ? "?" : "",
		    query ? query : "") < 0) {
		target->path = NULL;
		return error_set_errno(error, ENOMEM, "reviewer", "its URL");
	}
	return 0;
}

/* ---- the exchange ---- */

static void finish(struct exchange *exchange)
{
	exchange->done = true;
	event_base_loopbreak(exchange->base);
}

static void answered(struct evhttp_request *request, void *data)
{
	struct exchange *exchange = data;
	exchange->status = request ? evhttp_request_get_response_code(request) : 0;
	if (exchange->status == 200) {
		struct evbuffer *body = evhttp_request_get_input_buffer(request);
		exchange->length_bytes = evbuffer_get_length(body);
		exchange->answer = malloc(exchange->length_bytes + 1);
		if (exchange->answer) {
			evbuffer_copyout(body, exchange->answer, exchange->length_bytes);
			exchange->answer[exchange->length_bytes] = '\0';
		}
	}
	finish(exchange);
}

static void failed(enum evhttp_request_error how, void *data)
{
	struct exchange *exchange = data;
	exchange->too_long = how == EVREQ_HTTP_DATA_TOO_LONG;
}

static void expired(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	struct exchange *exchange = data;
	exchange->timed_out = true;
	finish(exchange);
}

static void release_exchange(struct exchange *exchange)
{
	if (exchange->connection)
		evhttp_connection_free(exchange->connection);
	if (exchange->dns)
		evdns_base_free(exchange->dns, 0);
	if (exchange->timer)
		event_free(exchange->timer);
	if (exchange->base)
		event_base_free(exchange->base);
	SSL_free(exchange->ssl);
}

static int connect_to(struct exchange *exchange, const struct target *target, unsigned timeout_ms,
	struct error *error)
{
	struct bufferevent *stream = NULL;
	struct in6_addr literal;
	bool here = review_host_kind(target->host) == HOST_LOOPBACK;
	bool is_address = network_parse_address(target->host, &literal) == 0;
	/* "localhost" is this machine whatever a name server says. */
	const char *host = here && !is_address ? "127.0.0.1" : target->host;

	exchange->base = event_base_new();
	if (!exchange->base)
		return error_set_errno(error, ENOMEM, "reviewer", "an event loop");
	if (!here && !is_address) {
		exchange->dns = evdns_base_new(exchange->base, EVDNS_BASE_INITIALIZE_NAMESERVERS);
		if (!exchange->dns)
			return error_set(error, EIO, "reviewer", "/etc/resolv.conf is of no use");
	}
	if (target->tls) {
		int r = review_tls_new(target->host, &exchange->ssl, error);
		if (r < 0)
			return r;
		SSL_up_ref(exchange->ssl);
		stream = bufferevent_openssl_socket_new(exchange->base, -1, exchange->ssl,
			BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
		if (!stream) {
			SSL_free(exchange->ssl);
			return error_set_errno(error, ENOMEM, "reviewer", "TLS");
		}
	}
	exchange->connection = evhttp_connection_base_bufferevent_new(
		exchange->base, exchange->dns, stream, host, (unsigned short)target->port);
	exchange->timer = evtimer_new(exchange->base, expired, exchange);
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	if (!exchange->connection || !exchange->timer || evtimer_add(exchange->timer, &limit) < 0)
		return error_set_errno(error, ENOMEM, "reviewer", "a connection");
	evhttp_connection_set_max_body_size(exchange->connection, MAX_REVIEW_ANSWER_BYTES);
	evhttp_connection_set_max_headers_size(exchange->connection, HEADERS_BYTES_MAX);
	return 0;
}

static int send_request(struct exchange *exchange, const struct target *target, const char *key,
	const char *body, struct error *error)
{
	struct evhttp_request *request = evhttp_request_new(answered, exchange);
	cleanup_free char *bearer = NULL;
	if (!request || (key && asprintf(&bearer, "Bearer %s", key) < 0)) {
		bearer = NULL;
		if (request)
			evhttp_request_free(request);
		return error_set_errno(error, ENOMEM, "reviewer", "a request");
	}
	evhttp_request_set_error_cb(request, failed);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	bool good =
		evhttp_add_header(headers, "Host", target->authority) == 0 &&
		evhttp_add_header(headers, "Content-Type", "application/json") == 0 &&
		evhttp_add_header(headers, "Accept", "application/json") == 0 &&
		evhttp_add_header(headers, "User-Agent", "coffer/" COFFER_VERSION) == 0 &&
		evhttp_add_header(headers, "Connection", "close") == 0 &&
		(!bearer || evhttp_add_header(headers, "Authorization", bearer) == 0) &&
		evbuffer_add(evhttp_request_get_output_buffer(request), body, strlen(body)) == 0;
	if (!good) {
		evhttp_request_free(request);
		return error_set(error, EINVAL, "reviewer", "the request cannot be put together");
	}
	/* From here on the request is the connection's, also where this fails. */
	if (evhttp_make_request(exchange->connection, request, EVHTTP_REQ_POST, target->path) < 0)
		return error_set(error, EIO, "reviewer", "no connection to %.200s", target->host);
	return 0;
}

/* What came of it, as an error where it is not an answer. */
static int judge(struct exchange *exchange, const struct target *target, struct error *error)
{
	if (exchange->timed_out)
		return error_set(error, ETIME, "reviewer", "it did not answer in time");
	if (exchange->too_long)
		return error_set(error, EMSGSIZE, "reviewer", "its answer is longer than %d bytes",
			MAX_REVIEW_ANSWER_BYTES);
	if (exchange->status == 200)
		return exchange->answer ? 0
					: error_set_errno(error, ENOMEM, "reviewer", "its answer");
	if (exchange->status >= 300 && exchange->status < 400)
		return error_set(error, EPROTO, "reviewer",
			"%.200s redirects (status %d), which is not followed", target->host,
			exchange->status);
	if (exchange->status)
		return error_set(error, EPROTO, "reviewer", "%.200s answers with status %d",
			target->host, exchange->status);
	char reason[256] = "";
	if (exchange->ssl) {
		struct bufferevent *stream =
			evhttp_connection_get_bufferevent(exchange->connection);
		review_tls_reason(exchange->ssl, bufferevent_get_openssl_error(stream), reason,
			sizeof(reason));
	}
	return error_set(error, ECONNABORTED, "reviewer", "no whole answer from %.200s:%d%s%s",
		target->host, target->port, *reason ? ": " : "", reason);
}

int review_post(const char *url, const char *key, const char *body, unsigned timeout_ms,
	char **ret_answer, size_t *ret_length_bytes, struct error *error)
{
	struct target target = {0};
	struct exchange exchange = {0};
	/* The TLS library writes with write(2), and a server may hang up at any time. */
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	sigaction(SIGPIPE, &ignore, &before);
	*ret_answer = NULL;
	int r = parse_target(url, &target, error);
	if (r == 0)
		r = connect_to(&exchange, &target, timeout_ms, error);
	if (r == 0)
		r = send_request(&exchange, &target, key, body, error);
	if (r == 0) {
		while (!exchange.done && event_base_loop(exchange.base, EVLOOP_ONCE) == 0)
			;
		r = judge(&exchange, &target, error);
	}
	if (r == 0) {
		*ret_answer = steal_pointer(&exchange.answer);
		*ret_length_bytes = exchange.length_bytes;
	}
	free(exchange.answer);
	release_exchange(&exchange);
	release_target(&target);
	sigaction(SIGPIPE, &before, NULL);
	return r;
}

/* ---- the reviewer ---- */

static int find_key(const char *variable, const char **ret, struct error *error)
{
	*ret = variable ? getenv(variable) : NULL;
	if (!variable)
		return 0;
	if (!*ret || !**ret)
		return error_set(error, ENOENT, "reviewer",
			"the variable %.100s, which is to hold its key, is not set", variable);
	for (const char *c = *ret; *c; c++)
		if (*c <= ' ' || *c > '~')
			return error_set(error, EINVAL, "reviewer",
				"the variable %.100s holds what no key has (a blank, a line end)",
				variable);
	return 0;
}

int review_by_http(const struct config_reviewer *reviewer, const char *json, struct review *ret,
	struct error *error)
{
	const char *key;
	size_t length;
	cleanup_free char *body = NULL, *answer = NULL, *content = NULL;
	int r = find_key(reviewer->key_variable, &key, error);
	if (r == 0)
		r = review_prompt(reviewer->model ? reviewer->model : "", json, &body, error);
	if (r == 0)
		r = review_post(reviewer->url, key, body,
			reviewer->timeout_ms < UINT_MAX ? (unsigned)reviewer->timeout_ms : UINT_MAX,
			&answer, &length, error);
	if (r == 0)
		r = review_completion(answer, length, &content, error);
	return r == 0 ? review_answer_parse(content, strlen(content), ret, error) : r;
}
