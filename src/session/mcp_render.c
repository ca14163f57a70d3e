/* Results as a model reads them: the output first, then in brackets what is coffer's. */
#include "session/mcp.h"

#include "base/buffer.h"
#include "session/text.h"
#include "witness/trace.h"

#include <string.h>

enum { MAX_TEXT_BYTES = 4 * MAX_TOOL_READ_BYTES, SHOWN_DENIALS = 10 };

static void end_line(struct buffer *text)
{
	if (text->length_bytes && text->data[text->length_bytes - 1] != '\n')
		buffer_append_string(text, "\n");
}

static void add_data(struct buffer *text, const json_t *object)
{
	const json_t *plain = json_object_get(object, "text");
	const json_t *base64 = json_object_get(object, "base64");
	const json_t *value = plain ? plain : base64;
	if (base64)
		buffer_append_string(text, "[base64] ");
	if (value)
		buffer_append(text, json_string_value(value), json_string_length(value));
}

static void add_stream(struct buffer *text, const char *label, const json_t *stream)
{
	if (!json_integer_value(json_object_get(stream, "bytes")))
		return;
	if (label) {
		end_line(text);
		buffer_append_string(text, label);
	}
	add_data(text, stream);
	if (json_object_get(stream, "dropped_bytes")) {
		end_line(text);
		buffer_append_format(text, "[... %lld bytes left out ...]\n",
			(long long)json_integer_value(json_object_get(stream, "dropped_bytes")));
		add_data(text, json_object_get(stream, "tail"));
	}
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static void add_denial(struct buffer *text, const json_t *denial)
{
	const char *rule = string_of(denial, "rule"), *flags = string_of(denial, "allow_with");
	buffer_append_format(text, "[the box refused: %s %s: %s", string_of(denial, "call"),
		string_of(denial, "target"), string_of(denial, "reason"));
	if (*rule && strcmp(rule, "default") != 0)
		buffer_append_format(text, " (%s)", rule);
	buffer_append_format(text, *flags ? "; %s would allow it]\n" : "]\n", flags);
}

static void add_denials(struct buffer *text, const json_t *result)
{
	const json_t *denials = json_object_get(result, "denials");
	size_t i;
	json_t *denial;
	json_array_foreach((json_t *)denials, i, denial) if (i < SHOWN_DENIALS)
		add_denial(text, denial);
	if (json_array_size(denials))
		buffer_append_format(text,
			"[`explain` with report \"%s\" tells what would have allowed it]\n",
			string_of(result, "report"));
}

/* The output has said it; this is where, in few lines. */
static void add_trace(struct buffer *text, const json_t *trace)
{
	if (!json_is_object(trace))
		return;
	buffer_append_string(text, "[what went wrong:]\n");
	trace_show(trace, text);
}

static void add_word(struct buffer *text, const char *before, const char *word)
{
	if (*word)
		buffer_append_format(text, "%s%s]\n", before, word);
}

static void add_ending(struct buffer *text, const json_t *result)
{
	const char *cause = string_of(result, "cause");
	int exit = (int)json_integer_value(json_object_get(result, "exit"));
	end_line(text);
	if (strcmp(cause, "refused") == 0)
		buffer_append_format(text, "[refused by %s: %s]\n", string_of(result, "refused_by"),
			string_of(result, "reason"));
	else if (strcmp(cause, "exited") != 0)
		buffer_append_format(text, "[%s, exit %d]\n", cause, exit);
	else if (exit != 0)
		buffer_append_format(text, "[exit %d]\n", exit);
	add_denials(text, result);
	add_trace(text, json_object_get(result, "trace"));
	const json_t *offer = json_object_get(result, "offer");
	if (offer)
		buffer_append_format(text, "[more was asked for, and refused by %s: %s]\n",
			string_of(offer, "refused_by"), string_of(offer, "reason"));
	add_word(text, "[a hook says: ", string_of(result, "feedback"));
	add_word(text, "[", string_of(result, "context"));
	add_word(text, "[the session is stopped: ", string_of(result, "stop"));
}

static void add_entries(struct buffer *text, const json_t *result)
{
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(result, "entries"), i, entry)
	{
		const char *kind = string_of(entry, "kind");
		buffer_append_format(text, "%s%s", string_of(entry, "name"),
			strcmp(kind, "directory") == 0 ? "/" : "");
		if (strcmp(kind, "file") == 0)
			buffer_append_format(text, "\t%lld bytes",
				(long long)json_integer_value(
					json_object_get(entry, "size_bytes")));
		else if (strcmp(kind, "directory") != 0)
			buffer_append_format(text, "\t%s", kind);
		buffer_append_string(text, "\n");
	}
	if (json_is_true(json_object_get(result, "incomplete")))
		buffer_append_string(text, "[there are more]\n");
}

static void add_body(struct buffer *text, const struct call *call, const json_t *result)
{
	add_stream(text, NULL, json_object_get(result, "stdout"));
	add_stream(text, "--- stderr\n", json_object_get(result, "stderr"));
	add_stream(text, NULL, json_object_get(result, "diff"));
	add_entries(text, result);
	if (call->kind == CALL_READ)
		add_data(text, result);
	if (call->kind == CALL_READ && json_is_true(json_object_get(result, "more"))) {
		end_line(text);
		buffer_append_format(text, "[there is more: %lld of %lld bytes from offset %lld]\n",
			(long long)json_integer_value(json_object_get(result, "bytes")),
			(long long)json_integer_value(json_object_get(result, "size_bytes")),
			(long long)json_integer_value(json_object_get(result, "offset")));
	}
	if (call->kind == CALL_WRITE && json_object_get(result, "bytes"))
		buffer_append_format(text, "%lld bytes were written\n",
			(long long)json_integer_value(json_object_get(result, "bytes")));
}

json_t *mcp_render(const struct call *call, const json_t *result)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_TEXT_BYTES);
	add_body(&text, call, result);
	add_ending(&text, result);
	int r = buffer_error(&text);
	bool well = strcmp(string_of(result, "cause"), "exited") == 0 &&
		    json_integer_value(json_object_get(result, "exit")) == 0;
	json_t *body = r < 0 ? NULL : json_of_bytes(text.data ? text.data : "", text.length_bytes);
	return json_pack("{s:[{s:s, s:o}], s:O, s:b}", "content", "type", "text", "text", body,
		"structuredContent", result, "isError", !well);
}

json_t *mcp_render_explanation(const json_t *explanation)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_TEXT_BYTES);
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(explanation, "denials"), i, item)
	{
		const json_t *cure = json_object_get(item, "would_allow");
		buffer_append_format(&text, "%s\n", string_of(item, "text"));
		if (json_is_object(cure))
			buffer_append_format(&text, "    asks: {\"%s\": [\"%s\"]}\n",
				string_of(cure, "kind"), string_of(cure, "value"));
	}
	if (i == 0)
		buffer_append_string(&text, "The box recorded no refusal.\n");
	json_t *body = buffer_error(&text) < 0 ? NULL : json_of_text(text.data);
	return json_pack("{s:[{s:s, s:o}], s:O, s:b}", "content", "type", "text", "text", body,
		"structuredContent", explanation, "isError", 0);
}
