/* Theory of operation. A hint is believed in so far as the plan would refuse that call on that
 * path in that way: then whoever lied has told what would have happened. Where a path leads is
 * the program's word, too; without it the path is taken as it is written. In the landlock tier
 * the broker has recorded most refusals itself, under the same pid and path: those are not told
 * twice. */
#include "run/hearsay.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "witness/judge.h"
#include "witness/ring.h"

#include <string.h>

struct collection {
	const struct plan *plan;
	struct denials *denials;
	size_t recorded; /* before */
};

static bool is_recorded(
	const struct collection *collection, const struct hint *hint, const char *resolved)
{
	for (size_t i = 0; i < collection->recorded; i++) {
		struct denial denial;
		if (!denials_get(collection->denials, i, &denial) || denial.pid != hint->pid ||
			denial.errno_value != hint->errno_value)
			continue;
		if (strcmp(denial.target, hint->path) == 0 ||
			strcmp(denial.target, resolved) == 0 ||
			strcmp(denial.resolved, resolved) == 0)
			return true;
	}
	return false;
}

/* Only where there is no network at all: else egress has the names. */
static void add_name(const struct collection *collection, const struct hint *hint)
{
	struct denial denial = {.pid = hint->pid, .time_ms = hint->time_ms, .count = hint->count};
	if (network_is_open(&collection->plan->network) || collection->plan->tier == TIER_NONE ||
		strcmp(hint->path, "localhost") == 0 || !hint->path[0])
		return;
	snprintf(denial.target, sizeof(denial.target), "%s%s%s", hint->path,
		hint->base[0] ? ":" : "", hint->base);
	snprintf(denial.call, sizeof(denial.call), "%s", hint->call_name);
	snprintf(denial.program, sizeof(denial.program), "%s", hint->program);
	snprintf(denial.promise, sizeof(denial.promise), "P3");
	snprintf(denial.reason, sizeof(denial.reason), "the network is off");
	denials_add_whole(collection->denials, &denial);
}

static void add_hint(const struct hint *hint, void *context)
{
	const struct collection *collection = context;
	if (hint->call == WITNESS_CALL_resolve) {
		add_name(collection, hint);
		return;
	}
	cleanup_free char *resolved = NULL;
	if (hint->resolved[0] == '/')
		resolved = path_absolute("/", hint->resolved);
	else if (hint->path[0] == '/' || hint->base[0] == '/')
		resolved = path_absolute(hint->base[0] == '/' ? hint->base : "/", hint->path);
	if (!resolved)
		return;
	struct attempt attempt = {.path = resolved,
		.wants = hint->wants,
		.errno_value = hint->errno_value,
		.by_mode = hint->by_mode};
	struct judgement judgement;
	if (!judge_path(collection->plan, &attempt, &judgement) ||
		is_recorded(collection, hint, resolved))
		return;
	struct denial denial = {.pid = hint->pid,
		.errno_value = hint->errno_value,
		.time_ms = hint->time_ms,
		.count = hint->count,
		.by_mode = hint->by_mode && !collection->plan->facts.root};
	snprintf(denial.call, sizeof(denial.call), "%s", hint->call_name);
	snprintf(denial.program, sizeof(denial.program), "%s", hint->program);
	snprintf(denial.promise, sizeof(denial.promise), "%s", judgement.promise);
	snprintf(denial.reason, sizeof(denial.reason), "%s", judgement.reason);
	/* A call on a descriptor names no path. */
	snprintf(denial.target, sizeof(denial.target), "%s", hint->path[0] ? hint->path : resolved);
	snprintf(denial.resolved, sizeof(denial.resolved), "%s", resolved);
	denials_add_whole(collection->denials, &denial);
}

void hearsay_collect(const struct plan *plan, int ring, struct denials *denials)
{
	struct collection collection = {
		.plan = plan, .denials = denials, .recorded = denials_count(denials)};
	uint32_t lost = ring_each(ring, add_hint, &collection);
	denials_lose(denials, lost);
}
