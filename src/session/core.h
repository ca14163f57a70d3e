/* The session itself: what calls share, and the calls under way. Two faces speak for it to a host:
 * JSON-RPC (cmd_session.c) and the Model Context Protocol (cmd_mcp.c). */
#ifndef COFFER_SESSION_CORE_H
#define COFFER_SESSION_CORE_H

#include "base/buffer.h"
#include "base/limits.h"
#include "config/compiled.h"
#include "config/config.h"
#include "gate/review.h"
#include "gate/settle.h"
#include "session/rpc.h"

#include <sys/types.h>

struct session;
struct call;

/* What a call does. */
enum call_kind {
	CALL_EXEC,
	CALL_WRITE,
	CALL_READ,
	CALL_LIST,
	CALL_DIFF,
	CALL_HOOKS, /* fires the hooks of one event */
};

/* What a face is told of its calls. */
struct face {
	const char *name; /* "session", "mcp" */
	/* text of stream 1 or 2, whole characters as far as it is UTF-8 */
	void (*output)(struct call *call, int stream, const char *data, size_t length_bytes);
	/* "started" or "refused", with what the call says of it (borrowed) */
	void (*note)(struct call *call, const char *note, const json_t *fields);
	/* A question: to be answered by call_answer() or call_answer_none(), now or later. */
	void (*question)(struct call *call, const json_t *request);
	/* The call's question is of no interest any more: it has ended, or has its answer. */
	void (*forget_question)(struct call *call);
	/* Something for the person: configuration that changed, a fault in it. */
	void (*notice)(struct session *session, const char *kind, const char *text);
	/* Whether a call may ask on the terminal by itself where the host cannot be asked. */
	bool (*ask_terminal)(struct session *session);
};

/* How a call ended: either result is set, or error with its code and name. */
struct call_end {
	json_t *result; /* borrowed */
	int code;
	const char *name;
	struct error error;
};

struct call {
	struct call *next;
	struct session *session;
	unsigned number;
	char name[72]; /* the host's word for it, or "c<number>" */
	enum call_kind kind;
	enum hook_event event; /* CALL_HOOKS */
	json_t *params;
	pid_t pid;
	int socket;
	struct buffer input;
	char carry[2][4]; /* the beginning of a character, of each stream */
	size_t carry_bytes[2];
	bool cancelled, asking;
	char *canonical;   /* of the question that it asks */
	unsigned question; /* the face's */
	json_t *result;    /* came; told once the process is gone */
	struct call_end end;

	/* The face's: the request that it answers, and who is told of its end. */
	struct rpc_request *request;
	void (*ended)(struct call *call, const struct call_end *end);
	json_t *progress; /* MCP: its token */
	unsigned long long progress_count;
};

struct stored_report {
	unsigned number;
	json_t *report;
};

struct session {
	const struct face *face;
	void *face_data;
	struct wire *wire;
	struct rpc *rpc;
	char id[48];

	/* As asked for, by flags and session/start. */
	struct strv settings;
	struct approval asked_approval;
	char *directory; /* absolute */

	/* What holds: the last valid state. */
	struct config *config;
	struct compiled_config *compiled;
	struct config_where where;
	struct strv where_storage;
	char fingerprint[65]; /* of the files that were read last, valid or not */
	struct approval approval;
	struct strv effective; /* all settings, in order */
	struct strv notices;   /* what was left out of them, for a person */
	enum policy_mode mode;
	enum policy_mode chosen; /* by what the directory was, where nothing names a mode */
	char *workspace;
	char *inside; /* where a box sees the workspace, which may be elsewhere */
	struct strv writable_roots;
	bool network_unset; /* nothing says anything of a network */
	bool network_asks;  /* a name that no rule decides may be asked for while it waits */
	char *shell;
	json_t *policy; /* the same for the host */

	struct session_answers *answers;
	struct review_history history;
	struct strv user_words;

	bool started;
	char *stopped; /* why no more calls are taken; NULL: they are */
	bool ending;   /* the host is gone, or has said good-bye */
	struct call *calls;
	unsigned calls_count, last_number;
	struct stored_report reports[MAX_SESSION_REPORTS];
	unsigned reports_count; /* that there ever were */
};

/* ---- core.c ---- */

int session_new(const struct face *face, struct session **ret);
void session_free(struct session *session);
/* No more calls but hooks. The first reason counts. */
void session_stop(struct session *session, const char *reason);
/* Stores a report (takes it) and says its number. */
unsigned session_store_report(struct session *session, json_t *report);
/* "r12" or "last"; borrowed; NULL: there is none (any more). */
json_t *session_find_report(const struct session *session, const char *name);
json_t *session_status(const struct session *session);
/* Keeps what the user said, for the reviewer. */
int session_add_words(struct session *session, const char *text);

/* ---- session_policy.c ---- */

/* Reads the configuration and settles what holds in the directory. */
int session_open(struct session *session, struct error *error);
/* Reads it again where a file has changed, or always. What held goes on holding where it fails;
 * the face is told either way. */
void session_reload(struct session *session, bool always);
/* Checks one setting as a flag of that name, and adds it. */
int session_add_setting(
	struct session *session, const char *key, const char *value, struct error *error);
/* A policy from settings ("key" or "key=value"), for the session's directory. */
struct coffer_policy;
int session_make_policy(const struct session *session, const struct strv *settings,
	struct coffer_policy **ret, struct error *error);

/* ---- calls.c ---- */

/* Starts a call; *order's kind, event, name, params (borrowed), request, ended and progress are
 * taken over. On failure nothing has started, and request is still the caller's. *ret_code and
 * *ret_name are the error's for the wire. */
int call_begin(struct session *session, const struct call *order, struct call **ret, int *ret_code,
	const char **ret_name, struct error *error);
struct call *call_find(const struct session *session, const char *name);
/* Kills it: its box dies with it. */
void call_cancel(struct call *call);
/* Passes the host's answer (borrowed) on; one that does not fit is a refusal. */
void call_answer(struct call *call, const json_t *answer);
void call_answer_none(struct call *call, const char *why);
/* Takes what the call's process says. */
void call_read(struct call *call);
/* Reaps processes and tells the faces of calls that have ended. */
void calls_reap(struct session *session);
void calls_cancel_all(struct session *session);

/* ---- loop.c ---- */

/* Serves until the host is gone or the session has ended. An exit code. */
int session_loop(struct session *session, int in, int out, const struct rpc_face *rpc_face);
/* One line for people on stderr, control characters escaped. */
void session_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- options.c ---- */

/* argv[1..] of `coffer VERB`. 0; 1: help was printed; -1: complained. */
int session_options(struct session *session, const char *verb, int argc, char *argv[]);

/* ---- call.c: in a call's own process ---- */

/* Tells the story of call in order, and says how it ended through the socket. */
void call_run(struct session *session, const struct call *call, int socket);

#endif
