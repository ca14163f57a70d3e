/* Theory of operation. Every change of the layer is looked at once, in the order of the walk, and
 * what was chosen is kept. Nothing is written here; whoever wants to know what an apply would say
 * calls just this. What the host has now comes from the walk, what it had from the records. */
#include "layer/apply_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "layer/apply_place.h"
#include "layer/layer_internal.h"
#include "layer/upper_walk.h"
#include "policy/names.h"

#include <fcntl.h>
#include <string.h>

static const char stage[] = "apply";

/* ---- the roots ---- */

static int open_view(struct apply *apply, struct layer *owner, const struct layer_root *root)
{
	struct apply_journal *journal = &apply->journal;
	void *views = reallocarray(apply->views, journal->roots_count + 1, sizeof(*apply->views));
	void *roots = views ? reallocarray(journal->roots, journal->roots_count + 1,
				      sizeof(*journal->roots))
			    : NULL;
	if (views)
		apply->views = views;
	if (!roots)
		return error_set_errno(apply->error, ENOMEM, stage, "%s", root->path);
	journal->roots = roots;
	struct apply_root_view *view = &apply->views[journal->roots_count];
	struct apply_root *told = &journal->roots[journal->roots_count++];
	*view = (struct apply_root_view){.owner = owner, .view = {.base = -1}};
	*told = (struct apply_root){.path = strdup(root->path), .base = strdup(root->base)};
	if (!told->path || !told->base)
		return error_set_errno(apply->error, ENOMEM, stage, "%s", root->path);
	int r = layer_view_open(apply->layer, root, &view->view, apply->error);
	if (r == 0)
		r = layer_records_read(apply->layer, root, &view->records, apply->error);
	return r;
}

static bool has_root(const struct apply *apply, const char *path)
{
	for (size_t i = 0; i < apply->journal.roots_count; i++)
		if (strcmp(apply->journal.roots[i].path, path) == 0)
			return true;
	return false;
}

/* Those of the layer, then those that only parents have; `owner` is closed with the last of
 * them. */
static int open_views_of(struct apply *apply, struct layer *of, bool own, bool *ret_used)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < of->roots_count; i++) {
		const struct layer_root *root = &of->roots[i];
		if (has_root(apply, root->path))
			continue;
		if (!root->base) {
			apply->partial = true;
			continue;
		}
		r = open_view(apply, own || *ret_used ? NULL : of, root);
		*ret_used = true;
	}
	return r;
}

int apply_open_views(struct apply *apply)
{
	bool used = false;
	int r = open_views_of(apply, apply->layer, true, &used);
	for (size_t i = 0; r == 0 && i < apply->layer->parents.count; i++) {
		struct layer *parent = NULL;
		used = false;
		r = layer_peek(apply->layer->parents.items[i], &parent, apply->error);
		if (r == 0)
			r = open_views_of(apply, parent, false, &used);
		if (!used)
			layer_close(parent);
	}
	if (r == 0 && apply->journal.roots_count == 0) {
		error_set(apply->error, ENOENT, stage,
			"layer %s lies on nothing of the host's: nothing to apply it to",
			apply->layer->name ? apply->layer->name : apply->layer->id);
		r = error_hint(apply->error,
			"`coffer layers export` takes it elsewhere; for a task, "
			"`coffer task apply`");
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < apply->journal.roots_count; i++) {
		struct stat st;
		if (fstat(apply->views[i].view.base, &st) < 0)
			return error_set_errno(
				apply->error, errno, stage, "%s", apply->journal.roots[i].base);
		apply->journal.roots[i].device = st.st_dev;
		apply->journal.roots[i].inode = st.st_ino;
	}
	return apply_hosts_open(&apply->journal, &apply->hosts, apply->error);
}

void apply_close_views(struct apply *apply)
{
	for (size_t i = 0; i < apply->journal.roots_count; i++) {
		layer_records_free(apply->views[i].records);
		layer_view_release(&apply->views[i].view);
	}
	for (size_t i = 0; i < apply->journal.roots_count; i++)
		layer_close(apply->views[i].owner);
	free(apply->views);
	apply->views = NULL;
	apply_hosts_close(&apply->journal, apply->hosts);
	apply->hosts = NULL;
}

/* ---- what was chosen ---- */

enum choice { CHOICE_NO, CHOICE_YES, CHOICE_ABOVE };

