/* `coffer session`: the session for a host that speaks JSON-RPC 2.0, a message a line. The methods
 * are the table at the end; docs/SESSION.md tells what they take and give,
 * docs/session.schema.json says it for machines. */
#include "session/session.h"

#include "base/cleanup.h"
#include "gate/hooks.h"
#include "session/core.h"
#include "session/params.h"
#include "session/story.h"
#include "session/text.h"
#include "session/tools.h"

#include <stdio.h>
#include <string.h>

enum { PROTOCOL_VERSION = 1 };

/* ---- what the host is told while calls run ---- */

static json_t *call_params(const struct call *call)
{
	return json_pack("{s:o}", "call", json_of_text(call->name));
}

static void tell_output(struct call *call, int stream, const char *data, size_t length_bytes)
{
	json_t *params = call_params(call);
	json_object_set_new(params, "stream", json_string(stream == 1 ? "stdout" : "stderr"));
	if (json_set_data(params, data, length_bytes) < 0) {
		json_decref(params);
		params = NULL;
	}
	rpc_notify(call->session->rpc, "tool/output", params);
}

static void tell_note(struct call *call, const char *note, const json_t *fields)
{
	char method[80];
	snprintf(method, sizeof(method), "tool/%.64s", note);
	json_t *params = json_copy((json_t *)fields);
	json_object_del(params, "note");
	json_object_set_new(params, "call", json_of_text(call->name));
	if (call->request && call->request->id)
		json_object_set(params, "request", call->request->id);
	rpc_notify(call->session->rpc, method, params);
}

static void take_answer(void *data, const json_t *result, const json_t *error)
{
	struct call *call = data;
	call->question = 0;
	if (result) {
		call_answer(call, result);
		return;
	}
	char why[256];
	const char *message = json_string_value(json_object_get(error, "message"));
	snprintf(why, sizeof(why), "the host did not answer: %.200s",
		message ? message : "an error");
	call_answer_none(call, why);
}

static void ask_host(struct call *call, const json_t *request)
{
	json_t *params = call_params(call);
	json_object_set(params, "request", (json_t *)request);
	if (rpc_ask(call->session->rpc, "approval/request", params, take_answer, call,
		    &call->question) < 0)
		call_answer_none(call, "the host could not be asked");
}

static void forget_question(struct call *call)
{
	if (!call->question)
		return;
	rpc_forget(call->session->rpc, call->question);
	rpc_notify(call->session->rpc, "approval/withdrawn",
		json_pack(
			"{s:o, s:i}", "call", json_of_text(call->name), "id", (int)call->question));
	call->question = 0;
}

static void tell_notice(struct session *session, const char *kind, const char *text)
{
	session_log("%s", text);
	rpc_notify(session->rpc, "session/notice",
		json_pack("{s:s, s:o}", "kind", kind, "text", json_of_text(text)));
}

static bool never(struct session *session)
{
	(void)session;
	return false;
}

static const struct face face = {
	.name = "session",
	.output = tell_output,
	.note = tell_note,
	.question = ask_host,
	.forget_question = forget_question,
	.notice = tell_notice,
	.ask_terminal = never,
};

/* ---- calls ---- */

static void refuse_params(
	struct session *session, struct rpc_request *request, const struct error *error)
{
	rpc_fail(session->rpc, request, RPC_INVALID_PARAMS, "invalid_params", error);
}

/* The request's answer is the call's result, or its error. */
static void end_request(struct call *call, const struct call_end *end)
{
	struct rpc *rpc = call->session->rpc;
	if (end->result)
		rpc_result(rpc, call->request, json_incref(end->result));
	else
		rpc_fail(rpc, call->request, end->code, end->name, &end->error);
}

static int begin(struct session *session, struct rpc_request *request, struct call *order)
{
	struct error error = {0};
	int code;
	const char *name;
	order->request = request;
	if (!order->ended)
		order->ended = end_request;
	int r = call_begin(session, order, NULL, &code, &name, &error);
	if (r < 0)
		rpc_fail(session->rpc, request, code, name, &error);
	return r;
}

static bool is_started(struct session *session, struct rpc_request *request)
{
	if (session->started)
		return true;
	struct error error = {0};
	error_set(&error, EINVAL, "session", "no session has been started");
	error_hint(&error, "session/start comes first");
	rpc_fail(session->rpc, request, RPC_SERVER_ERROR, "no_session", &error);
	return false;
}

