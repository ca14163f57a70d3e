#include "policy/trust.h"

#include "base/cleanup.h"

static const struct trust_variable variables[] = {
	/* libraries */
	{"SSL_CERT_FILE", "OpenSSL (Python's ssl, Ruby, PHP, wget), Go, rustls, uv, CMake", true},
	{"NIX_SSL_CERT_FILE", "what Nix builds", true},
	{"NODE_EXTRA_CA_CERTS", "Node and what runs on it (npm, pnpm, Yarn), Bun", false},
	{"REQUESTS_CA_BUNDLE", "Python's requests, conda", true},
	{"HTTPLIB2_CA_CERTS", "Python's httplib2", true},
	{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "gRPC", true},
	{"PERL_LWP_SSL_CA_FILE", "Perl's LWP", true},
	{"SYSTEM_CERTIFICATE_PATH", "Haskell's x509-system (stack, cabal)", true},
	/* tools */
	{"CURL_CA_BUNDLE", "curl, Python's requests", true},
	{"GIT_SSL_CAINFO", "git", true},
	{"PIP_CERT", "pip", true},
	{"NPM_CONFIG_CAFILE", "npm, pnpm", true},
	{"CARGO_HTTP_CAINFO", "cargo", true},
	{"DENO_CERT", "Deno", false},
	{"BUNDLE_SSL_CA_CERT", "bundler", true},
	{"COMPOSER_CAFILE", "composer", true},
	{"HEX_CACERTS_PATH", "mix and hex", true},
	{"AWS_CA_BUNDLE", "the AWS command line and its libraries", true},
	{"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "gcloud", true},
};

static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Alpine, Arch, Gentoo */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* the same, since they moved it */
	"/var/lib/ca-certificates/ca-bundle.pem",            /* SUSE: what the next links to */
	"/etc/ssl/ca-bundle.pem",                            /* SUSE */
	"/etc/ssl/cert.pem",                                 /* Alpine, OpenSSL's own default */
	"/etc/pki/tls/cacert.pem",                           /* OpenELEC */
	NULL,
};

const struct trust_variable *trust_variables(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(variables);
	return variables;
}

const char *const *trust_bundles(void)
{
	return bundles;
}
