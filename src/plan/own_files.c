/* Theory of operation. Whoever may write coffer's configuration decides what the next box may do;
 * so may whoever puts one where there was none, or replaces a link on the way to it. Each place is
 * held against each writable root like a path that git's own config names (scan.c): what is there
 * becomes read-only with every directory on the way kept in its place, links are watched. What is
 * missing could only be watched too, and with it the first missing directory above, which may be
 * ~/.config; so the user's directories are made instead, where a root contains them. */
#include "plan/own_files.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char rule[] = "coffer's own files";

enum { PLACE_STATE = 1 };

/* Where each kind is: a variable of the XDG base directory specification, else below the home. */
static const struct {
	const char *variable, *below;
	const char *file; /* in it, that may be a link of its own; or NULL */
} places[] = {
	{"XDG_CONFIG_HOME", ".config", "coffer.toml"},
	[PLACE_STATE] = {"XDG_STATE_HOME", ".local/state", "trust.jsonl"},
	{"XDG_CACHE_HOME", ".cache", NULL},
};

static const char *const system_places[] = {
	"/etc/coffer", "/etc/coffer/coffer.toml", "/etc/coffer/requirements.toml"};

/* Both the default place and the one that a variable names, since the next start may have another
 * environment. */
static char *place_of(const char *home, size_t index, bool by_variable)
{
	const char *value = getenv(places[index].variable);
	if (by_variable)
		return value && value[0] == '/' ? path_absolute(value, "coffer") : NULL;
	cleanup_free char *base = home ? path_join(home, places[index].below) : NULL;
	return base ? path_join(base, "coffer") : NULL;
}

/* Whether path is free of links as far as it exists: then where it is written is where it is. One
 * call, since this is asked at every start and the answer is nearly always yes. */
static bool is_plain(const char *path)
{
	cleanup_close int fd = sys_openat2(AT_FDCWD, path, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
	return fd >= 0 || errno == ENOENT;
}

/* As root in somebody's home nothing is made: it would be root's. */
static bool is_own_home(const struct host_facts *facts)
{
	struct stat st;
	return stat(facts->home, &st) == 0 && st.st_uid == facts->uid;
}

/* maker: on whose behalf the directory path may be made; NULL: it is none. */
/* What a hook keeps for itself, in a directory of its own: the box that it runs in may write there,
 * and no other can unless it is told to. */
static bool is_state_of_a_hook(const char *directory, const char *root)
{
	cleanup_free char *states = path_join(directory, "hooks/state");
	return states && strcmp(states, root) != 0 && path_is_below(root, states);
}

static int protect(struct findings *findings, const char *root, const char *path,
	const struct host_facts *maker, struct error *error)
{
	if (!path_is_below(path, root) && !path_is_below(root, path) && is_plain(path))
		return 0;
	cleanup_free char *real = realpath(path, NULL);
	if (real && is_state_of_a_hook(real, root))
		return 0;
	/* The one place in the store where this box works. */
	if (real && findings->copy && strcmp(root, findings->copy) == 0 &&
		path_is_below(root, real))
		return 0;
	if (real && path_is_below(root, real)) {
		error_set(error, EPERM, "resolve", "%s lies among %s", root, rule);
		return error_hint(error, "no box may write there: choose another directory");
	}
	if (!real && maker && path_is_below(path, root) && is_own_home(maker)) {
		/* What this user may not make, the box cannot either. */
		int r = fd_make_directories(path);
		if (r == -ENOSPC || r == -EDQUOT || r == -ENOMEM)
			return error_set_errno(error, -r, "resolve", "%s", path);
	}
	return scan_named(root, path, rule, &findings->scan, error);
}

static int protect_place(struct findings *findings, const struct host_facts *facts,
	const char *root, size_t index, bool by_variable, struct error *error)
{
	cleanup_free char *directory = place_of(facts->home, index, by_variable);
	if (!directory)
		return 0;
	int r = protect(findings, root, directory, facts, error);
	if (r < 0 || !places[index].file)
		return r;
	cleanup_free char *file = path_join(directory, places[index].file);
	struct stat st;
	/* An ordinary file needs no more than its directory. */
	if (!file || lstat(file, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	return protect(findings, root, file, NULL, error);
}

static int protect_from(struct findings *findings, const struct host_facts *facts, const char *root,
	struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
		r = protect_place(findings, facts, root, i, false, error);
		if (r == 0)
			r = protect_place(findings, facts, root, i, true, error);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_places); i++)
		r = protect(findings, root, system_places[i], NULL, error);
	return r;
}

int own_files_find(struct findings *findings, const struct host_facts *facts, enum policy_mode mode,
	struct error *error)
{
	int r = 0;
	if (mode == MODE_WORKSPACE_WRITE && findings->workspace.path)
		r = protect_from(findings, facts, findings->workspace.path, error);
	for (size_t i = 0; r == 0 && i < findings->paths.count; i++)
		if (findings->paths.items[i].access == ACCESS_WRITE)
			r = protect_from(findings, facts, findings->paths.items[i].path, error);
	return r;
}

static int scan_place(const char *home, const char *root, size_t index, bool by_variable,
	struct scan_result *result, struct error *error)
{
	cleanup_free char *directory = place_of(home, index, by_variable);
	if (!directory)
		return 0;
	int r = scan_named(root, directory, rule, result, error);
	if (r < 0 || !places[index].file)
		return r;
	cleanup_free char *file = path_join(directory, places[index].file);
	return file ? scan_named(root, file, rule, result, error)
		    : error_set_errno(error, ENOMEM, "resolve", "%s", directory);
}

int own_files_scan(
	const char *home, const char *root, struct scan_result *result, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < 2 * ARRAY_SIZE(places); i++)
		r = scan_place(home, root, i / 2, i % 2, result, error);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_places); i++)
		r = scan_named(root, system_places[i], rule, result, error);
	return r;
}

int own_files_each_store(
	const struct host_facts *facts, int (*add)(const char *path, void *context), void *context)
{
	static const char *const stores[] = {"layers", "tasks", "homes"};
	char *state[] = {place_of(facts->home, PLACE_STATE, true),
		place_of(facts->home, PLACE_STATE, false), strdup("/var/lib/coffer")};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(state); i++) {
		for (size_t k = 0; r == 0 && state[i] && k < ARRAY_SIZE(stores); k++) {
			cleanup_free char *path = path_join(state[i], stores[k]);
			r = path ? add(path, context) : -ENOMEM;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(state); i++)
		free(state[i]);
	return r;
}
