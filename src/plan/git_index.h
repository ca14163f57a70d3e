/* git's index file (versions 2 to 4): which paths are tracked. */
#ifndef COFFER_PLAN_GIT_INDEX_H
#define COFFER_PLAN_GIT_INDEX_H

#include <stddef.h>

enum {
	GIT_SHA1_BYTES = 20,
	GIT_SHA256_BYTES = 32,
	GIT_MODE_TREE = 0040000, /* only in a sparse index */
	GIT_MODE_SUBMODULE = 0160000,
};

/* Called for each entry in order; path lives until the call returns. A result other than 0 ends the
 * parse with it. */
typedef int git_index_handler(const char *path, size_t path_length, unsigned mode, void *context);

/* hash_bytes is that of the repository's object format. -EBADMSG for what is no such index; entries
 * before the fault were handed over. */
int git_index_parse(const void *data, size_t length_bytes, size_t hash_bytes,
	git_index_handler *handler, void *context);

#endif
