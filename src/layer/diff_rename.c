/* Theory of operation. A file that went and one that came are one that was renamed if they hold the
 * same bytes, or mostly the same: more than half of the larger one's, counted by lines (or pieces of
 * 64 bytes) wherever they stand. Equal ones are found by size and digest, for any number of files;
 * similar ones by comparing each with each, for so few that it takes no time to speak of. Links, and
 * what changed its type, are told as they are. */
#include "layer/diff_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <string.h>

enum {
	PIECE_BYTES = 64,
	SIMILAR_PERCENT = 50,
	CHOICES = 4,                   /* kept for one addition */
	SIMILAR_STEPS_MAX = 200000000, /* of comparing pieces */
	SIMILAR_TOTAL_BYTES = 64 << 20,
};

struct piece {
	uint32_t hash, bytes;
};

struct candidate {
	char *path;
	struct layer_entry entry;
	char digest[DIFF_BLOB_CHARS + 1]; /* "": not known */
	struct piece *pieces;
	size_t pieces_count;
	bool paired;
};

struct candidates {
	struct candidate *items;
	size_t count, capacity;
};

struct diff_renames {
	struct candidates gone, come;
	struct diff_rename *pairs; /* by `to` */
	struct diff_rename **by_from;
	size_t count, capacity;
};

struct choice {
	uint32_t gone, come;
	uint32_t score; /* percent; and half of one for the same name */
};

