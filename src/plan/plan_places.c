/* What the points say, kept beside the mounts or grants that they became: those say how a wall is
 * built, these why it is there. */
#include "plan/plan_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <string.h>
#include <sys/stat.h>

static struct plan_place *new_place(struct plan *plan)
{
	/* Grown by doubling: capacity is the next power of two. */
	size_t count = plan->places_count;
	if ((count & (count - 1)) == 0) {
		struct plan_place *places =
			reallocarray(plan->places, count ? count * 2 : 1, sizeof(*places));
		if (!places)
			return NULL;
		plan->places = places;
	}
	struct plan_place *place = &plan->places[count];
	*place = (struct plan_place){0};
	return place;
}

int plan_add_place(struct plan *plan, const char *path, const char *host, enum place_access access,
	const char *why)
{
	struct plan_place *place = new_place(plan);
	if (!place)
		return -ENOMEM;
	place->path = strdup(path);
	place->host = host ? strdup(host) : NULL;
	place->access = access;
	place->why = why;
	if (!place->path || (host && !place->host)) {
		free(place->path);
		free(place->host);
		return -ENOMEM;
	}
	plan->places_count++;
	return 0;
}

const struct plan_place *plan_place_of(const struct plan *plan, const char *path)
{
	const struct plan_place *best = NULL;
	size_t best_bytes = 0;
	for (size_t i = 0; i < plan->places_count; i++) {
		const struct plan_place *place = &plan->places[i];
		size_t length = strlen(place->path);
		if (length >= best_bytes && path_is_below(path, place->path)) {
			best = place;
			best_bytes = length;
		}
	}
	return best;
}

static const char *flag_of(enum path_access access)
{
	static const char *const flags[] = {
		[ACCESS_WRITE] = "--write",
		[ACCESS_READ_ONLY] = "--read-only",
		[ACCESS_DENY_READ] = "--deny-read",
		[ACCESS_ALLOW_READ] = "--allow-read",
		[ACCESS_CONNECT] = "--allow-unix",
	};
	return flags[access];
}

/* NULL with 0: a default. */
static int rule_of(const struct point *point, char **ret)
{
	const struct policy_path *entry = point->entry;
	*ret = NULL;
	if (!entry)
		return 0;
	if (entry->source)
		*ret = strdup(entry->source);
	else if (asprintf(ret, "%s %s", flag_of(entry->access), entry->path) < 0)
		*ret = NULL;
	return *ret ? 0 : -ENOMEM;
}

static enum place_access access_of(const struct planning *planning, const struct point *point)
{
	bool strict = planning->profile->view == VIEW_STRICT;
	switch (point->kind) {
	case POINT_HIDE:
		return PLACE_HIDDEN;
	case POINT_EMPTY:
		/* The landlock tier has no mounts: what is masked elsewhere is closed there. */
		return planning->plan->tier == TIER_LANDLOCK ? PLACE_HIDDEN : PLACE_ABSENT;
	case POINT_WRITE:
	case POINT_PRIVATE:
		return PLACE_WRITE;
	case POINT_READ:
		/* The workspace of strict is a layer of which only what is hidden is taken away. */
		return strict ? PLACE_WRITE : PLACE_READ;
	case POINT_PIN:
		break;
	}
	return PLACE_READ;
}

/* Secrets of the workspace come from the walk; so do protected names, which are promises. */
static bool is_secret(const struct planning *planning, const struct point *point)
{
	const struct scan_result *scan = &planning->findings->scan;
	for (size_t i = 0; i < scan->count; i++)
		if (scan->items[i].kind == SCAN_SECRET &&
			strcmp(scan->items[i].path, point->path) == 0)
			return true;
	return false;
}

static int keep(struct planning *planning, const struct point *point)
{
	cleanup_free char *inside = plan_inside(planning, point->path);
	if (!inside || point->kind == POINT_PIN)
		return 0;
	struct plan *plan = planning->plan;
	int r = plan_add_place(plan, inside, point->path, access_of(planning, point), point->why);
	if (r < 0)
		return r;
	struct plan_place *place = &plan->places[plan->places_count - 1];
	place->promise = point->origin == ORIGIN_PROMISE;
	place->restricts = point->restricts || place->promise;
	place->secret =
		point->restricts && !place->promise && !point->entry && is_secret(planning, point);
	return rule_of(point, &place->rule);
}

/* What a box has of its own, where nothing of the host's is. */
static int keep_own(struct planning *planning)
{
	const struct findings *findings = planning->findings;
	struct plan *plan = planning->plan;
	bool host_view = planning->profile->view == VIEW_HOST;
	int r = plan_add_place(plan, "/", "/", host_view ? PLACE_READ : PLACE_ABSENT, "default");
	if (r == 0 && plan->tier == TIER_CONTAINER)
		r = plan_add_place(plan, "/dev/shm", NULL, PLACE_WRITE, "the box's own");
	if (r < 0 || host_view)
		return r;
	static const char *const own[] = {"/dev", "/proc"};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own); i++)
		r = plan_add_place(plan, own[i], NULL, PLACE_READ, "the box's own");
	static const char *const writable[] = {"/tmp", "/var/tmp", "/home/agent", "/workspace"};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(writable); i++)
		r = plan_add_place(plan, writable[i], NULL, PLACE_WRITE, "the box's own");
	for (size_t i = 0; r == 0 && i < findings->system_count; i++) {
		cleanup_free char *path = path_join("/", findings->system[i].name);
		r = path ? plan_add_place(plan, path, path, PLACE_READ, "the system") : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < findings->places_count; i++)
		r = plan_add_place(plan, findings->places[i].inside, findings->places[i].path,
			findings->places[i].writable ? PLACE_WRITE : PLACE_READ, "a view");
	return r;
}

/* A person's --read-only on what nothing makes writable is no mount; but it would be the reason if
 * something did. */
static int keep_idle(struct planning *planning)
{
	const struct found_paths *paths = &planning->findings->paths;
	for (size_t i = 0; i < paths->count; i++) {
		const struct found_path *path = &paths->items[i];
		struct point point = {.path = path->path,
			.kind = POINT_READ,
			.origin = path->origin,
			.why = path->why,
			.entry = path->entry,
			.restricts = true};
		cleanup_free char *inside = path->entry && path->access == ACCESS_READ_ONLY
						    ? plan_inside(planning, path->path)
						    : NULL;
		const struct plan_place *place =
			inside ? plan_place_of(planning->plan, inside) : NULL;
		if (!place || place->access != PLACE_READ || strcmp(place->path, inside) == 0)
			continue;
		int r = keep(planning, &point);
		if (r < 0)
			return r;
	}
	return 0;
}

int plan_keep_places(struct planning *planning, const struct points *points)
{
	int r = keep_own(planning);
	for (size_t i = 0; r == 0 && i < points->count; i++)
		r = keep(planning, &points->items[i]);
	if (r == 0)
		r = keep_idle(planning);
	return r < 0 ? plan_out_of_memory(planning->error) : 0;
}
