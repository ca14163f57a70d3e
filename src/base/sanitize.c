/* Theory of operation. A stream goes through two stages. The first (sanitize_text.c) says what is
 * text and takes control codes out, so that none can be used to tear a path apart; the second, here,
 * looks for patterns: paths, values of secrets, beginnings of well-known keys.
 *
 * Patterns are chains of one automaton. Most of a stream is skipped by a table of pairs of bytes with
 * which patterns begin. From such a pair on bytes are held as long as they are the beginning of a
 * pattern (the automaton's depth says how many); what is complete is replaced once no pattern that
 * began earlier, or is longer, can still come: the leftmost, and of those the longest.
 *
 * A path ends where a component does: the byte after it is part of the pattern and is given back. */
#include "base/sanitize.h"

#include "base/automaton.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sanitize_text.h"
#include "base/secret_shapes.h"

#include <ctype.h>
#include <string.h>

enum pattern_kind { PATTERN_PATH, PATTERN_SECRET, PATTERN_SHAPE };

struct pattern {
	enum pattern_kind kind;
	char *bytes; /* a path, a value, or a shape's prefix */
	char *replacement;
	size_t length_bytes;
	const struct secret_shape *shape;
};

/* What the automaton accepts with: a pattern, and what was read after it. The last two count only
 * where the stream ends. */
enum trail { TRAIL_NONE, TRAIL_BYTE, TRAIL_DOT_BYTE, TRAIL_END, TRAIL_DOT_END, TRAILS };
static const size_t trail_bytes[TRAILS] = {
	[TRAIL_BYTE] = 1, [TRAIL_DOT_BYTE] = 2, [TRAIL_DOT_END] = 1};

struct candidate {
	const struct pattern *pattern; /* NULL: there is none */
	size_t begin;                  /* in pending */
};

struct sanitizer {
	struct text text;
	struct automaton *automaton;
	struct automaton_cursor cursor;
	struct pattern *patterns;
	size_t patterns_count;
	uint8_t pairs[65536 / 8];
	bool firsts[256];

	struct buffer pending; /* may be a pattern's beginning */
	struct buffer again;   /* to be looked at once more, after a replacement */
	struct candidate best, at_end;
	bool has_before;
	unsigned char before; /* the byte before pending */
	bool binary;
	const struct secret_shape *swallowing; /* what follows belongs to it */
	struct shape_end shape_end;

	struct sanitize_counts counts;
	struct buffer *to;
};

/* ---- patterns ---- */

static bool is_name_byte(unsigned char byte)
{
	return isalnum(byte) || byte >= 0x80 || strchr("_-+~@%", byte);
}

