#include "confine/witness_file.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/witness_ring.h"

#include <string.h>

/* As much of a ring as is written here; the rest is a hole. */
struct head {
	uint32_t magic, used, lost, hidden_bytes;
	char hidden[WITNESS_HIDDEN_BYTES];
};
_Static_assert(offsetof(struct witness_ring, hashes) == sizeof(struct head), "one layout");

static void add_prefix(struct head *head, const char *path)
{
	size_t bytes = strlen(path) + 1;
	/* One that finds no room is a place of which less is told. */
	if (path[1] == '\0' || head->hidden_bytes + bytes > sizeof(head->hidden))
		return;
	memcpy(head->hidden + head->hidden_bytes, path, bytes);
	head->hidden_bytes += (uint32_t)bytes;
}

/* Below these a program is told ENOENT for what is on the host. */
static void add_hidden(const struct plan *plan, struct head *head)
{
	for (size_t i = 0; i < plan->places_count; i++)
		if (plan->places[i].access == PLACE_ABSENT ||
			plan->places[i].access == PLACE_HIDDEN)
			add_prefix(head, plan->places[i].path);
	/* A name of the same place that nearly every system has. */
	if (plan_place_of(plan, "/run")->access == PLACE_ABSENT)
		add_prefix(head, "/var/run");
	static const char *const elsewhere[] = {"/home", "/root", "/srv", "/mnt", "/media", "/var"};
	for (size_t i = 0; plan->private_root && i < ARRAY_SIZE(elsewhere); i++)
		add_prefix(head, elsewhere[i]);
}

int witness_file_fill(const struct plan *plan, int fd)
{
	struct head head = {.magic = WITNESS_MAGIC};
	add_hidden(plan, &head);
	size_t bytes = offsetof(struct head, hidden) + head.hidden_bytes;
	if (ftruncate(fd, sizeof(struct witness_ring)) < 0 ||
		pwrite(fd, &head, bytes, 0) != (ssize_t)bytes)
		return errno ? -errno : -EIO;
	return 0;
}
