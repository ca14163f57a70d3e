/* Theory of operation. What a layer holds is kept by sealing it: the layer goes on as a new, empty
 * one on top of it, and takes the name along. A name is a link, and moves by rename(): at each moment
 * it leads to a layer that is complete, the old or the new. The order of steps is such that a kill
 * between two leaves at most a layer without a name that nothing stands on (collect.c).
 *
 * Below a running overlay nothing can be pushed in. Such a layer is held still and copied. */
#include "layer/copies.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "layer/copy_layer.h"
#include "layer/freeze.h"
#include "layer/layer_internal.h"
#include "layer/settle.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>

static const char stage[] = "layer";

/* What has become of a layer that others stand on and nobody calls by a name. */
static const char purpose_base[] = "base";

int layer_check_name(int store, const char *name, struct error *error)
{
	struct stat st;
	if (!layer_name_is_valid(name) || layer_is_id(name)) {
		error_set(error, EINVAL, stage, "'%.64s' cannot be a layer's name", name);
		return error_hint(error, "letters, digits, '.', '_' and '-', at most %d of them",
			MAX_LAYER_NAME_BYTES);
	}
	cleanup_free char *link = path_join("names", name);
	if (!link)
		return error_set_errno(error, ENOMEM, stage, "%s", name);
	if (fstatat(store, link, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		error_set(error, EEXIST, stage, "there is a layer named %s already", name);
		return error_hint(error, "`coffer discard %s` removes it", name);
	}
	return 0;
}

int layer_give_name(int store, struct layer *layer, const char *name, struct error *error)
{
	char target[LAYER_ID_BYTES + 8];
	cleanup_free char *link = path_join("names", name);
	char *copy = strdup(name);
	if (!link || !copy) {
		free(copy);
		return error_set_errno(error, ENOMEM, stage, "%s", name);
	}
	free(layer->name);
	layer->name = copy;
	int r = layer_save(layer, error);
	if (r < 0)
		return r;
	snprintf(target, sizeof(target), "../%s", layer->id);
	if (symlinkat(target, store, link) < 0)
		return error_set_errno(error, errno, stage, "the name %s", name);
	return 0;
}

static int set_purpose(struct layer *layer, const char *purpose)
{
	char *copy = strdup(purpose);
	if (!copy)
		return -ENOMEM;
	free(layer->purpose);
	layer->purpose = copy;
	return 0;
}

int layer_seal(struct layer *layer, const char *purpose, struct error *error)
{
	if (purpose && set_purpose(layer, purpose) < 0)
		return error_set_errno(error, ENOMEM, stage, "%s", layer->id);
	layer->sealed = true;
	return layer_save(layer, error);
}

/* The layer goes on as a new one on top of what it is now: *layer becomes nameless. */
static int step_aside(int store, struct layer *layer, struct error *error)
{
	struct layer *next = NULL;
	int r = layer_create_above(layer, layer->name, layer->purpose, &next, error);
	if (r < 0)
		return r;
	if (layer->name) {
		r = layer_point_name(store, layer->name, next->id);
		if (r < 0)
			error_set_errno(error, -r, stage, "the name %s", layer->name);
	}
	if (r == 0) {
		free(layer->name);
		layer->name = NULL;
	}
	layer_close(next);
	return r;
}

/* ---- layers in which a box runs ---- */

/* The supervisor that has it; 0: nobody. Opened for reading without its lock, which that one has. */
static int find_owner(const struct layer *layer, pid_t *ret, struct error *error)
{
	cleanup_free char *path = path_join(layer->directory, "lock");
	cleanup_free char *text = NULL;
	size_t length;
	int r = path ? fd_read_file(AT_FDCWD, path, 32, &text, &length) : -ENOMEM;
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s", layer->id);
	*ret = atoi(text);
	return 0;
}

/* A copy with all that the layer itself holds. Opened for writing. */
static int copy_whole(const struct layer *layer, const char *purpose, uint64_t *ret_copied_bytes,
	struct layer **ret, struct error *error)
{
	struct layer *copy = NULL;
	int r = layer_create_like(layer, purpose, &copy, error);
	if (r == 0)
		r = copy_layer_content(layer, copy, ret_copied_bytes, error);
	if (r == 0) {
		copy->started_us = layer->started_us;
		copy->settled = layer->settled;
		r = layer_save(copy, error);
	}
	if (r < 0 && copy) {
		struct error ignored;
		layer_discard(copy, &ignored);
		return r;
	}
	*ret = copy;
	return r;
}

/* A sealed copy of a layer in which a box runs. Opened for writing. */
static int copy_running(int store, const char *which, const char *purpose,
	uint64_t *ret_copied_bytes, struct layer **ret, struct error *error)
{
	char id[LAYER_ID_BYTES + 1];
	struct layer *running = NULL, *copy = NULL;
	struct freeze freeze = {.control = -1};
	pid_t owner = 0;
	int r = layer_find_id(store, which, id, error);
	if (r == 0)
		r = layer_peek(id, &running, error);
	if (r == 0)
		r = find_owner(running, &owner, error);
	if (r == 0)
		r = freeze_box(owner, &freeze, error);
	if (r == -ESRCH) {
		error_set(error, EBUSY, stage, "layer %s is in use by process %d", which, owner);
		r = error_hint(error, "no box runs in it that could be held still: wait for it");
	}
	if (r == 0) {
		r = copy_whole(running, purpose, ret_copied_bytes, &copy, error);
		freeze_thaw(&freeze);
	}
	if (r == 0 && !copy->settled)
		r = layer_settle(copy, NULL, error);
	if (r == 0)
		r = layer_seal(copy, NULL, error);
	layer_close(running);
	if (r < 0) {
		struct error ignored;
		if (copy)
			layer_discard(copy, &ignored);
		return r;
	}
	*ret = copy;
	return 0;
}

/* Opens for writing; 1: a box runs in it. */
static int open_to_keep(const char *which, struct layer **ret, struct error *error)
{
	int r = layer_open(which, LAYER_WRITE, ret, error);
	if (r == -EBUSY)
		return 1;
	if (r == 0 && !(*ret)->settled)
		r = layer_settle(*ret, NULL, error);
	return r;
}

/* A new layer that begins with what `from` holds: on top of it, or with a copy of it. */
static int go_on_from(const struct layer *from, const char *name, const char *purpose,
	struct layer **ret, struct error *error)
{
	if (from->kind == LAYER_OVERLAY)
		return layer_create_above(from, name, purpose, ret, error);
	uint64_t copied_bytes = 0;
	int r = copy_whole(from, purpose, &copied_bytes, ret, error);
	if (r < 0 || !name)
		return r;
	(*ret)->name = strdup(name);
	return (*ret)->name ? layer_save(*ret, error) : error_set_errno(error, ENOMEM, stage, "%s", name);
}

/* ---- the three verbs ---- */

static int snapshot_stopped(int store, struct layer *layer, const char *snapshot,
	uint64_t *ret_copied_bytes, struct error *error)
{
	if (layer->sealed && strcmp(layer->purpose, "snapshot") == 0) {
		error_set(error, EINVAL, stage, "layer %s is a snapshot itself",
			layer->name ? layer->name : layer->id);
		return error_hint(error, "`coffer fork` goes on from it");
	}
	if (layer->kind == LAYER_COPY) {
		struct layer *copy = NULL;
		int r = copy_whole(layer, "snapshot", ret_copied_bytes, &copy, error);
		if (r == 0)
			r = layer_seal(copy, NULL, error);
		if (r == 0)
			r = layer_give_name(store, copy, snapshot, error);
		layer_close(copy);
		return r;
	}
	int r = step_aside(store, layer, error);
	if (r == 0)
		r = layer_seal(layer, "snapshot", error);
	return r < 0 ? r : layer_give_name(store, layer, snapshot, error);
}

int layer_snapshot(
	const char *which, const char *snapshot, uint64_t *ret_copied_bytes, struct error *error)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	struct layer *layer = NULL;
	*ret_copied_bytes = 0;
	int r = layer_open_store(&path, &store, error);
	if (r == 0)
		r = layer_check_name(store, snapshot, error);
	if (r == 0)
		r = open_to_keep(which, &layer, error);
	if (r == 0) {
		r = snapshot_stopped(store, layer, snapshot, ret_copied_bytes, error);
	} else if (r == 1) {
		r = copy_running(store, which, "snapshot", ret_copied_bytes, &layer, error);
		if (r == 0)
			r = layer_give_name(store, layer, snapshot, error);
	}
	layer_close(layer);
	return r;
}

