/* Theory of operation. The supervisor has one thread and one poll loop, which also holds the clock
 * of the box's limits: no call here may wait for somebody else. Ends that are our own (pipes to the
 * box, the PTY's master) are simply non-blocking. The caller's descriptors cannot be made so, since
 * O_NONBLOCK belongs to the open file description, which the caller's shell and the rest of a
 * pipeline share: they would meet EAGAIN in the middle of their work. So each kind has a call that
 * does not block: splice() with SPLICE_F_NONBLOCK towards a pipe, MSG_DONTWAIT on a socket, and for
 * the rest poll() right before and no more bytes than it promises room for.
 * A channel always waits for exactly one of its ends: for the source while there is nothing to
 * move, for the target while that takes nothing. Hence a slow reader stops only its own stream, and
 * once the pipe is full the program in the box waits for its reader as it would without coffer.
 * When the reader goes away, so does our end of the box's pipe, and the program gets its SIGPIPE.
 * SIGPIPE and SIGXFSZ are ignored in the supervisor; here they are EPIPE and EFBIG. */
#include "run/channel.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	ROUNDS_MAX = 16, /* of CHANNEL_BUFFER_BYTES each, before the others have their turn */
	CAPTURE_FIRST_BYTES = 4096,
	FLUSH_US = 50 * 1000, /* less than a person notices */
};

void channel_start(struct channel *channel, enum channel_how how, struct endpoint from,
	struct endpoint to, uint64_t limit_bytes)
{
	*channel = (struct channel){
		.live = true,
		.how = how,
		.from = from,
		.to = to,
		.limit_bytes = limit_bytes,
		.notice = -1,
		/* A file is always ready: then it is the other end that decides. */
		.waits_for_to = from.kind == ENDPOINT_FILE,
	};
}

void channel_sanitize(struct channel *channel, struct sanitizer *sanitizer)
{
	channel->sanitizer = sanitizer;
	channel->clean = (struct buffer)BUFFER_INIT(MAX_SANITIZE_PIECE_BYTES);
}

struct pollfd channel_poll(const struct channel *channel)
{
	return channel->waits_for_to ? (struct pollfd){.fd = channel->to.fd, .events = POLLOUT}
				     : (struct pollfd){.fd = channel->from.fd, .events = POLLIN};
}

static void endpoint_close(struct endpoint *endpoint)
{
	if (endpoint->owned)
		close_fd(&endpoint->fd);
	endpoint->fd = -1;
}

static bool end_of_source(struct channel *channel);

void channel_end(struct channel *channel, int error)
{
	if (!channel->live)
		return;
	if (channel->how == CHANNEL_KEEP)
		end_of_source(channel);
	channel->live = false;
	channel->error = error;
	channel->dropped_bytes += channel->buffer_end - channel->buffer_begin;
	channel->dropped_bytes += channel->clean.length_bytes - channel->clean_begin;
	endpoint_close(&channel->from);
	endpoint_close(&channel->to);
}

void channel_release(struct channel *channel)
{
	channel_end(channel, 0);
	sanitizer_free(channel->sanitizer);
	buffer_release(&channel->clean);
	free(channel->buffer);
	free(channel->captured.head);
	free(channel->captured.tail);
	*channel = (struct channel){.from.fd = -1, .to.fd = -1};
}

static bool is_ready(int fd, short events)
{
	struct pollfd pollfd = {.fd = fd, .events = events};
	return poll(&pollfd, 1, 0) == 1;
}

static ssize_t endpoint_read(const struct endpoint *from, void *data, size_t length_bytes)
{
	ssize_t count;
	if (from->kind == ENDPOINT_SOCKET)
		count = recv(from->fd, data, length_bytes, MSG_DONTWAIT);
	else if (from->kind == ENDPOINT_OWN || is_ready(from->fd, POLLIN))
		count = read(from->fd, data, length_bytes);
	else
		return -EAGAIN;
	return count < 0 ? -errno : count;
}

