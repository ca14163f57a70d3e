/* The verbs of `coffer task`. */
#ifndef COFFER_TASK_CMD_TASK_H
#define COFFER_TASK_CMD_TASK_H

#include "task/task.h"

int cmd_task_run(int argc, char *argv[]);
int cmd_task_resume(int argc, char *argv[]);
int cmd_task_list(int argc, char *argv[]);
int cmd_task_show(int argc, char *argv[]);
int cmd_task_logs(int argc, char *argv[]);
int cmd_task_diff(int argc, char *argv[]);
int cmd_task_apply(int argc, char *argv[]);
int cmd_task_cancel(int argc, char *argv[]);
int cmd_task_rm(int argc, char *argv[]);

/* An option of a verb's own: a flag, or one with a value. */
struct task_option {
	const char *name;     /* "--follow" */
	const char *argument; /* NULL: a flag */
	const char **value;   /* gets the value; a flag's own name */
	const char *help;
};
struct task_verb_line {
	const char *usage; /* after "coffer task " */
	const struct task_option *options;
	size_t options_count;
};
/* The words that are no options, in order, in ret (borrowed). 0; 1: help was printed; -EINVAL: it
 * was complained. */
int task_parse_words(int argc, char *argv[], const struct task_verb_line *verb, const char *ret[],
	size_t *ret_count, size_t max_count);

/* Opens the store, and puts right what kills left. Complains by itself. */
int task_open_store(struct store **ret);
/* The same, and the one task that the words name. */
int task_open_one(const char *id, struct store **ret_store, struct task **ret);
int task_parse_attempt(const char *text, const struct task *task, int64_t *ret);

#endif
