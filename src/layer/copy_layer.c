#include "layer/copy_layer.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "layer/copy_file.h"
#include "layer/link_table.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

static const char stage[] = "layer";

struct copy {
	int from, to;
	struct link_table links;
	uint64_t *bytes;
};

/* Mode and times come last: a mode may forbid what is still to be done. */
static int finish(int fd, const struct stat *st)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	if (geteuid() == 0 && fchown(fd, st->st_uid, st->st_gid) < 0)
		return -errno;
	return fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

static int copy_file(struct copy *copy, const struct upper_entry *entry, int directory)
{
	cleanup_close int from = upper_open(entry->directory, entry->name, O_RDONLY | O_NONBLOCK);
	if (from < 0)
		return from;
	cleanup_close int to = openat(directory, entry->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	int r = copy_content(from, to, copy->bytes);
	if (r == 0)
		r = copy_attributes(from, to, true);
	return r < 0 ? r : finish(to, &entry->st);
}

static int copy_special(const struct upper_entry *entry, int directory)
{
	const struct stat *st = &entry->st;
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	if (S_ISLNK(st->st_mode)) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(entry->directory, entry->name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		if (symlinkat(target, directory, entry->name) < 0)
			return -errno;
	} else if (mknodat(directory, entry->name, st->st_mode, st->st_rdev) < 0) {
		return -errno;
	}
	if (geteuid() == 0 && fchownat(directory, entry->name, st->st_uid, st->st_gid,
				      AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return utimensat(directory, entry->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int leave_directory(struct copy *copy, const struct upper_entry *entry)
{
	cleanup_close int from = upper_open(copy->from, entry->path, O_RDONLY | O_DIRECTORY);
	cleanup_close int to = upper_open(copy->to, entry->path, O_RDONLY | O_DIRECTORY);
	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	int r = copy_attributes(from, to, true);
	return r < 0 ? r : finish(to, &entry->st);
}

static int copy_entry(const struct upper_entry *entry, void *context)
{
	struct copy *copy = context;
	const struct stat *st = &entry->st;
	if (entry->leaving)
		return leave_directory(copy, entry);
	if (!*entry->path)
		return 0;
	cleanup_free char *parent = strdup(entry->path);
	if (!parent)
		return -ENOMEM;
	char *slash = strrchr(parent, '/');
	*(slash ? slash : parent) = '\0';
	cleanup_close int directory = upper_open(copy->to, parent, O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		return directory;
	if (S_ISDIR(st->st_mode))
		return mkdirat(directory, entry->name, 0700) < 0 ? -errno : 0;
	if (st->st_nlink > 1) {
		const char *first = link_table_find(&copy->links, st->st_dev, st->st_ino);
		if (first)
			return linkat(copy->to, first, directory, entry->name, 0) < 0 ? -errno : 0;
		int r = link_table_add(&copy->links, st->st_dev, st->st_ino, entry->path);
		if (r < 0)
			return r;
	}
	return S_ISREG(st->st_mode) ? copy_file(copy, entry, directory)
				    : copy_special(entry, directory);
}

/* What settle.h wrote down goes along. */
static int copy_records(int from, int to)
{
	cleanup_close int source = openat(from, "base", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0)
		return errno == ENOENT ? 0 : -errno;
	cleanup_close int target =
		openat(to, "base", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return target < 0 ? -errno : copy_content(source, target, NULL);
}

static int open_roots(const struct layer_root *root, int *ret_root, int *ret_upper)
{
	*ret_root = open(root->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_root < 0)
		return -errno;
	*ret_upper = upper_open(*ret_root, "upper", O_RDONLY | O_DIRECTORY);
	return *ret_upper < 0 ? *ret_upper : 0;
}

static int copy_root(const struct layer_root *from, const struct layer_root *to,
	uint64_t *ret_bytes, struct error *error)
{
	cleanup_close int from_root = -1, from_upper = -1, to_root = -1, to_upper = -1;
	int r = open_roots(from, &from_root, &from_upper);
	if (r == 0)
		r = open_roots(to, &to_root, &to_upper);
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s", from->path);
	struct copy copy = {.from = from_upper, .to = to_upper, .bytes = ret_bytes};
	r = upper_walk(from_upper, copy_entry, &copy, error);
	link_table_release(&copy.links);
	if (r < 0)
		return error_hint(error, "nothing was changed");
	r = copy_records(from_root, to_root);
	return r < 0 ? error_set_errno(error, -r, stage, "%s", to->directory) : 0;
}

int copy_layer_content(const struct layer *from, const struct layer *to, uint64_t *ret_bytes,
	struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < from->roots_count; i++)
		for (size_t k = 0; r == 0 && k < to->roots_count; k++)
			if (strcmp(from->roots[i].path, to->roots[k].path) == 0)
				r = copy_root(&from->roots[i], &to->roots[k], ret_bytes, error);
	return r;
}
