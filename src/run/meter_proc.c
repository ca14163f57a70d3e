#include "run/meter_proc.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct pid_list {
	pid_t *pids;
	size_t count, capacity;
	bool truncated;
};

static void pid_list_add(struct pid_list *list, pid_t pid)
{
	if (list->count < list->capacity)
		list->pids[list->count++] = pid;
	else
		list->truncated = true;
}

/* The children of one thread. False: no such file (the thread is gone, or the kernel has none). */
static bool add_children(int proc_fd, pid_t pid, const char *thread, struct pid_list *list)
{
	char path[64], text[4096];
	snprintf(path, sizeof(path), "%d/task/%s/children", pid, thread);
	cleanup_close int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	pid_t child = 0;
	for (ssize_t length; (length = fd_read_full(fd, text, sizeof(text))) > 0;)
		for (ssize_t i = 0; i < length; i++) {
			if (isdigit((unsigned char)text[i])) {
				child = child * 10 + (text[i] - '0');
			} else if (child > 0) {
				pid_list_add(list, child);
				child = 0;
			}
		}
	return true;
}

static void add_children_of_threads(int proc_fd, pid_t pid, struct pid_list *list)
{
	char path[32];
	struct stat st;
	snprintf(path, sizeof(path), "%d/task", pid);
	/* Two links and one a thread: most processes have one thread, whose number is theirs. */
	if (fstatat(proc_fd, path, &st, 0) == 0 && st.st_nlink == 3) {
		snprintf(path, sizeof(path), "%d", pid);
		add_children(proc_fd, pid, path, list);
		return;
	}
	int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *threads = fd < 0 ? NULL : fdopendir(fd);
	if (!threads) {
		close_fd(&fd);
		return;
	}
	for (struct dirent *entry; !list->truncated && (entry = readdir(threads));)
		if (isdigit((unsigned char)entry->d_name[0]))
			add_children(proc_fd, pid, entry->d_name, list);
}

/* The fields of /proc/PID/stat behind the name, which may hold anything: the last ")" ends it. */
static const char *read_stat(int proc_fd, pid_t pid, char *text, size_t text_bytes)
{
	char path[32];
	snprintf(path, sizeof(path), "%d/stat", pid);
	cleanup_close int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : fd_read_full(fd, text, text_bytes - 1);
	if (length <= 0)
		return NULL;
	text[length] = '\0';
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' ? end + 2 : NULL;
}

struct kinship {
	pid_t parent, pid;
};

static int kinship_compare(const void *a, const void *b)
{
	const struct kinship *left = a, *right = b;
	if (left->parent != right->parent)
		return left->parent < right->parent ? -1 : 1;
	return (left->pid > right->pid) - (left->pid < right->pid);
}

/* Everybody's parent, sorted by it; caller frees. One pass over /proc. */
static struct kinship *read_kinships(int proc_fd, size_t *ret_count)
{
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *proc = fd < 0 ? NULL : fdopendir(fd);
	if (!proc) {
		close_fd(&fd);
		return NULL;
	}
	cleanup_free struct kinship *list = NULL;
	size_t count = 0, capacity = 0;
	for (struct dirent *entry; (entry = readdir(proc));) {
		char text[1024];
		int pid = atoi(entry->d_name), parent;
		const char *stat = pid > 0 ? read_stat(proc_fd, pid, text, sizeof(text)) : NULL;
		if (!stat || sscanf(stat, "%*c %d", &parent) != 1)
			continue;
		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 256;
			struct kinship *larger = realloc(list, capacity * sizeof(*list));
			if (!larger)
				return NULL;
			list = larger;
		}
		list[count++] = (struct kinship){.parent = parent, .pid = pid};
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), kinship_compare);
	*ret_count = count;
	return steal_pointer(&list);
}

/* For kernels without CONFIG_PROC_CHILDREN: the cost is that of all processes of the host. */
static void add_descendants_by_scan(int proc_fd, struct pid_list *list)
{
	size_t count = 0;
	cleanup_free struct kinship *all = read_kinships(proc_fd, &count);
	for (size_t i = 0; all && i < list->count && !list->truncated; i++) {
		size_t low = 0, high = count;
		while (low < high) {
			size_t middle = low + (high - low) / 2;
			if (all[middle].parent < list->pids[i])
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < count && all[low].parent == list->pids[i]; low++)
			pid_list_add(list, all[low].pid);
	}
}

size_t proc_tree(int proc_fd, pid_t root, pid_t *pids, size_t capacity, bool *ret_truncated)
{
	struct pid_list list = {.pids = pids, .capacity = capacity};
	char path[64];
	*ret_truncated = false;
	snprintf(path, sizeof(path), "%d", root);
	if (faccessat(proc_fd, path, F_OK, 0) < 0)
		return 0;
	pid_list_add(&list, root);
	snprintf(path, sizeof(path), "%d/task/%d/children", root, root);
	if (faccessat(proc_fd, path, F_OK, 0) < 0)
		add_descendants_by_scan(proc_fd, &list);
	else
		for (size_t i = 0; i < list.count && !list.truncated; i++)
			add_children_of_threads(proc_fd, list.pids[i], &list);
	*ret_truncated = list.truncated;
	return list.count;
}

