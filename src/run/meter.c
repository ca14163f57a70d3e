/* Theory of operation: a sample walks the box's process tree and adds up what /proc says cheaply,
 * which counts memory that forked processes share once for each. Only when that sum is above the
 * limit is every mapping asked for the process's share (slow), and that number decides: a server
 * that forks workers is not killed for memory it does not use. Files in the box's own tmpfs mounts
 * are counted by the file systems, memfds by their size, and both are left out of the mappings.
 *
 * The box can refuse to be looked at (prctl(PR_SET_DUMPABLE)): such a process is counted in full.
 * */
#include "run/meter.h"

#include "base/cleanup.h"
#include "base/sys.h"
#include "run/meter_proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

enum {
	/* Twice the default limit of processes. */
	MAX_PROCESSES = 8192,
	MAX_MEMFDS = 1024,
	MAX_TMPFS = 16,
	MAX_DISKS = 64,
	/* Open descriptors and CPU time are read on every eighth sample only. */
	SLOW_PACE = 8,
};

/* A file system below a writable root, and its fill at the start. */
struct disk {
	int fd;
	dev_t device;
	uint64_t used_bytes, used_inodes;
};

struct meter {
	const struct plan *plan;
	pid_t init;
	unsigned limits;
	int proc_fd;
	pid_t *pids;                  /* MAX_PROCESSES */
	struct proc_status *statuses; /* of pids */
	struct disk disks[MAX_DISKS];
	size_t disks_count;
	int tmpfs_fds[MAX_TMPFS];
	dev_t tmpfs_devices[MAX_TMPFS];
	bool tmpfs_opened;
	struct proc_counted counted;
	uint64_t samples, cost_us, cpu_us;
	uint64_t memory_peak_bytes, tasks_peak;
};

static bool read_fill(int fd, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return false;
	*ret_bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	*ret_inodes = (uint64_t)(fs.f_files - fs.f_ffree);
	return true;
}

/* Every file system once, however many roots lie on it. A root that cannot be opened is an error:
 * its growth would go unseen. */
static int open_disk(struct meter *meter, const char *root)
{
	cleanup_close int fd = open(root, O_PATH | O_CLOEXEC);
	struct stat st;
	struct disk disk;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	for (size_t d = 0; d < meter->disks_count; d++)
		if (meter->disks[d].device == st.st_dev)
			return 0;
	if (meter->disks_count == MAX_DISKS)
		return -E2BIG;
	if (!read_fill(fd, &disk.used_bytes, &disk.used_inodes))
		return -errno;
	disk.device = st.st_dev;
	disk.fd = steal_fd(&fd);
	meter->disks[meter->disks_count++] = disk;
	return 0;
}

static int open_disks(struct meter *meter)
{
	const struct plan *plan = meter->plan;
	int r = plan->layer ? open_disk(meter, plan->layer) : 0;
	for (size_t i = 0; r == 0 && i < plan->write_roots.count; i++) {
		const char *root = plan->write_roots.items[i];
		/* TMPDIR is made later, on the file system of the directory above. */
		bool later = plan->tmpdir && strcmp(root, plan->tmpdir) == 0;
		r = open_disk(meter, later ? "/tmp" : root);
	}
	return r;
}

int meter_new(const struct plan *plan, pid_t init, unsigned limits_to_meter, struct meter **ret)
{
	struct meter *meter = calloc(1, sizeof(*meter));
	if (!meter)
		return -ENOMEM;
	meter->plan = plan;
	meter->init = init;
	meter->limits = limits_to_meter;
	meter->counted.devices = meter->tmpfs_devices;
	meter->counted.memfds_capacity = MAX_MEMFDS;
	meter->pids = calloc(MAX_PROCESSES, sizeof(*meter->pids));
	meter->statuses = calloc(MAX_PROCESSES, sizeof(*meter->statuses));
	meter->counted.memfds = calloc(MAX_MEMFDS, sizeof(*meter->counted.memfds));
	meter->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = 0;
	if (!meter->pids || !meter->statuses || !meter->counted.memfds)
		result = -ENOMEM;
	else if (meter->proc_fd < 0)
		result = -errno;
	else if (limits_to_meter & (LIMIT_DISK | LIMIT_INODES))
		result = open_disks(meter);
	if (result < 0) {
		meter_free(meter);
		return result;
	}
	*ret = meter;
	return 0;
}