static void mark_beginning(struct sanitizer *sanitizer, const char *bytes)
{
	unsigned pair = (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
	sanitizer->pairs[pair / 8] |= (uint8_t)(1 << pair % 8);
	sanitizer->firsts[(unsigned char)bytes[0]] = true;
}

/* Takes replacement (NULL: no memory). */
static int add_pattern(struct sanitizer *sanitizer, enum pattern_kind kind, const char *bytes,
	size_t length_bytes, char *replacement, const struct secret_shape *shape)
{
	struct pattern *patterns = reallocarray(
		sanitizer->patterns, sanitizer->patterns_count + 1, sizeof(*patterns));
	char *copy = malloc(length_bytes + 1);
	if (patterns)
		sanitizer->patterns = patterns;
	if (!patterns || !copy || !replacement) {
		free(copy);
		free(replacement);
		return -ENOMEM;
	}
	memcpy(copy, bytes, length_bytes);
	mark_beginning(sanitizer, bytes);
	patterns[sanitizer->patterns_count++] = (struct pattern){.kind = kind,
		.bytes = copy,
		.replacement = replacement,
		.length_bytes = length_bytes + (shape ? shape->least_bytes : 0),
		.shape = shape};
	return 0;
}

static int add_path(struct sanitizer *sanitizer, const struct sanitize_pair *pair)
{
	size_t length = strlen(pair->from);
	while (length && pair->from[length - 1] == '/')
		length--;
	if (length < 2)
		return 0; /* the root is everybody's */
	return add_pattern(
		sanitizer, PATTERN_PATH, pair->from, length, strdup(pair->to), NULL);
}

static char *in_brackets(const char *name)
{
	char *text;
	return asprintf(&text, "[%s]", name) < 0 ? NULL : text;
}

static int add_secret(struct sanitizer *sanitizer, const struct sanitize_secret *secret)
{
	if (secret->length_bytes < 2)
		return 0;
	return add_pattern(sanitizer, PATTERN_SECRET, secret->value, secret->length_bytes,
		in_brackets(secret->name), NULL);
}

static int add_shape(struct sanitizer *sanitizer, const struct secret_shape *shape)
{
	return add_pattern(sanitizer, PATTERN_SHAPE, shape->prefix, strlen(shape->prefix),
		in_brackets(shape->name), shape);
}

/* ---- drawing ---- Only once a pair was seen: most streams of most boxes have none. */

static uint32_t value_of(size_t pattern, enum trail trail)
{
	return (uint32_t)(pattern * TRAILS + trail + 1);
}

static void draw_border(struct automaton *automaton, uint32_t end, size_t pattern)
{
	uint32_t dot = automaton_node(automaton);
	uint32_t byte_after = automaton_node(automaton), after_dot = automaton_node(automaton);
	automaton_accept(automaton, end, value_of(pattern, TRAIL_END));
	automaton_accept(automaton, dot, value_of(pattern, TRAIL_DOT_END));
	automaton_accept(automaton, byte_after, value_of(pattern, TRAIL_BYTE));
	automaton_accept(automaton, after_dot, value_of(pattern, TRAIL_DOT_BYTE));
	automaton_edge(automaton, end, '.', dot);
	for (unsigned byte = 0; byte < 256; byte++) {
		if (byte && is_name_byte((unsigned char)byte))
			continue;
		if (byte != '.')
			automaton_edge(automaton, end, (unsigned char)byte, byte_after);
		automaton_edge(automaton, dot, (unsigned char)byte, after_dot); /* a sentence's */
	}
}

static uint32_t draw_shape(
	struct automaton *automaton, uint32_t node, const struct secret_shape *shape)
{
	for (size_t i = 0; i < shape->least_bytes; i++) {
		uint32_t next = automaton_node(automaton);
		for (unsigned byte = 1; byte < 128; byte++)
			if (secret_shape_takes(shape, (unsigned char)byte))
				automaton_edge(automaton, node, (unsigned char)byte, next);
		node = next;
	}
	return node;
}

static int draw(struct sanitizer *sanitizer)
{
	int r = automaton_new(&sanitizer->automaton);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sanitizer->patterns_count; i++) {
		const struct pattern *pattern = &sanitizer->patterns[i];
		size_t more = pattern->shape ? pattern->shape->least_bytes : 0;
		uint32_t node = automaton_chain(sanitizer->automaton, AUTOMATON_ROOT,
			pattern->bytes, pattern->length_bytes - more);
		if (pattern->shape)
			node = draw_shape(sanitizer->automaton, node, pattern->shape);
		if (pattern->kind == PATTERN_PATH)
			draw_border(sanitizer->automaton, node, i);
		else
			automaton_accept(sanitizer->automaton, node, value_of(i, TRAIL_NONE));
	}
	r = automaton_seal(sanitizer->automaton);
	if (r == 0)
		automaton_begin(&sanitizer->cursor, sanitizer->automaton);
	return r;
}

/* ---- the second stage ---- */

static void give(struct sanitizer *sanitizer, const char *data, size_t length)
{
	if (!length)
		return;
	buffer_append(sanitizer->to, data, length);
	sanitizer->has_before = true;
	sanitizer->before = (unsigned char)data[length - 1];
}

static void drop_pending(struct sanitizer *sanitizer, size_t count)
{
	struct buffer *pending = &sanitizer->pending;
	memmove(pending->data, pending->data + count, pending->length_bytes - count);
	pending->length_bytes -= count;
	if (sanitizer->best.pattern)
		sanitizer->best.begin -= count;
	if (sanitizer->at_end.pattern)
		sanitizer->at_end.begin -= count;
}

/* Puts the replacement; what follows it in pending is looked at anew, from the start. */
static void replace(struct sanitizer *sanitizer, const struct candidate *candidate)
{
	const struct pattern *pattern = candidate->pattern;
	struct buffer *pending = &sanitizer->pending;
	size_t end = candidate->begin + pattern->length_bytes;
	give(sanitizer, pending->data, candidate->begin);
	if (sanitizer->binary) {
		for (size_t i = 0; i < pattern->length_bytes; i++)
			give(sanitizer, "*", 1);
	} else {
		give(sanitizer, pattern->replacement, strlen(pattern->replacement));
	}
	sanitizer->counts.paths += pattern->kind == PATTERN_PATH;
	sanitizer->counts.secrets += pattern->kind == PATTERN_SECRET;
	sanitizer->counts.recognized += pattern->kind == PATTERN_SHAPE;
	if (pattern->shape) {
		sanitizer->swallowing = pattern->shape;
		sanitizer->shape_end = (struct shape_end){0};
	}
	buffer_append(&sanitizer->again, pending->data + end, pending->length_bytes - end);
	pending->length_bytes = 0;
	sanitizer->best = sanitizer->at_end = (struct candidate){0};
	automaton_restart(&sanitizer->cursor);
}

