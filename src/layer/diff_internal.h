/* What the formats of a diff share. */
#ifndef COFFER_LAYER_DIFF_INTERNAL_H
#define COFFER_LAYER_DIFF_INTERNAL_H

#include "base/buffer.h"
#include "layer/diff.h"
#include "layer/settle.h"
#include "layer/text_diff.h"

/* One side of a file, or of a link: then its target. */
struct diff_content {
	bool present;
	mode_t mode; /* as git has it: 0100644, 0100755, 0120000 */
	char *data;  /* NULL: there is nothing, or it is too large to be held */
	uint64_t size;
	int fd; /* ... then this is open */
	bool binary;
};

/* Reads one side. -EACCES and the like where it cannot be read. */
int diff_content_load(const struct layer_entry *entry, const char *path, struct diff_content *ret);
void diff_content_release(struct diff_content *content);
/* 1, 0 or -errno. */
int diff_content_same(const struct diff_content *a, const struct diff_content *b);
enum { DIFF_BLOB_CHARS = 40 };
/* The name that git gives to it. */
int diff_content_blob(const struct diff_content *content, char ret[DIFF_BLOB_CHARS + 1]);
/* Calls back with the content, piece by piece. -EAGAIN: it was changed meanwhile. */
typedef int (*diff_piece_fn)(const char *data, size_t bytes, bool last, void *context);
int diff_content_pieces(const struct diff_content *content, diff_piece_fn callback, void *context);

/* A file or link that came, went or changed. */
struct diff_file {
	char status;          /* A, M, D, T (another type) or R */
	const char *path;     /* as it is shown: below options->relative_to */
	const char *old_path; /* R: where it was; else the same as path */
	unsigned similarity;  /* R: percent */
	const struct layer_change *change;
	struct diff_content before, after; /* loaded if the format wants it */
	enum layer_host_state host;        /* of what the layer replaces; JSON only */
};

/* What a patch cannot hold. */
struct diff_note {
	char status;      /* A, M, D */
	const char *path; /* as it is shown */
	const char *text; /* a few words */
	bool entry;       /* nothing else tells of this path */
};

struct diff {
	const struct diff_options *options;
	FILE *to;
	struct error *error;
	void *state; /* the format's */
	uint64_t unread;
};

struct diff_writer {
	bool wants_content;
	int (*begin)(struct diff *diff);
	int (*file)(struct diff *diff, const struct diff_file *file);
	int (*note)(struct diff *diff, const struct diff_note *note);
	int (*end)(struct diff *diff);
	void (*release)(struct diff *diff);
};
extern const struct diff_writer diff_write_patch, diff_write_stat, diff_write_names,
	diff_write_names_status, diff_write_json;

/* Writes prefix and path as git does: in quotes, C's escapes within, where a byte is not plain. */
void diff_put_path(FILE *to, const char *prefix, const char *path);
bool diff_is_plain(const char *path);

/* Insertions and deletions; of binary files none. */
int diff_file_counts(const struct diff_file *file, struct text_counts *ret);

/* diff_binary.c: git's literal. */
int diff_put_literal(FILE *to, const struct diff_content *content);

/* ---- renames ---- */

struct diff_rename {
	char *from, *to; /* below the root */
	struct layer_entry before;
	unsigned similarity;
};
struct diff_renames;
/* Collects the candidates of one walk, then pairs them. */
int diff_renames_new(struct diff_renames **ret);
int diff_renames_add(struct diff_renames *renames, const struct layer_change *change);
int diff_renames_pair(struct diff_renames *renames);
const struct diff_rename *diff_renames_from(const struct diff_renames *renames, const char *path);
const struct diff_rename *diff_renames_to(const struct diff_renames *renames, const char *path);
void diff_renames_free(struct diff_renames *renames);

#endif
