/* What the user has trusted: contents, by their SHA-256, each with what it was trusted as. One file,
 * trust.jsonl in the state directory, only ever appended to and rewritten whole by rename. */
#ifndef COFFER_CONFIG_TRUST_H
#define COFFER_CONFIG_TRUST_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum trust_kind { TRUST_PROJECT, TRUST_HOOK };
enum { SHA256_HEX_BYTES = 65 };

void sha256_hex(const void *data, size_t length_bytes, char ret[SHA256_HEX_BYTES]);

/* Whether this content was trusted for this path (a project's file elsewhere is another matter). */
bool trust_holds(const char *state_dir, enum trust_kind kind, const char *path, const char *hash);
int trust_add(const char *state_dir, enum trust_kind kind, const char *path, const char *hash,
	struct error *error);
int trust_remove(
	const char *state_dir, enum trust_kind kind, const char *path, struct error *error);

#endif
