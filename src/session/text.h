/* Bytes of anybody's as JSON. */
#ifndef COFFER_SESSION_TEXT_H
#define COFFER_SESSION_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A JSON string; what is no UTF-8 becomes U+FFFD. NULL: out of memory. */
json_t *json_of_text(const char *text);
/* The same for bytes with a length. NUL is a character like others. */
json_t *json_of_bytes(const char *data, size_t length_bytes);
/* Whether it is UTF-8 throughout. NUL is. */
bool text_is_utf8(const char *data, size_t length_bytes);
/* How many bytes at the end are the beginning of a sequence that is not complete yet: 0 to 3. */
size_t text_incomplete_bytes(const char *data, size_t length_bytes);

/* Base64 (RFC 4648, padded). */
json_t *json_of_base64(const char *data, size_t length_bytes);
/* Its inverse: the caller frees *ret. -EINVAL; -ENOMEM. */
int base64_decode(const char *text, size_t length_bytes, char **ret, size_t *ret_length_bytes);

/* Sets "text" (UTF-8) or "base64" (anything else) in object. 0 or -ENOMEM. */
int json_set_data(json_t *object, const char *data, size_t length_bytes);

#endif
