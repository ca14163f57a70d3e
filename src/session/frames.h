/* Between the session and a call's process: messages on a stream socket, each a header and its
 * bytes. JSON for all but output, which is the bytes themselves. */
#ifndef COFFER_SESSION_FRAMES_H
#define COFFER_SESSION_FRAMES_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdint.h>

enum frame_kind {
	/* From a call. */
	FRAME_STDOUT = 1,
	FRAME_STDERR,
	FRAME_NOTE,     /* {"note": "started"|"refused"|"answered"|"reviewed", ...} */
	FRAME_QUESTION, /* approval_request_json() */
	FRAME_RESULT,
	FRAME_FAILED, /* {"code":N, "name":..., "message":..., "hint":...} */
	/* To a call. */
	FRAME_ANSWER, /* {"answer": ...} or {"error": "why there is none"} */
};

struct frame {
	uint32_t kind, length_bytes;
};

/* Blocks until all is written. 0, or -errno: the other side is gone. */
int frame_send(int socket, enum frame_kind kind, const void *data, size_t length_bytes);
/* The same for JSON, which it takes (NULL: -ENOMEM). */
int frame_send_json(int socket, enum frame_kind kind, json_t *json);
/* Does not block: -EAGAIN where there is no room, and the other side is to be given up. */
int frame_post_json(int socket, enum frame_kind kind, json_t *json);

/* One read(2) into buffer. 0; -EPIPE at the end. */
int frame_fill(int socket, struct buffer *buffer);
/* Takes the first whole frame from buffer: 1, with its bytes in *ret_data (valid until
 * frame_drop()); 0: not whole yet; -EINVAL: no frame of ours. */
int frame_peek(const struct buffer *buffer, struct frame *ret, const char **ret_data);
void frame_drop(struct buffer *buffer);

#endif
