#include "session/wire.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <limits.h>
#include <string.h>

enum { READ_BYTES = 64 * 1024 };

struct wire {
	int in, out;
	struct buffer input;
	size_t taken_bytes;   /* of input: lines that were handed out */
	size_t scanned_bytes; /* of input: known to hold no newline behind taken_bytes */
	bool skipping;        /* the rest of a line that was too long */
	struct buffer queue;
	size_t written_bytes; /* of queue */
};

int wire_new(int in, int out, struct wire **ret)
{
	struct wire *wire = calloc(1, sizeof(*wire));
	if (!wire)
		return -ENOMEM;
	wire->in = in;
	wire->out = out;
	wire->input.max_bytes = (size_t)MAX_MESSAGE_BYTES + READ_BYTES + 1;
	/* Bounded by whoever sends, see SESSION_QUEUE_FULL_BYTES. */
	wire->queue.max_bytes =
		SESSION_QUEUE_FULL_BYTES + (size_t)MAX_SESSION_CALLS * 2 * MAX_TOOL_READ_BYTES;
	*ret = wire;
	return 0;
}

void wire_free(struct wire *wire)
{
	if (!wire)
		return;
	buffer_release(&wire->input);
	buffer_release(&wire->queue);
	free(wire);
}

/* Takes count bytes from the front. */
static void drop_front(struct buffer *buffer, size_t count)
{
	buffer->length_bytes -= count;
	memmove(buffer->data, buffer->data + count, buffer->length_bytes);
	buffer->data[buffer->length_bytes] = '\0';
}

int wire_read(struct wire *wire)
{
	char data[READ_BYTES];
	ssize_t n = read(wire->in, data, sizeof(data));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	if (wire->taken_bytes) {
		drop_front(&wire->input, wire->taken_bytes);
		wire->scanned_bytes -= wire->taken_bytes;
		wire->taken_bytes = 0;
	}
	buffer_append(&wire->input, data, (size_t)n);
	return buffer_error(&wire->input);
}

/* A line that passes its bound is forgotten piece by piece, up to its newline. */
static void skip(struct wire *wire)
{
	char *newline = memchr(wire->input.data, '\n', wire->input.length_bytes);
	size_t count =
		newline ? (size_t)(newline + 1 - wire->input.data) : wire->input.length_bytes;
	drop_front(&wire->input, count);
	wire->scanned_bytes = 0;
	wire->skipping = newline == NULL;
}

int wire_next(struct wire *wire, const char **ret_line, size_t *ret_length_bytes)
{
	if (wire->skipping && wire->input.length_bytes)
		skip(wire);
	char *start = wire->input.data ? wire->input.data + wire->taken_bytes : NULL;
	size_t length = wire->input.length_bytes - wire->taken_bytes;
	if (!start || !length || wire->skipping)
		return 0;
	size_t scanned = wire->scanned_bytes - wire->taken_bytes;
	char *newline = memchr(start + scanned, '\n', length - scanned);
	wire->scanned_bytes = wire->input.length_bytes;
	if (newline ? (size_t)(newline - start) > MAX_MESSAGE_BYTES : length > MAX_MESSAGE_BYTES) {
		drop_front(&wire->input, wire->taken_bytes);
		wire->taken_bytes = 0;
		skip(wire);
		return -EMSGSIZE;
	}
	if (!newline)
		return 0;
	*newline = '\0';
	*ret_line = start;
	*ret_length_bytes = (size_t)(newline - start);
	wire->taken_bytes += *ret_length_bytes + 1;
	wire->scanned_bytes = wire->taken_bytes;
	return 1;
}

static int append(const char *data, size_t length_bytes, void *queue)
{
	buffer_append(queue, data, length_bytes);
	return buffer_error(queue);
}

int wire_send(struct wire *wire, const json_t *message)
{
	/* Half a message must never go out: the queue is as before where one did not fit. */
	size_t before = wire->queue.length_bytes;
	int r = message ? json_dump_callback(
				  message, append, &wire->queue, JSON_COMPACT | JSON_ENSURE_ASCII)
			: -1;
	if (r == 0)
		buffer_append(&wire->queue, "\n", 1);
	if (r < 0 || buffer_error(&wire->queue) < 0) {
		wire->queue.length_bytes = before;
		return -ENOMEM;
	}
	return 0;
}

int wire_write(struct wire *wire)
{
	size_t left = wire->queue.length_bytes - wire->written_bytes;
	if (!left)
		return 0;
	ssize_t n = write(wire->out, wire->queue.data + wire->written_bytes,
		left < PIPE_BUF ? left : PIPE_BUF);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	wire->written_bytes += (size_t)n;
	if (wire->written_bytes == wire->queue.length_bytes) {
		buffer_clear(&wire->queue);
		wire->written_bytes = 0;
	} else if (wire->written_bytes >= SESSION_QUEUE_PAUSE_BYTES) {
		drop_front(&wire->queue, wire->written_bytes);
		wire->written_bytes = 0;
	}
	return 0;
}

size_t wire_queued_bytes(const struct wire *wire)
{
	return wire->queue.length_bytes - wire->written_bytes;
}
