/* Words about a task for those who get its patch. */
#ifndef COFFER_TASK_SUBJECT_H
#define COFFER_TASK_SUBJECT_H

#include "task/task.h"

/* One line: the prompt's first, shortened; caller frees. NULL: out of memory. */
char *task_subject(const struct task *task);
/* Of the commit. */
char *task_commit_body(const struct task *task);
/* Of a pull request: Markdown, from the summary. */
char *task_pull_request(const struct task *task, const json_t *summary);

#endif
