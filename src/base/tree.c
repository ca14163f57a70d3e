#include "base/tree.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* Directories are entered by descriptor, and climbed out of by "..", which is checked: so neither
 * a tree of any depth nor one that is moved about meanwhile leads elsewhere or uses up
 * descriptors. */
struct level {
	dev_t device;
	ino_t inode;
	char *name; /* in the directory above */
};

struct removal {
	struct level *levels;
	size_t depth, capacity;
	int error; /* the first */
};

static void note(struct removal *removal, int code)
{
	if (!removal->error && code != ENOENT)
		removal->error = -code;
}

static int open_directory(int at, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags);
	struct stat st;
	if (fd >= 0 || errno != EACCES || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISDIR(st.st_mode))
		return fd;
	/* A race to a link would change the mode of what this user owns anyway, and only that. */
	if (fchmodat(at, name, 0700, 0) < 0)
		return -1;
	return openat(at, name, flags);
}

static int push(struct removal *removal, int fd, const char *name)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (removal->depth == removal->capacity) {
		size_t capacity = removal->capacity ? removal->capacity * 2 : 32;
		void *levels = reallocarray(removal->levels, capacity, sizeof(*removal->levels));
		if (!levels)
			return -ENOMEM;
		removal->levels = levels;
		removal->capacity = capacity;
	}
	char *copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	removal->levels[removal->depth++] =
		(struct level){.device = st.st_dev, .inode = st.st_ino, .name = copy};
	return 0;
}

/* Removes what is no directory; the name of the first directory that is to be entered, or NULL. */
static char *empty_files(struct removal *removal, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	cleanup_closedir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		note(removal, errno);
		close_fd(&copy);
		return NULL;
	}
	rewinddir(dir);
	bool opened = false;
	for (struct dirent *entry; (entry = readdir(dir));) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(fd, name, 0) == 0)
			continue;
		int code = errno;
		if (code == EACCES && !opened) {
			opened = true;
			if (fchmod(fd, 0700) == 0 && unlinkat(fd, name, 0) == 0)
				continue;
			code = errno;
		}
		/* What a directory says to unlink() is EISDIR, or EPERM by POSIX. */
		if (unlinkat(fd, name, AT_REMOVEDIR) == 0)
			continue;
		if (errno == ENOTEMPTY || errno == EEXIST)
			return strdup(name);
		note(removal, errno == ENOTDIR ? code : errno);
	}
	return NULL;
}

int tree_remove(int at, const char *name)
{
	struct removal removal = {0};
	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	cleanup_close int fd = open_directory(at, name);
	if (fd < 0)
		return -errno;
	int r = push(&removal, fd, name);
	while (r == 0 && removal.depth > 0) {
		cleanup_free char *child = empty_files(&removal, fd);
		if (child) {
			int next = open_directory(fd, child);
			if (next < 0) { /* it would be found again and again */
				r = -errno;
				break;
			}
			close(fd);
			fd = next;
			r = push(&removal, fd, child);
			continue;
		}
		struct level *level = &removal.levels[--removal.depth];
		cleanup_free char *own = level->name;
		if (removal.depth == 0) {
			if (unlinkat(at, own, AT_REMOVEDIR) < 0)
				note(&removal, errno);
			break;
		}
		struct level *above = &removal.levels[removal.depth - 1];
		int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;
		if (up < 0 || fstat(up, &st) < 0 || st.st_ino != above->inode ||
			st.st_dev != above->device) {
			r = up < 0 ? -errno : -ESTALE;
			close_fd(&up);
			break;
		}
		close(fd);
		fd = up;
		if (unlinkat(fd, own, AT_REMOVEDIR) < 0) {
			r = -errno; /* or it would be found again */
			break;
		}
	}
	while (removal.depth > 0)
		free(removal.levels[--removal.depth].name);
	free(removal.levels);
	return r < 0 ? r : removal.error;
}
