/* Theory of operation. The box's kernel sees addresses, not names: so names with the same ports
 * share a pool of stand-in addresses, and what is let through to egress is a pool and its ports.
 *
 * Which port sets there are: what a name may do depends on whether a rule has that very name, and
 * else on the nearest pattern above it. Every rule's name, one name right below each pattern's, and
 * one below none stand for all the names there are. */
#include "policy/network_internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

/* No name has such a label, so no rule is about it. */
#define SOMEBODY "\1"

static bool same_ports(const struct port_set *a, const struct port_set *b)
{
	return a->count == b->count &&
	       memcmp(a->ranges, b->ranges, a->count * sizeof(*a->ranges)) == 0;
}

static struct network_pool pool_at(size_t slot, const struct port_set *ports)
{
	uint32_t v4 = (198U << 24 | 18U << 16) +
		      ((uint32_t)slot << (32 - NETWORK_POOL_V4_BITS)) / NETWORK_POOLS_MAX;
	return (struct network_pool){
		.ports = *ports,
		.v4 = {{{[10] = 0xff,
			[11] = 0xff,
			[12] = (uint8_t)(v4 >> 24),
			[13] = (uint8_t)(v4 >> 16),
			[14] = (uint8_t)(v4 >> 8),
			[15] = (uint8_t)v4}}},
		.v4_bits = (unsigned)__builtin_ctz(
			(1U << (32 - NETWORK_POOL_V4_BITS)) / NETWORK_POOLS_MAX),
		.v6 = {{{0x20, 0x01, 0x00, 0x02, [7] = (uint8_t)slot}}},
	};
}

struct pools {
	struct network_pool *items;
	size_t count;
};

static int find_pool(const struct network_pool *pools, size_t count, const struct port_set *ports)
{
	for (size_t i = 0; i < count; i++)
		if (same_ports(&pools[i].ports, ports))
			return (int)i;
	return -ENOENT;
}

/* Makes sure that there is a pool for what is open on this name. */
static int add_pool(struct pools *pools, struct name_rules *found, bool ask)
{
	struct port_set ports;
	network_find_rules(found);
	int r = network_open_ports(found, ask, &ports);
	if (r < 0)
		return r;
	if (ports.count == 0 || find_pool(pools->items, pools->count, &ports) >= 0) {
		free(ports.ranges);
		return 0;
	}
	/* Slot 0 is coffer's own. */
	if (pools->count + 1 >= NETWORK_POOLS_MAX)
		r = -E2BIG;
	else if (!NETWORK_GROW(pools->items, pools->count))
		r = -ENOMEM;
	if (r < 0) {
		free(ports.ranges);
		return r;
	}
	pools->items[pools->count] = pool_at(pools->count + 1, &ports);
	pools->count++;
	return 0;
}

static int add_pools(struct pools *pools, const struct network_policy *policy, bool ask)
{
	cleanup_free const struct network_rule **room =
		calloc(policy->rules_count + 1, sizeof(*room));
	if (!room)
		return -ENOMEM;
	struct name_rules found = {.policy = policy, .rules = room, .name = SOMEBODY};
	int r = add_pool(pools, &found, ask);
	for (size_t i = 0; r == 0 && i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (rule->by_address || rule->match == MATCH_ANY)
			continue;
		found.name = rule->name;
		r = add_pool(pools, &found, ask);
		if (r < 0 || rule->match == MATCH_EXACT)
			continue;
		char below[NETWORK_NAME_BYTES + 2];
		snprintf(below, sizeof(below), SOMEBODY ".%s", rule->name);
		found.name = below;
		r = add_pool(pools, &found, ask);
	}
	return r;
}

int network_pools(const struct network_policy *policy, bool ask, struct network_pool **ret,
	size_t *ret_count, struct error *error)
{
	struct pools pools = {0};
	int r = add_pools(&pools, policy, ask);
	if (r < 0) {
		network_pools_free(pools.items, pools.count);
		if (r == -ENOMEM)
			return error_set_errno(error, ENOMEM, "policy", "network pools");
		error_set(error, E2BIG, "policy",
			"the network rules have more than %d different sets of ports",
			NETWORK_POOLS_MAX - 1);
		return error_hint(error, "give names the same ports where they may have them");
	}
	*ret = pools.items;
	*ret_count = pools.count;
	return 0;
}

