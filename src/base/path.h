/* Pure string work on paths: nothing here looks at the file system. */
#ifndef COFFER_BASE_PATH_H
#define COFFER_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* An absolute, lexically clean copy of path: relative paths are taken from base (absolute), "." and
 * empty components go, ".." removes the component before it. Caller frees; NULL when out of memory
 * or longer than PATH_MAX (errno says which). */
char *path_absolute(const char *base, const char *path);

/* dir + "/" + name; caller frees; NULL as above. */
char *path_join(const char *dir, const char *name);

/* Whether path is dir or lies below it. Both absolute and clean. */
bool path_is_below(const char *path, const char *dir);

/* The number of components: 0 for "/". */
size_t path_depth(const char *path);

/* The last component, inside path ("/" gives ""). */
const char *path_name(const char *path);

/* The directory above; caller frees. "/" gives "/". */
char *path_parent(const char *path);

/* Whether path holds glob characters: * ? [ */
bool path_is_glob(const char *path);

/* Matches path (absolute, clean) against a glob: ?, [..] and * stop at "/", ** does not, and the
 * slash after a ** may match nothing, so that "**" + "/x" finds x at any depth. */
bool path_matches_glob(const char *path, const char *glob);

#endif
