/* Theory of operation. The plan for the workspace says which tree that is. It is copied into the
 * layer, and everything is planned once more for the copy: so protected names and secrets are found
 * in it as everywhere, and the box is at the place that corresponds to the caller's. What the
 * policy names by path is named in the copy as well; the original is out of reach for writing like
 * everything else, and as readable as it was: its secrets are hidden where the copy's are. */
#include "library/in_copy.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "layer/copy.h"
#include "layer/layer.h"
#include "layer/settle.h"

#include <inttypes.h>
#include <string.h>

static const char stage[] = "layer";

static int open_layer(const struct plan *plan, struct layer **ret, struct error *error)
{
	int r = layer_open(plan->layer, LAYER_WRITE, ret, error);
	if (r < 0 || (*ret)->kind == LAYER_COPY)
		return r;
	struct layer *layer = *ret;
	if (layer->roots_count > 0 || layer->parents.count > 0) {
		error_set(error, ENOTSUP, stage,
			"layer %s is of overlays, which this tier cannot mount",
			layer->name ? layer->name : layer->id);
		return error_hint(
			error, "here a layer is a copy, which stands on no other: --layer=NEW");
	}
	layer->kind = LAYER_COPY;
	return layer_save(layer, error);
}

static void tell(const struct plan *plan, const struct layer_copy_cost *cost,
	void (*note)(const char *sentence))
{
	char text[512];
	const char *how = cost->reflinked_bytes == 0             ? "copied"
			  : cost->reflinked_bytes == cost->bytes ? "shared with the original"
								 : "some of it shared";
	snprintf(text, sizeof(text),
		"layer: a copy of %.200s, as this tier has no overlays: %" PRIu64
		" entries, %.1f MiB %s, %.2f s",
		plan->workspace, cost->entries, (double)cost->bytes / (1 << 20), how,
		(double)cost->time_us / 1e6);
	if (note)
		note(text);
}

/* The root whose upper is the copy; it is made where there is none. */
static int make_copy(const struct plan *plan, struct layer *layer,
	void (*note)(const char *sentence), char **ret_place, struct error *error)
{
	const char *workspace = plan->workspace;
	if (layer->roots_count > 0 && strcmp(layer->roots[0].path, workspace) != 0) {
		error_set(error, EINVAL, stage, "layer %s is a copy of %s",
			layer->name ? layer->name : layer->id, layer->roots[0].path);
		return error_hint(error, "work in it there, or in another layer");
	}
	int r = layer_add_root(
		layer, workspace, workspace, plan->owner_uid, plan->owner_gid, error);
	struct layer_copy_cost cost;
	if (r == 0 && !layer_copy_is_complete(&layer->roots[0])) {
		r = layer_copy_root(&layer->roots[0], &cost, error);
		if (r == 0)
			r = layer_settle(layer, NULL, error);
		if (r == 0)
			r = layer_save(layer, error);
		if (r == 0)
			tell(plan, &cost, note);
	}
	if (r < 0)
		return r;
	*ret_place = path_join(layer->roots[0].directory, "upper");
	return *ret_place ? 0 : error_set_errno(error, ENOMEM, stage, "%s", workspace);
}

/* path, which lies below the workspace, in the copy. */
static char *in_place(const char *path, const char *workspace, const char *place)
{
	const char *rest = path + strlen(workspace);
	return *rest ? path_join(place, rest + strspn(rest, "/")) : strdup(place);
}

/* What the policy says of one path. A link on the way is followed, as resolving it would. */
static int map_path(const struct plan *plan, const struct policy_path *given, const char *place,
	struct in_copy *copy, struct error *error)
{
	cleanup_free char *written = path_absolute(plan->directory, given->path);
	cleanup_free char *real =
		written && !path_is_glob(written) ? realpath(written, NULL) : NULL;
	const char *path = real ? real : written;
	if (!path)
		return error_set_errno(error, ENOMEM, stage, "%.200s", given->path);
	bool inside = path_is_below(path, plan->workspace);
	if (given->access == ACCESS_WRITE && !inside) {
		error_set(error, ENOTSUP, stage, "--write %.200s with --layer in the landlock tier",
			path);
		return error_hint(error, "only the workspace is copied: drop one of the two");
	}
	struct policy_path *next = &copy->paths[copy->policy.paths_count];
	*next = *given;
	next->path = strdup(path);
	copy->policy.paths_count += next->path != NULL;
	if (next->path && inside && given->access != ACCESS_WRITE) {
		next++;
		*next = *given;
		next->path = in_place(path, plan->workspace, place);
		copy->policy.paths_count += next->path != NULL;
	} else if (next->path && inside) {
		free(next->path);
		next->path = in_place(path, plan->workspace, place);
		copy->policy.paths_count -= next->path == NULL;
	}
	return next->path ? 0 : error_set_errno(error, ENOMEM, stage, "%.200s", path);
}

static int map_policy(const struct plan *plan, const struct policy *policy, char *place,
	struct in_copy *copy, struct error *error)
{
	copy->policy = *policy;
	copy->policy.places.copy = place;
	copy->policy.places.copied = strdup(plan->workspace);
	copy->policy.paths_count = 0;
	copy->policy.paths = copy->paths =
		calloc(policy->paths_count * 2 + 1, sizeof(*copy->paths));
	copy->policy.directory = copy->directory =
		path_is_below(plan->directory, plan->workspace)
			? in_place(plan->directory, plan->workspace, place)
			: strdup(plan->directory);
	if (!copy->paths || !copy->directory || !copy->policy.places.copied)
		return error_set_errno(error, ENOMEM, stage, "the copy's policy");
	int r = 0;
	for (size_t i = 0; r == 0 && i < policy->paths_count; i++)
		r = map_path(plan, &policy->paths[i], place, copy, error);
	return r;
}

int in_copy_prepare(const struct plan *plan, const struct policy *policy,
	void (*note)(const char *sentence), struct in_copy *ret, struct error *error)
{
	*ret = (struct in_copy){0};
	if (!plan->workspace || plan->mode != MODE_WORKSPACE_WRITE) {
		error_set(error, ENOTSUP, stage, "there is no workspace that a layer could copy");
		return error_hint(
			error, "cd into the project; in this tier a layer is a copy of it");
	}
	if (plan->facts.root && plan->owner_uid != 0) {
		error_set(error, ENOTSUP, stage,
			"in this tier the workspace's owner cannot reach a layer of root's");
		return error_hint(error, "run it as that owner");
	}
	struct layer *layer = NULL;
	char *place = NULL;
	int r = open_layer(plan, &layer, error);
	if (r == 0)
		r = make_copy(plan, layer, note, &place, error);
	layer_close(layer);
	if (r == 0)
		r = map_policy(plan, policy, place, ret, error);
	else
		free(place);
	if (r < 0)
		in_copy_release(ret);
	return r;
}

void in_copy_release(struct in_copy *copy)
{
	for (size_t i = 0; copy->paths && i < copy->policy.paths_count; i++)
		free(copy->paths[i].path);
	free(copy->paths);
	free(copy->directory);
	free(copy->policy.places.copy);
	free(copy->policy.places.copied);
	*copy = (struct in_copy){0};
}