/* The number behind "key" at the start of a line, in what unit it may be; 0 where it is missing. */
static uint64_t status_value(const char *text, const char *key)
{
	const char *found = strstr(text, key);
	return found ? strtoull(found + strlen(key), NULL, 10) : 0;
}

bool proc_read_status(int proc_fd, pid_t pid, struct proc_status *ret)
{
	char path[32], text[4096];
	snprintf(path, sizeof(path), "%d/status", pid);
	cleanup_close int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text) - 1);
	if (length <= 0)
		return false;
	text[length] = '\0';
	ret->threads = status_value(text, "\nThreads:");
	ret->anonymous_bytes =
		1024 * (status_value(text, "\nRssAnon:") + status_value(text, "\nVmSwap:"));
	ret->shared_bytes = 1024 * status_value(text, "\nRssShmem:");
	return true;
}

bool proc_read_cpu_us(int proc_fd, pid_t pid, uint64_t *ret)
{
	char text[1024];
	const char *stat = read_stat(proc_fd, pid, text, sizeof(text));
	unsigned long long user, system;
	long long children_user, children_system;
	if (!stat || sscanf(stat, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld",
			     &user, &system, &children_user, &children_system) != 4)
		return false;
	uint64_t ticks = user + system + (uint64_t)children_user + (uint64_t)children_system;
	*ret = ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	return true;
}

static bool memfd_is_counted(const struct proc_counted *counted, ino_t inode)
{
	for (size_t i = 0; i < counted->memfds_count; i++)
		if (counted->memfds[i] == inode)
			return true;
	return false;
}

void proc_count_memfds(int proc_fd, pid_t pid, struct proc_counted *counted)
{
	char path[32];
	snprintf(path, sizeof(path), "%d/fd", pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	if (!fds) {
		close_fd(&fd);
		return;
	}
	static const char prefix[] = "/memfd:";
	for (struct dirent *entry; (entry = readdir(fds));) {
		char link[sizeof(prefix) - 1];
		struct stat st;
		if (readlinkat(fd, entry->d_name, link, sizeof(link)) != sizeof(link) ||
			memcmp(link, prefix, sizeof(link)) != 0 ||
			fstatat(fd, entry->d_name, &st, 0) < 0 ||
			counted->memfds_count == counted->memfds_capacity ||
			memfd_is_counted(counted, st.st_ino))
			continue;
		counted->memfds[counted->memfds_count++] = st.st_ino;
		counted->memfds_bytes += (uint64_t)st.st_blocks * 512;
	}
}

/* What part of a mapping is the process's own to answer for. */
enum mapping_kind {
	MAPPING_SHARE,     /* anonymous, or shared memory: its share of every page */
	MAPPING_ANONYMOUS, /* of a file: only the pages it has made its own */
};

/* The head of a mapping in smaps: "START-END PERM OFFSET MAJOR:MINOR INODE   PATH". */
static bool mapping_parse(
	const char *line, const struct proc_counted *counted, enum mapping_kind *ret)
{
	unsigned major_number, minor_number;
	unsigned long inode;
	int path_at = 0;
	if (sscanf(line, "%*x-%*x %*s %*x %x:%x %lu %n", &major_number, &minor_number, &inode,
		    &path_at) != 3 ||
		path_at == 0)
		return false;
	*ret = inode == 0 ? MAPPING_SHARE : MAPPING_ANONYMOUS;
	const char *path = line + path_at;
	if (strncmp(path, "/memfd:", 7) == 0)
		*ret = memfd_is_counted(counted, inode) ? MAPPING_ANONYMOUS : MAPPING_SHARE;
	else if (strncmp(path, "/SYSV", 5) == 0 || strncmp(path, "/dev/zero", 9) == 0 ||
		 strncmp(path, "/dev/shm/", 9) == 0)
		*ret = MAPPING_SHARE;
	for (size_t i = 0; i < counted->devices_count; i++)
		if (counted->devices[i] == makedev(major_number, minor_number))
			*ret = MAPPING_ANONYMOUS;
	return true;
}

bool proc_read_share(
	int proc_fd, pid_t pid, const struct proc_counted *counted, uint64_t *ret_bytes)
{
	char path[32], line[512];
	snprintf(path, sizeof(path), "%d/smaps", pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	cleanup_fclose FILE *smaps = fd < 0 ? NULL : fdopen(fd, "r");
	if (!smaps) {
		close_fd(&fd);
		return false;
	}
	enum mapping_kind kind = MAPPING_SHARE;
	uint64_t kib = 0;
	bool line_start = true, any = false;
	while (fgets(line, sizeof(line), smaps)) {
		/* A path may be longer than line, and hold anything but a newline. */
		bool head = line_start;
		line_start = strchr(line, '\n') != NULL;
		if (!head)
			continue;
		if (strncmp(line, "SwapPss:", 8) == 0 ||
			(kind == MAPPING_SHARE && strncmp(line, "Pss:", 4) == 0) ||
			(kind == MAPPING_ANONYMOUS && strncmp(line, "Anonymous:", 10) == 0))
			kib += strtoull(strchr(line, ':') + 1, NULL, 10);
		else if (!isupper((unsigned char)line[0]) && mapping_parse(line, counted, &kind))
			any = true;
	}
	*ret_bytes = kib * 1024;
	return any;
}
