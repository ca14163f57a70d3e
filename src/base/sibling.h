/* The other executables of coffer, which lie beside this very program wherever it was installed. */
#ifndef COFFER_BASE_SIBLING_H
#define COFFER_BASE_SIBLING_H

#include "base/error.h"

#include <limits.h>

/* The path of the sibling called name; an error (with `stage`) where it cannot be executed. */
int sibling_find(const char *name, const char *stage, char ret_path[PATH_MAX], struct error *error);

/* The same for what is no executable, and may be missing. */
int sibling_path(const char *name, const char *stage, char ret_path[PATH_MAX], struct error *error);

#endif
