/* The whole way of an inspected request: a program's TLS is ended, its request read, the secret put
 * in, the real server verified and asked, its answer masked. Everything is real but dialing, which
 * leads to a server of the test's own, and the log. */
#include "base/cleanup.h"
#include "egress/authority.h"

#include <arpa/inet.h>
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

static const char value[] = "the-real-Value+42";
static struct egress egress;
static EVP_PKEY *root_key;
static X509 *root;
static char root_path[] = "/tmp/coffer-test-root-XXXXXX";

/* ---- what is not real ---- */

static struct egress_record logged;
static int server_fd = -1; /* what dialing gives */
static int dials;

void egress_log(struct egress *process, const struct egress_record *record)
{
	logged = *record;
	event_base_loopbreak(process->base);
}

uint32_t egress_ask(struct egress *process, const struct egress_record *record,
	egress_answer answer, void *context)
{
	(void)process, (void)record, (void)answer, (void)context;
	return 0;
}

void egress_ask_forget(struct egress *process, uint32_t id)
{
	(void)process, (void)id;
}

void control_connected(struct egress *process, uint32_t id, int result)
{
	(void)process, (void)id, (void)result;
}

struct dial *upstream_dial(struct upstream *upstream, const char *name,
	const struct in6_addr *literal, uint16_t port, upstream_dialed done, void *context)
{
	static const struct in6_addr address;
	(void)upstream, (void)literal;
	assert_string_equal(name, "api.example.com");
	assert_int_equal(port, 443);
	dials++;
	done(context, steal_fd(&server_fd), &address, NULL);
	return NULL;
}

void upstream_cancel(struct dial *dial)
{
	(void)dial;
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

/* ---- the server: answers every request with the head that it got ---- */

struct server {
	SSL_CTX *context;
	int listener;
	pthread_t thread;
	char request[8192];
};

static size_t read_head(SSL *ssl, char *data, size_t room)
{
	size_t length = 0;
	data[0] = '\0';
	while (!strstr(data, "\r\n\r\n") && length < room - 1) {
		int n = SSL_read(ssl, data + length, (int)(room - 1 - length));
		if (n <= 0)
			break;
		length += (size_t)n;
		data[length] = '\0';
	}
	return length;
}

static void *serve(void *argument)
{
	struct server *server = argument;
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	SSL *ssl = SSL_new(server->context);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		size_t length = read_head(ssl, server->request, sizeof(server->request));
		char head[256];
		int n = snprintf(head, sizeof(head),
			"HTTP/1.1 200 OK\r\nX-Echo: %s\r\nContent-Length: %zu\r\n"
			"Connection: close\r\n\r\n",
			value, length);
		SSL_write(ssl, head, n);
		/* In pieces that cut the value somewhere. */
		for (size_t at = 0; length > 0 && at < length; at += 7)
			SSL_write(ssl, server->request + at,
				(int)(length - at < 7 ? length - at : 7));
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static X509 *certificate_for(const char *names, EVP_PKEY *key)
{
	X509V3_CTX context;
	X509 *certificate = X509_new();
	X509 *issuer = names ? root : certificate;
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), names ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)(names ? "server" : "authority"), -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context,
		names ? NID_subject_alt_name : NID_basic_constraints, names ?: "critical,CA:TRUE");
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	assert_true(X509_sign(certificate, root_key, EVP_sha256()) > 0);
	return certificate;
}

static void server_start(struct server *server, const char *names)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = certificate_for(names, key);
	server->context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(server->context, certificate);
	SSL_CTX_use_PrivateKey(server->context, key);
	X509_free(certificate);
	EVP_PKEY_free(key);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(server->listener, 1), 0);
	getsockname(server->listener, (struct sockaddr *)&address, &length);
	server_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(server_fd, (struct sockaddr *)&address, length), 0);
	evutil_make_socket_nonblocking(server_fd);
	pthread_create(&server->thread, NULL, serve, server);
}

/* ---- the program in the box ---- */

struct program {
	int fd;
	pthread_t thread;
	const char *request;
	char response[16384];
};

static void *ask(void *argument)
{
	struct program *program = argument;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	BIO *memory = BIO_new_mem_buf(authority_pem(egress.authority), -1);
	X509 *certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
	X509_free(certificate);
	BIO_free(memory);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL *ssl = SSL_new(context);
	SSL_set_tlsext_host_name(ssl, "api.example.com");
	SSL_set1_host(ssl, "api.example.com");
	SSL_set_fd(ssl, program->fd);
	size_t length = 0;
	if (SSL_connect(ssl) == 1 &&
		SSL_write(ssl, program->request, (int)strlen(program->request)) > 0)
		for (int n; length < sizeof(program->response) - 1 &&
			    (n = SSL_read(ssl, program->response + length,
				     (int)(sizeof(program->response) - 1 - length))) > 0;)
			length += (size_t)n;
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(program->fd);
	return NULL;
}

static const char *placeholder(void)
{
	return strchr(secrets_variable(egress.secrets, 0), '=') + 1;
}

