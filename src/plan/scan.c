/* Theory of operation: one recursive walk with openat, at most MAX_SCAN_DEPTH directories deep,
 * never through a link, never into what tools install; a file costs a table lookup and no system
 * call. Every directory with a `.git` is a repository: its git directory, its hooks and the
 * protected names at its top become findings, and its index tells of secrets and submodules that
 * lie deeper than the walk goes. The walk itself goes on inside repositories: what is ignored by
 * git, as a `.env` mostly is, stands in no index.
 *
 * A box may be running in the same directory at the same time, so anything may change between
 * two calls here: nothing is followed twice, and each finding carries the inode that was seen,
 * which the launch checks again on the descriptor that it uses. */
#include "plan/scan.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "plan/git_dirs.h"
#include "plan/git_index.h"
#include "policy/names.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

struct scan {
	const char *root;
	uid_t root_owner;
	struct scan_result *result;
	unsigned entries; /* seen so far, against MAX_SCAN_ENTRIES */
	struct strv
		submodules; /* tops that an index tells of, to be looked at when the walk is over */
	char path[MAX_PATH_BYTES]; /* of the directory that is being read */
	size_t path_length;
	/* One for each directory on the way down. */
	char buffers[MAX_SCAN_DEPTH + 1][16 * 1024] __attribute__((aligned(8)));
};

static bool is_found(const struct scan_result *result, enum scan_kind kind, const char *path)
{
	for (size_t i = 0; i < result->count; i++)
		if (result->items[i].kind == kind && strcmp(result->items[i].path, path) == 0)
			return true;
	return false;
}

/* st may be NULL for what does not exist. */
static int add(struct scan *scan, enum scan_kind kind, const char *path, const struct stat *st,
	const char *rule)
{
	struct scan_result *result = scan->result;
	if (is_found(result, kind, path))
		return 0;
	if (result->count >= MAX_SCAN_FINDINGS) {
		result->truncated = true;
		return 0;
	}
	if (result->count == result->capacity) {
		size_t capacity = result->capacity ? result->capacity * 2 : 16;
		void *items = reallocarray(result->items, capacity, sizeof(*result->items));
		if (!items)
			return -ENOMEM;
		result->items = items;
		result->capacity = capacity;
	}
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	struct scan_finding *finding = &result->items[result->count++];
	*finding = (struct scan_finding){.kind = kind, .path = copy, .rule = rule};
	if (st) {
		finding->id = (struct file_id){.device = st->st_dev, .inode = st->st_ino};
		finding->mode = st->st_mode;
	}
	return 0;
}

/* Adds what stands at path now, if anything does; a link counts as itself. */
static int add_existing(struct scan *scan, enum scan_kind kind, const char *path, const char *rule)
{
	struct stat st;
	return lstat(path, &st) < 0 ? 0 : add(scan, kind, path, &st, rule);
}

/* Sets path to the directory being read and name in it; false if that is too long to exist. */
static bool child_path(const struct scan *scan, const char *name, char path[MAX_PATH_BYTES])
{
	size_t name_length = strlen(name);
	if (scan->path_length + 1 + name_length >= MAX_PATH_BYTES)
		return false;
	memcpy(path, scan->path, scan->path_length);
	path[scan->path_length] = '/';
	memcpy(path + scan->path_length + 1, name, name_length + 1);
	return true;
}

/* The first part of path that does not exist: that is what must not be made. */
static int add_missing(struct scan *scan, const char *path, const char *rule)
{
	cleanup_free char *missing = strdup(path);
	while (missing && path_is_below(missing, scan->root) && strcmp(missing, scan->root) != 0) {
		cleanup_free char *parent = path_parent(missing);
		cleanup_free char *real = parent ? realpath(parent, NULL) : NULL;
		struct stat st;
		if (!real) {
			free(missing);
			missing = steal_pointer(&parent);
			continue;
		}
		if (!path_is_below(real, scan->root) || lstat(real, &st) < 0)
			return 0;
		cleanup_free char *place = path_join(real, path_name(missing));
		return place ? add(scan, SCAN_MISSING, place, &st, rule) : -ENOMEM;
	}
	return missing ? 0 : -ENOMEM;
}

