/* A stranger's repository, fetched by git in a box. */
#ifndef COFFER_TASK_CLONE_H
#define COFFER_TASK_CLONE_H

#include "task/box.h"

struct clone_request {
	const char *repository; /* a path, file://, https://, ssh:// or HOST:PATH, as written */
	const char *ref;        /* branch, tag or commit; NULL: what HEAD is there */
	unsigned depth;         /* 0: whole history */
	const char *filter;     /* of a partial clone: "blob:none", ...; or NULL */
	bool submodules;
	bool ssh_agent; /* lend the box the caller's agent ($SSH_AUTH_SOCK): it signs, keys stay */
	const struct strv *settings; /* more of the policy: names beside the repository's */
	const char *layer; /* id of a fresh layer without parents: gets the working tree and .git */
	int log;           /* git's words */
	int (*tick)(void *context);
	void *context;
};

struct clone_result {
	char commit[65]; /* hex */
	char *branch;    /* that was checked out; NULL: a detached commit */
	unsigned submodules;
	uint64_t lfs_pointers; /* files that are not here, only what stands for them */
	uint64_t bytes;        /* of the layer */
};

/* No host git config, hooks, filters, credential helpers or prompts; fsck on what comes. A
 * local repository is only read (seen by the box at /source), and nothing of its config is used.
 * Errors name what the person wrote: -ENOENT there is no such repository or ref, -EPERM a transport
 * or name that is not allowed (hint: what would allow it). */
int task_clone(const struct clone_request *request, struct clone_result *ret, struct error *error);
void clone_result_release(struct clone_result *result);

#endif
