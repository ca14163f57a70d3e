/* Theory of operation: TLS to a host that is inspected is two connections of TLS. The client's ends
 * here, with a leaf of the box's authority; the server's begins here, and this process verifies it
 * as the client would have: against the host's roots (and the policy's), for the name that the
 * connection is for, at the time of day. Between the two, http.c reads requests.
 *
 * The client's ClientHello has been read before anybody knew that it would be inspected. It is not
 * put back: OpenSSL reads through a filter BIO that first gives out what is pending and then passes
 * every read on to the socket. So the bufferevent stays one of a socket, without another layer of
 * buffers, and the handshake runs (and fails) from the event loop as any other.
 *
 * Only HTTP/1.1 is spoken, to either side: that is what http.c can read. A client that insists on
 * HTTP/2 is told so by ALPN's own alert. Nothing is resumed: a session made for one name could be
 * brought back under another. Revocation (OCSP, CRLs) is not asked for, as most clients do not. */
#include "egress/authority.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "policy/trust.h"

#include <event2/bufferevent_ssl.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

enum {
	FAILURE_BYTES = 192, /* as struct egress_record has */
	HANDSHAKE_BYTES_MAX =
		256 * 1024, /* a server's certificates; OpenSSL's own bound is lower */
};
static const unsigned char alpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/* ---- the roots ---- */

/* Up to `most` certificates of the text go into the store; *ret_count: how many did. -EBADMSG: it
 * holds none, or one that is broken. */
static int parse_bundle(X509_STORE *store, const char *pem, size_t most, size_t *ret_count)
{
	BIO *memory = BIO_new_mem_buf(pem, -1);
	X509 *certificate = NULL;
	*ret_count = 0;
	while (memory && *ret_count < most &&
		(certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL))) {
		*ret_count += X509_STORE_add_cert(store, certificate) == 1;
		X509_free(certificate);
	}
	/* It ends where nothing begins any more; anything else is a broken certificate. */
	bool whole = memory && (*ret_count == most || ERR_GET_REASON(ERR_peek_last_error()) ==
							      PEM_R_NO_START_LINE);
	BIO_free(memory);
	ERR_clear_error();
	return whole && *ret_count > 0 ? 0 : -EBADMSG;
}

/* A file that a person named; *ret_pem: its text. */
static int load_named(X509_STORE *store, const char *path, const char *who, size_t most,
	char **ret_pem, struct error *error)
{
	size_t count = 0;
	int r = fd_read_file(AT_FDCWD, path, TRUST_BUNDLE_BYTES_MAX, ret_pem, NULL);
	if (r < 0)
		error_set_errno(error, -r, "egress", "%s: %s", who, path);
	else
		r = parse_bundle(store, *ret_pem, most, &count);
	if (r == -EBADMSG && count == 0)
		error_set(error, EBADMSG, "egress", "%s: there is no certificate (PEM) in %s", who,
			path);
	else if (r == -EBADMSG)
		error_set(error, EBADMSG, "egress", "%s: certificate %zu of %s cannot be read", who,
			count + 1, path);
	if (r < 0)
		error_hint(error, "name a file of PEM certificates that can be read");
	return r;
}

/* Of a bundle of the whole world's authorities only the first is parsed at the start: all of them
 * take 25 ms, which the box need not wait for. The rest follows when the event loop first has
 * nothing else to do, or at the first use; what is broken there is not trusted. */
static void parse_roots(struct authority *authority)
{
	size_t count;
	if (authority->roots_pem)
		parse_bundle(SSL_CTX_get_cert_store(authority->servers), authority->roots_pem,
			SIZE_MAX, &count);
	free(authority->roots_pem);
	authority->roots_pem = NULL;
}

static void on_idle(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	parse_roots(context);
}

static int parse_when_idle(struct authority *authority, struct event_base *base)
{
	static const struct timeval now;
	if (!base || !authority->roots_pem)
		return 0;
	authority->roots_event = evtimer_new(base, on_idle, authority);
	if (!authority->roots_event ||
		event_priority_set(authority->roots_event, event_base_get_npriorities(base) - 1) <
			0 ||
		evtimer_add(authority->roots_event, &now) < 0)
		return -ENOMEM;
	return 0;
}