/* The parameters of the tool are shared with the other face; a call's name is not. */
static void run_tool(
	struct session *session, struct rpc_request *request, json_t *params, enum call_kind kind)
{
	struct error error = {0};
	if (!is_started(session, request))
		return;
	struct call order = {.kind = kind};
	json_t *name = json_object_get(params, "call");
	if (name && (!json_is_string(name) || json_string_length(name) >= sizeof(order.name) ||
			    strlen(json_string_value(name)) != json_string_length(name))) {
		error_set(&error, EINVAL, "session", "call is no name of at most %zu bytes",
			sizeof(order.name) - 1);
		refuse_params(session, request, &error);
		return;
	}
	snprintf(order.name, sizeof(order.name), "%s", name ? json_string_value(name) : "");
	json_object_del(params, "call");
	if (params_check(params, tool_of(kind)->params, &error) < 0) {
		refuse_params(session, request, &error);
		return;
	}
	session_reload(session, false);
	order.params = params;
	begin(session, request, &order);
}

static void tool_exec(void *data, struct rpc_request *request, json_t *params)
{
	run_tool(data, request, params, CALL_EXEC);
}

static void tool_write(void *data, struct rpc_request *request, json_t *params)
{
	run_tool(data, request, params, CALL_WRITE);
}

static void tool_read(void *data, struct rpc_request *request, json_t *params)
{
	run_tool(data, request, params, CALL_READ);
}

static void tool_list(void *data, struct rpc_request *request, json_t *params)
{
	run_tool(data, request, params, CALL_LIST);
}

static void tool_diff(void *data, struct rpc_request *request, json_t *params)
{
	run_tool(data, request, params, CALL_DIFF);
}

static void tool_cancel(void *data, struct rpc_request *request, json_t *params)
{
	static const struct param table[] = {
		{.name = "call", .kind = PARAM_STRING, .required = true},
		{0},
	};
	struct session *session = data;
	struct error error = {0};
	if (params_check(params, table, &error) < 0) {
		refuse_params(session, request, &error);
		return;
	}
	struct call *call = call_find(session, json_string_value(json_object_get(params, "call")));
	if (!call) {
		error_set(&error, ENOENT, "session", "no such call is under way");
		rpc_fail(session->rpc, request, RPC_SERVER_ERROR, "unknown_call", &error);
		return;
	}
	call_cancel(call);
	rpc_result(session->rpc, request, json_pack("{s:b}", "cancelled", 1));
}

static void tool_explain(void *data, struct rpc_request *request, json_t *params)
{
	static const struct param table[] = {
		{.name = "report", .kind = PARAM_STRING, .required = true},
		{0},
	};
	struct session *session = data;
	struct error error = {0};
	if (!is_started(session, request))
		return;
	if (params_check(params, table, &error) < 0) {
		refuse_params(session, request, &error);
		return;
	}
	json_t *report =
		session_find_report(session, json_string_value(json_object_get(params, "report")));
	if (!report) {
		error_set(&error, ENOENT, "session", "there is no such report");
		error_hint(&error, "the last %d are kept", MAX_SESSION_REPORTS);
		rpc_fail(session->rpc, request, RPC_SERVER_ERROR, "unknown_report", &error);
		return;
	}
	rpc_result(session->rpc, request, explain_report(session, report));
}

/* ---- the session's life ---- */

static void initialize(void *data, struct rpc_request *request, json_t *params);

static int add_setting(
	struct session *session, const char *key, const json_t *value, struct error *error)
{
	if (json_is_array(value)) {
		size_t i;
		json_t *item;
		int r = 0;
		json_array_foreach((json_t *)value, i, item) if (r == 0) r =
			json_is_array(item) ? -EINVAL : add_setting(session, key, item, error);
		return r;
	}
	if (json_is_string(value))
		return session_add_setting(session, key, json_string_value(value), error);
	if (json_is_true(value))
		return session_add_setting(session, key, NULL, error);
	return error_set(error, EINVAL, "session",
		"settings: '%.64s' is neither a string, an array of them, nor true", key);
}

static int take_start(struct session *session, const json_t *params, struct error *error)
{
	const char *approval = json_string_value(json_object_get(params, "approval"));
	const char *key;
	json_t *value;
	int r = approval ? approval_parse(approval, &session->asked_approval, error) : 0;
	static const char *const direct[] = {"directory", "mode"};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(direct); i++)
		if ((value = json_object_get(params, direct[i])) && json_is_string(value))
			r = add_setting(session, direct[i], value, error);
	json_object_foreach(json_object_get(params, "settings"), key, value) if (r == 0) r =
		add_setting(session, key, value, error);
	if (r == 0)
		r = session_open(session, error);
	size_t i;
	json_array_foreach(json_object_get(params, "words"), i,
		value) if (r == 0 && session_add_words(session, json_string_value(value)) < 0) r =
		error_set_errno(error, ENOMEM, "session", "the user's words");
	return r;
}

