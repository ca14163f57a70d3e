/* Theory of operation: /proc/self/cgroup names our own group in each hierarchy; the mount table
 * tells where the hierarchy can be seen. On nearly every host it is mounted whole at its usual
 * place below /sys/fs/cgroup, and reading a mount table of a thousand lines would cost more than
 * all else here. So the usual place is tried first, and believed only if two things hold that make
 * it certain: the mount shows the hierarchy from its root (the root of a kernfs tree is inode 1),
 * and we are in the initial cgroup namespace (so the path in /proc/self/cgroup starts at that root
 * too). Otherwise the mount table decides, and a mount that shows less than our own group, or more
 * than our namespace, leaves the hierarchy unusable. */
#include "confine/cgroup_internal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

const struct cgroup_source cgroup_source_kernel = {
	.own_groups = "/proc/self/cgroup",
	.mounts = "/proc/self/mountinfo",
	.usual = "/sys/fs/cgroup",
};

static const struct {
	const char *name;
	unsigned bit;
} controllers[] = {
	{"memory", CONTROLLER_MEMORY},
	{"cpu", CONTROLLER_CPU},
	{"pids", CONTROLLER_PIDS},
	{"freezer", CONTROLLER_FREEZER},
	{"cpuacct", CONTROLLER_CPUACCT},
	{"io", CONTROLLER_IO},
};

/* The bits of a list of names, separated by any of separators. */
static unsigned controllers_parse(const char *list, const char *separators)
{
	unsigned bits = 0;
	for (const char *s = list; *s; s += strspn(s, separators)) {
		size_t length = strcspn(s, separators);
		for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
			if (strlen(controllers[i].name) == length &&
				strncmp(s, controllers[i].name, length) == 0)
				bits |= controllers[i].bit;
		s += length;
	}
	return bits;
}

/* One line of /proc/self/cgroup, cut in place: "4:cpu,cpuacct:/user.slice". */
struct own_group {
	unsigned version;
	const char *list; /* of controllers; v1 only */
	const char *path;
};

static bool own_group_parse(char *line, struct own_group *ret)
{
	char *list = strchr(line, ':');
	char *path = list ? strchr(list + 1, ':') : NULL;
	if (!path || path[1] != '/')
		return false;
	*list++ = '\0';
	*path++ = '\0';
	ret->version = strcmp(line, "0") == 0 && !*list ? 2 : 1;
	ret->list = list;
	ret->path = path;
	/* A group outside our cgroup namespace's root: nothing that we could name is ours. */
	return strncmp(path, "/..", 3) != 0;
}

/* Whether directory is the root of a whole hierarchy of that version. */
static bool is_hierarchy_root(const char *directory, unsigned version)
{
	struct statfs fs;
	struct stat st;
	long magic = version == 2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
	return statfs(directory, &fs) == 0 && fs.f_type == magic && stat(directory, &st) == 0 &&
	       st.st_ino == 1;
}

static bool in_initial_namespace(void)
{
	/* The kernel's fixed inode number of the first cgroup namespace (linux/proc_ns.h). */
	static const char initial[] = "cgroup:[4026531835]";
	char link[sizeof(initial) + 1];
	ssize_t length = readlink("/proc/self/ns/cgroup", link, sizeof(link));
	return length == sizeof(initial) - 1 && memcmp(link, initial, sizeof(initial) - 1) == 0;
}

/* The hierarchy's mount point in its usual place; NULL: not there, or out of memory. */
static char *find_usual(const char *usual, const struct own_group *own)
{
	if (own->version == 2 && is_hierarchy_root(usual, 2))
		return strdup(usual);
	cleanup_free char *mount = path_join(usual, own->version == 2 ? "unified" : own->list);
	return mount && is_hierarchy_root(mount, own->version) ? steal_pointer(&mount) : NULL;
}