static int load_host_bundle(X509_STORE *store, char **ret_pem)
{
	int r = -ENOENT;
	size_t count;
	for (const char *const *path = trust_bundles(); r < 0 && *path; path++) {
		r = fd_read_file(AT_FDCWD, *path, TRUST_BUNDLE_BYTES_MAX, ret_pem, NULL);
		if (r == 0)
			r = parse_bundle(store, *ret_pem, 1, &count);
		if (r < 0)
			free(steal_pointer(ret_pem));
	}
	return r;
}

static int load_roots(const struct egress *egress, struct authority *authority, struct error *error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(authority->servers);
	const char *chosen = getenv("SSL_CERT_FILE");
	const char *upstream_ca = egress->policy.upstream_ca;
	int r;
	if (chosen && *chosen) {
		r = load_named(store, chosen, "SSL_CERT_FILE", 1, &authority->roots_pem, error);
	} else {
		r = load_host_bundle(store, &authority->roots_pem);
		if (r < 0) {
			error_set(error, ENOENT, "egress",
				"TLS is to be inspected, but this host has no certificate "
				"authorities to verify servers with");
			error_hint(error, "install the package ca-certificates, or name a bundle "
					  "by SSL_CERT_FILE or --upstream-ca");
		}
		/* With an authority of the policy's own, a host without any may be meant so. */
		r = upstream_ca ? 0 : r;
	}
	cleanup_free char *pem = NULL;
	if (r == 0 && upstream_ca)
		r = load_named(store, upstream_ca, "--upstream-ca", SIZE_MAX, &pem, error);
	if (r == 0 && parse_when_idle(authority, egress->base) < 0)
		r = error_set_errno(error, ENOMEM, "egress", "certificate authorities");
	return r;
}

/* ---- the two contexts ---- */

/* Before the certificate is chosen: the name that is asked for must be the connection's. */
static int on_server_name(SSL *ssl, int *alert, void *context)
{
	const struct connection *connection = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)context;
	if (connection && name && strcasecmp(name, connection->name) == 0)
		return SSL_TLSEXT_ERR_OK;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_length,
	const unsigned char *offered, unsigned offered_length, void *context)
{
	(void)ssl;
	(void)context;
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, ret_length, alpn, sizeof(alpn), offered,
		    offered_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);
	if (!context)
		return NULL;
	SSL_CTX_set_security_level(context, 2);
	SSL_CTX_set_options(
		context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* What libevent does with the buffers that it writes from needs the second. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_set_max_cert_list(context, HANDSHAKE_BYTES_MAX);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set_num_tickets(context, 0) == 1)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

int inspect_contexts_new(
	const struct egress *egress, struct authority *authority, struct error *error)
{
	authority->clients = context_new(TLS_server_method());
	authority->servers = context_new(TLS_client_method());
	if (!authority->clients || !authority->servers ||
		SSL_CTX_set_alpn_protos(authority->servers, alpn, sizeof(alpn)) != 0)
		return error_set_errno(error, ENOMEM, "egress", "TLS");
	SSL_CTX_set_tlsext_servername_callback(authority->clients, on_server_name);
	SSL_CTX_set_alpn_select_cb(authority->clients, on_alpn, NULL);
	SSL_CTX_set_verify(authority->servers, SSL_VERIFY_PEER, NULL);
	return load_roots(egress, authority, error);
}

/* ---- reading what is pending first ---- */

static int pending_read(BIO *bio, char *data, size_t length, size_t *ret_length)
{
	struct evbuffer *pending = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (evbuffer_get_length(pending) > 0) {
		int n = evbuffer_remove(pending, data, length);
		*ret_length = n > 0 ? (size_t)n : 0;
		return n > 0;
	}
	int r = BIO_read_ex(BIO_next(bio), data, length, ret_length);
	BIO_copy_next_retry(bio);
	return r;
}

static int pending_write(BIO *bio, const char *data, size_t length, size_t *ret_length)
{
	BIO_clear_retry_flags(bio);
	int r = BIO_write_ex(BIO_next(bio), data, length, ret_length);
	BIO_copy_next_retry(bio);
	return r;
}

static long pending_control(BIO *bio, int command, long number, void *pointer)
{
	if (command == BIO_CTRL_EOF && evbuffer_get_length(BIO_get_data(bio)) > 0)
		return 0;
	return BIO_next(bio) ? BIO_ctrl(BIO_next(bio), command, number, pointer) : 0;
}

static int pending_destroy(BIO *bio)
{
	if (BIO_get_data(bio))
		evbuffer_free(BIO_get_data(bio));
	BIO_set_data(bio, NULL);
	return 1;
}

