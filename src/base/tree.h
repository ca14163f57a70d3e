/* Whole directory trees that somebody else may have filled. */
#ifndef COFFER_BASE_TREE_H
#define COFFER_BASE_TREE_H

/* Empties and removes the directory name below at, entering only directories beneath it and through
 * no link; opens what its owner has closed (mode 0), where the caller may. Goes on past what cannot
 * be removed: then the first reason as -errno. 0 also where it is not there. */
int tree_remove(int at, const char *name);

#endif
