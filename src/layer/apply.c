/* Theory of operation, in the order of layer_apply(): what an earlier apply left is finished;
 * all changes are checked; steps are made of them; new content is staged under names that are on
 * disk before; everything is checked once more, since staging may have taken long; the journal
 * becomes one to go on with; from there on the way is that of recover.c, after a kill or not. */
#include "layer/apply_internal.h"

#include "base/cleanup.h"
#include "layer/recover.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>

static const char stage[] = "apply";

static void release(struct apply *apply)
{
	apply_close_views(apply);
	for (size_t i = 0; i < apply->items_count; i++)
		free(apply->items[i].path);
	free(apply->items);
	free(apply->refused);
	scan_result_release(&apply->named);
	apply_journal_release(&apply->journal);
}

static void count(const struct apply *apply, struct layer_counts *ret)
{
	uint64_t *const kinds[] = {[LAYER_ADDED] = &ret->added,
		[LAYER_MODIFIED] = &ret->modified,
		[LAYER_DELETED] = &ret->deleted};
	for (size_t i = 0; i < apply->items_count; i++) {
		const struct apply_item *item = &apply->items[i];
		if (item->action == ACTION_NONE || item->action == ACTION_SKIP)
			continue;
		++*kinds[item->kind];
		if (item->action == ACTION_STAGE && S_ISREG(item->after.st.st_mode))
			ret->bytes += (uint64_t)item->after.st.st_size;
	}
}

/* The base may have changed while files were copied. What changes from here on is seen by the step
 * itself. */
static int check_again(struct apply *apply)
{
	for (size_t i = 0; i < apply->items_count; i++) {
		const struct apply_item *item = &apply->items[i];
		struct apply_identity then = {0};
		struct stat st;
		if (item->action == ACTION_NONE || item->action == ACTION_SKIP)
			continue;
		cleanup_close int fd =
			upper_open(apply->views[item->root].view.base, item->path, O_PATH);
		bool present = fd >= 0 && fstat(fd, &st) == 0;
		if (item->before.present)
			apply_identify(&item->before.st, &then);
		if (present != item->before.present || (present && !apply_is_same(&st, &then)) ||
			(present && st.st_mode != item->before.st.st_mode)) {
			error_set(apply->error, EBUSY, stage,
				"%.512s/%.400s was changed on the host just now",
				apply->journal.roots[item->root].base, item->path);
			return error_hint(apply->error, "nothing was applied: try again");
		}
	}
	return 0;
}

static int write_journal(struct apply *apply, int directory, enum apply_phase phase)
{
	int r = apply_journal_write(directory, &apply->journal, phase);
	if (r == 0)
		return 0;
	error_set_errno(apply->error, -r, stage, "the journal in %.512s", apply->layer->directory);
	return error_hint(
		apply->error, "the host is as it was, and the layer still has everything");
}

/* Until the journal is complete, everything that fails is taken back. */
static int stage_all(struct apply *apply)
{
	cleanup_close int directory =
		open(apply->layer->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(apply->error, errno, stage, "%s", apply->layer->directory);
	int r = recover_mark(apply->layer, apply->error);
	if (r == 0)
		r = write_journal(apply, directory, APPLY_STAGING);
	if (r == 0)
		r = apply_stage(apply);
	if (r == 0)
		r = check_again(apply);
	if (r == 0)
		r = write_journal(apply, directory, APPLY_PLACING);
	return r;
}

static int commit(struct apply *apply)
{
	struct error own;
	int r = stage_all(apply);
	int ended = recover_layer(apply->layer, r < 0 ? &own : apply->error);
	if (r == 0)
		return ended < 0 ? ended : 0;
	if (ended < 0)
		error_hint(apply->error,
			"and what was written beside could not be removed yet: %.400s",
			own.message);
	return r;
}

/* 0, and nothing was refused: the steps are known. */
static int look(struct apply *apply)
{
	int r = apply_open_views(apply);
	if (r == 0)
		r = apply_check(apply);
	if (r == 0)
		r = apply_plan(apply);
	if (r < 0)
		return r;
	if (apply->result->refusals_count == 0)
		return 0;
	error_set(apply->error, ECANCELED, stage,
		"%zu of %zu changes cannot be applied, so none was",
		apply->result->refusals_count + apply->result->refusals_lost, apply->items_count);
	return -ECANCELED;
}

int layer_apply(struct layer *layer, const struct apply_options *options, struct apply_result *ret,
	struct error *error)
{
	struct apply apply = {.layer = layer, .options = options, .result = ret, .error = error};
	*ret = (struct apply_result){0};
	int r = recover_layer(layer, error);
	if (r >= 0)
		r = layer->settled ? 0 : layer_settle(layer, NULL, error);
	if (r == 0)
		r = look(&apply);
	bool nothing = r == 0 && apply.items_count == 0 && options->paths;
	if (nothing) {
		error_set(error, ENOENT, stage, "the layer has changed nothing at %.512s",
			options->paths[0]);
		r = error_hint(error, "`coffer diff --name-only` tells what it has changed");
	}
	if (r == 0 && !options->dry_run)
		r = commit(&apply);
	if (r == 0) {
		count(&apply, &ret->applied);
		ret->empty = !options->dry_run && apply.journal.whole && !options->keep &&
			     !layer->sealed;
	}
	release(&apply);
	return r;
}

void apply_result_release(struct apply_result *result)
{
	for (size_t i = 0; i < result->refusals_count; i++) {
		free(result->refusals[i].path);
		free(result->refusals[i].text);
	}
	free(result->refusals);
	strv_release(&result->skipped);
	*result = (struct apply_result){0};
}
