/* Which inode was met first under which path: hard links stay one inode. */
#ifndef COFFER_LAYER_LINK_TABLE_H
#define COFFER_LAYER_LINK_TABLE_H

#include <stddef.h>
#include <sys/types.h>

struct link_table {
	struct link_table_slot *slots;
	size_t count, capacity;
};

/* NULL: not met yet. */
const char *link_table_find(const struct link_table *table, dev_t device, ino_t inode);
/* path is copied; the first one of an inode stays. 0 or -ENOMEM. */
int link_table_add(struct link_table *table, dev_t device, ino_t inode, const char *path);
void link_table_release(struct link_table *table);

#endif
