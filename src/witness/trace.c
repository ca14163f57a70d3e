/* Theory of operation. A text is cleaned of what only a terminal wants and cut into lines. Each
 * line is offered to the parsers whose needle it holds, then to the patterns of one-line
 * diagnostics; a parser that knows it takes it, and as many of the following as belong to it. What
 * is found is kept in the order in which it was printed, and at the end sorted stably by rank: what
 * made everything else happen, then failures, then what only sums them up ("make: *** Error 2"). */
#include "witness/trace_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct traces *traces_new(void)
{
	return calloc(1, sizeof(struct traces));
}

void traces_free(struct traces *traces)
{
	if (!traces)
		return;
	for (size_t i = 0; i < traces->count; i++)
		free(traces->items[i]);
	for (size_t i = 0; i < traces->texts_count; i++)
		free(traces->texts[i]);
	json_decref(traces->processes);
	free(traces);
}

size_t traces_count(const struct traces *traces)
{
	return traces->count;
}

/* ---- the reader ---- */

struct slice reader_line(const struct trace_reader *reader, size_t offset)
{
	size_t left = reader->count - reader->at;
	return offset < left ? reader->lines[reader->at + offset] : (struct slice){0};
}

bool reader_is_at_end(const struct trace_reader *reader)
{
	return reader->at >= reader->count;
}

struct slice reader_take(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	if (!reader_is_at_end(reader))
		reader->at++;
	return line;
}

/* ---- one failure ---- */

struct trace trace_begin(const char *family, struct slice kind, struct slice message)
{
	return (struct trace){.family = family,
		.kind = slice_trim(kind),
		.message = slice_trim(message),
		.rank = RANK_CAUSE,
		.seen = 1};
}

void trace_add_frame(struct trace *trace, const struct trace_frame *frame)
{
	if (trace->frames_count < MAX_TRACE_FRAMES)
		trace->frames[trace->frames_count++] = *frame;
	else
		trace->frames_lost++;
}

void trace_push_frame(struct trace *trace, const struct trace_frame *frame)
{
	if (trace->frames_count == MAX_TRACE_FRAMES) {
		trace->frames_count--;
		trace->frames_lost++;
	}
	memmove(trace->frames + 1, trace->frames, trace->frames_count * sizeof(*frame));
	trace->frames[0] = *frame;
	trace->frames_count++;
}

/* ---- fingerprints ---- */

/* FNV-1a. Nobody gains by a collision but the program whose failure it is. */
void hash_bytes(uint64_t *hash, const void *data, size_t length_bytes)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < length_bytes; i++)
		*hash = (*hash ^ bytes[i]) * 0x100000001b3;
}

static bool is_hexadecimal(struct slice word)
{
	bool digit = false;
	for (size_t i = 0; i < word.length; i++) {
		if (!isxdigit((unsigned char)word.data[i]))
			return false;
		digit = digit || isdigit((unsigned char)word.data[i]);
	}
	return digit && word.length >= 6;
}

static bool is_word_byte(unsigned char c)
{
	return isalnum(c) || c == '_' || c >= 0x80;
}

/* What differs from run to run and from line to line is left out: numbers, addresses, hashes, and
 * paths but for their last part. */
static void hash_normalized(uint64_t *hash, struct slice text)
{
	text = slice_until(text, MAX_TRACE_MESSAGE_BYTES);
	for (size_t i = 0; i < text.length;) {
		struct slice word = slice_from(text, i);
		size_t length = 0;
		while (length < word.length && is_word_byte((unsigned char)word.data[length]))
			length++;
		word = slice_until(word, length);
		i += length;
		if (is_hexadecimal(word) || slice_starts(word, "0x")) {
			hash_bytes(hash, "@", 1);
		} else {
			for (size_t k = 0; k < word.length; k++) {
				bool digit = isdigit((unsigned char)word.data[k]);
				bool again = digit && k && isdigit((unsigned char)word.data[k - 1]);
				if (!again)
					hash_bytes(hash, digit ? "#" : word.data + k, 1);
			}
		}
		if (length == 0) {
			hash_bytes(hash, text.data + i, 1);
			i++;
		}
	}
	hash_bytes(hash, "", 1);
}

