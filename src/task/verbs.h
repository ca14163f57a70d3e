/* What the verbs about layers share. */
#ifndef COFFER_TASK_VERBS_H
#define COFFER_TASK_VERBS_H

#include "base/error.h"
#include "base/strv.h"
#include "layer/layer.h"

#include <stdbool.h>
#include <stdio.h>

enum { VERB_REFUSED = 1, VERB_FAILED = 125 };

/* What a kill has left half done is finished before anything else. */
void verb_begin(void);

/* A file's name may hold anything; a terminal must not be moved by it. */
void verb_put(FILE *to, const char *text);
void verb_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void verb_complain(const struct error *error);

struct verb_flag {
	const char *name;   /* without dashes; one letter: a short one */
	bool *ret_set;      /* of a flag without a value */
	const char **ret_value; /* of one with */
};

/* Takes a command line apart; what is no flag, and all after "--", are words (of argv). *ret_dashes
 * (may be NULL): how many words stood before "--"; all, where there was none. 0; 1: --help was
 * asked for and answered; -EINVAL: complained. */
int verb_options(int argc, char *argv[], const struct verb_flag *flags, size_t flags_count,
	const char *usage, struct strv *ret_words, size_t *ret_dashes);

/* The id of the layer that is meant where none is named: the youngest that lies on the working
 * directory or above it. */
int verb_choose_layer(char ret_id[32], struct error *error);
/* Whether a layer is called that. */
bool verb_is_layer(const char *word);

/* "3 min", for a moment of CLOCK_REALTIME. */
void verb_format_age(uint64_t then_us, char *text, size_t text_bytes);

#endif
