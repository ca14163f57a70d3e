#include "plan/cache_dir.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* FNV-1a, 64 bit: a name for a directory, not a secret; the path is in it as well. */
static uint64_t hash_path(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3ULL;
	return hash;
}

/* Opens name below parent, making it if need be; it must be a directory of ours, not a link. */
static int open_own_directory(int parent, const char *name, uid_t owner)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_uid != owner) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

int cache_dir_find(const struct host_facts *facts, const struct found_path *workspace,
	char **ret_path, struct file_id *ret_id)
{
	/* As root for another's workspace there is nobody whose cache this would be. */
	if (workspace->uid != facts->uid)
		return -EPERM;
	const char *name = path_name(workspace->path);
	char leaf[128];
	snprintf(leaf, sizeof(leaf), "%.64s-%016" PRIx64, *name ? name : "root",
		hash_path(workspace->path));

	cleanup_free char *home = realpath(facts->home, NULL);
	if (!home)
		return -errno;
	cleanup_free char *path = NULL;
	if (asprintf(&path, "%s/.cache/coffer/workspaces/%s", home[1] ? home : "", leaf) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	struct stat st;
	if (lstat(path, &st) < 0) {
		/* Made step by step, so that no link on the way is followed. */
		cleanup_close int fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
		const char *const steps[] = {".cache", "coffer", "workspaces", leaf};
		for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(steps); i++) {
			int next = open_own_directory(fd, steps[i], facts->uid);
			if (next < 0)
				return next;
			close(fd);
			fd = next;
		}
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != facts->uid)
		return -EPERM;
	*ret_id = (struct file_id){.device = st.st_dev, .inode = st.st_ino};
	*ret_path = steal_pointer(&path);
	return 0;
}

int cache_dir_environment(const char *cache, struct strv *environment)
{
	static const struct {
		const char *variable, *below;
	} table[] = {
		{"XDG_CACHE_HOME", ""},
		{"npm_config_cache", "/npm"},
		{"YARN_CACHE_FOLDER", "/yarn"},
		{"PIP_CACHE_DIR", "/pip"},
		{"UV_CACHE_DIR", "/uv"},
		{"CARGO_HOME", "/cargo"},
		{"GOCACHE", "/go-build"},
		{"GOMODCACHE", "/go-mod"},
		{"GRADLE_USER_HOME", "/gradle"},
		{"CCACHE_DIR", "/ccache"},
		{"SCCACHE_DIR", "/sccache"},
		{"MYPY_CACHE_DIR", "/mypy"},
		{"RUFF_CACHE_DIR", "/ruff"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char *assignment = NULL;
		if (asprintf(&assignment, "%s=%s%s", table[i].variable, cache, table[i].below) < 0)
			return -ENOMEM;
		int r = strv_add_owned(environment, assignment);
		if (r < 0)
			return r;
	}
	return 0;
}
