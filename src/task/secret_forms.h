/* How a secret may be written, as patterns of one automaton. */
#ifndef COFFER_TASK_SECRET_FORMS_H
#define COFFER_TASK_SECRET_FORMS_H

#include "base/automaton.h"
#include "base/limits.h"
#include "task/secret_search.h"

enum secret_form {
	FORM_PLAIN,
	FORM_PERCENT,
	FORM_ESCAPED,
	FORM_HTML,
	FORM_QUOTED_PRINTABLE,
	FORM_BASE64,
	FORM_BASE64_TWICE,
	FORM_BASE64_WIDE,
	FORM_HEX,
	FORM_DECIMAL,
	FORM_BASE32,
	FORM_BASE85,
	FORM_UTF16,
	FORM_UTF32,
	FORM_REVERSED,
	FORMS_COUNT,
};

/* Static: "plain", "percent-encoded", ... */
const char *secret_form_name(enum secret_form form);
/* The name itself, or NULL: there is no such form. */
const char *secret_form_known(const char *name);

/* The values that the automaton accepts with. */
static inline uint32_t secret_form_value(size_t secret, enum secret_form form)
{
	return (uint32_t)(1 + secret * FORMS_COUNT + form);
}
enum { SECRET_VALUE_END = 1 + MAX_SECRETS * FORMS_COUNT };

/* Whether all of the value is looked for in this form, or, of a long one, only a part. */
bool secret_form_is_whole(const struct secret_value *value, enum secret_form form);

/* Draws every form of one secret. */
void secret_forms_draw(
	struct automaton *automaton, const struct secret_value *value, size_t index);

#endif
