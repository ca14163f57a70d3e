/* Theory of operation. The quick probe runs before every command, so it asks only what the kernel
 * answers at once: a dozen system calls and at most five small files. Wherever a call can be made
 * that fails differently with and without the feature, that is preferred to comparing kernel
 * versions: distributions backport, and containers filter. The full probe corrects the quick one by
 * trials (trial.c); where the two disagree, the trial is right. */
#include "host/facts.h"
#include "host/trial.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static const struct {
	const char *name;
	const char *reason;
	const char *remedy;
} obstacles[] = {
	[USERNS_FREE] = {"none", "", ""},
	[USERNS_NOT_BUILT] = {"not_built",
		"this kernel is built without user namespaces (CONFIG_USER_NS)", ""},
	[USERNS_LIMIT_ZERO] = {"max_user_namespaces", "the sysctl user.max_user_namespaces is 0",
		"sudo sysctl -w user.max_user_namespaces=15000"},
	[USERNS_LIMIT_FULL] = {"max_user_namespaces_used_up",
		"the limit user.max_user_namespaces, here or in an outer namespace, is used up",
		"sudo sysctl -w user.max_user_namespaces=15000"},
	[USERNS_SYSCTL] = {"unprivileged_userns_clone",
		"the sysctl kernel.unprivileged_userns_clone is 0",
		"sudo sysctl -w kernel.unprivileged_userns_clone=1"},
	[USERNS_APPARMOR] = {"apparmor",
		"AppArmor takes the capabilities away in them, except for programs with a profile "
		"(it covers /usr/bin/coffer and /usr/local/bin/coffer)",
		"sudo install -m 644 " COFFER_DATA_DIR "/apparmor/coffer /etc/apparmor.d/coffer\n"
		"sudo apparmor_parser -r /etc/apparmor.d/coffer"},
	[USERNS_FILTER] = {"seccomp_filter",
		"a seccomp filter from outside (a container's or a service's) refuses them",
		"docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
		"--security-opt systempaths=unconfined IMAGE"},
	[USERNS_CHROOT] = {"chroot", "the kernel makes none for a process in a chroot",
		"sudo systemd-nspawn -D DIRECTORY"},
	[USERNS_OTHER_KIND] = {"other_namespaces",
		"user namespaces can be made, but not every other kind of namespace",
		"sudo sysctl -a --pattern 'user.max_.*_namespaces'"},
	[USERNS_MODULE] = {"security_module",
		"a security module refuses them (an AppArmor profile, SELinux's deny_userns)",
		"sudo journalctl -k --grep denied"},
	[USERNS_NO_PROC] = {"no_proc",
		"there is no writable /proc here, so that no ids can be mapped into them",
		"sudo mount -t proc proc /proc"},
	[USERNS_UNKNOWN] = {"unknown",
		"the kernel refuses them without saying why, as it does in a chroot", ""},
};

const char *userns_obstacle_name(enum userns_obstacle obstacle)
{
	return obstacles[obstacle].name;
}

void probe_set_userns_obstacle(struct host_facts *facts, enum userns_obstacle obstacle)
{
	facts->userns = obstacle == USERNS_FREE;
	facts->userns_obstacle = obstacle;
	snprintf(facts->userns_reason, sizeof(facts->userns_reason), "%s",
		obstacles[obstacle].reason);
	snprintf(facts->userns_remedy, sizeof(facts->userns_remedy), "%s",
		obstacles[obstacle].remedy);
}

/* The first bytes of a small file, NUL-terminated; false when it cannot be read. */
static bool read_start(const char *path, char *text, size_t text_bytes)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, text_bytes - 1);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* The number in a file of /proc/sys; -1 when there is none. */
static long read_sysctl(const char *path)
{
	char text[32];
	return read_start(path, text, sizeof(text)) ? strtol(text, NULL, 10) : -1;
}

/* Capabilities "in the namespace it is in" do not count for sysctls that ask the initial one. */
static bool has_initial_root(const struct host_facts *facts)
{
	char map[64];
	unsigned inside, outside, count;
	return facts->root && read_start("/proc/self/uid_map", map, sizeof(map)) &&
	       sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
	       outside == 0 && count == UINT32_MAX;
}