/* Every link on the way of path that lies inside the root: whoever could replace one would decide
 * what is found at its end. Each is watched in its directory, like a name that must not appear;
 * where the way leads to nothing, so is the first part that is missing. */
static int add_links_on_the_way(struct scan *scan, const char *path, const char *rule)
{
	enum { LINKS_MAX = 40 }; /* as the kernel has it */
	cleanup_free char *way = strdup(path);
	for (int links = 0; way && links < LINKS_MAX; links++) {
		bool again = false;
		for (size_t i = 1; !again; i++) {
			if (way[i] != '/' && way[i] != '\0')
				continue;
			char target[MAX_PATH_BYTES];
			struct stat st, place;
			char kept = way[i];
			way[i] = '\0';
			int found = lstat(way, &st);
			ssize_t n = found == 0 && S_ISLNK(st.st_mode)
					    ? readlink(way, target, sizeof(target) - 1)
					    : -1;
			if (found < 0 || n < 0) {
				way[i] = kept;
				if (found < 0)
					return add_missing(scan, way, rule);
				if (!kept)
					return 0;
				continue;
			}
			target[n] = '\0';
			cleanup_free char *parent = path_parent(way);
			int r = 0;
			if (parent && path_is_below(way, scan->root) && lstat(parent, &place) == 0)
				r = add(scan, SCAN_MISSING, way, &place, rule);
			cleanup_free char *onward = parent ? path_absolute(parent, target) : NULL;
			cleanup_free char *next = NULL;
			if (r < 0 || !onward ||
				asprintf(&next, "%s%s%s", onward, kept ? "/" : "",
					kept ? way + i + 1 : "") < 0)
				return r < 0 ? r : -ENOMEM;
			free(way);
			way = steal_pointer(&next);
			again = true;
		}
	}
	return way ? 0 : -ENOMEM;
}

/* A link cannot be mounted over: the caller keeps it in its place. What it leads to is protected
 * like the name itself where the box could write it. */
static int add_link_target(struct scan *scan, const char *path, const char *rule)
{
	cleanup_free char *target = realpath(path, NULL);
	if (!target || !path_is_below(target, scan->root) || strcmp(target, scan->root) == 0)
		return 0;
	return add_existing(scan, SCAN_PROTECTED, target, rule);
}

static int add_protected(struct scan *scan, const char *path, const char *rule)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	int r = add(scan, SCAN_PROTECTED, path, &st, rule);
	if (r == 0 && S_ISLNK(st.st_mode))
		r = add_links_on_the_way(scan, path, rule);
	return r == 0 && S_ISLNK(st.st_mode) ? add_link_target(scan, path, rule) : r;
}

/* A secret that is a link: what it leads to is the secret if it lies inside the root or belongs to
 * whom the root belongs to. */
