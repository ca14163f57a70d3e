/* Looking at a program that waits in a notified call.
 *
 * Theory of operation. All that is known of the program is its thread id and six registers. Memory
 * is copied once and judged from the copy. Descriptors and directories are reached through the
 * host's /proc, by a directory descriptor that was opened before the box's mount namespace was
 * joined. A thread id can be used again once its thread has died, so nothing that was reached by
 * number is acted on before broker_valid() has said that the thread still waits.
 *
 * Paths are resolved by the kernel, from descriptors for the program's own root and working
 * directory. In the container tier the one thing that would differ is /proc/self, which in the
 * broker's hands names nobody (the broker is not in the box's PID namespace); as a prefix it is
 * spelt out. Where such a link is met in the middle of a resolution, the resolution fails, and the
 * call with it. The landlock tier, which has the host's /proc, resolves in broker_walk.c. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sys.h"
#include "run/broker_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9 */
#endif

/* The smallest page there is: never reads across a boundary that could be the end of a mapping. */
enum { PAGE_BYTES = 4096, FIRST_READ_BYTES = 256 };

static ssize_t read_memory_file(const struct broker *broker, const struct request *request,
	uint64_t address, void *buffer, size_t length_bytes)
{
	char path[32];
	snprintf(path, sizeof(path), "%d/mem", request->tid);
	cleanup_close int fd = openat(broker->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = pread(fd, buffer, length_bytes, (off_t)address);
	return n < 0 ? -EFAULT : n;
}

/* Reads what there is of length_bytes, at most to the end of the second page. */
static ssize_t read_some(const struct broker *broker, const struct request *request,
	uint64_t address, void *buffer, size_t length_bytes)
{
	size_t in_page = PAGE_BYTES - address % PAGE_BYTES;
	size_t first = length_bytes < in_page ? length_bytes : in_page;
	size_t second = length_bytes - first < PAGE_BYTES ? length_bytes - first : PAGE_BYTES;
	if (address + first + second < address)
		return -EFAULT;
	struct iovec local = {.iov_base = buffer, .iov_len = first + second};
	struct iovec remote[2] = {
		{.iov_base = (void *)(uintptr_t)address, .iov_len = first},
		{.iov_base = (void *)(uintptr_t)(address + first), .iov_len = second},
	};
	ssize_t n = process_vm_readv(request->tid, &local, 1, remote, second ? 2 : 1, 0);
	if (n >= 0)
		return n;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	return read_memory_file(broker, request, address, buffer, first + second);
}

int client_read(const struct broker *broker, const struct request *request, uint64_t address,
	void *buffer, size_t length_bytes)
{
	size_t done = 0;
	while (done < length_bytes) {
		ssize_t n = read_some(broker, request, address + done, (char *)buffer + done,
			length_bytes - done);
		if (n <= 0)
			return n < 0 ? (int)n : -EFAULT;
		done += (size_t)n;
	}
	return 0;
}

int client_write(const struct broker *broker, const struct request *request, uint64_t address,
	const void *data, size_t length_bytes)
{
	char path[32];
	snprintf(path, sizeof(path), "%d/mem", request->tid);
	cleanup_close int fd = openat(broker->proc, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* From here on it is this memory that is written, whoever gets the number. */
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	ssize_t n = pwrite(fd, data, length_bytes, (off_t)address);
	return n == (ssize_t)length_bytes ? 0 : -EFAULT;
}

void client_program(const struct broker *broker, const struct request *request, char program[32])
{
	char path[32];
	snprintf(path, sizeof(path), "%d/comm", request->tid);
	cleanup_close int fd = openat(broker->proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fd_read_full(fd, program, 31);
	program[n > 0 ? n : 0] = '\0';
	program[strcspn(program, "\n")] = '\0';
}

int client_read_string(const struct broker *broker, const struct request *request, uint64_t address,
	char *buffer, size_t room_bytes)
{
	size_t done = 0;
	while (done < room_bytes) {
		size_t wanted = room_bytes - done;
		if (done == 0 && wanted > FIRST_READ_BYTES)
			wanted = FIRST_READ_BYTES;
		ssize_t n = read_some(broker, request, address + done, buffer + done, wanted);
		if (n <= 0)
			return n < 0 ? (int)n : -EFAULT;
		const char *end = memchr(buffer + done, '\0', (size_t)n);
		if (end)
			return (int)(end - buffer);
		done += (size_t)n;
	}
	return -ENAMETOOLONG;
}

int client_status(const struct broker *broker, const struct request *request, const char *field,
	int base, size_t index, long *ret)
{
	char path[32];
	snprintf(path, sizeof(path), "%d/status", request->tid);
	cleanup_close int fd = openat(broker->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	char text[4096];
	ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';

	/* The first line is the program's to choose, but the kernel escapes newlines in it. */
	char key[32];
	int length = snprintf(key, sizeof(key), "\n%s:", field);
	const char *line = strstr(text, key);
	if (!line)
		return -ENODATA;
	line += length;
	for (size_t i = 0;; i++) {
		char *end;
		line += strspn(line, "\t ");
		*ret = strtol(line, &end, base);
		if (end == line)
			return -ENODATA;
		if (i == index)
			return 0;
		line = end;
	}
}

/* Before 6.9 only a thread group has a pidfd. Threads that share no descriptor table then get
 * their leader's: a descriptor of the same box. */
static int open_pidfd(const struct broker *broker, const struct request *request)
{
	int pidfd = sys_pidfd_open(request->tid, PIDFD_THREAD);
	if (pidfd >= 0 || errno != EINVAL)
		return pidfd < 0 ? -errno : pidfd;
	long tgid;
	int r = client_status(broker, request, "Tgid", 10, 0, &tgid);
	if (r < 0)
		return r;
	pidfd = sys_pidfd_open((pid_t)tgid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

int client_get_fd(const struct broker *broker, const struct request *request, int fd)
{
	if (fd < 0)
		return -EBADF;
	cleanup_close int pidfd = open_pidfd(broker, request);
	if (pidfd < 0)
		return pidfd;
	cleanup_client_fd int copy = sys_pidfd_getfd(pidfd, fd);
	if (copy < 0)
		return -errno;
	return broker_valid(broker, request->id) ? steal_fd(&copy) : -ESRCH;
}

void client_close_fd(int *fd)
{
	if (*fd < 0)
		return;
	broker_guard_begin();
	close_fd(fd);
	broker_guard_end();
}

/* How deep the box's PID namespace lies below the broker's. */
static size_t box_pid_depth(const struct broker *broker)
{
	const struct request init = {.tid = broker->init};
	size_t depth = 0;
	long number;
	while (client_status(broker, &init, "NSpid", 10, depth + 1, &number) == 0)
		depth++;
	return depth;
}

/* Writes path to text with a leading /proc/self or /proc/thread-self spelt out as numbers. */
static int spell_out_self(const struct broker *broker, const struct request *request,
	const char *path, char *text, size_t room_bytes)
{
	static const char self[] = "/proc/self", thread_self[] = "/proc/thread-self";
	size_t skip = 0;
	bool thread = false;
	if (strncmp(path, self, sizeof(self) - 1) == 0)
		skip = sizeof(self) - 1;
	else if (strncmp(path, thread_self, sizeof(thread_self) - 1) == 0)
		skip = sizeof(thread_self) - 1, thread = true;
	if (skip == 0 || (path[skip] != '/' && path[skip] != '\0'))
		return 0;

	size_t depth = box_pid_depth(broker);
	long tgid, tid;
	int r = client_status(broker, request, "NStgid", 10, depth, &tgid);
	if (r == 0)
		r = client_status(broker, request, "NSpid", 10, depth, &tid);
	if (r < 0)
		return r;
	int n = thread ? snprintf(text, room_bytes, "/proc/%ld/task/%ld%s", tgid, tid, path + skip)
		       : snprintf(text, room_bytes, "/proc/%ld%s", tgid, path + skip);
	return n < 0 || (size_t)n >= room_bytes ? -ENAMETOOLONG : 1;
}

/* Where path starts from. */
static int open_base(
	const struct broker *broker, const struct request *request, int dirfd, bool absolute)
{
	char link[48];
	if (absolute)
		snprintf(link, sizeof(link), "%d/root", request->tid);
	else if (dirfd == AT_FDCWD)
		snprintf(link, sizeof(link), "%d/cwd", request->tid);
	else if (dirfd < 0)
		return -EBADF;
	else
		snprintf(link, sizeof(link), "%d/fd/%d", request->tid, dirfd);
	cleanup_close int base = openat(broker->proc, link, O_PATH | O_CLOEXEC);
	if (base < 0)
		return errno == ENOENT && !absolute && dirfd != AT_FDCWD ? -EBADF : -errno;
	return broker_valid(broker, request->id) ? steal_fd(&base) : -ESRCH;
}

int client_open(const struct broker *broker, const struct request *request, int dirfd,
	const char *path, int flags)
{
	char spelt_out[PATH_MAX];
	if (path[0] == '/' && !broker->landlock) {
		int r = spell_out_self(broker, request, path, spelt_out, sizeof(spelt_out));
		if (r < 0)
			return r;
		if (r > 0)
			path = spelt_out;
	}
	cleanup_close int base = open_base(broker, request, dirfd, path[0] == '/');
	if (base < 0)
		return base;
	const char *relative = path + strspn(path, "/");
	if (!broker->landlock) {
		int fd = openat(base, *relative ? relative : ".", O_PATH | O_CLOEXEC | flags);
		return fd < 0 ? -errno : fd;
	}
	cleanup_close int fd = walk_open(broker, request, base, relative, flags);
	/* On the way the program's own links may have been followed by its number. */
	return fd < 0 || broker_valid(broker, request->id) ? steal_fd(&fd) : -ESRCH;
}

int client_open_parent(const struct broker *broker, const struct request *request, int dirfd,
	char *path, int *ret_parent, const char **ret_name)
{
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	if (start == end)
		return *path ? -EEXIST : -ENOENT;

	/* "name", "/name" and "dir/name": the directory part is cut off in place for the while. */
	const char *directory = start == 0 ? "." : path;
	char first = path[start];
	if (start > 0)
		path[start] = '\0';
	int parent = client_open(broker, request, dirfd, directory, O_DIRECTORY);
	path[start] = first;
	if (parent < 0)
		return parent;
	*ret_parent = parent;
	*ret_name = path + start;
	return 0;
}
