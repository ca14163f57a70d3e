/* A layer's changes for people and programs. */
#ifndef COFFER_LAYER_DIFF_H
#define COFFER_LAYER_DIFF_H

#include "layer/changes.h"

#include <stdio.h>

enum diff_format {
	DIFF_PATCH, /* unified, for `git apply` and `patch -p1`; binary files as git's literals */
	DIFF_STAT,
	DIFF_NAMES,
	DIFF_NAMES_STATUS, /* A, M, D, T, R and the path */
	DIFF_JSON,         /* one object; docs/LAYERS.md has its shape */
};

struct diff_options {
	enum diff_format format;
	char *const *paths; /* only these and what is below; absolute, or below relative_to; NULL */
	const char *relative_to; /* host directory that the patch's paths are relative to */
	bool renames;            /* pair deletions with additions */
	unsigned context;        /* lines; 3 */
	uint64_t max_file_bytes; /* larger ones are named with their sizes only; 0: no limit */
};

/* Streams to `to` (for a terminal: through diff_terminal()). Modes, owners, xattrs, empty directories
 * and special files, which a patch cannot hold, are said in lines between the files that `git apply`
 * passes over. -EACCES, and all the rest is written: some files could not be read. */
int layer_diff(const struct layer *layer, const struct diff_options *options, FILE *to,
	struct error *error);
/* diff_terminal.c: a stream that writes to `to`, for a person: what a terminal would act on is escaped,
 * and a patch is coloured. Closing it leaves `to` open. NULL: no memory. */
FILE *diff_terminal(FILE *to, bool color);
/* What two layers on the same base would make of it, compared with one another. */
int layer_diff_between(const struct layer *from, const struct layer *to_layer,
	const struct diff_options *options, FILE *to, struct error *error);

#endif
