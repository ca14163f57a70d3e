/* What the meter reads in /proc. Each function takes a descriptor of /proc, or of a made-up one. */
#ifndef COFFER_RUN_METER_PROC_H
#define COFFER_RUN_METER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The tree that starts at root, root first, into pids. Returns how many; 0: root is gone. A process
 * that is born or dies meanwhile may be missed: the next look finds it. */
size_t proc_tree(int proc_fd, pid_t root, pid_t *pids, size_t capacity, bool *ret_truncated);

struct proc_status {
	uint64_t threads;
	uint64_t anonymous_bytes; /* with swap */
	uint64_t shared_bytes;    /* shmem that is mapped and present */
};
bool proc_read_status(int proc_fd, pid_t pid, struct proc_status *ret);

/* User and system time, with that of the children it has waited for. */
bool proc_read_cpu_us(int proc_fd, pid_t pid, uint64_t *ret);

/* Shared memory files and file systems that are counted elsewhere, as a whole. */
struct proc_counted {
	dev_t *devices; /* of tmpfs mounts */
	size_t devices_count;
	ino_t *memfds; /* unsorted */
	size_t memfds_count, memfds_capacity;
	uint64_t memfds_bytes;
};
/* Adds the memfds that pid has open and that are not in the list yet. */
void proc_count_memfds(int proc_fd, pid_t pid, struct proc_counted *counted);
/* The process's share of the memory it has mapped, without what is counted already. False: it may
 * not be looked at. */
bool proc_read_share(
	int proc_fd, pid_t pid, const struct proc_counted *counted, uint64_t *ret_bytes);

#endif
