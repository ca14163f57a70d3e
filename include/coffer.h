/* coffer: run code that nobody has vouched for in a box that the operating system enforces.
 *
 * The shape of every use: fill a policy, resolve it into a plan, run the plan, read the report.
 *
 *	struct coffer_error error;
 *	struct coffer_policy *policy = coffer_policy_new();
 *	coffer_policy_set(policy, "mode", "workspace-write", &error);
 *	coffer_policy_set(policy, "limit", "time=30s,memory=512M", &error);
 *	struct coffer_box *box;
 *	coffer_box_start(policy, argv, NULL, &box, &error);
 *	struct coffer_report *report;
 *	coffer_box_wait(box, &report, &error);
 *	puts(coffer_report_json(report));
 *
 * Strings are UTF-8 or whatever bytes the file system uses. Functions return 0 or -errno unless
 * they say otherwise, and fill *error (may be NULL) when they fail. Handles are not for two threads
 * without a lock of the caller's; each has one _free() that takes NULL. Times are in milliseconds
 * (_ms), sizes in bytes (_bytes). The library never prints, logs or exits. */
#ifndef COFFER_H
#define COFFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COFFER_API __attribute__((visibility("default")))

struct coffer_error {
	int errno_value;    /* positive errno */
	char stage[32];     /* the step that failed: "policy", "resolve", "plan", "mounts", ... */
	char message[1024]; /* one sentence */
	char hint[512];     /* what to do about it; may be empty */
};

/* ---- policy ---- */

struct coffer_policy;

/* The default: profile local. NULL: out of memory. */
COFFER_API struct coffer_policy *coffer_policy_new(void);
COFFER_API void coffer_policy_free(struct coffer_policy *policy);

/* Sets key to value as the command line's flag of that name does ("mode", "write", "limit", ...;
 * see coffer-run(1)); value is NULL for keys that take none. Repeatable keys add up. On failure the
 * policy is as it was. */
COFFER_API int coffer_policy_set(struct coffer_policy *policy, const char *key, const char *value,
	struct coffer_error *error);

/* Widens a policy by exactly one grant, in the words of `coffer run --ask`: "write=DIR",
 * "net=HOST[:PORTS]", "secret=PATH" or "unsandboxed". A read-only policy stays read-only but for
 * DIR; without the box, limits and the environment's rules remain. */
COFFER_API int coffer_policy_grant(
	struct coffer_policy *policy, const char *grant, struct coffer_error *error);

/* One key: its name, what stands for its value (NULL: none), one line of help. */
struct coffer_key {
	const char *name, *argument, *help;
};
/* The table of keys; static. */
COFFER_API const struct coffer_key *coffer_policy_keys(size_t *ret_count);

/* ---- network ---- */

/* The presets of the key "net-preset", as text or JSON; the caller frees. NULL: out of memory. */
COFFER_API char *coffer_net_presets(int json);
/* Whether the policy lets HOST[:PORT] be reached (443 unless said): 1 or 0, or -errno. *ret_text
 * says by which rule or why not, as text or JSON; the caller frees. Nothing is resolved. */
COFFER_API int coffer_net_check(const struct coffer_policy *policy, const char *target, int json,
	char **ret_text, struct coffer_error *error);

/* ---- plan ---- */

struct coffer_plan;

/* Resolves the policy here and now, running nothing. argv is the command (NULL-terminated, may be
 * empty). full != 0 tries out what this host can do (some ms) instead of taking it as possible. */
COFFER_API int coffer_plan_new(const struct coffer_policy *policy, char *const argv[], int full,
	struct coffer_plan **ret, struct coffer_error *error);
COFFER_API void coffer_plan_free(struct coffer_plan *plan);
/* JSON; the caller frees. NULL: out of memory. */
COFFER_API char *coffer_plan_json(const struct coffer_plan *plan);

/* ---- report ---- */

struct coffer_report;

COFFER_API void coffer_report_free(struct coffer_report *report);
/* JSON; lives as long as the report. NULL: out of memory. */
COFFER_API const char *coffer_report_json(struct coffer_report *report);
/* What `coffer run` exits with: the command's own code; 124 timed out; 125 the box could not be
 * built; 126 refused or not executable; 127 not found; 128 + N killed by signal N. */
