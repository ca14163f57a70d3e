#include "gate/pass.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/show.h"

#include <errno.h>
#include <string.h>

/* A hook may change the command, a person may edit it, again and again: each time all of it is
 * decided anew, and at some point it is enough. */
enum { ROUNDS = 8 };

void pass_result_release(struct pass_result *result)
{
	free(result->reason);
	free(result->context);
	free(result->message);
	free(result->decision);
	strv_release(&result->argv);
	strv_release(&result->grants);
	*result = (struct pass_result){0};
}

/* `sh -c LINE` is shown to hooks as LINE: that is what somebody wrote. */
static bool is_shell_line(char *const argv[])
{
	static const char *const shells[] = {
		"sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/usr/bin/sh"};
	if (!argv[0] || !argv[1] || !argv[2] || argv[3])
		return false;
	bool shell = false;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		shell = shell || strcmp(argv[0], shells[i]) == 0;
	return shell && (strcmp(argv[1], "-c") == 0 || strcmp(argv[1], "-lc") == 0);
}

static char *command_line(char *const argv[])
{
	if (is_shell_line(argv))
		return strdup(argv[2]);
	return quote_command(argv);
}

json_t *pass_tool_input(char *const argv[], const char *justification)
{
	cleanup_free char *line = command_line(argv);
	/* What is no UTF-8 cannot be shown to a hook as it is: then there is no input for it. */
	json_t *command = line ? json_string(line) : NULL;
	json_t *input = command ? json_object() : NULL;
	if (!input || json_object_set_new(input, "command", command) < 0) {
		json_decref(input);
		return NULL;
	}
	if (justification)
		json_object_set_new(input, "description", json_string(justification));
	return input;
}

/* What a hook made of the command: a shell line instead of what there was. */
static int take_updated(const json_t *updated, struct strv *argv, bool *ret_changed)
{
	const char *line = json_string_value(json_object_get(updated, "command"));
	cleanup_free char *before = command_line(strv_items(argv));
	if (!line || !before)
		return -EINVAL;
	*ret_changed = strcmp(line, before) != 0;
	if (!*ret_changed)
		return 0;
	char *words[] = {"bash", "-c", (char *)line, NULL};
	struct strv changed = {0};
	int r = strv_copy(&changed, words);
	if (r < 0)
		return r;
	strv_release(argv);
	*argv = changed;
	return 0;
}

static int add_text(char **to, const char *text)
{
	if (!text || !*text)
		return 0;
	char *joined = NULL;
	if (asprintf(&joined, "%s%s%s", *to ? *to : "", *to ? "\n" : "", text) < 0)
		return -ENOMEM;
	free(*to);
	*to = joined;
	return 0;
}

static int refuse(struct pass_result *ret, const char *by, const char *reason)
{
	ret->allowed = false;
	ret->by = by;
	free(ret->reason);
	ret->reason = strdup(reason && *reason ? reason : "refused without a reason");
	return ret->reason ? 0 : -ENOMEM;
}

/* PreToolUse. *ret_says: what it comes to. A command that cannot be shown to a hook is refused. */
static int ask_hooks(const struct pass *pass, struct pass_result *ret, enum hook_says *ret_says,
	bool *ret_changed, struct error *error)
{
	*ret_says = HOOK_SAYS_NOTHING;
	*ret_changed = false;
	if (!pass->settle->hooks)
		return 0;
	json_t *input = pass_tool_input(strv_items(&ret->argv), pass->justification);
	if (!input) {
		*ret_says = HOOK_SAYS_DENY;
		return refuse(ret, "hook", "the command is no UTF-8 text: no hook can judge it");
	}
	json_t *fields = json_pack("{s:s, s:o, s:s?}", "tool_name", "Bash", "tool_input", input,
		"tool_use_id", pass->tool_use_id);
	struct hook_outcome outcome = {0};
	int r = fields ? hooks_fire(pass->settle->hooks, HOOK_PRE_TOOL_USE, "Bash", fields,
				 &outcome, error)
		       : -ENOMEM;
	json_decref(fields);
	if (r < 0) {
		hook_outcome_release(&outcome);
		return r;
	}
	r = add_text(&ret->context, outcome.context);
	if (r == 0)
		r = add_text(&ret->message, outcome.message);
	*ret_says = outcome.stop ? HOOK_SAYS_DENY : outcome.says;
	ret->stop = outcome.stop;
	if (r == 0 && *ret_says == HOOK_SAYS_DENY)
		r = refuse(ret, "hook", outcome.stop ? outcome.stop_reason : outcome.reason);
	else if (r == 0 && outcome.updated_input)
		r = take_updated(outcome.updated_input, &ret->argv, ret_changed);
	hook_outcome_release(&outcome);
	return r;
}

/* The words of whoever decided, where nobody was asked. */
static const char *decided_by(const struct gate_decision *decision)
{
	for (size_t i = 0; i < decision->parts_count; i++)
		if (decision->parts[i].verdict == decision->verdict && decision->parts[i].rule)
			return "rule";
	return "policy";
}

