/* Theory of operation. This runs outside of any box, on files that a box wrote, and so does as
 * little as can be: nothing is unpacked here. An entry that was found is opened beneath the layer's
 * upper, through no link. If it is a file with a secret in its own bytes, the same automaton goes
 * over it, and where something ends, goes back to where it began; those bytes become stars.
 * Everything else that holds one (an archive, a name, a link's target) is removed, as is what
 * cannot be overwritten with certainty. Whether it was enough is not judged here: the layer is
 * searched again. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/tree.h"
#include "layer/layer.h"
#include "task/secret_forms.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

enum {
	READ_BYTES = 256 * 1024,
	BACK_BYTES = 128 * 1024, /* how far back a form's beginning is looked for */
	SPANS_MAX = 65536,       /* in one file: with more it is removed */
	DOUBTS_MAX = 64,
};

static const char stage[] = "scrub";

/* What is certain to be all of the values of one search. */
struct scrub {
	const struct secret_values *values;
	struct automaton *automaton;
	int upper;
	int file;
	struct span {
		uint64_t begin, end;
		bool doubtful; /* only a part of a value, in the midst of more of it */
	} * spans;
	size_t spans_count;
	char back[BACK_BYTES], data[READ_BYTES];
};

/* Beneath the upper, through no link. */
static int open_beneath(int upper, const char *entry, int flags)
{
	const struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV};
	int fd = (int)syscall(SYS_openat2, upper, *entry ? entry : ".", &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* ---- overwriting ---- */

static bool is_base64_digit(char c)
{
	return isalnum((unsigned char)c) || strchr("+/-_", c);
}

/* The characters beside a value in base64 carry its first and last bits. */
static void widen(const struct scrub *scrub, struct span *span)
{
	char around[2];
	if (span->begin && pread(scrub->file, around, 1, (off_t)span->begin - 1) == 1 &&
		around[0] && is_base64_digit(around[0]))
		span->begin--;
	if (pread(scrub->file, around, 1, (off_t)span->end) == 1 && around[0] &&
		is_base64_digit(around[0]))
		span->end++;
}

/* -ENODATA: where it begins cannot be seen; -E2BIG: there are too many. */
static int add_span(struct scrub *scrub, uint32_t value, uint64_t end)
{
	enum secret_form form = (value - 1) % FORMS_COUNT;
	size_t length = end < BACK_BYTES ? (size_t)end : BACK_BYTES;
	if (form == FORM_BASE32 || form == FORM_BASE85)
		return -ENODATA; /* too rare to find out which bits of their edges are whose */
	if (pread(scrub->file, scrub->back, length, (off_t)(end - length)) != (ssize_t)length)
		return -EIO;
	size_t first = automaton_first_byte(scrub->automaton, value, scrub->back, length);
	if (first == SIZE_MAX)
		return -ENODATA;
	if (scrub->spans_count == SPANS_MAX)
		return -E2BIG;
	const struct secret_value *secret = &scrub->values->items[(value - 1) / FORMS_COUNT];
	struct span span = {.begin = end - length + first,
		.end = end,
		.doubtful = !secret_form_is_whole(secret, form)};
	if (form >= FORM_BASE64 && form <= FORM_BASE64_WIDE)
		widen(scrub, &span);
	scrub->spans[scrub->spans_count++] = span;
	return 0;
}

/* Of a long value only a part is looked for but in its plain form; in that, the part is plain too,
 * and all of it is a span as well. */
static int settle_doubts(const struct scrub *scrub)
{
	size_t doubts = 0;
	for (size_t i = 0; i < scrub->spans_count; i++) {
		const struct span *part = &scrub->spans[i];
		bool covered = !part->doubtful;
		if (part->doubtful && ++doubts > DOUBTS_MAX)
			return -E2BIG;
		for (size_t k = 0; k < scrub->spans_count && !covered; k++)
			covered = !scrub->spans[k].doubtful &&
				  scrub->spans[k].begin <= part->begin &&
				  scrub->spans[k].end >= part->end;
		if (!covered)
			return -ENODATA;
	}
	return 0;
}

static int find_spans(struct scrub *scrub)
{
	struct automaton_cursor cursor;
	uint32_t values[256];
	uint64_t offset = 0;
	int r = 0;
	scrub->spans_count = 0;
	automaton_begin(&cursor, scrub->automaton);
	while (r == 0) {
		ssize_t count = pread(scrub->file, scrub->data, READ_BYTES, (off_t)offset);
		if (count <= 0) {
			r = count < 0 ? -errno : 0;
			break;
		}
		for (size_t at = 0; at < (size_t)count && r == 0;) {
			at += automaton_run(&cursor, scrub->data + at, (size_t)count - at);
			size_t found = automaton_accepted(&cursor, values, ARRAY_SIZE(values));
			for (size_t i = 0; i < found && r == 0; i++)
				r = add_span(scrub, values[i], offset + at);
		}
		offset += (uint64_t)count;
	}
	automaton_end(&cursor);
	if (r == 0)
		r = automaton_error(scrub->automaton);
	return r < 0 ? r : settle_doubts(scrub);
}

static int write_stars(struct scrub *scrub)
{
	memset(scrub->data, '*', READ_BYTES);
	for (size_t i = 0; i < scrub->spans_count; i++) {
		struct span span = scrub->spans[i];
		while (span.begin < span.end) {
			size_t length = span.end - span.begin < READ_BYTES
						? (size_t)(span.end - span.begin)
						: READ_BYTES;
			ssize_t count = pwrite(scrub->file, scrub->data, length, (off_t)span.begin);
			if (count <= 0)
				return count < 0 ? -errno : -EIO;
			span.begin += (uint64_t)count;
		}
	}
	return fsync(scrub->file) ? -errno : 0;
}

/* For reading and writing, also where its owner has made it read-only; *ret_mode is put back. */
static int open_for_writing(int upper, const char *entry, mode_t *ret_mode)
{
	struct stat status;
	cleanup_close int readable = open_beneath(upper, entry, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (readable < 0)
		return readable;
	if (fstat(readable, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	*ret_mode = status.st_mode & 07777;
	int fd = open_beneath(upper, entry, O_RDWR | O_NONBLOCK | O_NOCTTY);
	if (fd != -EACCES)
		return fd;
	if (fchmod(readable, *ret_mode | 0200))
		return -errno;
	fd = open_beneath(upper, entry, O_RDWR | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		fchmod(readable, *ret_mode);
	return fd;
}

/* 0, or -errno: the file has to be removed. */
static int overwrite(struct scrub *scrub, const char *entry)
{
	mode_t mode = 0;
	cleanup_close int file = open_for_writing(scrub->upper, entry, &mode);
	if (file < 0)
		return file;
	scrub->file = file;
	int r = find_spans(scrub);
	if (r == 0 && scrub->spans_count == 0)
		r = -ENODATA;
	if (r == 0)
		r = write_stars(scrub);
	if (fchmod(file, mode) && r == 0) /* writing has taken setuid bits away, too */
		r = -errno;
	return r;
}

/* ---- removing ---- */

static int remove_entry(const struct scrub *scrub, const char *entry)
{
	cleanup_free char *copy = strdup(entry);
	char *slash = copy ? strrchr(copy, '/') : NULL;
	if (!copy || !*copy)
		return copy ? -EBUSY : -ENOMEM; /* the root itself */
	if (slash)
		*slash = '\0';
	cleanup_close int directory =
		open_beneath(scrub->upper, slash ? copy : "", O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	return tree_remove(directory, slash ? slash + 1 : copy);
}

static bool holds_secret(const struct scrub *scrub, const char *data, size_t length)
{
	struct automaton_cursor cursor;
	uint32_t any;
	automaton_begin(&cursor, scrub->automaton);
	bool found = false;
	for (size_t at = 0; at < length && !found;) {
		at += automaton_run(&cursor, data + at, length - at);
		found = automaton_accepted(&cursor, &any, 1) > 0;
	}
	automaton_end(&cursor);
	return found;
}

static int remove_attributes(struct scrub *scrub, const char *entry)
{
	cleanup_close int fd = open_beneath(scrub->upper, entry, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	ssize_t length = flistxattr(fd, scrub->data, READ_BYTES);
	if (length < 0)
		return -errno;
	for (ssize_t i = 0; i < length;) {
		const char *name = scrub->data + i;
		i += (ssize_t)strlen(name) + 1;
		ssize_t value = fgetxattr(fd, name, scrub->back, BACK_BYTES);
		if ((value > 0 && holds_secret(scrub, scrub->back, (size_t)value)) ||
			holds_secret(scrub, name, strlen(name)))
			if (fremovexattr(fd, name))
				return -errno;
	}
	return 0;
}

static int scrub_one(struct scrub *scrub, const struct secret_finding *finding)
{
	int r = -ENOTSUP;
	if (strcmp(finding->where, "content") == 0)
		r = overwrite(scrub, finding->entry);
	else if (strcmp(finding->where, "attribute") == 0)
		r = remove_attributes(scrub, finding->entry);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0; /* removed with what it lay in */
	return r < 0 ? remove_entry(scrub, finding->entry) : 0;
}

/* ---- all of it ---- */

static int scrub_root(struct scrub *scrub, const struct layer_root *root, size_t index,
	const struct secret_findings *findings, struct error *error)
{
	cleanup_free char *path = path_join(root->directory, "upper");
	cleanup_close int upper =
		path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (upper < 0)
		return error_set_errno(error, path ? errno : ENOMEM, stage, "%.512s", root->path);
	scrub->upper = upper;
	for (size_t i = 0; i < findings->count; i++) {
		const struct secret_finding *finding = &findings->items[i];
		int r = finding->root == index ? scrub_one(scrub, finding) : 0;
		if (r < 0)
			return error_set_errno(error, -r, stage, "%.512s", finding->path);
	}
	return 0;
}

static int prepare(struct scrub *scrub, const struct secret_values *values)
{
	scrub->values = values;
	scrub->spans = calloc(SPANS_MAX, sizeof(*scrub->spans));
	int r = scrub->spans ? automaton_new(&scrub->automaton) : -ENOMEM;
	for (size_t i = 0; i < values->count && r == 0; i++)
		secret_forms_draw(scrub->automaton, &values->items[i], i);
	return r == 0 ? automaton_seal(scrub->automaton) : r;
}

static int scrub_layer(const char *layer_id, const struct secret_values *values,
	const struct secret_findings *findings, struct error *error)
{
	struct layer *layer = NULL;
	struct scrub *scrub = calloc(1, sizeof(*scrub));
	int r = scrub ? prepare(scrub, values) : -ENOMEM;
	if (r < 0)
		error_set_errno(error, -r, stage, "starting");
	if (r == 0)
		r = layer_open(layer_id, LAYER_WRITE, &layer, error);
	for (size_t i = 0; r == 0 && i < layer->roots_count; i++)
		r = scrub_root(scrub, &layer->roots[i], i, findings, error);
	layer_close(layer);
	if (scrub) {
		automaton_free(scrub->automaton);
		free(scrub->spans);
		explicit_bzero(scrub, sizeof(*scrub));
	}
	free(scrub);
	return r;
}

int secret_scrub_layer(const char *layer_id, const struct secret_values *values,
	const struct secret_findings *findings, struct error *error)
{
	if (findings->lost)
		return error_set(
			error, E2BIG, stage, "more was found than is kept: nothing was scrubbed");
	int r = scrub_layer(layer_id, values, findings, error);
	if (r < 0)
		return r;
	struct secret_findings left;
	r = secret_search_layer(layer_id, values, &left, error);
	if (r == 0 && left.lost)
		r = error_set(error, E2BIG, stage, "more was found than is kept");
	else if (r == 0 && left.count)
		r = error_set(error, ENOTRECOVERABLE, stage,
			"the secret %.64s is still in %.512s (%s)", left.items[0].secret,
			left.items[0].path, left.items[0].form);
	secret_findings_release(&left);
	return r;
}
