/* `coffer mcp`: the same session for a client of the Model Context Protocol, on standard input and
 * output. Revisions 2024-11-05 to 2025-11-25; a client that names another is answered with the
 * latest of these, as the protocol wants. */
#include "session/session.h"

#include "base/cleanup.h"
#include "gate/hooks.h"
#include "session/mcp.h"
#include "session/text.h"

#include <stdio.h>
#include <string.h>

enum { MCP_RESOURCE_NOT_FOUND = -32002 };

static const struct {
	const char *name;
	bool batches; /* taken out again by 2025-06-18 */
	bool modes;   /* of elicitation */
} versions[] = {
	{"2025-11-25", false, true},
	{"2025-06-18", false, false},
	{"2025-03-26", true, false},
	{"2024-11-05", true, false},
};

static const char *const levels[] = {
	"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};

static const char instructions[] =
	"Commands run in a box: they can write to the workspace and reach only what the policy "
	"allows, and what is refused is said with its reason. The resource coffer://policy tells "
	"what holds. Do not work around a refusal: ask for what is needed with `asks`, or do "
	"without.";

static void tell_notice(struct session *session, const char *kind, const char *text)
{
	struct mcp *mcp = mcp_of(session);
	enum mcp_level level = strcmp(kind, "config_fault") == 0 ? MCP_ERROR
			       : strcmp(kind, "stopped") == 0    ? MCP_WARNING
								 : MCP_INFO;
	session_log("%s", text);
	if (mcp->ready && level <= mcp->level)
		rpc_notify(session->rpc, "notifications/message",
			json_pack("{s:s, s:s, s:{s:s, s:o}}", "level", levels[level], "logger",
				"coffer", "data", "kind", kind, "text", json_of_text(text)));
}

static const struct face face = {
	.name = "mcp",
	.output = mcp_output,
	.note = mcp_note,
	.question = mcp_question,
	.forget_question = mcp_forget_question,
	.notice = tell_notice,
	.ask_terminal = mcp_ask_terminal,
};

/* ---- life cycle ---- */

static void negotiate(struct mcp *mcp, const json_t *params)
{
	const char *wanted = json_string_value(json_object_get(params, "protocolVersion"));
	const json_t *client = json_object_get(params, "capabilities");
	const json_t *elicitation = json_object_get(client, "elicitation");
	size_t i = 0;
	for (size_t k = 0; wanted && k < ARRAY_SIZE(versions); k++)
		if (strcmp(versions[k].name, wanted) == 0)
			i = k;
	mcp->version = versions[i].name;
	mcp->modes = versions[i].modes;
	/* An empty object means forms; one that names only another mode does not. */
	mcp->elicitation =
		json_is_object(elicitation) &&
		(json_object_size(elicitation) == 0 || json_object_get(elicitation, "form"));
	rpc_set_batches(mcp->session->rpc, versions[i].batches);
}

static void end_initialize(struct call *call, const struct call_end *end)
{
	struct session *session = call->session;
	if (!end->result) {
		session->started = false;
		rpc_fail(session->rpc, call->request, end->code, end->name, &end->error);
		return;
	}
	cleanup_buffer struct buffer text = BUFFER_INIT(2 * MAX_HOOK_OUTPUT_BYTES);
	buffer_append_string(&text, instructions);
	const char *context = json_string_value(json_object_get(end->result, "context"));
	if (context)
		buffer_append_format(&text, "\n\n%s", context);
	rpc_result(session->rpc, call->request,
		json_pack("{s:s, s:{s:{}, s:{}, s:{}}, s:{s:s, s:s, s:s}, s:o}", "protocolVersion",
			mcp_of(session)->version, "capabilities", "tools", "resources", "logging",
			"serverInfo", "name", "coffer", "title", "coffer", "version",
			COFFER_VERSION, "instructions", json_of_text(text.data ? text.data : "")));
}

static void say_waiting_hooks(const struct session *session)
{
	cleanup_strv struct strv waiting = {0};
	hooks_waiting(session->config, &waiting);
	for (size_t i = 0; i < session->config->notices.count; i++)
		session_log("%s", session->config->notices.items[i]);
	for (size_t i = 0; i < session->notices.count; i++)
		session_log("%s", session->notices.items[i]);
	for (size_t i = 0; i < waiting.count; i++)
		session_log("%s", waiting.items[i]);
}

static void initialize(void *data, struct rpc_request *request, json_t *params)
{
	struct session *session = data;
	struct error error = {0};
	int code = RPC_INVALID_REQUEST;
	const char *name = "already_started";
	int r = session->started
			? error_set(&error, EEXIST, "session", "this client is initialized already")
			: 0;
	if (r == 0) {
		code = RPC_INTERNAL_ERROR;
		name = "config";
		r = session_open(session, &error);
	}
	if (r == 0) {
		negotiate(mcp_of(session), params);
		say_waiting_hooks(session);
		session->started = true;
		json_t *fields = json_pack("{s:s}", "source", "startup");
		struct call order = {.kind = CALL_HOOKS,
			.event = HOOK_SESSION_START,
			.params = fields,
			.request = request,
			.ended = end_initialize};
		r = call_begin(session, &order, NULL, &code, &name, &error);
		json_decref(fields);
	}
	if (r < 0) {
		session_log("%s", error.message);
		rpc_fail(session->rpc, request, code, name, &error);
	}
}

static void initialized(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	struct session *session = data;
	mcp_of(session)->ready = true;
	rpc_drop(session->rpc, request);
}

static void ping(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	rpc_result(((struct session *)data)->rpc, request, json_object());
}

static void cancelled(void *data, struct rpc_request *request, json_t *params)
{
	struct session *session = data;
	const json_t *id = json_object_get(params, "requestId");
	for (struct call *call = session->calls; call; call = call->next)
		if (id && call->request && call->request->id && json_equal(call->request->id, id) &&
			call->kind != CALL_HOOKS)
			call_cancel(call);
	rpc_drop(session->rpc, request);
}

static void set_level(void *data, struct rpc_request *request, json_t *params)
{
	struct session *session = data;
	const char *level = json_string_value(json_object_get(params, "level"));
	struct error error = {0};
	for (size_t i = 0; level && i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i], level) == 0) {
			mcp_of(session)->level = (enum mcp_level)i;
			rpc_result(session->rpc, request, json_object());
			return;
		}
	error_set(&error, EINVAL, "session", "there is no such level");
	rpc_fail(session->rpc, request, RPC_INVALID_PARAMS, "invalid_params", &error);
}

