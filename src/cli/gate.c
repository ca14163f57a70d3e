#include "cli/gate.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sibling.h"
#include "cli/configure.h"
#include "config/compiled.h"
#include "gate/words.h"
#include "library/library.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void cli_gate_release(struct cli_gate *gate)
{
	front_answer_release(&gate->answer);
	strv_release(&gate->argv);
}

static int complain(const char *text)
{
	cli_complain_text("the gate: %s", text);
	return -1;
}

static int compare_words(const void *key, const void *item)
{
	return strcmp(key, *(char *const *)item);
}

/* Whether what it does may depend on more than its name. */
static bool needs_a_look(const char *word)
{
	return word_is_foreign(word) || word_needs_a_look(path_name(word));
}

/* Whether some rule may have to do with a program: by its own name, or because it may run
 * others. */
static bool rules_look(const struct compiled_config *config, const char *word)
{
	if (!config || config->words.count == 0)
		return false;
	const char *name = path_name(word);
	return needs_a_look(word) || bsearch(name, config->words.items, config->words.count,
					     sizeof(char *), compare_words);
}

static bool always_allows(const struct approval *approval)
{
	bool allows = approval->policy == APPROVAL_GRANULAR;
	for (size_t i = 0; i < CATEGORIES; i++)
		allows = allows && approval->granular[i] == VERDICT_ALLOW;
	return allows;
}

/* Whether the approval policy may have a question about a program. Without a policy
 * set by somebody, whoever typed the command has spoken. */
static int approval_looks(const struct cli_options *options, const char *word, bool *ret)
{
	const struct approval *approval = &options->approval;
	*ret = false;
	if (!approval->set || always_allows(approval))
		return 0;
	*ret = true;
	if (approval->policy == APPROVAL_UNTRUSTED || needs_a_look(word))
		return 0;
	/* What is ordinary only asks where the box is not the usual one. */
	struct coffer_plan *plan;
	struct coffer_error error;
	if (coffer_plan_new(options->policy, options->argv, 0, &plan, &error) < 0) {
		cli_complain(&error);
		return -1;
	}
	*ret = plan->plan->mode != MODE_WORKSPACE_WRITE;
	coffer_plan_free(plan);
	return 0;
}

static int make_question(const struct cli_options *options, const char *after,
	const struct strv *asks, struct front_question *ret)
{
	struct coffer_plan *plan = NULL;
	struct coffer_error error;
	if (coffer_plan_new(options->policy, options->argv, 0, &plan, &error) < 0) {
		cli_complain(&error);
		return -1;
	}
	/* The directory itself, as the box has it: by the name of a link the gate would find other
	 * rules than those that hold there. */
	const char *directory = options->policy->policy->directory;
	ret->mode = plan->plan->mode;
	ret->spoken = !options->approval.set;
	ret->directory = realpath(directory ? directory : ".", NULL);
	ret->approval = strdup(options->approval_text ? options->approval_text : "on-request");
	ret->approvals = strdup(options->approvals ? options->approvals : "");
	ret->after = strdup(after ? after : "");
	ret->outcome = strdup("");
	int r = strv_copy(&ret->argv, options->argv);
	if (r == 0)
		r = strv_copy(&ret->asks, strv_items(asks));
	if (r == 0)
		r = strv_copy(&ret->roots, strv_items(&plan->plan->write_roots));
	/* Without a box there are no roots; what the work is about is known all the same. */
	if (r == 0 && ret->mode == MODE_FULL_ACCESS && plan->plan->workspace)
		r = strv_add(&ret->roots, plan->plan->workspace);
	coffer_plan_free(plan);
	if (r < 0 || !ret->directory || !ret->approval || !ret->approvals || !ret->after ||
		!ret->outcome)
		return complain("out of memory");
	return 0;
}

