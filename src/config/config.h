/* What the configuration files say, merged, each part with the place it came from.
 *
 * Layers, later ones win where they may: built in; /etc/coffer/coffer.toml (the system's);
 * $XDG_CONFIG_HOME/coffer/coffer.toml (the user's); .coffer/coffer.toml at the top of the workspace
 * (the project's: only once the user has trusted exactly this content, and it can then only
 * narrow); flags. /etc/coffer/requirements.toml is no layer: it says what no layer and no flag may
 * widen.
 *
 * This is read by coffer-gate. The front reads the compiled form of it (config/compiled.h). */
#ifndef COFFER_CONFIG_CONFIG_H
#define COFFER_CONFIG_CONFIG_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/strv.h"
#include "config/approval.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_layer {
	LAYER_BUILT_IN,
	LAYER_SYSTEM,
	LAYER_USER,
	LAYER_PROJECT,
	LAYER_REQUIREMENTS,
};

/* Where something was said. */
struct config_place {
	const char *file; /* owned by the struct config */
	unsigned line, column;
	enum config_layer layer;
};

/* One policy key: as policy_set() takes it. Lists come as one setting for each entry. */
struct config_setting {
	char *key, *value; /* value NULL where the key takes none */
	struct config_place place;
};

/* One word of a rule's prefix: the word itself, or any of several. */
struct rule_word {
	struct strv any;
};

/* What a rule adds to the box of a command that it matches, or a command asks for itself. */
struct grant {
	enum grant_kind { GRANT_WRITE, GRANT_NETWORK, GRANT_UNSANDBOXED, GRANT_SECRET } kind;
	char *value; /* a directory; HOST[:PORTS]; NULL for unsandboxed; a path */
};

struct config_rule {
	struct rule_word *prefix; /* never empty */
	size_t prefix_count;
	enum verdict decision;
	char *reason;  /* or NULL */
	char *within;  /* `in`: absolute; the command's directory must be it or below; or NULL */
	char *program; /* absolute, resolved: what the first word must resolve to; or NULL */
	struct grant *grants;
	size_t grants_count;
	struct strv matches, not_matches; /* the examples, as shell lines */
	struct config_place place;
};

enum hook_event {
	HOOK_SESSION_START,
	HOOK_USER_PROMPT_SUBMIT,
	HOOK_PRE_TOOL_USE,
	HOOK_PERMISSION_REQUEST,
	HOOK_POST_TOOL_USE,
	HOOK_STOP,
	HOOK_SESSION_END,
	HOOK_PRE_COMPACT,
	HOOK_POST_COMPACT,
	HOOK_SUBAGENT_START,
	HOOK_SUBAGENT_STOP,
	HOOK_EVENTS,
};
const char *hook_event_name(enum hook_event event); /* "PreToolUse", ... */
/* The event of a name, or HOOK_EVENTS. */
enum hook_event hook_event_from_name(const char *name);

struct config_hook {
	enum hook_event event;
	char *matcher; /* of the tool's name, see config/hook_hash.h; "" or "*": all */
	char *command; /* a shell line, as in the hooks that users have; or NULL */
	struct strv argv; /* or the words of a command without a shell */
	uint64_t timeout_ms;
	bool on_error_allow; /* on_error = "allow" */
	bool unboxed;        /* box = false; only honoured where the hook is managed or trusted */
	struct strv writes;  /* `write`: directories that its box may write; absolute */
	bool managed;        /* from /etc/coffer: needs no trust */
	char *hash; /* SHA-256, hex, of the hook and the scripts that it runs: config/hook_hash.h */
	bool trusted; /* managed, or the user's trust record holds the hash */
	struct config_place place;
};

enum reviewer_kind { REVIEWER_PERSON, REVIEWER_BUILTIN, REVIEWER_COMMAND, REVIEWER_HTTP };

const char *reviewer_kind_name(enum reviewer_kind kind); /* "person", ... */

struct config_reviewer {
	enum reviewer_kind kind;
	struct strv command; /* REVIEWER_COMMAND: gets JSON on stdin, answers JSON on stdout */
	struct strv network; /* REVIEWER_COMMAND: HOST[:PORTS] that its box may reach */
	char *url;           /* REVIEWER_HTTP: of the chat completions endpoint */
	char *model;
	char *key_variable; /* the environment variable with the key; or NULL */
	uint64_t timeout_ms;
	struct config_place place;
};

/* /etc/coffer/requirements.toml. An empty list bounds nothing. */
struct requirements {
	struct strv modes;     /* the allowed ones */
	struct strv approvals; /* the allowed policies */
	struct strv reviewers; /* the allowed kinds */
	struct strv isolations;
	bool network_bounded;                    /* something of [network] opens: an upper bound */
	struct network_policy *network;          /* what may be opened at most; or NULL */
	struct config_setting *network_settings; /* which made that */
	size_t network_settings_count;
	bool managed_hooks_only;
	bool managed_rules_only;         /* rules of other layers may only ask or forbid */
	struct config_setting *settings; /* always added: deny entries, limits' upper bounds */
	size_t settings_count;
	/* Where each bound was said; .file NULL: nowhere. */
	struct config_place modes_at, approvals_at, reviewers_at, isolations_at, network_at;
	bool present;
};

struct config {
	struct config_setting *settings; /* in the order in which they are to be set */
	size_t settings_count;
	struct approval approval; /* .set: some layer says so */
	struct config_place approval_place;
	struct config_reviewer reviewer;
	struct config_rule
		*rules; /* of all layers; requirements' too, which can only ask or forbid */
	size_t rules_count;
	struct config_hook *hooks;
	size_t hooks_count;
	struct requirements requirements;
	struct strv notices; /* for a person: a project file that waits for trust, a root skipped */
	struct strv files;   /* the layers that were read: path */
	struct config_text *texts; /* internal: what places point into */
};

/* Where to look. All absolute; NULL: that layer is left out. */
struct config_where {
	const char *system_dir; /* "/etc/coffer" */
	const char *user_dir;   /* $XDG_CONFIG_HOME/coffer or ~/.config/coffer */
	const char *state_dir;  /* trust records: $XDG_STATE_HOME/coffer or ~/.local/state/coffer */
	const char *workspace;  /* where .coffer/coffer.toml is looked for; or NULL */
	const char *home;
};
/* The places for this process's user and directory: borrowed from *storage, which the caller
 * releases. The workspace is the repository's top that directory is in, or directory. */
int config_where(
	const char *directory, struct config_where *ret, struct strv *storage, struct error *error);

/* Reads, checks and merges every layer. On failure the error names FILE:LINE:COLUMN and what to
 * do; problems (may be NULL) gets every fault that was found, one line each, not only the first. */
int config_load(const struct config_where *where, struct config **ret, struct strv *problems,
	struct error *error);
void config_free(struct config *config);

/* What is in force and where each part came from, for `coffer config show`. */
int config_show(const struct config *config, bool json, struct buffer *out);

#endif
