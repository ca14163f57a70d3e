/* The commands of coffer-task. Each gets argv[0] = its own name, and returns an exit code. */
#ifndef COFFER_TASK_COMMAND_H
#define COFFER_TASK_COMMAND_H

int cmd_diff(int argc, char *argv[]);
int cmd_apply(int argc, char *argv[]);
int cmd_discard(int argc, char *argv[]);
int cmd_layers(int argc, char *argv[]); /* list, show, export, import, collect */
int cmd_snapshot(int argc, char *argv[]);
int cmd_restore(int argc, char *argv[]);
int cmd_fork(int argc, char *argv[]);
int cmd_task(int argc, char *argv[]);   /* run, list, show, logs, diff, apply, resume, rm */
int cmd_search(int argc, char *argv[]); /* in a box: see secret_search.h */

#endif
