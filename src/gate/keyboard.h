/* The controlling terminal while a person is asked: taken for ourselves, key by key or line by
 * line, and given back as it was. Output of coffer's own only: what strangers wrote goes through
 * gate/show.h before. */
#ifndef COFFER_GATE_KEYBOARD_H
#define COFFER_GATE_KEYBOARD_H

#include "base/terminal.h"
#include "gate/show.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct keyboard {
	struct terminal terminal;
	int lock;    /* the device itself, locked among askers; -1 */
	int signals; /* a signalfd: what would end us while we hold the terminal; -1 */
	bool taken;
	bool plain;          /* a terminal that knows no control sequences (TERM=dumb) */
	bool contested;      /* another program has it in raw mode */
	sigset_t saved_mask; /* while taken */
	struct show_style style;
	unsigned rows;
};
#define KEYBOARD_INIT                                                                              \
	{                                                                                          \
		.terminal = TERMINAL_INIT, .lock = -1, .signals = -1                               \
	}

/* -ENXIO: this process has no terminal. */
int keyboard_open(struct keyboard *keyboard, struct error *error);
void keyboard_close(struct keyboard *keyboard);

/* Waits until this process is in the foreground and no other asker has the terminal; then it is
 * ours. -EIO: it has gone, or nobody will bring us to the foreground. */
int keyboard_take(struct keyboard *keyboard, struct error *error);
/* Also takes effect of the signals that came meanwhile: it may not return. */
void keyboard_give_back(struct keyboard *keyboard);
/* Gives it to a program of ours, other askers still waiting; keyboard_take() takes it again. */
void keyboard_lend(struct keyboard *keyboard);
/* ^Z: gives it back, stops, and returns when the job was continued. */
void keyboard_suspend(struct keyboard *keyboard);

int keyboard_write(struct keyboard *keyboard, const char *text);
int keyboard_write_buffer(struct keyboard *keyboard, struct buffer *text);

enum { KEYBOARD_QUIET_MS = 400, KEYBOARD_QUIET_MAX_MS = 15000 };
/* Throws away what was typed or pasted before a question could have been read: returns when no key
 * has come for KEYBOARD_QUIET_MS. -EAGAIN: they never ceased. -EIO, -EINTR: as keyboard_key(). */
int keyboard_quiet(struct keyboard *keyboard);

enum key_kind {
	KEY_CHARACTER,
	KEY_ENTER,
	KEY_INTERRUPT,
	KEY_END,
	KEY_SUSPEND,
	KEY_REDRAW,
	KEY_IGNORED, /* a paste, a change of focus */
	KEY_UNCLEAR, /* more than one at once, an escape sequence, another control */
};
struct key {
	enum key_kind kind;
	char character;
};
/* One key, with or without Enter after it. -EIO: the terminal has gone. -EINTR: a signal wants this
 * process to end. */
int keyboard_key(struct keyboard *keyboard, struct key *ret);
/* One byte, for the line editor; wait_ms < 0: however long. -ETIME; errors as above. */
int keyboard_byte(struct keyboard *keyboard, int wait_ms, unsigned char *ret);
/* A line as the terminal itself edits it, after label, without its Enter, in text. -ENODATA: none
 * (end of file, or longer than there is room). Errors as above. */
int keyboard_line(struct keyboard *keyboard, const char *label, char *text, size_t text_bytes);

/* A line that is edited here, starting from initial. *ret: caller frees. -ECANCELED: ^C, or nothing
 * typed. Errors as above. */
int keyboard_edit(struct keyboard *keyboard, const char *label, const char *initial, char **ret);

/* initial in the user's own editor ($VISUAL, $EDITOR), which has the terminal meanwhile. -ENOENT:
 * none is set. -ECANCELED: it failed, or left nothing. */
int keyboard_external_edit(
	struct keyboard *keyboard, const char *initial, char **ret, struct error *error);

#endif