static enum choice choose(const struct apply *apply, unsigned root, const char *path)
{
	char *const *paths = apply->options->paths;
	if (!paths)
		return CHOICE_YES;
	cleanup_free char *host = *path ? path_join(apply->journal.roots[root].base, path)
					: strdup(apply->journal.roots[root].base);
	enum choice choice = CHOICE_NO;
	for (size_t i = 0; host && paths[i]; i++) {
		if (path_is_below(host, paths[i]))
			return CHOICE_YES;
		if (path_is_below(paths[i], host))
			choice = CHOICE_ABOVE;
	}
	return choice;
}

mode_t apply_mode(const struct apply_item *item)
{
	mode_t mode = item->after.st.st_mode & 01777;
	if (!S_ISDIR(item->after.st.st_mode))
		return mode & 0777;
	if (item->before.present && S_ISDIR(item->before.st.st_mode))
		mode |= item->before.st.st_mode & item->after.st.st_mode & 06000;
	return mode;
}

static const char *find_protected(const char *path)
{
	char name[MAX_NAME_BYTES + 1];
	while (*path) {
		size_t length = strcspn(path, "/");
		if (length < sizeof(name)) {
			memcpy(name, path, length);
			name[length] = '\0';
			const char *found = names_protected(name);
			if (found)
				return found;
		}
		path += length + (path[length] == '/');
	}
	return NULL;
}

/* ---- one change ---- */

static bool same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What is to be done; ACTION_NONE where the host has it already. */
static int decide(const struct layer_change *change, struct apply_item *item)
{
	mode_t type = change->after.st.st_mode & S_IFMT;
	if (change->kind == LAYER_DELETED) {
		item->action = ACTION_REMOVE;
		return 0;
	}
	if (type == S_IFSOCK) {
		item->action = ACTION_SKIP;
		return 0;
	}
	item->action = ACTION_STAGE;
	if (change->kind == LAYER_ADDED || (item->differences & LAYER_TYPE))
		return 0;
	if (type == S_IFREG && (item->differences & LAYER_CONTENT)) {
		int same = layer_same_content(change);
		if (same < 0)
			return same;
		if (same)
			item->differences &= ~(unsigned)LAYER_CONTENT;
	}
	if (item->differences & LAYER_CONTENT)
		return 0;
	/* Names of one inode on the host: the box saw this one change alone, and others may lie
	 * anywhere. */
	bool linked = type == S_IFREG && change->before.st.st_nlink > 1;
	if (linked && change->after.st.st_nlink > 1)
		return 0;
	bool touched = type == S_IFREG && !same_time(&change->before.st, &change->after.st);
	bool other = (item->differences & (LAYER_XATTRS | LAYER_OWNER)) ||
		     (change->before.st.st_mode & 07777) != apply_mode(item);
	if (!touched && !other)
		item->action = ACTION_NONE;
	else if (!linked)
		item->action = ACTION_ATTRIBUTES;
	return 0;
}

/* A time alone is nothing to quarrel about. */
static bool is_only_touched(const struct apply_item *item)
{
	return (item->action == ACTION_ATTRIBUTES ||
		       (item->kind == LAYER_MODIFIED && !(item->differences & LAYER_CONTENT))) &&
	       !(item->differences & (LAYER_XATTRS | LAYER_OWNER)) &&
	       (item->before.st.st_mode & 07777) == apply_mode(item);
}

static int check_host(struct apply *apply, struct apply_item *item)
{
	const struct layer_records *records = apply->views[item->root].records;
	if (item->action == ACTION_NONE ||
		layer_host_state(records, item->path, &item->before) == LAYER_HOST_SAME)
		return 0;
	if (is_only_touched(item)) {
		item->action = ACTION_NONE;
		return 0;
	}
	const struct layer_record *record = layer_records_find(records, item->path);
	bool was_directory = !record || (record->base.present && S_ISDIR(record->base.st.st_mode));
	if (item->before.present && !S_ISDIR(item->before.st.st_mode) && item->after.present &&
		S_ISDIR(item->after.st.st_mode) && was_directory)
		return apply_refuse(apply, item, APPLY_LINK,
			"a %s stands on the host where the layer has gone through a directory",
			S_ISLNK(item->before.st.st_mode) ? "symbolic link" : "file");
	return apply->options->force ? 0 : apply_refuse_conflict(apply, item);
}

static int check_kind(struct apply *apply, const struct apply_item *item)
{
	mode_t mode = item->after.st.st_mode;
	if (item->action == ACTION_REMOVE || item->action == ACTION_NONE)
		return 0;
	if (item->action == ACTION_SKIP)
		return apply_skip(apply, item, "a socket has no use without its program");
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return apply_refuse(apply, item, APPLY_SPECIAL, "a device is never applied");
	if (geteuid() != 0 && item->after.st.st_uid != geteuid() &&
		!(item->before.present && item->before.st.st_uid == item->after.st.st_uid &&
			item->action == ACTION_ATTRIBUTES))
		return apply_refuse(apply, item, APPLY_SPECIAL,
			"it belongs to user %u, and only root can give that",
			item->after.st.st_uid);
	if ((mode & 07777 & ~apply_mode(item)) && !S_ISLNK(mode) && item->action == ACTION_STAGE)
		return apply_skip(
			apply, item, "its set-user-id and set-group-id bits are left out");
	return 0;
}

