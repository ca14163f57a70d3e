/* What text may give away: paths of credentials and of what starts by itself, names of variables
 * that hold secrets, characters that mislead a reader. Pure; shared by programs and diffs. */
#ifndef COFFER_GATE_CODE_TEXT_H
#define COFFER_GATE_CODE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum text_kind {
	TEXT_ORDINARY,
	TEXT_CREDENTIAL,  /* where people and tools keep secrets */
	TEXT_METADATA,    /* the address where a cloud hands out credentials */
	TEXT_PERSISTENCE, /* what is run without being asked, later */
};
/* The gravest thing that text names, wherever in it. */
enum text_kind text_kind_of(const char *text);

/* Whether an environment variable of this name usually holds a secret: GITHUB_TOKEN, DB_PASSWD. */
bool text_is_secret_name(const char *name, size_t length_bytes);

/* Whether deleting the tree at path would take a home, a system or everything. */
bool text_is_precious_tree(const char *path);

/* The first character of text[0..length) that turns the direction of what follows, or that is not
 * seen: its column in bytes, from 0; -1: none. *ret_turns tells which of the two. A byte order mark
 * at the start of a file is for the caller to pass over. */
long text_find_misleading(const char *text, size_t length_bytes, bool *ret_turns);

/* Whether text starts, blanks apart, as a statement of SQL. */
bool text_is_sql(const char *text);

/* Whether text is long, and in the alphabet of an encoding throughout. */
bool text_is_encoded(const char *text, size_t length_bytes);

/* Bytes from base64 (both alphabets, padding or not, blanks passed over); the count, or -1: it is
 * none. ret has room for length_bytes. */
long text_from_base64(const char *text, size_t length_bytes, char *ret);

#endif
