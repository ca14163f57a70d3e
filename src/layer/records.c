/* Theory of operation. A root's records lie in one file that is mapped, not read: a header, one
 * record after another, each with its path, and an index of their offsets in the order of the paths,
 * in which a path is found by bisection. Writing is one pass in the order of the walk. The file is
 * coffer's own, and yet every offset is checked when it is followed: a disk may have been full. */
#include "layer/records.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

static const char magic[8] = "CofLay1";

struct header {
	char magic[8];
	uint64_t count;
	uint64_t index; /* offset of count offsets */
	uint64_t copied_us;
};

/* As it lies in the file; a path and its NUL follow. */
struct stored {
	uint64_t inode, size;
	int64_t modified_ns, changed_ns;
	uint32_t mode; /* 0: nothing is there */
	uint32_t marks; /* of enum mark */
};

enum mark { MARK_CHANGED_IN_RUN = 1, MARK_RENEWED = 2 };

struct file {
	const char *data;
	size_t size;
	bool mapped;
	struct header header;
};

struct layer_records {
	struct file files[MAX_LAYER_PARENTS + 1]; /* the own one, if it is there, first */
	size_t count;
	bool has_own;
	struct layer_record *found;
};

enum { NS_PER_S = 1000000000 };

/* ---- order ---- */

static int rank(unsigned char c)
{
	return c == '\0' ? 0 : c == '/' ? 1 : c + 1;
}

int records_compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return rank((unsigned char)*a) - rank((unsigned char)*b);
}

/* ---- reading ---- */

static int check_header(struct file *file)
{
	struct header *header = &file->header;
	if (file->size < sizeof(*header))
		return -EBADMSG;
	memcpy(header, file->data, sizeof(*header));
	if (memcmp(header->magic, magic, sizeof(magic)) != 0 || header->index < sizeof(*header) ||
		header->index > file->size ||
		header->count != (file->size - header->index) / sizeof(uint64_t))
		return -EBADMSG;
	return 0;
}

