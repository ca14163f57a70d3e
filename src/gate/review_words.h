/* The user's words, read: what the reading and the judging half share. */
#ifndef COFFER_GATE_REVIEW_WORDS_H
#define COFFER_GATE_REVIEW_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct token {
	char *text;  /* lower-case, without the punctuation around it */
	bool quoted; /* by backquotes or quotation marks */
};

struct clause {
	size_t first, count; /* tokens */
	size_t head;         /* the first that is no word of politeness: of tokens */
	unsigned prompt;
	bool negated, conditional;
	bool ordered; /* it may begin with a verb in the imperative */
	bool cancels; /* "never mind": what was said before holds no more */
};

struct user_words {
	struct token *tokens;
	size_t tokens_count, tokens_room;
	struct clause *clauses;
	size_t clauses_count, clauses_room;
	bool overflow; /* then nothing is authorized */
};

/* Whether a token that stands in no quotes is one of a list, separated by blanks. */
bool words_have_any(const struct user_words *words, const struct clause *clause, const char *list);

#endif
