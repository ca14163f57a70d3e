/* What the built-in reviewer knows while it looks at one request. */
#ifndef COFFER_GATE_REVIEW_ASSESSMENT_H
#define COFFER_GATE_REVIEW_ASSESSMENT_H

#include "gate/review_internal.h"

enum { OBJECTS_MAX = 64 }; /* of one command; more of them are never all named */

struct assessment {
	const struct gate_request *command;
	const struct user_words *words;

	enum review_risk risk;
	enum review_authorization authorization; /* the least of what is more than low */
	bool narrow;
	const char *id, *reason; /* of the gravest; static */
	struct strv others;      /* ids of the other signals */

	bool secrets;         /* credentials are read */
	bool network;         /* some command speaks with a host that is not this machine */
	bool strange_network; /* one of them is neither known nor this machine */
	int error;            /* -ENOMEM once */
};

/* Takes note of something grave, and of whether the user ordered it. claim NULL: nothing the user
 * could have said orders it. */
void assessment_note(struct assessment *all, enum review_risk risk, const char *id,
	const char *reason, const struct review_claim *claim);

/* What a command touches, as objects of a claim. */
struct object_list {
	struct review_object items[OBJECTS_MAX];
	size_t count;
};
int object_list_of_part(
	const struct gate_request *request, const struct gate_part *part, struct object_list *ret);
int object_list_add_path(
	const struct gate_request *request, const char *path, struct object_list *list);
int object_list_add_name(const char *name, struct object_list *list);
void object_list_release(struct object_list *list);
#define cleanup_objects __attribute__((cleanup(object_list_release)))

/* The signals of the commands, of what flows between them, and of what is asked for. */
void assess_part(struct assessment *all, const struct analysis *analysis, size_t index);
void assess_flow(struct assessment *all, const struct analysis *analysis, size_t index);
void assess_grant(
	struct assessment *all, const struct analysis *analysis, const struct grant *grant);

#endif
