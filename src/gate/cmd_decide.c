/* Theory of operation. `coffer run` starts `coffer-gate decide QUESTION ANSWER` where a command
 * needs more than a look at its name. QUESTION is a sealed memfd, ANSWER the writing end of a pipe.
 * Whoever is asked is asked from here: standard input is empty, standard output is the caller's
 * standard error, the terminal is opened by name. Without an answer in the pipe nothing runs. */
#include "gate/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "config/config.h"
#include "gate/front.h"
#include "gate/pass.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

enum { EXIT_NO_ANSWER = 125 };

struct deciding {
	struct front_question question;
	struct config *config;
	struct hooks *hooks;
	struct approver *approver;
	char *user_rules;
	struct grant *asks;
	size_t asks_count;
	struct strv storage;
};

static void deciding_release(struct deciding *deciding)
{
	front_question_release(&deciding->question);
	hooks_free(deciding->hooks);
	config_free(deciding->config);
	approver_free(deciding->approver);
	free(deciding->user_rules);
	grants_free(deciding->asks, deciding->asks_count);
	strv_release(&deciding->storage);
}

static int open_all(struct deciding *deciding, struct error *error)
{
	const struct front_question *question = &deciding->question;
	struct config_where where;
	int r = config_where(question->directory, &where, &deciding->storage, error);
	if (r == 0)
		r = config_load(&where, &deciding->config, NULL, error);
	if (r < 0)
		return r;
	if (where.user_dir && !deciding->config->requirements.managed_rules_only) {
		deciding->user_rules = path_join(where.user_dir, "coffer.toml");
		if (!deciding->user_rules)
			return error_set_errno(error, ENOMEM, "gate", "the gate");
	}
	struct hooks_where hooks = {.session_id = "run",
		.directory = question->directory,
		.permission_mode = "default"};
	r = hooks_new(deciding->config, &hooks, &deciding->hooks);
	if (r < 0)
		return error_set_errno(error, -r, "gate", "the hooks");
	for (size_t i = 0; i < question->asks.count; i++) {
		struct error wrong;
		r = grants_parse(question->asks.items[i], question->directory, &deciding->asks,
			&deciding->asks_count, &wrong);
		if (r == 0)
			continue;
		error_set(error, -r, "gate", "--ask: %s", wrong.message);
		return error_hint(error, "%s", wrong.hint);
	}
	return question->approvals[0]
		       ? approver_channel(question->approvals, &deciding->approver, error)
		       : approver_terminal(&deciding->approver, error);
}

static int decide(struct deciding *deciding, struct front_answer *answer, struct error *error)
{
	const struct front_question *question = &deciding->question;
	struct settle_context settle = {.config = deciding->config,
		.hooks = deciding->hooks,
		.approver = deciding->approver,
		.user_rules = deciding->user_rules};
	struct pass pass = {.settle = &settle,
		.request = {.argv = strv_items(&question->argv),
			.directory = question->directory,
			.mode = question->mode,
			.asks = deciding->asks,
			.asks_count = deciding->asks_count,
			.writable_roots = strv_items(&question->roots),
			.home = getenv("HOME"),
			.path = getenv("PATH"),
			.look_into_files = true},
		.after_failure = question->after[0] ? question->after : NULL,
		.spoken = question->spoken};
	int r = approval_parse(question->approval, &pass.request.approval, error);
	/* One that was to stand in the way, and does not any more, is missed by somebody. */
	if (r == 0)
		r = hooks_waiting(deciding->config, &answer->notices);
	struct pass_result result = {0};
	if (r == 0)
		r = gate_pass(&pass, &result, error);
	if (r < 0)
		return r;
	answer->verdict = result.allowed ? FRONT_ALLOWED : FRONT_REFUSED;
	answer->reason = steal_pointer(&result.reason);
	answer->decision = steal_pointer(&result.decision);
	answer->argv = result.argv;
	answer->grants = result.grants;
	result.argv = result.grants = (struct strv){0};
	const char *const said[] = {result.message, result.context};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(said); i++)
		if (said[i])
			r = strv_add(&answer->notices, said[i]);
	pass_result_release(&result);
	return r;
}

/* PostToolUse: the command has run. Its output went where it goes; hooks get the report. */
static int tell_outcome(struct deciding *deciding, struct front_answer *answer, struct error *error)
{
	json_t *report = json_loads(deciding->question.outcome, 0, NULL);
	json_t *input = pass_tool_input(strv_items(&deciding->question.argv), NULL);
	if (!report || !input) {
		json_decref(report);
		json_decref(input);
		answer->verdict = FRONT_ALLOWED; /* nothing that a hook could be shown */
		return 0;
	}
	json_t *fields = json_pack("{s:s, s:o, s:o}", "tool_name", "Bash", "tool_input", input,
		"tool_response", report);
	struct hook_outcome outcome = {0};
	int r = fields ? hooks_fire(deciding->hooks, HOOK_POST_TOOL_USE, "Bash", fields, &outcome,
				 error)
		       : -ENOMEM;
	json_decref(fields);
	answer->verdict = outcome.says == HOOK_SAYS_DENY ? FRONT_REFUSED : FRONT_ALLOWED;
	answer->reason = steal_pointer(&outcome.reason);
	const char *const said[] = {outcome.message, outcome.context};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(said); i++)
		if (said[i])
			r = strv_add(&answer->notices, said[i]);
	hook_outcome_release(&outcome);
	return r;
}

/* The question and the pipe; nothing of them goes on to hooks, boxes and reviewers. */
static int take_descriptors(char *argv[], int ret[2])
{
	for (int i = 0; i < 2; i++) {
		char *end;
		long fd = strtol(argv[i + 1], &end, 10);
		if (!argv[i + 1][0] || *end || fd < 3 || fd > INT_MAX ||
			fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
			return -EBADF;
		ret[i] = (int)fd;
	}
	return 0;
}

int cmd_decide(int argc, char *argv[])
{
	int fds[2];
	if (argc != 3 || take_descriptors(argv, fds) < 0) {
		fprintf(stderr, "coffer-gate: decide is started by coffer run\n");
		return EXIT_NO_ANSWER;
	}
	/* TERM, not KILL: a prompt puts the terminal's settings back. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	struct deciding deciding = {0};
	struct front_answer answer = {0};
	struct error error = {0};
	int r = front_question_read(fds[0], &deciding.question);
	if (r < 0)
		error_set_errno(&error, -r, "gate", "the question");
	else
		r = open_all(&deciding, &error);
	if (r == 0 && deciding.question.outcome[0])
		r = tell_outcome(&deciding, &answer, &error);
	else if (r == 0)
		r = decide(&deciding, &answer, &error);
	if (r < 0) {
		front_answer_release(&answer);
		answer.reason = strdup(error.message);
		answer.hint = strdup(error.hint);
	}
	r = front_answer_write(&answer, fds[1]);
	front_answer_release(&answer);
	deciding_release(&deciding);
	return r < 0 ? EXIT_NO_ANSWER : 0;
}
