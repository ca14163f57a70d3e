/* Whether a call goes on. Theory of operation: the gate decides; what it would ask goes to whoever
 * settles such questions, the host among them, whom this process reaches through the session. An
 * edited command is a new one: it is decided about and, if need be, asked about again. */
#include "session/story.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "session/frames.h"
#include "session/params.h"
#include "session/text.h"

#include <string.h>

/* Commands that were edited again and again instead of answered. */
enum { MAX_EDITS = 4 };

/* ---- asking through the session ---- */

struct session_approver {
	struct approver approver;
	struct story *story;
};

/* Waits for the one frame that the session sends: the answer. */
static int receive_answer(int socket, json_t **ret)
{
	struct frame frame;
	ssize_t n = fd_read_full(socket, &frame, sizeof(frame));
	if (n != (ssize_t)sizeof(frame) || frame.kind != FRAME_ANSWER ||
		frame.length_bytes > MAX_CALL_MESSAGE_BYTES)
		return -EPIPE;
	cleanup_free char *text = malloc(frame.length_bytes + 1);
	if (!text)
		return -ENOMEM;
	n = fd_read_full(socket, text, frame.length_bytes);
	if (n != (ssize_t)frame.length_bytes)
		return -EPIPE;
	*ret = json_loadb(text, frame.length_bytes, JSON_ALLOW_NUL, NULL);
	return *ret ? 0 : -EINVAL;
}

static int ask_session(struct approver *approver, const struct approval_request *request,
	struct approval_answer *ret, struct error *error)
{
	struct story *story = ((struct session_approver *)approver)->story;
	json_t *question = json_pack("{s:o, s:s?}", "request", approval_request_json(request),
		"canonical", request->decision->canonical);
	json_t *json = NULL;
	int r = frame_send_json(story->socket, FRAME_QUESTION, question);
	if (r == 0)
		r = receive_answer(story->socket, &json);
	if (r < 0)
		return error_set_errno(error, -r, "approval", "asking the host");
	const char *why = json_string_value(json_object_get(json, "error"));
	json_t *answer = json_object_get(json, "answer");
	if (json_is_true(json_object_get(json, "session")))
		*ret = (struct approval_answer){.kind = ANSWER_ONCE, .by = "session"};
	else if (why)
		r = error_set(error, ECANCELED, "approval", "%s", why);
	else
		r = approval_answer_from_json(answer, ret, error);
	if (r == 0 && !ret->by)
		ret->by = "host";
	json_decref(json);
	return r;
}

static void free_nothing(struct approver *approver)
{
	(void)approver;
}

/* ---- what a call asks for ---- */

static int take_grants(struct story *story, const char *text)
{
	struct error error = {0};
	int r = grants_parse(text, story->directory, &story->asks, &story->asks_count, &error);
	if (r < 0) {
		story->error = error;
		story->code = RPC_INVALID_PARAMS;
		story->name = "invalid_params";
	}
	return r;
}

int story_add_ask(struct story *story, enum grant_kind kind, const char *value)
{
	static const char *const words[] = {
		[GRANT_WRITE] = "write",
		[GRANT_NETWORK] = "net",
		[GRANT_UNSANDBOXED] = "unsandboxed",
		[GRANT_SECRET] = "secret",
	};
	cleanup_free char *text = NULL;
	/* One by one, so that a comma is never the beginning of another. */
	if (value && strchr(value, ','))
		return story_fail(story, RPC_INVALID_PARAMS, "invalid_params", EINVAL,
			"asks: '%s' holds a comma, which a grant cannot", value);
	if (asprintf(&text, "%s%s%s", words[kind], value ? "=" : "", value ? value : "") < 0) {
		text = NULL;
		return story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "asks");
	}
	return take_grants(story, text);
}

int story_take_asks(struct story *story)
{
	static const char *const names[] = {"write", "net", "secret"};
	static const enum grant_kind kinds[] = {GRANT_WRITE, GRANT_NETWORK, GRANT_SECRET};
	const json_t *asks = json_object_get(story->params, "asks");
	story->justification = json_string_value(json_object_get(story->params, "justification"));
	int r = 0;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		size_t i;
		json_t *value;
		json_array_foreach(json_object_get(asks, names[k]), i, value) if (r == 0) r =
			story_add_ask(story, kinds[k], json_string_value(value));
	}
	if (r == 0 && json_is_true(json_object_get(asks, "unsandboxed")))
		r = story_add_ask(story, GRANT_UNSANDBOXED, NULL);
	return r;
}

/* ---- decision and answer ---- */

/* A variable before a command can change what it is: so the gate sees it. */
static int argv_with_environment(const struct story *story, struct strv *ret)
{
	int r = 0;
	if (story->environment.count)
		r = strv_add(ret, "env");
	for (size_t i = 0; r == 0 && i < story->environment.count; i++)
		r = strv_add(ret, story->environment.items[i]);
	for (size_t i = 0; r == 0 && i < story->argv.count; i++)
		r = strv_add(ret, story->argv.items[i]);
	return r;
}

