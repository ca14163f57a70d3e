/* The session's side of its calls. Theory of operation: a call is a forked process, so it starts
 * with a copy of all that the session holds at that moment - policy, rules, answers, the user's
 * words - and nothing that happens to it reaches the session but by its socket. What it says there
 * is bounded and checked; one that says nonsense is killed. */
#include "session/core.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "session/frames.h"
#include "session/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	/* An answer must fit into the socket at once: the session never waits for a call. */
	MAX_ANSWER_BYTES = 64 * 1024,
};

struct call *call_find(const struct session *session, const char *name)
{
	for (struct call *call = session->calls; call; call = call->next)
		if (strcmp(call->name, name) == 0)
			return call;
	return NULL;
}

static void call_free(struct call *call)
{
	close_fd(&call->socket);
	buffer_release(&call->input);
	free(call->canonical);
	json_decref(call->params);
	json_decref(call->result);
	json_decref(call->progress);
	free(call);
}

/* In the child: nothing of the host's wire, nothing of other calls. */
static void become_call(struct session *session, struct call *call, int socket, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(EXIT_FAILURE);
	int keep[] = {socket};
	if (fd_close_all_but(keep, ARRAY_SIZE(keep)) < 0)
		_exit(EXIT_FAILURE);
	call_run(session, call, socket);
	_exit(EXIT_SUCCESS);
}

static int refuse_to_begin(const struct session *session, const struct call *order, int *ret_code,
	const char **ret_name, struct error *error)
{
	*ret_code = RPC_SERVER_ERROR;
	if (session->stopped && order->kind != CALL_HOOKS) {
		*ret_name = "session_stopped";
		return error_set(error, ECANCELED, "session", "the session was stopped: %s",
			session->stopped);
	}
	if (session->calls_count >= MAX_SESSION_CALLS) {
		*ret_name = "too_many_calls";
		error_set(error, EBUSY, "session", "%d calls are under way, more are not taken",
			MAX_SESSION_CALLS);
		return error_hint(error, "wait for one to end, or cancel one");
	}
	if (order->name[0] && call_find(session, order->name)) {
		*ret_code = RPC_INVALID_PARAMS;
		*ret_name = "call_exists";
		return error_set(
			error, EEXIST, "session", "a call named '%s' is under way", order->name);
	}
	return 0;
}

int call_begin(struct session *session, const struct call *order, struct call **ret, int *ret_code,
	const char **ret_name, struct error *error)
{
	int r = refuse_to_begin(session, order, ret_code, ret_name, error);
	if (r < 0)
		return r;
	*ret_name = "call_failed";
	struct call *call = malloc(sizeof(*call));
	if (!call)
		return error_set_errno(error, ENOMEM, "session", "a call");
	*call = *order;
	call->session = session;
	call->number = ++session->last_number;
	call->input.max_bytes = MAX_CALL_MESSAGE_BYTES + 2 * CALL_OUTPUT_BYTES;
	if (!call->name[0])
		snprintf(call->name, sizeof(call->name), "c%u", call->number);
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		r = error_set_errno(error, errno, "session", "a call's socket");
		free(call);
		return r;
	}
	pid_t parent = getpid();
	call->pid = fork();
	if (call->pid == 0)
		become_call(session, call, pair[1], parent);
	int code = errno;
	close(pair[1]);
	call->socket = pair[0];
	if (call->pid < 0) {
		close(pair[0]);
		free(call);
		return error_set_errno(error, code, "session", "a call's process");
	}
	json_incref(call->params);
	json_incref(call->progress);
	call->next = session->calls;
	session->calls = call;
	session->calls_count++;
	if (ret)
		*ret = call;
	return 0;
}

void call_cancel(struct call *call)
{
	call->cancelled = true;
	kill(call->pid, SIGKILL);
}

void calls_cancel_all(struct session *session)
{
	for (struct call *call = session->calls; call; call = call->next)
		call_cancel(call);
}

/* ---- questions ---- */

static void post_answer(struct call *call, json_t *json)
{
	if (!call->asking) {
		json_decref(json);
		return;
	}
	call->asking = false;
	if (frame_post_json(call->socket, FRAME_ANSWER, json) < 0)
		kill(call->pid, SIGKILL);
}

void call_answer_none(struct call *call, const char *why)
{
	post_answer(call, json_pack("{s:o}", "error", json_of_text(why)));
}

