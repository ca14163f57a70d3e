/* Theory of operation. Until all steps are done nothing of the host's is lost: what is replaced or
 * removed lies under the staged name, in the same directory. A step that finds the host other than
 * it was checked ends the apply, and every step is taken back. What has happened to a step is seen
 * from the inodes under its two names, so nothing is written between steps. */
#include "layer/apply_place.h"

#include "base/cleanup.h"
#include "base/tree.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static const char stage[] = "apply";

int apply_hosts_open(
	const struct apply_journal *journal, struct apply_host **ret, struct error *error)
{
	struct apply_host *hosts = calloc(journal->roots_count + 1, sizeof(*hosts));
	if (!hosts)
		return error_set_errno(error, ENOMEM, stage, "the roots");
	for (size_t i = 0; i < journal->roots_count; i++)
		hosts[i] = (struct apply_host){.root = -1, .parent = -1};
	int r = 0;
	for (size_t i = 0; r == 0 && i < journal->roots_count; i++)
		r = apply_host_open(journal->roots[i].base, journal->roots[i].device,
			journal->roots[i].inode, &hosts[i], error);
	if (r < 0) {
		apply_hosts_close(journal, hosts);
		return r;
	}
	*ret = hosts;
	return 0;
}

void apply_hosts_close(const struct apply_journal *journal, struct apply_host *hosts)
{
	for (size_t i = 0; hosts && i < journal->roots_count; i++)
		apply_host_close(&hosts[i]);
	free(hosts);
}

/* ---- one step ---- */

/* What lies under the two names of a step. */
struct sight {
	int parent;
	const char *name;
	char staged_name[APPLY_STAGED_BYTES];
	bool has_target, has_staged;
	struct stat target, staged;
};

static int look(int parent, const char *name, bool *ret_has, struct stat *ret)
{
	*ret_has = fstatat(parent, name, ret, AT_SYMLINK_NOFOLLOW) == 0;
	return *ret_has || errno == ENOENT ? 0 : -errno;
}

static int see(const struct apply_journal *journal, size_t number, struct apply_host *host,
	struct sight *ret)
{
	ret->parent = apply_host_parent(host, journal->steps[number].path, &ret->name);
	if (ret->parent < 0)
		return ret->parent;
	apply_staged_name(journal, number, ret->staged_name);
	int r = look(ret->parent, ret->name, &ret->has_target, &ret->target);
	return r < 0 ? r : look(ret->parent, ret->staged_name, &ret->has_staged, &ret->staged);
}

/* While somebody moves directories about, one that is not to be reached now may be so a moment later.
 * What is left behind would be found by nobody; so this is worth some patience, though not without
 * end. */
static int see_patiently(const struct apply_journal *journal, size_t number,
	struct apply_host *host, unsigned *patience, struct sight *ret)
{
	enum { PAUSE_US = 1000 };
	for (;;) {
		int r = see(journal, number, host, ret);
		bool moved = r == -ELOOP || r == -ENOTDIR || r == -ENOENT || r == -EXDEV;
		if (!moved || *patience == 0)
			return r;
		--*patience;
		usleep(PAUSE_US);
	}
}

/* What was staged still lies under the staged name. */
static bool waits(const struct apply_step *step, const struct sight *sight)
{
	return sight->has_staged && step->kind != STEP_REMOVE &&
	       sight->staged.st_ino == step->staged.inode;
}

static int rename_to(const struct sight *sight, bool back, unsigned flags)
{
	const char *from = back ? sight->name : sight->staged_name;
	const char *to = back ? sight->staged_name : sight->name;
	return renameat2(sight->parent, from, sight->parent, to, flags) < 0 ? -errno : 0;
}

static int place(const struct apply_step *step, const struct sight *sight)
{
	if (waits(step, sight))
		return rename_to(sight, false, RENAME_NOREPLACE);
	return sight->has_target ? 0 : -ENOENT;
}