static int add_grants(struct strv *words, const struct grant *grants, size_t count)
{
	static const char *const kinds[] = {
		[GRANT_WRITE] = "write=",
		[GRANT_NETWORK] = "net=",
		[GRANT_UNSANDBOXED] = "unsandboxed",
		[GRANT_SECRET] = "secret=",
	};
	for (size_t i = 0; i < count; i++) {
		char *word = NULL;
		const char *value = grants[i].value ? grants[i].value : "";
		if (asprintf(&word, "%s%s", kinds[grants[i].kind], value) < 0)
			return -ENOMEM;
		int r = strv_contains(words, word) ? (free(word), 0) : strv_add_owned(words, word);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What was asked for is among the decision's grants. */
static int allow(const struct gate_decision *decision, const char *by, const char *reason,
	struct pass_result *ret)
{
	ret->allowed = true;
	ret->by = by;
	free(ret->reason);
	ret->reason = strdup(reason ? reason : "");
	if (!ret->reason)
		return -ENOMEM;
	return add_grants(&ret->grants, decision->grants, decision->grants_count);
}

static int settle(const struct pass *pass, const struct gate_request *request,
	struct gate_decision *decision, struct pass_result *ret, bool *ret_changed,
	struct error *error)
{
	struct approval_request question = {.request = request,
		.decision = decision,
		.user_words = pass->user_words,
		.justification = pass->justification,
		.after_failure = pass->after_failure,
		.suggest_rule = decision->rule_prefix.count > 0 && pass->settle->user_rules};
	struct approval_answer answer = {0};
	int r = gate_settle(pass->settle, &question, &answer, error);
	if (r == 0 && answer.kind == ANSWER_EDIT) {
		*ret_changed = true;
		strv_release(&ret->argv);
		ret->argv = answer.argv;
		answer.argv = (struct strv){0};
	} else if (r == 0 && (answer.kind == ANSWER_NO || answer.kind == ANSWER_STOP)) {
		ret->stop = answer.kind == ANSWER_STOP;
		r = refuse(ret, answer.by, answer.reason ? answer.reason : decision->reason);
	} else if (r == 0) {
		r = allow(decision, answer.by, answer.reason, ret);
	}
	approval_answer_release(&answer);
	return r;
}

/* One round; *ret_changed: the command is another one now, and nothing is decided. */
static int pass_once(
	const struct pass *pass, struct pass_result *ret, bool *ret_changed, struct error *error)
{
	enum hook_says says;
	int r = ask_hooks(pass, ret, &says, ret_changed, error);
	if (r < 0 || says == HOOK_SAYS_DENY)
		return r;
	struct gate_request request = pass->request;
	request.argv = strv_items(&ret->argv);
	struct gate_decision *decision = NULL;
	r = gate_decide(pass->settle->config, &request, &decision, error);
	if (r < 0)
		return r;
	cleanup_buffer struct buffer json = BUFFER_INIT(MAX_MESSAGE_BYTES);
	r = gate_decision_json(decision, &json);
	free(ret->decision);
	ret->decision = r == 0 ? buffer_steal(&json) : NULL;
	if (says == HOOK_SAYS_ASK && decision->verdict == VERDICT_ALLOW)
		decision->verdict = VERDICT_ASK;
	*ret_changed = false;
	bool taken_as_said = decision->verdict != VERDICT_ALLOW &&
			     (pass->spoken && gate_only_the_command_asks(decision));
	if (r == 0 && decision->verdict == VERDICT_FORBID && !taken_as_said)
		r = refuse(ret, decided_by(decision), decision->reason);
	else if (r == 0 && decision->verdict == VERDICT_ASK && says == HOOK_SAYS_ALLOW &&
		 gate_only_the_command_asks(decision))
		r = allow(decision, "hook", "a hook allowed it", ret);
	else if (r == 0 && (decision->verdict == VERDICT_ALLOW || taken_as_said) &&
		 says != HOOK_SAYS_ASK)
		r = allow(decision, decided_by(decision), NULL, ret);
	else if (r == 0)
		r = settle(pass, &request, decision, ret, ret_changed, error);
	gate_decision_free(decision);
	return r;
}

int gate_pass(const struct pass *pass, struct pass_result *ret, struct error *error)
{
	*ret = (struct pass_result){0};
	int r = strv_copy(&ret->argv, pass->request.argv);
	bool changed = true;
	for (int round = 0; r == 0 && changed && round < ROUNDS; round++)
		r = pass_once(pass, ret, &changed, error);
	if (r == 0 && changed)
		r = refuse(ret, "policy", "the command was changed too many times on its way");
	if (r < 0) {
		if (error && !error->errno_value)
			error_set_errno(error, -r, "gate", "the gate");
		pass_result_release(ret);
	}
	return r;
}
