/* Theory of operation. The files are read and their digest is the name of the compiled form, which
 * a run then only has to read. What is not in the cache is made by coffer-gate, which also stores
 * it there, and hands it over in a memfd: so a cache that cannot be written costs time, and nothing
 * else. */
#include "config/compiled_internal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/sibling.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static bool is_ours_alone(int fd, mode_t type)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* As root in somebody's home nothing is made: it would be root's, and of no use to them. */
static bool is_own_home(const char *home)
{
	struct stat st;
	return home && stat(home, &st) == 0 && st.st_uid == geteuid();
}

int compiled_cache_open(const char *home, bool make)
{
	cleanup_free char *path = config_cache_dir(home);
	if (!path)
		return -ENOENT;
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	cleanup_close int fd = open(path, flags);
	if (fd < 0 && errno == ENOENT && make && is_own_home(home)) {
		int r = fd_make_directories(path);
		if (r < 0)
			return r;
		fd = open(path, flags);
	}
	if (fd < 0)
		return -errno;
	return is_ours_alone(fd, S_IFDIR) ? steal_fd(&fd) : -EPERM;
}

/* From the cache: 0, or -errno; nothing is told, since it can be made anew. */
static int look_up(const char *home, const char *key, struct compiled_config **ret)
{
	cleanup_close int dir = compiled_cache_open(home, false);
	if (dir < 0)
		return dir;
	cleanup_close int fd = openat(dir, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || !is_ours_alone(fd, S_IFREG) || fstat(fd, &st) < 0)
		return -ENOENT;
	if (st.st_size <= 0 || st.st_size > MAX_COMPILED_BYTES)
		return -EBADMSG;
	cleanup_free char *data = malloc((size_t)st.st_size);
	if (!data)
		return -ENOMEM;
	if (fd_read_full(fd, data, (size_t)st.st_size) != st.st_size)
		return -EBADMSG;
	struct error ignored = {0};
	return compiled_read(data, (size_t)st.st_size, key, ret, &ignored);
}

/* coffer-gate, with the memfd as its descriptor 3. */
static int run_compiler(const char *directory, int memory, struct error *error)
{
	char program[PATH_MAX];
	int r = sibling_find("coffer-gate", "config", program, error);
	if (r < 0)
		return r;
	posix_spawn_file_actions_t actions;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return error_set_errno(error, ENOMEM, "config", "%s", program);
	char *argv[] = {"coffer-gate", "compile", (char *)directory, NULL};
	pid_t pid = -1;
	int spawned = posix_spawn_file_actions_adddup2(&actions, memory, 3);
	if (spawned == 0)
		spawned = posix_spawn(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (spawned != 0)
		return error_set_errno(error, spawned, "config", "%s", program);
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set_errno(error, errno, "config", "%s", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	error_set(error, EPROTO, "config", "coffer-gate could not read the configuration");
	return error_hint(error, "`coffer config check` tells what is wrong");
}

static int compile(const char *directory, struct compiled_config **ret, struct error *error)
{
	/* Not descriptor 3 itself, which dup2() would leave close-on-exec. */
	cleanup_close int made = memfd_create("coffer-config", MFD_CLOEXEC);
	cleanup_close int memory = made < 0 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, 10);
	if (memory < 0)
		return error_set_errno(error, errno, "config", "a memory file");
	int r = run_compiler(directory, memory, error);
	if (r < 0)
		return r;
	struct stat st;
	if (fstat(memory, &st) < 0 || st.st_size <= 0 || st.st_size > MAX_COMPILED_BYTES)
		return error_set(error, EPROTO, "config", "coffer-gate compiled nothing");
	cleanup_free char *data = malloc((size_t)st.st_size);
	if (!data)
		return error_set_errno(error, ENOMEM, "config", "the compiled configuration");
	if (pread(memory, data, (size_t)st.st_size, 0) != st.st_size)
		return error_set_errno(error, EIO, "config", "the compiled configuration");
	error->errno_value = 0;
	r = compiled_read(data, (size_t)st.st_size, NULL, ret, error);
	if (r < 0 && !error->errno_value)
		return error_set_errno(error, -r, "config", "the compiled configuration");
	return r;
}

/* The places to look at; a look at the whole way up only if a project's file is on it. */
static int find_places(const char *directory, struct config_where *where, struct strv *storage,
	struct error *error)
{
	return config_where(
		config_project_possible(directory) ? directory : NULL, where, storage, error);
}

int compiled_config_open(const char *directory, struct compiled_config **ret, struct error *error)
{
	cleanup_strv struct strv storage = {0};
	struct config_where where;
	struct config_source sources[CONFIG_SOURCES];
	*ret = NULL;
	int r = find_places(directory, &where, &storage, error);
	if (r == 0)
		r = config_sources_read(&where, sources, error);
	if (r < 0)
		return r;
	char key[CONFIG_KEY_BYTES];
	bool exist = config_sources_exist(sources);
	if (exist)
		r = config_sources_key(&where, sources, key, error);
	config_sources_release(sources);
	if (r < 0 || !exist)
		return r;
	if (look_up(where.home, key, ret) == 0)
		return 0;
	return compile(directory, ret, error);
}
