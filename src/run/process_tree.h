/* All descendants of a process, where no PID namespace holds them together (landlock tier).
 * Complete because the root of the tree is a subreaper: whatever loses its parent comes back to
 * it. */
#ifndef COFFER_RUN_PROCESS_TREE_H
#define COFFER_RUN_PROCESS_TREE_H

#include <stddef.h>
#include <sys/types.h>

/* Fills pids with descendants of root (not root itself), at most count. Returns how many there are;
 * more than count means that not all were stored. */
size_t process_tree_list(pid_t root, pid_t *pids, size_t count);
/* Sends a signal to each of them. */
void process_tree_signal(pid_t root, int signal);
/* Kills and reaps until root, which is the caller, has no children left. Faster than any fork bomb
 * within its process limit: each round stops before it kills. SIGCHLD is to be blocked. */
void process_tree_end(pid_t root);

#endif
