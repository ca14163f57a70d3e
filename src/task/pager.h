/* A pager between this process and the terminal, as git has one. */
#ifndef COFFER_TASK_PAGER_H
#define COFFER_TASK_PAGER_H

#include <stdio.h>
#include <sys/types.h>

struct pager {
	FILE *to; /* stdout where there is no pager */
	pid_t pid;
};

/* Starts $PAGER, or less where there is one. None is started, and that is no error, where stdout is no
 * terminal, or PAGER is empty or "cat". SIGPIPE is ignored from then on. */
void pager_start(struct pager *pager);
/* Waits until the person has seen enough. Whether the pager went before everything was written. */
int pager_end(struct pager *pager);

#endif
