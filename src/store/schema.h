/* How the tables came to be. */
#ifndef COFFER_STORE_SCHEMA_H
#define COFFER_STORE_SCHEMA_H

#include <stddef.h>

/* migrations[n] brings version n to n + 1. Ones that were released are never changed: to change a
 * table, add one. */
extern const char *const store_migrations[];
extern const size_t store_migrations_count;

#endif