static const BIO_METHOD *pending_method(void)
{
	static BIO_METHOD *method; /* one for the process, as BIO types are */
	if (method)
		return method;
	BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_FILTER, "pending");
	if (made && BIO_meth_set_read_ex(made, pending_read) &&
		BIO_meth_set_write_ex(made, pending_write) &&
		BIO_meth_set_ctrl(made, pending_control) &&
		BIO_meth_set_destroy(made, pending_destroy))
		return method = made;
	BIO_meth_free(made);
	return NULL;
}

/* A BIO over fd (borrowed) that gives out pending (taken over, even on failure) first. */
static BIO *pending_bio(int fd, struct evbuffer *pending)
{
	const BIO_METHOD *method = pending_method();
	BIO *bio = method ? BIO_new(method) : NULL;
	BIO *socket = BIO_new_socket(fd, BIO_NOCLOSE);
	if (!bio || !socket || !pending) {
		BIO_free(bio);
		BIO_free(socket);
		if (pending)
			evbuffer_free(pending);
		return NULL;
	}
	BIO_set_data(bio, pending);
	BIO_set_init(bio, 1);
	return BIO_push(bio, socket);
}

/* ---- the client's side ---- */

struct inspection {
	struct connection *connection;
	struct bufferevent *client;
	struct event *timer;
};

static void release(void *handler)
{
	struct inspection *inspection = handler;
	if (inspection->client)
		bufferevent_free(inspection->client);
	if (inspection->timer)
		event_free(inspection->timer);
	free(inspection);
}

/* Why a client broke the handshake off, or was broken off with. */
static const char *client_failure(struct bufferevent *client)
{
	unsigned long code = bufferevent_get_openssl_error(client);
	switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return "the client does not trust the box's certificate authority";
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return "the client insists on another protocol than HTTP/1.1";
	case SSL_R_UNSUPPORTED_PROTOCOL:
		return "the client speaks no TLS newer than 1.1";
	case SSL_R_CALLBACK_FAILED:
		return "the client names another server than the connection is to";
	case 0:
		return "the client left in the TLS handshake";
	default:
		return ERR_reason_error_string(code) ?: "the client's TLS cannot be understood";
	}
}

static void on_client_event(struct bufferevent *client, short events, void *context)
{
	struct inspection *inspection = context;
	struct connection *connection = inspection->connection;
	if (!(events & BEV_EVENT_CONNECTED)) {
		connection_refuse(connection, EPROTO, "%s", client_failure(client));
		return;
	}
	const struct http_options options = {.client = client, .tls = true};
	inspection->client = NULL;
	bufferevent_setcb(client, NULL, NULL, NULL, NULL);
	http_run(connection, &options);
}

static void on_timer(evutil_socket_t fd, short events, void *context)
{
	struct inspection *inspection = context;
	(void)fd;
	(void)events;
	connection_refuse(inspection->connection, ETIMEDOUT,
		"the client did not complete the TLS handshake in time");
}

