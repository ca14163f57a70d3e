/* What the commands say about errors, on standard error. */
#ifndef COFFER_GATE_SAY_H
#define COFFER_GATE_SAY_H

#include "base/error.h"

#include <stdio.h>

/* Strangers' words reach a terminal only this way: control characters are escaped, newlines are
 * kept. */
void say_text(FILE *to, const char *text);
/* "coffer: text" and a newline. */
void say_complaint(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The error's message, and its hint on a line of its own. */
void say_error(const struct error *error);

#endif