int layer_restore(const char *which, const char *snapshot, struct error *error)
{
	cleanup_free char *path = NULL, *name = NULL;
	cleanup_close int store = -1;
	struct layer *layer = NULL, *below = NULL, *next = NULL;
	struct error ignored;
	int r = layer_open_store(&path, &store, error);
	if (r == 0)
		r = layer_open(which, LAYER_WRITE, &layer, error);
	if (r == 0)
		r = layer_open(snapshot, LAYER_READ, &below, error);
	if (r == 0 && !below->sealed) {
		error_set(error, EINVAL, stage, "layer %s is no snapshot", snapshot);
		r = error_hint(error, "`coffer snapshot %s NAME` makes one", snapshot);
	}
	if (r == 0 && layer->sealed) {
		error_set(error, EINVAL, stage, "layer %s is a snapshot, or others stand on it", which);
		r = error_hint(error, "`coffer fork %s NEW` goes on from it", which);
	}
	if (r == 0)
		r = go_on_from(below, layer->name, layer->purpose, &next, error);
	if (r == 0 && layer->name) {
		r = layer_point_name(store, layer->name, next->id);
		if (r < 0)
			error_set_errno(error, -r, stage, "the name %s", layer->name);
	}
	layer_close(below);
	layer_close(next);
	if (r < 0) {
		layer_close(layer);
		return r;
	}
	/* The name is the new one's. What cannot be removed now is garbage from here on. */
	free(layer->name);
	layer->name = NULL;
	layer_discard(layer, &ignored);
	return 0;
}

