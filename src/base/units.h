/* What people write for sizes, times and counts: 512M, 1.5G, 30s, 2h, 10k. */
#ifndef COFFER_BASE_UNITS_H
#define COFFER_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes. Suffixes B K M G T, each also with iB or B; powers of 1024; a fraction is allowed.
 * 0, or -EINVAL (not such a thing), or -ERANGE. */
int units_parse_bytes(const char *text, uint64_t *ret_bytes);
/* Milliseconds. Suffixes ms s m h d; a bare number is seconds. Errors as above. */
int units_parse_duration(const char *text, uint64_t *ret_ms);
/* A plain count with an optional k or M (powers of 1000). Errors as above. */
int units_parse_count(const char *text, uint64_t *ret_count);
/* "1.5 MiB" into text. */
void units_format_bytes(uint64_t bytes, char *text, size_t text_bytes);

#endif
