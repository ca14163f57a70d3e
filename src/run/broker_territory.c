/* Who decides about a place in the file system, in the landlock tier.
 *
 * Theory of operation. Landlock only allows. Where a writable root holds something that must stay
 * as it is (.git), the root itself cannot be granted: its entries are, one by one, as they were at
 * launch. So there are three kinds of places:
 *
 *   LANDLOCK  below a granted entry: the kernel enforces, the call is let through.
 *   BROKER    the opened root itself, and what was made in it since: writable by the policy, but
 *             under no grant. Every call that changes something there is made by the broker,
 *             relative to a directory that it holds, after this look.
 *   CLOSED    everything else, carve-outs among it. Landlock refuses what it knows of; the broker
 *             refuses what Landlock does not look at.
 *
 * A place is judged by the path of a held descriptor, if that path leads to the same file of the
 * same mount here. It can change only by a rename, and the box cannot rename into or out of a
 * carve-out, nor an ancestor of one: these renames come through here. A grant belongs to an inode,
 * not to a name: an entry that was replaced since launch (rm -r build; mkdir build) is BROKER,
 * which is seen by its number; Landlock itself keeps the old inode, so the number is not used
 * again.
 *
 * Carve-outs are what the opened directories hold, when the broker starts, that is under no grant
 * for writing. The box can have put nothing there by then: that takes the broker. A link is judged
 * by where it leads to, so as an entry it is none, unless its name is protected. */
#include "base/cleanup.h"
#include "base/path.h"
#include "base/sys.h"
#include "policy/names.h"
#include "run/broker_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The plan says so by granting its listing once more: what else is there need not be writable. */
static bool was_opened(const struct plan *plan, const char *directory)
{
	for (size_t i = 0; i < plan->grants_count; i++)
		if (plan->grants[i].rights == PLAN_RIGHTS_LIST &&
			strcmp(plan->grants[i].path, directory) == 0)
			return true;
	return false;
}

/* The grant nearest above path, or NULL. Listing is granted everywhere and says nothing. */
static const struct plan_grant *nearest_grant(const struct plan *plan, const char *path)
{
	const struct plan_grant *nearest = NULL;
	size_t length = 0;
	for (size_t i = 0; i < plan->grants_count; i++) {
		const struct plan_grant *grant = &plan->grants[i];
		if (grant->rights == PLAN_RIGHTS_LIST || !path_is_below(path, grant->path))
			continue;
		if (!nearest || strlen(grant->path) >= length) {
			nearest = grant;
			length = strlen(grant->path);
		}
	}
	return nearest;
}

static int add_carve_out(struct broker *broker, const char *path, struct error *error)
{
	if (broker->carve_outs_count == BROKER_CARVE_OUTS_MAX)
		return error_set(error, E2BIG, "broker",
			"more than %d protected entries in the writable roots",
			BROKER_CARVE_OUTS_MAX);
	char *copy = strdup(path);
	if (!copy)
		return error_set(error, ENOMEM, "broker", "no memory for protected entries");
	broker->carve_outs[broker->carve_outs_count++] = copy;
	return 0;
}

static int look_for_carve_outs(struct broker *broker, const char *directory, struct error *error)
{
	const struct plan *plan = broker->plan;
	cleanup_closedir DIR *dir = opendir(directory);
	if (!dir)
		return add_carve_out(broker, directory, error);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		cleanup_free char *path = path_join(directory, entry->d_name);
		struct stat st;
		if (!path)
			return error_set(
				error, ENOMEM, "broker", "no memory for protected entries");
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISLNK(st.st_mode) && !names_protected(entry->d_name))
			continue;
		const struct plan_grant *grant = nearest_grant(plan, path);
		if (grant && grant->rights == PLAN_RIGHTS_WRITE)
			continue;
		int r = S_ISDIR(st.st_mode) && was_opened(plan, path)
				? look_for_carve_outs(broker, path, error)
				: add_carve_out(broker, path, error);
		if (r < 0)
			return r;
	}
	return 0;
}

