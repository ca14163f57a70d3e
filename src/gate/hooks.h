/* Hooks: programs of the user that see each event of the agent's loop and may add context, change
 * what is about to happen, or block it. The JSON that they get and give has the field names that
 * hooks of Codex and Claude Code have, so that those run unchanged (docs/HOOKS.md).
 *
 * A hook runs in a box of its own (read-only, no network, the workspace visible), unless it is
 * trusted to run without. Plain stdout is context; exit 2 blocks, with stderr as the reason; a
 * crash, a time-out, another exit or malformed JSON blocks where the event can (PreToolUse and
 * PermissionRequest), unless the hook says on_error = "allow". */
#ifndef COFFER_GATE_HOOKS_H
#define COFFER_GATE_HOOKS_H

#include "config/config.h"

#include <jansson.h>

struct hooks;

struct hooks_where {
	const char *session_id, *directory, *transcript; /* transcript may be NULL */
	const char *permission_mode; /* as hooks know it: "default", "plan", "bypassPermissions" */
	const char *model;           /* or NULL */
};
/* config is borrowed until hooks_free(), where is copied. The scripts are read, compared with what
 * was trusted, and copied now: what they become afterwards does not matter to hooks_fire(). One
 * that is no longer what config knows is a hook that fails. */
int hooks_new(const struct config *config, const struct hooks_where *where, struct hooks **ret);
void hooks_free(struct hooks *hooks);

enum hook_says { HOOK_SAYS_NOTHING, HOOK_SAYS_ALLOW, HOOK_SAYS_ASK, HOOK_SAYS_DENY };
struct hook_outcome {
	enum hook_says says;   /* the gravest of all hooks that ran */
	char *reason;          /* of a deny, ask or allow; or NULL */
	char *context;         /* what hooks want the model to know; or NULL */
	char *message;         /* what hooks want the person to see; or NULL */
	json_t *updated_input; /* instead of tool_input, decided about anew; or NULL */
	bool stop;             /* "continue": false */
	char *stop_reason;
	unsigned ran;
};
void hook_outcome_release(struct hook_outcome *outcome);

/* Fires every trusted hook of the event whose matcher fits subject (the tool's name; the source of
 * a SessionStart; see docs/HOOKS.md; NULL elsewhere). fields: what the event adds to the common
 * ones (tool_name, tool_input, prompt, ...), borrowed. Hooks of one event run at the same time, and
 * none of their processes is left when this returns. An error (0 or -errno) says DENY in *ret,
 * which is to be released even then. */
int hooks_fire(struct hooks *hooks, enum hook_event event, const char *subject, json_t *fields,
	struct hook_outcome *ret, struct error *error);
/* A sentence for each hook that waits for trust. */
int hooks_waiting(const struct config *config, struct strv *ret);

#endif
