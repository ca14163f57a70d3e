/* A TOML document as a tree of values, each of which knows where it stands. The syntax comes from
 * tree-sitter's grammar; what TOML says beyond syntax (no key twice, tables that may not be
 * reopened, escapes, numbers in range) is checked here. */
#ifndef COFFER_CONFIG_TOML_H
#define COFFER_CONFIG_TOML_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum toml_kind {
	TOML_STRING,
	TOML_INTEGER,
	TOML_FLOAT,
	TOML_BOOLEAN,
	TOML_DATE, /* any of TOML's dates and times; string holds it as written */
	TOML_ARRAY,
	TOML_TABLE,
};

struct toml_value {
	enum toml_kind kind;
	char *key;             /* of a table's entry; NULL in an array and for the document */
	unsigned line, column; /* from 1; of the key where there is one. Columns count bytes */
	char *string;          /* TOML_STRING (NUL-free UTF-8) and TOML_DATE */
	int64_t integer;
	double number;
	bool boolean;
	struct toml_value *items; /* of an array or table, in the order written */
	size_t count;
	unsigned char origin; /* while parsing: how a table came to be, see toml.c */
};

/* Parses text, at most MAX_CONFIG_FILE_BYTES. name is the file's, for messages: the first error is
 * told as "NAME:LINE:COLUMN: ...". The tree is released with toml_free(). */
int toml_parse(const char *name, const char *text, size_t length_bytes, struct toml_value **ret,
	struct error *error);
void toml_free(struct toml_value *document);

/* The entry of a table, or NULL. */
const struct toml_value *toml_get(const struct toml_value *table, const char *key);
const char *toml_kind_name(enum toml_kind kind); /* "a string", "an array", ... */

#endif
