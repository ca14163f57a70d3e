#include "session/rpc.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/suggest.h"
#include "session/text.h"

#include <stdio.h>
#include <string.h>

/* The answers of a batch, which go out together once the last one is there. */
struct rpc_batch {
	json_t *answers;
	unsigned open; /* requests without an answer, and the batch itself while it is read */
};

struct question {
	struct question *next;
	unsigned id;
	rpc_answer answer;
	void *data;
};

struct rpc {
	struct wire *wire;
	struct rpc_face face;
	struct question *questions;
	unsigned last_id;
	bool broken;
};

int rpc_new(struct wire *wire, const struct rpc_face *face, struct rpc **ret)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	if (!rpc)
		return -ENOMEM;
	rpc->wire = wire;
	rpc->face = *face;
	*ret = rpc;
	return 0;
}

void rpc_free(struct rpc *rpc)
{
	if (!rpc)
		return;
	while (rpc->questions) {
		struct question *next = rpc->questions->next;
		free(rpc->questions);
		rpc->questions = next;
	}
	free(rpc);
}

void rpc_set_batches(struct rpc *rpc, bool batches)
{
	rpc->face.batches = batches;
}

bool rpc_is_broken(const struct rpc *rpc)
{
	return rpc->broken;
}

static void send_message(struct rpc *rpc, json_t *message)
{
	if (!message || wire_send(rpc->wire, message) < 0)
		rpc->broken = true;
	json_decref(message);
}

/* ---- answers ---- */

static void leave_batch(struct rpc *rpc, struct rpc_batch *batch)
{
	if (--batch->open)
		return;
	if (json_array_size(batch->answers))
		send_message(rpc, batch->answers);
	else
		json_decref(batch->answers);
	free(batch);
}

static void finish(struct rpc *rpc, struct rpc_request *request, json_t *message)
{
	struct rpc_batch *batch = request->batch;
	if (!request->id)
		json_decref(message);
	else if (!batch)
		send_message(rpc, message);
	else if (!message || json_array_append_new(batch->answers, message) < 0)
		rpc->broken = true;
	rpc_drop(rpc, request);
}

void rpc_drop(struct rpc *rpc, struct rpc_request *request)
{
	if (!request)
		return;
	if (request->batch)
		leave_batch(rpc, request->batch);
	json_decref(request->id);
	free(request);
}

void rpc_result(struct rpc *rpc, struct rpc_request *request, json_t *result)
{
	if (!request) {
		json_decref(result);
		return;
	}
	if (!result) {
		struct error error = {0};
		error_set_errno(&error, ENOMEM, "session", "the answer");
		rpc_fail(rpc, request, RPC_INTERNAL_ERROR, "out_of_memory", &error);
		return;
	}
	finish(rpc, request,
		json_pack(
			"{s:s, s:O*, s:o}", "jsonrpc", "2.0", "id", request->id, "result", result));
}

static json_t *error_message(json_t *id, int code, const char *name, const struct error *error)
{
	json_t *message = json_of_text(error->message), *advice = json_of_text(error->hint);
	json_t *data = json_pack("{s:s, s:o}", "code", name, "hint", advice);
	return json_pack("{s:s, s:o, s:{s:i, s:o, s:o}}", "jsonrpc", "2.0", "id",
		id ? json_incref(id) : json_null(), "error", "code", code, "message", message,
		"data", data);
}

void rpc_fail(struct rpc *rpc, struct rpc_request *request, int code, const char *name,
	const struct error *error)
{
	if (request)
		finish(rpc, request, error_message(request->id, code, name, error));
}

/* An error about something that is no request. */
static void complain(
	struct rpc *rpc, struct rpc_batch *batch, int code, const char *name, const char *text)
{
	struct error error = {0};
	error_set(&error, EINVAL, "session", "%s", text);
	json_t *message = error_message(NULL, code, name, &error);
	if (!batch)
		send_message(rpc, message);
	else if (!message || json_array_append_new(batch->answers, message) < 0)
		rpc->broken = true;
}

void rpc_refuse_line(struct rpc *rpc)
{
	char text[96];
	snprintf(text, sizeof(text), "a message has at most %d bytes", MAX_MESSAGE_BYTES);
	complain(rpc, NULL, RPC_INVALID_REQUEST, "message_too_long", text);
}

/* ---- what the host says ---- */

static void take_answer(struct rpc *rpc, const json_t *message)
{
	json_int_t id = json_integer_value(json_object_get(message, "id"));
	for (struct question **at = &rpc->questions; *at; at = &(*at)->next) {
		struct question *question = *at;
		if ((json_int_t)question->id != id)
			continue;
		*at = question->next;
		const json_t *error = json_object_get(message, "error");
		question->answer(
			question->data, error ? NULL : json_object_get(message, "result"), error);
		free(question);
		return;
	}
	/* An answer that nobody waits for: to a question that was forgotten. */
}

static const struct rpc_method *find_method(const struct rpc *rpc, const char *name)
{
	for (const struct rpc_method *method = rpc->face.methods; method->name; method++)
		if (strcmp(method->name, name) == 0)
			return method;
	return NULL;
}

