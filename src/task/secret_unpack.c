/* Theory of operation. An unpacker is handed the bytes of a stream from some place on, in pieces cut
 * anywhere, and feeds what it makes of them to an inner stream. All of deflate is zlib's work; around
 * it are a state machine for the header of an entry of a zip, and one for the objects of a pack.
 * Output is kept back until there is enough of it to be worth a stream, because most of what looks
 * like a zlib stream is none and ends soon.
 *
 * An entry of a zip begins with its own header; the directory at the end only repeats that, and may
 * leave entries out, so it is not needed. Where the header says that an entry is stored, and the
 * directory might say otherwise, both are tried. */
#include "task/secret_stream.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>
#include <zlib.h>

enum {
	OUT_BYTES = 32 * 1024,
	WORTH_BYTES = 64, /* less than this, and then broken: it was no packed stream */
	CREDIBLE_BYTES = 1024,
	ZIP_HEADER_BYTES = 26, /* after its magic */
	EXTRA_BYTES = 32,
	PACK_ID_BYTES = 20,
};

static const struct magic magics[] = {
	{"PK\x03\x04", 4, MAGIC_ZIP},
	{"PACK\0\0\0\2", 8, MAGIC_PACK},
	{"PACK\0\0\0\3", 8, MAGIC_PACK},
	{"\x1f\x8b\x08", 3, MAGIC_GZIP},
	/* Every window and level; none with a dictionary of its own. */
	{"\x78\x01", 2, MAGIC_ZLIB}, {"\x78\x5e", 2, MAGIC_ZLIB}, {"\x78\x9c", 2, MAGIC_ZLIB},
	{"\x78\xda", 2, MAGIC_ZLIB}, {"\x68\x05", 2, MAGIC_ZLIB}, {"\x68\x43", 2, MAGIC_ZLIB},
	{"\x68\x81", 2, MAGIC_ZLIB}, {"\x68\xde", 2, MAGIC_ZLIB}, {"\x58\x09", 2, MAGIC_ZLIB},
	{"\x58\x47", 2, MAGIC_ZLIB}, {"\x58\x85", 2, MAGIC_ZLIB}, {"\x58\xc3", 2, MAGIC_ZLIB},
	{"\x48\x0d", 2, MAGIC_ZLIB}, {"\x48\x4b", 2, MAGIC_ZLIB}, {"\x48\x89", 2, MAGIC_ZLIB},
	{"\x48\xc7", 2, MAGIC_ZLIB}, {"\x38\x11", 2, MAGIC_ZLIB}, {"\x38\x4f", 2, MAGIC_ZLIB},
	{"\x38\x8d", 2, MAGIC_ZLIB}, {"\x38\xcb", 2, MAGIC_ZLIB}, {"\x28\x15", 2, MAGIC_ZLIB},
	{"\x28\x53", 2, MAGIC_ZLIB}, {"\x28\x91", 2, MAGIC_ZLIB}, {"\x28\xcf", 2, MAGIC_ZLIB},
	{"\x18\x19", 2, MAGIC_ZLIB}, {"\x18\x57", 2, MAGIC_ZLIB}, {"\x18\x95", 2, MAGIC_ZLIB},
	{"\x18\xd3", 2, MAGIC_ZLIB}, {"\x08\x1d", 2, MAGIC_ZLIB}, {"\x08\x5b", 2, MAGIC_ZLIB},
	{"\x08\x99", 2, MAGIC_ZLIB}, {"\x08\xd7", 2, MAGIC_ZLIB},
};

const struct magic *magic_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(magics);
	return magics;
}

enum progress { MORE, DONE, BROKEN };

enum step {
	STEP_INFLATE,
	STEP_ZIP_HEADER,
	STEP_ZIP_NAME,
	STEP_ZIP_EXTRA,
	STEP_PACK_COUNT,
	STEP_PACK_TYPE,
	STEP_PACK_SIZE,
	STEP_PACK_OFFSET,
	STEP_PACK_ID,
};

/* A delta of git: two sizes, then instructions to copy from elsewhere or to insert what follows. */
struct delta {
	bool on;
	unsigned sizes_left, skip, insert;
};

struct unpacker {
	enum magic_kind kind;
	struct stream *outer, *inner;
	uint64_t offset;   /* of its first byte in outer */
	uint64_t consumed; /* from there */
	bool told_if_broken, told, ended;
	enum step step;

	z_stream z;
	bool z_ready;
	char out[OUT_BYTES];
	size_t out_used;
	uint64_t out_total;

