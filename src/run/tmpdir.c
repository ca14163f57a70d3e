/* Theory of operation. The directory lies below the host's /tmp, so that what a crash leaves behind
 * goes with the rest there. A stranger has filled it by the time that it is removed: every step
 * goes through a descriptor of the directory that holds the name, and ends at links. */
#include "run/tmpdir.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 128 }; /* each level holds a descriptor */

static bool names_tmpdir(const struct plan *plan)
{
	for (size_t i = 0; i < plan->environment.count; i++)
		if (strncmp(plan->environment.items[i], "TMPDIR=", strlen("TMPDIR=")) == 0)
			return true;
	return false;
}

static int enter_in_plan(struct plan *plan, const char *path)
{
	int r = plan_grant(plan, path, GRANT_WRITE);
	if (r < 0)
		return r;
	r = strv_add(&plan->write_roots, path);
	if (r < 0 || names_tmpdir(plan))
		return r;
	char *assignment;
	if (asprintf(&assignment, "TMPDIR=%s", path) < 0)
		return -ENOMEM;
	return strv_add_owned(&plan->environment, assignment);
}

int tmpdir_choose(struct plan *plan, struct error *error)
{
	char top[PATH_MAX];
	uint64_t number;
	if (!realpath("/tmp", top))
		return error_set_errno(error, errno, "tmpdir", "/tmp");
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return error_set_errno(error, errno, "tmpdir", "a random number");
	if (asprintf(&plan->tmpdir, "%s/coffer-%d-%016llx", top, getpid(),
		    (unsigned long long)number) < 0) {
		plan->tmpdir = NULL;
		return error_set_errno(error, ENOMEM, "tmpdir", "its name");
	}
	if (enter_in_plan(plan, plan->tmpdir) < 0)
		return error_set_errno(error, ENOMEM, "tmpdir", "its grant");
	return 0;
}

int tmpdir_make(const struct plan *plan, struct error *error)
{
	if (mkdir(plan->tmpdir, 0700) < 0)
		return error_set_errno(error, errno, "tmpdir", "%s", plan->tmpdir);
	if (geteuid() == 0 && lchown(plan->tmpdir, plan->owner_uid, plan->owner_gid) < 0)
		return error_set_errno(
			error, errno, "tmpdir", "giving %s to its owner", plan->tmpdir);
	return 0;
}

static void empty_directory(int directory, int depth)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			unlinkat(dirfd(dir), name, 0) == 0 || depth == DEPTH_MAX)
			continue;
		cleanup_close int child =
			openat(dirfd(dir), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			continue;
		/* Read-only ones are emptied too: caches of Go make such. Not by name: the way
		 * through the descriptor ends at no link. */
		char link[32];
		snprintf(link, sizeof(link), "/proc/self/fd/%d", child);
		chmod(link, 0700);
		empty_directory(child, depth + 1);
		unlinkat(dirfd(dir), name, AT_REMOVEDIR);
	}
}

void tmpdir_remove(const struct plan *plan)
{
	if (!plan->tmpdir)
		return;
	cleanup_close int fd = open(plan->tmpdir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	empty_directory(fd, 0);
	rmdir(plan->tmpdir);
}
