/* A layer: what boxes wrote, kept apart from what lies below it.
 *
 * Layers lie in a store, DIR = $XDG_STATE_HOME/coffer/layers (root: /var/lib/coffer/layers):
 *
 *	DIR/names/NAME                a link to ../ID: the layer that a person calls NAME
 *	DIR/ID/layer.json             its description; replaced whole, never written in place
 *	DIR/ID/lock                   flock(): shared by readers, exclusive for whoever changes it
 *	DIR/ID/roots/KEY/             KEY is a digest of the root's path inside the box
 *	DIR/ID/roots/KEY/upper, work  the overlay's; upper has the mode and owner of what is below
 *	DIR/ID/roots/KEY/base         what the host had where the layer has something: see settle.h
 *	DIR/ID/empty                  an empty directory: what lies below a root that has no base
 *	DIR/.new-*, DIR/.dead-*       being made, being removed: swept where nobody has it locked
 *
 * A root is one writable directory of a box. Below its upper lie the uppers of the layer's
 * parents, then its base, a directory of the host (none: it starts empty). A layer with children
 * is sealed: changing it would change what they stand on, and overlayfs leaves undefined what
 * they then see. */
#ifndef COFFER_LAYER_LAYER_H
#define COFFER_LAYER_LAYER_H

#include "base/error.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum layer_kind {
	LAYER_OVERLAY,
	LAYER_COPY, /* landlock tier: roots/KEY/upper is a whole copy of the base (see copy.h) */
};

struct layer_root {
	char *path;      /* inside the box; where there is a base also on the host, unless mapped */
	char *base;      /* host directory; NULL: nothing */
	char *directory; /* DIR/ID/roots/KEY */
};

struct layer {
	char *id;   /* 16 hex digits */
	char *name; /* NULL: has none */
	char *directory;
	enum layer_kind kind;
	struct strv parents; /* ids, the nearest first */
	struct layer_root *roots;
	size_t roots_count;
	uint64_t created_us, started_us; /* CLOCK_REALTIME; of the last run in it, 0: none yet */
	bool settled;  /* false: a run in it has not been followed by layer_settle() */
	bool sealed;   /* has had children, or is a snapshot: no run may change it */
	char *purpose; /* "run", "snapshot", "clone", "setup", ...: who made it for what */
	int lock;
};

enum layer_access {
	LAYER_READ,  /* shared; may wait some ms for a run to begin or end, then -EBUSY */
	LAYER_WRITE, /* exclusive; -EBUSY with who has it */
	LAYER_LOOK,  /* without the lock: of a layer in which a box runs; it may change at any moment */
};

/* Names are 1 to 64 of [A-Za-z0-9._-], not beginning with "." or "-". */
bool layer_name_is_valid(const char *name);

/* The store's directory, made if it is missing; caller frees. */
int layer_store_path(char **ret, struct error *error);

struct layer_options {
	const char *name;    /* NULL: none, reachable by its id */
	const char *on;      /* name or id of the layer below, which is sealed; NULL: none */
	const char *purpose; /* static */
	enum layer_kind kind;
};
/* Makes a layer, opened for writing. -EEXIST: the name is taken. */
int layer_create(const struct layer_options *options, struct layer **ret, struct error *error);
/* Opens by name, id or directory. -ENOENT with the nearest name as hint. */
int layer_open(
	const char *which, enum layer_access access, struct layer **ret, struct error *error);
void layer_close(struct layer *layer); /* NULL is fine; keeps what is on disk */

/* Declares that the next run has this root; makes its directories where they are missing. uid, gid:
 * whom they must belong to (the caller's own unless root). base NULL: nothing below. A layer that
 * has this path with another base is refused. */
int layer_add_root(struct layer *layer, const char *path, const char *base, uid_t uid, gid_t gid,
	struct error *error);
/* The uppers below the layer's own for the root `path`, nearest first; host paths. Parents that do
 * not have that root are left out. */
int layer_uppers_below(
	const struct layer *layer, const char *path, struct strv *ret, struct error *error);

/* Before the box: refuses a sealed layer, notes the time, clears `settled`; written to disk. */
int layer_begin(struct layer *layer, struct error *error);
/* Writes layer.json anew. */
int layer_save(const struct layer *layer, struct error *error);

/* Ids of all layers of the store; the caller opens each (one may be gone by then). */
int layer_list(struct strv *ret_ids, struct error *error);
/* Removes a layer that is open for writing, and closes it: name first, then renamed to .dead-ID,
 * then emptied. -EBUSY where another layer stands on it. */
int layer_discard(struct layer *layer, struct error *error);

#endif
