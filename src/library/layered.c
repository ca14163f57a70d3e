#include "library/layered.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/tree.h"
#include "layer/layer.h"
#include "layer/settle.h"

#include <fcntl.h>
#include <jansson.h>
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

/* What an overlay that was volatile leaves in its work directory forbids to mount it again; and
 * that is all there is in it. */
static int renew_work(const struct layer_root *root, const struct plan *plan, struct error *error)
{
	cleanup_close int fd = open(root->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : tree_remove(fd, "work");
	if (r == 0 && mkdirat(fd, "work", 0700) < 0)
		r = -errno;
	if (r == 0 && plan->facts.root &&
		fchownat(fd, "work", plan->owner_uid, plan->owner_gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r < 0 ? error_set_errno(error, -r, stage, "%s/work", root->directory) : 0;
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
	r = renew_work(root, plan, error);
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
	if (plan->tier != TIER_CONTAINER) {
		error_set(error, ENOTSUP, stage, "a layer needs the container tier here");
		return error_hint(error, "`coffer doctor` tells what this host lacks");
	}
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

char *layered_end(struct layered *layered, struct error *error)
{
	struct layer *layer = layered->layer;
	struct layer_counts counts;
	if (layer_settle(layer, &counts, error) < 0)
		return NULL;
	json_t *json =
		json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I}", "id", layer->id, "name", layer->name,
			"added", (json_int_t)counts.added, "modified", (json_int_t)counts.modified,
			"deleted", (json_int_t)counts.deleted, "bytes", (json_int_t)counts.bytes);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		error_set_errno(error, ENOMEM, stage, "%s", layer->id);
	return text;
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