/* For a caller that took the output of a box's first command itself: what went wrong, as the JSON
 * that a report has as "trace", from what it printed on stdout and stderr (texts[0], texts[1];
 * NULL: not kept). plan is of the box's policy. Takes a process of its own for some ms. The caller
 * frees; NULL: out of memory, or the text was too much. */
COFFER_API char *coffer_report_trace(struct coffer_report *report, const struct coffer_plan *plan,
	const char *const texts[2], const size_t lengths_bytes[2]);
COFFER_API int coffer_report_exit_code(const struct coffer_report *report);
/* One of "exited", "signaled", "timed_out", "out_of_memory", "limit_exceeded", "refused",
 * "not_found", "cannot_execute", "setup_failed", "killed". Lives as long as the report. */
COFFER_API const char *coffer_report_cause(const struct coffer_report *report);
/* Why nothing ran, or what a person should know of how it ended; NULL: nothing to say. */
COFFER_API const struct coffer_error *coffer_report_error(const struct coffer_report *report);

/* What a run with "capture" kept of stream 1 or 2, with a line between head and tail where
 * something was dropped; any bytes. Lives as long as the report. NULL: nothing was captured (or the
 * report came from a supervisor's process: then it is in the JSON). */
COFFER_API const char *coffer_report_output(
	const struct coffer_report *report, int stream, size_t *ret_length_bytes);

/* ---- box ---- */

struct coffer_box;

struct coffer_stdio {
	int fds[3]; /* of the command; borrowed until the call returns; -1: /dev/null */
};

/* Builds a box and starts argv in it, under a supervisor that is a process of its own (the program
 * `coffer`, see coffer_set_program()); the caller's process is not otherwise touched. stdio NULL:
 * the caller's own 0, 1 and 2. argv may be empty: then the box waits for coffer_box_exec(). */
COFFER_API int coffer_box_start(const struct coffer_policy *policy, char *const argv[],
	const struct coffer_stdio *stdio, struct coffer_box **ret, struct coffer_error *error);

/* Starts another command in the same box. environment NULL: that of the box. *ret_id names it for
 * the two calls below. */
COFFER_API int coffer_box_exec(struct coffer_box *box, char *const argv[],
	char *const environment[], const char *directory, const struct coffer_stdio *stdio,
	uint32_t *ret_id, struct coffer_error *error);
/* Waits until command id has ended, at most timeout_ms (-1: for ever). *ret_status is as waitpid()
 * gives it; 127 << 8 where it could not be found. -ETIME when the time is up, -EPIPE when the box
 * has ended. */
COFFER_API int coffer_box_wait_exec(struct coffer_box *box, uint32_t id, int timeout_ms,
	int *ret_status, struct coffer_error *error);
/* For a caller with a loop of its own: a descriptor that is readable when coffer_box_wait_exec()
 * (with timeout_ms 0) may have something new to say. It stays the box's; only poll it. */
COFFER_API int coffer_box_fd(const struct coffer_box *box);
/* Sends a signal to command id (0: the first). */
COFFER_API int coffer_box_signal(
	struct coffer_box *box, uint32_t id, int signal, struct coffer_error *error);

/* Waits for the first command, ends the box and everything in it, and gives the report (which the
 * caller frees). A box that was started without a command ends at once. */
COFFER_API int coffer_box_wait(
	struct coffer_box *box, struct coffer_report **ret, struct coffer_error *error);
/* Ends the box, whatever runs in it, and frees the handle. */
COFFER_API void coffer_box_free(struct coffer_box *box);

/* For a program whose only purpose is the box (as `coffer run` is): this very process becomes the
 * supervisor until the command has ended. *ret_report is filled even on failure. note (may be NULL)
 * is told, before anything runs, what the plan made of defaults and what this host cannot
 * enforce. */
COFFER_API int coffer_run(const struct coffer_policy *policy, char *const argv[],
	void (*note)(const char *sentence), struct coffer_report **ret_report,
	struct coffer_error *error);

/* Where the program `coffer` is; default: $COFFER_PROGRAM, else beside the caller, else in PATH. */
COFFER_API void coffer_set_program(const char *path);

/* ---- this host ---- */

/* What this machine can enforce, as text or JSON; the caller frees. NULL: out of memory. */
COFFER_API char *coffer_doctor(int json);
/* The profiles, as text or JSON; the caller frees. NULL: out of memory. */
COFFER_API char *coffer_profiles(int json);
COFFER_API const char *coffer_version(void);

#ifdef __cplusplus
}
#endif

#endif
