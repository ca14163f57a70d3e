/* Theory of operation: a header (signature, version, number of entries), the entries sorted by
 * path, then extensions and a checksum, which do not matter here. An entry is 40 bytes of stat
 * data, the object's hash, 16 bits of flags, 16 more from version 3 on where a flag says so, and
 * the path: NUL-padded to a multiple of eight bytes up to version 3; in version 4 the number of
 * bytes to drop from the path before it, and what to append. Nothing in the file is believed
 * before it was compared with what is left of the bytes. */
#include "plan/git_index.h"

#include "base/limits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	HEADER_BYTES = 12,
	STAT_BYTES = 40,
	MODE_OFFSET = 24,
	FLAG_EXTENDED = 0x4000,
};

struct cursor {
	const unsigned char *next;
	size_t left;
};

static uint32_t read_u32(const unsigned char *s)
{
	return (uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3];
}

static void advance(struct cursor *cursor, size_t count)
{
	cursor->next += count;
	cursor->left -= count;
}

/* git's own variable-length number: seven bits a byte, each continuation adds one. */
static int read_varint(struct cursor *cursor, size_t *ret)
{
	size_t value = 0;
	for (int bytes = 0; cursor->left > 0 && bytes < 4; bytes++) {
		unsigned char c = *cursor->next;
		advance(cursor, 1);
		value = value << 7 | (c & 0x7f);
		if (!(c & 0x80)) {
			*ret = value;
			return 0;
		}
		value++;
	}
	return -EBADMSG;
}

/* The path at the cursor, up to its NUL. */
static int read_name(struct cursor *cursor, size_t *ret_length)
{
	const unsigned char *nul = memchr(cursor->next, '\0', cursor->left);
	if (!nul)
		return -EBADMSG;
	*ret_length = (size_t)(nul - cursor->next);
	return *ret_length < MAX_PATH_BYTES ? 0 : -EBADMSG;
}

/* Version 4: changes path, which holds the one before, into this one. */
static int read_compressed_path(struct cursor *cursor, char *path, size_t *path_length)
{
	size_t dropped, appended;
	if (read_varint(cursor, &dropped) < 0 || dropped > *path_length ||
		read_name(cursor, &appended) < 0)
		return -EBADMSG;
	size_t kept = *path_length - dropped;
	if (kept + appended >= MAX_PATH_BYTES)
		return -EBADMSG;
	memcpy(path + kept, cursor->next, appended + 1);
	*path_length = kept + appended;
	advance(cursor, appended + 1);
	return 0;
}

/* Versions 2 and 3: entry_bytes of the entry came before the path. */
static int read_padded_path(
	struct cursor *cursor, size_t entry_bytes, const char **ret_path, size_t *ret_length)
{
	if (read_name(cursor, ret_length) < 0)
		return -EBADMSG;
	*ret_path = (const char *)cursor->next;
	size_t padded = (entry_bytes + *ret_length + 8) / 8 * 8 - entry_bytes;
	if (padded > cursor->left)
		return -EBADMSG;
	advance(cursor, padded);
	return 0;
}

int git_index_parse(const void *data, size_t length_bytes, size_t hash_bytes,
	git_index_handler *handler, void *context)
{
	struct cursor cursor = {.next = data, .left = length_bytes};
	if (cursor.left < HEADER_BYTES || memcmp(cursor.next, "DIRC", 4) != 0)
		return -EBADMSG;
	uint32_t version = read_u32(cursor.next + 4), count = read_u32(cursor.next + 8);
	if (version < 2 || version > 4)
		return -EBADMSG;
	advance(&cursor, HEADER_BYTES);

	char compressed[MAX_PATH_BYTES];
	compressed[0] = '\0';
	size_t path_length = 0;
	for (uint32_t i = 0; i < count; i++) {
		size_t entry_bytes = STAT_BYTES + hash_bytes + 2;
		if (cursor.left < entry_bytes + 2)
			return -EBADMSG;
		unsigned mode = read_u32(cursor.next + MODE_OFFSET);
		unsigned flags = (unsigned)cursor.next[entry_bytes - 2] << 8;
		if (flags & FLAG_EXTENDED) {
			if (version < 3)
				return -EBADMSG;
			entry_bytes += 2;
		}
		advance(&cursor, entry_bytes);
		const char *path = compressed;
		int r = version == 4 ? read_compressed_path(&cursor, compressed, &path_length)
				     : read_padded_path(&cursor, entry_bytes, &path, &path_length);
		if (r < 0)
			return r;
		r = handler(path, path_length, mode, context);
		if (r != 0)
			return r;
	}
	return 0;
}
