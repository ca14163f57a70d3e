/* Where the value of a secret comes from, and how it is held in memory. */
#ifndef COFFER_BASE_SECRET_SOURCE_H
#define COFFER_BASE_SECRET_SOURCE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	SECRET_BYTES_MAX = 8 * 1024, /* what servers take of one header */
	SECRET_BYTES_MIN =
		8, /* what is shorter occurs by chance, and masking it would spoil data */
	SECRET_COMMAND_MS = 30000,
};

/* Bytes that are kept off the swap and out of core dumps (both as far as the kernel lets us), and
 * wiped when freed. NUL-terminated. */
struct locked {
	char *data;
	size_t length_bytes;
};
int locked_new(struct locked *ret, const char *data, size_t length_bytes);
void locked_free(struct locked *locked);

struct secret_source {
	const char *name;    /* of the secret */
	const char *from;    /* "env:VARIABLE", "file:PATH" or "command:WORDS" */
	const char *written; /* as a person wrote it, for the hint of errors; may be empty */
	bool lines;          /* it may have more than one (a key file) */
	/* A command is waited for as long as the other end of this is there; -1: there is none. */
	int control;
};

/* Errors name the secret and the source, never the value. */
int secret_source_read(
	const struct secret_source *source, struct locked *ret, struct error *error);

#endif
