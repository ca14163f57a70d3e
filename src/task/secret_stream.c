/* Theory of operation. One automaton finds, in one pass, every form of every secret and the beginning
 * of everything that can be unpacked here, wherever it stands: a gzip after another, a zlib stream
 * in an object of git, an entry of a zip that no directory lists. What a beginning promises is tried:
 * an unpacker reads on beside the automaton, and what it brings is a stream of its own, looked at in
 * the same way. Most such beginnings are two bytes of something else; those end within some dozen
 * bytes, at the first that cannot be.
 *
 * So archives are not parsed to find what is in them. A tar is only followed from header to header to
 * say in which member something was found.
 *
 * All is bounded: depth, unpackers at one time, and the sum of bytes that they read and write, for
 * one file (by its size) and for all. What is beyond a bound is told as unreadable. */
#include "task/secret_stream.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

enum {
	TAR_BLOCK_BYTES = 512,
	TAR_LONG_NAME_BYTES = 4096,
	HEAD_BYTES = 8,
	ACCEPTED_MAX = 256,
	FREE_BYTES = 64 * 1024 * 1024, /* that any file may come to */
};
#define MIB ((uint64_t)1024 * 1024)

struct search {
	const struct secret_values *values;
	struct search_calls calls;
	struct automaton *automaton;
	uint64_t file_left, left; /* bytes that may still be unpacked */
	bool file_told;           /* that there are no more */
	struct unpacker *spare;
};

struct member {
	char *name;
	uint64_t begin, end;
};

/* Where in a tar the stream stands. */
struct tar {
	bool on;
	char block[TAR_BLOCK_BYTES];
	size_t block_used;
	uint64_t data_left;    /* of the member, padding included */
	char *long_name;       /* that a header before this one gives; or NULL */
	size_t long_used;
	char long_type;        /* 'L', 'x': data_left is such a name; else 0 */
	uint64_t long_left;
};

struct stream {
	struct search *search;
	char *path; /* "" or "!name..." */
	unsigned depth;
	uint64_t offset;
	struct automaton_cursor cursor;
	struct unpacker *unpackers[MAX_SEARCH_UNPACKERS];
	size_t unpackers_count;
	struct tar tar;
	struct member members[MEMBERS]; /* a tar's, and an entry of a zip that is stored as it is */
	char head[HEAD_BYTES]; /* the first bytes of the member or file */
	uint64_t head_begin;
	size_t head_used;
	uint64_t seen_member; /* whose hits `seen` has */
	uint8_t seen[(SECRET_VALUE_END + 7) / 8];
};

/* ---- the search ---- */

int search_new(
	const struct secret_values *values, const struct search_calls *calls, struct search **ret)
{
	struct search *search = calloc(1, sizeof(*search));
	if (!search)
		return -ENOMEM;
	search->values = values;
	search->calls = *calls;
	search->left = MAX_SEARCH_MIB * MIB;
	int r = values->count > MAX_SECRETS ? -E2BIG : automaton_new(&search->automaton);
	for (size_t i = 0; i < values->count && r == 0; i++)
		secret_forms_draw(search->automaton, &values->items[i], i);
	size_t count;
	const struct magic *magics = magic_table(&count);
	for (size_t i = 0; i < count && r == 0; i++)
		automaton_accept(search->automaton,
			automaton_chain(search->automaton, AUTOMATON_ROOT, magics[i].bytes,
				magics[i].length),
			SECRET_VALUE_END + (uint32_t)i);
	if (r == 0)
		r = automaton_seal(search->automaton);
	if (r < 0) {
		search_free(search);
		return r;
	}
	*ret = search;
	return 0;
}

void search_free(struct search *search)
{
	if (!search)
		return;
	unpackers_free(search);
	automaton_free(search->automaton);
	free(search);
}

struct unpacker **search_spare_unpackers(struct search *search)
{
	return &search->spare;
}

