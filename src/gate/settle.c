#include "gate/settle.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/hooks.h"
#include "gate/json_text.h"
#include "gate/review.h"
#include "gate/show.h"

#include <stdarg.h>
#include <string.h>

/* What a step of the chain came to: an answer, or the next one's turn. */
enum step { STEP_ANSWERED, STEP_NEXT };

__attribute__((format(printf, 4, 5))) static int answer(struct approval_answer *ret,
	enum answer_kind kind, const char *by, const char *reason_format, ...)
{
	approval_answer_release(ret);
	va_list args;
	va_start(args, reason_format);
	if (vasprintf(&ret->reason, reason_format, args) < 0)
		ret->reason = NULL; /* a no without its reason is still a no */
	va_end(args);
	ret->kind = kind;
	ret->by = by;
	return STEP_ANSWERED;
}

static bool is_yes(enum answer_kind kind)
{
	return kind == ANSWER_ONCE || kind == ANSWER_SESSION || kind == ANSWER_ALWAYS;
}

/* What hooks know as tool and input (docs/HOOKS.md), and the whole question beside it. */
static json_t *hook_fields(const struct approval_request *request)
{
	cleanup_free char *shell = quote_command(request->request->argv);
	if (!shell)
		return NULL;
	json_t *input = json_object(), *fields = json_object();
	if (json_object_set_new(input, "command", json_text(shell)) == 0 &&
		(!request->justification || json_object_set_new(input, "description",
						    json_text(request->justification)) == 0) &&
		json_object_set_new(fields, "tool_name", json_string("Bash")) == 0 &&
		json_object_set(fields, "tool_input", input) == 0 &&
		json_object_set_new(fields, "approval", approval_request_json(request)) == 0) {
		json_decref(input);
		return fields;
	}
	json_decref(input);
	json_decref(fields);
	return NULL;
}

static const char *line_of(const json_t *input)
{
	return json_string_value(json_object_get(input, "command"));
}

/* A command that a hook put in place of ours: a line of shell, as hooks write it. */
static int take_updated(const char *line, struct approval_answer *ret)
{
	if (!line || !*line)
		return answer(ret, ANSWER_NO, "hook",
			"a hook changed the command into something that is none");
	if (strv_add(&ret->argv, "bash") < 0 || strv_add(&ret->argv, "-c") < 0 ||
		strv_add(&ret->argv, line) < 0)
		return answer(ret, ANSWER_NO, "hook", "out of memory");
	ret->kind = ANSWER_EDIT;
	ret->by = "hook";
	return STEP_ANSWERED;
}

/* Hooks that change nothing often say so with the same input. */
static int take_outcome(
	const struct hook_outcome *outcome, const char *asked_line, struct approval_answer *ret)
{
	const char *line = line_of(outcome->updated_input);
	const char *reason = outcome->reason;
	if (outcome->stop)
		return answer(ret, ANSWER_STOP, "hook", "%s",
			outcome->stop_reason ? outcome->stop_reason : "a hook stopped the session");
	if (outcome->says == HOOK_SAYS_DENY)
		return answer(ret, ANSWER_NO, "hook", "%s", reason ? reason : "a hook refused");
	if (outcome->updated_input && (!line || strcmp(line, asked_line) != 0))
		return take_updated(line, ret);
	if (outcome->says == HOOK_SAYS_ALLOW)
		return answer(
			ret, ANSWER_ONCE, "hook", "%s", reason ? reason : "a hook allowed it");
	return STEP_NEXT;
}

static int ask_hooks(const struct settle_context *context, const struct approval_request *request,
	struct approval_answer *ret)
{
	if (!context->hooks)
		return STEP_NEXT;
	struct hook_outcome outcome = {0};
	struct error error = {0};
	json_t *fields = hook_fields(request);
	if (!fields)
		return answer(ret, ANSWER_NO, "hook", "out of memory");
	int r = hooks_fire(
		context->hooks, HOOK_PERMISSION_REQUEST, "Bash", fields, &outcome, &error);
	int step =
		r < 0 ? answer(ret, ANSWER_NO, "hook", "the hooks could not be asked: %s",
				error.message)
		      : take_outcome(&outcome, line_of(json_object_get(fields, "tool_input")), ret);
	json_decref(fields);
	hook_outcome_release(&outcome);
	return step;
}

/* Counts what the reviewer refused; too much of it turns a no into the end. */
static void count(const struct settle_context *context, bool refused, struct approval_answer *ret)
{
	if (!context->history || !review_history_add(context->history, refused))
		return;
	cleanup_free char *last = steal_pointer(&ret->reason);
	answer(ret, ANSWER_STOP, ret->by,
		"the reviewer has refused 3 times in a row, or 10 of the last 50: the session "
		"stops. Last: %s",
		last ? last : "no reason given");
}

