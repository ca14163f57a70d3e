/* A growing string with a declared maximum. Once an append would pass it, or memory is short, the
 * buffer keeps what it had and remembers the error: check buffer_error() once, at the end. */
#ifndef COFFER_BASE_BUFFER_H
#define COFFER_BASE_BUFFER_H

#include <stddef.h>

struct buffer {
	char *data; /* always NUL-terminated once anything was appended; owned */
	size_t length_bytes;
	size_t capacity_bytes;
	size_t max_bytes;
	int error; /* 0, or -ENOMEM, or -ENOBUFS when max_bytes was reached */
};

#define BUFFER_INIT(max)                                                                           \
	{                                                                                          \
		.max_bytes = (max)                                                                 \
	}

void buffer_append(struct buffer *buffer, const void *data, size_t length_bytes);
void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_append_format(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Appends string as a JSON string with its quotes. Bytes that are not valid UTF-8 become U+FFFD,
 * and what a terminal would not just show is escaped. */
void buffer_append_json(struct buffer *buffer, const char *string);
int buffer_error(const struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory, forgets the content and error */
void buffer_release(struct buffer *buffer);
/* Hands out the string (caller frees; never NULL unless there was an error) and empties buffer. */
char *buffer_steal(struct buffer *buffer);

#define cleanup_buffer __attribute__((cleanup(buffer_release)))

#endif
