/* Theory of operation. The tree is copied beside its place and renamed there when it is whole, so a
 * kill leaves nothing that looks like a layer. Content is shared where the file system can
 * (FICLONE), else copied within the kernel, holes left out. Every directory is entered by one name
 * and through no link; the walk keeps one level's descriptors for each directory that it is in. */
#include "layer/copy.h"

#include "base/attributes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/tree.h"
#include "layer/copy_file.h"
#include "layer/link_table.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static const char stage[] = "layer";
static const char records[] = "base", making[] = "copying", place[] = "upper";

/* A directory that the walk is in. */
struct level {
	DIR *from;
	int to;
	struct stat st;
	char *name; /* in the directory above */
};

struct copying {
	struct level *levels;
	size_t depth, capacity;
	struct link_table links;
	int top;
	struct stat own; /* the layer's own directory, which the tree may hold */
	struct layer_copy_cost *cost;
	struct error *error;
};

static struct level *innermost(const struct copying *copying)
{
	return &copying->levels[copying->depth - 1];
}

/* The entry name of the innermost directory, below the top. */
static int path_of(const struct copying *copying, const char *name, char path[PATH_MAX])
{
	size_t used = 0;
	path[0] = '\0';
	for (size_t i = 1; i <= copying->depth; i++) {
		const char *part = i < copying->depth ? copying->levels[i].name : name;
		int n = snprintf(path + used, PATH_MAX - used, "%s%s", used ? "/" : "", part);
		if (n < 0 || (size_t)n >= PATH_MAX - used)
			return -ENAMETOOLONG;
		used += (size_t)n;
	}
	return 0;
}

static int fail(const struct copying *copying, const char *name, int errno_value)
{
	char path[PATH_MAX];
	path_of(copying, name, path);
	error_set_errno(copying->error, errno_value, stage, "copying %.300s", path);
	return errno_value == EACCES || errno_value == EPERM
		       ? error_hint(copying->error,
				 "a layer of this tier is a copy of all that the "
				 "workspace holds: make it readable")
		       : -errno_value;
}

/* ---- attributes ---- */

/* Owner first: giving a file away takes its set-id bits. */
static int dress(int from, int to, const struct stat *st)
{
	if (geteuid() == 0 && fchown(to, st->st_uid, st->st_gid) < 0)
		return -errno;
	int r = from < 0 ? 0 : attributes_copy(from, to);
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (r == 0 && (fchmod(to, st->st_mode & ALLPERMS) < 0 || futimens(to, times) < 0))
		r = -errno;
	return r;
}

