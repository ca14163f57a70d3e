/* Theory of operation. What is drawn is a nondeterministic automaton: many nodes may be reached at
 * one time. While bytes are read it is made deterministic, one state at a time and only where the
 * stream leads: a state is a set of nodes, and has one entry for each kind of byte. Nearly all of a
 * stream passes through a few dozen states near the root, at one look-up a byte; a deterministic
 * automaton made in advance would have more states than there is memory for.
 *
 * Bytes that no edge names are of one kind (0); every other byte is a kind of its own. An entry is 0
 * while it is not known, else where the state's row begins (its number times the kinds: what the
 * loop waits for is one look-up, not a product), negative where a pattern ends: so one comparison
 * finds both.
 *
 * States are kept up to a bound. When it is reached all are forgotten but those where a cursor
 * stands: a stream that was made to lead through ever new states is read slowly, at a cost that
 * grows with the number of nodes, and never with what was read before. */
#include "base/automaton.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

enum {
	TABLE_BYTES_MAX = 8 * 1024 * 1024,
	STATES_FIRST = 64,
	SETS_MAX = 8 * 1024 * 1024, /* nodes in all states' sets together */
	START = 1,                  /* the state in which nothing has been seen */
};

struct edge {
	uint32_t from, to;
	unsigned char byte;
};

/* A set of nodes, sorted; the root, which is in all of them, is left out. */
struct state {
	uint32_t first, count; /* in sets */
	uint32_t next;         /* of the same hash, or 0 */
	uint32_t depth;
};

struct automaton {
	/* The drawing. */
	struct edge *edges; /* once sealed: sorted by node, and by byte */
	size_t edges_count, edges_room;
	uint32_t *values, *depths, *first_edges; /* by node */
	size_t nodes_count, nodes_room;
	int error;

	/* Kinds of bytes. */
	uint8_t kinds[256];
	unsigned kinds_count;

	/* States so far. */
	int32_t *table; /* states_room x kinds_count */
	struct state *states;
	size_t states_count, states_room, states_max;
	uint32_t *sets;
	size_t sets_count, sets_room;
	uint32_t *buckets;
	size_t buckets_count;

	/* For one step: what is reached. */
	uint32_t *reached, *stamps;
	uint32_t stamp;
	struct automaton_cursor *cursors;

	/* For going backwards: the same edges, sorted by where they lead. */
	struct edge *backward;
	uint32_t *first_backward;
};

static void wipe_free(void *data, size_t length_bytes)
{
	if (data)
		explicit_bzero(data, length_bytes);
	free(data);
}

int automaton_new(struct automaton **ret)
{
	struct automaton *automaton = calloc(1, sizeof(*automaton));
	if (!automaton)
		return -ENOMEM;
	automaton_node(automaton);
	*ret = automaton;
	return automaton->error;
}

void automaton_free(struct automaton *automaton)
{
	if (!automaton)
		return;
	wipe_free(automaton->edges, automaton->edges_room * sizeof(struct edge));
	wipe_free(automaton->table,
		automaton->states_room * automaton->kinds_count * sizeof(*automaton->table));
	free(automaton->values);
	free(automaton->depths);
	free(automaton->first_edges);
	free(automaton->states);
	free(automaton->sets);
	free(automaton->buckets);
	free(automaton->reached);
	free(automaton->stamps);
	wipe_free(automaton->backward, automaton->edges_count * sizeof(struct edge));
	free(automaton->first_backward);
	free(automaton);
}

/* ---- drawing ---- */

/* Room for one more; what was secret is not left behind in freed memory. */
static bool grow(struct automaton *automaton, void **items, size_t *room, size_t item_bytes)
{
	size_t wanted = *room ? *room * 2 : 256;
	void *grown = calloc(wanted, item_bytes);
	if (!grown) {
		automaton->error = -ENOMEM;
		return false;
	}
	if (*items)
		memcpy(grown, *items, *room * item_bytes);
	wipe_free(*items, *room * item_bytes);
	*items = grown;
	*room = wanted;
	return true;
}