static ssize_t endpoint_write(const struct endpoint *to, const void *data, size_t length_bytes)
{
	static const size_t promised_bytes[] = {
		[ENDPOINT_OWN] = SIZE_MAX,
		[ENDPOINT_FILE] = SIZE_MAX,
		[ENDPOINT_PIPE] = PIPE_BUF,
		[ENDPOINT_SOCKET] = SIZE_MAX,
		[ENDPOINT_DEVICE] = PIPE_BUF,
		[ENDPOINT_TERMINAL] = 1,
	};
	if (length_bytes > promised_bytes[to->kind])
		length_bytes = promised_bytes[to->kind];
	ssize_t count;
	if (to->kind == ENDPOINT_SOCKET)
		count = send(to->fd, data, length_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (to->kind == ENDPOINT_OWN || is_ready(to->fd, POLLOUT))
		count = write(to->fd, data, length_bytes);
	else
		return -EAGAIN;
	return count < 0 ? -errno : count;
}

/* How much may be read at once: what a drain still takes. */
static size_t read_bytes_max(const struct channel *channel)
{
	if (channel->draining && channel->drain_bytes < CHANNEL_BUFFER_BYTES)
		return channel->drain_bytes;
	return CHANNEL_BUFFER_BYTES;
}

static uint64_t room_within_limit(const struct channel *channel)
{
	return channel->limit_bytes ? channel->limit_bytes - channel->passed_bytes : UINT64_MAX;
}

static void took(struct channel *channel, size_t count)
{
	if (channel->draining)
		channel->drain_bytes -= count;
}

/* Makes room for one more byte in a block that grows up to max_bytes. */
static bool grow(char **block, size_t *capacity_bytes, size_t max_bytes)
{
	size_t wanted = *capacity_bytes ? *capacity_bytes * 2 : CAPTURE_FIRST_BYTES;
	if (wanted > max_bytes)
		wanted = max_bytes;
	if (wanted <= *capacity_bytes)
		return false;
	char *grown = realloc(*block, wanted);
	if (!grown)
		return false; /* what is held is kept; what finds no room counts as dropped */
	*block = grown;
	*capacity_bytes = wanted;
	return true;
}

/* The tail is a block that grows, and once it cannot grow any more, a ring. */
static void keep_in_tail(struct channel *channel, const char *data, size_t length_bytes)
{
	struct captured *captured = &channel->captured;
	size_t tail_max = channel->limit_bytes - channel->limit_bytes / 2;
	while (length_bytes) {
		size_t room = channel->tail_capacity - captured->tail_bytes;
		if (!room && !channel->tail_begin &&
			grow(&captured->tail, &channel->tail_capacity, tail_max))
			continue;
		if (!channel->tail_capacity) {
			captured->dropped_bytes += length_bytes;
			return;
		}
		size_t end = (channel->tail_begin + captured->tail_bytes) % channel->tail_capacity;
		size_t count = room ? room : channel->tail_capacity - channel->tail_begin;
		if (count > length_bytes)
			count = length_bytes;
		memcpy(captured->tail + end, data, count);
		if (room) {
			captured->tail_bytes += count;
		} else { /* over the oldest */
			captured->dropped_bytes += count;
			channel->tail_begin =
				(channel->tail_begin + count) % channel->tail_capacity;
		}
		data += count;
		length_bytes -= count;
	}
}

static void keep(struct channel *channel, const char *data, size_t length_bytes)
{
	struct captured *captured = &channel->captured;
	size_t head_max = channel->limit_bytes / 2;
	while (length_bytes && !captured->tail_bytes && !captured->dropped_bytes) {
		size_t room = channel->head_capacity - captured->head_bytes;
		if (!room) {
			if (grow(&captured->head, &channel->head_capacity, head_max))
				continue;
			break;
		}
		size_t count = length_bytes < room ? length_bytes : room;
		memcpy(captured->head + captured->head_bytes, data, count);
		captured->head_bytes += count;
		data += count;
		length_bytes -= count;
	}
	keep_in_tail(channel, data, length_bytes);
	channel->passed_bytes = captured->head_bytes + captured->tail_bytes;
	channel->dropped_bytes = captured->dropped_bytes;
}

static void reverse(char *data, size_t length_bytes)
{
	for (size_t i = 0, j = length_bytes; i + 1 < j; i++) {
		char byte = data[i];
		data[i] = data[--j];
		data[j] = byte;
	}
}

void channel_order_tail(struct channel *channel)
{
	struct captured *captured = &channel->captured;
	/* Rotated in place by three reversals, so that it cannot fail for lack of memory. */
	if (channel->tail_begin) {
		reverse(captured->tail, channel->tail_begin);
		reverse(captured->tail + channel->tail_begin,
			captured->tail_bytes - channel->tail_begin);
		reverse(captured->tail, captured->tail_bytes);
	}
	channel->tail_begin = 0;
}

/* Each step moves something and returns how much; 0: the source has ended; -EAGAIN: one of the ends
 * is not ready, and waits_for_to says which; -EINTR: again; another -errno: the target has
 * failed. */

/* Finds out which end made splice() say EAGAIN: of a full target it complains even when the source
 * has ended, and a closed pipe would then wake the poll loop for ever. */
static ssize_t splice_blocked(struct channel *channel)
{
	struct pollfd from = {.fd = channel->from.fd, .events = POLLIN};
	poll(&from, 1, 0);
	channel->waits_for_to = from.revents & POLLIN;
	return from.revents && !(from.revents & POLLIN) ? 0 : -EAGAIN;
}

static ssize_t step_splice(struct channel *channel)
{
	size_t length_bytes = read_bytes_max(channel);
	if (!room_within_limit(channel)) {
		channel->how = CHANNEL_DROP;
		return -EINTR;
	}
	if (length_bytes > room_within_limit(channel))
		length_bytes = room_within_limit(channel);
	/* What calls itself a regular file on procfs may block a reader all the same. */
	if (channel->from.kind == ENDPOINT_FILE && !is_ready(channel->from.fd, POLLIN)) {
		channel->waits_for_to = false;
		return -EAGAIN;
	}
	ssize_t count = splice(
		channel->from.fd, NULL, channel->to.fd, NULL, length_bytes, SPLICE_F_NONBLOCK);
	if (count >= 0) {
		channel->passed_bytes += count;
		took(channel, count);
		return count;
	}
	if (errno == EINVAL) { /* O_APPEND, or a file system without it */
		channel->how = CHANNEL_COPY;
		return -EINTR;
	}
	return errno == EAGAIN ? splice_blocked(channel) : -errno;
}

/* Reads from the source. A source that fails has ended: the master of a PTY says EIO when the last
 * slave is closed, a terminal when it is hung up. */
static ssize_t take(struct channel *channel, void *data, size_t data_bytes)
{
	size_t length_bytes = read_bytes_max(channel);
	if (length_bytes > data_bytes)
		length_bytes = data_bytes;
	ssize_t count = endpoint_read(&channel->from, data, length_bytes);
	channel->waits_for_to = false;
	if (count > 0)
		took(channel, count);
	return count >= 0 || count == -EAGAIN || count == -EINTR ? count : 0;
}

/* ---- what passes through a sanitizer ---- */

/* What it has made of something: within the limit, or kept. 0 or -errno. */
static int take_clean(struct channel *channel)
{
	struct buffer *clean = &channel->clean;
	int r = buffer_error(clean);
	channel->clean_begin = 0;
	channel->quiet_since = sanitizer_holds(channel->sanitizer) ? clock_now_us() : 0;
	if (r == 0 && channel->how == CHANNEL_KEEP) {
		keep(channel, clean->data, clean->length_bytes);
		clean->length_bytes = 0;
	} else if (r == 0 && clean->length_bytes > room_within_limit(channel)) {
		channel->dropped_bytes += clean->length_bytes - room_within_limit(channel);
		clean->length_bytes = room_within_limit(channel);
	}
	if (r < 0) /* nothing of it goes out */
		clean->length_bytes = 0;
	return r;
}

static int sanitize(struct channel *channel, const char *data, size_t length, bool last)
{
	buffer_clear(&channel->clean);
	sanitizer_feed(channel->sanitizer, data, length, last, &channel->clean);
	return take_clean(channel);
}

/* Nothing more is read. Whether there is still something to write. */
static bool end_of_source(struct channel *channel)
{
	if (!channel->sanitizer || channel->ended || channel->how == CHANNEL_DROP)
		return false;
	channel->ended = true;
	int r = sanitize(channel, NULL, 0, true);
	if (r < 0)
		channel->error = r;
	return channel->clean.length_bytes > 0;
}

uint64_t channel_flush_us(const struct channel *channel)
{
	bool waits = channel->live && channel->how == CHANNEL_COPY && channel->quiet_since &&
		     channel->clean_begin == channel->clean.length_bytes;
	return waits ? channel->quiet_since + FLUSH_US : 0;
}

void channel_flush(struct channel *channel, uint64_t now_us)
{
	uint64_t when_us = channel_flush_us(channel);
	if (!when_us || when_us > now_us)
		return;
	buffer_clear(&channel->clean);
	sanitizer_flush(channel->sanitizer, &channel->clean);
	if (take_clean(channel) < 0)
		channel_end(channel, buffer_error(&channel->clean));
	else
		channel_move(channel);
}

/* ---- copying ---- */

/* Fills the empty buffer, within the limit. */
static ssize_t fill(struct channel *channel)
{
	if (!channel->buffer && !(channel->buffer = malloc(CHANNEL_BUFFER_BYTES)))
		return -ENOMEM;
	if (channel->ended)
		return 0;
	ssize_t count = take(channel, channel->buffer, CHANNEL_BUFFER_BYTES);
	if (count <= 0)
		return count;
	if (channel->sanitizer) {
		int r = sanitize(channel, channel->buffer, (size_t)count, false);
		return r < 0 ? r : count;
	}
	uint64_t room = room_within_limit(channel);
	channel->buffer_begin = 0;
	channel->buffer_end = (uint64_t)count < room ? (size_t)count : room;
	channel->dropped_bytes += count - channel->buffer_end;
	if (channel->notice >= 0 && memchr(channel->buffer, channel->notice, channel->buffer_end))
		channel->noticed = true;
	return count;
}

/* What is ready to be written: its length; *ret_begin moves on with what was. */
static size_t ready_bytes(struct channel *channel, const char **ret, size_t **ret_begin)
{
	bool clean = channel->sanitizer;
	*ret_begin = clean ? &channel->clean_begin : &channel->buffer_begin;
	*ret = (clean ? channel->clean.data : channel->buffer) + **ret_begin;
	return (clean ? channel->clean.length_bytes : channel->buffer_end) - **ret_begin;
}

static ssize_t step_copy(struct channel *channel)
{
	const char *data;
	size_t *begin, length = ready_bytes(channel, &data, &begin);
	if (!length) {
		ssize_t count = fill(channel);
		if (count <= 0)
			return count;
		length = ready_bytes(channel, &data, &begin);
		if (!length) {
			if (!room_within_limit(channel))
				channel->how = CHANNEL_DROP;
			return count;
		}
	}
	ssize_t count = endpoint_write(&channel->to, data, length);
	if (count == -EAGAIN)
		channel->waits_for_to = true;
	if (count > 0) {
		*begin += (size_t)count;
		channel->passed_bytes += count;
	}
	return count ? count : -EIO;
}

static ssize_t step_read(struct channel *channel)
{
	char data[16 * 1024];
	ssize_t count = take(channel, data, sizeof(data));
	if (count <= 0)
		return count;
	if (channel->how == CHANNEL_DROP)
		channel->dropped_bytes += count;
	else if (!channel->sanitizer)
		keep(channel, data, count);
	else if (sanitize(channel, data, (size_t)count, false) < 0)
		return buffer_error(&channel->clean);
	return count;
}

static ssize_t step(struct channel *channel)
{
	switch (channel->how) {
	case CHANNEL_SPLICE:
		return step_splice(channel);
	case CHANNEL_COPY:
		return step_copy(channel);
	case CHANNEL_KEEP:
	case CHANNEL_DROP:
		break;
	}
	return step_read(channel);
}

void channel_move(struct channel *channel)
{
	for (int round = 0; channel->live && round < ROUNDS_MAX; round++) {
		ssize_t count = step(channel);
		if (count > 0 || count == -EINTR)
			continue;
		if (count == 0 && end_of_source(channel))
			continue;
		if (count != -EAGAIN) {
			channel_end(channel, count ? count : channel->error);
			return;
		}
		if (channel->waits_for_to || !channel->draining)
			return;
		/* What was written to a PTY is on its way to the master for some microseconds; only
		 * poll() hurries it. */
		if (!is_ready(channel->from.fd, POLLIN) && !end_of_source(channel))
			channel_end(channel, channel->error);
	}
}

void channel_drain(struct channel *channel)
{
	if (!channel->live || channel->draining)
		return;
	/* A descendant that goes on writing must not make this endless: what is there now, and what
	 * a PTY may hold without saying. */
	int there_bytes = 0;
	if (ioctl(channel->from.fd, FIONREAD, &there_bytes) || there_bytes < 0)
		there_bytes = 0;
	channel->draining = true;
	channel->drain_bytes = (uint64_t)there_bytes + CHANNEL_BUFFER_BYTES;
	channel_move(channel);
}
