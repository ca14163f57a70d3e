/* From a decision to an answer: who is asked, in which order, and what they may say.
 *
 *	forbid -> refused.            allow -> go.
 *	ask    -> an answer of this session for the same canonical command; PermissionRequest hooks;
 *	          the reviewer; a person or the agent's host. Nobody there: refused.
 */
#ifndef COFFER_GATE_SETTLE_H
#define COFFER_GATE_SETTLE_H

#include "gate/decide.h"

#include <jansson.h>

/* What whoever is asked gets: one JSON shape for the reviewer, the agent's host and hooks. Strings
 * from a box or a model stand in it as data. Described in docs/APPROVALS.md. */
struct session_answers;
struct approval_request {
	const struct gate_request *request;
	const struct gate_decision *decision;
	const char *const *user_words; /* the user's own prompts of this session, NULL-terminated */
	const char *justification;     /* the agent's reason, if it gave one; or NULL */
	const char *after_failure;     /* on-failure: what the box refused; or NULL */
	bool suggest_rule;             /* "always" may be answered */
	bool fixed;                    /* "edit" may not: another command could not be run */
	const struct session_answers *before; /* tells what is new; NULL: there is no session */
};
json_t *approval_request_json(const struct approval_request *request); /* new reference or NULL */
/* What whoever is asked sees of the command's input: its beginning, and how much there is more. */
int approval_input_text(const struct gate_request *request, struct buffer *out);

enum answer_kind {
	ANSWER_ONCE,
	ANSWER_SESSION, /* and the same again in this session */
	ANSWER_ALWAYS,  /* and a rule was, or is to be, written */
	ANSWER_EDIT,    /* instead of the command, argv */
	ANSWER_NO,
	ANSWER_STOP, /* no, and the session is to stop */
};
struct approval_answer {
	enum answer_kind kind;
	char *reason;     /* of a no, for the agent; or of a yes, for the record; may be NULL */
	struct strv argv; /* ANSWER_EDIT; decided about anew before it runs */
	/* Static: "person", "host", "reviewer", "hook", "session"; "gate" where nobody was to be
	 * asked, "nobody" where somebody was and nobody is there. */
	const char *by;
};
void approval_answer_release(struct approval_answer *answer);
/* An answer's JSON: {"decision":"once|session|always|edit|no|stop","reason":...,"command":[...]}.
 * Anything else is -EINVAL: malformed answers refuse. */
int approval_answer_from_json(const json_t *json, struct approval_answer *ret, struct error *error);

/* Whoever can be asked. ask() blocks until there is an answer; an error is a refusal. */
struct approver {
	int (*ask)(struct approver *approver, const struct approval_request *request,
		struct approval_answer *ret, struct error *error);
	void (*free)(struct approver *approver);
};
/* A person on the controlling terminal. NULL in *ret where there is none. */
int approver_terminal(struct approver **ret, struct error *error);
/* An agent's host: "fd:N" or the path of a unix socket, a line of JSON each way; either may end in
 * ",timeout=DURATION", after which a question is refused. docs/APPROVALS.md has the protocol. */
int approver_channel(const char *where, struct approver **ret, struct error *error);
void approver_free(struct approver *approver);

/* What this session has approved: canonical keys that hold for it, and the words of every command
 * that was approved at all, which tell what of a later one is new. Bounded, in memory. */
int session_answers_new(struct session_answers **ret);
void session_answers_free(struct session_answers *answers);
bool session_answers_hold(const struct session_answers *answers, const char *canonical);
int session_answers_add(struct session_answers *answers, const char *canonical); /* -ENOBUFS */
/* Notes that this was approved, for once or more. What finds no room is forgotten: then it is only
 * called new once more. */
void session_answers_note(struct session_answers *answers, const struct approval_request *request);
/* The same for a question as approval_request_json() wrote it in another process. */
void session_answers_note_json(struct session_answers *answers, const json_t *question);
/* What of a request was in none that was noted: {"directory":bool,
 * "parts":[{"part":N,"program":bool,"words":[...]}],"asks":[...]}; null where nothing was noted.
 * NULL: out of memory. */
json_t *session_answers_novelty(
	const struct session_answers *answers, const struct approval_request *request);

struct settle_context {
	const struct config *config;
	struct hooks *hooks;             /* or NULL */
	struct review_history *history;  /* or NULL: one-shot */
	struct session_answers *answers; /* or NULL */
	struct approver *approver;       /* or NULL: nobody is there */
	const char *user_rules; /* coffer.toml of the user, where "always" is written; or NULL: a
				 * rule there would be refused, and with it the whole file */
};
/* *ret is filled whenever 0 is returned. Where the decision is allow or forbid nobody is asked. */
int gate_settle(const struct settle_context *context, const struct approval_request *request,
	struct approval_answer *ret, struct error *error);

/* The narrowest rule that would have allowed it, as TOML text; shown before it is written.
 * -EOPNOTSUPP: no rule can say it (nothing is decidable, or the grant would remove the box). */
int rule_text(const struct approval_request *request, struct buffer *out);
/* Appends it to file, which is checked as a whole before it takes the place of the old one. */
int rule_append(const char *file, const char *text, struct error *error);

#endif
