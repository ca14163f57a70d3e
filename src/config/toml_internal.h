/* What the files of the TOML reader share. */
#ifndef COFFER_CONFIG_TOML_INTERNAL_H
#define COFFER_CONFIG_TOML_INTERNAL_H

#include "config/toml.h"

#include <tree_sitter/api.h>

const TSLanguage *tree_sitter_toml(void);

struct toml_parser {
	const char *name; /* of the file */
	const char *text; /* of the piece under way: what its syntax tree points into */
	unsigned line;    /* how many lines are before it */
	size_t values;    /* made so far */
	struct error *error;
};

/* Fills the error with "NAME:LINE:COLUMN: ..." and returns -EINVAL. Line and column from 1. */
int toml_fault(struct toml_parser *parser, unsigned line, unsigned column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int toml_out_of_memory(struct toml_parser *parser);

/* The place of a node of the piece under way, from 1. */
struct toml_spot {
	unsigned line, column;
};
struct toml_spot toml_spot(const struct toml_parser *parser, TSNode node);

/* toml_text.c: refuses what is not UTF-8 or holds control characters. */
int toml_text_check(struct toml_parser *parser, const char *text, size_t length_bytes);
/* The length of the longest run of whole statements that text (NUL-terminated, at a line's start)
 * begins with, at most TOML_PIECE_BYTES; 0: one statement alone is longer. On the way, blanks that
 * stand between a backslash and the end of its line, which the grammar does not know of, are moved
 * behind that end, where they mean the same. */
size_t toml_text_piece(char *text, size_t length_bytes);
enum { TOML_PIECE_BYTES = 60 * 1024 };

/* toml_scalars.c: the value of a node that is neither array nor table. */
int toml_scalar(struct toml_parser *parser, TSNode node, struct toml_value *ret);
/* A key's text between from and to, quoted or bare: one part of it, which ends before a dot. *from
 * is moved behind the part and its dot. Allocated; NULL with the error. */
char *toml_key_part(struct toml_parser *parser, unsigned line, unsigned column, const char **from,
	const char *to);

#endif
