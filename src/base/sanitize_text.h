/* The first stage of a sanitizer: is it text, and which control codes are in it. */
#ifndef COFFER_BASE_SANITIZE_TEXT_H
#define COFFER_BASE_SANITIZE_TEXT_H

#include "base/sanitize.h"

enum {
	TEXT_UNDECIDED_BYTES = 8 * 1024, /* in which a control code may be the sign of a binary */
	TEXT_SEQUENCE_BYTES = 64,        /* of a control sequence that is kept */
	TEXT_STRING_BYTES = 4096,        /* of a control string, which nothing ends */
};

struct text {
	enum sanitize_controls controls;
	bool terminal;
	bool binary;
	uint64_t position; /* bytes of the stream so far */
	bool settled; /* what it is: nothing more is held */
	bool holds;
	struct buffer held; /* from the first control code on, while it is not settled */
	size_t held_checked;

	unsigned char character[4]; /* the beginning of one in UTF-8 */
	size_t character_bytes, character_wanted;

	enum text_state {
		TEXT_GROUND,
		TEXT_ESCAPE,       /* after ESC, and what may stand between */
		TEXT_CSI,          /* parameters, then a final byte */
		TEXT_STRING,       /* until ST, or BEL */
		TEXT_STRING_ESCAPE /* ESC in a string: \ makes it ST */
	} state;
	char sequence[TEXT_SEQUENCE_BYTES];
	size_t sequence_bytes, string_bytes;
	unsigned char previous; /* in a sequence */
	uint64_t removed;

	/* Gets what passes. binary: from here on it is no text. */
	void (*pass)(void *context, const char *data, size_t length_bytes, bool binary);
	void *context;
};

void text_feed(struct text *text, const char *data, size_t length_bytes, bool last);
void text_flush(struct text *text);
void text_release(struct text *text);

#endif
