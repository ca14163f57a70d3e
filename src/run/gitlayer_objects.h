/* Which objects a git directory has: its own and those of the repositories that it borrows from. */
#ifndef COFFER_RUN_GITLAYER_OBJECTS_H
#define COFFER_RUN_GITLAYER_OBJECTS_H

#include <stddef.h>
#include <stdint.h>

enum {
	GITLAYER_STORES_MAX = 32, /* the own one and alternates */
	GITLAYER_PACKS_MAX = 512, /* of all; each costs a descriptor. git gathers 50 into one */
	GITLAYER_FANOUT = 256,
};

/* The index of a pack that is there. */
struct gitlayer_pack {
	int fd;
	uint32_t fanout[GITLAYER_FANOUT]; /* how many names begin with a byte of this or less */
};

struct gitlayer_stores {
	int directories[GITLAYER_STORES_MAX]; /* "objects"; the own one first */
	size_t count;
	struct gitlayer_pack *packs;
	size_t packs_count, packs_capacity;
};

/* Opens the objects of git_dir_fd as they are now, in the directory `path` ("objects",
 * "modules/x/objects") below it, and those of all alternates (objects/info/alternates), as deep as
 * git follows them. -errno where something cannot be read that git might: then nothing can be said
 * of what is there. *ret is to be released in either case. */
int gitlayer_stores_open(
	int git_dir_fd, const char *path, size_t hash_bytes, struct gitlayer_stores *ret);
void gitlayer_stores_release(struct gitlayer_stores *stores);

/* 1: an object of this name is there, loose or in a pack; 0: it is not; -errno: cannot be told. */
int gitlayer_stores_hold(
	const struct gitlayer_stores *stores, const unsigned char *hash, size_t hash_bytes);

#endif
