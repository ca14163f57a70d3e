/* The box's certificate authority: what it issues verifies, for that name and for nothing else. */
#include "base/cleanup.h"
#include "egress/authority.h"
#include "policy/trust.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What inspect.c calls of the process's other parts; nothing here gets that far. */
void http_run(struct connection *connection, const struct http_options *options)
{
	(void)connection;
	(void)options;
	fail_msg("http_run() was called");
}

void connection_refuse(struct connection *connection, int errno_value, const char *format, ...)
{
	(void)connection;
	(void)errno_value;
	fail_msg("refused: %s", format);
}

void connection_set_handler(
	struct connection *connection, void *handler, void (*release)(void *handler))
{
	(void)connection;
	(void)handler;
	(void)release;
	fail_msg("connection_set_handler() was called");
}

/* Roots of the tests' own: a host may have none. Any certificate will do. */
static char roots[] = "/tmp/coffer-test-roots-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	FILE *file = fdopen(mkstemp(roots), "w");
	bool done = file && PEM_write_X509(file, certificate);
	if (file)
		fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return done ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(roots);
}

static struct authority *authority_here(struct egress *egress)
{
	struct authority *authority = NULL;
	struct error error = {0};
	if (authority_new(egress, &authority, &error) < 0)
		fail_msg("%s", error.message);
	return authority;
}

static struct authority *authority_with(struct egress *egress)
{
	setenv("SSL_CERT_FILE", roots, 1);
	return authority_here(egress);
}

static X509 *parse(const char *pem)
{
	BIO *memory = BIO_new_mem_buf(pem, -1);
	X509 *certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL);
	BIO_free(memory);
	assert_non_null(certificate);
	return certificate;
}

