/* Theory of operation. A signal only wakes us: what is decided is decided from the directory
 * itself, compared with what was in it before the box ran, so a lost signal costs nothing but time.
 * It is dnotify's: closing an inotify instance waits for a grace period of the kernel (4 to 20 ms,
 * more than the whole rest of a launch), and a user has only 128 of them. Quarantine is a rename
 * within the same directory to a name that no tool reads: it works on every file system, in one
 * step, and the user finds it where it was made. */
#include "run/watch.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/request.h"
#include "base/strv.h"
#include "base/sys.h"
#include "policy/names.h"
#include "run/journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct watched {
	const struct plan_watch *place;
	int fd;             /* the directory */
	mode_t mode;        /* that it had; 0: not known */
	struct strv before; /* protected names that were there */
	ino_t *inodes;      /* of before, one each; NULL: not known */
	struct strv links;  /* "name" then "target": protected symlinks, which no mount protects */
	struct strv others; /* made meanwhile, but certainly not by the box */
};

struct watch {
	int journal; /* what watch_recover() of a later start needs, or -1 */
	char *journal_name;
	bool told;
	bool by_mounts; /* what protects existing names */
	uid_t box_uid;
	size_t count;
	struct watched items[];
};

static bool is_protected(const struct watched *watched, const char *name)
{
	return names_protected(name) ||
	       (watched->place->name && strcasecmp(watched->place->name, name) == 0);
}

static int remember(struct watched *watched)
{
	int fd = openat(watched->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir)
		return -errno;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (!is_protected(watched, entry->d_name))
			continue;
		int r = strv_add(&watched->before, entry->d_name);
		ino_t *inodes =
			reallocarray(watched->inodes, watched->before.count + 1, sizeof(*inodes));
		if (r < 0 || !inodes)
			return -ENOMEM;
		watched->inodes = inodes;
		/* Not d_ino: on an overlay it is another number. */
		struct stat st;
		bool known = fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		inodes[watched->before.count - 1] = known ? st.st_ino : 0;
		char target[MAX_PATH_BYTES];
		ssize_t n = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		r = strv_add(&watched->links, entry->d_name);
		if (r == 0)
			r = strv_add(&watched->links, target);
		if (r < 0)
			return r;
	}
	return 0;
}

static int watch_one(struct watch *watch, const struct plan_watch *place, struct error *error)
{
	struct watched *watched = &watch->items[watch->count];
	watched->place = place;
	watched->fd = sys_openat2(AT_FDCWD, place->path,
		O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
	if (watched->fd < 0)
		return error_set_errno(error, errno, "watch", "%s", place->path);
	watch->count++;
	struct stat st;
	if (fstat(watched->fd, &st) < 0 || st.st_ino != place->id.inode ||
		st.st_dev != place->id.device)
		return error_set(
			error, ESTALE, "watch", "%s is no longer what was planned", place->path);
	watched->mode = st.st_mode;
	int r = remember(watched);
	if (r < 0)
		return error_set_errno(error, -r, "watch", "%s", place->path);
	if (fcntl(watched->fd, F_NOTIFY, DN_CREATE | DN_RENAME | DN_DELETE | DN_MULTISHOT) < 0)
		watch->told = false;
	return 0;
}

/* Five lists: the directories, their inodes, the further names, the protected names that were there
 * ("INDEX:NAME"), the links among them ("INDEX:NAME" and then the target). */
enum { JOURNAL_PATHS, JOURNAL_IDS, JOURNAL_NAMES, JOURNAL_BEFORE, JOURNAL_LINKS, JOURNAL_LISTS };

static int add_indexed(struct strv *to, size_t index, const char *name)
{
	char *text = NULL;
	return strv_add_owned(to, asprintf(&text, "%zu:%s", index, name) < 0 ? NULL : text);
}

static int describe(const struct watch *watch, struct strv lists[static JOURNAL_LISTS])
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < watch->count; i++) {
		const struct watched *watched = &watch->items[i];
		char id[64];
		snprintf(id, sizeof(id), "%llx:%llx", (unsigned long long)watched->place->id.device,
			(unsigned long long)watched->place->id.inode);
		r = strv_add(&lists[JOURNAL_PATHS], watched->place->path);
		if (r == 0)
			r = strv_add(&lists[JOURNAL_IDS], id);
		if (r == 0)
			r = strv_add(&lists[JOURNAL_NAMES],
				watched->place->name ? watched->place->name : "");
		for (size_t k = 0; r == 0 && k < watched->before.count; k++)
			r = add_indexed(&lists[JOURNAL_BEFORE], i, watched->before.items[k]);
		for (size_t k = 0; r == 0 && k + 1 < watched->links.count; k += 2) {
			r = add_indexed(&lists[JOURNAL_LINKS], i, watched->links.items[k]);
			if (r == 0)
				r = strv_add(&lists[JOURNAL_LINKS], watched->links.items[k + 1]);
		}
	}
	return r;
}