static int fork_above(int store, struct layer *below, char *const names[], struct error *error)
{
	int r = 0;
	size_t done = 0;
	for (; r == 0 && names[done]; done++) {
		struct layer *made = NULL;
		r = go_on_from(below, names[done], "fork", &made, error);
		if (r == 0)
			r = layer_give_name(store, made, names[done], error);
		if (r < 0 && made) {
			struct error ignored;
			free(made->name);
			made->name = NULL;
			layer_discard(made, &ignored);
			made = NULL;
		}
		layer_close(made);
		if (r < 0)
			break;
	}
	/* All or none. */
	while (r < 0 && done > 0) {
		struct layer *made = NULL;
		struct error ignored;
		if (layer_open(names[--done], LAYER_WRITE, &made, &ignored) == 0)
			layer_discard(made, &ignored);
	}
	return r;
}

int layer_fork(const char *which, char *const names[], struct error *error)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	struct layer *layer = NULL;
	uint64_t copied_bytes = 0;
	int r = layer_open_store(&path, &store, error);
	for (size_t i = 0; r == 0 && names[i]; i++) {
		r = layer_check_name(store, names[i], error);
		for (size_t k = 0; r == 0 && k < i; k++)
			if (strcmp(names[i], names[k]) == 0)
				r = error_set(error, EINVAL, stage, "%s is named twice", names[i]);
	}
	if (r == 0)
		r = open_to_keep(which, &layer, error);
	if (r == 1)
		r = copy_running(store, which, purpose_base, &copied_bytes, &layer, error);
	if (r == 0 && !layer->sealed && layer->kind == LAYER_OVERLAY) {
		bool named = layer->name != NULL;
		if (named)
			r = step_aside(store, layer, error);
		if (r == 0)
			r = layer_seal(layer, named ? purpose_base : NULL, error);
	}
	if (r == 0)
		r = fork_above(store, layer, names, error);
	layer_close(layer);
	return r;
}

/* ---- how much there is ---- */

struct tally {
	uint64_t bytes;
	bool any_is_enough;
};

static int add_up(const struct upper_entry *entry, void *context)
{
	struct tally *tally = context;
	if (entry->leaving || !*entry->path)
		return 0;
	if (tally->any_is_enough)
		return 1;
	/* Each name of one inode carries its part. */
	if (!S_ISDIR(entry->st.st_mode))
		tally->bytes += (uint64_t)entry->st.st_blocks * 512 / entry->st.st_nlink;
	return 0;
}

static int tally_roots(const struct layer *layer, struct tally *tally, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < layer->roots_count; i++) {
		cleanup_free char *path = path_join(layer->roots[i].directory, "upper");
		cleanup_close int fd =
			path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (fd < 0)
			return error_set_errno(error, path ? errno : ENOMEM, stage, "%s", path);
		r = upper_walk(fd, add_up, tally, error);
	}
	return r;
}

int layer_size(const struct layer *layer, uint64_t *ret_bytes, struct error *error)
{
	struct tally tally = {0};
	int r = tally_roots(layer, &tally, error);
	*ret_bytes = tally.bytes;
	return r;
}

int layer_is_empty(const struct layer *layer)
{
	struct tally tally = {.any_is_enough = true};
	struct error error;
	int r = tally_roots(layer, &tally, &error);
	return r < 0 ? r : r == 0;
}
