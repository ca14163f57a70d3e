/* TLS towards a reviewer: 1.2 at least, the certificate checked against the system's authorities
 * and against the name that was configured. There is no way to turn this off: a reviewer that
 * somebody else can play is none. */
#include "gate/review_http.h"

#include "base/cleanup.h"
#include "policy/network.h"
#include "policy/trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* $SSL_CERT_FILE, as everywhere; else the first of the system's bundles. The library is linked
 * statically and would look where Debian has its own. */
static int load_authorities(SSL_CTX *context, struct error *error)
{
	const char *named = getenv("SSL_CERT_FILE");
	if (named && *named) {
		if (SSL_CTX_load_verify_locations(context, named, NULL) == 1)
			return 0;
		return error_set(error, EINVAL, "reviewer",
			"SSL_CERT_FILE=%.200s holds no certificates", named);
	}
	const char *const *bundles = trust_bundles();
	for (size_t i = 0; bundles[i]; i++)
		if (SSL_CTX_load_verify_locations(context, bundles[i], NULL) == 1)
			return 0;
	error_set(error, ENOENT, "reviewer", "this system's bundle of certificates is not found");
	return error_hint(error, "install ca-certificates, or set SSL_CERT_FILE");
}

static bool expect_host(SSL *ssl, const char *host)
{
	struct in6_addr address;
	if (network_parse_address(host, &address) == 0)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int review_tls_new(const char *host, SSL **ret, struct error *error)
{
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	*ret = NULL;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return error_set_errno(error, ENOMEM, "reviewer", "TLS");
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	int r = load_authorities(context, error);
	SSL *ssl = r == 0 ? SSL_new(context) : NULL;
	SSL_CTX_free(context); /* the connection holds its own reference */
	if (r < 0)
		return r;
	if (!ssl || !expect_host(ssl, host)) {
		SSL_free(ssl);
		return error_set(error, EINVAL, "reviewer",
			"no certificate could be for the host %.200s", host);
	}
	*ret = ssl;
	return 0;
}

void review_tls_reason(SSL *ssl, unsigned long code, char *ret, size_t ret_bytes)
{
	long verified = SSL_get_verify_result(ssl);
	const char *reason = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
			     : code                ? ERR_reason_error_string(code)
						   : NULL;
	snprintf(ret, ret_bytes, "%s", reason ? reason : "");
}
