/* What a result keeps of a stream: its beginning, its end, and how much there was. */
#ifndef COFFER_SESSION_KEPT_H
#define COFFER_SESSION_KEPT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct kept {
	char *head, *tail; /* tail is a ring */
	size_t head_max_bytes, tail_max_bytes;
	size_t head_bytes;
	uint64_t bytes; /* that came in all */
};

/* Of max_bytes, half head and half tail; all of it head where from_the_start is set. */
int kept_init(struct kept *kept, size_t max_bytes, int from_the_start);
void kept_add(struct kept *kept, const char *data, size_t length_bytes);
/* {"bytes":N,"text"|"base64":...}, and where the middle is missing "dropped_bytes" and
 * "tail":{"text"|"base64":...}. NULL: out of memory. */
json_t *kept_json(const struct kept *kept);
/* What was kept as one string, U+FFFD for what is no UTF-8; where the middle is missing a line says
 * so. NULL: out of memory. */
json_t *kept_text(const struct kept *kept);
void kept_release(struct kept *kept);

#endif
