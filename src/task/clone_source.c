/* Theory of operation. The box sees one directory of git's and not the tree around it, so what this
 * finds is all that the clone can hold. A .git file or a directory of objects that leads elsewhere
 * could name any repository of its reader's: a worktree is followed where its repository has it as
 * one, a submodule where it lies in the repository that it is in, and nothing else is. */
#include "task/clone_internal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static const char stage[] = "repository";

void clone_source_release(struct clone_source *source)
{
	free(source->directory);
	free(source->below);
	*source = (struct clone_source){0};
}

/* The type of what is at dir/name, links not followed; 0: nothing. */
static mode_t type_at(const char *dir, const char *name)
{
	struct stat st;
	cleanup_free char *path = path_join(dir, name);
	return path && lstat(path, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

/* One line of dir/name, without `prefix`; NULL where it is not so. */
static char *read_line(const char *dir, const char *name, const char *prefix)
{
	cleanup_free char *path = path_join(dir, name);
	char *text = NULL;
	size_t length;
	if (!path || type_at(dir, name) != S_IFREG ||
		fd_read_file(AT_FDCWD, path, MAX_GIT_FILE_BYTES, &text, &length) < 0)
		return NULL;
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		text[--length] = '\0';
	size_t skip = strlen(prefix);
	bool sound = strlen(text) == length && length > skip && strncmp(text, prefix, skip) == 0;
	char *line = sound ? strdup(text + skip) : NULL;
	free(text);
	return line;
}

static char *resolve(const char *base, const char *path)
{
	cleanup_free char *whole = path_absolute(base, path);
	return whole ? realpath(whole, NULL) : NULL;
}

static bool is_git_directory(const char *path)
{
	return type_at(path, "HEAD") && type_at(path, "objects") == S_IFDIR &&
	       type_at(path, "refs") == S_IFDIR;
}

static int no_memory(struct error *error)
{
	return error_set_errno(error, ENOMEM, stage, "the repository");
}

/* GITDIR of a worktree: its repository lists it under worktrees/, and that entry names `tree`. */
static bool find_worktree(const char *tree, const char *gitdir, struct clone_source *ret)
{
	cleanup_free char *to_common = read_line(gitdir, "commondir", "");
	cleanup_free char *back = read_line(gitdir, "gitdir", "");
	cleanup_free char *common = to_common ? resolve(gitdir, to_common) : NULL;
	cleanup_free char *named = back ? resolve(gitdir, back) : NULL;
	cleanup_free char *own = path_join(tree, ".git");
	cleanup_free char *all = common ? path_join(common, "worktrees") : NULL;
	if (!named || !own || !all || strcmp(named, own) != 0 || !is_git_directory(common) ||
		!path_is_below(gitdir, all) || path_depth(gitdir) != path_depth(all) + 1)
		return false;
	ret->directory = steal_pointer(&common);
	ret->below = strdup(gitdir + strlen(ret->directory) + 1);
	return ret->below != NULL;
}

/* GITDIR of a submodule: in the .git/modules of a directory that `tree` lies in. */
static bool find_submodule(const char *tree, const char *gitdir, struct clone_source *ret)
{
	const char *modules = strstr(gitdir, "/.git/modules/");
	cleanup_free char *super = modules ? strndup(gitdir, (size_t)(modules - gitdir)) : NULL;
	if (!super || !path_is_below(tree, super) || !is_git_directory(gitdir))
		return false;
	ret->directory = strdup(gitdir);
	ret->below = strdup("");
	return ret->directory && ret->below;
}

static int follow_file(const char *tree, struct clone_source *ret, struct error *error)
{
	cleanup_free char *line = read_line(tree, ".git", "gitdir: ");
	cleanup_free char *gitdir = line ? resolve(tree, line) : NULL;
	if (!gitdir)
		return error_set(error, ENOENT, stage,
			"%s/.git is a file that leads to no repository", tree);
	if (find_worktree(tree, gitdir, ret) || find_submodule(tree, gitdir, ret))
		return 0;
	clone_source_release(ret);
	error_set(error, EPERM, stage, "%s/.git leads to %s, which does not belong to it", tree,
		gitdir);
	return error_hint(error, "if that is the repository that is meant, name it: %s", gitdir);
}

static int refuse_none(const char *path, struct error *error)
{
	error_set(error, ENOENT, stage, "%s is no git repository", path);
	cleanup_free char *above = strdup(path);
	while (above && strcmp(above, "/") != 0) {
		char *next = path_parent(above);
		free(above);
		above = next;
		if (above && type_at(above, ".git"))
			return error_hint(error, "it lies in one: %s", above);
	}
	return error_hint(error, "`git init` and a first commit make it one");
}

/* Objects that lie in another repository would have to be followed there. */
static int check_objects(const char *directory, struct error *error)
{
	static const char *const elsewhere[] = {
		"objects/info/alternates", "objects/info/http-alternates"};
	if (type_at(directory, "objects") != S_IFDIR)
		return error_set(error, EPERM, stage,
			"%s/objects is no directory of the repository's own", directory);
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		if (!type_at(directory, elsewhere[i]))
			continue;
		error_set(error, EPERM, stage, "%s borrows objects from another repository (%s)",
			directory, elsewhere[i]);
		return error_hint(error,
			"`git repack -a -d` there, then remove that file; or clone it "
			"yourself and name the clone");
	}
	return 0;
}

static int find_directory(char **real, struct clone_source *ret, struct error *error)
{
	mode_t type = type_at(*real, ".git");
	if (type == S_IFLNK) {
		error_set(error, EPERM, stage, "%s/.git is a symbolic link", *real);
		return error_hint(error, "name the repository that it leads to");
	}
	int r = 0;
	if (type == S_IFREG) {
		r = follow_file(*real, ret, error);
	} else if (type == S_IFDIR || is_git_directory(*real)) {
		ret->directory = type ? path_join(*real, ".git") : steal_pointer(real);
		ret->below = strdup("");
		r = ret->directory && ret->below ? 0 : no_memory(error);
		if (r == 0 && !is_git_directory(ret->directory))
			r = refuse_none(ret->directory, error);
	} else {
		r = refuse_none(*real, error);
	}
	return r < 0 ? r : check_objects(ret->directory, error);
}

int clone_source_find(const char *path, struct clone_source *ret, struct error *error)
{
	*ret = (struct clone_source){0};
	cleanup_free char *real = realpath(path, NULL);
	struct stat st;
	if (!real || stat(real, &st) < 0) {
		error_set_errno(error, errno, stage, "%s", path);
		return errno == ENOENT
			       ? error_hint(error, "a repository of another host is https://..., "
						   "ssh://... or USER@HOST:PATH")
			       : -error->errno_value;
	}
	int r = 0;
	if (S_ISDIR(st.st_mode)) {
		r = find_directory(&real, ret, error);
	} else if (S_ISREG(st.st_mode)) {
		ret->bundle = true;
		ret->directory = steal_pointer(&real);
		ret->below = strdup("");
		r = ret->below ? 0 : no_memory(error);
	} else {
		r = refuse_none(real, error);
	}
	if (r < 0)
		clone_source_release(ret);
	return r;
}

char *clone_source_module(const struct clone_source *source, const char *below, const char *name)
{
	cleanup_free char *path = NULL;
	if (source->bundle || asprintf(&path, "%s%smodules/%s", below, *below ? "/" : "", name) < 0)
		return NULL;
	cleanup_close int top =
		open(source->directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_close int fd = top < 0 ? -1
				       : sys_openat2(top, path, O_PATH | O_DIRECTORY | O_CLOEXEC,
						 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	cleanup_free char *whole = fd < 0 ? NULL : path_join(source->directory, path);
	struct error ignored;
	/* Its objects, too, are its own. */
	return whole && is_git_directory(whole) && check_objects(whole, &ignored) == 0
		       ? strdup(path)
		       : NULL;
}
