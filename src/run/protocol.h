/* What the supervisor and init say to one another, over a SOCK_SEQPACKET pair: one fixed-size
 * record a message, descriptors beside it. Init is trusted no more than the box it is in: the
 * supervisor believes it only about the commands that it runs. */
#ifndef COFFER_RUN_PROTOCOL_H
#define COFFER_RUN_PROTOCOL_H

#include "base/error.h"
#include "base/fd.h"

#include <stdint.h>

enum message_kind {
	/* From the supervisor. */
	MESSAGE_TREES =
		1, /* ids are mapped; descriptors: prepared trees (index, count); last: value 1 */
	MESSAGE_EXEC,     /* id; descriptors: stdio 0-2, a sealed memfd with three lists (see
	                    * base/request.h): directory or none, argv, environment or none */
	MESSAGE_SIGNAL,   /* id, value = signal, index = scope */
	MESSAGE_ATTENDED, /* egress is ready behind the box's sockets */
	MESSAGE_CONTINUE, /* id: becomes the terminal's foreground group and is continued */

	/* From init. */
	MESSAGE_FAILED, /* error: the box was not built; init is gone after it */
	/* value = mounts fallbacks, index = init's pid as it sees it; descriptors: the listener
	 * (unless there is no filter), three namespaces (container tier), the witness's ring (if
	 * there is one), the PTY's master (if wanted) */
	MESSAGE_READY,
	/* kinds: what each of the descriptors is; value 1 with the last, after which init waits for
	 * ATTENDED. Before READY. */
	MESSAGE_SOCKETS,
	MESSAGE_EXEC_FAILED, /* id, value = errno: the command could not be started */
	MESSAGE_EXITED,      /* id, value = wait status */
	MESSAGE_STOPPED,     /* id, value = signal: stopped by job control */

	/* From a supervisor's process to libcoffer, which also gets READY, EXITED and
	 * EXEC_FAILED. */
	MESSAGE_REPORT, /* the last: value = exit code, index = cause; descriptor: the JSON */
};

enum signal_scope {
	SIGNAL_COMMAND, /* the command's own process */
	SIGNAL_GROUP,   /* its process group, as a terminal would */
	SIGNAL_BOX,     /* everything in the box but init */
};

struct message {
	uint32_t kind;
	uint32_t id; /* which command: 0 is the plan's own */
	int32_t value;
	uint32_t index; /* MESSAGE_TREES: of the first descriptor; MESSAGE_SIGNAL: the scope */
	uint8_t kinds[FD_PASS_MAX]; /* MESSAGE_SOCKETS: enum egress_socket */
	struct error error;
};

#endif