/* Ubuntu's restriction. It strips the capabilities of the unconfined, and of what is inside such a
 * namespace already; a profile of its own decides for a program, and what others say is not known
 * before it was tried. */
static bool apparmor_restricts(void)
{
	if (read_sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") <= 0)
		return false;
	char label[256];
	if (!read_start("/proc/self/attr/apparmor/current", label, sizeof(label)) &&
		!read_start("/proc/self/attr/current", label, sizeof(label)))
		return true;
	label[strcspn(label, "\n")] = '\0';
	return strcmp(label, "unconfined") == 0 || strstr(label, "unprivileged_userns") != NULL;
}

/* Whether a filter stands before the calls that make namespaces. Both are malformed, so that the
 * kernel itself refuses them with EINVAL before it does anything; a filter speaks earlier, and says
 * something else. */
static bool filter_refuses_namespaces(void)
{
	/* CLONE_NEWNS and CLONE_FS exclude each other. */
	long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL, NULL,
		NULL, NULL);
	if (pid == 0)
		_exit(0);
	if (pid > 0) {
		waitpid((pid_t)pid, NULL, 0);
		return false;
	}
	return errno != EINVAL;
}

static void probe_userns(struct host_facts *facts)
{
	enum userns_obstacle obstacle = USERNS_FREE;
	if (read_sysctl("/proc/sys/user/max_user_namespaces") == 0)
		obstacle = USERNS_LIMIT_ZERO;
	else if (facts->in_chroot)
		obstacle = USERNS_CHROOT;
	else if (facts->seccomp_filtered && filter_refuses_namespaces())
		obstacle = USERNS_FILTER;
	else if (read_sysctl("/proc/sys/kernel/unprivileged_userns_clone") == 0 &&
		 !has_initial_root(facts))
		obstacle = USERNS_SYSCTL;
	else if (apparmor_restricts() && !has_initial_root(facts))
		obstacle = USERNS_APPARMOR;
	probe_set_userns_obstacle(facts, obstacle);
}

static enum userns_obstacle find_obstacle(
	const struct host_facts *facts, enum userns_step step, int errno_value)
{
	if (step == USERNS_STEP_CLONE && errno_value == EINVAL)
		return USERNS_NOT_BUILT;
	if (step == USERNS_STEP_CLONE && errno_value == ENOSPC)
		return read_sysctl("/proc/sys/user/max_user_namespaces") == 0 ? USERNS_LIMIT_ZERO
									      : USERNS_LIMIT_FULL;
	if (step == USERNS_STEP_ID_MAPS && (errno_value == ENOENT || errno_value == EROFS))
		return USERNS_NO_PROC;
	if (errno_value == ENOSYS)
		return USERNS_FILTER;
	if (errno_value != EPERM && errno_value != EACCES)
		return USERNS_UNKNOWN;

	/* What is certain comes first, then what is likely. */
	if (step == USERNS_STEP_CLONE && errno_value == EPERM) {
		if (read_sysctl("/proc/sys/kernel/unprivileged_userns_clone") == 0 &&
			!has_initial_root(facts))
			return USERNS_SYSCTL;
		if (facts->in_chroot)
			return USERNS_CHROOT;
	}
	if (apparmor_restricts() && !has_initial_root(facts))
		return USERNS_APPARMOR;
	if (facts->seccomp_filtered && errno_value == EPERM)
		return USERNS_FILTER;
	return step == USERNS_STEP_CLONE && errno_value == EPERM ? USERNS_UNKNOWN : USERNS_MODULE;
}

void probe_userns_refused(struct host_facts *facts, enum userns_step step, int errno_value)
{
	probe_set_userns_obstacle(facts, find_obstacle(facts, step, errno_value));
	facts->overlay_in_userns = facts->proc_mountable = facts->idmapped_mounts = false;
}

/* Root of a user namespace (rootless containers) has not the ids that a box's own range would take:
 * it counts as an ordinary user, whose boxes map the one id that they run under. */
static bool owns_every_id(void)
{
	char map[64];
	unsigned inside, outside, count;
	return !read_start("/proc/self/uid_map", map, sizeof(map)) ||
	       sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 || count >= 0xfffffffe;
}

