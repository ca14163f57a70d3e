/* What the files of the hooks say to one another: hooks_prepare.c makes of a configured hook what
 * is to be run, hooks_run.c runs those of one event side by side, hooks_answer.c reads what each
 * said, hooks.c puts it together. */
#ifndef COFFER_GATE_HOOKS_INTERNAL_H
#define COFFER_GATE_HOOKS_INTERNAL_H

#include "base/buffer.h"
#include "config/hook_hash.h"
#include "gate/hooks.h"

/* What answers to an event come to. One table, in hooks_answer.c, which docs/HOOKS.md shows. */
struct hook_event_traits {
	const char *subject; /* the field that matchers are compared with; NULL: none */
	bool stdout_is_context;
	bool blocks;       /* exit 2 and "block" hold something up */
	bool fails_closed; /* so do a crash, a time-out, malformed JSON, ... */
};
const struct hook_event_traits *hook_event_traits(enum hook_event event);

/* ---- hooks_answer.c ---- */

/* How one hook ended. */
struct hook_end {
	enum hook_end_kind {
		HOOK_EXITED,
		HOOK_SIGNALED,
		HOOK_TIMED_OUT,
		HOOK_SAID_TOO_MUCH,
		HOOK_NOT_RUN, /* it could not be started; why says it */
	} kind;
	int code; /* the exit code, or the signal */
	const char *output,
		*complaint; /* stdout and stderr; NUL-terminated, may hold NULs before */
	size_t output_bytes, complaint_bytes;
	const char *why;
};
/* What the end of one hook comes to. name: as messages call the hook. 0 or -ENOMEM. */
int hook_answer(enum hook_event event, const struct hook_end *end, const char *name,
	bool on_error_allow, struct hook_outcome *ret);
/* Puts two outcomes together, the graver winning; *other is left empty. 0 or -ENOMEM. */
int hook_outcome_merge(struct hook_outcome *outcome, struct hook_outcome *other);
/* A copy that may be shown and sent on: valid UTF-8, tabs and newlines its only control codes, at
 * most MAX_HOOK_TEXT_BYTES (longer: cut, and said). NULL: out of memory. */
char *hook_text(const char *text, size_t length_bytes);

/* ---- hooks_prepare.c ---- */

/* A hook as it is to be run. */
struct prepared_hook {
	const struct config_hook *hook; /* borrowed */
	char *name;                     /* "`check.py --all` (FILE:LINE)": for messages */
	struct strv argv;               /* with the names of the copies */
	char *copies;                   /* where its scripts' copies are; or NULL */
	char *state;                    /* its private directory; or NULL */
	bool has_script;                /* a file of its own is covered by its hash */
	char *refusal;                  /* why it does not run; or NULL */
};

struct hooks {
	const struct config *config;
	struct hooks_where where; /* its strings are in `strings` */
	char *workspace;          /* or NULL: the directory is none */
	const char *directory;    /* where hooks run: the workspace, or the session's */
	char *home, *state_dir;   /* or NULL */
	char *path;               /* PATH without what a box could write */
	struct strv strings;
	struct prepared_hook *hooks; /* those that may run */
	size_t count;
};

int hook_prepare(struct hooks *hooks, const struct config_hook *hook, struct prepared_hook *ret);
void prepared_hook_release(struct prepared_hook *prepared);
/* "`words` (FILE:LINE)". NULL: out of memory. */
char *hook_name(const struct config_hook *hook);

/* ---- hooks_environment.c ---- */

/* A search path without what is relative or below workspace; maybe empty. 0 or -errno. */
int hooks_clean_path(const char *path, const char *workspace, char **ret);
/* This process's own environment, before it becomes a hook's. */
int hooks_clean_environment(const char *workspace);

/* ---- hooks_prune.c ---- */

/* Removes the copies that were not used for a month, as far as it can. */
void hooks_prune(const char *state_dir);

/* ---- hooks_run.c ---- */

struct hook_result {
	const struct prepared_hook *prepared;
	struct hook_end end; /* its pointers are into the buffers below */
	struct buffer output, complaint;
	char why[640];
	uint64_t took_us;
	struct hook_outcome outcome;
};
/* Runs each of results[0..count) with input on stdin, at most MAX_HOOKS_AT_ONCE at a time, and
 * fills end and took_us. When it returns none of their processes is left. 0 or -errno. */
int hooks_run(struct hooks *hooks, enum hook_event event, const struct buffer *input,
	struct hook_result *results, size_t count);

/* ---- hooks.c ---- */

/* hooks_fire() with each hook's own result; *ret is released by the caller. */
int hooks_fire_each(struct hooks *hooks, enum hook_event event, const char *subject, json_t *fields,
	struct hook_result **ret, size_t *ret_count, struct hook_outcome *ret_outcome,
	struct error *error);
void hook_results_free(struct hook_result *results, size_t count);

#endif
