/* Theory of operation. The file is replaced whole, so that whoever reads it sees the old or the new
 * one. Under a lock on its directory (the file itself is replaced, so a lock on it would be a lock
 * on something that is gone): read the old text, append, write the whole to ".NAME.new/NAME", have
 * that checked, flush it, and rename it over the old. The directory's name is fixed: what a killed
 * writer left is in the next one's way, who holds the lock and removes it.
 *
 * An editor that saves meanwhile knows no such lock: if the old file is not the one that was read
 * when its place is to be taken, all begins anew. */
#include "gate/rule_write.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LOCK_WAIT_MS = 10000, LOCK_STEP_MS = 10, ATTEMPTS_MAX = 5 };

struct rule_file {
	char *path;       /* with links resolved */
	const char *name; /* in path */
	int directory;
	char *staging; /* the directory of the new file: absolute */
	struct stat old;
	bool exists;
};

static void rule_file_release(struct rule_file *file)
{
	free(file->path);
	free(file->staging);
	close_fd(&file->directory);
}

/* Whether somebody else could change what is there: then no link that leads to it is followed. */
static bool is_others(const struct stat *st)
{
	return (st->st_uid != geteuid() && st->st_uid != 0) || (st->st_mode & S_IWOTH) ||
	       ((st->st_mode & S_IWGRP) && st->st_gid != getegid() && st->st_gid != 0);
}

/* The file that a link (of somebody who keeps dotfiles elsewhere) leads to. */
static int follow_link(struct rule_file *file, const char *link, struct error *error)
{
	file->path = realpath(link, NULL);
	cleanup_free char *parent = file->path ? path_parent(file->path) : NULL;
	struct stat target, above;
	if (!parent || stat(parent, &above) < 0 || stat(file->path, &target) < 0)
		return error_set_errno(error, errno, "rule", "%s: cannot follow the link", link);
	if (is_others(&target) || is_others(&above)) {
		error_set(error, EPERM, "rule",
			"%s is a link to %.300s, which others than you can write", link,
			file->path);
		return error_hint(error, "add the rule by hand, or let the link lead elsewhere");
	}
	return 0;
}

/* Makes the directories above path that are missing, as XDG wants them: for the user alone. */
static int make_parents(const char *path)
{
	cleanup_free char *parent = path_parent(path);
	if (!parent)
		return -errno;
	if (access(parent, F_OK) == 0)
		return 0;
	int r = make_parents(parent);
	return r < 0 || mkdir(parent, 0700) == 0 || errno == EEXIST ? r : -errno;
}

static int open_place(const char *path, struct rule_file *file, struct error *error)
{
	struct stat st;
	int r = 0;
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
		r = follow_link(file, path, error);
		if (r < 0)
			return r;
	} else {
		file->path = path_absolute("/", path);
		r = file->path ? make_parents(file->path) : -errno;
		if (r < 0)
			return error_set_errno(
				error, -r, "rule", "%s: cannot make its directory", path);
	}
	file->name = path_name(file->path);
	cleanup_free char *parent = path_parent(file->path);
	file->directory = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (file->directory < 0)
		return error_set_errno(error, errno, "rule", "%s: cannot open", parent);
	cleanup_buffer struct buffer staging = BUFFER_INIT(MAX_PATH_BYTES);
	buffer_append_format(&staging, "%s/.%s.new", parent, file->name);
	file->staging = buffer_steal(&staging);
	return file->staging ? 0 : error_set(error, ENOMEM, "rule", "out of memory");
}

