/* What a first word resolves to, as execvp() would find it. */
#ifndef COFFER_GATE_RULES_PROGRAM_H
#define COFFER_GATE_RULES_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

/* The program that word names, links resolved: along path where it has no slash, else from
 * directory. False: there is none, or path is NULL and was needed. */
bool program_resolve(const char *word, const char *directory, const char *path, char ret[PATH_MAX]);
/* Whether word names the very program that its last component alone would find along path. */
bool program_is_the_usual(const char *word, const char *directory, const char *path);

#endif
