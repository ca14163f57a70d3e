/* What the files of a task share beyond task.h. */
#ifndef COFFER_TASK_TASK_INTERNAL_H
#define COFFER_TASK_TASK_INTERNAL_H

#include "task/task.h"

int64_t task_now_us(void); /* CLOCK_REALTIME */
void task_owner_self(int64_t *ret_pid, int64_t *ret_start);
/* Whether that very process is still there. */
bool task_owner_lives(int64_t pid, int64_t start);

struct task *task_new(struct store *store);
int task_insert(struct task *task, struct error *error);
/* Fills in task->directory. */
int task_find_directory(struct task *task, struct error *error);
/* DIR/tasks, made if it is missing; caller frees. */
int task_directories(char **ret, struct error *error);
bool task_is_id(const char *text);

int task_list_ids(struct store *store, struct strv *ret, struct error *error);
/* The columns that a prepared layer fills, from the struct. */
int task_save_prepared(struct task *task, struct error *error);

/* Whoever makes a task run holds it shared, whoever removes what no row refers to exclusively: so
 * a layer that is just being made is not taken for a leftover. Descriptor or -errno. */
int task_sweep_lock(bool exclusive, struct error *error);

#endif