void call_answer(struct call *call, const json_t *answer)
{
	if (json_dumpb(answer, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > MAX_ANSWER_BYTES)
		call_answer_none(call, "the answer is too long");
	else
		post_answer(call, json_pack("{s:O}", "answer", answer));
}

static void take_question(struct call *call, json_t *request)
{
	/* Somebody may have said "for this session" to another call since this one began. */
	const char *canonical = json_string_value(json_object_get(request, "canonical"));
	call->asking = true;
	free(call->canonical);
	call->canonical = canonical ? strdup(canonical) : NULL;
	if (canonical && session_answers_hold(call->session->answers, canonical))
		post_answer(call, json_pack("{s:b}", "session", 1));
	else
		call->session->face->question(call, json_object_get(request, "request"));
}

/* "For this session" also answers those who are waiting for the same. */
static void answer_alike(struct session *session, const char *canonical)
{
	for (struct call *call = session->calls; call; call = call->next) {
		if (!call->asking || !call->canonical || strcmp(call->canonical, canonical) != 0)
			continue;
		session->face->forget_question(call);
		post_answer(call, json_pack("{s:b}", "session", 1));
	}
}

/* ---- what a call says ---- */

static void take_note(struct call *call, json_t *note)
{
	struct session *session = call->session;
	const char *what = json_string_value(json_object_get(note, "note"));
	const char *canonical = json_string_value(json_object_get(note, "canonical"));
	const char *reason = json_string_value(json_object_get(note, "reason"));
	if (!what)
		return;
	if (strcmp(what, "answered") == 0 && canonical) {
		if (session_answers_add(session->answers, canonical) == 0)
			answer_alike(session, canonical);
	} else if (strcmp(what, "reviewed") == 0) {
		bool refused = json_is_true(json_object_get(note, "refused"));
		if (review_history_add(&session->history, refused))
			session_stop(session, "the reviewer has refused too often");
	} else if (strcmp(what, "stop") == 0) {
		session_stop(session, reason ? reason : "a call asked for it");
	} else {
		session->face->note(call, what, note);
	}
}

static void take_output(struct call *call, int stream, const char *data, size_t length_bytes)
{
	const struct face *face = call->session->face;
	char *carry = call->carry[stream - 1];
	size_t *carried = &call->carry_bytes[stream - 1];
	cleanup_free char *whole = malloc(*carried + length_bytes + 1);
	if (!whole) {
		call_cancel(call);
		return;
	}
	memcpy(whole, carry, *carried);
	memcpy(whole + *carried, data, length_bytes);
	size_t total = *carried + length_bytes;
	/* At the end (no data) what is left is told as it is. */
	*carried = length_bytes ? text_incomplete_bytes(whole, total) : 0;
	memcpy(carry, whole + total - *carried, *carried);
	if (total > *carried)
		face->output(call, stream, whole, total - *carried);
}

static void take_failure(struct call *call, const json_t *json)
{
	const char *name = json_string_value(json_object_get(json, "name"));
	/* Only names that are known here travel on: see call_run(). */
	static const char *const names[] = {"invalid_params", "config", "not_found", "setup_failed",
		"not_a_repository", "outside_of_roots", "hooks"};
	call->end.name = "call_failed";
	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			call->end.name = names[i];
	call->end.code = (int)json_integer_value(json_object_get(json, "code"));
	const char *text = json_string_value(json_object_get(json, "message"));
	const char *hint = json_string_value(json_object_get(json, "hint"));
	error_set(&call->end.error, EIO, "session", "%s", text ? text : "the call failed");
	if (hint && *hint)
		error_hint(&call->end.error, "%s", hint);
}

static void take_frame(struct call *call, const struct frame *frame, const char *data)
{
	if (frame->kind == FRAME_STDOUT || frame->kind == FRAME_STDERR) {
		take_output(call, frame->kind == FRAME_STDOUT ? 1 : 2, data, frame->length_bytes);
		return;
	}
	json_t *json = json_loadb(data, frame->length_bytes, JSON_ALLOW_NUL, NULL);
	if (!json) {
		call_cancel(call);
		return;
	}
	if (frame->kind == FRAME_NOTE) {
		take_note(call, json);
	} else if (frame->kind == FRAME_QUESTION) {
		take_question(call, json);
	} else if (frame->kind == FRAME_RESULT) {
		json_decref(call->result);
		call->result = json_incref(json);
	} else {
		take_failure(call, json);
	}
	json_decref(json);
}

void call_read(struct call *call)
{
	int r = frame_fill(call->socket, &call->input);
	struct frame frame;
	const char *data;
	int whole;
	while ((whole = frame_peek(&call->input, &frame, &data)) > 0) {
		if (!call->cancelled)
			take_frame(call, &frame, data);
		frame_drop(&call->input);
	}
	if (whole < 0)
		call_cancel(call);
	if (r < 0 || whole < 0)
		close_fd(&call->socket);
}

/* ---- the end ---- */

/* A report travels once, and is kept here: the result names it. */
static void keep_report(struct call *call)
{
	json_t *report = json_object_get(call->result, "report");
	if (!json_is_object(report))
		return;
	char name[24];
	snprintf(name, sizeof(name), "r%u",
		session_store_report(call->session, json_incref(report)));
	json_object_set_new(call->result, "report", json_string(name));
}

static void end_call(struct call *call)
{
	struct session *session = call->session;
	if (call->asking)
		session->face->forget_question(call);
	if (call->cancelled) {
		call->end.code = RPC_SERVER_ERROR;
		call->end.name = "cancelled";
		error_set(&call->end.error, ECANCELED, "session", "the call was cancelled");
	} else if (call->result) {
		keep_report(call);
		json_object_set_new(call->result, "call", json_of_text(call->name));
		call->end.result = call->result;
	} else if (!call->end.name) {
		call->end.code = RPC_INTERNAL_ERROR;
		call->end.name = "call_lost";
		error_set(&call->end.error, EIO, "session",
			"the call's process ended without a result; its box ended with it");
	}
	call->ended(call, &call->end);
	call_free(call);
}

void calls_reap(struct session *session)
{
	for (struct call **at = &session->calls; *at;) {
		struct call *call = *at;
		/* Results wait where they are until the host has read others. */
		if (!session->ending &&
			wire_queued_bytes(session->wire) >= SESSION_QUEUE_FULL_BYTES)
			return;
		/* What it said last is read first; only then is its end of interest. */
		if (call->socket >= 0 && !call->cancelled) {
			at = &call->next;
			continue;
		}
		if (waitpid(call->pid, NULL, call->cancelled ? WNOHANG : 0) == 0) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		session->calls_count--;
		end_call(call);
	}
}
