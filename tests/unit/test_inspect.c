/* Inspected TLS, both sides, against real TLS peers over sockets: the peers run in threads of their
 * own and block, what is tested runs in an event loop here. */
#include "base/cleanup.h"
#include "egress/authority.h"

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct egress egress;
static EVP_PKEY *root_key;
static X509 *root;
static char root_path[] = "/tmp/coffer-test-root-XXXXXX";

/* ---- fakes of the process's other parts ---- */

static struct {
	char reason[192];
	int errno_value;
	bool ran, tls;
	struct bufferevent *client;
	char got[64];
} seen;

void connection_set_handler(
	struct connection *connection, void *handler, void (*release)(void *handler))
{
	void (*old)(void *) = connection->release;
	connection->release = NULL;
	if (old)
		old(connection->handler);
	connection->handler = handler;
	connection->release = release;
}

void connection_refuse(struct connection *connection, int errno_value, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(seen.reason, sizeof(seen.reason), format, args);
	va_end(args);
	seen.errno_value = errno_value;
	connection_set_handler(connection, NULL, NULL);
	close_fd(&connection->client);
	event_base_loopbreak(egress.base);
}

static void on_read(struct bufferevent *bufferevent, void *context)
{
	(void)context;
	int n = (int)bufferevent_read(bufferevent, seen.got, sizeof(seen.got) - 1);
	seen.got[n] = '\0';
	bufferevent_write(bufferevent, "pong", 4);
}

static void on_end(struct bufferevent *bufferevent, short events, void *context)
{
	(void)bufferevent;
	(void)context;
	if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		event_base_loopbreak(egress.base);
}

void http_run(struct connection *connection, const struct http_options *options)
{
	connection_set_handler(connection, NULL, NULL);
	seen.ran = true;
	seen.tls = options->tls;
	seen.client = options->client;
	bufferevent_setcb(options->client, on_read, NULL, on_end, NULL);
	bufferevent_enable(options->client, EV_READ | EV_WRITE);
}

static void on_patience(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	(void)context;
	event_base_loopbreak(egress.base);
}

/* Until something breaks the loop, or nothing happened for long. */
static void run_loop(void)
{
	const struct timeval patience = {.tv_sec = 30};
	struct event *timer = evtimer_new(egress.base, on_patience, NULL);
	evtimer_add(timer, &patience);
	event_base_dispatch(egress.base);
	event_free(timer);
}

/* ---- certificates ---- */

static void add(X509 *certificate, X509 *issuer, int nid, const char *text)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
	assert_non_null(extension);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

/* names: SANs as text; NULL: an authority. issuer NULL: signed by itself. */
static X509 *certificate_for(const char *names, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
	long from_s, long to_s)
{
	static long serial;
	X509 *certificate = X509_new();
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
	X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
	X509_set_pubkey(certificate, key);
	char name[32];
	snprintf(name, sizeof(name), "%s %ld", names ? "server" : "authority", serial);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(issuer ?: certificate));
	if (names)
		add(certificate, issuer ?: certificate, NID_subject_alt_name, names);
	else
		add(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(certificate, issuer_key ?: key, EVP_sha256()) > 0);
	return certificate;
}

/* ---- a server ---- */

struct server {
	SSL_CTX *context; /* NULL: one that does not speak TLS */
	int listener;
	pthread_t thread;
	char name[64], protocol[16];
};

static void *serve(void *argument)
{
	struct server *server = argument;
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	if (!server->context) {
		send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
	} else {
		SSL *ssl = SSL_new(server->context);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			char data[16];
			const unsigned char *protocol;
			unsigned length;
			snprintf(server->name, sizeof(server->name), "%s",
				SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ?: "");
			SSL_get0_alpn_selected(ssl, &protocol, &length);
			snprintf(server->protocol, sizeof(server->protocol), "%.*s", (int)length,
				protocol ? (const char *)protocol : "");
			if (SSL_read(ssl, data, sizeof(data)) == 4)
				SSL_write(ssl, "pong", 4);
			SSL_shutdown(ssl);
		}
		SSL_free(ssl);
	}
	close(fd);
	return NULL;
}

