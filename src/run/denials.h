/* What a box was refused, gathered while it runs: a table in memory that the broker and the
 * supervisor share. Hints for the report; no wall depends on it. */
#ifndef COFFER_RUN_DENIALS_H
#define COFFER_RUN_DENIALS_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denial {
	uint32_t count; /* 0: the slot is free, or its writer has not finished (or died) */
	int32_t pid; /* of the first, as the host sees it; of what programs told, as the box does */
	int32_t errno_value;
	int64_t time_ms;    /* CLOCK_REALTIME of the first */
	char call[24];      /* "connect", "mkdir", "socket", ... */
	char promise[4];    /* "P2" */
	char program[32];   /* comm of the first; empty when it could not be read */
	char target[512];   /* path, address or arguments, as the program named it: raw bytes of the
	                      * box's choosing, control codes too. Whoever prints it escapes it */
	char resolved[512]; /* where that leads in the box, absolute; empty: not known */
	bool by_mode;       /* ordinary permissions refuse it, too: no policy would allow it */
	char rule[256];     /* which rule says so, where whoever refused knew it; else empty */
	char reason[192];   /* which wall, in a person's words */
};

struct denials {
	uint32_t used; /* slots claimed, in the order of their first occurrence */
	uint32_t lost; /* denials that were like none in the table and found no slot */
	struct denial items[MAX_DENIALS];
};

/* A shared anonymous mapping, inherited over fork. NULL: out of memory. */
struct denials *denials_new(void);
void denials_free(struct denials *denials);

/* Adds one, or counts it on the equal one (call, promise, program, target, errno, as far as they
 * fit into the table). Any number of processes may add at once; none ever waits for another.
 * program is read from /proc/PID/comm, if this process sees the /proc of its own PID namespace: in
 * a box's mount namespace the same number is some other process, and program stays empty. */
void denials_add(struct denials *denials, pid_t pid, const char *call, const char *promise,
	const char *target, int errno_value, const char *reason);
/* The same for who knows the program's name. */
void denials_add_named(struct denials *denials, pid_t pid, const char *program, const char *call,
	const char *promise, const char *target, int errno_value, const char *reason);

/* The same for who knows all of it: counts denial.count at once. */
void denials_add_whole(struct denials *denials, const struct denial *denial);
/* Now, as denials have it. */
int64_t denials_now_ms(void);
/* So many more that found no room before they came here. */
void denials_lose(struct denials *denials, uint32_t count);

/* How many slots to ask denials_get() for. */
size_t denials_count(const struct denials *denials);
/* A private copy of slot index, its strings terminated whatever the other side wrote there. False:
 * there is nothing in that slot (yet). */
bool denials_get(const struct denials *denials, size_t index, struct denial *ret);

#endif
