/* What strangers wrote, for a person's eyes: nothing in it moves the cursor, hides, or turns the
 * direction of what stands around it. */
#ifndef COFFER_GATE_SHOW_H
#define COFFER_GATE_SHOW_H

#include "base/buffer.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stddef.h>

struct show_style {
	unsigned columns; /* of the screen */
	bool utf8;        /* it shows characters beyond ASCII */
	bool attributes;  /* it knows bold and reverse */
};

/* Whether a character shows as a mark of its own where it stands. Controls, what turns direction,
 * what has no width, combining marks and blanks beyond the ASCII one do not. */
bool show_is_seen(unsigned character);
/* The columns that it takes on a screen: 1 or 2. */
unsigned show_columns(unsigned character);

/* One character from *text, which is moved on: as it is where it is seen, else its number, "\x1b",
 * "\u{202e}"; bytes that are no UTF-8 as "\xff". Returns the columns that it takes. */
unsigned show_character(struct buffer *out, const char **text, const struct show_style *style);

/* Text as rows. The first row begins with first, as do those after a newline; one that was
 * wrapped begins with next. At most rows_max rows are made (0: any number); returns how many
 * characters were left out. */
size_t show_rows(struct buffer *out, const char *text, const char *first, const char *next,
	size_t rows_max, const struct show_style *style);

/* argv as a line that bash takes apart into the same words. Words with anything unseen stand as
 * $'...', so the line itself can be shown, copied and compared; newlines and tabs stand as they
 * are. ascii: nothing beyond ASCII in it either. */
void quote_words(char *const argv[], bool ascii, struct buffer *out);
/* The other way: the words of a line. -EINVAL: quotes are not closed, or nothing is there;
 * -EOPNOTSUPP: it needs a shell (lists, pipes, variables, globs, redirections, ...). */
int quote_parse(const char *line, struct strv *ret);
/* What stands for a command where people and hooks want a line of shell: SCRIPT of `sh -c SCRIPT`,
 * else argv quoted. Always UTF-8, and exact. Caller frees; NULL when out of memory. */
char *quote_command(char *const argv[]);
/* SCRIPT, where argv is exactly `sh -c SCRIPT` of a common shell; else NULL. */
const char *quote_script(char *const argv[]);

#endif
