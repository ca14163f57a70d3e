/* A body on its way from one buffer to another: its end is found, its framing made anew, and the
 * values of secrets are looked for where they matter. */
#ifndef COFFER_EGRESS_HTTP_FLOW_H
#define COFFER_EGRESS_HTTP_FLOW_H

#include "egress/egress.h"
#include "egress/http_chunks.h"
#include "egress/http_head.h"

struct http_flow {
	enum http_body body; /* as it comes */
	bool chunked;        /* as it goes */
	bool done;
	uint64_t left_bytes; /* HTTP_BODY_LENGTH */
	struct http_chunks chunks;
	const struct secrets *scan; /* not NULL: a placeholder in the body refuses it */
	struct secret_scan scanned;
	const struct secrets *mask; /* not NULL: values in the body are overwritten */
	struct evbuffer *staged, *masked;
};

/* Begins with the body that head announces. */
void http_flow_start(struct http_flow *flow, const struct http_head *head);
/* Moves at most limit_bytes from source. How many were taken; -EBADMSG with *ret_reason (static):
 * the framing is wrong; -EACCES: a placeholder; -ENOMEM. */
ssize_t http_flow_move(struct http_flow *flow, struct evbuffer *source, struct evbuffer *target,
	size_t limit_bytes, const char **ret_reason);
/* source has ended. 0 if the body may end there; else -EPIPE. */
int http_flow_finish(struct http_flow *flow, struct evbuffer *target);
void http_flow_release(struct http_flow *flow);

#endif
