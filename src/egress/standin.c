/* Stand-in addresses. Inside the box a name is an address that nobody else has: what connects to
 * it names, by doing so, the name. The pools are fixed at launch, since their port sets stand in
 * the box's packet filter; which name has which address of its pool is known here alone.
 *
 * A name keeps its address for as long as there is room. When its pool is full, the one goes that
 * was least recently asked for, by a query or by a connection. Programs that remember an address
 * for longer than its TTL might then reach the name that has it now: one that the policy allows on
 * the same ports, and whose TLS and HTTP will not speak for the old one. */
#include "egress/egress.h"

#include "base/cleanup.h"

#include <search.h>
#include <string.h>

struct standin {
	char name[NETWORK_NAME_BYTES]; /* first: names are searched for as they are */
	size_t pool;
	uint32_t index; /* in the pool, from 1: the .0 is a network's own name to some programs */
	TAILQ_ENTRY(standin) link;
};
TAILQ_HEAD(standin_list, standin);

struct standin_pool {
	struct standin **names; /* by index; names[0] is not used */
	size_t capacity, count; /* count: indices given so far */
	size_t room;
	struct standin_list recent; /* the least recently used first */
};

struct standins {
	const struct egress *egress;
	struct standin_pool *pools;
	void *tree; /* of struct standin, by name (tsearch) */
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int standins_new(struct egress *egress, struct standins **ret, struct error *error)
{
	struct standins *standins = calloc(1, sizeof(*standins));
	if (standins)
		standins->pools = calloc(egress->pools_count + 1, sizeof(*standins->pools));
	if (!standins || !standins->pools) {
		free(standins);
		return error_set(error, ENOMEM, "stand-ins", "no memory for stand-in addresses");
	}
	standins->egress = egress;
	for (size_t i = 0; i < egress->pools_count; i++) {
		standins->pools[i].room = (size_t)1 << egress->pools[i].v4_bits;
		TAILQ_INIT(&standins->pools[i].recent);
	}
	*ret = standins;
	return 0;
}

void standins_free(struct standins *standins)
{
	if (!standins)
		return;
	for (size_t i = 0; i < standins->egress->pools_count; i++) {
		struct standin_pool *pool = &standins->pools[i];
		for (struct standin *standin; (standin = TAILQ_FIRST(&pool->recent));) {
			TAILQ_REMOVE(&pool->recent, standin, link);
			tdelete(standin, &standins->tree, compare);
			free(standin);
		}
		free(pool->names);
	}
	free(standins->pools);
	free(standins);
}

/* --- the addresses of a pool ---------------------------------------------------------------- */

/* The pool's first address plus index, in the last 32 bits. Pools are aligned to their size. */
static struct in6_addr address_at(const struct in6_addr *first, uint32_t index)
{
	struct in6_addr address = *first;
	for (int byte = 15; byte >= 12; byte--, index >>= 8)
		address.s6_addr[byte] |= (uint8_t)index;
	return address;
}

/* The other way round: false if address lies outside of first's 2^bits (<= 32) addresses. */
static bool index_of(const struct in6_addr *first, unsigned bits, const struct in6_addr *address,
	uint32_t *ret_index)
{
	uint32_t index = 0;
	for (int byte = 0; byte < 12; byte++)
		if (address->s6_addr[byte] != first->s6_addr[byte])
			return false;
	for (int byte = 12; byte < 16; byte++)
		index = index << 8 | (uint8_t)(address->s6_addr[byte] ^ first->s6_addr[byte]);
	*ret_index = index;
	return bits >= 32 || index >> bits == 0;
}

/* --- giving and taking ---------------------------------------------------------------------- */

static void touch(struct standins *standins, struct standin *standin)
{
	struct standin_pool *pool = &standins->pools[standin->pool];
	TAILQ_REMOVE(&pool->recent, standin, link);
	TAILQ_INSERT_TAIL(&pool->recent, standin, link);
}

/* An entry with an index that is free: a new one, or the least recently used one's. */
static struct standin *take(struct standins *standins, size_t number)
{
	struct standin_pool *pool = &standins->pools[number];
	if (pool->count + 1 >= pool->room) {
		struct standin *standin = TAILQ_FIRST(&pool->recent);
		if (!standin)
			return NULL;
		TAILQ_REMOVE(&pool->recent, standin, link);
		tdelete(standin, &standins->tree, compare);
		return standin;
	}
	if (pool->count + 1 >= pool->capacity) {
		size_t capacity = pool->capacity ? pool->capacity * 2 : 16;
		struct standin **names = reallocarray(pool->names, capacity, sizeof(*names));
		if (!names)
			return NULL;
		pool->names = names;
		pool->capacity = capacity;
	}
	struct standin *standin = calloc(1, sizeof(*standin));
	if (!standin)
		return NULL;
	standin->pool = number;
	standin->index = (uint32_t)++pool->count;
	pool->names[standin->index] = standin;
	return standin;
}

static int give(struct standins *standins, const char *name, struct standin **ret)
{
	const struct egress *egress = standins->egress;
	int number = network_pool_of(
		&egress->policy, egress->ask, egress->pools, egress->pools_count, name);
	if (number < 0)
		return number;
	struct standin *standin = take(standins, (size_t)number);
	if (!standin)
		return -ENOMEM;
	/* In a list and with its index before it has a name: whatever fails now, it is a free one
	 * that is next to be taken. */
	struct standin_pool *pool = &standins->pools[number];
	TAILQ_INSERT_HEAD(&pool->recent, standin, link);
	snprintf(standin->name, sizeof(standin->name), "%s", name);
	if (!tsearch(standin, &standins->tree, compare)) {
		standin->name[0] = '\0';
		return -ENOMEM;
	}
	*ret = standin;
	return 0;
}

int standins_of_name(struct standins *standins, const char *name, struct in6_addr *ret_v4,
	struct in6_addr *ret_v6)
{
	const struct egress *egress = standins->egress;
	if (strlen(name) >= NETWORK_NAME_BYTES || name[0] == '\0')
		return -ENOENT;
	if (network_udp_standin(&egress->policy, name, ret_v4, ret_v6) == 0)
		return 0;
	struct standin **found = tfind(name, &standins->tree, compare), *standin;
	if (found) {
		standin = *found;
	} else {
		int r = give(standins, name, &standin);
		if (r < 0)
			return r;
	}
	touch(standins, standin);
	const struct network_pool *pool = &egress->pools[standin->pool];
	*ret_v4 = address_at(&pool->v4, standin->index);
	*ret_v6 = address_at(&pool->v6, standin->index);
	return 0;
}

/* The name of an allow-udp rule that owns the address, out of coffer's own block. */
static const char *udp_name(const struct network_policy *policy, const struct in6_addr *address)
{
	for (size_t i = 0; i < policy->udp_count; i++) {
		struct in6_addr v4, v6;
		const char *name = policy->udp[i].name;
		if (name && network_udp_standin(policy, name, &v4, &v6) == 0 &&
			(IN6_ARE_ADDR_EQUAL(&v4, address) || IN6_ARE_ADDR_EQUAL(&v6, address)))
			return name;
	}
	return NULL;
}

/* Which pool an address lies in; -ENOENT. */
static int find_pool(
	const struct standins *standins, const struct in6_addr *address, uint32_t *ret_index)
{
	const struct egress *egress = standins->egress;
	for (size_t i = 0; i < egress->pools_count; i++) {
		const struct network_pool *pool = &egress->pools[i];
		if (index_of(&pool->v4, pool->v4_bits, address, ret_index) ||
			index_of(&pool->v6, pool->v4_bits, address, ret_index))
			return (int)i;
	}
	return -ENOENT;
}

const char *standins_name(struct standins *standins, const struct in6_addr *address)
{
	uint32_t index;
	int number = find_pool(standins, address, &index);
	if (number < 0)
		return udp_name(&standins->egress->policy, address);
	struct standin_pool *pool = &standins->pools[number];
	if (index == 0 || index > pool->count || pool->names[index]->name[0] == '\0')
		return NULL;
	touch(standins, pool->names[index]);
	return pool->names[index]->name;
}

bool standins_covers(const struct standins *standins, const struct in6_addr *address)
{
	const struct egress *egress = standins->egress;
	uint32_t index;
	if (find_pool(standins, address, &index) >= 0 || udp_name(&egress->policy, address))
		return true;
	/* The box's kernel knows the whole /64 of a pool, of which only a part is ever given. */
	for (size_t i = 0; i < egress->pools_count; i++)
		if (memcmp(&egress->pools[i].v6, address, 8) == 0)
			return true;
	return false;
}
