/* What has changed in the repository at hand, by git, which is run inside a box: a repository can
 * make git run programs. */
#ifndef COFFER_GATE_CHECK_GIT_H
#define COFFER_GATE_CHECK_GIT_H

#include "base/buffer.h"
#include "base/error.h"

/* `git diff HEAD` of the working directory. 0, or -errno with error filled: the box could not be
 * built, git failed (its own words go to stderr), or the diff is longer than out may be. */
int check_git_diff(struct buffer *out, struct error *error);

#endif
