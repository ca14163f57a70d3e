/* Theory of operation. New content is written under a name that the journal on disk already says,
 * beside its place: whatever ends this, it is found and removed. A directory that is new is filled
 * under its staged name and comes into place as one. Files that are links of one another in the layer
 * become so on the host. What is written is the owner's from its creation; another owner is given
 * last, by descriptor. */
#include "layer/apply_internal.h"

#include "base/cleanup.h"
#include "layer/apply_place.h"
#include "layer/copy_file.h"
#include "layer/link_table.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>

static const char stage[] = "apply";

struct staging {
	struct apply *apply;
	struct link_table *links; /* one for each root */
	bool sync_each;
};

/* Where it is written: path below the root. */
static char *staging_path(const struct apply *apply, const struct apply_item *item)
{
	const struct apply_item *top = item->covered ? &apply->items[item->cover] : item;
	char staged[APPLY_STAGED_BYTES], *path = NULL;
	apply_staged_name(&apply->journal, top->step, staged);
	const char *slash = strrchr(top->path, '/');
	int above = slash ? (int)(slash - top->path) + 1 : 0;
	if (asprintf(&path, "%.*s%s%s", above, top->path, staged, item->path + strlen(top->path)) <
		0)
		return NULL;
	return path;
}

/* ---- owner, mode, times ---- */

/* Only of what this program has just made: the owner of the tree may have put another thing there. */
static int give_owner(
	const struct apply_host *host, int fd, const struct apply_item *item, bool settled)
{
	struct stat st;
	uid_t uid = item->after.st.st_uid;
	gid_t gid = item->after.st.st_gid;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == uid && st.st_gid == gid)
		return 0;
	if (geteuid() != 0) {
		if (settled)
			(void)!fchown(fd, (uid_t)-1, gid);
		return 0;
	}
	if ((st.st_mode & S_IFMT) != (item->after.st.st_mode & S_IFMT) ||
		st.st_uid != host->st.st_uid || (!S_ISDIR(st.st_mode) && st.st_nlink != 1))
		return -EBUSY;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int finish_file(struct apply_host *host, int from, int to, const struct apply_item *item)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, item->after.st.st_mtim};
	apply_host_enter(host);
	int r = copy_attributes(from, to, false);
	if (r == 0 && (fchmod(to, apply_mode(item)) < 0 || futimens(to, times) < 0))
		r = -errno;
	apply_host_leave(host);
	if (r == -EOPNOTSUPP) /* a file system without attributes of a user's */
		r = -ENOTSUP;
	return r < 0 ? r : give_owner(host, to, item, true);
}

/* ---- one entry ---- */

static int stage_file(
	struct staging *staging, struct apply_host *host, const struct apply_item *item, const char *path)
{
	cleanup_close int from = layer_entry_open(&item->after, item->path);
	const char *name;
	if (from < 0)
		return from;
	apply_host_enter(host);
	int parent = apply_host_parent(host, path, &name);
	cleanup_close int to = parent < 0 ? -1
					  : openat(parent, name,
						    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
						    0600);
	int r = parent < 0 ? parent : to < 0 ? -errno : 0;
	apply_host_leave(host);
	if (r == 0)
		r = copy_content(from, to, NULL);
	if (r == 0)
		r = finish_file(host, from, to, item);
	if (r == 0 && staging->sync_each && fsync(to) < 0)
		r = -errno;
	return r;
}

static int make_special(int parent, const char *name, const struct apply_item *item)
{
	if (S_ISFIFO(item->after.st.st_mode))
		return mkfifoat(parent, name, 0600) < 0 ||
				       fchmodat(parent, name, apply_mode(item), 0) < 0
			       ? -errno
			       : 0;
	cleanup_free char *target = NULL;
	int r = layer_entry_link(&item->after, item->path, &target);
	if (r == 0 && symlinkat(target, parent, name) < 0)
		r = -errno;
	return r;
}

static int stage_special(struct apply_host *host, const struct apply_item *item, const char *path)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, item->after.st.st_mtim};
	const char *name;
	apply_host_enter(host);
	int parent = apply_host_parent(host, path, &name);
	/* The layer's link is read by a descriptor that is open; the target needs no rights of root's. */
	int r = parent < 0 ? parent : make_special(parent, name, item);
	if (r == 0 && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	cleanup_close int fd =
		r < 0 ? -1 : openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && fd < 0)
		r = -errno;
	apply_host_leave(host);
	return r < 0 ? r : give_owner(host, fd, item, false);
}

static int stage_directory(struct apply_host *host, const char *path)
{
	const char *name;
	apply_host_enter(host);
	int parent = apply_host_parent(host, path, &name);
	int r = parent < 0 ? parent : mkdirat(parent, name, 0700) < 0 ? -errno : 0;
	apply_host_leave(host);
	return r;
}

/* 1: it is a link to what was there before. */
static int stage_link(
	struct staging *staging, struct apply_host *host, const struct apply_item *item, const char *path)
{
	const struct stat *st = &item->after.st;
	struct link_table *links = &staging->links[item->root];
	const char *first = link_table_find(links, st->st_dev, st->st_ino);
	if (!first)
		return link_table_add(links, st->st_dev, st->st_ino, path);
	apply_host_enter(host);
	const char *name, *first_name;
	int parent = apply_host_parent(host, first, &first_name);
	cleanup_close int from = parent < 0 ? -1 : fcntl(parent, F_DUPFD_CLOEXEC, 0);
	int to = from < 0 ? -1 : apply_host_parent(host, path, &name);
	bool linked = to >= 0 && linkat(from, first_name, to, name, 0) == 0;
	apply_host_leave(host);
	return linked; /* where the host does not let it, it is a file of its own */
}