static int decide(struct story *story, struct gate_request *request, struct error *error)
{
	gate_decision_free(story->decision);
	story->decision = NULL;
	int r = gate_decide(story->session->config, request, &story->decision, error);
	if (r < 0)
		return r;
	/* A hook's "ask" is graver than "allow"; where nobody is ever asked it is a no. */
	if (story->hook_says == HOOK_SAYS_ASK && story->decision->verdict == VERDICT_ALLOW) {
		char *reason = strdup(story->hook_reason ? story->hook_reason
							 : "a hook wants this to be asked for");
		if (!reason)
			return error_set_errno(error, ENOMEM, "gate", "a reason");
		free(story->decision->reason);
		story->decision->reason = reason;
		story->decision->verdict =
			request->approval.policy == APPROVAL_NEVER ? VERDICT_FORBID : VERDICT_ASK;
	}
	return 0;
}

static int settle(struct story *story, const struct gate_request *request,
	const char *after_failure, struct error *error)
{
	struct session *session = story->session;
	approval_answer_release(&story->answer);
	story->answer = (struct approval_answer){0};
	if (story->hook_says == HOOK_SAYS_ALLOW && story->decision->verdict == VERDICT_ASK &&
		gate_only_the_command_asks(story->decision)) {
		story->answer = (struct approval_answer){.kind = ANSWER_ONCE, .by = "hook"};
		return 0;
	}
	struct session_approver host = {
		.approver = {.ask = ask_session, .free = free_nothing}, .story = story};
	struct approver *terminal = NULL;
	if (session->face->ask_terminal(session))
		approver_terminal(&terminal, NULL);
	bool writes_rules =
		session->where.user_dir && !session->config->requirements.managed_rules_only;
	cleanup_free char *rules =
		writes_rules ? path_join(session->where.user_dir, "coffer.toml") : NULL;
	struct settle_context context = {.config = session->config,
		.hooks = story->hooks,
		.history = &session->history,
		.answers = session->answers,
		.approver = terminal ? terminal : &host.approver,
		.user_rules = rules};
	struct approval_request question = {.request = request,
		.decision = story->decision,
		.user_words = (const char *const *)strv_items(&session->user_words),
		.justification = story->justification,
		.after_failure = after_failure,
		.before = session->answers,
		.fixed = story->call->kind != CALL_EXEC,
		.suggest_rule = rules && story->decision->rule_prefix.count > 0};
	struct review_history before = session->history;
	int r = gate_settle(&context, &question, &story->answer, error);
	if (session->history.count != before.count || session->history.last != before.last ||
		session->history.in_a_row != before.in_a_row)
		story_note(story, "reviewed",
			json_pack("{s:b}", "refused", session->history.in_a_row > 0));
	approver_free(terminal);
	return r;
}

static json_t *answer_json(const struct approval_answer *answer)
{
	static const char *const words[] = {
		[ANSWER_ONCE] = "once",
		[ANSWER_SESSION] = "session",
		[ANSWER_ALWAYS] = "always",
		[ANSWER_EDIT] = "edit",
		[ANSWER_NO] = "no",
		[ANSWER_STOP] = "stop",
	};
	return json_pack("{s:s, s:s?, s:o*}", "answer", words[answer->kind], "by", answer->by,
		"reason", answer->reason ? json_of_text(answer->reason) : NULL);
}

static int tell_decision(struct story *story, enum verdict verdict)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CALL_MESSAGE_BYTES);
	int r = gate_decision_json(story->decision, &text);
	json_t *decision = r == 0 && text.data ? json_loads(text.data, JSON_ALLOW_NUL, NULL) : NULL;
	r = json_object_set_new(story->result, "decision", decision);
	if (verdict == VERDICT_ASK)
		r |= json_object_set_new(story->result, "settled", answer_json(&story->answer));
	return r < 0 ? story_fail(
			       story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "the decision")
		     : 0;
}

static int add_grant(struct story *story, const struct grant *grant)
{
	for (size_t i = 0; i < story->grants_count; i++) {
		const struct grant *known = &story->grants[i];
		if (known->kind == grant->kind &&
			(!known->value ||
				(grant->value && strcmp(known->value, grant->value) == 0)))
			return 0;
	}
	struct grant *grants =
		reallocarray(story->grants, story->grants_count + 1, sizeof(*grants));
	if (!grants)
		return -ENOMEM;
	story->grants = grants;
	struct grant copy = {.kind = grant->kind};
	if (grant->value && !(copy.value = strdup(grant->value)))
		return -ENOMEM;
	grants[story->grants_count++] = copy;
	return 0;
}

/* Whoever said yes to the whole said yes to what it asked for. */
static int take_granted(struct story *story)
{
	grants_free(story->grants, story->grants_count);
	story->grants = NULL;
	story->grants_count = 0;
	int r = 0;
	for (size_t i = 0; r == 0 && i < story->decision->grants_count; i++)
		r = add_grant(story, &story->decision->grants[i]);
	if (r < 0)
		return story_fail(
			story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "what was granted");
	return 1;
}

/* The command that came in the place of ours; any shell line goes with it. It is a new one from the
 * beginning on: hooks see it first, then it is decided about. 1: go on. */
