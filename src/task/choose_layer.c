#include "task/choose_layer.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "layer/layer_internal.h"
#include "layer/settle.h"

#include <limits.h>
#include <string.h>

static const char stage[] = "layer";

static uint64_t last_used_us(const struct layer *layer)
{
	return layer->started_us ? layer->started_us : layer->created_us;
}

static bool holds(const struct layer *layer, const char *directory)
{
	for (size_t i = 0; i < layer->roots_count; i++) {
		const struct layer_root *root = &layer->roots[i];
		if (root->base && path_is_below(directory, root->base))
			return true;
	}
	return false;
}

/* The id of the newest layer of the directory; caller frees. */
static int find_newest(const char *directory, char **ret, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	uint64_t newest_us = 0;
	int r = layer_list(&ids, error);
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		struct layer *layer = NULL;
		struct error unused;
		if (layer_peek(ids.items[i], &layer, &unused) < 0)
			continue; /* gone by now, or being made */
		if (strcmp(layer->purpose, "snapshot") != 0 && holds(layer, directory) &&
			last_used_us(layer) >= newest_us) {
			newest_us = last_used_us(layer);
			free(*ret);
			*ret = strdup(layer->id);
		}
		layer_close(layer);
	}
	if (r == 0 && !*ret) {
		error_set(error, ENOENT, stage, "no layer holds changes of %s", directory);
		error_hint(error, "`coffer layers` lists those there are");
		r = -ENOENT;
	}
	return r;
}

/* A run that was killed has left it so. */
static int settle(const char *which, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(which, LAYER_WRITE, &layer, error);
	if (r == 0)
		r = layer_settle(layer, NULL, error);
	layer_close(layer);
	return r;
}

int choose_layer(const char *which, struct layer **ret, bool *ret_guessed, struct error *error)
{
	cleanup_free char *newest = NULL;
	int r = 0;
	*ret_guessed = !which;
	if (!which) {
		char directory[PATH_MAX];
		if (!getcwd(directory, sizeof(directory)))
			return error_set_errno(error, errno, stage, "the current directory");
		r = find_newest(directory, &newest, error);
		which = newest;
	}
	if (r == 0)
		r = layer_open(which, LAYER_READ, ret, error);
	if (r == 0 && !(*ret)->settled) {
		cleanup_free char *id = strdup((*ret)->id);
		layer_close(steal_pointer(ret));
		r = id ? settle(id, error) : error_set_errno(error, ENOMEM, stage, "%s", which);
		if (r == 0)
			r = layer_open(id, LAYER_READ, ret, error);
	}
	return r;
}

char *path_in_layer(const struct layer *layer, const char *directory, const char *path)
{
	char *absolute = path_absolute(directory, path);
	for (size_t i = 0; absolute && i < layer->roots_count; i++) {
		const struct layer_root *root = &layer->roots[i];
		if (!root->base || strcmp(root->base, root->path) == 0 ||
			!path_is_below(absolute, root->base))
			continue;
		const char *rest = absolute + strlen(root->base);
		char *mapped = path_absolute(root->path, *rest == '/' ? rest + 1 : rest);
		free(absolute);
		return mapped;
	}
	return absolute;
}
