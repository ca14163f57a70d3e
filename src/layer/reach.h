/* What a box has shut: a file or directory in an upper whose mode keeps its own owner out. */
#ifndef COFFER_LAYER_REACH_H
#define COFFER_LAYER_REACH_H

#include <stdbool.h>

/* Lets this process enter a user namespace of its own when it meets such a thing: for processes that
 * do nothing but read layers and end. */
void reach_allow(void);
/* After EACCES: whether a second try may succeed. */
bool reach_own(void);

#endif