uint32_t automaton_node(struct automaton *automaton)
{
	size_t room = automaton->nodes_room;
	if (automaton->error)
		return AUTOMATON_ROOT;
	if (automaton->nodes_count == MAX_AUTOMATON_NODES) {
		automaton->error = -E2BIG;
		return AUTOMATON_ROOT;
	}
	if (automaton->nodes_count == room) {
		size_t same = room;
		if (!grow(automaton, (void **)&automaton->values, &room, sizeof(uint32_t)) ||
			!grow(automaton, (void **)&automaton->depths, &same, sizeof(uint32_t)))
			return AUTOMATON_ROOT;
		automaton->nodes_room = room;
	}
	return (uint32_t)automaton->nodes_count++;
}

void automaton_edge(struct automaton *automaton, uint32_t from, unsigned char byte, uint32_t to)
{
	if (automaton->error || (automaton->edges_count == automaton->edges_room &&
					!grow(automaton, (void **)&automaton->edges,
						&automaton->edges_room, sizeof(struct edge))))
		return;
	automaton->edges[automaton->edges_count++] =
		(struct edge){.from = from, .to = to, .byte = byte};
	if (!automaton->depths[to])
		automaton->depths[to] = automaton->depths[from] + 1;
}

void automaton_edges(struct automaton *automaton, uint32_t from, const char *bytes, uint32_t to)
{
	for (; *bytes; bytes++)
		automaton_edge(automaton, from, (unsigned char)*bytes, to);
}

uint32_t automaton_chain(
	struct automaton *automaton, uint32_t from, const void *data, size_t length_bytes)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < length_bytes; i++) {
		uint32_t to = automaton_node(automaton);
		automaton_edge(automaton, from, bytes[i], to);
		from = to;
	}
	return from;
}

void automaton_accept(struct automaton *automaton, uint32_t node, uint32_t value)
{
	if (!automaton->error)
		automaton->values[node] = value;
}

/* Sorts edges by a key below `keys`, keeping the order of those that have the same. */
static void distribute(const struct edge *edges, size_t count, size_t keys,
	size_t (*key_of)(const struct edge *edge), uint32_t *starts, struct edge *ret)
{
	memset(starts, 0, (keys + 1) * sizeof(*starts));
	for (size_t i = 0; i < count; i++)
		starts[key_of(&edges[i]) + 1]++;
	for (size_t key = 0; key < keys; key++)
		starts[key + 1] += starts[key];
	for (size_t i = 0; i < count; i++)
		ret[starts[key_of(&edges[i])]++] = edges[i];
}

static size_t byte_of(const struct edge *edge)
{
	return edge->byte;
}

static size_t from_of(const struct edge *edge)
{
	return edge->from;
}

/* By node, and by byte. */
static int sort_edges(struct automaton *automaton)
{
	size_t count = automaton->edges_count, nodes = automaton->nodes_count;
	size_t bytes = count * sizeof(struct edge);
	struct edge *other = malloc(bytes + 1);
	cleanup_free uint32_t *starts =
		calloc((nodes > 256 ? nodes : 256) + 1, sizeof(*starts));
	if (!other || !starts) {
		free(other);
		return -ENOMEM;
	}
	distribute(automaton->edges, count, 256, byte_of, starts, other);
	distribute(other, count, nodes, from_of, starts, automaton->edges);
	wipe_free(other, bytes);
	return 0;
}

static int allocate_states(struct automaton *automaton)
{
	automaton->states_max = TABLE_BYTES_MAX / sizeof(int32_t) / automaton->kinds_count;
	automaton->states_room = STATES_FIRST;
	automaton->sets_room = 1024;
	automaton->buckets_count = 4096;
	size_t nodes = automaton->nodes_count;
	automaton->table =
		calloc(automaton->states_room * automaton->kinds_count, sizeof(int32_t));
	automaton->states = calloc(automaton->states_room, sizeof(struct state));
	automaton->sets = calloc(automaton->sets_room, sizeof(uint32_t));
	automaton->buckets = calloc(automaton->buckets_count, sizeof(uint32_t));
	automaton->reached = calloc(nodes, sizeof(uint32_t));
	automaton->stamps = calloc(nodes, sizeof(uint32_t));
	automaton->first_edges = calloc(nodes + 1, sizeof(uint32_t));
	bool got = automaton->table && automaton->states && automaton->sets && automaton->buckets &&
		   automaton->reached && automaton->stamps && automaton->first_edges;
	return got ? 0 : -ENOMEM;
}