/* The client's end of TLS; connection->client and connection->pending are taken over with it. */
static struct bufferevent *client_new(struct connection *connection)
{
	struct authority *authority = connection->egress->authority;
	X509 *leaf = authority_leaf(authority, connection->name);
	SSL *ssl = leaf ? SSL_new(authority->clients) : NULL;
	if (!ssl)
		return NULL;
	struct evbuffer *pending = connection->pending ?: evbuffer_new();
	connection->pending = NULL;
	BIO *bio = pending_bio(connection->client, pending);
	if (!bio || SSL_use_certificate(ssl, leaf) != 1 ||
		SSL_use_PrivateKey(ssl, authority->leaf_key) != 1) {
		BIO_free_all(bio);
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_app_data(ssl, connection);
	SSL_set_bio(ssl, bio, bio);
	struct bufferevent *client = bufferevent_openssl_socket_new(connection->egress->base,
		connection->client, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (!client)
		return NULL; /* ssl went with it */
	connection->client = -1;
	/* Many clients just close; what they had to say was framed. */
	bufferevent_openssl_set_allow_dirty_shutdown(client, 1);
	return client;
}

void inspect_start(struct connection *connection)
{
	const struct timeval patience = {
		.tv_sec = EGRESS_PEEK_MS / 1000, .tv_usec = EGRESS_PEEK_MS % 1000 * 1000};
	if (!connection->egress->authority || !connection->name[0]) {
		connection_refuse(connection, EACCES,
			"TLS to this target is to be inspected, and there is no way to");
		return;
	}
	struct inspection *inspection = calloc(1, sizeof(*inspection));
	if (!inspection) {
		connection_refuse(connection, ENOMEM, "no memory");
		return;
	}
	inspection->connection = connection;
	connection_set_handler(connection, inspection, release);
	inspection->timer = evtimer_new(connection->egress->base, on_timer, inspection);
	inspection->client = client_new(connection);
	if (!inspection->timer || !inspection->client ||
		evtimer_add(inspection->timer, &patience) < 0) {
		ERR_clear_error();
		connection_refuse(connection, ENOMEM, "no memory");
		return;
	}
	bufferevent_setcb(inspection->client, NULL, NULL, on_client_event, inspection);
	bufferevent_enable(inspection->client, EV_READ | EV_WRITE);
}

/* ---- the server's side ---- */

/* What inspect_failure() said once: OpenSSL forgets its errors by telling them. */
static void free_failure(
	void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *argument)
{
	(void)parent, (void)data, (void)index, (void)number, (void)argument;
	free(pointer);
}

static int failure_index(void)
{
	static int index = -1;
	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_failure);
	return index;
}

struct bufferevent *inspect_server(struct connection *connection)
{
	struct authority *authority = connection->egress->authority;
	SSL *ssl = authority && connection->name[0] ? SSL_new(authority->servers) : NULL;
	if (!ssl)
		return NULL;
	parse_roots(authority);
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	char *failure = calloc(1, FAILURE_BYTES);
	if (!failure || failure_index() < 0 || !SSL_set_ex_data(ssl, failure_index(), failure)) {
		free(failure);
		SSL_free(ssl);
		return NULL;
	}
	if (X509_VERIFY_PARAM_set1_host(param, connection->name, 0) != 1 ||
		SSL_set_tlsext_host_name(ssl, connection->name) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	struct bufferevent *server = bufferevent_openssl_socket_new(connection->egress->base,
		connection->server, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (server)
		connection->server = -1;
	return server;
}

static void describe_certificate(long result, const char *name, char ret[FAILURE_BYTES])
{
	switch (result) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		snprintf(ret, FAILURE_BYTES, "the certificate of %.80s has expired", name);
		return;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		snprintf(ret, FAILURE_BYTES, "the certificate of %.80s is not valid yet", name);
		return;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		snprintf(ret, FAILURE_BYTES, "the server's certificate is not for %.80s", name);
		return;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		snprintf(ret, FAILURE_BYTES, "the certificate of %.80s is self-signed", name);
		return;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		snprintf(ret, FAILURE_BYTES,
			"the certificate of %.80s is of an authority that the host does not trust",
			name);
		return;
	default:
		snprintf(ret, FAILURE_BYTES, "the certificate of %.80s was not accepted: %.60s",
			name, X509_verify_cert_error_string(result));
	}
}

static void describe_handshake(unsigned long code, const char *name, char ret[FAILURE_BYTES])
{
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_UNSUPPORTED_PROTOCOL:
		snprintf(ret, FAILURE_BYTES, "%.80s speaks no TLS newer than 1.1", name);
		return;
	case SSL_R_WRONG_VERSION_NUMBER:
		snprintf(ret, FAILURE_BYTES, "%.80s does not speak TLS on this port", name);
		return;
	case SSL_R_TLSV1_UNRECOGNIZED_NAME:
		snprintf(ret, FAILURE_BYTES, "the server does not know the name %.80s", name);
		return;
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
		snprintf(ret, FAILURE_BYTES, "%.80s does not speak HTTP/1.1", name);
		return;
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		snprintf(ret, FAILURE_BYTES, "%.80s asks for a client certificate", name);
		return;
	}
	if (reason)
		snprintf(ret, FAILURE_BYTES, "TLS with %.80s failed: %.50s", name, reason);
	else
		snprintf(ret, FAILURE_BYTES, "%.80s left in the TLS handshake", name);
}

const char *inspect_failure(struct bufferevent *bufferevent)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bufferevent);
	char *failure = ssl ? SSL_get_ex_data(ssl, failure_index()) : NULL;
	if (!failure)
		return "TLS failed";
	if (failure[0])
		return failure;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ?: "the server";
	long result = SSL_get_verify_result(ssl);
	if (result != X509_V_OK)
		describe_certificate(result, name, failure);
	else
		describe_handshake(bufferevent_get_openssl_error(bufferevent), name, failure);
	return failure;
}
