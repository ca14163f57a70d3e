/* Every entry below a directory that a box has filled, as it lies on disk: overlayfs's marks are
 * entries and attributes like others. (changes.h shows what they mean.) */
#ifndef COFFER_LAYER_UPPER_WALK_H
#define COFFER_LAYER_UPPER_WALK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct upper_entry {
	int root;         /* of the walk */
	int directory;    /* what holds it; of the root: the root */
	const char *name; /* in there; of the root: "." */
	const char *path; /* below the root; "" is the root itself */
	struct stat st;   /* as lstat() has it */
	bool leaving;     /* a directory, told again after all that is in it */
};

/* Tells of the root and of all below it, a directory before what is in it, names in the order of
 * bytes. A callback that returns anything but 0 ends the walk with that. One descriptor is open at a
 * time; what lies deeper than MAX_LAYER_DEPTH or cannot be named in MAX_PATH_BYTES is an error. */
typedef int (*upper_walk_fn)(const struct upper_entry *entry, void *context);
int upper_walk(int root, upper_walk_fn callback, void *context, struct error *error);

/* A directory or file beneath root, entered through no link and into no other file system; "" is the
 * root. The descriptor or -errno. */
int upper_open(int root, const char *path, int flags);

/* overlayfs's way to say that what lies below is not there. */
bool upper_is_whiteout(const struct upper_entry *entry);
/* Whether nothing below shows through the directory behind fd. */
bool upper_is_opaque(int fd);

#endif