static int lock(struct rule_file *file, struct error *error)
{
	for (int waited_ms = 0; waited_ms < LOCK_WAIT_MS; waited_ms += LOCK_STEP_MS) {
		if (flock(file->directory, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set_errno(
				error, errno, "rule", "%s: cannot lock its directory", file->path);
		usleep(LOCK_STEP_MS * 1000);
	}
	return error_set(error, ETIMEDOUT, "rule",
		"%s: another program has had its directory locked for %d s", file->path,
		LOCK_WAIT_MS / 1000);
}

static void remove_staging(const struct rule_file *file)
{
	int staging = open(file->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (staging < 0)
		return;
	unlinkat(staging, file->name, 0);
	close(staging);
	rmdir(file->staging);
}

/* What is to become of the old text. */
struct rule_edit {
	int (*compose)(void *data, const char *old, size_t length_bytes, struct buffer *whole,
		struct error *error);
	void *data;
	int (*check)(const char *directory, struct error *error);
};

static int compose(struct rule_file *file, const struct rule_edit *edit, struct buffer *whole,
	struct error *error)
{
	cleanup_free char *old = NULL;
	size_t length = 0;
	/* Before it is read: what changes from here on is noticed. */
	file->exists = fstatat(file->directory, file->name, &file->old, AT_SYMLINK_NOFOLLOW) == 0;
	int r = file->exists || errno == ENOENT ? 0 : -errno;
	if (file->exists)
		r = fd_read_file(file->directory, file->name, MAX_CONFIG_FILE_BYTES, &old, &length);
	if (r < 0)
		return error_set_errno(error, -r, "rule", "%s: cannot read", file->path);
	r = edit->compose(edit->data, old ? old : "", length, whole, error);
	if (r < 0)
		return r;
	r = buffer_error(whole);
	return r < 0 ? error_set_errno(error, -r, "rule", "%s: cannot grow beyond %d bytes",
			       file->path, MAX_CONFIG_FILE_BYTES)
		     : 0;
}

/* Leaves the new file flushed at staging/name. */
static int stage(const struct rule_file *file, const struct buffer *whole, struct error *error)
{
	remove_staging(file);
	if (mkdir(file->staging, 0700) < 0)
		return error_set_errno(error, errno, "rule", "%s: cannot make", file->staging);
	cleanup_close int staging =
		open(file->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_close int fd = openat(
		staging, file->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	mode_t mode = file->exists ? file->old.st_mode & 07777 : 0600;
	int r = fd < 0 ? -errno : fd_write_full(fd, whole->data, whole->length_bytes);
	if (r == 0 && file->exists && fchown(fd, file->old.st_uid, file->old.st_gid) < 0)
		r = -errno;
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	return r < 0 ? error_set_errno(error, -r, "rule", "%s: cannot write the new file beside it",
			       file->path)
		     : 0;
}

static bool is_unchanged(const struct rule_file *file)
{
	struct stat now;
	if (fstatat(file->directory, file->name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return !file->exists && errno == ENOENT;
	return file->exists && now.st_ino == file->old.st_ino && now.st_size == file->old.st_size &&
	       now.st_mtim.tv_sec == file->old.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == file->old.st_mtim.tv_nsec;
}

/* -EAGAIN: the old file was changed by somebody else meanwhile. */
static int replace(struct rule_file *file, const struct rule_edit *edit, struct error *error)
{
	cleanup_buffer struct buffer whole = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	int r = compose(file, edit, &whole, error);
	if (r == 0)
		r = stage(file, &whole, error);
	if (r == 0) {
		r = edit->check(file->staging, error);
		if (r < 0 && error && !*error->hint)
			error_hint(error, "nothing was written: %.400s is as it was", file->path);
	}
	if (r == 0 && !is_unchanged(file))
		r = error_set(
			error, EAGAIN, "rule", "%s: another program keeps changing it", file->path);
	cleanup_close int staging =
		open(file->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && renameat(staging, file->name, file->directory, file->name) < 0)
		r = error_set_errno(error, errno, "rule", "%s: cannot replace it", file->path);
	if (r == 0)
		fsync(file->directory);
	remove_staging(file);
	return r;
}

int rule_file_rewrite(const char *path,
	int (*compose_text)(void *data, const char *old, size_t length_bytes, struct buffer *whole,
		struct error *error),
	void *data, int (*check)(const char *directory, struct error *error), struct error *error)
{
	__attribute__((cleanup(rule_file_release))) struct rule_file file = {.directory = -1};
	const struct rule_edit edit = {compose_text, data, check};
	int r = open_place(path, &file, error);
	if (r == 0)
		r = lock(&file, error);
	for (int attempt = 0; r == 0 && attempt < ATTEMPTS_MAX; attempt++) {
		r = replace(&file, &edit, error);
		if (r != -EAGAIN)
			return r;
		r = attempt + 1 < ATTEMPTS_MAX ? 0 : r;
	}
	return r;
}

/* The old text with the new one after it. */
static int append(
	void *data, const char *old, size_t length_bytes, struct buffer *whole, struct error *error)
{
	(void)error;
	buffer_append(whole, old, length_bytes);
	if (length_bytes && old[length_bytes - 1] != '\n')
		buffer_append_string(whole, "\n");
	buffer_append_string(whole, length_bytes ? "\n" : "");
	buffer_append_string(whole, data);
	return 0;
}

int rule_append_checked(const char *path, const char *text,
	int (*check)(const char *directory, struct error *error), struct error *error)
{
	return rule_file_rewrite(path, append, (void *)text, check, error);
}
