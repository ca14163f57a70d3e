/* The egress process of one box, seen from its supervisor: start it, hand it the box's sockets,
 * hear what it lets through and refuses, stop it. */
#ifndef COFFER_RUN_EGRESS_PROCESS_H
#define COFFER_RUN_EGRESS_PROCESS_H

#include "base/error.h"
#include "plan/plan.h"
#include "policy/egress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct egress_process;

/* Starts coffer-egress, which lies beside this program, with the network policy; ask: somebody can
 * be asked. It makes itself ready on its own meanwhile: egress_settle() waits for it. */
int egress_start(const struct network_policy *policy, enum tier tier, bool ask,
	struct egress_process **ret, struct error *error);
/* Waits until it is configured and confined, or says why it cannot be: nothing may run then. What
 * it brings for the box goes into the plan: variables, and the bundle of certificates. plan may be
 * NULL if egress_brings() says that there is nothing. */
int egress_settle(struct egress_process *egress, struct plan *plan, struct error *error);
/* Once it is settled: what it has to say to a person of this host, or NULL. */
const char *egress_note(const struct egress_process *egress);
/* Whether it brings something for the box, which must then wait for it to be built. */
bool egress_brings(const struct network_policy *policy);
/* Hands over sockets of the box (enum egress_socket each); the caller's stay its own. */
int egress_hand_over(
	struct egress_process *egress, const int *fds, const uint8_t *kinds, size_t count);

/* For poll(); -1 once it has ended. */
int egress_fd(const struct egress_process *egress);
pid_t egress_pid(const struct egress_process *egress);
/* Its end was collected by somebody else's wait(). */
void egress_was_reaped(struct egress_process *egress);
/* One message that is waiting. -EAGAIN: none; -EPIPE: it has ended. */
int egress_receive(struct egress_process *egress, struct egress_message *ret);
void egress_answer(struct egress_process *egress, uint32_t id, int verdict);
/* Says that the box has ended; what is still in its queue can be received until -EPIPE. */
void egress_stop(struct egress_process *egress);
/* Ends it, whatever it does, and reaps it. NULL is fine. */
void egress_free(struct egress_process *egress);

#endif
