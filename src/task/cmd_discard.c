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

static int discard(const char *which)
{
	struct layer *layer = NULL;
	struct error error;
	int r = layer_open(which, LAYER_WRITE, &layer, &error);
	if (r == 0)
		r = layer_discard(layer, &error);
	if (r < 0)
		verb_complain(&error);
	return r;
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
	struct layer_garbage garbage;
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
	for (size_t i = 0; i < words.count; i++)
		if (discard(words.items[i]) < 0)
			r = VERB_FAILED;
	/* What only they stood on goes with them. */
	layer_collect(NULL, &garbage, &error);
	return r;
}