static struct slice last_part(struct slice path)
{
	struct slice above;
	slice_split_last(path, "/", &above, &path);
	return path;
}

/* Words with a slash at their beginning are paths: /tmp/x1/a.c is a.c. */
static void hash_message(uint64_t *hash, struct slice message)
{
	message = slice_until(message, MAX_TRACE_MESSAGE_BYTES);
	while (message.length) {
		size_t length = 0;
		while (length < message.length &&
			!strchr(" \t\n'\"`()[]<>,;=", message.data[length]))
			length++;
		struct slice word = slice_until(message, length);
		hash_normalized(hash, slice_starts(word, "/") ? last_part(word) : word);
		message = slice_from(message, length ? length : 1);
	}
}

static void set_fingerprint(struct trace *trace)
{
	uint64_t hash = HASH_START;
	hash_bytes(&hash, trace->family, strlen(trace->family) + 1);
	hash_normalized(&hash, trace->kind);
	hash_message(&hash, trace->message);
	hash_message(&hash, trace->test);
	for (size_t i = 0; i < trace->frames_count; i++) {
		hash_normalized(&hash, trace->frames[i].function);
		hash_normalized(&hash, last_part(trace->frames[i].file));
	}
	trace->fingerprint = hash;
}

/* ---- the list ---- */

static bool is_again(const struct trace *a, const struct trace *b)
{
	return a->fingerprint == b->fingerprint && a->frames[0].line == b->frames[0].line &&
	       slice_same(a->test, b->test);
}

/* pytest writes Class.test above and Class::test in its summary. */
static char next_of_test(struct slice *test)
{
	char c = test->data[0];
	if (slice_skip(test, "::"))
		return '.';
	*test = slice_from(*test, 1);
	return c;
}

static bool is_same_test(struct slice a, struct slice b)
{
	while (a.length && b.length)
		if (next_of_test(&a) != next_of_test(&b))
			return false;
	return a.length == b.length;
}

/* A line of a summary names a test whose failure was told in full. */
static bool is_summed_up(const struct traces *traces, const struct trace *trace)
{
	if (trace->rank != RANK_SUMMARY || !trace->test.length)
		return false;
	for (size_t i = 0; i < traces->count; i++)
		if (is_same_test(traces->items[i]->test, trace->test))
			return true;
	return false;
}

static struct trace *keep(struct traces *traces, const struct trace *trace)
{
	struct trace *kept = malloc(sizeof(*kept));
	if (!kept)
		return NULL;
	*kept = *trace;
	traces->items[traces->count++] = kept;
	return kept;
}

void reader_add(struct trace_reader *reader, struct trace *trace)
{
	struct traces *traces = reader->traces;
	trace->stream = reader->stream;
	set_fingerprint(trace);
	reader->last = NULL;
	reader->follows = FOLLOWS_NOTHING;
	if (is_summed_up(traces, trace))
		return;
	for (size_t i = 0; i < traces->count; i++)
		if (is_again(traces->items[i], trace)) {
			traces->items[i]->seen++;
			return;
		}
	if (traces->count == MAX_TRACES) {
		traces->more++;
		return;
	}
	reader->last = keep(traces, trace);
	reader->failed = !reader->last;
}

void reader_add_cause(struct trace_reader *reader, struct trace *trace)
{
	struct traces *traces = reader->traces;
	struct trace *effect = reader->last;
	reader_add(reader, trace);
	if (!effect || !reader->last)
		return;
	effect->follows = FOLLOWS_RAISED_FROM;
	size_t at = traces->count - 1;
	for (; at > 0 && traces->items[at] != effect; at--)
		traces->items[at] = traces->items[at - 1];
	traces->items[at + 1] = effect;
	traces->items[at] = reader->last;
}

static int rank_order(const struct trace *a, const struct trace *b)
{
	return (int)a->rank - (int)b->rank;
}

/* Stable, and of a list that is short and mostly in order. */
static void sort(struct traces *traces)
{
	for (size_t i = 1; i < traces->count; i++) {
		struct trace *moved = traces->items[i];
		size_t k = i;
		for (; k > 0 && rank_order(traces->items[k - 1], moved) > 0; k--)
			traces->items[k] = traces->items[k - 1];
		traces->items[k] = moved;
	}
}

