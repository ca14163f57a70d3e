/* What the machine says about the paths of a policy: the only part of planning that looks at the
 * file system. Everything that plan_make() needs is here, so that it stays pure. */
#ifndef COFFER_PLAN_FINDINGS_H
#define COFFER_PLAN_FINDINGS_H

#include "base/error.h"
#include "base/strv.h"
#include "host/facts.h"
#include "plan/plan.h"
#include "plan/scan.h"
#include "policy/policy.h"

/* Where an access came from. At the same path a person's word outranks a default, and a promise
 * (protected names, coffer's own files) outranks a person's word. */
enum found_origin { ORIGIN_DEFAULT, ORIGIN_POLICY, ORIGIN_PROMISE };

/* The entries of a directory that a Landlock domain has to be granted one by one, because something
 * inside it is not granted. */
struct found_listing {
	char *path;
	struct strv entries; /* names; no symlinks */
};

struct found_path {
	char *path; /* on the host: absolute, clean, no symlinks */
	enum path_access access;
	enum found_origin origin;
	struct file_id id;
	unsigned mode; /* st_mode */
	uid_t uid;
	gid_t gid;
	const char *why; /* static: "credentials", "another user's home", "--write", ... */
	const struct policy_path *entry; /* of the policy, which said so; or NULL */
};

struct found_paths {
	struct found_path *items;
	size_t count, capacity;
};

/* One entry of the host's / that a private root shows. */
struct found_system {
	char *name;   /* "usr" */
	char *target; /* of a symlink; NULL: a directory */
	struct file_id id;
};

/* One of policy/places.h. */
struct found_place {
	char *inside;
	char *path; /* on the host; NULL: a root of a layer that starts empty */
	struct file_id id;
	bool writable;
};

struct findings {
	struct found_path directory; /* the working directory */
	struct found_path workspace; /* path NULL: there is none */
	bool id_maps;      /* as root: the file systems of / and of the workspace can map ids */
	char *own_git_dir; /* the workspace's own repository, wherever its `.git` leads; or NULL */
	const char
		*version_control; /* ".git", ".hg", ...; NULL: the directory is in no repository */

	struct found_paths paths;  /* from the policy, and the defaults that exist */
	struct scan_result scan;   /* of every writable root */
	const char *copy, *copied; /* as in policy/places.h; borrowed */
	struct found_place *places;
	size_t places_count;
	struct strv masks;     /* of /run, /sys, /tmp, /var/tmp: those that are directories here */
	struct strv sys_shown; /* what of /sys is harmless and exists */
	struct found_system *system; /* for the private root */
	size_t system_count;
	char *cache; /* this workspace's private cache directory; NULL: none */
	struct file_id cache_id;
	struct found_listing *listings; /* landlock tier: every directory above a carve-out */
	size_t listings_count;
	struct strv replaced; /* files of /etc that an anonymous box sees its own version of */
	/* With a network: the files that say how names are found and whom to trust, where their
	 * links end; NULL: not there. */
	char *resolv_conf, *hosts, *certificates;
	char *witness; /* the library that is preloaded; NULL: not wanted, or not there */
	struct file_id witness_id;
	struct strv python_packages; /* strict: the host's site directories, to be hidden */
	struct strv notes;           /* "word: sentence" */
};

/* Resolves every path of the policy. directory of the caller is cwd. On failure *ret is
 * released. */
int resolve(const struct policy *policy, const struct host_facts *facts, struct findings *ret,
	struct error *error);
void findings_release(struct findings *findings);

#endif