/* A key's prefix counts where a word begins; nothing but values is replaced in what is no text. */
static bool qualifies(const struct sanitizer *sanitizer, const struct candidate *candidate)
{
	if (sanitizer->binary)
		return candidate->pattern->kind == PATTERN_SECRET;
	if (candidate->pattern->kind != PATTERN_SHAPE)
		return true;
	if (!candidate->begin && !sanitizer->has_before)
		return true;
	unsigned char before = candidate->begin
				       ? (unsigned char)sanitizer->pending.data[candidate->begin - 1]
				       : sanitizer->before;
	return !isalnum(before) && before != '_';
}

static void consider(struct sanitizer *sanitizer)
{
	uint32_t values[64];
	size_t found =
		automaton_accepted(&sanitizer->cursor, values, ARRAY_SIZE(values));
	for (size_t i = 0; i < found; i++) {
		enum trail trail = (values[i] - 1) % TRAILS;
		const struct pattern *pattern = &sanitizer->patterns[(values[i] - 1) / TRAILS];
		size_t read = pattern->length_bytes + trail_bytes[trail];
		if (read > sanitizer->pending.length_bytes)
			continue; /* began before what was given out */
		struct candidate candidate = {
			.pattern = pattern, .begin = sanitizer->pending.length_bytes - read};
		struct candidate *best =
			trail >= TRAIL_END ? &sanitizer->at_end : &sanitizer->best;
		if (!qualifies(sanitizer, &candidate))
			continue;
		if (!best->pattern || candidate.begin < best->begin ||
			(candidate.begin == best->begin &&
				pattern->length_bytes > best->pattern->length_bytes))
			*best = candidate;
	}
}

/* One byte that may be of a pattern. */
static void step(struct sanitizer *sanitizer, char byte)
{
	struct buffer *pending = &sanitizer->pending;
	int r = sanitizer->automaton ? automaton_error(sanitizer->automaton) : draw(sanitizer);
	if (r < 0) { /* nothing goes out that was not looked at */
		sanitizer->to->error = r;
		return;
	}
	buffer_append(pending, &byte, 1);
	sanitizer->at_end = (struct candidate){0};
	automaton_run(&sanitizer->cursor, &byte, 1);
	consider(sanitizer);
	size_t depth = automaton_depth(&sanitizer->cursor);
	size_t live = depth < pending->length_bytes ? pending->length_bytes - depth : 0;
	if (sanitizer->best.pattern && live > sanitizer->best.begin) {
		struct candidate best = sanitizer->best;
		replace(sanitizer, &best);
	} else if (!sanitizer->best.pattern && live) {
		give(sanitizer, pending->data, live);
		drop_pending(sanitizer, live);
	}
}

/* How much of data certainly begins no pattern. */
static size_t skip(const struct sanitizer *sanitizer, const char *data, size_t length)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t i = 0;
	for (; i + 1 < length; i++) {
		unsigned pair = (unsigned)p[i] << 8 | p[i + 1];
		if (sanitizer->pairs[pair / 8] >> pair % 8 & 1)
			return i;
	}
	return i < length && !sanitizer->firsts[p[i]] ? length : i;
}

/* Goes on until something was replaced; returns how much was taken. */
static size_t run(struct sanitizer *sanitizer, const char *data, size_t length)
{
	size_t i = 0;
	while (i < length && !sanitizer->again.length_bytes) {
		if (sanitizer->swallowing) {
			size_t taken = secret_shape_swallow(sanitizer->swallowing,
				&sanitizer->shape_end, data + i, length - i);
			i += taken;
			if (i < length)
				sanitizer->swallowing = NULL;
			continue;
		}
		if (!sanitizer->pending.length_bytes) {
			size_t skipped = skip(sanitizer, data + i, length - i);
			give(sanitizer, data + i, skipped);
			i += skipped;
		}
		if (i < length)
			step(sanitizer, data[i++]);
	}
	return i;
}

/* The same for what has to be looked at again after a replacement, and what comes after that. */
static void run_again(struct sanitizer *sanitizer)
{
	while (sanitizer->again.length_bytes) {
		struct buffer again = sanitizer->again;
		sanitizer->again = (struct buffer)BUFFER_INIT(again.max_bytes);
		size_t used = run(sanitizer, again.data, again.length_bytes);
		buffer_append(&sanitizer->again, again.data + used, again.length_bytes - used);
		buffer_release(&again);
	}
}

static void look(struct sanitizer *sanitizer, const char *data, size_t length)
{
	for (size_t used = 0; used < length;) {
		used += run(sanitizer, data + used, length - used);
		run_again(sanitizer);
	}
}

