/* Theory of operation. A person's paths are resolved once, here, through every symlink, to the
 * inode that they name now; the plan carries (device, inode), and the launch opens the same clean
 * path without following a single symlink and compares. So whoever swaps a directory for a link in
 * between changes nothing but that the launch fails. */
#include "plan/findings.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sibling.h"
#include "base/witness_ring.h"
#include "plan/cache_dir.h"
#include "plan/git_dirs.h"
#include "plan/glob.h"
#include "plan/listings.h"
#include "plan/own_files.h"
#include "policy/names.h"
#include "policy/profile.h"
#include "policy/trust.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static const char system_layer[] = "--layer-system";

static const char *const version_control_names[] = {".git", ".hg", ".jj", ".svn"};

/* Directories that never become a workspace by themselves, even if they hold a repository. */
static bool never_a_workspace(const char *path, const struct host_facts *facts)
{
	return strcmp(path, "/") == 0 || strcmp(path, "/tmp") == 0 ||
	       strcmp(path, "/var/tmp") == 0 || strcmp(path, facts->home) == 0;
}

static int found_paths_add(struct found_paths *paths, const char *path, enum path_access access,
	enum found_origin origin, const struct stat *st, const char *why)
{
	if (paths->count == paths->capacity) {
		size_t capacity = paths->capacity ? paths->capacity * 2 : 32;
		struct found_path *items = reallocarray(paths->items, capacity, sizeof(*items));
		if (!items)
			return -ENOMEM;
		paths->items = items;
		paths->capacity = capacity;
	}
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	paths->items[paths->count++] = (struct found_path){
		.path = copy,
		.access = access,
		.origin = origin,
		.id = {.device = st->st_dev, .inode = st->st_ino},
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.why = why,
	};
	return 0;
}

static int findings_note(struct findings *findings, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int findings_note(struct findings *findings, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	return length < 0 ? -ENOMEM : strv_add_owned(&findings->notes, text);
}

/* The real path of `path` (relative to base) and its inode. what names the option in errors. */
static int resolve_path(const char *base, const char *path, const char *what, char **ret_path,
	struct stat *ret_st, struct error *error)
{
	cleanup_free char *absolute = NULL;
	/* Not path_absolute(): "link/.." must go where the kernel would take it. */
	if (path[0] == '/') {
		absolute = strdup(path);
	} else {
		absolute = path_join(base, path);
	}
	if (!absolute)
		return error_set_errno(error, errno, "resolve", "%s %.200s", what, path);
	cleanup_free char *real = realpath(absolute, NULL);
	if (!real || lstat(real, ret_st) < 0) {
		int r = error_set_errno(error, errno, "resolve", "%s %.400s", what, path);
		if (r == -ELOOP)
			error_hint(
				error, "its symlinks lead in a circle: name the directory itself");
		else if (r == -ENOENT)
			error_hint(error, "create it first, or correct the path");
		return r;
	}
	*ret_path = steal_pointer(&real);
	return 0;
}

static int find_directory(
	struct findings *findings, const struct policy *policy, struct error *error)
{
	cleanup_free char *cwd = getcwd(NULL, 0);
	if (!cwd || cwd[0] != '/') {
		error_set_errno(error, cwd ? ENOENT : errno, "resolve", "the working directory");
		return error_hint(
			error, "it was removed or cannot be reached: cd elsewhere, or use -C");
	}
	cleanup_free char *path = NULL;
	struct stat st;
	/* With roots of a layer for everything, -C is a place in the box. */
	const char *wanted = policy->places.roots.count > 0 ? "/" : policy->directory;
	int r = resolve_path(cwd, wanted ? wanted : ".", wanted ? "-C" : "the working directory",
		&path, &st, error);
	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode))
		return error_set(error, ENOTDIR, "resolve", "-C %s is not a directory", path);
	/* Readable and searchable: else the command would start in a place that it cannot see. */
	if (access(path, X_OK) < 0)
		return error_set_errno(error, errno, "resolve", "the workspace %s", path);
	findings->directory = (struct found_path){.path = steal_pointer(&path),
		.id = {.device = st.st_dev, .inode = st.st_ino},
		.mode = st.st_mode,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.why = "working directory"};
	return 0;
}