static json_t *strings_json(const struct strv *strings, json_t *array)
{
	for (size_t i = 0; i < strings->count; i++)
		json_array_append_new(array, json_of_text(strings->items[i]));
	return array;
}

/* SessionStart's hooks have run: what holds, and what the host should know. */
static void end_start(struct call *call, const struct call_end *end)
{
	struct session *session = call->session;
	if (!end->result) {
		session->started = false;
		end_request(call, end);
		return;
	}
	cleanup_strv struct strv waiting = {0};
	hooks_waiting(session->config, &waiting);
	json_t *result = json_copy(end->result);
	json_object_del(result, "call");
	json_object_set_new(result, "session", json_string(session->id));
	json_object_set(result, "policy", session->policy);
	json_object_set_new(result, "notices",
		strings_json(
			&session->notices, strings_json(&session->config->notices, json_array())));
	json_object_set_new(result, "hooks_waiting", strings_json(&waiting, json_array()));
	rpc_result(session->rpc, call->request, result);
}

static void session_start(void *data, struct rpc_request *request, json_t *params)
{
	static const struct param table[] = {
		{.name = "directory", .kind = PARAM_STRING, .max = MAX_PATH_BYTES},
		{.name = "mode", .kind = PARAM_STRING},
		{.name = "approval", .kind = PARAM_STRING},
		{.name = "settings", .kind = PARAM_OBJECT},
		{.name = "words", .kind = PARAM_STRINGS},
		{.name = "source", .kind = PARAM_STRING, .max = 64},
		{.name = "model", .kind = PARAM_STRING, .max = 256},
		{0},
	};
	struct session *session = data;
	struct error error = {0};
	if (session->started) {
		error_set(&error, EEXIST, "session", "a session is under way");
		error_hint(&error, "one process holds one session: start another process");
		rpc_fail(session->rpc, request, RPC_SERVER_ERROR, "already_started", &error);
		return;
	}
	if (params_check(params, table, &error) < 0) {
		refuse_params(session, request, &error);
		return;
	}
	/* A start that fails leaves the flags as they were. */
	struct strv flags = {0};
	struct approval approval = session->asked_approval;
	cleanup_free char *directory = session->directory ? strdup(session->directory) : NULL;
	int r = strv_copy(&flags, (char *const *)strv_items(&session->settings));
	if (r == 0)
		r = take_start(session, params, &error);
	if (r < 0) {
		strv_release(&session->settings);
		session->settings = flags;
		session->asked_approval = approval;
		free(session->directory);
		session->directory = steal_pointer(&directory);
		rpc_fail(session->rpc, request, RPC_SERVER_ERROR, "config", &error);
		return;
	}
	strv_release(&flags);
	const char *source = json_string_value(json_object_get(params, "source"));
	json_t *fields = json_pack("{s:s, s:s*}", "source", source ? source : "startup", "model",
		json_string_value(json_object_get(params, "model")));
	struct call order = {.kind = CALL_HOOKS,
		.event = HOOK_SESSION_START,
		.params = fields,
		.ended = end_start};
	session->started = begin(session, request, &order) == 0;
	json_decref(fields);
}

static void end_prompt(struct call *call, const struct call_end *end)
{
	const json_t *hooks = json_object_get(end->result, "hooks");
	const char *says = json_string_value(json_object_get(hooks, "says"));
	bool accepted = says && strcmp(says, "block") != 0;
	const char *prompt = json_string_value(json_object_get(call->params, "prompt"));
	if (end->result)
		json_object_set_new(end->result, "accepted", json_boolean(accepted));
	/* What was blocked was never said. */
	if (accepted)
		session_add_words(call->session, prompt);
	end_request(call, end);
}

static void begin_hooks(struct session *session, struct rpc_request *request, json_t *fields,
	enum hook_event event, void (*ended)(struct call *call, const struct call_end *end))
{
	struct call order = {.kind = CALL_HOOKS, .event = event, .params = fields, .ended = ended};
	session_reload(session, false);
	begin(session, request, &order);
}

static void prompt_submit(void *data, struct rpc_request *request, json_t *params)
{
	static const struct param table[] = {
		{.name = "prompt",
			.kind = PARAM_STRING,
			.required = true,
			.max = MAX_SESSION_PROMPT_BYTES},
		{0},
	};
	struct session *session = data;
	struct error error = {0};
	if (!is_started(session, request))
		return;
	if (params_check(params, table, &error) < 0)
		refuse_params(session, request, &error);
	else
		begin_hooks(session, request, params, HOOK_USER_PROMPT_SUBMIT, end_prompt);
}

static void session_status_method(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	struct session *session = data;
	rpc_result(session->rpc, request, session_status(session));
}