int diff_renames_new(struct diff_renames **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void release(struct candidates *candidates)
{
	for (size_t i = 0; i < candidates->count; i++) {
		free(candidates->items[i].path);
		free(candidates->items[i].pieces);
	}
	free(candidates->items);
}

void diff_renames_free(struct diff_renames *renames)
{
	if (!renames)
		return;
	release(&renames->gone);
	release(&renames->come);
	for (size_t i = 0; i < renames->count; i++) {
		free(renames->pairs[i].from);
		free(renames->pairs[i].to);
	}
	free(renames->pairs);
	free(renames->by_from);
	free(renames);
}

int diff_renames_add(struct diff_renames *renames, const struct layer_change *change)
{
	if (change->kind == LAYER_MODIFIED)
		return 0;
	bool come = change->after.present;
	const struct layer_entry *entry = come ? &change->after : &change->before;
	struct candidates *candidates = come ? &renames->come : &renames->gone;
	if (!S_ISREG(entry->st.st_mode) || entry->st.st_size == 0 ||
		candidates->count == MAX_RENAME_EXACT)
		return 0;
	if (candidates->count == candidates->capacity) {
		size_t capacity = candidates->capacity ? candidates->capacity * 2 : 64;
		void *items = reallocarray(candidates->items, capacity, sizeof(*candidates->items));
		if (!items)
			return -ENOMEM;
		candidates->items = items;
		candidates->capacity = capacity;
	}
	char *path = strdup(change->path);
	if (!path)
		return -ENOMEM;
	candidates->items[candidates->count++] = (struct candidate){.path = path, .entry = *entry};
	return 0;
}

static int pair_up(struct diff_renames *renames, struct candidate *gone, struct candidate *come,
	unsigned similarity)
{
	if (renames->count == renames->capacity) {
		size_t capacity = renames->capacity ? renames->capacity * 2 : 64;
		void *pairs = reallocarray(renames->pairs, capacity, sizeof(*renames->pairs));
		if (!pairs)
			return -ENOMEM;
		renames->pairs = pairs;
		renames->capacity = capacity;
	}
	struct diff_rename pair = {.from = strdup(gone->path),
		.to = strdup(come->path),
		.before = gone->entry,
		.similarity = similarity};
	renames->pairs[renames->count++] = pair;
	gone->paired = come->paired = true;
	return pair.from && pair.to ? 0 : -ENOMEM;
}

/* ---- the same content ---- */

static int compare_sizes(const void *a, const void *b)
{
	off_t x = ((const struct candidate *)a)->entry.st.st_size;
	off_t y = ((const struct candidate *)b)->entry.st.st_size;
	return (x > y) - (x < y);
}

static int compare_digests(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = strcmp(x->digest, y->digest);
	if (order == 0)
		order = strcmp(path_name(x->path), path_name(y->path));
	return order ? order : strcmp(x->path, y->path);
}

/* What cannot be read is renamed by nobody. */
static void digest(struct candidate *candidate)
{
	struct diff_content content;
	if (diff_content_load(&candidate->entry, candidate->path, &content) == 0 &&
		diff_content_blob(&content, candidate->digest) < 0)
		candidate->digest[0] = '\0';
	diff_content_release(&content);
}

/* Digests of those whose size occurs on the other side, too. */
static void digest_all(struct candidates *gone, struct candidates *come)
{
	struct candidates *sides[2] = {gone, come};
	for (int s = 0; s < 2; s++)
		if (sides[s]->count)
			qsort(sides[s]->items, sides[s]->count, sizeof(*sides[s]->items),
				compare_sizes);
	for (size_t i = 0, j = 0; i < gone->count && j < come->count;) {
		off_t size = gone->items[i].entry.st.st_size;
		off_t other = come->items[j].entry.st.st_size;
		if (size != other) {
			size < other ? i++ : j++;
			continue;
		}
		for (; i < gone->count && gone->items[i].entry.st.st_size == size; i++)
			digest(&gone->items[i]);
		for (; j < come->count && come->items[j].entry.st.st_size == size; j++)
			digest(&come->items[j]);
	}
	for (int s = 0; s < 2; s++)
		if (sides[s]->count)
			qsort(sides[s]->items, sides[s]->count, sizeof(*sides[s]->items),
				compare_digests);
}

/* Once for those that kept their name, once for the others. */
static int pair_equal(struct diff_renames *renames, bool by_name)
{
	struct candidates *gone = &renames->gone, *come = &renames->come;
	int r = 0;
	for (size_t i = 0, j = 0; r == 0 && i < gone->count && j < come->count;) {
		struct candidate *a = &gone->items[i], *b = &come->items[j];
		if (a->paired || !a->digest[0]) {
			i++;
			continue;
		}
		if (b->paired || !b->digest[0]) {
			j++;
			continue;
		}
		int order = strcmp(a->digest, b->digest);
		if (order == 0 && by_name)
			order = strcmp(path_name(a->path), path_name(b->path));
		if (order == 0)
			r = pair_up(renames, a, b, 100);
		else
			order < 0 ? i++ : j++;
	}
	return r;
}

/* ---- similar content ---- */

static int compare_pieces(const void *a, const void *b)
{
	uint32_t x = ((const struct piece *)a)->hash, y = ((const struct piece *)b)->hash;
	return (x > y) - (x < y);
}

static int take_apart(struct candidate *candidate, uint64_t *budget)
{
	struct diff_content content;
	if (candidate->entry.st.st_size > MAX_RENAME_BYTES ||
		(uint64_t)candidate->entry.st.st_size > *budget ||
		diff_content_load(&candidate->entry, candidate->path, &content) < 0)
		return 0;
	*budget -= (uint64_t)candidate->entry.st.st_size;
	/* A line has at least its newline, but most have more. */
	size_t capacity = 64, count = 0;
	struct piece *pieces = malloc(capacity * sizeof(*pieces));
	for (size_t at = 0; pieces && at < content.size;) {
		uint32_t hash = 2166136261U, bytes = 0;
		for (char c = 0; c != '\n' && bytes < PIECE_BYTES && at < content.size; bytes++) {
			c = content.data[at++];
			hash = (hash ^ (unsigned char)c) * 16777619U;
		}
		if (count == capacity) {
			void *larger = reallocarray(pieces, capacity *= 2, sizeof(*pieces));
			if (!larger)
				free(pieces);
			pieces = larger;
		}
		if (pieces)
			pieces[count++] = (struct piece){hash, bytes};
	}
	diff_content_release(&content);
	if (!pieces)
		return -ENOMEM;
	qsort(pieces, count, sizeof(*pieces), compare_pieces);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (kept && pieces[kept - 1].hash == pieces[i].hash)
			pieces[kept - 1].bytes += pieces[i].bytes;
		else
			pieces[kept++] = pieces[i];
	}
	candidate->pieces = pieces;
	candidate->pieces_count = kept;
	return 0;
}

static unsigned similarity(const struct candidate *a, const struct candidate *b, uint64_t *budget)
{
	uint64_t x = (uint64_t)a->entry.st.st_size, y = (uint64_t)b->entry.st.st_size;
	uint64_t larger = x > y ? x : y, common = 0, steps = a->pieces_count + b->pieces_count;
	if ((x + y - larger) * 100 < larger * SIMILAR_PERCENT || steps > *budget)
		return 0;
	*budget -= steps;
	for (size_t i = 0, j = 0; i < a->pieces_count && j < b->pieces_count;) {
		const struct piece *p = &a->pieces[i], *q = &b->pieces[j];
		if (p->hash == q->hash)
			common += p->bytes < q->bytes ? p->bytes : q->bytes;
		i += p->hash <= q->hash;
		j += q->hash <= p->hash;
	}
	return (unsigned)(common * 100 / larger);
}

static int compare_choices(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;
	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	if (x->come != y->come)
		return x->come < y->come ? -1 : 1;
	return x->gone < y->gone ? -1 : x->gone > y->gone;
}

