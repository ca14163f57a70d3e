#ifndef COFFER_CONFINE_CAPS_H
#define COFFER_CONFINE_CAPS_H

#include "base/error.h"

/* Empties every capability set of the calling thread, the bounding set and the ambient set
 * included, sets no_new_privs, and joins a session keyring of its own where the kernel has one.
 * Nothing can bring a capability back after it. */
int caps_drop_all(struct error *error);

#endif
