/* Theory of operation. The changes of a root are walked in order and told to a format one by
 * one, so that nothing but one file is held at a time. Renames need a walk before that, in which
 * what was deleted and what was added are paired (diff_rename.c); the second walk then leaves
 * out the one and tells of the other. What is neither file nor link, what a patch cannot say of
 * a file, and directories that are empty, for which git has no form, become notes. */
#include "layer/diff_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "layer/layer_internal.h"
#include "layer/settle.h"
#include "layer/walk.h"

#include <string.h>
#include <sys/sysmacros.h>

static const char stage[] = "diff";

struct telling {
	struct diff diff;
	const struct diff_writer *writer;
	struct strv paths; /* absolute */
	const struct layer *layer;
	const struct layer_view *view;
	const struct walk *between; /* NULL: the view against its base */
	struct diff_renames *renames;
	struct layer_records *records; /* JSON only */
	char full[2 * MAX_PATH_BYTES];
	struct { /* a directory that came or went, of which nothing else was told yet */
		char full[2 * MAX_PATH_BYTES];
		char status; /* 0: none */
	} empty;
};

/* ---- paths ---- */

static const char *shown(const struct telling *telling, const char *full)
{
	const char *top = telling->diff.options->relative_to;
	size_t length = top ? strlen(top) : 0;
	while (length > 0 && top[length - 1] == '/')
		length--;
	if (length > 0 && path_is_below(full, top))
		return full[length] ? full + length + 1 : ".";
	return full[1] ? full + 1 : ".";
}

static int set_full(const struct telling *telling, const char *path, char ret[2 * MAX_PATH_BYTES])
{
	const char *root = telling->view->root->path;
	bool top = strcmp(root, "/") == 0;
	int n = snprintf(ret, 2 * MAX_PATH_BYTES, "%s%s%s", top && *path ? "" : root,
		*path ? "/" : "", path);
	return n < 0 || n >= 2 * MAX_PATH_BYTES ? -ENAMETOOLONG : 0;
}

static bool is_wanted(const struct telling *telling, const char *full)
{
	for (size_t i = 0; i < telling->paths.count; i++)
		if (path_is_below(full, telling->paths.items[i]))
			return true;
	return telling->paths.count == 0;
}

/* ---- notes ---- */

static int tell_note(struct telling *telling, char status, const char *text, bool entry)
{
	struct diff_note note = {.status = status,
		.path = shown(telling, telling->full),
		.text = text,
		.entry = entry};
	return telling->writer->note(&telling->diff, &note);
}

static int tell_empty(struct telling *telling)
{
	if (!telling->empty.status)
		return 0;
	struct diff_note note = {.status = telling->empty.status,
		.path = shown(telling, telling->empty.full),
		.text = telling->empty.status == 'A' ? "empty directory added"
						     : "empty directory deleted",
		.entry = true};
	telling->empty.status = 0;
	return telling->writer->note(&telling->diff, &note);
}

/* A directory is not empty if the next thing that is told lies in it. */
static int settle_empty(struct telling *telling, const struct layer_change *change)
{
	if (!telling->empty.status)
		return 0;
	bool present =
		telling->empty.status == 'A' ? change->after.present : change->before.present;
	if (present && path_is_below(telling->full, telling->empty.full)) {
		telling->empty.status = 0;
		return 0;
	}
	return tell_empty(telling);
}

static const char *special_word(mode_t mode)
{
	return S_ISFIFO(mode)   ? "FIFO"
	       : S_ISSOCK(mode) ? "socket"
	       : S_ISCHR(mode)  ? "character device"
	       : S_ISBLK(mode)  ? "block device"
				: "directory";
}

static int tell_special(struct telling *telling, char status, const struct stat *st)
{
	char text[96], numbers[32] = "";
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		snprintf(
			numbers, sizeof(numbers), " %u:%u", major(st->st_rdev), minor(st->st_rdev));
	snprintf(text, sizeof(text), "%s%s %s", special_word(st->st_mode), numbers,
		status == 'A'   ? "added"
		: status == 'D' ? "deleted"
				: "changed");
	return tell_note(telling, status, text, true);
}

