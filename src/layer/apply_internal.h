/* What the parts of an apply share. */
#ifndef COFFER_LAYER_APPLY_INTERNAL_H
#define COFFER_LAYER_APPLY_INTERNAL_H

#include "layer/apply.h"
#include "layer/apply_host.h"
#include "layer/apply_journal.h"
#include "layer/settle.h"
#include "plan/scan.h"

enum apply_action {
	ACTION_NONE,  /* the host has it already */
	ACTION_STAGE, /* it is written: as a step of its own, or in a directory that is staged */
	ACTION_REMOVE,
	ACTION_ATTRIBUTES,
	ACTION_SKIP, /* sockets */
};

/* One change that was chosen. */
struct apply_item {
	unsigned root;
	char *path;
	enum layer_change_kind kind;
	unsigned differences;
	struct layer_entry before, after;
	enum apply_action action;
	bool bare;    /* only for what is in it: it is above what was chosen */
	bool covered; /* by a directory that is staged or removed as a whole */
	size_t step;  /* if neither covered nor none: of the journal */
	size_t cover; /* if covered: the item that covers it */
};

struct apply_root_view {
	struct layer *owner; /* a parent that alone has this root; NULL: the layer itself */
	struct layer_view view;
	struct layer_records *records;
};

struct apply {
	struct layer *layer;
	const struct apply_options *options;
	struct apply_result *result;
	struct apply_root_view *views; /* one for each root of the journal */
	struct apply_journal journal;
	struct apply_host *hosts;
	struct apply_item *items; /* in the order of the walk */
	size_t items_count, items_capacity;
	struct scan_result named; /* what the host acts on under any name */
	char *refused;            /* below which nothing more is said */
	unsigned refused_root;
	bool partial; /* something of the layer was not chosen, or has no host */
	struct error *error;
};

/* apply_check.c: opens the roots, collects what was chosen, and refuses. */
int apply_open_views(struct apply *apply);
void apply_close_views(struct apply *apply);
int apply_check(struct apply *apply);

/* apply_named.c: what the host acts on under any name. Filled once; then 1, 0 or
 * -ENOMEM. */
int apply_find_named(struct apply *apply);
int apply_is_named(const struct apply *apply, const struct apply_item *item, const char **ret);

/* apply_plan.c: which steps make it so; fills the journal. */
int apply_plan(struct apply *apply);

/* apply_stage.c: writes what the steps will put in place, and completes the journal. */
int apply_stage(struct apply *apply);

/* apply_say.c */
int apply_refuse(struct apply *apply, const struct apply_item *item, enum apply_problem problem,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
int apply_refuse_conflict(struct apply *apply, const struct apply_item *item);
int apply_skip(struct apply *apply, const struct apply_item *item, const char *why);

/* Whether path, below a root, is `above` or lies in it; "" is above all. */
bool apply_is_within(const char *path, const char *above);
/* The mode that the host gets: never set-id bits, but for those that its directory has and
 * keeps. */
mode_t apply_mode(const struct apply_item *item);

#endif
