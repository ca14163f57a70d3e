/* Theory of operation. Every rule about a path becomes a point: "from here down, this access". The
 * points are sorted so that a directory stands right before all that lies below it; then one pass
 * with a stack yields, for each point, the one above it, and a mount or grant is needed exactly
 * where the two differ. At the same path the strongest origin wins, and within it deny before
 * read-only before write. */
#include "plan/plan_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <string.h>
#include <sys/stat.h>

static int points_add(struct points *points, struct point point)
{
	if (points->count == points->capacity) {
		size_t capacity = points->capacity ? points->capacity * 2 : 64;
		struct point *items = reallocarray(points->items, capacity, sizeof(*items));
		if (!items)
			return -ENOMEM;
		points->items = items;
		points->capacity = capacity;
	}
	points->items[points->count++] = point;
	return 0;
}

/* Component by component, so that "/a/b" sorts right behind "/a" and before "/a.b". */
static int compare_paths(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	int left = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0;
	int right = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
	return left - right;
}

/* How strongly a kind denies, for ties. */
static int strength(enum point_kind kind)
{
	static const int strengths[] = {
		[POINT_HIDE] = 4,
		[POINT_READ] = 3,
		[POINT_EMPTY] = 2,
		[POINT_WRITE] = 1,
		[POINT_PRIVATE] = 0,
		[POINT_PIN] = -1,
	};
	return strengths[kind];
}

static int compare_points(const void *left, const void *right)
{
	const struct point *a = left, *b = right;
	int order = compare_paths(a->path, b->path);
	if (order != 0)
		return order;
	/* What a person hides is hidden, even where a promise would show it read-only. */
	bool a_hides = a->kind == POINT_HIDE && a->origin >= ORIGIN_POLICY;
	bool b_hides = b->kind == POINT_HIDE && b->origin >= ORIGIN_POLICY;
	if (a_hides != b_hides)
		return (int)b_hides - (int)a_hides;
	if (a->origin != b->origin)
		return b->origin - a->origin;
	return strength(b->kind) - strength(a->kind);
}

static enum point_kind kind_of_access(enum path_access access)
{
	switch (access) {
	case ACCESS_WRITE:
		return POINT_WRITE;
	case ACCESS_DENY_READ:
		return POINT_HIDE;
	case ACCESS_READ_ONLY:
	case ACCESS_ALLOW_READ:
	case ACCESS_CONNECT:
		break;
	}
	return POINT_READ;
}

/* Landlock tier: a directory in which a protected name could appear is opened in any case, as if it
 * had a read-only .git. Then the broker makes what is made in it, and no race with a program that
 * swaps a name after it was looked at can bring one there. */
static int collect_watch(struct points *points, const struct scan_finding *item)
{
	char *path = path_join(item->path, ".git");
	if (!path)
		return -errno;
	int r = strv_add_owned(&points->made, path);
	return r < 0 ? r
		     : points_add(points, (struct point){.path = path,
						  .kind = POINT_READ,
						  .origin = ORIGIN_PROMISE,
						  .mode = S_IFDIR,
						  .why = "protected name"});
}

static int collect_scan(struct planning *planning, struct points *points)
{
	bool hide = plan_hides_secrets(planning->policy, &planning->plan->network);
	bool landlock = planning->plan->tier == TIER_LANDLOCK;
	const struct scan_result *scan = &planning->findings->scan;
	for (size_t i = 0; i < scan->count; i++) {
		const struct scan_finding *item = &scan->items[i];
		struct point point = {.path = item->path,
			.id = item->id,
			.mode = item->mode,
			.why = item->rule,
			.restricts = true};
		if (item->kind == SCAN_PROTECTED) {
			point.kind = POINT_READ;
			point.origin = ORIGIN_PROMISE;
		} else if (item->kind == SCAN_SECRET) {
			point.kind = hide ? POINT_HIDE : POINT_READ;
			point.origin = ORIGIN_DEFAULT;
		} else if (landlock && item->kind == SCAN_WATCH) {
			if (collect_watch(points, item) < 0)
				return plan_out_of_memory(planning->error);
			continue;
		} else if (landlock && item->kind == SCAN_MISSING) {
			/* So that the directory it would be in is opened, too. */
			point.kind = POINT_READ;
			point.origin = ORIGIN_PROMISE;
			point.mode = S_IFDIR;
			point.id = (struct file_id){0};
		} else if (planning->plan->tier == TIER_CONTAINER &&
			   (item->kind == SCAN_WATCH || item->kind == SCAN_MISSING)) {
			point.kind = POINT_PIN;
			point.mode = item->kind == SCAN_WATCH ? S_IFDIR : 0;
		} else {
			continue;
		}
		/* A symlink cannot be a mount point; what it leads to has a finding of its own. */
		if ((point.mode & S_IFMT) == S_IFLNK)
			continue;
		if (points_add(points, point) < 0)
			return plan_out_of_memory(planning->error);
	}
	return 0;
}