static int add_secret(struct scan *scan, const char *path, const char *rule)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return add(scan, SCAN_SECRET, path, &st, rule);
	if (!S_ISLNK(st.st_mode))
		return 0;
	cleanup_free char *target = realpath(path, NULL);
	if (!target || lstat(target, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (!path_is_below(target, scan->root) && st.st_uid != scan->root_owner)
		return 0;
	return add(scan, SCAN_SECRET, target, &st, rule);
}

/* A path that something on the host acts on because it is told so: git by a config, coffer by its
 * environment. Outside the root nothing can write it. */
static int add_named(struct scan *scan, const char *path, const char *rule)
{
	cleanup_free char *real = realpath(path, NULL);
	int r = add_links_on_the_way(scan, path, rule);
	if (r < 0 || !real)
		return r;
	if (!path_is_below(real, scan->root))
		return 0;
	cleanup_free char *parent = path_parent(path);
	cleanup_free char *real_parent = parent ? realpath(parent, NULL) : NULL;
	if (real_parent && strcmp(parent, real_parent) == 0)
		return add_protected(scan, path, rule);
	return add_existing(scan, SCAN_PROTECTED, real, rule);
}

struct index_context {
	struct scan *scan;
	const char *top;
};

static int on_index_entry(const char *path, size_t path_length, unsigned mode, void *context)
{
	const struct index_context *index = context;
	if (path_length == 0)
		return 0;
	const char *rule = mode == GIT_MODE_SUBMODULE ? "submodule" : names_secret(path_name(path));
	if (!rule)
		return 0;
	/* The index is a file like others: what it says is only where to look. */
	cleanup_free char *absolute = path_absolute(index->top, path);
	if (!absolute)
		return errno == ENOMEM ? -ENOMEM : 0;
	cleanup_free char *parent = path_parent(absolute);
	cleanup_free char *real = parent ? realpath(parent, NULL) : NULL;
	if (!real || strcmp(real, parent) != 0 || !path_is_below(real, index->top))
		return 0;
	if (mode != GIT_MODE_SUBMODULE)
		return add_secret(index->scan, absolute, rule);
	if (index->scan->submodules.count >= MAX_SCAN_FINDINGS) {
		index->scan->result->truncated = true;
		return 0;
	}
	return strv_add(&index->scan->submodules, absolute);
}

static int scan_index(struct scan *scan, const char *top, const struct git_dirs *dirs)
{
	cleanup_free char *path = path_join(dirs->git_dir, "index");
	if (!path)
		return -errno;
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return 0;
	if (st.st_size > MAX_GIT_INDEX_BYTES) {
		scan->result->truncated = true;
		return 0;
	}
	/* Read, not mapped: a file that is cut short meanwhile would be a SIGBUS. */
	size_t length = (size_t)st.st_size;
	cleanup_free char *data = malloc(length);
	if (!data)
		return -ENOMEM;
	ssize_t n = fd_read_full(fd, data, length);
	if (n < 0)
		return 0;
	struct index_context context = {.scan = scan, .top = top};
	int r = git_index_parse(data, (size_t)n, dirs->hash_bytes, on_index_entry, &context);
	return r == -EBADMSG ? 0 : r;
}

static int add_git_dirs(struct scan *scan, const struct git_dirs *dirs)
{
	int r = add_existing(scan, SCAN_PROTECTED, dirs->git_dir, ".git");
	if (r == 0 && dirs->is_linked_worktree)
		r = add_existing(scan, SCAN_PROTECTED, dirs->common_dir, ".git");
	if (r == 0 && !path_is_below(dirs->hooks_dir, dirs->common_dir))
		r = add_named(scan, dirs->hooks_dir, "core.hooksPath");
	for (size_t i = 0; r == 0 && i < dirs->named.count; i++)
		r = add_named(scan, dirs->named.items[i], "git config");
	if (r < 0 || !dirs->belongs)
		return r;
	/* A submodule's lies inside its superproject's, if that is in the root too. */
	bool inside = false;
	for (size_t i = 0; i < scan->result->count; i++)
		inside |= scan->result->items[i].kind == SCAN_GIT_DIR &&
			  strcmp(scan->result->items[i].path, dirs->git_dir) != 0 &&
			  path_is_below(dirs->git_dir, scan->result->items[i].path);
	if (!inside || dirs->is_linked_worktree)
		r = add_existing(scan, SCAN_GIT_DIR, dirs->common_dir, ".git");
	if (r == 0 && (inside || dirs->is_linked_worktree))
		r = add_existing(scan, SCAN_GIT_WORKTREE_DIR, dirs->git_dir, ".git");
	return r;
}

/* top holds a `.git` of any kind. Its other names are the walk's. */
static int scan_repository(struct scan *scan, const char *top)
{
	cleanup_free char *dot_git = path_join(top, ".git");
	if (!dot_git)
		return errno == ENOMEM ? -ENOMEM : 0;
	int r = add_existing(scan, SCAN_WATCH, top, NULL);
	if (r == 0)
		r = add_protected(scan, dot_git, ".git");
	if (r < 0)
		return r;
	cleanup_git_dirs struct git_dirs dirs = {0};
	r = git_dirs_find(top, &dirs);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = add_git_dirs(scan, &dirs);
	return r < 0 ? r : scan_index(scan, top, &dirs);
}

struct directory {
	int fd;
	unsigned depth;
	bool is_top;             /* of the root or of a repository */
	const char *secret_rule; /* when everything in it is a secret */
};

static int walk(struct scan *scan, const struct directory *directory);

static int walk_into(struct scan *scan, const struct directory *parent, const char *name)
{
	if (parent->depth == MAX_SCAN_DEPTH || names_is_dependency_folder(name))
		return 0;
	size_t name_length = strlen(name);
	if (scan->path_length + 1 + name_length >= MAX_PATH_BYTES)
		return 0;
	cleanup_close int fd =
		openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* An earlier box may have closed a directory that holds a repository, to open it again when
	 * nobody looks: what cannot be looked into stays as it is. */
	if (fd < 0 ? errno == EACCES : faccessat(fd, ".", X_OK, AT_EACCESS) < 0) {
		cleanup_free char *path = path_join(scan->path, name);
		struct stat st;
		if (!path)
			return -ENOMEM;
		return lstat(path, &st) == 0 ? add(scan, SCAN_PROTECTED, path, &st, "unreadable")
					     : 0;
	}
	if (fd < 0)
		return 0;
	struct directory directory = {.fd = fd,
		.depth = parent->depth + 1,
		.secret_rule =
			parent->secret_rule ? parent->secret_rule : names_secret_directory(name)};
	size_t path_length = scan->path_length;
	scan->path[path_length] = '/';
	memcpy(scan->path + path_length + 1, name, name_length + 1);
	scan->path_length += 1 + name_length;
	int r = walk(scan, &directory);
	scan->path_length = path_length;
	scan->path[path_length] = '\0';
	return r;
}

static int visit(
	struct scan *scan, const struct directory *directory, const char *name, unsigned char type)
{
	char path[MAX_PATH_BYTES];
	const char *rule;
	if (strcmp(name, ".git") == 0)
		return 0; /* scan_repository() has seen it */
	if (directory->is_top && (rule = names_protected(name)) && child_path(scan, name, path)) {
		int r = add_protected(scan, path, rule);
		if (r < 0)
			return r;
	}
	if (type == DT_UNKNOWN) {
		struct stat st;
		if (fstatat(directory->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		type = (unsigned char)IFTODT(st.st_mode);
	}
	if (type == DT_DIR)
		return walk_into(scan, directory, name);
	if (type != DT_REG && type != DT_LNK)
		return 0;
	rule = names_secret(name);
	if (!rule)
		rule = directory->secret_rule;
	return rule && child_path(scan, name, path) ? add_secret(scan, path, rule) : 0;
}

/* Goes through the entries of a directory once: first everything but its directories, then those,
 * so that whatever a crowd of files below uses up of the bound, the names at this level have been
 * seen. A directory that is a repository's top is not bounded in the first pass: what is protected
 * there is. */
static int pass_entries(struct scan *scan, const struct directory *directory, bool descend)
{
	char *buffer = scan->buffers[directory->depth];
	if (lseek(directory->fd, 0, SEEK_SET) < 0)
		return 0;
	for (;;) {
		long n = syscall(SYS_getdents64, directory->fd, buffer, sizeof(scan->buffers[0]));
		if (n <= 0)
			return 0;
		for (long offset = 0; offset < n;) {
			const struct linux_dirent64 *entry =
				(const struct linux_dirent64 *)(buffer + offset);
			offset += entry->d_reclen;
			const char *name = entry->d_name;
			if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
				continue;
			bool protected = directory->is_top && names_protected(name);
			bool is_directory = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
			if ((is_directory && !protected) != descend)
				continue;
			if (++scan->entries > MAX_SCAN_ENTRIES && !protected) {
				scan->result->truncated = true;
				if (descend || !directory->is_top)
					return 0;
				continue;
			}
			int r = visit(scan, directory, name, entry->d_type);
			if (r < 0)
				return r;
		}
	}
}

static int walk_entries(struct scan *scan, const struct directory *directory)
{
	int r = pass_entries(scan, directory, false);
	return r < 0 ? r : pass_entries(scan, directory, true);
}

/* Reads the directory whose path is in scan->path. */
static int walk(struct scan *scan, const struct directory *found)
{
	struct directory directory = *found;
	struct stat st;
	if (fstatat(directory.fd, ".git", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		directory.is_top = true;
		int r = scan_repository(scan, scan->path);
		if (r < 0)
			return r;
	}
	return walk_entries(scan, &directory);
}

/* A submodule that lies too deep for the walk, or in a folder that it passed over. */
static int scan_submodule(struct scan *scan, const char *top)
{
	if (is_found(scan->result, SCAN_WATCH, top))
		return 0;
	cleanup_close int fd = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct directory directory = {.fd = fd, .depth = MAX_SCAN_DEPTH};
	scan->path_length = strlen(top);
	memcpy(scan->path, top, scan->path_length + 1);
	return fd < 0 ? 0 : walk(scan, &directory);
}

int scan_root(const char *root, struct scan_result *result, struct error *error)
{
	size_t root_length = strlen(root);
	if (root_length >= MAX_PATH_BYTES)
		return error_set(error, ENAMETOOLONG, "scan", "the path of a root is too long");
	cleanup_close int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != EACCES)
		return error_set_errno(error, errno, "scan", "cannot look into %s", root);
	struct stat st;
	if (stat(root, &st) < 0)
		return error_set_errno(error, errno, "scan", "cannot look at %s", root);
	cleanup_free struct scan *scan = malloc(sizeof(*scan));
	if (!scan)
		return error_set(error, ENOMEM, "scan", "out of memory");
	scan->root = root;
	scan->root_owner = st.st_uid;
	scan->result = result;
	scan->entries = 0;
	scan->submodules = (struct strv){0};
	/* "/" is the empty path with names after it. */
	scan->path_length = root_length == 1 ? 0 : root_length;
	memcpy(scan->path, root, root_length + 1);

	int r = add(scan, SCAN_WATCH, root, &st, NULL);
	if (r == 0 && fd >= 0) {
		struct directory directory = {.fd = fd, .is_top = true};
		r = walk(scan, &directory);
	}
	for (size_t i = 0; r == 0 && i < scan->submodules.count; i++)
		r = scan_submodule(scan, scan->submodules.items[i]);
	strv_release(&scan->submodules);
	return r < 0 ? error_set(error, -r, "scan", "out of memory") : 0;
}

int scan_named(const char *root, const char *path, const char *rule, struct scan_result *result,
	struct error *error)
{
	cleanup_free struct scan *scan = malloc(sizeof(*scan));
	if (!scan)
		return error_set(error, ENOMEM, "scan", "out of memory");
	scan->root = root;
	scan->result = result;
	return add_named(scan, path, rule) < 0 ? error_set(error, ENOMEM, "scan", "out of memory")
					       : 0;
}

void scan_result_release(struct scan_result *result)
{
	for (size_t i = 0; i < result->count; i++)
		free(result->items[i].path);
	free(result->items);
	*result = (struct scan_result){0};
}
