#include "library/layered.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "layer/layer.h"
#include "layer/settle.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static const char stage[] = "layer";

struct layered {
	struct layer *layer;
	struct mounts_stack *stacks;
	size_t count;
	char *empty; /* a directory: what lies below where nothing else does */
};

/* What an overlay that was volatile leaves in its work directory forbids to mount it again: the kernel
 * cannot know that the host has not crashed meanwhile. What it cleans up by itself is left to it. */
static int renew_work(const struct layer_root *root, struct error *error)
{
	/* From the outside in they are opened, being made with mode 0; then they go. */
	static const char *const marks[] = {
		"work/work", "work/work/incompat", "work/work/incompat/volatile"};
	cleanup_close int fd = open(root->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(error, errno, stage, "%s", root->directory);
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (fchmodat(fd, marks[i], 0700, 0) < 0 && errno == ENOENT)
			return 0;
	if (unlinkat(fd, "work/work/incompat/volatile/dirty", 0) < 0 && errno != ENOENT)
		return error_set_errno(error, errno, stage, "%s/work", root->directory);
	for (size_t i = ARRAY_SIZE(marks); i-- > 1;)
		if (unlinkat(fd, marks[i], AT_REMOVEDIR) < 0)
			return error_set_errno(
				error, errno, stage, "%s/%s", root->directory, marks[i]);
	return 0;
}

/* Whether what a box writes can be kept there: overlayfs needs extended attributes of a user's, and
 * does not lie on itself. */
static int check_place(const struct layer *layer, struct error *error)
{
	struct statfs fs;
	if (statfs(layer->directory, &fs) < 0)
		return error_set_errno(error, errno, stage, "%s", layer->directory);
	bool fits = (long)fs.f_type != OVERLAYFS_SUPER_MAGIC;
	if (fits && setxattr(layer->directory, "user.coffer", "", 0, 0) < 0)
		fits = errno != ENOTSUP;
	if (fits)
		return 0;
	error_set(error, ENOTSUP, stage, "%s lies on a file system that cannot hold layers",
		layer->directory);
	return error_hint(error, "set XDG_STATE_HOME to a directory on a disk (ext4, xfs, btrfs; "
				 "tmpfs from Linux 6.6 on)");
}

static int add_stack(struct layered *layered, const struct plan *plan,
	const struct plan_mount *mount, struct error *error)
{
	struct layer *layer = layered->layer;
	struct mounts_stack *stack = &layered->stacks[mount->stack];
	int r = layer_add_root(
		layer, mount->target, mount->source, plan->owner_uid, plan->owner_gid, error);
	if (r < 0)
		return r;
	const struct layer_root *root = layer->roots;
	while (strcmp(root->path, mount->target) != 0)
		root++;
	r = renew_work(root, error);
	stack->is_volatile = true;
	stack->top = strdup(root->directory);
	if (r == 0)
		r = layer_uppers_below(layer, mount->target, &stack->below, error);
	if (r == 0 && (!stack->top || (!mount->source && stack->below.count == 0 &&
					      strv_add(&stack->below, layered->empty) < 0)))
		r = error_set_errno(error, ENOMEM, stage, "%s", mount->target);
	return r;
}

static int begin(struct layered *layered, const struct plan *plan, struct error *error)
{
	int r = layer_open(plan->layer, LAYER_WRITE, &layered->layer, error);
	if (r < 0)
		return r;
	bool copy = layered->layer->kind == LAYER_COPY;
	if (copy != (plan->tier == TIER_LANDLOCK)) {
		error_set(error, EINVAL, stage, "layer %s was made in the %s tier", plan->layer,
			copy ? "landlock" : "container");
		return error_hint(
			error, "go on in it with --isolation %s", copy ? "landlock" : "container");
	}
	if (copy)
		return layer_begin(layered->layer, error);
	r = check_place(layered->layer, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->mounts_count; i++)
		layered->count += plan->mounts[i].kind == MOUNT_LAYER;
	layered->stacks = calloc(layered->count + 1, sizeof(*layered->stacks));
	layered->empty = path_join(layered->layer->directory, "empty");
	if (!layered->stacks || !layered->empty)
		return error_set_errno(error, ENOMEM, stage, "%s", plan->layer);
	for (size_t i = 0; r == 0 && i < plan->mounts_count; i++)
		if (plan->mounts[i].kind == MOUNT_LAYER)
			r = add_stack(layered, plan, &plan->mounts[i], error);
	size_t tree = 0;
	for (size_t i = 0; i < layered->count; i++) {
		layered->stacks[i].first_tree = tree;
		tree += 1 + layered->stacks[i].below.count;
	}
	return r < 0 ? r : layer_begin(layered->layer, error);
}

int layered_begin(struct plan *plan, struct layered **ret, struct error *error)
{
	*ret = NULL;
	if (!plan->layer)
		return 0;
	struct layered *layered = calloc(1, sizeof(*layered));
	if (!layered)
		return error_set_errno(error, ENOMEM, stage, "%s", plan->layer);
	int r = begin(layered, plan, error);
	char *directory = r == 0 ? strdup(layered->layer->directory) : NULL;
	if (r == 0 && !directory)
		r = error_set_errno(error, ENOMEM, stage, "%s", plan->layer);
	if (r < 0) {
		layered_free(layered);
		return r;
	}
	free(plan->layer);
	plan->layer = directory;
	*ret = layered;
	return 0;
}

const struct mounts_stack *layered_stacks(const struct layered *layered, size_t *ret_count)
{
	*ret_count = layered ? layered->count : 0;
	return layered ? layered->stacks : NULL;
}

int layered_end(struct layered *layered, struct report_layer *ret, struct error *error)
{
	struct layer *layer = layered->layer;
	struct layer_counts counts;
	int r = layer_settle(layer, &counts, error);
	if (r < 0)
		return r;
	*ret = (struct report_layer){.id = strdup(layer->id),
		.name = layer->name ? strdup(layer->name) : NULL,
		.added = counts.added,
		.modified = counts.modified,
		.deleted = counts.deleted,
		.bytes = counts.bytes};
	return ret->id && (ret->name || !layer->name)
		       ? 0
		       : error_set_errno(error, ENOMEM, stage, "%s", layer->id);
}

void layered_free(struct layered *layered)
{
	if (!layered)
		return;
	for (size_t i = 0; layered->stacks && i < layered->count; i++) {
		free(layered->stacks[i].top);
		strv_release(&layered->stacks[i].below);
	}
	free(layered->stacks);
	free(layered->empty);
	layer_close(layered->layer);
	free(layered);
}