bool search_text(struct search *search, const char *text, size_t length_bytes, size_t *ret_secret,
	enum secret_form *ret_form)
{
	struct automaton_cursor cursor;
	uint32_t best = SECRET_VALUE_END, accepted[ACCEPTED_MAX];
	automaton_begin(&cursor, search->automaton);
	for (size_t at = 0; at < length_bytes && best == SECRET_VALUE_END;) {
		at += automaton_run(&cursor, text + at, length_bytes - at);
		size_t count = automaton_accepted(&cursor, accepted, ARRAY_SIZE(accepted));
		for (size_t i = 0; i < count; i++)
			if (accepted[i] < best)
				best = accepted[i];
	}
	automaton_end(&cursor);
	if (best == SECRET_VALUE_END)
		return false;
	*ret_secret = (best - 1) / FORMS_COUNT;
	*ret_form = (best - 1) % FORMS_COUNT;
	return true;
}

/* ---- names of members ---- */

static void append_shortened(struct buffer *path, const char *name)
{
	size_t room = path->max_bytes - path->length_bytes - 1;
	size_t length = strlen(name);
	if (length <= room)
		buffer_append(path, name, length);
	else if (room > 3) {
		buffer_append(path, name, room - 3);
		buffer_append_string(path, "...");
	}
}

static bool is_in_member(const struct member *member, uint64_t offset_bytes)
{
	return offset_bytes >= member->begin && offset_bytes < member->end;
}

static char *member_path(const struct stream *stream, uint64_t offset_bytes, const char *name)
{
	struct buffer path = BUFFER_INIT(MAX_SEARCH_MEMBER_BYTES);
	buffer_append_string(&path, stream->path);
	for (size_t i = 0; i < MEMBERS; i++) {
		const struct member *member = &stream->members[i];
		if (!member->name || !is_in_member(member, offset_bytes))
			continue;
		append_shortened(&path, "!");
		append_shortened(&path, member->name);
	}
	if (name) {
		append_shortened(&path, "!");
		append_shortened(&path, name);
	}
	return buffer_steal(&path);
}

void stream_unreadable(struct stream *stream, uint64_t offset_bytes, const char *why)
{
	cleanup_free char *path = member_path(stream, offset_bytes, NULL);
	stream->search->calls.unreadable(stream->search->calls.context, path ? path : "", why);
}

void stream_set_member(struct stream *stream, enum stream_member which, const char *name,
	uint64_t begin_bytes, uint64_t end_bytes)
{
	struct member *member = &stream->members[which];
	free(member->name);
	*member = (struct member){
		.name = name ? strdup(name) : NULL, .begin = begin_bytes, .end = end_bytes};
	stream->head_used = 0;
	stream->head_begin = begin_bytes;
}

bool stream_charge(struct stream *stream, uint64_t bytes)
{
	struct search *search = stream->search;
	if (bytes <= search->file_left && bytes <= search->left) {
		search->file_left -= bytes;
		search->left -= bytes;
		return true;
	}
	search->file_left = 0;
	if (!search->file_told)
		stream_unreadable(stream, stream->offset,
			search->left < bytes ? "all archives together come to too much when "
					       "unpacked"
					     : "comes to too much when unpacked");
	search->file_told = true;
	return false;
}

/* ---- compressions that are not read ---- */

static const struct {
	const char *bytes;
	unsigned char length;
	const char *why;
} foreign[] = {
	{"\xfd" "7zXZ", 6, "is compressed with xz, which is not searched"},
	{"BZh", 3, "is compressed with bzip2, which is not searched"},
	{"\x28\xb5\x2f\xfd", 4, "is compressed with zstd, which is not searched"},
	{"\x04\x22\x4d\x18", 4, "is compressed with lz4, which is not searched"},
	{"7z\xbc\xaf\x27\x1c", 6, "is packed with 7-Zip, which is not searched"},
	{"Rar!\x1a\x07", 6, "is packed with RAR, which is not searched"},
	{"\x1f\x9d", 2, "is compressed with compress, which is not searched"},
};

