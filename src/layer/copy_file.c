#include "layer/copy_file.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

enum { CHUNK_BYTES = 256 * 1024 };

static int copy_by_hand(int from, int to, off_t at, off_t end)
{
	cleanup_free char *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	while (at < end) {
		size_t want = end - at < CHUNK_BYTES ? (size_t)(end - at) : CHUNK_BYTES;
		ssize_t n = pread(from, chunk, want, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (lseek(to, at, SEEK_SET) < 0)
			return -errno;
		int r = fd_write_full(to, chunk, (size_t)n);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t target = at;
		ssize_t n = copy_file_range(from, &at, to, &target, (size_t)(end - at), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
				     errno == EOPNOTSUPP))
			return copy_by_hand(from, to, at, end);
		if (n < 0)
			return -errno;
		if (n == 0) /* it has become shorter, or is one of those that cannot tell */
			return copy_by_hand(from, to, at, end);
	}
	return 0;
}

int copy_content(int from, int to, uint64_t *ret_bytes)
{
	struct stat st;
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (fstat(from, &st) < 0)
		return -errno;
	for (off_t at = 0; at < st.st_size;) {
		off_t data = lseek(from, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 || data > st.st_size)
			data = at;
		off_t end = lseek(from, data, SEEK_HOLE);
		if (end < 0 || end > st.st_size)
			end = st.st_size;
		int r = copy_range(from, to, data, end);
		if (r < 0)
			return r;
		if (ret_bytes)
			*ret_bytes += (uint64_t)(end - data);
		at = end;
	}
	return ftruncate(to, st.st_size) < 0 ? -errno : 0;
}

static bool is_mark(const char *name)
{
	return strncmp(name, "user.overlay.", strlen("user.overlay.")) == 0;
}

bool copy_is_plain_attribute(const char *name)
{
	return strncmp(name, "user.", strlen("user.")) == 0 && !is_mark(name);
}

static bool is_wanted(const char *name, bool marks)
{
	return copy_is_plain_attribute(name) || (marks && is_mark(name));
}

static ssize_t list_attributes(int fd, char names[COPY_ATTRIBUTE_NAMES_MAX])
{
	ssize_t n = flistxattr(fd, names, COPY_ATTRIBUTE_NAMES_MAX);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	return n;
}

int copy_attributes(int from, int to, bool marks)
{
	cleanup_free char *names = malloc(COPY_ATTRIBUTE_NAMES_MAX);
	cleanup_free char *value = malloc(COPY_ATTRIBUTE_MAX);
	if (!names || !value)
		return -ENOMEM;
	ssize_t length = list_attributes(to, names);
	if (length < 0)
		return (int)length;
	for (char *name = names; name < names + length; name += strlen(name) + 1)
		if (is_wanted(name, marks) && fgetxattr(from, name, NULL, 0) < 0 &&
			fremovexattr(to, name) < 0)
			return -errno;
	length = list_attributes(from, names);
	if (length < 0)
		return (int)length;
	for (char *name = names; name < names + length; name += strlen(name) + 1) {
		if (!is_wanted(name, marks))
			continue;
		ssize_t n = fgetxattr(from, name, value, COPY_ATTRIBUTE_MAX);
		if (n < 0)
			return -errno;
		if (fsetxattr(to, name, value, (size_t)n, 0) < 0)
			return -errno;
	}
	return 0;
}