/* Starts coffer-gate with the question and the pipe's writing end, besides what it asks through. */
static int start(const struct cli_options *options, int question, int pipe_end, pid_t *ret_pid)
{
	char path[PATH_MAX];
	struct error error;
	if (sibling_find("coffer-gate", "gate", path, &error) < 0) {
		cli_complain((const struct coffer_error *)&error);
		return -1;
	}
	char numbers[2][16];
	snprintf(numbers[0], sizeof(numbers[0]), "%d", question);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", pipe_end);
	char *argv[] = {(char *)"decide", numbers[0], numbers[1], NULL};
	int keep[] = {0, 1, 2, question, pipe_end, options->approvals_fd};
	pid_t pid = fork();
	if (pid < 0)
		return complain(strerrordesc_np(errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0)
			_exit(EXIT_SETUP_FAILED);
		for (size_t i = 3; i < ARRAY_SIZE(keep); i++)
			if (keep[i] >= 0)
				fcntl(keep[i], F_SETFD, 0);
		fd_close_all_but(keep, ARRAY_SIZE(keep));
		execv(path, argv);
		_exit(EXIT_SETUP_FAILED);
	}
	*ret_pid = pid;
	return 0;
}

static int read_answer(int fd, struct front_answer *ret)
{
	cleanup_buffer struct buffer data = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	char chunk[16384];
	ssize_t n;
	while ((n = fd_read_full(fd, chunk, sizeof(chunk))) > 0)
		buffer_append(&data, chunk, (size_t)n);
	if (n < 0 || buffer_error(&data) < 0 || data.length_bytes == 0)
		return -EIO;
	return front_answer_parse(data.data, data.length_bytes, ret);
}

static int consult(const struct cli_options *options, const struct front_question *question,
	struct front_answer *ret)
{
	cleanup_close int sealed = front_question_seal(question);
	int ends[2];
	if (sealed < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return complain(strerrordesc_np(sealed < 0 ? -sealed : errno));
	pid_t pid;
	int r = start(options, sealed, ends[1], &pid);
	close(ends[1]);
	if (r == 0) {
		r = read_answer(ends[0], ret);
		int status;
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (r < 0)
			r = complain(WIFSIGNALED(status) ? "it was killed; nothing was run"
							 : "it gave no answer; nothing was run");
	}
	close(ends[0]);
	if (r == 0 && ret->verdict == FRONT_FAILED) {
		complain(ret->reason);
		if (ret->hint && ret->hint[0])
			cli_say(ret->hint);
		r = -1;
	}
	for (size_t i = 0; r == 0 && i < ret->notices.count; i++)
		cli_say(ret->notices.items[i]);
	return r;
}

/* The box is widened by exactly what was granted; what nobody may widen still holds. */
static int widen(struct cli_options *options, const struct strv *grants)
{
	for (size_t i = 0; i < grants->count; i++) {
		struct coffer_error error;
		if (coffer_policy_grant(options->policy, grants->items[i], &error) < 0) {
			cli_complain(&error);
			return -1;
		}
	}
	return grants->count > 0 ? cli_configure_permits(options) : 0;
}

int cli_gate_pass(struct cli_options *options, const char *after, const struct strv *asks,
	struct cli_gate *ret)
{
	const char *word = options->argv[0];
	bool look = asks->count > 0 || rules_look(options->config, word) ||
		    (options->config && options->config->hooks);
	if (!look && approval_looks(options, word, &look) < 0)
		return -1;
	if (!look)
		return strv_copy(&ret->argv, options->argv) == 0 ? 0 : complain("out of memory");
	struct front_question question = {0};
	int r = make_question(options, after, asks, &question);
	if (r == 0)
		r = consult(options, &question, &ret->answer);
	front_question_release(&question);
	if (r < 0)
		return -1;
	ret->consulted = true;
	if (ret->answer.verdict == FRONT_REFUSED)
		return 0;
	if (strv_copy(&ret->argv, strv_items(&ret->answer.argv)) < 0)
		return complain("out of memory");
	return widen(options, &ret->answer.grants);
}

void cli_gate_outcome(
	struct cli_options *options, struct cli_gate *gate, struct coffer_report *report)
{
	if (!options->config || !options->config->hooks)
		return;
	struct front_question question = {0};
	struct front_answer answer = {0};
	static const struct strv none = {0};
	const char *json = coffer_report_json(report);
	if (json && make_question(options, NULL, &none, &question) == 0) {
		free(question.outcome);
		question.outcome = strdup(json);
		strv_release(&question.argv);
		if (question.outcome && strv_copy(&question.argv, strv_items(&gate->argv)) == 0 &&
			consult(options, &question, &answer) == 0 &&
			answer.verdict == FRONT_REFUSED && answer.reason)
			cli_say(answer.reason);
	}
	front_answer_release(&answer);
	front_question_release(&question);
}