static int server_start(struct server *server)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(server->listener, 1), 0);
	getsockname(server->listener, (struct sockaddr *)&address, &length);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	evutil_make_socket_nonblocking(fd);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	return fd;
}

static void on_server_event(struct bufferevent *server, short events, void *context)
{
	(void)context;
	if (events & BEV_EVENT_CONNECTED) {
		seen.ran = true;
		bufferevent_write(server, "ping", 4);
		return;
	}
	if (!seen.ran) {
		snprintf(seen.reason, sizeof(seen.reason), "%s", inspect_failure(server));
		assert_string_equal(inspect_failure(server), seen.reason);
	}
	event_base_loopbreak(egress.base);
}

static void on_answer(struct bufferevent *server, void *context)
{
	(void)context;
	int n = (int)bufferevent_read(server, seen.got, sizeof(seen.got) - 1);
	seen.got[n] = '\0';
}

/* Through inspect_server() to a server, as www.good.example. */
static void reach(struct server *server)
{
	struct connection connection = {
		.egress = &egress, .client = -1, .name = "www.good.example"};
	memset(&seen, 0, sizeof(seen));
	connection.server = server_start(server);
	struct bufferevent *bufferevent = inspect_server(&connection);
	assert_non_null(bufferevent);
	assert_int_equal(connection.server, -1);
	bufferevent_setcb(bufferevent, on_answer, NULL, on_server_event, NULL);
	bufferevent_enable(bufferevent, EV_READ | EV_WRITE);
	run_loop();
	bufferevent_free(bufferevent);
	pthread_join(server->thread, NULL);
	close(server->listener);
}

static SSL_CTX *server_context(X509 *certificate, EVP_PKEY *key)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

static const long day = 24 * 3600;

static void expect_server(
	const char *names, bool self_signed, long from_s, long to_s, const char *says)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = certificate_for(
		names, key, self_signed ? NULL : root, self_signed ? NULL : root_key, from_s, to_s);
	struct server server = {.context = server_context(certificate, key)};
	reach(&server);
	SSL_CTX_free(server.context);
	if (!says) {
		assert_string_equal(seen.reason, "");
		assert_string_equal(seen.got, "pong");
		assert_string_equal(server.name, "www.good.example");
		return;
	}
	assert_false(seen.ran);
	assert_string_equal(seen.got, "");
	if (!strstr(seen.reason, says))
		fail_msg("'%s' does not say '%s'", seen.reason, says);
}

static void servers_are_verified(void **state)
{
	(void)state;
	expect_server("DNS:www.good.example", false, -day, day, NULL);
	expect_server("DNS:other.example,DNS:www.good.example", false, -day, day, NULL);
	expect_server("DNS:*.good.example", false, -day, day, NULL);
	expect_server("DNS:www.good.example", false, -2 * day, -day,
		"certificate of www.good.example has expired");
	expect_server("DNS:www.good.example", false, day, 2 * day, "is not valid yet");
	expect_server("DNS:bad.example", false, -day, day, "is not for www.good.example");
	expect_server("DNS:w*.good.example", false, -day, day, "is not for www.good.example");
	expect_server("DNS:*.www.good.example", false, -day, day, "is not for www.good.example");
	expect_server("IP:127.0.0.1", false, -day, day, "is not for www.good.example");
	expect_server("DNS:www.good.example", true, -day, day, "is self-signed");
}