int territory_start(struct broker *broker, struct error *error)
{
	const struct plan *plan = broker->plan;
	broker->grant_ids = calloc(plan->grants_count + 1, sizeof(*broker->grant_ids));
	broker->carve_outs = calloc(BROKER_CARVE_OUTS_MAX, sizeof(*broker->carve_outs));
	if (!broker->grant_ids || !broker->carve_outs)
		return error_set(error, ENOMEM, "broker", "no memory for the grants");
	for (size_t i = 0; i < plan->grants_count; i++) {
		struct stat st;
		if (lstat(plan->grants[i].path, &st) == 0)
			broker->grant_ids[i] =
				(struct file_id){.device = st.st_dev, .inode = st.st_ino};
	}
	for (size_t i = 0; i < plan->write_roots.count; i++) {
		const char *root = plan->write_roots.items[i];
		const struct plan_grant *grant = nearest_grant(plan, root);
		if (grant && grant->rights == PLAN_RIGHTS_WRITE)
			continue;
		int r = look_for_carve_outs(broker, root, error);
		if (r < 0)
			return r;
	}
	return 0;
}

bool territory_holds_carve_out(const struct broker *broker, const char *path)
{
	for (size_t i = 0; i < broker->carve_outs_count; i++)
		if (path_is_below(broker->carve_outs[i], path))
			return true;
	return false;
}

bool territory_is_readable(const struct broker *broker, const char *path)
{
	const struct plan *plan = broker->plan;
	for (size_t i = 0; i < plan->grants_count; i++) {
		const struct plan_grant *grant = &plan->grants[i];
		const struct file_id *id = &broker->grant_ids[i];
		struct stat st;
		if ((grant->rights == PLAN_RIGHTS_READ || grant->rights == PLAN_RIGHTS_WRITE) &&
			path_is_below(path, grant->path) && stat(grant->path, &st) == 0 &&
			st.st_dev == id->device && st.st_ino == id->inode)
			return true;
	}
	return false;
}

static bool grant_is_live(const struct broker *broker, const struct plan_grant *grant)
{
	const struct file_id *id = &broker->grant_ids[grant - broker->plan->grants];
	struct stat st;
	return id->inode && stat(grant->path, &st) == 0 && st.st_dev == id->device &&
	       st.st_ino == id->inode;
}

static enum territory territory_of_path(const struct broker *broker, const char *path)
{
	const struct plan *plan = broker->plan;
	const struct plan_grant *grant = nearest_grant(plan, path);
	if (grant && grant->rights == PLAN_RIGHTS_WRITE && grant_is_live(broker, grant))
		return TERRITORY_LANDLOCK;
	for (size_t i = 0; i < broker->carve_outs_count; i++)
		if (path_is_below(path, broker->carve_outs[i]))
			return TERRITORY_CLOSED;
	for (size_t i = 0; i < plan->write_roots.count; i++)
		if (path_is_below(path, plan->write_roots.items[i]))
			return TERRITORY_BROKER;
	return TERRITORY_CLOSED;
}

int territory_path_of(const struct broker *broker, int fd, char path[PATH_MAX])
{
	char link[24];
	snprintf(link, sizeof(link), "%d", fd);
	ssize_t n = readlinkat(broker->self_fds, link, path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

/* A number is of one file on one mount as long as both are held. */
static bool is_same_file(int left, int right)
{
	struct statx a, b;
	const unsigned wanted = STATX_INO | STATX_MNT_ID;
	return statx(left, "", AT_EMPTY_PATH, wanted, &a) == 0 &&
	       statx(right, "", AT_EMPTY_PATH, wanted, &b) == 0 &&
	       (a.stx_mask & b.stx_mask & wanted) == wanted && a.stx_ino == b.stx_ino &&
	       a.stx_mnt_id == b.stx_mnt_id && a.stx_dev_major == b.stx_dev_major &&
	       a.stx_dev_minor == b.stx_dev_minor;
}

enum territory territory_of_fd(const struct broker *broker, int fd, char path[PATH_MAX])
{
	if (territory_path_of(broker, fd, path) < 0 || path[0] != '/')
		return TERRITORY_CLOSED;
	cleanup_close int there =
		sys_openat2(AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
	return there >= 0 && is_same_file(fd, there) ? territory_of_path(broker, path)
						     : TERRITORY_CLOSED;
}
