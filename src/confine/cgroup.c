/* Theory of operation: a box gets one child group in each hierarchy that a limit needs. On v2 and
 * where v1 and v2 live side by side, the v2 group also freezes and kills; on pure v1 the freezer
 * does. The groups of one box carry one name everywhere.
 *
 * Who cleans up after kill -9: the supervisor holds a lock (flock) on each group's directory for as
 * long as it lives, which the kernel drops with its last descriptor. A start that gets the lock of
 * a group therefore knows that nobody owns it, with no guessing from process ids, which are reused
 * and mean different things in different PID namespaces. The directories are made for their owner
 * only, so that no other user can hold a lock in the way. */
#include "confine/cgroup.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "confine/cgroup_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

static const char stage[] = "control group";

enum {
	MAKE_ATTEMPTS = 4,
	LOCK_ATTEMPTS = 50,
	LOCK_PAUSE_US = 1000,
	REMOVE_PATIENCE_US = 200000,
	REMOVE_PAUSE_US = 500,
};

struct group {
	int fd;        /* the directory; carries the lock */
	int parent_fd; /* for rmdir */
	int enter_fd;  /* for a process that moves itself in */
	unsigned version;
	unsigned controllers; /* those of this group that are used */
};

struct cgroup {
	char name[64];
	struct group groups[MAX_HIERARCHIES];
	size_t count;
	uint64_t memory_peak_bytes; /* of the calls of cgroup_read_usage() */
};

static const struct group_operations *operations(const struct group *group)
{
	return group->version == 2 ? &cgroup_v2_operations : &cgroup_v1_operations;
}

void cgroup_probe(struct host_facts *facts)
{
	struct hierarchies found;
	hierarchies_find(&cgroup_source_kernel, CONTROLLERS_OF_LIMITS, &found);
	unsigned controllers = 0;
	for (size_t i = 0; i < found.count; i++)
		controllers |= found.items[i].controllers;
	hierarchies_release(&found);
	facts->cgroup = found.kind;
	facts->cgroup_memory = controllers & CONTROLLER_MEMORY;
	facts->cgroup_cpu = controllers & CONTROLLER_CPU;
	facts->cgroup_pids = controllers & CONTROLLER_PIDS;
	facts->cgroup_freezer = controllers & CONTROLLER_FREEZER;
	facts->cgroup_usable = controllers & CONTROLLERS_OF_LIMITS;
}

/* Removes one group below parent_fd if nobody holds it; if processes are left inside, kills them,
 * and the next start removes it. */
static void sweep_one(int parent_fd, const char *name)
{
	cleanup_close int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
		flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno == EBUSY) {
		(void)group_kill_members(fd, name);
		(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
	}
}

void cgroup_sweep(int parent_fd, uint64_t random)
{
	int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(&fd);
		return;
	}
	const size_t prefix = strlen(CGROUP_NAME_PREFIX);
	uint64_t count = 0, skip = 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strncmp(entry->d_name, CGROUP_NAME_PREFIX, prefix) == 0;
	if (count == 0)
		return;
	if (count > MAX_SWEPT_GROUPS)
		skip = random % (count - MAX_SWEPT_GROUPS + 1);
	count = 0;
	rewinddir(dir);
	for (struct dirent *entry; count < skip + MAX_SWEPT_GROUPS && (entry = readdir(dir));)
		if (strncmp(entry->d_name, CGROUP_NAME_PREFIX, prefix) == 0 && count++ >= skip)
			sweep_one(parent_fd, entry->d_name);
}

/* A sweep holds a lock for an instant. Anybody who may open the directory could hold one for ever,
 * a box of the landlock tier among them: so it is not waited for long. */
static int lock_new(int fd)
{
	for (int i = 0; i < LOCK_ATTEMPTS; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_US * 1000}, NULL);
	}
	return -EWOULDBLOCK;
}

