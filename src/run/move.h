/* Moving a directory where rename() says EXDEV although both places are in one file system: on an
 * overlay, when any of it lies below. */
#ifndef COFFER_RUN_MOVE_H
#define COFFER_RUN_MOVE_H

#include <stdbool.h>
#include <stdint.h>

struct move_bounds {
	uint64_t entries, bytes;
	/* Asked between entries; false: nobody waits for the result any more, or it takes too long.
	 */
	bool (*goes_on)(void *context);
	void *context;
};

/* What renameat2() would do with a directory. flags: 0 or RENAME_NOREPLACE. 0 or -errno, as
 * rename() has it; -EXDEV also for what cannot be moved without a loss, and above the bounds. */
int move_directory(int old_parent, const char *old_name, int new_parent, const char *new_name,
	unsigned flags, const struct move_bounds *bounds);

#endif