void network_pools_free(struct network_pool *pools, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(pools[i].ports.ranges);
	free(pools);
}

int network_pool_of(const struct network_policy *policy, bool ask, const struct network_pool *pools,
	size_t count, const char *name)
{
	cleanup_free const struct network_rule **room =
		calloc(policy->rules_count + 1, sizeof(*room));
	if (!room)
		return -ENOMEM;
	struct name_rules found = {.policy = policy, .rules = room, .name = name};
	network_find_rules(&found);
	struct port_set ports;
	int r = network_open_ports(&found, ask, &ports);
	if (r < 0)
		return r;
	r = ports.count > 0 ? find_pool(pools, count, &ports) : -ENOENT;
	free(ports.ranges);
	return r;
}

/* ---- literal addresses ---- */

typedef unsigned __int128 address_value;

struct span {
	address_value first, last;
};

struct spans {
	struct span *items;
	size_t count;
};

static address_value value_of(const struct in6_addr *address)
{
	address_value value = 0;
	for (size_t i = 0; i < 16; i++)
		value = value << 8 | address->s6_addr[i];
	return value;
}

static struct in6_addr address_of(address_value value)
{
	struct in6_addr address;
	for (size_t i = 16; i-- > 0; value >>= 8)
		address.s6_addr[i] = (uint8_t)value;
	return address;
}

static struct span span_of(const struct address_block *block)
{
	address_value first = value_of(&block->address);
	unsigned host_bits = 128 - block->prefix_bits;
	address_value rest =
		host_bits == 128 ? ~(address_value)0 : ((address_value)1 << host_bits) - 1;
	return (struct span){first, first | rest};
}

static int add_span(struct spans *spans, struct span span)
{
	if (!NETWORK_GROW(spans->items, spans->count))
		return -ENOMEM;
	spans->items[spans->count++] = span;
	return 0;
}

static int compare_spans(const void *a, const void *b)
{
	const struct span *first = a, *second = b;
	return first->first < second->first ? -1 : first->first > second->first;
}

/* Sorts, and joins what overlaps or touches. */
static void merge(struct spans *spans)
{
	if (spans->count == 0)
		return;
	qsort(spans->items, spans->count, sizeof(*spans->items), compare_spans);
	size_t kept = 0;
	for (size_t i = 1; i < spans->count; i++) {
		struct span *last = &spans->items[kept];
		if (last->last == ~(address_value)0)
			break;
		if (spans->items[i].first > last->last + 1)
			spans->items[++kept] = spans->items[i];
		else if (spans->items[i].last > last->last)
			last->last = spans->items[i].last;
	}
	spans->count = kept + 1;
}