/* ---- what parsers ask of words ---- */

bool is_name(struct slice word)
{
	if (!word.length || isdigit((unsigned char)word.data[0]))
		return false;
	for (size_t i = 0; i < word.length; i++) {
		unsigned char c = (unsigned char)word.data[i];
		if (!is_word_byte(c) && c != '.' && c != '$' && c != ':')
			return false;
	}
	return true;
}

bool split_kind(struct slice line, struct slice *ret_kind, struct slice *ret_message)
{
	struct slice kind = line, message = {0};
	slice_split(line, ": ", &kind, &message);
	if (message.data == NULL && slice_ends(kind, ":"))
		kind.length--;
	/* Node puts a code behind the name: TypeError [ERR_INVALID_ARG_TYPE]: ... */
	struct slice name = kind, code;
	if (slice_ends(kind, "]"))
		slice_split(kind, " [", &name, &code);
	if (!is_name(name))
		return false;
	*ret_kind = kind;
	*ret_message = message;
	return true;
}

bool frame_of_place(struct slice place, struct trace_frame *ret)
{
	struct slice file, last, number;
	unsigned value;
	if (!slice_split_last(place, ":", &file, &last) || !slice_skip_number(&last, &value) ||
		last.length)
		return false;
	*ret = (struct trace_frame){.file = file, .line = value};
	if (slice_split_last(file, ":", &file, &number) && slice_skip_number(&number, &value) &&
		!number.length)
		*ret = (struct trace_frame){.file = file, .line = value, .column = ret->line};
	return ret->file.length > 0;
}

/* ---- reading ---- */

static bool offer(struct trace_reader *reader)
{
	struct slice line = reader_line(reader, 0);
	for (size_t i = 0; i < trace_parsers_count; i++) {
		const struct trace_parser *parser = &trace_parsers[i];
		size_t at = reader->at;
		if (!slice_contains(line, parser->needle))
			continue;
		if (parser->parse(reader))
			return true;
		reader->at = at;
	}
	return trace_match_patterns(reader);
}

int traces_read(struct traces *traces, const char *stream, const char *text, size_t length_bytes)
{
	if (length_bytes > MAX_TRACE_TEXT_BYTES) {
		text += length_bytes - MAX_TRACE_TEXT_BYTES;
		length_bytes = MAX_TRACE_TEXT_BYTES;
	}
	if (traces->texts_count == sizeof(traces->texts) / sizeof(traces->texts[0]))
		return -E2BIG;
	char *copy = malloc(length_bytes + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, length_bytes);
	traces->texts[traces->texts_count++] = copy;
	length_bytes = text_clean(copy, length_bytes);
	struct trace_reader reader = {.traces = traces, .stream = stream, .bare_at = SIZE_MAX};
	struct slice *lines = text_lines(copy, length_bytes, &reader.count);
	if (!lines)
		return -ENOMEM;
	reader.lines = lines;
	while (!reader_is_at_end(&reader) && !reader.failed)
		if (!offer(&reader))
			reader.at++;
	free(lines);
	sort(traces);
	return reader.failed ? -ENOMEM : 0;
}

int traces_end(struct traces *traces, const struct trace_ending *ending)
{
	struct trace_reader reader = {.traces = traces};
	struct trace trace =
		trace_begin("process", slice_of(ending->kind), slice_of(ending->message));
	char *message = strdup(ending->message);
	if (!message)
		return -ENOMEM;
	if (traces->texts_count == sizeof(traces->texts) / sizeof(traces->texts[0])) {
		free(message);
		return -E2BIG;
	}
	traces->texts[traces->texts_count++] = message;
	trace.message = slice_of(message);
	trace.rank = ending->first ? RANK_ORIGIN : RANK_ENDING;
	if (traces->count == MAX_TRACES) { /* how it ended is always told */
		free(traces->items[--traces->count]);
		traces->more++;
	}
	reader_add(&reader, &trace);
	if (ending->processes) {
		json_decref(traces->processes);
		traces->processes = json_incref((json_t *)ending->processes);
	}
	sort(traces);
	return reader.failed ? -ENOMEM : 0;
}
