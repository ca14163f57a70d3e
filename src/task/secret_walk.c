/* Theory of operation. Each directory of the tree is a level of a stack, so that no depth of it is
 * a depth of ours; entries are opened beneath their directory, through no link, and read only if
 * they are files. Names, targets of links and extended attributes are texts, searched like content
 * but for what might be packed in them. What cannot be opened is told: it may hold anything. */
#include "task/secret_walk.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "task/secret_stream.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum {
	READ_BYTES = 256 * 1024,
	HOLE_BYTES = 16 * 1024 * 1024, /* a longer one is not read */
	ATTRIBUTES_BYTES = 64 * 1024,  /* the kernel's own bound, of names and of a value */
	PATH_BYTES = MAX_LAYER_DEPTH * (MAX_NAME_BYTES + 1) + 1,
	LINE_BYTES = 4 * PATH_BYTES,
	HITS_MAX = 1024, /* of one file, to be told once each */
};

struct level {
	DIR *directory;
	size_t path_bytes; /* of the walk's path, up to this directory */
	bool tainted;      /* that path holds a secret, names taken together */
};

struct walk {
	const struct secret_values *values;
	struct search *search;
	FILE *to;
	size_t root;
	struct level *levels;
	size_t levels_count;
	char path[PATH_BYTES]; /* of the entry, below the root */
	size_t path_bytes;
	char data[READ_BYTES];
	char attributes[ATTRIBUTES_BYTES], attribute[ATTRIBUTES_BYTES];
	uint64_t hits[HITS_MAX]; /* digests of what was told of this file */
	size_t hits_count;
	uint64_t files, bytes, told, lost;
	int error;
};

/* ---- telling ---- */

static bool holds_secret(struct walk *walk, const char *text, size_t length, size_t *ret_secret)
{
	enum secret_form form;
	return search_text(walk->search, text, length, ret_secret, &form);
}

/* A path for everybody: names that hold a secret are left out, and where only several names
 * together do, all of it. */
static void append_shown(struct walk *walk, struct buffer *to, const char *path)
{
	size_t secret;
	if (!holds_secret(walk, path, strlen(path), &secret)) {
		buffer_append_json(to, path);
		return;
	}
	struct buffer shown = BUFFER_INIT(LINE_BYTES);
	for (const char *name = path; *name;) {
		size_t length = strcspn(name + 1, "/!") + 1; /* with what stands before it */
		if (holds_secret(walk, name, length, &secret))
			buffer_append_format(&shown, "%s[%s]",
				*name == '/' || *name == '!' ? (char[]){*name, 0} : "",
				walk->values->items[secret].name);
		else
			buffer_append(&shown, name, length);
		name += length;
	}
	if (buffer_error(&shown) || !shown.data ||
		holds_secret(walk, shown.data, shown.length_bytes, &secret)) {
		buffer_clear(&shown);
		buffer_append_format(&shown, "[%s]", walk->values->items[secret].name);
	}
	buffer_append_json(to, shown.data ? shown.data : "");
	buffer_release(&shown);
}

static void put_line(struct walk *walk, struct buffer *line)
{
	buffer_append_string(line, "}\n");
	if (walk->told++ >= MAX_SEARCH_FINDINGS) {
		walk->lost++;
	} else if (buffer_error(line)) {
		walk->error = buffer_error(line);
	} else {
		fwrite(line->data, 1, line->length_bytes, walk->to);
	}
	buffer_release(line);
}

static void tell(struct walk *walk, const char *where, const char *member, size_t secret,
	enum secret_form form, uint64_t offset_bytes)
{
	struct buffer line = BUFFER_INIT(LINE_BYTES), path = BUFFER_INIT(LINE_BYTES);
	if (walk->told >= MAX_SEARCH_FINDINGS) {
		walk->lost++;
		return;
	}
	buffer_append_format(&line, "{\"root\": %zu, \"entry\": \"", walk->root);
	for (size_t i = 0; i < walk->path_bytes; i++)
		buffer_append_format(&line, "%02x", (unsigned char)walk->path[i]);
	buffer_append(&path, walk->path, walk->path_bytes);
	buffer_append_string(&path, member);
	buffer_append_string(&line, "\", \"path\": ");
	append_shown(walk, &line, path.data ? path.data : "");
	buffer_append_string(&line, ", \"secret\": ");
	buffer_append_json(&line, walk->values->items[secret].name);
	buffer_append_format(&line, ", \"form\": \"%s\", \"where\": \"%s\", \"offset\": %" PRIu64,
		secret_form_name(form), where, offset_bytes);
	put_line(walk, &line);
	buffer_release(&path);
}

