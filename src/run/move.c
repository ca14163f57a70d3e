/* Theory of operation. A twin of the directory is made beside the destination, under a name of its
 * own: directories are made anew, and everything else gets a second name in it. The kernel does the
 * rest, as link() does it on an overlay: content, holes, modes, times and attributes come along, an
 * open file goes on being the same one, and nothing has to be readable. Then the twin is renamed
 * into place, at once, and the source is taken apart. Whoever kills this leaves the source as it
 * was and the twin under its own name; or the destination, whole, and what is left of the source.
 *
 * What somebody puts into the source meanwhile goes along in the second pass: what is not the file
 * that the destination has is moved there. An overlay breaks hard links as it copies a file up, so
 * files with several names are remembered, and linked among themselves.
 *
 * The tree belongs to somebody who may change it while it is walked. Every directory is entered by
 * one name, beneath the one above, through no link and into no mount; all that a race can do is to
 * move other files of the same mount, which its owner could have moved too. */
#include "run/move.h"

#include "base/attributes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sys.h"
#include "base/tree.h"

#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { RETIRE_ROUNDS = 8, TWIN_ATTEMPTS = 16 };

/* One directory of the walk: the source's, and the twin's. */
struct level {
	DIR *from;
	int to;
	struct stat st; /* of from, before anything was done to it */
	char *name;     /* in the directory above */
	unsigned rounds;
};

/* What has a second name in the twin, and cannot be told by its inode number alone: an overlay may
 * give another to each name of what it copied up. */
struct moved {
	dev_t device; /* of the source */
	ino_t inode;
	ino_t twin_inode;
	char *path; /* below the twin, where the file has several names; else NULL */
};

struct move {
	const struct move_bounds *bounds;
	struct level *levels;
	size_t depth, capacity;
	void *moved; /* tsearch() */
	uint64_t entries, bytes;
	int twin;
	struct stat twin_st;
};

/* What a pass does with an entry of the innermost directory, and when it is through with one. */
struct pass {
	int (*enter)(struct move *move, const char *name);
	int (*leave)(struct move *move, bool *ret_again);
};

static struct level *innermost(const struct move *move)
{
	return &move->levels[move->depth - 1];
}

static int open_directory(int parent, const char *name)
{
	int fd = sys_openat2(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	/* A mount on the way is what the kernel would not rename either. */
	return fd < 0 ? (errno == EXDEV ? -EBUSY : -errno) : fd;
}

/* Takes to. */
static int push(struct move *move, int from_parent, const char *name, int to)
{
	cleanup_close int own_to = to;
	cleanup_close int from = open_directory(from_parent, name);
	if (from < 0)
		return from;
	if (move->depth == MAX_LAYER_DEPTH)
		return -ELOOP;
	if (move->depth == move->capacity) {
		size_t capacity = move->capacity ? move->capacity * 2 : 16;
		void *levels = reallocarray(move->levels, capacity, sizeof(*move->levels));
		if (!levels)
			return -ENOMEM;
		move->levels = levels;
		move->capacity = capacity;
	}
	struct level level = {.name = strdup(name)};
	if (level.name && fstat(from, &level.st) == 0)
		level.from = fdopendir(from);
	if (!level.from) {
		int r = level.name ? -errno : -ENOMEM;
		free(level.name);
		return r;
	}
	steal_fd(&from);
	level.to = steal_fd(&own_to);
	move->levels[move->depth++] = level;
	return 0;
}

static void pop(struct move *move)
{
	struct level *level = &move->levels[--move->depth];
	closedir(level->from);
	close_fd(&level->to);
	free(level->name);
}

/* Both passes: goes through the tree whose top was pushed. */
static int walk(struct move *move, const struct pass *pass)
{
	int r = 0;
	while (r == 0 && move->depth > 0) {
		struct level *level = innermost(move);
		errno = 0;
		struct dirent *entry = readdir(level->from);
		if (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0))
			continue;
		if (!entry && errno)
			return -errno;
		if (entry) {
			r = pass->enter(move, entry->d_name);
			continue;
		}
		bool again = false;
		r = pass->leave(move, &again);
		if (again)
			rewinddir(level->from);
		else
			pop(move);
	}
	return r;
}

/* ---- what has moved ---- */

static int compare_moved(const void *a, const void *b)
{
	const struct moved *one = a, *other = b;
	if (one->device != other->device)
		return one->device < other->device ? -1 : 1;
	return one->inode < other->inode ? -1 : one->inode > other->inode;
}

static void free_moved(void *pointer)
{
	struct moved *moved = pointer;
	free(moved->path);
	free(moved);
}

