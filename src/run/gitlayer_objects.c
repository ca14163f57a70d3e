/* Theory of operation. A repository that was cloned with --shared or --reference has only its own
 * objects; the rest is in other object directories that objects/info/alternates names, one a line,
 * and those may name further ones. git takes the first copy of an object that it finds, and does
 * not compare it with its name: so whether an object "was there before" means in any of them.
 *
 * Names in a pack's index are found by their fanout and a binary search, read from the file as they
 * are needed: the index of a large repository has hundreds of megabytes. */
#include "run/gitlayer_objects.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sys.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	ALTERNATES_DEPTH_MAX = 5, /* git's own */
	ALTERNATES_BYTES_MAX = 64 * 1024,
	PACK_HEAD_BYTES = 8,
	HASH_BYTES_MAX = 32,
};

static uint32_t read_u32(const unsigned char *s)
{
	return (uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3];
}

static bool pread_full(int fd, void *buffer, size_t length, off_t offset)
{
	return pread(fd, buffer, length, offset) == (ssize_t)length;
}

/* Version 2: a magic, the fanout, the sorted names. */
static int read_head(struct gitlayer_pack *pack, size_t hash_bytes)
{
	unsigned char head[PACK_HEAD_BYTES + GITLAYER_FANOUT * 4];
	struct stat st;
	if (fstat(pack->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !pread_full(pack->fd, head, sizeof(head), 0) ||
		memcmp(head, "\377tOc\0\0\0\2", PACK_HEAD_BYTES) != 0)
		return -EBADMSG;
	for (size_t i = 0; i < GITLAYER_FANOUT; i++) {
		pack->fanout[i] = read_u32(head + PACK_HEAD_BYTES + 4 * i);
		if (i > 0 && pack->fanout[i] < pack->fanout[i - 1])
			return -EBADMSG;
	}
	uint64_t names = (uint64_t)pack->fanout[GITLAYER_FANOUT - 1] * hash_bytes;
	return names + sizeof(head) <= (uint64_t)st.st_size ? 0 : -EBADMSG;
}

static int add_pack(
	struct gitlayer_stores *stores, int directory, const char *name, size_t hash_bytes)
{
	if (stores->packs_count == GITLAYER_PACKS_MAX)
		return -E2BIG;
	if (stores->packs_count == stores->packs_capacity) {
		size_t capacity = stores->packs_capacity ? stores->packs_capacity * 2 : 8;
		void *packs = reallocarray(stores->packs, capacity, sizeof(*stores->packs));
		if (!packs)
			return -ENOMEM;
		stores->packs = packs;
		stores->packs_capacity = capacity;
	}
	struct gitlayer_pack *pack = &stores->packs[stores->packs_count];
	pack->fd = openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (pack->fd < 0)
		return errno == ENOENT ? 0 : -errno; /* repacked meanwhile */
	stores->packs_count++;
	return read_head(pack, hash_bytes);
}

static int add_packs(struct gitlayer_stores *stores, int objects, size_t hash_bytes)
{
	int fd = openat(objects, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	int r = 0;
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		size_t length = strlen(entry->d_name);
		if (length > 4 && strcmp(entry->d_name + length - 4, ".idx") == 0)
			r = add_pack(stores, dirfd(dir), entry->d_name, hash_bytes);
	}
	return r;
}

static bool is_known(const struct gitlayer_stores *stores, int objects)
{
	struct stat known, st;
	if (fstat(objects, &st) < 0)
		return false;
	for (size_t i = 0; i < stores->count; i++)
		if (fstat(stores->directories[i], &known) == 0 && known.st_dev == st.st_dev &&
			known.st_ino == st.st_ino)
			return true;
	return false;
}

static int add_store(struct gitlayer_stores *stores, int objects, size_t hash_bytes, int depth);

/* One line of the list. One that cannot be there git passes over, too. */
static int add_alternate(
	struct gitlayer_stores *stores, int objects, const char *line, size_t hash_bytes, int depth)
{
	if (*line == '\0' || *line == '#')
		return 0;
	if (*line == '"')
		return -EBADMSG; /* quoted: git would read it otherwise than it stands here */
	cleanup_close int fd = openat(objects, line, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	return is_known(stores, fd) ? 0 : add_store(stores, steal_fd(&fd), hash_bytes, depth + 1);
}

/* objects is taken over. */
static int add_store(struct gitlayer_stores *stores, int objects, size_t hash_bytes, int depth)
{
	if (stores->count == GITLAYER_STORES_MAX || depth > ALTERNATES_DEPTH_MAX) {
		close(objects);
		return -E2BIG;
	}
	stores->directories[stores->count++] = objects;
	int r = add_packs(stores, objects, hash_bytes);
	if (r < 0)
		return r;
	cleanup_free char *list = NULL;
	size_t length;
	r = fd_read_file(objects, "info/alternates", ALTERNATES_BYTES_MAX, &list, &length);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	char *rest = list;
	for (char *line; r == 0 && (line = strsep(&rest, "\n"));)
		r = add_alternate(stores, objects, line, hash_bytes, depth);
	return r;
}

int gitlayer_stores_open(
	int git_dir_fd, const char *path, size_t hash_bytes, struct gitlayer_stores *ret)
{
	*ret = (struct gitlayer_stores){0};
	int fd = sys_openat2(git_dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd < 0 ? -errno : add_store(ret, fd, hash_bytes, 0);
}

void gitlayer_stores_release(struct gitlayer_stores *stores)
{
	for (size_t i = 0; i < stores->count; i++)
		close(stores->directories[i]);
	for (size_t i = 0; i < stores->packs_count; i++)
		close_fd(&stores->packs[i].fd);
	free(stores->packs);
	*stores = (struct gitlayer_stores){0};
}

static int pack_holds(
	const struct gitlayer_pack *pack, const unsigned char *hash, size_t hash_bytes)
{
	uint32_t low = hash[0] ? pack->fanout[hash[0] - 1] : 0, high = pack->fanout[hash[0]];
	while (low < high) {
		unsigned char name[HASH_BYTES_MAX];
		uint32_t middle = low + (high - low) / 2;
		off_t offset =
			PACK_HEAD_BYTES + GITLAYER_FANOUT * 4 + (off_t)middle * (off_t)hash_bytes;
		if (!pread_full(pack->fd, name, hash_bytes, offset))
			return -EIO;
		int order = memcmp(hash, name, hash_bytes);
		if (order == 0)
			return 1;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

static int is_loose(int objects, const unsigned char *hash, size_t hash_bytes)
{
	char path[2 * HASH_BYTES_MAX + 2];
	size_t length = 0;
	for (size_t i = 0; i < hash_bytes; i++)
		length += (size_t)sprintf(path + length, i == 1 ? "/%02x" : "%02x", hash[i]);
	struct stat st;
	if (fstatat(objects, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int gitlayer_stores_hold(
	const struct gitlayer_stores *stores, const unsigned char *hash, size_t hash_bytes)
{
	if (hash_bytes > HASH_BYTES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < stores->count; i++) {
		int r = is_loose(stores->directories[i], hash, hash_bytes);
		if (r != 0)
			return r;
	}
	for (size_t i = 0; i < stores->packs_count; i++) {
		int r = pack_holds(&stores->packs[i], hash, hash_bytes);
		if (r != 0)
			return r;
	}
	return 0;
}