/* What of the mode git keeps is one bit; whoever applies the patch gives the rest by their
 * umask. */
static bool is_usual(mode_t mode)
{
	return (mode & 07602) == 0600;
}

static int tell_attributes(struct telling *telling, const struct layer_change *change)
{
	char text[128];
	const struct stat *before = &change->before.st, *after = &change->after.st;
	bool directory = S_ISDIR(after->st_mode), modified = change->kind == LAYER_MODIFIED;
	int r = 0;
	if (modified && (change->differences & LAYER_MODE) &&
		(directory || ((before->st_mode ^ after->st_mode) & 07666))) {
		snprintf(text, sizeof(text), "mode %04o, was %04o", after->st_mode & 07777,
			before->st_mode & 07777);
		r = tell_note(telling, 'M', text, directory);
	} else if (change->kind == LAYER_ADDED && S_ISREG(after->st_mode) &&
		   !is_usual(after->st_mode)) {
		snprintf(text, sizeof(text), "mode %04o", after->st_mode & 07777);
		r = tell_note(telling, 'A', text, false);
	}
	if (r == 0 && modified && (change->differences & LAYER_OWNER)) {
		snprintf(text, sizeof(text), "owner %u:%u, was %u:%u", after->st_uid, after->st_gid,
			before->st_uid, before->st_gid);
		r = tell_note(telling, 'M', text, directory);
	}
	if (r == 0 && modified && (change->differences & LAYER_XATTRS))
		r = tell_note(telling, 'M', "extended attributes changed", directory);
	if (r == 0 && change->kind == LAYER_ADDED &&
		entry_has_attributes(&change->after, change->path))
		r = tell_note(telling, 'A', "has extended attributes", false);
	return r;
}

/* ---- files ---- */

static bool is_patchable(const struct layer_entry *entry)
{
	return entry->present && (S_ISREG(entry->st.st_mode) || S_ISLNK(entry->st.st_mode));
}

static bool is_special(const struct layer_entry *entry)
{
	return entry->present && !is_patchable(entry) && !S_ISDIR(entry->st.st_mode);
}

static int tell_unread(struct telling *telling, char status, int code)
{
	char text[96];
	telling->diff.unread++;
	snprintf(text, sizeof(text), "not shown, it cannot be read: %s", strerrordesc_np(code));
	return tell_note(telling, status, text, true);
}

static int tell_large(struct telling *telling, char status, const struct layer_change *change)
{
	char text[96];
	const struct stat *before = &change->before.st, *after = &change->after.st;
	if (status == 'A' || status == 'D')
		snprintf(text, sizeof(text), "%lld bytes, not shown",
			(long long)(status == 'A' ? after : before)->st_size);
	else
		snprintf(text, sizeof(text), "%lld bytes, was %lld, not shown",
			(long long)after->st_size, (long long)before->st_size);
	return tell_note(telling, status, text, true);
}

static bool is_large(const struct telling *telling, const struct layer_entry *entry)
{
	uint64_t most = telling->diff.options->max_file_bytes;
	/* A file of holes costs the box nothing, and whoever looks at the patch a day. */
	if (telling->writer == &diff_write_patch && (!most || most > MAX_PATCH_FILE_BYTES))
		most = MAX_PATCH_FILE_BYTES;
	return most && entry->present && S_ISREG(entry->st.st_mode) &&
	       (uint64_t)entry->st.st_size > most;
}

static enum layer_host_state host_state(
	const struct telling *telling, const struct layer_change *change, const char *path)
{
	bool of_base = change->before.present && change->before.at == telling->view->base;
	struct layer_entry now = of_base ? change->before : (struct layer_entry){.at = -1};
	return telling->records ? layer_host_state(telling->records, path, &now) : LAYER_HOST_SAME;
}

/* Whether anything is left of a modification once the bytes were compared: 1, 0 or -errno. */
static int still_differs(struct telling *telling, struct diff_file *file)
{
	const struct layer_change *change = file->change;
	if (!(change->differences & LAYER_CONTENT) || file->status != 'M')
		return 1;
	int same = telling->writer->wants_content ? diff_content_same(&file->before, &file->after)
		   : S_ISREG(change->after.st.st_mode) ? layer_same_content(change)
						       : 0;
	if (same != 1)
		return same < 0 ? same : 1;
	if ((change->before.st.st_mode ^ change->after.st.st_mode) & 0100)
		return 1;
	return 0;
}