static void strange_authorities_are_refused(void **state)
{
	(void)state;
	EVP_PKEY *strange_key = EVP_EC_gen("P-256");
	X509 *strange = certificate_for(NULL, strange_key, NULL, NULL, -day, day);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct server server = {
		.context = server_context(certificate_for("DNS:www.good.example", key, strange,
						  strange_key, -day, day),
			key)};
	reach(&server);
	assert_non_null(strstr(seen.reason, "authority that the host does not trust"));
	/* The box's own authority vouches for nothing outside. */
	SSL_CTX_free(server.context);
	key = EVP_EC_gen("P-256");
	server.context = server_context(
		certificate_for("DNS:www.good.example", key, egress.authority->certificate,
			egress.authority->key, -day, day),
		key);
	reach(&server);
	assert_non_null(strstr(seen.reason, "authority that the host does not trust"));
	SSL_CTX_free(server.context);
	X509_free(strange);
	EVP_PKEY_free(strange_key);
}

static SSL_CTX *good_context(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	return server_context(
		certificate_for("DNS:www.good.example", key, root, root_key, -day, day), key);
}

static int choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_length,
	const unsigned char *offered, unsigned offered_length, void *context)
{
	(void)ssl;
	const char *wanted = context;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)ret, ret_length,
		       (const unsigned char *)wanted, (unsigned)strlen(wanted), offered,
		       offered_length) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void versions_and_protocols_are_settled(void **state)
{
	(void)state;
	struct server server = {.context = good_context()};
	SSL_CTX_set_alpn_select_cb(server.context, choose, (char[]){"\x02h2\x08http/1.1"});
	reach(&server);
	assert_string_equal(seen.got, "pong");
	assert_string_equal(server.protocol, "http/1.1");
	SSL_CTX_set_alpn_select_cb(server.context, choose, (char[]){"\x02h2"});
	reach(&server);
	assert_string_equal(seen.reason, "www.good.example does not speak HTTP/1.1");
	SSL_CTX_free(server.context);

	server.context = good_context();
	SSL_CTX_set_max_proto_version(server.context, TLS1_2_VERSION);
	reach(&server);
	assert_string_equal(seen.got, "pong");
	SSL_CTX_set_security_level(server.context, 0);
	SSL_CTX_set_min_proto_version(server.context, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(server.context, TLS1_1_VERSION);
	reach(&server);
	assert_string_equal(seen.reason, "www.good.example speaks no TLS newer than 1.1");
	SSL_CTX_free(server.context);

	server.context = NULL;
	reach(&server);
	assert_string_equal(seen.reason, "www.good.example does not speak TLS on this port");
}

/* ---- a client ---- */

struct client {
	int fd;
	size_t piece_bytes; /* what it writes at once */
	const char *name, *alpn;
	bool trusts_nobody, leaves;
	int version;
	pthread_t thread;
	/* what came of it */
	bool connected, resumable;
	char protocol[16], got[16];
};

static bool flush(SSL *ssl, const struct client *client)
{
	char data[1024];
	int n;
	while ((n = BIO_read(SSL_get_wbio(ssl), data,
			(int)(client->piece_bytes < sizeof(data) ? client->piece_bytes
								 : sizeof(data)))) > 0) {
		if (send(client->fd, data, (size_t)n, MSG_NOSIGNAL) != n)
			return false;
		if (client->piece_bytes < sizeof(data))
			usleep(50);
	}
	return true;
}

/* Until the call succeeds or TLS fails. */
static int drive(SSL *ssl, const struct client *client, int (*call)(SSL *ssl, void *data, int n),
	void *data, int n)
{
	for (;;) {
		char wire[4096];
		int r = call(ssl, data, n);
		bool flushed = flush(ssl, client);
		if (r > 0)
			return r;
		if (SSL_get_error(ssl, r) != SSL_ERROR_WANT_READ || !flushed)
			return -1;
		ssize_t got = recv(client->fd, wire, sizeof(wire), 0);
		if (got <= 0)
			return -1;
		BIO_write(SSL_get_rbio(ssl), wire, (int)got);
	}
}

static int call_connect(SSL *ssl, void *data, int n)
{
	(void)data;
	(void)n;
	return SSL_connect(ssl);
}

static int call_read(SSL *ssl, void *data, int n)
{
	return SSL_read(ssl, data, n);
}

static int call_write(SSL *ssl, void *data, int n)
{
	return SSL_write(ssl, data, n);
}

static void *ask(void *argument)
{
	struct client *client = argument;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	BIO *memory = BIO_new_mem_buf(authority_pem(egress.authority), -1);
	X509 *certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL);
	BIO_free(memory);
	if (!client->trusts_nobody)
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
	X509_free(certificate);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (client->version) {
		SSL_CTX_set_security_level(context, 0);
		SSL_CTX_set_max_proto_version(context, client->version);
	}
	SSL *ssl = SSL_new(context);
	if (client->name) {
		SSL_set_tlsext_host_name(ssl, client->name);
		SSL_set1_host(ssl, client->name);
	}
	if (client->alpn)
		SSL_set_alpn_protos(
			ssl, (const unsigned char *)client->alpn, (unsigned)strlen(client->alpn));
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
	if (client->leaves) {
		SSL_connect(ssl);
		flush(ssl, client);
	} else {
		client->connected = drive(ssl, client, call_connect, NULL, 0) > 0;
	}
	if (client->connected && drive(ssl, client, call_write, (char[]){"ping"}, 4) == 4 &&
		drive(ssl, client, call_read, client->got, sizeof(client->got) - 1) > 0) {
		const unsigned char *protocol;
		unsigned length;
		SSL_get0_alpn_selected(ssl, &protocol, &length);
		snprintf(client->protocol, sizeof(client->protocol), "%.*s", (int)length,
			protocol ? (const char *)protocol : "");
		client->resumable = SSL_SESSION_is_resumable(SSL_get_session(ssl));
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(client->fd);
	return NULL;
}

/* A client that speaks to inspect_start() for www.good.example, of whose first words `pending`
 * bytes have been read before. */
static void inspect(struct client *client, size_t pending)
{
	int ends[2];
	memset(&seen, 0, sizeof(seen));
	client->connected = client->resumable = false;
	memset(client->protocol, 0, sizeof(client->protocol));
	memset(client->got, 0, sizeof(client->got));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	client->fd = ends[0];
	struct connection *connection = calloc(1, sizeof(*connection));
	*connection = (struct connection){
		.egress = &egress, .client = ends[1], .server = -1, .name = "www.good.example"};
	if (client->piece_bytes == 0)
		client->piece_bytes = 1 << 20;
	assert_int_equal(pthread_create(&client->thread, NULL, ask, client), 0);
	if (pending > 0) {
		char data[1024];
		assert_true(pending <= sizeof(data));
		connection->pending = evbuffer_new();
		ssize_t n = recv(ends[1], data, pending, MSG_WAITALL);
		assert_int_equal(n, pending);
		evbuffer_add(connection->pending, data, (size_t)n);
	}
	evutil_make_socket_nonblocking(ends[1]);
	inspect_start(connection);
	if (seen.reason[0] == '\0')
		run_loop();
	if (seen.client)
		bufferevent_free(seen.client);
	assert_int_equal(connection->client, -1);
	assert_null(connection->pending);
	pthread_join(client->thread, NULL);
	free(connection);
}

static void expect_asked(const struct client *client)
{
	assert_string_equal(seen.reason, "");
	assert_true(seen.ran && seen.tls && client->connected);
	assert_string_equal(seen.got, "ping");
	assert_string_equal(client->got, "pong");
	assert_false(client->resumable);
}

static void what_is_pending_is_not_lost(void **state)
{
	(void)state;
	static const size_t pendings[] = {0, 1, 4, 5, 6, 43, 100, 150};
	static const int versions[] = {0, TLS1_2_VERSION};
	for (size_t i = 0; i < ARRAY_SIZE(pendings); i++)
		for (size_t j = 0; j < ARRAY_SIZE(versions); j++) {
			struct client client = {.name = "www.good.example", .version = versions[j]};
			inspect(&client, pendings[i]);
			expect_asked(&client);
		}
}

static void a_hello_may_come_in_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 20; piece += 6) {
		struct client client = {.name = "www.good.example", .piece_bytes = piece};
		inspect(&client, piece == 1 ? 0 : 3);
		expect_asked(&client);
	}
}