static void write_journal(struct watch *watch)
{
	struct strv lists[JOURNAL_LISTS] = {0};
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_PROC_FILE_BYTES);
	int r = describe(watch, lists);
	for (size_t i = 0; i < JOURNAL_LISTS; i++) {
		request_add(&buffer, strv_items(&lists[i]));
		strv_release(&lists[i]);
	}
	if (r == 0 && buffer_error(&buffer) == 0)
		watch->journal = journal_open(&buffer, &watch->journal_name);
}

int watch_new(const struct plan *plan, struct watch **ret, struct error *error)
{
	*ret = NULL;
	if (plan->watches_count == 0)
		return 0;
	struct watch *watch =
		calloc(1, sizeof(*watch) + plan->watches_count * sizeof(watch->items[0]));
	if (!watch)
		return error_set_errno(error, ENOMEM, "watch", "protected names");
	watch->told = true;
	watch->by_mounts = plan->tier == TIER_CONTAINER;
	watch->journal = -1;
	watch->box_uid = plan->owner_uid;
	for (size_t i = 0; i < plan->watches_count; i++) {
		int r = watch_one(watch, &plan->watches[i], error);
		if (r < 0) {
			watch_free(watch);
			return r;
		}
	}
	/* Where no journal can be kept a kill -9 loses this one check and nothing else. */
	write_journal(watch);
	*ret = watch;
	return 0;
}

bool watch_is_told(const struct watch *watch)
{
	return watch->told;
}

/* Through the descriptor that was opened before the box ran: a directory that the box has made
 * unreadable can be read all the same. The mode it had is given back, so that what is found can be
 * looked at and moved. */
static DIR *list(struct watched *watched)
{
	struct stat st;
	bool taken = watched->mode && fstat(watched->fd, &st) == 0 &&
		     (watched->mode & ~st.st_mode & S_IRWXU) != 0;
	/* Where that fails the directory is not ours, and the box cannot have changed it either. */
	if (taken)
		(void)!fchmod(watched->fd, watched->mode & 07777);
	int fd = fcntl(watched->fd, F_DUPFD_CLOEXEC, 3);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	if (dir)
		rewinddir(dir);
	return dir;
}

/* Calls visit for every protected name that is there now and was not before, and is not known to be
 * somebody else's. visit may rename it. */
typedef void (*visitor)(struct watch *watch, struct watched *watched, const char *name,
	const struct stat *st, void *context);