static void end_session(struct call *call, const struct call_end *end)
{
	struct session *session = call->session;
	session->started = false;
	session->ending = true;
	calls_cancel_all(session);
	json_t *result = end->result ? json_copy(end->result) : json_object();
	json_object_del(result, "call");
	json_object_set_new(result, "stopped", json_true());
	rpc_result(session->rpc, call->request, result);
}

/* A Stop hook that blocks wants the agent to go on, and its reason says with what. */
static void end_stop(struct call *call, const struct call_end *end)
{
	struct session *session = call->session;
	const json_t *hooks = json_object_get(end->result, "hooks");
	const char *says = json_string_value(json_object_get(hooks, "says"));
	if (says && strcmp(says, "block") == 0 && !json_object_get(end->result, "stop")) {
		json_object_set_new(end->result, "stopped", json_false());
		json_object_set(end->result, "reason", json_object_get(hooks, "reason"));
		end_request(call, end);
		return;
	}
	const char *reason = json_string_value(json_object_get(call->params, "reason"));
	json_t *fields = json_pack("{s:s}", "reason", reason ? reason : "other");
	begin_hooks(session, call->request, fields, HOOK_SESSION_END, end_session);
	json_decref(fields);
}

static void session_stop_method(void *data, struct rpc_request *request, json_t *params)
{
	static const struct param table[] = {
		{.name = "reason", .kind = PARAM_STRING, .max = 256},
		{.name = "stop_hook_active", .kind = PARAM_BOOLEAN},
		{.name = "force", .kind = PARAM_BOOLEAN},
		{0},
	};
	struct session *session = data;
	struct error error = {0};
	if (!is_started(session, request))
		return;
	if (params_check(params, table, &error) < 0) {
		refuse_params(session, request, &error);
		return;
	}
	bool force = json_is_true(json_object_get(params, "force"));
	begin_hooks(session, request, params, force ? HOOK_SESSION_END : HOOK_STOP,
		force ? end_session : end_stop);
}

/* ---- what only hosts know of ---- */

static void report_event(struct session *session, struct rpc_request *request, json_t *params,
	const char *first, enum hook_event before, enum hook_event after)
{
	const char *phase = json_string_value(json_object_get(params, "phase"));
	struct error error = {0};
	if (!is_started(session, request))
		return;
	if (!phase) {
		error_set(&error, EINVAL, "session", "phase is missing");
		refuse_params(session, request, &error);
		return;
	}
	json_t *fields = json_copy(params);
	json_object_del(fields, "phase");
	begin_hooks(
		session, request, fields, strcmp(phase, first) == 0 ? before : after, end_request);
	json_decref(fields);
}

static void event_compact(void *data, struct rpc_request *request, json_t *params)
{
	report_event(data, request, params, "before", HOOK_PRE_COMPACT, HOOK_POST_COMPACT);
}

static void event_subagent(void *data, struct rpc_request *request, json_t *params)
{
	report_event(data, request, params, "start", HOOK_SUBAGENT_START, HOOK_SUBAGENT_STOP);
}

static const struct rpc_method methods[] = {
	{"initialize", initialize},
	{"session/start", session_start},
	{"session/status", session_status_method},
	{"session/stop", session_stop_method},
	{"prompt/submit", prompt_submit},
	{"tool/exec", tool_exec},
	{"tool/write", tool_write},
	{"tool/read", tool_read},
	{"tool/list", tool_list},
	{"tool/diff", tool_diff},
	{"tool/cancel", tool_cancel},
	{"tool/explain", tool_explain},
	{"event/compact", event_compact},
	{"event/subagent", event_subagent},
	{0},
};

static void initialize(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	struct session *session = data;
	json_t *names = json_array();
	for (const struct rpc_method *method = methods; method->name; method++)
		json_array_append_new(names, json_string(method->name));
	rpc_result(session->rpc, request,
		json_pack("{s:s, s:s, s:i, s:o, s:{s:i, s:i, s:i, s:i}}", "name", "coffer",
			"version", COFFER_VERSION, "protocol", PROTOCOL_VERSION, "methods", names,
			"limits", "message_bytes", MAX_MESSAGE_BYTES, "calls", MAX_SESSION_CALLS,
			"read_bytes", MAX_TOOL_READ_BYTES, "write_bytes", MAX_TOOL_STDIN_BYTES));
}

int cmd_session(int argc, char *argv[])
{
	struct session *session = NULL;
	if (session_new(&face, &session) < 0) {
		session_log("out of memory");
		return 125;
	}
	int code = session_options(session, "session", argc, argv);
	if (code == 0) {
		struct rpc_face rpc_face = {.methods = methods, .data = session, .batches = true};
		code = session_loop(session, 0, 1, &rpc_face);
	} else {
		code = code > 0 ? 0 : 125;
	}
	session_free(session);
	return code;
}
