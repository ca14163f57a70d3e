#include "plan/glob.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

struct glob_walk {
	const char *glob;
	size_t depth_max; /* components the glob can match; SIZE_MAX with ** */
	size_t entries;
	struct strv *matches;
};

/* The deepest directory that holds every possible match: the components before the first magic. */
static char *glob_base(const char *glob)
{
	size_t end = 0;
	for (size_t i = 0; glob[i] && !strchr("*?[", glob[i]); i++)
		if (glob[i] == '/')
			end = i;
	return end ? strndup(glob, end) : strdup("/");
}

static int walk_directory(
	struct glob_walk *walk, int parent, const char *name, const char *path, size_t depth)
{
	cleanup_close int fd =
		openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir)
		return -errno;
	int here = steal_fd(&fd);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (++walk->entries > MAX_SCAN_ENTRIES)
			return -E2BIG;
		cleanup_free char *child = path_join(path, entry->d_name);
		if (!child) {
			if (errno == ENAMETOOLONG)
				continue;
			return -ENOMEM;
		}
		if (strcmp(child, "/proc") == 0 || strcmp(child, "/sys") == 0)
			continue;
		int r = 0;
		if (path_matches_glob(child, walk->glob))
			r = strv_add(walk->matches, child);
		else if (depth < walk->depth_max &&
			 (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			r = walk_directory(walk, here, entry->d_name, child, depth + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

int glob_expand(const char *glob, struct strv *ret, struct error *error)
{
	cleanup_free char *base = glob_base(glob);
	if (!base)
		return error_set_errno(error, ENOMEM, "resolve", "--deny-read %.200s", glob);
	cleanup_free char *real = realpath(base, NULL);
	if (!real)
		return 0; /* nothing there: nothing matches */
	/* The matches must be real paths: rewrite the literal part once. */
	cleanup_free char *pattern = path_join(real, glob + strlen(base) + (base[1] ? 1 : 0));
	if (!pattern)
		return error_set_errno(error, errno, "resolve", "--deny-read %.200s", glob);
	struct glob_walk walk = {
		.glob = pattern,
		.depth_max = strstr(pattern, "**") ? SIZE_MAX : path_depth(pattern),
		.matches = ret,
	};
	int r = walk_directory(&walk, AT_FDCWD, real, real, path_depth(real) + 1);
	if (r == -E2BIG) {
		error_set(error, E2BIG, "resolve",
			"--deny-read %.200s: more than %d files would have to be looked at", glob,
			MAX_SCAN_ENTRIES);
		return error_hint(error, "begin the glob with the directory that it is about");
	}
	return r < 0 ? error_set_errno(error, -r, "resolve", "--deny-read %.200s", glob) : 0;
}
