/* Approvals over the Model Context Protocol: by elicitation where the client has it, else on the
 * terminal (which the call's own process does), else refused. What stands in a question may have
 * been written by a stranger or a model, and the client shows it to a person: whatever would not
 * just be shown is escaped. */
#include "session/mcp.h"

#include "base/buffer.h"
#include "base/utf8.h"
#include "session/text.h"

#include <string.h>

enum { MAX_QUESTION_BYTES = 16 * 1024 };

static void add_escaped(struct buffer *to, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : *s;
		if (length && !utf8_is_control(character))
			buffer_append(to, s, length);
		else if (*s == '\n')
			buffer_append_string(to, "\n    ");
		else
			buffer_append_format(to, length > 1 ? "\\u{%x}" : "\\x%02x", character);
		s += length ? length : 1;
	}
}

static void add_line(struct buffer *to, const char *label, const json_t *value)
{
	if (!json_is_string(value) || !json_string_length(value))
		return;
	buffer_append_string(to, label);
	add_escaped(to, json_string_value(value));
	buffer_append_string(to, "\n");
}

static void add_asks(struct buffer *to, const json_t *asks)
{
	size_t i;
	json_t *ask;
	json_array_foreach((json_t *)asks, i, ask)
	{
		add_line(to, "It wants: ", json_object_get(ask, "kind"));
		add_line(to, "          ", json_object_get(ask, "value"));
	}
}

static json_t *question_text(const json_t *request)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_QUESTION_BYTES);
	buffer_append_string(&text, "May this be run?\n");
	add_line(&text, "    ", json_object_get(request, "shell"));
	add_line(&text, "In: ", json_object_get(request, "directory"));
	add_line(&text, "Asked because: ", json_object_get(request, "reason"));
	add_asks(&text, json_object_get(request, "asks"));
	add_line(&text, "The box refused: ", json_object_get(request, "after_failure"));
	add_line(&text, "The agent says: ", json_object_get(request, "justification"));
	add_line(&text, "\"always\" would write this rule:\n    ",
		json_object_get(request, "suggested_rule"));
	/* Nobody can agree to what they were not shown. */
	return buffer_error(&text) < 0 ? NULL : json_of_text(text.data);
}

static json_t *answers_schema(const json_t *request)
{
	bool always = json_is_string(json_object_get(request, "suggested_rule"));
	json_t *words = json_pack("[s, s, s, s]", "once", "session", "no", "stop");
	json_t *names = json_pack("[s, s, s, s]", "Yes, this once", "Yes, in this session", "No",
		"No, and stop the session");
	if (always) {
		json_array_insert_new(words, 2, json_string("always"));
		json_array_insert_new(names, 2, json_string("Always: write the rule"));
	}
	return json_pack("{s:s, s:{s:{s:s, s:s, s:o, s:o}, s:{s:s, s:s, s:s}}, s:[s]}", "type",
		"object", "properties", "decision", "type", "string", "title", "Decision", "enum",
		words, "enumNames", names, "reason", "type", "string", "title", "Reason",
		"description", "What the agent should know, or do instead", "required", "decision");
}

static void take_answer(void *data, const json_t *result, const json_t *error)
{
	struct call *call = data;
	const char *action = json_string_value(json_object_get(result, "action"));
	call->question = 0;
	if (error || !action) {
		call_answer_none(call, "the client could not ask");
		return;
	}
	const json_t *content = json_object_get(result, "content");
	if (strcmp(action, "accept") == 0 && json_is_object(content)) {
		/* An empty reason is none. */
		json_t *answer =
			json_pack("{s:O*}", "decision", json_object_get(content, "decision"));
		json_t *reason = json_object_get(content, "reason");
		if (json_string_length(reason))
			json_object_set(answer, "reason", reason);
		call_answer(call, answer);
		json_decref(answer);
		return;
	}
	json_t *no = json_pack("{s:s, s:s}", "decision", "no", "reason",
		strcmp(action, "decline") == 0 ? "the user declined" : "the user did not answer");
	call_answer(call, no);
	json_decref(no);
}

void mcp_question(struct call *call, const json_t *request)
{
	struct mcp *mcp = mcp_of(call->session);
	if (!mcp->elicitation) {
		call_answer_none(
			call, "the client has no elicitation, and there is no terminal to ask on");
		return;
	}
	json_t *text = question_text(request);
	if (!text) {
		call_answer_none(call, "the question is too long to be shown");
		return;
	}
	json_t *params = json_pack("{s:s*, s:o, s:o}", "mode", mcp->modes ? "form" : NULL,
		"message", text, "requestedSchema", answers_schema(request));
	if (rpc_ask(call->session->rpc, "elicitation/create", params, take_answer, call,
		    &call->question) < 0)
		call_answer_none(call, "the client could not be asked");
}

void mcp_forget_question(struct call *call)
{
	if (!call->question)
		return;
	rpc_forget(call->session->rpc, call->question);
	rpc_notify(call->session->rpc, "notifications/cancelled",
		json_pack("{s:i, s:s}", "requestId", (int)call->question, "reason",
			"it needs no answer any more"));
	call->question = 0;
}

bool mcp_ask_terminal(struct session *session)
{
	return !mcp_of(session)->elicitation;
}
