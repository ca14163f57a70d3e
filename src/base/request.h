/* Lists of strings in one block of memory, for a sealed memfd: each string NUL-terminated, each
 * list closed by an empty string (so the lists hold no empty ones but as "\1", see
 * request_add()). */
#ifndef COFFER_BASE_REQUEST_H
#define COFFER_BASE_REQUEST_H

#include "base/buffer.h"
#include "base/strv.h"

/* Appends a list. An empty string, which would end it, travels as one byte 1. */
void request_add(struct buffer *buffer, char *const strings[]);
/* Seals the block in a memfd. The descriptor, or -errno. */
int request_seal(struct buffer *buffer);
/* Takes a block apart into count lists. -EINVAL if it is none. */
int request_parse(const char *data, size_t size, struct strv *lists[], size_t count);
/* Reads a memfd, at most MAX_CONTROL_MESSAGE_BYTES of it (-EFBIG), and takes it apart. */
int request_read(int fd, struct strv *lists[], size_t count);

#endif
