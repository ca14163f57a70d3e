/* What this kernel and this user can enforce, as far as a launch needs to know it. Plain data: the
 * planner is tested with made-up ones. */
#ifndef COFFER_HOST_FACTS_H
#define COFFER_HOST_FACTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_V2, CGROUP_HYBRID };

/* Who stands between this user and a user namespace that has capabilities in it. */
enum userns_obstacle {
	USERNS_FREE,
	USERNS_NOT_BUILT,  /* CONFIG_USER_NS is off */
	USERNS_LIMIT_ZERO, /* user.max_user_namespaces = 0 */
	USERNS_LIMIT_FULL, /* that limit, or one further up, is used up */
	USERNS_SYSCTL,     /* kernel.unprivileged_userns_clone = 0 (Debian's own) */
	USERNS_APPARMOR,   /* kernel.apparmor_restrict_unprivileged_userns = 1 (Ubuntu 23.10+) */
	USERNS_FILTER,     /* somebody else's seccomp filter: a container, a systemd unit */
	USERNS_CHROOT,     /* the kernel makes none for a process in a chroot */
	USERNS_OTHER_KIND, /* another kind of namespace than the user namespace */
	USERNS_MODULE,     /* a security module: SELinux's deny_userns, an AppArmor profile */
	USERNS_NO_PROC,    /* no /proc, so that id maps cannot be written */
	USERNS_UNKNOWN,    /* refused, and nothing says by whom */
};

/* The step at which the kernel refused, for probe_userns_refused(). */
enum userns_step { USERNS_STEP_CLONE, USERNS_STEP_ID_MAPS, USERNS_STEP_MOUNT };

/* One thing that was really tried, in a child process. */
struct host_trial {
	bool made;
	int errno_value; /* 0: it worked. ETIMEDOUT: the child hung, or was killed, while at it */
};

static inline bool trial_worked(struct host_trial trial)
{
	return trial.made && trial.errno_value == 0;
}

static inline bool trial_failed(struct host_trial trial)
{
	return trial.made && trial.errno_value != 0;
}

struct host_trials {
	/* In the order of a launch; what comes after a failure is not made. */
	struct host_trial user_namespace;
	struct host_trial namespaces; /* all seven in one clone */
	struct host_trial id_maps;
	struct host_trial host_name;
	struct host_trial mount; /* a tmpfs in the new mount namespace */
	struct host_trial proc;
	struct host_trial overlay;        /* with userxattr, on a tmpfs */
	struct host_trial tmpfs_xattr;    /* user.* attributes on a tmpfs: 6.6 */
	struct host_trial idmapped_mount; /* of /; as root only */

	struct host_trial landlock; /* a domain that refuses what was allowed before */
	struct host_trial listener; /* EBUSY: another filter has the only listener (WSL2) */
	struct host_trial sync_wake_up;
	struct host_trial kvm;
	char namespaces_refused[64]; /* "network, cgroup": kinds that cannot be made */
	char calls_refused[128]; /* "clone3, close_range": calls a launch needs and cannot make */
};

struct host_facts {
	uid_t uid; /* effective ids */
	gid_t gid;
	bool root;          /* effective uid 0 with CAP_SYS_ADMIN in the namespace it is in */
	char user_name[64]; /* of the password file; else the number */
	/* $HOME wins over the password file, since nearly all programs in the box follow $HOME.
	 * Where the two differ, credentials lie in either (ssh goes by the password file):
	 * home_other is then the password file's, else empty. Absolute and clean, symlinks not
	 * resolved. */
	char home[4096];
	char home_other[4096];
	char kernel[65];
	unsigned kernel_version; /* major << 8 | minor */

	bool userns; /* a user namespace can be made, and has capabilities in it */
	enum userns_obstacle userns_obstacle;
	char userns_reason[256]; /* when not: who forbids it, in a person's words */
	char userns_remedy
		[512]; /* the commands an administrator would run, one a line; may be "" */

	int landlock_abi;      /* 0: none */
	int landlock_errno;    /* why none: EOPNOTSUPP is "built, but not enabled at boot" */
	int ptrace_scope;      /* Yama's; 0 without it */
	bool seccomp_filtered; /* this process runs under somebody else's filter already */
	bool seccomp_listener;
	bool seccomp_sync_wake_up;  /* 6.6 */
	bool seccomp_wait_killable; /* 5.19 */

	/* Filled by cgroup_probe(), which the caller of a probe calls next: this module stands
	 * below the one that knows control groups. */
	enum cgroup_kind cgroup;
	bool cgroup_usable; /* this user may make a child and put limits on it */
	bool cgroup_memory, cgroup_cpu, cgroup_pids, cgroup_freezer; /* usable controllers */

	/* Filled by network_probe(), likewise, for a doctor. */
	struct host_trial network; /* the wall around a box's network: nf_tables */
	bool network_log;          /* what it refuses can be reported: nfnetlink_log */

	bool overlay_in_userns;
	bool tmpfs_user_xattr; /* 6.6: an overlay's upper layer may lie on a tmpfs */
	bool idmapped_mounts;  /* as root; of / (another file system may differ) */
	bool kvm;              /* only a full probe looks */
	bool proc_mountable;   /* an own /proc can be mounted in a PID namespace (not masked) */

	bool in_chroot;
	bool wsl2;

	/* probe_full() only. */
	bool full;
	bool systemd;       /* is PID 1 here */
	char container[32]; /* "docker", "podman", ...: a hint, nothing depends on it; or "" */
	char root_filesystem[16]; /* "ext4", ... */
	struct host_trials trials;
};

/* The quick probe of every run: a few cheap system calls, no forks. What only a trial could tell
 * (userns under AppArmor, overlay, proc) is taken as possible unless a file of /proc/sys says no;
 * the launch itself finds out and says so. Never fails: what cannot be read is not there. */
void probe_quick(struct host_facts *ret);
/* The same with every trial made in a child process (`coffer doctor`, `coffer plan`): some ms. */
void probe_full(struct host_facts *ret);

/* A launch (or a trial) was refused at step: clears userns and works out who forbids it, from the
 * errno and what the quick probe read. Fills userns_obstacle, userns_reason and userns_remedy. */
void probe_userns_refused(struct host_facts *facts, enum userns_step step, int errno_value);
/* Marks obstacle as the one that is met (USERNS_FREE: none), with its reason and remedy. */
void probe_set_userns_obstacle(struct host_facts *facts, enum userns_obstacle obstacle);
/* Whether a broker without capabilities could read the programs that it stands above, which the
 * landlock tier needs: Yama's ptrace_scope 1 lets ancestors do that, 2 and 3 do not. */
static inline bool ptrace_allows_brokers(const struct host_facts *facts)
{
	return facts->ptrace_scope < 2;
}
/* A stable word for reports: "apparmor", "max_user_namespaces", ... */
const char *userns_obstacle_name(enum userns_obstacle obstacle);

#endif
