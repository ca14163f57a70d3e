/* Asking a model over HTTP: what the two halves of it share. */
#ifndef COFFER_GATE_REVIEW_HTTP_H
#define COFFER_GATE_REVIEW_HTTP_H

#include "base/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* A TLS client for one connection to host (a name or an address without brackets), which has to
 * prove by a certificate of an authority that this system trusts that it is host. The caller frees
 * with SSL_free(). */
int review_tls_new(const char *host, SSL **ret, struct error *error);
/* Why a handshake failed, for a person; "" where nothing is known to be wrong. */
void review_tls_reason(SSL *ssl, unsigned long code, char *ret, size_t ret_bytes);

/* Posts body to url, at most for timeout_ms in all. *ret_answer is NUL-terminated; the caller
 * frees. key may be NULL. */
int review_post(const char *url, const char *key, const char *body, unsigned timeout_ms,
	char **ret_answer, size_t *ret_length_bytes, struct error *error);

#endif
