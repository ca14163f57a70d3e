/* What the files of the planner share. */
#ifndef COFFER_PLAN_PLAN_INTERNAL_H
#define COFFER_PLAN_PLAN_INTERNAL_H

#include "plan/findings.h"

/* The inputs, side by side. */
struct planning {
	const struct policy *policy;
	const struct profile *profile;
	const struct host_facts *facts;
	const struct findings *findings;
	struct plan *plan;
	struct error *error;
};

int plan_note(struct plan *plan, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int plan_out_of_memory(struct error *error);

/* The host's path as the box sees it; caller frees. NULL with *ret_hidden when the box does not. */
char *plan_inside(const struct planning *planning, const char *path);

/* plan_mounts.c: the root, the private places, and one mount wherever the access changes. */
int plan_mounts(struct planning *planning);
/* NULL with the error: too many, or no memory. */
struct plan_mount *plan_add_mount(
	struct planning *planning, enum mount_kind kind, const char *target, const char *source);
/* plan_network.c: the policy's copy; files; variables. */
int plan_network(struct planning *planning);
int plan_network_files(struct planning *planning);
int plan_network_variables(struct planning *planning);
/* plan_witness.c: what is told, and by what. */
int plan_witness(struct planning *planning);
int plan_witness_mount(struct planning *planning);
/* plan_landlock.c: the grants of a domain that stands alone (landlock tier). */
int plan_landlock_grants(struct planning *planning);
/* plan_environment.c */
int plan_environment(struct planning *planning, char *const environment[]);

/* One place where the access changes, sorted so that parents come before children. */
enum point_kind {
	POINT_READ,
	POINT_WRITE,
	POINT_HIDE,
	POINT_PRIVATE, /* a writable tmpfs of the box's own */
	POINT_EMPTY,   /* an unwritable tmpfs that hides what is there */
	/* Changes no access: a place that is watched for protected names must stay where it is.
	 * With a mode of 0 it does not exist itself. */
	POINT_PIN,
};

struct point {
	const char *path; /* on the host; of the findings, or of points.made */
	enum point_kind kind;
	int origin; /* enum found_origin */
	struct file_id id;
	unsigned mode;
	const char *why;
	const struct policy_path *entry; /* that said so; or NULL */
	/* From the walk of a workspace, which may have been prepared by an attacker: it takes
	 * access away, and never brings into sight what lies below something hidden. */
	bool restricts;
};

struct points {
	struct point *items;
	size_t count, capacity;
	struct strv made; /* paths that the findings do not have */
};

/* Collects, sorts and merges the points of a plan; the findings must outlive them. */
int points_collect(struct planning *planning, struct points *ret);
void points_release(struct points *points);
/* How much a point allows: 0 nothing, 1 reading, 2 writing; NULL is plain reading. */
int point_access(const struct point *point);
/* plan_places.c: keeps what the points say, for plan.places. */
int plan_keep_places(struct planning *planning, const struct points *points);
/* The point that decides for path: the longest that path lies below. NULL: none, plain reading. */
const struct point *points_covering(const struct points *points, const char *path);

#endif
