/* Theory of operation. What is known of a layer is in one small file beside it, written whole and
 * renamed into place, so that the front needs no database and a kill leaves the old or the new. A
 * directory appears under its id by rename(), when it is complete, and goes the same way. Who
 * changes a layer holds its lock; who refers to a parent holds nothing, because a layer that
 * something stands on is not removed. */
#include "layer/layer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/suggest.h"
#include "base/tree.h"
#include "layer/layer_internal.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum { LOCK_ATTEMPTS = 20, LOCK_PAUSE_US = 5000 };

static const char stage[] = "layer";

bool layer_name_is_valid(const char *name)
{
	size_t length = strlen(name);
	if (length == 0 || length > MAX_LAYER_NAME_BYTES || name[0] == '.' || name[0] == '-')
		return false;
	for (const char *s = name; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
			return false;
	return true;
}

/* ---- the store ---- */

static char *store_path(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	if (state && state[0] == '/')
		return path_absolute(state, "coffer/layers");
	if (geteuid() == 0)
		return strdup("/var/lib/coffer/layers");
	const char *home = getenv("HOME");
	return home && home[0] == '/' ? path_absolute(home, ".local/state/coffer/layers") : NULL;
}

int layer_store_path(char **ret, struct error *error)
{
	cleanup_free char *written = store_path();
	if (!written)
		return error_set(error, ENOENT, stage, "neither HOME nor XDG_STATE_HOME is set");
	cleanup_free char *names = path_join(written, "names");
	int r = names ? fd_make_directories(names) : -ENOMEM;
	/* Sources of mounts are opened without following links. */
	cleanup_free char *real = r == 0 ? realpath(written, NULL) : NULL;
	if (r == 0 && !real)
		r = -errno;
	if (r < 0) {
		error_set_errno(error, -r, stage, "%s", written);
		return error_hint(error, "layers need a place on disk: set XDG_STATE_HOME to one");
	}
	*ret = steal_pointer(&real);
	return 0;
}

int layer_open_store(char **ret_path, int *ret_fd, struct error *error)
{
	int r = layer_store_path(ret_path, error);
	if (r < 0)
		return r;
	*ret_fd = open(*ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? error_set_errno(error, errno, stage, "%s", *ret_path) : 0;
}

bool layer_is_id(const char *text)
{
	return strlen(text) == LAYER_ID_BYTES && strspn(text, "0123456789abcdef") == LAYER_ID_BYTES;
}

int layer_list(struct strv *ret_ids, struct error *error)
{
	cleanup_free char *store = NULL;
	int r = layer_store_path(&store, error);
	if (r < 0)
		return r;
	cleanup_closedir DIR *dir = opendir(store);
	if (!dir)
		return error_set_errno(error, errno, stage, "%s", store);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (layer_is_id(entry->d_name) && strv_add(ret_ids, entry->d_name) < 0)
			return error_set_errno(error, ENOMEM, stage, "the list");
	return 0;
}

/* The id that a name stands for; "" where there is none. */
int layer_find_id(
	int store, const char *which, char ret_id[LAYER_ID_BYTES + 1], struct error *error)
{
	struct stat st;
	ret_id[0] = '\0';
	if (layer_name_is_valid(which)) {
		cleanup_free char *link = path_join("names", which);
		char target[64];
		ssize_t n = link ? readlinkat(store, link, target, sizeof(target) - 1) : -1;
		if (n > 3) {
			target[n] = '\0';
			if (layer_is_id(target + 3))
				memcpy(ret_id, target + 3, LAYER_ID_BYTES + 1);
		}
	}
	const char *last = which[0] == '/' ? path_name(which) : which;
	if (!ret_id[0] && layer_is_id(last) && fstatat(store, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
		memcpy(ret_id, last, LAYER_ID_BYTES + 1);
	if (ret_id[0] && fstatat(store, ret_id, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	error_set(error, ENOENT, stage, "there is no layer '%.64s'", which);
	int names_fd = openat(store, "names", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = names_fd < 0 ? NULL : fdopendir(names_fd);
	if (!dir)
		close_fd(&names_fd);
	cleanup_strv struct strv names = {0};
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			strv_add(&names, entry->d_name);
	const char *near =
		names.count ? suggest_nearest(which, names.items, names.count, sizeof(*names.items))
			    : NULL;
	return near ? error_hint(error, "did you mean %s? `coffer layers` lists them", near)
		    : error_hint(error, "`coffer layers` lists them");
}

/* ---- opening ---- */

static int take_lock(struct layer *layer, enum layer_access access, struct error *error)
{
	cleanup_free char *path = path_join(layer->directory, "lock");
	if (!path)
		return error_set_errno(error, ENOMEM, stage, "%s", layer->directory);
	layer->lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (layer->lock < 0)
		return error_set_errno(error, errno, stage, "%s", path);
	int how = access == LAYER_WRITE ? LOCK_EX : LOCK_SH;
	for (int i = 0; i < LOCK_ATTEMPTS; i++) {
		if (flock(layer->lock, how | LOCK_NB) == 0) {
			/* Between finding it and locking it, it may have been removed. */
			struct stat mine, named;
			if (fstat(layer->lock, &mine) == 0 && lstat(path, &named) == 0 &&
				mine.st_ino == named.st_ino)
				return 0;
			return error_set(
				error, ENOENT, stage, "layer %s was removed just now", layer->id);
		}
		usleep(LOCK_PAUSE_US);
	}
	char owner[32] = "";
	ssize_t n = pread(layer->lock, owner, sizeof(owner) - 1, 0);
	owner[n > 0 ? n : 0] = '\0';
	error_set(error, EBUSY, stage, "layer %s is in use%s%s",
		layer->name ? layer->name : layer->id, *owner ? " by process " : "", owner);
	return error_hint(error, "wait until that run has ended, or work in a fork of it");
}

/* Who has it, for the message of somebody else. */
static void sign_lock(const struct layer *layer)
{
	char owner[32];
	int n = snprintf(owner, sizeof(owner), "%d", getpid());
	if (ftruncate(layer->lock, 0) == 0)
		(void)!pwrite(layer->lock, owner, (size_t)n, 0);
}

int layer_open(const char *which, enum layer_access access, struct layer **ret, struct error *error)
{
	cleanup_free char *store = NULL;
	cleanup_close int fd = -1;
	char id[LAYER_ID_BYTES + 1];
	int r = layer_open_store(&store, &fd, error);
	if (r == 0)
		r = layer_find_id(fd, which, id, error);
	if (r < 0)
		return r;
	struct layer *layer = calloc(1, sizeof(*layer));
	if (!layer)
		return error_set_errno(error, ENOMEM, stage, "%s", which);
	layer->lock = -1;
	layer->id = strdup(id);
	layer->directory = path_join(store, id);
	if (!layer->id || !layer->directory)
		r = error_set_errno(error, ENOMEM, stage, "%s", which);
	/* The name, for the lock's message; what counts is read again under the lock. */
	if (r == 0 && layer_name_is_valid(which) && !layer_is_id(which))
		layer->name = strdup(which);
	if (r == 0 && access != LAYER_LOOK)
		r = take_lock(layer, access, error);
	if (r == 0)
		r = layer_load(layer, error);
	if (r == 0 && access == LAYER_WRITE)
		sign_lock(layer);
	if (r < 0) {
		layer_close(layer);
		return r;
	}
	*ret = layer;
	return 0;
}

void layer_close(struct layer *layer)
{
	if (!layer)
		return;
	for (size_t i = 0; i < layer->roots_count; i++) {
		free(layer->roots[i].path);
		free(layer->roots[i].base);
		free(layer->roots[i].directory);
	}
	free(layer->roots);
	strv_release(&layer->parents);
	free(layer->id);
	free(layer->name);
	free(layer->directory);
	free(layer->purpose);
	close_fd(&layer->lock);
	free(layer);
}

/* ---- making ---- */

static int choose_id(char ret[LAYER_ID_BYTES + 1])
{
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(ret, LAYER_ID_BYTES + 1, "%016llx", (unsigned long long)number);
	return 0;
}

static int check_below(const struct layer *below, struct error *error)
{
	const char *on = below->name ? below->name : below->id;
	if (below->kind != LAYER_OVERLAY) {
		error_set(error, ENOTSUP, stage, "layer %s is a copy, which nothing stands on", on);
		return error_hint(error, "layers are stacked by overlays, in the container tier");
	}
	if (below->parents.count + 1 >= MAX_LAYER_PARENTS) {
		error_set(error, E2BIG, stage, "%d layers lie below one another already",
			MAX_LAYER_PARENTS);
		return error_hint(error, "apply or discard some of them");
	}
	return 0;
}

static int list_parents(struct layer *layer, const struct layer *below, struct error *error)
{
	int r = strv_add(&layer->parents, below->id);
	for (size_t i = 0; r == 0 && i < below->parents.count; i++)
		r = strv_add(&layer->parents, below->parents.items[i]);
	return r < 0 ? error_set_errno(error, -r, stage, "%s", below->id) : 0;
}

/* The layer below, sealed, and what that stands on. */
static int stand_on(struct layer *layer, const char *on, struct error *error)
{
	struct layer *below = NULL;
	int r = layer_open(on, LAYER_WRITE, &below, error);
	if (r == 0)
		r = check_below(below, error);
	if (r == 0 && !below->sealed) {
		below->sealed = true;
		r = layer_save(below, error);
	}
	if (r == 0)
		r = list_parents(layer, below, error);
	layer_close(below);
	return r;
}

static int fill(struct layer *layer, struct error *error)
{
	cleanup_free char *lock = path_join(layer->directory, "lock");
	cleanup_free char *roots = path_join(layer->directory, "roots");
	cleanup_free char *empty = path_join(layer->directory, "empty");
	if (!lock || !roots || !empty)
		return error_set_errno(error, ENOMEM, stage, "a layer");
	/* The box reaches its parts by descriptor; nobody else is to reach them at all. */
	if (mkdir(layer->directory, 0700) < 0 || mkdir(roots, 0700) < 0 || mkdir(empty, 0755) < 0)
		return error_set_errno(error, errno, stage, "%s", layer->directory);
	layer->lock = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (layer->lock < 0 || flock(layer->lock, LOCK_EX | LOCK_NB) < 0)
		return error_set_errno(error, errno, stage, "%s", lock);
	sign_lock(layer);
	return 0;
}

/* A directory that is being made: `.new-ID`, until place() gives it its id. */
static int make(const char *store, const char *name, const char *purpose, enum layer_kind kind,
	struct layer **ret, struct error *error)
{
	char id[LAYER_ID_BYTES + 1], making[LAYER_ID_BYTES + 8];
	if (choose_id(id) < 0)
		return error_set_errno(error, errno, stage, "a random name");
	snprintf(making, sizeof(making), ".new-%s", id);
	struct layer *layer = calloc(1, sizeof(*layer));
	if (!layer)
		return error_set_errno(error, ENOMEM, stage, "a layer");
	*layer = (struct layer){.lock = -1,
		.id = strdup(id),
		.name = name ? strdup(name) : NULL,
		.directory = path_join(store, making),
		.kind = kind,
		.created_us = layer_now_us(),
		.settled = true,
		.purpose = strdup(purpose)};
	*ret = layer;
	if (!layer->id || !layer->directory || !layer->purpose || (name && !layer->name))
		return error_set_errno(error, ENOMEM, stage, "a layer");
	return fill(layer, error);
}

/* Its roots' directories are told anew. */
static int place(struct layer *layer, const char *store, int fd, struct error *error)
{
	cleanup_free char *directory = path_join(store, layer->id);
	if (!directory)
		return error_set_errno(error, ENOMEM, stage, "a layer");
	if (renameat(fd, path_name(layer->directory), fd, layer->id) < 0)
		return error_set_errno(error, errno, stage, "%s", directory);
	free(layer->directory);
	layer->directory = steal_pointer(&directory);
	for (size_t i = 0; i < layer->roots_count; i++) {
		cleanup_free char *roots = path_join(layer->directory, "roots");
		char *root = roots ? path_join(roots, path_name(layer->roots[i].directory)) : NULL;
		if (!root)
			return error_set_errno(error, ENOMEM, stage, "a layer");
		free(layer->roots[i].directory);
		layer->roots[i].directory = root;
	}
	return 0;
}

/* The place as it is below: what a box did to the root itself counts on. */
static int copy_root(struct layer *layer, const struct layer_root *below, struct error *error)
{
	struct stat upper, work;
	cleanup_free char *upper_path = path_join(below->directory, "upper");
	cleanup_free char *work_path = path_join(below->directory, "work");
	if (!upper_path || !work_path)
		return error_set_errno(error, ENOMEM, stage, "%s", below->path);
	if (lstat(upper_path, &upper) < 0)
		return error_set_errno(error, errno, stage, "%s", upper_path);
	if (lstat(work_path, &work) < 0)
		work = upper;
	int r = layer_add_root(layer, below->path, below->base, work.st_uid, work.st_gid, error);
	if (r < 0)
		return r;
	cleanup_free char *made =
		path_join(layer->roots[layer->roots_count - 1].directory, "upper");
	if (!made || chmod(made, upper.st_mode & 01777) < 0 ||
		(geteuid() == 0 && lchown(made, upper.st_uid, upper.st_gid) < 0))
		return error_set_errno(error, made ? errno : ENOMEM, stage, "%s", below->path);
	return 0;
}

static int create_with_roots(const struct layer *model, bool above, const char *name,
	const char *purpose, struct layer **ret, struct error *error)
{
	cleanup_free char *store = NULL;
	cleanup_close int fd = -1;
	struct layer *layer = NULL;
	int r = layer_open_store(&store, &fd, error);
	if (r == 0)
		r = make(store, name, purpose, model->kind, &layer, error);
	if (r == 0 && above && strv_add(&layer->parents, model->id) < 0)
		r = error_set_errno(error, ENOMEM, stage, "%s", model->id);
	for (size_t i = 0; r == 0 && i < model->parents.count; i++)
		if (strv_add(&layer->parents, model->parents.items[i]) < 0)
			r = error_set_errno(error, ENOMEM, stage, "%s", model->id);
	for (size_t i = 0; r == 0 && i < model->roots_count; i++)
		r = copy_root(layer, &model->roots[i], error);
	if (r == 0)
		r = layer_save(layer, error);
	if (r == 0)
		r = place(layer, store, fd, error);
	if (r < 0) {
		if (layer && layer->directory)
			tree_remove(fd, path_name(layer->directory));
		layer_close(layer);
		return r;
	}
	*ret = layer;
	return 0;
}

int layer_create_above(const struct layer *below, const char *name, const char *purpose,
	struct layer **ret, struct error *error)
{
	int r = check_below(below, error);
	return r < 0 ? r : create_with_roots(below, true, name, purpose, ret, error);
}

int layer_create_like(
	const struct layer *model, const char *purpose, struct layer **ret, struct error *error)
{
	return create_with_roots(model, false, NULL, purpose, ret, error);
}

int layer_point_name(int store, const char *name, const char *id)
{
	char target[LAYER_ID_BYTES + 8], fresh[LAYER_ID_BYTES + 16];
	snprintf(target, sizeof(target), "../%s", id);
	snprintf(fresh, sizeof(fresh), "names/.new-%s", id);
	cleanup_free char *link = path_join("names", name);
	if (!link)
		return -ENOMEM;
	unlinkat(store, fresh, 0);
	if (symlinkat(target, store, fresh) < 0)
		return -errno;
	return renameat(store, fresh, store, link) < 0 ? -errno : 0;
}

int layer_create(const struct layer_options *options, struct layer **ret, struct error *error)
{
	cleanup_free char *store = NULL;
	cleanup_close int fd = -1;
	if (options->name && (!layer_name_is_valid(options->name) || layer_is_id(options->name))) {
		error_set(error, EINVAL, stage, "'%.64s' cannot be a layer's name", options->name);
		return error_hint(error, "letters, digits, '.', '_' and '-', at most %d of them",
			MAX_LAYER_NAME_BYTES);
	}
	struct layer *layer = NULL;
	cleanup_free char *link = options->name ? path_join("names", options->name) : NULL;
	if (options->name && !link)
		return error_set_errno(error, ENOMEM, stage, "a layer");
	int r = layer_open_store(&store, &fd, error);
	if (r == 0)
		r = make(store, options->name, options->purpose, options->kind, &layer, error);
	if (r == 0 && options->on)
		r = stand_on(layer, options->on, error);
	if (r == 0)
		r = layer_save(layer, error);
	if (r == 0)
		r = place(layer, store, fd, error);
	if (r == 0 && link) {
		char target[LAYER_ID_BYTES + 8];
		snprintf(target, sizeof(target), "../%s", layer->id);
		if (symlinkat(target, fd, link) < 0)
			r = error_set_errno(error, errno, stage, "the name %s", options->name);
		if (r == -EEXIST)
			error_hint(error, "there is a layer of that name already");
	}
	if (r < 0) {
		if (layer && layer->directory)
			tree_remove(fd, path_name(layer->directory));
		layer_close(layer);
		return r;
	}
	*ret = layer;
	return 0;
}

int layer_begin(struct layer *layer, struct error *error)
{
	if (layer->sealed) {
		error_set(error, EBUSY, stage,
			"layer %s is a snapshot, or another layer stands on it: it changes no more",
			layer->name ? layer->name : layer->id);
		return error_hint(error, "work in a layer on top of it: --layer=NEW --layer-on %s",
			layer->name ? layer->name : layer->id);
	}
	layer->started_us = layer_now_us();
	layer->settled = false;
	return layer_save(layer, error);
}

/* ---- removing ---- */

static int check_children(const struct layer *layer, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	int r = layer_list(&ids, error);
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		struct layer *other = NULL;
		struct error ignored;
		if (strcmp(ids.items[i], layer->id) == 0)
			continue;
		/* One that is being written has its parents in its file all the same. */
		if (layer_peek(ids.items[i], &other, &ignored) < 0)
			continue;
		if (strv_contains(&other->parents, layer->id)) {
			error_set(error, EBUSY, stage, "layer %s stands on %s",
				other->name ? other->name : other->id,
				layer->name ? layer->name : layer->id);
			r = error_hint(error, "discard that one first");
		}
		layer_close(other);
	}
	return r;
}

/* A kill may have taken the link already, and another layer may have got the name since. */
static int remove_name(int store, const struct layer *layer, struct error *error)
{
	cleanup_free char *link = path_join("names", layer->name);
	char target[64];
	ssize_t n = link ? readlinkat(store, link, target, sizeof(target) - 1) : -1;
	target[n > 0 ? n : 0] = '\0';
	bool own = n > 3 && strcmp(target + 3, layer->id) == 0;
	if (link && (!own || unlinkat(store, link, 0) == 0))
		return 0;
	return error_set_errno(error, link ? errno : ENOMEM, stage, "the name %s", layer->name);
}

int layer_discard(struct layer *layer, struct error *error)
{
	cleanup_free char *store = NULL;
	cleanup_close int fd = -1;
	int r = layer_open_store(&store, &fd, error);
	if (r == 0)
		r = check_children(layer, error);
	char dead[LAYER_ID_BYTES + 8];
	snprintf(dead, sizeof(dead), ".dead-%s", layer->id);
	if (r == 0 && layer->name)
		r = remove_name(fd, layer, error);
	if (r == 0 && renameat(fd, layer->id, fd, dead) < 0)
		r = error_set_errno(error, errno, stage, "%s", layer->id);
	if (r == 0) {
		r = tree_remove(fd, dead);
		if (r < 0)
			error_set_errno(error, -r, stage, "emptying %s/%s", store, dead);
	}
	layer_close(layer);
	return r;
}
