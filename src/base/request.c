#include "base/request.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void request_add(struct buffer *buffer, char *const strings[])
{
	for (size_t i = 0; strings && strings[i]; i++) {
		const char *string = *strings[i] ? strings[i] : "\1";
		buffer_append(buffer, string, strlen(string) + 1);
	}
	buffer_append(buffer, "", 1);
}

int request_seal(struct buffer *buffer)
{
	int r = buffer_error(buffer);
	if (r < 0)
		return r;
	cleanup_close int fd = memfd_create("coffer-request", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = fd_write_full(fd, buffer->data, buffer->length_bytes);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return steal_fd(&fd);
}

int request_parse(const char *data, size_t size, struct strv *lists[], size_t count)
{
	if (size == 0 || data[size - 1] != '\0')
		return -EINVAL;
	const char *s = data, *end = data + size;
	for (size_t i = 0; i < count; i++) {
		for (; s < end && *s; s += strlen(s) + 1) {
			int r = strv_add(lists[i], strcmp(s, "\1") == 0 ? "" : s);
			if (r < 0)
				return r;
		}
		if (s >= end)
			return -EINVAL;
		s++;
	}
	return s == end ? 0 : -EINVAL;
}

int request_read(int fd, struct strv *lists[], size_t count)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return -EINVAL;
	if (st.st_size > MAX_CONTROL_MESSAGE_BYTES)
		return -EFBIG;
	cleanup_free char *data = malloc((size_t)st.st_size);
	if (!data)
		return -ENOMEM;
	if (pread(fd, data, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	return request_parse(data, (size_t)st.st_size, lists, count);
}
