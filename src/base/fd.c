#include "base/fd.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

ssize_t fd_read_full(int fd, void *buffer, size_t length_bytes)
{
	size_t done = 0;
	while (done < length_bytes) {
		ssize_t n = read(fd, (char *)buffer + done, length_bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int fd_write_full(int fd, const void *data, size_t length_bytes)
{
	size_t done = 0;
	while (done < length_bytes) {
		ssize_t n = write(fd, (const char *)data + done, length_bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int fd_read_file(int at, const char *path, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	cleanup_close int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max_bytes)
		return -EFBIG;

	/* Files of procfs say 0 bytes: grow until the end is seen. */
	size_t capacity = st.st_size > 0 ? (size_t)st.st_size + 1 : 4096;
	size_t length = 0;
	cleanup_free char *data = malloc(capacity + 1);
	if (!data)
		return -ENOMEM;
	for (;;) {
		ssize_t n = fd_read_full(fd, data + length, capacity - length);
		if (n < 0)
			return (int)n;
		length += (size_t)n;
		if (length < capacity)
			break;
		if (length > max_bytes)
			return -EFBIG;
		capacity *= 2;
		char *larger = realloc(data, capacity + 1);
		if (!larger)
			return -ENOMEM;
		data = larger;
	}
	if (length > max_bytes)
		return -EFBIG;
	data[length] = '\0';
	if (ret_length_bytes)
		*ret_length_bytes = length;
	*ret = steal_pointer(&data);
	return 0;
}

int fd_write_file(int at, const char *path, const char *string)
{
	cleanup_close int fd = openat(at, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, string, strlen(string)) < 0 ? -errno : 0;
}

/* Whether no box can have made a link in the directory: it is root's alone, and boxes of the
 * caller's are not root's. For root, whose boxes' files may be its own, only / is so. */
static bool is_beyond_boxes(int directory)
{
	struct stat st, root;
	if (fstat(directory, &st) < 0 || stat("/", &root) < 0)
		return false;
	if (geteuid() == 0)
		return st.st_dev == root.st_dev && st.st_ino == root.st_ino;
	return st.st_uid == 0 && (st.st_mode & S_IWOTH) == 0;
}

/* Takes one step from *at, or puts the link that is there before the rest. */
static int step_to_result(int *at, const char *name, char rest[PATH_MAX], unsigned *links)
{
	enum { LINKS_MAX = 40 };
	cleanup_close int next = openat(*at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (next < 0 || fstat(next, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		char text[PATH_MAX], joined[PATH_MAX];
		if (++*links > LINKS_MAX || st.st_uid != 0 || !is_beyond_boxes(*at))
			return -ELOOP;
		ssize_t n = readlinkat(next, "", text, sizeof(text) - 1);
		if (n < 0)
			return -errno;
		text[n] = '\0';
		int length = snprintf(joined, sizeof(joined), "%s/%s", text, rest);
		if (length < 0 || (size_t)length >= sizeof(joined))
			return -ENAMETOOLONG;
		memcpy(rest, joined, (size_t)length + 1);
		if (text[0] != '/')
			return 0;
		close_fd(&next);
		next = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return -errno;
	}
	close(*at);
	*at = steal_fd(&next);
	return 0;
}

/* The directory of rest, of which the last component is left there. */
static int open_result_directory(char rest[PATH_MAX])
{
	cleanup_close int at = open(rest[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned links = 0;
	if (at < 0)
		return -errno;
	for (;;) {
		char name[PATH_MAX];
		size_t start = strspn(rest, "/"), length = strcspn(rest + start, "/");
		if (!rest[start + length])
			return steal_fd(&at);
		memcpy(name, rest + start, length);
		name[length] = '\0';
		memmove(rest, rest + start + length, strlen(rest + start + length) + 1);
		int r = step_to_result(&at, name, rest, &links);
		if (r < 0)
			return r;
	}
}

int fd_open_result(const char *path)
{
	char rest[PATH_MAX];
	size_t length = strlen(path);
	if (length == 0 || length >= sizeof(rest))
		return length ? -ENAMETOOLONG : -ENOENT;
	memcpy(rest, path, length + 1);
	cleanup_close int directory = open_result_directory(rest);
	if (directory < 0)
		return directory;
	const char *name = rest + strspn(rest, "/");
	cleanup_close int fd = openat(directory, *name ? name : ".",
		O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return -EINVAL;
	if (S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
		return -errno;
	return steal_fd(&fd);
}

int fd_make_directories(const char *path)
{
	cleanup_free char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int fd_send(int socket, const void *data, size_t length_bytes, const int *fds, size_t fds_count)
{
	if (fds_count > FD_PASS_MAX)
		return -EINVAL;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = length_bytes};
	union {
		char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} control;
	memset(&control, 0, sizeof(control));
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fds_count > 0) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fds_count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fds_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fds_count);
	}
	size_t done = 0;
	while (done < length_bytes) {
		ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
		/* The descriptors went with the first byte. */
		message.msg_control = NULL;
		message.msg_controllen = 0;
		iov.iov_base = (char *)(uintptr_t)data + done;
		iov.iov_len = length_bytes - done;
	}
	return 0;
}

ssize_t fd_receive(int socket, void *data, size_t length_bytes, int *fds, size_t *fds_count)
{
	size_t room = fds_count ? *fds_count : 0;
	size_t got = 0;
	bool too_many = false;
	if (fds_count)
		*fds_count = 0;
	struct iovec iov = {.iov_base = data, .iov_len = length_bytes};
	union {
		char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n;
	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
		header = CMSG_NXTHDR(&message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (got < room) {
				fds[got++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	if (too_many || (message.msg_flags & MSG_CTRUNC)) {
		for (size_t i = 0; i < got; i++)
			close(fds[i]);
		return -EMSGSIZE;
	}
	if (fds_count)
		*fds_count = got;
	return n;
}

static int compare_ints(const void *left, const void *right)
{
	int a = *(const int *)left, b = *(const int *)right;
	return (a > b) - (a < b);
}

int fd_close_all_but(int *keep, size_t count)
{
	qsort(keep, count, sizeof(*keep), compare_ints);
	unsigned from = 3;
	for (size_t i = 0; i < count; i++) {
		if (keep[i] < 3)
			continue;
		unsigned kept = (unsigned)keep[i];
		if (kept > from && close_range(from, kept - 1, 0) < 0)
			return -errno;
		if (kept >= from)
			from = kept + 1;
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}