static void only_http_1_1_is_agreed_on(void **state)
{
	(void)state;
	struct client client = {.name = "www.good.example", .alpn = "\x02h2\x08http/1.1"};
	inspect(&client, 5);
	expect_asked(&client);
	assert_string_equal(client.protocol, "http/1.1");
	client.alpn = NULL;
	inspect(&client, 5);
	expect_asked(&client);
	assert_string_equal(client.protocol, "");
	client.alpn = "\x02h2";
	inspect(&client, 5);
	assert_false(client.connected);
	assert_string_equal(seen.reason, "the client insists on another protocol than HTTP/1.1");
}

static void expect_refused(struct client *client, const char *reason)
{
	inspect(client, 5);
	assert_false(seen.ran);
	assert_string_equal(client->got, "");
	assert_string_equal(seen.reason, reason);
}

static void clients_are_held_to_their_name(void **state)
{
	(void)state;
	struct client client = {.name = "WWW.good.example"};
	inspect(&client, 5);
	expect_asked(&client);
	client.name = "other.example";
	expect_refused(&client, "the client names another server than the connection is to");
	client.name = NULL;
	expect_refused(&client, "the client names another server than the connection is to");
}

static void clients_that_cannot_be_inspected_are_told_of(void **state)
{
	(void)state;
	struct client client = {.name = "www.good.example", .trusts_nobody = true};
	expect_refused(&client, "the client does not trust the box's certificate authority");
	client = (struct client){.name = "www.good.example", .version = TLS1_1_VERSION};
	expect_refused(&client, "the client speaks no TLS newer than 1.1");
	client = (struct client){.name = "www.good.example", .leaves = true};
	expect_refused(&client, "the client left in the TLS handshake");
}

