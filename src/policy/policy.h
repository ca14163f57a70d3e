/* What a box may do, as a person or an API wrote it. Nothing here looks at the machine: paths are
 * as they were typed. Every entry comes in through policy_set(), whose table of keys is the same
 * for flags, for the C interface and for the supervisor's message. */
#ifndef COFFER_POLICY_POLICY_H
#define COFFER_POLICY_POLICY_H

#include "base/error.h"
#include "base/strv.h"
#include "policy/network.h"
#include "policy/places.h"

#include <stdbool.h>
#include <stdint.h>

enum policy_mode {
	MODE_UNSET, /* chosen by the plan: workspace-write in a repository, else read-only */
	MODE_READ_ONLY,
	MODE_WORKSPACE_WRITE,
	MODE_FULL_ACCESS,
};

enum isolation { ISOLATION_AUTO, ISOLATION_CONTAINER, ISOLATION_LANDLOCK };

enum path_access {
	ACCESS_WRITE,
	ACCESS_READ_ONLY,
	ACCESS_DENY_READ,
	ACCESS_ALLOW_READ,
	ACCESS_CONNECT, /* a unix socket of the host that may be connected to */
};

/* How what a box is refused, and touches, becomes known. */
enum witness_mode {
	WITNESS_UNSET, /* on, but in strict */
	WITNESS_OFF,   /* only what the broker refuses */
	WITNESS_ON,    /* dynamic programs tell of what failed */
	WITNESS_FULL,  /* every call that names a path goes through the broker, and is told */
};

enum git_access { GIT_READ_ONLY, GIT_COMMIT };

/* What of the host a box sees. */
enum system_view {
	VIEW_HOST,   /* the whole host read-only, but for what is hidden */
	VIEW_STRICT, /* system directories; the workspace at /workspace, on a discarded layer */
	VIEW_CLOUD,  /* system directories, /workspace and /home/agent */
};

struct policy_path {
	char *path; /* as written; a glob where path_is_glob() says so (deny-read only) */
	enum path_access access;
	bool granted; /* at the gate, for this run: also beside --mode read-only */
	char *source; /* "FILE:LINE" where a file says so; else NULL: a flag */
};

/* Zero means no limit. */
struct limits {
	uint64_t memory_bytes;
	uint64_t cpu_milli; /* 1000 is one CPU */
	uint64_t pids;
	uint64_t disk_bytes;
	uint64_t inodes;
	uint64_t open_files;
	uint64_t output_bytes; /* of each stream */
	uint64_t tmp_bytes;    /* the private /tmp */
	uint64_t time_ms;
	uint64_t grace_ms; /* between TERM and KILL when time is up; 0: KILL at once */
};

/* Which limits were asked for by name: those are an error where the host cannot enforce them. */
enum limit_bit {
	LIMIT_MEMORY = 1 << 0,
	LIMIT_CPU = 1 << 1,
	LIMIT_PIDS = 1 << 2,
	LIMIT_DISK = 1 << 3,
	LIMIT_INODES = 1 << 4,
	LIMIT_OPEN_FILES = 1 << 5,
	LIMIT_OUTPUT = 1 << 6,
	LIMIT_TMP = 1 << 7,
	LIMIT_TIME = 1 << 8,
	LIMIT_GRACE = 1 << 9,
};

struct profile;

struct policy {
	const struct profile *profile; /* never NULL */
	enum policy_mode mode;
	enum isolation isolation;
	enum git_access git;
	enum witness_mode witness;
	char *mode_source; /* as policy_path.source */
	char *directory;   /* -C; NULL: the caller's working directory */

	struct policy_path *paths; /* in the order given */
	size_t paths_count;
	struct strv devices;

	struct strv environment; /* NAME (pass through) or NAME=VALUE */
	bool environment_all;
	struct strv python_path; /* strict: the only PYTHONPATH there is */

	struct limits limits;
	unsigned limits_asked; /* enum limit_bit */

	bool share_tmp;
	bool allow_userns;
	bool best_effort;
	bool capture;
	bool trace;
	bool trace_access;  /* the report lists all that was read and written */
	bool pass_controls; /* see plan/plan.h */
	bool hide_secrets;  /* workspace secrets are hidden, not only read-only */

	char *net_log; /* where each decision of egress is written: a file, or "-"; or NULL */
	char *net_ask; /* the socket of a program that is asked for undecided names; or NULL */
	struct network_policy network; /* as written; what holds is policy_network()'s */

	struct policy_places places;
	bool layer_system; /* a layer over the system directories, too */
};

int policy_new(struct policy **ret);
void policy_free(struct policy *policy);

/* Sets key to value as a flag of that name would ("mode", "write", "limit", ...); value may be NULL
 * for keys that take none. Unknown keys and bad values fail with the nearest known one named and
 * leave policy as it was. Keys that may be repeated add up; for others the last one counts. */
int policy_set(struct policy *policy, const char *key, const char *value, struct error *error);

/* The same for a setting that stands at source ("FILE:LINE"), so that whoever is refused by it can
 * be told where. */
int policy_set_from(struct policy *policy, const char *key, const char *value, const char *source,
	struct error *error);

/* Adds a writable root that was granted for this run: the only write that --mode read-only goes
 * together with. To policy_set() it is "grant-write", which is no flag. */
int policy_grant_write(struct policy *policy, const char *directory, struct error *error);

/* Rejects combinations that contradict one another. Called by the planner. */
int policy_validate(const struct policy *policy, struct error *error);

/* The network that holds, validated: what was set, below it the profile's limits, and the profile's
 * allow-list where nothing that was set opens anything; with net_ask, every undecided name is one
 * to be asked for. *ret is initialized even on failure, and released by the caller. */
int policy_network(const struct policy *policy, struct network_policy *ret, struct error *error);

/* What holds where nobody said. Never WITNESS_UNSET. */
enum witness_mode policy_witness(const struct policy *policy);

const char *policy_mode_name(enum policy_mode mode);

/* One row of the table of keys, for flags and help. */
struct policy_key {
	const char *name;
	const char *argument; /* what stands for the value in help; NULL: takes none */
	const char *help;
};
const struct policy_key *policy_keys(size_t *ret_count);

#endif
