/* One box of a task. Every phase, and everything that parses what a stranger wrote, runs in one:
 * profile cloud, /workspace and /home/agent as roots of a layer, nothing else of the host. */
#ifndef COFFER_TASK_BOX_H
#define COFFER_TASK_BOX_H

#include "base/error.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TASK_WORKSPACE "/workspace"
#define TASK_HOME "/home/agent"
#define TASK_SECRETS "/run/secrets"

/* A file or directory of the host that the box may read, at another place. */
struct task_view {
	const char *from; /* absolute, free of links */
	const char *at;   /* below /run/coffer or /source */
};

struct task_box {
	const char *layer; /* id: what the box writes; its parents are what it starts from */
	const char *home; /* host directory below TASK_HOME, lowest of all; NULL: it starts empty */
	const char *workspace; /* the same below TASK_WORKSPACE */
	char *const *argv;
	const char *directory;           /* NULL: TASK_WORKSPACE */
	const struct strv *environment;  /* NAME=VALUE; the host's own variables do not go in */
	const struct strv *settings;     /* more of the policy, "key=value": network, limits */
	const struct strv *secret_files; /* NAME=VALUE: TASK_SECRETS/NAME on a tmpfs of the box's */
	const struct task_view *views;
	size_t views_count;
	int stdio[3]; /* borrowed; -1: /dev/null */
	/* Called some times a second while it runs (progress, cancellation): non-zero ends the box.
	 * May be NULL. */
	int (*tick)(void *context);
	void *context;
};

struct task_box_result {
	int exit_code; /* as `coffer run` gives it */
	char cause[32];
	char *report; /* JSON; or NULL */
	uint64_t wall_ms;
};

/* 0 if the command was started, whatever became of it; else -errno with the reason: the box could
 * not be built. The layer is settled when it returns. *ret is released in either case. */
int task_box_run(const struct task_box *box, struct task_box_result *ret, struct error *error);
void task_box_result_release(struct task_box_result *result);

#endif
