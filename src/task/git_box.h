/* A script of git's commands, run in a box, and what comes back of it. */
#ifndef COFFER_TASK_GIT_BOX_H
#define COFFER_TASK_GIT_BOX_H

#include "task/box.h"

struct git_box {
	const char *layer;
	const char *workspace; /* as of struct task_box */
	const char *script;             /* of sh; see clone.sh, pack_tree.sh, ... */
	const char *what;               /* "the clone": for errors */
	const struct strv *environment; /* more than every git gets */
	const struct strv *settings;
	const struct task_view *views;
	size_t views_count;
	int input; /* borrowed; -1: none */
	int log;   /* git's words; -1: nobody wants them */
	int (*tick)(void *context);
	void *context;
};

/* What a script says by its exit code; see git.sh. */
enum git_exit {
	GIT_DONE = 0,
	GIT_NO_REPOSITORY = 10, /* not there, not reached, or none */
	GIT_NO_REF = 11,
	GIT_EMPTY = 12, /* a repository without a commit */
	GIT_REFUSED =
		13, /* git would not take what it was given: fsck, a patch that does not apply */
};

struct git_box_result {
	int exit_code;
	char words[512]; /* the one line of git's that says most, made harmless; may be empty */
};

/* 0 if the script ended by itself, with any exit code; else -errno and the reason: no box, a limit
 * of it, or cancelled (-ECANCELED). */
int git_box_run(const struct git_box *box, struct git_box_result *ret, struct error *error);

/* "NAME=value" added to an environment. */
int git_box_set(struct strv *environment, const char *name, const char *value);

/* Copies a stranger's text so that a terminal shows it as it stands; cut where there is no room. */
void git_box_harmless(const char *text, size_t length, char *ret, size_t room);

/* The host's path of a directory that a box left, for a view; caller frees. */
int git_box_directory(
	const char *layer, const char *root, const char *path, char **ret, struct error *error);

/* A file that a box left below a root of its own layer, entered only beneath it and through no link.
 * Regular, at most max_bytes (-EFBIG). The descriptor, or -errno. */
int git_box_open(const char *layer, const char *root, const char *path, uint64_t max_bytes,
	struct error *error);
/* Its text, NUL-terminated; caller frees. */
int git_box_read(const char *layer, const char *root, const char *path, size_t max_bytes,
	char **ret, size_t *ret_length_bytes, struct error *error);

#endif
