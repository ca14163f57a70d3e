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

/* analysis: the whole, for what lies in the combination (curl | sh). home and the roots decide
 * whether a path is inside; any may be NULL. */
struct classify_context {
	const char *directory, *home;
	char *const *writable_roots; /* absolute; NULL-terminated */
};
void classify_part(const struct analysis *analysis, size_t index,
	const struct classify_context *context, struct classification *ret);

#endif
