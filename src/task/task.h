/* A task: a clone, a set-up phase, agents, a patch.
 *
 * What a person asked for is a task_spec, which never changes; what has become of it is in the
 * store (task_store.c) and in one directory:
 *
 *	DIR/tasks/ID/lock            flock() of the processes that work on it
 *	DIR/tasks/ID/prompt, setup   copies of the files that the spec named
 *	DIR/tasks/ID/log.PHASE[.N]   what the phase's commands wrote
 *	DIR/tasks/ID/attempt-N/      patch, bundle and result.json of one agent
 *	DIR/tasks/ID/patch, bundle   those of the best one
 *	DIR/tasks/ID/summary.json    what `coffer task run --json` prints
 *
 * Each file comes into its place by rename(), and a state is recorded after what it speaks of: a
 * kill loses at most the phase that ran. */
#ifndef COFFER_TASK_TASK_H
#define COFFER_TASK_TASK_H

#include "base/error.h"
#include "base/strv.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { TASK_ID_BYTES = 10 + 1 }; /* "t-" and eight characters */

/* What `coffer task` exits with. */
enum task_exit {
	TASK_EXIT_DONE = 0,
	TASK_EXIT_UNFIT = 1, /* the check failed, or there is nothing to take */
	TASK_EXIT_TIME = 124,
	TASK_EXIT_FAILED = 125, /* bad input; a phase before the agent's did not succeed */
	TASK_EXIT_LEAK = 126,
	TASK_EXIT_CANCELLED = 130,
};

struct task_spec {
	char *repository, *ref, *filter;
	uint64_t depth;
	bool no_submodules;
	bool ssh_agent;   /* lent to the clone */
	char *setup;      /* command; NULL */
	char *setup_file; /* host file in its place; NULL */
	char *agent;
	char *prompt;                  /* text; NULL */
	char *prompt_file;             /* host file in its place; NULL */
	char *check;                   /* command; NULL */
	struct strv environment;       /* NAME=VALUE: of every phase from set-up on */
	struct strv agent_environment; /* NAME=VALUE: of agent and check */
	struct strv secrets;           /* NAME=SOURCE[,file] */
	struct strv domains, agent_domains;
	struct strv limits, setup_limits;
	char *home; /* name; NULL */
	uint64_t attempts, jobs;
	bool refresh;
	bool scrub;                     /* --on-leak scrub; else it fails */
	struct strv leaks_allowed;      /* names of secrets */
	bool unsearched_refused;        /* what could not be searched, too; else it is named */
	char *branch_in, *pull_request; /* host paths; NULL */
};
void task_spec_release(struct task_spec *spec);
/* Fills what was not said; refuses what cannot be meant. */
int task_spec_finish(struct task_spec *spec, struct error *error);
char *task_spec_json(const struct task_spec *spec); /* NULL: not UTF-8, or out of memory */
int task_spec_parse(const char *json, struct task_spec *ret, struct error *error);

/* The words of a person, the same for flags and for the file. */
struct task_key {
	const char *name, *argument, *help;
	int (*set)(struct task_spec *spec, const char *directory, const char *value,
		const struct task_key *key, struct error *error);
	size_t offset;
	bool repeats; /* values add up */
};
const struct task_key *task_keys(size_t *ret_count);
/* directory: what relative paths are relative to. */
int task_spec_set(struct task_spec *spec, const char *directory, const char *key, const char *value,
	struct error *error);
/* task_file.c: every entry of the TOML file. named: a person named it, and so trusts what it says
 * now; one that just lies there must have been named before. -ENOENT: it is not there. */
int task_spec_read_file(struct task_spec *spec, const char *path, bool named, struct error *error);

/* ---- what there is of it ---- */

enum task_phase {
	PHASE_CLONE,
	PHASE_SETUP,
	PHASE_SEARCH, /* between: nothing of the set-up lives, no secret is left */
	PHASE_AGENT,
	PHASE_CHECK,
	PHASE_OUT,
	PHASES,
};
const char *task_phase_name(enum task_phase phase);

struct task_progress;

struct task {
	char id[TASK_ID_BYTES];
	struct task_spec spec;
	char *state; /* "running", "interrupted", "cancelled", "failed", "done" */
	char *phase; /* name */
	int64_t owner_pid, owner_start;
	uint64_t created_us, updated_us;
	char *commit, *branch;
	char *clone_layer, *prepared_layer; /* names or ids of finished layers; NULL: not yet */
	uint64_t clone_bytes;
	char *prepared_key;
	char *prepared_by; /* id of the task whose set-up it was; NULL: none was needed */
	char *leaks;       /* JSON array */
	char *error, *hint;
	int exit_code;
	char *result; /* JSON: summary.json */

