/* Who is asked for a name that no rule decides: a program that listens on a unix socket. It gets
 * one line of JSON for each question, {"id":1,"name":"example.org","address":"","port":443,
 * "protocol":"tls","program":"curl","pid":7}, and answers, in any order,
 * {"id":1,"verdict":"allow"} or "deny". Meanwhile the connection waits; when the asker is gone,
 * what is undecided is refused. */
#ifndef COFFER_RUN_ASKER_H
#define COFFER_RUN_ASKER_H

#include "base/error.h"
#include "policy/egress.h"
#include "run/connects.h"

#include <stdbool.h>

struct asker;

/* Connects to the socket at path. connects is borrowed. */
int asker_new(
	const char *path, const struct connects *connects, struct asker **ret, struct error *error);
void asker_free(struct asker *asker);
/* For poll(); -1: it is gone, or asker is NULL. */
int asker_fd(const struct asker *asker);
/* False: it cannot be asked. */
bool asker_ask(struct asker *asker, uint32_t id, struct egress_record *record);
/* Nobody waits for this answer any more: there is room for another question. */
void asker_forget(struct asker *asker, uint32_t id);
/* Takes the next answer that is there. Once the asker is gone, those that it owes come as
 * refusals. */
bool asker_answer(struct asker *asker, uint32_t *ret_id, int *ret_verdict);

#endif
