/* Theory of operation. One file for each living supervisor, locked by it; the lock goes with its
 * holder, whatever kills it, so a file that can be locked is a dead one's. */
#include "run/journal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* The journal of this user: its own directory, and nobody else's planted there before. */
static int open_directory(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/dev/shm/coffer-%u", geteuid());
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return -EPERM;
	return steal_fd(&fd);
}

int journal_open(const struct buffer *text, char **ret_name)
{
	cleanup_close int dir = open_directory();
	if (dir < 0)
		return dir;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	cleanup_free char *name = NULL;
	if (asprintf(&name, "watch-%d-%lld", getpid(),
		    (long long)now.tv_sec * 1000000000 + now.tv_nsec) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	/* Nameless until it is locked and whole: the next start never sees half an entry. */
	cleanup_close int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, text->data, text->length_bytes);
	if (r < 0)
		return r;
	char self[32];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 ||
		linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	*ret_name = steal_pointer(&name);
	return steal_fd(&fd);
}

void journal_close(int fd, char *name)
{
	cleanup_close int dir = open_directory();
	if (dir >= 0 && name)
		unlinkat(dir, name, 0);
	free(name);
	if (fd >= 0)
		close(fd);
}

char *journal_next(size_t *ret_length_bytes)
{
	cleanup_close int dir = open_directory();
	cleanup_closedir DIR *list = dir < 0 ? NULL : fdopendir(dup(dir));
	if (!list)
		return NULL;
	for (struct dirent *entry; (entry = readdir(list));) {
		if (strncmp(entry->d_name, "watch-", 6) != 0)
			continue;
		cleanup_close int fd =
			openat(dir, entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		/* Another start may have been quicker: then the name is gone. */
		struct stat st;
		if (unlinkat(dir, entry->d_name, 0) < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 ||
			st.st_size > MAX_PROC_FILE_BYTES)
			continue;
		char *text = calloc(1, (size_t)st.st_size + 1);
		if (text && pread(fd, text, (size_t)st.st_size, 0) == st.st_size) {
			*ret_length_bytes = (size_t)st.st_size;
			return text;
		}
		free(text);
	}
	return NULL;
}
