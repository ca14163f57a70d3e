/* Text of strangers, for a person. */
#ifndef COFFER_TASK_WORDS_H
#define COFFER_TASK_WORDS_H

#include <stdio.h>

/* Strangers' words reach a terminal only this way: what it would act on is escaped, newlines and
 * tabs are kept. */
void words_put(FILE *to, const char *text);
#endif
