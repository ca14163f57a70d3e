/* Theory of operation. A journal is written whole, synced, and gets its name by rename: so one that
 * is there is complete. The fields are strings that end with NUL, in an order that writer and reader
 * share; attributes' values, which may hold anything, come with their length. It lies where only its
 * owner may write; all the same nothing that is read from it is believed without a bound. */
#include "layer/apply_journal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char magic[] = "coffer apply 1";
static const char mark_end[] = "end";

static const char *const names[] = {
	[APPLY_STAGING] = "apply.staging",
	[APPLY_PLACING] = "apply.placing",
	[APPLY_UNDOING] = "apply.undoing",
	[APPLY_PLACED] = "apply.placed",
};

static void release_step(struct apply_step *step)
{
	for (size_t i = 0; i < step->xattrs_count; i++) {
		free(step->xattrs[i].name);
		free(step->xattrs[i].values[0]);
		free(step->xattrs[i].values[1]);
	}
	free(step->xattrs);
	free(step->path);
}

void apply_journal_release(struct apply_journal *journal)
{
	for (size_t i = 0; i < journal->roots_count; i++) {
		free(journal->roots[i].path);
		free(journal->roots[i].base);
	}
	for (size_t i = 0; i < journal->steps_count; i++)
		release_step(&journal->steps[i]);
	for (size_t i = 0; i < journal->directories_count; i++)
		free(journal->directories[i].path);
	for (size_t i = 0; i < journal->tops_count; i++)
		free(journal->tops[i].path);
	free(journal->roots);
	free(journal->steps);
	free(journal->directories);
	free(journal->tops);
	*journal = (struct apply_journal){0};
}

struct apply_step *apply_journal_add(struct apply_journal *journal)
{
	if (journal->steps_count == journal->steps_capacity) {
		size_t capacity = journal->steps_capacity ? journal->steps_capacity * 2 : 16;
		void *steps = reallocarray(journal->steps, capacity, sizeof(*journal->steps));
		if (!steps)
			return NULL;
		journal->steps = steps;
		journal->steps_capacity = capacity;
	}
	struct apply_step *step = &journal->steps[journal->steps_count++];
	*step = (struct apply_step){0};
	return step;
}

int apply_journal_add_directory(struct apply_directory **list, size_t *count, size_t *capacity,
	const struct apply_directory *directory)
{
	if (*count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : 16;
		void *larger = reallocarray(*list, wanted, sizeof(**list));
		if (!larger)
			return -ENOMEM;
		*list = larger;
		*capacity = wanted;
	}
	char *path = strdup(directory->path);
	if (!path)
		return -ENOMEM;
	struct apply_directory *added = &(*list)[(*count)++];
	*added = *directory;
	added->path = path;
	return 0;
}

void apply_staged_name(
	const struct apply_journal *journal, size_t number, char ret[APPLY_STAGED_BYTES])
{
	snprintf(ret, APPLY_STAGED_BYTES, ".coffer-apply-%s-%zu", journal->id, number);
}

/* ---- writing ---- */

static void put_text(FILE *to, const char *text)
{
	fwrite(text, strlen(text) + 1, 1, to);
}

static void put_number(FILE *to, int64_t number)
{
	fprintf(to, "%" PRId64, number);
	fputc('\0', to);
}

static void put_identity(FILE *to, const struct apply_identity *identity)
{
	put_number(to, (int64_t)identity->inode);
	put_number(to, (int64_t)identity->size);
	put_number(to, identity->modified_ns);
}

static void put_xattr(FILE *to, const struct apply_xattr *xattr)
{
	put_text(to, xattr->name);
	for (int side = 0; side < 2; side++) {
		put_number(to, xattr->values[side] ? (int64_t)xattr->sizes[side] : -1);
		if (xattr->values[side])
			fwrite(xattr->values[side], xattr->sizes[side], 1, to);
	}
}

static void put_step(FILE *to, const struct apply_step *step)
{
	put_number(to, step->kind);
	put_number(to, step->root);
	put_text(to, step->path);
	put_identity(to, &step->staged);
	put_identity(to, &step->host);
	for (int side = 0; side < 2; side++) {
		put_number(to, step->sides[side].mode);
		put_number(to, step->sides[side].uid);
		put_number(to, step->sides[side].gid);
		put_number(to, step->sides[side].modified_ns);
	}
	put_number(to, (int64_t)step->xattrs_count);
	for (size_t i = 0; i < step->xattrs_count; i++)
		put_xattr(to, &step->xattrs[i]);
}