static void fail_unknown(struct rpc *rpc, struct rpc_request *request, const char *name)
{
	struct error error = {0};
	size_t count = 0;
	while (rpc->face.methods[count].name)
		count++;
	const char *near =
		suggest_nearest(name, rpc->face.methods, count, sizeof(rpc->face.methods[0]));
	error_set(&error, ENOSYS, "session", "there is no method '%.64s'", name);
	if (near)
		error_hint(&error, "did you mean '%s'?", near);
	rpc_fail(rpc, request, RPC_METHOD_NOT_FOUND, "method_not_found", &error);
}

static bool is_id(const json_t *id)
{
	return json_is_string(id) || json_is_integer(id) || json_is_real(id) || json_is_null(id);
}

static int take_one(struct rpc *rpc, json_t *message, struct rpc_batch *batch)
{
	const char *version = json_string_value(json_object_get(message, "jsonrpc"));
	json_t *id = json_object_get(message, "id"), *method = json_object_get(message, "method");
	json_t *params = json_object_get(message, "params");
	bool answer = !method &&
		      (json_object_get(message, "result") || json_object_get(message, "error"));
	if (!version || strcmp(version, "2.0") != 0 || (id && !is_id(id)) ||
		(!json_is_string(method) && !answer)) {
		complain(rpc, batch, RPC_INVALID_REQUEST, "invalid_request",
			"this is no request of JSON-RPC 2.0");
		return 0;
	}
	if (answer) {
		take_answer(rpc, message);
		return 0;
	}
	struct rpc_request *request = calloc(1, sizeof(*request));
	json_t *empty = json_object();
	if (!request || !empty) {
		free(request);
		json_decref(empty);
		return -ENOMEM;
	}
	request->id = json_incref(id);
	request->batch = batch;
	if (batch)
		batch->open++;
	const struct rpc_method *known = find_method(rpc, json_string_value(method));
	struct error error = {0};
	if (!known) {
		fail_unknown(rpc, request, json_string_value(method));
	} else if (params && !json_is_object(params)) {
		error_set(&error, EINVAL, "session", "params is no object");
		rpc_fail(rpc, request, RPC_INVALID_PARAMS, "invalid_params", &error);
	} else {
		known->run(rpc->face.data, request, params ? params : empty);
	}
	json_decref(empty);
	return 0;
}

static int take_batch(struct rpc *rpc, json_t *messages)
{
	size_t count = json_array_size(messages);
	if (count == 0 || count > MAX_SESSION_BATCH || !rpc->face.batches) {
		complain(rpc, NULL, RPC_INVALID_REQUEST, "invalid_request",
			!rpc->face.batches ? "this version of the protocol has no batches"
			: count            ? "the batch holds too many messages"
					   : "the batch is empty");
		return 0;
	}
	struct rpc_batch *batch = calloc(1, sizeof(*batch));
	if (!batch || !(batch->answers = json_array())) {
		free(batch);
		return -ENOMEM;
	}
	batch->open = 1;
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_one(rpc, json_array_get(messages, i), batch);
	leave_batch(rpc, batch);
	return r;
}

int rpc_take(struct rpc *rpc, const char *line, size_t length_bytes)
{
	if (length_bytes == 0 || strspn(line, " \t\r") == length_bytes)
		return 0;
	json_error_t where;
	json_t *message = json_loadb(line, length_bytes,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
	int r = 0;
	if (!message) {
		char text[256];
		snprintf(text, sizeof(text), "this is no JSON: %s, at byte %d", where.text,
			where.position);
		complain(rpc, NULL, RPC_PARSE_ERROR, "parse_error", text);
	} else if (json_is_array(message)) {
		r = take_batch(rpc, message);
	} else {
		r = take_one(rpc, message, NULL);
	}
	json_decref(message);
	return r < 0 || rpc->broken ? -ENOMEM : 0;
}

/* ---- what the host is told and asked ---- */

void rpc_notify(struct rpc *rpc, const char *method, json_t *params)
{
	if (!params) {
		rpc->broken = true;
		return;
	}
	send_message(rpc,
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}

int rpc_ask(struct rpc *rpc, const char *method, json_t *params, rpc_answer answer, void *data,
	unsigned *ret_id)
{
	struct question *question = calloc(1, sizeof(*question));
	json_t *message = params && question ? json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0",
						       "id", (json_int_t)(rpc->last_id + 1),
						       "method", method, "params", params)
					     : NULL;
	int r = message ? wire_send(rpc->wire, message) : -ENOMEM;
	json_decref(message);
	if (r < 0) {
		free(question);
		return r;
	}
	*question = (struct question){
		.next = rpc->questions, .id = ++rpc->last_id, .answer = answer, .data = data};
	rpc->questions = question;
	*ret_id = question->id;
	return 0;
}

void rpc_forget(struct rpc *rpc, unsigned id)
{
	for (struct question **at = &rpc->questions; *at; at = &(*at)->next) {
		struct question *question = *at;
		if (question->id != id)
			continue;
		*at = question->next;
		free(question);
		return;
	}
}
