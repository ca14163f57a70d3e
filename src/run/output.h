/* Moving bytes between the caller's descriptors and the box's, where they cannot simply be handed
 * over: captured output, regular files, an own terminal. */
#ifndef COFFER_RUN_OUTPUT_H
#define COFFER_RUN_OUTPUT_H

#include "base/error.h"
#include "base/sanitize.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One stream kept by --capture: the head and the tail within the limit. */
struct captured {
	char *head, *tail; /* owned; tail is in order once output_finish() was called */
	size_t head_bytes, tail_bytes;
	uint64_t dropped_bytes; /* between them */
};

struct output_options {
	int stdio[3]; /* the caller's descriptors; borrowed; never closed here */
	bool capture; /* stdout and stderr are kept, not passed on */
	uint64_t
		limit_bytes; /* of each stream: capture keeps head + tail within it; passing on with
	                        * a limit stops passing there and counts the rest. 0: no limit */
	bool terminal; /* one of stdio is a terminal: a PTY of the box's own will be attached */
	bool terminal_is_set; /* whose settings and size are the caller's already */
	/* What is relayed is made harmless, and so all but devices is relayed. Borrowed; or NULL. */
	const struct sanitizing *sanitizing;
};

struct output; /* opaque */
struct sanitizing; /* see run/sanitizing.h */

/* This process ignores SIGPIPE and SIGXFSZ while an output lives. */

/* Looks at each of stdio:
 * - a closed one becomes /dev/null;
 * - a directory, an O_PATH descriptor, a datagram or unconnected socket, the master side of a PTY
 *   and whatever is not known here are refused (error);
 * - a regular file or block device is relayed: through /proc/self/fd the box could open it again,
 *   truncate it, or write where it may only read;
 * - a network socket is relayed: it belongs to the host's network, and connect() to AF_UNSPEC and
 *   then to somewhere else would be a way out;
 * - pipes, connected unix sockets and character devices are handed over unless captured or a limit
 *   applies to them; stdout and stderr of one open file description share one relay, so that their
 *   order is kept (and one limit);
 * - a terminal is never handed over: without options->terminal it is refused.
 * After it, output_child_fd(o, i) is what becomes descriptor i in the box (for a terminal: -1,
 * meaning "the PTY's slave"). Descriptors for 1 and 2 may be equal. */
int output_new(const struct output_options *options, struct output **ret, struct error *error);
int output_child_fd(const struct output *output, int index);
/* Once the child has its copies: closes them here, so that ends of streams are seen. */
void output_close_child_fds(struct output *output);

/* Whether init makes the command's process group the foreground group of the PTY from the start.
 * False in a pipeline (`coffer run cmd | less`) or in the background: there another program may be
 * using the keyboard, and the terminal is left alone until the command wants it. Then the command
 * is started in a group of its own that is not the PTY's foreground, and the kernel stops it by
 * SIGTTIN or SIGTTOU when it reads the terminal or sets it: see output_stopped(). */
bool output_takes_terminal(const struct output *output);

/* The master side of the box's PTY has arrived (owned from now on, also on failure): it gets the
 * settings and the size of the caller's terminal, and that goes into raw mode when the command has
 * the keyboard, guarded by a small process that restores it even after kill -9 of this one. init
 * keeps a slave open until the end: without one a PTY counts as hung up. */
int output_attach_terminal(struct output *output, int master, struct error *error);

/* For the supervisor's poll loop: adds at most OUTPUT_POLL_MAX entries; later output_handle() with
 * the same entries after poll. Never blocks on a slow reader or writer. */
enum { OUTPUT_POLL_MAX = 8 };
size_t output_poll_fds(struct output *output, struct pollfd *fds);
/* When output_handle() has to be called even if nothing happens (us); 0: never. */
uint64_t output_wake_us(const struct output *output);
void output_handle(struct output *output, const struct pollfd *fds, size_t count);

/* SIGWINCH came: hands the new size on. */
void output_resize(struct output *output);
/* The box's command was stopped by signal, as waitpid() told init (WUNTRACED). A typed ^Z: restores
 * the terminal, stops this process's group, and returns when it was continued. SIGTTIN or SIGTTOU:
 * takes the terminal for the command. True: init makes the command's group the PTY's foreground and
 * sends it SIGCONT. False: nobody at a terminal wanted it, it stays stopped (the clock runs on).
 * While this process is stopped nothing meters the box: whoever has limits to keep freezes it
 * before. */
bool output_stopped(struct output *output, int signal);
/* Whether output_stopped() would stop this process. */
bool output_would_stop(const struct output *output, int signal);
/* SIGTSTP came to this process itself (handled, since the default action would leave the terminal
 * raw): restores the terminal, stops, and returns when it was continued. The caller stops the box
 * before and continues it afterwards. */
void output_suspend(struct output *output);
/* SIGCONT came after a stop that this process could not see (SIGSTOP): takes the terminal again. */
void output_continued(struct output *output);

/* The command has ended. Never waits for a descendant that still holds a pipe: what is there now is
 * moved, then that stream ends. True while a slow reader of the caller's has not taken everything:
 * the poll loop goes on, and this is asked again after each round. */
bool output_drain(struct output *output);
/* The end, after output_drain() or in a hurry: moves what can be moved at once (the rest counts as
 * dropped), restores the terminal, puts a relayed stdin file's offset back to what was really
 * read. */
void output_finish(struct output *output);
const struct captured *output_captured(const struct output *output, int index); /* 1, 2; or NULL */
/* Of relayed and captured streams; 0 for what was handed over. What went through a PTY counts on
 * the first of stdout and stderr that is the terminal; keys count on 0. */
uint64_t output_bytes_passed(const struct output *output, int index);
uint64_t output_bytes_dropped(const struct output *output, int index);
/* What was done to what passed. */
void output_sanitized(const struct output *output, struct sanitize_counts *ret);
/* 0, or the -errno with which the caller's descriptor refused a write (-ENOSPC, -EPIPE, ...); the
 * command then saw a closed pipe. */
int output_error(const struct output *output, int index);
void output_free(struct output *output);

#endif