/* The top of the repository that directory is in. Stops below places that are never a workspace. */
static int find_repository(
	struct findings *findings, const struct host_facts *facts, struct error *error)
{
	const char *copy = findings->copy; /* the whole of the workspace, and nothing above it */
	cleanup_free char *path = strdup(copy ? copy : findings->directory.path);
	while (path && !never_a_workspace(path, facts)) {
		cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(version_control_names); i++) {
			struct stat st, top;
			if (fstatat(fd, version_control_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			if (fstat(fd, &top) < 0)
				return error_set_errno(error, errno, "resolve", "%s", path);
			findings->version_control = version_control_names[i];
			findings->workspace = (struct found_path){.path = steal_pointer(&path),
				.id = {.device = top.st_dev, .inode = top.st_ino},
				.mode = top.st_mode,
				.uid = top.st_uid,
				.gid = top.st_gid,
				.why = "repository"};
			return 0;
		}
		if (copy)
			return 0;
		char *parent = path_parent(path);
		free(path);
		path = parent;
	}
	return path ? 0 : error_set_errno(error, ENOMEM, "resolve", "the workspace");
}

/* A root of a layer stands for it. */
static bool has_own_workspace(const struct policy *policy)
{
	const struct strv *roots = &policy->places.roots;
	size_t length = strlen(PLACES_WORKSPACE);
	for (size_t i = 0; i < roots->count; i++)
		if (strncmp(roots->items[i], PLACES_WORKSPACE, length) == 0 &&
			(roots->items[i][length] == '\0' || roots->items[i][length] == '='))
			return true;
	return false;
}

static int find_workspace(struct findings *findings, const struct policy *policy,
	const struct host_facts *facts, struct error *error)
{
	int r = has_own_workspace(policy) ? 0 : find_repository(findings, facts, error);
	if (r < 0 || findings->workspace.path)
		return r;
	enum policy_mode mode = policy->mode ? policy->mode : policy->profile->mode;
	if (mode != MODE_WORKSPACE_WRITE || has_own_workspace(policy))
		return 0;
	/* Asked for by name outside of a repository: the directory itself. */
	findings->workspace = findings->directory;
	findings->workspace.path = strdup(findings->directory.path);
	if (!findings->workspace.path)
		return error_set_errno(error, ENOMEM, "resolve", "the workspace");
	if (policy->profile->view == VIEW_HOST &&
		never_a_workspace(findings->workspace.path, facts) &&
		strcmp(findings->workspace.path, facts->home) != 0) {
		error_set(error, EINVAL, "resolve", "%s is too wide for a workspace",
			findings->workspace.path);
		return error_hint(
			error, "cd into the project, or name what may be written: --write DIR");
	}
	return 0;
}

static const char *access_flag(enum path_access access)
{
	static const char *const flags[] = {
		[ACCESS_WRITE] = "--write",
		[ACCESS_READ_ONLY] = "--read-only",
		[ACCESS_DENY_READ] = "--deny-read",
		[ACCESS_ALLOW_READ] = "--allow-read",
		[ACCESS_CONNECT] = "--allow-unix",
	};
	return flags[access];
}

/* System trees that no policy may open for writing: they are not files of the user's work. */
static bool never_writable(const char *path)
{
	static const char *const trees[] = {"/proc", "/sys", "/dev", "/run"};
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		if (path_is_below(path, trees[i]) && strcmp(path, "/dev/shm") != 0)
			return true;
	return strcmp(path, "/") == 0;
}

static int find_glob(
	struct findings *findings, const struct policy_path *entry, struct error *error)
{
	const char *pattern = entry->path;
	cleanup_free char *absolute = path_absolute(findings->directory.path, pattern);
	if (!absolute)
		return error_set_errno(error, errno, "resolve", "--deny-read %.200s", pattern);
	cleanup_strv struct strv matches = {0};
	int r = glob_expand(absolute, &matches, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < matches.count; i++) {
		struct stat st;
		if (lstat(matches.items[i], &st) < 0 || S_ISLNK(st.st_mode))
			continue; /* a link hides nothing: what it leads to has its own path */
		r = found_paths_add(&findings->paths, matches.items[i], ACCESS_DENY_READ,
			ORIGIN_POLICY, &st, "--deny-read");
		if (r < 0)
			return error_set_errno(error, -r, "resolve", "--deny-read");
		findings->paths.items[findings->paths.count - 1].entry = entry;
	}
	if (matches.count == 0)
		findings_note(findings, "deny-read: nothing matches %s at this moment", pattern);
	return 0;
}

static int find_policy_path(
	struct findings *findings, const struct policy_path *entry, struct error *error)
{
	if (entry->access == ACCESS_DENY_READ && path_is_glob(entry->path))
		return find_glob(findings, entry, error);
	cleanup_free char *path = NULL;
	struct stat st;
	int r = resolve_path(findings->directory.path, entry->path, access_flag(entry->access),
		&path, &st, error);
	if (r == -ENOENT && entry->access == ACCESS_DENY_READ) {
		error->errno_value = 0;
		return findings_note(
			findings, "deny-read: %s does not exist at this moment", entry->path);
	}
	if (r < 0)
		return r;
	if (entry->access == ACCESS_WRITE && !S_ISDIR(st.st_mode)) {
		error_set(error, ENOTDIR, "resolve", "--write %s is not a directory", path);
		return error_hint(error, "a writable root is a directory: name the one it is in");
	}
	if (entry->access == ACCESS_WRITE && never_writable(path)) {
		error_set(error, EINVAL, "resolve", "--write %s cannot be given", path);
		return error_hint(error, "name the directories that the work is about");
	}
	if (entry->access == ACCESS_CONNECT && !S_ISSOCK(st.st_mode))
		return error_set(
			error, ENOTSOCK, "resolve", "--allow-unix %s is no unix socket", path);
	/* An earlier box may have made a directory of the workspace into a link to elsewhere. */
	cleanup_free char *named = path_absolute(findings->directory.path, entry->path);
	const char *workspace = findings->workspace.path;
	if (entry->access != ACCESS_DENY_READ && named && workspace &&
		path_is_below(named, workspace) && !path_is_below(path, workspace)) {
		error_set(error, ELOOP, "resolve", "%s %s leads out of the workspace, to %s",
			access_flag(entry->access), entry->path, path);
		return error_hint(error, "if that is meant, name the place itself");
	}
	if (entry->access == ACCESS_DENY_READ && strcmp(path, "/") == 0)
		return error_set(error, EINVAL, "resolve", "--deny-read / leaves nothing to run");
	r = found_paths_add(&findings->paths, path, entry->access, ORIGIN_POLICY, &st,
		access_flag(entry->access));
	if (r < 0)
		return error_set_errno(error, -r, "resolve", "%s", path);
	findings->paths.items[findings->paths.count - 1].entry = entry;
	return 0;
}

/* Adds a default that exists, at its real place: a linked ~/.ssh is hidden where it leads. */
static int add_default(
	struct findings *findings, const char *path, enum path_access access, const char *why)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	if (S_ISLNK(st.st_mode)) {
		char real[PATH_MAX];
		if (!realpath(path, real) || lstat(real, &st) < 0)
			return 0;
		return found_paths_add(&findings->paths, real, access, ORIGIN_DEFAULT, &st, why);
	}
	/* A component above may be a link: the plan needs the real path. */
	char real[PATH_MAX];
	if (!realpath(path, real))
		return 0;
	return found_paths_add(&findings->paths, real, access, ORIGIN_DEFAULT, &st, why);
}

