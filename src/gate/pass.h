/* One command on its way through the gate, whoever sends it: `coffer run`, a session, MCP.
 *
 *	PreToolUse hooks -> decision -> settling -> go, with grants, or refused.
 *
 * What a hook or a person changes goes through the whole once more. */
#ifndef COFFER_GATE_PASS_H
#define COFFER_GATE_PASS_H

#include "gate/decide.h"
#include "gate/hooks.h"
#include "gate/settle.h"

struct pass {
	const struct settle_context *settle; /* hooks stand in it too */
	struct gate_request request;
	const char *const *user_words;
	const char *justification, *after_failure;
	const char *tool_use_id; /* for hooks; or NULL */
	/* The command was typed by the person whom it concerns, who has set no approval policy:
	 * that it is dangerous is no question then, what rules and hooks say and what it asks for
	 * is. */
	bool spoken;
};

struct pass_result {
	bool allowed;
	bool stop;          /* the session is to stop */
	char *reason;       /* of a refusal, for the agent; of a yes: who gave it */
	const char *by;     /* "rule", "table", "hook", "person", "reviewer", ...; static */
	char *context;      /* from hooks, for the model; or NULL */
	char *message;      /* from hooks, for the person; or NULL */
	struct strv argv;   /* what runs */
	struct strv grants; /* "write=DIR", ...: for coffer_policy_grant() */
	char *decision;     /* gate_decision_json() */
};
void pass_result_release(struct pass_result *result);

int gate_pass(const struct pass *pass, struct pass_result *ret, struct error *error);

/* tool_input of a command, as hooks see it: {"command": a shell line, "description"?}. */
json_t *pass_tool_input(char *const argv[], const char *justification);

#endif
