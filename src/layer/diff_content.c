/* One side of a change, in memory where it is small enough, else by its descriptor. */
#include "layer/diff_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <fcntl.h>
#include <sha1.h>
#include <string.h>

enum { BINARY_HEAD_BYTES = 8000, PIECE_BYTES = 256 * 1024 };

static mode_t git_mode(mode_t mode)
{
	if (S_ISLNK(mode))
		return 0120000;
	return mode & 0100 ? 0100755 : 0100644;
}

static bool has_too_many_lines(const char *data, size_t size)
{
	size_t lines = 0;
	for (const char *s = data, *end = data + size; size > MAX_TEXT_DIFF_LINES && s < end;) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		if (!newline)
			break;
		if (++lines >= MAX_TEXT_DIFF_LINES)
			return true;
		s = newline + 1;
	}
	return false;
}

/* As git tells: by a NUL in its head. */
static bool is_binary(const char *data, size_t size)
{
	size_t head = size < BINARY_HEAD_BYTES ? size : BINARY_HEAD_BYTES;
	return memchr(data, '\0', head) || has_too_many_lines(data, size);
}

/* Reads what is there now: it may be more or less than what stat() said. */
static int read_all(int fd, uint64_t expected, struct diff_content *ret)
{
	size_t capacity = (size_t)expected + 1, size = 0;
	char *data = malloc(capacity);
	while (data) {
		ssize_t n = read(fd, data + size, capacity - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int code = errno;
			free(data);
			return -code;
		}
		if (n == 0)
			break;
		size += (size_t)n;
		if (size < capacity)
			continue;
		if (size > MAX_TEXT_DIFF_BYTES) {
			free(data);
			return -EAGAIN;
		}
		capacity *= 2;
		char *larger = realloc(data, capacity);
		if (!larger)
			free(data);
		data = larger;
	}
	ret->data = data;
	ret->size = size;
	return data ? 0 : -ENOMEM;
}

int diff_content_load(const struct layer_entry *entry, const char *path, struct diff_content *ret)
{
	*ret = (struct diff_content){.fd = -1};
	if (!entry->present)
		return 0;
	ret->mode = git_mode(entry->st.st_mode);
	if (S_ISLNK(entry->st.st_mode)) {
		int r = layer_entry_link(entry, path, &ret->data);
		if (r < 0)
			return r;
		ret->size = strlen(ret->data);
		ret->present = true;
		return 0;
	}
	cleanup_close int fd = layer_entry_open(entry, path);
	if (fd < 0)
		return fd;
	ret->present = true;
	if (entry->st.st_size <= MAX_TEXT_DIFF_BYTES) {
		int r = read_all(fd, (uint64_t)entry->st.st_size, ret);
		ret->binary = r == 0 && is_binary(ret->data, ret->size);
		return r;
	}
	ret->size = (uint64_t)entry->st.st_size;
	ret->binary = true;
	ret->fd = steal_fd(&fd);
	return 0;
}

void diff_content_release(struct diff_content *content)
{
	free(content->data);
	close_fd(&content->fd);
	*content = (struct diff_content){.fd = -1};
}

int diff_content_pieces(const struct diff_content *content, diff_piece_fn callback, void *context)
{
	if (content->data || !content->size)
		return callback(
			content->data ? content->data : "", (size_t)content->size, true, context);
	cleanup_free char *piece = malloc(PIECE_BYTES);
	if (!piece)
		return -ENOMEM;
	for (uint64_t at = 0; at < content->size;) {
		uint64_t left = content->size - at;
		size_t wanted = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		ssize_t n = pread(content->fd, piece, wanted, (off_t)at);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EAGAIN;
		at += (uint64_t)n;
		int r = callback(piece, (size_t)n, at == content->size, context);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_files(int a, int b)
{
	cleanup_free char *pieces = malloc((size_t)2 * PIECE_BYTES);
	if (!pieces)
		return -ENOMEM;
	for (off_t at = 0;; at += PIECE_BYTES) {
		ssize_t n = pread(a, pieces, PIECE_BYTES, at);
		ssize_t m = pread(b, pieces + PIECE_BYTES, PIECE_BYTES, at);
		if (n < 0 || m < 0)
			return -errno;
		if (n != m || memcmp(pieces, pieces + PIECE_BYTES, (size_t)n) != 0)
			return 0;
		if (n < PIECE_BYTES)
			return 1;
	}
}

int diff_content_same(const struct diff_content *a, const struct diff_content *b)
{
	if (a->present != b->present || a->size != b->size)
		return 0;
	if (a->fd >= 0 && b->fd >= 0)
		return compare_files(a->fd, b->fd);
	/* Sizes are equal, so both are held, unless one was changed just now. */
	if (a->fd >= 0 || b->fd >= 0)
		return 0;
	return a->size == 0 || memcmp(a->data, b->data, (size_t)a->size) == 0;
}

static int add_to_digest(const char *data, size_t bytes, bool last, void *context)
{
	(void)last;
	SHA1Update(context, (const uint8_t *)data, bytes);
	return 0;
}

int diff_content_blob(const struct diff_content *content, char ret[DIFF_BLOB_CHARS + 1])
{
	if (!content->present) {
		memset(ret, '0', DIFF_BLOB_CHARS);
		ret[DIFF_BLOB_CHARS] = '\0';
		return 0;
	}
	SHA1_CTX digest;
	SHA1Init(&digest);
	char head[32];
	int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)content->size);
	SHA1Update(&digest, (const uint8_t *)head, (size_t)n + 1);
	int r = diff_content_pieces(content, add_to_digest, &digest);
	if (r == 0)
		SHA1End(&digest, ret);
	return r;
}

int diff_file_counts(const struct diff_file *file, struct text_counts *ret)
{
	const struct diff_content *before = &file->before, *after = &file->after;
	*ret = (struct text_counts){0};
	if (before->binary || after->binary)
		return 0;
	return text_diff_count(before->data ? before->data : "", (size_t)before->size,
		after->data ? after->data : "", (size_t)after->size, ret);
}