/* As a strict client would: for the purpose, the name, and now (or at another time). */
static int verify(const char *pem, X509 *leaf, const char *name, time_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509 *root = parse(pem);
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(context, store, leaf, NULL);
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_flags(
		param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	X509_VERIFY_PARAM_set1_host(param, name, 0);
	if (at)
		X509_VERIFY_PARAM_set_time(param, at);
	X509_verify_cert(context);
	int result = X509_STORE_CTX_get_error(context);
	X509_free(root);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return result;
}

static void leaves_verify_for_their_name(void **state)
{
	(void)state;
	struct egress egress = {0};
	struct authority *authority = authority_with(&egress);
	const char *pem = authority_pem(authority);
	char label[64], longest[NETWORK_NAME_BYTES];
	memset(label, 'a', sizeof(label));
	label[63] = '\0';
	snprintf(longest, sizeof(longest), "%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(strlen(longest), 253);
	const char *const names[] = {"example.com", "a.b.example.com", "xn--bcher-kva.example",
		"_srv.example.com", longest};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		X509 *leaf = authority_leaf(authority, names[i]);
		assert_non_null(leaf);
		assert_int_equal(verify(pem, leaf, names[i], 0), X509_V_OK);
		assert_int_equal(
			verify(pem, leaf, "other.example.net", 0), X509_V_ERR_HOSTNAME_MISMATCH);
		assert_int_equal(
			verify(pem, leaf, "sub.example.com", 0), X509_V_ERR_HOSTNAME_MISMATCH);
	}
	/* A name is a name, not a pattern or a list. */
	assert_int_equal(
		verify(pem, authority_leaf(authority, "a.example,DNS:b.example"), "b.example", 0),
		X509_V_ERR_HOSTNAME_MISMATCH);
	authority_free(authority);
	authority_free(NULL);
}

static void they_are_valid_for_days(void **state)
{
	(void)state;
	struct egress egress = {0};
	struct authority *authority = authority_with(&egress);
	const char *pem = authority_pem(authority);
	X509 *leaf = authority_leaf(authority, "example.com");
	time_t now = time(NULL);
	const time_t day = 24 * 3600;
	assert_int_equal(verify(pem, leaf, "example.com", now - day + 60), X509_V_OK);
	assert_int_equal(verify(pem, leaf, "example.com", now + 7 * day - 60), X509_V_OK);
	assert_int_equal(
		verify(pem, leaf, "example.com", now - day - 60), X509_V_ERR_CERT_NOT_YET_VALID);
	assert_int_equal(
		verify(pem, leaf, "example.com", now + 7 * day + 60), X509_V_ERR_CERT_HAS_EXPIRED);
	authority_free(authority);
}

static void extensions_are_what_clients_want(void **state)
{
	(void)state;
	struct egress egress = {0};
	struct authority *authority = authority_with(&egress);
	X509 *root = parse(authority_pem(authority));
	X509 *leaf = authority_leaf(authority, "example.com");
	char name[64];
	X509_NAME_get_text_by_NID(X509_get_subject_name(root), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "coffer box authority");
	assert_int_equal(X509_get_version(root), X509_VERSION_3);
	assert_int_equal(X509_get_version(leaf), X509_VERSION_3);
	assert_int_equal(X509_check_ca(root), 1);
	assert_int_equal(X509_check_ca(leaf), 0);
	assert_int_equal(X509_get_pathlen(root), 0);
	assert_int_equal(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
	static const int critical[] = {NID_basic_constraints, NID_key_usage};
	for (size_t i = 0; i < ARRAY_SIZE(critical); i++) {
		X509 *const both[] = {root, leaf};
		for (size_t j = 0; j < 2; j++) {
			int at = X509_get_ext_by_NID(both[j], critical[i], -1);
			assert_true(at >= 0);
			assert_true(X509_EXTENSION_get_critical(X509_get_ext(both[j], at)));
		}
	}
	assert_non_null(X509_get0_authority_key_id(leaf));
	assert_int_equal(ASN1_OCTET_STRING_cmp(
				 X509_get0_authority_key_id(leaf), X509_get0_subject_key_id(root)),
		0);
	/* No serial twice, none negative, and all of chance. */
	X509 *other = authority_leaf(authority, "example.net");
	assert_int_not_equal(
		ASN1_INTEGER_cmp(X509_get_serialNumber(leaf), X509_get_serialNumber(other)), 0);
	assert_int_equal(ASN1_STRING_length(X509_get_serialNumber(leaf)), 16);
	assert_int_equal(ASN1_STRING_type(X509_get_serialNumber(leaf)), V_ASN1_INTEGER);
	X509_free(root);
	authority_free(authority);
}

static void every_box_has_its_own(void **state)
{
	(void)state;
	struct egress egress = {0};
	struct authority *one = authority_with(&egress), *two = authority_with(&egress);
	assert_string_not_equal(authority_pem(one), authority_pem(two));
	assert_int_not_equal(
		verify(authority_pem(two), authority_leaf(one, "example.com"), "example.com", 0),
		X509_V_OK);
	assert_null(strstr(authority_pem(one), "PRIVATE"));
	authority_free(one);
	authority_free(two);
}

static void the_cache_is_bounded(void **state)
{
	(void)state;
	struct egress egress = {0};
	struct authority *authority = authority_with(&egress);
	X509 *first = authority_leaf(authority, "first.example");
	X509_up_ref(first);
	assert_ptr_equal(authority_leaf(authority, "first.example"), first);
	char name[64];
	for (int i = 0; i < AUTHORITY_LEAVES_MAX; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		assert_non_null(authority_leaf(authority, name));
		assert_ptr_equal(authority_leaf(authority, "n0.example") == NULL, false);
	}
	assert_int_equal(authority->leaves_count, AUTHORITY_LEAVES_MAX);
	/* What was used meanwhile stayed, what was not is made anew. */
	X509 *again = authority_leaf(authority, "first.example");
	assert_ptr_not_equal(again, first);
	X509_free(first);
	assert_int_equal(authority->leaves_count, AUTHORITY_LEAVES_MAX);
	authority_free(authority);
}

static void expect_error(struct egress *egress, int errno_value, const char *says)
{
	struct authority *authority = NULL;
	struct error error = {0};
	assert_int_equal(authority_new(egress, &authority, &error), -errno_value);
	assert_null(authority);
	if (!strstr(error.message, says))
		fail_msg("'%s' does not say '%s'", error.message, says);
	assert_true(error.hint[0] != '\0');
}

static void roots_are_needed(void **state)
{
	(void)state;
	char path[] = "/tmp/coffer-test-roots-XXXXXX";
	int fd = mkstemp(path);
	struct egress egress = {0};
	struct authority *authority = authority_with(&egress);
	char *pem = strdup(authority_pem(authority));
	authority_free(authority);

	setenv("SSL_CERT_FILE", "/nonexistent/roots.pem", 1);
	expect_error(&egress, ENOENT, "SSL_CERT_FILE: /nonexistent/roots.pem");
	setenv("SSL_CERT_FILE", path, 1);
	expect_error(&egress, EBADMSG, "there is no certificate (PEM)");
	assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
	authority_free(authority_here(&egress));
	assert_int_equal(write(fd, pem, strlen(pem) - 64), strlen(pem) - 64);
	setenv("SSL_CERT_FILE", roots, 1);
	egress.policy.upstream_ca = (char[]){"/nonexistent/upstream.pem"};
	expect_error(&egress, ENOENT, "--upstream-ca: /nonexistent/upstream.pem");
	egress.policy.upstream_ca = path;
	expect_error(&egress, EBADMSG, "--upstream-ca: certificate 2 of");
	free(pem);
	unlink(path);
	close(fd);
}

static bool host_has_bundle(void)
{
	bool has = false;
	for (const char *const *path = trust_bundles(); *path; path++)
		has = has || access(*path, R_OK) == 0;
	return has;
}

static size_t roots_of(const struct authority *authority)
{
	return (size_t)sk_X509_OBJECT_num(
		X509_STORE_get0_objects(SSL_CTX_get_cert_store(authority->servers)));
}

static void the_hosts_roots_are_parsed_when_idle(void **state)
{
	(void)state;
	struct egress egress = {.base = event_base_new()};
	struct error error = {0};
	struct authority *authority = NULL;
	unsetenv("SSL_CERT_FILE");
	int r = authority_new(&egress, &authority, &error);
	if (host_has_bundle()) {
		assert_int_equal(r, 0);
		assert_int_equal(roots_of(authority), 1);
		assert_true(event_base_loop(egress.base, EVLOOP_NONBLOCK) >= 0);
		assert_true(roots_of(authority) > 1);
		assert_null(authority->roots_pem);
		authority_free(authority);
		/* And not at all, if the end comes first. */
		assert_int_equal(authority_new(&egress, &authority, &error), 0);
	} else {
		assert_int_equal(r, -ENOENT);
		assert_non_null(strstr(error.hint, "ca-certificates"));
	}
	authority_free(authority);
	event_base_free(egress.base);
}

static void tables_are_sound(void **state)
{
	(void)state;
	size_t count;
	const struct trust_variable *variables = trust_variables(&count);
	assert_true(count > 10);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(strspn(variables[i].name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
			strlen(variables[i].name));
		assert_true(variables[i].clients[0] != '\0');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(variables[i].name, variables[j].name);
	}
	for (const char *const *path = trust_bundles(); *path; path++)
		assert_int_equal((*path)[0], '/');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_verify_for_their_name),
		cmocka_unit_test(they_are_valid_for_days),
		cmocka_unit_test(extensions_are_what_clients_want),
		cmocka_unit_test(every_box_has_its_own),
		cmocka_unit_test(the_cache_is_bounded),
		cmocka_unit_test(roots_are_needed),
		cmocka_unit_test(the_hosts_roots_are_parsed_when_idle),
		cmocka_unit_test(tables_are_sound),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