/* ---- resources ---- */

static json_t *resource_policy(const struct session *session)
{
	return session->policy ? json_incref(session->policy) : NULL;
}

static json_t *resource_report(const struct session *session)
{
	json_t *report = session_find_report(session, "last");
	return report ? json_incref(report) : NULL;
}

static const struct {
	const char *uri, *name, *title, *description;
	json_t *(*read)(const struct session *session);
} resources[] = {
	{"coffer://policy", "policy", "The policy in force",
		"What commands may write, read and reach, and when the user is asked.",
		resource_policy},
	{"coffer://report/last", "report", "The last report",
		"How the last command ended, what it used, and what it was refused.",
		resource_report},
};

static void resources_list(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:s, s:s}", "uri", resources[i].uri, "name",
				resources[i].name, "title", resources[i].title, "description",
				resources[i].description, "mimeType", "application/json"));
	rpc_result(((struct session *)data)->rpc, request, json_pack("{s:o}", "resources", list));
}

static void resources_templates(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	rpc_result(
		((struct session *)data)->rpc, request, json_pack("{s:[]}", "resourceTemplates"));
}

static void resources_read(void *data, struct rpc_request *request, json_t *params)
{
	struct session *session = data;
	const char *uri = json_string_value(json_object_get(params, "uri"));
	json_t *value = NULL;
	for (size_t i = 0; uri && i < ARRAY_SIZE(resources); i++)
		if (strcmp(resources[i].uri, uri) == 0)
			value = resources[i].read(session);
	if (!value) {
		struct error error = {0};
		error_set(&error, ENOENT, "session", "there is no such resource (yet)");
		rpc_fail(session->rpc, request, MCP_RESOURCE_NOT_FOUND, "not_found", &error);
		return;
	}
	cleanup_free char *text = json_dumps(value, JSON_INDENT(2));
	json_decref(value);
	rpc_result(session->rpc, request,
		json_pack("{s:[{s:s, s:s, s:s?}]}", "contents", "uri", uri, "mimeType",
			"application/json", "text", text));
}

static const struct rpc_method methods[] = {
	{"initialize", initialize},
	{"notifications/initialized", initialized},
	{"notifications/cancelled", cancelled},
	{"ping", ping},
	{"tools/list", mcp_tools_list},
	{"tools/call", mcp_tools_call},
	{"resources/list", resources_list},
	{"resources/read", resources_read},
	{"resources/templates/list", resources_templates},
	{"logging/setLevel", set_level},
	{0},
};

int cmd_mcp(int argc, char *argv[])
{
	struct session *session = NULL;
	if (session_new(&face, &session) < 0) {
		session_log("out of memory");
		return 125;
	}
	struct mcp mcp = {.session = session, .level = MCP_INFO};
	session->face_data = &mcp;
	int code = session_options(session, "mcp", argc, argv);
	if (code == 0) {
		struct rpc_face rpc_face = {.methods = methods, .data = session};
		code = session_loop(session, 0, 1, &rpc_face);
	} else {
		code = code > 0 ? 0 : 125;
	}
	session_free(session);
	return code;
}
