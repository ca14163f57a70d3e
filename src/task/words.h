/* What the commands of coffer-task say. */
#ifndef COFFER_TASK_WORDS_H
#define COFFER_TASK_WORDS_H

#include "base/error.h"

#include <stdio.h>

/* Strangers' words reach a terminal only this way: what it would act on is escaped, newlines and
 * tabs are kept. */
void words_put(FILE *to, const char *text);
/* "coffer: text" and a newline, on standard error. */
void words_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The error's message, and its hint on a line of its own. */
void words_complain_error(const struct error *error);

#endif
