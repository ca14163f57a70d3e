/* What a plan has to say of a refused call: whether it explains the refusal, by which rule, and
 * what would allow the call. Pure: nothing of the host is looked at, least of all by a path that
 * a box named. */
#ifndef COFFER_WITNESS_JUDGE_H
#define COFFER_WITNESS_JUDGE_H

#include "base/witness_ring.h"
#include "plan/plan.h"

#include <stdbool.h>

/* A path in the box, what was wanted of it (enum witness_wants), and how that failed. */
struct attempt {
	const char *path; /* absolute, clean */
	int wants;
	int errno_value;
	bool by_mode; /* ordinary permissions say no as well */
};

struct judgement {
	const char *promise; /* "P1"; static */
	char reason[128];
};
/* Whether the plan refuses that, in this way. */
bool judge_path(const struct plan *plan, const struct attempt *attempt, struct judgement *ret);

enum { EXPLAINED_RULE_BYTES = 256, EXPLAINED_FLAG_BYTES = 640 };

struct explanation {
	char rule[EXPLAINED_RULE_BYTES];       /* "FILE:LINE", a flag, or "default" */
	char allow_with[EXPLAINED_FLAG_BYTES]; /* flags, as a shell takes them; "": nothing does */
};
/* Of a denial as a report has it: resolved where it is known ("" elsewhere), else target. rule is
 * what is known of it already, or "". */
void judge_explain(const struct plan *plan, const char *promise, const char *call,
	const char *target, const char *resolved, const char *rule, struct explanation *ret);

/* What a plan says of one path or host, for `coffer why`. */
struct opinion {
	const char *access; /* "write", "read", "hidden", "absent"; static */
	const char *why;    /* static */
	struct explanation write,
		read; /* allow_with: what would; "" where it may, or nothing does */
	bool may_write, may_read;
};
void judge_place(const struct plan *plan, const char *path, struct opinion *ret);

#endif