static int load(struct telling *telling, struct diff_file *file, const char *old_path)
{
	if (!telling->writer->wants_content)
		return 0;
	int r = diff_content_load(&file->change->before, old_path, &file->before);
	return r < 0 ? r
		     : diff_content_load(&file->change->after, file->change->path, &file->after);
}

/* old_path: of a rename, below the root. change: may have but one side that is a file. */
static int tell_file(struct telling *telling, char status, const struct layer_change *change,
	const struct diff_rename *rename)
{
	char old_full[2 * MAX_PATH_BYTES];
	const char *old_path = rename ? rename->from : change->path;
	if (set_full(telling, old_path, old_full) < 0)
		return -ENAMETOOLONG;
	if (is_large(telling, &change->before) || is_large(telling, &change->after))
		return tell_large(telling, status, change);
	struct diff_file file = {.status = status,
		.path = shown(telling, telling->full),
		.old_path = shown(telling, old_full),
		.similarity = rename ? rename->similarity : 0,
		.change = change,
		.before = {.fd = -1},
		.after = {.fd = -1},
		.host = host_state(telling, change, old_path)};
	int r = load(telling, &file, old_path);
	if (r == 0)
		r = still_differs(telling, &file);
	bool unread = r == -EACCES || r == -EPERM || r == -ESTALE || r == -EAGAIN || r == -ENOENT ||
		      r == -ELOOP;
	if (unread)
		r = tell_unread(telling, status, -r);
	else if (r == 1)
		r = telling->writer->file(&telling->diff, &file);
	else if (r == 0 && !telling->between && !(change->differences & ~(unsigned)LAYER_CONTENT))
		r = tell_note(telling, 'M', "touched, with the same content", false);
	diff_content_release(&file.before);
	diff_content_release(&file.after);
	return r;
}

/* Of a change that is told as two, one side. */
static struct layer_change one_side(const struct layer_change *change, bool after)
{
	struct layer_change side = *change;
	side.kind = after ? LAYER_ADDED : LAYER_DELETED;
	side.differences = 0;
	*(after ? &side.before : &side.after) = (struct layer_entry){.at = -1};
	return side;
}

static int tell_side(struct telling *telling, const struct layer_change *change)
{
	bool after = change->after.present;
	char status = after ? 'A' : 'D';
	const struct layer_entry *entry = after ? &change->after : &change->before;
	const struct diff_rename *rename = NULL;
	if (S_ISDIR(entry->st.st_mode)) {
		memcpy(telling->empty.full, telling->full, sizeof(telling->full));
		telling->empty.status = status;
		return 0;
	}
	if (is_special(entry))
		return tell_special(telling, status, &entry->st);
	if (telling->renames && !after && diff_renames_from(telling->renames, change->path))
		return 0;
	if (telling->renames && after)
		rename = diff_renames_to(telling->renames, change->path);
	if (!rename)
		return tell_file(telling, status, change, NULL);
	struct layer_change both = *change;
	both.before = rename->before;
	return tell_file(telling, 'R', &both, rename);
}

static int tell_modified(struct telling *telling, const struct layer_change *change)
{
	if (is_patchable(&change->before) && is_patchable(&change->after)) {
		bool other_type = change->differences & LAYER_TYPE;
		return tell_file(telling, other_type ? 'T' : 'M', change, NULL);
	}
	if (change->differences & LAYER_TYPE) {
		struct layer_change gone = one_side(change, false), come = one_side(change, true);
		int r = tell_side(telling, &gone);
		/* An empty directory that became something else: that it went goes without
		 * saying. */
		telling->empty.status = 0;
		return r < 0 ? r : tell_side(telling, &come);
	}
	return change->differences & LAYER_CONTENT ? tell_special(telling, 'M', &change->after.st)
						   : 0;
}