/* The path of a record and what is stored with it; NULL where the offsets are nonsense. */
static const char *at_position(const struct file *file, size_t position, struct stored *ret)
{
	uint64_t offset;
	memcpy(&offset, file->data + file->header.index + position * sizeof(offset),
		sizeof(offset));
	uint64_t end = file->header.index;
	if (offset < sizeof(file->header) || offset > end || end - offset <= sizeof(*ret))
		return NULL;
	memcpy(ret, file->data + offset, sizeof(*ret));
	const char *path = file->data + offset + sizeof(*ret);
	size_t room = (size_t)(end - offset - sizeof(*ret));
	return memchr(path, '\0', room < MAX_PATH_BYTES ? room : MAX_PATH_BYTES) ? path : NULL;
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

static int64_t ns_of(struct timespec time)
{
	return (int64_t)time.tv_sec * NS_PER_S + time.tv_nsec;
}

static const struct layer_record *find_in(
	const struct layer_records *records, const struct file *file, const char *path)
{
	size_t low = 0, high = (size_t)file->header.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct stored stored;
		const char *there = at_position(file, middle, &stored);
		if (!there)
			return NULL;
		int order = records_compare_paths(path, there);
		if (order == 0) {
			*records->found = (struct layer_record){
				.base = {.present = stored.mode != 0, .at = -1},
				.changed_in_run = stored.marks & MARK_CHANGED_IN_RUN,
				.renewed = stored.marks & MARK_RENEWED};
			struct stat *st = &records->found->base.st;
			st->st_mode = stored.mode;
			st->st_ino = stored.inode;
			st->st_size = (off_t)stored.size;
			st->st_mtim = timespec_of(stored.modified_ns);
			st->st_ctim = timespec_of(stored.changed_ns);
			return records->found;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct layer_record *records_find_own(const struct layer_records *records, const char *path)
{
	return records->has_own ? find_in(records, &records->files[0], path) : NULL;
}

const struct layer_record *records_find_below(const struct layer_records *records, const char *path)
{
	const struct layer_record *found = NULL;
	for (size_t i = records->count; !found && i > (records->has_own ? 1 : 0); i--)
		found = find_in(records, &records->files[i - 1], path);
	return found;
}

const struct layer_record *layer_records_find(const struct layer_records *records, const char *path)
{
	const struct layer_record *found = records_find_own(records, path);
	if (found && found->renewed)
		return found;
	found = records_find_below(records, path);
	return found ? found : records_find_own(records, path);
}

bool records_has_own(const struct layer_records *records)
{
	return records->has_own;
}

size_t records_own_count(const struct layer_records *records)
{
	return records->has_own ? (size_t)records->files[0].header.count : 0;
}

uint64_t records_copied_us(const struct layer_records *records)
{
	return records->has_own ? records->files[0].header.copied_us : 0;
}

static struct layer_records *new_records(void)
{
	struct layer_records *records = calloc(1, sizeof(*records));
	struct layer_record *found = calloc(1, sizeof(*found));
	if (!records || !found) {
		free(records);
		free(found);
		return NULL;
	}
	records->found = found;
	return records;
}

void layer_records_free(struct layer_records *records)
{
	if (!records)
		return;
	for (size_t i = 0; i < records->count; i++)
		if (records->files[i].mapped)
			munmap((void *)records->files[i].data, records->files[i].size);
	free(records->found);
	free(records);
}

int records_parse(const char *data, size_t size_bytes, struct layer_records **ret)
{
	struct file file = {.data = data, .size = size_bytes};
	int r = check_header(&file);
	struct layer_records *records = r == 0 ? new_records() : NULL;
	if (!records)
		return r < 0 ? r : -ENOMEM;
	records->files[records->count++] = file;
	records->has_own = true;
	*ret = records;
	return 0;
}

/* 1: mapped and added; 0: there is none. */
static int add_file(struct layer_records *records, const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct header))
		return -EBADMSG;
	if (st.st_size > MAX_LAYER_RECORDS_BYTES)
		return -EFBIG;
	struct file file = {.size = (size_t)st.st_size, .mapped = true};
	void *data = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	file.data = data;
	int r = check_header(&file);
	if (r < 0) {
		munmap(data, file.size);
		return r;
	}
	records->files[records->count++] = file;
	return 1;
}

static char *file_path(const struct layer *layer, const char *id, const char *key)
{
	cleanup_free char *store = path_parent(layer->directory);
	char *path = NULL;
	if (!store || asprintf(&path, "%s/%s/roots/%s/base", store, id, key) < 0)
		return NULL;
	return path;
}

int records_open(
	const struct layer *layer, const char *key, struct layer_records **ret, struct error *error)
{
	struct layer_records *records = new_records();
	int r = records ? 0 : -ENOMEM;
	for (size_t i = 0; r >= 0 && i <= layer->parents.count && i <= MAX_LAYER_PARENTS; i++) {
		const char *id = i == 0 ? layer->id : layer->parents.items[i - 1];
		cleanup_free char *path = file_path(layer, id, key);
		r = path ? add_file(records, path) : -ENOMEM;
		if (r == 1 && i == 0)
			records->has_own = true;
		if (r == -EBADMSG) {
			error_set(error, EBADMSG, "layer", "%s is damaged", path);
			error_hint(error,
				"what the host had below this layer is not known any more: "
				"`coffer diff` shows what differs now");
		} else if (r < 0) {
			error_set_errno(error, -r, "layer", "%s", path ? path : "records");
		}
	}
	if (r < 0) {
		layer_records_free(records);
		return r;
	}
	*ret = records;
	return 0;
}

int layer_records_read(const struct layer *layer, const struct layer_root *root,
	struct layer_records **ret, struct error *error)
{
	return records_open(layer, path_name(root->directory), ret, error);
}

/* ---- writing ---- */

struct records_writer {
	FILE *file;
	int directory;
	uint64_t *index;
	size_t count, capacity;
	uint64_t offset;
};

static const char fresh_name[] = "base.new";

int records_begin(const char *directory, struct records_writer **ret)
{
	struct records_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	writer->offset = sizeof(struct header);
	writer->directory = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = writer->directory < 0
			 ? -1
			 : openat(writer->directory, fresh_name,
				   O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	writer->file = fd < 0 ? NULL : fdopen(fd, "w");
	int r = writer->file && fseek(writer->file, sizeof(struct header), SEEK_SET) == 0 ? 0
											  : -errno;
	if (r < 0) {
		if (!writer->file)
			close_fd(&fd);
		records_writer_free(writer);
		return r;
	}
	*ret = writer;
	return 0;
}

void records_writer_free(struct records_writer *writer)
{
	if (!writer)
		return;
	if (writer->file) {
		fclose(writer->file);
		unlinkat(writer->directory, fresh_name, 0);
	}
	close_fd(&writer->directory);
	free(writer->index);
	free(writer);
}

size_t records_written(const struct records_writer *writer)
{
	return writer->count;
}

int records_add(struct records_writer *writer, const char *path, const struct layer_record *record)
{
	const struct stat *st = &record->base.st;
	struct stored stored = {.marks = (record->changed_in_run ? MARK_CHANGED_IN_RUN : 0) |
					 (record->renewed ? MARK_RENEWED : 0)};
	if (record->base.present) {
		stored.mode = st->st_mode;
		stored.inode = st->st_ino;
		stored.size = (uint64_t)st->st_size;
		stored.modified_ns = ns_of(st->st_mtim);
		stored.changed_ns = ns_of(st->st_ctim);
	}
	if (writer->count == writer->capacity) {
		size_t capacity = writer->capacity ? writer->capacity * 2 : 64;
		void *index = reallocarray(writer->index, capacity, sizeof(*writer->index));
		if (!index)
			return -ENOMEM;
		writer->index = index;
		writer->capacity = capacity;
	}
	size_t length = strlen(path) + 1;
	if (writer->offset + sizeof(stored) + length > MAX_LAYER_RECORDS_BYTES)
		return -EFBIG;
	if (fwrite(&stored, sizeof(stored), 1, writer->file) != 1 ||
		fwrite(path, length, 1, writer->file) != 1)
		return -errno;
	writer->index[writer->count++] = writer->offset;
	writer->offset += sizeof(stored) + length;
	return 0;
}

int records_commit(struct records_writer *writer, uint64_t copied_us)
{
	struct header header = {
		.count = writer->count, .index = writer->offset, .copied_us = copied_us};
	memcpy(header.magic, magic, sizeof(magic));
	if (writer->count && fwrite(writer->index, sizeof(*writer->index), writer->count,
				     writer->file) != writer->count)
		return -errno;
	if (fseek(writer->file, 0, SEEK_SET) < 0 ||
		fwrite(&header, sizeof(header), 1, writer->file) != 1 || fflush(writer->file) != 0)
		return -errno;
	if (renameat(writer->directory, fresh_name, writer->directory, "base") < 0)
		return -errno;
	fclose(writer->file);
	writer->file = NULL;
	return 0;
}
