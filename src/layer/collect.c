/* Theory of operation. Garbage is what no name, no other layer, no open file and no list of the
 * caller's leads to. One pass finds the layers that nothing stands on; removing them may free others,
 * so passes go on until one finds nothing. Every removal is layer_discard()'s: name, rename, empty;
 * and what a kill leaves of that (.dead-*) is found here the next time. */
#include "layer/copies.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/tree.h"
#include "layer/layer_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Between a directory's making and its lock's. */
enum { YOUNG_S = 60 };

/* What this program made by itself, for nobody to ask for again. */
static bool is_ours(const struct layer *layer)
{
	static const char *const purposes[] = {"base", "fork", "snapshot", "import"};
	for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
		if (strcmp(layer->purpose, purposes[i]) == 0)
			return true;
	return false;
}

static bool is_run(const struct layer *layer)
{
	return strcmp(layer->purpose, "run") == 0;
}

static bool is_garbage(const struct layer *layer, char *const keep[])
{
	if (layer->name)
		return false;
	for (size_t i = 0; keep && keep[i]; i++)
		if (strcmp(keep[i], layer->id) == 0)
			return false;
	if (is_run(layer))
		return layer_is_empty(layer) == 1;
	return keep || is_ours(layer);
}

/* Without the locks: whoever makes a layer on top of one has that one open. */
static int list_parents(const struct strv *ids, struct strv *ret, struct error *error)
{
	for (size_t i = 0; i < ids->count; i++) {
		struct layer *layer = NULL;
		struct error ignored;
		if (layer_peek(ids->items[i], &layer, &ignored) < 0)
			continue;
		for (size_t k = 0; k < layer->parents.count; k++)
			if (!strv_contains(ret, layer->parents.items[k]) &&
				strv_add(ret, layer->parents.items[k]) < 0) {
				layer_close(layer);
				return error_set_errno(error, ENOMEM, "layer", "the list");
			}
		layer_close(layer);
	}
	return 0;
}

static int collect_one(const char *id, char *const keep[], struct layer_garbage *ret)
{
	struct layer *layer = NULL;
	struct error ignored;
	uint64_t bytes = 0;
	/* A look first: opening for writing would wait for whoever has it. */
	if (layer_peek(id, &layer, &ignored) < 0)
		return 0;
	bool garbage = is_garbage(layer, keep);
	layer_close(layer);
	if (!garbage || layer_open(id, LAYER_WRITE, &layer, &ignored) < 0)
		return 0;
	if (!is_garbage(layer, keep)) { /* it has got a name meanwhile */
		layer_close(layer);
		return 0;
	}
	layer_size(layer, &bytes, &ignored);
	if (layer_discard(layer, &ignored) < 0)
		return 0;
	ret->layers++;
	ret->bytes += bytes;
	return 1;
}

static int collect_pass(char *const keep[], struct layer_garbage *ret, struct error *error)
{
	cleanup_strv struct strv ids = {0}, parents = {0};
	int r = layer_list(&ids, error), removed = 0;
	if (r == 0)
		r = list_parents(&ids, &parents, error);
	for (size_t i = 0; r == 0 && i < ids.count; i++)
		if (!strv_contains(&parents, ids.items[i]))
			removed += collect_one(ids.items[i], keep, ret);
	return r < 0 ? r : removed;
}

/* ---- what kills left ---- */

static bool is_young(int at, const char *name)
{
	struct stat st;
	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtime + YOUNG_S > time(NULL);
}

/* Whether nobody is making it any more. */
static bool is_abandoned(int store, const char *name)
{
	cleanup_free char *path = path_join(name, "lock");
	cleanup_close int lock = path ? openat(store, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (lock < 0)
		return !is_young(store, name);
	return flock(lock, LOCK_EX | LOCK_NB) == 0;
}

static void sweep_store(int store)
{
	int fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		close_fd(&fd);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		const char *name = entry->d_name;
		bool dead = strncmp(name, ".dead-", 6) == 0;
		if (dead || (strncmp(name, ".new-", 5) == 0 && is_abandoned(store, name)))
			tree_remove(store, name);
	}
}

/* Links that lead nowhere, and those that were on their way. */
static void sweep_names(int store)
{
	int fd = openat(store, "names", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		close_fd(&fd);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		struct stat st;
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_young(fd, name))
			continue;
		if (name[0] == '.' || (fstatat(fd, name, &st, 0) < 0 && errno == ENOENT))
			unlinkat(fd, name, 0);
	}
}

int layer_collect(char *const keep[], struct layer_garbage *ret, struct error *error)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	*ret = (struct layer_garbage){0};
	int r = layer_open_store(&path, &store, error);
	if (r < 0)
		return r;
	do
		r = collect_pass(keep, ret, error);
	while (r > 0);
	sweep_store(store);
	sweep_names(store);
	return r;
}
