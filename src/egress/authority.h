/* Between authority.c and inspect.c. */
#ifndef COFFER_EGRESS_AUTHORITY_H
#define COFFER_EGRESS_AUTHORITY_H

#include "egress/egress.h"

#include <openssl/ssl.h>

enum {
	AUTHORITY_LEAVES_MAX = 256,   /* some 5 KiB each; the one unused for longest goes */
	AUTHORITY_PAST_S = 24 * 3600, /* clocks inside may be set otherwise */
	AUTHORITY_FUTURE_S = 7 * 24 * 3600,
};

struct leaf {
	TAILQ_ENTRY(leaf) link;
	X509 *certificate;
	char name[NETWORK_NAME_BYTES];
};
TAILQ_HEAD(leaf_list, leaf);

struct authority {
	EVP_PKEY *key; /* leaves this process's memory in no form */
	X509 *certificate;
	char *pem;
	EVP_PKEY *leaf_key; /* one for all names: who holds it is this process, for each of them */
	struct leaf_list leaves; /* most recently used first */
	size_t leaves_count;

	SSL_CTX *clients; /* TLS with what is in the box */
	SSL_CTX *servers; /* TLS with the world: the host's roots, and the policy's */
	char *roots_pem;  /* the host's, while they are not parsed yet */
	struct event *roots_event;
};

/* The certificate for a name, borrowed until the next call; NULL: no memory. */
X509 *authority_leaf(struct authority *authority, const char *name);

/* ---- inspect.c ---- */

/* Fills clients and servers. Reads the host's CA bundle. */
int inspect_contexts_new(
	const struct egress *egress, struct authority *authority, struct error *error);

#endif
