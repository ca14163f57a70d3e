/* What an apply is doing, on disk: so that whoever comes after a kill can go on or take it back.
 *
 * It lies in the layer's directory under the name of what is going on:
 *	apply.staging  new content is being written beside its place: take it back
 *	apply.placing  all of it is written: go on, or take it back if that cannot be
 *	apply.undoing  being taken back
 *	apply.placed   the host has it: remove what was replaced, then what the layer has of it
 * and STORE/applying/ID says that there is one. */
#ifndef COFFER_LAYER_APPLY_JOURNAL_H
#define COFFER_LAYER_APPLY_JOURNAL_H

#include "base/strv.h"
#include "layer/layer.h"

#include <sys/stat.h>

enum apply_phase {
	APPLY_NONE,
	APPLY_STAGING,
	APPLY_PLACING,
	APPLY_UNDOING,
	APPLY_PLACED,
};

/* By what one file is told from another. Size and mtime stay when it is renamed. */
struct apply_identity {
	uint64_t inode, size;
	int64_t modified_ns;
};

enum apply_step_kind {
	STEP_PLACE,    /* what was staged gets a name that nothing has */
	STEP_EXCHANGE, /* it changes places with what is there, atomically */
	STEP_REMOVE,   /* what is there gets the staged name */
	STEP_ATTRIBUTES, /* in place */
	STEP_KINDS,
};

struct apply_attributes {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t modified_ns;
};

struct apply_xattr {
	char *name;
	char *values[2]; /* before, after; NULL: it is not there */
	size_t sizes[2];
};

struct apply_step {
	enum apply_step_kind kind;
	unsigned root; /* index of apply_journal.roots */
	char *path;    /* below it */
	struct apply_identity staged, host;
	/* STEP_ATTRIBUTES */
	struct apply_attributes sides[2]; /* before, after */
	struct apply_xattr *xattrs;
	size_t xattrs_count;
};

struct apply_root {
	char *path; /* in the box */
	char *base; /* on the host */
	uint64_t device, inode;
};

/* A directory of the host in which names change: its time is put back, or becomes the layer's. */
struct apply_directory {
	unsigned root;
	char *path;
	int64_t before_ns, after_ns; /* after: INT64_MIN: what it becomes by itself */
};

struct apply_journal {
	char id[17];
	bool whole; /* the layer has nothing beside it: it begins anew */
	bool keep;  /* the layer keeps it, and takes the host to be as it is now */
	struct apply_root *roots;
	size_t roots_count;
	struct apply_step *steps;
	size_t steps_count, steps_capacity;
	struct apply_directory *directories;
	size_t directories_count, directories_capacity;
	struct apply_directory *tops; /* what leaves the layer: root and path */
	size_t tops_count, tops_capacity;
};

void apply_journal_release(struct apply_journal *journal);
struct apply_step *apply_journal_add(struct apply_journal *journal);
int apply_journal_add_directory(struct apply_directory **list, size_t *count, size_t *capacity,
	const struct apply_directory *directory);

/* Name of what belongs to step `number`, in the directory of its path. */
enum { APPLY_STAGED_BYTES = 64 };
void apply_staged_name(
	const struct apply_journal *journal, size_t number, char ret[APPLY_STAGED_BYTES]);

/* Writes it and names it for the phase, durably; the one before goes. 0 or -errno. */
int apply_journal_write(int directory, const struct apply_journal *journal, enum apply_phase phase);
/* Only the name. */
int apply_journal_move(int directory, enum apply_phase from, enum apply_phase to);
/* Which there is, and what it says. */
int apply_journal_read(int directory, enum apply_phase *ret_phase, struct apply_journal *ret);
int apply_journal_remove(int directory, enum apply_phase phase);

/* From bytes. -EBADMSG: they are none. */
int apply_journal_parse(const char *data, size_t size_bytes, struct apply_journal *ret);

#endif