static int tell(const struct layer_change *change, void *context)
{
	struct telling *telling = context;
	int r = set_full(telling, change->path, telling->full);
	if (r < 0 || !is_wanted(telling, telling->full))
		return r;
	r = settle_empty(telling, change);
	if (r == 0)
		r = change->kind == LAYER_MODIFIED ? tell_modified(telling, change)
						   : tell_side(telling, change);
	/* Of another type: what came has its own mode, not another one. */
	struct layer_change come = *change;
	if (change->differences & LAYER_TYPE)
		come = one_side(change, true);
	if (r == 0 && change->after.present)
		r = tell_attributes(telling, &come);
	if (r == 0 && ferror(telling->diff.to))
		r = -EIO;
	return r;
}

/* ---- roots ---- */

static int collect(const struct layer_change *change, void *context)
{
	struct telling *telling = context;
	int r = set_full(telling, change->path, telling->full);
	if (r < 0 || !is_wanted(telling, telling->full))
		return r;
	return diff_renames_add(telling->renames, change);
}

static int walk_once(struct telling *telling, layer_change_fn callback)
{
	struct error *error = telling->diff.error;
	if (!telling->between)
		return layer_view_changes(telling->view, callback, telling, error);
	struct walk walk = *telling->between;
	walk.callback = callback;
	walk.context = telling;
	return walk_run(&walk, error);
}

static int tell_root(struct telling *telling)
{
	int r = 0;
	const struct diff_options *options = telling->diff.options;
	if (options->renames)
		r = diff_renames_new(&telling->renames);
	if (telling->renames) {
		r = walk_once(telling, collect);
		if (r == 0)
			r = diff_renames_pair(telling->renames);
	}
	if (r == 0 && options->format == DIFF_JSON && !telling->between)
		r = layer_records_read(telling->layer, telling->view->root, &telling->records,
			telling->diff.error);
	if (r == 0)
		r = walk_once(telling, tell);
	if (r == 0)
		r = tell_empty(telling);
	layer_records_free(telling->records);
	diff_renames_free(telling->renames);
	telling->records = NULL;
	telling->renames = NULL;
	return r;
}

static int visit(const struct layer_view *view, void *context, struct error *error)
{
	(void)error; /* the same as the context's */
	struct telling *telling = context;
	telling->view = view;
	return tell_root(telling);
}

/* ---- layers ---- */

static int begin(
	struct telling *telling, const struct diff_options *options, FILE *to, struct error *error)
{
	static const struct diff_writer *const writers[] = {[DIFF_PATCH] = &diff_write_patch,
		[DIFF_STAT] = &diff_write_stat,
		[DIFF_NAMES] = &diff_write_names,
		[DIFF_NAMES_STATUS] = &diff_write_names_status,
		[DIFF_JSON] = &diff_write_json};
	*error = (struct error){0};
	telling->writer = writers[options->format];
	telling->diff = (struct diff){.options = options, .to = to, .error = error};
	const char *top = options->relative_to ? options->relative_to : "/";
	for (size_t i = 0; options->paths && options->paths[i]; i++) {
		char *path = path_absolute(top, options->paths[i]);
		if (!path || strv_add_owned(&telling->paths, path) < 0)
			return -ENOMEM;
	}
	return telling->writer->begin(&telling->diff);
}

static int end(struct telling *telling, int r)
{
	struct error *error = telling->diff.error;
	if (r == 0)
		r = telling->writer->end(&telling->diff);
	if (telling->writer && telling->writer->release)
		telling->writer->release(&telling->diff);
	strv_release(&telling->paths);
	if (r == 0 && (fflush(telling->diff.to) != 0 || ferror(telling->diff.to)))
		r = -EIO;
	if (r < 0 && !error->errno_value)
		error_set_errno(error, -r, stage, "cannot be written");
	if (r == 0 && telling->diff.unread) {
		r = error_set(error, EACCES, stage, "%llu files could not be read",
			(unsigned long long)telling->diff.unread);
		error_hint(error, "they are named among the others, without their content");
	}
	return r;
}

int layer_diff(const struct layer *layer, const struct diff_options *options, FILE *to,
	struct error *error)
{
	struct telling *telling = calloc(1, sizeof(*telling));
	struct error unused;
	if (!telling)
		return error_set_errno(error, ENOMEM, stage, "layers");
	telling->layer = layer;
	int r = begin(telling, options, to, error ? error : &unused);
	if (r == 0)
		r = layer_each_view(layer, visit, telling, telling->diff.error);
	r = end(telling, r);
	free(telling);
	return r;
}