static void put_directories(FILE *to, const struct apply_directory *list, size_t count)
{
	put_number(to, (int64_t)count);
	for (size_t i = 0; i < count; i++) {
		put_number(to, list[i].root);
		put_text(to, list[i].path);
		put_number(to, list[i].before_ns);
		put_number(to, list[i].after_ns);
	}
}

static void put_journal(FILE *to, const struct apply_journal *journal)
{
	put_text(to, magic);
	put_text(to, journal->id);
	put_number(to, journal->whole);
	put_number(to, journal->keep);
	put_number(to, (int64_t)journal->roots_count);
	for (size_t i = 0; i < journal->roots_count; i++) {
		put_text(to, journal->roots[i].path);
		put_text(to, journal->roots[i].base);
		put_number(to, (int64_t)journal->roots[i].device);
		put_number(to, (int64_t)journal->roots[i].inode);
	}
	put_number(to, (int64_t)journal->steps_count);
	for (size_t i = 0; i < journal->steps_count; i++)
		put_step(to, &journal->steps[i]);
	put_directories(to, journal->directories, journal->directories_count);
	put_directories(to, journal->tops, journal->tops_count);
	put_text(to, mark_end);
}

int apply_journal_write(int directory, const struct apply_journal *journal, enum apply_phase phase)
{
	int fd = openat(directory, "apply.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file) {
		close_fd(&fd);
		return -errno;
	}
	put_journal(file, journal);
	int r = fflush(file) != 0 || ferror(file) ? -errno : fsync(fd) < 0 ? -errno : 0;
	fclose(file);
	if (r == 0 && renameat(directory, "apply.new", directory, names[phase]) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(directory, "apply.new", 0);
		return r;
	}
	/* What nobody knows to be on disk is not in force: the one before counts again. */
	if (fsync(directory) < 0) {
		r = -errno;
		unlinkat(directory, names[phase], 0);
		return r;
	}
	for (enum apply_phase other = APPLY_STAGING; other <= APPLY_PLACED; other++)
		if (other != phase)
			unlinkat(directory, names[other], 0);
	return 0;
}

int apply_journal_move(int directory, enum apply_phase from, enum apply_phase to)
{
	if (renameat(directory, names[from], directory, names[to]) < 0)
		return -errno;
	if (fsync(directory) == 0)
		return 0;
	int r = -errno;
	renameat(directory, names[to], directory, names[from]);
	return r;
}

/* Those that the phase had replaced go first: alone, they would count again. */
int apply_journal_remove(int directory, enum apply_phase phase)
{
	for (enum apply_phase other = APPLY_STAGING; other < phase; other++)
		unlinkat(directory, names[other], 0);
	return unlinkat(directory, names[phase], 0) < 0 ? -errno : 0;
}

/* ---- reading ---- */

struct cursor {
	const char *at, *end;
	bool bad;
};

static const char *get_text(struct cursor *cursor)
{
	const char *text = cursor->at;
	const char *nul = cursor->bad ? NULL : memchr(text, '\0', (size_t)(cursor->end - text));
	if (!nul) {
		cursor->bad = true;
		return "";
	}
	cursor->at = nul + 1;
	return text;
}

static int64_t get_number(struct cursor *cursor)
{
	const char *text = get_text(cursor);
	char *end;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (!*text || *end || errno)
		cursor->bad = true;
	return number;
}

/* How many follow: each takes a byte at least. */
static size_t get_count(struct cursor *cursor)
{
	int64_t count = get_number(cursor);
	if (count < 0 || count > cursor->end - cursor->at)
		cursor->bad = true;
	return cursor->bad ? 0 : (size_t)count;
}

/* Beneath the root, and nothing but names. */
static char *get_path(struct cursor *cursor)
{
	const char *path = get_text(cursor);
	char *copy = strdup(path);
	if (!copy || strlen(path) >= MAX_PATH_BYTES || path[0] == '/')
		cursor->bad = true;
	return copy;
}

static void get_identity(struct cursor *cursor, struct apply_identity *ret)
{
	ret->inode = (uint64_t)get_number(cursor);
	ret->size = (uint64_t)get_number(cursor);
	ret->modified_ns = get_number(cursor);
}

static void get_xattr(struct cursor *cursor, struct apply_xattr *ret)
{
	ret->name = strdup(get_text(cursor));
	for (int side = 0; side < 2; side++) {
		int64_t size = get_number(cursor);
		if (cursor->bad || size < 0)
			continue;
		char *value = size <= cursor->end - cursor->at ? malloc((size_t)size + 1) : NULL;
		if (!value) {
			cursor->bad = true;
			continue;
		}
		memcpy(value, cursor->at, (size_t)size);
		cursor->at += size;
		ret->values[side] = value;
		ret->sizes[side] = (size_t)size;
	}
}

