/* What may leave a strict or cloud box: which host paths stand for which of the box's, and which
 * values nobody may read. For its output and for the report about it. */
#ifndef COFFER_RUN_SANITIZING_H
#define COFFER_RUN_SANITIZING_H

#include "base/sanitize.h"
#include "plan/plan.h"

struct json_t;
struct sanitizing;

/* *ret is NULL for a box that shows the host: what leaves it is left as it is. */
int sanitizing_new(const struct plan *plan, struct sanitizing **ret);
void sanitizing_free(struct sanitizing *sanitizing);

/* For one stream, to a terminal or not; the caller frees it. */
int sanitizing_stream(
	const struct sanitizing *sanitizing, bool terminal, struct sanitizer **ret);

/* Each string of the report, and what was done to them. 0 or -errno: then it must not be told. */
int sanitizing_json(const struct sanitizing *sanitizing, struct json_t *root,
	struct sanitize_counts *counts);

#endif