static void look(struct watch *watch, visitor visit, void *context)
{
	for (size_t i = 0; i < watch->count; i++) {
		struct watched *watched = &watch->items[i];
		cleanup_closedir DIR *dir = list(watched);
		for (struct dirent *entry; dir && (entry = readdir(dir));) {
			struct stat st;
			if (!is_protected(watched, entry->d_name) ||
				strv_contains(&watched->before, entry->d_name) ||
				strv_contains(&watched->others, entry->d_name))
				continue;
			if (fstatat(watched->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
				if (errno == ENOENT)
					continue;
				/* It is there and cannot be looked at: the worst is assumed. */
				st = (struct stat){.st_mode = S_IFREG,
					.st_nlink = 1,
					.st_uid = watch->box_uid};
			}
			visit(watch, watched, entry->d_name, &st, context);
		}
	}
}

/* A symlink of a protected name that was removed or replaced. */
static bool link_is_changed(const struct watched *watched, size_t index)
{
	char target[MAX_PATH_BYTES];
	ssize_t n =
		readlinkat(watched->fd, watched->links.items[index], target, sizeof(target) - 1);
	if (n < 0)
		return true;
	target[n] = '\0';
	return strcmp(target, watched->links.items[index + 1]) != 0;
}

static bool any_link_is_changed(const struct watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		for (size_t k = 0; k + 1 < watch->items[i].links.count; k += 2)
			if (link_is_changed(&watch->items[i], k))
				return true;
	return false;
}

/* The kernel takes a mount off a name that somebody outside replaces (an editor's rename over the
 * old file): then nothing protects the new one. */
static bool a_wall_is_gone(const struct watch *watch, struct denials *denials)
{
	for (size_t i = 0; watch->by_mounts && i < watch->count; i++) {
		const struct watched *watched = &watch->items[i];
		for (size_t k = 0; k < watched->before.count; k++) {
			const char *name = watched->before.items[k];
			struct stat st;
			if (!watched->inodes ||
				fstatat(watched->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
				S_ISLNK(st.st_mode) || !watched->inodes[k] ||
				st.st_ino == watched->inodes[k])
				continue;
			char target[MAX_PATH_BYTES];
			snprintf(target, sizeof(target), "%s/%s", watched->place->path, name);
			denials_add_named(denials, 0, "", "watch", "P2", target, ESTALE,
				"replaced from outside while the box ran, and so without its wall");
			return true;
		}
	}
	return false;
}

struct check {
	const uint64_t *continued;
	bool offence;
	struct denials *denials;
};

static void judge(struct watch *watch, struct watched *watched, const char *name,
	const struct stat *st, void *context)
{
	struct check *check = context;
	bool plain_file = S_ISREG(st->st_mode) && st->st_nlink == 1;
	/* Read after the thing was seen: the broker counts before it lets a call go on. How long
	 * ago that was says nothing: a let-through call may take its time. */
	bool continued = __atomic_load_n(check->continued, __ATOMIC_ACQUIRE) > 0;
	bool possible = st->st_uid == watch->box_uid && (plain_file || continued);
	if (possible) {
		check->offence = true;
		return;
	}
	char target[MAX_PATH_BYTES];
	snprintf(target, sizeof(target), "%s/%s", watched->place->path, name);
	strv_add(&watched->others, name);
	denials_add_named(check->denials, 0, "", "watch", "P2", target, 0,
		"appeared while the box ran, made by someone else; left as it is");
}

bool watch_check(struct watch *watch, const uint64_t *continued, struct denials *denials)
{
	struct check check = {.continued = continued, .denials = denials};
	look(watch, judge, &check);
	return check.offence || any_link_is_changed(watch) || a_wall_is_gone(watch, denials);
}

struct clean {
	unsigned moved;
	struct denials *denials;
};

static void quarantine(struct watch *watch, struct watched *watched, const char *name,
	const struct stat *st, void *context)
{
	struct clean *clean = context;
	(void)watch, (void)st;
	char place[MAX_NAME_BYTES + 1], target[MAX_PATH_BYTES], reason[128];
	snprintf(place, sizeof(place), ".coffer-quarantine-%lld-%d-%.40s", (long long)time(NULL),
		getpid(), name + (name[0] == '.'));
	snprintf(target, sizeof(target), "%s/%s", watched->place->path, name);
	if (renameat2(watched->fd, name, watched->fd, place, RENAME_NOREPLACE) == 0 ||
		(errno == EINVAL && renameat(watched->fd, name, watched->fd, place) == 0)) {
		snprintf(reason, sizeof(reason), "a new protected name; moved to %.90s", place);
	} else {
		snprintf(reason, sizeof(reason), "a new protected name, and it cannot be moved: %s",
			strerrordesc_np(errno));
	}
	clean->moved++;
	if (clean->denials)
		denials_add_named(clean->denials, 0, "", "create", "P2", target, EPERM, reason);
}

static void restore_links(struct watch *watch, struct clean *clean)
{
	for (size_t i = 0; i < watch->count; i++) {
		struct watched *watched = &watch->items[i];
		for (size_t k = 0; k + 1 < watched->links.count; k += 2) {
			const char *name = watched->links.items[k];
			struct stat st;
			if (!link_is_changed(watched, k))
				continue;
			if (fstatat(watched->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
				quarantine(watch, watched, name, &st, clean);
			if (symlinkat(watched->links.items[k + 1], watched->fd, name) < 0)
				continue;
			clean->moved++;
			if (clean->denials)
				denials_add_named(clean->denials, 0, "", "unlink", "P2", name,
					EPERM,
					"a protected link was removed; it is back in its place");
		}
	}
}

unsigned watch_clean(struct watch *watch, struct denials *denials)
{
	struct clean clean = {.denials = denials};
	look(watch, quarantine, &clean);
	restore_links(watch, &clean);
	return clean.moved;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	if (watch->journal >= 0)
		journal_close(watch->journal, watch->journal_name);
	for (size_t i = 0; i < watch->count; i++) {
		close_fd(&watch->items[i].fd);
		strv_release(&watch->items[i].before);
		free(watch->items[i].inodes);
		strv_release(&watch->items[i].links);
		strv_release(&watch->items[i].others);
	}
	free(watch);
}

/* The items of an "INDEX:NAME" list that belong to watched `index`; with links each is followed by
 * its target. */
static int take_indexed(const struct strv *from, size_t index, bool links, struct strv *to)
{
	for (size_t i = 0; i < from->count; i += links ? 2 : 1) {
		char *colon;
		if (strtoull(from->items[i], &colon, 10) != index || *colon != ':')
			continue;
		int r = strv_add(to, colon + 1);
		if (r == 0 && links)
			r = strv_add(to, i + 1 < from->count ? from->items[i + 1] : "");
		if (r < 0)
			return r;
	}
	return 0;
}

static unsigned recover_one(const struct strv lists[static JOURNAL_LISTS])
{
	size_t count = lists[JOURNAL_PATHS].count;
	unsigned moved = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned long long device, inode;
		if (i >= lists[JOURNAL_IDS].count || i >= lists[JOURNAL_NAMES].count ||
			sscanf(lists[JOURNAL_IDS].items[i], "%llx:%llx", &device, &inode) != 2)
			break;
		char *name = lists[JOURNAL_NAMES].items[i];
		struct plan_watch place = {.path = lists[JOURNAL_PATHS].items[i],
			.name = *name ? name : NULL,
			.id = {.device = (dev_t)device, .inode = (ino_t)inode}};
		struct watch *watch = calloc(1, sizeof(*watch) + sizeof(watch->items[0]));
		if (!watch)
			break;
		watch->journal = -1;
		struct watched *watched = &watch->items[0];
		watched->place = &place;
		watched->fd = sys_openat2(AT_FDCWD, place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			RESOLVE_NO_SYMLINKS);
		watch->count = 1;
		struct stat st;
		if (watched->fd >= 0 && fstat(watched->fd, &st) == 0 &&
			st.st_ino == place.id.inode && st.st_dev == place.id.device &&
			take_indexed(&lists[JOURNAL_BEFORE], i, false, &watched->before) == 0 &&
			take_indexed(&lists[JOURNAL_LINKS], i, true, &watched->links) == 0)
			moved += watch_clean(watch, NULL);
		watch_free(watch);
	}
	return moved;
}

unsigned watch_recover(void)
{
	unsigned moved = 0;
	size_t length;
	for (char *text; (text = journal_next(&length)); free(text)) {
		struct strv lists[JOURNAL_LISTS] = {0};
		struct strv *pointers[JOURNAL_LISTS];
		for (size_t i = 0; i < JOURNAL_LISTS; i++)
			pointers[i] = &lists[i];
		if (request_parse(text, length, pointers, JOURNAL_LISTS) == 0)
			moved += recover_one(lists);
		for (size_t i = 0; i < JOURNAL_LISTS; i++)
			strv_release(&lists[i]);
	}
	return moved;
}