static const struct moved *find_moved(const struct move *move, const struct stat *st)
{
	const struct moved key = {.device = st->st_dev, .inode = st->st_ino};
	struct moved *const *found = tfind(&key, &move->moved, compare_moved);
	return found ? *found : NULL;
}

/* The name of an entry of the innermost directory, below the twin. */
static char *path_below_twin(const struct move *move, const char *name)
{
	char path[PATH_MAX];
	size_t used = 0;
	for (size_t i = 1; i <= move->depth; i++) {
		const char *part = i < move->depth ? move->levels[i].name : name;
		int n = snprintf(path + used, sizeof(path) - used, "%s%s", used ? "/" : "", part);
		if (n < 0 || (size_t)n >= sizeof(path) - used)
			return NULL;
		used += (size_t)n;
	}
	return strdup(path);
}

static int remember(struct move *move, const struct stat *st, const char *name)
{
	struct stat twin;
	if (fstatat(innermost(move)->to, name, &twin, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	bool several = st->st_nlink > 1;
	if (!several && twin.st_ino == st->st_ino && twin.st_dev == st->st_dev)
		return 0;
	struct moved *moved = calloc(1, sizeof(*moved));
	if (!moved)
		return -ENOMEM;
	*moved = (struct moved){.device = st->st_dev,
		.inode = st->st_ino,
		.twin_inode = twin.st_ino,
		.path = several ? path_below_twin(move, name) : NULL};
	if ((moved->path || !several) && tsearch(moved, &move->moved, compare_moved))
		return 0;
	free_moved(moved);
	return -ENOMEM;
}

/* ---- the first pass: the twin ---- */

static int count(struct move *move, const struct stat *st)
{
	move->entries++;
	move->bytes += (uint64_t)st->st_blocks * 512;
	if (move->entries > move->bounds->entries || move->bytes > move->bounds->bytes)
		return -E2BIG;
	return move->bounds->goes_on(move->bounds->context) ? 0 : -ECANCELED;
}

static int twin_file(struct move *move, const char *name, const struct stat *st)
{
	const struct level *level = innermost(move);
	const struct moved *moved = st->st_nlink > 1 ? find_moved(move, st) : NULL;
	if (moved && moved->path)
		return linkat(move->twin, moved->path, level->to, name, 0) < 0 ? -errno : 0;
	if (linkat(dirfd(level->from), name, level->to, name, 0) < 0)
		return errno == ENOENT ? 0 : errno == EXDEV ? -EBUSY : -errno;
	return remember(move, st, name);
}

static int twin_enter(struct move *move, const char *name)
{
	const struct level *level = innermost(move);
	struct stat st;
	if (fstatat(dirfd(level->from), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = count(move, &st);
	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode))
		return twin_file(move, name, &st);
	/* The destination has been moved into the source meanwhile. */
	if (st.st_dev == move->twin_st.st_dev && st.st_ino == move->twin_st.st_ino)
		return -EINVAL;
	if (mkdirat(level->to, name, 0700) < 0)
		return -errno;
	int to = open_directory(level->to, name);
	return to < 0 ? to : push(move, dirfd(level->from), name, to);
}

static int twin_leave(struct move *move, bool *ret_again)
{
	(void)ret_again;
	const struct level *level = innermost(move);
	int from = dirfd(level->from);
	const struct stat *st = &level->st;
	struct stat twin;
	if (fstat(level->to, &twin) < 0)
		return -errno;
	if (twin.st_uid != st->st_uid)
		return -EPERM;
	if (twin.st_gid != st->st_gid && fchown(level->to, (uid_t)-1, st->st_gid) < 0)
		return -errno;
	/* What an overlay keeps to itself is not listed. */
	int r = attributes_copy(from, level->to);
	if (r < 0)
		return r;
	if (fchmod(level->to, st->st_mode & ALLPERMS) < 0 || fstat(level->to, &twin) < 0)
		return -errno;
	if ((twin.st_mode & ALLPERMS) != (st->st_mode & ALLPERMS))
		return -EPERM; /* the set-group-id bit of a group that is not the owner's */
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	return futimens(level->to, times) < 0 ? -errno : 0;
}

static const struct pass twin_pass = {twin_enter, twin_leave};

/* ---- the second pass: the source goes ---- */

static bool has_moved(const struct move *move, const struct stat *from, const struct stat *to)
{
	if (from->st_dev == to->st_dev && from->st_ino == to->st_ino)
		return true;
	const struct moved *moved = find_moved(move, from);
	return moved && moved->twin_inode == to->st_ino;
}

/* What its owner has closed has to be open to be emptied; if it cannot be, it stays. */
static void open_up(int parent, const char *name, const struct stat *st)
{
	if ((st->st_mode & S_IRWXU) != S_IRWXU &&
		fchmodat(parent, name, (st->st_mode & ACCESSPERMS) | S_IRWXU, 0) < 0)
		return;
}

static int retire_enter(struct move *move, const char *name)
{
	const struct level *level = innermost(move);
	int from = dirfd(level->from);
	struct stat st, moved;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		if (fstatat(level->to, name, &moved, AT_SYMLINK_NOFOLLOW) == 0 &&
			has_moved(move, &st, &moved))
			unlinkat(from, name, 0);
		else
			renameat(from, name, level->to, name);
		return 0;
	}
	open_up(from, name, &st);
	mkdirat(level->to, name, st.st_mode & ACCESSPERMS);
	int to = open_directory(level->to, name);
	if (to >= 0)
		push(move, from, name, to);
	return 0;
}

static int retire_leave(struct move *move, bool *ret_again)
{
	if (move->depth == 1)
		return 0;
	struct level *level = innermost(move);
	const struct level *above = &move->levels[move->depth - 2];
	*ret_again = unlinkat(dirfd(above->from), level->name, AT_REMOVEDIR) < 0 &&
		     (errno == ENOTEMPTY || errno == EEXIST) && level->rounds++ < RETIRE_ROUNDS;
	return 0;
}

static const struct pass retire_pass = {retire_enter, retire_leave};

/* Nothing here is an error any more: the directory is where it was to be. */
static void retire(struct move *move, int parent, const char *name)
{
	struct stat st;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		open_up(parent, name, &st);
	for (unsigned round = 0; round < RETIRE_ROUNDS; round++) {
		if (push(move, parent, name, fcntl(move->twin, F_DUPFD_CLOEXEC, 3)) < 0)
			return;
		walk(move, &retire_pass);
		while (move->depth > 0)
			pop(move);
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno != ENOTEMPTY)
			return;
	}
}

