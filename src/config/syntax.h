/* A syntax tree of text that a stranger wrote, in memory of its own.
 *
 * The library that builds it trusts its allocator not to fail, and its release 0.20.7 frees a wrong
 * address when a node has more than 65,535 children ("(" 70,000 times is enough). Here it gets a
 * block of bounded size in which nothing is ever freed: what goes wrong in it goes no further, and
 * all of it is given back at once. */
#ifndef COFFER_CONFIG_SYNTAX_H
#define COFFER_CONFIG_SYNTAX_H

#include <stddef.h>
#include <tree_sitter/api.h>

struct syntax {
	TSTree *tree; /* not for ts_tree_delete() */
	void *memory;
	size_t memory_bytes;
};

/* Parses source (UTF-8, or any bytes), which must stay while the tree is used. One at a time: not
 * for two threads. Returns 0, or -ENOMEM, -E2BIG (the tree is larger than its block), -ETIME. */
int syntax_parse(
	const TSLanguage *language, const char *source, size_t length_bytes, struct syntax *ret);
void syntax_close(struct syntax *syntax); /* takes one that was never filled (zero), too */

#endif