static void tell_unsearched(struct walk *walk, const char *member, const char *why, bool closed)
{
	struct buffer line = BUFFER_INIT(LINE_BYTES), path = BUFFER_INIT(LINE_BYTES);
	if (walk->told >= MAX_SEARCH_FINDINGS) {
		walk->lost++;
		return;
	}
	buffer_append(&path, walk->path, walk->path_bytes);
	buffer_append_string(&path, member);
	buffer_append_format(&line, "{\"root\": %zu, \"unreadable\": ", walk->root);
	append_shown(walk, &line, path.data ? path.data : "");
	buffer_append_string(&line, ", \"why\": ");
	buffer_append_json(&line, why);
	if (closed)
		buffer_append_string(&line, ", \"closed\": true");
	put_line(walk, &line);
	buffer_release(&path);
}

static void tell_unreadable(struct walk *walk, const char *member, const char *why)
{
	tell_unsearched(walk, member, why, false);
}

/* Of an entry that could not be opened. */
static void tell_shut(struct walk *walk, int error)
{
	tell_unsearched(walk, "", strerrordesc_np(error), error == EACCES || error == EPERM);
}

/* An archive may hold the same twice, and streams that overlap find it in both. */
static bool was_told(struct walk *walk, const struct search_hit *hit)
{
	uint64_t digest = hit->secret * FORMS_COUNT + hit->form + 1;
	for (const char *p = hit->member; *p; p++)
		digest = (digest ^ (unsigned char)*p) * 0x100000001b3u;
	for (size_t i = 0; i < walk->hits_count; i++)
		if (walk->hits[i] == digest)
			return true;
	if (walk->hits_count < HITS_MAX)
		walk->hits[walk->hits_count++] = digest;
	return false;
}

static void on_hit(void *context, const struct search_hit *hit)
{
	if (was_told(context, hit))
		return;
	tell(context, hit->member[0] ? "archive" : "content", hit->member, hit->secret, hit->form,
		hit->end_bytes);
}

static void on_unreadable(void *context, const char *member, const char *why)
{
	tell_unreadable(context, member, why);
}

/* ---- texts ---- */

static bool search_and_tell(struct walk *walk, const char *text, size_t length, const char *where)
{
	size_t secret;
	enum secret_form form;
	if (!search_text(walk->search, text, length, &secret, &form))
		return false;
	tell(walk, where, "", secret, form, 0);
	return true;
}

/* The name, and what it makes together with those above it. */
static bool search_name(struct walk *walk, const struct level *level, const char *name)
{
	size_t secret;
	if (search_and_tell(walk, name, strlen(name), "name"))
		return true;
	if (level->tainted || !holds_secret(walk, walk->path, walk->path_bytes, &secret))
		return level->tainted;
	search_and_tell(walk, walk->path, walk->path_bytes, "name");
	return true;
}

static void search_link(struct walk *walk, int at, const char *name)
{
	char target[MAX_PATH_BYTES];
	ssize_t length = readlinkat(at, name, target, sizeof(target));
	if (length < 0)
		tell_unreadable(walk, "", strerrordesc_np(errno));
	else
		search_and_tell(walk, target, (size_t)length, "link");
}

static void search_attributes(struct walk *walk, int fd)
{
	ssize_t length = flistxattr(fd, walk->attributes, sizeof(walk->attributes));
	if (length < 0 && errno != ENOTSUP)
		tell_unreadable(walk, "", "its extended attributes cannot be listed");
	for (ssize_t i = 0; i < length;) {
		const char *name = walk->attributes + i;
		i += (ssize_t)strlen(name) + 1;
		search_and_tell(walk, name, strlen(name), "attribute");
		ssize_t value = fgetxattr(fd, name, walk->attribute, sizeof(walk->attribute));
		if (value > 0)
			search_and_tell(walk, walk->attribute, (size_t)value, "attribute");
		else if (value < 0 && errno != ENODATA)
			tell_unreadable(walk, "", "an extended attribute cannot be read");
	}
}

/* ---- files and directories ---- */

