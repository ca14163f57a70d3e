/* One direction in which bytes are moved by the supervisor, without ever blocking it. */
#ifndef COFFER_RUN_CHANNEL_H
#define COFFER_RUN_CHANNEL_H

#include "base/buffer.h"
#include "base/sanitize.h"
#include "run/output.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What may be done with a descriptor so that a call on it does not block. */
enum endpoint_kind {
	ENDPOINT_OWN,    /* our own open file description, non-blocking */
	ENDPOINT_FILE,   /* the caller's file or block device: a call takes what the disk takes */
	ENDPOINT_PIPE,   /* the caller's pipe: spliced, not blocking; or polled, then <= PIPE_BUF */
	ENDPOINT_SOCKET, /* the caller's socket: MSG_DONTWAIT */
	ENDPOINT_DEVICE, /* the caller's device: the same, as far as its driver plays along */
	ENDPOINT_TERMINAL, /* one that cannot be opened again: polled, then one byte, as what has
	                    * room for one may block on two */
};

struct endpoint {
	int fd; /* -1: none, or closed */
	enum endpoint_kind kind;
	bool owned; /* closed when the channel ends */
};

enum channel_how {
	CHANNEL_SPLICE, /* in the kernel; becomes CHANNEL_COPY where a file system cannot */
	CHANNEL_COPY,   /* through a buffer */
	CHANNEL_KEEP,   /* into memory, head and tail */
	CHANNEL_DROP,   /* read, counted and forgotten */
};

enum { CHANNEL_BUFFER_BYTES = 64 * 1024 };

struct channel {
	bool live;
	enum channel_how how;
	struct endpoint from, to;
	bool waits_for_to;    /* else for from */
	bool draining;        /* nothing in from now means the end of it */
	uint64_t drain_bytes; /* and at most so much more is taken from it */
	size_t poll_index;

	uint64_t limit_bytes; /* passed on or kept at most; 0: no limit (KEEP has one) */
	uint64_t passed_bytes, dropped_bytes;
	int error; /* -errno of the write that ended the channel; 0 */

	int notice;   /* a byte to look out for (CHANNEL_COPY); -1: none */
	bool noticed; /* it has passed */

	char *buffer; /* CHANNEL_COPY: owned, allocated when first needed */
	size_t buffer_begin, buffer_end;

	/* CHANNEL_COPY and CHANNEL_KEEP: what is read goes through it first; owned; or NULL. What comes
	 * of it may be more than fits in the buffer, and stands here until it was taken. */
	struct sanitizer *sanitizer;
	struct buffer clean;
	size_t clean_begin;
	bool ended;           /* the source has, and the sanitizer knows */
	uint64_t quiet_since; /* us; when something was held back and nothing has come since; 0 */

	struct captured captured;
	size_t head_capacity, tail_capacity; /* allocated */
	size_t tail_begin;                   /* the oldest byte of the ring, once it is full */
};

/* Starts a channel. The endpoints marked owned belong to it from now on. */
void channel_start(struct channel *channel, enum channel_how how, struct endpoint from,
	struct endpoint to, uint64_t limit_bytes);
/* Right after the start: makes what passes harmless. Takes the sanitizer. */
void channel_sanitize(struct channel *channel, struct sanitizer *sanitizer);
/* What to poll for; a channel that is live always waits for one of its ends. */
struct pollfd channel_poll(const struct channel *channel);
/* Moves what can be moved now, but not for ever: a flood must not keep the other streams
 * waiting. */
void channel_move(struct channel *channel);
/* When something is held back that a person may be waiting for: the time (us) at which channel_flush()
 * gives it out; else 0. */
uint64_t channel_flush_us(const struct channel *channel);
void channel_flush(struct channel *channel, uint64_t now_us);
/* From now on what is not there now is not waited for; only the reader at the other end is. */
void channel_drain(struct channel *channel);
/* Ends it, closing what it owns; what was read and not yet written counts as dropped. */
void channel_end(struct channel *channel, int error);
/* Puts the ring of a captured tail in order. The channel has ended. */
void channel_order_tail(struct channel *channel);
void channel_release(struct channel *channel);

#endif
