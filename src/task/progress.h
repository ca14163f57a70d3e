/* What a person who waits for a task sees, on standard error: one line that is drawn anew on a
 * terminal, a line for each step elsewhere, nothing where it is not wanted. */
#ifndef COFFER_TASK_PROGRESS_H
#define COFFER_TASK_PROGRESS_H

#include "task/task.h"

struct task_progress *task_progress_new(bool quiet);
void task_progress_free(struct task_progress *progress); /* NULL is fine; ends the line */

/* A phase begins, or that of an attempt does; `what` says more, or is NULL. */
void task_progress_begin(
	struct task *task, enum task_phase phase, uint64_t attempt, const char *what);
void task_progress_end(
	struct task *task, enum task_phase phase, uint64_t attempt, const char *what);
/* A sentence of its own. */
void task_progress_say(struct task *task, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Called some times a second. */
void task_progress_tick(struct task *task);

#endif
