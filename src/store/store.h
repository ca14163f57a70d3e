/* What coffer remembers between runs, in one SQLite file: DIR/state.db, DIR = $XDG_STATE_HOME/coffer
 * (root: /var/lib/coffer). Any number of processes use it at once; a handle is for one process, and
 * does not live through a fork. */
#ifndef COFFER_STORE_STORE_H
#define COFFER_STORE_STORE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* DIR, made if it is missing, free of links; caller frees. */
int store_directory(char **ret, struct error *error);

/* Opens the file, making it and bringing it up to date. -EUCLEAN: it is damaged (the hint says what
 * to do); -EPROTONOSUPPORT: a newer coffer made it. */
int store_open(struct store **ret, struct error *error);
void store_close(struct store *store); /* NULL is fine */

/* One statement. types has a letter for each "?" and for each argument after it: i an int64_t, t a
 * string (NULL is stored as NULL). */
int store_run(struct store *store, struct error *error, const char *sql, const char *types, ...);
/* How many rows the last store_run() changed. */
int64_t store_changed(const struct store *store);

/* One row of a query, while its callback runs. Columns count from 0. */
struct store_row;
int64_t store_integer(const struct store_row *row, int column);
bool store_is_null(const struct store_row *row, int column);
/* NULL where the column is; gone when the callback returns. */
const char *store_text(const struct store_row *row, int column);
/* A copy, or NULL; *ret is freed first. -ENOMEM. */
int store_take_text(const struct store_row *row, int column, char **ret);

/* Calls back for each row; what it returns but 0 ends the query and is returned. */
typedef int (*store_row_fn)(const struct store_row *row, void *context, struct error *error);
int store_query(struct store *store, struct error *error, store_row_fn callback, void *context,
	const char *sql, const char *types, ...);

/* Everything that body does, or nothing of it. Nobody else writes meanwhile. */
typedef int (*store_body)(struct store *store, void *context, struct error *error);
int store_transaction(struct store *store, store_body body, void *context, struct error *error);

#endif