/* Nothing more comes, or not soon: what is complete is replaced, the rest is given out. */
static void give_pending(struct sanitizer *sanitizer)
{
	while (sanitizer->pending.length_bytes) {
		struct candidate best = sanitizer->best, at_end = sanitizer->at_end;
		if (at_end.pattern && (!best.pattern || at_end.begin <= best.begin))
			best = at_end;
		if (best.pattern) {
			replace(sanitizer, &best);
			run_again(sanitizer);
			continue;
		}
		give(sanitizer, sanitizer->pending.data, sanitizer->pending.length_bytes);
		sanitizer->pending.length_bytes = 0;
	}
	if (sanitizer->automaton)
		automaton_restart(&sanitizer->cursor);
	sanitizer->best = sanitizer->at_end = (struct candidate){0};
}

static void finish(struct sanitizer *sanitizer)
{
	give_pending(sanitizer);
	sanitizer->swallowing = NULL;
}

/* From the first stage. */
static void take(void *context, const char *data, size_t length, bool binary)
{
	struct sanitizer *sanitizer = context;
	if (binary && !sanitizer->binary) {
		finish(sanitizer);
		sanitizer->binary = true;
	}
	look(sanitizer, data, length);
}

/* ---- all of it ---- */

int sanitizer_new(const struct sanitize_options *options, struct sanitizer **ret)
{
	struct sanitizer *sanitizer = calloc(1, sizeof(*sanitizer));
	if (!sanitizer)
		return -ENOMEM;
	sanitizer->text = (struct text){.controls = options->controls,
		.terminal = options->terminal,
		.settled = options->terminal || options->controls == SANITIZE_KEEP,
		.held = BUFFER_INIT(2 * TEXT_UNDECIDED_BYTES),
		.pass = take,
		.context = sanitizer};
	sanitizer->pending = (struct buffer)BUFFER_INIT(MAX_SANITIZE_PENDING_BYTES);
	sanitizer->again = (struct buffer)BUFFER_INIT(MAX_SANITIZE_PENDING_BYTES);
	int r = 0;
	for (size_t i = 0; i < options->paths_count && r == 0; i++)
		r = add_path(sanitizer, &options->paths[i]);
	for (size_t i = 0; i < options->secrets_count && r == 0; i++)
		r = add_secret(sanitizer, &options->secrets[i]);
	size_t shapes;
	const struct secret_shape *table = secret_shapes(&shapes);
	for (size_t i = 0; i < shapes && r == 0 && options->recognize; i++)
		r = add_shape(sanitizer, &table[i]);
	if (r < 0) {
		sanitizer_free(sanitizer);
		return r;
	}
	*ret = sanitizer;
	return 0;
}

static void wipe(struct buffer *buffer)
{
	if (buffer->data)
		explicit_bzero(buffer->data, buffer->capacity_bytes);
	buffer_release(buffer);
}

void sanitizer_free(struct sanitizer *sanitizer)
{
	if (!sanitizer)
		return;
	automaton_end(&sanitizer->cursor);
	automaton_free(sanitizer->automaton);
	for (size_t i = 0; i < sanitizer->patterns_count; i++) {
		struct pattern *pattern = &sanitizer->patterns[i];
		size_t more = pattern->shape ? pattern->shape->least_bytes : 0;
		explicit_bzero(pattern->bytes, pattern->length_bytes - more);
		free(pattern->bytes);
		free(pattern->replacement);
	}
	free(sanitizer->patterns);
	wipe(&sanitizer->pending);
	wipe(&sanitizer->again);
	text_release(&sanitizer->text);
	free(sanitizer);
}

void sanitizer_feed(struct sanitizer *sanitizer, const char *data, size_t length_bytes, bool last,
	struct buffer *to)
{
	sanitizer->to = to;
	text_feed(&sanitizer->text, data, length_bytes, last);
	if (!last)
		return;
	finish(sanitizer);
	sanitizer->binary = sanitizer->has_before = false;
	sanitizer->text.settled = sanitizer->text.terminal ||
				  sanitizer->text.controls == SANITIZE_KEEP;
}

void sanitizer_flush(struct sanitizer *sanitizer, struct buffer *to)
{
	sanitizer->to = to;
	text_flush(&sanitizer->text);
	if (sanitizer->text.terminal) {
		give_pending(sanitizer);
	} else if (sanitizer->best.pattern) {
		struct candidate best = sanitizer->best;
		replace(sanitizer, &best);
		run_again(sanitizer);
	}
}

bool sanitizer_holds(const struct sanitizer *sanitizer)
{
	return sanitizer->text.holds || sanitizer->best.pattern ||
	       (sanitizer->text.terminal && sanitizer->pending.length_bytes);
}

void sanitizer_counts(const struct sanitizer *sanitizer, struct sanitize_counts *ret)
{
	*ret = sanitizer->counts;
	ret->controls = sanitizer->text.removed;
}
