/* What the files of the TOML reader share. */
#ifndef COFFER_CONFIG_TOML_INTERNAL_H
#define COFFER_CONFIG_TOML_INTERNAL_H

#include "config/toml.h"

#include <tree_sitter/api.h>

const TSLanguage *tree_sitter_toml(void);

struct toml_parser {
	const char *name; /* of the file */
	char *text;       /* NUL-terminated; what the syntax tree points into */
	size_t length_bytes;
	size_t values; /* made so far */
	struct error *error;
};

/* Fills the error with "NAME:LINE:COLUMN: ..." and returns -EINVAL. Line and column from 1. */
int toml_fault(struct toml_parser *parser, unsigned line, unsigned column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int toml_out_of_memory(struct toml_parser *parser);

/* toml_text.c: refuses what is not UTF-8 or holds control characters, and moves the blanks that may
 * stand between a backslash and the end of its line, which the grammar does not know of, behind that
 * line's end, where they mean the same. No byte more or less, no line moved. */
int toml_text_check(struct toml_parser *parser);

/* toml_scalars.c: the value of a node that is neither array nor table. */
int toml_scalar(struct toml_parser *parser, TSNode node, struct toml_value *ret);
/* A key's text between from and to, quoted or bare: one part of it, which ends before a dot. *from
 * is moved behind the part and its dot. Allocated; NULL with the error. */
char *toml_key_part(struct toml_parser *parser, unsigned line, unsigned column, const char **from,
	const char *to);

#endif