static bool has_sys_admin(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[0].effective & (1u << CAP_SYS_ADMIN)) != 0;
}

static void probe_kernel(struct host_facts *facts)
{
	struct utsname name;
	unsigned major = 0, minor = 0;
	if (uname(&name) < 0)
		return;
	snprintf(facts->kernel, sizeof(facts->kernel), "%s", name.release);
	if (sscanf(name.release, "%u.%u", &major, &minor) == 2)
		facts->kernel_version = major << 8 | (minor & 0xff);
	facts->wsl2 = strcasestr(name.release, "microsoft") != NULL;

	/* A root that is not the top of any mount was entered by chroot(2). A chroot into a mount
	 * point looks like any other root; only a trial finds that one. */
	struct statx root;
	facts->in_chroot = statx(AT_FDCWD, "/", 0, 0, &root) == 0 &&
			   (root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
			   !(root.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static void set_home(char *home, size_t home_bytes, const char *value)
{
	cleanup_free char *clean = value && value[0] == '/' ? path_absolute("/", value) : NULL;
	if (clean && strlen(clean) < home_bytes)
		strcpy(home, clean); /* the length was checked */
}

/* name:password:uid:gid:gecos:home:shell. coffer is static, so there is no NSS to ask: users of a
 * directory service have their $HOME and their number. */
static void probe_home(struct host_facts *facts)
{
	char home[sizeof(facts->home)] = "";
	cleanup_free char *text = NULL;
	snprintf(facts->user_name, sizeof(facts->user_name), "%u", facts->uid);
	if (fd_read_file(AT_FDCWD, "/etc/passwd", MAX_PROC_FILE_BYTES, &text, NULL) == 0) {
		for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
			char *field[6];
			size_t count = 0;
			while (count < ARRAY_SIZE(field) && (field[count] = strsep(&line, ":")))
				count++;
			char *end;
			if (count < ARRAY_SIZE(field) || field[2][0] == '\0' ||
				strtoul(field[2], &end, 10) != facts->uid || *end != '\0')
				continue;
			snprintf(facts->user_name, sizeof(facts->user_name), "%s", field[0]);
			set_home(home, sizeof(home), field[5]);
			break;
		}
	}
	set_home(facts->home, sizeof(facts->home), getenv("HOME"));
	if (facts->home[0] == '\0')
		memcpy(facts->home, home, sizeof(home));
	else if (strcmp(facts->home, home) != 0)
		memcpy(facts->home_other, home, sizeof(home));
}

static void probe_landlock(struct host_facts *facts)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	facts->landlock_abi = abi > 0 ? (int)abi : 0;
	facts->landlock_errno = abi < 0 ? errno : 0;
	long scope = read_sysctl("/proc/sys/kernel/yama/ptrace_scope");
	facts->ptrace_scope = scope > 0 ? (int)scope : 0;
}

/* seccomp(2) looks at the flags before it looks at the program, so that a NULL program tells
 * whether the flags are known: EFAULT, where unknown ones are EINVAL. */
static bool seccomp_knows(unsigned flags)
{
	return sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

static void probe_seccomp(struct host_facts *facts)
{
	facts->seccomp_filtered = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
	facts->seccomp_wait_killable = seccomp_knows(
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	facts->seccomp_listener =
		facts->seccomp_wait_killable || seccomp_knows(SECCOMP_FILTER_FLAG_NEW_LISTENER);
	facts->seccomp_sync_wake_up = facts->seccomp_listener && facts->kernel_version >= 0x606;
}

void probe_quick(struct host_facts *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->uid = geteuid();
	ret->gid = getegid();
	ret->root = ret->uid == 0 && has_sys_admin() && owns_every_id();
	probe_kernel(ret);
	probe_home(ret);
	probe_landlock(ret);
	probe_seccomp(ret);
	probe_userns(ret);
	ret->overlay_in_userns = ret->userns && ret->kernel_version >= 0x50b;
	ret->tmpfs_user_xattr = ret->kernel_version >= 0x606;
	ret->idmapped_mounts = ret->root && ret->userns && ret->kernel_version >= 0x50c;
	ret->proc_mountable = ret->userns;
}

static void probe_root_filesystem(struct host_facts *facts)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} known[] = {
		{0xef53, "ext4"}, {0x9123683e, "btrfs"}, {0x58465342, "xfs"},
		{0x794c7630, "overlay"}, {0x01021994, "tmpfs"}, {0x858458f6, "ramfs"},
		{0x2fc12fc1, "zfs"}, {0xf2f52010, "f2fs"}, {0xca451a4e, "bcachefs"},
		{0x73717368, "squashfs"}, {0xe0f5e1e2, "erofs"}, {0x6969, "nfs"},
		{0x01021997, "9p"}, {0x65735546, "fuse"}, /* virtiofs too */
	};
	struct statfs fs;
	if (statfs("/", &fs) < 0)
		return;
	snprintf(
		facts->root_filesystem, sizeof(facts->root_filesystem), "%#x", (unsigned)fs.f_type);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].magic == (uint32_t)fs.f_type)
			snprintf(facts->root_filesystem, sizeof(facts->root_filesystem), "%s",
				known[i].name);
	}
}