static void look_at_head(struct stream *stream)
{
	const char *head = stream->head;
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		if (memcmp(head, foreign[i].bytes, foreign[i].length) != 0)
			continue;
		/* "BZh" begins words: the level and the first block's mark tell more. */
		if (head[0] == 'B' && (head[3] < '1' || head[3] > '9' || head[4] != 0x31))
			continue;
		stream_unreadable(stream, stream->head_begin, foreign[i].why);
	}
}

static void keep_head(struct stream *stream, const char *data, size_t length)
{
	uint64_t at = stream->offset, wanted = stream->head_begin + stream->head_used;
	if (stream->head_used == HEAD_BYTES || wanted < at || wanted >= at + length)
		return;
	size_t skip = (size_t)(wanted - at), count = length - skip;
	if (count > HEAD_BYTES - stream->head_used)
		count = HEAD_BYTES - stream->head_used;
	memcpy(stream->head + stream->head_used, data + skip, count);
	stream->head_used += count;
	if (stream->head_used == HEAD_BYTES)
		look_at_head(stream);
}

/* ---- hits ---- */

static void hit(struct stream *stream, uint32_t value, uint64_t end_bytes)
{
	struct search *search = stream->search;
	uint64_t member = UINT64_MAX;
	for (size_t i = 0; i < MEMBERS; i++)
		if (is_in_member(&stream->members[i], end_bytes - 1))
			member = stream->members[i].begin;
	if (member != stream->seen_member) {
		memset(stream->seen, 0, sizeof(stream->seen));
		stream->seen_member = member;
	}
	uint8_t *byte = &stream->seen[value / 8], bit = (uint8_t)(1 << value % 8);
	if (*byte & bit)
		return;
	*byte |= bit;
	cleanup_free char *path = member_path(stream, end_bytes - 1, NULL);
	const struct search_hit found = {.member = path ? path : "",
		.secret = (value - 1) / FORMS_COUNT,
		.form = (value - 1) % FORMS_COUNT,
		.end_bytes = end_bytes};
	search->calls.hit(search->calls.context, &found);
}