	unsigned char header[ZIP_HEADER_BYTES];
	size_t header_used;
	unsigned name_left, extra_left;
	char name[MAX_SEARCH_MEMBER_BYTES];
	size_t name_used;
	unsigned char extra[EXTRA_BYTES];
	size_t extra_used;

	uint32_t objects_left, object;
	unsigned skip_left;
	struct delta delta;

	struct unpacker *next; /* of those to spare */
};

/* ---- what comes out ---- */

static void feed_delta(struct unpacker *u, const char *data, size_t length)
{
	struct delta *delta = &u->delta;
	while (length) {
		unsigned char byte = (unsigned char)*data;
		size_t taken = 1;
		if (delta->sizes_left) {
			delta->sizes_left -= !(byte & 0x80);
		} else if (delta->skip) {
			delta->skip--;
		} else if (delta->insert) {
			taken = delta->insert < length ? delta->insert : length;
			stream_feed(u->inner, data, taken);
			delta->insert -= (unsigned)taken;
		} else if (byte & 0x80) {
			delta->skip = (unsigned)__builtin_popcount(byte & 0x7f);
		} else {
			delta->insert = byte;
		}
		data += taken;
		length -= taken;
	}
}

static const char *inner_name(const struct unpacker *u, char *number, size_t number_bytes)
{
	if (u->kind == MAGIC_ZIP)
		return u->name;
	if (u->kind != MAGIC_PACK)
		return NULL;
	snprintf(number, number_bytes, "object %u", u->object);
	return number;
}

static void deliver(struct unpacker *u, enum progress progress)
{
	char number[32];
	if (!u->out_used || (progress == BROKEN && !u->inner && u->out_used < WORTH_BYTES))
		return;
	if (!u->inner)
		u->inner = stream_inner(
			u->outer, inner_name(u, number, sizeof(number)), u->offset);
	if (!u->inner)
		stream_unreadable(u->outer, u->offset, "needs more memory than there is");
	else if (u->delta.on)
		feed_delta(u, u->out, u->out_used);
	else
		stream_feed(u->inner, u->out, u->out_used);
	u->out_used = 0;
}

static void finish_inner(struct unpacker *u)
{
	if (u->inner)
		stream_finish(u->inner);
	u->inner = NULL;
	u->out_used = 0;
	u->out_total = 0;
}

/* ---- deflate ---- */

static bool open_inflate(struct unpacker *u, int window_bits)
{
	int r = u->z_ready ? inflateReset2(&u->z, window_bits) : inflateInit2(&u->z, window_bits);
	if (r != Z_OK)
		return false;
	u->z_ready = true;
	u->step = STEP_INFLATE;
	return true;
}

/* What came of one call of inflate(). */
static enum progress progress_of(int r)
{
	if (r == Z_STREAM_END)
		return DONE;
	if (r != Z_OK && r != Z_BUF_ERROR)
		return BROKEN; /* a dictionary that nobody has, too */
	return MORE;
}

static enum progress inflate_some(struct unpacker *u, const char **data, size_t *length)
{
	for (;;) {
		u->z.next_in = (Bytef *)(uintptr_t)*data;
		u->z.avail_in = (uInt)*length;
		u->z.next_out = (Bytef *)u->out + u->out_used;
		u->z.avail_out = (uInt)(OUT_BYTES - u->out_used);
		enum progress progress = progress_of(inflate(&u->z, Z_NO_FLUSH));
		size_t taken = *length - u->z.avail_in;
		size_t made = OUT_BYTES - u->out_used - u->z.avail_out;
		*data += taken;
		*length -= taken;
		u->out_used += made;
		u->out_total += made;
		if (!stream_charge(u->outer, taken + made)) {
			u->told = true;
			return BROKEN;
		}
		if (progress != MORE || u->out_used == OUT_BYTES)
			deliver(u, progress);
		if (progress != MORE || (!*length && u->z.avail_out))
			return progress;
	}
}

/* ---- entries of a zip ---- */

static uint64_t little(const unsigned char *bytes, size_t count)
{
	uint64_t value = 0;
	for (size_t i = count; i-- > 0;)
		value = value << 8 | bytes[i];
	return value;
}

/* As the header says, or its 64-bit extra field. */
static uint64_t stored_bytes(const struct unpacker *u)
{
	uint64_t size = little(u->header + 14, 4);
	if (size == UINT32_MAX && u->extra_used >= 20 && little(u->extra, 2) == 1)
		size = little(u->extra + 12, 8);
	return size;
}

