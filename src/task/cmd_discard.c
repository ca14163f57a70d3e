/* `coffer discard`: layers, thrown away. */
#include "task/command.h"

#include "base/cleanup.h"
#include "layer/copies.h"
#include "layer/layer_internal.h"
#include "task/verbs.h"

#include <string.h>

static const char usage[] =
	"usage: coffer discard NAME...\n"
	"       coffer discard --all-unnamed\n"
	"Throws layers away, with all that is in them. The host stays as it is.\n\n"
	"  --all-unnamed  those that runs left and nobody has named\n";

static int discard(const char *which, bool last)
{
	struct layer *layer = NULL;
	struct error error;
	int r = layer_open(which, LAYER_WRITE, &layer, &error);
	if (r == 0)
		r = layer_discard(layer, &error);
	if (r < 0 && (last || r != -EBUSY))
		verb_complain(&error);
	return r;
}

/* What stands on one of them may go with another: so those that are in the way come twice. */
static int discard_all(const struct strv *names)
{
	cleanup_strv struct strv again = {0};
	struct layer_garbage garbage;
	struct error ignored;
	int failed = 0;
	for (size_t i = 0; i < names->count; i++) {
		int r = discard(names->items[i], false);
		if (r == -EBUSY && strv_add(&again, names->items[i]) == 0)
			continue;
		failed = r < 0 ? r : failed;
	}
	layer_collect(NULL, &garbage, &ignored);
	for (size_t i = again.count; i > 0; i--) {
		int r = discard(again.items[i - 1], true);
		failed = r < 0 ? r : failed;
	}
	if (again.count)
		layer_collect(NULL, &garbage, &ignored);
	return failed;
}

/* A task's own are the task's to remove. */
static int list_unnamed(struct strv *ret, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	int r = layer_list(&ids, error);
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		struct layer *layer = NULL;
		struct error ignored;
		if (layer_peek(ids.items[i], &layer, &ignored) < 0)
			continue;
		if (!layer->name && !layer->sealed && strcmp(layer->purpose, "run") == 0)
			r = strv_add(ret, layer->id);
		layer_close(layer);
	}
	return r;
}

int cmd_discard(int argc, char *argv[])
{
	bool all_unnamed = false;
	const struct verb_flag flags[] = {{"all-unnamed", &all_unnamed, NULL}};
	cleanup_strv struct strv words = {0};
	struct error error;
	int r = verb_options(argc, argv, flags, ARRAY_SIZE(flags), usage, &words, NULL);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	if (all_unnamed == (words.count > 0)) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	if (all_unnamed && list_unnamed(&words, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	return discard_all(&words) < 0 ? VERB_FAILED : 0;
}