/* Makes and locks the directory. -EAGAIN: another start's sweep came between the two. */
static int group_create(int parent_fd, const char *name, int *ret_fd)
{
	if (mkdirat(parent_fd, name, 0700) < 0)
		return -errno;
	cleanup_close int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	struct stat ours, there;
	int r = lock_new(fd);
	if (r < 0) {
		unlinkat(parent_fd, name, AT_REMOVEDIR);
		return r;
	}
	if (fstat(fd, &ours) < 0)
		return -errno;
	if (fstatat(parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
		ours.st_ino != there.st_ino)
		return -EAGAIN;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int group_add(struct cgroup *cgroup, const struct hierarchy *hierarchy, unsigned controllers,
	const struct limits *limits, uint64_t random, struct error *error)
{
	cleanup_close int parent_fd = open(hierarchy->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0)
		return error_set_errno(error, errno, stage, "cannot open %s", hierarchy->parent);
	cgroup_sweep(parent_fd, random);

	int fd = -1, result = -EAGAIN;
	for (int attempt = 0; result == -EAGAIN && attempt < MAKE_ATTEMPTS; attempt++)
		result = group_create(parent_fd, cgroup->name, &fd);
	if (result < 0)
		return error_set_errno(
			error, -result, stage, "cannot make a group in %s", hierarchy->parent);
	struct group *group = &cgroup->groups[cgroup->count++];
	*group = (struct group){.fd = fd,
		.parent_fd = steal_fd(&parent_fd),
		.version = hierarchy->version,
		.controllers = controllers};
	/* v1's "tasks" moves one thread: if that is the writer, no lock over all
	 * processes is needed. */
	const char *file = group->version == 2 ? "cgroup.procs" : "tasks";
	group->enter_fd = openat(fd, file, O_WRONLY | O_CLOEXEC);
	if (group->enter_fd < 0)
		return error_set_errno(error, errno, stage, "cannot open %s of a group in %s", file,
			hierarchy->parent);
	result = operations(group)->set_limits(fd, controllers, limits, &file);
	if (result < 0)
		return error_set_errno(error, -result, stage, "cannot set %s of a group in %s",
			file, hierarchy->parent);
	return 0;
}

/* The controllers that the limits need and the facts allow. */
static unsigned controllers_needed(const struct host_facts *facts, const struct limits *limits)
{
	return (limits->memory_bytes && facts->cgroup_memory ? CONTROLLER_MEMORY : 0) |
	       (limits->cpu_milli && facts->cgroup_cpu ? CONTROLLER_CPU : 0) |
	       (limits->pids && facts->cgroup_pids ? CONTROLLER_PIDS : 0);
}

/* Which of its controllers each hierarchy is used for: use[i] is 0 for one that is left alone.
 * Returns all that are used. */
static unsigned choose(
	const struct hierarchies *found, unsigned needed, unsigned use[MAX_HIERARCHIES])
{
	unsigned all = 0;
	for (size_t i = 0; i < found->count; i++) {
		use[i] = found->items[i].controllers & needed & ~all;
		all |= use[i];
	}
	if (!all)
		return 0;
	/* To freeze: v2, which can kill as well and costs no move, before the freezer. */
	const struct hierarchy *best = NULL;
	for (size_t i = 0; i < found->count; i++) {
		const struct hierarchy *item = &found->items[i];
		if ((item->controllers & CONTROLLER_FREEZER) &&
			(!best || item->version > best->version))
			best = item;
	}
	if (best)
		use[best - found->items] |= CONTROLLER_FREEZER;
	/* Where it comes for nothing, CPU time is counted too. */
	for (size_t i = 0; i < found->count; i++)
		if (use[i])
			use[i] |= found->items[i].controllers & CONTROLLER_CPUACCT;
	return all;
}

int cgroup_make(const struct host_facts *facts, const struct limits *limits, struct cgroup **ret,
	unsigned *ret_enforced, struct error *error)
{
	*ret = NULL;
	*ret_enforced = 0;
	unsigned needed = facts->cgroup_usable ? controllers_needed(facts, limits) : 0;
	if (!needed)
		return 0;
	struct hierarchies found;
	unsigned use[MAX_HIERARCHIES];
	hierarchies_find(&cgroup_source_kernel, needed, &found);
	unsigned all = choose(&found, needed, use);
	if (!all) {
		hierarchies_release(&found);
		return 0;
	}

	int result = 0;
	uint64_t random = 0;
	struct cgroup *cgroup = calloc(1, sizeof(*cgroup));
	if (!cgroup || getrandom(&random, sizeof(random), 0) != sizeof(random))
		result = error_set(error, cgroup ? EIO : ENOMEM, stage, "no %s",
			cgroup ? "random numbers" : "memory");
	else
		snprintf(cgroup->name, sizeof(cgroup->name), CGROUP_NAME_PREFIX "%d-%016" PRIx64,
			getpid(), random);
	for (size_t i = 0; result == 0 && i < found.count; i++)
		if (use[i])
			result = group_add(cgroup, &found.items[i], use[i], limits, random, error);
	hierarchies_release(&found);
	if (result < 0) {
		cgroup_free(cgroup);
		return result;
	}
	*ret_enforced = (all & CONTROLLER_MEMORY ? LIMIT_MEMORY : 0) |
			(all & CONTROLLER_CPU ? LIMIT_CPU : 0) |
			(all & CONTROLLER_PIDS ? LIMIT_PIDS : 0);
	*ret = cgroup;
	return 0;
}

int cgroup_clone_v2_fd(const struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->count; i++)
		if (cgroup->groups[i].version == 2)
			return cgroup->groups[i].fd;
	return -1;
}

int cgroup_clone_fd(const struct cgroup *cgroup)
{
	return cgroup->count == 1 ? cgroup_clone_v2_fd(cgroup) : -1;
}

int cgroup_enter(const struct cgroup *cgroup, bool cloned_into, struct error *error)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		const struct group *group = &cgroup->groups[i];
		if (cloned_into && group->version == 2)
			continue;
		if (write(group->enter_fd, "0", 1) < 0)
			return error_set_errno(
				error, errno, stage, "cannot enter %s", cgroup->name);
	}
	return 0;
}

