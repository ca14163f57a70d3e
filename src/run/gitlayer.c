/* Theory of operation: an overlay's upper directory holds what the box wrote: files, directories,
 * and for what it deleted a "whiteout", a character device 0:0 (or an empty file with an attribute
 * that says so). Everything in it is hostile. It is walked once into a list of changes; each change
 * finds its rule in the table of gitlayer_check.c and has its bytes checked; then, in an order in
 * which nothing refers to what is not there yet, each is written beside its place and renamed into
 * it. If an object had to be refused, so is everything that could refer to it.
 *
 * The real git directory may be in use: what git guards by NAME.lock is guarded by that here, too,
 * and what somebody outside changed since the box started is left as it is.
 *
 * Both directories are only ever entered beneath their own descriptors and through no link. */
#include "run/gitlayer.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/sys.h"
#include "plan/git_index.h"
#include "run/gitlayer_check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum {
	MAX_CHANGES = 1000000,
	MAX_DEPTH = 32,
	STREAM_BYTES = 64 * 1024,
};

struct change {
	char *path;
	const char *tail; /* in path; see gitlayer_check.h */
	const struct gitlayer_rule *rule;
	bool in_worktree;
	bool deletion;
	const char *why; /* refused; NULL: to be done */
};

struct writer {
	const struct gitlayer_options *options;
	struct gitlayer_result *result;
	struct error *error;
	int upper, real;
	struct change *changes;
	size_t count, capacity;
	/* Directories, each ending in "/": steps of a rebase that are refused as a whole,
	 * records of worktrees that lie where the box may write, and those that do not. */
	struct strv refused_steps, good_records, bad_records;
	struct strv packed_refs; /* those that were written here */
	/* The objects that were there, of the git directory that a path begins with (none, or
	 * modules/NAME/): the one asked for last. */
	struct gitlayer_stores stores;
	char *stores_path;
	int stores_error;
};

static const char conflict[] = "changed outside of the box meanwhile";