static int take_edited(struct story *story)
{
	/* What a tool for files does is not in the words that the gate was shown. */
	if (story->call->kind != CALL_EXEC)
		return story_refuse(story, story->answer.by,
			"the answer changed what this tool was to do, which only commands can "
			"follow");
	struct strv argv = story->answer.argv;
	story->answer.argv = (struct strv){0};
	strv_release(&story->argv);
	story->argv = argv;
	strv_release(&story->environment);
	free(story->line);
	story->line = NULL;
	if (!story->argv.count)
		return story_refuse(story, "nobody", "the edited command is empty");
	int r = story_before_command(story);
	if (r == 1 && json_object_set_new(story->result, "edited", json_true()) < 0)
		return story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "the result");
	return r;
}

static int act_on(struct story *story, enum verdict verdict)
{
	const struct approval_answer *answer = &story->answer;
	const char *by = answer->by ? answer->by : "gate";
	const char *canonical = story->decision->canonical;
	int r = tell_decision(story, verdict);
	if (r < 0)
		return r;
	switch (answer->kind) {
	case ANSWER_SESSION:
	case ANSWER_ALWAYS:
		if (verdict == VERDICT_ASK && canonical)
			story_note(story, "answered", json_pack("{s:s}", "canonical", canonical));
		return take_granted(story);
	case ANSWER_ONCE:
		return take_granted(story);
	case ANSWER_STOP:
		if (!story->stop)
			story->stop =
				strdup(answer->reason ? answer->reason : "the answer was stop");
		return story_refuse(story, by, answer->reason ? answer->reason : "refused; stop");
	case ANSWER_EDIT:
	case ANSWER_NO:
		break;
	}
	return story_refuse(story, by, answer->reason ? answer->reason : story->decision->reason);
}

static void make_request(
	const struct story *story, const struct strv *argv, struct gate_request *ret)
{
	const struct session *session = story->session;
	*ret = (struct gate_request){.argv = strv_items(argv),
		.directory = story->directory,
		.mode = session->mode,
		.approval = session->approval,
		.asks = story->asks,
		.asks_count = story->asks_count,
		.writable_roots = strv_items(&session->writable_roots),
		.home = session->where.home,
		.path = getenv("PATH"),
		.look_into_files = true,
		.input = story->stdin_data,
		.input_bytes = story->stdin_bytes};
}

/* Decides and settles for that host alone; what was said of the command stands. */
bool story_allows_host(struct story *story, const char *target)
{
	struct story asking = *story;
	struct grant ask = {.kind = GRANT_NETWORK, .value = (char *)target};
	struct gate_request request;
	struct error error = {0};
	cleanup_strv struct strv argv = {0};
	char why[400];
	snprintf(why, sizeof(why), "it runs, and a connection to %s waits", target);
	if (argv_with_environment(story, &argv) < 0)
		return false;
	make_request(story, &argv, &request);
	request.asks = &ask;
	request.asks_count = 1;
	asking.decision = NULL;
	asking.answer = (struct approval_answer){0};
	asking.hook_says = HOOK_SAYS_NOTHING;
	int r = decide(&asking, &request, &error);
	if (r == 0 && asking.decision->verdict == VERDICT_ASK)
		r = settle(&asking, &request, why, &error);
	else if (r == 0)
		asking.answer.kind =
			asking.decision->verdict == VERDICT_ALLOW ? ANSWER_ONCE : ANSWER_NO;
	enum answer_kind kind = asking.answer.kind;
	bool yes = r == 0 && kind != ANSWER_NO && kind != ANSWER_STOP && kind != ANSWER_EDIT;
	if (yes && kind != ANSWER_ONCE && asking.decision->canonical)
		story_note(story, "answered",
			json_pack("{s:s}", "canonical", asking.decision->canonical));
	if (r == 0 && kind == ANSWER_STOP && !story->stop)
		story->stop =
			strdup(asking.answer.reason ? asking.answer.reason : "the answer was stop");
	approval_answer_release(&asking.answer);
	gate_decision_free(asking.decision);
	return yes;
}

int story_settle(struct story *story, const char *after_failure)
{
	for (unsigned round = 0; round <= MAX_EDITS; round++) {
		cleanup_strv struct strv argv = {0};
		struct error error = {0};
		if (argv_with_environment(story, &argv) < 0)
			return story_fail(
				story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "the command");
		struct gate_request request;
		make_request(story, &argv, &request);
		int r = decide(story, &request, &error);
		enum verdict verdict = r == 0 ? story->decision->verdict : VERDICT_FORBID;
		if (r == 0)
			r = settle(story, &request, after_failure, &error);
		if (r < 0) /* nobody could say yes */
			return story_refuse(story, "nobody", error.message);
		if (verdict == VERDICT_FORBID && story->answer.kind != ANSWER_STOP)
			story->answer.kind = ANSWER_NO;
		if (story->answer.kind != ANSWER_EDIT)
			return act_on(story, verdict);
		r = take_edited(story);
		if (r != 1)
			return r;
	}
	return story_refuse(story, "nobody", "the command was edited too often");
}
