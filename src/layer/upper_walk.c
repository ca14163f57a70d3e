/* Theory of operation. The names of each directory on the way are held and sorted; the directories
 * themselves are opened anew, from the root, when the walk comes back to them. So a box that makes
 * its tree deep uses up neither stack nor descriptors. */
#include "layer/upper_walk.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/strv.h"
#include "base/sys.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

static const char stage[] = "layer";

enum { BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };

int upper_open(int root, const char *path, int flags)
{
	int fd;
	do /* a rename elsewhere may make the kernel unsure for a moment */
		fd = sys_openat2(root, *path ? path : ".",
			(uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC), BENEATH);
	while (fd < 0 && errno == EAGAIN);
	return fd < 0 ? -errno : fd;
}

bool upper_is_whiteout(const struct upper_entry *entry)
{
	const struct stat *st = &entry->st;
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == 0;
	if (!S_ISREG(st->st_mode) || st->st_size != 0)
		return false;
	int fd = upper_open(entry->directory, entry->name, O_RDONLY | O_NONBLOCK);
	bool marked = fd >= 0 && (fgetxattr(fd, "user.overlay.whiteout", NULL, 0) >= 0 ||
					 fgetxattr(fd, "trusted.overlay.whiteout", NULL, 0) >= 0);
	close_fd(&fd);
	return marked;
}

bool upper_is_opaque(int fd)
{
	char value;
	return (fgetxattr(fd, "user.overlay.opaque", &value, 1) == 1 && value == 'y') ||
	       (fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y');
}

/* ---- the walk ---- */

struct level {
	struct strv names;
	size_t next;
	size_t path_bytes; /* of the directory itself */
};

struct walk {
	struct level *levels;
	size_t depth, capacity;
	char path[MAX_PATH_BYTES];
	size_t path_bytes;
};

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static int list(int fd, struct strv *ret)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = own < 0 ? NULL : fdopendir(own);
	if (!dir) {
		close_fd(&own);
		return -errno;
	}
	errno = 0;
	for (struct dirent *entry; (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			strv_add(ret, entry->d_name) < 0)
			return -ENOMEM;
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare_names);
	return -errno;
}

static int enter(struct walk *walk, int fd)
{
	if (walk->depth >= MAX_LAYER_DEPTH)
		return -ELOOP;
	if (walk->depth == walk->capacity) {
		size_t capacity = walk->capacity ? walk->capacity * 2 : 32;
		void *levels = reallocarray(walk->levels, capacity, sizeof(*walk->levels));
		if (!levels)
			return -ENOMEM;
		walk->levels = levels;
		walk->capacity = capacity;
	}
	struct level *level = &walk->levels[walk->depth++];
	*level = (struct level){.path_bytes = walk->path_bytes};
	return list(fd, &level->names);
}

static int set_path(struct walk *walk, const struct level *level, const char *name)
{
	size_t at = level->path_bytes, length = strlen(name);
	if (at + length + 2 > sizeof(walk->path))
		return -ENAMETOOLONG;
	if (at > 0)
		walk->path[at++] = '/';
	memcpy(walk->path + at, name, length + 1);
	walk->path_bytes = at + length;
	return 0;
}

/* One entry of the directory fd, which is that of the topmost level. *ret_entered: it is a directory
 * and the new topmost level; fd is now its. */
static int step(struct walk *walk, int root, int *fd, upper_walk_fn callback, void *context,
	bool *ret_entered)
{
	struct level *level = &walk->levels[walk->depth - 1];
	const char *name = level->names.items[level->next++];
	int r = set_path(walk, level, name);
	if (r < 0)
		return r;
	struct upper_entry entry = {
		.root = root, .directory = *fd, .name = name, .path = walk->path};
	if (fstatat(*fd, name, &entry.st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = callback(&entry, context);
	if (r != 0 || !S_ISDIR(entry.st.st_mode))
		return r;
	int below = upper_open(*fd, name, O_RDONLY | O_DIRECTORY);
	if (below < 0)
		return below;
	close(*fd);
	*fd = below;
	*ret_entered = true;
	return enter(walk, below);
}

/* The topmost level is done; *fd becomes its parent's. */
static int leave(struct walk *walk, int root, int *fd, upper_walk_fn callback, void *context)
{
	struct level *level = &walk->levels[--walk->depth];
	struct upper_entry entry = {.root = root, .directory = root, .name = ".", .leaving = true};
	walk->path[walk->path_bytes = level->path_bytes] = '\0';
	strv_release(&level->names);
	if (fstat(*fd, &entry.st) < 0)
		return -errno;
	entry.path = walk->path;
	close_fd(fd);
	if (walk->depth > 0) {
		struct level *above = &walk->levels[walk->depth - 1];
		char *slash = above->path_bytes ? walk->path + above->path_bytes : NULL;
		if (slash)
			*slash = '\0';
		*fd = upper_open(root, above->path_bytes ? walk->path : "", O_RDONLY | O_DIRECTORY);
		if (slash)
			*slash = '/';
		if (*fd < 0)
			return *fd;
		entry.directory = *fd;
		entry.name = walk->path + above->path_bytes + (slash ? 1 : 0);
	}
	return callback(&entry, context);
}

int upper_walk(int root, upper_walk_fn callback, void *context, struct error *error)
{
	struct walk walk = {0};
	struct upper_entry top = {.root = root, .directory = root, .name = ".", .path = ""};
	cleanup_close int fd = upper_open(root, "", O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : fstat(fd, &top.st) < 0 ? -errno : 0;
	if (error)
		*error = (struct error){0};
	if (r == 0)
		r = callback(&top, context);
	if (r == 0)
		r = enter(&walk, fd);
	while (r == 0 && walk.depth > 0) {
		const struct level *level = &walk.levels[walk.depth - 1];
		bool entered = false;
		if (level->next < level->names.count)
			r = step(&walk, root, &fd, callback, context, &entered);
		else
			r = leave(&walk, root, &fd, callback, context);
	}
	while (walk.depth > 0)
		strv_release(&walk.levels[--walk.depth].names);
	free(walk.levels);
	/* A callback has its own words. */
	if (r < 0 && error && !error->errno_value)
		error_set_errno(error, -r, stage, "%.512s", walk.path);
	return r;
}
