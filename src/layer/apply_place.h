/* The steps of a journal, forth and back. Each may be done any number of times: what is there says
 * how far it has come. */
#ifndef COFFER_LAYER_APPLY_PLACE_H
#define COFFER_LAYER_APPLY_PLACE_H

#include "layer/apply_host.h"

/* All hosts of a journal's roots; caller releases with apply_hosts_close(). */
int apply_hosts_open(
	const struct apply_journal *journal, struct apply_host **ret, struct error *error);
void apply_hosts_close(const struct apply_journal *journal, struct apply_host *hosts);

/* Puts everything in its place, or stops at the first that cannot be: -EBUSY where the host changed
 * at the last moment, with the path in the error. */
int apply_place(const struct apply_journal *journal, struct apply_host *hosts, struct error *error);
/* Takes everything back (or, where nothing was `placed` yet, nothing), and removes what was staged.
 * Goes on past what somebody else has taken away or put in between: *ret_left says how many; the
 * host's own files stay wherever they are. */
void apply_take_back(const struct apply_journal *journal, struct apply_host *hosts, bool placed,
	size_t *ret_left);
/* Removes what was replaced, and sets the directories' times. */
void apply_clear(const struct apply_journal *journal, struct apply_host *hosts);
/* Makes durable what was done so far. */
int apply_sync(const struct apply_journal *journal, struct apply_host *hosts);

/* Few enough to sync one by one. */
enum { APPLY_SYNC_EACH_MAX = 64 };

#endif
