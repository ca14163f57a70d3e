/* Theory of operation. A ustar header holds 100 bytes of a name, seconds, and numbers in octal. What
 * does not fit (longer names, other bytes than ASCII, parts of a second, large numbers, attributes)
 * goes before it into a pax header of its own, whose records win. Nothing of the moment of writing is
 * in it: neither user names nor the time of day. */
#include "layer/tar_write.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	BLOCK_BYTES = 512,
	OCTAL_11_MAX_BITS = 33, /* eleven octal digits */
	OCTAL_7_MAX_BITS = 21,
};

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
		magic[6], version[2], user[32], group[32], device_major[8], device_minor[8],
		prefix[155], unused[12];
};

_Static_assert(sizeof(struct header) == BLOCK_BYTES, "a tar header is one block");

void tar_sink_init(struct tar_sink *sink, int fd)
{
	*sink = (struct tar_sink){.fd = fd};
	SHA256Init(&sink->digest);
}

void tar_write(struct tar_sink *sink, const void *data, size_t length_bytes)
{
	if (sink->error || length_bytes == 0)
		return;
	if (sink->fd >= 0) {
		int r = fd_write_full(sink->fd, data, length_bytes);
		if (r < 0) {
			sink->error = r;
			return;
		}
	}
	SHA256Update(&sink->digest, data, length_bytes);
	sink->bytes += length_bytes;
}

void tar_sink_digest(struct tar_sink *sink, char ret[TAR_DIGEST_BYTES])
{
	SHA256End(&sink->digest, ret);
}

void tar_put_padding(struct tar_sink *sink, uint64_t size_bytes)
{
	static const char zeros[BLOCK_BYTES];
	tar_write(sink, zeros, (BLOCK_BYTES - size_bytes % BLOCK_BYTES) % BLOCK_BYTES);
}

void tar_put_end(struct tar_sink *sink)
{
	static const char zeros[2 * BLOCK_BYTES];
	tar_write(sink, zeros, sizeof(zeros));
}

/* ---- pax ---- */

static size_t digits(size_t number)
{
	size_t count = 1;
	for (; number >= 10; number /= 10)
		count++;
	return count;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void add_record(struct buffer *to, const char *prefix, const char *key, const void *value,
	size_t length_bytes)
{
	size_t rest = 1 + strlen(prefix) + strlen(key) + 1 + length_bytes + 1;
	size_t length = rest + digits(rest);
	if (digits(length) != digits(rest))
		length = rest + digits(length);
	buffer_append_format(to, "%zu %s%s=", length, prefix, key);
	buffer_append(to, value, length_bytes);
	buffer_append(to, "\n", 1);
}

static void add_text(struct buffer *to, const char *key, const char *text)
{
	add_record(to, "", key, text, strlen(text));
}

void tar_add_attribute(
	struct tar_entry *entry, const char *name, const void *value, size_t length_bytes)
{
	add_record(&entry->attributes, "SCHILY.xattr.", name, value, length_bytes);
}

static bool fits(const char *text, size_t room)
{
	size_t length = strlen(text);
	for (const char *s = text; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return length <= room;
}

static void add_number(struct buffer *to, const char *key, uint64_t number, unsigned bits)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	if (number >> bits)
		add_text(to, key, text);
}

static void add_time(struct buffer *to, struct timespec time)
{
	char text[48];
	if (time.tv_nsec == 0 && time.tv_sec >= 0 && !((uint64_t)time.tv_sec >> OCTAL_11_MAX_BITS))
		return;
	long long seconds = time.tv_sec;
	long ns = time.tv_nsec;
	bool negative = seconds < 0;
	if (negative && ns > 0) { /* -1.25 is -2 s and 750 ms */
		seconds++;
		ns = 1000000000 - ns;
	}
	snprintf(text, sizeof(text), "%s%lld.%09ld", negative ? "-" : "",
		negative ? -seconds : seconds, ns);
	add_text(to, "mtime", text);
}

/* ---- headers ---- */

static void put_octal(char *field, size_t room, uint64_t number)
{
	char text[32];
	uint64_t most = (1ULL << (3 * (room - 1))) - 1;
	snprintf(text, sizeof(text), "%0*llo", (int)room - 1,
		(unsigned long long)(number > most ? 0 : number));
	memcpy(field, text, room);
}

static void put_text(char *field, size_t room, const char *text)
{
	size_t length = strlen(text);
	memcpy(field, text, length < room ? length : room);
}

static void put_header(
	struct tar_sink *sink, const struct tar_entry *entry, const char *name, uint64_t size_bytes)
{
	struct header header = {.type = entry->type, .magic = "ustar", .version = {'0', '0'}};
	put_text(header.name, sizeof(header.name), name);
	put_octal(header.mode, sizeof(header.mode), entry->mode & 07777);
	put_octal(header.uid, sizeof(header.uid), entry->uid);
	put_octal(header.gid, sizeof(header.gid), entry->gid);
	put_octal(header.size, sizeof(header.size), size_bytes);
	put_octal(header.mtime, sizeof(header.mtime),
		entry->modified.tv_sec > 0 ? (uint64_t)entry->modified.tv_sec : 0);
	if (entry->link)
		put_text(header.link, sizeof(header.link), entry->link);
	put_octal(header.device_major, sizeof(header.device_major), 0);
	put_octal(header.device_minor, sizeof(header.device_minor), 0);
	memset(header.checksum, ' ', sizeof(header.checksum));
	unsigned sum = 0;
	for (size_t i = 0; i < sizeof(header); i++)
		sum += ((const unsigned char *)&header)[i];
	snprintf(header.checksum, sizeof(header.checksum), "%06o", sum & 0777777);
	tar_write(sink, &header, sizeof(header));
}

void tar_put_entry(struct tar_sink *sink, const struct tar_entry *entry)
{
	cleanup_buffer struct buffer pax = BUFFER_INIT(MAX_LAYER_FILE_BYTES * 16);
	cleanup_free char *name = NULL;
	if (asprintf(&name, "%s%s", entry->name, entry->type == '5' ? "/" : "") < 0) {
		name = NULL;
		sink->error = sink->error ? sink->error : -ENOMEM;
		return;
	}
	if (!fits(name, sizeof(((struct header *)0)->name)))
		add_text(&pax, "path", name);
	if (entry->link && !fits(entry->link, sizeof(((struct header *)0)->link)))
		add_text(&pax, "linkpath", entry->link);
	add_number(&pax, "size", entry->size_bytes, OCTAL_11_MAX_BITS);
	add_number(&pax, "uid", entry->uid, OCTAL_7_MAX_BITS);
	add_number(&pax, "gid", entry->gid, OCTAL_7_MAX_BITS);
	add_time(&pax, entry->modified);
	buffer_append(&pax, entry->attributes.data, entry->attributes.length_bytes);
	int error = buffer_error(&pax) ? buffer_error(&pax) : buffer_error(&entry->attributes);
	if (error && !sink->error)
		sink->error = error;
	if (pax.length_bytes) {
		const struct tar_entry extended = {.type = 'x', .mode = 0644};
		put_header(sink, &extended, "pax", pax.length_bytes);
		tar_write(sink, pax.data, pax.length_bytes);
		tar_put_padding(sink, pax.length_bytes);
	}
	put_header(sink, entry, name, entry->size_bytes);
}
