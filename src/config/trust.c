/* Theory of operation: the file is a list of lines, one JSON object each, that only grows; what is
 * taken back is rewritten without it, under another name that then takes the old one's place. A
 * line that is not understood is passed over, and so trusts nothing. Records are looked through
 * for equal kind, path and digest: the same content elsewhere is another matter. */
#include "config/trust.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "config/sources.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>

static const char *const kinds[] = {
	[TRUST_PROJECT] = "project",
	[TRUST_HOOK] = "hook",
	[TRUST_TASK] = "task",
};

static json_t *parse_record(const char *line, size_t length_bytes)
{
	json_t *record = json_loadb(line, length_bytes, JSON_REJECT_DUPLICATES, NULL);
	if (record && json_is_object(record))
		return record;
	json_decref(record);
	return NULL;
}

static bool record_is(const json_t *record, const char *field, const char *value)
{
	const char *text = json_string_value(json_object_get(record, field));
	return text && strcmp(text, value) == 0;
}

static int read_records(const char *state_dir, char **ret, size_t *ret_bytes)
{
	cleanup_free char *path = path_join(state_dir, CONFIG_TRUST_FILE);
	int r = path ? fd_read_file(AT_FDCWD, path, MAX_CONFIG_FILE_BYTES, ret, ret_bytes) : -errno;
	return r == -ENOTDIR ? -ENOENT : r;
}

int trust_each(const char *state_dir, trust_record_handler *handler, void *context)
{
	cleanup_free char *records = NULL;
	size_t bytes = 0;
	int r = state_dir ? read_records(state_dir, &records, &bytes) : -ENOENT;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	const char *end = records + bytes;
	for (const char *line = records; r == 0 && line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		json_t *record = parse_record(line, (size_t)(stop - line));
		for (size_t kind = 0; record && kind < ARRAY_SIZE(kinds); kind++) {
			if (!record_is(record, "kind", kinds[kind]))
				continue;
			const char *path = json_string_value(json_object_get(record, "path"));
			const char *hash = json_string_value(json_object_get(record, "sha256"));
			if (path && hash)
				r = handler((enum trust_kind)kind, path, hash, context);
		}
		json_decref(record);
		line = stop + 1;
	}
	return r;
}

struct wanted {
	enum trust_kind kind;
	const char *path, *hash;
};

static int compare_record(enum trust_kind kind, const char *path, const char *hash, void *context)
{
	const struct wanted *wanted = context;
	return kind == wanted->kind && strcmp(path, wanted->path) == 0 &&
	       strcmp(hash, wanted->hash) == 0;
}

bool trust_holds(const char *state_dir, enum trust_kind kind, const char *path, const char *hash)
{
	struct wanted wanted = {kind, path, hash};
	return trust_each(state_dir, compare_record, &wanted) == 1;
}

static void add_record(
	struct buffer *buffer, enum trust_kind kind, const char *path, const char *hash)
{
	buffer_append_format(buffer, "{\"kind\":\"%s\",\"path\":", kinds[kind]);
	buffer_append_json(buffer, path);
	buffer_append_string(buffer, ",\"sha256\":");
	buffer_append_json(buffer, hash);
	buffer_append_string(buffer, "}\n");
}

struct kept {
	enum trust_kind kind; /* records of this kind */
	const char *path;     /* and path are dropped */
	const char *hash;     /* and, unless NULL, this digest */
	size_t dropped;
	struct buffer *buffer;
};

static int keep_others(enum trust_kind kind, const char *path, const char *hash, void *context)
{
	struct kept *kept = context;
	if (kind == kept->kind && strcmp(path, kept->path) == 0 &&
		(!kept->hash || strcmp(hash, kept->hash) == 0))
		kept->dropped++;
	else
		add_record(kept->buffer, kind, path, hash);
	return 0;
}

static int replace_records(const char *state_dir, const struct buffer *records)
{
	cleanup_free char *path = path_join(state_dir, CONFIG_TRUST_FILE);
	cleanup_free char *new_path = NULL;
	if (!path || asprintf(&new_path, "%s.new-%d", path, (int)getpid()) < 0) {
		new_path = NULL;
		return -ENOMEM;
	}
	unlink(new_path);
	cleanup_close int fd =
		open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = records->length_bytes ? fd_write_full(fd, records->data, records->length_bytes) : 0;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(new_path, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(new_path);
	return r;
}

static int store_failed(int r, const char *state_dir, struct error *error)
{
	error_set_errno(
		error, -r, "trust", "%.300s/%s", state_dir ? state_dir : "", CONFIG_TRUST_FILE);
	return error_hint(error, "the directory must be there and yours to write");
}

/* The records without those that kept names, and perhaps a new one. */
static int rewrite(const char *state_dir, struct kept *kept, const char *new_hash)
{
	if (!state_dir)
		return -ENOENT;
	int r = fd_make_directories(state_dir);
	/* Two that write at once must not lose one another's records. */
	cleanup_close int lock = r < 0 ? -1 : open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && lock < 0)
		r = -errno;
	if (r == 0 && flock(lock, LOCK_EX) < 0)
		r = -errno;
	if (r == 0)
		r = trust_each(state_dir, keep_others, kept);
	if (r == 0 && new_hash)
		add_record(kept->buffer, kept->kind, kept->path, new_hash);
	if (r == 0)
		r = buffer_error(kept->buffer);
	return r < 0 ? r : replace_records(state_dir, kept->buffer);
}

int trust_add(const char *state_dir, enum trust_kind kind, const char *path, const char *hash,
	struct error *error)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	/* A project has one file: trusting its new content ends the trust in the old. */
	struct kept kept = {.kind = kind,
		.path = path,
		.hash = kind == TRUST_HOOK ? hash : NULL,
		.buffer = &buffer};
	int r = rewrite(state_dir, &kept, hash);
	return r < 0 ? store_failed(r, state_dir, error) : 0;
}

int trust_remove(const char *state_dir, enum trust_kind kind, const char *path, struct error *error)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	struct kept kept = {.kind = kind, .path = path, .buffer = &buffer};
	int r = rewrite(state_dir, &kept, NULL);
	if (r < 0)
		return store_failed(r, state_dir, error);
	if (kept.dropped == 0)
		return error_set(error, ENOENT, "trust", "%.300s was not trusted", path);
	return 0;
}