static uint32_t intern(struct automaton *automaton, const uint32_t *nodes, uint32_t count);

int automaton_seal(struct automaton *automaton)
{
	if (automaton->error)
		return automaton->error;
	int r = automaton->edges_count ? sort_edges(automaton) : 0;
	if (r < 0)
		return automaton->error = r;
	automaton->kinds_count = 1;
	for (size_t i = 0; i < automaton->edges_count; i++) {
		uint8_t *kind = &automaton->kinds[automaton->edges[i].byte];
		/* Where all 256 bytes are named, the last shares kind 0, which then is its own. */
		if (!*kind && automaton->kinds_count < 256)
			*kind = (uint8_t)automaton->kinds_count++;
	}
	r = allocate_states(automaton);
	if (r < 0)
		return automaton->error = r;
	for (size_t i = 0, node = 0; node <= automaton->nodes_count; node++) {
		while (i < automaton->edges_count && automaton->edges[i].from < node)
			i++;
		automaton->first_edges[node] = (uint32_t)i;
	}
	automaton->states_count = START;
	return intern(automaton, NULL, 0) == START ? 0 : (automaton->error = -ENOMEM);
}

/* ---- states ---- */

static uint32_t hash_of(const struct automaton *automaton, const uint32_t *nodes, uint32_t count)
{
	uint64_t hash = count;
	for (uint32_t i = 0; i < count; i++)
		hash = (hash ^ nodes[i]) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(hash >> 32) & (uint32_t)(automaton->buckets_count - 1);
}

static bool grow_states(struct automaton *automaton)
{
	size_t kinds = automaton->kinds_count, room = automaton->states_room * 2;
	int32_t *table = reallocarray(automaton->table, room * kinds, sizeof(*table));
	if (!table)
		return false;
	memset(table + automaton->states_room * kinds, 0,
		automaton->states_room * kinds * sizeof(*table));
	automaton->table = table;
	struct state *states = reallocarray(automaton->states, room, sizeof(*states));
	if (!states)
		return false;
	automaton->states = states;
	automaton->states_room = room;
	return true;
}

static bool grow_sets(struct automaton *automaton, size_t wanted)
{
	size_t room = automaton->sets_room;
	while (room < wanted)
		room *= 2;
	uint32_t *sets = reallocarray(automaton->sets, room, sizeof(*sets));
	if (!sets)
		return false;
	automaton->sets = sets;
	automaton->sets_room = room;
	return true;
}

/* The state of this set (sorted), made where it is new. 0: there is no room for it. */
static uint32_t intern(struct automaton *automaton, const uint32_t *nodes, uint32_t count)
{
	uint32_t *bucket = &automaton->buckets[hash_of(automaton, nodes, count)];
	for (uint32_t i = *bucket; i; i = automaton->states[i].next) {
		const struct state *state = &automaton->states[i];
		if (state->count == count &&
			(!count || memcmp(automaton->sets + state->first, nodes,
					   count * sizeof(*nodes)) == 0))
			return i;
	}
	if (automaton->states_count >= automaton->states_max ||
		automaton->sets_count + count > SETS_MAX)
		return 0;
	if (automaton->states_count == automaton->states_room && !grow_states(automaton))
		return 0;
	if (automaton->sets_count + count > automaton->sets_room &&
		!grow_sets(automaton, automaton->sets_count + count))
		return 0;
	struct state *state = &automaton->states[automaton->states_count];
	*state = (struct state){
		.first = (uint32_t)automaton->sets_count, .count = count, .next = *bucket};
	for (uint32_t i = 0; i < count; i++) {
		automaton->sets[automaton->sets_count++] = nodes[i];
		if (automaton->depths[nodes[i]] > state->depth)
			state->depth = automaton->depths[nodes[i]];
	}
	*bucket = (uint32_t)automaton->states_count;
	return (uint32_t)automaton->states_count++;
}

/* Forgets every state but the start and those where cursors stand. Their sets are moved to the front
 * in the order in which they lie, so that none is overwritten before it was moved. */
