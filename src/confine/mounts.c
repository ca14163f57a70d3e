/* Theory of operation. First every source is opened, without following a symlink, and compared with
 * the inode that was planned; from that descriptor a detached copy of its tree is taken and given
 * its flags, so that it is never attached with more than it should have. Then the root is put
 * together at a place that nobody else sees, each target again opened below the new root without
 * following symlinks, and what is mounted goes on that descriptor. A workspace that somebody
 * rearranges meanwhile can make this fail, but cannot make it mount elsewhere. Last, pivot_root. */
#include "confine/mounts.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "base/witness_ring.h"
#include "confine/witness_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Where the new root is put together: hidden from here on in this namespace anyway. */
static const char *const assembly_places[] = {"/proc", "/tmp", "/usr"};

struct assembly {
	const struct plan *plan;
	int root; /* the new root */
	struct mounts_sources *sources;
	int layer;                   /* the discarded layer's tmpfs, once there is one */
	int parts;                   /* what overlays are made of is attached there */
	int hidden_dir, hidden_file; /* templates of what stands for hidden things */
	unsigned fallbacks;
	struct error *error;
};

static int set_flags(const struct plan_mount *mount, int tree)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID,
		.propagation = MS_PRIVATE,
	};
	if (!mount->writable)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (!mount->device_nodes)
		attr.attr_set |= MOUNT_ATTR_NODEV;
	unsigned flags = AT_EMPTY_PATH | (mount->recursive ? AT_RECURSIVE : 0);
	return mount_setattr(tree, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* Turns the \040 of mountinfo back into what it stands for, in place. */
static void unescape(char *text)
{
	char *to = text;
	for (char *s = text; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Maps ids of a detached tree, mount by mount: all at once would fail for the first file system
 * that knows no id maps (a procfs, say). Only the top one must. */
static int map_tree(const struct plan_mount *mount, int tree, int userns)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return errno == EINVAL || errno == EPERM ? -ENOTSUP : -errno;
	cleanup_free char *table = NULL;
	if (!mount->recursive || fd_read_file(AT_FDCWD, "/proc/self/mountinfo", MAX_PROC_FILE_BYTES,
					 &table, NULL) < 0)
		return 0;
	char *rest = table;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char place[PATH_MAX];
		if (sscanf(line, "%*d %*d %*s %*s %4095s", place) != 1)
			continue;
		unescape(place);
		if (!path_is_below(place, mount->source) || strcmp(place, mount->source) == 0)
			continue;
		const char *below = place + strlen(mount->source) + (mount->source[1] != '\0');
		mount_setattr(tree, below, AT_SYMLINK_NOFOLLOW, &attr, sizeof(attr));
	}
	return 0;
}

int mounts_clone_tree(const struct plan_mount *mount, int userns, struct error *error)
{
	cleanup_close int source =
		sys_openat2(AT_FDCWD, mount->source, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
	if (source < 0) {
		int code = errno;
		if (mount->optional && (code == ENOENT || code == EACCES))
			return -ENOENT;
		error_set_errno(error, code, "mounts", "%s", mount->source);
		return code == ELOOP || code == ENOENT
			       ? error_hint(error,
					 "it was moved or replaced while the box was being built")
			       : -code;
	}
	struct stat st;
	if (fstat(source, &st) < 0)
		return error_set_errno(error, errno, "mounts", "%s", mount->source);
	if (mount->id.inode && (st.st_ino != mount->id.inode || st.st_dev != mount->id.device)) {
		if (mount->optional)
			return -ENOENT;
		error_set(
			error, ESTALE, "mounts", "%s is no longer what was planned", mount->source);
		return error_hint(
			error, "it was replaced while the box was being built; run it again");
	}
	cleanup_close int tree = open_tree(source, "",
		AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
			(mount->recursive ? AT_RECURSIVE : 0));
	if (tree < 0)
		return error_set_errno(
			error, errno, "mounts", "copying the tree of %s", mount->source);
	int r = set_flags(mount, tree);
	if (r < 0)
		return error_set_errno(error, -r, "mounts", "the flags of %s", mount->source);
	r = userns < 0 ? 0 : map_tree(mount, tree, userns);
	if (r < 0)
		return r == -ENOTSUP ? r
				     : error_set_errno(error, -r, "mounts", "the id map of %s",
					       mount->source);
	return steal_fd(&tree);
}

/* Makes name below parent: a directory, or an empty file to mount a file on. Only a tmpfs of the
 * box's own can be written at this point, so nothing is ever made on the host. */
static int make_component(int parent, const char *name, bool directory)
{
	if (directory)
		return mkdirat(parent, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	int fd = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	close(fd);
	return 0;
}

static int open_beneath(int root, const char *path)
{
	/* "" is the root itself. */
	int fd = sys_openat2(root, *path ? path : ".", O_PATH | O_CLOEXEC,
		RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
	return fd < 0 ? -errno : fd;
}

/* Opens target (absolute, in the box) below the new root, making what is missing. */
static int open_target(struct assembly *assembly, const char *target, bool directory)
{
	const char *path = target + 1;
	int fd = open_beneath(assembly->root, path);
	if (fd != -ENOENT)
		return fd;
	char partial[PATH_MAX];
	snprintf(partial, sizeof(partial), "%s", path);
	for (char *slash = partial;; slash++) {
		slash = strchrnul(slash, '/');
		bool last = !*slash;
		*slash = '\0';
		fd = open_beneath(assembly->root, partial);
		if (fd >= 0) {
			close(fd);
		} else {
			char parent_path[PATH_MAX];
			snprintf(parent_path, sizeof(parent_path), "%s", partial);
			char *name = strrchr(parent_path, '/');
			if (name)
				*name++ = '\0';
			cleanup_close int parent =
				open_beneath(assembly->root, name ? parent_path : "");
			if (parent < 0)
				return parent;
			int r = make_component(
				parent, name ? name : partial, last ? directory : true);
			if (r < 0)
				return r;
		}
		if (last)
			break;
		*slash = '/';
	}
	return open_beneath(assembly->root, path);
}

/* Mounts a new file system of the given type on the directory `target`. */
static int mount_fresh(int target, const char *type, unsigned long flags, const char *options)
{
	/* "." is the one path that cannot lead elsewhere: where we stand. */
	if (fchdir(target) < 0)
		return -errno;
	return mount(type, ".", type, flags, options) < 0 ? -errno : 0;
}

static int attach(int tree, int target)
{
	return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
			       0
		       ? -errno
		       : 0;
}

static int mount_tmpfs(int target, const struct plan_mount *mount)
{
	char options[160];
	int n = snprintf(options, sizeof(options), "mode=%o", mount->mode);
	if (mount->size_bytes)
		n += snprintf(options + n, sizeof(options) - (size_t)n, ",size=%llu",
			(unsigned long long)mount->size_bytes);
	else
		n += snprintf(options + n, sizeof(options) - (size_t)n, ",size=25%%");
	if (mount->inodes)
		snprintf(options + n, sizeof(options) - (size_t)n, ",nr_inodes=%llu",
			(unsigned long long)mount->inodes);
	return mount_fresh(target, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

/* Clones what is at `name` below dir (a place of the box's own) and attaches it to target. */
static int attach_copy(int dir, const char *name, int target, bool read_only)
{
	cleanup_close int tree = open_tree(
		dir, name, (*name ? 0 : AT_EMPTY_PATH) | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					      (read_only ? MOUNT_ATTR_RDONLY : 0)};
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return attach(tree, target);
}

static const char *const device_names[] = {"null", "zero", "full", "random", "urandom", "tty"};

static int add_device(int dev, const char *name)
{
	char source[32];
	snprintf(source, sizeof(source), "/dev/%s", name);
	cleanup_close int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return errno == ENOENT ? 0 : -errno;
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, .propagation = MS_PRIVATE};
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	int r = make_component(dev, name, false);
	if (r < 0)
		return r;
	cleanup_close int target = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return target < 0 ? -errno : attach(tree, target);
}

/* Hidden things are replaced by copies of these two, which nobody may open. */
static int make_hidden_templates(struct assembly *assembly, int dev)
{
	if (mkdirat(dev, ".hidden", 0755) < 0 || mkdirat(dev, ".hidden/directory", 0) < 0)
		return -errno;
	cleanup_close int fd =
		openat(dev, ".hidden/file", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	assembly->hidden_dir = openat(dev, ".hidden/directory", O_PATH | O_CLOEXEC);
	assembly->hidden_file = openat(dev, ".hidden/file", O_PATH | O_CLOEXEC);
	return assembly->hidden_dir < 0 || assembly->hidden_file < 0 ? -errno : 0;
}

static int fill_dev(struct assembly *assembly, int dev, const struct plan_mount *mount)
{
	static const struct {
		const char *name, *target;
	} links[] = {{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"}};
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0)
			return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(device_names); i++) {
		int r = add_device(dev, device_names[i]);
		if (r < 0)
			return r;
	}
	if (mkdirat(dev, "pts", 0755) < 0 || mkdirat(dev, "shm", 01777) < 0)
		return -errno;
	cleanup_close int pts = openat(dev, "pts", O_PATH | O_CLOEXEC);
	cleanup_close int shm = openat(dev, "shm", O_PATH | O_CLOEXEC);
	if (pts < 0 || shm < 0)
		return -errno;
	int r = mount_fresh(pts, "devpts", MS_NOSUID | MS_NOEXEC,
		"newinstance,ptmxmode=0666,mode=0620,max=256");
	if (r < 0)
		return r;
	struct plan_mount shared = {.mode = 01777, .size_bytes = mount->size_bytes};
	r = mount_tmpfs(shm, &shared);
	return r < 0 ? r : make_hidden_templates(assembly, dev);
}

/* CERTIFICATES_INSIDE. */
static int write_certificates(int dev, const char *certificates)
{
	cleanup_close int fd = openat(
		dev, "coffer/certificates.pem", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_full(fd, certificates, strlen(certificates));
}

/* WITNESS_RING_INSIDE: the one thing in /dev that is written to, so a mount of its own. */
static int make_ring(const struct plan *plan, int dev)
{
	cleanup_close int ring =
		openat(dev, "coffer/witness", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0);
	if (ring < 0 || fchmod(ring, 0666) < 0)
		return -errno;
	int r = witness_file_fill(plan, ring);
	if (r < 0)
		return r;
	cleanup_close int target = openat(dev, "coffer/witness", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return target < 0 ? -errno : attach_copy(dev, "coffer/witness", target, false);
}

/* What is coffer's own in the box. */
static int add_own_files(const struct plan *plan, int dev)
{
	if (mkdirat(dev, "coffer", 0755) < 0)
		return -errno;
	int r = plan->certificates ? write_certificates(dev, plan->certificates) : 0;
	return r == 0 && plan->witness == WITNESS_ON ? make_ring(plan, dev) : r;
}

static int build_dev(struct assembly *assembly, const struct plan_mount *mount)
{
	cleanup_close int target = open_target(assembly, mount->target, true);
	if (target < 0)
		return target;
	/* It holds nodes, links, and the files of the box's own; nothing after that. */
	const struct plan *plan = assembly->plan;
	size_t size_kib = 64;
	if (plan->certificates)
		size_kib += strlen(plan->certificates) / 512; /* there are two of them */
	if (plan->witness == WITNESS_ON)
		size_kib += sizeof(struct witness_ring) / 1024 + 4;
	char options[64];
	snprintf(options, sizeof(options), "mode=755,size=%zuk", size_kib);
	int r = mount_fresh(target, "tmpfs", MS_NOSUID | MS_NOEXEC, options);
	if (r < 0)
		return r;
	cleanup_close int dev = open_beneath(assembly->root, mount->target + 1);
	if (dev < 0)
		return dev;
	r = fill_dev(assembly, dev, mount);
	return r == 0 ? add_own_files(plan, dev) : r;
}

/* Where the host masks parts of /proc (as containers do), a new one may not be mounted: it would
 * show them. Nothing of the host's /proc can be shown instead, since that is the view of all its
 * processes; a few files that name nobody stand in. */
static int build_proc_stand_in(struct assembly *assembly, int target)
{
	static const char *const files[] = {
		"cpuinfo", "meminfo", "stat", "uptime", "version", "filesystems", "loadavg"};
	assembly->fallbacks |= MOUNTS_NO_PROC;
	int r = mount_fresh(target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=555,size=64k");
	if (r < 0)
		return r;
	cleanup_close int proc = open_beneath(assembly->root, "proc");
	for (size_t i = 0; proc >= 0 && i < ARRAY_SIZE(files); i++) {
		char source[32];
		snprintf(source, sizeof(source), "/proc/%s", files[i]);
		cleanup_close int tree =
			open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (tree < 0 || make_component(proc, files[i], false) < 0)
			continue;
		cleanup_close int file = openat(proc, files[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (file >= 0)
			attach(tree, file);
	}
	return proc < 0 ? proc : 0;
}

static int build_proc(struct assembly *assembly, const struct plan_mount *mount)
{
	cleanup_close int target = open_target(assembly, mount->target, true);
	if (target < 0)
		return target;
	int r = mount_fresh(target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	if (r == -EPERM || r == -EACCES)
		return build_proc_stand_in(assembly, target);
	if (r < 0)
		return r;
	/* Ports below 1024 are as good as others when the network is the box's own; not every
	 * kernel has the knob. Then nobody inside turns any knob. */
	cleanup_close int proc = open_beneath(assembly->root, mount->target + 1);
	if (proc < 0)
		return proc;
	int ports = openat(proc, "sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
	if (ports >= 0) {
		bool refused = write(ports, "0", 1) < 0 && errno != EPERM;
		int code = errno;
		close(ports);
		if (refused)
			return -code;
	}
	/* Under root's real id the files of /proc that steer the machine would be the box's own. */
	if (assembly->plan->facts.root && !assembly->plan->id_range) {
		struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
		return mount_setattr(proc, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0
			       ? -errno
			       : 0;
	}
	cleanup_close int sys = openat(proc, "sys", O_PATH | O_CLOEXEC);
	return sys < 0 ? 0 : attach_copy(sys, "", sys, true);
}

static int build_hidden(struct assembly *assembly, const struct plan_mount *mount)
{
	bool directory = mount->kind == MOUNT_HIDE_DIR;
	cleanup_close int target = open_beneath(assembly->root, mount->target + 1);
	if (target < 0)
		return target;
	return attach_copy(
		directory ? assembly->hidden_dir : assembly->hidden_file, "", target, true);
}

/* The layer is a tmpfs that is attached only while its parts are taken from it. */
static int open_layer(struct assembly *assembly)
{
	if (assembly->layer >= 0)
		return assembly->layer;
	int r = make_component(assembly->root, ".layer", true);
	if (r < 0)
		return r;
	cleanup_close int target = open_beneath(assembly->root, ".layer");
	if (target < 0)
		return target;
	struct plan_mount layer = {.mode = 0755,
		.size_bytes = assembly->plan->limits.disk_bytes,
		.inodes = assembly->plan->limits.inodes};
	r = mount_tmpfs(target, &layer);
	if (r < 0)
		return r;
	assembly->layer = open_beneath(assembly->root, ".layer");
	return assembly->layer;
}

static int build_layer_dir(struct assembly *assembly, const struct plan_mount *mount, size_t index)
{
	int layer = open_layer(assembly);
	if (layer < 0)
		return layer;
	char name[32];
	snprintf(name, sizeof(name), "dir%zu", index);
	if (mkdirat(layer, name, 0700) < 0 || fchmodat(layer, name, mount->mode, 0) < 0)
		return -errno;
	cleanup_close int target = open_target(assembly, mount->target, true);
	return target < 0 ? target : attach_copy(layer, name, target, false);
}

/* Mounts an overlay on target. The three names are relative to dir, which therefore shows up in
 * /proc/mounts inside as nothing that would tell of the host. */
static int mount_overlay(int dir, int target, const char *lower, const char *upper,
	const char *work, bool is_volatile)
{
	if (fchdir(dir) < 0)
		return -errno;
	cleanup_close int context = fsopen("overlay", FSOPEN_CLOEXEC);
	if (context < 0)
		return -errno;
	/* Without userxattr every rename of a directory gives EIO in a user namespace. */
	if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", lower, 0) < 0 ||
		fsconfig(context, FSCONFIG_SET_STRING, "upperdir", upper, 0) < 0 ||
		fsconfig(context, FSCONFIG_SET_STRING, "workdir", work, 0) < 0 ||
		fsconfig(context, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0 ||
		(is_volatile && fsconfig(context, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0) ||
		fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	cleanup_close int overlay =
		fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return overlay < 0 ? -errno : attach(overlay, target);
}

static int make_and_open(int parent, const char *name)
{
	if (mkdirat(parent, name, 0755) < 0)
		return -errno;
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The workspace of the strict view: what is written goes to the layer and away with it. */
static int build_overlay(
	struct assembly *assembly, const struct plan_mount *mount, int tree, size_t index)
{
	int layer = open_layer(assembly);
	if (layer < 0)
		return layer;
	char name[32];
	snprintf(name, sizeof(name), "overlay%zu", index);
	cleanup_close int dir = make_and_open(layer, name);
	if (dir < 0)
		return dir;
	cleanup_close int lower = make_and_open(dir, "lower");
	if (lower < 0 || mkdirat(dir, "upper", 0755) < 0 || mkdirat(dir, "work", 0755) < 0)
		return -errno;
	int r = attach(tree, lower);
	if (r < 0)
		return r;
	cleanup_close int target = open_target(assembly, mount->target, true);
	return target < 0 ? target : mount_overlay(dir, target, "lower", "upper", "work", false);
}

/* Where the parts of overlays are attached: on a tmpfs below the old root, with which they go.
 * Taken off one by one each would wait for a grace period of the kernel, 0.3 to 1.6 ms. */
static int open_parts(struct assembly *assembly)
{
	static const char place[] = "/sys"; /* nothing of a layer lies there */
	if (assembly->parts >= 0)
		return assembly->parts;
	cleanup_close int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "mode", "700", 0) < 0 ||
		fsconfig(context, FSCONFIG_SET_STRING, "size", "1m", 0) < 0 ||
		fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	cleanup_close int parts =
		fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (parts < 0 || move_mount(parts, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	assembly->parts = steal_fd(&parts);
	return assembly->parts;
}

/* Attaches a tree of the supervisor's (or a copy that is made here) at name below dir, and adds
 * name to the list of lower directories. */
static int attach_part(struct assembly *assembly, int *tree, const char *source, bool writable,
	int dir, const char *name)
{
	struct plan_mount part = {.source = (char *)source, .writable = writable};
	cleanup_close int at = make_and_open(dir, name);
	if (at < 0)
		return at;
	cleanup_close int own = steal_fd(tree);
	if (own < 0)
		own = mounts_clone_tree(&part, -1, assembly->error);
	return own < 0 ? own : attach(own, at);
}

/* An overlay on disk, which outlives the box: the mount's source at the bottom, what other layers
 * hold above it, on top what this box writes. */
static int build_stack(
	struct assembly *assembly, const struct plan_mount *mount, int tree, size_t index)
{
	const struct mounts_stack *stack = &assembly->sources->stacks[mount->stack];
	int *trees = assembly->sources->stack_trees + stack->first_tree;
	char name[32];
	snprintf(name, sizeof(name), "stack%zu", index);
	int parts = open_parts(assembly);
	cleanup_close int dir = parts < 0 ? parts : make_and_open(parts, name);
	if (dir < 0)
		return dir;
	/* One mount option holds 255 bytes: short names. */
	cleanup_buffer struct buffer lower = BUFFER_INIT(255);
	int r = attach_part(assembly, &trees[0], stack->top, true, dir, "t");
	for (size_t i = 0; r == 0 && i < stack->below.count; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		buffer_append_format(&lower, "%s%s", i ? ":" : "", name);
		r = attach_part(assembly, &trees[i + 1], stack->below.items[i], false, dir, name);
	}
	if (r == 0 && tree >= 0) {
		cleanup_close int bottom = make_and_open(dir, "b");
		r = bottom < 0 ? bottom : attach(tree, bottom);
		buffer_append_format(&lower, "%sb", lower.length_bytes ? ":" : "");
	}
	if (r < 0)
		return r;
	if (buffer_error(&lower) < 0 || !lower.data)
		return lower.data ? buffer_error(&lower) : -EINVAL;
	cleanup_close int target = open_target(assembly, mount->target, true);
	if (target < 0)
		return target;
	return mount_overlay(dir, target, lower.data, "t/upper", "t/work", stack->is_volatile);
}

/* The secrets of a set-up phase: gone with the box. */
static int build_secrets(struct assembly *assembly, const struct plan_mount *mount)
{
	cleanup_close int target = open_target(assembly, mount->target, true);
	if (target < 0)
		return target;
	int r = mount_fresh(target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=500,size=8m");
	if (r < 0)
		return r;
	cleanup_close int dir = open_beneath(assembly->root, mount->target + 1);
	if (dir < 0)
		return dir;
	const struct strv *files = &assembly->plan->secret_files;
	for (size_t i = 0; i < files->count; i++) {
		char name[MAX_NAME_BYTES + 1];
		const char *value = strchr(files->items[i], '=');
		if (!value || value - files->items[i] > MAX_NAME_BYTES)
			return -EINVAL;
		snprintf(name, sizeof(name), "%.*s", (int)(value - files->items[i]),
			files->items[i]);
		cleanup_close int fd =
			openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400);
		r = fd < 0 ? -errno : fd_write_full(fd, value + 1, strlen(value + 1));
		if (r < 0)
			return r;
	}
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	return mount_setattr(dir, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0 ? -errno
											: 0;
}

/* A file of the box's own, on top of one that is there (below a read-only mount). */
static int build_file(
	struct assembly *assembly, const struct plan_mount *mount, const char *content)
{
	cleanup_close int target = open_beneath(assembly->root, mount->target + 1);
	if (target < 0)
		return target == -ENOENT ? 0 : target;
	cleanup_close int dev = open_beneath(assembly->root, "dev/.hidden");
	if (dev < 0)
		return dev;
	const char *name = path_name(mount->target);
	cleanup_close int fd =
		openat(dev, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, content, strlen(content));
	return r < 0 ? r : attach_copy(dev, name, target, true);
}

/* Over the host's bundle, for programs that look there, and at the place that variables name. */
static int build_certificates(struct assembly *assembly, const struct plan_mount *mount)
{
	const char *content = assembly->plan->certificates;
	return content ? build_file(assembly, mount, content) : 0;
}

static int build_bind(struct assembly *assembly, const struct plan_mount *mount, int tree)
{
	struct stat st;
	if (fstat(tree, &st) < 0)
		return -errno;
	cleanup_close int target = open_target(assembly, mount->target, S_ISDIR(st.st_mode));
	if (target < 0)
		return target;
	return attach(tree, target);
}

static int build_one(struct assembly *assembly, size_t index, int tree)
{
	const struct plan_mount *mount = &assembly->plan->mounts[index];
	switch (mount->kind) {
	case MOUNT_BIND:
		return build_bind(assembly, mount, tree);
	case MOUNT_OVERLAY:
		return build_overlay(assembly, mount, tree, index);
	case MOUNT_LAYER_DIR:
		return build_layer_dir(assembly, mount, index);
	case MOUNT_TMPFS: {
		cleanup_close int target = open_target(assembly, mount->target, true);
		return target < 0 ? target : mount_tmpfs(target, mount);
	}
	case MOUNT_HIDE_DIR:
	case MOUNT_HIDE_FILE:
		return build_hidden(assembly, mount);
	case MOUNT_DEV:
		return build_dev(assembly, mount);
	case MOUNT_PROC:
		return build_proc(assembly, mount);
	case MOUNT_DIRECTORY:
		return mkdirat(assembly->root, mount->target + 1, mount->mode) < 0 &&
				       errno != EEXIST
			       ? -errno
			       : 0;
	case MOUNT_SYMLINK:
		return symlinkat(mount->source, assembly->root, mount->target + 1) < 0 ? -errno : 0;
	case MOUNT_FILE:
		return build_file(assembly, mount, mount->source);
	case MOUNT_CERTIFICATES:
		return build_certificates(assembly, mount);
	case MOUNT_GIT_LAYER:
	case MOUNT_LAYER:
		return build_stack(assembly, mount, tree, index);
	case MOUNT_SECRETS:
		return build_secrets(assembly, mount);
	}
	return -EINVAL;
}

static const char *kind_words(enum mount_kind kind)
{
	switch (kind) {
	case MOUNT_PROC:
		return "mounting an own /proc";
	case MOUNT_DEV:
		return "making a minimal /dev";
	case MOUNT_TMPFS:
	case MOUNT_LAYER_DIR:
		return "making a private file system";
	case MOUNT_OVERLAY:
	case MOUNT_GIT_LAYER:
	case MOUNT_LAYER:
		return "laying an overlay";
	default:
		return "mounting";
	}
}

bool mounts_is_from_host(const struct plan_mount *mount)
{
	return mount->source &&
	       (mount->kind == MOUNT_BIND || mount->kind == MOUNT_OVERLAY ||
		       mount->kind == MOUNT_GIT_LAYER || mount->kind == MOUNT_LAYER);
}

/* Every source, opened and copied before the first mount could hide it. */
static int clone_sources(const struct plan *plan, int *trees, struct error *error)
{
	for (size_t i = 0; i < plan->mounts_count; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		if (!mounts_is_from_host(mount) || trees[i] >= 0)
			continue;
		int tree = mounts_clone_tree(mount, -1, error);
		if (tree == -ENOENT && mount->optional)
			continue;
		if (tree < 0)
			return tree;
		trees[i] = tree;
	}
	return 0;
}

/* The new root, attached where nobody looks: the host's tree read-only, or an empty tmpfs. */
static int attach_root(struct assembly *assembly, int root_tree)
{
	struct error *error = assembly->error;
	cleanup_close int root = root_tree;
	if (root < 0 && assembly->plan->private_root) {
		cleanup_close int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
		if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "mode", "755", 0) < 0 ||
			fsconfig(context, FSCONFIG_SET_STRING, "size", "4m", 0) < 0 ||
			fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
			return error_set_errno(error, errno, "mounts", "a private root");
		root = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	} else if (root < 0) {
		struct plan_mount whole = {.source = (char *)"/", .recursive = true};
		root = mounts_clone_tree(&whole, -1, error);
		if (root < 0)
			return root;
	}
	if (root < 0)
		return error_set_errno(error, errno, "mounts", "a private root");
	int code = ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(assembly_places); i++) {
		if (move_mount(root, "", AT_FDCWD, assembly_places[i], MOVE_MOUNT_F_EMPTY_PATH) ==
			0) {
			assembly->root = steal_fd(&root);
			return 0;
		}
		code = errno;
	}
	return error_set_errno(error, code, "mounts", "attaching the new root");
}

static int enter_root(struct assembly *assembly)
{
	struct error *error = assembly->error;
	/* The box's own places that nothing writes to any more. */
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	cleanup_close int dev = open_beneath(assembly->root, "dev");
	if (dev >= 0 && mount_setattr(dev, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
		return error_set_errno(error, errno, "mounts", "closing /dev");
	if (fchdir(assembly->root) < 0)
		return error_set_errno(error, errno, "mounts", "entering the new root");
	if (assembly->layer >= 0) {
		close_fd(&assembly->layer);
		if (umount2(".layer", MNT_DETACH) < 0 || rmdir(".layer") < 0)
			return error_set_errno(error, errno, "mounts", "detaching the layer");
	}
	if (assembly->plan->private_root &&
		mount_setattr(assembly->root, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
		return error_set_errno(error, errno, "mounts", "closing the root");
	/* The old root ends up on top of the new one, and is taken off: nothing leads back. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return error_set_errno(error, errno, "mounts", "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return error_set_errno(error, errno, "mounts", "detaching the host's root");
	return chdir("/") < 0 ? error_set_errno(error, errno, "mounts", "entering the root") : 0;
}

static void close_assembly(struct assembly *assembly)
{
	close_fd(&assembly->root);
	close_fd(&assembly->layer);
	close_fd(&assembly->parts);
	close_fd(&assembly->hidden_dir);
	close_fd(&assembly->hidden_file);
}

int mounts_build(const struct plan *plan, struct mounts_sources *sources, unsigned *ret_fallbacks,
	struct error *error)
{
	struct assembly assembly = {.plan = plan,
		.sources = sources,
		.root = -1,
		.layer = -1,
		.parts = -1,
		.hidden_dir = -1,
		.hidden_file = -1,
		.error = error};
	int r = clone_sources(plan, sources->trees, error);
	if (r == 0)
		r = attach_root(&assembly, steal_fd(&sources->root_tree));
	for (size_t i = 0; r == 0 && i < plan->mounts_count; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		bool gone = sources->trees[i] < 0 && mount->kind == MOUNT_BIND;
		if (gone && mount->optional)
			continue;
		error->errno_value = 0;
		r = build_one(&assembly, i, sources->trees[i]);
		close_fd(&sources->trees[i]);
		bool hides = mount->kind == MOUNT_HIDE_DIR || mount->kind == MOUNT_HIDE_FILE;
		if (r < 0 && mount->optional && (r == -ENOENT || r == -ENOTDIR))
			r = 0;
		else if (r == -EACCES && hides)
			r = 0; /* what this id cannot even reach needs no hiding */
		else if (r < 0 && !error->errno_value)
			error_set_errno(error, -r, "mounts", "%s at %s", kind_words(mount->kind),
				mount->target);
	}
	if (r == 0)
		r = enter_root(&assembly);
	*ret_fallbacks = assembly.fallbacks;
	close_assembly(&assembly);
	return r;
}