/* The best for one addition, the worst of them replaced by what is better. */
static size_t choose(
	struct diff_renames *renames, size_t come, struct choice choices[CHOICES], uint64_t *budget)
{
	const struct candidate *b = &renames->come.items[come];
	size_t count = 0;
	for (size_t i = 0; b->pieces && i < renames->gone.count; i++) {
		const struct candidate *a = &renames->gone.items[i];
		unsigned percent = a->paired || !a->pieces ? 0 : similarity(a, b, budget);
		if (percent <= SIMILAR_PERCENT)
			continue;
		bool same_name = strcmp(path_name(a->path), path_name(b->path)) == 0;
		struct choice choice = {(uint32_t)i, (uint32_t)come, 2 * percent + same_name};
		if (count < CHOICES) {
			choices[count++] = choice;
			continue;
		}
		size_t worst = 0;
		for (size_t k = 1; k < CHOICES; k++)
			if (choices[k].score < choices[worst].score)
				worst = k;
		if (choices[worst].score < choice.score)
			choices[worst] = choice;
	}
	return count;
}

static size_t unpaired(const struct candidates *candidates)
{
	size_t count = 0;
	for (size_t i = 0; i < candidates->count; i++)
		count += !candidates->items[i].paired;
	return count;
}

static int pair_similar(struct diff_renames *renames)
{
	struct candidates *sides[2] = {&renames->gone, &renames->come};
	uint64_t bytes = SIMILAR_TOTAL_BYTES, steps = SIMILAR_STEPS_MAX;
	size_t many[2] = {unpaired(sides[0]), unpaired(sides[1])};
	if (!many[0] || !many[1] || many[0] > MAX_RENAME_SIMILAR || many[1] > MAX_RENAME_SIMILAR)
		return 0;
	int r = 0;
	for (int s = 0; s < 2; s++)
		for (size_t i = 0; r == 0 && i < sides[s]->count; i++)
			if (!sides[s]->items[i].paired)
				r = take_apart(&sides[s]->items[i], &bytes);
	cleanup_free struct choice *choices = calloc(many[1], CHOICES * sizeof(*choices));
	if (r < 0 || !choices)
		return -ENOMEM;
	size_t count = 0;
	for (size_t i = 0; i < renames->come.count; i++)
		if (!renames->come.items[i].paired)
			count += choose(renames, i, choices + count, &steps);
	if (count)
		qsort(choices, count, sizeof(*choices), compare_choices);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct candidate *gone = &renames->gone.items[choices[i].gone];
		struct candidate *come = &renames->come.items[choices[i].come];
		/* 100 is for what is the same byte for byte. */
		unsigned percent = choices[i].score / 2 < 100 ? choices[i].score / 2 : 99;
		if (!gone->paired && !come->paired)
			r = pair_up(renames, gone, come, percent);
	}
	return r;
}

/* ---- */

static int compare_to(const void *a, const void *b)
{
	return strcmp(((const struct diff_rename *)a)->to, ((const struct diff_rename *)b)->to);
}

static int compare_from(const void *a, const void *b)
{
	return strcmp(
		(*(struct diff_rename *const *)a)->from, (*(struct diff_rename *const *)b)->from);
}

int diff_renames_pair(struct diff_renames *renames)
{
	digest_all(&renames->gone, &renames->come);
	int r = pair_equal(renames, true);
	if (r == 0)
		r = pair_equal(renames, false);
	if (r == 0)
		r = pair_similar(renames);
	if (r < 0 || renames->count == 0)
		return r;
	renames->by_from = calloc(renames->count, sizeof(struct diff_rename *));
	if (!renames->by_from)
		return -ENOMEM;
	qsort(renames->pairs, renames->count, sizeof(*renames->pairs), compare_to);
	for (size_t i = 0; i < renames->count; i++)
		renames->by_from[i] = &renames->pairs[i];
	qsort(renames->by_from, renames->count, sizeof(struct diff_rename *), compare_from);
	return 0;
}

const struct diff_rename *diff_renames_to(const struct diff_renames *renames, const char *path)
{
	struct diff_rename key = {.to = (char *)path};
	return renames->count ? bsearch(&key, renames->pairs, renames->count,
					sizeof(*renames->pairs), compare_to)
			      : NULL;
}

const struct diff_rename *diff_renames_from(const struct diff_renames *renames, const char *path)
{
	struct diff_rename key = {.from = (char *)path}, *pointer = &key;
	struct diff_rename **found = NULL;
	if (renames->by_from)
		found = bsearch(&pointer, renames->by_from, renames->count,
			sizeof(struct diff_rename *), compare_from);
	return found ? *found : NULL;
}
