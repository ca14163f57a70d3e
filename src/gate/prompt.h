/* What a person sees when asked; the terminal itself is gate/keyboard.h. Pure. */
#ifndef COFFER_GATE_PROMPT_H
#define COFFER_GATE_PROMPT_H

#include "gate/settle.h"
#include "gate/show.h"

/* How much a question may take; 0: as much as it needs. */
struct prompt_room {
	size_t command_rows, field_rows;
	size_t items; /* of each kind: wishes, parts that ask, parts that are new */
};
/* The question: the command, what it wants, why somebody is asked, what of it is new, what the
 * agent says. *ret_folded: of the command or of what it wants, not all is shown. */
int prompt_question(const struct approval_request *request, const struct prompt_room *room,
	const struct show_style *style, struct buffer *out, bool *ret_folded);

enum prompt_choice {
	CHOICE_ONCE,
	CHOICE_SESSION,
	CHOICE_ALWAYS,
	CHOICE_EDIT,
	CHOICE_VIEW,
	CHOICE_NO,
	CHOICE_REASON,
	CHOICE_STOP,
	CHOICES,
	CHOICE_NONE = CHOICES,
};
struct prompt_offer {
	bool session; /* there is one */
	bool always;  /* a rule can be written */
	bool edit;    /* another command could be run */
	bool view;    /* something is hidden */
	bool words;   /* only whole words count */
};
/* The line of answers. */
int prompt_answers(
	const struct prompt_offer *offer, const struct show_style *style, struct buffer *out);
/* What a person typed, a key or a word, without the Enter: CHOICE_NONE unless it is exactly one. */
enum prompt_choice prompt_choice(const char *typed, const struct prompt_offer *offer);

#endif
