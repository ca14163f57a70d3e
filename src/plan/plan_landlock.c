/* Theory of operation. Landlock only allows, and a grant on a directory reaches everything below:
 * a directory gets what the least of the points below it allows, and where that is less than it
 * should have, its entries get the rest one by one, on every level down (listings.c has read them).
 * So a writable root with a read-only .git is readable as a whole, and its other entries are
 * writable. What is created beside a carve-out later lies under no grant for writing: the broker
 * makes such calls itself (see run/broker_territory.c). Listing is granted everywhere: names can be
 * seen, contents not. */
#include "plan/plan_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <string.h>

int point_access(const struct point *point)
{
	if (!point)
		return 1;
	switch (point->kind) {
	case POINT_HIDE:
	case POINT_EMPTY:
		return 0;
	case POINT_READ:
		return 1;
	case POINT_WRITE:
	case POINT_PRIVATE:
		return 2;
	case POINT_PIN:
		break; /* only where there are mounts */
	}
	return 0;
}

static const struct found_listing *listing_of(const struct findings *findings, const char *path)
{
	for (size_t i = 0; i < findings->listings_count; i++)
		if (strcmp(findings->listings[i].path, path) == 0)
			return &findings->listings[i];
	return NULL;
}

/* The points strictly below path: they stand in one row. */
static bool is_inside(const struct point *point, const char *path)
{
	return path_is_below(point->path, path) && strcmp(point->path, path) != 0;
}

static int least_access(const struct points *points, const char *path)
{
	int least = point_access(points_covering(points, path));
	for (size_t i = 0; i < points->count; i++)
		if (point_access(&points->items[i]) < least && is_inside(&points->items[i], path))
			least = point_access(&points->items[i]);
	return least;
}

static int grant(struct plan *plan, const char *path, int access)
{
	return plan_grant(plan, path, access > 1 ? PLAN_RIGHTS_WRITE : PLAN_RIGHTS_READ);
}

static int grant_tree(
	struct planning *planning, const struct points *points, const char *path, int inherited);

/* path is an opened directory: entry by entry. */
static int grant_entries(struct planning *planning, const struct points *points,
	const struct found_listing *listing, int given)
{
	/* Says to the broker that this directory was opened; listing it is granted anyway. */
	if (point_access(points_covering(points, listing->path)) > 1) {
		int r = plan_grant(planning->plan, listing->path, PLAN_RIGHTS_LIST);
		if (r == 0 && given == 0)
			r = plan_note(planning->plan, "landlock",
				"%s holds something hidden: files made in it later, beside what is "
				"there now, cannot be read in this tier",
				listing->path);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < listing->entries.count; i++) {
		cleanup_free char *child = path_join(listing->path, listing->entries.items[i]);
		int r = child ? grant_tree(planning, points, child, given) : -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Nothing below path allows less than it does: what allows more gets it in addition. */
static int grant_points(
	struct planning *planning, const struct points *points, const char *path, int given)
{
	const char *done = NULL;
	for (size_t i = 0; i < points->count; i++) {
		const struct point *point = &points->items[i];
		if (point_access(point) <= given || !is_inside(point, path) ||
			(done && path_is_below(point->path, done)))
			continue;
		int r = grant_tree(planning, points, point->path, given);
		if (r < 0)
			return r;
		done = point->path;
	}
	return 0;
}

/* Grants path and what is below as the points say; inherited is what a grant above gives. */
static int grant_tree(
	struct planning *planning, const struct points *points, const char *path, int inherited)
{
	int least = least_access(points, path);
	if (least > inherited) {
		int r = grant(planning->plan, path, least);
		if (r < 0)
			return r;
		inherited = least;
	}
	const struct found_listing *listing = listing_of(planning->findings, path);
	return listing ? grant_entries(planning, points, listing, inherited)
		       : grant_points(planning, points, path, inherited);
}

int plan_landlock_grants(struct planning *planning)
{
	struct plan *plan = planning->plan;
	struct points points;
	int r = points_collect(planning, &points);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < points.count; i++)
		if (points.items[i].kind == POINT_WRITE)
			r = strv_add(&plan->write_roots, points.items[i].path);
	if (r == 0)
		r = plan_grant(plan, "/", PLAN_RIGHTS_LIST);
	if (r == 0)
		r = grant_tree(planning, &points, "/", 0);
	/* Not /dev/pts: the user's other terminals are there. The box's own is granted at
	 * launch. */
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		"/dev/urandom", "/dev/tty", "/dev/ptmx"};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(devices); i++)
		r = plan_grant(plan, devices[i], PLAN_RIGHTS_DEVICE);
	const struct strv *named = &planning->policy->devices;
	for (size_t i = 0; r == 0 && i < named->count; i++) {
		if (!path_is_below(named->items[i], "/dev")) {
			points_release(&points);
			return error_set(planning->error, EINVAL, "plan",
				"--device %s is not below /dev", named->items[i]);
		}
		r = plan_grant(plan, named->items[i], PLAN_RIGHTS_DEVICE);
	}
	if (r == 0 && planning->findings->witness)
		r = plan_grant(plan, planning->findings->witness, PLAN_RIGHTS_READ);
	if (r == 0)
		r = plan_keep_places(planning, &points);
	points_release(&points);
	return r < 0 ? plan_out_of_memory(planning->error) : 0;
}
