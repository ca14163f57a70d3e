#include "egress/slow.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <search.h>
#include <string.h>

enum {
	SEEN_MAX = 4096, /* names that are not new; the oldest becomes new again */
	SECOND_US = 1000000,
	NAME_US = 60 * SECOND_US / SLOW_NAMES_PER_MINUTE,
	NAMES_BURST_US = 60 * SECOND_US,
	LABEL_BYTE_US = SECOND_US / SLOW_LABEL_BYTES_PER_SECOND,
	LABELS_BURST_US = SECOND_US,
};

struct seen {
	char name[NETWORK_NAME_BYTES]; /* first: searched for by it */
	TAILQ_ENTRY(seen) link;
};

/* Two buckets, each as the time at which it will be full again (the generic cell rate algorithm):
 * what is taken moves that time on; what would move it too far has to wait. */
struct slow {
	struct egress *egress;
	uint64_t names_full_us, labels_full_us;
	void *tree;                        /* of struct seen (tsearch) */
	TAILQ_HEAD(seen_list, seen) order; /* the oldest first */
	size_t seen_count;

	struct event *timer; /* pending while something is to be logged */
	uint32_t slowed_count;
	char slowed_name[NETWORK_NAME_BYTES]; /* the last one */
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void report(struct slow *slow)
{
	if (slow->slowed_count == 0)
		return;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct egress_record record = {
		.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
		.verdict = NETWORK_MONITOR,
		.how = EGRESS_HOW_RESOLVER,
		.count = slow->slowed_count,
	};
	memcpy(record.name, slow->slowed_name, sizeof(slow->slowed_name));
	snprintf(record.reason, sizeof(record.reason),
		"slowed: below a wildcard, more than %d new names a minute or %d bytes of labels a "
		"second",
		SLOW_NAMES_PER_MINUTE, SLOW_LABEL_BYTES_PER_SECOND);
	slow->slowed_count = 0;
	egress_log(slow->egress, &record);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	report(context);
}

int slow_new(struct egress *egress, struct slow **ret)
{
	struct slow *slow = calloc(1, sizeof(*slow));
	if (slow)
		slow->timer = evtimer_new(egress->base, on_timer, slow);
	if (!slow || !slow->timer) {
		free(slow);
		return -ENOMEM;
	}
	slow->egress = egress;
	TAILQ_INIT(&slow->order);
	*ret = slow;
	return 0;
}

static void drop_oldest(struct slow *slow)
{
	struct seen *seen = TAILQ_FIRST(&slow->order);
	TAILQ_REMOVE(&slow->order, seen, link);
	tdelete(seen, &slow->tree, compare);
	slow->seen_count--;
	free(seen);
}

void slow_free(struct slow *slow)
{
	if (!slow)
		return;
	report(slow);
	while (slow->seen_count > 0)
		drop_oldest(slow);
	event_free(slow->timer);
	free(slow);
}

/* Without memory a name stays a new one: it is metered once more. */
static void remember(struct slow *slow, const char *name)
{
	if (slow->seen_count >= SEEN_MAX)
		drop_oldest(slow);
	struct seen *seen = calloc(1, sizeof(*seen));
	if (!seen)
		return;
	snprintf(seen->name, sizeof(seen->name), "%s", name);
	if (!tsearch(seen, &slow->tree, compare)) {
		free(seen);
		return;
	}
	TAILQ_INSERT_TAIL(&slow->order, seen, link);
	slow->seen_count++;
}

/* The bytes of a name that its asker was free to choose. */
static size_t count_label_bytes(const struct network_policy *policy, const char *name)
{
	struct network_decision decision;
	network_decide_name(policy, name, 0, &decision);
	size_t length = strlen(name);
	size_t fixed = decision.rule && !decision.rule->by_address && decision.rule->name[0]
			       ? strlen(decision.rule->name) + 1
			       : 0;
	return fixed < length ? length - fixed : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How long cost_us has to wait for room in a bucket. What costs nothing need not. */
static uint64_t bucket_wait_us(
	uint64_t full_us, uint64_t now_us, uint64_t cost_us, uint64_t room_us)
{
	if (cost_us == 0)
		return 0;
	uint64_t end_us = later(full_us, now_us) + cost_us;
	return end_us > now_us + room_us ? end_us - now_us - room_us : 0;
}

int slow_wait_ms(struct slow *slow, const char *name)
{
	const struct network_policy *policy = &slow->egress->policy;
	/* Where every address may be reached, a name says nothing that a packet could not. */
	if (policy->mode == NETWORK_ON || !network_is_below_wildcard(policy, name))
		return 0;
	uint64_t now_us = clock_now_us();
	bool is_new = !tfind(name, &slow->tree, compare);
	uint64_t name_us = is_new ? NAME_US : 0;
	uint64_t labels_us = count_label_bytes(policy, name) * LABEL_BYTE_US;
	uint64_t wait_us = bucket_wait_us(slow->names_full_us, now_us, name_us, NAMES_BURST_US);
	wait_us = later(
		wait_us, bucket_wait_us(slow->labels_full_us, now_us, labels_us, LABELS_BURST_US));
	if (wait_us > (uint64_t)SLOW_WAIT_MS_MAX * 1000)
		return -EDQUOT;
	slow->names_full_us = later(slow->names_full_us, now_us) + name_us;
	slow->labels_full_us = later(slow->labels_full_us, now_us) + labels_us;
	if (is_new)
		remember(slow, name);
	if (wait_us == 0)
		return 0;
	slow->slowed_count++;
	snprintf(slow->slowed_name, sizeof(slow->slowed_name), "%s", name);
	if (!event_pending(slow->timer, EV_TIMEOUT, NULL))
		event_add(slow->timer, &(struct timeval){.tv_sec = 1});
	return (int)((wait_us + 999) / 1000);
}