static void get_step(struct cursor *cursor, struct apply_step *step, size_t roots_count)
{
	int64_t kind = get_number(cursor), root = get_number(cursor);
	if (kind < 0 || kind >= STEP_KINDS || root < 0 || (uint64_t)root >= roots_count)
		cursor->bad = true;
	else
		step->kind = (enum apply_step_kind)kind, step->root = (unsigned)root;
	step->path = get_path(cursor);
	get_identity(cursor, &step->staged);
	get_identity(cursor, &step->host);
	for (int side = 0; side < 2; side++) {
		step->sides[side].mode = (mode_t)get_number(cursor);
		step->sides[side].uid = (uid_t)get_number(cursor);
		step->sides[side].gid = (gid_t)get_number(cursor);
		step->sides[side].modified_ns = get_number(cursor);
	}
	size_t count = get_count(cursor);
	step->xattrs = count ? calloc(count, sizeof(*step->xattrs)) : NULL;
	if (count && !step->xattrs)
		cursor->bad = true;
	for (size_t i = 0; i < count && !cursor->bad; i++) {
		get_xattr(cursor, &step->xattrs[i]);
		step->xattrs_count = i + 1;
	}
}

static void get_directories(struct cursor *cursor, struct apply_directory **list, size_t *count,
	size_t *capacity, size_t roots_count)
{
	size_t wanted = get_count(cursor);
	for (size_t i = 0; i < wanted && !cursor->bad; i++) {
		int64_t root = get_number(cursor);
		cleanup_free char *path = get_path(cursor);
		struct apply_directory directory = {.root = (unsigned)root, .path = path};
		directory.before_ns = get_number(cursor);
		directory.after_ns = get_number(cursor);
		if (root < 0 || (uint64_t)root >= roots_count || cursor->bad ||
			apply_journal_add_directory(list, count, capacity, &directory) < 0)
			cursor->bad = true;
	}
}

static void get_roots(struct cursor *cursor, struct apply_journal *ret)
{
	size_t count = get_count(cursor);
	ret->roots = count ? calloc(count, sizeof(*ret->roots)) : NULL;
	if (count && !ret->roots)
		cursor->bad = true;
	for (size_t i = 0; i < count && !cursor->bad; i++) {
		struct apply_root *root = &ret->roots[ret->roots_count++];
		root->path = strdup(get_text(cursor));
		root->base = strdup(get_text(cursor));
		root->device = (uint64_t)get_number(cursor);
		root->inode = (uint64_t)get_number(cursor);
		if (!root->path || !root->base || root->base[0] != '/')
			cursor->bad = true;
	}
}

int apply_journal_parse(const char *data, size_t size_bytes, struct apply_journal *ret)
{
	struct cursor cursor = {.at = data, .end = data + size_bytes};
	*ret = (struct apply_journal){0};
	if (strcmp(get_text(&cursor), magic) != 0)
		cursor.bad = true;
	const char *id = get_text(&cursor);
	if (strlen(id) != sizeof(ret->id) - 1 ||
		strspn(id, "0123456789abcdef") != sizeof(ret->id) - 1)
		cursor.bad = true;
	else
		memcpy(ret->id, id, sizeof(ret->id));
	ret->whole = get_number(&cursor) != 0;
	ret->keep = get_number(&cursor) != 0;
	get_roots(&cursor, ret);
	size_t steps = get_count(&cursor);
	for (size_t i = 0; i < steps && !cursor.bad; i++) {
		struct apply_step *step = apply_journal_add(ret);
		if (!step)
			cursor.bad = true;
		else
			get_step(&cursor, step, ret->roots_count);
	}
	get_directories(&cursor, &ret->directories, &ret->directories_count,
		&ret->directories_capacity, ret->roots_count);
	get_directories(
		&cursor, &ret->tops, &ret->tops_count, &ret->tops_capacity, ret->roots_count);
	if (strcmp(get_text(&cursor), mark_end) != 0 || cursor.at != cursor.end)
		cursor.bad = true;
	if (!cursor.bad)
		return 0;
	apply_journal_release(ret);
	return -EBADMSG;
}

int apply_journal_read(int directory, enum apply_phase *ret_phase, struct apply_journal *ret)
{
	*ret_phase = APPLY_NONE;
	/* The furthest one counts: those before it were about to be removed. */
	for (enum apply_phase phase = APPLY_PLACED; phase > APPLY_NONE; phase--) {
		cleanup_free char *data = NULL;
		size_t size;
		int r = fd_read_file(
			directory, names[phase], MAX_LAYER_JOURNAL_BYTES, &data, &size);
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = apply_journal_parse(data, size, ret);
		if (r == 0)
			*ret_phase = phase;
		return r;
	}
	return 0;
}
