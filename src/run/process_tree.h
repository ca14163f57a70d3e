/* All descendants of a process, where no PID namespace holds them together (landlock tier).
 * Complete because the root of the tree is a subreaper: whatever loses its parent comes back to
 * it. */
#ifndef COFFER_RUN_PROCESS_TREE_H
#define COFFER_RUN_PROCESS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Fills pids with descendants of root (not root itself), at most count. Returns how many there are;
 * more than count means that not all were stored. */
size_t process_tree_list(pid_t root, pid_t *pids, size_t count);
/* Sends a signal to each of them. */
void process_tree_signal(pid_t root, int signal);
/* Reaps what has ended of the caller's children, at most PROCESS_TREE_REAP of them, since a box can
 * end them as fast as they are reaped. Calls seen (or NULL) with each. Returns whether there may be
 * more; -ECHILD: there is no child left, ended or not. */
enum { PROCESS_TREE_REAP = 1024 };
int process_tree_reap(void (*seen)(pid_t pid, int status));

/* Kills and reaps until root, which is the caller, has no children left. SIGCHLD is to be blocked.
 * scoped: landlock_scope_signals() holds for the caller, and for nothing but the tree (and what may
 * go with it). Then one call kills all, whatever it does meanwhile. Else each round stops before it
 * kills, and takes whole process groups: faster than a fork bomb within its process limit, but not
 * than processes that do nothing but hand their life on, each in a group of its own. */
void process_tree_end(pid_t root, bool scoped);

#endif