static int exchange(const struct apply_step *step, const struct sight *sight)
{
	struct stat displaced;
	if (waits(step, sight)) {
		int r = rename_to(sight, false, RENAME_EXCHANGE);
		if (r < 0)
			return r;
	} else if (!sight->has_staged) {
		return -ENOENT;
	}
	if (fstatat(sight->parent, sight->staged_name, &displaced, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return apply_is_same(&displaced, &step->host) ? 0 : -EBUSY;
}

static int remove_step(const struct apply_step *step, const struct sight *sight)
{
	struct stat displaced;
	if (!sight->has_staged) {
		if (!sight->has_target)
			return 0; /* somebody has removed it, too */
		int r = rename_to(sight, true, RENAME_NOREPLACE);
		if (r < 0)
			return r;
	}
	if (fstatat(sight->parent, sight->staged_name, &displaced, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return apply_is_same(&displaced, &step->host) ? 0 : -EBUSY;
}

static int set_xattrs(const char *path, const struct apply_step *step, int side)
{
	for (size_t i = 0; i < step->xattrs_count; i++) {
		const struct apply_xattr *xattr = &step->xattrs[i];
		if (xattr->values[side]) {
			if (setxattr(path, xattr->name, xattr->values[side], xattr->sizes[side],
				    0) < 0)
				return -errno;
		} else if (removexattr(path, xattr->name) < 0 && errno != ENODATA) {
			return -errno;
		}
	}
	return 0;
}

/* In place, by a descriptor that was compared: so not of whatever the name leads to a moment later. */
static int set_attributes(const struct apply_step *step, struct apply_host *host, int side)
{
	cleanup_close int fd = upper_open(host->root, step->path, O_PATH);
	struct stat st;
	char path[64];
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != step->host.inode)
		return -EBUSY;
	const struct apply_attributes *wanted = &step->sides[side];
	const struct timespec times[] = {
		{.tv_nsec = UTIME_OMIT}, apply_timespec(wanted->modified_ns)};
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int r = set_xattrs(path, step, side);
	if (r == 0 && (st.st_uid != wanted->uid || st.st_gid != wanted->gid)) {
		/* An owner is given by root, to the very inode that was looked at. */
		apply_host_leave(host);
		if (fchownat(fd, "", wanted->uid, wanted->gid, AT_EMPTY_PATH) < 0)
			r = -errno;
		apply_host_enter(host);
	}
	if (r == 0 && (st.st_mode & 07777) != wanted->mode && chmod(path, wanted->mode) < 0)
		r = -errno;
	if (r == 0 && utimensat(AT_FDCWD, path, times, 0) < 0)
		r = -errno;
	return r;
}

static int do_step(const struct apply_journal *journal, size_t number, struct apply_host *host)
{
	static int (*const by_name[])(const struct apply_step *, const struct sight *) = {
		[STEP_PLACE] = place, [STEP_EXCHANGE] = exchange, [STEP_REMOVE] = remove_step};
	const struct apply_step *step = &journal->steps[number];
	struct sight sight;
	if (step->kind == STEP_ATTRIBUTES)
		return set_attributes(step, host, 1);
	int r = see(journal, number, host, &sight);
	return r < 0 ? r : by_name[step->kind](step, &sight);
}

int apply_place(const struct apply_journal *journal, struct apply_host *hosts, struct error *error)
{
	for (size_t i = 0; i < journal->steps_count; i++) {
		const struct apply_step *step = &journal->steps[i];
		struct apply_host *host = &hosts[step->root];
		apply_host_enter(host);
		int r = do_step(journal, i, host);
		apply_host_leave(host);
		bool changed = r == -EBUSY || r == -EEXIST || r == -ENOENT || r == -ELOOP ||
			       r == -ENOTDIR || r == -EXDEV;
		if (changed)
			return error_set(error, EBUSY, stage,
				"%.512s/%.400s was changed on the host at the very moment",
				journal->roots[step->root].base, step->path);
		if (r < 0)
			return error_set_errno(error, -r, stage, "%.512s/%.400s",
				journal->roots[step->root].base, step->path);
	}
	return 0;
}

/* ---- back ---- */

/* Whether anything is left that is not where it was. */
static bool undo_step(const struct apply_journal *journal, size_t number, struct apply_host *host,
	unsigned *patience)
{
	const struct apply_step *step = &journal->steps[number];
	struct sight sight;
	int r = 0;
	if (step->kind == STEP_ATTRIBUTES)
		return set_attributes(step, host, 0) < 0;
	if (see_patiently(journal, number, host, patience, &sight) < 0)
		return true;
	bool placed = sight.has_target && sight.target.st_ino == step->staged.inode;
	if (step->kind == STEP_REMOVE) {
		if (sight.has_staged)
			r = rename_to(&sight, false, RENAME_NOREPLACE);
	} else if (!waits(step, &sight) && placed && step->staged.inode) {
		r = rename_to(&sight, true,
			sight.has_staged ? RENAME_EXCHANGE : RENAME_NOREPLACE);
	} else if (step->kind == STEP_EXCHANGE && sight.has_staged && !waits(step, &sight) &&
		   step->staged.inode) {
		/* Somebody else has put a thing there since. The host's old one is kept beside. */
		r = sight.has_target ? -EEXIST : rename_to(&sight, false, RENAME_NOREPLACE);
	}
	return r < 0;
}

/* Before the journal says which inode was staged, everything of that name is what was staged. */
static void remove_staged(const struct apply_journal *journal, size_t number,
	struct apply_host *host, unsigned *patience)
{
	const struct apply_step *step = &journal->steps[number];
	struct sight sight;
	if (step->kind == STEP_REMOVE || step->kind == STEP_ATTRIBUTES ||
		see_patiently(journal, number, host, patience, &sight) < 0 || !sight.has_staged)
		return;
	if (!step->staged.inode || waits(step, &sight))
		tree_remove(sight.parent, sight.staged_name);
}

static void set_directory_times(
	const struct apply_journal *journal, struct apply_host *hosts, bool after)
{
	for (size_t i = 0; i < journal->directories_count; i++) {
		const struct apply_directory *directory = &journal->directories[i];
		struct apply_host *host = &hosts[directory->root];
		int64_t ns = after ? directory->after_ns : directory->before_ns;
		if (ns == INT64_MIN)
			continue;
		apply_host_enter(host);
		const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, apply_timespec(ns)};
		cleanup_close int fd =
			upper_open(host->root, directory->path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			(void)!futimens(fd, times);
		apply_host_leave(host);
	}
}

enum { PATIENCE = 500 }; /* for all steps together */

void apply_take_back(const struct apply_journal *journal, struct apply_host *hosts, bool placed,
	size_t *ret_left)
{
	unsigned patience = PATIENCE;
	*ret_left = 0;
	for (size_t i = journal->steps_count; i > 0; i--) {
		struct apply_host *host = &hosts[journal->steps[i - 1].root];
		apply_host_enter(host);
		*ret_left += placed && undo_step(journal, i - 1, host, &patience);
		remove_staged(journal, i - 1, host, &patience);
		apply_host_leave(host);
	}
	set_directory_times(journal, hosts, false);
	apply_sync(journal, hosts);
}

/* ---- the end ---- */

void apply_clear(const struct apply_journal *journal, struct apply_host *hosts)
{
	unsigned patience = PATIENCE;
	for (size_t i = 0; i < journal->steps_count; i++) {
		const struct apply_step *step = &journal->steps[i];
		struct apply_host *host = &hosts[step->root];
		struct sight sight;
		if (step->kind != STEP_EXCHANGE && step->kind != STEP_REMOVE)
			continue;
		apply_host_enter(host);
		if (see_patiently(journal, i, host, &patience, &sight) == 0 && sight.has_staged &&
			apply_is_same(&sight.staged, &step->host))
			tree_remove(sight.parent, sight.staged_name);
		apply_host_leave(host);
	}
	set_directory_times(journal, hosts, true);
}

int apply_sync(const struct apply_journal *journal, struct apply_host *hosts)
{
	int r = 0;
	if (journal->steps_count > APPLY_SYNC_EACH_MAX) {
		for (size_t i = 0; i < journal->roots_count; i++)
			if (syncfs(hosts[i].root) < 0)
				r = -errno;
		return r;
	}
	for (size_t i = 0; i < journal->directories_count; i++) {
		const struct apply_directory *directory = &journal->directories[i];
		cleanup_close int fd = upper_open(hosts[directory->root].root, directory->path,
			O_RDONLY | O_DIRECTORY);
		if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL)
			r = -errno;
	}
	return r;
}
