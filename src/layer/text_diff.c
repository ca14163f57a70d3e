/* Theory of operation. Lines become numbers: equal lines of both texts the same one, by a hash table
 * whose key is drawn anew in each process, so that nobody can prepare a text that makes it slow. What
 * both texts begin and end with is set aside, and so is every line that only one of them has: that is
 * changed, whatever the rest is.
 *
 * Between what is left, Myers's shortest edit script is searched from both ends at once, in space
 * that is linear in the number of lines. Where they meet, the problem falls into two smaller ones. A
 * search that has cost too much is ended where it has come furthest: the script is then correct, but
 * perhaps not the shortest, and the time is linear, too. At last, groups of added or removed lines
 * are moved down as far as they go, so that the same change always looks the same. */
#include "layer/text_diff.h"

#include "base/limits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct side {
	const char *text;
	uint32_t *starts; /* count + 1 offsets */
	uint32_t count;
	uint32_t *ids;  /* of the lines that are looked at; and then only of those kept */
	uint32_t *kept; /* their places */
	uint32_t kept_count;
	unsigned char *changed; /* one a line, and a 0 behind them */
};

struct box {
	int32_t a_low, a_high, b_low, b_high;
};

struct search {
	const uint32_t *a, *b;
	int32_t *forward, *backward; /* by diagonal: how far x has come on it */
	int32_t cost_max;
	uint64_t budget; /* steps; when they are used up, searches end early */
};

/* ---- lines ---- */

static int split(struct side *side, const char *text, size_t bytes)
{
	size_t count = 0;
	for (const char *s = text, *end = text + bytes; s < end; count++) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		s = newline ? newline + 1 : end;
	}
	if (count > MAX_TEXT_DIFF_LINES)
		return -E2BIG;
	side->text = text;
	side->count = (uint32_t)count;
	side->starts = malloc((count + 1) * sizeof(*side->starts));
	side->ids = malloc((count + 1) * sizeof(*side->ids));
	side->kept = malloc((count + 1) * sizeof(*side->kept));
	side->changed = calloc(count + 1, 1);
	if (!side->starts || !side->ids || !side->kept || !side->changed)
		return -ENOMEM;
	const char *s = text;
	for (size_t i = 0; i < count; i++) {
		side->starts[i] = (uint32_t)(s - text);
		const char *newline = memchr(s, '\n', bytes - (size_t)(s - text));
		s = newline ? newline + 1 : text + bytes;
	}
	side->starts[count] = (uint32_t)bytes;
	return 0;
}

static void release(struct side *side)
{
	free(side->starts);
	free(side->ids);
	free(side->kept);
	free(side->changed);
}

static uint32_t line_bytes(const struct side *side, uint32_t line)
{
	return side->starts[line + 1] - side->starts[line];
}

static const char *line_text(const struct side *side, uint32_t line)
{
	return side->text + side->starts[line];
}

static bool same_line(const struct side *a, uint32_t i, const struct side *b, uint32_t j)
{
	return line_bytes(a, i) == line_bytes(b, j) &&
	       memcmp(line_text(a, i), line_text(b, j), line_bytes(a, i)) == 0;
}

/* ---- numbers for lines ---- */

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_line(const char *text, size_t bytes, const uint64_t key[2])
{
	uint64_t hash = bytes;
	for (; bytes > 0;) {
		uint64_t words[2] = {0};
		size_t piece = bytes < sizeof(words) ? bytes : sizeof(words);
		memcpy(words, text, piece);
		hash = fold(words[0] ^ key[0], words[1] ^ hash ^ key[1]);
		text += piece;
		bytes -= piece;
	}
	return fold(hash ^ key[0], key[1]);
}

struct class
{
	uint64_t hash;
	uint32_t line;
	bool in_b;        /* whose line that is */
	bool found_in[2]; /* in which texts it occurs */
};

struct classes {
	struct class *items;
	uint32_t *table; /* 1 + index of items */
	size_t mask, count;
};