/* ---- all of it ---- */

static int make_twin(struct move *move, int parent, char name[NAME_MAX + 1])
{
	for (int i = 0; i < TWIN_ATTEMPTS; i++) {
		uint32_t number;
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -errno;
		snprintf(name, NAME_MAX + 1, ".coffer-moving-%08x", number);
		if (mkdirat(parent, name, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		move->twin = open_directory(parent, name);
		if (move->twin >= 0 && fstat(move->twin, &move->twin_st) == 0)
			return 0;
		return move->twin < 0 ? move->twin : -errno;
	}
	return -EEXIST;
}

/* rename() replaces an empty directory: whether it would, before all that work. */
static int check_destination(int parent, const char *name, unsigned flags)
{
	struct stat st;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	int fd = open_directory(parent, name);
	if (fd < 0) /* the rename at the end will tell */
		return fd == -EBUSY ? fd : 0;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	bool empty = true;
	for (struct dirent *entry; empty && (entry = readdir(dir));)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(dir);
	return empty ? 0 : -ENOTEMPTY;
}

/* What rename() itself may say; anything else sends the program to its own way of copying. */
static int as_rename(int r)
{
	static const int own[] = {0, -ENOSPC, -EDQUOT, -EIO, -EROFS, -ENOTEMPTY, -EEXIST, -ENOTDIR,
		-ENOENT, -EBUSY, -EINVAL};
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (r == own[i])
			return r;
	return -EXDEV;
}

int move_directory(int old_parent, const char *old_name, int new_parent, const char *new_name,
	unsigned flags, const struct move_bounds *bounds)
{
	struct move move = {.bounds = bounds, .twin = -1};
	char twin[NAME_MAX + 1];
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EXDEV;
	int r = check_destination(new_parent, new_name, flags);
	if (r < 0)
		return r;
	r = make_twin(&move, new_parent, twin);
	if (r < 0)
		return as_rename(r);
	r = push(&move, old_parent, old_name, fcntl(move.twin, F_DUPFD_CLOEXEC, 3));
	if (r == 0)
		r = walk(&move, &twin_pass);
	while (move.depth > 0)
		pop(&move);
	if (r == 0 && renameat2(new_parent, twin, new_parent, new_name, flags) < 0)
		r = -errno;
	if (r == 0)
		retire(&move, old_parent, old_name);
	else
		tree_remove(new_parent, twin);
	close_fd(&move.twin);
	tdestroy(move.moved, free_moved);
	free(move.levels);
	return as_rename(r);
}
