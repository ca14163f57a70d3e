/* Theory of operation. A grant of Landlock reaches everything below, and what one grant gives no
 * other takes away. So a directory cannot be granted as a whole when a point below it allows less:
 * its entries are granted one by one (see plan_landlock.c), and this is where they are read. Only
 * the directories right above such points are listed, on every level up to where no more is allowed
 * than at the point itself.
 *
 * Symlinks are left out: the grant would be for what they lead to. A directory that cannot be read
 * gives no entries, but what leads to a point below is one in any case. */
#include "plan/listings.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "plan/plan_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct lister {
	struct findings *findings;
	const struct points *points;
	size_t entries_count; /* of all listings */
	bool truncated;
};

static bool is_listed(const struct findings *findings, const char *path)
{
	for (size_t i = 0; i < findings->listings_count; i++)
		if (strcmp(findings->listings[i].path, path) == 0)
			return true;
	return false;
}

static bool is_link(DIR *dir, const struct dirent *entry)
{
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_LNK;
	struct stat st;
	return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	       S_ISLNK(st.st_mode);
}

static int read_entries(struct lister *lister, struct found_listing *listing)
{
	cleanup_closedir DIR *dir = opendir(listing->path);
	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			is_link(dir, entry))
			continue;
		if (lister->entries_count++ >= MAX_SCAN_ENTRIES) {
			lister->truncated = true;
			return 0;
		}
		int r = strv_add(&listing->entries, entry->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Adds the entries that lead to points, whether the directory could be read or not. */
static int add_ways(const struct lister *lister, struct found_listing *listing)
{
	size_t length = strcmp(listing->path, "/") == 0 ? 0 : strlen(listing->path);
	for (size_t i = 0; i < lister->points->count; i++) {
		const char *path = lister->points->items[i].path;
		if (!path_is_below(path, listing->path) || strcmp(path, listing->path) == 0)
			continue;
		const char *start = path + length + 1;
		cleanup_free char *name = strndup(start, strcspn(start, "/"));
		if (!name)
			return -ENOMEM;
		if (strv_contains(&listing->entries, name))
			continue;
		int r = strv_add_owned(&listing->entries, steal_pointer(&name));
		if (r < 0)
			return r;
	}
	return 0;
}

static int list(struct lister *lister, const char *path)
{
	struct findings *findings = lister->findings;
	struct found_listing *listings =
		reallocarray(findings->listings, findings->listings_count + 1, sizeof(*listings));
	if (!listings)
		return -ENOMEM;
	findings->listings = listings;
	struct found_listing *listing = &listings[findings->listings_count];
	*listing = (struct found_listing){.path = strdup(path)};
	if (!listing->path)
		return -ENOMEM;
	findings->listings_count++;
	int r = read_entries(lister, listing);
	return r < 0 ? r : add_ways(lister, listing);
}

/* Lists every directory above point that allows more than point does. */
static int list_above(struct lister *lister, const struct point *point)
{
	cleanup_free char *path = strdup(point->path);
	while (path && strcmp(path, "/") != 0) {
		char *parent = path_parent(path);
		free(path);
		path = parent;
		if (!path)
			break;
		if (point_access(points_covering(lister->points, path)) <= point_access(point) ||
			is_listed(lister->findings, path))
			continue;
		int r = list(lister, path);
		if (r < 0)
			return r;
	}
	return path ? 0 : -ENOMEM;
}

int listings_find(const struct policy *policy, const struct host_facts *facts,
	enum policy_mode mode, struct findings *findings, struct error *error)
{
	if (policy->isolation != ISOLATION_LANDLOCK && facts->userns)
		return 0;
	/* As much of a plan as the points depend on; with a network, secrets are among them. */
	struct plan plan = {.tier = TIER_LANDLOCK, .mode = mode};
	struct planning planning = {.policy = policy,
		.profile = policy->profile,
		.facts = facts,
		.findings = findings,
		.plan = &plan,
		.error = error};
	struct points points;
	int r = policy_network(policy, &plan.network, error);
	if (r == 0)
		r = points_collect(&planning, &points);
	network_policy_release(&plan.network);
	if (r < 0)
		return r;
	struct lister lister = {.findings = findings, .points = &points};
	for (size_t i = 0; r == 0 && i < points.count; i++)
		r = list_above(&lister, &points.items[i]);
	points_release(&points);
	if (r == 0 && lister.truncated)
		r = strv_add(&findings->notes,
			"landlock: the directories around what is protected hold too many entries: "
			"some of them cannot be used in the box");
	return r < 0 ? error_set_errno(error, -r, "resolve", "what lies beside protected paths")
		     : 0;
}

void listings_release(struct findings *findings)
{
	for (size_t i = 0; i < findings->listings_count; i++) {
		free(findings->listings[i].path);
		strv_release(&findings->listings[i].entries);
	}
	free(findings->listings);
	findings->listings = NULL;
	findings->listings_count = 0;
}
