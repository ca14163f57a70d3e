/* From a journal to its end. */
#ifndef COFFER_LAYER_RECOVER_H
#define COFFER_LAYER_RECOVER_H

#include "layer/apply_journal.h"

/* Says in the store that the layer has, or is about to have, a journal. */
int recover_mark(const struct layer *layer, struct error *error);

/* Goes on from whatever phase the layer's journal is in, or takes it back, until there is none.
 * -ECANCELED with *error: it was taken back. 1: there was something to do; 0: there was not. */
int recover_layer(struct layer *layer, struct error *error);

#endif
