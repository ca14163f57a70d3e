/* Everything a launch does, resolved: policy + host facts + findings, and nothing left to decide.
 * Immutable once made; printable as JSON. All paths are absolute, clean and free of symlinks. */
#ifndef COFFER_PLAN_PLAN_H
#define COFFER_PLAN_PLAN_H

#include "base/error.h"
#include "base/strv.h"
#include "host/facts.h"
#include "policy/network.h"
#include "policy/policy.h"
#include "policy/profile.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a box finds the certificates that it trusts, when it has an authority of its own. */
#define CERTIFICATES_INSIDE "/dev/coffer/certificates.pem"
/* The landlock tier has no mounts: there they lie in the box's own temporary directory. */
#define CERTIFICATES_NAME ".coffer-certificates.pem"

enum tier { TIER_CONTAINER, TIER_LANDLOCK, TIER_NONE /* danger-full-access */ };

/* Which inode a path led to when it was resolved; checked again on the descriptor at launch. */
struct file_id {
	dev_t device;
	ino_t inode;
};

enum mount_kind {
	MOUNT_BIND,      /* source (host path) at target */
	MOUNT_TMPFS,     /* size_bytes, inodes, mode */
	MOUNT_HIDE_DIR,  /* an empty directory that nobody can list or write */
	MOUNT_HIDE_FILE, /* an empty file that nobody can read */
	MOUNT_DEV,       /* the minimal /dev, with pts and shm */
	MOUNT_PROC,      /* an own /proc */
	MOUNT_OVERLAY,   /* source (host path) below, the box's discarded layer above */
	MOUNT_LAYER_DIR, /* a directory of the discarded layer: one size limit for all of them */
	MOUNT_GIT_LAYER, /* source (a git directory) below; upper on disk, written back checked */
	MOUNT_DIRECTORY, /* no mount: mkdir in the private root */
	MOUNT_SYMLINK,   /* no mount: a link to source in the private root */
	MOUNT_FILE,      /* a file with source as its content, over one that is there */
	MOUNT_CERTIFICATES, /* the same with the plan's certificates; nothing without them */
	MOUNT_LAYER,   /* source (host path, or NULL: nothing) below, a layer's directories above */
	MOUNT_SECRETS, /* a tmpfs with the plan's secret files, read-only */
};

struct plan_mount {
	enum mount_kind kind;
	char *target;      /* inside the box */
	char *source;      /* see kind; else NULL */
	struct file_id id; /* of the source (of the target for HIDE_*); 0, 0: not checked */
	bool writable;
	bool executable;
	bool recursive; /* the submounts come along */
	bool device_nodes;
	bool pin;      /* only there so that the directory cannot be renamed: see pin_ancestors() */
	bool optional; /* a source or target that is not there is skipped */
	uint64_t size_bytes, inodes; /* tmpfs and overlay: 0 is the kernel's default */
	unsigned mode;               /* tmpfs, directories */
	size_t stack;                /* git layers and layers: which of them, from 0 */
};

/* From here down, what the box can do: kept for whoever has to say why something was refused. Where
 * none covers a path, what stands at "/" does. */
struct plan_place {
	char *path; /* inside the box */
	char *host; /* the same place outside; NULL: there is none */
	enum place_access {
		PLACE_HIDDEN, /* it is there, and cannot be looked into */
		PLACE_ABSENT, /* what is there on the host is not there */
		PLACE_READ,
		PLACE_WRITE,
	} access;
	const char *why; /* static: "credentials", ".env*", "workspace", ... */
	char *rule;      /* "FILE:LINE", or the flag as it was given; NULL: a default */
	/* No flag takes it back: a protected name, coffer's own, or a profile's promise. */
	bool promise;
	bool restricts; /* a wall inside something that is open; else an opening, or a mask */
	bool secret;    /* of the workspace */
};

/* One grant of the Landlock domain. */
struct plan_grant {
	char *path; /* inside the box */
	enum grant_rights {
		PLAN_RIGHTS_READ,   /* read and execute */
		PLAN_RIGHTS_WRITE,  /* everything that can be done to files */
		PLAN_RIGHTS_DEVICE, /* read, write, ioctl; nothing can be made */
		PLAN_RIGHTS_LIST,   /* names of directories only */
	} rights;
};

/* A directory of the host in which a protected name could appear. */
struct plan_watch {
	char *path;   /* on the host */
	char *inside; /* in the box */
	char *name;   /* one more name that must not appear there; or NULL */
	struct file_id id;
};