static int open_beneath(int at, const char *path, int flags)
{
	int fd = sys_openat2(at, *path ? path : ".", (uint64_t)(flags | O_CLOEXEC),
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd < 0 ? -errno : fd;
}

/* Opens the directory that path lies in; *ret_name is its last component, in path. */
static int open_parent(int at, const char *path, const char **ret_name)
{
	cleanup_free char *parent = strdup(path);
	if (!parent)
		return -ENOMEM;
	char *slash = strrchr(parent, '/');
	*ret_name = slash ? path + (slash - parent) + 1 : path;
	*(slash ? slash : parent) = '\0';
	return open_beneath(at, parent, O_PATH | O_DIRECTORY);
}

/* 0, or -errno: -ENOENT when it, or a directory above it, is not there. */
static int stat_beneath(int at, const char *path, struct stat *ret)
{
	const char *name;
	cleanup_close int parent = open_parent(at, path, &name);
	if (parent < 0)
		return parent;
	return fstatat(parent, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int refuse(struct writer *writer, const char *path, const char *why)
{
	struct gitlayer_result *result = writer->result;
	if (result->refused_count == GITLAYER_REFUSED_MAX) {
		result->refused_lost++;
		return 0;
	}
	if (result->refused_count == result->refused_capacity) {
		size_t capacity = result->refused_capacity ? result->refused_capacity * 2 : 8;
		void *refused = reallocarray(result->refused, capacity, sizeof(*result->refused));
		if (!refused)
			return -ENOMEM;
		result->refused = refused;
		result->refused_capacity = capacity;
	}
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	result->refused[result->refused_count++] =
		(struct gitlayer_refusal){.path = copy, .why = why};
	return 0;
}

/* Skips the directories of submodules and of a linked worktree at the beginning of path. A
 * submodule may be called anything, so it takes the real directory to know where its name ends;
 * one that is not there has no tail. */
static const char *find_tail(struct writer *writer, const char *path, bool *ret_in_worktree)
{
	const char *tail = path;
	*ret_in_worktree = false;
	while (strncmp(tail, "modules/", 8) == 0) {
		const char *slash = tail + 8;
		struct stat st;
		for (;;) {
			slash = strchr(slash, '/');
			if (!slash)
				return NULL;
			cleanup_free char *head = NULL;
			if (asprintf(&head, "%.*s/HEAD", (int)(slash - path), path) < 0)
				return NULL;
			if (stat_beneath(writer->real, head, &st) == 0 && S_ISREG(st.st_mode))
				break;
			slash++;
		}
		tail = slash + 1;
	}
	if (strncmp(tail, "worktrees/", 10) == 0) {
		const char *slash = strchr(tail + 10, '/');
		if (!slash)
			return NULL;
		*ret_in_worktree = true;
		tail = slash + 1;
	}
	return tail;
}

static int append_change(struct writer *writer, struct change change, const char *path)
{
	if (writer->count >= MAX_CHANGES)
		return -E2BIG;
	if (writer->count == writer->capacity) {
		size_t capacity = writer->capacity ? writer->capacity * 2 : 64;
		void *changes = reallocarray(writer->changes, capacity, sizeof(*writer->changes));
		if (!changes)
			return -ENOMEM;
		writer->changes = changes;
		writer->capacity = capacity;
	}
	change.path = strdup(path);
	if (!change.path)
		return -ENOMEM;
	change.tail = change.tail ? change.path + (change.tail - path) : change.path;
	writer->changes[writer->count++] = change;
	return 0;
}

/* One file of the upper directory, read as far as its check needs it. */
struct content {
	int fd;
	uint64_t size_bytes;
	char *data;
	size_t length_bytes;
};

static void content_release(struct content *content)
{
	close_fd(&content->fd);
	free(content->data);
}

#define cleanup_content __attribute__((cleanup(content_release)))

/* Whether the real file at path holds just these bytes. */
static bool holds(int at, const char *path, const struct content *content)
{
	cleanup_close int fd = open_beneath(at, path, O_RDONLY | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != content->length_bytes)
		return false;
	cleanup_free char *data = malloc(content->length_bytes + 1);
	return data && fd_read_full(fd, data, content->length_bytes) == st.st_size &&
	       memcmp(data, content->data, content->length_bytes) == 0;
}

/* Whether a file that was merely opened for writing, or written as it was, is all there is to
 * it. */
static bool is_unchanged(struct writer *writer, const char *path)
{
	cleanup_content struct content content = {.fd = -1};
	if (fd_read_file(writer->upper, path, MAX_GIT_CONFIG_BYTES, &content.data,
		    &content.length_bytes) < 0)
		return false;
	return holds(writer->real, path, &content);
}

static int add_change(struct writer *writer, const char *path, bool deletion)
{
	struct change change = {.deletion = deletion};
	change.tail = find_tail(writer, path, &change.in_worktree);
	change.rule = change.tail ? gitlayer_rule_find(change.tail, change.in_worktree) : NULL;
	unsigned flags = change.rule ? change.rule->flags : 0;
	if (!change.rule && !deletion && is_unchanged(writer, path))
		return 0;
	/* Objects are never deleted: somebody may still need them. */
	if ((flags & GITLAYER_CACHE) || (deletion && (flags & GITLAYER_IMMUTABLE)))
		return 0;
	if (!change.rule)
		change.why = "not a kind that is written back";
	else if (deletion && !(flags & GITLAYER_DELETABLE) && !change.in_worktree)
		change.why = "deleted in the box";
	return append_change(writer, change, path);
}

/* The box deleted a directory, or all of one that it made anew: path is what stands there now. */
static int add_deletions(struct writer *writer, const char *path, unsigned depth)
{
	cleanup_close int fd = open_beneath(writer->real, path, O_RDONLY | O_DIRECTORY);
	if (fd == -ENOTDIR || fd == -ELOOP)
		return add_change(writer, path, true);
	if (fd < 0 || depth > MAX_DEPTH)
		return fd == -ENOENT ? 0 : refuse(writer, path, "deleted in the box");
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		cleanup_free char *child = path_join(path, entry->d_name);
		int r = child ? add_deletions(writer, child, depth + 1) : -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

static bool has_attribute(int fd, const char *name, char value)
{
	static const char *const prefixes[] = {"user.overlay.", "trusted.overlay."};
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		char attribute[64], found[2];
		snprintf(attribute, sizeof(attribute), "%s%s", prefixes[i], name);
		ssize_t n = fgetxattr(fd, attribute, found, sizeof(found));
		if (value ? n >= 1 && found[0] == value : n >= 0 || errno == ERANGE)
			return true;
	}
	return false;
}

struct upper_directory {
	DIR *dir;
	const char *path; /* below the git directory; "" for itself */
	unsigned depth;
	bool opaque; /* nothing of the real directory showed through */
};

static int walk(struct writer *writer, const struct upper_directory *directory);

static int visit_directory(
	struct writer *writer, const struct upper_directory *parent, int fd, const char *path)
{
	if (parent->depth >= MAX_DEPTH)
		return refuse(writer, path, "too deep");
	if (has_attribute(fd, "redirect", '\0'))
		return refuse(writer, path, "renamed as a directory");
	struct upper_directory directory = {.path = path,
		.depth = parent->depth + 1,
		.opaque = parent->opaque || has_attribute(fd, "opaque", 'y')};
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	cleanup_closedir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		int r = -errno;
		close_fd(&copy);
		return r;
	}
	directory.dir = dir;
	return walk(writer, &directory);
}

static int visit(struct writer *writer, const struct upper_directory *directory, const char *name)
{
	cleanup_free char *path =
		*directory->path ? path_join(directory->path, name) : strdup(name);
	if (!path)
		return errno == ENAMETOOLONG ? 0 : -ENOMEM;
	struct stat st;
	if (fstatat(dirfd(directory->dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
		return add_deletions(writer, path, directory->depth);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return refuse(writer, path, "neither a file nor a directory");
	cleanup_close int fd = open_beneath(dirfd(directory->dir), name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return refuse(writer, path, "cannot be read");
	if (S_ISDIR(st.st_mode))
		return visit_directory(writer, directory, fd, path);
	if (st.st_size == 0 && has_attribute(fd, "whiteout", '\0'))
		return add_deletions(writer, path, directory->depth);
	if (has_attribute(fd, "metacopy", '\0'))
		return 0; /* only its owner, mode or times were changed */
	return add_change(writer, path, false);
}

static int walk(struct writer *writer, const struct upper_directory *directory)
{
	for (struct dirent *entry; (entry = readdir(directory->dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int r = visit(writer, directory, entry->d_name);
		if (r < 0)
			return r;
	}
	if (!directory->opaque)
		return 0;
	/* What the real one holds and this one does not, the box has deleted. */
	int fd = open_beneath(writer->real, directory->path, O_RDONLY | O_DIRECTORY);
	cleanup_closedir DIR *real = fd < 0 ? NULL : fdopendir(fd);
	if (!real) {
		close_fd(&fd);
		return 0;
	}
	for (struct dirent *entry; (entry = readdir(real));) {
		struct stat st;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			fstatat(dirfd(directory->dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
				0)
			continue;
		cleanup_free char *path = *directory->path
						  ? path_join(directory->path, entry->d_name)
						  : strdup(entry->d_name);
		int r = path ? add_deletions(writer, path, directory->depth) : -ENOMEM;
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_changes(const void *a, const void *b)
{
	const struct change *left = a, *right = b;
	if (left->deletion != right->deletion)
		return left->deletion ? 1 : -1;
	int left_order = left->rule ? (int)left->rule->order : -1;
	int right_order = right->rule ? (int)right->rule->order : -1;
	if (left_order != right_order)
		return left_order < right_order ? -1 : 1;
	return strcmp(left->path, right->path);
}

/* NULL where they cannot be looked at. They are opened before anything is written. */
static const struct gitlayer_stores *stores_of(struct writer *writer, const struct change *change)
{
	cleanup_free char *path = NULL;
	if (asprintf(&path, "%.*sobjects", (int)(change->tail - change->path), change->path) < 0) {
		path = NULL;
		return NULL;
	}
	if (!writer->stores_path || strcmp(writer->stores_path, path) != 0) {
		gitlayer_stores_release(&writer->stores);
		writer->stores_error = gitlayer_stores_open(
			writer->real, path, writer->options->hash_bytes, &writer->stores);
		free(writer->stores_path);
		writer->stores_path = steal_pointer(&path);
	}
	return writer->stores_error < 0 ? NULL : &writer->stores;
}

/* 1 where the object of this name is there, if only in a pack or a repository that this one borrows
 * from: a copy beside it could be another's content, and git would take it first. */
static int is_object_there(struct writer *writer, const struct change *change)
{
	unsigned char name[GIT_SHA256_BYTES];
	size_t hash_bytes = writer->options->hash_bytes;
	const struct gitlayer_stores *stores = stores_of(writer, change);
	if (!stores || !gitlayer_object_name(change->tail, hash_bytes, name))
		return -EIO; /* it was checked before */
	return gitlayer_stores_hold(stores, name, hash_bytes);
}

/* 0, -errno, or 1 with *ret_why when it is refused. */
static int read_and_check(struct writer *writer, const struct change *change, struct content *ret,
	const char **ret_why)
{
	ret->fd = open_beneath(writer->upper, change->path, O_RDONLY | O_NONBLOCK);
	if (ret->fd < 0)
		return ret->fd;
	struct stat st;
	if (fstat(ret->fd, &st) < 0)
		return -errno;
	ret->size_bytes = (uint64_t)st.st_size;
	*ret_why = "too big";
	if (!S_ISREG(st.st_mode) || ret->size_bytes > change->rule->max_bytes)
		return 1;
	size_t wanted = ret->size_bytes;
	if ((change->rule->flags & GITLAYER_STREAMED) && wanted > 64)
		wanted = 64;
	ret->data = malloc(wanted + 1);
	if (!ret->data)
		return -ENOMEM;
	ssize_t n = fd_read_full(ret->fd, ret->data, wanted);
	if (n < 0)
		return (int)n;
	ret->length_bytes = (size_t)n;
	ret->data[n] = '\0';
	struct gitlayer_file file = {.options = writer->options,
		.git_dir_fd = writer->real,
		.path = change->path,
		.tail = change->tail,
		.stores =
			change->rule->order <= ORDER_PACK_INDEX ? stores_of(writer, change) : NULL,
		.data = ret->data,
		.length_bytes = ret->length_bytes};
	*ret_why = change->rule->check(&file);
	return *ret_why ? 1 : 0;
}

static bool changed_since(const struct stat *st, const struct timespec *since)
{
	return st->st_ctim.tv_sec > since->tv_sec ||
	       (st->st_ctim.tv_sec == since->tv_sec && st->st_ctim.tv_nsec >= since->tv_nsec);
}

/* Why the real file must not be replaced or deleted: NULL, or somebody outside was faster.
 * content is NULL for a deletion. */
static const char *find_conflict(
	struct writer *writer, const struct change *change, const struct content *content)
{
	const struct timespec *since = &writer->options->started_at;
	struct stat st;
	int r = stat_beneath(writer->real, change->path, &st);
	if (r == 0) {
		if (!S_ISREG(st.st_mode))
			return "not a file in the real git directory";
		if (!changed_since(&st, since) ||
			(content && holds(writer->real, change->path, content)))
			return NULL;
		return conflict;
	}
	if (r != -ENOENT)
		return "in the way of something in the real git directory";
	/* A ref that is not there may have been packed, or deleted. */
	bool ref = change->rule->order == ORDER_REF;
	if (!ref || !content)
		return NULL;
	cleanup_free char *packed = NULL;
	if (asprintf(&packed, "%.*spacked-refs", (int)(change->tail - change->path), change->path) <
		0)
		return "out of memory";
	r = strv_contains(&writer->packed_refs, packed) ? -ENOENT
							: stat_beneath(writer->real, packed, &st);
	return r == 0 && changed_since(&st, since) ? conflict : NULL;
}

/* Makes the directories above path. */
static int make_parents(int at, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *dir = strndup(path, (size_t)(slash - path));
		if (!dir)
			return -ENOMEM;
		const char *name;
		cleanup_close int parent = open_parent(at, dir, &name);
		if (parent < 0)
			return parent;
		if (mkdirat(parent, name, 0777) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int copy_rest(int from, int to, uint64_t *copied_bytes)
{
	cleanup_free char *buffer = malloc(STREAM_BYTES);
	if (!buffer)
		return -ENOMEM;
	for (;;) {
		ssize_t n = fd_read_full(from, buffer, STREAM_BYTES);
		if (n <= 0)
			return (int)n;
		int r = fd_write_full(to, buffer, (size_t)n);
		if (r < 0)
			return r;
		*copied_bytes += (uint64_t)n;
	}
}

/* Fills the file that was made for it, and moves it to its place. */
static int fill(struct writer *writer, const struct change *change, const struct content *content,
	int dir, int fd, const char *temporary)
{
	uint64_t copied = content->length_bytes;
	int r = fd_write_full(fd, content->data, content->length_bytes);
	if (r == 0 && (change->rule->flags & GITLAYER_STREAMED))
		r = copy_rest(content->fd, fd, &copied);
	if (r == 0 && renameat(dir, temporary, dir, path_name(change->path)) < 0)
		r = -errno;
	if (r == 0) {
		writer->result->written++;
		writer->result->written_bytes += copied;
	}
	return r;
}

/* The name under which a file is made: git's lock for what may change, for objects one that git
 * cleans away should it be left behind. */
static int make_temporary(const struct change *change, int dir, char *ret_name, size_t room)
{
	bool immutable = change->rule->flags & GITLAYER_IMMUTABLE;
	const char *name = path_name(change->path);
	int n = snprintf(ret_name, room, immutable ? "tmp_obj_%s" : "%s.lock", name);
	if (n < 0 || (size_t)n >= room)
		return -ENAMETOOLONG;
	if (immutable)
		unlinkat(dir, ret_name, 0);
	int fd = openat(dir, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		immutable ? 0444 : 0666);
	return fd < 0 ? -errno : fd;
}

static int apply_write(struct writer *writer, struct change *change)
{
	cleanup_content struct content content = {.fd = -1};
	int r = read_and_check(writer, change, &content, &change->why);
	if (r != 0)
		return r < 0 ? r : 0;
	struct stat st;
	bool immutable = change->rule->flags & GITLAYER_IMMUTABLE;
	if (immutable ? stat_beneath(writer->real, change->path, &st) == 0
		      : holds(writer->real, change->path, &content))
		return 0;
	if (change->rule->order == ORDER_OBJECT) {
		r = is_object_there(writer, change);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	const char *name;
	char temporary[MAX_NAME_BYTES + 1];
	r = make_parents(writer->real, change->path);
	cleanup_close int dir = r < 0 ? r : open_parent(writer->real, change->path, &name);
	if (dir == -ENOTDIR || dir == -ELOOP) {
		change->why = "in the way of something in the real git directory";
		return 0;
	}
	if (dir < 0)
		return dir;
	cleanup_close int fd = make_temporary(change, dir, temporary, sizeof(temporary));
	if (fd == -EEXIST)
		change->why = "locked by another git";
	if (fd < 0)
		return fd == -EEXIST ? 0 : fd;
	/* Under the lock nobody who keeps to git's rules changes it any more. */
	change->why = find_conflict(writer, change, &content);
	r = change->why ? 0 : fill(writer, change, &content, dir, fd, temporary);
	if (r < 0 || change->why)
		unlinkat(dir, temporary, 0);
	else if (change->rule->order == ORDER_PACKED_REFS)
		r = strv_add(&writer->packed_refs, change->path);
	return r;
}

/* The directories above a deleted file that are empty now, as git does it, but not those that make
 * a repository. */
static void remove_empty_parents(struct writer *writer, const struct change *change)
{
	static const char *const kept[] = {"refs", "refs/heads", "refs/tags", "logs", "logs/refs",
		"logs/refs/heads", "worktrees"};
	cleanup_free char *path = strdup(change->path);
	size_t tail = (size_t)(change->tail - change->path);
	for (char *slash; path && (slash = strrchr(path, '/'));) {
		*slash = '\0';
		size_t length = strlen(path);
		const char *rest = length > tail ? path + tail : change->in_worktree ? path : NULL;
		bool keep = !rest;
		for (size_t i = 0; rest && i < ARRAY_SIZE(kept); i++)
			keep |= strcmp(rest, kept[i]) == 0 && !change->in_worktree;
		const char *name;
		cleanup_close int parent = open_parent(writer->real, path, &name);
		if (keep || parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) < 0)
			return;
	}
}

static int apply_deletion(struct writer *writer, struct change *change)
{
	const char *name;
	char lock[MAX_NAME_BYTES + 1];
	cleanup_close int dir = open_parent(writer->real, change->path, &name);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	cleanup_close int fd = make_temporary(change, dir, lock, sizeof(lock));
	if (fd == -EEXIST)
		change->why = "locked by another git";
	if (fd < 0)
		return fd == -EEXIST ? 0 : fd;
	change->why = find_conflict(writer, change, NULL);
	int r = 0;
	if (!change->why && unlinkat(dir, name, 0) < 0)
		r = -errno;
	unlinkat(dir, lock, 0);
	if (r == 0 && !change->why) {
		writer->result->deleted++;
		remove_empty_parents(writer, change);
	}
	return r;
}

static int remember(struct strv *directories, const char *path, size_t length)
{
	cleanup_free char *directory = strndup(path, length);
	if (!directory)
		return -ENOMEM;
	return strv_contains(directories, directory) ? 0 : strv_add(directories, directory);
}

static bool begins_with_any(const char *path, const struct strv *directories)
{
	for (size_t i = 0; i < directories->count; i++)
		if (strncmp(path, directories->items[i], strlen(directories->items[i])) == 0)
			return true;
	return false;
}

/* The steps of a rebase belong together: one file that is refused refuses its directory. */
static int note_refused_step(struct writer *writer, const struct change *change)
{
	static const char *const steps[] = {"rebase-merge/", "rebase-apply/", "sequencer/"};
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (strncmp(change->tail, steps[i], strlen(steps[i])) == 0)
			return remember(&writer->refused_steps, change->path,
				(size_t)(change->tail - change->path) + strlen(steps[i]));
	return 0;
}

/* A record of a worktree may be touched if the worktree lies where the box may write: by what the
 * real record says, or for a new one, by its own checked file. */
static int judge_record(struct writer *writer, const struct change *change)
{
	if (!change->in_worktree || begins_with_any(change->path, &writer->good_records) ||
		begins_with_any(change->path, &writer->bad_records))
		return 0;
	size_t length = (size_t)(change->tail - change->path);
	cleanup_free char *record = strndup(change->path, length - 1);
	cleanup_free char *place = record ? path_join(record, "gitdir") : NULL;
	if (!place)
		return -ENOMEM;
	bool good;
	struct stat st;
	if (stat_beneath(writer->real, place, &st) == 0) {
		/* The box's word for it does not count. */
		cleanup_free char *text = NULL;
		cleanup_close int fd = open_beneath(writer->real, record, O_PATH | O_DIRECTORY);
		good = fd >= 0 &&
		       fd_read_file(fd, "gitdir", MAX_GIT_FILE_BYTES, &text, NULL) == 0 &&
		       gitlayer_worktree_is_inside(writer->options, record, text, false);
	} else {
		struct change stored = {.path = place, .tail = place + length};
		stored.rule = gitlayer_rule_find(stored.tail, true);
		cleanup_content struct content content = {.fd = -1};
		const char *why;
		good = read_and_check(writer, &stored, &content, &why) == 0;
	}
	return remember(good ? &writer->good_records : &writer->bad_records, change->path, length);
}

/* Looks at everything before anything is written. */
static int check_all(struct writer *writer)
{
	bool objects_refused = false, refs_conflict = false, packed_refused = false;
	for (size_t i = 0; i < writer->count; i++) {
		struct change *change = &writer->changes[i];
		int r = judge_record(writer, change);
		cleanup_content struct content content = {.fd = -1};
		if (r == 0 && !change->why && !change->deletion)
			r = read_and_check(writer, change, &content, &change->why);
		enum gitlayer_order order = change->rule ? change->rule->order : ORDER_STATE;
		if (r == 0 && !change->why && order >= ORDER_STATE)
			change->why =
				find_conflict(writer, change, change->deletion ? NULL : &content);
		if (r >= 0 && change->why)
			r = note_refused_step(writer, change);
		if (r < 0)
			return r;
		if (!change->why)
			continue;
		objects_refused |= order < ORDER_STATE;
		packed_refused |= order == ORDER_PACKED_REFS;
		refs_conflict |= change->why == conflict && order >= ORDER_PACKED_REFS &&
				 order <= ORDER_HEAD;
	}
	for (size_t i = 0; i < writer->count; i++) {
		struct change *change = &writer->changes[i];
		enum gitlayer_order order = change->rule ? change->rule->order : ORDER_STATE;
		if (change->why || order < ORDER_STATE)
			continue;
		if (objects_refused)
			change->why = "may refer to objects that were refused";
		else if (begins_with_any(change->path, &writer->bad_records))
			change->why = "a worktree that lies in no writable root";
		else if (begins_with_any(change->path, &writer->refused_steps))
			change->why = "belongs to steps that were refused";
		else if (refs_conflict && (order == ORDER_STATE || order == ORDER_INDEX))
			change->why = "belongs to a branch that was changed outside meanwhile";
		else if (packed_refused && change->deletion && order == ORDER_REF)
			change->why = "packed into a file that was refused";
	}
	return 0;
}

static int apply_all(struct writer *writer)
{
	for (size_t i = 0; i < writer->count; i++) {
		struct change *change = &writer->changes[i];
		int r = 0;
		if (!change->why)
			r = change->deletion ? apply_deletion(writer, change)
					     : apply_write(writer, change);
		if (r < 0)
			return error_set_errno(writer->error, -r, "git layer",
				"cannot write back %s", change->path);
		if (change->why)
			r = refuse(writer, change->path, change->why);
		if (r < 0)
			return error_set(writer->error, -r, "git layer", "out of memory");
	}
	return 0;
}

static int write_back(struct writer *writer, const char *upper)
{
	cleanup_closedir DIR *dir = opendir(upper);
	if (!dir)
		return error_set_errno(writer->error, errno, "git layer", "cannot open %s", upper);
	writer->upper = dirfd(dir);
	struct upper_directory top = {.dir = dir, .path = ""};
	int r = walk(writer, &top);
	if (r == 0) {
		if (writer->count > 0)
			qsort(writer->changes, writer->count, sizeof(*writer->changes),
				compare_changes);
		r = check_all(writer);
	}
	if (r < 0)
		return error_set_errno(
			writer->error, -r, "git layer", "cannot read what the box wrote");
	return apply_all(writer);
}

int gitlayer_write_back(const char *upper, int git_dir_fd, const struct gitlayer_options *options,
	struct gitlayer_result *result, struct error *error)
{
	struct writer writer = {
		.options = options, .result = result, .error = error, .real = git_dir_fd};
	int r = write_back(&writer, upper);
	for (size_t i = 0; i < writer.count; i++)
		free(writer.changes[i].path);
	free(writer.changes);
	strv_release(&writer.refused_steps);
	strv_release(&writer.good_records);
	strv_release(&writer.bad_records);
	strv_release(&writer.packed_refs);
	gitlayer_stores_release(&writer.stores);
	free(writer.stores_path);
	return r;
}

void gitlayer_result_release(struct gitlayer_result *result)
{
	for (size_t i = 0; i < result->refused_count; i++)
		free(result->refused[i].path);
	free(result->refused);
	*result = (struct gitlayer_result){0};
}
