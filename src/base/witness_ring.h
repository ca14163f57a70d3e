/* The ring through which programs of a box tell what the kernel refused them: a file that the
 * preloaded library (preload/) writes and the supervisor reads when the box has ended. Hints: all
 * of it is the box's to forge, and whoever reads it believes nothing that the plan does not
 * explain. This header is all that the two have in common; it needs no libc. */
#ifndef COFFER_BASE_WITNESS_RING_H
#define COFFER_BASE_WITNESS_RING_H

#include <stdint.h>

/* Where the box finds both, where it has a /dev of its own. The library's name is for the
 * sanitizers' sake: their run time refuses to start where a library comes before its own, unless
 * "libasan.so" is in that one's path. This one calls on to theirs. */
#define WITNESS_RING_INSIDE "/dev/coffer/witness"
#define WITNESS_LIBRARY_NAME "coffer-witness-before-libasan.so"
#define WITNESS_LIBRARY_INSIDE "/dev/coffer/" WITNESS_LIBRARY_NAME
/* The landlock tier has no mounts: there the ring lies in the box's own temporary directory, and a
 * variable says so. */
#define WITNESS_RING_NAME ".coffer-witness"
#define WITNESS_RING_VARIABLE "COFFER_WITNESS"

enum {
	WITNESS_MAGIC = 0x31746977, /* "wit1" */
	WITNESS_RECORDS_MAX = 128,
	WITNESS_RECORD_BYTES = 2048,
	WITNESS_HIDDEN_BYTES = 4096,
	WITNESS_PROGRAM_BYTES = 16, /* TASK_COMM_LEN */
};

/* What a call wanted of the thing that it names. */
enum witness_wants {
	WITNESS_READ = 1 << 0,  /* its content, or what it is */
	WITNESS_WRITE = 1 << 1, /* to change it */
	WITNESS_ENTRY = 1 << 2, /* to make, remove or rename it: a change of the directory */
};

enum witness_flags {
	/* The kernel's ordinary permissions say no as well: an access check, which Landlock does
	 * not take part in, failed in the same way. */
	WITNESS_BY_MODE = 1 << 0,
};

/* The calls, by the names that a report has. */
#define WITNESS_CALLS(X)                                                                           \
	X(open)                                                                                    \
	X(openat) X(creat) X(fopen) X(freopen) X(opendir) X(mkdir) X(mkdirat) X(mknod) X(          \
		mknodat) X(mkfifo) X(mkfifoat) X(unlink) X(unlinkat) X(rmdir) X(remove) X(rename)  \
		X(renameat) X(renameat2) X(link) X(linkat) X(symlink) X(symlinkat) X(chmod) X(     \
			fchmod) X(fchmodat) X(chown) X(lchown) X(fchown) X(fchownat) X(truncate)   \
			X(utime) X(utimes) X(lutimes) X(futimens) X(utimensat) X(futimesat)        \
				X(setxattr) X(lsetxattr) X(fsetxattr) X(removexattr)               \
					X(lremovexattr) X(access) X(faccessat) X(stat) X(lstat)    \
						X(fstatat) X(statx) X(readlink) X(readlinkat)      \
							X(chdir) X(execve) X(mkstemp) X(mkdtemp)   \
								X(resolve)

enum witness_call {
#define WITNESS_NUMBER(name) WITNESS_CALL_##name,
	WITNESS_CALLS(WITNESS_NUMBER)
#undef WITNESS_NUMBER
		WITNESS_CALL_COUNT
};

struct witness_record {
	uint32_t state; /* 0: free, or its writer has not finished; else it is whole */
	uint32_t count;
	int64_t time_ms; /* CLOCK_REALTIME of the first */
	int32_t pid;     /* of the first, as the box numbers it */
	int32_t errno_value;
	uint16_t call; /* enum witness_call */
	uint8_t wants, flags;
	char program[WITNESS_PROGRAM_BYTES];
	/* Three strings, one behind the other: the path as it was named; the directory that it is
	 * relative to ("" where it is absolute); where it leads, as far as the program could find
	 * out ("" where it could not). Of a name that was looked up: the name, the service, "". */
	char text[WITNESS_RECORD_BYTES - 44];
};

struct witness_ring {
	uint32_t magic;
	uint32_t used; /* slots claimed */
	uint32_t lost; /* found no slot */
	uint32_t hidden_bytes;
	/* Written before the box runs: below these a path that is not there may be one that is
	 * hidden. Absolute, each with its NUL. */
	char hidden[WITNESS_HIDDEN_BYTES];
	uint64_t hashes[WITNESS_RECORDS_MAX]; /* of each record, so that equal ones are counted */
	struct witness_record records[WITNESS_RECORDS_MAX];
};

_Static_assert(sizeof(struct witness_record) == WITNESS_RECORD_BYTES, "records have no holes");

#endif