	char *directory; /* DIR/tasks/ID */
	/* The repository as it was written; with the credentials that the spec, which is kept, has
	 * not. NULL: the spec's will do. */
	char *location;
	/* Of the process that works on it. */
	struct store *store;
	int lock;
	int home_lock; /* shared while boxes of it may run */
	struct task_progress *progress;
};

/* Makes the directory and the row; the caller holds its lock. */
int task_create(
	struct store *store, struct task_spec *spec, struct task **ret, struct error *error);
/* -ENOENT: with the nearest id as hint. */
int task_load(struct store *store, const char *id, struct task **ret, struct error *error);
/* Takes the lock. -EBUSY: it runs. */
int task_lock(struct task *task, struct error *error);
void task_free(struct task *task);

/* task_store.c: each is one transaction. */
int task_save_running(struct task *task, struct error *error);
int task_save_clone(struct task *task, const char *commit, const char *branch, const char *layer,
	uint64_t bytes, struct error *error);
int task_save_end(struct task *task, const char *state, int exit_code, const struct error *why,
	struct error *error);
int task_save_result(struct task *task, const char *json, struct error *error);
int task_phase_begin(
	struct task *task, enum task_phase phase, uint64_t attempt, struct error *error);
int task_phase_end(struct task *task, enum task_phase phase, uint64_t attempt, const char *state,
	uint64_t wall_ms, int exit_code, const char *note, struct error *error);
/* [{"name", "attempt", "state", "wall_ms", "exit", "note"}] */
json_t *task_phases_json(struct task *task);

/* Tasks whose process is gone are marked; what no row refers to is removed. */
int task_recover(struct store *store, struct error *error);
int task_sweep(struct store *store, struct error *error);
/* Removes a finished task with everything that is its own. */
int task_remove(struct task *task, struct error *error);

/* ---- working on it ---- */

/* run.c: from the first phase that is not finished to the end. Returns an exit code. */
int task_run(struct task *task);

/* Layers are named after their task: "t-xxxxxxxx.setup". A partial one of that name is removed
 * first. on: NULL, or what it stands on. */
int task_layer_create(struct task *task, const char *suffix, const char *purpose, const char *on,
	char **ret_name, struct error *error);
int task_layer_discard(const char *name, struct error *error);
bool task_layer_exists(const char *name);
/* Caller frees. */
int task_layer_id(const char *name, char **ret_id, struct error *error);

/* Opens DIR/tasks/ID/NAME for appending. Descriptor or -errno. */
int task_open_log(const struct task *task, const char *name, struct error *error);
/* Writes DIR/tasks/ID/NAME beside its place and renames it there. */
int task_write_file(const struct task *task, const char *name, const char *data,
	size_t length_bytes, mode_t mode, struct error *error);

/* Appends the settings (policy keys) of a phase's box. */
int task_setup_settings(const struct task_spec *spec, struct strv *ret);
int task_agent_settings(const struct task_spec *spec, bool network, struct strv *ret);

/* phase_*.c, in the order of the story. */
int task_phase_clone(struct task *task, struct error *error);
int task_phase_prepare(struct task *task, struct error *error); /* set-up and search, or a cache */
int task_phase_attempts(struct task *task, struct error *error);
int task_phase_out(struct task *task, struct error *error);

/* prepared.c */
enum task_prepared { PREPARED_READY, PREPARED_MINE };
/* The layer that is there for the task's key (then it is the task's), or the leave to make it.
 * Waits while another task makes it. */
int task_prepared_claim(struct task *task, enum task_prepared *ret, struct error *error);
int task_prepared_done(
	struct task *task, const char *layer, const char *leaks, struct error *error);
void task_prepared_give_up(struct task *task);
/* Every prepared layer that nothing stands on. */
int task_prepared_clear(struct store *store, uint64_t *ret_count, struct error *error);

/* home.c: homes of families of tasks. */
/* The host directory below TASK_HOME, NULL where the task has no home; caller frees. */
int task_home_take(struct task *task, char **ret_directory, struct error *error);
/* What a layer holds of TASK_HOME lasts from here on. */
int task_home_keep(struct task *task, const char *layer, struct error *error);

/* attempts.c: [{"number", "state", "agent", "check", "patch", "findings", ...}], the best first. */
json_t *task_attempts_json(struct task *task);

/* findings.c: what `coffer check --diff` says of a patch. Never NULL unless out of memory: what
 * could not be judged is a finding. */
json_t *task_findings(const char *patch);

/* summary.c */
json_t *task_summary_json(struct task *task);
/* For a person. */
void task_summary_print(struct task *task, FILE *to);

#endif
