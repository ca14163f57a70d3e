#include "session/mcp.h"

#include "session/params.h"
#include "session/story.h"
#include "session/text.h"
#include "session/tools.h"

#include <stdio.h>
#include <string.h>

static const struct param explain_params[] = {
	{.name = "report",
		.kind = PARAM_STRING,
		.required = true,
		.help = "a report's name from a result, or \"last\""},
	{0},
};

static json_t *tool_json(const char *name, const char *title, const char *description,
	const struct param *params, bool read_only, bool open_world)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:b, s:b, s:b, s:b}}", "name", name, "title",
		title, "description", description, "inputSchema", params_schema(params),
		"annotations", "title", title, "readOnlyHint", read_only, "destructiveHint",
		!read_only, "idempotentHint", read_only, "openWorldHint", open_world);
}

void mcp_tools_list(void *data, struct rpc_request *request, json_t *params)
{
	(void)params;
	struct session *session = data;
	json_t *list = json_array();
	for (const struct tool *tool = tools_table(); tool->name; tool++)
		json_array_append_new(
			list, tool_json(tool->name, tool->title, tool->description, tool->params,
				      tool->read_only, tool->kind == CALL_EXEC));
	json_array_append_new(
		list, tool_json("explain", "Explain a refusal",
			      "Tells what a box refused, and what could be asked for to allow it.",
			      explain_params, true, false));
	rpc_result(session->rpc, request, json_pack("{s:o}", "tools", list));
}

/* What the model did wrong it is told as a result, so that it can do better. */
static void tell_model(
	struct session *session, struct rpc_request *request, const struct error *error)
{
	char text[sizeof(error->message) + sizeof(error->hint) + 2];
	snprintf(text, sizeof(text), "%s%s%s", error->message, error->hint[0] ? "\n" : "",
		error->hint);
	rpc_result(session->rpc, request,
		json_pack("{s:[{s:s, s:o}], s:b}", "content", "type", "text", "text",
			json_of_text(text), "isError", 1));
}

static void end_call(struct call *call, const struct call_end *end)
{
	struct session *session = call->session;
	if (call->cancelled) /* whoever cancels a request waits for no answer */
		rpc_drop(session->rpc, call->request);
	else if (end->result)
		rpc_result(session->rpc, call->request, mcp_render(call, end->result));
	else
		tell_model(session, call->request, &end->error);
}

static void explain(struct session *session, struct rpc_request *request, const json_t *arguments)
{
	struct error error = {0};
	const char *name = json_string_value(json_object_get(arguments, "report"));
	int r = params_check(arguments, explain_params, &error);
	json_t *report = r == 0 ? session_find_report(session, name) : NULL;
	if (r == 0 && !report)
		r = error_set(&error, ENOENT, "session", "there is no report '%.32s'", name);
	json_t *explanation = r == 0 ? explain_report(session, report) : NULL;
	if (r < 0)
		tell_model(session, request, &error);
	else
		rpc_result(session->rpc, request, mcp_render_explanation(explanation));
	json_decref(explanation);
}

static void begin(struct session *session, struct rpc_request *request, const struct tool *tool,
	json_t *arguments, json_t *progress)
{
	struct error error = {0};
	int code;
	const char *name;
	if (params_check(arguments, tool->params, &error) < 0) {
		tell_model(session, request, &error);
		return;
	}
	session_reload(session, false);
	struct call order = {.kind = tool->kind,
		.params = arguments,
		.request = request,
		.ended = end_call,
		.progress = progress};
	if (call_begin(session, &order, NULL, &code, &name, &error) < 0)
		tell_model(session, request, &error);
}

void mcp_tools_call(void *data, struct rpc_request *request, json_t *params)
{
	struct session *session = data;
	struct error error = {0};
	const char *name = json_string_value(json_object_get(params, "name"));
	json_t *arguments = json_object_get(params, "arguments");
	json_t *progress = json_object_get(json_object_get(params, "_meta"), "progressToken");
	const struct tool *tool = name ? tool_named(name) : NULL;
	bool explains = name && strcmp(name, "explain") == 0;
	json_t *empty = json_object();
	if (!session->started) {
		error_set(&error, EINVAL, "session", "initialize comes first");
		rpc_fail(session->rpc, request, RPC_INVALID_REQUEST, "no_session", &error);
	} else if ((!tool && !explains) || (arguments && !json_is_object(arguments))) {
		error_set(&error, EINVAL, "session", "there is no tool '%.64s'", name ? name : "");
		rpc_fail(session->rpc, request, RPC_INVALID_PARAMS, "unknown_tool", &error);
	} else if (explains) {
		explain(session, request, arguments ? arguments : empty);
	} else {
		begin(session, request, tool, arguments ? arguments : empty, progress);
	}
	json_decref(empty);
}

/* ---- while a call runs ---- */

static void tell_progress(struct call *call, json_t *message)
{
	if (!call->progress) {
		json_decref(message);
		return;
	}
	rpc_notify(call->session->rpc, "notifications/progress",
		json_pack("{s:O, s:I, s:o}", "progressToken", call->progress, "progress",
			(json_int_t)call->progress_count, "message", message));
}

/* Progress has to grow: it counts the bytes that came. */
void mcp_output(struct call *call, int stream, const char *data, size_t length_bytes)
{
	(void)stream;
	call->progress_count += length_bytes;
	tell_progress(call, json_of_bytes(data, length_bytes));
}

void mcp_note(struct call *call, const char *note, const json_t *fields)
{
	(void)fields;
	call->progress_count++;
	tell_progress(call, json_string(note));
}