static const uint64_t *hash_key(void)
{
	static uint64_t key[2];
	if (!key[0] && getrandom(key, sizeof(key), GRND_NONBLOCK) != sizeof(key))
		key[0] = key[1] = 0x9e3779b97f4a7c15ULL;
	return key;
}

static uint32_t number_of(
	struct classes *classes, const struct side sides[2], int which, uint32_t line)
{
	const struct side *side = &sides[which];
	uint64_t hash = hash_line(line_text(side, line), line_bytes(side, line), hash_key());
	for (size_t slot = hash & classes->mask;; slot = (slot + 1) & classes->mask) {
		if (!classes->table[slot]) {
			classes->items[classes->count] =
				(struct class){.hash = hash, .line = line, .in_b = which};
			classes->table[slot] = (uint32_t)++classes->count;
		}
		struct class *class = &classes->items[classes->table[slot] - 1];
		if (class->hash == hash &&
			same_line(&sides[class->in_b], class->line, side, line)) {
			class->found_in[which] = true;
			return classes->table[slot] - 1;
		}
	}
}

/* Numbers the lines between low and each side's high; marks and drops those that one side alone
 * has. */
static int number_lines(struct side sides[2], uint32_t low, const uint32_t high[2])
{
	size_t lines = (size_t)(high[0] - low) + (high[1] - low), room = 16;
	while (room < 2 * lines)
		room *= 2;
	struct classes classes = {.items = malloc((lines + 1) * sizeof(*classes.items)),
		.table = calloc(room, sizeof(*classes.table)),
		.mask = room - 1};
	int r = classes.items && classes.table ? 0 : -ENOMEM;
	for (int s = 0; r == 0 && s < 2; s++)
		for (uint32_t i = low; i < high[s]; i++)
			sides[s].ids[i] = number_of(&classes, sides, s, i);
	for (int s = 0; r == 0 && s < 2; s++) {
		struct side *side = &sides[s];
		for (uint32_t i = low; i < high[s]; i++) {
			if (!classes.items[side->ids[i]].found_in[!s]) {
				side->changed[i] = 1;
				continue;
			}
			side->ids[side->kept_count] = side->ids[i];
			side->kept[side->kept_count++] = i;
		}
	}
	free(classes.items);
	free(classes.table);
	return r;
}

/* ---- the search ---- */

