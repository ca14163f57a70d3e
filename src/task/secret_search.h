/* Secrets of the set-up phase, looked for in all that it left. docs/TASKS.md says what no search
 * can find. */
#ifndef COFFER_TASK_SECRET_SEARCH_H
#define COFFER_TASK_SECRET_SEARCH_H

#include "base/error.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret_value {
	char *name;
	char *value; /* wiped when freed */
	size_t length_bytes;
};
struct secret_values {
	struct secret_value *items;
	size_t count;
};
void secret_values_release(struct secret_values *values);

/* "NAME=env:VARIABLE", "NAME=file:PATH", "NAME=command:WORDS" or "NAME=VARIABLE" (short for env:).
 * 8 bytes to 8 KiB, of any number of lines; the newline at the end of a single one is cut. Errors
 * name the secret and the source, never the value. */
int secret_value_read(const char *written, struct secret_value *ret, struct error *error);
/* Takes value, also when it fails. -EEXIST: there is one of that name; -E2BIG: too many. */
int secret_values_add(
	struct secret_values *values, struct secret_value *value, struct error *error);

struct secret_finding {
	/* In the box: "/workspace/.npmrc"; inside archives "a.tar.gz!b.txt". A name that holds a
	 * secret is shown as "[NAME]": this may be told to anybody. */
	char *path;
	char *secret;          /* its name */
	const char *form;      /* static: "plain", "base64", "hex", "percent-encoded", ... */
	const char *where;     /* static: "content", "archive", "name", "link", "attribute" */
	uint64_t offset_bytes; /* of content: where it ends */
	/* For secret_scrub_layer(), never to be shown: which root, and the entry's path below
	 * it. */
	size_t root;
	char *entry;
};
struct secret_findings {
	struct secret_finding *items;
	size_t count;
	uint64_t lost; /* more than are kept */
	struct strv
		unreadable; /* "path: why": archives that nest too deep, are broken or too large */
	struct strv closed; /* "path: why": its mode keeps its owner out, as long as that lasts */
	uint64_t files, bytes;
};
void secret_findings_release(struct secret_findings *findings);

/* Searches everything that a layer's own uppers hold: contents, names, link targets and extended
 * attributes. The parsing (gzip, zip, tar, .pyc) happens in a box that sees the layer read-only and
 * gets the values through a pipe. Fails closed: what could not be searched is an error or is in
 * `unreadable` or `closed`. */
int secret_search_layer(const char *layer_id, const struct secret_values *values,
	struct secret_findings *ret, struct error *error);

/* Overwrites what was found in plain files (each form by as many fill bytes); removes the archives
 * and everything else that holds one. Searches again; anything left is an error. */
int secret_scrub_layer(const char *layer_id, const struct secret_values *values,
	const struct secret_findings *findings, struct error *error);

/* The program's part, in the box: `coffer-task search DIRECTORY...`, values on stdin, findings as
 * JSON lines on stdout. */
int cmd_search(int argc, char *argv[]);

#endif