static bool forget(struct automaton *automaton)
{
	size_t count = 0;
	for (struct automaton_cursor *c = automaton->cursors; c; c = c->next)
		count += automaton->states[c->state].count;
	cleanup_free uint32_t *kept = malloc((count + 1) * sizeof(*kept));
	if (!kept)
		return false;
	size_t used = 0;
	for (struct automaton_cursor *c = automaton->cursors; c; c = c->next) {
		const struct state *state = &automaton->states[c->state];
		memcpy(kept + used, automaton->sets + state->first, state->count * sizeof(*kept));
		used += state->count;
		c->state = state->count; /* until it has a new number */
	}
	memset(automaton->buckets, 0, automaton->buckets_count * sizeof(uint32_t));
	memset(automaton->table, 0,
		automaton->states_room * automaton->kinds_count * sizeof(int32_t));
	automaton->states_count = START;
	automaton->sets_count = 0;
	intern(automaton, NULL, 0);
	used = 0;
	for (struct automaton_cursor *c = automaton->cursors; c; c = c->next) {
		size_t length = c->state;
		c->state = intern(automaton, kept + used, (uint32_t)length);
		used += length;
	}
	return true;
}

static int compare_nodes(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

static void reach(struct automaton *automaton, uint32_t node, unsigned char byte, uint32_t *count)
{
	const struct edge *edge = automaton->edges + automaton->first_edges[node];
	const struct edge *end = automaton->edges + automaton->first_edges[node + 1];
	if (end - edge > 16) { /* the root has thousands */
		const struct edge *low = edge, *high = end;
		while (low < high) {
			const struct edge *middle = low + (high - low) / 2;
			if (middle->byte < byte)
				low = middle + 1;
			else
				high = middle;
		}
		edge = low;
	}
	for (; edge < end && edge->byte <= byte; edge++) {
		if (edge->byte != byte || automaton->stamps[edge->to] == automaton->stamp)
			continue;
		automaton->stamps[edge->to] = automaton->stamp;
		automaton->reached[(*count)++] = edge->to;
	}
}

static bool accepts(const struct automaton *automaton, const uint32_t *nodes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (automaton->values[nodes[i]])
			return true;
	return false;
}

/* A new mark for `stamps`: nothing has it yet. */
static void begin_step(struct automaton *automaton)
{
	if (++automaton->stamp)
		return;
	memset(automaton->stamps, 0, automaton->nodes_count * sizeof(uint32_t));
	automaton->stamp = 1;
}

/* The entry of the table that was not known. */
static int32_t discover(struct automaton_cursor *cursor, unsigned char byte)
{
	struct automaton *automaton = cursor->automaton;
	const struct state *from = &automaton->states[cursor->state];
	uint32_t count = 0;
	begin_step(automaton);
	reach(automaton, AUTOMATON_ROOT, byte, &count);
	for (uint32_t i = 0; i < from->count; i++)
		reach(automaton, automaton->sets[from->first + i], byte, &count);
	qsort(automaton->reached, count, sizeof(uint32_t), compare_nodes);
	uint32_t to = intern(automaton, automaton->reached, count);
	if (!to && forget(automaton))
		to = intern(automaton, automaton->reached, count);
	if (!to) {
		automaton->error = -ENOMEM;
		return (int32_t)(START * automaton->kinds_count);
	}
	int32_t entry = (int32_t)(to * automaton->kinds_count);
	if (accepts(automaton, automaton->reached, count))
		entry = -entry;
	automaton->table[cursor->state * automaton->kinds_count + automaton->kinds[byte]] = entry;
	return entry;
}

/* ---- looking ---- */

void automaton_begin(struct automaton_cursor *cursor, struct automaton *automaton)
{
	*cursor = (struct automaton_cursor){
		.automaton = automaton, .state = START, .next = automaton->cursors};
	if (cursor->next)
		cursor->next->previous = cursor;
	automaton->cursors = cursor;
}

void automaton_end(struct automaton_cursor *cursor)
{
	if (!cursor->automaton)
		return;
	if (cursor->next)
		cursor->next->previous = cursor->previous;
	if (cursor->previous)
		cursor->previous->next = cursor->next;
	else
		cursor->automaton->cursors = cursor->next;
	*cursor = (struct automaton_cursor){0};
}

void automaton_restart(struct automaton_cursor *cursor)
{
	cursor->state = START;
}

size_t automaton_run(struct automaton_cursor *cursor, const char *data, size_t length_bytes)
{
	const struct automaton *automaton = cursor->automaton;
	const unsigned char *p = (const unsigned char *)data, *end = p + length_bytes;
	const int32_t *table = automaton->table;
	const size_t kinds = automaton->kinds_count;
	size_t row = cursor->state * kinds;
	while (p < end) {
		int32_t entry = table[row + automaton->kinds[*p]];
		if (entry > 0) {
			row = (size_t)entry;
			p++;
			continue;
		}
		if (entry == 0) {
			cursor->state = (uint32_t)(row / kinds);
			entry = discover(cursor, *p);
			table = automaton->table;
		}
		p++;
		row = (size_t)(entry < 0 ? -entry : entry);
		if (entry < 0)
			break;
	}
	cursor->state = (uint32_t)(row / kinds);
	return (size_t)(p - (const unsigned char *)data);
}

size_t automaton_accepted(const struct automaton_cursor *cursor, uint32_t *ret, size_t room)
{
	const struct automaton *automaton = cursor->automaton;
	const struct state *state = &automaton->states[cursor->state];
	size_t found = 0;
	for (uint32_t i = 0; i < state->count && found < room; i++) {
		uint32_t value = automaton->values[automaton->sets[state->first + i]];
		if (value)
			ret[found++] = value;
	}
	return found;
}

size_t automaton_depth(const struct automaton_cursor *cursor)
{
	return cursor->automaton->states[cursor->state].depth;
}

int automaton_error(const struct automaton *automaton)
{
	return automaton->error;
}

/* ---- going backwards ---- */

static int compare_backward(const void *a, const void *b)
{
	const struct edge *left = a, *right = b;
	return left->to < right->to ? -1 : left->to > right->to;
}

static bool prepare_backward(struct automaton *automaton)
{
	if (automaton->backward)
		return true;
	struct edge *edges = reallocarray(NULL, automaton->edges_count + 1, sizeof(*edges));
	uint32_t *first = calloc(automaton->nodes_count + 1, sizeof(*first));
	if (!edges || !first) {
		free(edges);
		free(first);
		return false;
	}
	if (automaton->edges_count)
		memcpy(edges, automaton->edges, automaton->edges_count * sizeof(*edges));
	qsort(edges, automaton->edges_count, sizeof(*edges), compare_backward);
	for (size_t i = 0, node = 0; node <= automaton->nodes_count; node++) {
		while (i < automaton->edges_count && edges[i].to < node)
			i++;
		first[node] = (uint32_t)i;
	}
	automaton->backward = edges;
	automaton->first_backward = first;
	return true;
}

/* One byte back from `count` nodes; returns how many are there, and whether the root is one. */
static uint32_t step_back(struct automaton *automaton, const uint32_t *nodes, uint32_t count,
	unsigned char byte, uint32_t *ret_nodes, bool *ret_begins)
{
	uint32_t before = 0;
	begin_step(automaton);
	*ret_begins = false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t end = automaton->first_backward[nodes[i] + 1];
		for (uint32_t k = automaton->first_backward[nodes[i]]; k < end; k++) {
			const struct edge *edge = &automaton->backward[k];
			if (edge->byte != byte || automaton->stamps[edge->from] == automaton->stamp)
				continue;
			automaton->stamps[edge->from] = automaton->stamp;
			if (edge->from == AUTOMATON_ROOT)
				*ret_begins = true;
			else
				ret_nodes[before++] = edge->from;
		}
	}
	return before;
}

size_t automaton_first_byte(
	struct automaton *automaton, uint32_t value, const char *data, size_t length_bytes)
{
	cleanup_free uint32_t *nodes = calloc(automaton->nodes_count, sizeof(*nodes));
	cleanup_free uint32_t *before = calloc(automaton->nodes_count, sizeof(*before));
	if (!nodes || !before || !prepare_backward(automaton))
		return SIZE_MAX;
	uint32_t count = 0;
	for (uint32_t node = 0; node < automaton->nodes_count; node++)
		if (automaton->values[node] == value)
			nodes[count++] = node;
	size_t first = SIZE_MAX;
	while (count && length_bytes) {
		bool begins;
		count = step_back(automaton, nodes, count, (unsigned char)data[--length_bytes],
			before, &begins);
		if (begins)
			first = length_bytes;
		uint32_t *swapped = nodes;
		nodes = before;
		before = swapped;
	}
	return first;
}
