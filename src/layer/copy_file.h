/* One file's content and attributes, from one descriptor to another. */
#ifndef COFFER_LAYER_COPY_FILE_H
#define COFFER_LAYER_COPY_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Shares the blocks where the file system can (*ret_bytes: 0), else copies, holes staying holes. `to`
 * is empty; it gets the size of `from`. 0 or -errno. ret_bytes may be NULL; it is added to. */
int copy_content(int from, int to, uint64_t *ret_bytes);

/* Makes the user.* attributes of `to` those of `from`. overlayfs's own: copied, too, with `marks`,
 * else neither copied nor removed. Others (capabilities, labels) stay behind: a box does not give
 * privileges. File systems without attributes have none. 0 or -errno. */
int copy_attributes(int from, int to, bool marks);
/* Whether name is one that copy_attributes() without `marks` is about. */
bool copy_is_plain_attribute(const char *name);

enum { COPY_ATTRIBUTE_NAMES_MAX = 64 * 1024, COPY_ATTRIBUTE_MAX = 64 * 1024 };

#endif