static enum progress zip_data(struct unpacker *u)
{
	unsigned flags = (unsigned)little(u->header + 2, 2);
	unsigned method = (unsigned)little(u->header + 4, 2);
	uint64_t begin = u->offset + u->consumed, size = stored_bytes(u);
	u->name[u->name_used] = '\0';
	if (flags & 1) {
		stream_unreadable(u->outer, u->offset, "has an entry that is encrypted");
		return DONE;
	}
	if (method != 0 && method != 8) {
		stream_unreadable(u->outer, u->offset,
			"has an entry that is compressed in a way that is not searched");
		return DONE;
	}
	u->told_if_broken = method == 8;
	if (method == 0 && size <= INT64_MAX - begin)
		stream_set_member(u->outer, MEMBER_OF_ZIP, u->name, begin, begin + size);
	return open_inflate(u, -MAX_WBITS) ? MORE : BROKEN;
}

/* The lengths of what follows the header; false: it is none. */
static bool zip_header(struct unpacker *u)
{
	if (u->header[0] > 63 || u->header[1] > 19) /* the newest version, the last system */
		return false;
	u->name_left = (unsigned)little(u->header + 22, 2);
	u->extra_left = (unsigned)little(u->header + 24, 2);
	u->step = STEP_ZIP_NAME;
	return true;
}

static size_t keep_some(void *to, size_t *used, size_t room, const char *data, size_t length)
{
	size_t count = length < room - *used ? length : room - *used;
	memcpy((char *)to + *used, data, count);
	*used += count;
	return count;
}

static enum progress step_zip(struct unpacker *u, const char **data, size_t *length)
{
	size_t taken = *length;
	enum progress progress = MORE;
	switch (u->step) {
	case STEP_ZIP_HEADER:
		taken = keep_some(
			u->header, &u->header_used, sizeof(u->header), *data, *length);
		if (u->header_used == sizeof(u->header) && !zip_header(u))
			progress = BROKEN;
		break;
	case STEP_ZIP_NAME:
		taken = u->name_left < taken ? u->name_left : taken;
		keep_some(u->name, &u->name_used, sizeof(u->name) - 1, *data, taken);
		u->name_left -= (unsigned)taken;
		break;
	default:
		taken = u->extra_left < taken ? u->extra_left : taken;
		keep_some(u->extra, &u->extra_used, sizeof(u->extra), *data, taken);
		u->extra_left -= (unsigned)taken;
		break;
	}
	*data += taken;
	*length -= taken;
	u->consumed += taken;
	if (u->step == STEP_ZIP_NAME && !u->name_left)
		u->step = STEP_ZIP_EXTRA;
	if (u->step == STEP_ZIP_EXTRA && !u->extra_left)
		return zip_data(u);
	return progress;
}

/* ---- objects of a pack ---- */

static enum progress next_object(struct unpacker *u)
{
	finish_inner(u);
	u->object++;
	u->delta = (struct delta){0};
	u->step = STEP_PACK_TYPE;
	return u->objects_left-- ? MORE : DONE;
}

static enum progress pack_data(struct unpacker *u)
{
	return open_inflate(u, MAX_WBITS) ? MORE : BROKEN;
}

static enum progress pack_type(struct unpacker *u, unsigned char byte)
{
	unsigned type = byte >> 4 & 7;
	enum { OFFSET_DELTA = 6, ID_DELTA = 7 };
	if (type == 0 || type == 5)
		return BROKEN;
	if (type >= OFFSET_DELTA)
		u->delta = (struct delta){.on = true, .sizes_left = 2};
	u->skip_left = type == ID_DELTA ? PACK_ID_BYTES : 0;
	if (byte & 0x80)
		u->step = STEP_PACK_SIZE;
	else if (type >= OFFSET_DELTA)
		u->step = type == ID_DELTA ? STEP_PACK_ID : STEP_PACK_OFFSET;
	else
		return pack_data(u);
	return MORE;
}

/* One byte before an object's data. */
static enum progress step_pack(struct unpacker *u, unsigned char byte)
{
	switch (u->step) {
	case STEP_PACK_COUNT:
		u->objects_left = u->objects_left << 8 | byte;
		return --u->skip_left ? MORE : next_object(u);
	case STEP_PACK_TYPE:
		return pack_type(u, byte);
	case STEP_PACK_SIZE:
		if (byte & 0x80)
			return MORE;
		if (!u->delta.on)
			return pack_data(u);
		u->step = u->skip_left ? STEP_PACK_ID : STEP_PACK_OFFSET;
		return MORE;
	case STEP_PACK_ID:
		return --u->skip_left ? MORE : pack_data(u);
	default: /* STEP_PACK_OFFSET */
		return byte & 0x80 ? MORE : pack_data(u);
	}
}

