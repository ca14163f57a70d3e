/* The caller's terminal: raw while the box's command has the keyboard (or key by key while a person
 * is asked), and itself again afterwards, whatever happens to this process. */
#ifndef COFFER_BASE_TERMINAL_H
#define COFFER_BASE_TERMINAL_H

#include "base/error.h"

#include <stdbool.h>
#include <termios.h>

struct terminal {
	int fd;                     /* -1: none */
	bool own;                   /* an open file description of our own, non-blocking */
	bool claimed;               /* our settings are in force */
	struct termios saved, ours; /* while claimed */
	int guard; /* a pidfd: whoever reaps every child may have reaped it; -1: none */
};

#define TERMINAL_INIT                                                                              \
	{                                                                                          \
		.fd = -1, .guard = -1                                                              \
	}

/* Opens the terminal behind fd (borrowed) once more, so that it can be made non-blocking without
 * anybody else noticing; if that is not permitted, fd itself is duplicated. */
int terminal_open(struct terminal *terminal, int fd);
void terminal_close(struct terminal *terminal); /* releases it first */

/* Whether fd is the master side of a PTY, which isatty() takes for a terminal too. */
bool terminal_is_master(int fd);

/* Whether this process may read and set the terminal without being stopped for it: its group is in
 * the foreground, or it is not a terminal that does job control for us at all. */
bool terminal_is_foreground(int fd);

/* Raw mode, with a guard process that undoes it when this process dies. -EAGAIN: in the
 * background. */
int terminal_claim(struct terminal *terminal, struct error *error);
/* The same with other settings than raw ones. */
int terminal_claim_with(
	struct terminal *terminal, const struct termios *settings, struct error *error);
/* Undoes it, unless somebody else has changed the settings meanwhile: then they are theirs. */
void terminal_release(struct terminal *terminal);

/* The box's PTY starts with the settings and the size of the caller's terminal. */
void terminal_copy_settings(const struct terminal *terminal, int master);
void terminal_copy_size(const struct terminal *terminal, int master);

/* Stops this process (or its whole process group) as job control would, by signal; returns when it
 * was continued. In a group that nobody would continue, the kernel ignores such a stop. */
void terminal_stop_self(int signal, bool whole_group);

#endif