/* The names in dir, so that a table of paths below it costs a look-up each and not a system call.
 * False: there are too many, or they cannot be listed. */
static bool list_names(int dir, struct strv *ret)
{
	enum { MOST = 1024 };
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return false;
	for (struct dirent *entry; (entry = readdir(stream));)
		if (ret->count >= MOST || strv_add(ret, entry->d_name) < 0)
			return false;
	return true;
}

static bool may_exist(const struct strv *names, const char *path)
{
	char first[MAX_NAME_BYTES + 1];
	size_t length = strcspn(path, "/");
	if (length > MAX_NAME_BYTES)
		return false;
	memcpy(first, path, length);
	first[length] = '\0';
	return strv_contains(names, first);
}

static int find_credentials(struct findings *findings, const char *home)
{
	cleanup_close int fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	cleanup_strv struct strv names = {0};
	bool listed = list_names(fd, &names);
	size_t count;
	const struct names_credential *table = names_credentials(&count);
	for (size_t i = 0; i < count; i++) {
		struct stat st;
		if ((listed && !may_exist(&names, table[i].path)) ||
			fstatat(fd, table[i].path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		cleanup_free char *path = path_join(home, table[i].path);
		int r = path ? add_default(findings, path, ACCESS_DENY_READ, table[i].what)
			     : -ENOMEM;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Hides a place that is somebody else's, where the caller could look into it at all: a mount for
 * what permissions already close would only cost. As root everything is open. */
static int hide_foreign(struct findings *findings, const struct host_facts *facts, const char *path,
	const char *why)
{
	bool closed = !facts->root && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0 &&
		      faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0;
	return closed ? 0 : add_default(findings, path, ACCESS_DENY_READ, why);
}

/* Hides every home in dir but the caller's own and the ones the workspace is in. */
static int find_other_homes(struct findings *findings, const struct host_facts *facts)
{
	cleanup_closedir DIR *dir = opendir("/home");
	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.' || entry->d_type == DT_REG)
			continue;
		cleanup_free char *path = path_join("/home", entry->d_name);
		if (!path)
			return -ENOMEM;
		if (path_is_below(facts->home, path) || path_is_below(facts->home_other, path))
			continue;
		int r = hide_foreign(findings, facts, path, "another user's home");
		if (r < 0)
			return r;
	}
	return 0;
}

static int hide_store(const char *path, void *context)
{
	return add_default(context, path, ACCESS_DENY_READ, "coffer's layers and tasks");
}

static int find_defaults(struct findings *findings, const struct host_facts *facts)
{
	int r = find_credentials(findings, facts->home);
	if (r == 0 && facts->home_other[0])
		r = find_credentials(findings, facts->home_other);
	if (r == 0)
		r = find_other_homes(findings, facts);
	if (r == 0)
		r = own_files_each_store(facts, hide_store, findings);
	static const char *const system_secrets[] = {"/etc/shadow", "/etc/shadow-", "/etc/gshadow",
		"/etc/gshadow-", "/etc/krb5.keytab", "/etc/ssl/private"};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_secrets); i++)
		r = hide_foreign(findings, facts, system_secrets[i], "system secrets");
	if (r == 0 && strcmp(facts->home, "/root") != 0)
		r = hide_foreign(findings, facts, "/root", "root's home");
	return r;
}

static int find_masks(struct findings *findings)
{
	static const char *const places[] = {"/run", "/sys", "/tmp", "/var/tmp"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct stat st;
		char real[PATH_MAX];
		if (lstat(places[i], &st) < 0)
			continue;
		const char *place = places[i];
		if (S_ISLNK(st.st_mode)) {
			if (!realpath(place, real) || stat(real, &st) < 0)
				continue;
			place = real;
		}
		if (!S_ISDIR(st.st_mode) || strv_contains(&findings->masks, place))
			continue;
		int r = strv_add(&findings->masks, place);
		if (r < 0)
			return r;
	}
	/* What language runtimes read to size themselves. */
	static const char *const harmless[] = {"/sys/devices/system"};
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
		int r = access(harmless[i], F_OK) == 0 ? strv_add(&findings->sys_shown, harmless[i])
						       : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* What of the host's / a private root shows. */
static int find_system(struct findings *findings)
{
	static const char *const names[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32",
		"etc", "opt", "nix", "gnu"};
	findings->system = calloc(ARRAY_SIZE(names), sizeof(*findings->system));
	if (!findings->system)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cleanup_free char *path = path_join("/", names[i]);
		struct stat st;
		if (!path)
			return -ENOMEM;
		if (lstat(path, &st) < 0 || (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
			continue;
		char target[PATH_MAX] = "";
		if (S_ISLNK(st.st_mode)) {
			ssize_t n = readlink(path, target, sizeof(target) - 1);
			if (n < 0)
				continue;
			target[n] = '\0';
		}
		struct found_system *entry = &findings->system[findings->system_count++];
		entry->id = (struct file_id){.device = st.st_dev, .inode = st.st_ino};
		entry->name = strdup(names[i]);
		entry->target = target[0] ? strdup(target) : NULL;
		if (!entry->name || (target[0] && !entry->target))
			return -ENOMEM;
	}
	/* The host's packages of Python: what runs here brings its own, or has them named. */
	static const char *const packages[] = {"/usr/lib/python3*/dist-packages",
		"/usr/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages",
		"/usr/local/lib/python3*/site-packages"};
	for (size_t i = 0; i < ARRAY_SIZE(packages); i++)
		if (glob_expand(packages[i], &findings->python_packages, NULL) < 0)
			return -ENOMEM;
	static const char *const replaced[] = {"/etc/passwd", "/etc/group", "/etc/hostname",
		"/etc/hosts", "/etc/machine-id", "/etc/resolv.conf"};
	for (size_t i = 0; i < ARRAY_SIZE(replaced); i++) {
		struct stat st;
		if (lstat(replaced[i], &st) == 0 && S_ISREG(st.st_mode) &&
			strv_add(&findings->replaced, replaced[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Nothing can be written where the copy was made of; but what is hidden in the copy is hidden
 * there, too. */
static int scan_copied(struct findings *findings, struct error *error)
{
	struct scan_result *scan = &findings->scan;
	size_t kept = scan->count;
	int r = scan_root(findings->copied, scan, error);
	for (size_t i = kept; i < scan->count; i++) {
		if (scan->items[i].kind == SCAN_SECRET)
			scan->items[kept++] = scan->items[i];
		else
			free(scan->items[i].path);
	}
	scan->count = kept;
	return r;
}

/* Scans the workspace and each further root, but a root inside another only once. */
static int scan_roots(
	struct findings *findings, enum policy_mode mode, bool hide_secrets, struct error *error)
{
	bool workspace = findings->workspace.path && (mode == MODE_WORKSPACE_WRITE || hide_secrets);
	if (workspace) {
		int r = scan_root(findings->workspace.path, &findings->scan, error);
		if (r < 0)
			return r;
	}
	if (findings->copied && hide_secrets) {
		int r = scan_copied(findings, error);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < findings->paths.count; i++) {
		const struct found_path *path = &findings->paths.items[i];
		/* A layer over the whole system: nothing of it comes to the host by itself. */
		if (path->access != ACCESS_WRITE || strcmp(path->why, system_layer) == 0)
			continue;
		if (workspace && strcmp(path->path, findings->workspace.path) == 0)
			continue;
		int r = scan_root(path->path, &findings->scan, error);
		if (r < 0)
			return r;
	}
	if (findings->scan.truncated)
		return findings_note(findings,
			"scan: a workspace is too large to be searched whole; deeper secrets and "
			"repositories are protected only if named by --read-only or --deny-read");
	return 0;
}

/* The file systems that know idmapped mounts, and since which kernel: the FS_ALLOW_IDMAP flags in
 * the kernel's own sources. What is not here does not, or not surely. */
static bool maps_ids(const char *path, unsigned kernel_version)
{
	static const struct {
		long type;
		unsigned major, minor;
	} table[] = {{EXT4_SUPER_MAGIC, 5, 12}, {XFS_SUPER_MAGIC, 5, 12},
		{MSDOS_SUPER_MAGIC, 5, 12}, {BTRFS_SUPER_MAGIC, 5, 15}, {F2FS_SUPER_MAGIC, 5, 18},
		{TMPFS_MAGIC, 6, 3}};
	struct statfs fs;
	if (statfs(path, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if ((long)fs.f_type == table[i].type)
			return kernel_version >= (table[i].major << 8 | table[i].minor);
	return false;
}

static int add_place(struct findings *findings, const char *pair, bool root, struct error *error)
{
	cleanup_free char *left = NULL, *right = NULL;
	if (places_split(pair, &left, &right) < 0)
		return error_set_errno(error, ENOMEM, "resolve", "%.200s", pair);
	const char *from = root ? right : left;
	struct found_place place = {.writable = root};
	struct stat st;
	int r = from ? resolve_path(
			       "/", from, root ? "layer-root" : "view", &place.path, &st, error)
		     : 0;
	if (r < 0)
		return r;
	if (from)
		place.id = (struct file_id){.device = st.st_dev, .inode = st.st_ino};
	place.inside = strdup(root ? left : right);
	struct found_place *places =
		reallocarray(findings->places, findings->places_count + 1, sizeof(*places));
	if (places)
		findings->places = places;
	if (!place.inside || !places) {
		free(place.inside);
		free(place.path);
		return error_set_errno(error, ENOMEM, "resolve", "%.200s", pair);
	}
	places[findings->places_count++] = place;
	return 0;
}

static int find_places(struct findings *findings, const struct policy *policy, struct error *error)
{
	const struct policy_places *places = &policy->places;
	int r = 0;
	for (size_t i = 0; r == 0 && i < places->roots.count; i++)
		r = add_place(findings, places->roots.items[i], true, error);
	for (size_t i = 0; r == 0 && i < places->views.count; i++)
		r = add_place(findings, places->views.items[i], false, error);
	return r;
}

/* Every directory at the top of the host that holds files and not the kernel's or the moment's. An
 * overlay on / itself the kernel refuses, where mounts below it are locked. */
static int find_system_directories(
	struct findings *findings, const struct host_facts *facts, struct error *error)
{
	static const char *const others[] = {
		"dev", "proc", "sys", "run", "tmp", "boot", "efi", "lost+found", "mnt", "media"};
	if (!facts->root || !findings->id_maps) {
		error_set(error, EPERM, "resolve",
			"--layer-system: an overlay of this user's cannot hold files of root's");
		return error_hint(error,
			facts->root ? "the file system here cannot map ids"
				    : "run it as root, or install below the workspace or the home");
	}
	cleanup_closedir DIR *dir = opendir("/");
	if (!dir)
		return error_set_errno(error, errno, "resolve", "/");
	for (struct dirent *entry; (entry = readdir(dir));) {
		bool skip = entry->d_name[0] == '.';
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			skip = skip || strcmp(entry->d_name, others[i]) == 0;
		struct stat st;
		if (skip || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISDIR(st.st_mode))
			continue;
		cleanup_free char *path = path_join("/", entry->d_name);
		int r = path ? found_paths_add(&findings->paths, path, ACCESS_WRITE, ORIGIN_POLICY,
				       &st, system_layer)
			     : -ENOMEM;
		if (r < 0)
			return error_set_errno(error, -r, "resolve", "--layer-system");
	}
	return 0;
}

static enum policy_mode effective_mode(const struct policy *policy, const struct findings *findings)
{
	if (policy->mode)
		return policy->mode;
	if (policy->profile->mode)
		return policy->profile->mode;
	return findings->version_control ? MODE_WORKSPACE_WRITE : MODE_READ_ONLY;
}

/* Where a secret comes from a file, the box sees the file as little as the value. Egress reads it
 * by the path as it is written, from where coffer was started. */
static int find_secret_files(
	struct findings *findings, const struct network_policy *network, struct error *error)
{
	static const char prefix[] = "file:";
	cleanup_free char *cwd = getcwd(NULL, 0);
	for (size_t i = 0; i < network->secrets_count; i++) {
		const char *from = network->secrets[i].from;
		if (strncmp(from, prefix, strlen(prefix)) != 0)
			continue;
		cleanup_free char *path = NULL;
		struct stat st;
		int r = resolve_path(
			cwd ? cwd : "/", from + strlen(prefix), "--net-secret", &path, &st, error);
		if (r == -ENOENT) {
			error->errno_value = 0; /* egress, too, will not find it, and says so */
			continue;
		}
		if (r < 0)
			return r;
		if (!S_ISREG(st.st_mode))
			continue; /* nor does it take anything else */
		r = found_paths_add(&findings->paths, path, ACCESS_DENY_READ, ORIGIN_POLICY, &st,
			"--net-secret");
		if (r < 0)
			return error_set_errno(error, -r, "resolve", "%s", path);
	}
	return 0;
}

/* What depends on whether there is a network. */
static int find_network(struct findings *findings, const struct policy *policy,
	bool *ret_hide_secrets, struct error *error)
{
	struct network_policy network;
	int r = policy_network(policy, &network, error);
	bool open = r == 0 && network_is_open(&network);
	*ret_hide_secrets = plan_hides_secrets(policy, &network);
	if (open)
		r = find_secret_files(findings, &network, error);
	network_policy_release(&network);
	if (r < 0)
		return r;
	if (!open)
		return r;
	findings->resolv_conf = realpath("/etc/resolv.conf", NULL);
	findings->hosts = realpath("/etc/hosts", NULL);
	const char *const *bundles = trust_bundles();
	for (size_t i = 0; bundles[i] && !findings->certificates; i++)
		findings->certificates = realpath(bundles[i], NULL);
	return 0;
}

/* The library that tells of refusals: beside the program, as in a build directory, or installed. */
static int find_witness(struct findings *findings, const struct policy *policy, struct error *error)
{
	char beside[PATH_MAX];
	if (policy_witness(policy) != WITNESS_ON)
		return 0;
	if (sibling_path(WITNESS_LIBRARY_NAME, "witness", beside, error) < 0)
		return -error->errno_value;
	const char *const places[] = {beside, COFFER_LIBRARY_DIR "/" WITNESS_LIBRARY_NAME};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char real[PATH_MAX];
		struct stat st;
		if (!realpath(places[i], real) || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		findings->witness = strdup(real);
		findings->witness_id = (struct file_id){.device = st.st_dev, .inode = st.st_ino};
		return findings->witness ? 0
					 : error_set_errno(error, ENOMEM, "resolve", "%s", real);
	}
	return 0;
}

static int resolve_all(struct findings *findings, const struct policy *policy,
	const struct host_facts *facts, struct error *error)
{
	int r = find_directory(findings, policy, error);
	if (r < 0)
		return r;
	r = find_workspace(findings, policy, facts, error);
	if (r < 0)
		return r;
	enum policy_mode mode = effective_mode(policy, findings);
	if (mode == MODE_FULL_ACCESS)
		return 0;
	if (facts->root)
		findings->id_maps = maps_ids("/", facts->kernel_version) &&
				    maps_ids(findings->directory.path, facts->kernel_version);
	r = find_places(findings, policy, error);
	if (r == 0 && policy->layer_system)
		r = find_system_directories(findings, facts, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < policy->paths_count; i++) {
		r = find_policy_path(findings, &policy->paths[i], error);
		if (r < 0)
			return r;
	}
	if (policy->profile->view == VIEW_HOST) {
		r = find_defaults(findings, facts);
		if (r == 0)
			r = find_masks(findings);
	} else {
		r = find_system(findings);
		if (r == 0)
			r = find_masks(findings);
	}
	if (r < 0)
		return error_set_errno(error, -r, "resolve", "the defaults");
	struct git_dirs dirs;
	if (policy->git == GIT_COMMIT && findings->workspace.path &&
		git_dirs_find(findings->workspace.path, &dirs) == 0) {
		findings->own_git_dir = steal_pointer(&dirs.common_dir);
		git_dirs_release(&dirs);
	}
	bool hide_secrets;
	r = find_network(findings, policy, &hide_secrets, error);
	if (r == 0)
		r = scan_roots(findings, mode, hide_secrets, error);
	if (r == 0)
		r = own_files_find(findings, facts, mode, error);
	if (r < 0)
		return r;
	if (mode == MODE_WORKSPACE_WRITE && policy->profile->view == VIEW_HOST &&
		findings->workspace.path) {
		r = cache_dir_find(
			facts, &findings->workspace, &findings->cache, &findings->cache_id);
		if (r < 0 && r != -EPERM)
			findings_note(findings, "caches: no private cache directory (%s)",
				strerrordesc_np(-r));
	}
	r = find_witness(findings, policy, error);
	return r < 0 ? r : listings_find(policy, facts, mode, findings, error);
}

int resolve(const struct policy *policy, const struct host_facts *facts, struct findings *ret,
	struct error *error)
{
	struct findings findings = {.copy = policy->places.copy, .copied = policy->places.copied};
	int r = resolve_all(&findings, policy, facts, error);
	if (r < 0) {
		findings_release(&findings);
		return r;
	}
	*ret = findings;
	return 0;
}

void findings_release(struct findings *findings)
{
	free(findings->directory.path);
	free(findings->workspace.path);
	for (size_t i = 0; i < findings->paths.count; i++)
		free(findings->paths.items[i].path);
	free(findings->paths.items);
	scan_result_release(&findings->scan);
	for (size_t i = 0; i < findings->places_count; i++) {
		free(findings->places[i].inside);
		free(findings->places[i].path);
	}
	free(findings->places);
	strv_release(&findings->masks);
	strv_release(&findings->sys_shown);
	for (size_t i = 0; i < findings->system_count; i++) {
		free(findings->system[i].name);
		free(findings->system[i].target);
	}
	free(findings->system);
	strv_release(&findings->replaced);
	free(findings->resolv_conf);
	free(findings->hosts);
	free(findings->certificates);
	free(findings->cache);
	free(findings->witness);
	free(findings->own_git_dir);
	strv_release(&findings->python_packages);
	listings_release(findings);
	strv_release(&findings->notes);
	*findings = (struct findings){0};
}
