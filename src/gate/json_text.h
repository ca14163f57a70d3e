/* Strings that need not be UTF-8 as JSON, in which each bad byte is U+FFFD. All return new
 * references; NULL: out of memory, or longer than a command may be. */
#ifndef COFFER_GATE_JSON_TEXT_H
#define COFFER_GATE_JSON_TEXT_H

#include "config/config.h"

#include <jansson.h>

json_t *json_text(const char *text); /* NULL: null */
/* Cut after bytes_max, which is said in the text. */
json_t *json_text_max(const char *text, size_t bytes_max);
json_t *json_texts(char *const texts[]);           /* NULL-terminated, or NULL: empty */
const char *json_grant_name(enum grant_kind kind); /* "write", "network", ... */
json_t *json_grants(const struct grant *grants, size_t count);

#endif
