/* Putting a layer's changes on the host.
 *
 * All or nothing, and nothing through a link: every change is checked first (a dry run does only
 * that); then each new content is written beside its place; then, with a journal in the layer on
 * disk, everything is renamed into place. A kill before the journal is complete leaves the host
 * as it was (what was written beside is removed by the next start); after that the next start
 * goes on. */
#ifndef COFFER_LAYER_APPLY_H
#define COFFER_LAYER_APPLY_H

#include "layer/changes.h"

struct apply_options {
	char *const *paths; /* absolute, on the host: only these and what is below; NULL: all */
	bool dry_run;
	bool force;           /* also where the host has changed since */
	bool protected_names; /* also .git, .envrc, ... (policy/names.h): someone has looked */
	bool keep; /* leave what was applied in the layer, too (its records are renewed) */
};

enum apply_problem {
	APPLY_CONFLICT,  /* three ways: what the host had, has now, and the layer has */
	APPLY_PROTECTED, /* a protected name */
	APPLY_LINK, /* a link, or something that is no directory, stands on its way on the host */
	APPLY_SPECIAL, /* a device, or an owner or attribute that this user cannot give */
	APPLY_DENIED,  /* the kernel refuses */
};

struct apply_refusal {
	char *path; /* on the host */
	enum apply_problem problem;
	char *text; /* one sentence, with the three states of a conflict */
};

struct apply_result {
	struct layer_counts applied;
	struct apply_refusal *refusals; /* at most MAX_LAYER_APPLY_REFUSALS are kept */
	size_t refusals_count, refusals_lost;
	struct strv skipped; /* "path: why": sockets, set-id bits */
	bool empty;          /* nothing is left in the layer */
};

/* The layer is open for writing. With any refusal nothing is applied (-ECANCELED, and the result says
 * all of them). What was applied leaves the layer, unless others stand on it. */
int layer_apply(struct layer *layer, const struct apply_options *options, struct apply_result *ret,
	struct error *error);
void apply_result_release(struct apply_result *result);

/* Finishes or takes back what a kill interrupted, in every layer of the store that nobody has open.
 * Returns how many, or -errno. With nothing to do it looks into one directory. */
int layer_recover(struct error *error);

#endif
