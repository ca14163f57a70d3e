/* What a run was refused, in words: for a person at a terminal, and for an agent. Made from a
 * report alone, never from what a program printed. */
#ifndef COFFER_WITNESS_FEEDBACK_H
#define COFFER_WITNESS_FEEDBACK_H

#include <jansson.h>

enum feedback_form {
	FEEDBACK_BLOCK,   /* at most MAX_FEEDBACK_LINES lines, of what mattered to the command */
	FEEDBACK_NETWORK, /* the same of the network alone, where nobody may be reading */
	FEEDBACK_TEXT,    /* for an agent: what failed, why, and what is still possible */
	FEEDBACK_JSON,    /* the same as one line of JSON */
};

/* Text that is safe for a terminal, each line with its newline; the caller frees. NULL: nothing
 * is to be said (or there is no memory for it). */
char *feedback_make(const json_t *report, enum feedback_form form);

#endif
