/* Theory of operation. Scripts load others that lie beside them: `import`, `source`. Where a script
 * is in a directory called "hooks", as is the custom, everything there belongs to the hook: it is
 * read, hashed and copied with it, in the same arrangement, so that scripts find one another and
 * nothing that was not trusted runs. Left out are links, logs, caches and hidden names, which are
 * no scripts. A directory beyond the bounds is left out as a whole: the script is then alone. */
#include "config/hook_hash.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { LEVELS_ABOVE = 4 };

static const char *const no_scripts[] = {".jsonl", ".log", ".pyc", ".tmp", "~"};

struct walk {
	struct hook_file *file; /* the script; its companions are added to */
	size_t total_bytes;
};

static bool is_no_script(const char *name)
{
	size_t length = strlen(name);
	if (name[0] == '.' || strcmp(name, "__pycache__") == 0 || strcmp(name, "node_modules") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(no_scripts); i++) {
		size_t ending = strlen(no_scripts[i]);
		if (length >= ending && strcmp(name + length - ending, no_scripts[i]) == 0)
			return true;
	}
	return false;
}

/* -E2BIG where a bound is reached. */
static int add_companion(
	struct walk *walk, int directory, const char *name, const char *relative, mode_t mode)
{
	struct hook_file *file = walk->file;
	if (strcmp(relative, file->relative) == 0)
		return 0;
	if (file->companions_count == MAX_HOOK_COMPANIONS)
		return -E2BIG;
	struct hook_companion companion = {.executable = mode & S_IXUSR};
	int r = fd_read_file(directory, name, MAX_HOOK_FILE_BYTES - walk->total_bytes,
		&companion.content, &companion.length_bytes);
	if (r < 0)
		return r == -EFBIG ? -E2BIG : r;
	walk->total_bytes += companion.length_bytes;
	struct hook_companion *companions =
		reallocarray(file->companions, file->companions_count + 1, sizeof(*companions));
	companion.relative = companions ? strdup(relative) : NULL;
	if (companions)
		file->companions = companions;
	if (!companion.relative) {
		free(companion.content);
		return -ENOMEM;
	}
	companions[file->companions_count++] = companion;
	return 0;
}

static int walk_directory(
	struct walk *walk, int at, const char *name, const char *below, int levels)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir) {
		close_fd(&fd);
		return -ENOMEM;
	}
	int r = 0;
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		struct stat st;
		if (is_no_script(entry->d_name) ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		cleanup_free char *relative = NULL;
		if (asprintf(&relative, "%s%s%s", below, *below ? "/" : "", entry->d_name) < 0)
			return -ENOMEM;
		if (S_ISREG(st.st_mode))
			r = add_companion(walk, dirfd(dir), entry->d_name, relative, st.st_mode);
		else if (S_ISDIR(st.st_mode))
			r = levels == 0 ? -E2BIG
					: walk_directory(walk, dirfd(dir), entry->d_name, relative,
						  levels - 1);
	}
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct hook_companion *one = a, *other = b;
	return strcmp(one->relative, other->relative);
}

void hook_companions_release(struct hook_file *file)
{
	for (size_t i = 0; i < file->companions_count; i++) {
		free(file->companions[i].relative);
		free(file->companions[i].content);
	}
	free(file->companions);
	file->companions = NULL;
	file->companions_count = 0;
}

/* The nearest directory called "hooks" that the script is in; NULL: none, or out of memory. */
static char *find_root(const char *script)
{
	char *path = path_parent(script);
	for (int i = 0; path && i < LEVELS_ABOVE; i++) {
		if (strcmp(path_name(path), "hooks") == 0)
			return path;
		char *parent = path_parent(path);
		free(path);
		path = parent;
	}
	free(path);
	return NULL;
}

int hook_companions_read(struct hook_file *file)
{
	cleanup_free char *root = find_root(file->path);
	file->relative = strdup(root ? file->path + strlen(root) + 1 : path_name(file->path));
	if (!file->relative)
		return -ENOMEM;
	if (!root)
		return 0;
	struct walk walk = {.file = file};
	int r = walk_directory(&walk, AT_FDCWD, root, "", LEVELS_ABOVE);
	if (r < 0)
		hook_companions_release(file);
	else if (file->companions_count)
		qsort(file->companions, file->companions_count, sizeof(*file->companions), by_name);
	return r == -ENOMEM ? r : 0;
}
