/* What the phases share. */
#ifndef COFFER_TASK_PHASE_H
#define COFFER_TASK_PHASE_H

#include "task/box.h"
#include "task/work.h"

#include <errno.h>

enum {
	/* How an error says which exit code it is. */
	TASK_ERROR_LEAK = EKEYREJECTED,
	TASK_ERROR_TIME = ETIME,
};

/* One piece of work that is a phase of the task as a whole: its rows, its progress, its error. */
int task_phase_work(
	enum task_phase phase, struct task_work *work, const char *what, struct error *error);

/* A command of a task's in a box of its own. */
struct phase_command {
	const char *shell; /* run by sh -c; or */
	char *const *argv; /* as it is */
	const char *layer;
	const char *home;
	const char *log;    /* name in the task's directory */
	const char *input;  /* name of a file there that is standard input; NULL: nothing */
	const char *prompt; /* host path of what is shown as PHASE_PROMPT; NULL */
	const char *setup;  /* host path of what is shown as PHASE_SETUP_FILE; NULL */
	const struct strv *environment, *settings, *secret_files;
};
#define PHASE_PROMPT "/run/coffer/prompt"
#define PHASE_SETUP_FILE "/run/coffer/setup"
int task_phase_command(const struct task *task, const struct phase_command *command,
	struct task_box_result *ret, struct error *error);

/* The last line of a log that says something, for a message; "" where there is none. */
void task_log_tail(const struct task *task, const char *log, char *ret, size_t size);

/* "exit 3", "timed out", "out of memory", ... */
void task_describe_end(const char *cause, int exit_code, char *ret, size_t size);

#endif
