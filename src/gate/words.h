/* The names of programs that the gate knows something about: the part of it that is linked into
 * the front, so that an ordinary command costs a run no second program. */
#ifndef COFFER_GATE_WORDS_H
#define COFFER_GATE_WORDS_H

#include <stdbool.h>

/* Whether a program of this name (no slashes) needs a look at its arguments: it is in one of the
 * tables of gate/classify.h, or a shell, interpreter or wrapper. Everything else is CLASS_ORDINARY
 * whatever its arguments are. */
bool word_needs_a_look(const char *name);
/* Whether a first word names a program by a place that is none of the system's: what that is, and
 * whether it is a script that runs others, only a look tells. */
bool word_is_foreign(const char *word);

#endif
