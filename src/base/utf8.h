/* UTF-8 that somebody else wrote. */
#ifndef COFFER_BASE_UTF8_H
#define COFFER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the valid sequence at s (NUL-terminated), or 0. Overlong forms and surrogates are
 * invalid. */
size_t utf8_sequence(const unsigned char *s);
/* The character of a valid sequence. */
unsigned utf8_character(const unsigned char *s, size_t length);
/* Whether a terminal would do something else with a character than show it where it stands: control
 * codes (C0, DEL, C1), line separators, what is not seen, and what turns the direction of the text
 * around it. */
bool utf8_is_control(unsigned character);

#endif
