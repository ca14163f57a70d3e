/* Theory of operation. Some names are protected wherever they are; other places because a
 * repository on the host says so (its real git directory, its hooks directory, what its config
 * includes), or as coffer's own. The box had walls around those that it could reach. But a layer
 * that is a copy lies elsewhere than what is named by an absolute path, a system layer has no such
 * walls, and the host may have come to name others since: so they are looked for again, where the
 * changes are to go. */
#include "layer/apply_internal.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "plan/own_files.h"

#include <string.h>

int apply_find_named(struct apply *apply)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < apply->journal.roots_count; i++) {
		const char *base = apply->journal.roots[i].base;
		r = scan_root(base, &apply->named, apply->error);
		if (r == 0)
			r = own_files_scan(getenv("HOME"), base, &apply->named, apply->error);
	}
	return r;
}

/* The place is in the item, or the item puts what is no directory on the way to it. */
static bool concerns(const struct apply_item *item, const char *path, const char *place)
{
	bool way = item->action == ACTION_REMOVE || S_ISDIR(item->after.st.st_mode);
	return path_is_below(path, place) || (!way && path_is_below(place, path));
}

int apply_is_named(const struct apply *apply, const struct apply_item *item, const char **ret)
{
	const char *base = apply->journal.roots[item->root].base;
	cleanup_free char *path = *item->path ? path_join(base, item->path) : strdup(base);
	if (!path)
		return -ENOMEM;
	for (size_t i = 0; i < apply->named.count; i++) {
		const struct scan_finding *finding = &apply->named.items[i];
		if (finding->kind == SCAN_WATCH || finding->kind == SCAN_SECRET ||
			!concerns(item, path, finding->path))
			continue;
		*ret = finding->rule ? finding->rule : ".git";
		return 1;
	}
	return 0;
}
