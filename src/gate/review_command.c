/* A reviewer that is a program: in a box that can only read, without a network unless the
 * configuration names hosts, since the request that it parses is a stranger's. What it reads and
 * writes are files in memory and no pipes: one that does not read, dies early, writes for ever or
 * leaves a child behind holds nobody up. The box itself ends it when its time is over. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/request.h"
#include "coffer.h"
#include "gate/hooks.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

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

/* A working directory that boxes write is no place to look for modules in, as `python3 -c` and -m
 * do; a script looks beside itself. */
static bool looks_around(char *const words[])
{
	for (size_t i = 1; words[i]; i++) {
		size_t length = strlen(words[i]);
		if (length > 1 && words[i][0] == '-' && words[i][1] != '-' &&
			strchr("cm", words[i][length - 1]))
			return true;
	}
	return false;
}

int review_check_place(const struct config_reviewer *reviewer, const struct gate_request *request,
	struct error *error)
{
	for (size_t i = 0; i < reviewer->command.count; i++) { /* other kinds have none */
		cleanup_free char *path =
			path_absolute(request->directory, reviewer->command.items[i]);
		cleanup_free char *real = path ? realpath(path, NULL) : NULL;
		struct stat st;
		if (!path)
			return error_set_errno(error, ENOMEM, "reviewer", "its words");
		if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		for (char *const *root = request->writable_roots; root && *root; root++) {
			if (!path_is_below(real, *root) && !path_is_below(path, *root))
				continue;
			error_set(error, EPERM, "reviewer", "%.200s lies where boxes can write",
				path);
			return error_hint(error, "put it elsewhere, such as /usr/local/bin");
		}
	}
	return 0;
}

/* What a box has written must not come to speak for the reviewer: no program or module is looked
 * for where boxes write. */
static int set_environment(const struct config_reviewer *reviewer,
	const struct gate_request *request, struct coffer_policy *policy,
	struct coffer_error *error)
{
	cleanup_strv struct strv directories = {0}, assignments = {0};
	int r = strv_copy(&directories, request->writable_roots);
	if (r == 0)
		r = strv_add(&directories, request->directory);
	if (r == 0)
		r = hooks_clean_assignments(directories.items, &assignments);
	if (r == 0 && looks_around(reviewer->command.items))
		r = strv_add(&assignments, "PYTHONSAFEPATH=1");
	for (size_t i = 0; r == 0 && i < assignments.count; i++)
		r = coffer_policy_set(policy, "env", assignments.items[i], error);
	return r;
}

static int make_policy(const struct config_reviewer *reviewer, const struct gate_request *request,
	struct coffer_policy **ret, struct coffer_error *error)
{
	char limit[128];
	snprintf(limit, sizeof(limit), "time=%" PRIu64 "ms,grace=0s,output=%d",
		reviewer->timeout_ms, MAX_REVIEW_ANSWER_BYTES + 1);
	const struct {
		const char *key, *value;
	} settings[] = {{"mode", "read-only"}, {"directory", request->directory}, {"limit", limit}};
	*ret = coffer_policy_new();
	int r = *ret ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(settings); i++)
		r = coffer_policy_set(*ret, settings[i].key, settings[i].value, error);
	if (r == 0)
		r = set_environment(reviewer, request, *ret, error);
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

/* Until the command and its box have ended. */
static int wait_for_end(struct coffer_box *box, struct error *error)
{
	struct coffer_error box_error = {0};
	struct coffer_report *report = NULL;
	if (coffer_box_wait(box, &report, &box_error) < 0)
		return set_error(error, &box_error);
	int code = coffer_report_exit_code(report), r = 0;
	const char *cause = coffer_report_cause(report);
	if (strcmp(cause, "timed_out") == 0)
		r = error_set(error, ETIME, "reviewer", "it did not answer in time");
	else if (code != 0 || strcmp(cause, "exited") != 0)
		r = error_set(
			error, EPROTO, "reviewer", "it ended with exit code %d (%s)", code, cause);
	coffer_report_free(report);
	return r;
}

int review_by_command(const struct config_reviewer *reviewer, const char *json,
	const struct gate_request *request, struct review *ret, struct error *error)
{
	struct coffer_error box_error = {0};
	__attribute__((cleanup(cleanup_policy))) struct coffer_policy *policy = NULL;
	__attribute__((cleanup(cleanup_box))) struct coffer_box *box = NULL;

	if (make_policy(reviewer, request, &policy, &box_error) < 0)
		return policy ? set_error(error, &box_error)
			      : error_set_errno(error, ENOMEM, "reviewer", "its box");
	cleanup_close int input = seal(json);
	cleanup_close int output = memfd_create("coffer-answer", MFD_CLOEXEC);
	if (input < 0 || output < 0)
		return error_set_errno(
			error, input < 0 ? -input : errno, "reviewer", "its files in memory");
	struct coffer_stdio stdio = {{input, output, -1}};
	if (coffer_box_start(policy, reviewer->command.items, &stdio, &box, &box_error) < 0)
		return set_error(error, &box_error);
	int r = wait_for_end(box, error);
	if (r < 0)
		return r;

	cleanup_free char *answer = malloc(MAX_REVIEW_ANSWER_BYTES + 1);
	ssize_t length = answer ? pread(output, answer, MAX_REVIEW_ANSWER_BYTES + 1, 0) : -1;
	if (length < 0)
		return error_set_errno(error, errno, "reviewer", "its answer");
	if (length > MAX_REVIEW_ANSWER_BYTES)
		return error_set(error, EMSGSIZE, "reviewer", "its answer is longer than %d bytes",
			MAX_REVIEW_ANSWER_BYTES);
	return review_answer_parse(answer, (size_t)length, ret, error);
}
