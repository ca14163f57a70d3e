/* Places that a box has beside those of the host's: what a program that uses libcoffer lays over
 * and into it. Keys of policy_set(), but no flags: they name things that the caller has made. */
#ifndef COFFER_POLICY_PLACES_H
#define COFFER_POLICY_PLACES_H

#include "base/error.h"
#include "base/strv.h"

struct policy_places {
	/* "layer-dir": id, name or directory of a layer, on which all that is written lands. */
	char *layer;
	/* The copy of the workspace in which the box works, where that layer is one: set by the
	 * library alone, there is no key for it. */
	char *copy;
	char *copied; /* what it is a copy of; NULL: there is none */
	/* "layer-root": INSIDE or INSIDE=DIR: a writable root of the layer that starts empty, or as
	 * the host's DIR is. With /workspace among them the box has no workspace of the host's. */
	struct strv roots;
	/* "view": PATH=INSIDE: a file or directory of the host, readable in the box at INSIDE,
	 * which lies below /run/coffer or /source. */
	struct strv views;
	/* "secret-file": NAME=VALUE: the file /run/secrets/NAME, in the box's memory only. */
	struct strv secret_files;
};

#define PLACES_WORKSPACE "/workspace"
#define PLACES_SECRETS "/run/secrets"

/* -ENOKEY: it is none of these keys. */
int places_set(
	struct policy_places *places, const char *key, const char *value, struct error *error);
void places_release(struct policy_places *places);

/* Splits "A=B" of a root or view at its last "=" that a "/" follows; *ret_right NULL: there is
 * none. Both are freed by the caller. */
int places_split(const char *pair, char **ret_left, char **ret_right);

#endif
