/* Theory of operation. For an overlay the walk's two sides are the base and the whole stack, which
 * have the base in common; so just the uppers are read. A copy has nothing in common with its base:
 * both are walked, and what was recorded when the copy was complete tells who changed what. A file's
 * ctime cannot be set by a program: a copied file whose ctime is older than that moment is as it was
 * copied, and is not read. */
#include "layer/changes.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/sys.h"
#include "layer/layer_internal.h"
#include "layer/records.h"
#include "layer/walk.h"

#include <fcntl.h>
#include <string.h>

static const char stage[] = "layer";

/* ---- opening ---- */

static int open_directory(const char *path)
{
	int fd = sys_openat2(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd < 0 ? -errno : fd;
}

static int open_base(const struct layer_root *root, struct layer_view *view, struct error *error)
{
	if (!root->base)
		return 0;
	int fd = open_directory(root->base);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) {
		error_set(error, -fd, stage, "%s, which the layer lies on, is not there any more",
			root->base);
		error_hint(error, "put it back, or discard the layer");
		return fd;
	}
	if (fd < 0)
		return error_set_errno(error, -fd, stage, "%s", root->base);
	view->base = fd;
	return 0;
}

static int open_uppers(const struct layer *layer, const struct layer_root *root,
	struct layer_view *view, struct error *error)
{
	cleanup_strv struct strv below = {0};
	int r = layer_uppers_below(layer, root->path, &below, error);
	if (r < 0)
		return r;
	char *own = NULL;
	if (asprintf(&own, "%s/roots/%s/upper", layer->directory, path_name(root->directory)) < 0)
		return error_set_errno(error, ENOMEM, stage, "%s", root->path);
	view->uppers = calloc(below.count + 1, sizeof(*view->uppers));
	int fd = view->uppers ? open_directory(own) : -ENOMEM;
	free(own);
	/* A layer in which nothing has run yet has none of its own. */
	if (fd >= 0) {
		view->uppers[view->uppers_count++] = fd;
		view->own = 1;
	} else if (fd != -ENOENT) {
		return error_set_errno(error, -fd, stage, "%s", root->path);
	}
	for (size_t i = 0; i < below.count; i++) {
		fd = open_directory(below.items[i]);
		if (fd < 0)
			return error_set_errno(error, -fd, stage, "%s", below.items[i]);
		view->uppers[view->uppers_count++] = fd;
	}
	return 0;
}

int layer_view_open(const struct layer *layer, const struct layer_root *root,
	struct layer_view *ret, struct error *error)
{
	*ret = (struct layer_view){.root = root, .base = -1, .kind = layer->kind};
	int r = open_base(root, ret, error);
	if (r == 0)
		r = open_uppers(layer, root, ret, error);
	if (r == 0 && layer->kind == LAYER_COPY) {
		r = records_open(layer, path_name(root->directory), &ret->records, error);
		if (r == 0)
			ret->copied_us = layer_copied_us(layer, ret->records);
	}
	if (r < 0)
		layer_view_release(ret);
	return r;
}

void layer_view_release(struct layer_view *view)
{
	close_fd(&view->base);
	for (size_t i = 0; i < view->uppers_count; i++)
		close_fd(&view->uppers[i]);
	free(view->uppers);
	layer_records_free(view->records);
	*view = (struct layer_view){.base = -1};
}

/* ---- copies ---- */

struct filter {
	layer_change_fn callback;
	void *context;
};

uint64_t layer_copied_us(const struct layer *layer, const struct layer_records *records)
{
	if (records_has_own(records))
		return records_copied_us(records);
	/* Files get their times from a clock that may be as much behind. */
	uint64_t lag_us = layer_clock_lag_us();
	return layer->started_us > lag_us ? layer->started_us - lag_us : 0;
}

/* What the box changed of a copy, of what is different now: the host may have changed, too. */
static int tell_of_copy(const struct layer_change *written, void *context)
{
	const struct filter *filter = context;
	const struct layer_view *view = written->view;
	struct layer_change change = *written;
	const struct layer_record *record = records_find_own(view->records, change.path);
	bool copied = record ? record->base.present : !records_has_own(view->records);
	if (!change.after.present)
		return copied ? filter->callback(&change, filter->context) : 0;
	if (copied && !S_ISDIR(change.after.st.st_mode) &&
		layer_time_us(&change.after.st.st_ctim) < view->copied_us)
		return 0;
	/* A directory's ctime moves with each name in it. */
	if (record && copied && !((record->base.st.st_mode ^ change.after.st.st_mode) & 07777))
		change.differences &= ~(unsigned)LAYER_MODE;
	if (change.kind == LAYER_MODIFIED && !change.differences)
		return 0;
	return filter->callback(&change, filter->context);
}

/* ---- walking ---- */