/* Without mounts there is no private /tmp, and /sys stays as it is; of /dev, single devices are
 * granted. What was only masked is hidden: sockets, the files of the user's other programs. */
static int collect_masks_of_host(struct planning *planning, struct points *points)
{
	const struct findings *findings = planning->findings;
	int r = points_add(points,
		(struct point){
			.path = "/dev", .kind = POINT_HIDE, .mode = S_IFDIR, .why = "devices"});
	for (size_t i = 0; r == 0 && i < findings->masks.count; i++) {
		const char *path = findings->masks.items[i];
		bool shared = strstr(path, "tmp") && planning->policy->share_tmp;
		if (strcmp(path, "/sys") == 0)
			continue;
		r = points_add(points, (struct point){.path = path,
					       .kind = shared ? POINT_WRITE : POINT_EMPTY,
					       .origin = shared ? ORIGIN_POLICY : ORIGIN_DEFAULT,
					       .mode = S_IFDIR,
					       .why = shared ? "--share-tmp" : "private"});
	}
	return r < 0 ? plan_out_of_memory(planning->error) : 0;
}

static int collect_masks(struct planning *planning, struct points *points)
{
	const struct findings *findings = planning->findings;
	int r = 0;
	for (size_t i = 0; r == 0 && i < findings->masks.count; i++) {
		const char *path = findings->masks.items[i];
		bool temporary = strstr(path, "tmp") != NULL;
		if (temporary && planning->policy->share_tmp)
			r = points_add(points, (struct point){.path = path,
						       .kind = POINT_WRITE,
						       .origin = ORIGIN_POLICY,
						       .mode = S_IFDIR,
						       .why = "--share-tmp"});
		else
			r = points_add(
				points, (struct point){.path = path,
						.kind = temporary ? POINT_PRIVATE : POINT_EMPTY,
						.mode = S_IFDIR,
						.why = "private"});
	}
	for (size_t i = 0; r == 0 && i < findings->sys_shown.count; i++)
		r = points_add(points, (struct point){.path = findings->sys_shown.items[i],
					       .kind = POINT_READ,
					       .mode = S_IFDIR,
					       .why = "harmless part of /sys"});
	return r < 0 ? plan_out_of_memory(planning->error) : 0;
}