/* The value of container= in PID 1's environment, which only root may read. */
static void read_init_container(char *name, size_t name_bytes)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	if (fd_read_file(AT_FDCWD, "/proc/1/environ", MAX_PROC_FILE_BYTES, &text, &length) < 0)
		return;
	for (char *entry = text; entry < text + length; entry += strlen(entry) + 1) {
		if (strncmp(entry, "container=", 10) == 0)
			snprintf(name, name_bytes, "%s", entry + 10);
	}
}

static void probe_container(struct host_facts *facts)
{
	char *name = facts->container;
	size_t name_bytes = sizeof(facts->container);
	const char *variable = getenv("container");
	if (access("/.dockerenv", F_OK) == 0)
		snprintf(name, name_bytes, "docker");
	else if (access("/run/.containerenv", F_OK) == 0)
		snprintf(name, name_bytes, "podman");
	else if (getenv("KUBERNETES_SERVICE_HOST"))
		snprintf(name, name_bytes, "kubernetes");
	else if (variable)
		snprintf(name, name_bytes, "%s", variable);
	else if (!read_start("/run/systemd/container", name, name_bytes))
		read_init_container(name, name_bytes);
	/* It will be printed on a terminal, and others wrote it. */
	name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] =
		'\0';
}

/* What the trials found, where it differs from what the quick probe took for likely. */
static void apply_trials(struct host_facts *facts)
{
	const struct host_trials *trials = &facts->trials;
	if (trial_failed(trials->user_namespace)) {
		probe_userns_refused(facts, USERNS_STEP_CLONE, trials->user_namespace.errno_value);
	} else if (trial_failed(trials->namespaces)) {
		probe_set_userns_obstacle(facts, USERNS_OTHER_KIND);
	} else if (trial_failed(trials->id_maps)) {
		probe_userns_refused(facts, USERNS_STEP_ID_MAPS, trials->id_maps.errno_value);
	} else if (trial_failed(trials->mount)) {
		probe_userns_refused(facts, USERNS_STEP_MOUNT, trials->mount.errno_value);
	} else if (trial_worked(trials->mount)) {
		probe_set_userns_obstacle(facts, USERNS_FREE);
	}
	facts->overlay_in_userns = trial_worked(trials->overlay);
	if (trials->tmpfs_xattr.made)
		facts->tmpfs_user_xattr = trial_worked(trials->tmpfs_xattr);
	facts->proc_mountable = trial_worked(trials->proc);
	facts->idmapped_mounts = trial_worked(trials->idmapped_mount);
	facts->seccomp_listener = trial_worked(trials->listener);
	facts->seccomp_sync_wake_up = trial_worked(trials->sync_wake_up);
	facts->kvm = trial_worked(trials->kvm);
	if (trial_failed(trials->landlock)) {
		facts->landlock_abi = 0;
		facts->landlock_errno = trials->landlock.errno_value;
	}
}

void probe_full(struct host_facts *ret)
{
	probe_quick(ret);
	ret->full = true;
	ret->systemd = access("/run/systemd/system", F_OK) == 0;
	probe_container(ret);
	probe_root_filesystem(ret);
	trial_make_all(ret, &ret->trials);
	apply_trials(ret);
}
