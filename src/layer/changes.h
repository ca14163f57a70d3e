/* What a layer, with the layers that it stands on, would change of the host: found by walking the
 * uppers, never the tree below (but for what a replaced directory hid). */
#ifndef COFFER_LAYER_CHANGES_H
#define COFFER_LAYER_CHANGES_H

#include "layer/layer.h"

#include <sys/stat.h>

struct layer_records;

/* One root opened: every descriptor is a directory, entered only beneath itself and through no link,
 * because what is in it is hostile. */
struct layer_view {
	const struct layer_root *root;
	int base;    /* -1: nothing lies below */
	int *uppers; /* topmost first */
	size_t uppers_count;
	size_t own; /* how many of them are the layer's own: 0 or 1 */
	enum layer_kind kind;
	struct layer_records *records; /* LAYER_COPY: what was copied; else NULL */
	uint64_t copied_us;            /* ... and until when */
};
int layer_view_open(const struct layer *layer, const struct layer_root *root,
	struct layer_view *ret, struct error *error);
void layer_view_release(struct layer_view *view);

/* One side of a change. Overlayfs's own marks (whiteouts, user.overlay.*) are never shown. */
struct layer_entry {
	bool present;
	int at;         /* the view's directory from which the change's path leads to it */
	struct stat st; /* as lstat() has it */
};

enum layer_change_kind { LAYER_ADDED, LAYER_MODIFIED, LAYER_DELETED };

/* What of a LAYER_MODIFIED entry differs. CONTENT is "may differ" until somebody has compared the
 * bytes (layer_same_content()); for another type, link target or device number it is set too. */
enum layer_difference {
	LAYER_CONTENT = 1 << 0,
	LAYER_MODE = 1 << 1,
	LAYER_OWNER = 1 << 2,
	LAYER_XATTRS = 1 << 3, /* user.*, and as root security.capability and ACLs */
	LAYER_TYPE = 1 << 4,
};

struct layer_change {
	const struct layer_view *view;
	const char *path; /* below the root; "" is the root itself */
	enum layer_change_kind kind;
	unsigned differences; /* of enum layer_difference */
	struct layer_entry before, after;
};

/* Calls back for each change, a directory before what is in it, names in the order of bytes; a
 * directory that came or went is told, and so is each thing in it. A callback that returns anything
 * but 0 ends the walk with that. Depth and path length are bounded (limits.h): -ELOOP, -ENAMETOOLONG
 * are errors that name the place. Memory grows with the widest directory, not with the layer. */
typedef int (*layer_change_fn)(const struct layer_change *change, void *context);
int layer_view_changes(const struct layer_view *view, layer_change_fn callback, void *context,
	struct error *error);
/* The same for each root of the layer and of those that it stands on, opened in turn. */
int layer_changes(
	const struct layer *layer, layer_change_fn callback, void *context, struct error *error);

/* Reads one side: a regular file's descriptor (O_RDONLY | O_NONBLOCK, verified to be the inode of
 * the change's stat), or -errno. */
int layer_open_before(const struct layer_change *change);
int layer_open_after(const struct layer_change *change);
/* The same of an entry that was kept beyond its callback, while the view is open. */
int layer_entry_open(const struct layer_entry *entry, const char *path);
int layer_entry_link(const struct layer_entry *entry, const char *path, char **ret);
/* The link's target; caller frees. 0 or -errno. */
int layer_link_before(const struct layer_change *change, char **ret);
int layer_link_after(const struct layer_change *change, char **ret);
/* 1, 0, or -errno. Two regular files. */
int layer_same_content(const struct layer_change *change);

/* Paths of all roots of the layer and of those that it stands on. */
int layer_root_paths(const struct layer *layer, struct strv *ret, struct error *error);

struct layer_counts {
	uint64_t added, modified, deleted; /* entries, directories included */
	uint64_t bytes;                    /* of regular files that were added or modified */
};
int layer_count(const struct layer *layer, struct layer_counts *ret, struct error *error);

#endif
