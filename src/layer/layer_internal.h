/* What the files of a layer share. */
#ifndef COFFER_LAYER_LAYER_INTERNAL_H
#define COFFER_LAYER_LAYER_INTERNAL_H

#include "layer/changes.h"

enum { LAYER_ID_BYTES = 16 };

bool layer_is_id(const char *text);
uint64_t layer_now_us(void); /* CLOCK_REALTIME */
uint64_t layer_time_us(const struct timespec *time);
/* By how much the clock from which files get their times may lag behind layer_now_us(). */
uint64_t layer_clock_lag_us(void);
/* LAYER_COPY: a file that was changed before is as it was copied. 0: nobody can tell. */
uint64_t layer_copied_us(const struct layer *layer, const struct layer_records *records);

/* Calls back with a view of each root of the layer and of those that it stands on. */
int layer_each_view(const struct layer *layer,
	int (*visit)(const struct layer_view *view, void *context, struct error *error),
	void *context, struct error *error);
/* The layer's own; NULL: it has none there. */
const struct layer_root *layer_find_root(const struct layer *layer, const char *path);
void layer_count_change(const struct layer_change *change, struct layer_counts *counts);

/* The store and its descriptor; caller frees and closes. */
int layer_open_store(char **ret_path, int *ret_fd, struct error *error);
/* The id that a name, id or directory stands for, as layer_open() finds it. */
int layer_find_id(
	int store, const char *which, char ret_id[LAYER_ID_BYTES + 1], struct error *error);

/* Fills what layer.json says; id and directory are set. Of the names there, only the one that
 * DIR/names gives it counts: a kill between a name's move and the description's leaves them apart. */
int layer_load(struct layer *layer, struct error *error);
/* Reads a layer's description without its lock: it may change the next moment. */
int layer_peek(const char *id, struct layer **ret, struct error *error);

/* Makes a layer with the roots of `below` (open for writing) and on top of it, which is not sealed by
 * this. `name` is only written down: layer_point_name() gives it. Opened for writing. */
int layer_create_above(const struct layer *below, const char *name, const char *purpose,
	struct layer **ret, struct error *error);
/* The same, but beside `model` (any kind; need not be open): on what that stands on. */
int layer_create_like(const struct layer *model, const char *purpose, struct layer **ret,
	struct error *error);
/* Gives a layer that is open for writing a name that no other has (-EEXIST). */
int layer_give_name(int store, struct layer *layer, const char *name, struct error *error);
/* No run changes the layer any more. purpose NULL: as it is. */
int layer_seal(struct layer *layer, const char *purpose, struct error *error);
/* -EINVAL, -EEXIST: no new layer can be called that. */
int layer_check_name(int store, const char *name, struct error *error);
/* Gives the layer a name, taking it from whichever had it, in one step. */
int layer_point_name(int store, const char *name, const char *id);

#endif
