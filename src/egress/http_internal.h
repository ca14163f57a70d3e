/* Between http.c and http_respond.c. */
#ifndef COFFER_EGRESS_HTTP_INTERNAL_H
#define COFFER_EGRESS_HTTP_INTERNAL_H

#include "egress/egress.h"
#include "egress/http_head.h"

enum {
	/* What may wait in one direction for a slow reader; then the writer is not read from. */
	HTTP_BUFFER_BYTES = 64 * 1024,
	HTTP_FLUSH_MS = 60000, /* how long a client may take none of what is left for it */
	HTTP_LINGER_MS = 2000, /* and how long it may go on writing what nobody reads */
	HTTP_LINGER_BYTES = 1024 * 1024,
};

/* What an answer made here looks like. */
enum http_answer_form {
	HTTP_ANSWER_TEXT,
	HTTP_ANSWER_JSON,
	HTTP_ANSWER_NO_BODY = 4, /* or'ed: the request was HEAD */
};

/* A bufferevent over the connection's client (taken over), with what is pending before the rest.
 * NULL: no memory; the connection is untouched. */
struct bufferevent *http_client(struct connection *connection);
/* As http_respond(), in a form. */
void http_answer(struct connection *connection, struct bufferevent *client, int status,
	const char *reason, const char *hint, int form);
/* Takes client over: lets what is written reach it, then closes in a way that does not take the
 * last bytes away from a client that is still writing, and ends the connection. Never ends it
 * before it returns, but for want of memory. */
void http_linger(struct connection *connection, struct bufferevent *client);

#endif
