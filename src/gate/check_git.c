#include "gate/check_git.h"

#include "base/cleanup.h"
#include "coffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int take_error(const struct coffer_error *from, struct error *error)
{
	error_set(error, from->errno_value ? from->errno_value : EIO, "diff", "%s", from->message);
	return error_hint(error, "%s", from->hint);
}

static struct coffer_policy *reading_policy(struct coffer_error *error)
{
	struct coffer_policy *policy = coffer_policy_new();
	if (!policy)
		return NULL;
	if (coffer_policy_set(policy, "mode", "read-only", error) < 0 ||
		coffer_policy_set(policy, "limit", "time=60s", error) < 0) {
		coffer_policy_free(policy);
		return NULL;
	}
	return policy;
}

static int read_all(int fd, struct buffer *out, struct error *error)
{
	char chunk[64 * 1024];
	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(error, errno, "diff", "what git says");
		if (got == 0)
			return 0;
		buffer_append(out, chunk, got);
		if (buffer_error(out) < 0)
			return error_set(error, EFBIG, "diff",
				"the diff is larger than %zu MiB", out->max_bytes >> 20);
	}
}

static int run_git(const struct coffer_policy *policy, struct buffer *out, struct error *error)
{
	/* Nothing of the repository's or the user's own making shapes the diff. */
	char *argv[] = {"git", "--no-pager", "diff", "--no-color", "--no-ext-diff", "--no-textconv",
		"--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "HEAD",
		"--", NULL};
	struct coffer_error failure = {0};
	struct coffer_box *box = NULL;
	struct coffer_report *report = NULL;
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "diff", "a pipe");
	cleanup_close int from_git = pipe_fds[0];
	cleanup_close int to_git = pipe_fds[1];
	struct coffer_stdio stdio = {.fds = {-1, to_git, STDERR_FILENO}};
	if (coffer_box_start(policy, argv, &stdio, &box, &failure) < 0)
		return take_error(&failure, error);
	close_fd(&to_git);
	int r = read_all(from_git, out, error);
	/* A git that goes on writing is told that nobody reads. */
	close_fd(&from_git);
	if (coffer_box_wait(box, &report, &failure) < 0 && r == 0)
		r = take_error(&failure, error);
	if (r == 0 && coffer_report_exit_code(report) != 0) {
		const struct coffer_error *why = coffer_report_error(report);
		r = why ? take_error(why, error)
			: error_set(error, EINVAL, "diff", "git diff HEAD failed with code %d",
				  coffer_report_exit_code(report));
		if (!why)
			error_hint(error, "is this a git repository with a commit? A diff can also "
					  "be given: coffer check --diff FILE");
	}
	coffer_report_free(report);
	coffer_box_free(box);
	return r;
}

int check_git_diff(struct buffer *out, struct error *error)
{
	struct coffer_error failure = {0};
	struct coffer_policy *policy = reading_policy(&failure);
	if (!policy)
		return take_error(&failure, error);
	int r = run_git(policy, out, error);
	coffer_policy_free(policy);
	return r;
}