/* A repository whose .git the box works on as a private layer (git = commit). */
struct plan_git_layer {
	char *path; /* the git directory on the host */
	char *inside;
	struct file_id id;
	bool linked; /* a linked worktree's own gitdir: path lies below common */
};

struct plan_note {
	char *what; /* stable word: "memory", "userns", "proc", ... */
	char *text; /* one sentence */
};

struct plan {
	enum tier tier;
	const struct profile *profile;
	enum policy_mode mode;
	char *mode_reason; /* why this mode, when nobody chose it; else NULL */
	struct host_facts facts;

	struct strv argv;
	struct strv environment;       /* NAME=VALUE, complete */
	struct network_policy network; /* a copy; open or not, see network_is_open() */
	char *certificates; /* what the box trusts, PEM: the host's and its own authority; or NULL
			     */
	struct file_id *unix_sockets; /* of the host, that may be connected to */
	size_t unix_sockets_count;
	char *net_log;   /* where each decision of egress is written: a file, "-", or NULL */
	char *net_ask;   /* a unix socket where undecided names are asked for; or NULL */
	char *directory; /* working directory inside the box */
	char *workspace; /* on the host; NULL when there is none */
	char *host_name; /* inside */

	bool private_root;         /* the root is a tmpfs, not the host's / */
	struct plan_mount *mounts; /* in order: parents before children */
	size_t mounts_count;
	struct plan_grant *grants;
	size_t grants_count;
	struct plan_place *places; /* in no order */
	size_t places_count;
	enum witness_mode witness; /* what is used; never UNSET */
	char *witness_library;     /* WITNESS_ON: on the host */
	bool trace_access;
	char *mode_rule; /* as plan_place.rule */
	struct plan_watch *watches;
	size_t watches_count;
	struct plan_git_layer *git_layers;
	size_t git_layers_count;
	char *layer;              /* see policy/places.h; once open, its directory; NULL: none */
	struct strv secret_files; /* NAME=VALUE */
	struct strv
		write_roots; /* host paths the box can write below, for metering and the report */

	uid_t uid_inside; /* what the command runs as, in the box's user namespace */
	gid_t gid_inside;
	uid_t owner_uid; /* on the host: whom new files in the workspace belong to */
	gid_t owner_gid;
	bool id_range; /* as root: a range of the box's own, with idmapped mounts */

	struct limits limits;
	unsigned limits_asked;
	bool capture;
	bool trace; /* the end of what is printed is kept as it passes */
	bool pass_controls; /* strict and cloud: a terminal's control sequences leave the box */
	bool must_enforce;
	bool isolation_asked; /* by name: then another tier is an error, not a fallback */
	bool allow_userns;
	bool watch_names; /* protected names must be refused: watches_count > 0 */
	bool anonymous;
	bool many_execs; /* more than one command may run in the box (libcoffer) */
	bool share_tmp;
	char *tmpdir; /* landlock tier: made for the box, see run/tmpdir.h; NULL: not chosen */

	struct plan_note *notes; /* what is not as the policy would have it, and why */
	size_t notes_count;
};

struct findings; /* plan/findings.h */

/* Pure. argv may be empty for `coffer plan` without a command. The plan keeps nothing of its
 * arguments. On failure *ret is untouched. */
int plan_make(const struct policy *policy, const struct host_facts *facts,
	const struct findings *findings, char *const argv[], char *const environment[],
	struct plan **ret, struct error *error);
void plan_free(struct plan *plan);

/* Adds one place to a plan that is still being made; host may be NULL. 0 or -ENOMEM. */
int plan_add_place(struct plan *plan, const char *path, const char *host, enum place_access access,
	const char *why);
/* The place that decides for path (in the box, absolute, clean). Never NULL once a plan is made. */
const struct plan_place *plan_place_of(const struct plan *plan, const char *path);

/* Adds one grant to a plan that is still being made. 0 or -ENOMEM. */
int plan_grant(struct plan *plan, const char *path, enum grant_rights rights);

/* Whether secrets of the workspace are hidden, not only protected: always, once there is any way
 * out. */
bool plan_hides_secrets(const struct policy *policy, const struct network_policy *network);

/* Before launch, what egress brings for the box: a variable, which outranks whatever has its name;
 * the box's own authority, trusted beside those of the host. 0 or -errno. */
int plan_put_variable(struct plan *plan, const char *assignment);
int plan_put_authority(struct plan *plan, const char *pem);

/* The plan as JSON text with 2-space indentation; caller frees. NULL: out of memory. */
char *plan_to_json(const struct plan *plan);

const char *tier_name(enum tier tier);

#endif