/* STEP_NEXT: the reviewer wants a person. */
static int ask_reviewer(const struct settle_context *context,
	const struct approval_request *request, struct approval_answer *ret)
{
	if (!context->config || context->config->reviewer.kind == REVIEWER_PERSON)
		return STEP_NEXT;
	struct review review = {0};
	struct error error = {0};
	const struct config_reviewer *reviewer = &context->config->reviewer;
	int r = review_check_place(reviewer, request->request, &error);
	if (r == 0)
		r = review_request(reviewer, request, &review, &error);
	enum verdict verdict = r < 0 ? VERDICT_FORBID : review_verdict(&review);
	const char *rationale = review.rationale ? review.rationale : "no reason given";
	int step = STEP_NEXT;
	if (r < 0)
		step = answer(ret, ANSWER_NO, "reviewer", "the reviewer gave no answer: %s",
			error.message);
	else if (verdict != VERDICT_ASK)
		step = answer(ret, verdict == VERDICT_ALLOW ? ANSWER_ONCE : ANSWER_NO, "reviewer",
			"%s", rationale);
	else if (!context->approver)
		step = answer(ret, ANSWER_NO, "nobody",
			"the reviewer leaves it to a person, and nobody is there: %s", rationale);
	review_release(&review);
	if (step == STEP_ANSWERED)
		count(context, verdict != VERDICT_ALLOW, ret);
	return step;
}

static void ask_approver(const struct settle_context *context,
	const struct approval_request *request, struct approval_answer *ret)
{
	struct error error = {0};
	if (!context->approver) {
		answer(ret, ANSWER_NO, "nobody",
			"%s; nobody is there to be asked (no terminal, no --approvals channel)",
			request->decision->reason ? request->decision->reason : "this asks");
		return;
	}
	int r = context->approver->ask(context->approver, request, ret, &error);
	if (r < 0)
		answer(ret, ANSWER_NO, "nobody", "no answer: %s", error.message);
	else if (ret->kind == ANSWER_EDIT && ret->argv.count == 0)
		answer(ret, ANSWER_NO, ret->by, "the answer was \"edit\" without a command");
}

/* "always": the rule is written, or it is a yes for this session (this once, without one). */
static void write_rule(const struct settle_context *context, const struct approval_request *request,
	struct approval_answer *ret)
{
	struct error error = {0};
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	int r = -EOPNOTSUPP;
	error_set(&error, EOPNOTSUPP, "rule", "no rule can say this");
	if (request->suggest_rule && context->user_rules)
		r = rule_text(request, &text);
	if (r == 0)
		r = rule_append(context->user_rules, text.data, &error);
	if (r < 0)
		answer(ret, ANSWER_SESSION, ret->by, "allowed, but no rule was written: %s",
			error.message);
}

static void remember(const struct settle_context *context, const struct approval_request *request,
	struct approval_answer *ret)
{
	if (ret->kind == ANSWER_ALWAYS)
		write_rule(context, request, ret);
	if (!is_yes(ret->kind))
		return;
	/* "always" holds in this session too, whose configuration was loaded before. */
	if (ret->kind != ANSWER_ONCE &&
		(!context->answers ||
			session_answers_add(context->answers, request->decision->canonical) < 0) &&
		ret->kind == ANSWER_SESSION)
		ret->kind = ANSWER_ONCE;
	if (context->answers)
		session_answers_note(context->answers, request);
}

int gate_settle(const struct settle_context *context, const struct approval_request *request,
	struct approval_answer *ret, struct error *error)
{
	*ret = (struct approval_answer){.kind = ANSWER_NO, .by = "gate"};
	const struct gate_decision *decision = request->decision;
	if (!decision)
		return error_set(error, EINVAL, "approval", "there is no decision to settle");
	const char *reason = decision->reason ? decision->reason : "no reason given";
	if (decision->verdict != VERDICT_ASK) {
		bool allow = decision->verdict == VERDICT_ALLOW;
		answer(ret, allow ? ANSWER_ONCE : ANSWER_NO, "gate", "%s", reason);
		return 0;
	}
	if (session_answers_hold(context->answers, decision->canonical)) {
		answer(ret, ANSWER_SESSION, "session", "approved before in this session");
		return 0;
	}
	struct approval_request asked = *request;
	if (!asked.before)
		asked.before = context->answers;
	if (ask_hooks(context, &asked, ret) == STEP_NEXT &&
		ask_reviewer(context, &asked, ret) == STEP_NEXT) {
		ask_approver(context, &asked, ret);
		remember(context, &asked, ret);
	} else if (is_yes(ret->kind) && context->answers) {
		session_answers_note(context->answers, &asked);
	}
	return 0;
}
