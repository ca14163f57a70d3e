/* What the user has trusted: contents, by their SHA-256, each with what it was trusted as. One
 * file, trust.jsonl in the state directory, rewritten whole and put in place by rename.
 *
 * A project's path is its .coffer/coffer.toml, as config_where() finds the workspace; a hook's is
 * the configuration file that names it (its place.file), its hash that of struct config_hook; a
 * task's is a coffer-task.toml. */
#ifndef COFFER_CONFIG_TRUST_H
#define COFFER_CONFIG_TRUST_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum trust_kind { TRUST_PROJECT, TRUST_HOOK, TRUST_TASK };
enum { SHA256_HEX_BYTES = 65 };

void sha256_hex(const void *data, size_t length_bytes, char ret[SHA256_HEX_BYTES]);

/* Whether this content was trusted for this path (a project's file elsewhere is another matter). */
bool trust_holds(const char *state_dir, enum trust_kind kind, const char *path, const char *hash);
/* Trusting a file's new content ends the trust in the old; hooks are trusted one by one. */
int trust_add(const char *state_dir, enum trust_kind kind, const char *path, const char *hash,
	struct error *error);
/* Every record of that kind and path; -ENOENT where there is none. */
int trust_remove(
	const char *state_dir, enum trust_kind kind, const char *path, struct error *error);
/* Calls handler for every record, until it returns other than 0, which is then returned. */
typedef int trust_record_handler(
	enum trust_kind kind, const char *path, const char *hash, void *context);
int trust_each(const char *state_dir, trust_record_handler *handler, void *context);

#endif
