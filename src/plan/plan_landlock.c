/* Theory of operation. Landlock only allows, and a grant on a directory reaches everything below:
 * to leave one entry out, its siblings are granted one by one, on every level down to it. What is
 * created later beside a carve-out lies under no grant: in the landlock tier the broker makes such
 * calls itself (see run/broker.h). Listing is granted everywhere: names can be seen, contents not. */
#include "plan/plan_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <string.h>
#include <sys/stat.h>

static enum grant_rights rights_of(enum point_kind kind)
{
	return kind == POINT_WRITE || kind == POINT_PRIVATE ? GRANT_WRITE : GRANT_READ;
}

static bool granted(enum point_kind kind)
{
	return kind != POINT_HIDE && kind != POINT_EMPTY;
}

static const struct found_listing *listing_of(const struct findings *findings, const char *path)
{
	for (size_t i = 0; i < findings->listings_count; i++)
		if (strcmp(findings->listings[i].path, path) == 0)
			return &findings->listings[i];
	return NULL;
}

/* Grants path as its covering point says: whole where nothing below differs (it was not listed),
 * else entry by entry. */
static int grant_tree(struct planning *planning, const struct points *points, const char *path)
{
	const struct point *covering = points_covering(points, path);
	enum point_kind kind = covering ? covering->kind : POINT_READ;
	const struct found_listing *listing = listing_of(planning->findings, path);
	if (!listing) {
		if (!granted(kind))
			return 0;
		return plan_grant(planning->plan, path, rights_of(kind));
	}
	for (size_t i = 0; i < listing->entries.count; i++) {
		cleanup_free char *child = path_join(path, listing->entries.items[i]);
		int r = child ? grant_tree(planning, points, child) : -ENOMEM;
		if (r < 0)
			return r;
	}
	return 0;
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
		r = plan_grant(plan, "/", GRANT_LIST);
	if (r == 0)
		r = grant_tree(planning, &points, "/");
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full",
		"/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(devices); i++)
		r = plan_grant(plan, devices[i], GRANT_DEVICE);
	points_release(&points);
	return r < 0 ? plan_out_of_memory(planning->error) : 0;
}
