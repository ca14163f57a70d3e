/* What the files of a layer share. */
#ifndef COFFER_LAYER_LAYER_INTERNAL_H
#define COFFER_LAYER_LAYER_INTERNAL_H

#include "layer/layer.h"

enum { LAYER_ID_BYTES = 16 };

bool layer_is_id(const char *text);
uint64_t layer_now_us(void); /* CLOCK_REALTIME */

/* Fills what layer.json says; id and directory are set. */
int layer_load(struct layer *layer, struct error *error);
/* Reads a layer's description without its lock: it may change the next moment. */
int layer_peek(const char *id, struct layer **ret, struct error *error);

#endif
