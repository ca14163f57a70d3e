/* The tables of names that need protection. */
#ifndef COFFER_POLICY_NAMES_H
#define COFFER_POLICY_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Promise P2: whether name (one component) is protected at the top of a root or repository, letter
 * case folded; also what file systems that ignore case or drop code points would take for it.
 * Returns the table's spelling, or NULL. */
const char *names_protected(const char *name);

/* Promise P4: whether a file of that name in a workspace is a secret. Returns the table's entry. */
const char *names_secret(const char *name);

/* Whether every file in a directory of that name is one (".ssh"). Returns the table's entry. */
const char *names_secret_directory(const char *name);

/* Dependency folders, build output and caches that the walk does not enter. */
bool names_is_dependency_folder(const char *name);

/* Credentials below a home directory, hidden by default: paths relative to it, and what they
 * are. */
struct names_credential {
	const char *path; /* ".ssh", ".aws", ".config/gh", ... */
	const char *what;
	bool directory;
};
const struct names_credential *names_credentials(size_t *ret_count);

/* Environment: whether an ordinary variable that a command may see; and whether a name looks like
 * a secret (which wins). */
bool names_environment_ordinary(const char *name);
bool names_environment_secret(const char *name);

#endif
