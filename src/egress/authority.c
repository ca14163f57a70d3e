/* Theory of operation: a certificate authority that lives as long as its box. Its key is made here,
 * at the start, and dies with the process; what leaves is its certificate, which the clients inside
 * are told to trust. Nothing outside the box ever trusts it, and it is valid for days, so that a
 * copy left in some image is worth nothing soon. A box that lives longer than that has to be
 * started anew before its inspected hosts work again.
 *
 * A leaf is minted when its name is first connected to. All leaves share one key: making one is
 * then a single signature. Every extension is there that some TLS library insists on: SANs (all of
 * them), the authority's key identifier and version 3 with critical basic constraints (Python
 * 3.13's strict mode, GnuTLS, Go), digitalSignature and serverAuth (NSS, Java), a validity below
 * 398 days (Apple's). */
#include "egress/authority.h"

#include "base/cleanup.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
	SERIAL_BITS = 127,      /* positive in 16 bytes; 64 of chance are what CAs must have */
	COMMON_NAME_BYTES = 64, /* RFC 5280's bound, which OpenSSL holds to */
};
static const char authority_name[] = "coffer box authority";

static bool set_serial(X509 *certificate)
{
	BIGNUM *serial = BN_new();
	bool done = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		    BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
	BN_free(serial);
	return done;
}

static bool add_extension(X509 *certificate, X509V3_CTX *context, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
	bool done = extension && X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return done;
}

/* The name as a structure: text would be parsed, and a name is a stranger's. */
static bool add_host_name(X509 *certificate, const char *name)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *entry = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool done = false;
	if (names && entry && text && ASN1_STRING_set(text, name, (int)strlen(name))) {
		GENERAL_NAME_set0_value(entry, GEN_DNS, text);
		text = NULL;
		if (sk_GENERAL_NAME_push(names, entry) > 0) {
			entry = NULL;
			done = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) ==
			       1;
		}
	}
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(entry);
	GENERAL_NAMES_free(names);
	return done;
}

static bool add_common_name(X509 *certificate, const char *name)
{
	return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
		       MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1;
}

/* What all certificates here have: version, serial, times, key. */
static X509 *certificate_new(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	if (certificate && X509_set_version(certificate, X509_VERSION_3) &&
		set_serial(certificate) &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), -AUTHORITY_PAST_S) &&
		X509_gmtime_adj(X509_getm_notAfter(certificate), AUTHORITY_FUTURE_S) &&
		X509_set_pubkey(certificate, key))
		return certificate;
	X509_free(certificate);
	return NULL;
}

static X509 *make_authority(EVP_PKEY *key)
{
	X509 *certificate = certificate_new(key);
	X509V3_CTX context;
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	if (certificate && add_common_name(certificate, authority_name) &&
		X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) &&
		add_extension(certificate, &context, NID_basic_constraints,
			"critical,CA:TRUE,pathlen:0") &&
		add_extension(
			certificate, &context, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		add_extension(certificate, &context, NID_subject_key_identifier, "hash") &&
		add_extension(
			certificate, &context, NID_authority_key_identifier, "keyid:always") &&
		X509_sign(certificate, key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static X509 *make_leaf(const struct authority *authority, const char *name)
{
	X509 *certificate = certificate_new(authority->leaf_key);
	X509V3_CTX context;
	X509V3_set_ctx(&context, authority->certificate, certificate, NULL, NULL, 0);
	const char *subject = strlen(name) <= COMMON_NAME_BYTES ? name : "coffer";
	if (certificate && add_common_name(certificate, subject) &&
		X509_set1_notAfter(certificate, X509_get0_notAfter(authority->certificate)) &&
		X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate)) &&
		add_host_name(certificate, name) &&
		add_extension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
		add_extension(certificate, &context, NID_key_usage, "critical,digitalSignature") &&
		add_extension(certificate, &context, NID_ext_key_usage, "serverAuth") &&
		add_extension(certificate, &context, NID_subject_key_identifier, "hash") &&
		add_extension(
			certificate, &context, NID_authority_key_identifier, "keyid:always") &&
		X509_sign(certificate, authority->key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static void drop_leaf(struct authority *authority, struct leaf *leaf)
{
	TAILQ_REMOVE(&authority->leaves, leaf, link);
	authority->leaves_count--;
	X509_free(leaf->certificate);
	free(leaf);
}

X509 *authority_leaf(struct authority *authority, const char *name)
{
	struct leaf *leaf;
	TAILQ_FOREACH(leaf, &authority->leaves, link)
	{
		if (strcmp(leaf->name, name) != 0)
			continue;
		TAILQ_REMOVE(&authority->leaves, leaf, link);
		TAILQ_INSERT_HEAD(&authority->leaves, leaf, link);
		return leaf->certificate;
	}
	leaf = strlen(name) < sizeof(leaf->name) ? calloc(1, sizeof(*leaf)) : NULL;
	if (!leaf)
		return NULL;
	leaf->certificate = make_leaf(authority, name);
	if (!leaf->certificate) {
		ERR_clear_error();
		free(leaf);
		return NULL;
	}
	snprintf(leaf->name, sizeof(leaf->name), "%s", name);
	if (authority->leaves_count >= AUTHORITY_LEAVES_MAX)
		drop_leaf(authority, TAILQ_LAST(&authority->leaves, leaf_list));
	TAILQ_INSERT_HEAD(&authority->leaves, leaf, link);
	authority->leaves_count++;
	return leaf->certificate;
}

static char *to_pem(X509 *certificate)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *data, *pem = NULL;
	if (memory && PEM_write_bio_X509(memory, certificate)) {
		long length = BIO_get_mem_data(memory, &data);
		pem = length > 0 ? strndup(data, (size_t)length) : NULL;
	}
	BIO_free(memory);
	return pem;
}

int authority_new(struct egress *egress, struct authority **ret, struct error *error)
{
	struct authority *authority = calloc(1, sizeof(*authority));
	if (!authority)
		return error_set_errno(error, ENOMEM, "egress", "certificate authority");
	TAILQ_INIT(&authority->leaves);
	authority->key = EVP_EC_gen("P-256");
	authority->leaf_key = EVP_EC_gen("P-256");
	if (authority->key && authority->leaf_key)
		authority->certificate = make_authority(authority->key);
	if (authority->certificate)
		authority->pem = to_pem(authority->certificate);
	int r = authority->pem
			? inspect_contexts_new(egress, authority, error)
			: error_set(error, ENOMEM, "egress",
				  "the box's certificate authority could not be made: %s",
				  ERR_reason_error_string(ERR_peek_last_error()) ?: "no memory");
	ERR_clear_error();
	if (r < 0) {
		authority_free(authority);
		return r;
	}
	*ret = authority;
	return 0;
}

void authority_free(struct authority *authority)
{
	if (!authority)
		return;
	while (!TAILQ_EMPTY(&authority->leaves))
		drop_leaf(authority, TAILQ_FIRST(&authority->leaves));
	if (authority->roots_event)
		event_free(authority->roots_event);
	free(authority->roots_pem);
	SSL_CTX_free(authority->clients);
	SSL_CTX_free(authority->servers);
	X509_free(authority->certificate);
	EVP_PKEY_free(authority->leaf_key);
	EVP_PKEY_free(authority->key);
	free(authority->pem);
	free(authority);
}

const char *authority_pem(const struct authority *authority)
{
	return authority->pem;
}
