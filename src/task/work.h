/* Work of a task that runs in a process of its own: it starts boxes, and nothing of it is left when
 * it has ended. The process that has the store waits, shows progress, and notes what it is told. */
#ifndef COFFER_TASK_WORK_H
#define COFFER_TASK_WORK_H

#include "base/buffer.h"
#include "task/task.h"

struct task_work {
	struct task *task;
	uint64_t number; /* of the attempt; 0: of the task as a whole */
	/* In the process of its own. */
	int (*body)(struct task_work *work, struct error *error);
	/* In the waiting process: before the work begins, for each thing it tells, at its end. May
	 * be NULL. */
	int (*begin)(struct task_work *work, struct error *error);
	int (*told)(struct task_work *work, const json_t *event, struct error *error);
	int (*end)(struct task_work *work, struct error *error);
	void *context;

	int result; /* 0 or -errno, with */
	struct error error;

	pid_t pid; /* 0: not begun, -1: ended */
	int pipe;
	bool ended; /* its last word has come */
	struct buffer pending;
};

/* Does all of them, at most at_once at a time. 0, though works may have failed (see result);
 * -ECANCELED after a signal; an error of begin, told or end ends all. */
int task_work_run(struct task_work *works, size_t count, size_t at_once, struct error *error);

/* In the body: tells the waiting process (takes event). */
int task_work_tell(const struct task_work *work, json_t *event);
/* In the body, for whoever waits for a box: non-zero when it is to end. */
int task_work_tick(void *unused);
/* In the body: waits until no process is left of all that it started, however they were detached.
 * The kernel says so: orphans come to this process, and it has no child any more. */
int task_work_alone(struct error *error);

/* SIGINT, SIGTERM and SIGHUP ask for the end of a task from here on. */
void task_work_catch_signals(void);
bool task_work_cancelled(void);

/* Any bytes as a JSON string. */
json_t *task_json_text(const char *text);

#endif
