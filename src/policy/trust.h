/* How a box learns to trust the authority of its own: the environment variables by which usual
 * clients are told of a CA bundle, and the files in which systems keep theirs. Pure tables. */
#ifndef COFFER_POLICY_TRUST_H
#define COFFER_POLICY_TRUST_H

#include <stdbool.h>
#include <stddef.h>

enum { TRUST_BUNDLE_BYTES_MAX = 8 * 1024 * 1024 }; /* Mozilla's bundle is a quarter of a MiB */

struct trust_variable {
	const char *name;
	const char *clients; /* that read it */
	/* The file is all that is trusted: the host's bundle with the box's authority behind it.
	 * Otherwise it is added: the authority alone will do. */
	bool replaces;
};

/* What is no variable but still needs the authority is reached by the bundles below: GnuTLS (wget
 * and apt of Debian), and whatever was compiled with a fixed path. Left out on purpose: Java (no
 * variable takes PEM), Yarn's own (it refuses to start on one that its version does not know, and
 * runs on Node), NSS (Firefox, Chromium: a database in the home directory), and clients that carry
 * their roots inside. */
const struct trust_variable *trust_variables(size_t *ret_count);

/* The files that hold a system's whole bundle, the likeliest first; NULL-terminated. More than one
 * may exist, often links to one another. */
const char *const *trust_bundles(void);

#endif
