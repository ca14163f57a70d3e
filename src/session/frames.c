#include "session/frames.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <string.h>
#include <sys/socket.h>

int frame_send(int socket, enum frame_kind kind, const void *data, size_t length_bytes)
{
	if (length_bytes > MAX_CALL_MESSAGE_BYTES)
		return -EMSGSIZE;
	struct frame frame = {.kind = kind, .length_bytes = (uint32_t)length_bytes};
	int r = fd_write_full(socket, &frame, sizeof(frame));
	return r < 0 ? r : fd_write_full(socket, data, length_bytes);
}

int frame_send_json(int socket, enum frame_kind kind, json_t *json)
{
	cleanup_free char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text ? frame_send(socket, kind, text, strlen(text)) : -ENOMEM;
}

int frame_post_json(int socket, enum frame_kind kind, json_t *json)
{
	cleanup_free char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return -ENOMEM;
	struct frame frame = {.kind = kind, .length_bytes = (uint32_t)strlen(text)};
	struct iovec parts[2] = {
		{.iov_base = &frame, .iov_len = sizeof(frame)},
		{.iov_base = text, .iov_len = frame.length_bytes},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(frame) + frame.length_bytes ? 0 : -EAGAIN;
}

int frame_fill(int socket, struct buffer *buffer)
{
	char data[CALL_OUTPUT_BYTES + sizeof(struct frame)];
	ssize_t n = read(socket, data, sizeof(data));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	buffer_append(buffer, data, (size_t)n);
	return buffer_error(buffer);
}

int frame_peek(const struct buffer *buffer, struct frame *ret, const char **ret_data)
{
	if (buffer->length_bytes < sizeof(*ret))
		return 0;
	memcpy(ret, buffer->data, sizeof(*ret));
	if (ret->kind < FRAME_STDOUT || ret->kind > FRAME_ANSWER ||
		ret->length_bytes > MAX_CALL_MESSAGE_BYTES)
		return -EINVAL;
	if (buffer->length_bytes - sizeof(*ret) < ret->length_bytes)
		return 0;
	*ret_data = buffer->data + sizeof(*ret);
	return 1;
}

void frame_drop(struct buffer *buffer)
{
	struct frame frame;
	memcpy(&frame, buffer->data, sizeof(frame));
	size_t gone = sizeof(frame) + frame.length_bytes;
	buffer->length_bytes -= gone;
	memmove(buffer->data, buffer->data + gone, buffer->length_bytes);
}