static int check_name(struct apply *apply, const struct apply_item *item)
{
	if (apply->options->protected_names || item->action == ACTION_NONE)
		return 0;
	const char *name = find_protected(item->path);
	if (name)
		return apply_refuse(apply, item, APPLY_PROTECTED,
			"%s is a protected name: programs act on what is there by themselves",
			name);
	int r = apply_is_named(apply, item, &name);
	return r != 1 ? r
		      : apply_refuse(apply, item, APPLY_PROTECTED,
				"programs act on what is there by themselves: %s", name);
}

struct collecting {
	struct apply *apply;
	unsigned root;
};

static int collect(const struct layer_change *change, void *context)
{
	struct collecting *collecting = context;
	struct apply *apply = collecting->apply;
	enum choice choice = choose(apply, collecting->root, change->path);
	bool way = change->after.present && S_ISDIR(change->after.st.st_mode) &&
		   (change->kind == LAYER_ADDED || (change->differences & LAYER_TYPE));
	if (choice != CHOICE_YES)
		apply->partial = true;
	if (choice == CHOICE_NO || (choice == CHOICE_ABOVE && !way))
		return 0;
	if (apply->items_count == MAX_LAYER_APPLY_CHANGES)
		return -E2BIG;
	if (apply->items_count == apply->items_capacity) {
		size_t capacity = apply->items_capacity ? apply->items_capacity * 2 : 64;
		void *items = reallocarray(apply->items, capacity, sizeof(*apply->items));
		if (!items)
			return -ENOMEM;
		apply->items = items;
		apply->items_capacity = capacity;
	}
	struct apply_item *item = &apply->items[apply->items_count];
	*item = (struct apply_item){.root = collecting->root,
		.path = strdup(change->path),
		.kind = change->kind,
		.differences = change->differences,
		.before = change->before,
		.after = change->after,
		.bare = choice == CHOICE_ABOVE};
	if (!item->path)
		return -ENOMEM;
	apply->items_count++;
	return decide(change, item);
}

/* Directories above that nothing chosen is in after all are forgotten: none of their refusals
 * count. */
static void drop_bare(struct apply *apply)
{
	size_t kept = apply->items_count;
	for (size_t i = apply->items_count; i > 0; i--) {
		struct apply_item *item = &apply->items[i - 1];
		const struct apply_item *next =
			kept < apply->items_count ? &apply->items[kept] : NULL;
		bool needed = !item->bare || (next && next->root == item->root &&
						     apply_is_within(next->path, item->path));
		if (needed)
			apply->items[--kept] = *item;
		else
			free(item->path);
	}
	apply->items_count -= kept;
	if (kept > 0)
		memmove(apply->items, apply->items + kept,
			apply->items_count * sizeof(*apply->items));
}

static int check_items(struct apply *apply)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < apply->items_count; i++) {
		struct apply_item *item = &apply->items[i];
		r = check_host(apply, item);
		if (r == 0)
			r = check_kind(apply, item);
		if (r == 0)
			r = check_name(apply, item);
	}
	return r < 0 ? error_set_errno(apply->error, -r, stage, "what was found") : 0;
}

int apply_check(struct apply *apply)
{
	for (size_t i = 0; i < apply->journal.roots_count; i++) {
		struct collecting collecting = {apply, (unsigned)i};
		struct error walked = {0};
		int r = layer_view_changes(&apply->views[i].view, collect, &collecting, &walked);
		if (r == -E2BIG && apply->items_count == MAX_LAYER_APPLY_CHANGES) {
			error_set(apply->error, E2BIG, stage, "the layer has more than %d changes",
				MAX_LAYER_APPLY_CHANGES);
			return error_hint(
				apply->error, "apply it in parts: coffer apply NAME PATH");
		}
		if (r < 0 && walked.errno_value)
			*apply->error = walked;
		if (r < 0)
			return walked.errno_value ? r
						  : error_set_errno(apply->error, -r, stage, "%s",
							    apply->journal.roots[i].base);
	}
	drop_bare(apply);
	int r = apply->options->protected_names ? 0 : apply_find_named(apply);
	return r < 0 ? r : check_items(apply);
}
