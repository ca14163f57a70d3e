/* What went over the network, or was refused: each decision of egress as a line of the log, and
 * what the report says in the end. */
#ifndef COFFER_RUN_TRAFFIC_H
#define COFFER_RUN_TRAFFIC_H

#include "base/error.h"
#include "policy/egress.h"
#include "run/connects.h"
#include "run/denials.h"

#include <jansson.h>

struct traffic;

/* log_path: where lines of JSON go ("-": standard error); NULL: nowhere. The file is opened here,
 * before anything runs. denials gets what was refused; both are borrowed. */
int traffic_new(const char *log_path, struct connects *connects, struct denials *denials,
	struct traffic **ret, struct error *error);
void traffic_free(struct traffic *traffic);
/* A record from egress: its strings are terminated here. */
void traffic_add(struct traffic *traffic, struct egress_record *record);
/* For the report; a new reference. */
json_t *traffic_json(const struct traffic *traffic);

#endif