static int compare_values(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

static void start_unpacker(struct stream *stream, const struct magic *magic, const char *data,
	size_t length, uint64_t end_bytes)
{
	uint64_t begin = end_bytes - magic->length;
	bool at_start = begin == 0;
	for (size_t i = 0; i < MEMBERS; i++)
		at_start |= begin == stream->members[i].begin;
	/* The objects of a pack are zlib streams, which its own unpacker reads. */
	for (size_t i = 0; i < stream->unpackers_count && magic->kind == MAGIC_ZLIB; i++)
		if (unpacker_kind(stream->unpackers[i]) == MAGIC_PACK)
			return;
	if (stream->unpackers_count == MAX_SEARCH_UNPACKERS) {
		if (magic->kind != MAGIC_ZLIB)
			stream_unreadable(
				stream, begin, "holds too many compressed streams at one place");
		return;
	}
	struct unpacker *unpacker = unpacker_start(stream, magic, begin, at_start);
	if (!unpacker)
		return;
	if (unpacker_feed(unpacker, data, length))
		stream->unpackers[stream->unpackers_count++] = unpacker;
	else
		unpacker_stop(unpacker);
}

/* Something ends at `at` in data. Of one secret's forms the simplest is told: text without an escape
 * is also a mixture with none. */
static void accepted(struct stream *stream, const char *data, size_t length, size_t at)
{
	uint32_t values[ACCEPTED_MAX];
	size_t count = automaton_accepted(&stream->cursor, values, ARRAY_SIZE(values));
	uint64_t end_bytes = stream->offset + at;
	qsort(values, count, sizeof(values[0]), compare_values);
	size_t magics;
	const struct magic *table = magic_table(&magics);
	for (size_t i = 0; i < count; i++) {
		if (values[i] >= SECRET_VALUE_END)
			start_unpacker(stream, &table[values[i] - SECRET_VALUE_END], data + at,
				length - at, end_bytes);
		else if (i == 0 ||
			 (values[i] - 1) / FORMS_COUNT != (values[i - 1] - 1) / FORMS_COUNT)
			hit(stream, values[i], end_bytes);
	}
}

static void scan(struct stream *stream, const char *data, size_t length)
{
	uint32_t any;
	size_t kept = 0;
	keep_head(stream, data, length);
	for (size_t i = 0; i < stream->unpackers_count; i++) {
		struct unpacker *unpacker = stream->unpackers[i];
		if (unpacker_feed(unpacker, data, length))
			stream->unpackers[kept++] = unpacker;
		else
			unpacker_stop(unpacker);
	}
	stream->unpackers_count = kept;
	for (size_t at = 0; at < length;) {
		at += automaton_run(&stream->cursor, data + at, length - at);
		if (automaton_accepted(&stream->cursor, &any, 1))
			accepted(stream, data, length, at);
	}
	stream->offset += length;
}

/* ---- tar ---- */

static uint64_t tar_number(const char *field, size_t length)
{
	uint64_t value = 0;
	if ((unsigned char)field[0] & 0x80) { /* base 256, of which eight bytes are enough */
		for (size_t i = length - 8; i < length; i++)
			value = value << 8 | (unsigned char)field[i];
		return value;
	}
	for (size_t i = 0; i < length && field[i]; i++)
		if (field[i] >= '0' && field[i] <= '7')
			value = value << 3 | (uint64_t)(field[i] - '0');
	return value;
}

static bool is_tar_header(const char *block)
{
	unsigned sum = 0;
	for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
		sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
	return block[0] && sum == tar_number(block + 148, 8);
}

/* The name that a pax header gives: "27 path=...\n". */
static void take_pax_path(struct tar *tar)
{
	char *path = memmem(tar->long_name, tar->long_used, " path=", 6);
	char *end = path ? memchr(path, '\n', tar->long_used - (size_t)(path - tar->long_name))
			 : NULL;
	if (!end) {
		free(steal_pointer(&tar->long_name));
		return;
	}
	size_t length = (size_t)(end - path) - 6;
	memmove(tar->long_name, path + 6, length);
	tar->long_name[length] = '\0';
}

/* A name of two fields, which stand apart in the header: looked at as it is read. */
static void look_at_name(struct stream *stream, const char *name)
{
	size_t secret;
	enum secret_form form;
	if (search_text(stream->search, name, strlen(name), &secret, &form))
		hit(stream, secret_form_value(secret, form), stream->offset);
}

static void tar_header(struct stream *stream)
{
	struct tar *tar = &stream->tar;
	char name[155 + 1 + 100 + 1];
	const char *block = tar->block;
	uint64_t size = tar_number(block + 124, 12);
	bool has_prefix = memcmp(block + 257, "ustar", 5) == 0 && block[345];
	snprintf(name, sizeof(name), "%.155s%s%.100s", has_prefix ? block + 345 : "",
		has_prefix ? "/" : "", block);
	if (size > INT64_MAX - 2 * TAR_BLOCK_BYTES)
		size = 0;
	tar->data_left = (size + TAR_BLOCK_BYTES - 1) / TAR_BLOCK_BYTES * TAR_BLOCK_BYTES;
	tar->long_type = 0;
	if (block[156] == 'x' || block[156] == 'L') {
		tar->long_type = block[156];
		tar->long_left = size;
		tar->long_used = 0;
		if (!tar->long_name)
			tar->long_name = malloc(TAR_LONG_NAME_BYTES + 1);
		return;
	}
	if (strchr("1234567", block[156]) && block[156] != '7' && block[156])
		tar->data_left = 0; /* links and devices have none, whatever the field says */
	stream_set_member(stream, MEMBER_OF_TAR, tar->long_name ? tar->long_name : name, stream->offset,
		stream->offset + tar->data_left);
	if (has_prefix)
		look_at_name(stream, name);
	free(steal_pointer(&tar->long_name));
}

static void tar_data(struct tar *tar, const char *data, size_t length)
{
	tar->data_left -= length;
	if (!tar->long_type || !tar->long_name)
		return;
	size_t room = TAR_LONG_NAME_BYTES - tar->long_used;
	size_t count = length < tar->long_left ? length : (size_t)tar->long_left;
	tar->long_left -= count;
	if (count > room)
		count = room;
	memcpy(tar->long_name + tar->long_used, data, count);
	tar->long_used += count;
	tar->long_name[tar->long_used] = '\0';
	if (tar->data_left == 0 && tar->long_type == 'x')
		take_pax_path(tar);
}

/* How much of what comes next is looked at in one piece: a header's rest, a member's rest. */
static size_t tar_piece(const struct tar *tar, size_t length)
{
	uint64_t piece = tar->data_left ? tar->data_left : TAR_BLOCK_BYTES - tar->block_used;
	return tar->on && piece < length ? (size_t)piece : length;
}

static void tar_follow(struct stream *stream, const char *data, size_t length)
{
	struct tar *tar = &stream->tar;
	if (!tar->on)
		return;
	if (tar->data_left) {
		tar_data(tar, data, length);
		return;
	}
	memcpy(tar->block + tar->block_used, data, length);
	tar->block_used += length;
	if (tar->block_used < TAR_BLOCK_BYTES)
		return;
	tar->block_used = 0;
	tar->on = is_tar_header(tar->block);
	if (tar->on)
		tar_header(stream);
}

/* ---- streams ---- */

static struct stream *stream_new(struct search *search, char *path, unsigned depth)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	if (!stream || !path) {
		free(stream);
		free(path);
		return NULL;
	}
	stream->search = search;
	stream->path = path;
	stream->depth = depth;
	stream->tar.on = true; /* until the first block shows otherwise */
	stream->seen_member = UINT64_MAX;
	automaton_begin(&stream->cursor, search->automaton);
	return stream;
}