static void without_an_authority_nothing_goes_on(void **state)
{
	(void)state;
	struct authority *authority = egress.authority;
	struct connection connection = {.egress = &egress, .client = -1, .server = -1};
	memset(&seen, 0, sizeof(seen));
	inspect_start(&connection);
	assert_int_equal(seen.errno_value, EACCES);
	egress.authority = NULL;
	seen.errno_value = 0;
	strcpy(connection.name, "www.good.example");
	inspect_start(&connection);
	assert_int_equal(seen.errno_value, EACCES);
	assert_null(inspect_server(&connection));
	egress.authority = authority;
	connection.name[0] = '\0';
	assert_null(inspect_server(&connection));
}

static int set_up(void **state)
{
	(void)state;
	struct error error = {0};
	signal(SIGPIPE, SIG_IGN);
	root_key = EVP_EC_gen("P-256");
	root = certificate_for(NULL, root_key, NULL, NULL, -10 * day, 10 * day);
	FILE *file = fdopen(mkstemp(root_path), "w");
	PEM_write_X509(file, root);
	fclose(file);
	setenv("SSL_CERT_FILE", root_path, 1);
	egress.base = event_base_new();
	if (authority_new(&egress, &egress.authority, &error) < 0) {
		print_error("%s\n", error.message);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(root_path);
	authority_free(egress.authority);
	event_base_free(egress.base);
	X509_free(root);
	EVP_PKEY_free(root_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_are_verified),
		cmocka_unit_test(strange_authorities_are_refused),
		cmocka_unit_test(versions_and_protocols_are_settled),
		cmocka_unit_test(what_is_pending_is_not_lost),
		cmocka_unit_test(a_hello_may_come_in_pieces),
		cmocka_unit_test(only_http_1_1_is_agreed_on),
		cmocka_unit_test(clients_are_held_to_their_name),
		cmocka_unit_test(clients_that_cannot_be_inspected_are_told_of),
		cmocka_unit_test(without_an_authority_nothing_goes_on),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
