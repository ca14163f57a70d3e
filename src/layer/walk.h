/* The walk that finds what two stacks of directories make of the same tree differently. */
#ifndef COFFER_LAYER_WALK_H
#define COFFER_LAYER_WALK_H

#include "layer/changes.h"

enum walk_side { WALK_BEFORE = 1, WALK_AFTER = 2, WALK_BOTH = 3 };

/* One directory of the stacks. One that is in both needs no reading: what it shows, it shows on both
 * sides, unless something of one side only stands before it. */
struct walk_slot {
	int directory;  /* borrowed */
	unsigned sides; /* of enum walk_side */
	bool marks;     /* overlayfs's whiteouts and opaque directories mean something in it */
};

struct walk {
	const struct layer_view *view; /* for the callback, and to name places */
	struct walk_slot *slots;       /* each side's are in its order, topmost first */
	size_t slots_count;
	bool every;   /* call back also for what is the same on both sides */
	bool shallow; /* do not compare attributes of files whose content may differ anyway */
	layer_change_fn callback;
	void *context;
};

int walk_run(const struct walk *walk, struct error *error);

/* The layer's own upper against what lies below it. */
int walk_own(const struct layer_view *view, bool every, layer_change_fn callback, void *context,
	struct error *error);

/* entry.c: whether two files' extended attributes differ, but for overlayfs's own: 1, 0 or -errno.
 * The names are looked up in the directories. */
int entry_attributes_differ(int before, int after, const char *name);
/* Whether a file or directory has any, those apart. */
bool entry_has_attributes(const struct layer_entry *entry, const char *path);
/* Whether the links lead elsewhere: 1, 0 or -errno. */
int entry_links_differ(int before, int after, const char *name);

#endif