static int stage_item(struct staging *staging, const struct apply_item *item)
{
	struct apply_host *host = &staging->apply->hosts[item->root];
	cleanup_free char *path = staging_path(staging->apply, item);
	mode_t mode = item->after.st.st_mode;
	if (!path)
		return -ENOMEM;
	if (S_ISDIR(mode))
		return stage_directory(host, path);
	if (item->after.st.st_nlink > 1) {
		int r = stage_link(staging, host, item, path);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return S_ISREG(mode) ? stage_file(staging, host, item, path)
			     : stage_special(host, item, path);
}

/* After all that is in it: a mode may forbid to write there, and every name changes the time. */
static int finish_directory(struct staging *staging, const struct apply_item *item)
{
	struct apply_host *host = &staging->apply->hosts[item->root];
	cleanup_free char *path = staging_path(staging->apply, item);
	cleanup_close int from = upper_open(item->after.at, item->path, O_RDONLY | O_DIRECTORY);
	if (!path || from < 0)
		return path ? from : -ENOMEM;
	apply_host_enter(host);
	cleanup_close int to = upper_open(host->root, path, O_RDONLY | O_DIRECTORY);
	apply_host_leave(host);
	if (to < 0)
		return to;
	int r = finish_file(host, from, to, item);
	if (r == 0 && staging->sync_each && fsync(to) < 0)
		r = -errno;
	return r;
}

/* ---- all of them ---- */

static int fail(struct apply *apply, const struct apply_item *item, int code)
{
	error_set_errno(apply->error, -code, stage, "%.512s/%.400s",
		apply->journal.roots[item->root].base, item->path);
	return error_hint(apply->error,
		"the host is as it was, and layer %s still has everything (%.300s)",
		apply->layer->name ? apply->layer->name : apply->layer->id,
		apply->layer->directory);
}

/* What the host has already may be linked to. */
static int note_present(struct staging *staging)
{
	struct apply *apply = staging->apply;
	int r = 0;
	for (size_t i = 0; r == 0 && i < apply->items_count; i++) {
		const struct apply_item *item = &apply->items[i];
		const struct stat *st = &item->after.st;
		if (item->after.present && S_ISREG(st->st_mode) && st->st_nlink > 1 &&
			(item->action == ACTION_NONE || item->action == ACTION_ATTRIBUTES))
			r = link_table_add(&staging->links[item->root], st->st_dev, st->st_ino,
				item->path);
	}
	return r;
}

static int stage_items(struct staging *staging)
{
	struct apply *apply = staging->apply;
	for (size_t i = 0; i < apply->items_count; i++) {
		const struct apply_item *item = &apply->items[i];
		int r = item->action == ACTION_STAGE ? stage_item(staging, item) : 0;
		if (r < 0)
			return fail(apply, item, r);
	}
	for (size_t i = apply->items_count; i > 0; i--) {
		const struct apply_item *item = &apply->items[i - 1];
		bool directory = item->action == ACTION_STAGE && S_ISDIR(item->after.st.st_mode);
		int r = directory ? finish_directory(staging, item) : 0;
		if (r < 0)
			return fail(apply, item, r);
	}
	return 0;
}

/* By these a replay tells what was staged from what it has replaced. */
static int identify_staged(struct apply *apply)
{
	for (size_t i = 0; i < apply->items_count; i++) {
		const struct apply_item *item = &apply->items[i];
		struct apply_host *host = &apply->hosts[item->root];
		struct stat st;
		const char *name;
		if (item->action != ACTION_STAGE || item->covered)
			continue;
		cleanup_free char *path = staging_path(apply, item);
		if (!path)
			return fail(apply, item, -ENOMEM);
		apply_host_enter(host);
		int parent = apply_host_parent(host, path, &name);
		int r = parent < 0 ? parent
			: fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
									      : 0;
		apply_host_leave(host);
		if (r < 0)
			return fail(apply, item, r);
		apply_identify(&st, &apply->journal.steps[item->step].staged);
	}
	return 0;
}

int apply_stage(struct apply *apply)
{
	struct staging staging = {.apply = apply,
		.links = calloc(apply->journal.roots_count + 1, sizeof(*staging.links)),
		.sync_each = apply->items_count <= APPLY_SYNC_EACH_MAX};
	if (!staging.links)
		return error_set_errno(apply->error, ENOMEM, stage, "links");
	int r = note_present(&staging);
	r = r < 0 ? error_set_errno(apply->error, -r, stage, "links") : stage_items(&staging);
	if (r == 0)
		r = identify_staged(apply);
	for (size_t i = 0; r == 0 && !staging.sync_each && i < apply->journal.roots_count; i++)
		if (syncfs(apply->hosts[i].root) < 0)
			r = error_set_errno(apply->error, errno, stage, "%s",
				apply->journal.roots[i].base);
	for (size_t i = 0; i < apply->journal.roots_count; i++)
		link_table_release(&staging.links[i]);
	free(staging.links);
	return r;
}
