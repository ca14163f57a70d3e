/* The half of rule_append() that knows files and nothing of what a configuration means. */
#ifndef COFFER_GATE_RULE_WRITE_H
#define COFFER_GATE_RULE_WRITE_H

#include "base/buffer.h"
#include "base/error.h"

/* check is given a directory that holds the whole new file under the old one's name; what it
 * refuses takes nobody's place. Several writers wait for one another. */
int rule_append_checked(const char *file, const char *text,
	int (*check)(const char *directory, struct error *error), struct error *error);
/* The same for any change: compose makes the whole new text of the old one ("" where there is no
 * file). It is called anew where somebody else has changed the file meanwhile. */
int rule_file_rewrite(const char *file,
	int (*compose)(void *data, const char *old, size_t length_bytes, struct buffer *whole,
		struct error *error),
	void *data, int (*check)(const char *directory, struct error *error), struct error *error);

#endif
