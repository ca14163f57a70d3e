/* One entry of a tree that a box has written: opened, read and compared without following it. */
#include "layer/walk.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sys.h"
#include "layer/reach.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

static const uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

static int open_again(const struct layer_entry *entry, const char *path, int flags)
{
	cleanup_close int fd =
		sys_openat2(entry->at, path, (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC), beneath);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != entry->st.st_dev || st.st_ino != entry->st.st_ino ||
		(st.st_mode & S_IFMT) != (entry->st.st_mode & S_IFMT))
		return -ESTALE;
	return steal_fd(&fd);
}

int layer_entry_open(const struct layer_entry *entry, const char *path)
{
	if (!entry->present || !S_ISREG(entry->st.st_mode))
		return -EINVAL;
	/* What was a file may be a FIFO or a terminal by now. */
	return open_again(entry, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

int layer_entry_link(const struct layer_entry *entry, const char *path, char **ret)
{
	if (!entry->present || !S_ISLNK(entry->st.st_mode))
		return -EINVAL;
	cleanup_close int fd = open_again(entry, path, O_PATH);
	if (fd < 0)
		return fd;
	char target[MAX_PATH_BYTES];
	ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	*ret = strdup(target);
	return *ret ? 0 : -ENOMEM;
}

int layer_open_before(const struct layer_change *change)
{
	return layer_entry_open(&change->before, change->path);
}

int layer_open_after(const struct layer_change *change)
{
	return layer_entry_open(&change->after, change->path);
}

int layer_link_before(const struct layer_change *change, char **ret)
{
	return layer_entry_link(&change->before, change->path, ret);
}

int layer_link_after(const struct layer_change *change, char **ret)
{
	return layer_entry_link(&change->after, change->path, ret);
}

int layer_same_content(const struct layer_change *change)
{
	enum { PIECE_BYTES = 128 * 1024 };
	if (change->before.st.st_size != change->after.st.st_size)
		return 0;
	cleanup_close int before = layer_open_before(change);
	cleanup_close int after = layer_open_after(change);
	if (before < 0 || after < 0)
		return before < 0 ? before : after;
	if (change->before.st.st_size == 0)
		return 1;
	cleanup_free char *pieces = malloc((size_t)2 * PIECE_BYTES);
	if (!pieces)
		return -ENOMEM;
	for (off_t at = 0;; at += PIECE_BYTES) {
		ssize_t a = pread(before, pieces, PIECE_BYTES, at);
		ssize_t b = pread(after, pieces + PIECE_BYTES, PIECE_BYTES, at);
		if (a < 0 || b < 0)
			return -errno;
		if (a != b || memcmp(pieces, pieces + PIECE_BYTES, (size_t)a) != 0)
			return 0;
		if (a < PIECE_BYTES)
			return 1;
	}
}

int entry_links_differ(int before, int after, const char *name)
{
	char targets[2][MAX_PATH_BYTES];
	ssize_t lengths[2];
	for (int i = 0; i < 2; i++) {
		lengths[i] =
			readlinkat(i == 0 ? before : after, name, targets[i], sizeof(targets[i]));
		if (lengths[i] < 0)
			return -errno;
	}
	return lengths[0] != lengths[1] || memcmp(targets[0], targets[1], (size_t)lengths[0]) != 0;
}

/* ---- extended attributes ---- */

/* The kernel has no call that takes a directory and a name for these before 6.13. A descriptor's link
 * in /proc leads to the directory itself, whatever it is called by now. */
struct attributed {
	char path[64 + MAX_NAME_BYTES + 1];
	char names[XATTR_LIST_MAX];
	size_t names_bytes;
};

/* Overlayfs's marks, and what only it may set; security.selinux and the like are the host's. */
static bool is_shown(const char *name)
{
	static const char *const system[] = {
		"security.capability", "system.posix_acl_access", "system.posix_acl_default"};
	if (strncmp(name, "user.", 5) == 0)
		return strncmp(name, "user.overlay.", 13) != 0;
	for (size_t i = 0; geteuid() == 0 && i < ARRAY_SIZE(system); i++)
		if (strcmp(name, system[i]) == 0)
			return true;
	return false;
}

static bool means_none(int code)
{
	return code == ENOTSUP || code == EACCES || code == EPERM;
}

static int list_attributes(struct attributed *file, int directory, const char *name)
{
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d/%s", directory,
		*name ? name : ".");
	ssize_t n = llistxattr(file->path, file->names, sizeof(file->names));
	if (n < 0 && !means_none(errno))
		return -errno;
	file->names_bytes = 0;
	for (ssize_t i = 0; i < n;) {
		size_t length = strlen(file->names + i) + 1;
		if (is_shown(file->names + i)) {
			memmove(file->names + file->names_bytes, file->names + i, length);
			file->names_bytes += length;
		}
		i += (ssize_t)length;
	}
	return 0;
}

bool entry_has_attributes(const struct layer_entry *entry, const char *path)
{
	cleanup_close int fd = -1;
	if (S_ISREG(entry->st.st_mode) || S_ISDIR(entry->st.st_mode))
		fd = open_again(entry, *path ? path : ".", O_PATH);
	if (fd < 0)
		return false;
	char self[32], names[XATTR_LIST_MAX];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	ssize_t n = listxattr(self, names, sizeof(names));
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1)
		if (is_shown(names + i))
			return true;
	return false;
}

static int values_differ(const struct attributed *before, const struct attributed *after,
	const char *name, char values[2][XATTR_SIZE_MAX])
{
	ssize_t a = lgetxattr(before->path, name, values[0], XATTR_SIZE_MAX);
	if (a < 0)
		return errno == ENODATA ? 1 : -errno;
	ssize_t b = lgetxattr(after->path, name, values[1], XATTR_SIZE_MAX);
	if (b < 0)
		return errno == ENODATA ? 1 : -errno;
	return a != b || memcmp(values[0], values[1], (size_t)a) != 0;
}

int entry_attributes_differ(int before, int after, const char *name)
{
	struct attributed files[2];
	int r = list_attributes(&files[0], before, name);
	if (r == 0)
		r = list_attributes(&files[1], after, name);
	if (r < 0)
		return r;
	/* The order may differ; as many names of the same length, all of them equal, are the same. */
	if (files[0].names_bytes != files[1].names_bytes)
		return 1;
	if (files[0].names_bytes == 0)
		return 0;
	cleanup_free char(*values)[XATTR_SIZE_MAX] = malloc(2 * sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < files[0].names_bytes; i += strlen(files[0].names + i) + 1)
		r = values_differ(&files[0], &files[1], files[0].names + i, values);
	return r;
}
