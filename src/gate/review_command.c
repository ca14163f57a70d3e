/* A reviewer that is a program: in a box that can only read, without a network unless the
 * configuration names hosts, since the request that it parses is a stranger's. Its stdin is a sealed
 * file and not a pipe, so that one that does not read, or dies early, holds up and kills nobody. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/request.h"
#include "coffer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

static void cleanup_policy(struct coffer_policy **policy)
{
	coffer_policy_free(*policy);
}

static void cleanup_box(struct coffer_box **box)
{
	coffer_box_free(*box);
}

static int set_error(struct error *error, const struct coffer_error *from)
{
	error_set(error, from->errno_value ? from->errno_value : EIO, "reviewer", "its box: %s: %s",
		from->stage, from->message);
	return error_hint(error, "%s", from->hint);
}

static int make_policy(const struct config_reviewer *reviewer, const char *directory,
	struct coffer_policy **ret, struct coffer_error *error)
{
	char limit[64];
	snprintf(limit, sizeof(limit), "time=%" PRIu64 "ms,grace=0s", reviewer->timeout_ms);
	const struct {
		const char *key, *value;
	} settings[] = {{"mode", "read-only"}, {"directory", directory}, {"limit", limit}};
	*ret = coffer_policy_new();
	int r = *ret ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(settings); i++)
		r = coffer_policy_set(*ret, settings[i].key, settings[i].value, error);
	for (size_t i = 0; r == 0 && i < reviewer->network.count; i++)
		r = coffer_policy_set(*ret, "allow-domain", reviewer->network.items[i], error);
	return r;
}

static int seal(const char *json)
{
	struct buffer input = {.max_bytes = MAX_REVIEW_REQUEST_BYTES + 2};
	buffer_append_string(&input, json);
	buffer_append(&input, "\n", 1);
	cleanup_close int fd = request_seal(&input);
	buffer_release(&input);
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Until its end of file; -ETIME, or -ENOBUFS where it says more than an answer can be. */
static int read_answer(int fd, uint64_t deadline_us, struct buffer *answer)
{
	for (;;) {
		uint64_t now_us = clock_now_us();
		if (now_us >= deadline_us)
			return -ETIME;
		struct pollfd waiting = {.fd = fd, .events = POLLIN};
		int r = poll(&waiting, 1, (int)((deadline_us - now_us + 999) / 1000));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return buffer_error(answer);
		if (n > 0)
			buffer_append(answer, chunk, (size_t)n);
		if (buffer_error(answer) < 0)
			return buffer_error(answer);
	}
}

static int check_end(struct coffer_box *box, struct error *error)
{
	struct coffer_error box_error = {0};
	struct coffer_report *report = NULL;
	if (coffer_box_wait(box, &report, &box_error) < 0)
		return set_error(error, &box_error);
	int code = coffer_report_exit_code(report), r = 0;
	if (strcmp(coffer_report_cause(report), "timed_out") == 0)
		r = error_set(error, ETIME, "reviewer", "it did not answer in time");
	else if (code != 0)
		r = error_set(error, EPROTO, "reviewer", "it ended with exit code %d (%s)", code,
			coffer_report_cause(report));
	coffer_report_free(report);
	return r;
}

int review_by_command(const struct config_reviewer *reviewer, const char *json,
	const char *directory, struct review *ret, struct error *error)
{
	struct coffer_error box_error = {0};
	__attribute__((cleanup(cleanup_policy))) struct coffer_policy *policy = NULL;
	__attribute__((cleanup(cleanup_box))) struct coffer_box *box = NULL;
	uint64_t deadline_us = clock_now_us() + reviewer->timeout_ms * 1000;

	if (make_policy(reviewer, directory, &policy, &box_error) < 0)
		return policy ? set_error(error, &box_error)
			      : error_set_errno(error, ENOMEM, "reviewer", "its box");
	int pipe_fds[2];
	cleanup_close int input = seal(json);
	if (input < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_set_errno(error, input < 0 ? -input : errno, "reviewer", "its input");
	cleanup_close int output = pipe_fds[0], inner = pipe_fds[1];
	struct coffer_stdio stdio = {{input, inner, -1}};
	if (coffer_box_start(policy, reviewer->command.items, &stdio, &box, &box_error) < 0)
		return set_error(error, &box_error);
	close_fd(&inner);

	cleanup_buffer struct buffer answer = BUFFER_INIT(MAX_REVIEW_ANSWER_BYTES);
	int r = read_answer(output, deadline_us, &answer);
	if (r == -ETIME)
		return error_set(error, ETIME, "reviewer", "it did not answer in time");
	if (r == -ENOBUFS)
		return error_set(error, EMSGSIZE, "reviewer", "its answer is longer than %d bytes",
			MAX_REVIEW_ANSWER_BYTES);
	if (r < 0)
		return error_set_errno(error, -r, "reviewer", "its answer");
	r = check_end(box, error);
	return r < 0 ? r
		     : review_answer_parse(
			       answer.data ? answer.data : "", answer.length_bytes, ret, error);
}