void meter_set_init(struct meter *meter, pid_t init)
{
	meter->init = init;
}

/* Remembers the tmpfs mounted at target inside the box whose root is root_fd. Links are not
 * followed: the box could have made them, and would have its limit counted on a file system of its
 * choice. */
static void open_tmpfs(struct meter *meter, int root_fd, const char *target)
{
	struct proc_counted *counted = &meter->counted;
	cleanup_close int fd = sys_openat2(
		root_fd, target, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	struct stat st, own_st;
	struct statfs fs;
	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC || fstat(fd, &st) < 0)
		return;
	/* The host's own at the same place (--share-tmp) is not the box's to answer for. */
	if (stat(target, &own_st) == 0 && own_st.st_dev == st.st_dev)
		return;
	for (size_t i = 0; i < counted->devices_count; i++)
		if (counted->devices[i] == st.st_dev)
			return;
	if (counted->devices_count == MAX_TMPFS)
		return;
	meter->tmpfs_fds[counted->devices_count] = steal_fd(&fd);
	counted->devices[counted->devices_count++] = st.st_dev;
}

/* The box's mounts are reached through the root of any of its processes: init may be closed to us
 * (not dumpable) where the programs it started are not. */
static void open_tmpfs_mounts(struct meter *meter, size_t processes)
{
	const struct plan *plan = meter->plan;
	if (plan->tier != TIER_CONTAINER || meter->tmpfs_opened)
		return;
	for (size_t i = processes; i-- > 0 && !meter->tmpfs_opened;) {
		char path[32];
		struct stat own_root, root;
		snprintf(path, sizeof(path), "%d/root", meter->pids[i]);
		cleanup_close int fd =
			openat(meter->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		/* Before it has pivoted, the root is still ours. */
		if (fd < 0 || fstat(fd, &root) < 0 || stat("/", &own_root) < 0 ||
			(plan->private_root && root.st_dev == own_root.st_dev))
			continue;
		open_tmpfs(meter, fd, "/");
		open_tmpfs(meter, fd, "/dev/shm");
		for (size_t m = 0; m < plan->mounts_count; m++)
			if (plan->mounts[m].kind == MOUNT_TMPFS)
				open_tmpfs(meter, fd, plan->mounts[m].target);
		meter->tmpfs_opened = true;
	}
}

static uint64_t tmpfs_bytes(const struct meter *meter)
{
	uint64_t sum = 0, bytes, inodes;
	for (size_t i = 0; i < meter->counted.devices_count; i++)
		if (read_fill(meter->tmpfs_fds[i], &bytes, &inodes))
			sum += bytes;
	return sum;
}

static void count_memfds(struct meter *meter, size_t processes)
{
	meter->counted.memfds_count = 0;
	meter->counted.memfds_bytes = 0;
	for (size_t i = 0; i < processes; i++)
		proc_count_memfds(meter->proc_fd, meter->pids[i], &meter->counted);
}

static uint64_t status_bytes(const struct proc_status *status)
{
	return status->anonymous_bytes + status->shared_bytes;
}

/* Only reached when the cheap sum is above the limit. */
static uint64_t exact_memory(struct meter *meter, size_t processes)
{
	count_memfds(meter, processes);
	uint64_t sum = meter->counted.memfds_bytes + tmpfs_bytes(meter);
	for (size_t i = 0; i < processes; i++) {
		uint64_t share;
		bool known =
			proc_read_share(meter->proc_fd, meter->pids[i], &meter->counted, &share);
		sum += known ? share : status_bytes(&meter->statuses[i]);
	}
	return sum;
}

static void sample_memory(struct meter *meter, size_t processes, struct meter_sample *ret)
{
	uint64_t sum = meter->counted.memfds_bytes + tmpfs_bytes(meter);
	for (size_t i = 0; i < processes; i++)
		sum += status_bytes(&meter->statuses[i]);
	ret->memory_exact =
		(meter->limits & LIMIT_MEMORY) && sum > meter->plan->limits.memory_bytes;
	ret->memory_bytes = ret->memory_exact ? exact_memory(meter, processes) : sum;
}

static void sample_disks(const struct meter *meter, struct meter_sample *ret)
{
	for (size_t i = 0; i < meter->disks_count; i++) {
		const struct disk *disk = &meter->disks[i];
		uint64_t bytes, inodes;
		if (!read_fill(disk->fd, &bytes, &inodes))
			continue;
		ret->disk_bytes += bytes > disk->used_bytes ? bytes - disk->used_bytes : 0;
		ret->inodes += inodes > disk->used_inodes ? inodes - disk->used_inodes : 0;
	}
}

/* What the meter costs is CPU time: waiting for a CPU on a busy host must not slow its pace. */
static uint64_t own_cpu_us(void)
{
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

int meter_sample(struct meter *meter, struct meter_sample *ret)
{
	uint64_t start_us = own_cpu_us();
	*ret = (struct meter_sample){0};
	size_t processes =
		proc_tree(meter->proc_fd, meter->init, meter->pids, MAX_PROCESSES, &ret->truncated);
	if (processes == 0)
		return -ESRCH;
	bool slow_turn = meter->samples++ % SLOW_PACE == 0;
	for (size_t i = 0; i < processes; i++) {
		meter->statuses[i] = (struct proc_status){0};
		if (proc_read_status(meter->proc_fd, meter->pids[i], &meter->statuses[i]))
			ret->tasks += meter->statuses[i].threads;
	}
	open_tmpfs_mounts(meter, processes);
	if (slow_turn) {
		uint64_t sum = 0, cpu_us;
		for (size_t i = 0; i < processes; i++)
			if (proc_read_cpu_us(meter->proc_fd, meter->pids[i], &cpu_us))
				sum += cpu_us;
		/* Time of children that nobody waited for is lost with them. */
		meter->cpu_us = sum > meter->cpu_us ? sum : meter->cpu_us;
		count_memfds(meter, processes);
	}
	ret->cpu_us = meter->cpu_us;
	sample_memory(meter, processes, ret);
	sample_disks(meter, ret);
	if (ret->memory_bytes > meter->memory_peak_bytes)
		meter->memory_peak_bytes = ret->memory_bytes;
	if (ret->tasks > meter->tasks_peak)
		meter->tasks_peak = ret->tasks;
	meter->cost_us = own_cpu_us() - start_us;
	return 0;
}

unsigned meter_interval_ms(const struct meter *meter)
{
	uint64_t interval_ms = meter->cost_us * 10 / 1000;
	if (interval_ms < METER_INTERVAL_MS)
		return METER_INTERVAL_MS;
	return interval_ms > METER_INTERVAL_MS_MAX ? METER_INTERVAL_MS_MAX : (unsigned)interval_ms;
}

bool meter_verdict(
	const struct meter *meter, const struct meter_sample *sample, struct meter_excess *ret)
{
	const struct limits *limits = &meter->plan->limits;
	const struct meter_excess checks[] = {
		{LIMIT_MEMORY, limits->memory_bytes, sample->memory_bytes},
		/* A tree too large to be looked at is too large. */
		{LIMIT_PIDS, limits->pids, sample->truncated ? UINT64_MAX : sample->tasks},
		{LIMIT_DISK, limits->disk_bytes, sample->disk_bytes},
		{LIMIT_INODES, limits->inodes, sample->inodes},
	};
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if ((meter->limits & checks[i].limit) && checks[i].allowed > 0 &&
			checks[i].seen > checks[i].allowed) {
			*ret = checks[i];
			return true;
		}
	return false;
}

uint64_t meter_memory_peak_bytes(const struct meter *meter)
{
	return meter->memory_peak_bytes;
}

uint64_t meter_tasks_peak(const struct meter *meter)
{
	return meter->tasks_peak;
}

void meter_free(struct meter *meter)
{
	if (!meter)
		return;
	for (size_t i = 0; i < meter->disks_count; i++)
		close_fd(&meter->disks[i].fd);
	for (size_t i = 0; i < meter->counted.devices_count; i++)
		close_fd(&meter->tmpfs_fds[i]);
	close_fd(&meter->proc_fd);
	free(meter->counted.memfds);
	free(meter->statuses);
	free(meter->pids);
	free(meter);
}
