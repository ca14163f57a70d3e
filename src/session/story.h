/* In a call's own process: what the chapters of a call's story share.
 *
 *	call.c         the order: hooks, decision, settling, box, once more on failure, hooks
 *	call_gate.c    decision and settling; the approver that asks through the session
 *	call_policy.c  the policy of a call's box: the session's, widened by what was granted
 *	call_box.c     runs a command in a box, its output to the session as it comes
 *	call_files.c   write, read, list, diff: each a small command in the same box
 *	call_hooks.c   what hooks are told and what they say
 *	cures.c        what would have allowed what a box refused
 */
#ifndef COFFER_SESSION_STORY_H
#define COFFER_SESSION_STORY_H

#include "coffer.h"
#include "gate/hooks.h"
#include "session/core.h"
#include "session/kept.h"
#include "session/name_asker.h"

struct story {
	struct session *session;
	const struct call *call;
	const json_t *params;
	int socket;

	const char *tool; /* as hooks know it: "Bash", "Write", ... */
	char *directory;  /* absolute */
	char *line;       /* the shell line, where it came as one */
	struct strv argv; /* the command, as the gate decides about it */
	struct strv environment;
	json_t *input;          /* of a command: tool_input, as hooks know it */
	const char *stdin_data; /* what it reads; NULL: nothing */
	size_t stdin_bytes;
	struct grant *asks;
	size_t asks_count;
	const char *justification;

	struct hooks *hooks;
	enum hook_says hook_says; /* of PreToolUse */
	char *hook_reason;
	struct buffer context, messages;
	bool offering; /* settling what was lacking, after a failure */
	char *stop;    /* a hook or an answer ended the session */

	struct gate_decision *decision;
	struct approval_answer answer;
	struct grant *grants; /* what widens the box */
	size_t grants_count;
	struct name_asker names; /* while the box runs */

	json_t *result;
	/* How the story failed, for the wire. */
	int code;
	const char *name;
	struct error error;
};

struct box_run {
	const struct strv *argv;
	bool stream; /* output goes to the session as it comes */
	size_t keep_bytes;
	bool keep_from_the_start;
	uint64_t timeout_ms; /* 0: none */

	struct kept kept[2];
	json_t *report;
	json_t *trace; /* of a streamed run that failed; or NULL */
	int exit_code;
	const char *cause; /* the report's */
};

/* Most of these return 0, or -errno with the story's error, code and name filled. */
int story_fail(struct story *story, int code, const char *name, int errno_value, const char *format,
	...) __attribute__((format(printf, 5, 6)));
/* Takes what the command reads from a parameter, or another in base64. */
int story_take_stdin(struct story *story, const char *text, const char *base64);
/* Tells the session; takes fields. */
void story_note(struct story *story, const char *note, json_t *fields);
/* Appends a paragraph. */
void story_say(struct buffer *to, const char *text);

/* A path that the host or a model gave, as the host's: absolute, from the call's directory, and out
 * of the box's view of the workspace. The caller frees; NULL: out of memory. */
char *story_host_path(const struct story *story, const char *path);
/* The same path as the call's box sees it. */
char *story_inside_path(const struct story *story, const char *path);

/* ---- call_gate.c ---- */

/* The parameter "asks" as grants; more (may be empty) are added for the call itself. */
int story_take_asks(struct story *story);
int story_add_ask(struct story *story, enum grant_kind kind, const char *value);
/* Decides and settles. 1: go on; 0: refused, and the result says why. */
int story_settle(struct story *story, const char *after_failure);
/* Whether somebody lets the command that runs reach HOST:PORT. */
bool story_allows_host(struct story *story, const char *target);

/* ---- call_policy.c ---- */

int story_policy(struct story *story, const struct strv *environment, uint64_t timeout_ms,
	struct coffer_policy **ret);

/* ---- call_box.c ---- */

int story_run(struct story *story, struct box_run *run);
void box_run_release(struct box_run *run);
/* Sets what a run's result says in the story's. */
int story_set_run(struct story *story, const struct box_run *run);

/* ---- call_files.c ---- */

int call_write(struct story *story);
int call_read_file(struct story *story);
int call_list(struct story *story);
int call_diff(struct story *story);

/* ---- call_hooks.c ---- */

/* PreToolUse with tool_input (borrowed): 1: go on, *ret_updated (owned; may be NULL) is what
 * replaces it; 0: blocked, and the result says why. */
int story_before(struct story *story, json_t *tool_input, json_t **ret_updated);
/* The same for the command of tool/exec as it is now, which a hook may change. 1: go on. */
int story_before_command(struct story *story);
/* PostToolUse. */
int story_after(struct story *story, json_t *tool_input, json_t *tool_response);
/* CALL_HOOKS: fires the event and makes the result of what its hooks say. */
int call_hooks(struct story *story);
/* Fills the result's words of a refusal, and tells the session. */
int story_refuse(struct story *story, const char *by, const char *reason);

/* ---- cures.c ---- */

/* The grant that would have allowed a denial of a report: 1; 0: there is none. */
int denial_cure(const struct session *session, const json_t *denial, struct grant *ret);
json_t *grant_json(const struct grant *grant);
/* What a report was refused, each with what would allow it. */
json_t *explain_report(const struct session *session, const json_t *report);

#endif