/* ---- all of them ---- */

static enum progress step(struct unpacker *u, const char **data, size_t *length)
{
	if (u->step == STEP_INFLATE) {
		enum progress progress = inflate_some(u, data, length);
		return progress == DONE && u->kind == MAGIC_PACK ? next_object(u) : progress;
	}
	if (u->kind == MAGIC_ZIP)
		return step_zip(u, data, length);
	(*length)--;
	return step_pack(u, (unsigned char)*(*data)++);
}

static bool is_credible(const struct unpacker *u)
{
	bool long_enough = u->kind == MAGIC_GZIP && u->out_total >= CREDIBLE_BYTES;
	return !u->told && (u->told_if_broken || long_enough);
}

bool unpacker_feed(struct unpacker *u, const char *data, size_t length)
{
	enum progress progress = MORE;
	while (progress == MORE && length)
		progress = step(u, &data, &length);
	if (progress == BROKEN && is_credible(u))
		stream_unreadable(u->outer, u->offset, "is packed, and broken");
	u->ended = progress != MORE;
	return !u->ended;
}

enum magic_kind unpacker_kind(const struct unpacker *unpacker)
{
	return unpacker->kind;
}

static struct unpacker *new_unpacker(struct search *search)
{
	struct unpacker **spare = search_spare_unpackers(search), *u = *spare;
	if (!u)
		return calloc(1, sizeof(*u));
	*spare = u->next;
	/* zlib's own memory is what is worth keeping. */
	const z_stream z = u->z;
	bool ready = u->z_ready;
	size_t out_offset = offsetof(struct unpacker, out);
	memset(u, 0, out_offset);
	memset(u->out + OUT_BYTES, 0, sizeof(*u) - out_offset - OUT_BYTES);
	u->z = z;
	u->z_ready = ready;
	return u;
}

static bool begin(struct unpacker *u, const struct magic *magic)
{
	const char *bytes = magic->bytes;
	size_t length = magic->length;
	switch (u->kind) {
	case MAGIC_ZLIB:
	case MAGIC_GZIP:
		return open_inflate(u, u->kind == MAGIC_ZLIB ? MAX_WBITS : MAX_WBITS + 16) &&
		       unpacker_feed(u, bytes, length);
	case MAGIC_ZIP:
		u->step = STEP_ZIP_HEADER;
		break;
	case MAGIC_PACK:
		u->step = STEP_PACK_COUNT;
		u->skip_left = 4;
		break;
	}
	u->consumed = length;
	return true;
}

struct unpacker *unpacker_start(
	struct stream *outer, const struct magic *magic, uint64_t offset_bytes, bool at_start)
{
	bool sure = magic->kind != MAGIC_ZLIB; /* whose two bytes are anything */
	if (stream_depth(outer) == MAX_SEARCH_NESTING) {
		if (at_start || sure)
			stream_unreadable(outer, offset_bytes, "nests too many archives");
		return NULL;
	}
	struct unpacker *u = new_unpacker(stream_search(outer));
	if (!u) {
		stream_unreadable(outer, offset_bytes, "needs more memory than there is");
		return NULL;
	}
	u->kind = magic->kind;
	u->outer = outer;
	u->offset = offset_bytes;
	/* Two bytes at the start of a file are not enough to call what follows broken. */
	u->told_if_broken = magic->kind == MAGIC_PACK || (at_start && magic->kind == MAGIC_GZIP);
	if (begin(u, magic))
		return u;
	unpacker_stop(u);
	return NULL;
}

void unpacker_stop(struct unpacker *u)
{
	struct unpacker **spare = search_spare_unpackers(stream_search(u->outer));
	if (!u->ended && is_credible(u))
		stream_unreadable(u->outer, u->offset, "is packed, and ends early");
	if (!u->ended)
		deliver(u, MORE);
	finish_inner(u);
	u->next = *spare;
	*spare = u;
}

void unpackers_free(struct search *search)
{
	struct unpacker **spare = search_spare_unpackers(search);
	while (*spare) {
		struct unpacker *u = *spare;
		*spare = u->next;
		if (u->z_ready)
			inflateEnd(&u->z);
		explicit_bzero(u, sizeof(*u));
		free(u);
	}
}