int search_begin(struct search *search, uint64_t file_bytes, struct stream **ret)
{
	uint64_t most = MAX_SEARCH_FILE_MIB * MIB;
	search->file_left = FREE_BYTES;
	if (file_bytes < most / MAX_SEARCH_RATIO)
		search->file_left += file_bytes * MAX_SEARCH_RATIO;
	else
		search->file_left += most;
	search->file_told = false;
	*ret = stream_new(search, strdup(""), 0);
	return *ret ? 0 : -ENOMEM;
}

struct stream *stream_inner(struct stream *outer, const char *name, uint64_t offset_bytes)
{
	return stream_new(
		outer->search, member_path(outer, offset_bytes, name), outer->depth + 1);
}

struct search *stream_search(const struct stream *stream)
{
	return stream->search;
}

unsigned stream_depth(const struct stream *stream)
{
	return stream->depth;
}

void stream_feed(struct stream *stream, const char *data, size_t length_bytes)
{
	while (length_bytes) {
		size_t piece = tar_piece(&stream->tar, length_bytes);
		scan(stream, data, piece);
		tar_follow(stream, data, piece);
		data += piece;
		length_bytes -= piece;
	}
}

void stream_finish(struct stream *stream)
{
	for (size_t i = 0; i < stream->unpackers_count; i++)
		unpacker_stop(stream->unpackers[i]);
	automaton_end(&stream->cursor);
	for (size_t i = 0; i < MEMBERS; i++)
		free(stream->members[i].name);
	free(stream->tar.long_name);
	free(stream->path);
	free(stream);
}

int search_end(struct stream *stream)
{
	struct search *search = stream->search;
	stream_finish(stream);
	return automaton_error(search->automaton);
}