int cgroup_place(const struct cgroup *cgroup, pid_t pid, struct error *error)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		int result =
			group_write_number(cgroup->groups[i].fd, "cgroup.procs", (uint64_t)pid);
		if (result < 0)
			return error_set_errno(
				error, -result, stage, "cannot move the box into %s", cgroup->name);
	}
	return 0;
}

/* The group that reaches the box's processes best: one that freezes, else one that stops forks. */
static const struct group *group_to_kill_by(const struct cgroup *cgroup)
{
	static const unsigned preference[] = {CONTROLLER_FREEZER, CONTROLLER_PIDS};
	for (size_t p = 0; p < ARRAY_SIZE(preference); p++)
		for (size_t i = 0; i < cgroup->count; i++)
			if (cgroup->groups[i].controllers & preference[p])
				return &cgroup->groups[i];
	return cgroup->count ? &cgroup->groups[0] : NULL;
}

bool cgroup_can_freeze(const struct cgroup *cgroup)
{
	const struct group *group = group_to_kill_by(cgroup);
	return group && (group->controllers & CONTROLLER_FREEZER);
}

int cgroup_freeze(const struct cgroup *cgroup, bool frozen)
{
	if (!cgroup_can_freeze(cgroup))
		return -EOPNOTSUPP;
	const struct group *group = group_to_kill_by(cgroup);
	return operations(group)->freeze(group->fd, frozen);
}

int cgroup_kill(const struct cgroup *cgroup)
{
	const struct group *group = group_to_kill_by(cgroup);
	if (!group)
		return 0;
	return operations(group)->kill(group->fd, group->controllers, cgroup->name);
}

void cgroup_read_usage(struct cgroup *cgroup, struct cgroup_usage *ret)
{
	*ret = (struct cgroup_usage){0};
	for (size_t i = 0; i < cgroup->count; i++)
		operations(&cgroup->groups[i])
			->read_usage(cgroup->groups[i].fd, cgroup->groups[i].controllers, ret);
	if (ret->memory_peak_bytes < cgroup->memory_peak_bytes)
		ret->memory_peak_bytes = cgroup->memory_peak_bytes;
	cgroup->memory_peak_bytes = ret->memory_peak_bytes;
}

void cgroup_free(struct cgroup *cgroup)
{
	if (!cgroup)
		return;
	uint64_t deadline_us = clock_now_us() + REMOVE_PATIENCE_US;
	bool killed = false;
	for (size_t i = 0; i < cgroup->count; i++) {
		struct group *group = &cgroup->groups[i];
		while (unlinkat(group->parent_fd, cgroup->name, AT_REMOVEDIR) < 0 &&
			errno == EBUSY) {
			if (!killed)
				(void)cgroup_kill(cgroup);
			killed = true;
			/* What is left then is found by the next start. */
			if (clock_now_us() >= deadline_us)
				break;
			nanosleep(&(struct timespec){.tv_nsec = REMOVE_PAUSE_US * 1000}, NULL);
		}
		close_fd(&group->enter_fd);
		close_fd(&group->fd);
		close_fd(&group->parent_fd);
	}
	free(cgroup);
}
