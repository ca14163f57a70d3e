/* The syntax of git's config files, as far as reading them goes. */
#ifndef COFFER_PLAN_GIT_CONFIG_H
#define COFFER_PLAN_GIT_CONFIG_H

#include <stddef.h>

/* Called for each variable in order. section and name are in lower case, subsection as it was
 * written ("" when there is none); value is NULL for a variable without "=" (which means true).
 * The strings live until the call returns. A result other than 0 ends the parse with it. */
typedef int git_config_handler(const char *section, const char *subsection, const char *name,
	const char *value, void *context);

/* -EINVAL at the first line that is no config: git itself refuses to run then. What came before it
 * was handed over all the same. -ENOMEM. */
int git_config_parse(
	const char *data, size_t length_bytes, git_config_handler *handler, void *context);

#endif
