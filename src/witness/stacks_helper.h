/* The program coffer-stacks: reads the stacks of processes that are about to be ended.
 *
 *	stacks_helper.c  the order: privileges, processes, the answer
 *	stacks_native.c  through libdw: what the tables of the mapped programs say
 *	stacks_frames.c  what they add to it
 *	stacks_python.c  the interpreter's own frames, from its memory */
#ifndef COFFER_WITNESS_STACKS_HELPER_H
#define COFFER_WITNESS_STACKS_HELPER_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

/* coffer-stacks UID GID PID...: prints an object from each PID to its stacks. */
int stacks_main(int argc, char *argv[]);

/* Where an interpreter keeps its state in a process. */
struct python_place {
	int minor; /* of 3.x; 0: there is none */
	uint64_t runtime;
};

/* Stops the process, appends a stack for each of its threads to stacks, and calls look (if the
 * process maps a Python) while it stands still. */
void native_stacks(pid_t pid, json_t *stacks,
	void (*look)(pid_t pid, const struct python_place *python, json_t *stacks));
void python_stacks(pid_t pid, const struct python_place *python, json_t *stacks);
/* The same from a descriptor of the memory. */
void python_stacks_in(int memory_fd, const struct python_place *python, json_t *stacks);

/* {"language", "thread", "frames"}; takes frames. */
void stacks_add(json_t *stacks, const char *language, long thread, json_t *frames);
/* Any of the strings may be NULL, and is taken as far as it is UTF-8. */
void frames_add(json_t *frames, const char *file, unsigned line, const char *function);

#endif