static int collect(struct planning *planning, struct points *points)
{
	const struct findings *findings = planning->findings;
	const struct plan *plan = planning->plan;
	int r = 0;
	if (plan->mode == MODE_WORKSPACE_WRITE && findings->workspace.path)
		r = points_add(points, (struct point){.path = findings->workspace.path,
					       .kind = POINT_WRITE,
					       .origin = ORIGIN_POLICY,
					       .id = findings->workspace.id,
					       .mode = S_IFDIR,
					       .why = "workspace"});
	else if (planning->profile->view == VIEW_HOST)
		/* Read-only, but in sight even below /tmp or a hidden home. */
		r = points_add(points, (struct point){.path = findings->directory.path,
					       .kind = POINT_READ,
					       .origin = ORIGIN_POLICY,
					       .id = findings->directory.id,
					       .mode = S_IFDIR,
					       .why = "working directory"});
	if (r == 0 && findings->cache)
		r = points_add(points, (struct point){.path = findings->cache,
					       .kind = POINT_WRITE,
					       .origin = ORIGIN_POLICY,
					       .id = findings->cache_id,
					       .mode = S_IFDIR,
					       .why = "tool caches"});
	for (size_t i = 0; r == 0 && i < findings->paths.count; i++) {
		const struct found_path *path = &findings->paths.items[i];
		struct point point = {.path = path->path,
			.kind = kind_of_access(path->access),
			.origin = path->origin,
			.id = path->id,
			.mode = path->mode,
			.why = path->why,
			.entry = path->entry,
			.restricts = path->access == ACCESS_READ_ONLY};
		if (planning->profile->hide_credentials && path->origin == ORIGIN_DEFAULT &&
			point.kind == POINT_HIDE)
			point.origin = ORIGIN_PROMISE;
		r = points_add(points, point);
	}
	if (r < 0)
		return plan_out_of_memory(planning->error);
	r = collect_scan(planning, points);
	if (r == 0 && plan->tier == TIER_LANDLOCK)
		r = collect_masks_of_host(planning, points);
	else if (r == 0 && planning->profile->view == VIEW_HOST)
		r = collect_masks(planning, points);
	return r;
}

/* Whether a point that only restricts would change nothing but show what is hidden. */
static bool is_idle(const struct points *points, size_t kept, const struct point *point)
{
	if (!point->restricts || point->kind == POINT_PIN)
		return false;
	for (size_t i = kept; i-- > 0;) {
		const struct point *above = &points->items[i];
		if (above->kind == POINT_PIN || !path_is_below(point->path, above->path))
			continue;
		return above->kind != POINT_WRITE &&
		       (above->kind != POINT_READ || point->kind == POINT_READ);
	}
	return point->kind == POINT_READ;
}

/* A further point of the same path, weaker by its origin. What keeps a path read-only does not show
 * it, though it be a person's word and the hiding a default: only --allow-read does. */
static void merge_equal(struct point *kept, const struct point *point)
{
	if (!kept->restricts || kept->kind != POINT_READ)
		return;
	if (point->kind == POINT_HIDE && kept->origin == ORIGIN_POLICY)
		*kept = *point;
	else if (point->kind == POINT_READ && !point->restricts)
		kept->restricts = false;
}

/* After sorting: one point a path, and no person's write below a promise. */
static int merge(struct planning *planning, struct points *points)
{
	size_t kept = 0;
	for (size_t i = 0; i < points->count; i++) {
		struct point *point = &points->items[i];
		for (; i + 1 < points->count && strcmp(points->items[i + 1].path, point->path) == 0;
			i++)
			merge_equal(point, &points->items[i + 1]);
		if (is_idle(points, kept, point))
			continue;
		for (size_t above = kept; point->kind == POINT_WRITE && above-- > 0;) {
			const struct point *other = &points->items[above];
			if (other->origin != ORIGIN_PROMISE ||
				!path_is_below(point->path, other->path))
				continue;
			if (strcmp(point->why, "tool caches") == 0)
				break;
			error_set(planning->error, EPERM, "plan",
				"--write %s lies inside %s, which is protected (%s)", point->path,
				other->path, other->why);
			return error_hint(planning->error,
				"protected places stay read-only; for git use --git commit");
		}
		points->items[kept++] = *point;
	}
	points->count = kept;
	return 0;
}

int points_collect(struct planning *planning, struct points *ret)
{
	struct points points = {0};
	int r = collect(planning, &points);
	if (r == 0) {
		qsort(points.items, points.count, sizeof(*points.items), compare_points);
		r = merge(planning, &points);
	}
	if (r < 0) {
		points_release(&points);
		return r;
	}
	*ret = points;
	return 0;
}

void points_release(struct points *points)
{
	free(points->items);
	strv_release(&points->made);
	*points = (struct points){0};
}

const struct point *points_covering(const struct points *points, const char *path)
{
	const struct point *best = NULL;
	for (size_t i = 0; i < points->count; i++)
		if (path_is_below(path, points->items[i].path))
			best = &points->items[i]; /* later ones below the same path are longer */
	return best;
}
