/* What is known of a single command: that it only reads, that it is dangerous, or neither. Tables
 * with reasons, per option where it matters (classify_*.c): the field's experience, not a promise.
 * The promise is the box. */
#ifndef COFFER_GATE_CLASSIFY_H
#define COFFER_GATE_CLASSIFY_H

#include "config/approval.h"
#include "gate/analysis.h"

enum command_class {
	CLASS_SAFE,        /* known to read only, with exactly these options */
	CLASS_ORDINARY,    /* nothing is known against it */
	CLASS_UNDECIDABLE, /* it cannot be known what would run */
	CLASS_DANGEROUS,
	CLASS_FORBIDDEN, /* has no use that an agent could have: mkfs of a device, a fork bomb */
};

struct classification {
	enum command_class class;
	enum approval_category category; /* of the question that it raises */
	const char *id;                  /* "git-force-push", for reports and tests; static */
	const char *reason;              /* one sentence, static */
};

/* Where a part may run: the directory that the line starts in, and what each `cd` before the part
 * led to. */
struct places {
	char *directories[8];
	size_t count;
	size_t last;  /* where the last `cd` led to */
	bool unknown; /* some cd's target is not known, or there were too many */
};

/* A walk over the parts from the first on, which keeps where each may run. Zeroed at first. */
struct places_walk {
	struct places places;
	size_t next; /* the first part that was not taken into account yet */
	bool lost, elsewhere;
	unsigned elsewhere_depth;
};

/* analysis: the whole, for what lies in the combination (curl | sh). home and the roots decide
 * whether a path is inside; any may be NULL. */
struct classify_context {
	const char *directory, *home;
	char *const *writable_roots; /* absolute; NULL-terminated */
	const struct places *places; /* of this part; NULL: found out by a walk over those before */
};
/* The places of part index, which is not before those that were asked for already. Owned by the
 * walk. */
const struct places *places_walk_to(struct places_walk *walk, const struct analysis *analysis,
	size_t index, const struct classify_context *context);
void places_walk_release(struct places_walk *walk);
void classify_part(const struct analysis *analysis, size_t index,
	const struct classify_context *context, struct classification *ret);
/* Whether an assignment (NAME=VALUE) may stand before a command without changing what it does. */
bool variable_is_harmless(const char *assignment);
/* Every name of a program that some table has; names may come more than once. */
void classify_programs(void (*each)(const char *name, void *data), void *data);

#endif
