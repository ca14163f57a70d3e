/* A client's first words, read into connection->pending until whoever looks at them has seen
 * enough. */
#ifndef COFFER_EGRESS_PEEK_H
#define COFFER_EGRESS_PEEK_H

#include "egress/egress.h"

struct peek;
/* Looks at connection->pending. true: more is wanted, or peek_wait() was called. false: the
 * connection has another handler, none, or is gone. */
typedef bool (*peek_look)(struct connection *connection, struct peek *peek);

/* Becomes the connection's handler. Looks at once if something is pending. The client has
 * EGRESS_PEEK_MS in all, and EGRESS_HEAD_BYTES. */
void peek_start(struct connection *connection, peek_look look);
/* Looks in another way at what comes next. */
void peek_next(struct peek *peek, peek_look look);
/* Reads nothing for so long, then looks again. */
void peek_wait(struct peek *peek, int wait_ms);

#endif
