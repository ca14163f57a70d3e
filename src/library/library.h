/* What the files of libcoffer share. */
#ifndef COFFER_LIBRARY_LIBRARY_H
#define COFFER_LIBRARY_LIBRARY_H

#include "coffer.h"
#include "plan/plan.h"
#include "run/denials.h"
#include "run/report.h"

struct policy;

/* A policy, and the calls that made it: those are what travels to a supervisor's process. */
struct coffer_policy {
	struct policy *policy;
	struct strv settings; /* "key" or "key=value", in order */
};

struct coffer_plan {
	struct plan *plan;
};

/* Holds what the run left; the JSON is made when somebody asks. */
struct coffer_report {
	struct report report;
	struct plan *plan;       /* NULL: it could not be made */
	struct denials *denials; /* or NULL */
	char *json;
	char *gate; /* JSON: what the gate decided; or NULL */
	/* A report that came from a supervisor's process has only these. */
	bool remote;
	int exit_code;
	char cause[32];
};

void library_copy_error(struct coffer_error *to, const struct error *from);

/* Probe, resolve, plan. fresh facts each time; `refused` (may be NULL) marks user namespaces as not
 * to be had, after a launch has found that out. */
int library_plan(const struct policy *policy, char *const argv[], bool full,
	const struct host_facts *known, struct plan **ret, struct error *error);

/* A report of a command that the gate refused: nothing ran. gate: JSON, or NULL. */
int library_report_refused(const char *reason, const char *gate, struct coffer_report **ret);
/* What the gate decided (JSON), for the report's JSON, which must not have been made yet. */
int library_report_gate(struct coffer_report *report, const char *gate);

struct library_run {
	const struct policy *policy;
	char *const *argv;
	int stdio[3];
	int client; /* libcoffer's socket in a supervisor's process, or -1 */
	void (*note)(const char *sentence); /* or NULL */
};
/* Plans and supervises, falling back to the landlock tier where the kernel turns out to refuse
 * namespaces and the policy leaves the choice. */
int library_run(const struct library_run *run, struct coffer_report **ret, struct error *error);

/* The processor time, in microseconds, of a supervisor and of everything below it. */
uint64_t library_busy_us(pid_t supervisor);

#endif
