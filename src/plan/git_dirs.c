/* Theory of operation: `.git` is a directory, a link to one, or a file that names one. If that
 * directory has a file `commondir`, it is a linked worktree's and the rest lies there. The config
 * files are read as git does, in the order system, user, repository, worktree, with what they
 * include, for the few values that say where hooks are and whose directory this is. Nothing is
 * created, and a file too big or of the wrong kind counts as not there. */
#include "plan/git_dirs.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "plan/git_config.h"
#include "plan/git_index.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_CONFIG_FILES = 16 };

struct config {
	struct strv files; /* in the order they are read; grows by includes */
	size_t files_read;
	const char *file; /* the one being read */
	struct strv includes;
	char *hooks_path; /* as written; the last one counts */
	char *fsmonitor;
	char *worktree;
	bool bare;
	bool sha256;
	bool per_worktree; /* extensions.worktreeConfig */
};

static void config_release(struct config *config)
{
	strv_release(&config->files);
	strv_release(&config->includes);
	free(config->hooks_path);
	free(config->fsmonitor);
	free(config->worktree);
}

/* `~/x` is below the home directory of whoever runs git on the host. */
static char *expand_home(const char *base, const char *path)
{
	const char *home = getenv("HOME");
	if (strncmp(path, "~/", 2) == 0 && home && home[0] == '/')
		return path_absolute(home, path + 2);
	return path_absolute(base, path);
}

static bool is_true(const char *value)
{
	return !value || strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0 ||
	       strcasecmp(value, "on") == 0 || strcmp(value, "1") == 0;
}

static int replace(char **string, const char *value)
{
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*string);
	*string = copy;
	return 0;
}

/* The condition of an includeIf is not judged: what might be read is looked at. */
static int add_include(struct config *config, const char *path)
{
	cleanup_free char *dir = path_parent(config->file);
	char *absolute = dir ? expand_home(dir, path) : NULL;
	if (!absolute)
		return dir && errno == ENAMETOOLONG ? 0 : -ENOMEM;
	if (strv_contains(&config->files, absolute) || config->files.count >= MAX_CONFIG_FILES) {
		free(absolute);
		return 0;
	}
	int r = strv_add(&config->includes, absolute);
	if (r < 0) {
		free(absolute);
		return r;
	}
	return strv_add_owned(&config->files, absolute);
}

static int on_variable(const char *section, const char *subsection, const char *name,
	const char *value, void *context)
{
	struct config *config = context;
	bool core = strcmp(section, "core") == 0 && !*subsection;
	if (core && strcmp(name, "bare") == 0)
		config->bare = is_true(value);
	else if (core && strcmp(name, "hookspath") == 0 && value)
		return replace(&config->hooks_path, value);
	else if (core && strcmp(name, "fsmonitor") == 0 && value)
		return replace(&config->fsmonitor, value);
	else if (core && strcmp(name, "worktree") == 0 && value)
		return replace(&config->worktree, value);
	else if (strcmp(section, "extensions") == 0 && strcmp(name, "objectformat") == 0 && value)
		config->sha256 = strcasecmp(value, "sha256") == 0;
	else if (strcmp(section, "extensions") == 0 && strcmp(name, "worktreeconfig") == 0)
		config->per_worktree = is_true(value);
	else if ((strcmp(section, "include") == 0 || strcmp(section, "includeif") == 0) &&
		 strcmp(name, "path") == 0 && value)
		return add_include(config, value);
	return 0;
}

static int add_config(struct config *config, const char *dir, const char *name)
{
	return strv_add_owned(&config->files, path_join(dir, name));
}