/* Undoes the octal escapes of mountinfo in place. */
static void unescape(char *text)
{
	char *out = text;
	for (const char *s = text; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
			s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* What of a line of mountinfo matters here: "36 35 98:0 ROOT POINT rw - TYPE SOURCE OPTIONS". */
struct mount_line {
	char *root, *point;
	const char *type, *options;
};

static bool mount_line_parse(char *line, struct mount_line *ret)
{
	char *tail = strstr(line, " - ");
	if (!tail)
		return false;
	*tail = '\0';
	char *save = NULL, *fields[5] = {NULL};
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!(fields[i] = strtok_r(i ? NULL : line, " ", &save)))
			return false;
	ret->root = fields[3];
	ret->point = fields[4];
	ret->type = strtok_r(tail + 3, " ", &save);
	const char *source = strtok_r(NULL, " ", &save);
	ret->options = strtok_r(NULL, " ", &save);
	if (!ret->type || !source || !ret->options)
		return false;
	unescape(ret->root);
	unescape(ret->point);
	return true;
}

/* Our own group's directory by the mount table; NULL: not to be seen, or out of memory. */
static char *find_by_mounts(const char *mounts, const struct own_group *own)
{
	cleanup_free char *text = strdup(mounts);
	if (!text)
		return NULL;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct mount_line mount;
		if (!mount_line_parse(line, &mount))
			continue;
		if (strcmp(mount.type, own->version == 2 ? "cgroup2" : "cgroup") != 0)
			continue;
		unsigned wanted = controllers_parse(own->list, ",");
		if (own->version == 1 && (controllers_parse(mount.options, ",") & wanted) != wanted)
			continue;
		/* "/.." is a mount made above our cgroup namespace: it shows others' groups. */
		if (mount.root[0] != '/' || strncmp(mount.root, "/..", 3) == 0 ||
			!path_is_below(own->path, mount.root))
			continue;
		size_t skip = strcmp(mount.root, "/") == 0 ? 0 : strlen(mount.root);
		return path_absolute(mount.point, own->path[skip] ? own->path + skip + 1 : "");
	}
	return NULL;
}

/* The directory of our own group. *mounts is the mount table, read when first needed. */
static char *find_own_directory(const struct cgroup_source *source, const struct own_group *own,
	bool initial_namespace, char **mounts)
{
	cleanup_free char *top = initial_namespace ? find_usual(source->usual, own) : NULL;
	if (top)
		return path_absolute(top, own->path + 1);
	if (!*mounts &&
		fd_read_file(AT_FDCWD, source->mounts, MAX_PROC_FILE_BYTES, mounts, NULL) < 0)
		return NULL;
	return find_by_mounts(*mounts, own);
}

/* Whether this user may make groups in directory and move processes between its children. */
static bool is_delegated(const char *directory)
{
	cleanup_free char *members = path_join(directory, "cgroup.procs");
	return members && faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 &&
	       faccessat(AT_FDCWD, members, W_OK, AT_EACCESS) == 0;
}

/* On v2 a group that has processes hands no controllers down (but for the root), so the box cannot
 * be our own child: it becomes our sibling, or the sibling of an ancestor, below the nearest one
 * that is delegated to this user and already hands down what is wanted. Nothing is ever enabled
 * here: the groups that exist are not ours to change. */
static void find_parent_v2(char *own_directory, unsigned wanted, struct hierarchy *ret)
{
	cleanup_free char *directory = own_directory;
	unsigned best = 0;
	while (directory && is_delegated(directory)) {
		char text[256] = "";
		cleanup_free char *file = path_join(directory, "cgroup.subtree_control");
		if (!file || !group_read_text(AT_FDCWD, file, text, sizeof(text)))
			break;
		unsigned bits = controllers_parse(text, " \n");
		unsigned gain = (unsigned)__builtin_popcount(bits & wanted);
		if (!ret->parent || gain > best) {
			free(ret->parent);
			if (!(ret->parent = strdup(directory)))
				return;
			ret->controllers = bits | CONTROLLER_FREEZER;
			best = gain;
		}
		if ((bits & wanted) == wanted)
			return;
		char *above = path_parent(directory);
		free(directory);
		directory = above;
	}
}

void hierarchies_find(const struct cgroup_source *source, unsigned wanted, struct hierarchies *ret)
{
	*ret = (struct hierarchies){.kind = CGROUP_NONE};
	cleanup_free char *text = NULL, *mounts = NULL;
	if (fd_read_file(AT_FDCWD, source->own_groups, MAX_PROC_FILE_BYTES, &text, NULL) < 0)
		return;
	bool initial_namespace = in_initial_namespace(), v1 = false, v2 = false;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct own_group own;
		if (ret->count == MAX_HIERARCHIES || !own_group_parse(line, &own))
			continue;
		unsigned bits = controllers_parse(own.list, ",");
		if (own.version == 1 && !(bits & (wanted | CONTROLLER_FREEZER)))
			continue;
		char *directory = find_own_directory(source, &own, initial_namespace, &mounts);
		if (!directory)
			continue;
		*(own.version == 1 ? &v1 : &v2) = true;
		struct hierarchy *item = &ret->items[ret->count];
		*item = (struct hierarchy){.version = own.version, .controllers = bits};
		if (own.version == 2)
			find_parent_v2(directory, wanted, item);
		else if (is_delegated(directory))
			item->parent = directory;
		else
			free(directory);
		if (item->parent)
			ret->count++;
	}
	ret->kind = v1 && v2 ? CGROUP_HYBRID : v1 ? CGROUP_V1 : v2 ? CGROUP_V2 : CGROUP_NONE;
}

void hierarchies_release(struct hierarchies *hierarchies)
{
	for (size_t i = 0; i < hierarchies->count; i++)
		free(hierarchies->items[i].parent);
	hierarchies->count = 0;
}