/* ---- two layers ---- */

struct pair {
	struct telling *telling;
	const struct layer *from, *to;
	struct strv seen;
};

static bool same_directory(int a, int b)
{
	struct stat st_a, st_b;
	return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

static size_t common_uppers(const struct layer_view *a, const struct layer_view *b)
{
	size_t common = 0;
	while (common < a->uppers_count && common < b->uppers_count &&
		same_directory(a->uppers[a->uppers_count - 1 - common],
			b->uppers[b->uppers_count - 1 - common]))
		common++;
	return common;
}

static void add_slots(
	struct walk *walk, const struct layer_view *view, size_t from, size_t to, unsigned sides)
{
	for (size_t i = from; i < to; i++)
		walk->slots[walk->slots_count++] = (struct walk_slot){.directory = view->uppers[i],
			.sides = sides,
			.marks = view->kind == LAYER_OVERLAY};
}

static int tell_pair(
	struct telling *telling, const struct layer_view *from, const struct layer_view *to)
{
	size_t common = common_uppers(from, to);
	struct walk walk = {.view = to};
	walk.slots = calloc(from->uppers_count + to->uppers_count + 1, sizeof(*walk.slots));
	if (!walk.slots)
		return -ENOMEM;
	add_slots(&walk, from, 0, from->uppers_count - common, WALK_BEFORE);
	add_slots(&walk, to, 0, to->uppers_count - common, WALK_AFTER);
	add_slots(&walk, to, to->uppers_count - common, to->uppers_count, WALK_BOTH);
	/* A copy shows nothing of its base. */
	unsigned sides = (from->kind == LAYER_OVERLAY ? WALK_BEFORE : 0) |
			 (to->kind == LAYER_OVERLAY ? WALK_AFTER : 0);
	if (to->base >= 0 && sides)
		walk.slots[walk.slots_count++] =
			(struct walk_slot){.directory = to->base, .sides = sides, .marks = true};
	telling->view = to;
	telling->between = &walk;
	int r = tell_root(telling);
	free(walk.slots);
	return r;
}

static bool same_base(const struct layer_root *a, const struct layer_root *b)
{
	return a->base && b->base ? strcmp(a->base, b->base) == 0 : a->base == b->base;
}

static int visit_pair(const struct layer_view *view, void *context, struct error *error)
{
	struct pair *pair = context;
	const char *path = view->root->path;
	if (strv_contains(&pair->seen, path))
		return 0;
	if (strv_add(&pair->seen, path) < 0)
		return -ENOMEM;
	struct layer_view from = {.base = -1}, to = {.base = -1};
	int r = layer_view_open(pair->from, view->root, &from, error);
	if (r == 0)
		r = layer_view_open(pair->to, view->root, &to, error);
	const struct layer_root *other = layer_find_root(pair->from, path);
	if (r == 0 && other && !same_base(other, view->root)) {
		r = error_set(error, EINVAL, stage, "%s lies on another base in layer %s", path,
			pair->from->name ? pair->from->name : pair->from->id);
	}
	if (r == 0)
		r = tell_pair(pair->telling, &from, &to);
	layer_view_release(&from);
	layer_view_release(&to);
	return r;
}

int layer_diff_between(const struct layer *from, const struct layer *to_layer,
	const struct diff_options *options, FILE *to, struct error *error)
{
	struct telling *telling = calloc(1, sizeof(*telling));
	struct error unused;
	if (!telling)
		return error_set_errno(error, ENOMEM, stage, "layers");
	telling->layer = to_layer;
	struct pair pair = {.telling = telling, .from = from, .to = to_layer};
	int r = begin(telling, options, to, error ? error : &unused);
	if (r == 0)
		r = layer_each_view(to_layer, visit_pair, &pair, telling->diff.error);
	if (r == 0)
		r = layer_each_view(from, visit_pair, &pair, telling->diff.error);
	strv_release(&pair.seen);
	r = end(telling, r);
	free(telling);
	return r;
}
