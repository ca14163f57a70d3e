/* Theory of operation. The directory lies below the host's /tmp, so that what a crash leaves behind
 * goes with the rest there. A stranger has filled it by the time that it is removed: every step
 * goes through a descriptor of the directory that holds the name, and ends at links. Nor is there
 * a depth at which it ends: directories in a directory are moved to the top before it is removed,
 * so that no more than two are ever open. */
#include "run/tmpdir.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/witness_ring.h"
#include "confine/witness_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

static bool names_tmpdir(const struct plan *plan)
{
	for (size_t i = 0; i < plan->environment.count; i++)
		if (strncmp(plan->environment.items[i], "TMPDIR=", strlen("TMPDIR=")) == 0)
			return true;
	return false;
}

static int name_ring(struct plan *plan)
{
	char *assignment;
	if (plan->witness != WITNESS_ON)
		return 0;
	if (asprintf(&assignment, WITNESS_RING_VARIABLE "=%s/" WITNESS_RING_NAME, plan->tmpdir) < 0)
		return -ENOMEM;
	return strv_add_owned(&plan->environment, assignment);
}

static int enter_in_plan(struct plan *plan, const char *path)
{
	int r = plan_grant(plan, path, PLAN_RIGHTS_WRITE);
	if (r < 0)
		return r;
	r = strv_add(&plan->write_roots, path);
	if (r == 0)
		r = plan_add_place(plan, path, path, PLACE_WRITE, "the box's own TMPDIR");
	if (r == 0)
		r = name_ring(plan);
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

/* What the box trusts, where it has an authority of its own: before anybody else can look in. */
static int write_certificates(const struct plan *plan)
{
	if (!plan->certificates)
		return 0;
	cleanup_close int directory =
		open(plan->tmpdir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_close int fd = openat(directory, CERTIFICATES_NAME,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (geteuid() == 0 && fchown(fd, plan->owner_uid, plan->owner_gid) < 0)
		return -errno;
	return fd_write_full(fd, plan->certificates, strlen(plan->certificates));
}

/* On a disk, so the room is taken beforehand: a hole that could not be filled would end a program
 * of the box that writes to it. */
static int make_ring(const struct plan *plan)
{
	if (plan->witness != WITNESS_ON)
		return 0;
	cleanup_close int directory =
		open(plan->tmpdir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_close int fd = openat(directory, WITNESS_RING_NAME,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (geteuid() == 0 && fchown(fd, plan->owner_uid, plan->owner_gid) < 0)
		return -errno;
	int r = posix_fallocate(fd, 0, sizeof(struct witness_ring));
	return r > 0 ? -r : witness_file_fill(plan, fd);
}

int tmpdir_make(const struct plan *plan, struct error *error)
{
	if (mkdir(plan->tmpdir, 0700) < 0)
		return error_set_errno(error, errno, "tmpdir", "%s", plan->tmpdir);
	int r = write_certificates(plan);
	if (r < 0)
		return error_set_errno(error, -r, "tmpdir", "the certificates of the box");
	r = make_ring(plan);
	if (r < 0)
		return error_set_errno(error, -r, "tmpdir", "the witness of the box");
	if (geteuid() == 0 && lchown(plan->tmpdir, plan->owner_uid, plan->owner_gid) < 0)
		return error_set_errno(
			error, errno, "tmpdir", "giving %s to its owner", plan->tmpdir);
	return 0;
}

/* Read-only ones are emptied too: caches of Go make such. Not by name: the way through the
 * descriptor ends at no link. */
static int open_to_empty(int at, const char *name)
{
	cleanup_close int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	(void)!chmod(link, 0700);
	int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return readable < 0 ? -errno : readable;
}

struct removal {
	int top;
	unsigned long number; /* of the next name there */
	bool moved;           /* in this pass */
};

/* To a name that nothing in the top has. The directory itself must be writable to be moved. */
static void move_up(struct removal *removal, int from, const char *name)
{
	cleanup_close int fd = open_to_empty(from, name);
	char place[32];
	int r;
	do {
		snprintf(place, sizeof(place), "%lu", removal->number++);
		r = renameat2(from, name, removal->top, place, RENAME_NOREPLACE);
	} while (fd >= 0 && r < 0 && errno == EEXIST);
	removal->moved |= r == 0;
}

/* Removes what is no directory, visits the rest. Takes fd over. */
static void empty(struct removal *removal, int fd,
	void (*visit)(struct removal *removal, int directory, const char *name))
{
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
			unlinkat(dirfd(dir), name, 0) < 0)
			visit(removal, dirfd(dir), name);
	}
}

static void remove_directory(struct removal *removal, int at, const char *name)
{
	int fd = open_to_empty(at, name);
	if (fd >= 0)
		empty(removal, fd, move_up);
	unlinkat(at, name, AT_REMOVEDIR);
}

void tmpdir_remove(const struct plan *plan)
{
	if (!plan->tmpdir)
		return;
	cleanup_close int top = open_to_empty(AT_FDCWD, plan->tmpdir);
	struct removal removal = {.top = top, .moved = true};
	/* Each pass takes away one level at least, or nothing more can be. */
	while (removal.moved) {
		int fd = top < 0 ? -1 : openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return;
		removal.moved = false;
		empty(&removal, fd, remove_directory);
	}
	rmdir(plan->tmpdir);
}