/* Both merged before. */
static int subtract(const struct spans *from, const struct spans *what, struct spans *ret)
{
	for (size_t i = 0; i < from->count; i++) {
		struct span rest = from->items[i];
		bool empty = false;
		for (size_t k = 0; k < what->count && !empty; k++) {
			const struct span *hole = &what->items[k];
			if (hole->last < rest.first || hole->first > rest.last)
				continue;
			int r = hole->first > rest.first
					? add_span(ret, (struct span){rest.first, hole->first - 1})
					: 0;
			if (r < 0)
				return r;
			empty = hole->last >= rest.last;
			rest.first = empty ? rest.first : hole->last + 1;
		}
		int r = empty ? 0 : add_span(ret, rest);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool blocks_meet(const struct address_block *a, const struct address_block *b)
{
	return a->prefix_bits <= b->prefix_bits ? network_block_holds(a, &b->address)
						: network_block_holds(b, &a->address);
}

static bool lies_around(const struct span *outer, const struct span *inner)
{
	return outer->first <= inner->first && outer->last >= inner->last;
}

/* Sorts the rows of the table that a rule for the block does not name into what is refused and what
 * is taken out of that again. */
static int unnamed_rows(
	const struct address_block *block, struct spans *ret_refused, struct spans *ret_public)
{
	size_t count;
	const struct reserved_range *ranges = network_reserved_ranges(&count);
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		if (ranges[i].block.prefix_bits > block->prefix_bits &&
			blocks_meet(block, &ranges[i].block))
			r = add_span(ranges[i].name ? ret_refused : ret_public,
				span_of(&ranges[i].block));
	/* IPv4 is no part of an IPv6 block. */
	static const struct address_block v4 = {
		.address = {{{[10] = 0xff, [11] = 0xff}}}, .prefix_bits = 96};
	struct span whole = span_of(block), mapped = span_of(&v4);
	if (r == 0 && block->prefix_bits < v4.prefix_bits && lies_around(&whole, &mapped))
		r = add_span(ret_refused, mapped);
	return r;
}

/* What lies in block and is not refused for all that a rule for it says. */
static int public_part(const struct address_block *block, struct spans *ret)
{
	struct spans whole = {0}, rows = {0}, public = {0}, refused = {0};
	int r = add_span(&whole, span_of(block));
	if (r == 0)
		r = unnamed_rows(block, &rows, &public);
	merge(&public);
	for (size_t i = 0; r == 0 && i < rows.count; i++) {
		/* Only the rows around a public one have it taken out. */
		struct spans row = {&rows.items[i], 1}, around = {0};
		for (size_t k = 0; r == 0 && k < public.count; k++)
			if (lies_around(&rows.items[i], &public.items[k]))
				r = add_span(&around, public.items[k]);
		if (r == 0)
			r = subtract(&row, &around, &refused);
		free(around.items);
	}
	merge(&refused);
	if (r == 0)
		r = subtract(&whole, &refused, ret);
	free(whole.items);
	free(rows.items);
	free(public.items);
	free(refused.items);
	return r;
}

static int find_spans(const struct network_policy *policy, struct spans *ret)
{
	static const struct address_block everything[] = {
		{.prefix_bits = 0},
		{.address = {{{[10] = 0xff, [11] = 0xff}}}, .prefix_bits = 96},
	};
	struct spans open = {0}, denied = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && policy->mode == NETWORK_ON && i < ARRAY_SIZE(everything); i++)
		r = public_part(&everything[i], &open);
	for (size_t i = 0; r == 0 && i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (!rule->by_address)
			continue;
		if (rule->verdict != NETWORK_DENY)
			r = public_part(&rule->block, &open);
		else if (rule->ports.ranges[0].first == 1 &&
			 rule->ports.ranges[0].last == UINT16_MAX)
			r = add_span(&denied, span_of(&rule->block));
	}
	merge(&open);
	merge(&denied);
	if (r == 0)
		r = subtract(&open, &denied, ret);
	free(open.items);
	free(denied.items);
	return r;
}

/* The fewest blocks that are span. */
static int add_blocks(struct span span, struct address_block **blocks, size_t *count)
{
	for (;;) {
		unsigned bits = 0;
		address_value size = 1;
		while (bits < 128 && (span.first & size) == 0 &&
			span.last - span.first >= (size << 1) - 1) {
			bits++;
			size <<= 1;
			if (size == 0)
				break;
		}
		if (!NETWORK_GROW(*blocks, *count))
			return -ENOMEM;
		(*blocks)[(*count)++] = (struct address_block){
			.address = address_of(span.first), .prefix_bits = 128 - bits};
		if (size == 0 || span.last - span.first < size)
			return 0;
		span.first += size;
	}
}

int network_literal_blocks(
	const struct network_policy *policy, struct address_block **ret, size_t *ret_count)
{
	struct address_block *blocks = NULL;
	size_t count = 0;
	struct spans spans = {0};
	int r = policy->mode == NETWORK_OFF ? 0 : find_spans(policy, &spans);
	for (size_t i = 0; r == 0 && i < spans.count; i++)
		r = add_blocks(spans.items[i], &blocks, &count);
	free(spans.items);
	if (r < 0) {
		free(blocks);
		return r;
	}
	*ret = blocks;
	*ret_count = count;
	return 0;
}
