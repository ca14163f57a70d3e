#include "layer/link_table.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct link_table_slot {
	dev_t device;
	ino_t inode;
	char *path; /* NULL: free */
};

/* The slot of an inode, or the free one where it belongs. Open addressing: a box chooses neither
 * inode numbers nor, with the multiplication, where they fall. */
static struct link_table_slot *slot(const struct link_table *table, dev_t device, ino_t inode)
{
	uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * 0x9e3779b97f4a7c15ULL;
	for (size_t i = (size_t)(hash >> 20) & (table->capacity - 1);;
		i = (i + 1) & (table->capacity - 1)) {
		struct link_table_slot *at = &table->slots[i];
		if (!at->path || (at->inode == inode && at->device == device))
			return at;
	}
}

const char *link_table_find(const struct link_table *table, dev_t device, ino_t inode)
{
	return table->capacity ? slot(table, device, inode)->path : NULL;
}

static int grow(struct link_table *table)
{
	struct link_table larger = {.capacity = table->capacity ? table->capacity * 2 : 64,
		.count = table->count};
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < table->capacity; i++)
		if (table->slots[i].path)
			*slot(&larger, table->slots[i].device, table->slots[i].inode) =
				table->slots[i];
	free(table->slots);
	*table = larger;
	return 0;
}

int link_table_add(struct link_table *table, dev_t device, ino_t inode, const char *path)
{
	if (table->count * 4 >= table->capacity * 3) {
		int r = grow(table);
		if (r < 0)
			return r;
	}
	struct link_table_slot *at = slot(table, device, inode);
	if (at->path)
		return 0;
	at->path = strdup(path);
	if (!at->path)
		return -ENOMEM;
	at->device = device;
	at->inode = inode;
	table->count++;
	return 0;
}

void link_table_release(struct link_table *table)
{
	for (size_t i = 0; i < table->capacity; i++)
		free(table->slots[i].path);
	free(table->slots);
	*table = (struct link_table){0};
}