/* A long hole is some zeros: enough for whatever was begun before it to end. */
static bool skip_hole(int fd, off_t *offset, struct stream *stream)
{
	static const char zeros[4096];
	off_t data = lseek(fd, *offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		data = lseek(fd, 0, SEEK_END);
	if (data < *offset + HOLE_BYTES) {
		lseek(fd, *offset, SEEK_SET);
		return false;
	}
	stream_feed(stream, zeros, sizeof(zeros));
	*offset = lseek(fd, data, SEEK_SET);
	return true;
}

static int read_all(struct walk *walk, int fd, const struct stat *status, struct stream *stream)
{
	off_t offset = 0, looked = 0;
	bool sparse = status->st_blocks < status->st_size / 512;
	for (;;) {
		if (sparse && offset >= looked && skip_hole(fd, &offset, stream))
			continue;
		looked = offset + HOLE_BYTES;
		ssize_t count = read(fd, walk->data, sizeof(walk->data));
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -errno : 0;
		stream_feed(stream, walk->data, (size_t)count);
		offset += count;
		walk->bytes += (uint64_t)count;
	}
}

static void search_file(struct walk *walk, int at, const char *name)
{
	struct stat status;
	struct stream *stream = NULL;
	cleanup_close int fd =
		openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status)) {
		tell_shut(walk, errno);
		return;
	}
	if (!S_ISREG(status.st_mode)) {
		tell_unreadable(walk, "", "was replaced while it was searched");
		return;
	}
	search_attributes(walk, fd);
	walk->hits_count = 0;
	int r = search_begin(walk->search, (uint64_t)status.st_size, &stream);
	if (r == 0) {
		r = read_all(walk, fd, &status, stream);
		if (r < 0)
			tell_unreadable(walk, "", strerrordesc_np(-r));
		r = search_end(stream);
	}
	if (r < 0)
		walk->error = r;
	walk->files++;
}

static int enter(struct walk *walk, int at, const char *name, bool tainted)
{
	cleanup_close int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (walk->levels_count == MAX_LAYER_DEPTH) {
		tell_unreadable(walk, "", "lies too deep");
		return 0;
	}
	if (fd < 0) {
		tell_shut(walk, errno);
		return -errno;
	}
	search_attributes(walk, fd);
	DIR *directory = fdopendir(fd);
	if (!directory)
		return walk->error = -errno;
	fd = -1;
	walk->levels[walk->levels_count++] = (struct level){
		.directory = directory, .path_bytes = walk->path_bytes, .tainted = tainted};
	return 0;
}

static void search_entry(struct walk *walk, struct level *level, const char *name)
{
	struct stat status;
	int at = dirfd(level->directory);
	size_t length = strlen(name);
	walk->path_bytes = level->path_bytes;
	if (walk->path_bytes)
		walk->path[walk->path_bytes++] = '/';
	memcpy(walk->path + walk->path_bytes, name, length);
	walk->path_bytes += length;
	bool tainted = search_name(walk, level, name);
	if (fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW)) {
		tell_shut(walk, errno);
		return;
	}
	if (S_ISLNK(status.st_mode))
		search_link(walk, at, name);
	else if (S_ISREG(status.st_mode))
		search_file(walk, at, name);
	else if (S_ISDIR(status.st_mode))
		enter(walk, at, name, tainted);
}

/* One entry of the innermost directory, or its end. */
static void walk_on(struct walk *walk)
{
	struct level *level = &walk->levels[walk->levels_count - 1];
	errno = 0;
	const struct dirent *entry = readdir(level->directory);
	if (entry) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			search_entry(walk, level, entry->d_name);
		return;
	}
	if (errno) {
		walk->path_bytes = level->path_bytes;
		tell_shut(walk, errno);
	}
	closedir(level->directory);
	walk->levels_count--;
}

static void walk_root(struct walk *walk, const char *directory)
{
	walk->path_bytes = 0;
	int r = enter(walk, AT_FDCWD, directory, false);
	if (r < 0 && !walk->error)
		walk->error = r;
	while (walk->levels_count && !walk->error)
		walk_on(walk);
	while (walk->levels_count)
		closedir(walk->levels[--walk->levels_count].directory);
}

int secret_walk(
	char *const directories[], size_t count, const struct secret_values *values, FILE *to)
{
	struct rlimit files; /* one for each level of the tree */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	struct walk *walk = calloc(1, sizeof(*walk));
	struct level *levels = calloc(MAX_LAYER_DEPTH, sizeof(*levels));
	int r = walk && levels ? 0 : -ENOMEM;
	if (r == 0) {
		walk->values = values;
		walk->to = to;
		walk->levels = levels;
		r = search_new(values,
			&(struct search_calls){
				.hit = on_hit, .unreadable = on_unreadable, .context = walk},
			&walk->search);
	}
	for (size_t i = 0; i < count && r == 0; i++) {
		walk->root = i;
		walk_root(walk, directories[i]);
		r = walk->error;
	}
	if (r == 0)
		fprintf(to,
			"{\"done\": true, \"files\": %" PRIu64 ", \"bytes\": %" PRIu64
			", \"lost\": %" PRIu64 "}\n",
			walk->files, walk->bytes, walk->lost);
	if (r == 0 && fflush(to) != 0)
		r = -errno;
	if (walk)
		search_free(walk->search);
	free(levels);
	free(walk);
	return r;
}
