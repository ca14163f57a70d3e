/* A command to be started in a box, and the last steps before it runs. */
#ifndef COFFER_RUN_COMMAND_H
#define COFFER_RUN_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

struct command {
	char *const *argv;
	char *const *environment;
	const char *directory;
	int stdio[3];    /* all >= 0 */
	int terminal;    /* the slave of the session's terminal, or -1: a session of its own */
	bool foreground; /* it has the terminal from the start */
	int ruleset;     /* Landlock, or -1 */
};

/* Starts it. Returns its pid, or -errno. *ret_exec_errno is 0 once it runs; positive: exec failed
 * with it; negative: a step before exec did. The child makes only system calls, on memory prepared
 * before. */
pid_t command_start(const struct command *command, int *ret_exec_errno);

#endif
