/* Lines of JSON with an agent's host: a bounded reader and a queue of what is still to be written.
 *
 * Theory of operation: both descriptors stay blocking, since they may be shared with whoever
 * started this process; poll(2) says when a read, or a write of PIPE_BUF, will not block.
 * Nothing is ever dropped: whoever produces asks wire_queued_bytes() and pauses. */
#ifndef COFFER_SESSION_WIRE_H
#define COFFER_SESSION_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct wire;

int wire_new(int in, int out, struct wire **ret);
void wire_free(struct wire *wire);

/* One read(2). 0; -EPIPE at the end of the stream; -errno. */
int wire_read(struct wire *wire);
/* The next whole line without its newline, valid until the next call: 1; 0 when there is none yet;
 * -EMSGSIZE once for a line of more than MAX_MESSAGE_BYTES, which is skipped; -ENOMEM. */
int wire_next(struct wire *wire, const char **ret_line, size_t *ret_length_bytes);

/* Queues one message (borrowed). 0 or -ENOMEM: then the stream can go on no further. */
int wire_send(struct wire *wire, const json_t *message);
/* Writes once, at most PIPE_BUF bytes. 0, or -errno: nobody reads any more. */
int wire_write(struct wire *wire);
size_t wire_queued_bytes(const struct wire *wire);

#endif
