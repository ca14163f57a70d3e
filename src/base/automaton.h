/* Many patterns, looked for in a stream of bytes in one pass.
 *
 * A pattern is a graph that its maker draws: nodes, joined by edges that take one byte. Loops and
 * alternatives are edges like any other, so that "a, or %61, or %2561" is one pattern. All begin at
 * AUTOMATON_ROOT, anywhere in the stream. */
#ifndef COFFER_BASE_AUTOMATON_H
#define COFFER_BASE_AUTOMATON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct automaton;

enum { AUTOMATON_ROOT = 0 };

int automaton_new(struct automaton **ret);
void automaton_free(struct automaton *automaton); /* wipes what it holds: patterns may be secret */

/* ---- drawing ---- Errors (-ENOMEM, -E2BIG) are kept, and told by automaton_seal(). */

uint32_t automaton_node(struct automaton *automaton);
void automaton_edge(struct automaton *automaton, uint32_t from, unsigned char byte, uint32_t to);
void automaton_edges(struct automaton *automaton, uint32_t from, const char *bytes, uint32_t to);
/* A chain of new nodes below `from`; returns the last. */
uint32_t automaton_chain(
	struct automaton *automaton, uint32_t from, const void *data, size_t length_bytes);
/* The stream up to here holds the pattern `value` (not 0). */
void automaton_accept(struct automaton *automaton, uint32_t node, uint32_t value);
/* Nothing more is drawn. */
int automaton_seal(struct automaton *automaton);

/* ---- looking ---- */

/* One stream's place in it. An automaton has any number of these; they are for one thread. */
struct automaton_cursor {
	struct automaton *automaton;
	uint32_t state;
	struct automaton_cursor *next, *previous;
};
void automaton_begin(struct automaton_cursor *cursor, struct automaton *automaton);
void automaton_end(struct automaton_cursor *cursor); /* also of one that never began: all zero */
/* Back to where nothing has been seen. */
void automaton_restart(struct automaton_cursor *cursor);

/* Goes on until a pattern has ended or the data has; returns how much of it was taken. Whether one
 * has ended with the last byte taken is what automaton_accepted() says. */
size_t automaton_run(struct automaton_cursor *cursor, const char *data, size_t length_bytes);
/* The values of the patterns that have ended here: at most `room` of them, without order. */
size_t automaton_accepted(const struct automaton_cursor *cursor, uint32_t *ret, size_t room);
/* The length of the longest beginning of a pattern that ends here, where patterns are chains; with
 * loops, how far it is from the root. */
size_t automaton_depth(const struct automaton_cursor *cursor);

/* Memory was short while looking: what was said since then counts for nothing. 0 or -errno. */
int automaton_error(const struct automaton *automaton);

/* The pattern `value` ends with data's last byte: where the longest way of it there begins. SIZE_MAX:
 * it does not end there, or began before the data does (or memory is short). */
size_t automaton_first_byte(
	struct automaton *automaton, uint32_t value, const char *data, size_t length_bytes);

#endif
