/* One line of standard input is one call: "NAME PATH [PATH]". Each is made, and its errno
 * written to standard output, a line each: 0 where it succeeded. What fails must be known to the
 * kernel: the paths exist, or do not, as the test has made them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static int opened(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd;
}

static int streamed(FILE *stream)
{
	if (stream)
		fclose(stream);
	return stream ? 0 : -1;
}

static int listed(DIR *dir)
{
	if (dir)
		closedir(dir);
	return dir ? 0 : -1;
}

/* Relative to a descriptor of the root, so that a directory that is no working directory counts. */
static int at(const char **path)
{
	*path += 1;
	return open("/", O_RDONLY | O_DIRECTORY);
}

#define CALL(name, expression)                                                                     \
	static int do_##name(const char *path, const char *other)                                  \
	{                                                                                          \
		(void)other;                                                                       \
		return (expression);                                                               \
	}
#define CALL_AT(name, expression)                                                                  \
	static int do_##name(const char *path, const char *other)                                  \
	{                                                                                          \
		(void)other;                                                                       \
		int dirfd = at(&path), r = (expression), code = errno;                             \
		close(dirfd);                                                                      \
		errno = code;                                                                      \
		return r;                                                                          \
	}

CALL(open_read, opened(open(path, O_RDONLY)))
CALL(open_write, opened(open(path, O_WRONLY)))
CALL(open_both, opened(open(path, O_RDWR)))
CALL(open_append, opened(open(path, O_WRONLY | O_APPEND)))
CALL(open_truncate, opened(open(path, O_WRONLY | O_TRUNC)))
CALL(open_create, opened(open(path, O_WRONLY | O_CREAT, 0644)))
CALL(open_exclusive, opened(open(path, O_WRONLY | O_CREAT | O_EXCL, 0644)))
CALL_AT(openat_read, opened(openat(dirfd, path, O_RDONLY)))
CALL_AT(openat_write, opened(openat(dirfd, path, O_WRONLY)))
CALL_AT(openat_create, opened(openat(dirfd, path, O_WRONLY | O_CREAT, 0644)))
CALL(creat, opened(creat(path, 0644)))
CALL(fopen_read, streamed(fopen(path, "r")))
CALL(fopen_write, streamed(fopen(path, "w")))
CALL(fopen_append, streamed(fopen(path, "a+")))
CALL(opendir, listed(opendir(path)))
CALL(mkdir, mkdir(path, 0755))
CALL_AT(mkdirat, mkdirat(dirfd, path, 0755))
CALL(mknod, mknod(path, S_IFREG | 0644, 0))
CALL(mkfifo, mkfifo(path, 0644))
CALL(unlink, unlink(path))
CALL_AT(unlinkat, unlinkat(dirfd, path, 0))
CALL(rmdir, rmdir(path))
CALL(remove, remove(path))
CALL(rename, rename(path, other))
CALL_AT(renameat, renameat(dirfd, path, AT_FDCWD, other))
CALL(link, link(other, path))
CALL(symlink, symlink("nowhere", path))
CALL_AT(symlinkat, symlinkat("nowhere", dirfd, path))
CALL(chmod, chmod(path, 0640))
CALL_AT(fchmodat, fchmodat(dirfd, path, 0640, 0))
CALL(chown, chown(path, geteuid(), (gid_t)-1))
CALL(lchown, lchown(path, geteuid(), (gid_t)-1))
CALL_AT(fchownat, fchownat(dirfd, path, geteuid(), (gid_t)-1, 0))
CALL(truncate, truncate(path, 1))
CALL(utime, utime(path, NULL))
CALL(utimes, utimes(path, NULL))
CALL_AT(utimensat, utimensat(dirfd, path, NULL, 0))
CALL(access, access(path, R_OK))
static struct stat ignored;
CALL(stat, stat(path, &ignored))
CALL(lstat, lstat(path, &ignored))
CALL(chdir, chdir(path))
CALL(syscall_openat, opened((int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY)))
CALL(syscall_mkdirat, (int)syscall(SYS_mkdirat, AT_FDCWD, path, 0755))

static const struct {
	const char *name;
	int (*call)(const char *path, const char *other);
} calls[] = {
#define ROW(name) {#name, do_##name}
	ROW(open_read), ROW(open_write), ROW(open_both), ROW(open_append), ROW(open_truncate),
	ROW(open_create), ROW(open_exclusive), ROW(openat_read), ROW(openat_write),
	ROW(openat_create), ROW(creat), ROW(fopen_read), ROW(fopen_write), ROW(fopen_append),
	ROW(opendir), ROW(mkdir), ROW(mkdirat), ROW(mknod), ROW(mkfifo), ROW(unlink), ROW(unlinkat),
	ROW(rmdir), ROW(remove), ROW(rename), ROW(renameat), ROW(link), ROW(symlink),
	ROW(symlinkat), ROW(chmod), ROW(fchmodat), ROW(chown), ROW(lchown), ROW(fchownat),
	ROW(truncate), ROW(utime), ROW(utimes), ROW(utimensat), ROW(access), ROW(stat), ROW(lstat),
	ROW(chdir), ROW(syscall_openat), ROW(syscall_mkdirat),
};

int main(void)
{
	char line[8192], name[64], path[4096], other[4096];
	while (fgets(line, sizeof(line), stdin)) {
		int words = sscanf(line, "%63s %4095s %4095s", name, path, other);
		if (words < 2)
			return 2;
		size_t i = 0;
		while (i < sizeof(calls) / sizeof(calls[0]) && strcmp(calls[i].name, name) != 0)
			i++;
		if (i == sizeof(calls) / sizeof(calls[0]))
			return 3;
		errno = 0;
		int r = calls[i].call(path, words > 2 ? other : "");
		printf("%d\n", r == -1 ? errno : 0);
	}
	return 0;
}