static int walk_stacks(
	const struct layer_view *view, size_t only_after, struct walk *walk, struct error *error)
{
	bool copy = view->kind == LAYER_COPY;
	struct walk_slot *slots = calloc(view->uppers_count + 1, sizeof(*slots));
	if (!slots)
		return error_set_errno(error, ENOMEM, stage, "%s", view->root->path);
	for (size_t i = 0; i < view->uppers_count; i++)
		slots[walk->slots_count++] = (struct walk_slot){.directory = view->uppers[i],
			.sides = i < only_after ? WALK_AFTER : WALK_BOTH,
			.marks = !copy};
	if (view->base >= 0)
		slots[walk->slots_count++] = (struct walk_slot){.directory = view->base,
			.sides = copy ? WALK_BEFORE : WALK_BOTH,
			.marks = !copy};
	walk->view = view;
	walk->slots = slots;
	int r = walk_run(walk, error);
	free(slots);
	return r;
}

int walk_own(const struct layer_view *view, bool every, layer_change_fn callback, void *context,
	struct error *error)
{
	struct walk walk = {
		.every = every, .shallow = true, .callback = callback, .context = context};
	return walk_stacks(view, view->own, &walk, error);
}

static int walk_view(const struct layer_view *view, bool shallow, layer_change_fn callback,
	void *context, struct error *error)
{
	struct filter filter = {callback, context};
	struct walk walk = {.shallow = shallow, .callback = callback, .context = context};
	if (view->kind == LAYER_COPY) {
		walk.callback = tell_of_copy;
		walk.context = &filter;
	}
	return walk_stacks(view, view->uppers_count, &walk, error);
}

int layer_view_changes(
	const struct layer_view *view, layer_change_fn callback, void *context, struct error *error)
{
	return walk_view(view, false, callback, context, error);
}

/* ---- whole layers ---- */

static int each_root(const struct layer *layer, const struct layer *of, struct strv *seen,
	int (*visit)(const struct layer_view *view, void *context, struct error *error),
	void *context, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < of->roots_count; i++) {
		const struct layer_root *root = &of->roots[i];
		if (strv_contains(seen, root->path))
			continue;
		if (strv_add(seen, root->path) < 0)
			return error_set_errno(error, ENOMEM, stage, "%s", root->path);
		struct layer_view view;
		r = layer_view_open(layer, root, &view, error);
		if (r == 0)
			r = visit(&view, context, error);
		layer_view_release(&view);
	}
	return r;
}

int layer_each_view(const struct layer *layer,
	int (*visit)(const struct layer_view *view, void *context, struct error *error),
	void *context, struct error *error)
{
	cleanup_strv struct strv seen = {0};
	int r = each_root(layer, layer, &seen, visit, context, error);
	for (size_t i = 0; r == 0 && i < layer->parents.count; i++) {
		struct layer *parent = NULL;
		r = layer_peek(layer->parents.items[i], &parent, error);
		if (r == 0)
			r = each_root(layer, parent, &seen, visit, context, error);
		layer_close(parent);
	}
	return r;
}

int layer_root_paths(const struct layer *layer, struct strv *ret, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i <= layer->parents.count; i++) {
		struct layer *parent = NULL;
		if (i > 0)
			r = layer_peek(layer->parents.items[i - 1], &parent, error);
		const struct layer *of = parent ? parent : layer;
		for (size_t k = 0; r == 0 && k < of->roots_count; k++)
			if (!strv_contains(ret, of->roots[k].path) &&
				strv_add(ret, of->roots[k].path) < 0)
				r = error_set_errno(error, ENOMEM, stage, "roots");
		layer_close(parent);
	}
	return r;
}

const struct layer_root *layer_find_root(const struct layer *layer, const char *path)
{
	for (size_t i = 0; i < layer->roots_count; i++)
		if (strcmp(layer->roots[i].path, path) == 0)
			return &layer->roots[i];
	return NULL;
}

static int visit_changes(const struct layer_view *view, void *context, struct error *error)
{
	const struct filter *filter = context;
	return layer_view_changes(view, filter->callback, filter->context, error);
}

int layer_changes(
	const struct layer *layer, layer_change_fn callback, void *context, struct error *error)
{
	struct filter filter = {callback, context};
	return layer_each_view(layer, visit_changes, &filter, error);
}

void layer_count_change(const struct layer_change *change, struct layer_counts *counts)
{
	uint64_t *const kinds[] = {[LAYER_ADDED] = &counts->added,
		[LAYER_MODIFIED] = &counts->modified,
		[LAYER_DELETED] = &counts->deleted};
	++*kinds[change->kind];
	if (change->after.present && S_ISREG(change->after.st.st_mode) &&
		(change->kind == LAYER_ADDED || (change->differences & LAYER_CONTENT)))
		counts->bytes += (uint64_t)change->after.st.st_size;
}

static int count_one(const struct layer_change *change, void *context)
{
	layer_count_change(change, context);
	return 0;
}

static int visit_count(const struct layer_view *view, void *context, struct error *error)
{
	return walk_view(view, true, count_one, context, error);
}

int layer_count(const struct layer *layer, struct layer_counts *ret, struct error *error)
{
	*ret = (struct layer_counts){0};
	return layer_each_view(layer, visit_count, ret, error);
}
