/* Which files of a git directory may be written back, and what they may hold. */
#ifndef COFFER_RUN_GITLAYER_CHECK_H
#define COFFER_RUN_GITLAYER_CHECK_H

#include "run/gitlayer.h"
#include "run/gitlayer_objects.h"

#include <stdbool.h>
#include <stddef.h>

/* The order of writing: what refers comes after what it refers to. */
enum gitlayer_order {
	ORDER_OBJECT,
	ORDER_PACK,
	ORDER_PACK_INDEX, /* a pack is seen once its index is there */
	ORDER_STATE,
	ORDER_PACKED_REFS,
	ORDER_REF,
	ORDER_HEAD,
	ORDER_INDEX,
};

enum gitlayer_flag {
	GITLAYER_DELETABLE = 1 << 0, /* the box may have deleted it */
	GITLAYER_STREAMED = 1 << 1,  /* only its first bytes are checked; it is copied in pieces */
	GITLAYER_IMMUTABLE = 1 << 2, /* named by content: one that exists stays as it is */
	GITLAYER_LOCKED = 1 << 3,    /* git writes it under NAME.lock */
	GITLAYER_TOGETHER = 1 << 4,  /* with all others in its directory, or not at all */
	GITLAYER_WORKTREE = 1 << 5,  /* only in worktrees/NAME/ */
	GITLAYER_COMMON = 1 << 6,    /* never there */
	GITLAYER_CACHE = 1 << 7,     /* git can make it again: dropped without a word */
};

/* What a check is given. */
struct gitlayer_file {
	const struct gitlayer_options *options;
	int git_dir_fd;
	const char *path; /* below git_dir */
	const char *tail; /* path, without worktrees/NAME/ and modules/NAME/ before it */
	/* What was there before, for an object or a pack; NULL: that cannot be told. */
	const struct gitlayer_stores *stores;
	const char *data; /* NUL-terminated behind length_bytes */
	size_t length_bytes;
};

struct gitlayer_rule {
	const char *glob; /* of the tail */
	/* NULL when the file is harmless, else why it is not. */
	const char *(*check)(const struct gitlayer_file *file);
	enum gitlayer_order order;
	unsigned flags; /* enum gitlayer_flag */
	size_t max_bytes;
};

/* NULL: not a kind that is written back. */
const struct gitlayer_rule *gitlayer_rule_find(const char *tail, bool in_worktree);

/* The object that the tail of a loose one's path names; false where it is no such path. */
bool gitlayer_object_name(const char *tail, size_t hash_bytes, unsigned char *ret);

/* Whether name is a ref's (git check-ref-format), with one component at least. */
bool gitlayer_is_ref_name(const char *name);

/* Whether a worktree lies below a write root. text is what its record (a directory below git_dir)
 * says about its `.git`; a new one must be there, and be reached through no link. */
bool gitlayer_worktree_is_inside(
	const struct gitlayer_options *options, const char *record, const char *text, bool is_new);

#endif
