/* What the files of the clone share. */
#ifndef COFFER_TASK_CLONE_INTERNAL_H
#define COFFER_TASK_CLONE_INTERNAL_H

#include "task/clone.h"
#include "task/repository_url.h"

#define CLONE_SOURCE "/source"

/* ---- clone_source.c: a repository of this host ---- */

struct clone_source {
	char *directory; /* host: what the box sees at CLONE_SOURCE; absolute, free of links */
	char *below;     /* what of it is the repository: "", or "worktrees/NAME" */
	bool bundle;     /* a file made by `git bundle` */
};

/* Finds what of a directory git needs: .git of a repository, the common directory of a worktree, the
 * directory of a submodule; a bare repository or a bundle itself. Nothing that lies elsewhere is
 * followed unless it points back. */
int clone_source_find(const char *path, struct clone_source *ret, struct error *error);
void clone_source_release(struct clone_source *source);
/* Whether a submodule of the repository has its own directory there: "modules/NAME" or the like.
 * Caller frees; NULL: none. */
char *clone_source_module(const struct clone_source *source, const char *below, const char *name);

/* ---- clone_modules.c: what .gitmodules says ---- */

struct clone_module {
	char *name, *path, *url;
	char commit[65];
};
struct clone_modules {
	struct clone_module *items;
	size_t count;
};
/* From `git config -z --get-regexp ^submodule\.` and from `git ls-files -s -z`, both of a stranger's.
 * Modules that no commit is recorded for are left out. -EPERM: a name or path that leads
 * elsewhere. */
int clone_modules_parse(const char *config, size_t config_bytes, const char *links,
	size_t links_bytes, struct clone_modules *ret, struct error *error);
void clone_modules_release(struct clone_modules *modules);

/* ---- clone.c ---- */

/* One repository to be fetched. */
struct clone_job {
	struct repository_url url;
	char *below;  /* of the source, where it is one of this host's; else NULL */
	char *work;   /* in the box */
	char *gitdir; /* in the box */
	char *parent; /* the gitdir that has it as a submodule; NULL: none */
	char *module; /* by this name */
	char commit[65];
	unsigned depth;
};

struct clone {
	const struct clone_request *request;
	struct clone_result *result;
	struct repository_url url;  /* that the caller wrote */
	struct clone_source source; /* where it is one of this host's */
	struct clone_job *jobs;
	size_t jobs_count;
	struct error *error;
};

/* ---- clone_network.c: what it may reach, and as whom ---- */

struct clone_views {
	struct task_view items[4];
	size_t count;
	char *owned[3];
};

/* -EPERM, with the flag that would allow it: the host of a job is not open to it. */
int clone_check_host(const struct clone *clone, const struct clone_job *job);
/* The network of a job's box, and the caller's other settings. 0 or -ENOMEM. */
int clone_add_settings(
	const struct clone *clone, const struct clone_job *job, struct strv *settings);
/* 0 or -ENOMEM. */
int clone_add_credentials(const struct clone_job *job, struct strv *environment);
int clone_add_ssh(const struct clone *clone, struct clone_views *views, struct strv *environment,
	struct strv *settings);

#endif