/* One request, {} being the placeholder, to a server with a certificate for names. */
static void request(
	const char *format, const char *names, struct program *program, struct server *server)
{
	static char text[2048];
	int ends[2];
	const char *at = strstr(format, "{}");
	snprintf(text, sizeof(text), "%.*s%s%s", at ? (int)(at - format) : 0, format,
		at ? placeholder() : "", at ? at + 2 : format);
	memset(&logged, 0, sizeof(logged));
	dials = 0;
	*program = (struct program){.request = text};
	*server = (struct server){0};
	server_start(server, names);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	program->fd = ends[0];
	evutil_make_socket_nonblocking(ends[1]);
	pthread_create(&program->thread, NULL, ask, program);

	struct connection *connection = connection_new(&egress, ends[1], EGRESS_HOW_REDIRECT);
	assert_non_null(connection);
	connection_set_target(connection, "api.example.com", NULL, 443);
	connection_decide(connection, connection_go, NULL);
	run_loop();

	if (server_fd >= 0)
		close_fd(&server_fd); /* never dialed: the server sees the end */
	assert_int_equal(egress.connections_count, 0);
	pthread_join(program->thread, NULL);
	pthread_join(server->thread, NULL);
	SSL_CTX_free(server->context);
	close(server->listener);
}

static void values_go_out_and_do_not_come_back(void **state)
{
	(void)state;
	struct program program;
	struct server server;
	char expected[64];
	request("GET /v1/models HTTP/1.1\r\nHost: api.example.com\r\n"
		"Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
		"DNS:api.example.com", &program, &server);
	snprintf(expected, sizeof(expected), "Bearer %s\r\n", value);
	assert_non_null(strstr(server.request, expected));
	assert_null(strstr(server.request, placeholder()));
	assert_int_equal(strncmp(program.response, "HTTP/1.1 200 OK\r\n", 17), 0);
	assert_null(strstr(program.response, value));
	assert_non_null(strstr(program.response, "X-Echo: *****************\r\n"));
	assert_non_null(strstr(program.response, "Bearer *****************\r\n"));
	assert_int_equal(logged.verdict, NETWORK_ALLOW);
	assert_int_equal(logged.requests, 1);
}

static void expect_refused(const char *format, const char *status, const char *says)
{
	struct program program;
	struct server server;
	request(format, "DNS:api.example.com", &program, &server);
	assert_int_equal(strncmp(program.response, status, strlen(status)), 0);
	if (!strstr(program.response, says))
		fail_msg("'%s' does not say '%s'", program.response, says);
	assert_null(strstr(server.request, placeholder()));
	assert_null(strstr(server.request, value));
	assert_int_equal(logged.verdict, NETWORK_DENY);
}

static void placeholders_elsewhere_are_refused(void **state)
{
	(void)state;
	expect_refused("GET /{} HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "HTTP/1.1 403 ",
		"in the path");
	expect_refused("GET /?k={} HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "HTTP/1.1 403 ",
		"only in a header");
	/* Fronting: the name inside is another than that of the connection. */
	expect_refused("GET / HTTP/1.1\r\nHost: other.example.com\r\nX-Key: {}\r\n\r\n",
		"HTTP/1.1 421 ", "Host says other.example.com");
}

static void a_body_with_one_does_not_get_out(void **state)
{
	(void)state;
	struct program program;
	struct server server;
	request("POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 90\r\n\r\n"
		"token={}.................................................................."
		"............................",
		"DNS:api.example.com", &program, &server);
	assert_null(strstr(server.request, placeholder()));
	assert_null(strstr(program.response, "200 OK"));
	assert_non_null(strstr(logged.reason, "placeholder"));
	assert_int_equal(logged.verdict, NETWORK_DENY);
}

static void an_unverified_server_gets_nothing(void **state)
{
	(void)state;
	struct program program;
	struct server server;
	request("GET / HTTP/1.1\r\nHost: api.example.com\r\nX-Key: {}\r\n\r\n",
		"DNS:other.example.com", &program, &server);
	assert_int_equal(dials, 1);
	assert_string_equal(server.request, "");
	assert_int_equal(strncmp(program.response, "HTTP/1.1 502 ", 13), 0);
	assert_non_null(
		strstr(program.response, "the server's certificate is not for api.example.com"));
}

static void set(const char *key, const char *text)
{
	struct error error = {0};
	if (network_set(&egress.policy, key, text, NULL, &error) < 0)
		fail_msg("%s", error.message);
}

static int set_up(void **state)
{
	(void)state;
	struct error error = {0};
	signal(SIGPIPE, SIG_IGN);
	root_key = EVP_EC_gen("P-256");
	root = certificate_for(NULL, root_key);
	FILE *file = fdopen(mkstemp(root_path), "w");
	PEM_write_X509(file, root);
	fclose(file);
	setenv("SSL_CERT_FILE", root_path, 1);
	setenv("COFFER_TEST_TOKEN", value, 1);
	egress.base = event_base_new();
	egress.connections_max = 16;
	TAILQ_INIT(&egress.connections);
	network_policy_init(&egress.policy);
	set("allow-domain", "api.example.com");
	set("net-secret", "name=API_TOKEN,host=api.example.com,from=env:COFFER_TEST_TOKEN");
	if (network_validate(&egress.policy, &error) < 0 ||
		rate_new(&egress, &egress.rate, &error) < 0 ||
		secrets_new(&egress, &egress.secrets, &error) < 0 ||
		authority_new(&egress, &egress.authority, &error) < 0) {
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
	secrets_free(egress.secrets);
	rate_free(egress.rate);
	network_policy_release(&egress.policy);
	event_base_free(egress.base);
	X509_free(root);
	EVP_PKEY_free(root_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_go_out_and_do_not_come_back),
		cmocka_unit_test(placeholders_elsewhere_are_refused),
		cmocka_unit_test(a_body_with_one_does_not_get_out),
		cmocka_unit_test(an_unverified_server_gets_nothing),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