/* The same for what cannot be opened. */
static int dress_at(int at, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (geteuid() == 0 && fchownat(at, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(at, name, st->st_mode & ALLPERMS, 0) < 0)
		return -errno;
	return utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* ---- files ---- */

static int copy_file(struct copying *copying, const char *name, const struct stat *st)
{
	const struct level *level = innermost(copying);
	cleanup_close int from = openat(dirfd(level->from), name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat now;
	if (from < 0 || fstat(from, &now) < 0)
		return -errno;
	if (now.st_dev != st->st_dev || now.st_ino != st->st_ino)
		return -ESTALE;
	cleanup_close int to =
		openat(level->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	uint64_t bytes = (uint64_t)now.st_blocks * 512, copied = 0;
	int r = copy_content(from, to, &copied);
	copying->cost->bytes += bytes;
	copying->cost->reflinked_bytes += copied == 0 ? bytes : 0;
	return r < 0 ? r : dress(from, to, &now);
}

static int copy_link(const struct level *level, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd(level->from), name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, level->to, name) < 0 ? -errno : 0;
}

/* ---- files with several names ---- */

/* 1: it was a further name of what is copied already. */
static int link_again(const struct copying *copying, const char *name, const struct stat *st)
{
	const char *first =
		st->st_nlink > 1 ? link_table_find(&copying->links, st->st_dev, st->st_ino) : NULL;
	if (!first)
		return 0;
	return linkat(copying->top, first, innermost(copying)->to, name, 0) < 0 ? -errno : 1;
}

static int remember_link(struct copying *copying, const char *name, const struct stat *st)
{
	char path[PATH_MAX];
	/* One that lies so deep gets a copy for each name. */
	if (st->st_nlink < 2 || path_of(copying, name, path) < 0)
		return 0;
	return link_table_add(&copying->links, st->st_dev, st->st_ino, path);
}

/* ---- the walk ---- */

/* Takes to. */
static int push(struct copying *copying, int from_parent, const char *name, int to)
{
	cleanup_close int own_to = to;
	cleanup_close int from =
		openat(from_parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0 || from < 0)
		return -errno;
	if (copying->depth == MAX_LAYER_DEPTH)
		return -ELOOP;
	if (copying->depth == copying->capacity) {
		size_t capacity = copying->capacity ? copying->capacity * 2 : 16;
		void *levels = reallocarray(copying->levels, capacity, sizeof(*copying->levels));
		if (!levels)
			return -ENOMEM;
		copying->levels = levels;
		copying->capacity = capacity;
	}
	struct level level = {.name = strdup(name)};
	if (!level.name || fstat(from, &level.st) < 0 || !(level.from = fdopendir(from))) {
		int r = level.name ? -errno : -ENOMEM;
		free(level.name);
		return r;
	}
	steal_fd(&from);
	level.to = steal_fd(&own_to);
	copying->levels[copying->depth++] = level;
	return 0;
}

static void pop(struct copying *copying)
{
	struct level *level = &copying->levels[--copying->depth];
	closedir(level->from);
	close_fd(&level->to);
	free(level->name);
}

static int enter(struct copying *copying, const char *name)
{
	const struct level *level = innermost(copying);
	if (mkdirat(level->to, name, 0700) < 0)
		return -errno;
	int to = openat(level->to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return push(copying, dirfd(level->from), name, to);
}

static int copy_entry(struct copying *copying, const char *name)
{
	const struct level *level = innermost(copying);
	struct stat st;
	if (fstatat(dirfd(level->from), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_dev == copying->own.st_dev && st.st_ino == copying->own.st_ino)
		return 0;
	if (++copying->cost->entries > MAX_COPY_ENTRIES)
		return -E2BIG;
	if (S_ISDIR(st.st_mode))
		return enter(copying, name);
	int r = link_again(copying, name, &st);
	if (r != 0)
		return r < 0 ? r : 0;
	if (S_ISREG(st.st_mode)) {
		r = copy_file(copying, name, &st);
	} else {
		r = S_ISLNK(st.st_mode) ? copy_link(level, name)
		    : mknodat(level->to, name, st.st_mode & (S_IFMT | 0600), st.st_rdev) < 0
			    ? -errno
			    : 0;
		r = r < 0 ? r : dress_at(level->to, name, &st);
	}
	return r < 0 ? r : remember_link(copying, name, &st);
}

static int walk(struct copying *copying)
{
	while (copying->depth > 0) {
		struct level *level = innermost(copying);
		errno = 0;
		struct dirent *entry = readdir(level->from);
		int r = 0;
		if (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0))
			continue;
		if (entry) {
			r = copy_entry(copying, entry->d_name);
		} else {
			r = errno ? -errno : dress(dirfd(level->from), level->to, &level->st);
			if (r == 0)
				pop(copying);
		}
		if (r < 0)
			return fail(copying, entry ? entry->d_name : "", -r);
	}
	return 0;
}

/* ---- all of it ---- */

bool layer_copy_is_complete(const struct layer_root *root)
{
	struct stat st;
	cleanup_close int fd = open(root->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fstatat(fd, records, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int copy_into(const struct layer_root *root, int directory, struct copying *copying)
{
	struct error *error = copying->error;
	int r = tree_remove(directory, making);
	if (r == 0)
		r = tree_remove(directory, place);
	if (r == 0 && mkdirat(directory, making, 0700) < 0)
		r = -errno;
	if (r == 0)
		copying->top =
			openat(directory, making, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && (copying->top < 0 || fstat(directory, &copying->own) < 0))
		r = -errno;
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s/%s", root->directory, making);
	r = push(copying, AT_FDCWD, root->base, fcntl(copying->top, F_DUPFD_CLOEXEC, 3));
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s", root->base);
	r = walk(copying);
	if (r == 0 && renameat(directory, making, directory, place) < 0)
		r = error_set_errno(error, errno, stage, "%s/%s", root->directory, place);
	return r;
}

int layer_copy_root(const struct layer_root *root, struct layer_copy_cost *ret, struct error *error)
{
	uint64_t started_us = clock_now_us();
	struct copying copying = {.top = -1, .cost = ret, .error = error};
	*ret = (struct layer_copy_cost){0};
	cleanup_close int directory = open(root->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(error, errno, stage, "%s", root->directory);
	int r = copy_into(root, directory, &copying);
	while (copying.depth > 0)
		pop(&copying);
	close_fd(&copying.top);
	link_table_release(&copying.links);
	free(copying.levels);
	if (r < 0)
		tree_remove(directory, making);
	ret->time_us = clock_now_us() - started_us;
	return r;
}