/* A file that is missing, unreadable or wrong says nothing; only memory can run out. */
static int read_configs(struct config *config)
{
	while (config->files_read < config->files.count) {
		cleanup_free char *data = NULL;
		size_t length;
		config->file = config->files.items[config->files_read++];
		if (fd_read_file(AT_FDCWD, config->file, MAX_GIT_CONFIG_BYTES, &data, &length) < 0)
			continue;
		if (git_config_parse(data, length, on_variable, config) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

/* git's order; an include is read behind them all, which can only pick another hooks directory
 * where two files disagree. */
static int load_config(const struct git_dirs *dirs, struct config *config)
{
	const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
	int r = strv_add(&config->files, "/etc/gitconfig");
	if (r == 0 && xdg && xdg[0] == '/')
		r = add_config(config, xdg, "git/config");
	else if (r == 0 && home && home[0] == '/')
		r = add_config(config, home, ".config/git/config");
	if (r == 0 && home && home[0] == '/')
		r = add_config(config, home, ".gitconfig");
	if (r == 0)
		r = add_config(config, dirs->common_dir, "config");
	if (r == 0)
		r = read_configs(config);
	return r;
}

const char *git_file_target(char *data, size_t length_bytes)
{
	static const char prefix[] = "gitdir: ";
	size_t prefix_length = sizeof(prefix) - 1;
	if (length_bytes <= prefix_length || memcmp(data, prefix, prefix_length) != 0)
		return NULL;
	char *target = data + prefix_length;
	if (memchr(target, '\0', length_bytes - prefix_length))
		return NULL;
	while (length_bytes > prefix_length &&
		(data[length_bytes - 1] == '\n' || data[length_bytes - 1] == '\r'))
		data[--length_bytes] = '\0';
	return *target ? target : NULL;
}

/* What path leads to, seen from base, through links as the kernel goes; NULL if to nothing. */
static char *resolve(const char *base, const char *path)
{
	cleanup_free char *joined = path[0] == '/' ? strdup(path) : path_join(base, path);
	return joined ? realpath(joined, NULL) : NULL;
}

/* The path in a one-line file of git's, resolved from base; NULL if there is no such thing. */
static char *read_path_file(const char *dir, const char *name, const char *base)
{
	cleanup_free char *file = path_join(dir, name), *data = NULL;
	if (!file || fd_read_file(AT_FDCWD, file, MAX_GIT_FILE_BYTES, &data, NULL) < 0)
		return NULL;
	data[strcspn(data, "\r\n")] = '\0';
	return *data ? resolve(base, data) : NULL;
}

/* Where top/.git leads, whatever it is. */
static int resolve_git_dir(const char *top, char **ret)
{
	cleanup_free char *dot_git = path_join(top, ".git");
	if (!dot_git)
		return -errno;
	cleanup_free char *data = NULL;
	size_t length;
	const char *target = dot_git;
	int r = fd_read_file(AT_FDCWD, dot_git, MAX_GIT_FILE_BYTES, &data, &length);
	if (r == 0)
		target = git_file_target(data, length);
	if ((r < 0 && r != -EISDIR) || !target)
		return -ENOENT;
	*ret = resolve(top, target);
	return *ret ? 0 : errno == ENOMEM ? -ENOMEM : -ENOENT;
}

static bool has(const char *dir, const char *name, mode_t kind)
{
	cleanup_free char *path = path_join(dir, name);
	struct stat st;
	return path && lstat(path, &st) == 0 &&
	       (kind ? (st.st_mode & S_IFMT) == kind : !S_ISDIR(st.st_mode));
}

/* A linked worktree is registered with its repository, and points back. */
static bool linked_worktree_belongs(const char *top, const struct git_dirs *dirs)
{
	cleanup_free char *worktrees = path_join(dirs->common_dir, "worktrees");
	cleanup_free char *parent = path_parent(dirs->git_dir);
	cleanup_free char *own = path_join(top, ".git");
	cleanup_free char *real_own = own ? realpath(own, NULL) : NULL;
	cleanup_free char *back = read_path_file(dirs->git_dir, "gitdir", dirs->git_dir);
	return worktrees && parent && real_own && back && strcmp(worktrees, parent) == 0 &&
	       strcmp(back, real_own) == 0;
}

/* A git directory elsewhere says whose it is by core.worktree. Without that, one that stands as
 * `.git` in another directory is that directory's, and a bare one is nobody's. */
static bool git_dir_belongs(
	const char *top, const struct git_dirs *dirs, const struct config *config)
{
	if (config->worktree) {
		cleanup_free char *real = resolve(dirs->git_dir, config->worktree);
		return real && strcmp(real, top) == 0;
	}
	cleanup_free char *parent = path_parent(dirs->git_dir);
	bool is_own = parent && strcmp(parent, top) == 0;
	return !config->bare && (is_own || strcasecmp(path_name(dirs->git_dir), ".git") != 0);
}

static int find_hooks(const char *top, const struct config *config, struct git_dirs *dirs)
{
	dirs->hooks_dir = config->hooks_path && *config->hooks_path
				  ? expand_home(top, config->hooks_path)
				  : path_join(dirs->common_dir, "hooks");
	if (!dirs->hooks_dir)
		return -errno;
	for (size_t i = 0; i < config->includes.count; i++) {
		int r = strv_add(&dirs->named, config->includes.items[i]);
		if (r < 0)
			return r;
	}
	/* The value is a truth value or a command; only one with a slash names a file of its
	 * own. */
	if (config->fsmonitor && strchr(config->fsmonitor, '/')) {
		char *program = expand_home(top, config->fsmonitor);
		return program ? strv_add_owned(&dirs->named, program) : -errno;
	}
	return 0;
}

static int find(const char *top, struct git_dirs *dirs, struct config *config)
{
	int r = resolve_git_dir(top, &dirs->git_dir);
	if (r < 0)
		return r;
	dirs->common_dir = read_path_file(dirs->git_dir, "commondir", dirs->git_dir);
	dirs->is_linked_worktree = dirs->common_dir && strcmp(dirs->common_dir, dirs->git_dir) != 0;
	if (!dirs->common_dir)
		dirs->common_dir = strdup(dirs->git_dir);
	if (!dirs->common_dir)
		return -ENOMEM;
	if (!has(dirs->git_dir, "HEAD", 0) || !has(dirs->common_dir, "objects", S_IFDIR) ||
		!has(dirs->common_dir, "refs", S_IFDIR))
		return -ENOENT;
	r = load_config(dirs, config);
	if (r == 0 && config->per_worktree) {
		r = add_config(config, dirs->git_dir, "config.worktree");
		if (r == 0)
			r = read_configs(config);
	}
	if (r < 0)
		return r;
	dirs->is_submodule = !dirs->is_linked_worktree && config->worktree;
	dirs->belongs = dirs->is_linked_worktree ? linked_worktree_belongs(top, dirs)
						 : git_dir_belongs(top, dirs, config);
	dirs->hash_bytes = config->sha256 ? GIT_SHA256_BYTES : GIT_SHA1_BYTES;
	return find_hooks(top, config, dirs);
}

int git_dirs_find(const char *top, struct git_dirs *ret)
{
	struct git_dirs dirs = {0};
	struct config config = {0};
	int r = find(top, &dirs, &config);
	config_release(&config);
	if (r < 0) {
		git_dirs_release(&dirs);
		*ret = (struct git_dirs){0};
		return r;
	}
	*ret = dirs;
	return 0;
}

void git_dirs_release(struct git_dirs *dirs)
{
	free(dirs->git_dir);
	free(dirs->common_dir);
	free(dirs->hooks_dir);
	strv_release(&dirs->named);
	*dirs = (struct git_dirs){0};
}
