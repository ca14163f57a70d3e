/* What comes back from a box that worked on a private layer of a git directory (git = commit). */
#ifndef COFFER_RUN_GITLAYER_H
#define COFFER_RUN_GITLAYER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct gitlayer_options {
	const char *git_dir;        /* host path of the real one: free of symlinks */
	char *const *write_roots;   /* host paths; a new worktree must lie below one of them */
	struct timespec started_at; /* CLOCK_REALTIME before the layer was mounted */
	size_t hash_bytes;          /* of the repository's object format (plan/git_index.h) */
};

struct gitlayer_refusal {
	char *path;      /* below the git directory */
	const char *why; /* static */
};

struct gitlayer_result {
	size_t written, deleted; /* files; objects that were there already count as neither */
	uint64_t written_bytes;
	struct gitlayer_refusal *refused; /* what the box changed and was not written back */
	size_t refused_count, refused_capacity;
	size_t refused_lost; /* more than GITLAYER_REFUSED_MAX: only counted */
};

enum { GITLAYER_REFUSED_MAX = 256 };

/* Call it after the box's last process has ended, with the credentials of the directory's owner.
 * upper is the overlay's upper directory (mounted with userxattr), git_dir_fd the real directory.
 * What is refused is no failure; -errno and error mean that writing stopped: objects may have been
 * written then, and nothing that refers to them. *result is to be zeroed before, released after. */
int gitlayer_write_back(const char *upper, int git_dir_fd, const struct gitlayer_options *options,
	struct gitlayer_result *result, struct error *error);
void gitlayer_result_release(struct gitlayer_result *result);

#endif
