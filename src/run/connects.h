/* Who connected: a ring in memory that the broker writes, who sees each connect() of the box, and
 * the supervisor reads, when egress tells of a connection from that port. Hints for the log. */
#ifndef COFFER_RUN_CONNECTS_H
#define COFFER_RUN_CONNECTS_H

#include "policy/egress.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct connects;

/* Shared, inherited over fork. NULL: out of memory. */
struct connects *connects_new(void);
void connects_free(struct connects *connects);

/* A connect() is about to be made that will be noted: between its first packet and the note egress
 * may have told of it. Each is followed by connects_end(). */
void connects_begin(struct connects *connects);
void connects_end(struct connects *connects);
/* socket_fd: the program's socket, on which connect() was just called. */
void connects_note(struct connects *connects, pid_t pid, const char *program, int socket_fd);
/* Who connected from the record's port inside about when it began: ports are used again, and a name
 * that is not known is better than a wrong one. */
bool connects_find(const struct connects *connects, const struct egress_record *record,
	pid_t *ret_pid, char ret_program[32]);
/* The same; while a connect() is being made it may be that one, which is waited for, some
 * milliseconds at most. */
bool connects_await(const struct connects *connects, const struct egress_record *record,
	pid_t *ret_pid, char ret_program[32]);

#endif
