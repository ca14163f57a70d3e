/* Theory of operation. Each limit is a token bucket: it holds tokens up to its depth, they come
 * back at a steady rate, and whoever needs some takes them or is told how long to wait. Nobody
 * holds a place in a queue: who waited asks again. So that a crowd of waiters does not come back
 * all at once for one token, each is told a slot of its own, a token's time after the last one's.
 *
 * What cannot be cut (a head) may take more tokens than there are: the rest is owed, and nobody
 * gets any before it has been paid. */
#include "egress/egress.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
	SECOND_US = 1000000,
	MINUTE_US = 60 * SECOND_US,
	SLOT_MS_MAX = 1000, /* nobody sleeps longer without looking again */
	/* Bytes that may go at once: a tenth of a second's, but enough for a relay to be worth a
	 * wake-up. */
	BURST_BYTES_MIN = 64 * 1024,
	/* Without a limit of the policy's: more than any program needs, and few enough for those
	 * who take the connections (the host, its router) to live with. These only ever wait. */
	CONNECTIONS_USUAL = 1000,
	CONNECTIONS_USUAL_BURST = 2000,
	OWED_MAX = 1 << 30, /* the same of what is owed */
	RATE_MAX = 1 << 30, /* tokens a period: beyond it the arithmetic below could overflow */
};

struct bucket {
	uint64_t per_period; /* 0: no limit */
	uint64_t period_us;
	uint64_t depth;
	uint64_t tokens;
	uint64_t owed;      /* not 0 only while tokens is */
	uint64_t filled_us; /* up to when tokens were added */
	uint64_t slot_us;   /* the last slot that was given to a waiter */
};

struct rate {
	struct bucket connections, requests;
	struct bucket bytes[2]; /* in, out */
	uint64_t total_bytes, used_bytes;
	bool limits_total, refuse_connections, refuse_requests;
};

static void bucket_init(
	struct bucket *bucket, uint64_t per_period, uint64_t period_us, uint64_t depth)
{
	uint64_t now = clock_now_us();
	*bucket = (struct bucket){.per_period = per_period,
		.period_us = period_us,
		.depth = depth,
		.tokens = depth,
		.filled_us = now,
		.slot_us = now};
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* Adds the tokens of the time since the last call. What is less than one stays in filled_us, so
 * that no fraction is ever lost. */
static void bucket_fill(struct bucket *bucket, uint64_t now)
{
	uint64_t elapsed = now - bucket->filled_us;
	uint64_t until_full = (bucket->depth - bucket->tokens + bucket->owed) * bucket->period_us /
				      bucket->per_period +
			      1;
	if (elapsed >= until_full) {
		bucket->tokens = bucket->depth;
		bucket->owed = 0;
		bucket->filled_us = now;
		return;
	}
	uint64_t tokens = elapsed * bucket->per_period / bucket->period_us;
	uint64_t paid = at_most(tokens, bucket->owed);
	bucket->owed -= paid;
	bucket->tokens += tokens - paid;
	bucket->filled_us += tokens * bucket->period_us / bucket->per_period;
	bucket->tokens = at_most(bucket->tokens, bucket->depth);
}

/* How long until `wanted` tokens are there, and this waiter's slot has come. At least 1 ms. */
static int bucket_wait_ms(struct bucket *bucket, uint64_t wanted, uint64_t now)
{
	uint64_t missing = wanted > bucket->tokens ? wanted - bucket->tokens + bucket->owed : 0;
	uint64_t ready = bucket->filled_us + missing * bucket->period_us / bucket->per_period;
	uint64_t slot = bucket->slot_us + wanted * bucket->period_us / bucket->per_period;
	bucket->slot_us = slot > ready ? slot : ready;
	uint64_t latest = now + (uint64_t)SLOT_MS_MAX * 1000;
	bucket->slot_us = at_most(bucket->slot_us, latest);
	uint64_t wait_us = bucket->slot_us > now ? bucket->slot_us - now : 0;
	return (int)(wait_us / 1000) + 1;
}

int rate_new(struct egress *egress, struct rate **ret, struct error *error)
{
	const struct network_limits *limits = &egress->policy.limits;
	struct rate *rate = calloc(1, sizeof(*rate));
	if (!rate)
		return error_set_errno(error, ENOMEM, "egress", "the rate limits");
	uint64_t connections = at_most(limits->connections_per_second, RATE_MAX);
	uint64_t requests = at_most(limits->requests_per_minute, RATE_MAX);
	rate->refuse_connections = connections && limits->refuse;
	if (connections)
		bucket_init(&rate->connections, connections, SECOND_US, connections);
	else
		bucket_init(
			&rate->connections, CONNECTIONS_USUAL, SECOND_US, CONNECTIONS_USUAL_BURST);
	bucket_init(&rate->requests, requests, MINUTE_US, requests);
	uint64_t bytes = at_most(limits->bytes_per_second, (uint64_t)RATE_MAX * 1024);
	uint64_t burst = bytes / 10 > BURST_BYTES_MIN ? bytes / 10 : BURST_BYTES_MIN;
	for (int i = 0; i < 2; i++)
		bucket_init(&rate->bytes[i], bytes, SECOND_US, burst);
	rate->limits_total = limits->total_bytes > 0;
	rate->total_bytes = limits->total_bytes;
	rate->refuse_requests = limits->refuse;
	*ret = rate;
	return 0;
}

void rate_free(struct rate *rate)
{
	free(rate);
}

static bool total_used_up(const struct rate *rate)
{
	return rate->limits_total && rate->used_bytes >= rate->total_bytes;
}

static int take_one(struct rate *rate, struct bucket *bucket, bool refuse)
{
	if (total_used_up(rate))
		return -EDQUOT;
	if (!bucket->per_period)
		return 0;
	uint64_t now = clock_now_us();
	bucket_fill(bucket, now);
	if (bucket->tokens) {
		bucket->tokens--;
		return 0;
	}
	return refuse ? -EDQUOT : bucket_wait_ms(bucket, 1, now);
}

int rate_connection(struct rate *rate)
{
	return take_one(rate, &rate->connections, rate->refuse_connections);
}

int rate_request(struct rate *rate)
{
	return take_one(rate, &rate->requests, rate->refuse_requests);
}

/* A stream cannot be refused in its middle without breaking what it carries: bytes always wait, but
 * for the total. */
ssize_t rate_bytes(struct rate *rate, int direction, size_t want, int *ret_wait_ms)
{
	struct bucket *bucket = &rate->bytes[direction];
	if (total_used_up(rate))
		return -EDQUOT;
	if (rate->limits_total)
		want = at_most(want, rate->total_bytes - rate->used_bytes);
	if (!bucket->per_period)
		return (ssize_t)want;
	uint64_t now = clock_now_us();
	bucket_fill(bucket, now);
	if (bucket->tokens)
		return (ssize_t)at_most(want, bucket->tokens);
	/* A wait for single bytes would end in a wake-up for each. */
	*ret_wait_ms = bucket_wait_ms(bucket, at_most(want, bucket->depth / 4), now);
	return 0;
}

void rate_used(struct rate *rate, int direction, size_t bytes)
{
	struct bucket *bucket = &rate->bytes[direction];
	rate->used_bytes += bytes;
	if (!bucket->per_period)
		return;
	uint64_t taken = at_most(bytes, bucket->tokens);
	bucket->tokens -= taken;
	bucket->owed = at_most(bucket->owed + bytes - taken, OWED_MAX);
}