static int32_t smaller(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

/* Where a search that is given up has come furthest, from either end. */
static void furthest(const struct search *search, const struct box *box, const int32_t forward[2],
	const int32_t backward[2], int32_t *ret_x, int32_t *ret_y)
{
	int32_t best = -1, best_x = box->a_low;
	for (int32_t d = forward[0]; d <= forward[1]; d += 2) {
		int32_t x = smaller(search->forward[d], box->a_high);
		x = smaller(x, box->b_high + d);
		if (x - d >= box->b_low && 2 * x - d > best) {
			best = 2 * x - d;
			best_x = x;
			*ret_y = x - d;
		}
	}
	*ret_x = best_x;
	int32_t least = INT32_MAX;
	int32_t least_x = 0, least_y = 0;
	for (int32_t d = backward[0]; d <= backward[1]; d += 2) {
		int32_t x = search->backward[d];
		x = x < box->a_low ? box->a_low : x;
		x = x - d < box->b_low ? box->b_low + d : x;
		if (x <= box->a_high && 2 * x - d < least) {
			least = 2 * x - d;
			least_x = x;
			least_y = x - d;
		}
	}
	if (best - (box->a_low + box->b_low) < box->a_high + box->b_high - least) {
		*ret_x = least_x;
		*ret_y = least_y;
	}
}

/* One more step from the beginning on each diagonal. Whether a path from the end was met. */
static bool step_forward(struct search *search, const struct box *box, int32_t range[2],
	const int32_t other[2], bool meets, int32_t *ret_x, int32_t *ret_y)
{
	int32_t *reach = search->forward;
	if (range[0] > box->a_low - box->b_high)
		reach[--range[0] - 1] = -1;
	else
		++range[0];
	if (range[1] < box->a_high - box->b_low)
		reach[++range[1] + 1] = -1;
	else
		--range[1];
	for (int32_t d = range[1]; d >= range[0]; d -= 2) {
		int32_t x = reach[d - 1] >= reach[d + 1] ? reach[d - 1] + 1 : reach[d + 1];
		int32_t start = x, y = x - d;
		while (x < box->a_high && y < box->b_high && search->a[x] == search->b[y])
			x++, y++;
		reach[d] = x;
		uint64_t steps = (uint64_t)(x - start) + 1;
		search->budget -= steps < search->budget ? steps : search->budget;
		if (meets && other[0] <= d && d <= other[1] && search->backward[d] <= x) {
			*ret_x = x;
			*ret_y = y;
			return true;
		}
	}
	return false;
}

static bool step_backward(struct search *search, const struct box *box, int32_t range[2],
	const int32_t other[2], bool meets, int32_t *ret_x, int32_t *ret_y)
{
	int32_t *reach = search->backward;
	if (range[0] > box->a_low - box->b_high)
		reach[--range[0] - 1] = INT32_MAX;
	else
		++range[0];
	if (range[1] < box->a_high - box->b_low)
		reach[++range[1] + 1] = INT32_MAX;
	else
		--range[1];
	for (int32_t d = range[1]; d >= range[0]; d -= 2) {
		int32_t x = reach[d - 1] < reach[d + 1] ? reach[d - 1] : reach[d + 1] - 1;
		int32_t y = x - d;
		while (x > box->a_low && y > box->b_low && search->a[x - 1] == search->b[y - 1])
			x--, y--;
		reach[d] = x;
		if (meets && other[0] <= d && d <= other[1] && x <= search->forward[d]) {
			*ret_x = x;
			*ret_y = y;
			return true;
		}
	}
	return false;
}

/* A point that a shortest script, or a good one, goes through. */
static void find_split(struct search *search, const struct box *box, int32_t *ret_x, int32_t *ret_y)
{
	enum { POOR_COST_MAX = 16 };
	int32_t first = box->a_low - box->b_low, last = box->a_high - box->b_high;
	int32_t forward[2] = {first, first}, backward[2] = {last, last};
	bool odd = (first - last) & 1;
	search->forward[first] = box->a_low;
	search->backward[last] = box->a_high;
	for (int32_t cost = 1;; cost++) {
		if (step_forward(search, box, forward, backward, odd, ret_x, ret_y) ||
			step_backward(search, box, backward, forward, !odd, ret_x, ret_y))
			return;
		if (cost >= (search->budget ? search->cost_max : POOR_COST_MAX)) {
			furthest(search, box, forward, backward, ret_x, ret_y);
			return;
		}
	}
}

static int32_t box_size(const struct box *box)
{
	return box->a_high - box->a_low + box->b_high - box->b_low;
}

static void mark(struct side sides[2], const struct box *box)
{
	for (int32_t i = box->a_low; i < box->a_high; i++)
		sides[0].changed[sides[0].kept[i]] = 1;
	for (int32_t i = box->b_low; i < box->b_high; i++)
		sides[1].changed[sides[1].kept[i]] = 1;
}

static void compare_boxes(struct search *search, struct side sides[2])
{
	/* The larger half waits, so that there are never more than a logarithm of them. */
	struct box stack[72];
	size_t depth = 0;
	stack[depth++] = (struct box){
		.a_high = (int32_t)sides[0].kept_count, .b_high = (int32_t)sides[1].kept_count};
	while (depth > 0) {
		struct box box = stack[--depth];
		while (box.a_low < box.a_high && box.b_low < box.b_high &&
			search->a[box.a_low] == search->b[box.b_low])
			box.a_low++, box.b_low++;
		while (box.a_low < box.a_high && box.b_low < box.b_high &&
			search->a[box.a_high - 1] == search->b[box.b_high - 1])
			box.a_high--, box.b_high--;
		if (box.a_low == box.a_high || box.b_low == box.b_high) {
			mark(sides, &box);
			continue;
		}
		int32_t x = box.a_low, y = box.b_low;
		find_split(search, &box, &x, &y);
		struct box halves[2] = {
			{box.a_low, x, box.b_low, y}, {x, box.a_high, y, box.b_high}};
		int larger = box_size(&halves[0]) < box_size(&halves[1]);
		if (box_size(&halves[larger]) >= box_size(&box)) {
			mark(sides, &box);
			continue;
		}
		stack[depth++] = halves[larger];
		stack[depth++] = halves[!larger];
	}
}

static int search_script(struct side sides[2])
{
	enum { COST_MAX = 512, BUDGET_STEPS = 400000000 };
	size_t diagonals = (size_t)sides[0].kept_count + sides[1].kept_count + 3;
	int32_t *reach = malloc(2 * diagonals * sizeof(*reach));
	if (!reach)
		return -ENOMEM;
	size_t middle = (size_t)sides[1].kept_count + 1;
	struct search search = {.a = sides[0].ids,
		.b = sides[1].ids,
		.forward = reach + middle,
		.backward = reach + diagonals + middle,
		.cost_max = COST_MAX,
		.budget = BUDGET_STEPS};
	compare_boxes(&search, sides);
	free(reach);
	return 0;
}

/* ---- looks ---- */

/* Where one side alone has changed lines, they may stand anywhere that shows the same: lowest. */
static void slide(struct side *side, uint32_t *i, const struct side *other, uint32_t *j)
{
	uint32_t start = *i, end = start;
	while (side->changed[end])
		end++;
	while (end < side->count && *j < other->count && !other->changed[*j] &&
		same_line(side, start, side, end)) {
		side->changed[start++] = 0;
		side->changed[end++] = 1;
		++*j;
		while (side->changed[end])
			end++;
	}
	*i = end;
}

static void slide_all(struct side sides[2])
{
	struct side *a = &sides[0], *b = &sides[1];
	for (uint32_t i = 0, j = 0; i < a->count || j < b->count;) {
		bool gone = a->changed[i], come = b->changed[j];
		if (gone && !come) {
			slide(a, &i, b, &j);
		} else if (come && !gone) {
			slide(b, &j, a, &i);
		} else if (gone) {
			while (a->changed[i])
				i++;
			while (b->changed[j])
				j++;
		} else {
			i++, j++;
		}
	}
}

static int find_changes(struct side sides[2], const char *before, size_t before_bytes,
	const char *after, size_t after_bytes)
{
	if (before_bytes > MAX_TEXT_DIFF_BYTES || after_bytes > MAX_TEXT_DIFF_BYTES)
		return -E2BIG;
	int r = split(&sides[0], before, before_bytes);
	if (r == 0)
		r = split(&sides[1], after, after_bytes);
	if (r < 0)
		return r;
	uint32_t low = 0, high[2] = {sides[0].count, sides[1].count};
	while (low < high[0] && low < high[1] && same_line(&sides[0], low, &sides[1], low))
		low++;
	while (high[0] > low && high[1] > low &&
		same_line(&sides[0], high[0] - 1, &sides[1], high[1] - 1))
		high[0]--, high[1]--;
	r = number_lines(sides, low, high);
	if (r == 0)
		r = search_script(sides);
	if (r == 0)
		slide_all(sides);
	return r;
}

/* ---- hunks ---- */

struct hunk {
	uint32_t a_low, a_high, b_low, b_high;
};

static void put_line(FILE *to, char mark, const struct side *side, uint32_t line)
{
	uint32_t bytes = line_bytes(side, line);
	const char *text = line_text(side, line);
	putc_unlocked(mark, to);
	fwrite_unlocked(text, 1, bytes, to);
	if (text[bytes - 1] != '\n')
		fputs_unlocked("\n\\ No newline at end of file\n", to);
}

static void put_range(FILE *to, char sign, uint32_t low, uint32_t high)
{
	/* An empty range is said to stand behind the line before it. */
	uint32_t count = high - low, first = count ? low + 1 : low;
	if (count == 1)
		fprintf(to, "%c%u", sign, first);
	else
		fprintf(to, "%c%u,%u", sign, first, count);
}

/* The nearest line above that begins like a definition: searched only as far as the hunk before. */
static void put_heading(FILE *to, const struct side *side, uint32_t from, uint32_t *seen)
{
	enum { HEADING_BYTES = 80 };
	for (uint32_t i = from; i > *seen; i--) {
		const char *text = line_text(side, i - 1);
		unsigned char c = (unsigned char)text[0] | 0x20;
		if (!(c >= 'a' && c <= 'z') && text[0] != '_' && text[0] != '$')
			continue;
		uint32_t bytes = line_bytes(side, i - 1);
		if (bytes > HEADING_BYTES)
			bytes = HEADING_BYTES;
		while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]))
			bytes--;
		putc_unlocked(' ', to);
		fwrite_unlocked(text, 1, bytes, to);
		break;
	}
	*seen = from;
}

