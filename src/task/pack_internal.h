/* What the files of the packing share. */
#ifndef COFFER_TASK_PACK_INTERNAL_H
#define COFFER_TASK_PACK_INTERNAL_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stddef.h>

/* What pack_tree.sh tells of a tree, a file each. All of it is a stranger's. */
enum pack_list {
	PACK_NESTED,  /* .git below the top */
	PACK_EMPTY,   /* directories */
	PACK_SPECIAL, /* neither file, directory nor link */
	PACK_LARGE,
	PACK_LEFT,    /* what git did not take, though no .gitignore says so */
	PACK_LINKS,   /* submodules, and in the same order */
	PACK_DIGESTS, /* of what is in each, a line */
	PACK_CHANGES, /* since the prepared tree: git diff-tree -r -z --raw */
	PACK_SIZES,   /* and in the same order the bytes of each file, a line */
	PACK_LISTS,
};
struct pack_tree {
	struct {
		char *text; /* NUL-terminated; NULL: empty */
		size_t length_bytes;
	} lists[PACK_LISTS];
};
void pack_tree_release(struct pack_tree *tree);

struct pack_choice {
	const struct pack_tree *prepared, *final;
	/* Whether the agent has written path, which the tree holds: set-up may have. */
	bool (*touched)(const char *path, void *context);
	void *context;
};

/* Decides of each change whether it leaves: *ret_index gets the lines for `git update-index -z
 * --index-info`, *ret_skipped what does not, "path: why" (at most MAX_PACK_SKIPPED, and how many
 * more). -EIO: git did not take a file, and nothing explains it. */
int pack_choose(const struct pack_choice *choice, struct buffer *ret_index,
	struct strv *ret_skipped, struct error *error);

/* The message of the commit as `git am` will read it again: no control characters, and no line that
 * would be taken for the end of the message. Caller frees; NULL: no memory. */
char *pack_message(const char *subject, const char *body);

#endif
