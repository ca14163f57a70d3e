#include "gate/check_git.h"

#include "base/cleanup.h"
#include "coffer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { GIT_TIMEOUT_MS = 60 * 1000 };

static int take_error(const struct coffer_error *from, struct error *error)
{
	error_set(error, from->errno_value ? from->errno_value : EIO, "diff", "%s", from->message);
	return error_hint(error, "%s", from->hint);
}

static struct coffer_policy *reading_policy(struct coffer_error *error)
{
	struct coffer_policy *policy = coffer_policy_new();
	if (policy && coffer_policy_set(policy, "mode", "read-only", error) < 0) {
		coffer_policy_free(policy);
		return NULL;
	}
	return policy;
}

/* What was written to a file in memory: its size is fixed, so the offset tells the length. */
static int read_back(int fd, struct buffer *out, struct error *error)
{
	char chunk[64 * 1024];
	off_t left = lseek(fd, 0, SEEK_CUR), at = 0;
	while (left > 0) {
		size_t want = left < (off_t)sizeof(chunk) ? (size_t)left : sizeof(chunk);
		ssize_t got = pread(fd, chunk, want, at);
		if (got <= 0)
			return error_set_errno(
				error, got < 0 ? errno : EIO, "diff", "what git says");
		buffer_append(out, chunk, got);
		at += got;
		left -= got;
	}
	return left < 0 ? error_set_errno(error, errno, "diff", "what git says")
			: buffer_error(out);
}

/* A file that can hold max_bytes and no more. -1: errno. */
static int bounded_file(size_t max_bytes)
{
	cleanup_close int fd = memfd_create("git diff", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, max_bytes) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -1;
	return steal_fd(&fd);
}

static int run_git(struct coffer_box *box, int said, int *ret_status, struct coffer_error *failure)
{
	/* Nothing of the repository's or the user's own making shapes the diff. */
	char *argv[] = {"git", "--no-pager", "diff", "--no-color", "--no-ext-diff", "--no-textconv",
		"--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "HEAD",
		"--", NULL};
	struct coffer_stdio stdio = {.fds = {-1, said, STDERR_FILENO}};
	uint32_t id;
	int r = coffer_box_exec(box, argv, NULL, NULL, &stdio, &id, failure);
	return r < 0 ? r : coffer_box_wait_exec(box, id, GIT_TIMEOUT_MS, ret_status, failure);
}

static int diff_in_box(const struct coffer_policy *policy, struct buffer *out, struct error *error)
{
	char *no_command[] = {NULL};
	struct coffer_error failure = {0};
	struct coffer_box *box = NULL;
	int status = 0;
	cleanup_close int said = bounded_file(out->max_bytes);
	if (said < 0)
		return error_set_errno(error, errno, "diff", "a file in memory");
	int r = 0;
	if (coffer_box_start(policy, no_command, NULL, &box, &failure) < 0 ||
		run_git(box, said, &status, &failure) < 0)
		r = take_error(&failure, error);
	coffer_box_free(box);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		error_set(error, EINVAL, "diff", "git diff HEAD failed");
		return error_hint(error,
			"is this a git repository with a commit? A diff can also be "
			"given: coffer check --diff FILE");
	}
	return read_back(said, out, error);
}

int check_git_diff(struct buffer *out, struct error *error)
{
	struct coffer_error failure = {0};
	struct coffer_policy *policy = reading_policy(&failure);
	if (!policy)
		return take_error(&failure, error);
	int r = diff_in_box(policy, out, error);
	coffer_policy_free(policy);
	return r;
}
