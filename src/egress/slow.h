/* Below an allowed wildcard a program may make names up, and whoever serves that zone reads them:
 * a channel out of the box, one label at a time. It cannot be told from honest use, but it can be
 * made slow, and told of. Metered is each question that leaves the host, whoever asks. */
#ifndef COFFER_EGRESS_SLOW_H
#define COFFER_EGRESS_SLOW_H

#include "egress/egress.h"

enum {
	SLOW_NAMES_PER_MINUTE = 20,        /* names not asked for before */
	SLOW_LABEL_BYTES_PER_SECOND = 256, /* of the labels below the wildcard */
	SLOW_WAIT_MS_MAX = 30000,          /* what would have to wait longer is refused */
};

struct slow;

int slow_new(struct egress *egress, struct slow **ret);
void slow_free(struct slow *slow); /* logs what is not logged yet */
/* How long a question for a normalized name has to wait, in milliseconds; it is then on its way.
 * -EDQUOT: too long. */
int slow_wait_ms(struct slow *slow, const char *name);

#endif
