/* Paths of programs of the landlock tier, resolved from outside of their walls.
 *
 * Theory of operation. The kernel resolves a path for the broker as it would for any process
 * without a Landlock domain, and /proc is the host's. Two things there mean something else to the
 * broker than to the program: /proc/self is the broker, and the links of a process (cwd, root, exe,
 * fd/3), which lead anywhere, into other mount namespaces and to files that have no name, are shut
 * to the program wherever the process is not its own kind, but open to the broker.
 *
 * So the kernel's own resolution is used with such links forbidden, and its result taken unless it
 * lies in a proc file system. Otherwise the path is walked here, one component at a time: "self"
 * is the program, its own links are followed, those of all others refused. */
#include "base/cleanup.h"
#include "base/sys.h"
#include "run/broker_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { LINKS_MAX = 40 }; /* the kernel's own limit */

struct walk {
	const struct broker *broker;
	const struct request *request;
	int at;              /* where the walk is; owned */
	char rest[PATH_MAX]; /* what is still to go, from there */
	int links;
};

static bool is_proc(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC;
}

/* Takes the next component off the rest; false at the end. */
static bool next_component(struct walk *walk, char name[NAME_MAX + 1], int *ret)
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(start, "/");
	*ret = length > NAME_MAX ? -ENAMETOOLONG : 0;
	if (length == 0 || *ret < 0)
		return false;
	memcpy(name, start, length);
	name[length] = '\0';
	memmove(walk->rest, start + length, strlen(start + length) + 1);
	return true;
}

static int step(struct walk *walk, const char *name, int flags)
{
	int fd = openat(walk->at, name, O_PATH | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	close(walk->at);
	walk->at = fd;
	return 0;
}

/* The rest, from now on behind text; from the root where that is absolute. */
static int follow_text(struct walk *walk, const char *text)
{
	char rest[PATH_MAX];
	int n = snprintf(rest, sizeof(rest), "%s%s", text, walk->rest);
	if (n < 0 || (size_t)n >= sizeof(rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, rest, (size_t)n + 1);
	return *text == '/' ? step(walk, "/", O_DIRECTORY) : 0;
}

/* A link in the directory of a process, or below it: it is followed if that is the program's. */
static int follow_of_process(struct walk *walk, const char *name)
{
	static const char proc[] = "/proc/";
	char directory[PATH_MAX];
	int r = territory_path_of(walk->broker, walk->at, directory);
	if (r < 0)
		return r;
	long tgid;
	r = client_status(walk->broker, walk->request, "Tgid", 10, 0, &tgid);
	if (r < 0)
		return r;
	char *end = directory;
	long pid = strncmp(directory, proc, sizeof(proc) - 1) == 0
			   ? strtol(directory + sizeof(proc) - 1, &end, 10)
			   : 0;
	if (pid <= 0 || (*end != '/' && *end != '\0') || (pid != tgid && pid != walk->request->tid))
		return -EACCES;
	return step(walk, name, 0);
}

static int follow_in_proc(struct walk *walk, const char *name, const char *text)
{
	enum { ROOT_INODE = 1 };
	struct stat directory;
	if (fstat(walk->at, &directory) < 0)
		return -errno;
	if (directory.st_ino != ROOT_INODE)
		return follow_of_process(walk, name);
	bool thread = strcmp(name, "thread-self") == 0;
	if (!thread && strcmp(name, "self") != 0)
		return follow_text(walk, text); /* "mounts" -> "self/mounts" and the like */
	long tgid;
	int r = client_status(walk->broker, walk->request, "Tgid", 10, 0, &tgid);
	char own[64];
	if (thread)
		snprintf(own, sizeof(own), "%ld/task/%d", tgid, walk->request->tid);
	else
		snprintf(own, sizeof(own), "%ld", tgid);
	return r < 0 ? r : follow_text(walk, own);
}

static int follow(struct walk *walk, const char *name, int link)
{
	char text[PATH_MAX];
	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	ssize_t n = readlinkat(link, "", text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return is_proc(link) ? follow_in_proc(walk, name, text) : follow_text(walk, text);
}

static int walk_component(struct walk *walk, const char *name, int flags)
{
	if (strcmp(name, "..") == 0)
		return step(walk, name, O_DIRECTORY);
	cleanup_close int fd = openat(walk->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	bool is_last = !*walk->rest;
	if (S_ISLNK(st.st_mode) && !(is_last && flags & O_NOFOLLOW))
		return follow(walk, name, fd);
	close(walk->at);
	walk->at = steal_fd(&fd);
	return 0;
}

static int walk_path(struct walk *walk, const char *path, int flags)
{
	size_t length = strlen(path);
	if (length >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, path, length + 1);
	bool directory = flags & O_DIRECTORY || (length > 0 && path[length - 1] == '/');
	char name[NAME_MAX + 1];
	int r;
	while (next_component(walk, name, &r)) {
		r = walk_component(walk, name, flags);
		if (r < 0)
			return r;
	}
	struct stat st;
	if (r < 0 || !directory)
		return r;
	return fstat(walk->at, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int walk_open(const struct broker *broker, const struct request *request, int base,
	const char *path, int flags)
{
	cleanup_close int fd = sys_openat2(
		base, *path ? path : ".", O_PATH | O_CLOEXEC | flags, RESOLVE_NO_MAGICLINKS);
	if (fd >= 0 && !is_proc(fd))
		return steal_fd(&fd);
	struct walk walk = {
		.broker = broker, .request = request, .at = fcntl(base, F_DUPFD_CLOEXEC, 3)};
	if (walk.at < 0)
		return -errno;
	int r = walk_path(&walk, path, flags);
	if (r < 0) {
		close(walk.at);
		return r;
	}
	return walk.at;
}