static void put_hunk(FILE *to, const struct side sides[2], const struct hunk *hunk, uint32_t *seen)
{
	fputs_unlocked("@@ ", to);
	put_range(to, '-', hunk->a_low, hunk->a_high);
	putc_unlocked(' ', to);
	put_range(to, '+', hunk->b_low, hunk->b_high);
	fputs_unlocked(" @@", to);
	put_heading(to, &sides[0], hunk->a_low, seen);
	putc_unlocked('\n', to);
	for (uint32_t i = hunk->a_low, j = hunk->b_low; i < hunk->a_high || j < hunk->b_high;) {
		if (sides[0].changed[i])
			put_line(to, '-', &sides[0], i++);
		else if (sides[1].changed[j])
			put_line(to, '+', &sides[1], j++);
		else
			put_line(to, ' ', &sides[0], i++), j++;
	}
}

static bool put_hunks(FILE *to, const struct side sides[2], unsigned context)
{
	const struct side *a = &sides[0], *b = &sides[1];
	struct hunk hunk = {0};
	bool any = false;
	uint32_t seen = 0;
	for (uint32_t i = 0, j = 0; i < a->count || j < b->count;) {
		if (!a->changed[i] && !b->changed[j]) {
			i++, j++;
			continue;
		}
		uint32_t lead = i < context ? i : context;
		if (any && i - lead <= hunk.a_high) {
			hunk.a_high = i;
		} else {
			if (any)
				put_hunk(to, sides, &hunk, &seen);
			hunk = (struct hunk){.a_low = i - lead, .b_low = j - lead};
		}
		any = true;
		while (a->changed[i])
			i++;
		while (b->changed[j])
			j++;
		uint32_t tail = a->count - i < context ? a->count - i : context;
		hunk.a_high = i + tail;
		hunk.b_high = j + tail;
	}
	if (any)
		put_hunk(to, sides, &hunk, &seen);
	return any;
}

int text_diff(const char *before, size_t before_bytes, const char *after, size_t after_bytes,
	unsigned context, FILE *to, struct error *error)
{
	struct side sides[2] = {0};
	int r = find_changes(sides, before, before_bytes, after, after_bytes);
	if (r < 0)
		error_set_errno(error, -r, "diff", "a text");
	else
		r = put_hunks(
			to, sides, context < MAX_TEXT_DIFF_LINES ? context : MAX_TEXT_DIFF_LINES);
	if (r >= 0 && ferror(to))
		r = error_set_errno(error, EIO, "diff", "writing");
	release(&sides[0]);
	release(&sides[1]);
	return r;
}

int text_diff_count(const char *before, size_t before_bytes, const char *after, size_t after_bytes,
	struct text_counts *ret)
{
	struct side sides[2] = {0};
	*ret = (struct text_counts){0};
	int r = find_changes(sides, before, before_bytes, after, after_bytes);
	for (uint32_t i = 0; r == 0 && i < sides[0].count; i++)
		ret->deletions += sides[0].changed[i];
	for (uint32_t i = 0; r == 0 && i < sides[1].count; i++)
		ret->insertions += sides[1].changed[i];
	release(&sides[0]);
	release(&sides[1]);
	return r;
}
