#include "egress/http_flow.h"

#include <errno.h>

void http_flow_start(struct http_flow *flow, const struct http_head *head)
{
	http_flow_release(flow);
	flow->body = head->body;
	flow->left_bytes = head->length_bytes;
	flow->chunked = head->body == HTTP_BODY_CHUNKED;
	flow->done = head->body == HTTP_BODY_NONE ||
		     (head->body == HTTP_BODY_LENGTH && head->length_bytes == 0);
}

void http_flow_release(struct http_flow *flow)
{
	if (flow->staged)
		evbuffer_free(flow->staged);
	if (flow->masked)
		evbuffer_free(flow->masked);
	*flow = (struct http_flow){.done = true};
}

static bool has_buffers(struct http_flow *flow)
{
	if (!flow->staged)
		flow->staged = evbuffer_new();
	if (!flow->masked && flow->mask)
		flow->masked = evbuffer_new();
	return flow->staged && (flow->masked || !flow->mask);
}

/* What the next bytes are: how many of framing, then how many of body. */
static int look_at(struct http_flow *flow, const char *data, size_t length_bytes,
	size_t *ret_framing_bytes, size_t *ret_body_bytes, const char **ret_reason)
{
	*ret_framing_bytes = 0;
	*ret_body_bytes = length_bytes;
	if (flow->body == HTTP_BODY_CHUNKED) {
		int r = http_chunks_next(&flow->chunks, data, length_bytes, ret_framing_bytes,
			ret_body_bytes, ret_reason);
		flow->done = r > 0;
		return r < 0 ? r : 0;
	}
	if (flow->body == HTTP_BODY_LENGTH) {
		if (*ret_body_bytes > flow->left_bytes)
			*ret_body_bytes = (size_t)flow->left_bytes;
		flow->left_bytes -= *ret_body_bytes;
		flow->done = flow->left_bytes == 0;
	}
	return 0;
}

/* Passes what was staged on, framed as it is to go. */
static int emit(struct http_flow *flow, struct evbuffer *target)
{
	struct evbuffer *clean = flow->staged;
	if (flow->mask) {
		int r = secrets_mask(flow->mask, flow->staged, flow->masked, flow->done);
		if (r < 0)
			return r;
		clean = flow->masked;
	}
	size_t bytes = evbuffer_get_length(clean);
	if (bytes > 0 && flow->chunked && evbuffer_add_printf(target, "%zx\r\n", bytes) < 0)
		return -ENOMEM;
	if (evbuffer_add_buffer(target, clean) < 0)
		return -ENOMEM;
	if (bytes > 0 && flow->chunked && evbuffer_add(target, "\r\n", 2) < 0)
		return -ENOMEM;
	if (flow->done && flow->chunked && evbuffer_add(target, "0\r\n\r\n", 5) < 0)
		return -ENOMEM;
	return 0;
}

ssize_t http_flow_move(struct http_flow *flow, struct evbuffer *source, struct evbuffer *target,
	size_t limit_bytes, const char **ret_reason)
{
	size_t taken = 0;
	if (flow->done)
		return 0;
	if (!has_buffers(flow))
		return -ENOMEM;
	while (taken < limit_bytes && !flow->done) {
		struct evbuffer_iovec extent;
		if (evbuffer_peek(source, -1, NULL, &extent, 1) < 1 || extent.iov_len == 0)
			break;
		size_t bytes =
			extent.iov_len < limit_bytes - taken ? extent.iov_len : limit_bytes - taken;
		size_t framing, body;
		int r = look_at(flow, extent.iov_base, bytes, &framing, &body, ret_reason);
		if (r < 0)
			return r;
		if (flow->scan && secrets_scan(flow->scan, &flow->scanned,
					  (const char *)extent.iov_base + framing, body))
			return -EACCES;
		evbuffer_drain(source, framing);
		if (body > 0 && evbuffer_remove_buffer(source, flow->staged, body) != (int)body)
			return -ENOMEM;
		taken += framing + body;
	}
	int r = taken > 0 ? emit(flow, target) : 0;
	return r < 0 ? r : (ssize_t)taken;
}

int http_flow_finish(struct http_flow *flow, struct evbuffer *target)
{
	if (flow->done)
		return 0;
	if (flow->body != HTTP_BODY_UNTIL_CLOSE && flow->body != HTTP_BODY_UPGRADED)
		return -EPIPE;
	flow->done = true;
	if (!has_buffers(flow))
		return -ENOMEM;
	return emit(flow, target);
}
