/* What leaves a task: a patch that applies to the commit that was cloned, and the same as a
 * commit in a bundle. Made by git in a box of its own, with the clone's own untouched .git: what
 * set-up or agent did to theirs (hooks, filters, config, index, links) is never used. */
#ifndef COFFER_TASK_PACK_H
#define COFFER_TASK_PACK_H

#include "task/box.h"

struct pack_request {
	const char *clone_layer;     /* id: .git and tree as cloned */
	const char *prepared_layer;  /* id: after set-up; what it changed is not the agent's */
	const char *agent_layer;     /* id: the tree whose changes leave */
	const char *commit;          /* of the clone */
	const char *branch;          /* name in the bundle: "coffer/ID" */
	const char *subject, *body;  /* of the commit; sanitized */
	const char *author, *email;  /* NULL: "coffer task", "task@localhost" */
	const struct strv *settings; /* more of the box's policy: limits */
	const char *out_directory; /* host: gets patch, bundle; each written whole or not at all */
	int log;
	int (*tick)(void *context);
	void *context;
};

struct pack_result {
	bool empty; /* the agent changed nothing that git sees */
	uint64_t files, insertions, deletions;
	char commit[65];   /* of the result */
	char *patch_path;  /* out_directory/patch: for `git am` and `git apply` */
	char *bundle_path; /* for `git pull FILE BRANCH`: prerequisite is the commit of the clone */
	struct strv skipped; /* what git cannot carry or will not: "path: reason" */
};

int task_pack(const struct pack_request *request, struct pack_result *ret, struct error *error);
void pack_result_release(struct pack_result *result);

/* Puts a patch on a working tree: by git in a box, on a layer over that tree, and from there as
 * `coffer apply` does. Nothing protected, nothing through a link, all or nothing. */
struct patch_apply_options {
	const char *patch;     /* host file */
	const char *directory; /* the working tree; its index and .git are not touched */
	bool dry_run, three_way;
	bool protected_names;        /* also .git, .vscode, .envrc, ...: someone has looked */
	const struct strv *settings; /* more of the box's policy: limits */
};
/* report_fd gets a line for each file that is (or would be) changed, "A PATH", "M PATH" or "D PATH",
 * or for each that stands in the way, "! PATH: why"; nothing in them is a terminal's business.
 * -ECANCELED: nothing was applied, and the report says why. */
int task_patch_apply(const struct patch_apply_options *options, int report_fd, struct error *error);

#endif
