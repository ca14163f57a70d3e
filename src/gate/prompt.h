/* What a person sees when asked; the terminal itself is gate/keyboard.h. Pure. */
#ifndef COFFER_GATE_PROMPT_H
#define COFFER_GATE_PROMPT_H

#include "gate/settle.h"
#include "gate/show.h"

/* The question: the command (at most command_rows of it; 0: all), what it wants, why somebody is
 * asked, what of it is new, what the agent says. *ret_hidden: how many characters of the command
 * are not shown. */
int prompt_question(const struct approval_request *request, size_t command_rows,
	const struct show_style *style, struct buffer *out, size_t *ret_hidden);

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
	bool view;    /* something is hidden */
	bool words;   /* only whole words count */
};
/* The line of answers. */
int prompt_answers(
	const struct prompt_offer *offer, const struct show_style *style, struct buffer *out);
/* What a person typed, a key or a word, without the Enter: CHOICE_NONE unless it is exactly one. */
enum prompt_choice prompt_choice(const char *typed, const struct prompt_offer *offer);

#endif
