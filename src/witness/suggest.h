/* The narrowest policy that lets a command run again as reports of `coffer run --trace-access` say
 * that it ran. */
#ifndef COFFER_WITNESS_SUGGEST_H
#define COFFER_WITNESS_SUGGEST_H

#include "base/error.h"
#include "base/strv.h"

#include <jansson.h>

struct suggestion {
	/* Settings for policy_set(): "key" or "key=value", in order. */
	struct strv settings;
	struct strv notes; /* what a person should know of it */
};

/* reports: an array of parsed reports, of one command or of several that are to share a policy.
 * Looks at the host to see which directories there are. -EINVAL for what is no such report. */
int suggest(const json_t *reports, struct suggestion *ret, struct error *error);
void suggestion_release(struct suggestion *suggestion);

/* The same as words for a shell, and as a coffer.toml; the caller frees. NULL: no memory. */
char *suggestion_flags(const struct suggestion *suggestion);
char *suggestion_toml(const struct suggestion *suggestion);

#endif
