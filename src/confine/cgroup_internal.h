/* Shared by the files of the control group mechanism, and open to its tests. */
#ifndef COFFER_CONFINE_CGROUP_INTERNAL_H
#define COFFER_CONFINE_CGROUP_INTERNAL_H

#include "confine/cgroup.h"

#include <stddef.h>

#define CGROUP_NAME_PREFIX "coffer-"

enum controller_bit {
	CONTROLLER_MEMORY = 1 << 0,
	CONTROLLER_CPU = 1 << 1,
	CONTROLLER_PIDS = 1 << 2,
	CONTROLLER_FREEZER = 1 << 3, /* on v2 it is part of the core, and always there */
	CONTROLLER_CPUACCT = 1 << 4,
	CONTROLLER_IO = 1 << 5,
};

enum {
	CONTROLLERS_OF_LIMITS = CONTROLLER_MEMORY | CONTROLLER_CPU | CONTROLLER_PIDS,
	/* memory, cpu, cpuacct, pids, freezer, and v2. */
	MAX_HIERARCHIES = 6,
	/* Leftovers looked at by one launch: bounds what a crowded host costs it. */
	MAX_SWEPT_GROUPS = 16,
};

/* One hierarchy in which this process may make a child group. */
struct hierarchy {
	unsigned version;     /* 1 or 2 */
	unsigned controllers; /* those that a child made in parent has */
	char *parent;         /* owned */
};

struct hierarchies {
	struct hierarchy items[MAX_HIERARCHIES];
	size_t count;
	enum cgroup_kind kind; /* of the host, usable or not */
};

/* Where to look: the kernel's files, or a test's. */
struct cgroup_source {
	const char *own_groups; /* /proc/self/cgroup */
	const char *mounts;     /* /proc/self/mountinfo */
	const char *usual;      /* /sys/fs/cgroup */
};

extern const struct cgroup_source cgroup_source_kernel;

/* Finds the hierarchies that this user may use. wanted: on v2, the nearest ancestor that hands
 * these controllers down is preferred. Never fails: what cannot be read is not usable. */
void hierarchies_find(const struct cgroup_source *source, unsigned wanted, struct hierarchies *ret);
void hierarchies_release(struct hierarchies *hierarchies);

/* Removes up to MAX_SWEPT_GROUPS groups below parent_fd that are ours by name and owner and whose
 * lock nobody holds; random picks which, when there are more. */
void cgroup_sweep(int parent_fd, uint64_t random);

/* Small files of a group. The readers return false when there is no such file or number. */
bool group_read_text(int group_fd, const char *file, char *text, size_t text_bytes);
bool group_read_number(int group_fd, const char *file, uint64_t *ret);
/* The number behind "key " at the start of a line. */
bool group_read_key(int group_fd, const char *file, const char *key, uint64_t *ret);
bool group_text_key(const char *text, const char *key, uint64_t *ret);
int group_write_number(int group_fd, const char *file, uint64_t number);
/* SIGKILL to every process in the group's list that is really in a group of that name. Returns how
 * many were hit. */
size_t group_kill_members(int group_fd, const char *name);

/* A share of the CPUs as the kernel takes it: quota of each period. */
struct cpu_bandwidth {
	uint64_t quota_us, period_us;
};
struct cpu_bandwidth cpu_bandwidth(uint64_t cpu_milli);

/* What the two versions do differently. Each takes the group's directory and the controllers that
 * are to be used in it. */
struct group_operations {
	/* 0 or -errno with *ret_file naming the file that refused. */
	int (*set_limits)(int group_fd, unsigned controllers, const struct limits *limits,
		const char **ret_file);
	/* Adds what this group knows to *usage. */
	void (*read_usage)(int group_fd, unsigned controllers, struct cgroup_usage *usage);
	int (*freeze)(int group_fd, bool frozen);
	int (*kill)(int group_fd, unsigned controllers, const char *name);
};

extern const struct group_operations cgroup_v1_operations, cgroup_v2_operations;

#endif
