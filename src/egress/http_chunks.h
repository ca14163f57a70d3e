/* The framing of a chunked body, strictly: what is passed on is framed anew, so only the bytes of
 * the body travel, and neither extensions nor trailers do. */
#ifndef COFFER_EGRESS_HTTP_CHUNKS_H
#define COFFER_EGRESS_HTTP_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_CHUNK_DIGITS_MAX = 15,           /* of the size: less than 2^60, so no sum overflows */
	HTTP_CHUNK_EXTENSION_BYTES_MAX = 256, /* of one chunk */
	/* Of all a body's framing beyond what it needs: one-byte chunks with long extensions would
	 * make us read much for little. */
	HTTP_CHUNK_EXTENSIONS_BYTES_MAX = 16 * 1024,
	HTTP_TRAILER_BYTES_MAX = 8 * 1024,
};

/* All zeroes: before the first byte of a body. */
struct http_chunks {
	enum {
		CHUNK_SIZE,
		CHUNK_EXTENSION,
		CHUNK_SIZE_LF,
		CHUNK_DATA,
		CHUNK_DATA_CR,
		CHUNK_DATA_LF,
		CHUNK_TRAILER_START,
		CHUNK_TRAILER,
		CHUNK_TRAILER_LF,
		CHUNK_END_LF,
		CHUNK_DONE,
	} state;
	unsigned digits;
	uint64_t left_bytes; /* of the chunk's data */
	size_t extension_bytes, extensions_bytes, trailer_bytes;
};

/* Looks at the next data: its first *ret_framing_bytes are framing, to be dropped, the
 * *ret_body_bytes after them are body. To be called again with what follows until both are 0 or the
 * body is over. 0; 1: the body is over (nothing after the framing belongs to it); -EBADMSG with
 * *ret_reason (static). */
int http_chunks_next(struct http_chunks *chunks, const char *data, size_t length_bytes,
	size_t *ret_framing_bytes, size_t *ret_body_bytes, const char **ret_reason);

#endif
